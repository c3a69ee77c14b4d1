"""`s5kit catalog merge`, `s5kit catalog check`, `s5kit publish`: from two collections to one that may be shown."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from synth import Catalog, SynthError, build_catalog, load_recipe, write_corpus
from tests.builders import make_dev_set
from tools.catalog_check import check
from tools.catalog_merge import merge
from tools.publish import publish

app = typer.Typer()
for command in (check, merge, publish):
    app.command(command.__name__)(command)


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, " ".join(result.stdout.replace("│", " ").split())


@pytest.fixture
def catalogs(tmp_path: Path) -> tuple[Path, Path]:
    for seed, name in enumerate("ab"):
        make_dev_set(
            tmp_path / name,
            classes=("Speech", "Pour", "Cough"),
            positions=3,
            taps=60,
            seconds=0.05,
            seed=seed,
        )
        build_catalog(
            "dcase2025",
            tmp_path / name,
            tmp_path / f"{name}-catalog",
            cache=False,
            dataset=name,
            licence="CC0-1.0",
        )
    return tmp_path / "a-catalog", tmp_path / "b-catalog"


def test_merge_and_check(catalogs: tuple[Path, Path], tmp_path: Path) -> None:
    code, text = run("merge", *catalogs, "--out", tmp_path / "out")
    assert code == 0
    assert "24 events" in text.replace("(", " ")
    assert len(Catalog.load(tmp_path / "out").events) == 24
    code, text = run("check", tmp_path / "out", "--workers", 1, "--min-sources", 5)
    assert code == 0
    assert "a CC0-1.0 allowed 20" in text
    assert "0 leak(s), 3 note(s); 36 sounds compared by fingerprint" in text


def test_check_fails_on_a_leak(catalogs: tuple[Path, Path]) -> None:
    table = catalogs[0] / "noises.csv"
    table.write_text(table.read_text().replace("noise_valid_0,", "noise_train_0,"))
    code, text = run("check", catalogs[0], "--no-listen")
    assert code == 1
    assert "leak (noise):" in text
    assert "no sound was listened to" in text


def test_merge_says_what_contradicts(catalogs: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other"
    build_catalog("dcase2025", tmp_path / "a", other, cache=False, dataset="c")
    code, text = run("merge", catalogs[0], other, "--out", tmp_path / "out")
    assert code == 1
    assert "nothing was written" in text


def test_publish(catalogs: tuple[Path, Path], tmp_path: Path) -> None:
    recipe = load_recipe("dcase2025", ["scene.duration=0.2"])
    write_corpus(recipe, Catalog.load(catalogs[0]), tmp_path / "corpus", num_scenes=2)
    code, text = run("publish", tmp_path / "corpus", "--workers", 1)
    assert code == 0
    assert "redistribution is allowed" in text
    assert "nothing was sent" in text
    table = catalogs[1] / "places.csv"
    table.write_text(table.read_text().replace("CC0-1.0", "CC BY-ND 4.0"))
    write_corpus(recipe, Catalog.load(catalogs[1]), tmp_path / "other", num_scenes=2)
    with pytest.raises(SynthError, match=r"b: CC BY-ND 4\.0"):
        run("publish", tmp_path / "other", "--workers", 1)
    code, text = run("publish", tmp_path / "other", "--workers", 1, "--i-have-the-rights")
    assert code == 0
    assert "forbids redistribution" in text
