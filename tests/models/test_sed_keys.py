"""Every key of a released SED checkpoint arrives where it belongs, and can be written back whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from models.backbones import create_backbone
from models.checkpoints.report import check
from models.checkpoints.sed_keys import ORIGINS, export, m2d_settings, translate
from models.errors import ModelError
from models.sed import create_sed
from models.taggers import create_tagger
from tests.models.filling import entries

CREATE: dict[str, Callable[..., Any]] = {
    "sed": create_sed,
    "tagger": create_tagger,
    "backbone": create_backbone,
}
FILES = {
    "asit_attention18": "asit",
    "asit_predictions447": "asit",
    "atstf_attention18": "atst",
    "atstf_predictions447": "atst",
    "beats_attention18": "beats",
    "beats_predictions447": "beats",
    "fpasst_attention18": "fpasst",
    "fpasst_predictions447": "fpasst",
    "m2d_attention18": "m2d",
    "m2d_predictions447": "m2d",
    "cpjku_m2d_wrapper_headnorm": "cpjku-sed",
    "cpjku_m2d_wrapper_nohn": "cpjku-sed",
    "baseline2025_m2dat": "baseline2025",
    "baseline2026_m2dat_1c": "baseline2026",
    "baseline2026_m2dat_4c": "baseline2026",
}


def stand_in(name):
    """A state dictionary of full shapes that takes no memory: each tensor is one number, all different."""
    state = {}
    for number, entry in enumerate(entries(name)):
        whole = entry["dtype"].startswith("int")
        value = torch.tensor(number) if whole else torch.tensor(number + 0.5)
        state[entry["key"]] = value.expand(entry["shape"])
        if "tied_to" in entry:
            state[entry["key"]] = state[entry["tied_to"]]
    return state


def arrive(state, origin, **settings):
    """Translate strictly into a net that borrows the tensors."""
    translation = translate(state, origin, **settings)
    with torch.device("meta"):
        net = CREATE[translation.family](**translation.config)
    check(translation, net.state_dict(), where=origin)
    net.load_state_dict(translation.tensors, strict=not translation.fresh, assign=True)
    return translation, net


def same(a, b):
    pairs = [(a[key], b[key]) for key in a.keys() & b.keys()]
    equal = all(x.shape == y.shape and (x.data_ptr() == y.data_ptr() or torch.equal(x, y)) for x, y in pairs)
    return a.keys() == b.keys() and equal


@pytest.mark.parametrize("name", FILES)
def test_every_key_arrives_and_goes_back(name):
    state = stand_in(name)
    translation, net = arrive(state, FILES[name])
    assert set(translation.used) | set(translation.dropped) == set(state)
    assert not translation.unexpected
    assert same(export(net, translation.unused), state)
    heads = {"attention18": "attention", "predictions447": "linear"}
    kind = heads.get(name.rpartition("_")[2])
    assert kind is None or translation.config["head"] == kind


@pytest.mark.parametrize("name", FILES)
def test_export_without_the_file_has_every_key_and_shape(name):
    _, net = arrive(stand_in(name), FILES[name])
    rebuilt = export(net)
    assert {key: tuple(value.shape) for key, value in rebuilt.items()} == {
        entry["key"]: tuple(entry["shape"]) for entry in entries(name)
    }


RELEASED = {
    "fpasst_predictions447": ("model.fpasst.", "model."),
    "m2d_predictions447": ("model.m2d.", "model."),
    "beats_predictions447": ("model.beats.", "model.model."),
    "asit_predictions447": ("model.asit.", "model."),
    "atstf_predictions447": ("", ""),
}


@pytest.mark.parametrize("name", RELEASED)
@pytest.mark.parametrize("compiled", ["", "_orig_mod."])
def test_release_spellings(name, compiled):
    """The released files carry other prefixes than the nets they were saved for."""
    full, released = RELEASED[name]
    state = stand_in(name)
    file = {
        compiled + (released + key.removeprefix(full) if key.startswith(full) else key): value
        for key, value in state.items()
    }
    translation, net = arrive(file, FILES[name])
    assert same(export(net, translation.unused), state)


@pytest.mark.parametrize("name", RELEASED)
def test_self_supervised_files_give_a_bare_backbone(name):
    state = {key: value for key, value in stand_in(name).items() if "_head." not in key}
    translation, net = arrive(state, FILES[name])
    assert translation.family == "backbone"
    assert translation.config == {"name": FILES[name], "size": "base"}
    assert same(export(net, translation.unused), state)


def test_weak_files_have_two_numbers_of_classes():
    state = stand_in("beats_predictions447")
    state["weak_head.weight"] = torch.ones(527, 768)
    state["weak_head.bias"] = torch.ones(527)
    translation, net = arrive(state, "beats")
    assert (translation.config["num_classes"], translation.config["weak_classes"]) == (447, 527)
    assert same(export(net, translation.unused), state)


def test_files_of_one_task_may_lack_the_other_head():
    """The missing layer starts fresh and is reported; the pooling stays that of the linear heads."""
    state = {k: v for k, v in stand_in("asit_predictions447").items() if not k.startswith("strong_head")}
    translation, net = arrive(state, "asit")
    assert translation.config["head"] == "linear"
    assert set(translation.fresh) == {"head.strong.weight", "head.strong.bias"}
    written = export(net)
    assert all(torch.equal(written[key], value) for key, value in state.items())


def test_microsofts_own_beats():
    """Old weight-norm spelling, no prefix, a classifier of its own, no copies of the shared table."""
    state = stand_in("beats_predictions447")
    file = {"predictor.weight": torch.zeros(527, 768), "predictor.bias": torch.zeros(527)}
    for key, value in state.items():
        key = key.removeprefix("model.beats.")
        if key.endswith("relative_attention_bias.weight") and ".0." not in key:
            continue
        if "_head." in key:
            continue
        key = key.replace("parametrizations.weight.original0", "weight_g")
        file[key.replace("parametrizations.weight.original1", "weight_v")] = value
    translation, net = arrive(file, "beats")
    assert translation.family == "backbone"
    assert set(translation.dropped) == {"predictor.weight", "predictor.bias"}
    assert same(export(net), {key: value for key, value in state.items() if "_head." not in key})


def test_atst_files_may_lack_the_mel_buffers():
    state = {key: value for key, value in stand_in("atstf_attention18").items() if "mel_transform" not in key}
    arrive(state, "atst")


def test_ntts_fine_tuned_m2d():
    name = "m2d_as_vit_base-80x1001p16x16p32k-240413_AS-FT_enconly/weights_ep69it3124-0.47998.pth"
    assert m2d_settings(name) == {"mel_rate": 32000}
    assert m2d_settings("m2d_clap_vit_base-80x1001p16x16-240128/x.pth") == {"mel_rate": 16000}
    assert m2d_settings("downloads/m2d.pt") == {}
    with pytest.raises(ModelError, match="80x608p16x16"):
        m2d_settings("m2d_vit_base-80x608p16x16-221006-mr7/x.pth")
    state = stand_in("m2d_predictions447")
    inner = {
        key.removeprefix("model.m2d."): value
        for key, value in state.items()
        if "backbone" in key and "norm_stats" not in key
    }
    file = {f"module.ar.runtime.{key}": value for key, value in inner.items()}
    file["module.head.norm.running_mean"] = torch.zeros(3840)
    file["module.head.mlp.mlp.0.weight"] = torch.zeros(527, 3840)
    translation, net = arrive(file, "m2d", **m2d_settings(name))
    assert net.sample_rate == 32000
    assert set(translation.fresh) == {"norm_stats"}
    assert len(translation.used) == len(inner)


@pytest.mark.parametrize("name", ["cpjku_m2d_wrapper_headnorm", "cpjku_m2d_wrapper_nohn"])
def test_lightning_files_of_the_cpjku_model(name):
    state = stand_in(name)
    for prefix in ("model.", "model._orig_mod."):
        translation, net = arrive({prefix + key: value for key, value in state.items()}, "cpjku-sed")
        assert same(export(net, translation.unused), state)
    assert translation.config["sample_rate"] == 32000
    assert translation.config["head_norm"] == name.endswith("headnorm")
    inside = {f"embedding_model.{key}": value for key, value in state.items()}
    inside |= {"model.base.bn0.weight": torch.zeros(3), "model.film.x": torch.zeros(1)}
    translation, net = arrive(inside, "cpjku-sed")
    assert same(export(net, translation.unused), state)
    assert {"model.base.bn0.weight", "model.film.x"} <= set(translation.dropped)


@pytest.mark.parametrize("name", ["baseline2025_m2dat", "baseline2026_m2dat_1c", "baseline2026_m2dat_4c"])
def test_lightning_files_of_the_taggers(name):
    state = stand_in(name)
    translation, net = arrive({f"model.{key}": value for key, value in state.items()}, FILES[name])
    assert same(export(net, translation.unused), state)


@pytest.mark.parametrize("name", FILES)
def test_faults_are_named(name):
    """A key too many, one too few, or another shape: refused, with the key in the message."""
    state = stand_in(name)
    origin = FILES[name]
    with pytest.raises(ModelError, match=r"unexpected key model\.evil\.weight"):
        arrive(state | {"model.evil.weight": torch.zeros(2)}, origin)
    victim = next(key for key in state if key.endswith("fc2.weight"))
    with pytest.raises(ModelError, match=r"missing key for (backbone.)?blocks.0"):
        arrive({key: value for key, value in state.items() if key != victim}, origin)
    with pytest.raises(ModelError, match=f"{victim} has shape"):
        arrive(state | {victim: torch.zeros(3, 3)}, origin)


def test_beats_layers_must_share_one_table():
    state = stand_in("beats_attention18")
    key = "model.beats.encoder.layers.7.self_attn.relative_attention_bias.weight"
    with pytest.raises(ModelError, match=r"layers.7.self_attn.relative_attention_bias"):
        arrive(state | {key: torch.zeros(320, 12)}, "beats")


def test_unused_buffers_of_another_shape_are_refused():
    state = stand_in("m2d_attention18")
    with pytest.raises(ModelError, match=r"to_spec.mel_basis"):
        arrive(state | {"model.m2d.to_spec.mel_basis": torch.zeros(80, 401)}, "m2d")


def test_both_spellings_at_once_are_refused():
    state = stand_in("asit_attention18")
    with pytest.raises(ModelError, match=r"holds backbone.cls_token twice"):
        arrive(state | {"model.cls_token": state["model.asit.cls_token"]}, "asit")


def test_wrong_origin_is_refused():
    for origin in ORIGINS:
        if origin not in ("beats", "cpjku-sed"):
            with pytest.raises(ModelError, match=r"missing key|unexpected key"):
                arrive(stand_in("beats_attention18"), origin)
    with pytest.raises(ModelError, match="choose one of m2d"):
        translate({}, "wav2vec")
    with pytest.raises(ModelError, match="no SED model's backbone"):
        translate({"model.base.bn0.weight": torch.zeros(2)}, "cpjku-sed")


def test_rebuilt_spectrogram_kernels_are_a_spectrogram():
    """The kernels that export rebuilds give our own front end's mel: |x * (cos - i sin)|^2 through the bank."""
    net = create_backbone("m2d", size="tiny")
    kernels = export(net)
    x = torch.randn(1, 1, 4000)
    padded = torch.nn.functional.pad(x, (200, 200), mode="reflect")
    parts = [
        torch.nn.functional.conv1d(padded, kernels[f"model.m2d.to_spec.stft.{k}"], stride=160)
        for k in ("wcos", "wsin")
    ]
    mel = kernels["model.m2d.to_spec.mel_basis"] @ (parts[0].square() + parts[1].square())
    expected = net.frontend.bank() @ net.frontend.power(x[:, 0])
    torch.testing.assert_close(mel, expected, atol=1e-4 * expected.max().item(), rtol=1e-4)
