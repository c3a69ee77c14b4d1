"""SceneSpec -> Scene: the CPU renderer. It draws no random number.

Levels follow the official generators: an event's gain brings the mean power of its whole wet
signal (all channels, tail included, before any cut at the scene's end) to `ref_db + snr_db`;
the noise's brings its mean power over the scene to `ref_db`. The peak and RIR normalisations
of the originals cancel against that gain and are not made. A scene's effects come after all levels;
an event that started before the scene counts with all of its sound.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np

from ..assets.catalog import Catalog
from ..assets.mapped import let_pages_go
from ..assets.rirs import Rir, make_rir
from ..errors import SynthError
from ..scenes.labels import StrongLabel, strong_labels
from ..scenes.rules import RULES
from ..scenes.spec import EventSpec, SceneSpec
from ..units import FOA_CHANNELS, Audio
from . import convolve
from .early import early_window, short_convolve
from .effects.events import read_event
from .effects.scene import scene_chain
from .magnitude import mean_magnitude, wet_magnitude
from .memory import keep_freed_memory
from .sounds import CatalogSounds, Sounds, SoundSource, open_sounds
from .spectra import RirSpectra, SpectraSource

STEMS = ("mixture", "dry", "wet", "interference", "noise")
DEFAULT_STEMS = ("mixture", "dry")

MAPPED_LIMIT = 16 << 20
"""After so many bytes read from mapped files a renderer lets their pages go; see `mapped`."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One scene as sound; stems that were not asked for are None.

    Attributes:
        spec: What was rendered.
        mixture: (4, T) float32, W Y Z X.
        dry: (targets, T) float32, in the order of `spec.targets`.
        wet: (targets, 4, T) float32.
        interference: (4, T) float32, the sum of all interferers.
        noise: (4, T) float32.
        labels: Strong labels of the targets, with the support that the spec names.
    """

    spec: SceneSpec
    mixture: Audio | None = None
    dry: Audio | None = None
    wet: Audio | None = None
    interference: Audio | None = None
    noise: Audio | None = None
    labels: list[StrongLabel] = field(default_factory=list)


def render(spec: SceneSpec, sounds: SoundSource, stems: Collection[str] = DEFAULT_STEMS) -> Scene:
    """Render one scene.

    The mixture is the sum of all wet targets, the interference and the noise, to float32
    rounding (exactly the sum of the stems when `wet` and `interference` are asked for).

    Args:
        spec: The scene.
        sounds: A Catalog, or where else the sound lies (`FolderSounds`).
        stems: Which of `STEMS` to make; the others cost nothing.

    Raises:
        SynthError: A stem, file or position does not exist, a file is damaged, or an event is
            silent (an error by our own rules; a zero target by the official ones).
    """
    return _renderer(sounds).render(spec, stems)


def _renderer(sounds: SoundSource) -> Renderer:
    """Return this thread's renderer of a catalog, or a new one for any other source."""
    if not isinstance(sounds, Catalog):
        return Renderer(sounds)
    kept: WeakKeyDictionary[Catalog, Renderer] | None = getattr(_LOCAL, "renderers", None)
    if kept is None:
        kept = _LOCAL.renderers = WeakKeyDictionary()
    if sounds not in kept:
        kept[sounds] = Renderer(sounds)
    return kept[sounds]


_LOCAL = threading.local()


class Renderer:
    """Renders scenes one after the other, keeping its working memory between them.

    For one thread at a time; `render` keeps one per catalog and thread.

    Args:
        sounds: Where events, noises and RIRs come from.
    """

    def __init__(self, sounds: SoundSource) -> None:
        keep_freed_memory()
        self._sounds = open_sounds(sounds)
        self._spectra = SpectraSource(self._sounds)
        self._buffers: dict[str, convolve.Spectra] = {}
        self._mapped_bytes = 0

    def render(self, spec: SceneSpec, stems: Collection[str] = DEFAULT_STEMS) -> Scene:
        """Render one scene; see `render`."""
        if unknown := sorted(set(stems) - set(STEMS)):
            raise SynthError(
                f"unknown stem {unknown[0]!r}", where="stems", remedy=f"choose from {', '.join(STEMS)}"
            )
        rendering = _Rendering(spec, self._sounds, self._spectra, frozenset(stems), self._buffers)
        scene = rendering.scene()
        self._mapped_bytes += rendering.mapped_bytes
        if self._mapped_bytes > MAPPED_LIMIT:
            let_pages_go()
            self._mapped_bytes = 0
        return scene


@dataclass(slots=True)
class _Source:
    """An event on its way into the scene: its blocks, scaled, and where they start.

    `onset` is below 0 for an event that started before the scene.
    """

    spec: EventSpec
    onset: int
    signal: Audio
    gain: float
    blocks: convolve.Spectra
    first: int
    rir: RirSpectra


class _Rendering:
    """One scene's rendering; its methods read top to bottom."""

    def __init__(
        self,
        spec: SceneSpec,
        sounds: Sounds,
        spectra: SpectraSource,
        stems: frozenset[str],
        buffers: dict[str, convolve.Spectra],
    ) -> None:
        self.spec = spec
        self.sounds = sounds
        self.spectra = spectra
        self.stems = stems
        self.rules = RULES[spec.rules]
        self.chain = scene_chain(spec)
        self.buffers = buffers
        self.block = 0
        self.mapped_bytes = 0

    def scene(self) -> Scene:
        spec, stems = self.spec, self.stems
        apart = "wet" in stems or "interference" in stems
        convolved = bool(stems & {"mixture", "wet", "interference"})
        need_dry = "dry" in stems or spec.labels.support == "active"
        if convolved:
            self.spectra.prefetch(spec, [event.position for event in (*spec.targets, *spec.interferers)])
        targets = self._sources(spec.targets) if convolved or need_dry else []
        inner = self._interferers() if stems & {"mixture", "interference"} else ()
        interferers = self._sources(inner)
        noise = None
        if stems & {"mixture", "noise"}:
            noise = self.chain.of_noise(self._noise(), spec.duration)
        wet = interference = mixture = None
        if apart:
            wet = self.chain.of_spatial(self._images(targets))
            interference = self.chain.of_spatial(self._sum(interferers))
            if "mixture" in stems:
                mixture = wet.sum(axis=0) + interference
        elif "mixture" in stems:
            mixture = self.chain.of_spatial(self._sum([*targets, *interferers]))
        if mixture is not None and noise is not None:
            mixture += noise
        dry = self.chain.of_dry(self._dry(targets)) if need_dry else None
        return Scene(
            spec=spec,
            mixture=mixture,
            dry=dry if "dry" in stems else None,
            wet=wet if "wet" in stems else None,
            interference=interference if "interference" in stems else None,
            noise=self._noise_or_zeros(noise) if "noise" in stems else None,
            labels=strong_labels(spec, dry=dry, tails=self._tails()),
        )

    def _tails(self) -> list[int] | None:
        """Return the length of each target's RIR in taps, if the labels want to know."""
        if self.spec.labels.support != "tail":
            return None
        return [self.spectra.taps(self.spec, event.position).taps.shape[1] for event in self.spec.targets]

    def _interferers(self) -> Sequence[EventSpec]:
        if self.rules.interferers_sorted:
            return sorted(self.spec.interferers, key=lambda event: event.onset)
        return self.spec.interferers

    def _sources(self, events: Sequence[EventSpec]) -> list[_Source]:
        return [self._source(event) for event in events]

    def _source(self, event: EventSpec) -> _Source:
        spec = self.spec
        signal = read_event(self.sounds, event, spec.rules, spec.sample_rate)
        onset = event.onset - event.cut_before
        rir = self.spectra.get(spec, event.position)
        if rir.channels != FOA_CHANNELS:
            raise SynthError(
                f"RIRs have {rir.channels} channels, expected {FOA_CHANNELS} (W, Y, Z, X)",
                where=spec.place,
                remedy="use first-order Ambisonics RIRs",
            )
        self.mapped_bytes += rir.nbytes + signal.nbytes
        first, lead = divmod(onset, rir.block)
        blocks = convolve.block_spectra(signal, rir.block, lead)
        if self.rules.level == "magnitude":
            power = wet_magnitude(signal, self.spectra.taps(spec, event.position).taps) ** 2
        else:
            energy = convolve.wet_energy(blocks, rir.lags, self._scratch(rir.block, len(blocks)))
            power = energy / (FOA_CHANNELS * (len(signal) + rir.taps - 1))
        gain = self._gain(power, spec.ref_db + event.snr_db, event.path)
        blocks *= np.float32(gain)
        self.block = rir.block
        return _Source(event, onset, signal, gain, blocks, first, rir)

    def _gain(self, power: float, level_db: float, path: str) -> float:
        """Return the factor that brings a mean power to a level in dB."""
        if power > 0:
            return float(10 ** (level_db / 20) / np.sqrt(power))
        if self.rules.silent_event == "zero":
            return 1.0
        raise SynthError(
            "is silent: it has no level to scale",
            where=path,
            remedy="remove the file from the catalog, or rebuild it with --skip-bad",
        )

    def _images(self, sources: Sequence[_Source]) -> Audio:
        """Return each source's image at the microphone, (sources, 4, T)."""
        out = np.zeros((len(sources), FOA_CHANNELS, self.spec.duration), dtype=np.float32)
        for image, source in zip(out, sources, strict=True):
            image[:] = self._sum([source])
        return out

    def _sum(self, sources: Sequence[_Source]) -> Audio:
        """Return the sum of the sources' images, (4, T), adding before the inverse FFT."""
        duration = self.spec.duration
        if not sources:
            return np.zeros((FOA_CHANNELS, duration), dtype=np.float32)
        if not self.rules.tails and len(sources) > 1:
            cut: Audio = self._images(sources).sum(axis=0)
            return cut
        block, blocks = self.block, -(-duration // self.block)
        first = min(source.first for source in sources)
        last = max(source.first + len(source.blocks) + source.rir.spectra.shape[1] - 1 for source in sources)
        # Only blocks that something reaches are transformed back.
        out = self._buffer("out", (FOA_CHANNELS, min(last, blocks) - first, block + 1))
        out.fill(0)
        for source in sources:
            scratch = self._scratch(block, len(source.blocks))
            convolve.accumulate(out, source.blocks, source.rir.spectra, source.first - first, scratch)
        start = first * block
        image = np.empty((FOA_CHANNELS, duration), dtype=np.float32)
        begin = max(start, 0)
        for line, spectra in zip(image, out, strict=True):  # channel by channel: a quarter of the memory
            sound = convolve.overlap_add(spectra)[max(-start, 0) : duration - start]
            line[:begin] = 0
            line[begin : begin + len(sound)] = sound
            line[begin + len(sound) :] = 0
        if not self.rules.tails:
            image[:, sources[0].onset + len(sources[0].signal) :] = 0
        return image

    def _dry(self, sources: Sequence[_Source]) -> Audio:
        """Return the dry targets, (sources, T): direct path and early reflections, in place."""
        spec = self.spec
        out = np.zeros((len(sources), spec.duration), dtype=np.float32)
        for line, source in zip(out, sources, strict=True):
            rir = self.spectra.taps(spec, source.spec.position)
            channel = spec.dry.channel
            if channel >= len(rir.taps):
                raise SynthError(
                    f"is {channel}, the RIRs have {len(rir.taps)} channels",
                    where="dry.channel",
                    remedy="count channels from 0",
                )
            rir = self._turned(rir)
            peak = rir.peak(channel, absolute=self.rules.absolute_peak)
            length = rir.taps.shape[1]
            first, end = early_window(peak, length, spec.sample_rate, spec.dry, self.rules)
            early = rir.taps[channel, first:end] * np.float32(source.gain)
            start = source.onset + first
            room = spec.duration - start
            if room > 0:
                signal = short_convolve(source.signal[:room], early)[max(-start, 0) : room]
                line[max(start, 0) : max(start, 0) + len(signal)] = signal
        return out

    def _turned(self, rir: Rir) -> Rir:
        """Return a RIR as the dry window sees it: of channels that a turn of the scene mixes, turned."""
        if self.chain.turn is None or self.spec.dry.channel == 0:
            return rir
        return make_rir(np.matmul(self.chain.turn.astype(np.float32), rir.taps))

    def _noise(self) -> Audio | None:
        """Return the background over the whole scene at its level, (4, T)."""
        spec = self.spec
        if spec.noise is None:
            return None
        found = self.sounds.noise(spec.noise, spec.rules, spec.sample_rate)
        self.mapped_bytes += found.nbytes
        if found.shape[0] != FOA_CHANNELS:
            raise SynthError(
                f"has {found.shape[0]} channels, expected {FOA_CHANNELS}",
                where=spec.noise.path,
                remedy="use first-order Ambisonics noise (W, Y, Z, X)",
            )
        if self.rules.mono_noise:
            found = np.broadcast_to(found.mean(axis=0, dtype=np.float32), found.shape)
        # What a pool gives is ours to change, and nobody else's.
        fresh = isinstance(self.sounds, CatalogSounds) and spec.noise.file_times is None
        noise = self._filled(found, fresh=fresh and not self.rules.mono_noise)
        power = mean_square(noise) if self.rules.level == "power" else mean_magnitude(noise) ** 2
        noise *= np.float32(self._gain(power, spec.ref_db + spec.noise.snr_db, spec.noise.path))
        return noise

    def _noise_or_zeros(self, noise: Audio | None) -> Audio:
        if noise is not None:
            return noise
        return np.zeros((FOA_CHANNELS, self.spec.duration), dtype=np.float32)

    def _filled(self, noise: Audio, *, fresh: bool) -> Audio:
        """Return a noise of exactly the scene's length, a new array; the one given, if it is `fresh`."""
        duration, samples = self.spec.duration, noise.shape[1]
        if samples >= duration:
            return noise[:, :duration].astype(np.float32, order="C", copy=not fresh)
        times = -(-duration // samples)
        if self.rules.short_noise == "repeat":
            return np.ascontiguousarray(np.repeat(noise, times, axis=1)[:, :duration])
        return np.ascontiguousarray(np.tile(noise, (1, times))[:, :duration])

    def _scratch(self, block: int, blocks: int) -> convolve.Spectra:
        return self._buffer("scratch", (blocks, block + 1))

    def _buffer(self, name: str, shape: tuple[int, ...]) -> convolve.Spectra:
        """Return working memory of a shape, reused from scene to scene."""
        size = int(np.prod(shape))
        held = self.buffers.get(name)
        if held is None or held.size < size:
            held = self.buffers[name] = np.empty(size, dtype=np.complex64)
        return held[:size].reshape(shape)


def mean_square(signal: Audio) -> float:
    """Return the mean power of a signal: short float32 sums, added in float64."""
    flat = signal.reshape(-1)
    whole = len(flat) & -1024
    rows = flat[:whole].reshape(-1, 1024)
    total = float(np.einsum("ij,ij->i", rows, rows).sum(dtype=np.float64))
    rest = flat[whole:].astype(np.float64)
    return (total + float(rest @ rest)) / max(len(flat), 1)
