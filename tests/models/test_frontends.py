"""A front end that is off by a little makes every released weight hear another sound."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.errors import ModelError
from models.frontends import create_frontend
from models.frontends.banks import htk_bank, kaldi_bank, slaney_bank
from tests.models.filling import golden, waveform

NAMES = ["m2d", "atst", "beats", "fpasst", "asit"]
FRAMES_10S = {"m2d": 1001, "atst": 1001, "beats": 998, "fpasst": 1000, "asit": 998}
MELS = {"m2d": 80, "atst": 64, "beats": 128, "fpasst": 128, "asit": 128}


@pytest.fixture(scope="module")
def chirp():
    return waveform(16000)


@pytest.mark.parametrize("name", NAMES)
def test_mel_equals_the_reference(name, chirp):
    mel = create_frontend(name).eval()(chirp)
    assert mel.shape == (1, 1, MELS[name], FRAMES_10S[name])
    expected = golden("atstf" if name == "atst" else name)["mel"]
    torch.testing.assert_close(mel[0, 0, :, ::8], expected, atol=2e-4, rtol=0)


def test_m2d_mel_at_32_khz_equals_the_reference():
    frontend = create_frontend("m2d", sample_rate=32000)
    mel = frontend(waveform(32000, 4)[:1])
    torch.testing.assert_close(mel[0, 0, :, ::8], golden("baseline2025_m2dat")["mel"], atol=2e-4, rtol=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("samples", [8000, 16001, 23456])
def test_batch_of_two_equals_two_singles(name, samples, chirp):
    clips = torch.stack([chirp[0, :samples], 0.01 * chirp[0, -samples:]])
    frontend = create_frontend(name).eval()
    both = frontend(clips)
    singles = torch.cat([frontend(clips[:1]), frontend(clips[1:])])
    torch.testing.assert_close(both, singles, atol=1e-5, rtol=0)


def test_atst_batch_floor_is_the_references_when_asked_for(chirp):
    loud, quiet = 20.0 * chirp[:, :16000], 0.2 * chirp[:, :16000]
    per_item = create_frontend("atst")
    per_batch = create_frontend("atst", batch_floor=True)
    torch.testing.assert_close(per_batch(quiet), per_item(quiet))
    mates = per_batch(torch.cat([loud, quiet]))
    raised = mates[1, 0].min() - per_item(quiet)[0, 0].min()
    assert raised > 0.05  # the loud mate lifts the quiet clip's floor
    torch.testing.assert_close(mates[0], per_item(loud)[0])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_does_not_touch_the_mel(name, dtype, chirp):
    frontend = create_frontend(name).eval()
    plain = frontend(chirp[:, :16000])
    with torch.autocast("cpu", dtype=dtype):
        cast = frontend(chirp[:, :16000])
    assert cast.dtype == torch.float32
    assert torch.equal(cast, plain)


@pytest.mark.parametrize("name", NAMES)
def test_silence_gives_finite_features(name):
    assert create_frontend(name)(torch.zeros(1, 4000)).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_no_state_and_no_parameters(name):
    frontend = create_frontend(name)
    assert not frontend.state_dict()
    assert not list(frontend.parameters())


def test_fpasst_draws_its_band_in_training_only(chirp):
    torch.manual_seed(5)
    frontend = create_frontend("fpasst").train()
    first, second = frontend(chirp[:, :8000]), frontend(chirp[:, :8000])
    assert not torch.equal(first, second)
    still = create_frontend("fpasst", draw_band=False).train()
    assert torch.equal(still(chirp[:, :8000]), still.eval()(chirp[:, :8000]))


def test_centred_spectrum_against_a_direct_transform(chirp):
    """Frame t of M2D's spectrogram is |DFT|^2 of 400 Hann-weighted samples centred on 160 t."""
    frontend = create_frontend("m2d")
    x = chirp[:, :8000]
    padded = np.pad(x[0].double().numpy(), 200, mode="reflect")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    direct = np.stack(
        [np.abs(np.fft.rfft(padded[160 * t : 160 * t + 400] * hann)) ** 2 for t in range(51)], 1
    )
    np.testing.assert_allclose(frontend.power(x)[0].numpy(), direct, atol=1e-4 * direct.max(), rtol=1e-4)


def test_kaldi_spectrum_against_a_direct_transform(chirp):
    frontend = create_frontend("beats")
    x = chirp[:, :4000]
    samples = x[0].double().numpy() * 2.0**15
    povey = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)) ** 0.85
    for t in (0, 7, 22):
        frame = samples[160 * t : 160 * t + 400]
        frame = frame - frame.mean()
        frame = frame - 0.97 * np.concatenate([frame[:1], frame[:-1]])
        direct = np.abs(np.fft.rfft(frame * povey, 512)) ** 2
        np.testing.assert_allclose(
            frontend.power(x)[0, :, t].numpy(), direct, atol=1e-5 * direct.max(), rtol=1e-4
        )


def test_banks_have_the_closed_form_of_their_school():
    slaney = slaney_bank(16000, 400, 80, 50.0, 8000.0)
    # A triangle of width w and height 2/w has area one; bins are 40 Hz apart, wide ones are well sampled.
    torch.testing.assert_close(slaney[60:].sum(1) * 40.0, torch.ones(20), atol=0.02, rtol=0)
    htk = htk_bank(16000, 1024, 64, 60.0, 7800.0)
    assert htk.max() <= 1.0
    assert htk.shape == (64, 513)
    # Kaldi's triangles overlap so that every bin between the first and last peak has total weight one.
    kaldi = kaldi_bank(16000, 512, 128, 20.0, 8000.0)
    torch.testing.assert_close(kaldi[:, 4:250].sum(0), torch.ones(246), atol=1e-6, rtol=0)
    assert not kaldi[:, 256].any()


def test_too_short_or_wrong_shape_says_what_to_do():
    with pytest.raises(ModelError, match="at least 400"):
        create_frontend("beats")(torch.zeros(1, 399))
    with pytest.raises(ModelError, match="at least 201"):
        create_frontend("m2d")(torch.zeros(1, 200))
    with pytest.raises(ModelError, match="batch, samples"):
        create_frontend("m2d")(torch.zeros(1, 4, 16000))
    with pytest.raises(ModelError, match="choose one of m2d"):
        create_frontend("panns")


@pytest.mark.parametrize("name", NAMES)
def test_compiles_without_graph_break(name, chirp):
    frontend = create_frontend(name).train()
    torch._dynamo.reset()
    torch.compile(frontend, backend="eager", fullgraph=True)(chirp[:, :8000])
