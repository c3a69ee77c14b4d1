"""`s5kit serve`: it says where it listens, ends when told, and is open to nobody by mistake."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from synth import Catalog, SynthError, build_catalog, load_recipe, write_corpus
from tests.builders import make_dev_set
from tools.serve import serve

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalog")
    make_dev_set(folder / "dev_set", positions=6, taps=200, seconds=0.1, noise_seconds=0.6)
    build_catalog("dcase2025", folder / "dev_set", folder / "catalog", workers=1)
    return folder / "catalog"


@contextmanager
def server(catalog: Path, folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server, and the address that it names."""
    command = [sys.executable, "-c", "from tools.cli import main; main()", "serve", "--port", "0"]
    command += ["--catalog", str(catalog), "--recipes", "dcase2025", "--workers", "1", *options]
    environment = {**os.environ, "TMPDIR": str(folder)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        found = re.search(r"http://[0-9.:]+", process.stderr.readline())
        assert found is not None
        try:
            yield process, found[0]
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_it_serves_and_ends_when_told(catalog: Path, tmp_path: Path, number: int) -> None:
    """Also while a client waits for a shard that takes minutes: nothing is left behind."""
    recipe = load_recipe("dcase2025", ["scene.duration=0.5"])
    write_corpus(recipe, Catalog.load(catalog), tmp_path / "corpus", num_scenes=1, seed=3, shard_size=1)
    (stored,) = (tmp_path / "corpus").glob("*.tar")
    (tmp_path / "tmp").mkdir()
    short = ("--set", "scene.duration=0.5", "--shard-size", "1")
    if number == signal.SIGINT:
        short = ("--set", "scene.duration=60", "--shard-size", "100")
    with server(catalog, tmp_path / "tmp", *short) as (process, address):
        assert json.load(urllib.request.urlopen(f"{address}/health")) == {"status": "ok"}
        answers: list[int] = []
        if number == signal.SIGTERM:
            found = urllib.request.urlopen(f"{address}/dcase2025/3/000000.tar").read()
            assert found == stored.read_bytes()
        else:
            client = threading.Thread(
                target=lambda: answers.append(_status(f"{address}/dcase2025/3/000000.tar"))
            )
            client.start()
            while "s5kit_busy_processes 1" not in _text(f"{address}/metrics"):
                time.sleep(0.05)
        begin = time.monotonic()
        process.send_signal(number)
        assert process.wait(30) == 0
        assert time.monotonic() - begin < 12
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    if number == signal.SIGINT:
        client.join()
        assert answers == [503]
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--host", "0.0.0.0"), "other machines could connect, and there is no token"),
        (("--token", "short"), "token: has fewer than 16 characters"),
        (("--recipes", "dcase2025,dcase2025"), "two of one name"),
        (("--recipes", "nothing"), "nothing"),
        (("--port", "70000"), "port: is 70000"),
        (("--cache-gb", "0.001", "--shard-size", "100"), "a shard of 100 scenes may have"),
        (("--port", "{taken}"), "cannot listen"),
    ],
)
def test_nonsense_is_refused(catalog: Path, options: tuple[str, ...], message: str) -> None:
    app = typer.Typer()
    app.command()(serve)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        given = [option.format(taken=taken.getsockname()[1]) for option in options]
        result = CliRunner().invoke(app, ["--catalog", str(catalog), "--recipes", "dcase2025", *given])
    assert isinstance(result.exception, SynthError)
    assert message in str(result.exception)


def _text(address: str) -> str:
    return str(urllib.request.urlopen(address).read().decode())


def _status(address: str) -> int:
    try:
        return int(urllib.request.urlopen(address).status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
