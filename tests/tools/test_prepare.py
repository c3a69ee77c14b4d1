"""What a user would lose: one command from published rooms to scenes, and plain words when it fails."""

from __future__ import annotations

import builtins
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from synth import Catalog, SynthError
from tests.builders import burst, write_sofa, write_wav
from tests.synth.assets.plane_waves import foa, make_foa_meir, pulse, toward
from tools import catalog, prepare, rirs


def call(app: typer.Typer, *arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def test_foa_meir_to_a_catalog(tmp_path: Path) -> None:
    """The commands that the messages name work, one after the other."""
    make_foa_meir(tmp_path)
    out = tmp_path / "out"
    code, text = call(
        prepare.app, "foa-meir", tmp_path, "--out", out, "--workers", "1", "--valid-places", "0031"
    )
    assert code == 0
    assert "2 in noise, 2 in room_ir" in text
    assert f"s5kit catalog build {out} --layout prepared" in text
    code, text = call(
        prepare.app, "foa-meir", tmp_path, "--out", out, "--workers", "1", "--valid-places", "0031"
    )
    assert "was there already, whole" in text
    code, _ = call(
        catalog.app, "build", out, "--layout", "prepared", "--out", tmp_path / "c", "--workers", "1"
    )
    assert code == 0
    loaded = Catalog.load(tmp_path / "c")
    assert loaded.places["set"].tolist() == ["foa-meir-test", "reverb-s"]
    code, text = call(rirs.app, "check", tmp_path / "c", "--workers", "1")
    assert code == 0
    assert "foa-meir_test_pid0001" in text


def test_archives_are_unpacked_first(tmp_path: Path) -> None:
    """--unpack takes the archives that somebody fetched by hand."""
    make_foa_meir(tmp_path / "raw")
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in/FOA_MEIR_Dataset.zip", "w") as archive:
        for path in sorted((tmp_path / "raw").rglob("*.*")):
            archive.write(path, path.relative_to(tmp_path / "raw"))
    shutil.rmtree(tmp_path / "raw")
    code, _ = call(
        prepare.app, "foa-meir", tmp_path / "in", "--out", tmp_path / "out", "--unpack", "--workers", "1"
    )
    assert code == 0
    assert (tmp_path / "out/dev_set/room_ir/train/foa-meir_test_pid0001.sofa").is_file()


def test_problems_are_listed_and_nothing_is_written(tmp_path: Path) -> None:
    base = make_foa_meir(tmp_path)
    next(base.rglob("*azi30*.bin")).write_bytes(b"abc")
    out = tmp_path / "out"
    code, text = call(prepare.app, "foa-meir", tmp_path, "--out", out, "--workers", "1")
    assert code == 1
    assert "problem:" in text
    assert "no whole number of frames" in text
    assert not out.exists()
    code, text = call(prepare.app, "foa-meir", tmp_path, "--out", out, "--workers", "1", "--skip-bad")
    assert code == 0


def test_rooms_of_ones_own(tmp_path: Path) -> None:
    """sofa, wav and npz, with what the channels are said by options."""
    angles = [(0, 0), (90, 20)]
    points = np.array([toward(*a) for a in angles])
    waves = np.array([foa(pulse(800, 32_000, 1, 0.4), p) for p in points])
    fuma = waves[:, [0, 3, 1, 2]] * np.array([1 / np.sqrt(2), 1, 1, 1])[:, None]
    said = ("--order", "fuma", "--norm", "fuma", "--workers", "1", "--dataset", "mine", "--set", "halls")
    write_sofa(tmp_path / "sofa/a.sofa", fuma, points)
    np.savez(tmp_path / "a.npz", taps=fuma, positions=points, rate=32_000)
    lines = ["file,azimuth,elevation,distance"]
    for n, (a, e) in enumerate(angles):
        write_wav(tmp_path / f"wav/a/{n}.wav", fuma[n], 32_000, "FLOAT")
        lines.append(f"a/{n}.wav,{a},{e},1")
    (tmp_path / "wav/positions.csv").write_text("\n".join(lines))
    for kind, root in (("sofa", "sofa"), ("npz", "a.npz"), ("wav", "wav")):
        out = tmp_path / f"out-{kind}"
        code, text = call(prepare.app, kind, tmp_path / root, "--out", out, *said)
        assert code == 0, text
        code, text = call(rirs.app, "check", out, "--workers", "1")
        assert (code, "+0.00" in text or "-0.00" in text) == (0, True)
        assert "\tmine\thalls" in (out / "licences.tsv").read_text()


def test_sounds_of_the_task(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    write_wav(tmp_path / "EARS/p001/a.wav", burst(rng, 24_000), 48_000)
    write_wav(tmp_path / "FSD/7.wav", burst(rng, 24_000), 48_000)
    write_wav(tmp_path / "bg_scaper_fmt/train/rain/1.wav", burst(rng, 24_000), 48_000)
    for name, file, label in (("ears", "p001/a.wav", "Speech"), ("fsd50k", "7.wav", "Dishes")):
        entry = {"file_name": file, "t4_label": label, "convert_path": f"train/{label}/{file}"}
        (tmp_path / f"{name}.json").write_text(json.dumps([entry]))
        root = tmp_path / ("EARS" if name == "ears" else "FSD")
        out = tmp_path / f"out-{name}"
        config = tmp_path / f"{name}.json"
        code, _ = call(
            prepare.app, name, root, "--config", config, "--out", out, "--licence", "MIT", "--workers", "1"
        )
        assert code == 0
        assert "\tMIT\t" in (out / "licences.tsv").read_text()
    code, _ = call(prepare.app, "semantic-hearing", tmp_path, "--out", tmp_path / "out-sh", "--workers", "1")
    assert code == 0


def test_a_figure(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    points = np.array([toward(a, 0) for a in (0, 120)])
    write_sofa(tmp_path / "a.sofa", np.array([foa(pulse(800, 32_000, 1, 0.4), p) for p in points]), points)
    code, _ = call(rirs.app, "check", tmp_path, "--out", tmp_path / "figure.png", "--workers", "1")
    assert code == 0
    assert (tmp_path / "figure.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_without_matplotlib_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.split(".")[0] == "matplotlib":
            raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SynthError, match=r"s5kit\[plots\]"):
        call(rirs.app, "check", tmp_path, "--out", tmp_path / "figure.png")


def test_a_check_that_fails_ends_with_1(tmp_path: Path) -> None:
    points = np.array([toward(a, 0) for a in (0, 120)])
    waves = np.array([foa(pulse(800, 32_000, 1, 0.4), p) for p in points])
    write_sofa(tmp_path / "a.sofa", waves[:, [0, 3, 2, 1]], points)
    code, text = call(rirs.app, "check", tmp_path, "--workers", "1")
    assert code == 1
    assert "check the order of the channels" in text
