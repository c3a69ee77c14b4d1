"""A stored corpus must stream as exactly as a live one, from wherever it lies, and never a damaged byte."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synth import CorpusReader, CorpusStream, SynthError
from synth.corpus import stream_remote
from synth.scenes.seeding import permute
from tests.synth.corpus.corpora import LABELS, write
from tests.web import Web, serving

SCENES = 7


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("clean")
    write(directory, stems=("noise", "wet"))
    return directory


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as server:
        yield server


def offer(web: Web, corpus: Path, **how: Any) -> str:
    """Put a corpus on the server; return its address."""
    for path in corpus.iterdir():
        web.add(f"corpus/{path.name}", path.read_bytes(), **how)
    return web.address("/corpus")


def check(stream: CorpusStream, corpus: Path, batches: int, workers: int = 0, seed: int = 0) -> list[int]:
    """Compare batches with what the reader gives scene by scene; return the scenes in order."""
    reader, seen = CorpusReader(corpus), []
    for batch in islice(stream.loader(workers), batches):
        for n, position in enumerate(batch["position"].tolist()):
            index = permute(position % SCENES, SCENES, seed, position // SCENES)
            stored = reader.read_scene(index)
            seen.append(index)
            np.testing.assert_array_equal(batch["mixture"][n].numpy(), stored.sounds["mixture"])
            for slot in range(3):
                np.testing.assert_array_equal(batch["dry"][n, slot].numpy(), stored.sounds[f"dry{slot}"][0])
            names = [stream.classes[label] for label in batch["labels"][n].tolist() if label < 18]
            assert names == [event.label for event in stored.spec.targets]
            assert batch["strong"][n].any(1).sum() == len({label.label for label in stored.labels})
    return seen


@pytest.mark.parametrize("workers", [0, 2])
def test_every_epoch_has_every_scene_in_another_order(clean: Path, workers: int) -> None:
    stream = CorpusStream(clean, batch_size=3, epochs=3)
    seen = check(stream, clean, 99, workers)
    epochs = [seen[n : n + SCENES] for n in (0, 7, 14)]
    assert all(sorted(epoch) == list(range(SCENES)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert stream.state_dict()["position"] == 21
    assert len(stream) == 21


def test_ranks_share_an_epoch_and_resume_anywhere(clean: Path) -> None:
    """Position, not files, is what ranks share: any number of them sees the same order."""
    whole = check(CorpusStream(clean, seed=6), clean, 20, seed=6)
    for start in range(19):
        stream = CorpusStream(clean, seed=6)
        stream.load_state_dict({**stream.state_dict(), "position": start})
        assert check(stream, clean, 2, seed=6) == whole[start : start + 2]
    parts = [CorpusStream(clean, seed=6, batch_size=2, rank=r, world_size=3) for r in range(3)]
    shares = [check(part, clean, 3, seed=6) for part in parts]
    assert [n for k in range(0, 6, 2) for share in shares for n in share[k : k + 2]] == whole[:18]


def test_the_order_stored_when_asked(clean: Path) -> None:
    stream = CorpusStream(clean, shuffle=False, epochs=1, stems=("mixture",))
    reader = CorpusReader(clean)
    for index, batch in enumerate(stream.loader()):
        assert "dry" not in batch
        np.testing.assert_array_equal(batch["mixture"][0].numpy(), reader.read_scene(index).sounds["mixture"])


def test_all_stems_come_back(clean: Path) -> None:
    sample = next(iter(CorpusStream(clean, shuffle=False, start=3, stems=("wet", "noise"))))
    stored = CorpusReader(clean).read_scene(3)
    assert isinstance(sample, dict)
    for n in range(3):
        np.testing.assert_array_equal(sample["wet"][n], stored.sounds[f"wet{n}"])
    np.testing.assert_array_equal(sample["noise"], stored.sounds["noise"])


def test_what_the_corpus_has_not_is_refused(clean: Path, tmp_path: Path) -> None:
    with pytest.raises(SynthError, match="the corpus holds no interference, it has dry, mixture, noise, wet"):
        CorpusStream(clean, stems=("mixture", "interference"))
    with pytest.raises(SynthError, match="no finished corpus"):
        CorpusStream(tmp_path)
    narrow = CorpusStream(clean, slots=1, shuffle=False, batch_size=4)
    with pytest.raises(SynthError, match=r"position 2 \(seed 0\): slots: the scene has 2 targets"):
        next(iter(narrow.loader()))
    assert set(LABELS) < set(narrow.classes)


def test_a_state_of_another_corpus_or_order_does_not_go_on(clean: Path) -> None:
    state = CorpusStream(clean).state_dict()
    for other in (CorpusStream(clean, seed=1), CorpusStream(clean, shuffle=False)):
        with pytest.raises(SynthError, match="the samples would be others"):
            other.load_state_dict(state)


def test_local_damage_is_named(clean: Path, tmp_path: Path) -> None:
    corpus = shutil.copytree(clean, tmp_path / "corpus")
    spoil(corpus / "madeup-train-5-000001.tar", CorpusReader(clean), 4)
    with pytest.raises(SynthError, match=r"position 4 \(seed 0\).*000000004\.mixture\.flac was changed"):
        list(CorpusStream(corpus, shuffle=False, epochs=1).loader())


def spoil(path: Path, reader: CorpusReader, scene: int) -> None:
    data = bytearray(path.read_bytes())
    good = reader.read_members(scene)["mixture.flac"]
    data[bytes(data).index(good) + len(good) // 2] ^= 8
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_corpus_behind_a_web_server(clean: Path, web: Web, tmp_path: Path, workers: int) -> None:
    """Only the members asked for travel, and with a cache only once."""
    address = offer(web, clean)
    stream = CorpusStream(address, batch_size=2, cache=tmp_path / "cache", epochs=2)
    check(stream, clean, 99, workers)
    asked = [wanted for path, wanted in web.asked if path.endswith(".tar")]
    assert len(asked) == SCENES
    total = sum(int(end) - int(first) + 1 for first, _, end in (w[6:].partition("-") for w in asked if w))
    assert total < sum(len(page.data) for path, page in web.pages.items() if path.endswith(".tar"))
    again = len(web.asked)
    check(CorpusStream(address, cache=tmp_path / "cache"), clean, 7)
    assert [path for path, _ in web.asked[again:]] == ["/corpus/index.json"]


def test_a_token_is_sent_and_never_shown(clean: Path, web: Web) -> None:
    """Error messages end up in logs that others read; and without a cache nothing is kept."""
    for path in clean.iterdir():
        web.add(f"corpus/{path.name}?token=secret", path.read_bytes())
    stream = CorpusStream(f"{web.address('/corpus')}/?token=secret", epochs=2)
    check(stream, clean, 99)
    assert len([path for path, _ in web.asked if ".tar?" in path]) == 2 * SCENES
    web.pages.clear()
    with pytest.raises(
        SynthError, match=r"corpus/madeup-train-5-00000\d\.tar: it cannot be fetched"
    ) as error:
        next(iter(stream.loader()))
    assert "secret" not in str(error.value)


def test_damage_in_the_cache_is_mended(clean: Path, web: Web, tmp_path: Path) -> None:
    """A cache on a dying disk costs time, not correctness."""
    address = offer(web, clean)
    check(CorpusStream(address, cache=tmp_path), clean, 7)
    before = len(web.asked)
    kept = sorted(tmp_path.rglob("*.part"))
    for n, path in enumerate(kept):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data) if n % 2 else bytes(data[: len(data) // 2]))
    check(CorpusStream(address, cache=tmp_path), clean, 7)
    assert len(web.asked) > before + 7
    again = len(web.asked)
    check(CorpusStream(address, cache=tmp_path), clean, 7)
    assert len(web.asked) < again + 7


def test_damage_at_the_server_is_an_error(clean: Path, web: Web, tmp_path: Path) -> None:
    corpus = shutil.copytree(clean, tmp_path / "corpus")
    spoil(corpus / "madeup-train-5-000001.tar", CorpusReader(clean), 4)
    stream = CorpusStream(offer(web, corpus), shuffle=False, start=4, cache=tmp_path / "cache")
    for _ in range(2):
        with pytest.raises(SynthError, match=r"position 4 .*127\.0\.0\.1.*tar: member .* was changed"):
            next(iter(stream.loader()))


def test_another_corpus_at_the_same_address_is_not_mixed_with_the_first(
    clean: Path, web: Web, tmp_path: Path
) -> None:
    """Somebody replaces the corpus between two runs: the cache must not serve the old scenes."""
    address = offer(web, clean)
    check(CorpusStream(address, cache=tmp_path / "cache"), clean, 7)
    other = tmp_path / "other"
    write(other, stems=("noise", "wet"), generator="0.2.0", recipe_hash="c" * 64)
    assert offer(web, other) == address
    before = len(web.asked)
    check(CorpusStream(address, cache=tmp_path / "cache"), other, 7)
    assert len(web.asked) > before + 7


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_remote, "_PAUSE", 0.001)


@pytest.mark.usefixtures("hasty")
def test_a_flaky_server_is_asked_again(clean: Path, web: Web) -> None:
    """One bad minute of a network must not end a run of days."""
    address = offer(web, clean)
    stream = CorpusStream(address, shuffle=False)
    web.pages["/corpus/madeup-train-5-000000.tar"].script += ["status 503", "cut 100", "status 500"]
    web.pages["/corpus/madeup-train-5-000000.idx.json"].script += ["cut 10", "status 429"]
    batch = next(iter(stream.loader()))
    wanted = CorpusReader(clean).read_scene(0).sounds["mixture"]
    np.testing.assert_array_equal(batch["mixture"][0].numpy(), wanted)


@pytest.mark.usefixtures("hasty")
def test_a_server_that_fails_for_good_is_named(clean: Path, web: Web) -> None:
    address = offer(web, clean)
    stream = CorpusStream(address, shuffle=False)
    web.pages["/corpus/madeup-train-5-000000.tar"].script += ["status 503"] * 99
    with pytest.raises(
        SynthError, match=r"000000\.tar: it cannot be fetched: the server answers 503.*5 times"
    ):
        next(iter(stream.loader()))
    del web.pages["/corpus/madeup-train-5-000001.tar"]
    with pytest.raises(SynthError, match=r"000001\.tar: it cannot be fetched: the server answers 404"):
        next(iter(stream.at(3).loader()))
    with pytest.raises(SynthError, match=r"nowhere/index\.json: it cannot be fetched: .*404"):
        CorpusStream(web.address("/nowhere"))


def test_a_server_without_ranges_is_refused(clean: Path, web: Web) -> None:
    """Fetching a whole shard for every scene would look like a slow network."""
    stream = CorpusStream(offer(web, clean, ranges=False), shuffle=False)
    with pytest.raises(SynthError, match="does not answer ranges: copy the corpus to a folder"):
        next(iter(stream.at(1).loader()))


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("https://user:word@host/corpus", "name and password"),
        ("http:///corpus", "has no host"),
        ("s3://key:secret@bucket/corpus", "credentials"),
        ("nonsense://bucket/corpus", "it cannot be opened"),
    ],
)
def test_addresses_that_cannot_be_are_refused(address: str, message: str) -> None:
    with pytest.raises(SynthError, match=message) as error:
        CorpusStream(address)
    assert "secret" not in str(error.value)
    assert "word@" not in str(error.value)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(SynthError, match=r"pip install 's5kit\[remote\]'"):
        CorpusStream("s3://bucket/corpus")


def test_a_file_address_is_a_folder(clean: Path) -> None:
    check(CorpusStream(f"file://{clean}"), clean, 3)
