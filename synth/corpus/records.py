"""The JSON of a sample: what is in it, in a form that table readers can infer columns from.

Readers such as Hugging Face `datasets` infer the type of every field from the first few samples.
So every sample has the same fields, none is ever null, and no list is ever empty unless it is in
all samples: `targets` has one entry per slot, absent ones labelled "silence". What varies in
shape, the scene's spec and its strong labels, is JSON text inside the JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import SynthError
from ..rendering.scene import Scene
from ..scenes.bounded import load_json
from ..scenes.label_files import from_json, to_json
from ..scenes.labels import StrongLabel, heard_from
from ..scenes.spec import EventSpec, SceneSpec
from ..units import Decibels, Degrees, Metres, Samples
from .identity import CorpusIdentity

SILENCE = "silence"
"""Label of a slot without a target."""


@dataclass(frozen=True, slots=True)
class Record:
    """What the JSON of a sample says.

    Attributes:
        key: The WebDataset key.
        spec: The scene on paper.
        labels: Strong labels of its targets.
        clipped: Stored samples that were beyond full scale, over all sounds of the sample.
    """

    key: str
    spec: SceneSpec
    labels: list[StrongLabel]
    clipped: int


def record_bytes(identity: CorpusIdentity, index: int, scene: Scene, clipped: int) -> bytes:
    """Return the JSON of a scene as one line."""
    spec = scene.spec
    content = {
        "key": identity.key(index),
        "index": index,
        "recipe": identity.recipe,
        "split": identity.split,
        "seed": str(identity.seed),
        "synthetic": identity.synthetic,
        "sample_rate": spec.sample_rate,
        "duration": spec.duration,
        "place": spec.place,
        "num_targets": len(spec.targets),
        "num_interferers": len(spec.interferers),
        "targets": [_slot(spec, n) for n in range(identity.slots)],
        "clipped": clipped,
        "labels": to_json(scene.labels),
        "spec": spec.to_json(),
    }
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return (text + "\n").encode()


def parse_record(data: bytes, where: str | Path) -> Record:
    """Read the JSON of a sample.

    Raises:
        SynthError: It is no JSON of a sample.
    """
    content = load_json(data, where=where)
    try:
        key, spec, labels, clipped = (content[name] for name in ("key", "spec", "labels", "clipped"))
    except (KeyError, TypeError) as error:
        raise SynthError(
            f"it is no JSON of a sample: {error!r}", where=where, remedy="give a corpus that s5kit made"
        ) from error
    labelled = from_json(str(labels), where=where)
    return Record(str(key), SceneSpec.from_json(str(spec), where=where), labelled, int(clipped))


def _slot(spec: SceneSpec, slot: int) -> dict[str, Any]:
    """Return what is in a slot: a target with its support `event`, or silence."""
    if slot >= len(spec.targets):
        return _entry(slot, SILENCE, (0, 0), (0.0, 0.0, 0.0), 0.0)
    event: EventSpec = spec.targets[slot]
    extent = (event.onset, min(event.onset + event.duration, spec.duration))
    return _entry(slot, event.label, extent, heard_from(event, spec), event.snr_db)


def _entry(
    slot: int,
    label: str,
    extent: tuple[Samples, Samples],
    place: tuple[Degrees, Degrees, Metres],
    snr_db: Decibels,
) -> dict[str, Any]:
    return {
        "slot": slot,
        "label": label,
        "onset": extent[0],
        "offset": extent[1],
        "azimuth": place[0],
        "elevation": place[1],
        "distance": place[2],
        "snr_db": snr_db,
    }
