"""What a user would lose: one line that fetches, says what is there, and what to do about the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from synth import SynthError
from tests.archives import make_zip
from tests.web import Web, serving
from tools.download import download

runner = CliRunner()


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as web:
        yield web


def run(*arguments: str | Path) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(download)
    result = runner.invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def table(folder: Path, address: str) -> Path:
    row = {
        "title": "Tiny set",
        "page": None,
        "record": 7,
        "record_address": address,
        "files": [],
        "parts": None,
    }
    path = folder / "own.yaml"
    row |= {"licence": "CC0", "terms": None, "by_hand": "ask Alice"}
    path.write_text(yaml.safe_dump({"version": 1, "sources": {"tiny": row}}))
    return path


def test_fetch_check_and_unpack(web: Web, tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "set.zip", {"set/a.txt": b"a" * 1000}).read_bytes()
    own = table(tmp_path, web.add_record(7, {"set.zip": archive}))
    out = tmp_path / "out"
    code, text = run("tiny", "--out", out, "--table", own, "--missing")
    assert code == 1
    assert "ask Alice" in text
    code, text = run("tiny", "--out", out, "--table", own, "--unpack", tmp_path / "data")
    assert code == 0
    assert "tiny is whole" in text
    assert "md5" in text
    assert (tmp_path / "data" / "set" / "a.txt").read_bytes() == b"a" * 1000
    assert run("tiny", "--out", out, "--table", own, "--missing")[0] == 0


def test_the_list_names_every_source_and_where_it_is() -> None:
    code, text = run("--list")
    assert code == 0
    for word in ("foa-meir", "https://zenodo.org/records/19328046", "semantic-hearing", "--accept-terms"):
        assert word in text


def test_what_is_needed_is_said() -> None:
    with pytest.raises(SynthError, match="SOURCE and --out"):
        run("dcase2025")
    with pytest.raises(SynthError, match="NTT's terms"):
        run("foa-meir", "--out", "x")
