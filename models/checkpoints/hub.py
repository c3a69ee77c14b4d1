"""Nets on the Hugging Face Hub: the Hub's own mixin, with our files.

The mixin is there when `huggingface_hub` is installed; without it, folders on this machine work alike.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from torch import nn

from ..errors import ModelError
from .saving import Origin, load_model, save_model

_FILES = ("config.json", "model.safetensors")

if TYPE_CHECKING:
    _Mixin = object
else:
    try:
        from huggingface_hub import PyTorchModelHubMixin as _Mixin
    except ImportError:
        _Mixin = object

HAS_HUB = _Mixin is not object


class HubModel(nn.Module, _Mixin):
    """Any net of ours, as the Hub knows models: ``from_pretrained``, ``save_pretrained``, ``push_to_hub``.

    Args:
        net: The net; called through.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Call the net."""
        return self.net(*inputs, **options)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Put the net on the Hub, unless the licence of its weights forbids that."""
        origin = getattr(self.net, "origin", None) or Origin()
        if not origin.share:
            raise ModelError(
                f"these weights may not be passed on ({origin.licence})",
                where=repo_id,
                remedy="keep them to yourself, or push a net that was trained from other weights",
            )
        _need_hub(repo_id)
        push: Callable[..., object] = getattr(super(), "push_to_hub")  # noqa: B009 - the mixin may be missing
        return str(push(repo_id, **options))

    def _save_pretrained(self, save_directory: Path) -> None:
        save_model(self.net, save_directory)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        **_ignored: Any,
    ) -> Self:
        if Path(model_id).is_dir():
            return cls(load_model(Path(model_id)))
        from huggingface_hub import hf_hub_download

        options: dict[str, Any] = {
            "revision": revision,
            "cache_dir": cache_dir,
            "force_download": force_download,
            "local_files_only": local_files_only,
            "token": token,
        }
        folder = [Path(hf_hub_download(model_id, name, **options)).parent for name in _FILES][-1]
        return cls(load_model(folder))


def push_to_hub(net: nn.Module, repo_id: str, **options: Any) -> str:
    """Put a net on the Hub, with its settings and model card.

    Args:
        net: A net of ours.
        repo_id: ``owner/name``.
        options: Those of the Hub's ``push_to_hub`` (``private``, ``branch``, ...).

    Returns:
        The address of the commit.

    Raises:
        ModelError: The licence of the weights forbids passing them on, or `huggingface_hub` is missing.
    """
    return HubModel(net).push_to_hub(repo_id, **options)


def from_pretrained(source: str | Path, **options: Any) -> nn.Module:
    """Return a net from the Hub or from a folder, in evaluation mode.

    Args:
        source: A folder or file saved by `save_model`, or ``owner/name`` on the Hub.
        options: Those of the Hub's ``from_pretrained`` (``revision``, ``token``, ...).

    Raises:
        ModelError: Not one of our nets, or `huggingface_hub` is missing.
    """
    if Path(source).exists():
        return load_model(Path(source))
    _need_hub(str(source))
    net: nn.Module = HubModel.from_pretrained(str(source), **options).net  # type: ignore[attr-defined]
    return net


def _need_hub(where: str) -> None:
    if not HAS_HUB:
        raise ModelError("the Hub's client is missing", where=where, remedy="pip install huggingface_hub")
