"""Optimiser, learning-rate scheduler, and what they do after each batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer, RMSprop
from torch.optim.lr_scheduler import ReduceLROnPlateau

from reference_root.checks import check_int

__all__ = ["BatchUpdate", "get_optimizer", "get_scheduler"]


def get_optimizer(
    optim_config: Mapping[str, Any], parameters: Iterable[nn.Parameter]
) -> Optimizer | NotImplementedError:
    """The optimiser named by `optim_config["optimizer"]`.

    Adam      lr, weight_decay, betas (beta1, 0.999)
    RMSProp   lr, weight_decay
    SGD       lr, momentum 0.9

    Published mistake, kept: for an unknown name a NotImplementedError is returned instead of raised; whoever uses it
    as an optimiser fails later. Raises ValueError for a setting that the optimiser needs and the section lacks.
    Source: ROOT, `runners/utils.py`, `get_optimizer`.
    """
    name = _setting(optim_config, "optimizer")
    if name == "Adam":
        betas = (_setting(optim_config, "beta1"), 0.999)
        return Adam(
            parameters,
            lr=_setting(optim_config, "lr"),
            weight_decay=_setting(optim_config, "weight_decay"),
            betas=betas,
        )
    if name == "RMSProp":
        return RMSprop(parameters, lr=_setting(optim_config, "lr"), weight_decay=_setting(optim_config, "weight_decay"))
    if name == "SGD":
        return SGD(parameters, lr=_setting(optim_config, "lr"), momentum=0.9)
    return NotImplementedError(f"optimizer must be one of 'Adam', 'RMSProp', 'SGD', got {name!r}")


def get_scheduler(optimizer: Optimizer | NotImplementedError, scheduler_config: Mapping[str, Any]) -> ReduceLROnPlateau:
    """ReduceLROnPlateau (min, rel) with the section's factor, patience, threshold, cooldown and min_lr.

    Here an optimiser that is an exception object (see `get_optimizer`) fails, with PyTorch's TypeError.
    """
    # The annotation of ReduceLROnPlateau does not know ROOT's exception object; its own check does.
    names = ("factor", "patience", "threshold", "cooldown", "min_lr")
    settings = {name: _setting(scheduler_config, name) for name in names}
    return ReduceLROnPlateau(optimizer, mode="min", threshold_mode="rel", **settings)  # type: ignore[arg-type]


class BatchUpdate:
    """What happens after each batch's backward pass.

    At every multiple of `accumulate_grad_batches`: optimiser step on the gradients summed since the last one (not
    divided by their count), gradients zeroed, scheduler stepped with this batch's loss alone.

    Raises ValueError for `accumulate_grad_batches` below 1.
    Source: ROOT, `runners/BaseRunner.py`, the loop over batches in `train`.
    """

    def __init__(
        self,
        optim_config: Mapping[str, Any],
        scheduler_config: Mapping[str, Any],
        accumulate_grad_batches: int,
        parameters: Iterable[nn.Parameter],
    ) -> None:
        self.accumulate_grad_batches = check_int("accumulate_grad_batches", accumulate_grad_batches, 1)
        optimizer = get_optimizer(optim_config, parameters)
        self.scheduler = get_scheduler(optimizer, scheduler_config)
        self.optimizer = self.scheduler.optimizer

    @property
    def lr(self) -> float:
        """The present learning rate."""
        return float(self.optimizer.param_groups[0]["lr"])

    def __call__(self, loss: float | Tensor, global_step: int) -> None:
        """To be called once per batch, with its loss and the number of batches so far, this one included."""
        if global_step % self.accumulate_grad_batches == 0:
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.scheduler.step(float(loss))


def _setting(config: Mapping[str, Any], name: str) -> Any:
    if name not in config:
        raise ValueError(f"setting {name!r} is missing, got {dict(config)}")
    return config[name]
