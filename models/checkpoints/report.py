"""What became of every key of a checkpoint: used, adapted, dropped, missing, unexpected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ..errors import ModelError

_SHOWN = 200


@dataclass
class Translation:
    """A checkpoint's tensors under our names, with an account of every key of the file.

    A translation rule (one function per origin, in `sed_keys.py` and `separator_keys.py`) walks over the
    file's keys and calls `use`, `adapt`, `drop`, `keep` or `refuse` exactly once for each.

    Attributes:
        family: The kind of net: ``"sed"``, ``"tagger"``, ``"backbone"`` or ``"separator"``.
        config: Keyword arguments that rebuild the net (JSON values only).
        tensors: Our key -> tensor.
        unused: Reference key -> tensor, for parameters that the reference saves and never uses: our nets do
            not have them, they are kept beside the weights so that the file can be written back whole.
        used: Their key -> our key.
        adapted: Their key -> what was done to the tensor.
        dropped: Their key -> why it is not needed.
        unexpected: Their keys that no rule knows.
        fresh: Our key -> why it starts from its initial value.
        missing: Our keys that the file should hold and does not.
    """

    family: str
    config: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    unused: dict[str, Tensor] = field(default_factory=dict)
    used: dict[str, str] = field(default_factory=dict)
    adapted: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    fresh: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def use(self, theirs: str, ours: str, tensor: Tensor) -> None:
        """Take a tensor unchanged.

        Raises:
            ModelError: Two keys of the file mean the same parameter.
        """
        if ours in self.tensors:
            raise ModelError(
                f"the file holds {ours} twice",
                where=theirs,
                remedy="give a checkpoint of one model only",
            )
        self.tensors[ours] = tensor
        self.used[theirs] = ours

    def adapt(self, theirs: str, ours: str, tensor: Tensor, how: str) -> None:
        """Take a tensor that was reshaped, summed or cast; `how` says what was done."""
        self.use(theirs, ours, tensor)
        self.adapted[theirs] = how

    def drop(self, theirs: str, why: str) -> None:
        """Leave a key out: it is rebuilt by the net, or belongs to a part that is not asked for."""
        self.dropped[theirs] = why

    def keep(self, theirs: str, reference_key: str, tensor: Tensor, why: str) -> None:
        """Put a parameter aside that the reference saves and never uses."""
        self.dropped[theirs] = why
        self.unused[reference_key] = tensor

    def refuse(self, theirs: str) -> None:
        """Note a key that no rule knows; `check` turns these into one error."""
        self.unexpected.append(theirs)

    def account(self) -> dict[str, Any]:
        """Return what became of every key, as JSON values."""
        return {
            "family": self.family,
            "config": self.config,
            "used": dict(sorted(self.used.items())),
            "adapted": dict(sorted(self.adapted.items())),
            "dropped": dict(sorted(self.dropped.items())),
            "kept_unused": sorted(self.unused),
            "fresh": dict(sorted(self.fresh.items())),
            "missing": sorted(self.missing),
            "unexpected": sorted(self.unexpected),
        }


Rule = Callable[[Mapping[str, Tensor]], Translation]


def check(translation: Translation, wanted: Mapping[str, Tensor], *, where: str) -> None:
    """Compare a translation with the net's own state; note what is missing.

    Args:
        translation: What a rule made of a file.
        wanted: The net's state dictionary (meta tensors will do).
        where: The file, for the message.

    Raises:
        ModelError: Keys that no rule knows, shapes that differ, parameters that are missing.
    """
    for ours in translation.tensors.keys() - wanted.keys():
        theirs = next((t for t, o in translation.used.items() if o == ours), ours)
        translation.refuse(theirs)
    faults = [f"unexpected key {key}" for key in sorted(translation.unexpected)]
    names = {ours: theirs for theirs, ours in translation.used.items()}
    for ours, tensor in sorted(translation.tensors.items()):
        if ours in wanted and (fault := _misfit(tensor, wanted[ours])):
            faults.append(f"{names[ours]} {fault}")
    absent = wanted.keys() - translation.tensors.keys() - translation.fresh.keys()
    counters = {key for key in absent if key.endswith("num_batches_tracked")}
    for key in sorted(counters):
        translation.fresh[key] = "the file has no batch counter"
    translation.missing = sorted(absent - counters)
    faults += [f"missing key for {key}" for key in translation.missing]
    if faults:
        more = f"\n  … and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        listed = "".join(f"\n  {fault}" for fault in faults[:_SHOWN])
        raise ModelError(
            f"{len(faults)} key(s) do not fit:{listed}{more}\n",
            where=where,
            remedy="check that --as names the origin of this file",
        )


def _misfit(tensor: Tensor, wanted: Tensor) -> str | None:
    if tuple(tensor.shape) != tuple(wanted.shape):
        return f"has shape {tuple(tensor.shape)}, expected {tuple(wanted.shape)}"
    if tensor.is_floating_point() != wanted.is_floating_point() or tensor.is_complex():
        return f"holds {tensor.dtype}, expected {wanted.dtype}"
    return None
