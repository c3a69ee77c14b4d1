"""An array of jobs that spoils one corpus between them costs a night of a whole cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synth.corpus.corpus import PartReport, write_part
from synth.corpus.engines import LocalEngine
from synth.corpus.live import parse_shards
from synth.corpus.lock import folder_lock, range_lock
from synth.corpus.verify import verify_scenes
from synth.errors import SynthError
from tests.synth.corpus.corpora import MadeUpScenes, contents, identity, made_up_scene, write

SCENES = {"num_scenes": 12, "shard_size": 2}


def part(directory: Path, first: int, end: int, scenes: Any = None, **changes: Any) -> PartReport:
    return write_part(
        identity(**{**SCENES, **changes}),
        scenes or MadeUpScenes(),
        directory,
        shards=range(first, end),
        recipe={"name": "madeup"},
        engine=LocalEngine(),
    )


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The corpus as one run makes it."""
    directory = tmp_path_factory.mktemp("clean")
    write(directory, **SCENES)
    return contents(directory)


class TestParts:
    @pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
    def test_whichever_comes_last_finishes(
        self, tmp_path: Path, clean: dict[str, str], order: tuple[int, ...]
    ) -> None:
        reports = [part(tmp_path, 2 * n, 2 * n + 2) for n in order]
        assert [report.index is None for report in reports] == [True, True, False]
        assert contents(tmp_path) == clean
        verify_scenes(tmp_path, made_up_scene)

    def test_a_whole_run_keeps_parts_and_finishes(self, tmp_path: Path, clean: dict[str, str]) -> None:
        part(tmp_path, 1, 4)
        assert write(tmp_path, **SCENES).outcomes == ("made", "kept", "kept", "kept", "made", "made")
        assert contents(tmp_path) == clean

    def test_parts_that_overlap_one_after_the_other(self, tmp_path: Path, clean: dict[str, str]) -> None:
        part(tmp_path, 0, 4)
        assert part(tmp_path, 2, 6).outcomes == ("kept", "kept", "made", "made")
        assert contents(tmp_path) == clean

    def test_a_damaged_shard_of_a_part_is_mended(self, tmp_path: Path, clean: dict[str, str]) -> None:
        part(tmp_path, 0, 2)
        (tmp_path / "madeup-train-5-000001.tar").write_bytes(b"gone")
        assert part(tmp_path, 0, 2).outcomes == ("kept", "mended")
        part(tmp_path, 2, 6)
        assert contents(tmp_path) == clean

    def test_a_shard_cut_short_keeps_the_corpus_unfinished(self, tmp_path: Path) -> None:
        part(tmp_path, 0, 2)
        (tmp_path / "madeup-train-5-000001.tar").write_bytes(b"gone")
        assert part(tmp_path, 2, 6).index is None
        assert not (tmp_path / "index.json").exists()

    @pytest.mark.parametrize("changes", [{"seed": 6, "recipe": "madeup"}, {"num_scenes": 14}, {"slots": 4}])
    def test_another_corpus_is_refused(self, tmp_path: Path, changes: dict[str, Any]) -> None:
        part(tmp_path, 0, 2)
        with pytest.raises(SynthError, match=r"holds another corpus|unknown origin"):
            part(tmp_path, 2, 4, **changes)

    def test_what_others_are_writing_is_left_alone(self, tmp_path: Path) -> None:
        mine, other = (tmp_path / f".madeup-train-5-00000{n}.tar.1-aa.partial" for n in (1, 3))
        mine.touch()
        other.touch()
        part(tmp_path, 0, 2)
        assert not mine.exists()
        assert other.exists()


class TestManyJobs:
    def test_all_at_once_give_the_same_corpus(self, tmp_path: Path, clean: dict[str, str]) -> None:
        out = tmp_path / "out"
        jobs = [started(_job, out, first) for first in (0, 2, 4)]
        for job in jobs:
            job.join(60)
        assert [job.exitcode for job in jobs] == [0] * 3
        assert contents(out) == clean

    def test_a_killed_job_holds_nobody_up(self, tmp_path: Path, clean: dict[str, str]) -> None:
        out = tmp_path / "out"
        job = started(_killed, out)
        job.join(60)
        assert job.exitcode == -signal.SIGKILL
        assert list(out.glob(".s5kit-*.lock"))
        assert part(out, 0, 3).index is None
        assert part(out, 3, 6).index is not None
        assert contents(out) == clean


class TestLocks:
    def test_shards_of_another_run_are_refused_by_name(self, tmp_path: Path) -> None:
        with range_lock(tmp_path, range(2, 5)):
            for first, end in ((4, 6), (0, 3), (3, 4), (0, 9)):
                text = rf"another run makes shards 2 to 4 in this folder: process {os.getpid()} on"
                with pytest.raises(SynthError, match=text):
                    part(tmp_path, first, end, num_scenes=18)
            with range_lock(tmp_path, range(5, 6)), range_lock(tmp_path, range(0, 2)):
                pass
        assert contents(tmp_path) == {}

    def test_the_whole_and_a_part_exclude_each_other(self, tmp_path: Path) -> None:
        with range_lock(tmp_path, range(2, 5)), range_lock(tmp_path, range(5, 6)):
            pass
        with (
            range_lock(tmp_path, range(2, 5)),
            pytest.raises(SynthError, match=f"another run writes into this folder: process {os.getpid()}"),
        ):
            write(tmp_path)
        begin = time.monotonic()
        with folder_lock(tmp_path), pytest.raises(SynthError, match="another run writes"):
            part(tmp_path, 0, 1)
        assert time.monotonic() - begin < 5
        assert contents(tmp_path) == {}

    def test_the_last_of_several_puts_the_lock_away(self, tmp_path: Path) -> None:
        with range_lock(tmp_path, range(0, 1)):
            with range_lock(tmp_path, range(1, 2)):
                pass
            with pytest.raises(SynthError), folder_lock(tmp_path):
                pass
        with folder_lock(tmp_path):
            pass
        assert contents(tmp_path) == {}


class TestTexts:
    @pytest.mark.parametrize(
        ("texts", "shards"),
        [
            (["7"], (7,)),
            (["000007"], (7,)),
            (["2:5"], (2, 3, 4)),
            (["{000008..000010}"], (8, 9, 10)),
            (["3", "0:2"], (3, 0, 1)),
        ],
    )
    def test_forms(self, texts: list[str], shards: tuple[int, ...]) -> None:
        assert parse_shards(texts, 11, where="--shard") == shards

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("11", "names shards 11 to 11, there are 0 to 10"),
            ("5:12", "names shards 5 to 11, there are 0 to 10"),
            ("5:5", "names no shard"),
            ("{4..2}", "names no shard"),
            ("-1", "names no shards"),
            ("1:2:3", "names no shards"),
            ("", "names no shards"),
            ("a", "names no shards"),
            ("٣", "names no shards"),
            ("9999999", "names no shards"),
        ],
    )
    def test_nonsense_is_refused(self, text: str, message: str) -> None:
        with pytest.raises(SynthError, match=rf"--shard: .*{message}.*write one number"):
            parse_shards([text], 11, where="--shard")

    def test_no_shard_twice(self) -> None:
        with pytest.raises(SynthError, match="named twice"):
            parse_shards(["0:3", "2"], 11, where="--shard")


def started(target: Callable[..., None], *arguments: Any) -> Any:
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
    process.start()
    return process


def _job(out: Path, first: int) -> None:
    part(out, first, first + 2)


def _killed(out: Path) -> None:
    part(out, 0, 3, MadeUpScenes(kill_at=3))
