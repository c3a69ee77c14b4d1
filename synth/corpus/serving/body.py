"""The bytes of an open file as the body of an answer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from fastapi.responses import Response

from .requests import Span

_CHUNK = 1 << 20


class FileBody(Response):
    """Sends a part of a file that was opened before: whoever removes the file does not disturb it.

    Args:
        handle: Of the file; it is closed at the end in any case.
        span: Which part.
        headers: All headers of the answer.
        seconds: A client that takes no byte for so long is left alone.
        on_bytes: Called with the number of bytes sent, piece by piece.
        body: False: only the headers are sent.
    """

    def __init__(
        self,
        handle: int,
        span: Span,
        *,
        headers: Mapping[str, str],
        seconds: float,
        on_bytes: Callable[[int], None],
        body: bool = True,
    ) -> None:
        self._handle = handle
        self._span = span
        self._seconds = seconds
        self._on_bytes = on_bytes
        self._with_body = body
        self.status_code = 206 if span.partial else 200
        self.background = None
        self.init_headers(headers)

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Take the headers as they are: the length is that of the file's part."""
        pairs = (headers or {}).items()
        self.raw_headers = [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in pairs]

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Send headers and bytes; an answer that cannot be finished ends before its length."""
        try:
            start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            await send(start)
            position, end = self._span.first, self._span.first + self._span.length * self._with_body
            while position < end:
                data = await asyncio.to_thread(os.pread, self._handle, min(_CHUNK, end - position), position)
                if not data:
                    return  # somebody cut the file: the client misses bytes, and sees that
                position += len(data)
                message = {"type": "http.response.body", "body": data, "more_body": position < end}
                async with asyncio.timeout(self._seconds):
                    await send(message)
                self._on_bytes(len(data))
            if self._span.length == 0 or not self._with_body:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            return
        finally:
            os.close(self._handle)
