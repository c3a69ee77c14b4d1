"""One scene -> the members of its sample, always the same set of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..assets.audio import encode_flac16, to_int16
from ..errors import SynthError
from ..rendering.scene import Scene
from ..units import FOA_CHANNELS, Audio, Hertz, Samples
from .identity import CorpusIdentity
from .records import record_bytes
from .statistics import Statistics

_BUG = "report this as a fault of s5kit, with the corpus's index.json"


@dataclass(frozen=True, slots=True)
class Sample:
    """A scene as it is stored.

    Attributes:
        members: (name, content) in the order stored.
        statistics: Counts of this one scene.
    """

    members: list[tuple[str, bytes]]
    statistics: Statistics


def encode_scene(identity: CorpusIdentity, index: int, scene: Scene) -> Sample:
    """Encode a scene: 16-bit FLAC per sound, one JSON, silence in slots without a target.

    Raises:
        SynthError: The scene has more targets than the corpus has slots, another rate or length,
            or samples that are no finite numbers.
    """
    _check(identity, scene)
    key = identity.key(index)
    clipped = 0
    contents = {}
    for name, sound in _sounds(identity, scene):
        if sound is None:
            channels = FOA_CHANNELS if name.startswith("wet") else 1
            contents[f"{key}.{name}.flac"] = _silence(channels, identity.duration, identity.sample_rate)
        else:
            _check_finite(name, sound)
            pcm, beyond = to_int16(sound)
            clipped += beyond
            contents[f"{key}.{name}.flac"] = encode_flac16(pcm, identity.sample_rate)
    contents[f"{key}.json"] = record_bytes(identity, index, scene, clipped)
    members = [(name, contents[name]) for name in sorted(contents)]
    return Sample(members, Statistics.of_scene(scene.spec, clipped))


def _sounds(identity: CorpusIdentity, scene: Scene) -> Iterator[tuple[str, Audio | None]]:
    """Yield the name and (channels, T) or (T,) sound of every FLAC member; None is silence."""
    yield "mixture", _present(scene.mixture, "mixture")
    for stem in ("interference", "noise"):
        if stem in identity.stems:
            yield stem, _present(getattr(scene, stem), stem)
    for stem in ("dry", "wet"):
        if stem == "dry" or stem in identity.stems:
            sounds = _present(getattr(scene, stem), stem)
            for slot in range(identity.slots):
                yield f"{stem}{slot}", sounds[slot] if slot < len(sounds) else None


def _present(sound: Audio | None, stem: str) -> Audio:
    if sound is None:
        raise SynthError("was not rendered", where=stem, remedy=_BUG)
    return sound


def _check(identity: CorpusIdentity, scene: Scene) -> None:
    spec = scene.spec
    if len(spec.targets) > identity.slots:
        raise SynthError(
            f"the scene has {len(spec.targets)} targets, the corpus has slots for {identity.slots}",
            where="targets.count",
            remedy="raise the upper limit of targets.count in the recipe",
        )
    if (spec.sample_rate, spec.duration) != (identity.sample_rate, identity.duration):
        raise SynthError(
            f"the scene has {spec.duration} samples at {spec.sample_rate} Hz, "
            f"the corpus {identity.duration} at {identity.sample_rate} Hz",
            where="scene",
            remedy=_BUG,
        )


def _check_finite(name: str, sound: Audio) -> None:
    """Refuse NaN and infinities, which would become arbitrary 16-bit samples."""
    flat = sound.reshape(-1)
    if not np.isfinite(np.dot(flat, flat)):
        raise SynthError(
            "has samples that are no finite numbers",
            where=name,
            remedy="check the files of the scene with `s5kit catalog build`",
        )


@lru_cache(maxsize=8)
def _silence(channels: int, duration: Samples, rate: Hertz) -> bytes:
    shape = (duration,) if channels == 1 else (channels, duration)
    return encode_flac16(np.zeros(shape, dtype=np.int16), rate)
