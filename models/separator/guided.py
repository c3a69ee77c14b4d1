"""A separator with the SED model that guides it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..sed import SedModel
from .conditioning import Hints
from .separator import Separator


class GuidedSeparator(nn.Module):
    """Hear the mixture with an SED model first, then separate with its hints.

    Args:
        separator: A separator whose settings use hints.
        sed: The stage-2 SED model; hears the same waveforms.
        frozen: Keep the SED model as it is: no gradients, always in evaluation mode.

    Raises:
        ModelError: The separator is made for another number or width of feature maps.
    """

    def __init__(self, separator: Separator, sed: SedModel, *, frozen: bool = False) -> None:
        super().__init__()
        _check_fit(separator, sed)
        self.separator = separator
        self.sed = sed
        self.frozen = frozen
        if frozen:
            sed.requires_grad_(False)
            sed.eval()

    def forward(self, mixture_BML: Tensor, labels: Tensor, *, iterations: int | None = None) -> Tensor:
        """Return the estimates ``(queries, sources, samples)``; arguments as for `Separator.forward`.

        There may be several queries per mixture: labels of a multiple of the batch, those of one mixture next to each
        other. The SED model hears every mixture once.
        """
        hints = self.hints(mixture_BML)
        each = len(labels) // max(len(mixture_BML), 1)
        if each > 1:
            mixture_BML = mixture_BML.repeat_interleave(each, dim=0)
            hints = Hints(*(None if part is None else part.repeat_interleave(each, dim=0) for part in hints))
        estimate_BSL: Tensor = self.separator(mixture_BML, labels, hints, iterations=iterations)
        return estimate_BSL

    def hints(self, mixture_BML: Tensor) -> Hints:
        """Return what the SED model hears in mixtures ``(batch, microphones, samples)``."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            encoded = self.sed.backbone.encode(self.sed.mono(mixture_BML))
            heard = self.sed.judge(encoded.sequence)
            return Hints(heard.strong_logits, torch.stack(encoded.features, dim=1))

    def train(self, mode: bool = True) -> GuidedSeparator:
        """Switch to training or evaluation; a frozen SED model stays in evaluation."""
        super().train(mode)
        if self.frozen:
            self.sed.eval()
        return self


def _check_fit(separator: Separator, sed: SedModel) -> None:
    wanted = (separator.config.features, separator.config.feature_width)
    given = (sed.backbone.feature_maps, sed.backbone.feature_dim)
    if separator.config.injection != "none" and wanted != given:
        raise ModelError(
            f"it mixes {wanted[0]} feature maps of width {wanted[1]}, the SED model has {given[0]} of width {given[1]}",
            where="separator",
            remedy=f"make it by create_separator(..., features={given[0]}, feature_width={given[1]})",
        )
