"""A corpus that a bucket holds by halves, or with a byte changed on the way, is found out in training, or never."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from synth.corpus import remote_write
from synth.corpus.corpus import CorpusReport, write_part, write_scenes
from synth.corpus.engines import Engine, LocalEngine
from synth.corpus.remote_write import ASIDE, RemoteFolder
from synth.corpus.shards import MakeScene
from synth.corpus.verify import verify_scenes
from synth.errors import ProblemsError, SynthError
from tests.synth.corpus.corpora import MadeUpScenes, contents, identity, made_up_scene, write

URL = "memory://bucket/corpus"
SHARD = "madeup-train-5-00000{}.tar"


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The corpus as a folder holds it."""
    directory = tmp_path_factory.mktemp("clean")
    write(directory)
    return contents(directory)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(remote_write, "_WAIT_SECONDS", 0.001)
    MemoryFileSystem.store.clear()
    yield
    MemoryFileSystem.store.clear()


def upload(
    url: str = URL, scenes: MakeScene | None = None, engine: Engine | None = None, **changes: Any
) -> CorpusReport:
    return write_scenes(
        identity(**changes),
        scenes or MadeUpScenes(),
        url,
        recipe={"name": "madeup"},
        engine=engine or LocalEngine(),
    )


def remote(url: str = URL) -> dict[str, str]:
    """Name -> SHA-256 of everything at an address, leftovers too."""
    system, path = fsspec.core.url_to_fs(url)
    system.invalidate_cache()
    files = system.find(path) if system.exists(path) else []
    return {
        name.partition(path.strip("/") + "/")[2]: hashlib.sha256(system.cat_file(name)).hexdigest()
        for name in files
    }


class TestMemory:
    def test_the_bytes_are_those_of_a_folder(self, clean: dict[str, str]) -> None:
        report = upload()
        assert remote() == clean
        assert report.directory == URL
        assert report.outcomes == ("made",) * 3

    def test_a_second_run_keeps_everything(self, clean: dict[str, str]) -> None:
        upload()
        assert upload(scenes=MadeUpScenes(fail_at=0)).outcomes == ("kept",) * 3
        assert remote() == clean

    def test_an_interrupted_run_is_continued(self, clean: dict[str, str]) -> None:
        with pytest.raises(SynthError, match="scene 4 cannot be made"):
            upload(scenes=MadeUpScenes(fail_at=4))
        left = remote()
        assert left.items() <= clean.items()
        assert set(left) == {SHARD.format(0), SHARD.format(0).replace(".tar", ".idx.json")}
        assert upload().outcomes == ("kept", "made", "made")
        assert remote() == clean

    def test_a_shard_of_the_wrong_size_is_made_again(self, clean: dict[str, str]) -> None:
        upload()
        fsspec.filesystem("memory").pipe_file(f"/bucket/corpus/{SHARD.format(1)}", b"short")
        assert upload().outcomes == ("kept", "mended", "kept")
        assert remote() == clean

    def test_parts_finish_it(self, clean: dict[str, str]) -> None:
        for first in (2, 0, 1):
            report = write_part(
                identity(),
                MadeUpScenes(),
                URL,
                shards=range(first, first + 1),
                recipe={"name": "madeup"},
                engine=LocalEngine(),
            )
        assert report.index is not None
        assert remote() == clean

    @pytest.mark.parametrize("changes", [{"seed": 6}, {"num_scenes": 8}])
    def test_another_corpus_is_refused(self, clean: dict[str, str], changes: dict[str, Any]) -> None:
        upload()
        with pytest.raises(SynthError, match="holds another corpus"):
            upload(**changes)
        assert remote() == clean

    @pytest.mark.slow
    def test_memory_of_another_process_is_said(self) -> None:
        """With two workers the shards end in two memories that nobody sees."""
        with pytest.raises(SynthError, match="memory:// lives in one process: use it with one worker"):
            upload(engine=LocalEngine(2))
        assert "index.json" not in remote()


class TestFaults:
    @pytest.mark.parametrize("fault", ["put_file", "mv", "open", "info"])
    def test_a_line_that_breaks_once_is_tried_again(
        self, monkeypatch: pytest.MonkeyPatch, clean: dict[str, str], fault: str
    ) -> None:
        for number in range(1, 9):
            with monkeypatch.context() as patch:
                calls = broken(patch, fault, {number})
                upload()
                assert calls[0] > number
            assert remote() == clean
            MemoryFileSystem.store.clear()

    @pytest.mark.parametrize("fault", ["put_file", "mv"])
    def test_a_line_that_stays_broken_leaves_nothing_half(
        self, monkeypatch: pytest.MonkeyPatch, clean: dict[str, str], fault: str
    ) -> None:
        """Fail for good from the n-th call on, for every n; then go on."""
        for number in range(1, 100):
            with monkeypatch.context() as patch:
                broken(patch, fault, set(range(number, 1000)))
                said = _fault()
                if said is None:
                    break
                for words in (f"{URL}/", "OSError: the line is broken", "run the same command again"):
                    assert words in said
            left = remote()
            assert left.items() <= clean.items()
            assert ("index.json" in left) == (left == clean)
            upload()
            assert remote() == clean
            MemoryFileSystem.store.clear()
        assert number > 7

    def test_a_byte_changed_on_the_way_is_noticed(
        self, monkeypatch: pytest.MonkeyPatch, clean: dict[str, str]
    ) -> None:
        changed: list[str] = []
        real = MemoryFileSystem.put_file

        def put_file(self: Any, local: str, name: str, **options: Any) -> None:
            real(self, local, name, **options)
            if name.endswith(SHARD.format(1)) and not changed:
                changed.append(name)
                data = bytearray(self.cat_file(name))
                data[700] ^= 1
                self.pipe_file(name, bytes(data))

        monkeypatch.setattr(MemoryFileSystem, "put_file", put_file)
        upload()
        assert changed
        assert remote() == clean

    def test_no_rights(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refused(*_: object, **__: object) -> None:
            raise PermissionError("Access Denied")

        monkeypatch.setattr(MemoryFileSystem, "put_file", refused)
        with pytest.raises(SynthError, match=r"PermissionError: Access Denied .*fsspec's own configuration"):
            upload()

    def test_addresses_that_cannot_be(self, tmp_path: Path) -> None:
        with pytest.raises(SynthError, match="credentials in it") as caught:
            upload("s3://key:hunter2@bucket/corpus")
        assert "hunter2" not in str(caught.value)
        with pytest.raises(SynthError, match="gopher://x/y: it cannot be opened: Protocol not known"):
            upload("gopher://x/y")

    def test_an_address_is_no_path(self, tmp_path: Path) -> None:
        """`Path` makes s3:/bucket of it, which would be a folder of that name."""
        with pytest.raises(SynthError, match="s3:/bucket/corpus: an address that was made a Path"):
            upload(Path("s3://bucket/corpus"))  # type: ignore[arg-type]

    def test_what_a_killed_run_left_aside_goes_with_the_index(self, clean: dict[str, str]) -> None:
        fsspec.filesystem("memory").pipe_file(f"/bucket/corpus/{ASIDE}/dead/1234-x.tar", b"half")
        upload()
        assert remote() == clean


def _fault() -> str | None:
    """Return what a run says that fails."""
    try:
        upload()
    except SynthError as error:
        return str(error)
    return None


def broken(patch: pytest.MonkeyPatch, name: str, numbers: set[int]) -> list[int]:
    """Let the n-th calls of a method fail; return the count of calls."""
    calls = [0]
    real = getattr(MemoryFileSystem, name)

    def method(self: Any, *arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] in numbers:
            raise OSError("the line is broken")
        return real(self, *arguments, **options)

    patch.setattr(MemoryFileSystem, name, method)
    return calls


def test_file_addresses_are_folders(tmp_path: Path, clean: dict[str, str]) -> None:
    upload((tmp_path / "out").as_uri())
    assert contents(tmp_path / "out") == clean


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """An empty bucket of a server that speaks S3, on this machine."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        }.items():
            patch.setenv(name, value)
        fsspec.filesystem("s3").mkdir("bucket")
        yield "s3://bucket/corpus"
    server.stop()


class TestS3:
    def test_written_continued_and_read_back(self, bucket: str, clean: dict[str, str]) -> None:
        with pytest.raises(SynthError, match="scene 4 cannot be made"):
            upload(bucket, MadeUpScenes(fail_at=4))
        assert upload(bucket).outcomes == ("kept", "made", "made")
        assert remote(bucket) == clean
        assert RemoteFolder.at(bucket).finished(identity()) is not None
        assert verify_scenes(bucket, made_up_scene, rerender=3).identical == 3
        path = f"{bucket}/{SHARD.format(1)}"
        data = bytearray(fsspec.filesystem("s3").cat_file(path))
        data[600] ^= 1
        fsspec.filesystem("s3").pipe_file(path, bytes(data))
        with pytest.raises(ProblemsError, match=rf"1 problem.*\n +{path}: the .* was changed"):
            verify_scenes(bucket, None)
        fsspec.filesystem("s3").pipe_file(path, bytes(data) + b"x")
        with pytest.raises(ProblemsError, match=rf"{path}: it has .* bytes, its index says"):
            verify_scenes(bucket, None)

    @pytest.mark.slow
    def test_written_and_verified_by_several_processes(self, bucket: str, clean: dict[str, str]) -> None:
        assert upload(f"{bucket}2", engine=LocalEngine(2)).outcomes == ("made",) * 3
        assert remote(f"{bucket}2") == clean
        verify_scenes(f"{bucket}2", None, workers=2)

    def test_a_bucket_that_is_not_there(self, bucket: str) -> None:
        with pytest.raises(SynthError, match=r"s3://nowhere/corpus/.*it cannot be read or written"):
            upload("s3://nowhere/corpus")
