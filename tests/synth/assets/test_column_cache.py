"""Tables of a million rows: the same content as small ones, every fault found, and a few bytes a process."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from synth.assets import column_cache
from synth.assets.catalog import Catalog
from synth.assets.tables import TABLES, read_table
from synth.assets.text_array import TextArray
from synth.errors import ProblemsError
from synth.scenes.plan import plan
from synth.scenes.recipe import load_recipe

HEAD = ",".join(TABLES["events"])
LABELS = ("Speech", "Cough", "Dishes", "Doorbell", "Pour")


@pytest.fixture(autouse=True)
def _every_table_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_cache, "LARGE_BYTES", 0)
    monkeypatch.setattr(column_cache, "_CHUNK", 700)


def event_line(n: int) -> str:
    sha256 = hashlib.sha256(str(n).encode()).hexdigest()
    label = LABELS[n % 5]
    return f"e/{label}/ö{n // 10}/{n:05}.wav,{label},train,ö{n // 10},1,d,dev,CC0,32000,1,{3200 + n},{3200 + n},{sha256}"


def events(count: int = 60) -> list[str]:
    return [event_line(n) for n in range(count)]


def write(folder: Path, lines: list[str], end: str = "\n", start: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "events.csv"
    path.write_bytes((start + end.join([HEAD, *lines, ""])).encode())
    return path


def both(path: Path, name: str = "events") -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    return read_table(path, name), read_table(path, name, path.parent / "cache")


def test_large_tables_hold_what_small_ones_hold(tmp_path: Path) -> None:
    (small, content, _), (large, large_content, problems) = both(write(tmp_path, events()))
    assert not problems
    assert large_content == content
    assert isinstance(large["path"].array, TextArray)
    for column in TABLES["events"]:
        assert large[column].tolist() == small[column].tolist()
    again = read_table(tmp_path / "events.csv", "events", tmp_path / "cache")
    assert again[1] == content
    assert again[0]["path"].tolist() == small["path"].tolist()


def quoted(line: str) -> str:
    path, rest = line.split(",", 1)
    return f'"a ""b"", c/{path}",{rest}'


@pytest.mark.parametrize(
    "change",
    [
        quoted,
        lambda line: f"{line}\n\n",
        lambda line: line.replace(",d,", ",d:e / ...f,"),
        lambda line: line.replace("e/", "e/..x/.y/"),
    ],
    ids=["quotes", "blank lines", "odd text", "dots in names"],
)
@pytest.mark.parametrize(("start", "end"), [("", "\n"), ("\ufeff", "\n"), ("", "\r\n")])
def test_ways_of_writing(tmp_path: Path, change: Callable[[str], str], start: str, end: str) -> None:
    path = write(tmp_path, list(map(change, events())), end, start)
    (small, content, problems), (large, large_content, _) = both(path)
    assert (len(small), problems) == (60, [])
    assert isinstance(large["path"].array, TextArray)
    assert (large_content, large["path"].tolist()) == (content, small["path"].tolist())


FAULTS = {
    "path twice": lambda line: event_line(3),
    "absolute": lambda line: "/" + line,
    "backslash": lambda line: "\\" + line,
    "drive": lambda line: "C:" + line,
    "up": lambda line: line.replace("e/", "e/../", 1),
    "up first": lambda line: "../" + line,
    "dot": lambda line: line.replace("e/", "e/./", 1),
    "up last": lambda line: line.replace(line.split(",")[0], "e/..", 1),
    "empty part": lambda line: line.replace("e/", "e//", 1),
    "slash last": lambda line: line.replace(".wav", ".wav/", 1),
    "no path": lambda line: "," + line.split(",", 1)[1],
    "split": lambda line: line.replace(",train,", ",trian,"),
    "count 0": lambda line: line.replace(",32000,1,", ",32000,0,"),
    "count 1.5": lambda line: line.replace(",32000,1,", ",32000,1.5,"),
    "minus": lambda line: line.replace(",1,d,", ",-1,d,"),
    "word": lambda line: line.replace(",32000,", ",fast,"),
    "huge": lambda line: line.replace(",32000,", f",{10**30},"),
    "sha256 short": lambda line: line[:-1],
    "sha256 letters": lambda line: line[:-1] + "g",
    "no label": lambda line: line.replace(f",{line.split(',')[1]},", ",,", 1),
    "cell too many": lambda line: line + ",x",
    "cell too few": lambda line: line.rsplit(",", 1)[0],
    "NUL": lambda line: line.replace(".wav", "\0.wav", 1),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_found_with_its_line(tmp_path: Path, fault: str) -> None:
    lines = events()
    lines[41] = FAULTS[fault](lines[41])
    (_, _, expected), (large, _, problems) = both(write(tmp_path, lines))
    assert expected
    assert problems == expected
    assert large.empty
    assert not list((tmp_path / "cache").glob("table-*"))


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = write(tmp_path, events())
    path.write_bytes(path.read_bytes().replace("ö".encode(), b"\xf6", 1))
    expected, found = both(path)
    assert found[2] == expected[2] != []


def test_a_changed_table_is_read_anew_and_the_old_cache_goes(tmp_path: Path) -> None:
    path, cache = write(tmp_path, events()), tmp_path / "cache"
    before = read_table(path, "events", cache)[1]
    write(tmp_path, events(59))
    frame, content, _ = read_table(path, "events", cache)
    assert (len(frame), content != before) == (59, True)
    assert len(list(cache.glob("table-*"))) == 1


@pytest.mark.parametrize("name", ["table.json", "path.text", "frames.values", "label.values"])
def test_a_damaged_cache_is_made_again(tmp_path: Path, name: str) -> None:
    path, cache = write(tmp_path, events()), tmp_path / "cache"
    expected = read_table(path, "events")
    read_table(path, "events", cache)
    file = next(cache.glob("table-*")) / name
    file.write_bytes(file.read_bytes()[:-3])
    frame, content, problems = read_table(path, "events", cache)
    assert (content, problems) == (expected[1], [])
    assert frame["path"].tolist() == expected[0]["path"].tolist()


def test_without_a_place_for_the_cache_the_table_is_read_all_the_same(tmp_path: Path) -> None:
    path = write(tmp_path, events())
    (tmp_path / "cache").write_text("in the way")
    frame, _, problems = read_table(path, "events", tmp_path / "cache")
    assert (len(frame), problems) == (60, [])


def catalog_folder(folder: Path, count: int = 200) -> Path:
    """A catalog of made-up rows; nothing lies under its root."""
    write(folder, events(count))
    zero = "0" * 64
    tables = {
        "interferers": [f"i/Rain/a.wav,Rain,train,a,0,d,dev,CC0,32000,1,9000,9000,{zero}"],
        "noises": [f"n/a.wav,train,a,d,dev,CC0,32000,4,900000,900000,{zero}"],
        "places": [f"r/a.sofa,a,train,d,dev,CC0,32000,4,80,4,{zero}"],
        "positions": [
            f"r/a.sofa,{n},{x},{y},0.25,0.0,0.0,1.0"
            for n, (x, y) in enumerate([(1, 0), (0, 1), (-1, 0), (0, -1)])
        ],
    }
    for name, lines in tables.items():
        (folder / f"{name}.csv").write_text("\n".join([",".join(TABLES[name]), *lines, ""]))
    (folder / "catalog.json").write_text(f'{{"version": 1, "layout": "x", "root": "{folder}/root"}}')
    return folder


def test_scenes_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = catalog_folder(tmp_path / "catalog")
    random.Random(1).shuffle(lines := events(200))  # as edited by hand: paths in any order
    write(folder, lines)
    large = Catalog.load(folder)
    assert large.positions["path"].dtype == "category"
    monkeypatch.setattr(column_cache, "LARGE_BYTES", 1 << 40)
    small = Catalog.load(folder)
    assert large.content_hash == small.content_hash
    assert large.pool_rows("events") == small.pool_rows("events")
    for name in ("dcase2025", "dcase2026"):
        recipe = load_recipe(name, ["targets.same_class.rate=0.5"])
        # The catalogs are alike, so that `plan` would take the other one's tables from its memory.
        from synth.scenes import plan as module

        planned = []
        for opened in (large, small):
            module._stocks.clear()
            planned.append([plan(recipe, opened, 5, index) for index in range(40)])
        assert planned[0] == planned[1]


def test_a_link_out_of_the_root_is_found(tmp_path: Path) -> None:
    folder = catalog_folder(tmp_path / "catalog")
    label = folder / "root" / "e" / "Speech"
    label.mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (label / "ö1").symlink_to(tmp_path / "outside")
    with pytest.raises(ProblemsError, match="leads out of") as caught:
        Catalog.load(folder)
    assert len(caught.value.problems) == 2
    (label / "ö1").unlink()
    (label / "elsewhere").mkdir()
    (label / "ö1").symlink_to(label / "elsewhere")
    (label / "ö2").mkdir()
    (label / "ö2" / "00020.wav").symlink_to(tmp_path / "outside")
    with pytest.raises(ProblemsError, match=r"00020\.wav") as caught:
        Catalog.load(folder)
    assert len(caught.value.problems) == 1


class TestTextArray:
    TEXTS = ("a", "", "ö日本", "b" * 300, "a")

    def series(self) -> pd.Series[Any]:
        return pd.Series(TextArray._from_sequence(self.TEXTS))

    def test_rows_come_back(self) -> None:
        column = self.series()
        assert column.tolist() == list(self.TEXTS)
        assert column[column == "a"].index.tolist() == [0, 4]
        assert column[[4, 2]].tolist() == ["a", "ö日本"]
        assert column[1:3].tolist() == ["", "ö日本"]
        assert column.isin(["", "a"]).tolist() == [True, True, False, False, True]
        assert column.iloc[-1] == "a"

    def test_tables_do_what_tables_do(self) -> None:
        column = self.series()
        assert sorted(column.unique()) == sorted(set(self.TEXTS))
        assert pd.concat([column, column]).tolist() == [*self.TEXTS, *self.TEXTS]
        assert column.sort_values().tolist() == sorted(self.TEXTS)
        assert pd.DataFrame({"x": column, "n": 1}).groupby("x")["n"].sum()["a"] == 2
        assert not column.isna().any()
        assert "ö日本" in repr(column)
        assert pd.DataFrame({"x": column}).to_dict("records")[2] == {"x": "ö日本"}


_MILLION = """
import resource, sys, time
sys.path.insert(0, sys.argv[2])
import pandas
from synth import Catalog
before, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
assert len(Catalog.load(sys.argv[1]).events) == 1_000_000
after = resource.getrusage(resource.RUSAGE_SELF)
cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
print(cpu, (after.ru_maxrss - before.ru_maxrss) / 1024)
"""


@pytest.mark.slow
def test_a_million_rows_in_5_seconds_and_150_megabytes(tmp_path: Path) -> None:
    folder = catalog_folder(tmp_path / "catalog", 1_000_000)
    home = Path(__file__).parents[3]
    for _ in ("first", "again"):
        command = [sys.executable, "-c", _MILLION, str(folder), str(home)]
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        seconds, megabytes = map(float, answer.split())
        assert seconds <= 5
        assert megabytes <= 150
