"""Clients that are slow, silent, gone or too many must cost the others nothing; nor must a server's own trouble."""

from __future__ import annotations

import errno
import json
import socket
import time
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.synth.corpus.sites import SHARDS, heard, site, small_catalog, stored_shards


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_catalog(tmp_path_factory.mktemp("catalog"))


@pytest.fixture(scope="module")
def files(catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The shards as a corpus on disk has them."""
    return [path.read_bytes() for path in stored_shards(catalog, tmp_path_factory.mktemp("corpus"), SHARDS)]


def test_clients_that_do_not_ask_lose_their_place(catalog: Path, tmp_path: Path) -> None:
    """Whoever holds connections open, or writes a request letter by letter, must not shut out the others."""
    with site(catalog, tmp_path, ask_seconds=0.4, max_requests=1) as found:
        address = ("127.0.0.1", found.port)
        idle = [socket.create_connection(address, timeout=10) for _ in range(8)]
        idle[0].sendall(b"GET /heal")
        time.sleep(0.1)
        with socket.create_connection(address, timeout=10) as one_more:
            assert heard(one_more).startswith(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n")
        begin = time.monotonic()
        idle[0].settimeout(0.1)
        for letter in b"th HTTP/1.1":
            with suppress(ConnectionError, TimeoutError):
                idle[0].sendall(bytes([letter]))
                idle[0].recv(1)
        for client in idle:
            with client:
                client.settimeout(10)
                assert heard(client) in (b"", b"<gone>")
        assert time.monotonic() - begin < 5
        assert found.ask("/health")[0] == 200


def test_a_client_that_goes_makes_room(catalog: Path, files: list[bytes], tmp_path: Path) -> None:
    """A trainer that gives up and asks again must not fill the server with its own ghosts."""
    with site(catalog, tmp_path, max_requests=1) as found:
        with socket.create_connection(("127.0.0.1", found.port), timeout=10) as client:
            client.sendall(b"GET /dcase2025/3/000007.tar HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while not found.service.crew.busy:
                time.sleep(0.001)
            assert found.ask("/health")[0] == 503
        end = time.monotonic() + 10
        while found.ask("/health")[0] == 503 and time.monotonic() < end:
            pass
        assert found.service.crew.figures.made == 0
        assert 's5kit_requests_total{status="499"} 1' in found.ask("/metrics")[2].decode()
        assert found.ask("/dcase2025/3/000007.tar")[2] == files[7]
        assert found.service.crew.figures.made == 1


def test_a_client_that_does_not_read_is_left_alone(catalog: Path, files: list[bytes], tmp_path: Path) -> None:
    """What it did not take would stay in memory for as long as it likes."""
    with site(catalog, tmp_path, send_seconds=0.5, ask_seconds=0.05) as found:
        assert found.ask("/dcase2025/3/000006.tar")[2] == files[6], "who waits for a shard is not idle"
        small = [socket.socket() for _ in range(3)]
        for client in small:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", found.port))
            client.sendall(b"GET /dcase2025/3/000006.tar HTTP/1.1\r\nHost: localhost\r\n\r\n")
        begin = time.monotonic()
        while found.connections() < 3 and time.monotonic() < begin + 10:
            time.sleep(0.01)
        while found.connections() and time.monotonic() < begin + 20:
            time.sleep(0.05)
        assert found.connections() == 0
        for client in small:
            client.close()


def test_a_cache_that_cannot_be_written_is_said(
    catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with site(catalog, tmp_path) as found:
        monkeypatch.setattr(found.service, "get", full)
        status, headers, data = found.ask("/dcase2025/3/000000.tar")
        assert (status, headers["content-type"]) == (507, "application/json")
        assert json.loads(data)["what"] == "it cannot be kept: No space left on device"


def test_a_bug_is_no_reading_matter_for_clients(
    catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_exception(RuntimeError('Traceback (most recent call last):\n  File "secret.py"'))
        return future

    with site(catalog, tmp_path) as found:
        monkeypatch.setattr(found.service, "get", broken)
        status, _, data = found.ask("/dcase2025/3/000000.tar")
        assert status == 500
        assert b"secret" not in data
        assert "see what the server has written" in json.loads(data)["remedy"]
