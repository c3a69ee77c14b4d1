"""Published checkpoints are fetched whole, under their terms, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.checkpoints import PUBLISHED_WEIGHTS, download_weights
from models.errors import ModelError


class Answer:
    """What an address answers."""

    def __init__(self, data: bytes, length: int | None = None) -> None:
        self.data, self.headers = data, {"Content-Length": str(length if length is not None else len(data))}

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def read(self, _size: int = -1) -> bytes:
        data, self.data = self.data, b""
        return data


def test_terms_come_before_m2ds_weights(tmp_path: Path) -> None:
    asked: list[str] = []

    def open_url(address: str, **_: object) -> Answer:
        asked.append(address)
        return Answer(b"weights")

    with pytest.raises(ModelError, match="NTT"):
        download_weights("m2d-strong", tmp_path, open_url=open_url)
    assert asked == []
    assert (
        download_weights("m2d-strong", tmp_path, accept_terms=True, open_url=open_url).read_bytes()
        == b"weights"
    )
    assert download_weights("beats-strong", tmp_path, open_url=open_url).name == "BEATs_strong_1.pt"
    assert all(address.startswith("https://") for address in asked)


def test_failed_downloads_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="7 of 9 bytes"):
        download_weights("beats-weak", tmp_path, open_url=lambda *_, **__: Answer(b"weights", 9))

    def fail(*_: object, **__: object) -> Answer:
        raise OSError("no route")

    with pytest.raises(ModelError, match="no route"):
        download_weights("beats-weak", tmp_path, open_url=fail)
    assert list(tmp_path.iterdir()) == []
    for name, named in (("nothing", "unknown checkpoint"), ("audiosep", "by hand")):
        with pytest.raises(ModelError, match=named):
            download_weights(name, tmp_path)


def test_every_ntt_checkpoint_asks_for_its_terms() -> None:
    for entry in PUBLISHED_WEIGHTS.values():
        ntt = entry.kind in ("m2d", "baseline2025", "baseline2026")
        assert (entry.terms == "NTT") == ntt
        assert entry.share != ntt
