"""The second stage's task: separators. `python -m training.separator --config CONFIG [KEY=VALUE …]`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from models import (
    GuidedSeparator,
    Separator,
    answer_slots,
    create_sed,
    create_separator,
    draw_iterations,
    import_weights,
    load_weights,
    separator_settings,
)
from synth import SynthError

from .config import SeparatorConfig
from .facts import SceneFacts, need_classes
from .keyed import seeded
from .losses import class_aware_pit_loss, masked_snr_loss, query_loss
from .metrics import score_scene, slots
from .optim import freeze_ungrouped, separator_groups
from .predicted import PredictedLabels
from .queries import draw_queries
from .tally import Tally
from .task import Batch, Draws, Group, Sums, Task
from .weights import evaluating, file_of, found

if TYPE_CHECKING:
    from .panels import Panel

_TRAIN_FIRST = "train it first, or import it with `s5kit weights import`"
_AUDIOSEP = "fetch it by hand from the page that `s5kit weights list` names"


class SeparatorTask(Task):
    """The dry sound of the classes that are asked for.

    Args:
        config: The run.
        facts: What the scenes are like.

    Raises:
        SynthError: The loss does not fit the separator, or nothing predicts the labels that are to be predicted.
        ModelError: Settings of the separator that there are not, or a tagger that is none.
    """

    def __init__(self, config: SeparatorConfig, facts: SceneFacts) -> None:
        self.config, self.facts = config, facts
        name = f"{config.model.preset}{'-tiny' if config.model.size == 'tiny' else ''}"
        self.settings = separator_settings(name, **config.model.overrides)
        need_classes(facts, self.settings.classes, f"the separator {config.model.preset}")
        _check_loss(config, self.settings.sources)
        predicts = "predicted" in config.validation.labels
        self._predicted = PredictedLabels(config.validation, facts) if predicts else None

    def build(self) -> Separator | GuidedSeparator:
        """See `Task.build`."""
        with seeded(self.config.loop.seed, 0, 0, "initial weights", torch.device("cpu")):
            net = self._guided() if self.config.model.guide.name != "none" else self._separator()
        if self.config.model.weights is not None:
            load_weights(net, file_of(found(self.config.model.weights, "model.weights", _TRAIN_FIRST)))
        self._switch_off_unused(net)
        freeze_ungrouped(net, self.groups(net))
        return net.train()

    def groups(self, model: nn.Module) -> list[Group]:
        """See `Task.groups`."""
        assert isinstance(model, Separator | GuidedSeparator)
        return separator_groups(model, self.config.optim)

    def loss(
        self, model: nn.Module, batch: Batch, *, step: int, draws: Draws
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Task.loss`."""
        passes = self._passes(draws)
        extra = {}
        if self.settings.feedback:
            extra["iterations"] = torch.tensor(float(passes), device=batch["mixture"].device)
        if self.settings.sources > 1:
            return self._slots_loss(model, batch, passes), extra
        loss = self.config.loss
        asked = draw_queries(
            batch,
            len(self.facts.classes),
            each=loss.targets_per_mixture,
            negatives=loss.negatives,
            seed=self.config.loop.seed,
        )
        mixture = batch["mixture"]
        reference = mixture[:, 0].repeat_interleave(loss.targets_per_mixture, dim=0)
        if self.config.model.guide.name == "none":
            mixture = mixture.repeat_interleave(loss.targets_per_mixture, dim=0)
        estimate = model(mixture, asked.labels[:, None], iterations=passes)[:, 0]
        value = query_loss(estimate, asked.target, reference, asked.absent, asked.weight, loss.zero_floor_db)
        return value, extra

    def validate(self, model: nn.Module, batches: Iterable[Batch]) -> Sums:
        """Return CA-SDRi (2025) and CAPI-SDRi (2026) with oracle and with predicted labels, as configured.

        `oracle/snr` is the mean SNR of the sources found. With predicted labels `predicted/label_accuracy` says how
        many scenes had all of them right.
        """
        tally = Tally()
        with evaluating(model) as device:
            for batch in batches:
                mixture = batch["mixture"].to(device)
                for kind in self.config.validation.labels:
                    labels = batch["labels"] if kind == "oracle" else self._labels_of(batch, device)
                    estimate = self._answer(model, mixture, labels.to(device))
                    self._score(kind, batch, labels.cpu(), estimate.float().cpu(), tally)
        return tally.sums

    def panels(self, model: nn.Module, batch: Batch) -> list[Panel]:
        """Return each scene's mixture, targets and estimates (oracle labels)."""
        from .panels import sound_panel

        rate = self.facts.sample_rate
        with evaluating(model) as device:
            estimates = self._answer(model, batch["mixture"].to(device), batch["labels"].to(device))
        shown = []
        for n, labels in enumerate(batch["labels"].tolist()):
            shown.append(sound_panel(f"scene-{n}/mixture", batch["mixture"][n, 0], rate))
            for slot, label in enumerate(labels):
                if label < self.facts.silence:
                    place = f"scene-{n}/{slot}-{self.facts.classes[label]}"
                    shown.append(sound_panel(f"{place}/target", batch["dry"][n, slot], rate))
                    shown.append(sound_panel(f"{place}/estimate", estimates[n, slot], rate))
        return shown

    def _separator(self) -> Separator:
        model = self.config.model
        if model.audiosep is not None and model.weights is None:
            path = found(model.audiosep, "model.audiosep", _AUDIOSEP)
            started = import_weights(
                path,
                "audiosep",
                target=self.settings,
                settings={"hop": self.settings.hop},  # no weight depends on it, and no file tells it
                seed=self.config.loop.seed,
            )
            assert isinstance(started.model, Separator)
            return started.model
        return create_separator(model.preset, **self.settings.to_json())

    def _guided(self) -> GuidedSeparator:
        guide, facts = self.config.model.guide, self.facts
        weights = guide.weights if self.config.model.weights is None else None
        sed = create_sed(
            guide.name,
            len(facts.classes),
            guide.head,
            weights=weights and file_of(found(weights, "model.guide.weights", _TRAIN_FIRST)),
            head_norm=guide.head_norm,
            frames=facts.frames,
            sample_rate=facts.sample_rate,
            size=self.config.model.size,
        )
        fit: dict[str, Any] = {
            "features": sed.backbone.feature_maps,
            "feature_width": sed.backbone.feature_dim,
        }
        self.settings = type(self.settings).from_json({**self.settings.to_json(), **fit})
        return GuidedSeparator(self._separator(), sed, frozen=guide.frozen)

    def _switch_off_unused(self, net: Separator | GuidedSeparator) -> None:
        """Freeze what a trainable guide has above the features that are used, so that no process waits for it."""
        if isinstance(net, GuidedSeparator) and self.settings.time_film == "none":
            for name, parameter in net.sed.named_parameters():
                if name.startswith("backbone.norm."):
                    parameter.requires_grad_(False)

    def _passes(self, draws: Draws) -> int:
        most = self.settings.iterations
        if not self.settings.feedback or not self.config.loss.random_iterations:
            return most
        return draw_iterations(most, draws("iterations"))

    def _slots_loss(self, model: nn.Module, batch: Batch, passes: int) -> Tensor:
        labels, dry = self._padded(batch["labels"], batch["dry"])
        estimate = model(batch["mixture"], self._vectors(labels), iterations=passes)
        if self.config.loss.kind == "masked_snr":
            return masked_snr_loss(estimate, dry, labels != self.facts.silence)
        return class_aware_pit_loss(estimate, dry, labels, self.facts.silence)[0]

    def _padded(self, labels_BS: Tensor, dry_BST: Tensor) -> tuple[Tensor, Tensor]:
        """Return labels and targets with as many slots as the separator has."""
        missing = self.settings.sources - labels_BS.shape[1]
        if missing < 0:
            raise SynthError(
                f"scenes have up to {labels_BS.shape[1]} targets, the separator {self.settings.sources} slots",
                where="data.recipe",
                remedy=f"draw fewer: data.set.targets.count=[1,{self.settings.sources}]",
            )
        labels_BS = nn.functional.pad(labels_BS, (0, missing), value=self.facts.silence)
        return labels_BS, nn.functional.pad(dry_BST, (0, 0, 0, missing))

    def _vectors(self, labels_BS: Tensor) -> Tensor:
        """Return one-hot vectors ``(batch, slots, classes)``; silence is all zero."""
        return nn.functional.one_hot(labels_BS, self.facts.silence + 1)[..., :-1].float()

    def _answer(self, model: nn.Module, mixture_BML: Tensor, labels_BS: Tensor) -> Tensor:
        queries = self.config.validation.batch_size
        return answer_slots(model, mixture_BML, self._vectors(labels_BS), queries=queries)

    def _labels_of(self, batch: Batch, device: torch.device) -> Tensor:
        assert self._predicted is not None
        return self._predicted(batch, device)

    def _score(self, kind: str, batch: Batch, labels_BS: Tensor, estimate_BSL: Tensor, tally: Tally) -> None:
        silence = self.facts.silence
        for n, mixture in enumerate(batch["mixture"]):
            score = score_scene(
                slots(labels_BS[n], estimate_BSL[n].numpy()),
                slots(batch["labels"][n], batch["dry"][n].cpu().numpy()),
                mixture.cpu().numpy(),
                silence=silence,
            )
            tally.add(f"{kind}/ca_sdri", score.ca_sdri)
            tally.add(f"{kind}/capi_sdri", score.capi_sdri)
            for match in score.matches:
                if match.kind == "hit":
                    tally.add(f"{kind}/snr", match.sdr)
            if kind == "predicted":
                tally.add("predicted/label_accuracy", float(score.same_multiset))


def _check_loss(config: SeparatorConfig, sources: int) -> None:
    loss = config.loss
    if (loss.kind == "snr") != (sources == 1):
        raise SynthError(
            f"{loss.kind!r} for a separator of {sources} source(s) per pass",
            where="loss.kind",
            remedy="give snr for one source, masked_snr or class_aware_pit for several",
        )
    if sources > 1 and (loss.negatives > 0 or loss.targets_per_mixture > 1):
        raise SynthError(
            f"a separator of {sources} sources per pass is asked for all targets at once",
            where="loss.negatives" if loss.negatives > 0 else "loss.targets_per_mixture",
            remedy="leave negatives at 0 and targets_per_mixture at 1, or take a separator of one source",
        )


def main() -> None:
    """Train as `--config` says, under `accelerate launch` or alone."""
    from .start import main_of

    main_of(("separator",))


if __name__ == "__main__":
    main()
