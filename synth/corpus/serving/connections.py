"""The connections of a server: no more than it can hold, and none that keeps its place without asking.

uvicorn ends connections that idle between two requests, and bounds the size of a request. It does not
bound how long a client may take to write one, nor how many connections there are. Import it only
where uvicorn is installed.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

PER_REQUEST = 8
"""Connections that may be open for every request that may be answered: most wait between two."""

_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Type: text/plain\r\nContent-Length: 20\r\n\r\ntoo many connections"
)


def connection_class(max_requests: int, seconds: float) -> type[asyncio.Protocol]:
    """Return what uvicorn makes of every connection (its setting `http`).

    Args:
        max_requests: Answered at once.
        seconds: What a request may take to arrive.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = PER_REQUEST * max_requests
    if files != resource.RLIM_INFINITY:
        limit = min(limit, files // 2)

    class Connection(H11Protocol):
        """One that is closed when no whole request has come for some time, and none is being answered."""

        _watch: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > limit:
                transport.write(_BUSY)
                transport.close()
                return
            self._watch = self.loop.call_later(seconds, self._look, None)

        def connection_lost(self, exc: Exception | None) -> None:
            if self._watch is not None:
                self._watch.cancel()
            super().connection_lost(exc)

        def _look(self, last: object) -> None:
            answered = self.cycle is None or self.cycle.response_complete
            if answered and self.cycle is last and not self.transport.get_write_buffer_size():
                self.transport.abort()
                return
            self._watch = self.loop.call_later(seconds, self._look, self.cycle)

    return Connection
