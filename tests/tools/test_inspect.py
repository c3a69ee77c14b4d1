"""`s5kit inspect`: from what people have to a page, with and without a system."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from synth import SynthError, build_catalog, load_recipe, write_corpus
from synth.assets.catalog import Catalog
from tests.builders import make_dev_set, write_wav
from tests.synth.report.scenes import SAMPLES, clicks, plane_wave
from tools.inspect import inspect, parse_scenes

app = typer.Typer()
app.command("inspect")(inspect)


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An official test folder with two scenes, Speech and Cough in each."""
    root = tmp_path_factory.mktemp("official")
    for name, level in (("0000", 1.0), ("0001", 0.5)):
        sounds = {"Speech": level * clicks(1), "Cough": clicks(2, 6_000)}
        mixture = plane_wave(sounds["Speech"], 90, 0) + plane_wave(sounds["Cough"], -30, 0)
        write_wav(root / "soundscape" / f"{name}.wav", mixture, subtype="FLOAT")
        for label, sound in sounds.items():
            write_wav(root / "oracle_target" / f"{name}_{label}.wav", sound, subtype="FLOAT")
    return root


def test_scenes_are_named_by_numbers_and_ranges() -> None:
    """0,3,10:20 means what it means in Python."""
    assert [n for part in parse_scenes("0, 3,10:13") for n in part] == [0, 3, 10, 11, 12]
    for wrong in ("x", "1:", ":3", "-1", "1,,2", ""):
        with pytest.raises(SynthError, match="--scenes"):
            parse_scenes(wrong)


def test_a_corpus_becomes_a_page(tmp_path: Path) -> None:
    """The command of the README, with its catalog: the page is there and its name is said."""
    make_dev_set(tmp_path / "dev_set", positions=4, taps=200, seconds=0.1, noise_seconds=0.6)
    build_catalog("dcase2025", tmp_path / "dev_set", tmp_path / "catalog", workers=1)
    recipe = load_recipe("dcase2025", ["scene.duration=0.5"])
    write_corpus(recipe, Catalog.load(tmp_path / "catalog"), tmp_path / "corpus", num_scenes=4, workers=1)
    said = run(
        "--catalog",
        tmp_path / "catalog",
        "--scenes",
        "1,3",
        "--out",
        tmp_path / "report",
        tmp_path / "corpus",
    )
    page = (tmp_path / "report/index.html").read_text()
    assert f"2 scene(s), {len(page.encode()) / 1e6:.1f} MB: {tmp_path / 'report' / 'index.html'}" in said
    assert "caution: The licence of" in said
    assert page.count('<article class="scene"') == 2
    for stem in ("Mixture", "Noise", "Dry", "Wet"):
        assert f">{stem}</button>" in page


def test_estimates_of_any_system_are_judged(official: Path, tmp_path: Path) -> None:
    """Perfect, missing, wrong: SDRs are those of the scorer, label errors are marked, the worst comes first."""
    dry = clicks(1)
    error = np.random.default_rng(5).standard_normal(SAMPLES).astype(np.float32)
    error *= np.float32(np.sqrt((dry**2).sum() / (error**2).sum()) / 10)  # 20 dB below the target
    write_wav(tmp_path / "estimates/0000_Speech.wav", dry + error, subtype="FLOAT")
    write_wav(tmp_path / "estimates/0000_Cough.wav", clicks(2, 6_000), subtype="FLOAT")
    write_wav(tmp_path / "estimates/0001_Dishes.wav", dry, subtype="FLOAT")
    run("--estimates", tmp_path / "estimates", "--out", tmp_path, official)
    page = (tmp_path / "index.html").read_text()
    names = re.findall(r'<p class="meta"><span>(\d+)</span>', page)
    assert names == ["0001", "0000"]
    assert page.count(">missed<") == 2
    assert page.count(">false alarm<") == 1
    assert page.count(">found<") == 2
    assert '<span class="aside">SDR</span> 20.0 dB' in page


def test_the_worst_among_many_are_shown(official: Path, tmp_path: Path) -> None:
    """A user who asks why a system fails sees where it fails most, not evenly spaced scenes."""
    write_wav(tmp_path / "estimates/0000_Speech.wav", clicks(1), subtype="FLOAT")
    options = ("--estimates", tmp_path / "estimates", "--out", tmp_path, "--num", 1)
    run(*options, "--among", 2, official)
    page = (tmp_path / "index.html").read_text()
    assert re.findall(r'<p class="meta"><span>(\d+)</span>', page) == ["0001"]
    assert "The worst 1 of 2 scenes that were tried" in page
    for wrong in (["--among", 2], [*options, "--among", 2, "--scenes", "0"]):
        with pytest.raises(SynthError, match="--among"):
            run(*wrong, official)


def test_a_system_is_run_on_the_scenes(official: Path, tmp_path: Path) -> None:
    """From a system file to estimates beside the targets; with true labels nothing is missed."""
    torch = pytest.importorskip("torch")
    from models import create_sed, create_separator, save_model

    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_model(create_sed("m2d", sample_rate=32_000, size="tiny"), tmp_path / "tagger.safetensors")
        save_model(create_separator("baseline_resunet-tiny"), tmp_path / "separator.safetensors")
    (tmp_path / "system.yaml").write_text(
        "name: tiny\ntaggers: [{weights: tagger.safetensors}]\nseparators: [{weights: separator.safetensors}]\n"
    )
    base = ("--system", tmp_path / "system.yaml", "--scenes", "0", "--device", "cpu", official)
    run("--labels", "oracle", "--out", tmp_path / "oracle", *base)
    page = (tmp_path / "oracle/index.html").read_text()
    assert page.count(">found<") == page.count(">Estimate</button>") == 2
    run("--out", tmp_path / "predicted", *base)
    assert ">Estimate</button>" in (tmp_path / "predicted/index.html").read_text()


def test_what_cannot_be_is_said(official: Path, tmp_path: Path) -> None:
    """Two sources of estimates, or nothing to compare them with: errors that name the option."""
    with pytest.raises(SynthError, match="--system, --estimates"):
        run("--system", "a.yaml", "--estimates", tmp_path, "--out", tmp_path, official)
