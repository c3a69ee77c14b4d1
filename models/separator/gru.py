"""A bidirectional GRU that can be compiled.

`torch.compile` stops at `torch.nn.GRU`, and unrolls the function behind it step by step into a graph that takes
minutes to build. In compiled code each layer is therefore one operator of its own, opaque to the compiler; its
backward pass runs the layer again with gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.backends import cudnn
from torch.nn import functional as F  # noqa: N812


class BiGru(nn.Module):
    """A stacked bidirectional GRU whose parameters bear `torch.nn.GRU`'s names.

    Args:
        inputs: Features per step.
        hidden: Units per direction.
        layers: Stacked layers.
        dropout: Dropout between layers, in training.
    """

    def __init__(self, inputs: int, hidden: int, *, layers: int, dropout: float) -> None:
        super().__init__()
        self.inputs, self.hidden, self.layers, self.dropout = inputs, hidden, layers, dropout
        self.names: list[str] = []
        bound = hidden**-0.5
        for layer in range(layers):
            width = inputs if layer == 0 else 2 * hidden
            for direction in ("", "_reverse"):
                for name, shape in (
                    (f"weight_ih_l{layer}{direction}", (3 * hidden, width)),
                    (f"weight_hh_l{layer}{direction}", (3 * hidden, hidden)),
                    (f"bias_ih_l{layer}{direction}", (3 * hidden,)),
                    (f"bias_hh_l{layer}{direction}", (3 * hidden,)),
                ):
                    self.register_parameter(name, nn.Parameter(torch.empty(shape).uniform_(-bound, bound)))
                    self.names.append(name)

    def forward(self, x_BTC: Tensor) -> Tensor:
        """Return ``(batch, steps, 2 * hidden)``, forward direction first; float32 also under autocast."""
        weights = [getattr(self, name) for name in self.names]
        with torch.autocast(x_BTC.device.type, enabled=False):
            x_BTC = x_BTC.to(weights[0].dtype)
            if torch.compiler.is_compiling():
                return self._by_layers(x_BTC, weights)
            start = x_BTC.new_zeros(2 * self.layers, x_BTC.shape[0], self.hidden)
            out, _ = torch.gru(
                x_BTC, start, weights, True, self.layers, self.dropout, self.training, True, True
            )
            return out

    def _by_layers(self, x_BTC: Tensor, weights: list[Tensor]) -> Tensor:
        for layer in range(self.layers):
            if layer:
                x_BTC = F.dropout(x_BTC, self.dropout, self.training)
            x_BTC = gru_layer(x_BTC, weights[8 * layer : 8 * layer + 8])
        return x_BTC

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> BiGru:
        super()._apply(fn, recurse)
        self._compact()
        return self

    def _compact(self) -> None:
        """Lay the weights in one block, which cuDNN otherwise does anew at every call."""
        weights = [getattr(self, name) for name in self.names]
        first = weights[0]
        if first.is_cuda and cudnn.is_acceptable(first.data):
            mode = cudnn.rnn.get_cudnn_mode("GRU")
            with torch.cuda.device(first.device), torch.no_grad():
                torch._cudnn_rnn_flatten_weight(
                    weights, 4, self.inputs, mode, self.hidden, 0, self.layers, True, True
                )


@torch.library.custom_op("s5kit::gru_layer", mutates_args=())
def gru_layer(x_BTC: Tensor, weights: list[Tensor]) -> Tensor:
    """Run one bidirectional layer from a zero state; weights in `torch.nn.GRU`'s order."""
    return _run(x_BTC, weights, training=False).contiguous()


@gru_layer.register_fake
def _(x_BTC: Tensor, weights: list[Tensor]) -> Tensor:
    return x_BTC.new_empty(*x_BTC.shape[:2], 2 * weights[1].shape[1])


@torch.library.custom_op("s5kit::gru_layer_backward", mutates_args=())
def gru_layer_backward(grad_BTH: Tensor, x_BTC: Tensor, weights: list[Tensor]) -> list[Tensor]:
    """Return the gradients of the input and of every weight."""
    keys = torch._C.DispatchKey
    with (
        torch._C._SetExcludeDispatchKeyGuard(keys.AutogradFunctionality, False),
        torch._C._SetExcludeDispatchKeyGuard(keys.ADInplaceOrView, False),
        torch.enable_grad(),
    ):  # an operator's body runs below autograd: bring it back for the layer
        leaves = [tensor.detach().requires_grad_() for tensor in (x_BTC, *weights)]
        out_BTH = _run(leaves[0], leaves[1:], training=True)
        return [grad.contiguous() for grad in torch.autograd.grad(out_BTH, leaves, grad_BTH)]


@gru_layer_backward.register_fake
def _(grad_BTH: Tensor, x_BTC: Tensor, weights: list[Tensor]) -> list[Tensor]:
    return [tensor.new_empty(tensor.shape) for tensor in (x_BTC, *weights)]


def _setup(ctx: Any, inputs: tuple[Tensor, list[Tensor]], output: Tensor) -> None:
    x_BTC, weights = inputs
    ctx.save_for_backward(x_BTC, *weights)


def _backward(ctx: Any, grad_BTH: Tensor) -> tuple[Tensor, list[Tensor]]:
    x_BTC, *weights = ctx.saved_tensors
    grad_x, *grad_weights = gru_layer_backward(grad_BTH, x_BTC, weights)
    return grad_x, grad_weights


gru_layer.register_autograd(_backward, setup_context=_setup)


def _run(x_BTC: Tensor, weights: list[Tensor], *, training: bool) -> Tensor:
    start = x_BTC.new_zeros(2, x_BTC.shape[0], weights[1].shape[1])
    out, _ = torch.gru(x_BTC, start, weights, True, 1, 0.0, training, True, True)
    return out
