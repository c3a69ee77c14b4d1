"""A web server on this machine that breaks connections, lies and changes its mind as told."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Page:
    """One file of the server.

    Attributes:
        data: Its bytes.
        etag: Of the bytes; "" for none.
        ranges: Whether ranges are answered with ranges.
        if_range: Whether If-Range is honoured.
        length: Whether Content-Length is sent.
        script: What the next requests get, the first first; "ok" afterwards. "cut N": N bytes, then the
            connection ends; "hang N": N bytes, then silence; "status N": that status; "to ADDRESS": a redirection; "swap": from now on,
            before answering, other bytes of the same length under another ETag.
    """

    data: bytes
    etag: str = '"one"'
    ranges: bool = True
    if_range: bool = True
    length: bool = True
    script: list[str] = field(default_factory=list)


@dataclass
class Web:
    """The server: pages by path, and what was asked for, as (path, Range header)."""

    port: int
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def add(self, name: str, data: bytes, **how: Any) -> dict[str, Any]:
        """Offer a file; return its row for a table of sources."""
        self.pages[f"/{name}"] = Page(data, **how)
        return {"name": name, "address": self.address(f"/{name}")}

    def add_record(self, number: int, files: dict[str, bytes], *, entries: bool = False) -> str:
        """Offer a record with its files; return the address of its listing."""
        rows = {}
        for name, data in files.items():
            path = f"/api/records/{number}/files/{name}/content"
            self.pages[path] = Page(data)
            digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
            links = {"content" if entries else "self": self.address(path)}
            rows[name] = {"key": name, "size": len(data), "checksum": f"md5:{digest}", "links": links}
        listing = {"files": {"entries": rows} if entries else list(rows.values())}
        self.pages[f"/api/records/{number}"] = Page(json.dumps(listing).encode())
        return self.address(f"/api/records/{number}")


@contextmanager
def serving() -> Iterator[Web]:
    """Run a server on a free port of this machine."""

    class Handler(_Handler):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Handler.web = Web(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Handler.web
    finally:
        Handler.web.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    web: Web

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.web.asked.append((self.path, wanted))
        page = self.web.pages.get(self.path)
        if page is None:
            self.send_error(404)
            return
        word, _, value = (page.script.pop(0) if page.script else "ok").partition(" ")
        if word == "status":
            self.send_response(int(value))
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif word == "to":
            self.send_response(302)
            self.send_header("Location", value)
            self.end_headers()
        else:
            if word == "swap":
                page.data, page.etag = bytes(reversed(page.data)), '"two"' if page.etag else ""
            self._send(page, wanted, int(value) if word in ("cut", "hang") else None)
            if word == "hang":
                self.wfile.flush()
                self.web.ended.wait(60)

    def _send(self, page: Page, wanted: str | None, cut: int | None) -> None:
        first, size = 0, len(page.data)
        end = size
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted or "")
        same = not page.if_range or self.headers.get("If-Range") in (None, page.etag)
        part = bool(found and page.ranges and same)
        if found and part:
            first, end = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
        if first >= size and first:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if part else 200)
        if part:
            self.send_header("Content-Range", f"bytes {first}-{end - 1}/{size}")
        if page.etag:
            self.send_header("ETag", page.etag)
        if page.length:
            self.send_header("Content-Length", str(end - first))
        self.end_headers()
        body = page.data[first:end]
        self.close_connection = True
        with suppress(ConnectionError):  # The other side may be gone: that is its business.
            self.wfile.write(body if cut is None else body[:cut])

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
