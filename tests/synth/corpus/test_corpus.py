"""A corpus that differs between runs, or that a rerun damages, cannot be cited or shared."""

from __future__ import annotations

import io
import json
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from synth.corpus.corpus import CorpusProgress
from synth.corpus.identity import check_stems, make_identity
from synth.errors import SynthError
from synth.rendering.scene import Scene
from tests.synth.corpus.corpora import (
    DURATION,
    LABELS,
    MadeUpScenes,
    contents,
    identity,
    made_up_scene,
    made_up_spec,
    member_bytes,
    present,
    write,
)

SUFFIXES = ["dry0.flac", "dry1.flac", "dry2.flac", "json", "mixture.flac"]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("clean")
    write(directory)
    return directory


def samples_of(directory: Path) -> dict[str, dict[str, bytes]]:
    """Key -> suffix -> bytes, read by Python's tarfile."""
    found: dict[str, dict[str, bytes]] = {}
    for path in sorted(directory.glob("*.tar")):
        with tarfile.open(path) as archive:
            for member in archive:
                key, _, suffix = member.name.partition(".")
                found.setdefault(key, {})[suffix] = member_bytes(archive, member)
    return found


class TestContent:
    def test_every_sample_has_the_same_members_in_sorted_order(self, clean: Path) -> None:
        found = samples_of(clean)
        assert list(found) == [f"madeup-train-5-{n:09d}" for n in range(7)]
        assert all(list(sample) == SUFFIXES for sample in found.values())

    def test_sounds_are_the_scenes_rounded_to_16_bits(self, clean: Path) -> None:
        for index, sample in enumerate(samples_of(clean).values()):
            scene = made_up_scene(made_up_spec(index))
            silence = np.zeros((3 - len(present(scene.dry)), DURATION), dtype=np.float32)
            wanted = {"mixture": present(scene.mixture)}
            wanted |= {f"dry{n}": line for n, line in enumerate([*present(scene.dry), *silence])}
            for name, sound in wanted.items():
                stored, rate = soundfile.read(io.BytesIO(sample[f"{name}.flac"]), dtype="int16")
                assert rate == 32_000
                np.testing.assert_array_equal(stored.T, np.rint(sound * 32_768).astype(np.int16))

    def test_json_names_the_targets_of_every_slot(self, clean: Path) -> None:
        for index, sample in enumerate(samples_of(clean).values()):
            spec = made_up_spec(index)
            record = json.loads(sample["json"])
            names = [target["label"] for target in record["targets"]]
            assert names == [e.label for e in spec.targets] + ["silence"] * (3 - len(spec.targets))
            assert json.loads(record["spec"]) == json.loads(spec.to_json())
            assert [label["event"] for label in json.loads(record["labels"])] == list(
                range(len(spec.targets))
            )
            assert (record["index"], record["num_targets"]) == (index, len(spec.targets))

    def test_stems_are_stored_when_asked(self, tmp_path: Path) -> None:
        write(tmp_path, num_scenes=2, stems=("interference", "noise", "wet"))
        for sample in samples_of(tmp_path).values():
            wet = [f"wet{n}.flac" for n in range(3)]
            assert list(sample) == sorted([*SUFFIXES, "interference.flac", "noise.flac", *wet])
            assert soundfile.info(io.BytesIO(sample["wet2.flac"])).channels == 4

    def test_statistics_count_what_the_specs_say(self, clean: Path) -> None:
        found = json.loads((clean / "index.json").read_text())["statistics"]
        specs = [made_up_spec(index) for index in range(7)]
        targets = [event for spec in specs for event in spec.targets]
        assert found["scenes"] == 7
        assert found["samples"] == 7 * DURATION
        assert found["targets"] == {n: [e.label for e in targets].count(n) for n in LABELS}
        assert found["snr_db"] == {
            "5": sum(5 <= e.snr_db < 10 for e in targets),
            "10": sum(10 <= e.snr_db < 15 for e in targets),
            "15": sum(15 <= e.snr_db < 20 for e in targets),
        }
        assert found["noiseless_scenes"] == 2
        active = np.zeros(4, dtype=int)
        for spec in specs:
            sounding = np.zeros(DURATION, dtype=int)
            for event in spec.targets:
                sounding[event.onset : event.onset + event.duration] += 1
            active += np.bincount(sounding, minlength=4)
        assert found["active_targets"] == {str(n): int(count) for n, count in enumerate(active) if count}

    def test_clipped_samples_are_counted(self, tmp_path: Path) -> None:
        def loud(index: int) -> Scene:
            scene = made_up_scene(made_up_spec(index))
            present(scene.mixture)[0, :5] = 1.5
            present(scene.mixture)[1, :3] = -1.0  # exactly full scale: kept
            return scene

        report = write(tmp_path, loud, num_scenes=3)
        assert report.index.statistics.clipped_samples == 15
        assert report.index.statistics.clipped_scenes == 3


class TestDeterminism:
    @pytest.mark.parametrize("workers", [pytest.param(2, marks=pytest.mark.slow), 4])
    def test_any_number_of_workers_gives_the_same_bytes(
        self, clean: Path, tmp_path: Path, workers: int
    ) -> None:
        write(tmp_path, workers=workers)
        assert contents(tmp_path) == contents(clean)

    def test_clock_and_file_times_do_not_matter(
        self, clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for jump in (-86_400, 3_600):
            now = time.time()
            monkeypatch.setattr(time, "time", lambda now=now, jump=jump: now + jump)
            write(tmp_path)
            assert contents(tmp_path) == contents(clean)
            (tmp_path / "madeup-train-5-000001.tar").unlink()

    def test_progress_counts_every_scene_once(self, tmp_path: Path) -> None:
        seen: list[CorpusProgress] = []
        write(tmp_path, progress=seen.append)
        assert [step.made for step in seen] == [1, 2, 3, 4, 5, 6, 7]
        (tmp_path / "madeup-train-5-000000.tar").unlink()
        seen.clear()
        write(tmp_path, progress=seen.append)
        assert seen[-1] == CorpusProgress(made=3, kept=4, total=7)


class TestContinuing:
    def test_finished_shards_are_kept_as_they_are(self, tmp_path: Path) -> None:
        write(tmp_path)
        before = {path: path.stat().st_ino for path in tmp_path.glob("*.tar")}
        report = write(tmp_path)
        assert report.outcomes == ("kept",) * 3
        assert {path: path.stat().st_ino for path in tmp_path.glob("*.tar")} == before

    @pytest.mark.parametrize("name", ["madeup-train-5-000001.tar", "madeup-train-5-000001.idx.json"])
    def test_a_damaged_shard_is_made_again(self, clean: Path, tmp_path: Path, name: str) -> None:
        write(tmp_path)
        data = bytearray((tmp_path / name).read_bytes())
        data[len(data) // 2] ^= 1
        (tmp_path / name).write_bytes(bytes(data))
        assert write(tmp_path).outcomes == ("kept", "mended", "kept")
        assert contents(tmp_path) == contents(clean)

    @pytest.mark.parametrize(
        "change",
        [
            {"recipe_hash": "c" * 64},
            {"catalog_hash": "c" * 64},
            {"generator": "0.2.0"},
            {"seed": 6},
            {"split": "valid"},
            {"recipe": "other"},
            {"num_scenes": 9},
            {"shard_size": 2},
            {"stems": ("noise",)},
            {"slots": 4},
        ],
        ids=lambda change: next(iter(change)),
    )
    @pytest.mark.parametrize("finished", [True, False])
    def test_the_folder_of_another_corpus_is_left_alone(
        self, tmp_path: Path, change: dict[str, Any], finished: bool
    ) -> None:
        write(tmp_path)
        if not finished:
            (tmp_path / "index.json").unlink()
        before = contents(tmp_path)
        with pytest.raises(SynthError, match=f"another corpus: .*{next(iter(change))} is"):
            write(tmp_path, **change)
        assert contents(tmp_path) == before

    @pytest.mark.parametrize(
        "name", ["holiday.tar", "madeup-train-5-000000.tar", "other-000000.idx.json", "index.json"]
    )
    def test_files_of_others_are_left_alone(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_bytes(b"not ours")
        with pytest.raises(SynthError, match=name):
            write(tmp_path)
        assert (tmp_path / name).read_bytes() == b"not ours"
        assert [path.name for path in tmp_path.iterdir()] == [name]

    def test_leftovers_of_killed_runs_are_removed(self, clean: Path, tmp_path: Path) -> None:
        (tmp_path / ".madeup-train-5-000000.tar.77-abc.partial").write_bytes(b"half")
        (tmp_path / ".index.json.77-abc.partial").write_bytes(b"half")
        (tmp_path / "notes.txt").write_text("mine")
        write(tmp_path)
        assert contents(tmp_path).keys() == {*contents(clean), "notes.txt"}


class TestFaults:
    @pytest.mark.parametrize("workers", [1, 2])
    def test_a_scene_that_cannot_be_made_is_named_and_the_rest_kept(
        self, clean: Path, tmp_path: Path, workers: int
    ) -> None:
        with pytest.raises(SynthError, match=r"Speech/a\.wav: scene 6 cannot be made: is silent"):
            write(tmp_path, MadeUpScenes(fail_at=6), workers=workers)
        left = contents(tmp_path)
        assert "madeup-train-5-000002.tar" not in left
        assert not [name for name in left if name.startswith(".")]
        assert left.items() <= contents(clean).items()
        write(tmp_path)
        assert contents(tmp_path) == contents(clean)

    def test_a_scene_that_is_no_number_is_refused(self, tmp_path: Path) -> None:
        def broken(index: int) -> Scene:
            scene = made_up_scene(made_up_spec(index))
            present(scene.mixture)[2, 100] = np.nan
            return scene

        with pytest.raises(
            SynthError, match="mixture: scene 0 cannot be made: has samples that are no finite"
        ):
            write(tmp_path, broken)

    def test_more_targets_than_slots_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SynthError, match="scene 3 cannot be made: the scene has 3 targets"):
            write(tmp_path, slots=2)

    def test_a_vanished_sound_is_named(self, tmp_path: Path) -> None:
        def vanished(_: int) -> Scene:
            return open(tmp_path / "gone.wav")

        with pytest.raises(SynthError, match=r"scene 0 cannot be made: .*gone\.wav"):
            write(tmp_path / "out", vanished)

    def test_memory_that_runs_out_is_said(self, tmp_path: Path) -> None:
        def hungry(_: int) -> Scene:
            raise MemoryError

        with pytest.raises(SynthError, match="scene 0 cannot be made: out of memory"):
            write(tmp_path, hungry)

    def test_a_bug_keeps_its_traceback_and_names_the_scene(self, tmp_path: Path) -> None:
        def bug(_: int) -> Scene:
            raise ZeroDivisionError("by a bug")

        with pytest.raises(ZeroDivisionError) as caught:
            write(tmp_path, bug)
        assert "while scene 0 was made" in caught.value.__notes__


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": "my.recipe"}, "recipe: .*match pattern"),
        ({"recipe": "../up"}, "recipe: .*match pattern"),
        ({"split": "Train"}, "split: .*match pattern"),
        ({"num_scenes": 0}, "num_scenes: .*greater than or equal to 1, got 0"),
        ({"num_scenes": 10**10}, "num_scenes: "),
        ({"shard_size": 0}, "shard_size: "),
        ({"shard_size": 10_001}, "shard_size: "),
        ({"num_scenes": 10**8, "shard_size": 10}, "10,000,000 shards are too many.* larger shard_size"),
        ({"shard_size": 10_000, "slots": 32}, "more than 200,000 members: take a smaller shard_size"),
        ({"recipe": "r" * 64, "seed": 2**63}, "characters, tar allows 100"),
    ],
    ids=str,
)
def test_corpora_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    """A dot would end a WebDataset key too early; an index that cannot be read again is none."""
    with pytest.raises(SynthError, match=message):
        make_identity(**{**identity().model_dump(), **change})


def test_unknown_stems_are_refused() -> None:
    assert check_stems(["noise", "mixture", "wet"]) == ("noise", "wet")
    with pytest.raises(SynthError, match="unknown stem 'vet'"):
        check_stems(["vet"])


def test_keys_sort_as_scenes_do() -> None:
    corpus = identity(num_scenes=123_456, shard_size=100)
    keys = [corpus.key(n) for n in (0, 9, 10, 99_999, 123_455)]
    assert keys == sorted(keys)
    assert corpus.num_shards == 1235
    assert list(corpus.scenes(1234)) == list(range(123_400, 123_456))
