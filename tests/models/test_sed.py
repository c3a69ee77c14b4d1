"""SED models: equal to the reference with any weights, trainable, and deciding labels by the task's rule."""

from __future__ import annotations

import gzip
import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from models.backbones import create_backbone
from models.checkpoints.report import check
from models.checkpoints.sed_keys import reference_names, translate
from models.errors import ModelError
from models.heads import AttentionHead, LinearHead, align
from models.labels import decide, to_slots
from models.resample import HalveRate
from models.sed import create_sed
from tests.models.filling import GOLDEN, blank, entries, golden, reference_state, tensor_for, waveform

NAMES = ["m2d", "atst", "beats", "fpasst", "asit"]
FILES = {name: "atstf" if name == "atst" else name for name in NAMES}


def build(state, origin, **settings):
    """A net with a reference state, through the key mapping, strictly."""
    translation = translate(state, origin, **settings)
    with blank():
        model = create_sed(**translation.config)
    check(translation, model.state_dict(), where=origin)
    model.load_state_dict(translation.tensors, assign=True)
    return model.eval()


@pytest.fixture(scope="module", params=NAMES)
def heard(request):
    """A full-size net with the reference's filled weights, and what it makes of ten seconds."""
    name = request.param
    model = build(reference_state(f"{FILES[name]}_predictions447"), name)
    with torch.inference_mode():
        encoded = model.backbone.encode(waveform(16000))
    return name, model, encoded, golden(FILES[name])


def test_sequence_and_every_block_equal_the_reference(heard):
    name, _, encoded, expected = heard
    step = 4 if name == "m2d" else 8
    blocks = torch.stack([block[0, ::25, ::32] for block in encoded.blocks])
    pairs = [
        (encoded.sequence[0, ::step], expected["seq_sub"]),
        (encoded.sequence[0].mean(0), expected["seq_mean"]),
        (blocks, expected["hidden_sub"]),
    ]
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_linear_heads_equal_the_reference(heard):
    _, model, encoded, expected = heard
    with torch.inference_mode():
        output = model.judge(encoded.sequence)
    strong = output.strong_logits[0, :, ::10]
    torch.testing.assert_close(strong, expected["strong_logits"], atol=1e-4, rtol=0)
    torch.testing.assert_close(output.weak_logits[0], expected["weak_logits"], atol=1e-4, rtol=0)


def test_attention_head_equals_the_reference(heard):
    name, model, encoded, expected = heard
    head = attention_head(f"{FILES[name]}_attention18", model.backbone.sequence_dim)
    with torch.inference_mode():
        output = head(encoded.sequence)
    torch.testing.assert_close(output.strong[0], expected["att_strong"], atol=1e-5, rtol=0)
    torch.testing.assert_close(output.weak[0], expected["att_weak"], atol=1e-5, rtol=0)


def test_parameters_are_those_the_reference_uses(heard):
    name, model, _, _ = heard
    dead = {"atst": 768}.get(name, 0)  # its mask token
    with gzip.open(GOLDEN / "keys" / f"{FILES[name]}_predictions447.json.gz", "rt") as file:
        reference = json.load(file)["n_parameters_not_fixed"]
    assert sum(p.numel() for p in model.parameters()) == reference - dead


def attention_head(keys, dim, *, norm=False):
    """The 18-class head of a reference state, filled."""
    head = AttentionHead(dim, 18, norm=norm).eval()
    state = {}
    for entry in entries(keys):
        part, _, rest = entry["key"].partition(".")
        if part.endswith("_head") or part == "head_norm":
            ours = f"{part.removesuffix('_head').removeprefix('head_')}.{rest}"
            fixed = entry["fixed"]
            state[ours] = torch.tensor(0) if fixed else tensor_for(entry["key"], tuple(entry["shape"]))
    head.load_state_dict(state)
    return head


def test_cpjku_model_behind_the_resampler_equals_the_reference():
    model = build(reference_state("cpjku_m2d_wrapper_headnorm"), "cpjku-sed")
    assert model.sample_rate == 32000
    assert sum(p.numel() for p in model.parameters()) == 85631268
    expected, plain_expected = golden("cpjku_m2d_wrapper_headnorm"), golden("cpjku_m2d_wrapper_nohn")
    x = waveform(32000, 4)[None]
    with torch.inference_mode():
        mono = model.mono(x)
        encoded = model.backbone.encode(mono)
        output = model.judge(encoded.sequence)
        bare = attention_head("cpjku_m2d_wrapper_nohn", model.backbone.sequence_dim)(encoded.sequence)
    torch.testing.assert_close(mono[0, :2048], expected["resampled_head"], atol=1e-5, rtol=0)
    torch.testing.assert_close(mono[0, ::64], expected["resampled_sub"], atol=1e-5, rtol=0)
    torch.testing.assert_close(model.backbone.mel(mono)[0, 0, :, ::8], expected["mel"], atol=2e-4, rtol=0)
    assert len(encoded.features) == 13
    features = torch.stack([feature[0].flatten(0, 1)[::31, ::16] for feature in encoded.features])
    torch.testing.assert_close(features, expected["features_sub"], atol=1e-4, rtol=0)
    for out, figures in ((output, expected), (bare, plain_expected)):
        torch.testing.assert_close(out.weak[0], figures["probabilities"], atol=1e-5, rtol=0)
        torch.testing.assert_close(out.strong[0], figures["probabilities_strong"], atol=1e-5, rtol=0)
        torch.testing.assert_close(out.strong_logits[0], figures["logits_strong"], atol=1e-4, rtol=0)
        torch.testing.assert_close(out.attention_logits[0], figures["logits_weak"], atol=1e-4, rtol=0)
        decided = [decide(out.weak, threshold=t)[0].float() for t in (0.1, 0.3, 0.5, 0.7, 0.9)]
        assert torch.equal(torch.stack(decided), figures["multihot"])


def test_resampler_keeps_what_fits_and_stops_what_does_not():
    t = torch.arange(32000, dtype=torch.float64) / 32000
    halve = HalveRate()
    low = torch.sin(2 * torch.pi * 1000 * t).float()[None]
    high = torch.sin(2 * torch.pi * 14000 * t).float()[None]
    torch.testing.assert_close(halve(low)[:, 50:-50], low[:, ::2][:, 50:-50], atol=2e-3, rtol=0)
    assert halve(high)[:, 50:-50].abs().max() < 1e-3
    assert [halve(torch.ones(1, n)).shape[1] for n in (1, 2, 31999, 32000)] == [1, 1, 16000, 16000]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(halve(low), HalveRate()(low))


@pytest.mark.parametrize("tokens", [497, 310, 251, 62, 32, 1])
def test_alignment_against_its_definition(tokens):
    x = torch.randn(2, tokens, 3, dtype=torch.float64)
    steps = []
    for i in range(250):
        if tokens > 250:
            first, last = i * tokens // 250, -(-(i + 1) * tokens // 250)
            steps.append(x[:, first:last].mean(1))
        else:
            at = max(0.0, (i + 0.5) * tokens / 250 - 0.5)
            left = int(at)
            right = min(left + 1, tokens - 1)
            steps.append(x[:, left] * (1 - at + left) + x[:, right] * (at - left))
    torch.testing.assert_close(align(x, 250), torch.stack(steps, 1))


def test_weak_probability_is_the_attention_weighted_mean_of_the_strong_ones():
    torch.manual_seed(0)
    head = AttentionHead(6, 4, frames=5)
    x = torch.randn(3, 5, 6)
    out = head(x)
    attention = out.attention_logits.softmax(-1)
    weak = (out.strong.transpose(1, 2) * attention).sum(1) / attention.sum(1)
    torch.testing.assert_close(out.weak, weak)
    assert out.strong.shape == (3, 4, 5)
    linear = LinearHead(6, 4, 7, frames=5)(x)
    assert linear.weak.shape == (3, 7)
    torch.testing.assert_close(linear.strong, linear.strong_logits.sigmoid())


def test_tagging_head_hears_the_mean_token():
    model = create_sed("beats", 5, "tagging", head_norm=True, size="tiny").eval()
    x = waveform(16000, seconds=1.0)
    output = model(x)
    mean = model.backbone(x).mean(1) / (1 + 1e-5) ** 0.5  # fresh statistics: mean 0, variance 1
    expected = torch.addmm(model.head.weak.bias, mean, model.head.weak.weight.T)
    torch.testing.assert_close(output.weak_logits, expected)
    assert output.strong is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("head", ["attention", "linear", "tagging"])
def test_gradients_reach_every_parameter_and_no_frozen_one(name, head):
    torch.manual_seed(4)
    model = create_sed(name, 6, head, head_norm=True, size="tiny").train()
    frozen = model.backbone.blocks[0].requires_grad_(False)
    output = model(torch.stack([waveform(16000, seconds=2.0)[0], 0.1 * torch.randn(32000)]))
    loss = output.weak.sum() + (0.0 if output.strong is None else output.strong.square().mean())
    loss.backward()
    untouched = set(frozen.parameters())
    for key, parameter in model.named_parameters():
        if parameter in untouched:
            assert parameter.grad is None, key
        else:
            assert parameter.grad is not None, key
            assert parameter.grad.abs().max() > 0, key


@pytest.mark.parametrize("name", NAMES)
def test_tiny_net_overfits_one_batch(name):
    torch.manual_seed(11)
    model = create_sed(name, 3, size="tiny", sample_rate=32000).train()
    t = torch.arange(32000) / 32000
    x = torch.stack([torch.sin(2 * torch.pi * f * t) * 0.3 for f in (300.0, 1500.0, 6000.0)])[:, None]
    x = x + 0.01 * torch.randn(3, 4, 32000)
    wanted = torch.eye(3)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(60):
        output = model(x)
        loss = torch.nn.functional.binary_cross_entropy(output.weak, wanted)
        loss = loss + torch.nn.functional.binary_cross_entropy(
            output.strong, wanted[..., None].expand(-1, -1, 250)
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    assert torch.nn.functional.binary_cross_entropy(model(x).weak, wanted) < 0.1
    assert torch.equal(model.predict_labels(x)[:, 0], torch.arange(3))


@pytest.mark.parametrize("head", ["attention", "linear", "tagging"])
def test_batch_of_two_equals_two_singles(head):
    torch.manual_seed(1)
    model = create_sed("m2d", 7, head, size="tiny", sample_rate=32000, channel=2, head_norm=True).eval()
    x = torch.stack([waveform(32000, 4, 3.0), 0.1 * waveform(32000, 4, 3.0).flip(-1)])
    both, first, second = model(x), model(x[:1]), model(x[1:])
    for whole, a, b in zip(both, first, second, strict=True):
        if whole is not None:
            torch.testing.assert_close(whole, torch.cat([a, b]), atol=1e-6, rtol=0)
    torch.testing.assert_close(model(x[:, 2]).weak, both.weak)


def test_training_step_compiles_without_graph_break():
    model = create_sed("m2d", 7, size="tiny", sample_rate=32000, head_norm=True).train()
    torch._dynamo.reset()
    output = torch.compile(model, backend="eager", fullgraph=True)(
        waveform(32000, 4, 1.0)[None].repeat(2, 1, 1)
    )
    output.weak.sum().backward()


def test_learning_rate_layers_are_the_references():
    """12 groups from the top; the reference's own list of names is the golden."""
    model = create_sed("m2d", 18, depth=12, dim=48, heads=3)
    theirs = reference_names(model)
    groups: dict[str, int] = {}
    with gzip.open(GOLDEN / "keys" / "cpjku_m2d_wrapper_param_groups.json.gz", "rt") as file:
        for group in json.load(file):
            for name in group["names"]:
                groups[name] = round(torch.log(torch.tensor(group["lr"] / 1e-3)).item() / -0.22314355)
    for ours, _ in model.named_parameters():
        layer = model.layer_of(ours)
        assert groups.pop(theirs[ours]) == (0 if layer is None else 13 - layer), ours
    assert set(groups) <= {"model.m2d.backbone.norm_stats"}


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=18, unique=True), st.floats(0.05, 0.95))
def test_decision_is_the_official_rule(probabilities, threshold):
    row = torch.tensor([probabilities])
    order = sorted(range(len(probabilities)), key=lambda i: -probabilities[i])
    above = [i for i in order if row[0, i] >= threshold][:3]
    chosen = set(above or order[:1])
    decided = decide(row, threshold=threshold)
    assert set(decided[0].nonzero()[:, 0].tolist()) == chosen
    expected = [*sorted(chosen), *[len(probabilities)] * 3][:3]
    assert to_slots(decided)[0].tolist() == expected


def test_weights_come_from_a_file_and_heads_of_another_size_start_fresh(tmp_path):
    torch.manual_seed(8)
    source = create_sed("fpasst", 11, "linear", size="tiny")
    key = "backbone.cls_token"
    save_file(source.state_dict(), tmp_path / "whole.safetensors")
    same = create_sed("fpasst", 11, "linear", size="tiny", weights=tmp_path / "whole.safetensors")
    assert all(torch.equal(same.state_dict()[key], tensor) for key, tensor in source.state_dict().items())
    other = create_sed("fpasst", 4, size="tiny", head_norm=True, weights=tmp_path / "whole.safetensors")
    assert torch.equal(other.state_dict()[key], source.state_dict()[key])
    bare = create_backbone("fpasst", size="tiny")
    spare = {"unused.model.fpasst.left_over": torch.zeros(2)}
    save_file(bare.state_dict() | spare, tmp_path / "bare.safetensors")
    on_bare = create_sed("fpasst", 4, size="tiny", weights=str(tmp_path / "bare.safetensors"))
    assert torch.equal(on_bare.state_dict()[key], bare.state_dict()["cls_token"])
    with pytest.raises(
        ModelError,
        match=r"backbone\.pos_embed is missing\n(.*\n)*.*backbone.blocks.0.attn.qkv.bias is not a part",
    ):
        create_sed("atst", 11, size="tiny", weights=source.state_dict())
    with pytest.raises(ModelError, match=r"head.norm.running_mean is missing"):
        create_sed("fpasst", 11, "linear", size="tiny", head_norm=True, weights=source.state_dict())
    (tmp_path / "torn.safetensors").write_bytes((tmp_path / "whole.safetensors").read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"torn.safetensors: not a readable safetensors file"):
        create_sed("fpasst", 11, size="tiny", weights=tmp_path / "torn.safetensors")
    with pytest.raises(ModelError, match=r"nowhere.safetensors"):
        create_sed("fpasst", 11, size="tiny", weights=tmp_path / "nowhere.safetensors")


def test_config_rebuilds_the_model():
    model = create_sed("atst", 9, "linear", weak_classes=5, size="tiny", batch_floor=True, frames=100)
    again = create_sed(**json.loads(json.dumps(model.config)))
    assert again.config == model.config
    assert again.backbone.frontend.batch_floor
    assert again(waveform(16000, seconds=1.0)).strong.shape == (1, 9, 100)


def test_wrong_use_says_what_to_do():
    with pytest.raises(ModelError, match="attention, linear, tagging"):
        create_sed("m2d", head="gru", size="tiny")
    with pytest.raises(ModelError, match="only the linear head"):
        create_sed("m2d", 3, weak_classes=4, size="tiny")
    with pytest.raises(ModelError, match="44100 Hz"):
        create_sed("m2d", size="tiny", sample_rate=44100)
    with pytest.raises(ModelError, match="channel 3 is wanted"):
        create_sed("m2d", size="tiny", channel=3)(torch.zeros(1, 2, 16000))
