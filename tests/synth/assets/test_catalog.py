"""What a user would lose: tables that say what is on disk, checked line by line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.assets.catalog import Catalog, write_catalog
from synth.assets.classes import silence_label, target_classes
from synth.assets.paths import path_fault
from synth.assets.tables import TABLES, frame_of, read_table, to_csv
from synth.errors import ProblemsError, SynthError

SOUND = {
    "dataset": "made",
    "set": "dev",
    "licence": "CC0",
    "rate": 32_000,
    "channels": 1,
    "frames": 9,
    "samples": 9,
}


def event(path: str, **changes: Any) -> dict[str, Any]:
    row = {"path": path, "label": "Speech", "split": "train", "source": "s", "depth": 0, "sha256": "0" * 64}
    return {**row, **SOUND, **changes}


def tables(**changes: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    place = {
        "path": "r.sofa",
        "place": "r",
        "split": "train",
        **SOUND,
        "taps": 5,
        "positions": 2,
        "sha256": "1" * 64,
    }
    position = {"x": 0.1, "y": 1 / 3, "z": -1e-17, "azimuth": 73.3, "elevation": 0.0, "distance": 0.348}
    return {
        "events": [event("a.wav"), event("b/c.wav", label="Cough", split="valid", depth=1)],
        "interferers": [event("i.wav", label="Rain")],
        "noises": [event("n.wav", channels=4)],
        "places": [place],
        "positions": [{"path": "r.sofa", "position": n, **position} for n in range(2)],
        **changes,
    }


def written(folder: Path, **changes: list[dict[str, Any]]) -> Catalog:
    return write_catalog(folder, layout="dcase2025", root=folder, tables=tables(**changes))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    made = written(tmp_path)
    catalog = Catalog.load(tmp_path)
    assert catalog.content_hash == made.content_hash
    assert (catalog.root, catalog.layout) == (tmp_path, "dcase2025")
    assert catalog.events["path"].tolist() == ["a.wav", "b/c.wav"]
    assert catalog.events["samples"].dtype == "int64"
    assert catalog.positions["y"].tolist() == [1 / 3, 1 / 3]
    assert catalog.positions["z"].tolist() == [-1e-17, -1e-17]
    assert catalog.cache_directory == tmp_path / "cache"
    assert [row.path for row in catalog.pool_rows("noises")] == ["n.wav"]
    assert "2 events" in repr(catalog)


def test_content_hash_is_of_the_content(tmp_path: Path) -> None:
    """It does not depend on where things lie, and does on every cell."""
    one, two = written(tmp_path / "one"), written(tmp_path / "two")
    assert one.content_hash == two.content_hash
    three = written(tmp_path / "three", noises=[event("n.wav", channels=4, licence="CC BY")])
    assert three.content_hash != one.content_hash


def test_a_moved_collection(tmp_path: Path) -> None:
    written(tmp_path)
    assert Catalog.load(tmp_path, root=tmp_path / "new").root == tmp_path / "new"


def test_tables_saved_by_other_programs(tmp_path: Path) -> None:
    """Windows line ends and a byte order mark are taken; more columns too."""
    catalog = written(tmp_path)
    path = tmp_path / "events.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert Catalog.load(tmp_path).content_hash == catalog.content_hash
    lines = path.read_text("utf-8-sig").splitlines()
    path.write_text("\n".join(f"{line},{'mine' if n == 0 else n}" for n, line in enumerate(lines)))
    assert Catalog.load(tmp_path).events["path"].tolist() == ["a.wav", "b/c.wav"]


EDITS: list[tuple[str, str, str, str]] = [
    ("events", "a.wav", "../a.wav", r"events.csv:2: path is '../a.wav'"),
    ("events", "a.wav", "/a.wav", r"events.csv:2: path is '/a.wav'"),
    ("events", "a.wav", "x//a.wav", r"events.csv:2: path is 'x//a.wav'"),
    ("events", "b/c.wav", "a.wav", r"events.csv:3: path 'a.wav' is listed twice"),
    ("events", "b/c.wav", "", r"events.csv:3: path is ''"),
    ("events", "valid", "eval", r"events.csv:3: split is 'eval'.*train, valid, test"),
    ("events", "Cough", "", r"events.csv:3: label is ''"),
    ("events", "32000", "32000.5", r"events.csv:2: rate is '32000.5'.*whole number"),
    ("events", "32000", "0", r"events.csv:2: rate is '0'"),
    ("events", ",9,9,", ",-9,9,", r"events.csv:2: frames is '-9'"),
    ("events", "0" * 64, "abc", r"events.csv:2: sha256 is 'abc'"),
    ("events", "label", "labels", r"events.csv:1: column\(s\) label missing"),
    ("positions", "-1e-17", "nan", r"positions.csv:2: z is 'nan'.*finite"),
    ("positions", "-1e-17", "1e999", r"positions.csv:2: z is '1e999'"),
    ("positions", "r.sofa,1", "r.sofa,0", r"positions.csv:3: path 'r.sofa', position '0' is listed twice"),
    ("positions", "r.sofa,1", "r.sofa,2", r"should have the positions 0 to 1"),
    ("positions", "r.sofa,1", "q.sofa,1", r"'q.sofa' is no place"),
    ("places", "5,2,", "5,3,", r"should have the positions 0 to 2, 2 are listed"),
]


@pytest.mark.parametrize(("table", "old", "new", "message"), EDITS)
def test_faulty_cells_are_named_with_their_line(
    tmp_path: Path, table: str, old: str, new: str, message: str
) -> None:
    written(tmp_path)
    path = tmp_path / f"{table}.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ProblemsError, match=message):
        Catalog.load(tmp_path)


def test_all_problems_at_once(tmp_path: Path) -> None:
    written(tmp_path)
    for table, old, new, _ in EDITS[:1] + EDITS[5:8] + EDITS[12:13]:
        path = tmp_path / f"{table}.csv"
        path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ProblemsError) as caught:
        Catalog.load(tmp_path)
    assert len(caught.value.problems) == 5


def test_lines_are_counted_in_spite_of_line_breaks_in_names(tmp_path: Path) -> None:
    rows = [event("two\nlines.wav"), event("three\n\nlines.wav"), event("c.wav", split="x")]
    (tmp_path / "events.csv").write_text(to_csv("events", frame_of("events", rows)))
    _, _, problems = read_table(tmp_path / "events.csv", "events")
    assert [problem.where for problem in problems] == [f"{tmp_path / 'events.csv'}:7"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "path, label, split"),
        (b"\n\n", "path, label, split"),
        (b"\xff\xfe", "events.csv:1: it is not UTF-8"),
        (b"path\na\nb\xff\n", "events.csv:3: it is not UTF-8"),
        (",".join(TABLES["events"]).encode() + b'\n"a', "events.csv:2: it is no CSV"),
        (
            ",".join(TABLES["events"]).encode() + b"\na\n",
            "events.csv:2: the line has 1 cells, the heading 13",
        ),
        (",".join(TABLES["events"]).encode() + b"\n" + b"a" * 200_000, "events.csv:2: it is no CSV"),
    ],
)
def test_files_that_are_no_tables(tmp_path: Path, content: bytes, message: str) -> None:
    written(tmp_path)
    (tmp_path / "events.csv").write_bytes(content)
    with pytest.raises(ProblemsError, match=message):
        Catalog.load(tmp_path)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda folder: (folder / "catalog.json").unlink(),
        lambda folder: (folder / "catalog.json").write_text("{"),
        lambda folder: (folder / "catalog.json").write_text("[" * 100_000),
        lambda folder: (folder / "catalog.json").write_text(json.dumps({"version": 99})),
        lambda folder: (folder / "catalog.json").write_text(" " * (1 << 21)),
        lambda folder: (folder / "positions.csv").unlink(),
    ],
)
def test_no_catalog(tmp_path: Path, break_it: Callable[[Path], None]) -> None:
    written(tmp_path)
    break_it(tmp_path)
    with pytest.raises(SynthError, match=r"catalog|cannot be read") as caught:
        Catalog.load(tmp_path)
    assert "build" in caught.value.remedy


def test_links_out_of_the_root(tmp_path: Path) -> None:
    """Tables from strangers name files of the reader; nothing but the root is theirs."""
    root = tmp_path / "root"
    (root / "b").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "c.wav").touch()
    written(root)
    (root / "b").rmdir()
    (root / "b").symlink_to(tmp_path / "secret")
    (root / "n.wav").symlink_to(tmp_path / "secret" / "c.wav")
    (root / "a.wav").symlink_to(root / "x.wav")
    with pytest.raises(ProblemsError) as caught:
        Catalog.load(root)
    assert sorted(problem.what.split("'")[1] for problem in caught.value.problems) == ["b/c.wav", "n.wav"]


NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=20
).filter(lambda name: path_fault(name) is None)


@given(
    names=st.lists(NAMES, unique=True, max_size=5),
    values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1),
)
def test_any_name_and_number_survives(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], values: list[float]
) -> None:
    """Accents composed or not, emoji, right-to-left, line breaks, quotes, a leading minus or equals sign."""
    path = tmp_path_factory.mktemp("t") / "x.csv"
    path.write_text(
        to_csv("events", frame_of("events", [event(name) for name in names])), "utf-8", newline=""
    )
    found, _, problems = read_table(path, "events")
    assert problems == []
    assert found["path"].tolist() == names
    rows = [{**tables()["positions"][0], "position": n, "x": value} for n, value in enumerate(values)]
    path.write_text(to_csv("positions", frame_of("positions", rows)), "utf-8", newline="")
    found, _, problems = read_table(path, "positions")
    assert problems == []
    assert found["x"].tolist() == values


@pytest.mark.parametrize(
    "path", ["", "/a", "a/../b", "..", ".", "a/", "//a", "a\0b", "C:/x", "\\\\host\\x", "./a"]
)
def test_paths_that_are_refused(path: str) -> None:
    assert path_fault(path) is not None


@pytest.mark.parametrize("path", ["a", "a/b.wav", "~x/a", "-rf", "pipe:cat", "...", "a b", "ü.wav"])
def test_paths_that_are_harmless(path: str) -> None:
    """They are files of the root, whatever a shell would make of them."""
    assert path_fault(path) is None


def test_classes() -> None:
    classes = target_classes()
    assert len(classes) == len(set(classes)) == 18
    assert list(classes) == sorted(classes)
    assert silence_label() not in classes


def test_schema_is_documented() -> None:
    """The README of the tables names every column."""
    text = (Path(__file__).parents[3] / "manifests" / "README.md").read_text()
    for name, columns in TABLES.items():
        assert f"{name}.csv" in text
        assert [column for column in columns if column not in text] == []


def test_import_is_light() -> None:
    """`import synth` and a look at the class do not load pandas."""
    code = "import sys; from synth import Catalog; print('pandas' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
