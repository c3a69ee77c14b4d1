"""Systems as files: which models make the two stages, how they decide; and how a file becomes a system."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from synth import SynthError, load_yaml, read_bounded, recipe_problems, target_classes, write_text

from .thresholds import Decision, threshold_of

if TYPE_CHECKING:
    from torch import nn

    from .tuned_system import TunedSystem

_FOLDER = "systems"
_GLOB = "*?["


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ModelFiles(_Section):
    """Models of one stage that are averaged with the others."""

    weights: str = Field(
        description="a file or folder saved by s5kit, or a pattern with * of them, relative to the system file"
    )
    expect: Annotated[int, Field(ge=1)] | None = Field(
        None, description="how many models the pattern must find; null: any number from one on"
    )
    weight: Annotated[int, Field(ge=1)] = Field(
        1, description="what each counts in the average, an integer: as that many equal models"
    )
    note: str = Field("", description="what is known of these models")


class SeparatorFiles(ModelFiles):
    """Separators, those that need one with their stage-2 SED model."""

    sed: str | None = Field(
        None,
        description="the SED model that gives hints, for a separator saved without it; relative to the system file",
    )


class SystemFile(_Section):
    """A two-stage system on paper."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = Field(
        description="letters, digits, _ . - (at most 64)"
    )
    about: str = Field("", description="where it comes from and what is known of it")
    year: Literal[2025, 2026] = Field(2025, description="2025 or 2026: whose rules it is made for")
    taggers: Annotated[tuple[ModelFiles, ...], Field(min_length=1, strict=False)] = Field(
        description="a list of first-stage models: weights, expect, weight, note"
    )
    separators: Annotated[tuple[SeparatorFiles, ...], Field(min_length=1, strict=False)] = Field(
        description="a list of separators: weights, expect, weight, sed, note"
    )
    threshold: Annotated[float, Field(ge=0, le=1)] | dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(
        0.5, description="least probability of a label, 0 to 1, or one per class by name"
    )
    at_least_one: bool = Field(
        True, description="true or false: label a scene when no class reaches the threshold"
    )
    slots: Annotated[int, Field(ge=1, le=8)] = Field(3, description="greatest number of labels, 1 to 8")
    iterations: Annotated[int, Field(ge=1, le=100)] | None = Field(
        None, description="passes of iterative separators, 1 to 100; null: as they were saved"
    )
    queries: Annotated[int, Field(ge=1)] = Field(
        8, description="(scene, label) pairs separated at once, at least 1"
    )
    classes: Annotated[tuple[str, ...], Field(strict=False)] | None = Field(
        None, description="the classes in the order of the models' outputs; null: the 18 of the task"
    )


@dataclass(frozen=True, slots=True)
class Part:
    """One model of a system.

    Attributes:
        weights: Its file or folder.
        weight: What it counts in the average.
        sed: The SED model that guides it; None when it needs none or holds it.
    """

    weights: Path
    weight: int = 1
    sed: Path | None = None


@dataclass(frozen=True, slots=True)
class System:
    """A system whose files were found.

    Attributes:
        file: What its file says.
        home: The folder that its paths start from.
        taggers: The first stage.
        separators: The second stage.
    """

    file: SystemFile
    home: Path
    taggers: tuple[Part, ...]
    separators: tuple[Part, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the models' outputs."""
        return self.file.classes or target_classes()

    @property
    def decision(self) -> Decision:
        """How it decides."""
        file = self.file
        return Decision(threshold_of(file.threshold, self.classes), file.slots, file.at_least_one)


def list_systems() -> dict[str, str]:
    """Return the systems that come with s5kit: name -> what they are."""
    found = (
        path
        for path in resources.files("manifests").joinpath(_FOLDER).iterdir()
        if path.name.endswith(".yaml")
    )
    texts = {path.name.removesuffix(".yaml"): path.read_text("utf-8") for path in found}
    return {name: _parse(texts[name], f"{name}.yaml").about for name in sorted(texts)}


def read_system(source: str | Path) -> tuple[SystemFile, Path]:
    """Read a system file, without looking for its models.

    Args:
        source: A YAML file, or the name of one of `list_systems`.

    Returns:
        The file, and the folder that its paths start from (for one that comes with s5kit, the current one).

    Raises:
        SynthError: There is no such file, or its keys are wrong.
    """
    path = Path(source)
    if path.suffix in (".yaml", ".yml"):
        return _parse(read_bounded(path), path), path.absolute().parent
    known = resources.files("manifests").joinpath(_FOLDER, f"{source}.yaml")
    if str(source) != path.name or not known.is_file():
        raise SynthError(
            "there is no such system",
            where=str(source),
            remedy=f"give a YAML file or one of {', '.join(list_systems())}",
        )
    return _parse(known.read_text("utf-8"), f"{source}.yaml"), Path.cwd()


def open_system(source: str | Path, *, base: Path | None = None) -> System:
    """Read a system file and find its models; none is loaded.

    Args:
        source: As for `read_system`.
        base: The folder that relative paths start from; None: that of the file.

    Raises:
        SynthError: As `read_system`; or a pattern does not find what it should.
    """
    file, home = read_system(source)
    home = home if base is None else base.absolute()
    stages = [
        tuple(part for entry in entries for part in _parts(entry, home, file.name))
        for entries in (file.taggers, file.separators)
    ]
    return System(file, home, *stages)


def load_system(source: str | Path | System, device: str = "cpu", *, base: Path | None = None) -> TunedSystem:
    """Load a system with all its models in memory, ready to label and separate.

    Args:
        source: A YAML file, the name of a system that comes with s5kit, or an opened one.
        device: Where to put it.
        base: The folder that relative paths start from; None: that of the file.

    Returns:
        A `models.S5System` that decides as the file says.

    Raises:
        SynthError: As `open_system`; models of other classes.
        ModelError: A file that is no model of ours, or models that do not fit together.
    """
    from .tuned_system import TunedSystem

    system = source if isinstance(source, System) else open_system(source, base=base)
    taggers = [net for part in system.taggers for net in [load_tagger(part, system)] * part.weight]
    separators = [net for part in system.separators for net in [load_separator(part)] * part.weight]
    whole = TunedSystem(
        taggers,
        separators,
        decision=system.decision,
        iterations=system.file.iterations,
        queries=system.file.queries,
    )
    return whole.to(device).eval()


def load_tagger(part: Part, system: System) -> nn.Module:
    """Load one first-stage model; an SED model saved for 16 kHz gets the filter that lets it hear 32 kHz.

    Raises:
        SynthError: It tells other classes than the system's.
        ModelError: As `models.load_model`.
    """
    from models import SedModel, create_sed, load_model

    net = load_model(part.weights)
    if isinstance(net, SedModel) and net.sample_rate == 16_000:
        own, net = net, create_sed(**{**net.config, "sample_rate": 32_000})
        net.load_state_dict(own.state_dict())
    count = _classes_of(net)
    if count is not None and count != len(system.classes):
        raise SynthError(
            f"it tells {count} classes, the system has {len(system.classes)}",
            where=part.weights,
            remedy="list the classes of the models in the system file, in their order",
        )
    return net.eval()


def load_separator(part: Part) -> Any:
    """Load one separator, with the SED model that guides it where the file names one.

    Raises:
        SynthError: An SED model for a separator that has one.
        ModelError: As `models.load_model`.
    """
    from models import GuidedSeparator, SedModel, Separator, load_model

    net = load_model(part.weights)
    if part.sed is None:
        return net
    sed = load_model(part.sed)
    if not isinstance(net, Separator) or not isinstance(sed, SedModel):
        raise SynthError(
            f"a {type(net).__name__} cannot be guided by a {type(sed).__name__}",
            where=part.weights,
            remedy="`sed` belongs to a bare separator and names an SED model",
        )
    return GuidedSeparator(net, sed, frozen=True).eval()


def write_system(path: Path, file: SystemFile, *, home: Path) -> None:
    """Write a system file; its relative paths are turned so that they start from the new file's folder.

    Args:
        path: The YAML file.
        file: What to write.
        home: The folder that its paths start from now.
    """
    data = file.model_dump(mode="json", exclude_defaults=True)
    for entry in (*data["taggers"], *data["separators"]):
        for key in ("weights", "sed"):
            if entry.get(key) is not None and not os.path.isabs(entry[key]):
                entry[key] = os.path.relpath(home / entry[key], path.absolute().parent)
    try:
        write_text(path, yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    except OSError as error:
        raise SynthError(
            f"cannot be written: {error.strerror}",
            where=path,
            remedy="choose a folder that exists and may be written",
        ) from error


def _parse(text: str | bytes, where: str | Path) -> SystemFile:
    data = load_yaml(text, where=where)
    try:
        return SystemFile.model_validate(data)
    except ValidationError as error:
        raise recipe_problems(error, SystemFile, str(where), remedy="correct the system file") from error


def _parts(entry: ModelFiles, home: Path, name: str) -> Sequence[Part]:
    found = _find(entry.weights, home)
    if not found or entry.expect not in (None, len(found)):
        wanted = "at least one" if entry.expect is None else str(entry.expect)
        raise SynthError(
            f"{entry.weights!r} finds {len(found)} model(s) in {home}, {wanted} expected",
            where=f"system {name}",
            remedy="put the models there, name another folder by --models, or write a system file with your own paths",
        )
    sed = None
    if isinstance(entry, SeparatorFiles) and entry.sed is not None:
        seds = _find(entry.sed, home)
        if len(seds) != 1:
            what = f"{entry.sed!r} finds {len(seds)} SED model(s) in {home}, one expected"
            raise SynthError(what, where=f"system {name}", remedy="name one file")
        sed = seds[0]
    return [Part(path, entry.weight, sed) for path in found]


def _find(pattern: str, home: Path) -> list[Path]:
    path = Path(pattern)
    if not any(letter in pattern for letter in _GLOB):
        path = home / path
        return [path] if path.exists() else []
    root = Path(path.anchor) if path.is_absolute() else home
    return sorted(root.glob(str(path.relative_to(path.anchor)) if path.is_absolute() else pattern))


def _classes_of(net: nn.Module) -> int | None:
    from models import SedModel, Tagger

    if isinstance(net, SedModel):
        return int(net.config.get("weak_classes") or net.config["num_classes"]) if net.config else None
    if isinstance(net, Tagger):
        return 18
    return None
