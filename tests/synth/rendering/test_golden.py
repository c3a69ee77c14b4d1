"""Official scene files give the official sound: mixtures and targets of published sets stay comparable."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from synth import BatchRenderer, FolderSounds, SampleFormat, load_scenes, render
from tests.builders import write_sofa

GOLDEN = Path(__file__).parents[2] / "golden" / "scenes"
CASES = {case["case"]: case for case in json.loads((GOLDEN / "index.json").read_text())}
T = 320_000


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the sounds and rooms of the golden scenes in the formats that scene files name."""
    root = tmp_path_factory.mktemp("golden")
    for source in (GOLDEN / "data").rglob("*"):
        target = root / source.relative_to(GOLDEN)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".flac":
            samples, rate = soundfile.read(source, dtype="int16")
            soundfile.write(target.with_suffix(".wav"), samples, rate, subtype="PCM_16")
        elif source.suffix == ".npz":
            room = np.load(source)
            write_sofa(target.with_suffix(".sofa"), room["taps"], room["positions"], rate=float(room["rate"]))
        elif source.suffix == ".json":
            target.write_bytes(source.read_bytes())
    return root


@pytest.mark.parametrize("name", CASES)
def test_official_scene_files_render_to_the_official_result(data_root: Path, name: str) -> None:
    case = CASES[name]
    [(_, spec)] = load_scenes(data_root / case["metadata"], data_root)
    scene = render(spec, FolderSounds(data_root))
    official = np.load(GOLDEN / case["expected"])
    probe = np.random.Generator(np.random.PCG64(0)).standard_normal(T)
    found = {event.label: scene.dry[n] for n, event in enumerate(spec.targets)}
    lines = [(scene.mixture[c], official["mixture"][:, c], official["mixture_norm"][c], official["mixture_dot"][c])
             for c in range(4)]  # fmt: skip
    lines += [
        (found[label], official["dry"][:, k], official["dry_norm"][k], official["dry_dot"][k])
        for k, label in enumerate(official["labels"])
        if label != "silence"
    ]
    for line, windows, norm, dot in lines:
        if norm == 0:
            assert not line.any()
            continue
        length = windows.shape[1]
        for start, window in zip(official["starts"], windows, strict=True):
            error = np.linalg.norm(line[start : start + length] - window)
            assert error <= 1e-5 * norm * np.sqrt(length / T)
        assert abs(line.astype(np.float64) @ probe - dot) <= 1e-4 * norm


@pytest.mark.parametrize("name", CASES)
def test_batches_of_official_scene_files_are_what_the_cpu_renderer_makes(data_root: Path, name: str) -> None:
    """Validation scenes may be rendered on the GPU: files cut by float seconds, stretched noise included."""
    [(_, spec)] = load_scenes(data_root / CASES[name]["metadata"], data_root)
    scene = render(spec, FolderSounds(data_root))
    form = SampleFormat(tuple(sorted({event.label for event in spec.targets})) or ("none",), 3)
    batch = BatchRenderer(FolderSounds(data_root)).render([spec], form)
    for got, wanted in ((batch["mixture"][0], scene.mixture), (batch["dry"][0, : len(scene.dry)], scene.dry)):
        assert np.linalg.norm(got.numpy() - wanted) <= 2e-6 * np.linalg.norm(wanted)
