"""Exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from torch import Tensor, nn

from reference_root.checks import check_fraction

__all__ = ["EMA", "HasParameters"]


class HasParameters(Protocol):
    """A model, as far as the average is concerned."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Names and parameters."""


class EMA:
    """shadow = (1 - d) w + d shadow for every trainable parameter, or shadow = w where it does not decay yet.

    Source: ROOT, `runners/base/EMA.py`.
    """

    def __init__(self, ema_decay: float) -> None:
        self.ema_decay = check_fraction("ema_decay", ema_decay)
        self.shadow: dict[str, Tensor] = {}
        self.backup: dict[str, Tensor] = {}

    def register(self, model: HasParameters) -> None:
        """Starts the average at the model's present weights."""
        for name, parameter in _trainable(model):
            self.shadow[name] = parameter.data.clone()

    def update(self, model: HasParameters, with_decay: bool = True) -> None:
        """Takes the model's present weights in; without decay, copies them. Raises ValueError if not registered."""
        for name, parameter in _trainable(model):
            self._check_registered(name)
            average = parameter.data
            if with_decay:
                average = (1.0 - self.ema_decay) * parameter.data + self.ema_decay * self.shadow[name]
            self.shadow[name] = average.clone()

    def apply_shadow(self, model: HasParameters) -> None:
        """Replaces the model's parameters by the average, keeping them for `restore`."""
        for name, parameter in _trainable(model):
            self._check_registered(name)
            self.backup[name] = parameter.data
            parameter.data = self.shadow[name]

    def restore(self, model: HasParameters) -> None:
        """Puts back what `apply_shadow` replaced. Raises ValueError if nothing was."""
        for name, parameter in _trainable(model):
            if name not in self.backup:
                raise ValueError(f"model: parameter {name!r} has no backup; apply_shadow comes first")
            parameter.data = self.backup[name]
        self.backup = {}

    def _check_registered(self, name: str) -> None:
        if name not in self.shadow:
            raise ValueError(f"model: parameter {name!r} is not registered; registered are {sorted(self.shadow)}")


def _trainable(model: HasParameters) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)
