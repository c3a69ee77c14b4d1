"""Makes the small golden scenes of this folder from a full tree of official outputs.

usage: python compact.py GOLDEN_TREE CASE [CASE ...]

The tree holds `index.json`, scene files, sounds and SOFA rooms, and what the official generators
gave for them. Sounds are kept as FLAC (same samples), rooms as the positions that the scenes use.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import soundfile

HERE = Path(__file__).parent


def main(tree: Path, cases: list[str]) -> None:
    """Copy the named cases."""
    chosen = [c for c in json.loads((tree / "index.json").read_text()) if c["case"] in cases]
    rooms: dict[str, list[list[float]]] = {}
    for case in chosen:
        scene = json.loads((tree / case["metadata"]).read_text())
        events = scene["fg_events"] + scene["int_events"]
        config = scene["config"]
        for kind, folder in (
            ("fg_events", "foreground_dir"),
            ("int_events", "interference_dir"),
            ("bg_events", "background_dir"),
        ):
            for event in scene[kind]:
                sound(tree, f"{config[folder]}/{event['source_file']}")
        room = scene["room"]
        sofa = (
            f"{config['rir_dir']}/{room}" if isinstance(room, str) else room["args"]["metadata"]["sofa_path"]
        )
        rooms.setdefault(sofa, []).extend(e["event_position"][0] for e in events)
        copy(tree / case["metadata"], HERE / case["metadata"])
        expected(tree / case["expected"], HERE / case["expected"])
    for sofa, points in rooms.items():
        room_file(tree, sofa, np.array(points))
    (HERE / "index.json").write_text(json.dumps(chosen, indent=1) + "\n")


def sound(tree: Path, name: str) -> None:
    """Keep one sound as FLAC under the same name."""
    data, rate = soundfile.read(tree / name, dtype="int16", always_2d=True)
    target = (HERE / name).with_suffix(".flac")
    target.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(target, data, rate, subtype="PCM_16")


def room_file(tree: Path, name: str, points: np.ndarray) -> None:
    """Keep the RIRs nearest to the points, as float32."""
    with h5py.File(tree / name) as file:
        source = file["SourcePosition"]
        stored = source[:]
        kind = source.attrs["Type"]
        if (kind.decode() if isinstance(kind, bytes) else str(kind)) == "spherical":
            azimuth, elevation, radius = np.radians(stored[:, 0]), np.radians(stored[:, 1]), stored[:, 2]
            stored = np.stack(
                [
                    radius * np.cos(elevation) * np.cos(azimuth),
                    radius * np.cos(elevation) * np.sin(azimuth),
                    radius * np.sin(elevation),
                ],
                axis=1,
            )
        rows = sorted({int(np.argmin(((stored - p) ** 2).sum(1))) for p in points})
        taps = file["Data.IR"][rows].astype(np.float32)
        rate = float(np.ravel(file["Data.SamplingRate"][()])[0])
    target = (HERE / name).with_suffix(".npz")
    target.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(target, taps=taps, positions=stored[rows], rate=rate)


def expected(source: Path, target: Path) -> None:
    """Keep two of the stored windows; norms and inner products still speak for every sample."""
    with np.load(source) as whole:
        kept = {name: whole[name] for name in whole.files}
    for name in ("starts", "mixture", "dry"):
        kept[name] = kept[name][[0, -1]]
    target.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(target, **kept)


def copy(source: Path, target: Path) -> None:
    """Copy a file, making its folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
