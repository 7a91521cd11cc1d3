"""What happens to the weights after each batch: accumulation, clipping, optimiser, learning rate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer, RMSprop
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ggfm.checkpoint import OrNone
from ggfm.checks import require_choice, require_positive
from ggfm.switches import Switches

__all__ = ["Updater", "make_optimiser"]

_MAX_NORM = 5.0

_MEMORY: dict[type[Optimizer], tuple[str, ...]] = {
    Adam: ("step", "exp_avg", "exp_avg_sq"),
    RMSprop: ("step", "square_avg"),
    SGD: ("momentum_buffer",),
}
"""What each optimiser remembers of every parameter, under PyTorch's names; `step` is a number, all else like it."""


def make_optimiser(section: Mapping[str, Any], parameters: Iterable[nn.Parameter], switches: Switches) -> Optimizer:
    """The optimiser that a configuration's section `BB.optimizer` names; after ROOT's `runners/utils.py`.

    `Adam`: (lr, weight_decay, betas (beta1, 0.999)); `RMSProp`: (lr, weight_decay); `SGD`: (lr, momentum 0.9).
    With the switch `optimiser`: Adam with its defaults and the section's lr. All parameters are updated together
    (`foreach`): the same numbers as one by one, which `fused` does not give, and faster.
    Raises ValueError for any other name (ROOT returns the error and fails later).
    """
    lr = _setting(section, "lr")
    if switches.optimiser:
        return Adam(parameters, lr=lr, foreach=True)
    name = _setting(section, "optimizer")
    require_choice("optimizer", name, ("Adam", "RMSProp", "SGD"))
    if name == "Adam":
        betas = (_setting(section, "beta1"), 0.999)
        return Adam(parameters, lr=lr, weight_decay=_setting(section, "weight_decay"), betas=betas, foreach=True)
    if name == "RMSProp":
        return RMSprop(parameters, lr=lr, weight_decay=_setting(section, "weight_decay"), foreach=True)
    return SGD(parameters, lr=lr, momentum=0.9, foreach=True)


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
        parameters: Mapping[str, nn.Parameter],
        optimizer: Mapping[str, Any],
        lr_scheduler: Mapping[str, Any],
        accumulate_grad_batches: int,
        switches: Switches,
    ) -> None:
        require_positive("accumulate_grad_batches", accumulate_grad_batches)
        self.parameters = dict(parameters)
        self.accumulate = 1 if switches.accumulation else accumulate_grad_batches
        self.optimiser = make_optimiser(optimizer, self.parameters.values(), switches)
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
            torch.nn.utils.clip_grad_norm_(self.parameters.values(), _MAX_NORM)
        self.optimiser.step()
        self.optimiser.zero_grad()
        if self._plateau is not None:
            self._plateau.step(loss)

    def state(self) -> dict[str, Any]:
        """What the next batches depend on: rate, plateau, the optimiser's memory and gradients not yet stepped on.

        The last two are None where there are none, otherwise tensors by parameter name.
        """
        return {
            "lr": self.lr,
            "plateau": None if self._plateau is None else self._plateau.state_dict(),
            "memory": self._memory() if self.optimiser.state else None,
            "gradients": self._gradients(),
        }

    def form(self) -> dict[str, Any]:
        """The form of every possible `state`, as `ggfm.checkpoint.read` takes it."""
        like = {name: parameter.detach() for name, parameter in self.parameters.items()}
        step = dict.fromkeys(like, torch.zeros(()))
        memory = {slot: step if slot == "step" else like for slot in _MEMORY[type(self.optimiser)]}
        plateau = None
        if self._plateau is not None:
            plateau = {n: [float] if isinstance(v, list) else type(v) for n, v in self._plateau.state_dict().items()}
        return {"lr": float, "plateau": plateau, "memory": OrNone(memory), "gradients": OrNone(like)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`; parameters stay as they are."""
        self.optimiser.param_groups[0]["lr"] = state["lr"]
        if self._plateau is not None:
            self._plateau.load_state_dict(state["plateau"])
        self.optimiser.state.clear()
        for name, parameter in self.parameters.items():
            gradients, memory = state["gradients"], state["memory"]
            parameter.grad = None if gradients is None else gradients[name].to(parameter.device)
            if memory is not None:
                # The number of steps is kept on the CPU wherever the parameters are.
                self.optimiser.state[parameter] = {
                    slot: tensors[name] if slot == "step" else tensors[name].to(parameter.device)
                    for slot, tensors in memory.items()
                }

    def _memory(self) -> dict[str, dict[str, Tensor]]:
        return {
            slot: {name: self.optimiser.state[parameter][slot] for name, parameter in self.parameters.items()}
            for slot in _MEMORY[type(self.optimiser)]
        }

    def _gradients(self) -> dict[str, Tensor] | None:
        gradients = {name: p.grad for name, p in self.parameters.items() if p.grad is not None}
        return gradients or None
