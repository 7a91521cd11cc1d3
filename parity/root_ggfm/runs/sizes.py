"""How large a run is: ROOT's configuration as published, or cut down to a minute or two on a desk computer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from parity.root_ggfm.runs.settings import entries, merged
from parity.root_ggfm.sides.root_config import PUBLISHED, published_config
from parity.root_ggfm.tasks.synthetic import CONTINUOUS, DISCRETE
from parity.root_ggfm.tasks.task import Task
from parity.root_ggfm.tasks.tfbind8 import NAME as TFBIND8

__all__ = ["DESK", "SIZES", "Override", "design_dimension", "size_config"]

SIZES = ("desk", "published")


@dataclass(frozen=True)
class Override:
    """Another value than the published one, and why."""

    value: int | float
    reason: str


DESK: Mapping[str, Override] = {
    "GP.num_fit_samples": Override(500, "a kernel matrix a thirtieth as wide (only TFBind8's configuration has it)"),
    "GP.num_points": Override(512, "half the paths per function; they take most of the time"),
    "model.BB.params.MLPParams.hidden_size": Override(512, "about a quarter of the weights"),
    "training.batch_size": Override(32, "half, as there are half the pairs: as many batches per epoch as published"),
    "training.n_epochs": Override(20, "a fifth"),
    "training.validation_interval": Override(4, "a fifth: five validations, as published"),
    "model.EMA.start_ema_step": Override(800, "a fifth, as there are a fifth of the batches"),
    "model.EMA.update_ema_interval": Override(2, "a quarter, so that the average forgets its start as it does there"),
    "model.BB.lr_scheduler.patience": Override(40, "a fifth, as there are a fifth of the optimiser steps"),
    "model.BB.lr_scheduler.cooldown": Override(40, "a fifth, likewise"),
}
"""What `desk` changes in ROOT's configuration; everything else stays as published."""


def size_config(size: str, task: Task) -> dict[str, Any]:
    """The configuration of a task in a size.

    `published` is ROOT's own, of its four tasks. `desk` is that with `DESK` put over it. The built-in tasks take
    TFBind8's with their own `image_size`; its `task.name` stays, since by that name both sides look up the range of
    scores, and the built-in tasks are scored from 0 to 1 as TFBind8 is.

    Raises ValueError for a size that does not exist and for a task that has none of that size.
    """
    if size not in SIZES:
        raise ValueError(f"size {size!r} is unknown; allowed are {', '.join(SIZES)}")
    built_in = task.name in (DISCRETE, CONTINUOUS)
    if task.name not in PUBLISHED and not (built_in and size == "desk"):
        allowed = (*PUBLISHED, *((DISCRETE, CONTINUOUS) if size == "desk" else ()))
        raise ValueError(
            f"size {size!r} does not exist for task {task.name}; it does for {', '.join(allowed)}. "
            "--config takes a configuration of your own"
        )
    config = published_config(TFBIND8 if built_in else task.name)
    if built_in:
        config = merged(config, {"model.BB.params.MLPParams.image_size": design_dimension(task)})
    if size == "published":
        return config
    there = dict(entries(config))
    return merged(config, {name: override.value for name, override in DESK.items() if name in there})


def design_dimension(task: Task) -> int:
    """Numbers per design as the models see it: L(V - 1) logits of a discrete task, else its columns."""
    length = int(task.x.shape[1])
    return length * (task.num_classes - 1) if task.is_discrete else length
