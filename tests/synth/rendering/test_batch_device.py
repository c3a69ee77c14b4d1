"""What a GPU would do and a CPU cannot show: nothing waits for the device, nothing is left on the host.

The batch renderer runs on torch's `meta` device, whose tensors have shapes and no numbers. Whoever asks
for a number there (as `item`, `cpu`, `nonzero` and a mask as index do, for which a GPU is waited for), or
mixes in a tensor of the host, gets an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from synth import BatchRenderer, Catalog, SceneSpec, build_catalog, load_recipe, plan
from synth.rendering import batch_chunk, batch_device
from synth.rendering.sample import SampleFormat
from synth.rendering.scene import STEMS
from synth.scenes.effect_specs import EqBand, SceneEffects, SelfNoise, SpaceEffect
from synth.scenes.spec import LabelSpec
from tests.builders import make_dev_set

CLASSES = ("Cough", "Dishes", "Doorbell", "Speech")
WAITS = ("_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select", "_unique2", "unique_dim")


class Unwaiting(TorchDispatchMode):
    """Refuses what waits for a device, and counts everything else."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> object:
        name = func.__name__.partition(".")[0]
        if name in WAITS:
            raise AssertionError(f"{name} waits for the device")
        self.count += 1
        return func(*args, **(kwargs or {}))


class Later:
    """Stands for the one copy to the host, that is looked at when the device is done."""

    def __init__(self, powers: torch.Tensor, strict: Sequence[bool], paths: Sequence[str]) -> None:
        assert powers.is_meta
        assert powers.dtype == torch.float64
        assert len(powers) == len(strict) == len(paths)

    def raise_if_silent(self) -> None:
        pass


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    root = make_dev_set(tmp_path_factory.mktemp("device") / "dev_set", seconds=0.6, noise_seconds=1.5)
    built = build_catalog("dcase2025", root, root.parent / "catalog", workers=1)
    assert built.result is not None
    return built.result


@pytest.fixture
def specs(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> list[SceneSpec]:
    """Scenes as a live stream has them; the renderer is told to do as on a GPU."""
    monkeypatch.setattr(batch_chunk, "SilentCheck", Later)
    monkeypatch.setitem(batch_device.FFT_QUANTUM, "meta", 32)
    recipe = load_recipe("dcase2025", ["scene.duration=2.0", "targets.count=[0,3]"])
    return [plan(recipe, catalog, 5, index) for index in range(8)]


def submit(catalog: Catalog, specs: list[SceneSpec], **settings: int) -> dict[str, torch.Tensor]:
    form = SampleFormat(CLASSES, 3, 0.04, STEMS)
    renderer = BatchRenderer(catalog, "meta", **settings)
    with Unwaiting() as mode:
        tensors = [renderer.submit(specs, form).tensors for _ in range(2)][-1]
    assert mode.count > 100
    return tensors


@pytest.mark.parametrize("resident", [0, 1 << 30])
@pytest.mark.parametrize("limit", [48 << 20, 1 << 30])
def test_a_batch_is_queued_without_waiting(
    catalog: Catalog, specs: list[SceneSpec], resident: int, limit: int
) -> None:
    """With pools on the device or copied piece by piece, in one chunk or several."""
    assert {spec.noise.duration < spec.duration for spec in specs if spec.noise} == {True}
    tensors = submit(catalog, specs, resident_bytes=resident, max_bytes=limit)
    assert all(tensor.is_meta for tensor in tensors.values()), "all of it is made on the device"
    assert tensors["wet"].shape == (8, 3, 4, 64_000)
    assert {tensors[name].dtype for name in STEMS} == {torch.float32}


def test_effects_of_the_scene_do_not_wait(catalog: Catalog, specs: list[SceneSpec]) -> None:
    effects = SceneEffects(
        space=SpaceEffect(yaw=30.0),
        level_db=-3.0,
        eq=(EqBand(kind="peak", frequency_hz=1000.0, gain_db=6.0, q=1.0),),
        self_noise=SelfNoise(level_db=-60.0, seed=1),
        mismatch_db=(0.5, -0.5, 0.1, 0.0),
    )
    tensors = submit(catalog, [spec.model_copy(update={"effects": effects}) for spec in specs])
    assert all(tensor.is_meta for tensor in tensors.values())


def test_labels_by_level_do(catalog: Catalog, specs: list[SceneSpec]) -> None:
    """As the docstring says: they are measured on the dry targets. So this test can see waiting."""
    labels = LabelSpec(support="active")
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        submit(catalog, [spec.model_copy(update={"labels": labels}) for spec in specs])


@pytest.mark.parametrize(
    "wait", [lambda x: x.sum().item(), lambda x: x.nonzero(), lambda x: x[x > 0], lambda x: x + torch.ones(3)]
)
def test_waiting_is_seen(wait: Callable[[torch.Tensor], object]) -> None:
    """Otherwise the tests above would prove nothing."""
    with Unwaiting(), pytest.raises((AssertionError, NotImplementedError, RuntimeError)):
        wait(torch.ones(3, device="meta"))
