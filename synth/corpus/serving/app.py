"""The web application: addresses to shards. Import it only where FastAPI is installed."""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, MutableMapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from ...errors import SynthError
from ..identity import CorpusIdentity
from ..live import content_digest
from .body import FileBody
from .crew import BusyError, ClosedError
from .metrics import metrics_text
from .requests import RefusalError, Wanted, parse_path, parse_range
from .store import StoredShard

if TYPE_CHECKING:
    from .server import Service

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

CLIENT_GONE = 499
"""What is counted for a client that did not wait; others use this number as well."""

T = TypeVar("T")

_LOG = logging.getLogger("uvicorn.error")

_FOREVER = "max-age=31536000, immutable"
_OPEN_PATHS = ("/health",)
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]", "::1")
_TYPES = {False: "application/x-tar", True: "application/json"}


def make_app(service: Service) -> Any:
    """Return the ASGI application of a service."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.crew.close)

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.add_exception_handler(RefusalError, _refuse)
    app.add_exception_handler(HTTPException, _refuse_unknown)

    @app.get("/")
    async def served() -> dict[str, Any]:
        return service.served()

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/metrics")
    async def metrics() -> PlainTextResponse:
        return PlainTextResponse(
            metrics_text(service, guard.statuses), media_type="text/plain; version=0.0.4"
        )

    @app.api_route("/{recipe}/{seed}/{name}", methods=["GET", "HEAD"])
    async def shard(request: Request, recipe: str, seed: str, name: str) -> Response:
        wanted = parse_path(recipe, seed, name, service.recipes, service.settings.max_shards)
        return await _answer(service, wanted, request)

    guard = _Guard(app, service)
    return guard


async def _answer(service: Service, wanted: Wanted, request: Request) -> Response:
    identity = _identity(service, wanted)
    content = content_digest(identity)
    pinned = request.query_params.get("content", content)
    if pinned != content:
        raise RefusalError(
            409,
            f"the bytes here are those of content {content}, {pinned[:80]!r} is asked for",
            where="content",
            remedy="the server has another catalog, recipe, version or shard size: use the same, or ask anew",
        )
    stored, handle = await _awaited(_stored(service, identity, wanted), request)
    try:
        size = os.fstat(handle).st_size
        etag = f'"{stored.sha256}"' if not wanted.index else f'"{stored.sha256}-index"'
        audience = "public" if service.settings.token is None else "private"
        headers = {
            "ETag": etag,
            "Cache-Control": f"{audience}, {_FOREVER}",
            "Accept-Ranges": "bytes",
            "S5kit-Content": content,
        }
        if {etag, "*"} & _tags(request.headers.get("if-none-match")):
            os.close(handle)
            return Response(status_code=304, headers=headers)
        header = request.headers.get("range")
        if request.headers.get("if-range", etag) != etag:
            header = None
        span = parse_range(header, size)
        if span.partial:
            headers["Content-Range"] = f"bytes {span.first}-{span.first + span.length - 1}/{size}"
    except BaseException:
        os.close(handle)
        raise
    return FileBody(
        handle,
        span,
        headers={**headers, "Content-Type": _TYPES[wanted.index], "Content-Length": str(span.length)},
        seconds=service.settings.send_seconds,
        on_bytes=service.count_bytes,
        body=request.method != "HEAD",
    )


def _identity(service: Service, wanted: Wanted) -> CorpusIdentity:
    try:
        return service.identity(wanted)
    except SynthError as error:
        raise RefusalError(400, error.what, where="SEED", remedy=error.remedy) from error


async def _awaited(making: Coroutine[Any, Any, T], request: Request) -> T:
    """Wait for something as long as the client does: the place of one that has gone is another's."""
    work, gone = asyncio.ensure_future(making), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise RefusalError(CLIENT_GONE, "the client has gone", where="connection", remedy="ask again")
        return await work
    finally:
        work.cancel()
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _stored(service: Service, identity: CorpusIdentity, wanted: Wanted) -> tuple[StoredShard, int]:
    """Return a shard and a handle to what is wanted of it, when it is made; a fault becomes a refusal."""
    where = f"{wanted.recipe}/{wanted.seed}/{wanted.shard:06d}"
    try:
        async with asyncio.timeout(service.settings.wait_seconds):
            while True:
                future = await asyncio.to_thread(service.get, identity, wanted)
                stored = await asyncio.shield(asyncio.wrap_future(future))
                handle = stored.open(index=wanted.index)
                if handle is not None:
                    return stored, handle
                service.store.forget(stored)  # it was removed between the two lines above
    except TimeoutError:
        raise _later(f"it is not made after {service.settings.wait_seconds:g} s", where, 10) from None
    except BusyError as error:
        raise _later(error.what, where, error.retry_after) from error
    except ClosedError as error:
        raise _later(error.what, where, 10) from error
    except SynthError as error:
        raise RefusalError(500, error.what, where=error.where or where, remedy=error.remedy) from error
    except OSError as error:
        what = f"it cannot be kept: {error.strerror or type(error).__name__}"
        remedy = "make room for the server's cache, or let it write there"
        raise RefusalError(507, what, where=where, remedy=remedy) from error
    except RuntimeError as error:  # its text is a worker's traceback, which is the server's business
        _LOG.error("%s: %s", where, error)
        what = "it cannot be made, and no fault of the recipe or the catalog is known"
        raise RefusalError(500, what, where=where, remedy="see what the server has written") from error


def _later(what: str, where: str, seconds: int) -> RefusalError:
    remedy = f"ask again in {seconds} s"
    return RefusalError(503, what, where=where, remedy=remedy, headers={"Retry-After": str(seconds)})


def _tags(header: str | None) -> set[str]:
    """Return the entity tags of If-None-Match, compared weakly as RFC 9110, section 13.1.2, has it."""
    return {tag.strip().removeprefix("W/") for tag in (header or "").split(",")}


async def _refuse(_: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, RefusalError)
    return JSONResponse(refusal.content, refusal.status, headers=refusal.headers)


async def _refuse_unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    content = {
        "what": f"{request.method} {request.url.path[:200]}: {error.detail}",
        "where": "path",
        "remedy": "GET or HEAD /RECIPE/SEED/000123.tar, /, /health or /metrics",
    }
    return JSONResponse(content, error.status_code, headers=dict(error.headers or {}))


class _Guard:
    """Lets in who may come in, as many as fit, and counts the answers."""

    def __init__(self, app: FastAPI, service: Service) -> None:
        self.statuses: Counter[int] = Counter()
        self._app = app
        self._settings = service.settings
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def counted(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                self.statuses[message["status"]] += 1
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            response = JSONResponse(refusal.content, refusal.status, headers=refusal.headers)
            await response(scope, receive, counted)
            return
        self._inside += 1
        try:
            await self._app(scope, receive, counted)
        finally:
            self._inside -= 1

    def _refusal(self, scope: Scope) -> RefusalError | None:
        headers = {name: value for name, value in scope["headers"]}
        if self._settings.token is not None:
            given = headers.get(b"authorization", b"")
            wanted = b"Bearer " + self._settings.token.encode()
            if scope["path"] not in _OPEN_PATHS and not hmac.compare_digest(given, wanted):
                remedy = "send the header Authorization: Bearer TOKEN"
                challenge = {"WWW-Authenticate": "Bearer"}
                what = "the token is missing or wrong"
                return RefusalError(401, what, where="Authorization", remedy=remedy, headers=challenge)
        elif _host(headers.get(b"host", b"")) not in _LOOPBACK_NAMES:
            remedy = "ask http://127.0.0.1:PORT, or serve with a token"
            return RefusalError(
                403, "without a token only this machine is served", where="Host", remedy=remedy
            )
        if self._inside >= self._settings.max_requests:
            return _later(f"{self._inside} requests are being answered, as many as may", "server", 1)
        return None


def _host(header: bytes) -> str:
    """Return the name in a Host header, without the port."""
    text = header.decode("latin-1").lower()
    head, colon, port = text.rpartition(":")
    return head if colon and port.isdigit() and (head.endswith("]") or ":" not in head) else text
