"""Clips of any length, in any batch, must come out of a backbone as the released weights expect."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as nnf

from models.backbones import BACKBONES, create_backbone
from models.backbones.beats import BeatsAttention, _bucket
from models.backbones.vit import Attention
from models.errors import ModelError
from tests.models.filling import waveform

NAMES = list(BACKBONES)


def tiny(name, **options):
    torch.manual_seed(3)
    return create_backbone(name, size="tiny", **options).eval()


@pytest.fixture(scope="module")
def chirp():
    return waveform(16000)


def test_names_are_those_of_the_field():
    assert NAMES == ["m2d", "atst", "beats", "fpasst", "asit"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seconds", [1.0, 3.37, 10.0])
def test_batch_of_two_equals_two_singles(name, seconds, chirp):
    samples = int(16000 * seconds)
    clips = torch.stack([chirp[0, :samples], 0.03 * chirp[0, -samples:].flip(0)])
    net = tiny(name)
    with torch.inference_mode():
        both = net(clips)
        singles = torch.cat([net(clips[:1]), net(clips[1:])])
    torch.testing.assert_close(both, singles, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "samples", "tokens"),
    [
        ("m2d", 160000, 62),
        ("m2d", 80000, 32),  # 501 frames, padded to 512
        ("m2d", 201, 1),
        ("m2d", 163200, 64),  # 20 frames beyond a chunk, padded to 32
        ("atst", 160000, 250),
        ("atst", 47999, 75),
        ("atst", 639, 1),
        ("beats", 160000, 496),
        ("beats", 47999, 144),
        ("beats", 320000, 992),
        ("fpasst", 160000, 250),
        ("fpasst", 47999, 75),
        ("fpasst", 320000, 250),
        ("asit", 160000, 497),
        ("asit", 47999, 145),
        ("asit", 320000, 993),
    ],
)
def test_length_of_the_sequence(name, samples, tokens, chirp):
    net = tiny(name)
    with torch.inference_mode():
        sequence = net(chirp.repeat(1, 2)[:, :samples])
    assert sequence.shape == (1, tokens, net.sequence_dim)


@pytest.mark.parametrize("name", NAMES)
def test_every_blocks_output_on_request(name, chirp):
    net = tiny(name)
    with torch.no_grad():
        encoded = net.encode(chirp[:, :48000])
        plain = net(chirp[:, :48000])
    assert torch.equal(encoded.sequence, plain)
    assert len(encoded.blocks) == len(net.blocks)
    assert len(encoded.features) == net.feature_maps
    rows, columns = encoded.features[0].shape[1:3]
    special = {"m2d": 1, "fpasst": 2, "asit": 1}.get(name, 0)
    assert all(block.shape == (1, special + rows * columns, net.feature_dim) for block in encoded.blocks)
    # The last block's map is the sequence before its final norm.
    last = encoded.features[-1] if name == "beats" else net.norm(encoded.features[-1])
    columns = last.transpose(1, 2)  # time-major
    as_sequence = columns.flatten(2) if name == "m2d" else columns.flatten(1, 2)
    torch.testing.assert_close(as_sequence, encoded.sequence[:, 1:] if name == "asit" else encoded.sequence)


def test_m2d_encodes_long_clips_in_chunks_that_do_not_see_each_other(chirp):
    net = tiny("m2d")
    long = torch.cat([chirp, 0.5 * chirp.flip(1), chirp[:, 5000:60000]], 1)
    with torch.inference_mode():
        mel = net.mel(long)
        whole = net.encode_mel(mel, keep=True)
        tail = nnf.pad(mel[..., 2002:], (0, -(mel.shape[-1] - 2002) % 16))
        parts = [net.encode_mel(part, keep=True) for part in (mel[..., :1001], mel[..., 1001:2002], tail)]
    assert torch.equal(whole.sequence, torch.cat([part.sequence for part in parts], 1))
    for depth in range(net.feature_maps):
        assert torch.equal(whole.features[depth], torch.cat([part.features[depth] for part in parts], 2))
    assert torch.equal(whole.blocks[1], torch.cat([part.blocks[1] for part in parts], 1))


def test_m2d_padding_of_the_taggers_differs_only_beyond_one_chunk(chirp):
    per_chunk, per_clip = tiny("m2d"), tiny("m2d", pad_clip=True)
    with torch.inference_mode():
        for samples in (80000, 160000):
            assert torch.equal(per_chunk(chirp[:, :samples]), per_clip(chirp[:, :samples]))
        long = chirp.repeat(1, 2)[:, :239840]  # 1500 frames: 499 in the second chunk
        assert per_chunk(long).shape[1] == 62 + 32
        assert per_clip(long).shape[1] == 62 + 31


def test_m2d_listens_to_norm_stats_only_when_told(chirp):
    deaf, hearing = tiny("m2d"), tiny("m2d", use_norm_stats=True)
    for net in (deaf, hearing):
        net.norm_stats.copy_(torch.tensor([-5.0, 2.0]))
    x = chirp[:, :16000]
    torch.testing.assert_close(hearing.mel(x), (deaf.mel(x) * 4.2 - 7.1 + 5.0) / 2.0)


def test_m2d_hears_32_khz(chirp):
    net = tiny("m2d", mel_rate=32000)
    assert net.sample_rate == 32000
    assert net(waveform(32000, seconds=1.0)).shape == (1, 7, net.sequence_dim)


def test_fpasst_hears_the_first_ten_seconds_only(chirp):
    net = tiny("fpasst")
    long = chirp.repeat(1, 2)
    other = long.clone()
    other[:, 162000:] = 0.0
    with torch.inference_mode():
        torch.testing.assert_close(net(long), net(other), atol=1e-5, rtol=0)


def test_fpasst_shifts_the_positions_of_short_clips_in_training_only(chirp):
    net = tiny("fpasst", draw_band=False)
    mel = net.mel(chirp[:, :32000])
    assert torch.equal(net.encode_mel(mel).sequence, net.encode_mel(mel).sequence)
    net.train()
    torch.manual_seed(0)
    shifts = [net._time_positions(50)[0, 0, 0, 0].item() for _ in range(20)]
    table = net.time_new_pos_embed[0, 0, 0].tolist()
    assert len(set(shifts)) > 5
    assert all(shift in table[:201] for shift in shifts)


def test_asit_positions_keep_the_orientation_of_the_released_weights():
    net = tiny("asit")
    with torch.no_grad():
        grid = torch.arange(8.0)[:, None].expand(8, 37)  # value = frequency row as learned
        net.pos_embed[0, 1:] = grid.reshape(296, 1).expand(-1, 48)
    seen = net._positions(998)[0, 1:, 0].view(62, 8)  # (time, frequency) tokens
    assert seen[:, 0].std() > 1.0  # stretched over time
    torch.testing.assert_close(seen, seen[:, :1].expand(62, 8), atol=1e-4, rtol=0)
    assert torch.equal(net._positions(592), net.pos_embed)


def test_clips_out_of_range_are_refused_by_name(chirp):
    with pytest.raises(ModelError, match=r"atst: clip of 500 tokens.*at most 10 s"):
        tiny("atst")(chirp.repeat(1, 2))
    for name in ("beats", "asit"):
        with pytest.raises(ModelError, match=f"{name}: clip of 3 frames"):
            tiny(name)(chirp[:, :800])
    with pytest.raises(ModelError, match="choose one of m2d, atst"):
        create_backbone("htsat")
    with pytest.raises(ModelError, match="choose one of base, small, tiny"):
        create_backbone("m2d", size="huge")
    with pytest.raises(ModelError, match="batch_floor"):
        create_backbone("m2d", batch_floor=True)


def test_vit_attention_against_the_explicit_softmax():
    torch.manual_seed(1)
    net = Attention(48, 3).double()
    x = torch.randn(2, 7, 48, dtype=torch.float64)
    q, k, v = net.qkv(x).split(48, dim=-1)
    heads = []
    for h in range(3):
        part = slice(16 * h, 16 * h + 16)
        logits = q[..., part] @ k[..., part].mT / math.sqrt(16)
        heads.append(logits.softmax(-1) @ v[..., part])
    torch.testing.assert_close(net(x), net.proj(torch.cat(heads, -1)))


def test_beats_attention_against_the_explicit_formula():
    torch.manual_seed(2)
    net = BeatsAttention(32, 2, dropout=0.1).double().eval()
    torch.nn.init.normal_(net.grep_a)
    x = torch.randn(1, 9, 32, dtype=torch.float64)
    bias = torch.randn(2, 9, 9, dtype=torch.float64)
    q, k, v = (proj(x)[0].view(9, 2, 16) for proj in (net.q_proj, net.k_proj, net.v_proj))
    out = torch.zeros(9, 32, dtype=torch.float64)
    for h in range(2):
        for i in range(9):
            gate = net.grep_linear(q[i, h])
            a, b = gate[:4].sum().sigmoid(), gate[4:].sum().sigmoid()
            scale = a * (b * net.grep_a[0, h, 0, 0] - 1) + 2
            weights = (k[:, h] @ q[i, h] / 4 + scale * bias[h, i]).softmax(0)
            out[i, 16 * h : 16 * h + 16] = weights @ v[:, h]
    torch.testing.assert_close(net(x, bias)[0], net.out_proj(out))


def test_beats_buckets_are_exact_near_and_logarithmic_far():
    d = [-2000, -800, -400, -80, -79, -1, 0, 1, 79, 80, 400, 2000]
    far = 80 + int(math.log(5) / math.log(10) * 80)
    expected = [159, 159, far, 80, 79, 1, 0, 161, 239, 240, 160 + far, 319]
    assert _bucket(torch.tensor(d)).tolist() == expected


def test_beats_relative_bias_counts_keys_minus_queries():
    net = tiny("beats")
    bias = net._relative_bias(5)
    table = net.relative_attention_bias.weight
    assert torch.equal(bias[:, 1, 4], table[160 + 3])
    assert torch.equal(bias[:, 4, 1], table[3])


@pytest.mark.parametrize("name", NAMES)
def test_autocast_stays_near_float32(name, chirp):
    net = tiny(name)
    with torch.inference_mode():
        exact = net(chirp[:, :32000])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            cast = net(chirp[:, :32000])
    assert cast.isfinite().all()
    assert (cast.float() - exact).abs().max() < 0.25
    assert (cast.float() - exact).square().mean().sqrt() < 0.03


@pytest.mark.parametrize("name", NAMES)
def test_training_step_compiles_without_graph_break(name, chirp):
    net = tiny(name).train()
    torch._dynamo.reset()
    torch.compile(net, backend="eager", fullgraph=True)(chirp[:, :32000]).sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_layers_are_counted_from_the_bottom():
    for name in NAMES:
        net = tiny(name)
        layers = {parameter: net.layer_of(parameter) for parameter, _ in net.named_parameters()}
        assert layers["blocks.1.norm1.weight" if name != "beats" else "blocks.1.fc1.weight"] == 2
        assert all(layer == 1 for key, layer in layers.items() if "blocks.0" in key or "embed" in key)
        if name != "beats":
            assert layers["norm.weight"] == 2
