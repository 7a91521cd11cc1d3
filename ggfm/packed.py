"""A network's layers packed once for many evaluations.

A reverse process evaluates the same weights hundreds of times. oneDNN keeps them in the layout that its matrix product
wants, which is much faster than handing them over anew each time.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["pack"]

_WIDE = 256
"""Narrower layers take less time than the packing saves."""

_COLUMNS = 256
"""Inputs summed at a time: oneDNN adds products one after another, so that shorter sums round less."""

Layer = Callable[[Tensor], Tensor]


class _PackedLinear:
    """x W^T + b, as a sum over groups of columns of W."""

    def __init__(self, linear: nn.Linear) -> None:
        self._weights = [part.contiguous().to_mkldnn() for part in torch.split(linear.weight.detach(), _COLUMNS, 1)]
        self._bias = linear.bias.detach()

    def __call__(self, x: Tensor) -> Tensor:
        result = self._bias.expand(len(x), -1).clone()
        for columns, weight in zip(torch.split(x, _COLUMNS, 1), self._weights, strict=True):
            result += functional.linear(columns.contiguous().to_mkldnn(), weight).to_dense()
        return result


def pack(network: nn.Sequential) -> Layer:
    """A function that evaluates the network, without gradients, as its weights are now.

    Wide float32 layers on the CPU are packed where oneDNN is there; results then agree to rounding. Any other
    network is returned as it is.
    """
    layers: list[Layer] = [
        _PackedLinear(layer) if isinstance(layer, nn.Linear) and _is_wide(layer) else layer for layer in network
    ]

    def evaluate(x: Tensor) -> Tensor:
        for layer in layers:
            x = layer(x)
        return x

    return evaluate


def _is_wide(layer: nn.Linear) -> bool:
    return (
        min(layer.in_features, layer.out_features) >= _WIDE
        and layer.weight.dtype == torch.float32
        and layer.weight.device.type == "cpu"
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    )
