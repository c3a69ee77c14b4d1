"""Released separators answer as their references do: the same weights give the same waveforms."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from models.checkpoints import sed_keys
from models.sed import create_sed
from models.separator import GuidedSeparator, Hints
from models.windows import in_windows
from tests.models import filling
from tests.models.separating import BLENDER, SPEECH, golden, one_hot, reference_separator, unit

WAVEFORM = 1e-5
MAP = 1e-4


def close(ours: torch.Tensor, reference: torch.Tensor, atol: float = WAVEFORM) -> None:
    torch.testing.assert_close(ours, reference, atol=atol, rtol=0)


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def mixture() -> torch.Tensor:
    return filling.waveform(32000, 4)[None]


@pytest.fixture(scope="module")
def sed() -> torch.nn.Module:
    """The stage-2 SED model that the references were given."""
    translated = sed_keys.translate(
        filling.reference_state("cpjku_m2d_wrapper_nohn", fixed=False), "cpjku-sed"
    )
    model = create_sed(**translated.config)
    model.load_state_dict(translated.tensors, strict=False)
    return model.eval()


@pytest.fixture(scope="module")
def hints(mixture: torch.Tensor, sed: torch.nn.Module) -> Hints:
    with torch.inference_mode():
        return GuidedSeparator(reference_separator("cpjku_separator_non_iterative"), sed).hints(mixture)


def test_audiosep() -> None:
    model, expected = reference_separator("audiosep_resunet30"), golden("audiosep_resunet30")
    mixture = filling.waveform(32000)[None]
    condition = torch.from_numpy(unit("condition", (1, 512))).float() / 512**0.5
    waveform = model(mixture, condition)[0, 0]
    close(waveform[::4], expected["waveform_sub"])
    close(waveform[:4096], expected["waveform_head"])


def test_audiosep_in_windows_of_five_seconds() -> None:
    model, expected = reference_separator("audiosep_resunet30"), golden("audiosep_resunet30")
    mixture = filling.waveform(32000)[None]
    condition = torch.from_numpy(unit("condition", (1, 512))).float() / 512**0.5
    joined = in_windows(lambda cut: model(cut, condition), mixture, length=160000, overlap=64000)
    close(joined[0, 0, ::16], expected["chunked_sub"])


def test_spectrum_of_the_reference() -> None:
    from models.separator.stft import Stft

    spectrum, expected = Stft(2048, 320)(filling.waveform(32000)), golden("audiosep_resunet30")
    close(spectrum.magnitude[0, ::10, ::8], expected["mag_sub"], atol=1e-4)
    loud = spectrum.magnitude[0, ::50, ::16] > 1e-2  # phase of next to nothing is rounding
    for ours, name in ((spectrum.cosine, "cos_sub"), (spectrum.sine, "sin_sub")):
        close(ours[0, ::50, ::16][loud], expected[name][loud], atol=2e-3)


def test_baseline_resunet(mixture: torch.Tensor) -> None:
    model, expected = reference_separator("baseline2025_resunet"), golden("baseline2025_resunet")
    waveform = model(mixture, one_hot(SPEECH)[None])[0, 0]
    close(waveform[::4], expected["waveform_sub"])
    close(waveform[:4096], expected["waveform_head"])


def test_baseline_resunetk_separates_three_sources_at_once(mixture: torch.Tensor) -> None:
    model, expected = reference_separator("baseline2025_resunetk"), golden("baseline2025_resunetk")
    waveform = model(mixture, one_hot(SPEECH, BLENDER, None)[None])[0]
    close(waveform[:, ::8], expected["waveform_sub"])
    assert (waveform[2] == 0).all()


def test_cpjku_non_iterative(mixture: torch.Tensor, hints: Hints) -> None:
    model, expected = (
        reference_separator("cpjku_separator_non_iterative"),
        golden("cpjku_separator_non_iterative"),
    )
    assert hints.logits is not None
    close(hints.logits[0], expected["logits_strong"], atol=1e-4)
    maps = watch(model)
    waveform = model(mixture, one_hot(SPEECH)[None], hints)[0, 0]
    close(waveform[::8], expected["waveform_sub"])
    close(waveform[:4096], expected["waveform_head"])
    for name, ours in maps.items():
        close(ours, expected[f"inter_{name}"], atol=MAP)


@pytest.mark.slow
def test_cpjku_without_activity_in_time(mixture: torch.Tensor, hints: Hints) -> None:
    model, expected = (
        reference_separator("cpjku_separator_non_iterative"),
        golden("cpjku_separator_non_iterative"),
    )
    waveform = model(mixture, one_hot(SPEECH)[None], hints._replace(logits=None))[0, 0]
    close(waveform[::16], expected["waveform_nosed_sub"])


def test_cpjku_iterative_first_and_second_pass(mixture: torch.Tensor, hints: Hints) -> None:
    model, expected = reference_separator("cpjku_separator_iterative"), golden("cpjku_separator_iterative")
    rnn: dict[str, torch.Tensor] = {}
    model.middle.dprnn.register_forward_hook(
        lambda _module, given, out: rnn.update(dprnn_in=given[0], dprnn_out=out)
    )
    first, second = model.passes(mixture, one_hot(SPEECH)[None], hints)
    close(first[0, 0, ::16], expected["iteration1_sub"][0])
    close(second[0, 0, ::16], expected["inference_sub"][0])
    close(second[0, 0, ::8], expected["waveform_sub"])
    for name, ours in rnn.items():
        close(ours[0, ::24], expected[name], atol=MAP)


@pytest.mark.slow
def test_cpjku_iterative_four_passes_and_another_class(mixture: torch.Tensor, hints: Hints) -> None:
    model, expected = reference_separator("cpjku_separator_iterative"), golden("cpjku_separator_iterative")
    *_, fourth = model.passes(mixture, one_hot(SPEECH)[None], hints, iterations=4)
    close(fourth[0, 0, ::8], golden("cpjku_separator_iterative_x4")["waveform_sub"])
    first, second = model.passes(mixture, one_hot(BLENDER)[None], hints)
    close(first[0, 0, ::16], expected["iteration1_sub"][1])
    close(second[0, 0, ::16], expected["inference_sub"][1])


def watch(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Collect the maps that the golden file holds, on its grid, while the model runs."""
    maps: dict[str, torch.Tensor] = {}
    net, middle = model.net, model.middle
    pool = {"encoder_block1": (2, 2), "encoder_block6": (1, 2)}
    watched = {
        "pre_conv": net.pre_conv,
        "encoder_block1": net.encoders[0],
        "encoder_block6": net.encoders[5],
        "conv_block7a": net.bottleneck,
        "downsample_conv": middle.injection.merge.conv,
        "merged": middle,
        "decoder_block1": net.decoders[0],
        "decoder_block6": net.decoders[5],
        "after_conv": net.after_conv,
    }

    def keep(name: str, out: torch.Tensor) -> None:
        x = (F.avg_pool2d(out, pool[name]) if name in pool else out)[0]
        channels, frames, bins = x.shape
        maps[name] = x[:: max(1, channels // 16), :: max(1, frames // 8), :: max(1, bins // 8)].clone()

    for name, module in watched.items():
        module.register_forward_hook(lambda _module, _given, out, name=name: keep(name, out))
    return maps
