"""What happens to the weights after each batch: accumulation, clipping, optimiser, learning rate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, Optimizer, RMSprop
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ggfm.checks import require_choice, require_positive
from ggfm.switches import Switches

__all__ = ["Updater", "make_optimiser"]

_MAX_NORM = 5.0


def make_optimiser(section: Mapping[str, Any], parameters: Iterable[nn.Parameter], switches: Switches) -> Optimizer:
    """The optimiser that a configuration's section `BB.optimizer` names; after ROOT's `runners/utils.py`.

    `Adam`: (lr, weight_decay, betas (beta1, 0.999)); `RMSProp`: (lr, weight_decay); `SGD`: (lr, momentum 0.9).
    With the switch `optimiser`: Adam with its defaults and the section's lr.
    Raises ValueError for any other name (ROOT returns the error and fails later).
    """
    lr = _setting(section, "lr")
    if switches.optimiser:
        return Adam(parameters, lr=lr)
    name = _setting(section, "optimizer")
    require_choice("optimizer", name, ("Adam", "RMSProp", "SGD"))
    if name == "Adam":
        betas = (_setting(section, "beta1"), 0.999)
        return Adam(parameters, lr=lr, weight_decay=_setting(section, "weight_decay"), betas=betas)
    if name == "RMSProp":
        return RMSprop(parameters, lr=lr, weight_decay=_setting(section, "weight_decay"))
    return SGD(parameters, lr=lr, momentum=0.9)


def _setting(section: Mapping[str, Any], name: str) -> Any:
    if name not in section:
        raise ValueError(f"{name}: the configuration lacks it, its section holds {', '.join(section)}")
    return section[name]


class Updater:
    """Turns the gradients of batches into steps.

    Every `accumulate_grad_batches` batches the optimiser steps on the summed gradient (the loss is not divided by
    their number), gradients are zeroed and ReduceLROnPlateau sees that batch's loss. The switches `accumulation`
    (every batch), `optimiser`, `grad_clip` (norm 5.0) and `scheduler` (a constant rate) act here.
    Raises ValueError for an accumulation below 1 and an unknown optimiser.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        optimizer: Mapping[str, Any],
        lr_scheduler: Mapping[str, Any],
        accumulate_grad_batches: int,
        switches: Switches,
    ) -> None:
        require_positive("accumulate_grad_batches", accumulate_grad_batches)
        self.parameters = list(parameters)
        self.accumulate = 1 if switches.accumulation else accumulate_grad_batches
        self.optimiser = make_optimiser(optimizer, self.parameters, switches)
        self._clips = switches.grad_clip
        self._plateau = None
        if not switches.scheduler:
            self._plateau = ReduceLROnPlateau(
                self.optimiser,
                mode="min",
                threshold_mode="rel",
                **{
                    name: _setting(lr_scheduler, name)
                    for name in ("factor", "patience", "threshold", "cooldown", "min_lr")
                },
            )

    @property
    def lr(self) -> float:
        """The present learning rate."""
        return float(self.optimiser.param_groups[0]["lr"])

    def after_batch(self, global_step: int, loss: float) -> None:
        """Step if batch number `global_step` (from 1) completes a group; gradients must have been added before."""
        if global_step % self.accumulate:
            return
        if self._clips:
            torch.nn.utils.clip_grad_norm_(self.parameters, _MAX_NORM)
        self.optimiser.step()
        self.optimiser.zero_grad()
        if self._plateau is not None:
            self._plateau.step(loss)
