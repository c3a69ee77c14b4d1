"""A corpus in a bucket streams like one on disk; the server is a real one that speaks S3, on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

from synth import CorpusStream, SynthError
from tests.synth.corpus.corpora import write
from tests.synth.corpus.test_stream_corpus import check

boto3 = pytest.importorskip("boto3")
server = pytest.importorskip("moto.server")


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("clean")
    write(directory)
    return directory


@pytest.fixture(scope="module")
def options(clean: Path) -> Iterator[dict[str, Any]]:
    """A bucket with the corpus in it; what fsspec needs to reach it."""
    secrets = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in secrets}
    os.environ.update(secrets)
    moto = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        client = boto3.client("s3", endpoint_url=endpoint)
        client.create_bucket(Bucket="bucket")
        for path in clean.iterdir():
            client.upload_file(str(path), "bucket", f"sets/corpus/{path.name}")
        yield {"endpoint_url": endpoint}
    finally:
        moto.stop()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bucket_is_a_corpus(clean: Path, options: dict[str, Any], tmp_path: Path, workers: int) -> None:
    stream = CorpusStream("s3://bucket/sets/corpus", batch_size=2, epochs=2, cache=tmp_path, options=options)
    assert len(check(stream, clean, 99, workers)) == 14


def test_workers_made_by_a_fork_open_the_bucket_for_themselves(clean: Path, options: dict[str, Any]) -> None:
    """fsspec's thread does not survive a fork: sharing it would hang for ever."""
    stream = CorpusStream("s3://bucket/sets/corpus", batch_size=2, epochs=1, options=options)
    next(iter(stream))
    loader = DataLoader(stream, batch_size=2, num_workers=1)
    assert [len(batch["position"]) for batch in loader] == [2, 2, 2, 1]


def test_what_is_not_there_is_named(options: dict[str, Any]) -> None:
    with pytest.raises(
        SynthError, match=r"s3://bucket/elsewhere/index\.json: it cannot be fetched: FileNotFound"
    ):
        CorpusStream("s3://bucket/elsewhere", options=options)
