"""`s5kit serve`: shards made on demand over HTTP; the same address always gives the same bytes."""

from __future__ import annotations

import importlib
import ipaddress
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from ...assets.catalog import Catalog
from ...errors import SynthError
from ...scenes.recipe import Recipe
from ..disk import disk_error
from ..identity import MAX_SHARDS, CorpusIdentity, make_identity
from ..live import corpus_of
from ..lock import folder_lock
from ..maker import SceneMaker
from .crew import ShardCrew
from .requests import Wanted
from .store import ShardStore, StoredShard

MIN_TOKEN = 16
"""A token that can be guessed is none."""

_END_SECONDS = 10


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """How shards are served.

    Attributes:
        host: Address to listen at.
        port: Port there; 0: any free one.
        token: What clients must send as `Authorization: Bearer …`; None: only this machine is served.
        shard_size: Scenes per shard.
        stems: Sounds stored beside mixture and dry targets.
        max_shards: Shards per recipe and seed.
        workers: Shards made at once, each in a process of its own.
        waiting: Shards that may wait for a process; more are refused for a while.
        max_requests: Requests answered at once.
        cache: Folder for made shards; None: one that is removed at the end.
        cache_bytes: Of all shards there.
        max_shard_bytes: A shard must fit into this as plain 16-bit sound.
        make_seconds: A shard that takes longer to make is given up.
        wait_seconds: A client that waits longer for it is told to come again.
        send_seconds: A client that takes no byte for so long is left alone.
        ask_seconds: A client that takes longer to write its request, or to write the next one, is, too.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    token: str | None = field(default=None, repr=False)
    shard_size: int = 100
    stems: Collection[str] = ()
    max_shards: int = MAX_SHARDS
    workers: int = 1
    waiting: int = 16
    max_requests: int = 64
    cache: Path | None = None
    cache_bytes: int = 10 << 30
    max_shard_bytes: int = 4 << 30
    make_seconds: float = 900.0
    wait_seconds: float = 300.0
    send_seconds: float = 60.0
    ask_seconds: float = 30.0

    def check(self) -> None:
        """Refuse what makes no sense or is not safe.

        Raises:
            SynthError: A number is out of range, the token is too short, or there is none although
                others than this machine could connect.
        """
        limits = {
            "port": (0, 65_535),
            "max_shards": (1, MAX_SHARDS),
            "workers": (1, 1024),
            "waiting": (1, 100_000),
            "max_requests": (1, 100_000),
            "cache_bytes": (1, 1 << 60),
            "max_shard_bytes": (1, 1 << 40),
            "make_seconds": (0.001, 1e6),
            "wait_seconds": (0.001, 1e6),
            "send_seconds": (0.001, 1e6),
            "ask_seconds": (0.001, 1e6),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise SynthError(
                    f"is {value}, allowed are {low:g} to {high:g}", where=name, remedy="take another value"
                )
        if self.token is None and not _is_loopback(self.host):
            raise SynthError(
                "other machines could connect, and there is no token",
                where=f"--host {self.host}",
                remedy="give --token (or S5KIT_TOKEN), or listen at 127.0.0.1 only",
            )
        if self.token is not None and not (len(self.token) >= MIN_TOKEN and self.token.isascii()):
            raise SynthError(
                f"has fewer than {MIN_TOKEN} characters, or some that are not ASCII",
                where="token",
                remedy="make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
            )


class Service:
    """What the web application asks: which recipes there are, and for their shards.

    Args:
        recipes: What is served, each under its name.
        catalog: From what.
        settings: How; they must have been checked.
        folder: For made shards; nobody else may write into it.
    """

    def __init__(
        self, recipes: Sequence[Recipe], catalog: Catalog, settings: ServeSettings, folder: Path
    ) -> None:
        self.settings = settings
        self.sent_bytes = 0
        self.recipes = {recipe.name: recipe for recipe in recipes}
        if not recipes or len(self.recipes) < len(recipes):
            raise SynthError(
                "no recipe is given, or two of one name", where="--recipes", remedy="give each one once"
            )
        corpora = {r.name: _corpus(r, catalog, settings) for r in recipes}
        self._identities = {name: identity for name, (identity, _) in corpora.items()}
        for identity in self._identities.values():
            _check_size(identity, settings)
        maker = next(maker for _, maker in corpora.values())
        self.crew = ShardCrew(
            maker, workers=settings.workers, waiting=settings.waiting, seconds=settings.make_seconds
        )
        self.store = ShardStore(folder, settings.cache_bytes, self.crew)

    def identity(self, wanted: Wanted) -> CorpusIdentity:
        """Return the corpus that a shard is of.

        Raises:
            SynthError: With this seed its names would be too long.
        """
        fields = self._identities[wanted.recipe].model_dump()
        return make_identity(**{**fields, "seed": wanted.seed})

    def get(self, identity: CorpusIdentity, wanted: Wanted) -> Future[StoredShard]:
        """Return a shard, at once or when it is made."""
        return self.store.get(identity, self.recipes[wanted.recipe], wanted.shard)

    def count_bytes(self, count: int) -> None:
        """Note that so many bytes of shards were sent."""
        self.sent_bytes += count

    def served(self) -> dict[str, Any]:
        """Return what can be asked for."""
        return {
            "recipes": {
                name: {
                    "address": f"/{name}/SEED/000000.tar",
                    "recipe_hash": identity.recipe_hash,
                    "catalog_hash": identity.catalog_hash,
                    "split": identity.split,
                    "synthetic": identity.synthetic,
                    "members": identity.member_suffixes(),
                }
                for name, identity in self._identities.items()
            },
            "generator": next(iter(self._identities.values())).generator,
            "shard_size": self.settings.shard_size,
            "num_shards": self.settings.max_shards,
        }


def serve_shards(
    recipes: Sequence[Recipe],
    catalog: Catalog,
    settings: ServeSettings,
    on_start: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve shards until SIGTERM or SIGINT.

    Args:
        recipes: What is served, each under its name.
        catalog: From what.
        settings: How.
        on_start: Called with the address when connections are accepted.

    Raises:
        SynthError: Settings, recipes or catalog make no sense, or the address is taken.
        ModuleNotFoundError: FastAPI or uvicorn is not installed.
    """
    settings.check()
    for needed in ("uvicorn", "fastapi"):
        importlib.import_module(needed)
    with ExitStack() as stack:
        listener = stack.enter_context(listening(settings))
        folder = stack.enter_context(_cache_folder(settings.cache))
        service = Service(recipes, catalog, settings, folder)
        stack.callback(service.crew.close)
        server = make_server(service)
        stack.enter_context(_ending(server, service))
        on_start(_address(listener))
        server.run(sockets=[listener])


def make_server(service: Service) -> Any:
    """Return the uvicorn server of a service; `run(sockets=[…])` lets it listen.

    Raises:
        ModuleNotFoundError: FastAPI or uvicorn is not installed.
    """
    uvicorn = importlib.import_module("uvicorn")
    app = importlib.import_module(f"{__package__}.app")
    connections = importlib.import_module(f"{__package__}.connections")
    settings = service.settings
    config = uvicorn.Config(
        app.make_app(service),
        http=connections.connection_class(settings.max_requests, settings.ask_seconds),
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_END_SECONDS,
    )
    return uvicorn.Server(config)


@contextmanager
def _ending(server: Any, service: Service) -> Iterator[None]:
    """At the first SIGTERM or SIGINT tell those who wait for shards, then let the server end."""
    said = server.handle_exit

    def handle_exit(number: int, frame: FrameType | None) -> None:
        threading.Thread(target=service.crew.close).start()
        said(number, frame)

    server.handle_exit = handle_exit
    before = {number: signal.signal(number, handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _cache_folder(folder: Path | None) -> Iterator[Path]:
    """Hold a folder for made shards; one that nobody named is removed at the end."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="s5kit-serve-") as temporary:
            yield Path(temporary)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, folder, 0) from error
    with folder_lock(folder):
        yield folder


@contextmanager
def listening(settings: ServeSettings) -> Iterator[socket.socket]:
    """Hold the socket that a server listens at.

    Raises:
        SynthError: The address is taken, or none of this machine's.
    """
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        raise SynthError(
            f"cannot listen: {error.strerror or error}",
            where=f"{settings.host}:{settings.port}",
            remedy="choose another port, or 0 for any free one",
        ) from error
    with listener:
        # asyncio sets it only on sockets that know their protocol, which these do not: without it a
        # small answer waits 40 ms for the acknowledgement of its own headers.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # The system ends connections whose client takes nothing; asyncio would hold for them what it has.
            listener.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(int(1000 * settings.send_seconds), 1)
            )
        yield listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _corpus(recipe: Recipe, catalog: Catalog, settings: ServeSettings) -> tuple[CorpusIdentity, SceneMaker]:
    return corpus_of(recipe, catalog, seed=0, shard_size=settings.shard_size, stems=settings.stems)


def _check_size(identity: CorpusIdentity, settings: ServeSettings) -> None:
    """Refuse shards that nobody could hold: plain 16-bit sound is more than FLAC makes of it."""
    channels = sum(
        4 if not name.startswith("dry") else 1 for name in identity.member_suffixes() if name != "json"
    )
    size = identity.shard_size * channels * identity.duration * 2
    limit = min(settings.max_shard_bytes, settings.cache_bytes)
    if size > limit:
        raise SynthError(
            f"a shard of {identity.shard_size} scenes may have {size:,} bytes, at most {limit:,} are allowed",
            where=f"shard_size, {identity.recipe}",
            remedy="serve smaller shards, or raise max_shard_bytes and cache_bytes",
        )
