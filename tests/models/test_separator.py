"""The separator's switches do what they say, and training reaches every part of it."""

from __future__ import annotations

import copy
import itertools
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ModelError
from models.separator import (
    SEPARATORS,
    Hints,
    Separator,
    SeparatorConfig,
    create_separator,
    draw_iterations,
    preset,
)
from models.separator.film import Modulation, modulate
from models.separator.refinement import refine
from models.separator.resunet import activate
from tests.models.separating import key_list, small_hints, small_labels, small_mixture

REFERENCE = {
    "audiosep": "audiosep_resunet30",
    "baseline_resunet": "baseline2025_resunet",
    "baseline_resunetk": "baseline2025_resunetk",
    "cpjku_non_iterative": "cpjku_separator_non_iterative",
    "cpjku_iterative": "cpjku_separator_iterative",
}
TINY = [f"{name}-tiny" for name in SEPARATORS]
SWITCHES = [
    {"time_film": "multiplicative"},
    {"time_film": "scale_shift", "sed_input": "probabilities"},
    {"sed_input": "binary"},
    {"injection": "concat"},
    {"dprnn": "before"},
    {"feedback": False, "iterations": 1},
    {"sources": 2},
    {"hop": 64},
]


def tiny(name: str = "cpjku_iterative", seed: int = 0, **overrides: object) -> Separator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return create_separator(f"{name}-tiny", **overrides)


def inputs(model: Separator, batch: int = 2) -> tuple[torch.Tensor, torch.Tensor, Hints]:
    config = model.config
    return small_mixture(config, batch), small_labels(config, batch), small_hints(config, batch)


@pytest.mark.parametrize("name", SEPARATORS)
def test_only_what_the_reference_uses_is_there(name: str) -> None:
    with torch.device("meta"):
        ours = create_separator(name)
    dead = ("->beta2", ".bn2.")
    used = 0
    for entry in key_list(REFERENCE[name])["entries"]:
        key = entry["key"]
        unused = "decoder_block" in key and "conv_block2" not in key and any(part in key for part in dead)
        if not (entry["fixed"] or "running_" in key or key.startswith("time_film.") or unused):
            used += int(torch.Size(entry["shape"]).numel())
    assert sum(p.numel() for p in ours.parameters()) == used


@pytest.mark.parametrize("name", TINY)
def test_gradients_reach_every_parameter(name: str) -> None:
    model = create_separator(name).eval()  # batch statistics would cancel the shifts before them
    model(*inputs(model)).square().sum().backward()
    silent = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert silent == []


@pytest.mark.parametrize("overrides", SWITCHES, ids=str)
def test_gradients_reach_every_parameter_with_other_switches(overrides: dict[str, object]) -> None:
    model = tiny(**overrides).eval()
    estimate = model(*inputs(model))
    assert estimate.shape == (2, model.config.sources, 6400)
    estimate.square().sum().backward()
    silent = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert silent == []


@pytest.mark.parametrize("name", SEPARATORS)
def test_one_batch_can_be_learnt_by_heart(name: str) -> None:
    model = tiny(name).train()
    mixture, labels, hints = inputs(model)
    mixture = mixture[..., :3200]
    low = torch.fft.rfft(mixture[:, :1])
    low[..., 800:] = 0
    target = torch.fft.irfft(low, n=3200) * 0.7
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = (model(mixture, labels, hints, iterations=1) - target).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("name", TINY)
def test_a_batch_of_two_equals_two_singles(name: str) -> None:
    model = create_separator(name).eval()
    mixture, labels, hints = inputs(model)
    with torch.no_grad():
        both = model(mixture, labels, hints)
        for item in range(2):
            one = slice(item, item + 1)
            alone = model(
                mixture[one], labels[one], Hints(*(part[one] for part in hints if part is not None))
            )
            torch.testing.assert_close(both[one], alone, atol=1e-5, rtol=1e-4)


def test_silent_slots_are_exactly_silent() -> None:
    model = tiny("baseline_resunetk").eval()
    mixture, labels, _ = inputs(model)
    labels[1, 2] = 0
    estimate = model(mixture, labels)
    assert (estimate[1, 2] == 0).all()
    assert (estimate[1, :2].abs().amax(dim=1) > 0).all()


def test_flat_label_vectors_are_taken_as_well() -> None:
    model = tiny("baseline_resunetk").eval()
    mixture, labels, _ = inputs(model)
    torch.testing.assert_close(model(mixture, labels), model(mixture, labels.flatten(1)))


def test_more_passes_continue_the_first_ones() -> None:
    model = tiny().eval()
    with torch.no_grad():
        two = list(model.passes(*inputs(model), iterations=2))
        four = list(model.passes(*inputs(model), iterations=4))
        last = model(*inputs(model), iterations=4)
    assert len(four) == 4
    for ours, theirs in zip(two, four, strict=False):
        assert torch.equal(ours, theirs)
    assert torch.equal(last, four[-1])


def test_gradients_flow_through_the_last_pass_only() -> None:
    weight = torch.tensor(2.0, requires_grad=True)
    *_, last = refine(lambda fed_back: weight * (fed_back + 1), torch.zeros(()), 3)
    last.backward()
    assert last == 14  # 2, then 6, then 14
    assert weight.grad == 7  # d/dw of w * (6 + 1) with the 6 held fixed


def test_batch_statistics_follow_every_pass_in_training() -> None:
    model = tiny().train()
    model(*inputs(model), iterations=3)
    assert model.net.encoders[0].bn1.num_batches_tracked == 3


def test_iterations_are_drawn_from_the_given_generator() -> None:
    draws = [draw_iterations(3, torch.Generator().manual_seed(seed)) for seed in range(40)]
    assert set(draws) == {1, 2, 3}
    assert draws == [draw_iterations(3, torch.Generator().manual_seed(seed)) for seed in range(40)]


@pytest.mark.parametrize("name", ["baseline_resunet", "cpjku_iterative"])
def test_recomputing_the_outer_levels_changes_nothing(name: str) -> None:
    plain, saving = tiny(name).train(), tiny(name, checkpointed=2).train()
    for model in (plain, saving):
        for module in model.modules():
            module.dropout = 0.0  # type: ignore[assignment]
        model(*inputs(model)).square().sum().backward()
    for (key, one), two in zip(plain.named_parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, atol=1e-6, rtol=1e-4, msg=key)
    for (key, one), two in zip(plain.named_buffers(), saving.buffers(), strict=True):
        torch.testing.assert_close(one, two, msg=key)  # statistics move once, not twice


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", ["baseline_resunetk", "cpjku_iterative"])
def test_half_precision_stays_close_and_reaches_every_parameter(name: str, dtype: torch.dtype) -> None:
    model = tiny(name).to(memory_format=torch.channels_last).eval()
    expected = model(*inputs(model)).detach()
    with torch.autocast("cpu", dtype=dtype):
        estimate = model(*inputs(model))
    assert estimate.dtype == torch.float32
    error = (estimate - expected).square().mean() / expected.square().mean()
    assert error < 3e-4
    estimate.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_folded_norms_equal_the_plain_ones() -> None:
    norm = torch.nn.BatchNorm2d(3)
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            tensor.copy_(torch.linspace(-1, 1, 3))
        norm.running_var.copy_(torch.tensor([0.5, 1.0, 2.0]))
    norm.eval()
    x = torch.linspace(-2, 2, 2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    for scale in (None, torch.linspace(0.5, 2, 24).reshape(2, 3, 4, 1)):
        modulation = Modulation(torch.linspace(-1, 1, 24).reshape(2, 3, 4, 1), scale)
        with torch.no_grad():
            folded = activate(norm, x, modulation)
        plain = torch.nn.functional.leaky_relu(modulate(norm(x), modulation), 0.01)
        torch.testing.assert_close(folded, plain.detach())


def test_time_film_modes_by_hand() -> None:
    """Each mode's formula, on one site, against arithmetic on the layers' own weights."""
    for mode in ("additive", "multiplicative", "scale_shift"):
        film = tiny(time_film=mode).film
        condition, time, frames = torch.randn(1, 16), torch.randn(1, 50, 16), 64
        site = "encoder1_1"
        got = film(condition, time, frames)[site]
        x = torch.randn(1, 8, frames, 2)
        label = film.label[site](condition)[0, :, None, None]

        def resized(values: torch.Tensor, frames: int = frames) -> torch.Tensor:
            grid = torch.nn.functional.interpolate(
                values.T[None, :, :, None], size=(frames, 1), mode="bilinear", align_corners=False
            )
            return grid[0]

        if mode == "scale_shift":
            gain, shift = film.time[site](time[0]).chunk(2, dim=1)
            expected = (1 + resized(gain)) * (x[0] + label) + resized(shift)
        else:
            beta = resized(film.label[site](time[0]))
            expected = x[0] + label + beta if mode == "additive" else beta.sigmoid() * (x[0] + label)
        torch.testing.assert_close(modulate(x, got)[0], expected, atol=1e-5, rtol=1e-5)


def test_activity_of_a_silent_slot_is_zero() -> None:
    for sed_input, expected in (("logits", 0.0), ("probabilities", 0.0), ("binary", 0.0)):
        activity = tiny(sed_input=sed_input).activity
        assert activity is not None
        seen: list[torch.Tensor] = []
        activity.embedding.register_forward_pre_hook(lambda _m, given, seen=seen: seen.append(given[0]))
        labels = torch.zeros(1, 1, 18)
        activity(torch.randn(1, 18, 50), labels)
        labels[0, 0, 4] = 1
        logits = torch.randn(1, 18, 50)
        activity(logits, labels)
        assert (seen[0] == expected).all()
        wanted = {"logits": logits, "probabilities": logits.sigmoid(), "binary": (logits > 0).float()}
        torch.testing.assert_close(seen[1][0, :, 0], wanted[sed_input][0, 4])


@settings(max_examples=12)
@given(samples=st.integers(min_value=129, max_value=9000))
def test_any_length_comes_back_with_that_length(samples: int) -> None:
    model = _LENGTHS
    mixture = torch.zeros(1, 4, samples)
    mixture[..., samples // 2] = 1
    with torch.no_grad():
        estimate = model(mixture, small_labels(model.config, 1))
    assert estimate.shape == (1, 1, samples)
    assert estimate.isfinite().all()


def test_settings_survive_json() -> None:
    for name, overrides in itertools.product(SEPARATORS, ({}, {"sources": 2})):
        config = preset(name, **overrides)
        assert SeparatorConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"hops": 160}, "hops"),
        ({"hop": 0}, "hop"),
        ({"hop": 200}, "hop"),
        ({"n_fft": 1000}, "n_fft"),
        ({"channels": [1, 2]}, "channels"),
        ({"time_film": "both"}, "time_film"),
        ({"feedback": 1}, "feedback"),
        ({"checkpointed": 7}, "checkpointed"),
        ({"mono": False}, "mono"),
    ],
)
def test_wrong_settings_are_named(overrides: dict[str, object], named: str) -> None:
    with pytest.raises(ModelError) as raised:
        create_separator("cpjku_iterative-tiny", **overrides)
    assert raised.value.where == named


def test_wrong_inputs_are_named() -> None:
    model = tiny()
    mixture, labels, hints = inputs(model)
    for arguments, named in (
        ((mixture[:, :3], labels, hints), "mixture"),
        ((mixture[..., :100], labels, hints), "mixture"),
        ((mixture, labels[..., :17], hints), "labels"),
        ((mixture, labels, None), "hints"),
        ((mixture, labels, hints._replace(features=None)), "hints"),
    ):
        with pytest.raises(ModelError) as raised:
            model(*arguments)
        assert raised.value.where == named
    with pytest.raises(ModelError, match="iterations"):
        tiny("baseline_resunet")(mixture, labels, iterations=2)
    with pytest.raises(ModelError, match="unknown separator"):
        create_separator("unet")


def test_a_copy_shares_nothing() -> None:
    model = tiny()
    twin = copy.deepcopy(model)
    with torch.no_grad():
        next(twin.parameters()).zero_()
    assert next(model.parameters()).abs().max() > 0


_LENGTHS = tiny("baseline_resunet").eval()
