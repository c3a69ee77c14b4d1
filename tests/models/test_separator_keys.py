"""Every key of every published separator is known, and comes back when a net is written out again."""

from __future__ import annotations

import pytest
import torch

from models.checkpoints.audiosep_start import start_from_audiosep
from models.checkpoints.separator_keys import export, reference_key, translate
from models.errors import ModelError
from models.separator import SEPARATORS, Separator, SeparatorConfig, create_separator, preset
from tests.models.filling import entries
from tests.models.separating import ORIGINS, key_list, reference_state

NAMES = {
    "audiosep_resunet30": "audiosep",
    "baseline2025_resunet": "baseline_resunet",
    "baseline2025_resunetk": "baseline_resunetk",
    "cpjku_separator_non_iterative": "cpjku_non_iterative",
    "cpjku_separator_iterative": "cpjku_iterative",
    "cpjku_separator_dprnn_iter0": None,
    "cpjku_separator_no_soundbeam": None,
    "cpjku_separator_no_timefilm": None,
}


def origin(name: str) -> str:
    return ORIGINS.get(name, "cpjku-separator")


def shapes(name: str) -> dict[str, torch.Tensor]:
    """The reference's state without values."""
    entries = key_list(name)["entries"]
    kinds = {"int64": torch.int64, "float32": torch.float32}
    return {e["key"]: torch.empty(e["shape"], dtype=kinds[e["dtype"]], device="meta") for e in entries}


@pytest.mark.parametrize("name", NAMES)
def test_every_key_is_accounted_for_and_written_back(name: str) -> None:
    state = shapes(name)
    out = translate(state, origin(name))
    assert out.unexpected == []
    assert out.used.keys() | out.dropped.keys() == state.keys()
    config = SeparatorConfig.from_json(out.config)
    if NAMES[name]:
        assert config == preset(NAMES[name])
    with torch.device("meta"):
        model = Separator(config)
    assert out.tensors.keys() == model.state_dict().keys()
    back = export(model, out.unused)
    assert {key: tensor.shape for key, tensor in back.items()} == {k: t.shape for k, t in state.items()}


@pytest.mark.parametrize("name", ["cpjku_separator_iterative"])
def test_values_survive_the_way_there_and_back(name: str) -> None:
    state = reference_state(name)
    out = translate(state, origin(name))
    model = Separator(SeparatorConfig.from_json(out.config))
    model.load_state_dict(out.tensors)
    back = export(model, out.unused)
    for key, tensor in state.items():
        assert torch.equal(back[key], tensor), key


def test_the_transforms_are_rebuilt_as_the_reference_has_them() -> None:
    """Convolution with the rebuilt kernels is the STFT, and back again the waveform."""
    model = create_separator("baseline_resunet-tiny")
    n_fft, bins = 256, 129
    state = export(model)
    x = torch.linspace(0, 60, n_fft).sin()
    spectrum = torch.fft.rfft(x * torch.hann_window(n_fft))
    real, imag = (state[f"base.stft.conv_{part}.weight"][:, 0] @ x for part in ("real", "imag"))
    torch.testing.assert_close(torch.complex(real, imag), spectrum, atol=1e-4, rtol=1e-4)
    full_real = torch.cat((real, real[1:-1].flip(0)))
    full_imag = torch.cat((imag, -imag[1:-1].flip(0)))
    assert len(full_real) == 2 * (bins - 1)
    kernels = (state[f"base.istft.conv_{part}.weight"][:, :, 0] for part in ("real", "imag"))
    inverse = next(kernels) @ full_real - next(kernels) @ full_imag
    window = torch.hann_window(n_fft)
    torch.testing.assert_close(inverse, x * window**2, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(state["base.istft.ola_window"], window**2)


def test_training_prefixes_are_taken_off_and_the_sed_model_kept() -> None:
    plain = shapes("cpjku_separator_iterative")
    state = {f"model._orig_mod.{key}": tensor for key, tensor in plain.items()}
    inside = {
        f"embedding_model.{e['key']}": torch.empty(e["shape"], device="meta")
        for e in entries("cpjku_m2d_wrapper_nohn")
    }
    out = translate(state | inside, "cpjku-separator")
    assert out.family == "guided_separator"
    assert out.unexpected == []
    assert out.used.keys() | out.dropped.keys() == (state | inside).keys()
    assert out.used["model._orig_mod.base.ss_model.bn0.weight"] == "separator.bn0.weight"
    assert sum(ours.startswith("sed.") for ours in out.used.values()) > 150


def test_audiosep_keeps_no_text_encoder() -> None:
    state = {f"ss_model.{key}": tensor for key, tensor in shapes("audiosep_resunet30").items()}
    state["query_encoder.model.text_branch.x"] = torch.zeros(1)
    out = translate(state, "audiosep")
    assert out.unexpected == []
    assert "encoder" in out.dropped["query_encoder.model.text_branch.x"]


@pytest.mark.parametrize("target", [name for name in SEPARATORS if name.startswith("cpjku")])
def test_audiosep_starts_the_seed_system(target: str) -> None:
    """The seed system's own start: 329 entries copied, three adapted, the rest fresh."""
    state = {
        f"ss_model.{key}": tensor for key, tensor in reference_state("audiosep_resunet30", fixed=True).items()
    }
    audiosep = translate(state, "audiosep")
    out = start_from_audiosep(audiosep, preset(target))
    adapted = {"base.pre_conv.weight", "base.after_conv.weight", "base.after_conv.bias"}
    assert {key.removeprefix("ss_model.") for key in out.adapted} == adapted
    assert len(out.used.keys() | out.dropped.keys()) - len(out.adapted) == 329
    heard = out.tensors["net.pre_conv.weight"]
    mono = state["ss_model.base.pre_conv.weight"]
    torch.testing.assert_close(heard[:, :4].sum(dim=1, keepdim=True), mono)
    assert heard.shape[1] == 4 + (target == "cpjku_iterative")
    assert (heard[:, 4:] == 0).all()
    masks = out.tensors["net.after_conv.weight"].view(4, 3, 32, 1, 1)
    assert (masks == state["ss_model.base.after_conv.weight"]).all()
    with torch.device("meta"):
        wanted = Separator(preset(target)).state_dict().keys()
    assert out.tensors.keys() | out.fresh.keys() == wanted
    groups = {key.split(".")[0] for key in out.fresh}
    assert groups <= {"out_conv", "label_embedding", "activity", "middle", "bn0_feedback"}


def test_another_window_cannot_start_from_audiosep() -> None:
    audiosep = translate(shapes("audiosep_resunet30"), "audiosep")
    with pytest.raises(ModelError, match="n_fft"):
        start_from_audiosep(audiosep, preset("baseline_resunet"))


def test_unknown_keys_and_other_nets_are_refused() -> None:
    state = shapes("baseline2025_resunet")
    state["model.base.surprise"] = torch.zeros(3)
    assert translate(state, "baseline2025").unexpected == ["model.base.surprise"]
    with pytest.raises(ModelError, match="no such key"):
        translate({"a": torch.zeros(1)}, "cpjku-separator")
    twice = {"model.a": torch.zeros(1), "a": torch.zeros(1)}
    with pytest.raises(ModelError, match="two separators"):
        translate(twice, "baseline2025")


def test_the_papers_own_layers_have_no_reference_name() -> None:
    with pytest.raises(ModelError, match="reference has no"):
        export(create_separator("cpjku_non_iterative-tiny", time_film="scale_shift"))


def test_concatenated_features_have_names_too() -> None:
    model = create_separator("cpjku_non_iterative-tiny", injection="concat", dprnn="after")
    back = translate(export(model), "cpjku-separator", hop=80)
    assert back.unexpected == []
    assert SeparatorConfig.from_json(back.config) == model.config


def test_parameters_learn_in_the_seed_systems_groups() -> None:
    """Pre-trained parts at 0.2 of the rate of new ones, the recurrence between them."""
    rates = {
        name: group["lr"]
        for group in key_list("cpjku_separator_iterative_param_groups")
        for name in group["names"]
    }
    expected = {"pretrained": 2e-4, "new": 1e-3, "dprnn": 5e-4}
    with torch.device("meta"):
        model = create_separator("cpjku_iterative")
    for ours, _ in model.named_parameters():
        assert rates[reference_key(ours, model.config)] == expected[model.group_of(ours)], ours
