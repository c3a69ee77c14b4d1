"""What a user would lose: one command per collection, once per node, with a record of what came."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from synth import ProblemsError, SynthError, download_source, download_state, load_sources
from synth.assets.download.fetch import Patience
from tests.web import Web, serving

QUICK = Patience(attempts=3, pause=0.0, seconds=20.0)
FILES = {"set.z01": b"one" * 50_000, "set.zip": b"two" * 40_000, "README.md": b"hello"}


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as web:
        yield web


def row(**keys: Any) -> dict[str, Any]:
    plain = {"title": "t", "page": None, "record": None, "files": [], "parts": None}
    return {**plain, "licence": "CC0", "terms": None, "by_hand": "ask Alice", **keys}


def table(folder: Path, **sources: dict[str, Any]) -> Path:
    path = folder / "sources.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "sources": sources}))
    return path


@pytest.mark.parametrize("entries", [False, True])
def test_a_record_is_fetched_as_it_lists_itself(web: Web, tmp_path: Path, entries: bool) -> None:
    own = table(tmp_path, s=row(record=7, record_address=web.add_record(7, FILES, entries=entries)))
    report = download_source("s", tmp_path / "out", table=own, patience=QUICK)
    assert report.whole
    assert {file.name: (file.state, file.checked) for file in report.files} == dict.fromkeys(
        sorted(FILES), ("fetched", "md5")
    )
    for name, data in FILES.items():
        assert (tmp_path / "out" / name).read_bytes() == data


def test_the_second_time_nothing_is_asked(web: Web, tmp_path: Path) -> None:
    """Ranks of a job without network find what one of them fetched before."""
    own = table(tmp_path, s=row(record=7, record_address=web.add_record(7, FILES)))
    download_source("s", tmp_path / "out", table=own, patience=QUICK)
    web.asked.clear()
    report = download_source("s", tmp_path / "out", table=own, patience=QUICK)
    assert [file.state for file in report.files] == ["there"] * 3
    assert not web.asked


def test_one_missing_file_is_fetched_alone(web: Web, tmp_path: Path) -> None:
    own = table(tmp_path, s=row(record=7, record_address=web.add_record(7, FILES)))
    download_source("s", tmp_path / "out", table=own, patience=QUICK)
    (tmp_path / "out" / "set.z01").unlink()
    web.asked.clear()
    download_source("s", tmp_path / "out", table=own, patience=QUICK)
    assert [path for path, _ in web.asked] == ["/api/records/7/files/set.z01/content"]


def test_a_checksum_that_nobody_published_is_recorded_and_holds(web: Web, tmp_path: Path) -> None:
    own = table(tmp_path, s=row(files=[web.add("a.tar", b"first")]))
    report = download_source("s", tmp_path / "out", table=own, patience=QUICK)
    assert report.files[0].checked == "recorded"
    assert "no checksum is published for a.tar" in report.notes[0]
    (tmp_path / "out" / "a.tar").unlink()
    web.add("a.tar", b"other")
    with pytest.raises(ProblemsError, match="SHA256"):
        download_source("s", tmp_path / "out", table=own, patience=QUICK)


def test_a_file_put_there_by_hand_is_checked_and_taken(web: Web, tmp_path: Path) -> None:
    own = table(tmp_path, s=row(record=7, record_address=web.add_record(7, FILES)))
    out = tmp_path / "out"
    out.mkdir()
    (out / "set.z01").write_bytes(FILES["set.z01"])
    (out / "README.md").write_bytes(b"other")
    with pytest.raises(ProblemsError, match=r"README.md has 5 bytes|MD5") as error:
        download_source("s", out, table=own, patience=QUICK)
    assert len(error.value.problems) == 1
    assert (out / "README.md").read_bytes() == b"other"
    (out / "README.md").unlink()
    states = {f.name: f.state for f in download_source("s", out, table=own, patience=QUICK).files}
    assert states == {"README.md": "fetched", "set.z01": "there", "set.zip": "there"}


@pytest.mark.parametrize("touched", [True, False])
def test_a_file_that_went_bad_later_is_found(web: Web, tmp_path: Path, touched: bool) -> None:
    own = table(tmp_path, s=row(record=7, record_address=web.add_record(7, FILES)))
    out = tmp_path / "out"
    download_source("s", out, table=own, patience=QUICK)
    before = (out / "set.zip").stat()
    (out / "set.zip").write_bytes(b"TWO" + FILES["set.zip"][3:])
    if not touched:
        os.utime(out / "set.zip", ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ProblemsError, match=r"set.zip has the MD5"):
        download_source("s", out, table=own, patience=QUICK, verify=not touched)


def test_all_problems_at_once_and_the_rest_is_there(web: Web, tmp_path: Path) -> None:
    files = [web.add("a", b"a"), web.add("b", b"b"), web.add("c", b"c")]
    files[0]["md5"], files[2]["address"] = "0" * 32, web.address("/nowhere")
    own = table(tmp_path, s=row(files=files))
    with pytest.raises(ProblemsError) as error:
        download_source("s", tmp_path / "out", table=own, patience=QUICK)
    assert len(error.value.problems) == 2
    assert "ask Alice" in error.value.remedy
    assert (tmp_path / "out" / "b").read_bytes() == b"b"


def test_a_listing_may_not_send_the_reader_elsewhere(web: Web, tmp_path: Path) -> None:
    address = web.add_record(7, FILES)
    for name, links in (
        ("ok.zip", {"self": "https://elsewhere.example/x/content"}),
        ("../evil", {"self": web.address("/x/content")}),
        (".hidden", {"self": web.address("/x/content")}),
        ("", {"self": web.address("/x/content")}),
        ("a/b", {"self": web.address("/x/content")}),
    ):
        rows = [{"key": name, "size": 1, "checksum": "md5:" + "0" * 32, "links": links}]
        web.pages["/api/records/7"].data = json.dumps({"files": rows}).encode()
        own = table(tmp_path, s=row(record=7, record_address=address))
        with pytest.raises(SynthError, match="cannot be understood"):
            download_source("s", tmp_path / "out", table=own, patience=QUICK)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"files": []}', b'{"files": [{"key": 1}]}', b"[" * 100_000]
)
def test_a_listing_that_is_none(web: Web, tmp_path: Path, data: bytes) -> None:
    address = web.add_record(7, FILES)
    web.pages["/api/records/7"].data = data
    own = table(tmp_path, s=row(record=7, record_address=address))
    with pytest.raises(SynthError, match="list") as error:
        download_source("s", tmp_path / "out", table=own, patience=QUICK)
    assert "ask Alice" in error.value.remedy


def test_terms_must_be_accepted_and_an_address_known(web: Web, tmp_path: Path) -> None:
    own = table(tmp_path, s=row(files=[web.add("a", b"a")], terms="NTT"), t=row(page="https://example.org/t"))
    with pytest.raises(SynthError, match="NTT's terms") as error:
        download_source("s", tmp_path / "out", table=own)
    assert "--accept-terms" in error.value.remedy
    assert download_source("s", tmp_path / "out", table=own, accept_terms=True, patience=QUICK).whole
    with pytest.raises(SynthError, match="no public address") as error:
        download_source("t", tmp_path / "out", table=own)
    assert "ask Alice (https://example.org/t)" in error.value.remedy
    with pytest.raises(SynthError, match="no such source") as error:
        download_source("sr", tmp_path / "out", table=own)
    assert "did you mean s?" in error.value.remedy


def test_what_is_missing_and_how_to_get_it(web: Web, tmp_path: Path) -> None:
    files = [web.add("a", b"a" * 100), web.add("b", b"b" * 100), web.add("c", b"c", script=["status 404"])]
    own = table(tmp_path, s=row(files=files))
    out = tmp_path / "out"
    assert download_state("s", out, table=own).by_hand
    with pytest.raises(ProblemsError):
        download_source("s", out, table=own, patience=QUICK)
    (out / "b").write_bytes(b"x")
    (out / ".c.part").write_bytes(b"xyz")
    web.asked.clear()
    report = download_state("s", out, table=own)
    assert not web.asked
    assert [(f.name, f.state, f.bytes) for f in report.files] == [
        ("a", "there", 100),
        ("b", "missing", 0),
        ("c", "partial", 3),
    ]
    assert report.files[1].address == files[1]["address"]
    assert "b has the SHA256" in report.notes[0]
    assert not report.whole
    assert str(out) in report.by_hand


def test_one_folder_holds_one_source(web: Web, tmp_path: Path) -> None:
    own = table(tmp_path, s=row(files=[web.add("a", b"a")]), t=row(files=[web.add("b", b"b")]))
    download_source("s", tmp_path / "out", table=own, patience=QUICK)
    with pytest.raises(SynthError, match="holds the source 's'"):
        download_source("t", tmp_path / "out", table=own, patience=QUICK)
    (tmp_path / "out" / "downloads.json").write_text("{")
    with pytest.raises(SynthError, match="cannot be read"):
        download_source("s", tmp_path / "out", table=own, patience=QUICK)


def _rank(own: Path, out: Path, start: Any, results: Any) -> None:
    start.wait()
    report = download_source("s", out, table=own, patience=QUICK)
    results.put([file.state for file in report.files])


def test_ranks_of_a_node_fetch_once(web: Web, tmp_path: Path) -> None:
    """Under `accelerate launch` every rank runs the same line."""
    own = table(tmp_path, s=row(record=7, record_address=web.add_record(7, FILES)))
    context = multiprocessing.get_context("spawn")
    start, results = context.Event(), context.Queue()
    ranks = [context.Process(target=_rank, args=(own, tmp_path / "out", start, results)) for _ in range(3)]
    for rank in ranks:
        rank.start()
    start.set()
    states = [results.get(timeout=60) for _ in ranks]
    for rank in ranks:
        rank.join(60)
    assert sorted(states) == [["fetched"] * 3, ["there"] * 3, ["there"] * 3]
    assert len(web.asked) == 4


def test_the_table_we_ship() -> None:
    """Every address is a public one, and every source says how to get it without the command."""
    sources = load_sources()
    assert {"foa-meir", "dcase2025", "dcase2026", "ears", "fsd50k", "semantic-hearing"} <= set(sources)
    assert all(source.by_hand and source.licence for source in sources.values())
    assert sources["dcase2025"].listing == "https://zenodo.org/api/records/15117227"
    assert sources["foa-meir"].terms == "NTT"


def test_a_series_of_files(tmp_path: Path) -> None:
    files = [{"name": "p{001..012}.zip", "address": "https://example.org/d/p{001..012}.zip"}]
    found = load_sources(table(tmp_path, s=row(files=files)))["s"].files
    assert len(found) == 12
    assert found[9].name == "p010.zip"
    assert found[9].address == "https://example.org/d/p010.zip"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"files": [{"name": "../a", "address": "https://example.org/a"}]}, "plain file name"),
        ({"files": [{"name": "a", "address": "file:///etc/passwd"}]}, "https"),
        ({"files": [{"name": "a", "address": "http://example.org/a"}]}, "https"),
        ({"files": [{"name": "a", "address": "https://u:p@example.org/a"}]}, "no user"),
        ({"files": [{"name": "a", "address": "https://example.org/a", "md5": "x"}]}, "pattern"),
        ({"files": [{"name": "a", "address": "https://example.org/a", "size": 1}]}, "Extra"),
        ({"files": [{"name": "a{1..99999}", "address": "https://example.org/a"}]}, "10,000"),
        ({"record": -1}, "greater than 0"),
    ],
)
def test_a_table_with_faults(tmp_path: Path, change: dict[str, Any], word: str) -> None:
    with pytest.raises(SynthError, match=word):
        load_sources(table(tmp_path, s=row(**change)))


@pytest.mark.parametrize(
    "text", ["a: &x [1]\nb: *x", "a: [", "!!python/object:os.system {}", "\0", "- 1", ""]
)
def test_a_table_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(SynthError):
        load_sources(tmp_path / "t.yaml")
    with pytest.raises(SynthError, match="cannot be read"):
        load_sources(tmp_path / "nowhere.yaml")
