"""The sounds of one scene as buttons: each brings its own sound and its own spectrogram."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..units import Audio
from .listening import compressed, listening_gain, to_stereo
from .markup import Blobs, esc
from .spectrogram import mel_spectrogram, picture
from .view import SceneView


class Stems:
    """Makes the buttons of a scene; all its sounds share one gain, all its pictures one range.

    Args:
        view: The scene.
        blobs: Where sounds and pictures are kept.

    Attributes:
        gain: By how much the sounds are raised, in dB.
        top: dB of the brightest colour.
        image: Id of the picture of the mixture.
    """

    def __init__(self, view: SceneView, blobs: Blobs) -> None:
        self._rate, self._blobs = view.rate, blobs
        self.gain = listening_gain(*(float(np.abs(x).max(initial=0.0)) for x in _heard(view)))
        level = mel_spectrogram(np.ascontiguousarray(view.mixture[0]), view.rate)
        self.top = float(5 * np.ceil(np.percentile(level, 99.8) / 5))
        self.image = blobs.add(picture(level, self.top))

    def button(self, name: str, sound: Audio, said: str) -> str:
        """Return the button of a sound (T,) or (channels, T); `said` is what it is, in words."""
        x = sound[None] if sound.ndim == 1 else sound
        image = self._blobs.add(picture(mel_spectrogram(np.ascontiguousarray(x[0]), self._rate), self.top))
        return self._button(name, x, said, image, "false")

    def mixture(self, view: SceneView) -> str:
        """Return the button of the mixture, which is chosen at first."""
        return self._button("Mixture", view.mixture, "the mixture", self.image, "true")

    def _button(self, name: str, x: Audio, said: str, image: str, pressed: str) -> str:
        audio = self._blobs.add(compressed(to_stereo(x), self._rate, self.gain))
        return (
            f'<button type="button" class="stem" data-audio="{audio}" data-image="{image}" data-said="{esc(said)}" '
            f'aria-pressed="{pressed}" aria-label="Listen to {esc(said)}">{esc(name)}</button>'
        )


def _heard(view: SceneView) -> Iterator[Audio]:
    """Yield every sound of a scene as it is listened to."""
    yield to_stereo(view.mixture)
    for target in view.targets:
        if target.dry is not None:
            yield target.dry
        if target.wet is not None:
            yield to_stereo(target.wet)
    for sound in (view.interference, view.noise):
        if sound is not None:
            yield to_stereo(sound)
    for estimate in view.estimates or ():
        yield estimate.waveform
