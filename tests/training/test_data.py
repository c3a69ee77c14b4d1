"""Which scene a step learns from depends on its position alone, wherever it is made and however it is shared out."""

from __future__ import annotations

import json
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from synth import (
    Catalog,
    RenderAhead,
    SynthError,
    build_catalog,
    load_recipe,
    plan,
    render,
    scene_sample,
    write_corpus,
    write_dcase_scene,
)
from tests.builders import CLASSES, make_dev_set
from training.config import Config, load_config
from training.copying import CopyAhead
from training.data import make_feed, make_validation, scene_facts, training_recipe, validation_recipe

CPU = torch.device("cpu")
SHORT = ("scene.duration=0.5", "scene.max_event_duration=0.5")
SET = f"data.set=[{', '.join(SHORT)}]"
OURS = tuple(sorted(CLASSES))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    make_dev_set(folder / "dev_set", splits=("train", "valid"))
    build_catalog("dcase2025", folder / "dev_set", folder / "catalog", workers=1)
    return folder


def configured(place: Path, *overrides: str, preset: str = "separator-resunet-tiny") -> Config:
    fixed = (
        "data.recipe=dcase2025",
        SET,
        f"data.catalog={place / 'catalog'}",
        "data.workers=0",
        "validation.workers=0",
    )
    return load_config(preset, [*fixed, "loop.batch_size=4", "validation.num_scenes=3", *overrides])


def by_hand(place: Path, position: int, *, split: str = "train", seed: int = 0) -> dict[str, Any]:
    """The sample at a position by the generator's own two functions."""
    recipe = load_recipe("dcase2025", [*SHORT, f"split={split}"])
    catalog = Catalog.load(place / "catalog")
    scene = render(plan(recipe, catalog, seed=seed, index=position), catalog)
    return scene_sample(scene, classes_of(place), 3, 0.04, position)


def classes_of(place: Path) -> tuple[str, ...]:
    return scene_facts(configured(place)).classes


def positions(batches: Any) -> list[int]:
    return [position for batch in batches for position in batch["position"].tolist()]


def taken(feed: Any, count: int) -> list[dict[str, torch.Tensor]]:
    batches = iter(feed)
    out = [{k: v.clone() for k, v in next(batches).items()} for _ in range(count)]
    feed.close()
    return out


def test_a_feed_gives_the_scenes_of_its_positions(place: Path) -> None:
    """`plan` and `render` by hand give the very arrays."""
    config = configured(place, "data.seed=5")
    batch = taken(make_feed(config, 0, 1, CPU), 2)[1]
    assert batch["position"].tolist() == [4, 5, 6, 7]
    for row, position in enumerate((4, 5, 6, 7)):
        expected = by_hand(place, position, seed=5)
        for name, array in expected.items():
            assert np.array_equal(batch[name][row].numpy(), array), name


def test_the_first_stage_is_not_given_dry_sounds(place: Path) -> None:
    """Nobody waits for sounds that no loss listens to."""
    batch = taken(make_feed(configured(place, preset="sed-m2d-tiny"), 0, 1, CPU), 1)[0]
    assert {"mixture", "strong", "weak"} <= batch.keys()
    assert "dry" not in batch


def test_a_feed_begun_again_leaves_nothing_out(place: Path) -> None:
    """Iterating anew goes on behind the last batch handed out, though others were rendered ahead."""
    feed = make_feed(configured(place, "data.source=gpu"), 0, 1, CPU)
    assert next(iter(feed))["position"].tolist() == [0, 1, 2, 3]
    assert next(iter(feed))["position"].tolist() == [4, 5, 6, 7]
    feed.close()


@pytest.mark.parametrize("ahead", ["RenderAhead", "CopyAhead"])
def test_what_a_thread_makes_ahead_for_a_gpu_is_the_same(
    place: Path, monkeypatch: pytest.MonkeyPatch, ahead: str
) -> None:
    """As on a GPU, where rendering and copying run in a thread: order, state and a clean end."""
    config = configured(place, f"data.source={'gpu' if ahead == 'RenderAhead' else 'live'}", "data.workers=1")
    feed = make_feed(config, 0, 1, CPU)
    if ahead == "RenderAhead":
        monkeypatch.setattr("training.data.RenderAhead", partial(RenderAhead, threaded=True))
    else:
        monkeypatch.setattr("training.data.CopyAhead", lambda batches, _: CopyAhead(batches, CPU))
        monkeypatch.setattr(feed, "_device", torch.device("cuda"))
    seen = [next(iter(feed))["position"].tolist() for _ in range(2)]
    assert feed.state_dict()["position"] == 8
    batches = iter(feed)
    seen += [next(batches)["position"].tolist() for _ in range(2)]
    assert [position for row in seen for position in row] == list(range(16))
    feed.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("s5kit-")]


@pytest.mark.parametrize(("ranks", "parts"), [(2, 1), (1, 2), (2, 2)])
def test_ranks_and_parts_of_a_step_share_its_scenes(place: Path, ranks: int, parts: int) -> None:
    """A step learns from the same scenes on one GPU and on two, whole or in parts."""
    config = configured(place, f"loop.accumulate={parts}")
    seen = []
    for rank in range(ranks):
        seen += positions(taken(make_feed(config, rank, ranks, CPU), parts))
    assert sorted(seen) == [0, 1, 2, 3]


def test_the_device_renders_what_the_workers_do(place: Path) -> None:
    live = taken(make_feed(configured(place), 0, 1, CPU), 2)
    device = taken(make_feed(configured(place, "data.source=gpu"), 0, 1, CPU), 2)
    for ours, theirs in zip(device, live, strict=True):
        assert ours.keys() == theirs.keys()
        for name, tensor in theirs.items():
            error = (ours[name].double() - tensor.double()).norm() / tensor.double().norm().clamp(min=1e-12)
            assert float(error) < 1e-5, name


@pytest.mark.parametrize("source", ["live", "gpu"])
def test_a_feed_goes_on_where_it_was_left(place: Path, source: str) -> None:
    """What was made ahead and not handed out is made again."""
    config = configured(place, f"data.source={source}")
    feed = make_feed(config, 0, 1, CPU)
    whole = taken(feed, 3)
    first = make_feed(config, 0, 1, CPU)
    taken(first, 1)
    state = json.loads(json.dumps(first.state_dict()))
    assert state["position"] == 4
    second = make_feed(configured(place, f"data.source={source}", "loop.batch_size=2"), 0, 1, CPU)
    second.load_state_dict(state)
    assert positions(taken(second, 4)) == positions(whole[1:])
    other = make_feed(configured(place, f"data.source={source}", "data.seed=1"), 0, 1, CPU)
    with pytest.raises(SynthError, match="seed"):
        other.load_state_dict(state)


def test_a_stored_corpus_feeds_and_validates(place: Path, tmp_path: Path) -> None:
    recipe = load_recipe("dcase2025", SHORT)
    write_corpus(
        recipe, Catalog.load(place / "catalog"), tmp_path / "corpus", num_scenes=5, seed=2, shard_size=4
    )
    corpus = f"data.source=corpus data.corpus={tmp_path / 'corpus'} validation.source=corpus".split()
    config = configured(place, *corpus, f"validation.corpus={tmp_path / 'corpus'}")
    facts = scene_facts(config)
    assert (facts.slots, facts.samples, facts.frames, facts.classes) == (3, 16_000, 12, classes_of(place))
    batch = taken(make_feed(config, 0, 1, CPU), 1)[0]
    assert batch["mixture"].shape == (4, 4, 16_000)
    scenes = list(make_validation(config, 0, 1))
    assert positions(scenes) == [0, 1, 2]
    expected = by_hand(place, 1, seed=2)
    assert np.abs(scenes[0]["mixture"][1].numpy() - expected["mixture"]).max() < 1 / 32_768
    every = make_validation(
        configured(place, *corpus, f"validation.corpus={tmp_path / 'corpus'}", "validation.num_scenes=null"),
        0,
        1,
    )
    assert sum(len(b["position"]) for b in every) == 5


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_validation_scenes_are_always_the_same(place: Path, batch: int) -> None:
    """Over two ranks none is missing and none counted twice; the second time they are those of the first."""
    config = configured(
        place, f"validation.batch_size={batch}", "validation.num_scenes=5", "validation.seed=9"
    )
    rows: dict[int, torch.Tensor] = {}
    for rank in range(2):
        scenes = make_validation(config, rank, 2)
        for _ in range(2):
            for b in scenes:
                for position, mixture in zip(b["position"].tolist(), b["mixture"], strict=True):
                    assert torch.equal(rows.setdefault(position, mixture.clone()), mixture)
    assert sorted(rows) == [0, 1, 2, 3, 4]
    expected = by_hand(place, 3, split="valid", seed=9)
    assert np.array_equal(rows[3].numpy(), expected["mixture"])


def test_the_official_list_of_scenes_is_rendered_from_its_folder(place: Path, tmp_path: Path) -> None:
    """`valid.json` and the data's folder are all that the challenge gives."""
    catalog = Catalog.load(place / "catalog")
    recipe = load_recipe("dcase2025", [*SHORT, "split=valid"])
    specs = [plan(recipe, catalog, seed=1, index=n) for n in range(3)]
    for n, spec in enumerate(specs):
        write_dcase_scene(spec, tmp_path / f"scene_{n}.json", place / "dev_set")
    (tmp_path / "valid.json").write_text(json.dumps([{"metadata_path": f"scene_{n}.json"} for n in range(3)]))
    official = (
        "validation.source=scenes",
        f"validation.scenes={tmp_path / 'valid.json'}",
        f"validation.root={place / 'dev_set'}",
    )
    (batch,) = make_validation(configured(place, *official, "validation.num_scenes=2"), 0, 1)
    assert batch["position"].tolist() == [0, 1]
    for n in range(2):
        reference = render(specs[n], catalog)
        assert reference.mixture is not None
        error = (
            np.abs(batch["mixture"][n].numpy() - reference.mixture).max() / np.abs(reference.mixture).max()
        )
        assert error < 2e-3  # official files hold times in decimal seconds
    (every,) = make_validation(configured(place, *official, "validation.num_scenes=null"), 0, 1)
    assert len(every["position"]) == 3
    with pytest.raises(SynthError, match=r"validation\.root"):
        make_validation(configured(place, *official[:2]), 0, 1)


def test_training_on_train_and_validation_is_a_switch(place: Path) -> None:
    """S1 to S3 learn from both; every other run never hears a validation sound."""
    catalog = Catalog.load(place / "catalog")

    def heard(*overrides: str) -> set[str]:
        recipe = training_recipe(configured(place, *overrides))
        specs = [plan(recipe, catalog, seed=0, index=n) for n in range(30)]
        return {
            part for s in specs for e in s.targets for part in e.path.split("/") if part in ("train", "valid")
        }

    assert heard() == {"train"}
    assert heard("data.splits=[valid, train]") == {"train", "valid"}
    assert validation_recipe(configured(place, "data.splits=[train, valid]")).split == "valid"
    with pytest.raises(SynthError, match=r"data\.splits"):
        training_recipe(configured(place, "data.splits=[train, test]"))


def test_validation_scenes_are_drawn_as_training_scenes_but_not_augmented(place: Path) -> None:
    """A figure on pitch-shifted scenes is no figure."""
    changed = ("data.set.targets.count=[1,2]", "data.set.effects.events.gain.rate=1.0")
    config = configured(place, *changed)
    assert training_recipe(config).effects.events.gain.rate == 1.0
    valid = validation_recipe(config)
    assert valid.targets.count == (1, 2)
    assert valid.scene.duration == 0.5
    assert (
        valid.recipe_hash
        == load_recipe("dcase2025", [*SHORT, "targets.count=[1,2]", "split=valid"]).recipe_hash
    )
    other = validation_recipe(configured(place, *changed, "validation.recipe=dcase2026"))
    assert (other.name, other.scene.duration) == ("dcase2026", 10.0)


def test_facts_are_known_before_any_scene_is_made(place: Path) -> None:
    facts = scene_facts(configured(place))
    assert (facts.slots, facts.frames, facts.samples, facts.sample_rate) == (3, 12, 16_000, 32_000)
    assert set(CLASSES) <= set(facts.classes)
    assert len(facts.classes) == 18
    assert scene_facts(configured(place, f"data.classes=[{', '.join(OURS)}]")).classes == OURS


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["data.catalog=null"], r"data\.catalog.*s5kit catalog build"),
        (["data.catalog=/nowhere"], "nowhere"),
        (["data.source=corpus"], r"data\.corpus.*s5kit synth"),
        (["data.recipe=dcase2027"], "did you mean dcase202"),
        (["data.set.targets.counts=[1,2]"], r"targets\.count"),
        (["loop.batch_size=6", "loop.accumulate=2"], r"6 scenes.*2 process.*multiple of 4"),
        (["validation.num_scenes=null"], r"validation\.num_scenes"),
        (["validation.source=corpus"], r"validation\.corpus"),
    ],
)
def test_data_that_are_not_there_stop_the_run_with_a_remedy(
    place: Path, overrides: list[str], words: str
) -> None:
    config = configured(place, *overrides)

    def open_all() -> None:
        make_feed(config, 0, 2, CPU).close()
        make_validation(config, 0, 1)

    with pytest.raises(SynthError, match=words):
        open_all()
