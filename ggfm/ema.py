"""The moving average of the weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ggfm.switches import Switches

__all__ = ["MovingAverage", "averages_weights"]


def averages_weights(configured: bool, switches: Switches) -> bool:
    """Whether a moving average is kept: where the configuration says so, never if the switch `ema` is on."""
    return configured and not switches.ema


class MovingAverage:
    """shadow = (1 - d) w + d shadow over a model's trainable parameters; after ROOT's `runners/base/EMA.py`.

    Raises ValueError for a decay outside 0..1.
    """

    def __init__(self, decay: float) -> None:
        if not 0.0 <= decay <= 1.0:
            raise ValueError(f"ema_decay: expected 0 to 1, got {decay}")
        self.decay = decay
        self.shadow: dict[str, Tensor] = {}
        self._current: dict[str, Tensor] = {}

    def register(self, model: nn.Module) -> None:
        """Start from the model's present weights."""
        self.shadow = _copies(_trainable(model))

    @torch.no_grad()
    def update(self, model: nn.Module, with_decay: bool = True) -> None:
        """Take in the present weights; without decay the shadow becomes them."""
        for name, weight in _trainable(model).items():
            if with_decay:
                # As two products and a sum: `lerp` rounds differently.
                self.shadow[name].mul_(self.decay).add_((1.0 - self.decay) * weight)
            else:
                self.shadow[name].copy_(weight)

    @torch.no_grad()
    def apply_shadow(self, model: nn.Module) -> None:
        """Put the shadow in the weights' place, keeping them for `restore`."""
        weights = _trainable(model)
        self._current = _copies(weights)
        for name, weight in weights.items():
            weight.copy_(self.shadow[name])

    @torch.no_grad()
    def restore(self, model: nn.Module) -> None:
        """Put back the weights that `apply_shadow` kept. Raises ValueError if it was not called before."""
        if not self._current:
            raise ValueError("restore: no weights are kept, apply_shadow comes first")
        for name, weight in _trainable(model).items():
            weight.copy_(self._current[name])
        self._current = {}


def _trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def _copies(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in weights.items()}
