"""One ranged GET over HTTP(S), and nothing else: no files, no FTP, no step down from https to http."""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

_SECONDS = 60.0
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_UNSATISFIED = re.compile(r"bytes \*/(\d+)")
_WAIT_LIMIT = 60.0
_RETRIED = (408, 425, 429, 500, 502, 503, 504)


class BrokenError(Exception):
    """A transfer that may go better another time.

    Attributes:
        wait: Seconds that the server asked for; None when it did not.
    """

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.wait = wait


class RefusedError(Exception):
    """An answer that will not change by asking again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server sends.

    Attributes:
        first: Where in the file the bytes start.
        total: Length of the whole file; None when the server does not say.
        count: How many bytes come; None when the server does not say.
        validator: ETag (a strong one) or Last-Modified; None when there is neither.
        body: The bytes, to be read by `read_some`.
        bounded: Whether the end of the bytes can be told from a broken connection.
    """

    first: int
    total: int | None
    count: int | None
    validator: str | None
    body: IO[bytes]
    bounded: bool = True


@contextmanager
def get(
    address: str,
    *,
    first: int = 0,
    end: int | None = None,
    validator: str | None = None,
    seconds: float = _SECONDS,
) -> Iterator[Answer]:
    """Ask for a file from byte `first` on.

    Args:
        address: https (or http, on this machine only).
        first: Where to go on.
        end: One past the last byte wanted; None: all.
        validator: What the bytes before `first` came with: if the file has another one by now, the
            server is to send all of it.
        seconds: How long to wait for any one answer.

    Yields:
        The answer; its `first` is 0 when the server sends the whole file all the same, and equals
        `total` when there is nothing left to send.

    Raises:
        BrokenError: The connection or the server failed.
        RefusedError: The server refuses.
    """
    headers = {"User-Agent": "s5kit", "Accept-Encoding": "identity"}
    if first or end is not None:
        headers["Range"] = f"bytes={first}-{'' if end is None else end - 1}"
        if validator is not None:
            headers["If-Range"] = validator
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 (the opener knows http only)
    try:
        with _OPENER.open(request, timeout=seconds) as body:
            yield _answer(body, first)
    except urllib.error.HTTPError as error:
        with error:
            complete = _UNSATISFIED.fullmatch(error.headers.get("Content-Range") or "")
            if error.code == 416 and first and complete:
                yield Answer(int(complete[1]), int(complete[1]), 0, _validator(error.headers), error)
                return
            what = f"the server answers {error.code} {error.reason}"
            if error.code in _RETRIED:
                raise BrokenError(what, _wait(error.headers.get("Retry-After"))) from error
            raise RefusedError(what) from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise BrokenError(str(getattr(error, "reason", None) or error) or type(error).__name__) from error


def read_some(body: IO[bytes], size: int) -> bytes:
    """Read up to `size` bytes; b"" at the end.

    Raises:
        BrokenError: The connection failed.
    """
    try:
        return body.read(size)
    except (OSError, http.client.HTTPException) as error:
        raise BrokenError(f"the connection broke: {error or type(error).__name__}") from error


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    max_redirections = 5

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Follow a redirection to where the transfer is as safe as it was."""
        if req.type == "https" and not newurl.startswith("https://"):
            raise RefusedError(f"the server redirects from https to {newurl.split(':', 1)[0]}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    # Not build_opener: that one would open file: and ftp: addresses, too.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        _NoDowngrade(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


_OPENER = _opener()


def _answer(body: Any, asked: int) -> Answer:
    headers, count = body.headers, _number(body.headers.get("Content-Length"))
    if headers.get("Content-Encoding", "identity") != "identity":
        raise RefusedError(f"the server packs the file by {headers['Content-Encoding']!r} unasked")
    if body.status == 200:
        bounded = count is not None or bool(getattr(body, "chunked", False))
        return Answer(0, count, count, _validator(headers), body, bounded)
    found = _RANGE.fullmatch(headers.get("Content-Range") or "")
    if body.status != 206 or found is None or int(found[1]) != asked:
        raise RefusedError(
            f"the server answers {body.status} with the range {headers.get('Content-Range')!r}"
        )
    total = None if found[3] == "*" else int(found[3])
    return Answer(asked, total, int(found[2]) + 1 - asked, _validator(headers), body)


def _validator(headers: Any) -> str | None:
    tag = headers.get("ETag")
    if tag is not None and not tag.startswith("W/"):
        return str(tag)
    modified = headers.get("Last-Modified")
    return None if modified is None else str(modified)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def _wait(text: str | None) -> float | None:
    seconds = _number(text)
    return None if seconds is None else min(float(seconds), _WAIT_LIMIT)
