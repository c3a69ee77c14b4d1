"""A reader that hands out changed bytes, or another scene's, spoils a training run silently."""

from __future__ import annotations

import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from synth.corpus.reader import CorpusReader
from synth.errors import SynthError
from synth.units import Audio
from tests.synth.corpus.corpora import made_up_scene, made_up_spec, member_bytes, present, write


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("clean")
    write(directory, stems=("noise", "wet"))
    return directory


def rounded(sound: Audio) -> Audio:
    return np.rint(sound * 32_768) / 32_768


def test_scenes_come_back_as_they_were_in_any_order(clean: Path) -> None:
    reader = CorpusReader(clean)
    assert len(reader) == 7
    for index in (6, 0, 3, 5, 3):
        scene = reader.read_scene(index)
        wanted = made_up_scene(made_up_spec(index))
        assert scene.spec == wanted.spec
        assert scene.labels == wanted.labels
        assert set(scene.sounds) == {
            "mixture",
            "noise",
            *(f"{s}{n}" for s in ("dry", "wet") for n in range(3)),
        }
        np.testing.assert_array_equal(scene.sounds["mixture"], rounded(present(wanted.mixture)))
        for n, line in enumerate(present(wanted.wet)):
            np.testing.assert_array_equal(scene.sounds[f"wet{n}"], rounded(line))
            np.testing.assert_array_equal(scene.sounds[f"dry{n}"][0], rounded(present(wanted.dry)[n]))
        for n in range(len(present(wanted.dry)), 3):
            assert not scene.sounds[f"dry{n}"].any()


def test_iteration_starts_anywhere_and_decodes_what_is_asked(clean: Path) -> None:
    scenes = list(CorpusReader(clean).iter_scenes(start=4, sounds=("dry0",)))
    assert [scene.key[-1] for scene in scenes] == ["4", "5", "6"]
    assert all(set(scene.sounds) == {"dry0"} for scene in scenes)


def test_members_are_the_bytes_of_the_archive(clean: Path) -> None:
    with tarfile.open(clean / "madeup-train-5-000001.tar") as archive:
        for suffix, content in CorpusReader(clean).read_members(4).items():
            assert member_bytes(archive, f"madeup-train-5-000000004.{suffix}") == content


def test_changed_bytes_are_never_handed_out(clean: Path, tmp_path: Path) -> None:
    corpus = shutil.copytree(clean, tmp_path / "corpus")
    path = corpus / "madeup-train-5-000001.tar"
    data = bytearray(path.read_bytes())
    reader, careless = CorpusReader(corpus), CorpusReader(corpus, check=False)
    good = reader.read_members(4)["mixture.flac"]
    at = bytes(data).index(good) + len(good) // 2
    data[at] ^= 4
    path.write_bytes(bytes(data))
    with pytest.raises(SynthError, match=r"000000004\.mixture\.flac was changed"):
        reader.read_members(4)
    assert careless.read_members(4)["mixture.flac"] != good
    path.write_bytes(bytes(data[:at]))
    with pytest.raises(SynthError, match="was changed"):
        careless.read_members(4)
    path.unlink()
    with pytest.raises(SynthError, match="cannot be read: No such file"):
        reader.read_members(4)


@pytest.mark.parametrize(("index", "suffix"), [(7, "json"), (-1, "json"), (0, "dry3.flac"), (0, "../x")])
def test_what_is_not_there_is_refused(clean: Path, index: int, suffix: str) -> None:
    with pytest.raises(SynthError, match="ask for one of these"):
        CorpusReader(clean).read_members(index, [suffix])


def test_an_unfinished_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SynthError, match="no finished corpus"):
        CorpusReader(tmp_path)


def test_an_index_of_another_shard_is_refused(clean: Path, tmp_path: Path) -> None:
    corpus = shutil.copytree(clean, tmp_path / "corpus")
    shutil.copy(corpus / "madeup-train-5-000000.idx.json", corpus / "madeup-train-5-000001.idx.json")
    reader = CorpusReader(corpus)
    reader.read_members(0)
    with pytest.raises(SynthError, match="belongs to another shard"):
        reader.read_members(3)


def test_threads_may_share_a_reader(clean: Path) -> None:
    reader = CorpusReader(clean)
    wanted = [reader.read_members(n) for n in range(7)]

    def read(first: int) -> list[bool]:
        return [reader.read_members(n % 7) == wanted[n % 7] for n in range(first, first + 50)]

    with ThreadPoolExecutor(4) as pool:
        assert all(all(seen) for seen in pool.map(read, range(4)))
