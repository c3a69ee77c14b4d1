"""Advice that is wrong costs a GPU that waits, or a week of rendering that was not needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from synth.corpus.advice import STEPS, Advice, Rates, advise, step_need
from synth.corpus.machine import look_at_machine
from synth.errors import SynthError

TB = 10**12
HERE = Rates(live=25.0, plan=5000.0, stored=20.0, written=10.0, scene_bytes=1_000_000)
H200 = replace(HERE, gpu=10_000.0)


def advice(rates: Rates, need: float, cores: int = 16, free_disk: int = TB) -> Advice:
    return advise(rates, need, cores=cores, free_disk=free_disk)


def test_a_separator_is_fed_by_a_few_cores() -> None:
    """60 clips/s with a fifth more, at 25 a core: 2.88 cores."""
    found = advice(HERE, 60, cores=4).chosen
    assert (found.name, found.workers) == ("live, rendered by CPU workers", 3)
    assert "data.workers=3" in found.how


def test_a_sed_step_is_fed_by_its_own_gpu() -> None:
    """1,200 clips/s at 10,000 a second take 12 % of the GPU; 15 cores give 375."""
    found = advice(H200, 1200)
    assert found.chosen.name == "live, rendered by the GPU"
    assert "12% of the GPU's time, 1 worker(s) that plan" in found.chosen.note
    assert found.options[0].capacity == 375
    assert not found.options[0].fits


def test_a_slow_gpu_leaves_the_work_to_shards() -> None:
    rates = replace(H200, gpu=2000.0, stored=100.0)
    found = advice(rates, 1200)
    assert (found.chosen.name, found.chosen.workers) == ("shards on this machine's disk", 15)
    assert "1,200 MB/s from disk" in found.chosen.note
    assert "0.2 h to make here" in found.chosen.note, "100,000 / (10 * 16) s"
    other = advice(rates, 1200, free_disk=TB // 20)
    assert other.chosen.name == "shards of other machines"
    assert "144 cores like these" in other.chosen.note


def test_what_is_not_enough_is_not_called_enough() -> None:
    found = advice(HERE, 1200, cores=2)
    assert not any(option.fits for option in found.options)
    assert (found.chosen.name, found.chosen.capacity) == ("live, rendered by CPU workers", 25)
    assert "data.workers=1" in found.chosen.how


@pytest.mark.parametrize("need", [0.0, -1.0, float("nan"), 1e9])
def test_impossible_needs_are_refused(need: float) -> None:
    with pytest.raises(SynthError, match="expected clips per second"):
        advice(HERE, need)


def test_steps_have_names() -> None:
    assert {step_need(name) for name in STEPS} == {1200, 850, 60, 135}
    with pytest.raises(SynthError, match=r"there is no step 'x'.*choose from sed,"):
        step_need("x")


def test_the_machine_is_seen(tmp_path: Path) -> None:
    found = look_at_machine(tmp_path / "not" / "there" / "yet")
    assert found.cores >= 1
    assert found.free_disk > 0
    assert found.memory is None or found.free_memory is None or found.memory >= found.free_memory > 0
    assert found.versions["numpy"] is not None
    assert set(found.extras) >= {"models", "remote", "serve", "ray"}
