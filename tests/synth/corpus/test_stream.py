"""If a live stream is not exactly the plan, position by position, no run can be repeated or gone on with."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.data_loader import prepare_data_loader
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from synth import (
    Catalog,
    FolderSounds,
    Recipe,
    SceneSpec,
    SceneStream,
    SpecStream,
    SynthError,
    build_catalog,
    collate,
    ignore_signals,
    load_recipe,
    load_scenes,
    plan,
    render,
    scene_sample,
    write_dcase_scene,
)
from tests.builders import make_dev_set

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")  # More workers than cores.

SEED = 4
RECIPE = load_recipe("dcase2025", ["scene.duration=0.5"])


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    folder = tmp_path_factory.mktemp("catalog")
    make_dev_set(folder / "dev_set", positions=6, taps=200, seconds=0.1, noise_seconds=0.6, places=2)
    return build_catalog("dcase2025", folder / "dev_set", folder / "catalog", workers=1).catalog


@pytest.fixture(scope="module")
def truth(catalog: Catalog) -> list[dict[str, Any]]:
    """The first 48 samples, straight from plan and render."""
    return [sample_of(RECIPE, catalog, n) for n in range(48)]


def sample_of(recipe: Recipe, catalog: Catalog, position: int) -> dict[str, Any]:
    classes = SceneStream(recipe, catalog).classes
    return scene_sample(render(plan(recipe, catalog, SEED, position), catalog), classes, 3, 0.04, position)


def stream(catalog: Catalog, **settings: Any) -> SceneStream:
    return SceneStream(RECIPE, catalog, SEED, **settings)


def check(batches: Iterable[Any], truth: list[dict[str, Any]], *, first: int = 0, step: int = 0) -> int:
    """Compare batches bit by bit with the samples from `first` on; return how many samples they hold."""
    position = first
    for batch in batches:
        for n, found in enumerate(batch["position"].tolist()):
            assert found == position
            for name, wanted in truth[position].items():
                np.testing.assert_array_equal(batch[name][n].numpy(), wanted, strict=True)
            position += 1
        position += step
    return position - first


def test_a_position_is_the_plans_scene(catalog: Catalog, truth: list[dict[str, Any]]) -> None:
    """What was planned is what is trained on, in this process and in others."""
    assert [sample["position"] for sample in truth] == list(range(48))
    assert check(islice(stream(catalog, batch_size=6).loader(), 4), truth) == 24
    assert check(islice(stream(catalog, batch_size=6).loader(2), 4), truth) == 24


def test_resume_at_every_position_gives_the_exact_tail(catalog: Catalog, truth: list[dict[str, Any]]) -> None:
    """A run that is stopped anywhere and gone on with is the run that was not stopped."""
    for position in range(40):
        live = stream(catalog)
        live.load_state_dict({**live.state_dict(), "position": position})
        assert check(islice(live.loader(), min(40 - position, 6)), truth, first=position) > 0
    tail = stream(catalog, batch_size=4).at(3)
    assert check(islice(tail.loader(), 9), truth, first=3) == 36


@pytest.mark.parametrize("workers", [0, 2])
def test_resume_again_and_again_with_other_batches_and_ranks(
    catalog: Catalog, truth: list[dict[str, Any]], workers: int
) -> None:
    """The second resume inside an epoch is where other loaders drift."""
    first = stream(catalog, batch_size=4)
    check(islice(first.loader(workers), 2), truth)
    second = stream(catalog, batch_size=2, world_size=2)
    second.load_state_dict(first.state_dict())
    check(islice(second.loader(workers), 3), truth, first=8, step=2)
    third = stream(catalog, batch_size=5)
    third.load_state_dict(second.state_dict())
    check(islice(third.loader(2 - workers), 2), truth, first=20)
    assert third.state_dict()["position"] == 30


def test_far_positions_come_as_soon_as_near_ones(catalog: Catalog) -> None:
    """After a month of training nobody waits for a month of scenes to be skipped."""
    far = 10**12
    batch = next(iter(stream(catalog, batch_size=2, start=far).loader()))
    wanted = sample_of(RECIPE, catalog, far + 1)
    np.testing.assert_array_equal(batch["mixture"][1].numpy(), wanted["mixture"])


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("rank", [0, 1])
def test_a_plain_dataloader_keeps_the_order(
    catalog: Catalog, truth: list[dict[str, Any]], workers: int, rank: int
) -> None:
    """Users of other trainers bring their own loader."""
    live = stream(catalog, batch_size=3, rank=rank, world_size=2)
    loader = DataLoader(live, batch_size=3, num_workers=workers, worker_init_fn=ignore_signals)
    assert check(islice(loader, 5), truth, first=3 * rank, step=3) == 30
    if workers == 0:
        assert live.state_dict()["position"] == 30


@pytest.mark.parametrize("workers", [0, 2, 3])
def test_a_plain_dataloader_ends_with_a_fixed_set(
    catalog: Catalog, truth: list[dict[str, Any]], workers: int
) -> None:
    fixed = stream(catalog, batch_size=3, length=11)
    loader = DataLoader(fixed, batch_size=3, num_workers=workers, collate_fn=collate)
    for _ in range(2):
        assert check(loader, truth) == 11


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_with_other_batches_is_refused(catalog: Catalog, workers: int) -> None:
    """With workers its order would be another one, without a word."""
    for size in (2, None):
        loader = DataLoader(stream(catalog, batch_size=3), batch_size=size, num_workers=workers)
        # From a worker, torch passes on the message in an error of its own.
        with pytest.raises((SynthError, RuntimeError), match=r"order is made for batches of 3"):
            next(iter(loader))
    single = DataLoader(stream(catalog), batch_size=None, num_workers=workers)
    assert [int(sample["position"]) for sample in islice(single, 4)] == [0, 1, 2, 3]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("length", [None, 22])
def test_a_stateful_dataloader_resumes_exactly(
    catalog: Catalog, truth: list[dict[str, Any]], workers: int, length: int | None
) -> None:
    """torchdata's loader resumes from any batch, twice in a row, although its workers are ahead."""

    def loader() -> Any:
        live = stream(catalog, batch_size=3, length=length)
        return StatefulDataLoader(live, batch_size=3, num_workers=workers, collate_fn=collate)

    for stop in (1, 2, 3):
        first = loader()
        check(islice(first, stop), truth)
        second = loader()
        second.load_state_dict(first.state_dict())
        check(islice(second, 2), truth, first=3 * stop)
        third = loader()
        third.load_state_dict(second.state_dict())
        tail = check(islice(third, 4), truth, first=3 * stop + 6)
        assert tail == (12 if length is None else min(12, 22 - 3 * stop - 6))


def test_a_stateful_dataloader_with_other_workers_is_refused(catalog: Catalog) -> None:
    """Its state says what every worker was at: with more or fewer of them, order would be lost without a word."""

    def loader(workers: int) -> Any:
        live = stream(catalog, batch_size=3)
        return StatefulDataLoader(live, batch_size=3, num_workers=workers, collate_fn=collate)

    first, second = loader(2), loader(1)
    next(iter(first))
    second.load_state_dict(first.state_dict())
    with pytest.raises(
        RuntimeError, match=r"saved with 2 workers, now there are 1 .*goes on with any number"
    ):
        next(iter(second))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stateful_dataloader_begins_the_next_round(
    catalog: Catalog, truth: list[dict[str, Any]], workers: int
) -> None:
    """A state saved at the end of a validation set means the next validation, not an empty one."""
    fixed = stream(catalog, batch_size=3, length=8)
    first = StatefulDataLoader(fixed, batch_size=3, num_workers=workers)
    assert check(first, truth) == 8
    second = StatefulDataLoader(stream(catalog, batch_size=3, length=8), batch_size=3, num_workers=workers)
    second.load_state_dict(first.state_dict())
    assert [check(second, truth) for _ in range(2)] == [8, 8]


def test_workers_that_stay_begin_where_the_stream_stands(
    catalog: Catalog, truth: list[dict[str, Any]]
) -> None:
    """What a worker made ahead in one iteration must not shift the next."""
    loader = DataLoader(stream(catalog, batch_size=3), batch_size=3, num_workers=2, persistent_workers=True)
    for _ in range(2):
        check(islice(loader, 3), truth)


def test_accelerate_leaves_the_loader_alone(catalog: Catalog, truth: list[dict[str, Any]]) -> None:
    """The recipe for training on several GPUs: rank and world size to the stream, nothing to prepare."""
    accelerator = Accelerator(cpu=True)
    live = stream(catalog, batch_size=4, rank=accelerator.process_index, world_size=accelerator.num_processes)
    loader = live.loader()
    assert accelerator.prepare(loader) is loader
    check(islice(loader, 2), truth)
    assert live.state_dict()["position"] == 8


@pytest.mark.parametrize(("dispatch", "workers"), [(True, 0), (False, 0), (False, 2)])
def test_a_loader_that_accelerate_has_prepared_is_refused(
    catalog: Catalog, dispatch: bool, workers: int
) -> None:
    """It would hand every rank a part of one rank's batches: fewer scenes, others twice."""
    plain = DataLoader(stream(catalog, batch_size=4, world_size=2), batch_size=4, num_workers=workers)
    prepared = prepare_data_loader(
        plain,
        device=torch.device("cpu"),
        num_processes=2,
        process_index=0,
        put_on_device=True,
        dispatch_batches=dispatch,
        even_batches=False,
    )
    with pytest.raises((SynthError, RuntimeError), match="do not prepare the loader"):
        next(iter(prepared))


def test_specs_alone_for_a_renderer_elsewhere(catalog: Catalog) -> None:
    """The GPU renderer gets the very scenes that the CPU would render."""
    for workers in (0, 2):
        live = stream(catalog, batch_size=3, rank=1, world_size=2, render=False)
        batches = list(islice(live.loader(workers), 2))
        assert batches == [[plan(RECIPE, catalog, SEED, n) for n in (*range(k, k + 3),)] for k in (3, 9)]
        assert live.state_dict()["position"] == 12


def test_stems_and_slots_as_asked(catalog: Catalog) -> None:
    live = stream(catalog, stems=("noise", "wet"), slots=5, classes=("Doorbell", "Dishes", "Cough", "Speech"))
    sample = next(iter(live))
    assert isinstance(sample, dict)
    assert set(sample) == {"position", "labels", "strong", "weak", "noise", "wet"}
    assert sample["wet"].shape == (5, 4, 16_000)
    assert sample["strong"].shape == (4, 12)
    labels = [event.label for event in plan(RECIPE, catalog, SEED, 0).targets]
    assert [live.classes[n] for n in sample["labels"] if n < 4] == labels
    assert stream(catalog).form.slots == RECIPE.targets.count[1]


def test_a_changed_catalog_is_noticed_by_workers(catalog: Catalog, tmp_path: Path) -> None:
    """Half of a run on other sounds would be worse than none."""
    source = stream(catalog).source
    source._make._place = (*source._make._place[:2], "0" * 64)  # type: ignore[attr-defined]
    sent = pickle.loads(pickle.dumps(source))
    with pytest.raises(SynthError, match="the catalog was changed"):
        sent(0)


def test_a_stream_of_another_recipe_or_catalog_does_not_go_on(catalog: Catalog) -> None:
    state = stream(catalog).state_dict()
    assert set(state) == {"position", "seed", "recipe_hash", "catalog_hash"}
    other = SceneStream(load_recipe("dcase2025", ["scene.duration=0.6"]), catalog, SEED)
    with pytest.raises(SynthError, match="state: recipe_hash"):
        other.load_state_dict(state)


@pytest.fixture(scope="module")
def official(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> list[SceneSpec]:
    """Five scenes read from official scene files."""
    folder = tmp_path_factory.mktemp("scenes")
    specs = []
    for n in range(5):
        write_dcase_scene(plan(RECIPE, catalog, 8, n), folder / f"{n}.json", catalog.root)
        specs += [spec for _, spec in load_scenes(folder / f"{n}.json", catalog.root)]
    return specs


def test_given_scenes_are_a_fixed_set(catalog: Catalog, official: list[SceneSpec]) -> None:
    """Official validation scenes are scored through the same loader as everything else."""
    assert all(spec.rules == "dcase2025" for spec in official)
    sounds = FolderSounds(catalog.root)
    for workers in (0, 2):
        fixed = SceneStream.of_specs(official, sounds, batch_size=2, slots=4)
        seen = []
        for batch in fixed.loader(workers):
            for n, position in enumerate(batch["position"].tolist()):
                scene = render(official[position], sounds)
                wanted = scene_sample(scene, fixed.classes, 4, 0.04, position)
                for name in wanted:
                    np.testing.assert_array_equal(batch[name][n].numpy(), wanted[name])
                seen.append(position)
        assert seen == [0, 1, 2, 3, 4]


def test_given_scenes_that_do_not_fit_are_refused(catalog: Catalog, official: list[SceneSpec]) -> None:
    sounds = FolderSounds(catalog.root)
    with pytest.raises(SynthError, match="scene 1: has 17000 samples at 32000 Hz, scene 0 has 16000"):
        SpecStream([official[0], official[1].model_copy(update={"duration": 17_000})], sounds)
    with pytest.raises(SynthError, match="there are 0 slots"):
        SpecStream(official, sounds, slots=0)
    with pytest.raises(SynthError, match="and 1 classes"):
        SpecStream(official, sounds, classes=("Whistle",))
    fixed = SpecStream(official, catalog, batch_size=2)
    state = fixed.state_dict()
    with pytest.raises(SynthError, match="state: scenes"):
        SpecStream(official[:4], catalog).load_state_dict(state)
    sent = pickle.loads(pickle.dumps(fixed.source))
    np.testing.assert_array_equal(sent(3)["mixture"], fixed.source(3)["mixture"])  # type: ignore[index]


def test_streams_leave_the_global_generators_alone(catalog: Catalog) -> None:
    """A training's own random numbers do not depend on how its data are loaded."""
    before = torch.random.get_rng_state()
    list(islice(stream(catalog, batch_size=2).loader(), 2))
    assert torch.equal(torch.random.get_rng_state(), before)
