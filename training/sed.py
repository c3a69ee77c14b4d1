"""The first stage's task: SED models and taggers. `python -m training.sed --config CONFIG [KEY=VALUE …]`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from models import SedModel, SedOutput, Tagger, create_sed, create_tagger, decide, decide_tracks
from synth import SynthError

from .augment import MelAugment, attach, mixup
from .config import SedConfig
from .facts import SceneFacts, need_classes
from .keyed import seeded
from .losses import sed_loss, track_loss
from .optim import freeze_ungrouped, sed_groups
from .sections import BASELINE_TAGGERS
from .tally import Tally
from .task import Batch, Draws, Group, Sums, Task
from .weights import evaluating, file_of, found, load_backbone, same_net

if TYPE_CHECKING:
    from .panels import Panel

_TRACKED = ("baseline2026_1c", "baseline2026_4c")
_THRESHOLDS = (0.1, 0.3, 0.7, 0.9)
_UNUSED = {("linear", 0.0): "strong", ("linear", 1.0): "weak", ("attention", 1.0): "weak"}
_IMPORT = "import it with `s5kit weights import` (see `s5kit weights list`), or train the stage before"


class SedTask(Task):
    """Which classes sound, and when.

    Args:
        config: The run.
        facts: What the scenes are like.

    Raises:
        SynthError: Settings that contradict each other.
    """

    def __init__(self, config: SedConfig, facts: SceneFacts) -> None:
        self.config, self.facts = config, facts
        self._mel = MelAugment(config.augment)
        if config.augment.mixup is not None and config.model.name in _TRACKED:
            raise SynthError(
                f"{config.model.name} has tracks, whose labels cannot be mixed",
                where="augment.mixup",
                remedy="give null, or train another net",
            )

    def build(self) -> SedModel | Tagger:
        """See `Task.build`."""
        with seeded(self.config.loop.seed, 0, 0, "initial weights", torch.device("cpu")):
            net = self._tagger() if self.config.model.name in BASELINE_TAGGERS else self._sed()
        _train_only(net, self.config.model.train_only)
        _switch_off_unused(net, self.config.model.head, self.config.loss.strong_weight)
        freeze_ungrouped(net, self.groups(net))
        if self._mel:
            attach(net, self._mel)
        return net.train()

    def groups(self, model: nn.Module) -> list[Group]:
        """See `Task.groups`."""
        assert isinstance(model, SedModel | Tagger)
        return sed_groups(model, self.config.optim)

    def loss(
        self, model: nn.Module, batch: Batch, *, step: int, draws: Draws
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Task.loss`."""
        if self.config.augment.mixup is not None:
            batch = mixup(batch, draws("mixup"), self.config.augment.mixup)
        self._mel.generator = draws("mel")
        output = model(batch["mixture"])
        if isinstance(output, Tensor):
            loss = track_loss(output, self._tracks(batch["labels"], output))
            return loss, {}
        loss, parts = sed_loss(
            output, batch["strong"], batch["weak"], strong_weight=self.config.loss.strong_weight
        )
        return loss, {name: part.detach() for name, part in parts.items()}

    def validate(self, model: nn.Module, batches: Iterable[Batch]) -> Sums:
        """Return loss, accuracies of the clip's labels, and the F-score over frames.

        `label_accuracy` is the share of scenes whose labels are all right: equal sets (2025), equal multisets for
        taggers with tracks (2026). `label_accuracy@0.3` and the like are the same at other thresholds.
        `source_accuracy` is TP / (TP + FP + FN) over all scenes; `frame_f1` is the micro F-score of frames at 0.5.
        """
        tally = Tally()
        with evaluating(model) as device:
            for batch in batches:
                batch = {name: tensor.to(device) for name, tensor in batch.items()}
                self._tally(model(batch["mixture"]), batch, tally)
        return tally.sums

    def panels(self, model: nn.Module, batch: Batch) -> list[Panel]:
        """Return each scene's sound, and what was heard when beside what sounds when."""
        from .panels import Panel, map_image, sound_panel

        with evaluating(model) as device:
            output = model(batch["mixture"].to(device))
        shown = []
        for n, mixture in enumerate(batch["mixture"]):
            shown.append(sound_panel(f"scene-{n}/mixture", mixture[0], self.facts.sample_rate))
            if isinstance(output, SedOutput) and output.strong is not None:
                both = torch.cat([output.strong[n].float().cpu(), batch["strong"][n].float().cpu()])
                shown.append(
                    Panel(f"scene-{n}/heard-above-truth", image=map_image(both.flip(0).numpy(), (0.0, 1.0)))
                )
        return shown

    def _sed(self) -> SedModel:
        model, facts = self.config.model, self.facts
        weights = model.weights and file_of(found(model.weights, "model.weights", _IMPORT))
        return create_sed(
            model.name,
            len(facts.classes),
            model.head,
            weights=weights,
            head_norm=model.head_norm,
            frames=facts.frames,
            sample_rate=facts.sample_rate,
            size=model.size,
        )

    def _tagger(self) -> Tagger:
        model = self.config.model
        need_classes(self.facts, 18, f"the tagger {model.name}")
        net = create_tagger(model.name, size=model.size)
        if model.weights is not None:
            path = found(model.weights, "model.weights", _IMPORT)
            if same_net(net, path):
                return create_tagger(model.name, size=model.size, weights=file_of(path))
            load_backbone(net, path)
        return net

    def _tracks(self, labels_BS: Tensor, logits_BKC: Tensor) -> Tensor:
        """Return as many labels as there are tracks; empty slots are silence."""
        tracks = logits_BKC.shape[1]
        if labels_BS.shape[1] > tracks and bool((labels_BS[:, tracks:] != self.facts.silence).any()):
            raise SynthError(
                f"a scene has more than {tracks} targets, the tagger has {tracks} tracks",
                where="data.recipe",
                remedy=f"draw at most {tracks}: data.set.targets.count=[0,{tracks}]",
            )
        missing = max(tracks - labels_BS.shape[1], 0)
        return nn.functional.pad(labels_BS, (0, missing), value=self.facts.silence)[:, :tracks]

    def _tally(self, output: SedOutput | Tensor, batch: Batch, tally: Tally) -> None:
        scenes = len(batch["mixture"])
        if isinstance(output, Tensor):
            labels_BK = self._tracks(batch["labels"], output)
            tally.add("loss", float(track_loss(output, labels_BK)) * scenes, scenes)
            heard, there = self._counts(decide_tracks(output)), self._counts(labels_BK)
        else:
            loss, _ = sed_loss(
                output, batch["strong"], batch["weak"], strong_weight=self.config.loss.strong_weight
            )
            tally.add("loss", float(loss) * scenes, scenes)
            there = batch["weak"].long()
            threshold = self.config.validation.threshold
            heard = decide(output.weak, threshold=threshold, most=self.facts.slots).long()
            for other in _THRESHOLDS:
                chosen = decide(output.weak, threshold=other, most=self.facts.slots).long()
                tally.add(f"label_accuracy@{other}", _equal(chosen, there), scenes)
            if output.strong is not None:
                tally.f_score("frame_f1", output.strong >= 0.5, batch["strong"] > 0.5)
        tally.add("label_accuracy", _equal(heard, there), scenes)
        hits = int(torch.minimum(heard, there).sum())
        tally.add("source_accuracy", hits, int(torch.maximum(heard, there).sum()))

    def _counts(self, labels_BK: Tensor) -> Tensor:
        """Return how often every class is among the labels ``(batch, classes)``, silence left out."""
        return nn.functional.one_hot(labels_BK, self.facts.silence + 1).sum(1)[:, :-1]


def _equal(heard_BK: Tensor, there_BK: Tensor) -> int:
    return int((heard_BK == there_BK).all(1).sum())


def _train_only(net: SedModel | Tagger, blocks: int | None) -> None:
    """Freeze all but the head, the final norm and the last blocks; 0: the head alone; None: nothing."""
    if blocks is None:
        return
    depth = len(net.backbone.blocks)
    for name, parameter in net.named_parameters():
        layer = net.layer_of(name)
        parameter.requires_grad_(layer is None or (blocks > 0 and layer > depth - blocks))


def _switch_off_unused(net: SedModel | Tagger, head: str, strong_weight: float) -> None:
    """Freeze the layer of a head that the loss does not see, so that no process waits for its gradient."""
    unused = _UNUSED.get((head, strong_weight))
    layer = getattr(net.head, unused, None) if unused else None
    if layer is not None:
        layer.requires_grad_(False)


def main() -> None:
    """Train as `--config` says, under `accelerate launch` or alone."""
    from .start import main_of

    main_of(("tagger", "sed"))


if __name__ == "__main__":
    main()
