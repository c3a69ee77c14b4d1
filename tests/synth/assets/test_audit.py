"""The check of a catalog: a leak that goes unseen makes every figure of a paper wrong."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synth.assets.audit import AuditReport, audit_catalog, catalog_ledger
from synth.assets.catalog import Catalog, write_catalog
from synth.assets.importers.dcase import build_catalog
from tests.builders import make_dev_set, write_wav

SOUND = {
    "dataset": "d",
    "set": "dev",
    "licence": "CC0-1.0",
    "rate": 32_000,
    "channels": 1,
    "frames": 9,
    "samples": 9,
}
_count = iter(range(10**6))


def event(split: str, label: str, source: str, depth: int = 1, **changes: Any) -> dict[str, Any]:
    n = next(_count)
    row = {
        "path": f"e/{split}/{label}/{n}.wav",
        "label": label,
        "split": split,
        "source": source,
        "depth": depth,
    }
    return {**row, **SOUND, "sha256": f"{n:064x}", **changes}


def noise(split: str, source: str, **changes: Any) -> dict[str, Any]:
    n = next(_count)
    return {
        "path": f"n/{split}/{n}.wav",
        "split": split,
        "source": source,
        **SOUND,
        "sha256": f"{n:064x}",
        **changes,
    }


def place(split: str, name: str, **changes: Any) -> dict[str, Any]:
    n = next(_count)
    row = {"path": f"r/{split}/{n}.sofa", "place": name, "split": split, "taps": 5, "positions": 1}
    return {**row, **SOUND, "sha256": f"{n:064x}", **changes}


def audit(tmp_path: Path, min_sources: int = 0, **tables: list[dict[str, Any]]) -> AuditReport:
    position = {
        "position": 0,
        "x": 1.0,
        "y": 0.0,
        "z": 0.0,
        "azimuth": 0.0,
        "elevation": 0.0,
        "distance": 1.0,
    }
    names = ("events", "interferers", "noises", "places")
    rows = {name: tables.get(name, []) for name in names}
    rows["positions"] = [{"path": row["path"], **position} for row in rows["places"]]
    catalog = write_catalog(tmp_path / "c", layout="x", root=tmp_path / "root", tables=rows)
    return audit_catalog(catalog, listen=False, min_sources=min_sources)


def found(report: AuditReport) -> list[tuple[str, bool]]:
    return [(finding.kind, finding.leak) for finding in report.findings]


LEAKS: dict[str, tuple[dict[str, list[dict[str, Any]]], list[tuple[str, bool]]]] = {
    "content": (
        {
            "events": [
                event("train", "Pour", "a", sha256="f" * 64),
                event("test", "Pour", "b", sha256="f" * 64),
            ]
        },
        [("content", True)],
    ),
    "content in one split": (
        {
            "events": [
                event("train", "Pour", "a", sha256="f" * 64),
                event("train", "Pour", "b", sha256="f" * 64),
            ]
        },
        [("content", False)],
    ),
    "speaker in another class": (
        {"events": [event("train", "Speech", "anna/calm", 2), event("valid", "Cough", "anna/loud", 2)]},
        [("source", True)],
    ),
    "speaker of another data set": (
        {"events": [event("train", "Speech", "anna"), event("valid", "Speech", "anna", dataset="e")]},
        [],
    ),
    "object1 of another class": (
        {"events": [event("train", "Pour", "object1"), event("valid", "Cough", "object1")]},
        [],
    ),
    "object1 of the class": (
        {"events": [event("train", "Pour", "object1"), event("valid", "Pour", "object1")]},
        [("source", True)],
    ),
    "Freesound number": (
        {"events": [event("train", "Pour", "50117", 0), event("valid", "Dishes", "50117", 0)]},
        [("source", True)],
    ),
    "parts of one recording": (
        {"interferers": [event("train", "Rain", "x7_split0_ch2", 0), event("valid", "Rain", "x7_split3", 0)]},
        [("source", True)],
    ),
    "target here, interference there": (
        {
            "events": [event("train", "Pour", "x", sha256="f" * 64), event("train", "Pour", "9134", 0)],
            "interferers": [event("valid", "Rain", "y", sha256="f" * 64), event("test", "Rain", "9134", 0)],
        },
        [("content", True), ("source", True)],
    ),
    "place": ({"places": [place("train", "attic"), place("test", "attic")]}, [("place", True)]),
    "place, named twice": (
        {"places": [place("train", "foa-meir_test_pid0003"), place("valid", "room_pid3", dataset="e")]},
        [("place", True)],
    ),
    "other place": ({"places": [place("train", "attic"), place("test", "cellar")]}, []),
    "noise": ({"noises": [noise("train", "street_seg1"), noise("test", "street_seg2")]}, [("noise", True)]),
    "noise, FOA-MEIR": (
        {
            "noises": [
                noise("train", "foa-meir_reverb-s_pid0031_BG"),
                noise("test", "BG_pid0031", dataset="e"),
            ]
        },
        [("noise", True)],
    ),
}


@pytest.mark.parametrize("case", LEAKS)
def test_leaks(tmp_path: Path, case: str) -> None:
    tables, expected = LEAKS[case]
    assert found(audit(tmp_path, **tables)) == expected


def test_a_leak_names_files_of_both_splits(tmp_path: Path) -> None:
    one, two = event("train", "Speech", "anna"), event("valid", "Speech", "anna")
    (leak,) = audit(tmp_path, events=[one, two]).leaks
    assert one["path"] in leak.problem.what
    assert two["path"] in leak.problem.what
    assert "anna" in leak.problem.what


def test_classes_with_few_sources(tmp_path: Path) -> None:
    rows = [event("train", "Pour", f"object{n % 2}") for n in range(9)]
    rows += [event("train", "Cough", f"object{n}") for n in range(3)] + [event("valid", "Speech", "a")]
    report = audit(tmp_path, min_sources=3, events=rows)
    assert [(f.kind, f.leak, f.problem.where) for f in report.findings] == [
        ("few-sources", False, "events: Pour")
    ]


def test_the_ledger_has_every_licence(tmp_path: Path) -> None:
    report = audit(
        tmp_path,
        events=[event("train", "Pour", "a"), event("train", "Pour", "b", licence="CC-BY-NC-ND-4.0")],
        places=[place("train", "x", licence="ask Bob", dataset="mine")],
    )
    assert [(r.dataset, r.licence, r.count, r.redistribution) for r in report.ledger] == [
        ("d", "CC-BY-NC-ND-4.0", 1, "forbidden"),
        ("mine", "ask Bob", 1, "unknown"),
        ("d", "CC0-1.0", 1, "allowed"),
    ]


class TestListening:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        make_dev_set(tmp_path / "r", classes=("Speech",), per_class=1, positions=2, taps=50, seconds=0.05)
        for split in ("train", "valid"):
            write_wav(tmp_path / f"r/sound_event/{split}/Speech/long_{split}.wav", _chimes(split == "valid"))
        return tmp_path / "r"

    def report(self, root: Path, workers: int = 1) -> AuditReport:
        catalog = build_catalog("dcase2025", root, root.parent / "out", cache=False).catalog
        return audit_catalog(catalog, min_sources=0, workers=workers)

    def test_a_good_tree(self, root: Path) -> None:
        report = self.report(root)
        assert report.findings == ()
        assert report.listened == 10

    def test_a_treated_copy_in_another_split(self, root: Path) -> None:
        folder = root / "sound_event"
        write_wav(folder / "valid/Speech/copy.flac", 0.3 * _chimes(False)[4000:], subtype="PCM_16")
        report = self.report(root)
        assert found(report) == [("near-duplicate", True)]
        text = str(report.findings[0].problem)
        assert "copy.flac" in text
        assert "long_train.wav" in text
        assert found(self.report(root, workers=2)) == found(report)

    def test_a_treated_copy_in_the_same_split(self, root: Path) -> None:
        write_wav(root / "sound_event/train/Speech/copy.wav", 0.3 * _chimes(False)[4000:])
        assert found(self.report(root)) == [("near-duplicate", False)]

    def test_a_file_that_is_gone(self, root: Path) -> None:
        catalog = build_catalog("dcase2025", root, root.parent / "out", cache=False).catalog
        (root / "sound_event/train/Speech/long_train.wav").unlink()
        report = audit_catalog(Catalog.load(catalog.directory), min_sources=0)
        assert found(report) == [("unreadable", True)]


def test_the_ledger_of_a_built_catalog(tmp_path: Path) -> None:
    root = make_dev_set(tmp_path / "r", classes=("Speech",), positions=2, taps=50, seconds=0.05)
    catalog = build_catalog("dcase2025", root, tmp_path / "out", cache=False, licence="CC-BY-4.0").catalog
    (row,) = catalog_ledger(catalog)
    assert (row.licence, row.count) == ("CC-BY-4.0", 4 + 4 + 2 + 2)
    shutil.rmtree(root)


def _chimes(other: bool) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(int(other))
    t = np.arange(3_000) / 32_000
    tones = [np.sin(2 * np.pi * rng.uniform(200, 7000) * t) * np.exp(-40 * t) for _ in range(30)]
    return 0.5 * np.concatenate(tones)
