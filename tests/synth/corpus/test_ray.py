"""A cluster whose corpus differs from a laptop's, or that loses a night to one killed worker, is of no use."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from synth import build_catalog
from synth.corpus.corpus import CorpusProgress, CorpusReport, write_scenes
from synth.corpus.engines import Watch
from synth.corpus.ray_engine import RayEngine
from synth.errors import SynthError
from synth.rendering.scene import Scene
from tests.builders import make_dev_set
from tests.synth.corpus.corpora import MadeUpScenes, contents, identity, write

SCENES = {"num_scenes": 12, "shard_size": 3}


@dataclass(frozen=True)
class DyingScenes(MadeUpScenes):
    """At scene 4 the process that makes it is killed while it writes, as often as `times` says.

    Attributes:
        marks: A folder that remembers the deaths.
        times: How many there are.
    """

    marks: str = ""
    times: int = 1

    def __call__(self, index: int) -> Scene:
        if index == 4:
            deaths = len(list(Path(self.marks).iterdir()))
            if deaths < self.times:
                (Path(self.marks) / str(deaths)).touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(index)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A Ray of two cores, all of whose files go away with it."""
    import ray

    folder = tempfile.mkdtemp(prefix="s5ray")  # the names of its sockets must be short
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=80 << 20,
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=folder,
        )
        yield
        ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The corpus as the local engine makes it."""
    directory = tmp_path_factory.mktemp("clean")
    write(directory, **SCENES)
    return contents(directory)


def spread(directory: Path, scenes: MadeUpScenes | None = None, **options: Any) -> CorpusReport:
    progress = options.pop("progress", lambda _: None)
    return write_scenes(
        identity(**SCENES),
        scenes or MadeUpScenes(),
        directory,
        recipe={"name": "madeup"},
        engine=RayEngine(**options),
        progress=progress,
    )


def test_the_bytes_are_those_of_the_local_engine(
    cluster: None, tmp_path: Path, clean: dict[str, str]
) -> None:
    seen: list[CorpusProgress] = []
    report = spread(tmp_path, progress=seen.append)
    assert contents(tmp_path) == clean
    assert report.outcomes == ("made",) * 4
    assert [progress.made for progress in seen] == list(range(1, 13))
    assert spread(tmp_path, progress=seen.append).outcomes == ("kept",) * 4
    assert seen[-1] == CorpusProgress(made=0, kept=12, total=12)


def test_a_worker_that_is_killed_while_it_writes_is_replaced(
    cluster: None, tmp_path: Path, clean: dict[str, str]
) -> None:
    marks, out = tmp_path / "marks", tmp_path / "out"
    marks.mkdir()
    seen: list[CorpusProgress] = []
    spread(out, DyingScenes(marks=str(marks), times=2), retries=2, progress=seen.append)
    assert len(list(marks.iterdir())) == 2
    assert contents(out) == clean
    assert seen[-1].made == 12, "scenes of a shard that is begun again count once"


@pytest.mark.slow
def test_one_that_is_killed_too_often_is_named(cluster: None, tmp_path: Path, clean: dict[str, str]) -> None:
    marks, out = tmp_path / "marks", tmp_path / "out"
    marks.mkdir()
    with pytest.raises(SynthError, match=r"000001\.tar: the Ray worker that made it was lost 2 time\(s\)"):
        spread(out, DyingScenes(marks=str(marks), times=9), retries=1)
    left = contents(out)
    assert left.items() <= clean.items()
    assert "index.json" not in left
    write(out, **SCENES)
    assert contents(out) == clean


@pytest.mark.slow
def test_a_scene_that_cannot_be_made_ends_the_run(
    cluster: None, tmp_path: Path, clean: dict[str, str]
) -> None:
    begin = time.monotonic()
    with pytest.raises(SynthError, match="scene 7 cannot be made: is silent") as caught:
        spread(tmp_path, MadeUpScenes(fail_at=7))
    assert caught.value.remedy == "remove the file"
    assert contents(tmp_path).items() <= clean.items()
    assert time.monotonic() - begin < 30


@pytest.mark.slow
def test_a_bug_in_a_worker_shows_its_traceback(cluster: None, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)\.tar: a worker failed.*KeyError"):
        write_scenes(identity(**SCENES), _bug, tmp_path, recipe={}, engine=RayEngine())


@pytest.mark.slow
def test_the_command_starts_a_ray_of_its_own(tmp_path: Path) -> None:
    make_dev_set(tmp_path / "dev_set", positions=6, taps=200, seconds=0.1, noise_seconds=0.6)
    build_catalog("dcase2025", tmp_path / "dev_set", tmp_path / "catalog", workers=1)
    code = "from tools.cli import main; main()"
    for engine in ("local", "ray"):
        found = subprocess.run(
            [
                *(
                    sys.executable,
                    "-c",
                    code,
                    "synth",
                    "--recipe",
                    "dcase2025",
                    "--set",
                    "scene.duration=0.5",
                ),
                *("--catalog", str(tmp_path / "catalog"), "--out", str(tmp_path / engine), "--workers", "2"),
                *("--num-scenes", "7", "--shard-size", "2", "--engine", engine),
            ],
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=False,
        )
        assert found.returncode == 0, found.stderr
        assert "4 shard(s)" in found.stdout
        assert "Traceback" not in found.stderr
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")


def test_a_cluster_that_does_not_answer_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray itself would go on trying for minutes."""
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    for address in ("127.0.0.1:1", "ray://127.0.0.1:1"):
        begin = time.monotonic()
        with pytest.raises(SynthError, match=f"{address}: no Ray answers: .*Connection refused"):
            list(RayEngine(address).run(_no_work, [1], Watch()))
        assert time.monotonic() - begin < 5


def test_impossible_wishes_are_refused() -> None:
    with pytest.raises(SynthError, match="retries: is -1"):
        RayEngine(retries=-1)


def _no_work(task: int, on_step: Callable[[], None]) -> None:
    raise AssertionError("nobody is there to do it")


def _bug(index: int) -> Scene:
    raise KeyError(index)
