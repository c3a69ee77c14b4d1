"""A corpus that only we can read is no use to others: plain webdataset and Hugging Face datasets."""

from __future__ import annotations

import gc
import importlib.util
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import soundfile
import webdataset
from datasets.packaged_modules.webdataset.webdataset import WebDataset

from tests.synth.corpus.corpora import DURATION, MadeUpScenes, made_up_scene, made_up_spec, present, write

COLUMNS = {"__key__", "__url__", "dry0.flac", "dry1.flac", "dry2.flac", "json", "mixture.flac"}
NUM_SCENES = 11

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first six scenes have no target, no interferer and no noise; later ones have."""
    directory = tmp_path_factory.mktemp("corpus")
    write(directory, MadeUpScenes(quiet=6), num_scenes=NUM_SCENES, shard_size=8)
    return directory


@pytest.fixture(autouse=True)
def _tidy() -> Iterator[None]:
    """No progress bars; archives that these libraries leave open are closed before the test ends."""
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()
    gc.collect()


def check(rows: list[dict[str, Any]]) -> None:
    """Rows have the scenes of the corpus: sounds as bytes, the JSON as a dictionary."""
    assert len(rows) == NUM_SCENES
    for index, row in enumerate(rows):
        assert row.keys() == COLUMNS
        wanted = made_up_scene(made_up_spec(index, bare=index < 6))
        assert row["__key__"] == f"madeup-train-5-{index:09d}"
        stored, rate = soundfile.read(io.BytesIO(row["mixture.flac"]), dtype="float32")
        assert rate == 32_000
        np.testing.assert_allclose(stored.T, present(wanted.mixture), atol=2**-16)
        assert row["json"]["num_targets"] == len(wanted.spec.targets)
        assert [target["label"] for target in row["json"]["targets"]] == [
            *(event.label for event in wanted.spec.targets),
            *["silence"] * (3 - len(wanted.spec.targets)),
        ]
        assert json.loads(row["json"]["spec"]) == json.loads(wanted.spec.to_json())
        assert len(json.loads(row["json"]["labels"])) == len(wanted.spec.targets)


def test_webdataset_alone(corpus: Path) -> None:
    urls = sorted(map(str, corpus.glob("*.tar")))
    rows = []
    for sample in webdataset.WebDataset(urls, shardshuffle=False):
        row = {key: sample[key] for key in COLUMNS}
        rows.append({**row, "json": json.loads(row["json"])})
    check(rows)


@pytest.mark.parametrize("streaming", [False, True])
class TestDatasets:
    def test_with_our_columns(self, corpus: Path, tmp_path: Path, streaming: bool) -> None:
        """The documented way: needs no decoder of sound."""
        columns = json.loads((corpus / "index.json").read_text())["features"]
        rows = datasets.load_dataset(
            "webdataset",
            data_files=str(corpus / "*.tar"),
            split="train",
            features=datasets.Features.from_dict(columns),
            streaming=streaming,
            cache_dir=str(tmp_path),
        )
        check(list(rows))

    def test_columns_can_be_inferred(
        self, corpus: Path, tmp_path: Path, streaming: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Types come from the first five samples, here empty ones, and must fit all others."""
        monkeypatch.setattr(WebDataset, "AUDIO_EXTENSIONS", [])
        rows = datasets.load_dataset(
            "webdataset",
            data_files=str(corpus / "*.tar"),
            split="train",
            streaming=streaming,
            cache_dir=str(tmp_path),
        )
        check(list(rows))

    def test_sounds_are_decoded_by_torchcodec_or_say_that_it_is_missing(
        self, corpus: Path, tmp_path: Path, streaming: bool
    ) -> None:
        columns = json.loads((corpus / "index.json").read_text())["features"]
        rows = datasets.load_dataset(
            "webdataset",
            data_files=str(corpus / "*.tar"),
            split="train",
            features=datasets.Features.from_dict(columns),
            streaming=streaming,
            cache_dir=str(tmp_path),
        ).cast_column("mixture.flac", datasets.Audio())
        if importlib.util.find_spec("torchcodec") is None:
            with pytest.raises(ImportError, match="torchcodec"):
                next(iter(rows))
        else:
            assert next(iter(rows))["mixture.flac"].get_all_samples().data.shape == (4, DURATION)
