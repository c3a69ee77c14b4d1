"""Training from a pipe must see what training from files sees, or stop: never a short epoch without a word."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from synth.corpus.corpus import write_scenes
from synth.corpus.engines import LocalEngine
from synth.corpus.identity import MAX_SHARDS
from synth.corpus.live import content_digest
from synth.corpus.shard_stream import stream_shards
from synth.errors import SynthError
from tests.synth.corpus.corpora import MadeUpScenes, identity

LIVE = identity(num_scenes=3 * MAX_SHARDS)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The full shards of a written corpus of eleven scenes."""
    folder = tmp_path_factory.mktemp("corpus")
    corpus = identity(num_scenes=11)
    write_scenes(corpus, MadeUpScenes(), folder, recipe={}, engine=LocalEngine())
    return [(folder / name).read_bytes() for name in corpus.shard_names()[:3]]


def streamed(shards: Any, scenes: MadeUpScenes | None = None, output: io.BytesIO | None = None) -> bytes:
    output = output or io.BytesIO()
    stream_shards(LIVE, shards, scenes or MadeUpScenes(), output)
    return output.getvalue()


def read_through(data: bytes) -> dict[str, bytes]:
    """Read an archive as pipes are read: front to back, every member."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r|*") as archive:
        return {m.name: f.read() for m in archive if (f := archive.extractfile(m)) is not None}


@pytest.mark.parametrize("shard", [0, 1, 2])
def test_a_shard_has_the_bytes_of_its_file(files: list[bytes], shard: int) -> None:
    assert streamed([shard]) == files[shard]


def test_several_shards_are_one_archive(files: list[bytes]) -> None:
    """Files put one after the other end for their reader at the end of the first one."""
    wanted = {name: content for file in (files[2], files[0]) for name, content in read_through(file).items()}
    assert len(read_through(files[2] + files[0])) == len(wanted) / 2
    found = read_through(streamed([2, 0]))
    assert found == wanted
    assert list(found) == list(wanted)


def test_the_last_shard_there_can_be_is_full() -> None:
    members = read_through(streamed([MAX_SHARDS - 1]))
    assert {name.partition(".")[0] for name in members} == {
        f"madeup-train-5-000299{n}" for n in (997, 998, 999)
    }


@pytest.mark.parametrize("scene", range(6))
def test_an_archive_that_breaks_off_cannot_be_read_as_whole(scene: int) -> None:
    output = io.BytesIO()
    with pytest.raises(SynthError, match=f"scene {scene} cannot be made"):
        streamed([0, 1], MadeUpScenes(fail_at=scene), output)
    with pytest.raises(tarfile.ReadError):
        read_through(output.getvalue())
    if scene > 0:
        assert len(output.getvalue()) > 5000 * scene, "scenes are passed on as they are made"


def test_what_decides_the_bytes_is_in_the_digest() -> None:
    assert content_digest(identity()) == content_digest(LIVE)
    for change in ({"seed": 6}, {"shard_size": 4}, {"catalog_hash": "c" * 64}, {"stems": ("wet",)}):
        assert content_digest(identity(**change)) != content_digest(LIVE)


def test_nothing_is_written_before_the_first_scene_is_there(tmp_path: Path) -> None:
    output = io.BytesIO()
    with pytest.raises(SynthError):
        streamed([0], MadeUpScenes(fail_at=0), output)
    assert output.getvalue() == b""
