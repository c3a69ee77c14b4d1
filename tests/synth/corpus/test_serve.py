"""A GPU machine that trains on what CPU machines serve must never get a wrong byte, nor wait without being told."""

from __future__ import annotations

import hashlib
import json
import random
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from synth import Catalog
from synth.corpus.serving.requests import RefusalError, parse_range
from synth.corpus.serving.server import ServeSettings, Service
from synth.errors import SynthError
from tests.synth.corpus.sites import SHARDS, Site, heard, site, small_catalog, stored_shards

TOKEN = "a-token-for-tests-0123456789"


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_catalog(tmp_path_factory.mktemp("catalog"))


@pytest.fixture(scope="module")
def files(catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The shards as a corpus on disk has them."""
    return [path.read_bytes() for path in stored_shards(catalog, tmp_path_factory.mktemp("corpus"), SHARDS)]


@pytest.fixture(scope="module")
def served(catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(catalog, tmp_path_factory.mktemp("cache")) as found:
        yield found


@pytest.fixture(scope="module")
def guarded(catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(catalog, tmp_path_factory.mktemp("cache"), token=TOKEN) as found:
        yield found


class TestAnswers:
    @pytest.mark.parametrize("shard", [0, 7])
    def test_a_shard_is_the_file_of_a_corpus(self, served: Site, files: list[bytes], shard: int) -> None:
        status, headers, data = served.ask(f"/dcase2025/3/00000{shard}.tar")
        assert status == 200
        assert data == files[shard]
        assert headers["etag"] == f'"{hashlib.sha256(data).hexdigest()}"'
        assert headers["content-length"] == str(len(data))
        assert headers["content-type"] == "application/x-tar"
        assert headers["accept-ranges"] == "bytes"
        assert "immutable" in headers["cache-control"]
        again, same, nothing = served.ask(f"/dcase2025/3/00000{shard}.tar", "HEAD")
        assert (again, nothing) == (200, b"")
        assert {k: v for k, v in same.items() if k != "date"} == {
            k: v for k, v in headers.items() if k != "date"
        }

    def test_who_has_it_gets_none(self, served: Site) -> None:
        path = "/dcase2025/3/000000.tar"
        etag = served.ask(path, "HEAD")[1]["etag"]
        for header in (etag, f'"other", W/{etag}', "*"):
            status, headers, data = served.ask(path, if_none_match=header)
            assert (status, headers["etag"], data) == (304, etag, b"")
        assert served.ask(path, if_none_match='"other"')[0] == 200

    def test_the_index_leads_to_the_members(self, served: Site, files: list[bytes]) -> None:
        status, headers, data = served.ask("/dcase2025/3/000001.idx.json")
        assert (status, headers["content-type"]) == (200, "application/json")
        content = json.loads(data)
        assert content["sha256"] == hashlib.sha256(files[1]).hexdigest()
        member = content["members"][3]
        last = member["offset"] + member["size"] - 1
        status, headers, data = served.ask(
            "/dcase2025/3/000001.tar", range=f"bytes={member['offset']}-{last}"
        )
        assert status == 206
        assert hashlib.sha256(data).hexdigest() == member["sha256"]

    @pytest.mark.parametrize(
        ("header", "part"),
        [
            ("bytes=0-0", slice(0, 1)),
            ("bytes=512-1535", slice(512, 1536)),
            ("bytes=700-", slice(700, None)),
            ("bytes=-100", slice(-100, None)),
            ("bytes=-99999999999", slice(None)),
            ("bytes=0-99999999999", slice(None)),
            ("Bytes = 5 - 9", slice(5, 10)),
        ],
    )
    def test_ranges(self, served: Site, files: list[bytes], header: str, part: slice) -> None:
        status, headers, data = served.ask("/dcase2025/3/000002.tar", range=header)
        assert status == 206
        assert data == files[2][part]
        first = range(len(files[2]))[part][0]
        assert headers["content-range"] == f"bytes {first}-{first + len(data) - 1}/{len(files[2])}"

    def test_a_range_of_another_version_is_the_whole(self, served: Site, files: list[bytes]) -> None:
        path = "/dcase2025/3/000002.tar"
        assert served.ask(path, range="bytes=0-9", if_range='"other"')[2] == files[2]
        etag = served.ask(path, "HEAD")[1]["etag"]
        assert served.ask(path, range="bytes=0-9", if_range=etag)[2] == files[2][:10]
        assert served.ask(path, range="lines=0-9")[2] == files[2], "units that nobody knows are ignored"

    def test_other_content_than_pinned_is_refused(self, served: Site) -> None:
        path = "/dcase2025/3/000000.tar"
        content = served.ask(path, "HEAD")[1]["s5kit-content"]
        assert served.ask(f"{path}?content={content}")[0] == 200
        status, _, data = served.ask(f"{path}?content={'0' * 64}")
        assert status == 409
        assert content in json.loads(data)["what"]

    def test_what_is_served_and_how_it_goes(self, served: Site) -> None:
        served.ask("/dcase2025/3/000000.tar")
        content = json.loads(served.ask("/")[2])
        assert content["recipes"]["dcase2025"]["split"] == "train"
        assert (content["shard_size"], content["num_shards"]) == (2, SHARDS)
        assert json.loads(served.ask("/health")[2]) == {"status": "ok"}
        text = served.ask("/metrics")[2].decode()
        figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        assert int(figures['s5kit_requests_total{status="200"}']) >= 3
        assert int(figures["s5kit_made_scenes_total"]) == 2 * int(figures["s5kit_made_shards_total"]) > 0
        assert float(figures["s5kit_making_seconds_total"]) > 0


class TestRefusals:
    @pytest.mark.parametrize(
        ("path", "status", "what"),
        [
            ("/demo/3/000000.tar", 404, "no recipe 'demo' is served"),
            ("/dcase2025/03/000000.tar", 400, "'03' is no seed"),
            ("/dcase2025/-1/000000.tar", 400, "'-1' is no seed"),
            ("/dcase2025/9223372036854775808/000000.tar", 400, "is no seed"),
            ("/dcase2025/%D9%A3/000000.tar", 400, "is no seed"),
            ("/dcase2025/3/0.tar", 400, "'0.tar' is no shard"),
            ("/dcase2025/3/000000.zip", 400, "is no shard"),
            ("/dcase2025/3/0000000.tar", 400, "is no shard"),
            ("/dcase2025/3/000000.tar%00", 400, "is no shard"),
            ("/dcase2025/3/000010.tar", 404, "there is no shard 000010"),
            ("/dcase2025/3/..%2F..%2F..%2Fetc%2Fpasswd", 404, "Not Found"),
            ("/dcase2025/../000000.tar", 400, "'..' is no seed"),
            ("//etc/passwd", 404, "Not Found"),
            ("/dcase2025/3", 404, "Not Found"),
            ("/docs", 404, "Not Found"),
            ("/dcase2025/3/000000.tar/", 404, "Not Found"),
            ("//example.org/3/000000.tar/", 404, "Not Found"),
        ],
    )
    def test_paths(self, served: Site, path: str, status: int, what: str) -> None:
        found, headers, data = served.ask(path)
        content = json.loads(data)
        assert found == status
        assert what in content["what"]
        assert content["where"]
        assert content["remedy"]
        assert headers["content-type"] == "application/json"

    @pytest.mark.parametrize(
        ("header", "status"),
        [
            ("bytes=9-5", 400),
            ("bytes=-", 400),
            ("bytes=a-b", 400),
            ("bytes=0-1,5-6", 400),
            ("bytes 0-1", 400),
            ("bytes=1 0-20", 400),
            ("bytes=99999999-", 416),
            ("bytes=-0", 416),
            ("bytes=99999999999999999999-", 400),
        ],
    )
    def test_ranges(self, served: Site, files: list[bytes], header: str, status: int) -> None:
        found, headers, data = served.ask("/dcase2025/3/000000.tar", range=header)
        assert found == status
        assert f"the shard has {len(files[0])} bytes" in json.loads(data)["remedy"]
        if status == 416:
            assert headers["content-range"] == f"bytes */{len(files[0])}"

    def test_what_is_no_request(self, served: Site) -> None:
        """Also one whose head has no end: memory is not for whoever writes most."""
        for data in (b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000):
            with socket.create_connection(("127.0.0.1", served.port), timeout=10) as client:
                with suppress(ConnectionError):
                    client.sendall(data)
                assert heard(client).startswith((b"HTTP/1.1 400 ", b"<gone>"))
        assert served.ask("/health")[0] == 200

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
    def test_methods(self, served: Site, method: str) -> None:
        status, headers, data = served.ask("/dcase2025/3/000000.tar", method)
        assert status == 405
        assert "GET" in headers["allow"]
        assert "Method Not Allowed" in json.loads(data)["what"]

    def test_names_of_other_machines(self, served: Site) -> None:
        """A web page that makes its name point at this machine reads nothing."""
        for name in ("attacker.example", "attacker.example:8765", "127.0.0.1.example", ""):
            assert served.ask("/", host=name)[0] == 403
        for name in ("localhost", "LOCALHOST:1", "127.0.0.1:80", "[::1]:80", "[::1]"):
            assert served.ask("/", host=name)[0] == 200

    def test_the_token(self, guarded: Site) -> None:
        path = "/dcase2025/3/000000.tar"
        for headers in (
            {},
            {"authorization": TOKEN},
            {"authorization": f"Bearer {TOKEN}x"},
            {"authorization": f"Bearer {TOKEN[:-1]}"},
            {"authorization": "Bearer \xff"},
        ):
            for target in (path, "/", "/metrics", "/nowhere"):
                status, found, data = guarded.ask(target, **headers)
                assert (status, found["www-authenticate"]) == (401, "Bearer")
                assert TOKEN not in data.decode()
        assert guarded.ask("/health")[0] == 200
        status, found, _ = guarded.ask(path, authorization=f"Bearer {TOKEN}", host="example.org")
        assert status == 200
        assert "private" in found["cache-control"]
        assert TOKEN not in repr(guarded.service.settings)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"host": "0.0.0.0"}, "other machines could connect, and there is no token"),
            ({"host": "example.org"}, "other machines could connect"),
            ({"host": "::"}, "other machines could connect"),
            ({"host": "0.0.0.0", "token": "short"}, "fewer than 16 characters"),
            ({"port": 70_000}, "port: is 70000, allowed are 0 to 65535"),
            ({"workers": 0}, "workers: is 0"),
            ({"waiting": 0}, "waiting: is 0"),
        ],
    )
    def test_settings(self, settings: dict[str, Any], message: str) -> None:
        with pytest.raises(SynthError, match=message):
            ServeSettings(**settings).check()

    def test_shards_that_nobody_could_hold(self, catalog: Path, tmp_path: Path) -> None:
        with (
            pytest.raises(SynthError, match=r"a shard of 10000 scenes may have .* bytes"),
            site(catalog, tmp_path, shard_size=10_000, max_shard_bytes=1 << 30),
        ):
            pass
        with pytest.raises(SynthError, match="no recipe is given"):
            Service([], Catalog.load(catalog), ServeSettings(), tmp_path)

    def test_ranges_of_an_empty_file(self) -> None:
        with pytest.raises(RefusalError, match="no byte"):
            parse_range("bytes=0-", 0)


def test_a_client_that_waits_is_told_to_come_again(catalog: Path, files: list[bytes], tmp_path: Path) -> None:
    path = "/dcase2025/3/000004.tar"
    with site(catalog, tmp_path, wait_seconds=0.3, max_requests=1) as found:
        with ThreadPoolExecutor(1) as clients:
            waiting = clients.submit(found.ask, path)
            time.sleep(0.1)
            status, headers, data = found.ask("/health")
            assert (status, headers["retry-after"]) == (503, "1")
            assert "1 requests are being answered" in json.loads(data)["what"]
            status, headers, data = waiting.result(60)
        assert (status, headers["retry-after"]) == (503, "10")
        assert "it is not made after 0.3 s" in json.loads(data)["what"]
        end = time.monotonic() + 60
        while (status := found.ask(path)[0]) == 503 and time.monotonic() < end:
            pass
        assert (status, found.ask(path)[2]) == (200, files[4])
        assert found.service.crew.figures.made == 1, "it was made while nobody waited"


def test_many_clients_and_a_small_cache_give_no_wrong_byte(
    catalog: Path, files: list[bytes], tmp_path: Path
) -> None:
    """Shards are removed and made again while others read them."""
    room = 3 * max(map(len, files))
    with site(catalog, tmp_path, cache_bytes=room, max_shard_bytes=room, waiting=100) as found:

        def client(number: int) -> int:
            rng = random.Random(number)
            for _ in range(25):
                shard = rng.randrange(SHARDS)
                begin = rng.randrange(len(files[shard]))
                end = rng.randrange(begin, len(files[shard])) + 1
                ranged = {"range": f"bytes={begin}-{end - 1}"} if rng.random() < 0.5 else {}
                status, headers, data = found.ask(f"/dcase2025/3/{shard:06d}.tar", **ranged)
                assert status == (206 if ranged else 200)
                assert data == (files[shard][begin:end] if ranged else files[shard])
                assert headers["etag"].strip('"') == hashlib.sha256(files[shard]).hexdigest()
            return 25

        found.ask("/dcase2025/3/000000.tar")
        handles = len(list(Path("/proc/self/fd").iterdir()))
        with ThreadPoolExecutor(6) as clients:
            assert sum(clients.map(client, range(6))) == 150
        assert len(list(Path("/proc/self/fd").iterdir())) <= handles + 6, "files of shards are closed"
        store, crew = found.service.store, found.service.crew
        assert store.figures.removed > 0
        assert store.figures.hits + store.figures.joined + store.figures.misses >= 150
        assert crew.figures.made == store.figures.misses
        assert store.bytes <= room
        assert sum(path.stat().st_size for path in tmp_path.glob("*/*.tar")) == store.bytes
