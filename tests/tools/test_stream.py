"""`s5kit stream`: what a training script sees at the other end of the pipe."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import typer
import webdataset
from typer.testing import CliRunner

from synth import SynthError, build_catalog
from tests.builders import make_dev_set
from tests.synth.corpus.sites import small_catalog, stored_shards
from tools.stream import stream

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from tools.cli import main; main()"]
WHAT = ["--recipe", "dcase2025", "--seed", "3", "--shard-size", "2", "--set", "scene.duration=0.5"]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_catalog(tmp_path_factory.mktemp("catalog"))


@pytest.fixture(scope="module")
def corpus(catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three shards as `s5kit synth` writes them."""
    return stored_shards(catalog, tmp_path_factory.mktemp("corpus"), 3)


def command(catalog: Path, *options: str) -> list[str]:
    return [*COMMAND, "stream", "--catalog", str(catalog), *WHAT, *options]


@pytest.mark.slow
def test_a_shard_is_the_file_of_a_corpus(catalog: Path, corpus: list[Path]) -> None:
    found = subprocess.run(command(catalog, "--shard", "000001"), cwd=ROOT, capture_output=True, check=False)
    assert (found.returncode, found.stderr) == (0, b"")
    assert found.stdout == corpus[1].read_bytes()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_pipes_like_files(
    catalog: Path, corpus: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    line = shlex.join(command(catalog, "--shard")) + " {000000..000001}"
    piped = webdataset.WebDataset(f"pipe:{line}", shardshuffle=False)
    stored = webdataset.WebDataset([str(path) for path in corpus[:2]], shardshuffle=False)
    found, wanted = (
        [{k: v for k, v in s.items() if k[:2] != "__" or k == "__key__"} for s in both]
        for both in (piped, stored)
    )
    assert len(wanted) == 4
    assert found == wanted


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_raises_when_a_scene_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that vanish while scenes are made must not give a short epoch."""
    make_dev_set(tmp_path / "dev_set", positions=6, taps=200, seconds=0.1, noise_seconds=0.6, places=2)
    build_catalog("dcase2025", tmp_path / "dev_set", tmp_path / "catalog", workers=1)
    next((tmp_path / "dev_set").rglob("room_train_0.sofa")).unlink()
    for path in (tmp_path / "catalog" / "cache").glob("rirs-*"):
        shutil.rmtree(path)
    line = shlex.join(command(tmp_path / "catalog", "--shard", "0:4"))
    found = subprocess.run(shlex.split(line), cwd=ROOT, capture_output=True, check=False)
    assert found.returncode == 1
    assert b"cannot be made" in found.stderr
    assert len(found.stdout) > 10_000, "some scenes came before"
    monkeypatch.chdir(ROOT)
    with pytest.raises((OSError, tarfile.ReadError)):
        list(webdataset.WebDataset(f"pipe:{line} 2>/dev/null", shardshuffle=False))


def test_a_reader_that_has_seen_enough_hears_nothing(catalog: Path) -> None:
    with running(catalog, "--shard", "0:5000") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert len(process.stdout.read(1000)) == 1000
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == 141


@pytest.mark.slow
def test_a_full_disk_is_said(catalog: Path) -> None:
    with open("/dev/full", "wb") as full:
        found = subprocess.run(
            command(catalog, "--shard", "0"), cwd=ROOT, stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert found.returncode == 1
    assert b"standard output: it cannot be written: No space left on device" in found.stderr
    assert b"Traceback" not in found.stderr


def test_a_terminal_is_spared(catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with pytest.raises(SynthError, match="standard output: is a terminal"):
        stream("dcase2025", catalog, ["0"])


@pytest.mark.parametrize("number", [pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGKILL])
def test_one_that_is_killed_leaves_no_archive_that_looks_whole(catalog: Path, number: int) -> None:
    with running(catalog, "--shard", "0:5000") as process:
        assert process.stdout is not None
        head = process.stdout.read(200_000)
        process.send_signal(number)
        begin = time.monotonic()
        data = head + process.stdout.read()
        assert process.wait(20) == -number
    assert time.monotonic() - begin < 10
    whole = subprocess.run(["tar", "tf", "-"], input=data, capture_output=True, check=False)
    assert whole.returncode != 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--shard", "100000"), "names shards 100,000 to 100,000, there are 0 to 99,999"),
        (("--shard", "x"), "--shard: 'x' names no shards"),
        (("--shard", "0", "--shard-size", "0"), "shard_size"),
        (("--shard", "0", "--seed", "9" * 90), "shorten the name of the recipe or the seed"),
    ],
)
def test_nonsense_is_refused(catalog: Path, options: tuple[str, ...], message: str) -> None:
    app = typer.Typer()
    app.command()(stream)
    result = CliRunner().invoke(app, ["--catalog", str(catalog), *WHAT, *options])
    assert isinstance(result.exception, SynthError)
    assert message in str(result.exception)
    assert result.stdout == ""


def running(catalog: Path, *options: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command(catalog, *options), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
