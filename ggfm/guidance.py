"""Classifier-free guidance: conditions dropped at random in training, two networks combined in sampling."""

from __future__ import annotations

import torch
from torch import Tensor

from ggfm.checks import require_shape
from ggfm.switches import Switches

__all__ = ["Guidance", "drop_conditions"]


def drop_conditions(y_high: Tensor, y_low: Tensor, uniform: Tensor, probability: float) -> tuple[Tensor, Tensor]:
    """(y_high, y_low) (B,), both 0 in the rows where `uniform` (B,) is at most `probability`."""
    require_shape("uniform", uniform, y_high.shape)
    require_shape("y_low", y_low, y_high.shape)
    dropped = uniform <= probability
    return y_high.masked_fill(dropped, 0.0), y_low.masked_fill(dropped, 0.0)


class Guidance:
    """Whether guidance takes place at all: the switch `guidance` turns both halves of it off."""

    def __init__(self, switches: Switches) -> None:
        self._off = switches.guidance

    def conditions(self, y_high: Tensor, y_low: Tensor, probability: float) -> tuple[Tensor, Tensor]:
        """The conditions of one training batch; draws one uniform number per row unless guidance is off."""
        if self._off:
            return y_high, y_low
        return drop_conditions(y_high, y_low, torch.rand_like(y_high), probability)

    def weight(self, configured: float) -> float:
        """The weight w of guidance in sampling: the configured one, 0 if guidance is off."""
        return 0.0 if self._off else configured
