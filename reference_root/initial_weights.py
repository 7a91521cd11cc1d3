"""Initial weights of the model."""

from __future__ import annotations

from torch import nn

__all__ = ["weights_init"]


def weights_init(module: nn.Module) -> None:
    """Redraws the weight of a Linear from N(0, 0.02^2), through torch's global generator; biases keep the default.

    To be applied to a whole model with `model.apply(weights_init)`, which visits modules in construction order.
    Source: ROOT, `runners/utils.py`, `weights_init`.
    """
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight.data, 0.0, 0.02)
