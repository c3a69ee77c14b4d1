"""The card and the way out: what a corpus is made of goes with it, and forbidden sounds stay at home."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from synth.assets.catalog import Catalog
from synth.assets.importers.dcase import build_catalog
from synth.corpus.card import CARD_MARK
from synth.corpus.corpus import write_corpus
from synth.corpus.corpus_index import CorpusIndex, read_corpus_index
from synth.corpus.publication import prepare_publication, upload
from synth.corpus.verify import verify_corpus
from synth.errors import ProblemsError, SynthError
from synth.scenes.plan import plan
from synth.scenes.recipe import Recipe, load_recipe
from tests.builders import make_dev_set
from tests.synth.corpus import corpora

RECIPE = ["scene.duration=0.3"]
NUMBER = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sounds")
    make_dev_set(folder / "dev_set", positions=4, taps=60, seconds=0.05, noise_seconds=0.4, places=2)
    return folder


def catalog(folder: Path, name: str, licences: dict[str, str]) -> Catalog:
    """A catalog in which files whose path has a key in it are under that licence."""
    paths = [p.relative_to(folder).as_posix() for p in sorted(folder.rglob("dev_set/*/*/*")) if p.is_file()]
    paths += [
        p.relative_to(folder).as_posix() for p in sorted(folder.rglob("dev_set/*/*/*/*")) if p.is_file()
    ]
    lines = [
        f"{path}\t{next((v for k, v in licences.items() if k in path), 'CC-BY-4.0')}\tmade | up"
        for path in paths
    ]
    table = folder / f"{name}.tsv"
    table.write_text("\n".join(["file\tlicence\tsource", *lines, ""]))
    return build_catalog("dcase2025", folder / "dev_set", folder / name, licences=table).catalog


def recipe(*overrides: str) -> Recipe:
    return load_recipe("dcase2025", [*RECIPE, *overrides])


def written(folder: Path, name: str, licences: dict[str, str], out: Path, *overrides: str) -> CorpusIndex:
    made = catalog(folder, name, licences)
    return write_corpus(recipe(*overrides), made, out, num_scenes=NUMBER, shard_size=2).index


@pytest.fixture(scope="module")
def free(folder: Path) -> Path:
    written(folder, "free", {}, folder / "corpus-free")
    return folder / "corpus-free"


@pytest.fixture(scope="module")
def forbidden(folder: Path) -> Path:
    licences = {"/noise/": "NTT evaluation agreement: no redistribution", "/room_ir/": "ask Bob"}
    written(folder, "forbidden", licences, folder / "corpus-forbidden")
    return folder / "corpus-forbidden"


def header(directory: Path) -> dict[str, Any]:
    text = (directory / "README.md").read_text()
    _, front, _ = text.split("---\n", 2)
    content: dict[str, Any] = yaml.safe_load(front)
    return content


def test_the_ledger_counts_the_files_of_the_scenes(folder: Path, forbidden: Path) -> None:
    opened = Catalog.load(folder / "forbidden")
    expected: Counter[str] = Counter()
    for index in range(NUMBER):
        spec = plan(recipe(), opened, 0, index)
        expected["CC-BY-4.0"] += len(spec.targets) + len(spec.interferers)
        expected["ask Bob"] += 1
        expected["NTT evaluation agreement: no redistribution"] += spec.noise is not None
    index = read_corpus_index(forbidden)
    assert {row.licence: row.count for row in index.ledger} == expected
    assert [row.redistribution for row in index.ledger] == ["forbidden", "unknown", "allowed"]
    assert index.redistribution == "forbidden"


def test_a_licence_of_sounds_that_no_scene_uses_is_not_in_it(folder: Path) -> None:
    only = written(
        folder,
        "part",
        {"/Cough/": "CC-BY-ND-4.0"},
        folder / "part-corpus",
        "targets.classes=[Speech,Dishes,Doorbell]",
    )
    assert only.redistribution == "allowed"


def test_index_and_card_say_it(forbidden: Path, free: Path) -> None:
    index = json.loads((forbidden / "index.json").read_text())
    assert index["redistribution"] == "forbidden"
    assert {row["licence"] for row in index["licences"]} >= {"ask Bob"}
    text = (forbidden / "README.md").read_text()
    assert "forbids redistribution" in text
    assert "made \\| up | NTT evaluation agreement: no redistribution | forbidden |" in text
    assert (header(forbidden)["license"], header(forbidden)["redistribution"]) == ("other", "forbidden")
    assert (header(free)["license"], header(free)["redistribution"]) == ("cc-by-4.0", "allowed")
    (config,) = header(free)["configs"]
    (files,) = config["data_files"]
    assert {p.name for p in free.glob(files["path"])} == {p.name for p in free.glob("*.tar")}
    verify_corpus(free)


def test_the_same_corpus_has_the_same_card(folder: Path, free: Path, tmp_path: Path) -> None:
    write_corpus(
        recipe(), Catalog.load(folder / "free"), tmp_path / "c", num_scenes=NUMBER, shard_size=2, workers=2
    )
    for path in free.iterdir():
        assert (tmp_path / "c" / path.name).read_bytes() == path.read_bytes()


def test_shards_kept_from_an_earlier_run_are_in_the_ledger(folder: Path, tmp_path: Path) -> None:
    made = Catalog.load(folder / "forbidden")
    first = write_corpus(recipe(), made, tmp_path / "c", num_scenes=NUMBER, shard_size=2)
    (tmp_path / "c" / "index.json").unlink()
    again = write_corpus(recipe(), made, tmp_path / "c", num_scenes=NUMBER, shard_size=2)
    assert again.outcomes == ("kept",) * 3
    assert again.index == first.index


def test_a_readme_of_somebody_else_stays(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    corpora.write(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"
    (tmp_path / "README.md").write_text(f"old {CARD_MARK}")
    corpora.write(tmp_path)
    assert (tmp_path / "README.md").read_text().startswith("---\n")


def test_what_may_be_passed_on_is_whole(free: Path) -> None:
    ready = prepare_publication(free)
    assert set(ready.files) == {path.name for path in free.iterdir() if not path.name.startswith(".")}
    assert ready.size == sum((free / name).stat().st_size for name in ready.files)


def test_what_is_forbidden_stays(forbidden: Path) -> None:
    with pytest.raises(SynthError, match=r"NTT evaluation agreement.*forbidden.*ask Bob.*unknown") as caught:
        prepare_publication(forbidden)
    assert "--i-have-the-rights" in caught.value.remedy
    assert prepare_publication(forbidden, i_have_the_rights=True).files


def test_what_says_nothing_of_licences_stays(tmp_path: Path) -> None:
    corpora.write(tmp_path / "c")
    with pytest.raises(SynthError, match="does not say under which licences"):
        prepare_publication(tmp_path / "c")


def test_a_damaged_corpus_stays(free: Path, tmp_path: Path) -> None:
    copied(free, tmp_path)
    shard = next(tmp_path.glob("*.tar"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(ProblemsError, match=shard.name):
        prepare_publication(tmp_path, i_have_the_rights=True)


def test_a_ledger_changed_by_hand_is_no_way_out(forbidden: Path, tmp_path: Path) -> None:
    copied(forbidden, tmp_path)
    index = tmp_path / "index.json"
    index.write_bytes(index.read_bytes().replace(b"NTT evaluation agreement: no redistribution", b"CC0-1.0"))
    with pytest.raises(SynthError, match="changed"):
        prepare_publication(tmp_path)


def test_without_its_card_it_stays(free: Path, tmp_path: Path) -> None:
    copied(free, tmp_path)
    (tmp_path / "README.md").unlink()
    with pytest.raises(SynthError, match=r"README\.md is missing"):
        prepare_publication(tmp_path)


class Uploads:
    """A hub that writes down what it is asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.error = error

    def create_repo(self, repo_id: str, **options: Any) -> None:
        if self.error is not None:
            raise self.error
        self.asked.append((repo_id, options))

    def upload_folder(self, **options: Any) -> str:
        self.asked.append((options["repo_id"], options))
        return "https://hub/somewhere"


def test_an_upload_sends_the_files_of_the_corpus_and_no_other(free: Path, tmp_path: Path) -> None:
    copied(free, tmp_path)
    (tmp_path / "notes.txt").write_text("private")
    hub = Uploads()
    assert upload(prepare_publication(tmp_path), "me/corpus", hub=hub) == "https://hub/somewhere"
    (repo, made), (_, sent) = hub.asked
    assert (repo, made["private"], made["repo_type"]) == ("me/corpus", True, "dataset")
    assert set(sent["allow_patterns"]) == {
        path.name for path in free.iterdir() if not path.name.startswith(".")
    }


@pytest.mark.parametrize("error", [OSError("no such owner"), RuntimeError("connection lost")])
def test_a_hub_that_refuses(free: Path, error: Exception) -> None:
    with pytest.raises(SynthError, match=str(error)):
        upload(prepare_publication(free), "me/corpus", hub=Uploads(error))


def copied(source: Path, target: Path) -> None:
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
        assert hashlib.sha256((target / path.name).read_bytes())
