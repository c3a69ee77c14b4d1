"""A running shard server for tests, and what clients hear of it."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synth import Catalog, build_catalog, load_recipe, write_corpus
from synth.corpus.serving.server import ServeSettings, Service, listening, make_server
from tests.builders import make_dev_set

SHARDS = 10


def small_catalog(folder: Path) -> Path:
    """Build the catalog that is served."""
    make_dev_set(folder / "dev_set", positions=6, taps=200, seconds=0.1, noise_seconds=0.6)
    build_catalog("dcase2025", folder / "dev_set", folder / "catalog", workers=1)
    return folder / "catalog"


def stored_shards(catalog: Path, folder: Path, shards: int) -> list[Path]:
    """Return the shards, of two scenes each, as a corpus on disk has them."""
    recipe = load_recipe("dcase2025", ["scene.duration=0.5"])
    write_corpus(recipe, Catalog.load(catalog), folder, num_scenes=2 * shards, seed=3, shard_size=2)
    return sorted(folder.glob("*.tar"))


@dataclass
class Site:
    """A running server."""

    port: int
    service: Service
    server: Any

    def connections(self) -> int:
        return len(self.server.server_state.connections)

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host="host" in headers)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, answer.read()
        finally:
            connection.close()


@contextmanager
def site(catalog: Path, folder: Path, **settings: Any) -> Iterator[Site]:
    chosen = ServeSettings(**{"port": 0, "shard_size": 2, "max_shards": SHARDS, **settings})
    chosen.check()
    recipe = load_recipe("dcase2025", ["scene.duration=0.5"])
    service = Service([recipe], Catalog.load(catalog), chosen, folder)
    server = make_server(service)
    with listening(chosen) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield Site(listener.getsockname()[1], service, server)
        finally:
            server.should_exit = True
            thread.join()


def heard(client: socket.socket) -> bytes:
    """What a server says until it closes; a connection that it cuts ends with <gone>."""
    found = b""
    try:
        while data := client.recv(65_536):
            found += data
    except ConnectionError:
        found += b"<gone>"
    return found
