"""`s5kit synth` and `s5kit verify`: from a catalog to a corpus that others can check."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from synth import Catalog, CorpusReader, SynthError, build_catalog, load_recipe, load_scenes, plan, render
from synth.corpus.maker import SceneMaker
from tests.builders import make_dev_set
from tools.synth import synth
from tools.verify import verify

app = typer.Typer()
app.command("synth")(synth)
app.command("verify")(verify)

SHORT = ("--set", "scene.duration=0.5")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalog")
    make_dev_set(folder / "dev_set", positions=6, taps=200, seconds=0.1, noise_seconds=0.6, places=2)
    build_catalog("dcase2025", folder / "dev_set", folder / "catalog", workers=1)
    return folder / "catalog"


@pytest.fixture(scope="module")
def corpus(catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("corpora") / "corpus"
    code, _ = make(catalog, out)
    assert code == 0
    return out


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, " ".join(result.stdout.replace("│", " ").split())


def make(catalog: Path, out: Path, *options: object, recipe: str = "dcase2025") -> tuple[int, str]:
    base = ("--recipe", recipe, "--catalog", catalog, "--out", out, "--num-scenes", 7, "--shard-size", 3)
    return run("synth", *base, "--seed", 3, "--workers", 1, *SHORT, *options)


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_scenes_are_those_of_plan_and_render(catalog: Path, corpus: Path) -> None:
    opened = Catalog.load(catalog)
    recipe = load_recipe("dcase2025", ["scene.duration=0.5"])
    for index, stored in enumerate(CorpusReader(corpus).iter_scenes()):
        scene = render(plan(recipe, opened, 3, index), opened)
        assert stored.key == f"dcase2025-train-3-{index:09d}"
        assert stored.spec == scene.spec
        assert stored.labels == scene.labels
        assert scene.mixture is not None
        assert scene.dry is not None
        np.testing.assert_array_equal(stored.sounds["mixture"] * 32_768, np.rint(scene.mixture * 32_768))
        for n, line in enumerate(scene.dry):
            np.testing.assert_array_equal(stored.sounds[f"dry{n}"][0] * 32_768, np.rint(line * 32_768))


def test_two_workers_make_the_same_bytes(catalog: Path, corpus: Path, tmp_path: Path) -> None:
    make(catalog, tmp_path / "out", "--workers", 2)
    assert hashes(tmp_path / "out") == hashes(corpus)


def test_closing_table_and_next_step(catalog: Path, tmp_path: Path) -> None:
    code, text = make(catalog, tmp_path / "out")
    assert code == 0
    for words in ("dcase2025-train-3", "SNR of targets", "Speech", "overlap", "hours", "clipped"):
        assert words in text
    assert "3 shard(s)" in text
    assert "3 made; 7 scenes at" in text
    assert "next: s5kit verify" in text
    assert "synthetic" not in text


def test_an_interrupted_corpus_is_continued(catalog: Path, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(catalog, out)
    for name in ("index.json", "dcase2025-train-3-000001.tar"):
        (out / name).unlink()
    _, text = make(catalog, out)
    assert "1 made, 2 kept; 3 scenes" in text
    assert hashes(out) == hashes(corpus)


def test_another_recipe_is_refused(catalog: Path, tmp_path: Path) -> None:
    make(catalog, tmp_path / "out")
    with pytest.raises(SynthError, match="the folder holds another corpus: recipe_hash is"):
        make(catalog, tmp_path / "out", "--set", "targets.snr_db=[0,1]")


def test_splits_have_their_own_sounds(catalog: Path, tmp_path: Path) -> None:
    make(catalog, tmp_path / "out", "--split", "valid")
    record = json.loads(CorpusReader(tmp_path / "out").read_members(0, ["json"])["json"])
    assert record["split"] == "valid"
    assert "/valid/" in json.loads(record["spec"])["place"]


def test_all_stems_add_up(catalog: Path, tmp_path: Path) -> None:
    make(catalog, tmp_path / "out", "--stems", "all", recipe="dcase2026")
    for scene in CorpusReader(tmp_path / "out").iter_scenes():
        sounds = scene.sounds
        parts = [sounds["interference"], sounds["noise"], *(sounds[f"wet{n}"] for n in range(3))]
        np.testing.assert_allclose(sum(parts), sounds["mixture"], atol=3 / 32_768)


def test_jobs_of_an_array_share_a_corpus(catalog: Path, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, text = make(catalog, out, "--shards", "1:3")
    assert code == 0
    assert "2 shard(s) in" in text
    assert "these were 2 of 3 shards, and others are missing" in text
    _, text = make(catalog, out, "--shards", "0")
    assert "1 shard(s) in" in text
    assert "next: s5kit verify" in text
    assert hashes(out) == hashes(corpus)


def test_addresses_are_places(catalog: Path, corpus: Path, tmp_path: Path) -> None:
    code, text = run(
        *("synth", "--recipe", "dcase2025", "--catalog", catalog, "--out", f"file://{tmp_path}/out"),
        *("--num-scenes", 7, "--shard-size", 3, "--seed", 3, "--workers", 1, *SHORT),
    )
    assert code == 0
    assert "3 made" in text
    assert hashes(tmp_path / "out") == hashes(corpus)


def test_scenes_without_targets(catalog: Path, tmp_path: Path) -> None:
    _, text = make(catalog, tmp_path / "out", "--set", "targets.count=[0,1]", recipe="dcase2026")
    assert "targets in a scene 0" in text
    code, text = run("verify", tmp_path / "out", "--catalog", catalog, "--rerender", 7)
    assert code == 0
    assert "7 scene(s) rendered again: 7 identical" in text


def test_a_catalog_that_changes_under_way_is_noticed(catalog: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(catalog, tmp_path / "catalog")
    maker = SceneMaker(
        load_recipe("dcase2025", ["scene.duration=0.5"]), Catalog.load(copied), 3, ("mixture",)
    )
    elsewhere = copy.copy(maker)
    assert elsewhere(4).spec == maker(4).spec
    table = copied / "events.csv"
    table.write_text(table.read_text().replace("unknown", "CC0"))
    with pytest.raises(SynthError, match="the catalog was changed while scenes were made"):
        copy.copy(maker)(4)


def test_verify_says_what_it_checked(catalog: Path, corpus: Path) -> None:
    before = hashes(corpus)
    code, text = run("verify", corpus, "--catalog", catalog, "--workers", 1)
    assert code == 0
    assert "every byte is as it was written" in text
    assert "5 scene(s) rendered again: 5 identical" in text
    _, text = run("verify", corpus, "--workers", 1)
    assert "no scene was rendered again" in text
    assert hashes(corpus) == before


def test_verify_refuses_damage_and_other_catalogs(catalog: Path, corpus: Path, tmp_path: Path) -> None:
    make_dev_set(tmp_path / "dev_set", positions=2, taps=50, seconds=0.05, seed=1)
    build_catalog("dcase2025", tmp_path / "dev_set", tmp_path / "other", workers=1)
    with pytest.raises(SynthError, match="made from another catalog"):
        run("verify", corpus, "--catalog", tmp_path / "other")
    make(catalog, tmp_path / "out")
    path = tmp_path / "out" / "dcase2025-train-3-000002.tar"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SynthError, match=r"000002\.tar: it has .* bytes, its index says"):
        run("verify", tmp_path / "out", "--workers", 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--num-scenes", 0), "num_scenes: "),
        (("--shard-size", 0), "shard_size: "),
        (("--stems", "vet"), "unknown stem 'vet'"),
        (("--set", "targets.count=[5,5]"), "targets.count"),
        (("--split", "test"), "test"),
        (("--set", "targets.cuont=3"), "cuont"),
        (("--workers", 5000), "workers: is 5000"),
        (("--shards", "2:9"), "names shards 2 to 8, there are 0 to 2"),
        (("--shards", "x"), "shards: 'x' names no shards"),
        (("--engine", "dask"), "there is no engine 'dask'"),
        (("--address", "auto"), "'local' does not go with an address"),
        (("--engine", "ray", "--retries", 1000), "retries: is 1000"),
    ],
)
def test_impossible_wishes_cost_nothing(
    catalog: Path, tmp_path: Path, options: tuple[object, ...], message: str
) -> None:
    with pytest.raises(SynthError, match=message):
        make(catalog, tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_the_json_of_a_scene_is_a_scene_file(corpus: Path, tmp_path: Path) -> None:
    reader = CorpusReader(corpus)
    (tmp_path / "scene.json").write_bytes(reader.read_members(2, ["json"])["json"])
    ((name, spec),) = load_scenes(tmp_path / "scene.json", tmp_path)
    assert (name, spec) == ("scene", reader.read_scene(2).spec)


def test_stored_sounds_are_plain_flac(corpus: Path) -> None:
    content = CorpusReader(corpus).read_members(0, ["mixture.flac"])["mixture.flac"]
    (corpus.parent / "mixture.flac").write_bytes(content)
    info = soundfile.info(corpus.parent / "mixture.flac")
    assert (info.channels, info.samplerate, info.frames, info.subtype) == (4, 32_000, 16_000, "PCM_16")
