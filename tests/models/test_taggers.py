"""The baselines' taggers: equal to the reference, one label set or three tracks, fine-tuned in parts."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from models.checkpoints.report import check
from models.checkpoints.sed_keys import translate
from models.errors import ModelError
from models.labels import decide_tracks
from models.taggers import TAGGERS, create_tagger
from tests.models.filling import blank, entries, golden, reference_state, waveform

FILES = {
    "baseline2025": "baseline2025_m2dat",
    "baseline2026_1c": "baseline2026_m2dat_1c",
    "baseline2026_4c": "baseline2026_m2dat_4c",
}


@pytest.mark.parametrize("name", list(FILES))
def test_output_equals_the_reference(name):
    translation = translate(reference_state(FILES[name]), name.removesuffix("_1c").removesuffix("_4c"))
    assert translation.config["name"] == name
    with blank():
        model = create_tagger(**translation.config).eval()
    check(translation, model.state_dict(), where=name)
    model.load_state_dict(translation.tensors, assign=True)
    expected = golden(FILES[name])
    x = waveform(32000, 4)[None]
    with torch.inference_mode():
        sequence = model.features(x)
        output = model.head(sequence)
    if name == "baseline2025":
        torch.testing.assert_close(sequence[0, ::4], expected["seq_sub"], atol=1e-4, rtol=0)
        torch.testing.assert_close(output.weak[0], expected["probabilities"], atol=1e-5, rtol=0)
    else:
        torch.testing.assert_close(output[0], expected["track_logits"], atol=1e-4, rtol=0)
        labels = decide_tracks(output)[0]
        assert torch.equal(torch.nn.functional.one_hot(labels, 19).float(), expected["pred_onehot"])
        sure = output[0].softmax(-1).gather(1, labels[:, None])[:, 0]  # no track of the golden is silent
        torch.testing.assert_close(sure, expected["pred_prob"], atol=1e-5, rtol=0)
    dead = sum(e["kind"] == "param" and e["fixed"] for e in entries(FILES[name]))
    assert dead == 1  # norm_stats, a buffer of ours
    reference = sum(
        torch.Size(e["shape"]).numel()
        for e in entries(FILES[name])
        if e["kind"] == "param" and not e["fixed"]
    )
    assert sum(p.numel() for p in model.parameters()) == reference


@pytest.mark.parametrize("name", list(TAGGERS))
def test_batch_of_two_equals_two_singles(name):
    torch.manual_seed(1)
    model = create_tagger(name, size="tiny").eval()
    x = torch.stack([waveform(32000, 4, 2.0), 0.1 * waveform(32000, 4, 2.0).flip(-1)])
    both = model(x)
    singles = [model(x[:1]), model(x[1:])]
    if name == "baseline2025":
        both, singles = both.weak, [single.weak for single in singles]
    torch.testing.assert_close(both, torch.cat(singles), atol=1e-6, rtol=0)


def test_four_channels_are_heard_one_after_the_other():
    torch.manual_seed(1)
    model = create_tagger("baseline2026_4c", size="tiny").eval()
    x = waveform(32000, 4, 1.0)[None]
    features = model.features(x)
    for channel in range(4):
        part = features[..., 240 * channel : 240 * channel + 240]
        torch.testing.assert_close(part, model.backbone(x[:, channel]))


def test_silent_tracks_go_last_and_classes_may_repeat():
    logits = torch.full((3, 3, 19), -1.0)
    for scene, classes in enumerate([(18, 4, 4), (7, 18, 2), (18, 18, 18)]):
        for track, index in enumerate(classes):
            logits[scene, track, index] = 1.0
    assert decide_tracks(logits).tolist() == [[4, 4, 18], [7, 2, 18], [18, 18, 18]]


@pytest.mark.parametrize("name", list(TAGGERS))
def test_predicted_labels_fill_three_slots(name):
    torch.manual_seed(2)
    labels = create_tagger(name, size="tiny").eval().predict_labels(waveform(32000, 4, 1.0)[None])
    assert labels.shape == (1, 3)
    assert labels.max() <= 18


@pytest.mark.parametrize("name", list(TAGGERS))
def test_fine_tuning_in_parts(name):
    torch.manual_seed(5)
    model = create_tagger(name, size="tiny", depth=3).train()
    x = torch.randn(2, 4, 16000)

    def touched(blocks):
        model.train_only(blocks)
        model.zero_grad(set_to_none=True)
        output = model(x)
        (output if torch.is_tensor(output) else output.weak_logits).square().sum().backward()
        got = {key for key, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
        assert got == {key for key, p in model.named_parameters() if p.requires_grad}
        return got

    head = touched(0)
    assert head
    assert all(key.startswith("head.") for key in head)
    last_two = touched(2)
    assert {key.split(".")[2] for key in last_two if "blocks" in key} == {"1", "2"}
    assert "backbone.norm.weight" in last_two
    assert "backbone.cls_token" not in last_two
    assert touched(None) == {key for key, _ in model.named_parameters()}


def test_trainable_parts_of_the_reference():
    """With two blocks free, as many parameters learn as in the reference's own fine-tuning."""
    with torch.device("meta"):
        model = create_tagger("baseline2025")
    model.train_only(2)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 14246418


@pytest.mark.parametrize("name", list(TAGGERS))
def test_tiny_net_overfits_one_batch(name):
    torch.manual_seed(7)
    model = create_tagger(name, size="tiny").train()
    t = torch.arange(32000) / 32000
    x = torch.stack([torch.sin(2 * torch.pi * f * t) * 0.3 for f in (300.0, 1500.0, 6000.0)])[:, None]
    x = x + 0.01 * torch.randn(3, 4, 32000)
    wanted = torch.tensor([2, 9, 17])
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(40):
        output = model(x)
        logits = output if torch.is_tensor(output) else output.weak_logits[:, None].expand(-1, 3, -1)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted.repeat_interleave(3))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.1
    output = model.eval()(x)
    logits = output if torch.is_tensor(output) else output.weak_logits[:, None]
    assert torch.equal(logits[:, 0].argmax(-1), wanted)


def test_step_compiles_without_graph_break():
    model = create_tagger("baseline2026_4c", size="tiny").train()
    torch._dynamo.reset()
    torch.compile(model, backend="eager", fullgraph=True)(torch.randn(2, 4, 16000)).sum().backward()


def test_weights_and_config_round_trip(tmp_path):
    torch.manual_seed(9)
    source = create_tagger("baseline2026_1c", size="tiny")
    save_file(source.state_dict(), tmp_path / "x.safetensors")
    again = create_tagger(**json.loads(json.dumps(source.config)), weights=tmp_path / "x.safetensors")
    assert all(torch.equal(again.state_dict()[key], value) for key, value in source.state_dict().items())
    with pytest.raises(ModelError, match=r"head.linear.0.weight has shape"):
        create_tagger("baseline2026_4c", size="tiny", weights=source.state_dict())
    with pytest.raises(ModelError, match="baseline2025, baseline2026_1c"):
        create_tagger("baseline2024")
    with pytest.raises(ModelError, match=r"4 channel\(s\) are heard"):
        create_tagger("baseline2026_4c", size="tiny")(torch.zeros(1, 2, 16000))
