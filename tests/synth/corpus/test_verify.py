"""Damage that verify does not see becomes training data."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from synth.corpus import tar
from synth.corpus.sealed import seal, unseal
from synth.corpus.verify import sample_of, verify_corpus, verify_scenes
from synth.errors import Problem, ProblemsError, SynthError
from synth.rendering.scene import Scene
from synth.scenes.spec import SceneSpec
from tests.synth.corpus.corpora import contents, identity, made_up_scene, made_up_spec, present, write

SHARD = "madeup-train-5-000001.tar"
INDEX = "madeup-train-5-000001.idx.json"


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("clean")
    write(directory)
    return directory


@pytest.fixture
def corpus(clean: Path, tmp_path: Path) -> Path:
    return shutil.copytree(clean, tmp_path / "corpus")


def spread(total: int, count: int) -> list[int]:
    """`count` different numbers below `total`, reproducible, over the whole range."""
    step = total / count
    jitter = [hashlib.sha256(str(n).encode()).digest()[0] / 256 for n in range(count)]
    return [int(step * (n + part)) for n, part in enumerate(jitter)]


def problems_of(directory: Path) -> tuple[Problem, ...]:
    with pytest.raises(ProblemsError) as caught:
        verify_corpus(directory)
    return caught.value.problems


def test_a_sound_corpus_passes(corpus: Path) -> None:
    before = contents(corpus)
    report = verify_corpus(corpus)
    assert report.index.statistics.scenes == 7
    assert report.rerendered == ()
    assert verify_corpus(corpus, workers=2) == report
    assert contents(corpus) == before


def test_every_truncation_of_a_shard_is_seen(corpus: Path) -> None:
    data = (corpus / SHARD).read_bytes()
    lengths = [*range(0, len(data), 512), *spread(len(data), 100)]
    for length in lengths:
        (corpus / SHARD).write_bytes(data[:length])
        (problem,) = problems_of(corpus)
        assert problem.where.endswith(SHARD)
        assert f"{length:,} bytes" in problem.what
        assert "run the synthesis again" in problem.remedy


def test_every_flipped_bit_of_a_shard_is_seen(corpus: Path) -> None:
    data = (corpus / SHARD).read_bytes()
    for position in spread(len(data), 250):
        changed = bytearray(data)
        changed[position] ^= 1 << (position % 8)
        (corpus / SHARD).write_bytes(bytes(changed))
        (problem,) = problems_of(corpus)
        assert problem.where.endswith(SHARD)


def test_the_damaged_part_is_named(corpus: Path) -> None:
    data = (corpus / SHARD).read_bytes()
    content = unseal((corpus / INDEX).read_bytes(), where=corpus, remedy="")
    member = content["members"][4]
    pad = member["offset"] + member["size"]
    assert pad % tar.BLOCK != 0
    places = {
        member["offset"] - 300: f"the header of member {member['name']}",
        member["offset"] + 60: f"the content of member {member['name']}",
        pad: f"the padding after member {member['name']}",
        len(data) - 1: "sha256",
    }
    for position, expected in places.items():
        changed = bytearray(data)
        changed[position] ^= 16
        (corpus / SHARD).write_bytes(bytes(changed))
        (problem,) = problems_of(corpus)
        assert expected in problem.what


@pytest.mark.parametrize("name", [INDEX, "index.json"])
def test_every_flipped_bit_and_truncation_of_an_index_is_seen(corpus: Path, name: str) -> None:
    data = (corpus / name).read_bytes()
    for position in spread(len(data), 60):
        changed = bytearray(data)
        changed[position] ^= 1 << (position % 8)
        for damaged in (bytes(changed), data[:position]):
            (corpus / name).write_bytes(damaged)
            with pytest.raises(SynthError, match=name.replace(".", r"\.")):
                verify_corpus(corpus)


class TestWholeShards:
    def test_missing(self, corpus: Path) -> None:
        (corpus / SHARD).unlink()
        (problem,) = problems_of(corpus)
        assert problem.where.endswith(SHARD)
        assert "No such file" in problem.what

    def test_missing_index(self, corpus: Path) -> None:
        (corpus / INDEX).unlink()
        (problem,) = problems_of(corpus)
        assert problem.where.endswith(INDEX)

    def test_extra(self, corpus: Path) -> None:
        shutil.copy(corpus / SHARD, corpus / "madeup-train-5-000007.tar")
        (problem,) = problems_of(corpus)
        assert problem.where.endswith("000007.tar")
        assert "no part of this corpus" in problem.what

    def test_a_copy_under_the_name_of_another(self, corpus: Path) -> None:
        shutil.copy(corpus / SHARD, corpus / "madeup-train-5-000000.tar")
        shutil.copy(corpus / INDEX, corpus / "madeup-train-5-000000.idx.json")
        (problem,) = problems_of(corpus)
        assert "is shard 1 under the name of shard 0" in problem.what

    def test_renamed(self, corpus: Path) -> None:
        (corpus / SHARD).rename(corpus / "madeup-train-5-000004.tar")
        (corpus / INDEX).rename(corpus / "madeup-train-5-000004.idx.json")
        assert len(problems_of(corpus)) == 3

    def test_swapped(self, corpus: Path) -> None:
        other = corpus / "madeup-train-5-000000.tar"
        (corpus / SHARD).rename(corpus / "x")
        other.rename(corpus / SHARD)
        (corpus / "x").rename(other)
        assert len(problems_of(corpus)) == 2

    def test_the_index_of_another_recipe(self, corpus: Path, tmp_path: Path) -> None:
        write(tmp_path / "other", recipe_hash="c" * 64)
        shutil.copy(tmp_path / "other" / INDEX, corpus / INDEX)
        (problem,) = problems_of(corpus)
        assert "recipe_hash is" in problem.what

    def test_a_sound_shard_of_another_run(self, corpus: Path, tmp_path: Path) -> None:
        """Same identity, other bytes: what a change of libraries between two runs would give."""

        def quieter(index: int) -> Scene:
            scene = made_up_scene(made_up_spec(index))
            present(scene.mixture)[:] *= 0.5
            return scene

        write(tmp_path / "other", quieter)
        for name in (SHARD, INDEX):
            shutil.copy(tmp_path / "other" / name, corpus / name)
        (problem,) = problems_of(corpus)
        assert "not the shard that the index of the corpus lists" in problem.what

    def test_all_faults_are_named_at_once(self, corpus: Path) -> None:
        (corpus / SHARD).unlink()
        (corpus / "holiday.tar").write_bytes(b"")
        (corpus / "madeup-train-5-000002.idx.json").write_bytes(b"{}")
        assert len(problems_of(corpus)) == 3

    def test_unfinished(self, corpus: Path) -> None:
        (corpus / "index.json").unlink()
        with pytest.raises(SynthError, match="no finished corpus"):
            verify_corpus(corpus)


class TestRerender:
    def test_scenes_made_again_give_the_stored_bytes(self, corpus: Path) -> None:
        report = verify_scenes(corpus, made_up_scene, rerender=4)
        assert len(report.rerendered) == report.identical == 4

    def test_more_than_there_are_is_all(self, corpus: Path) -> None:
        assert verify_scenes(corpus, made_up_scene, rerender=99).rerendered == tuple(range(7))

    def test_a_step_of_16_bits_is_another_machine(self, corpus: Path) -> None:
        def nearly(spec: SceneSpec) -> Scene:
            scene = made_up_scene(spec)
            present(scene.mixture)[0, 100] += 1 / 32_768
            return scene

        report = verify_scenes(corpus, nearly, rerender=3)
        assert (len(report.rerendered), report.identical) == (3, 0)

    def test_two_steps_are_another_scene(self, corpus: Path) -> None:
        def other(spec: SceneSpec) -> Scene:
            scene = made_up_scene(spec)
            present(scene.mixture)[0, 100] += 2 / 32_768
            return scene

        with pytest.raises(ProblemsError, match=r"mixture\.flac: rendered again it differs by up to 2 steps"):
            verify_scenes(corpus, other, rerender=1)

    def test_other_labels_are_another_scene(self, corpus: Path) -> None:
        def unlabelled(spec: SceneSpec) -> Scene:
            scene = made_up_scene(spec)
            scene.labels.clear()
            return scene

        with pytest.raises(ProblemsError, match="json: the labels are not those"):
            verify_scenes(corpus, unlabelled, rerender=7)

    def test_the_choice_follows_from_the_corpus(self) -> None:
        big = identity(num_scenes=1_000_000, shard_size=1000)
        chosen = sample_of(big, 50)
        assert chosen == sample_of(big, 50)
        assert len(set(chosen)) == 50
        assert max(chosen) > 500_000 > min(chosen)
        assert chosen != sample_of(identity(num_scenes=1_000_000, shard_size=1000, seed=6), 50)


class TestHostileIndexes:
    """Indexes that are sealed, so meant to be like that."""

    @pytest.mark.parametrize(
        "change",
        [
            {"corpus": {"recipe": "../../etc"}},
            {"corpus": {"split": "/abs"}},
            {"corpus": {"recipe": "a\0b"}},
            {"corpus": {"recipe": "pipe:cat"}},
            {"corpus": {"num_scenes": 10**12}},
            {"corpus": {"shard_size": 0}},
            {"corpus": {"slots": 10**6}},
            {"corpus": {"stems": ["../x"]}},
            {"corpus": {"format": 2}},
            {"shards": [{"name": "../../secret.tar"}]},
            {"shards": []},
            {"surprise": 1},
        ],
        ids=str,
    )
    def test_index_of_a_corpus(self, corpus: Path, change: dict[str, Any]) -> None:
        path = corpus / "index.json"
        content = unseal(path.read_bytes(), where=path, remedy="")
        path.write_bytes(seal(merged(content, change)))
        with pytest.raises(SynthError, match=r"index\.json"):
            verify_corpus(corpus)

    @pytest.mark.parametrize(
        "change",
        [
            {"members": [{"name": "../../secret.json"}]},
            {"members": [{"offset": 0}]},
            {"members": [{"offset": -512}]},
            {"members": [{"size": 1 << 40}]},
            {"members": []},
            {"size": 1 << 50},
            {"num_samples": 4},
            {"shard": 99},
        ],
        ids=str,
    )
    def test_index_of_a_shard(self, corpus: Path, change: dict[str, Any]) -> None:
        path = corpus / INDEX
        content = unseal(path.read_bytes(), where=path, remedy="")
        path.write_bytes(seal(merged(content, change)))
        (problem,) = problems_of(corpus)
        assert INDEX in problem.where


def merged(content: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """`content` with the fields of `change` put in; lists of dictionaries change their first one."""
    result = dict(content)
    for key, value in change.items():
        if isinstance(value, dict):
            result[key] = merged(result[key], value)
        elif value and isinstance(value, list) and isinstance(value[0], dict):
            result[key] = [merged(result[key][0], value[0]), *result[key][1:]]
        else:
            result[key] = value
    return result
