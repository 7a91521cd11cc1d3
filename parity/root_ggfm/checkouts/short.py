"""Short runs of a checkout's runner, with everything replaced that a component is not about."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from parity.root_ggfm.checkouts.bridge import CheckoutSide
from parity.root_ggfm.checkouts.runner import Call, Driver, Replacement
from parity.root_ggfm.sides.root_config import published_config
from parity.root_ggfm.tasks.task import Task
from parity.side import MissingComponent

__all__ = ["NO_LOG", "UNFITTED", "few_pairs", "in_test_form", "no_loss", "short_config", "short_run", "unscored"]


def short_config(task: str, width: int, **sections: Mapping[str, Any]) -> dict[str, Any]:
    """The published configuration of a task for one short epoch without moving average, designs of this width."""
    config = copy.deepcopy(published_config(task))
    config["model"]["BB"]["params"]["MLPParams"] |= {"image_size": width, "hidden_size": 8}
    config["model"]["EMA"]["use_ema"] = False
    config["training"] |= {"n_epochs": 1, "batch_size": 1, "val_frac": 0.5, "accumulate_grad_batches": 1}
    config["training"] |= {"save_interval": 1, "validation_interval": 1}
    for section, entries in sections.items():
        config[section] |= entries
    return config


def short_run(
    side: CheckoutSide,
    config: Mapping[str, Any],
    task: Task,
    instead: Mapping[str, Replacement],
    test: Task | None = None,
) -> Driver:
    """`train`, and `test` on a task in its test form, until something `instead` of a published name raises `Enough`.

    Raises MissingComponent for a run that never comes to it.
    """
    driver = Driver(side, config, task, 0, **{"GP": lambda _: UNFITTED, **instead})
    with side.precision(torch.float64 if task.y.dtype == np.float64 else torch.float32), driver.watching():
        paths = driver.train()
        if test is not None:
            driver.test(test, paths)
        raise MissingComponent(f"{side.name}: BBDMRunner never called {', '.join(instead)} as published")
    return driver


def few_pairs(width: int, count: int = 4) -> dict[str, list[Any]]:
    """Pairs of zeros, as pair sampling returns them."""
    end = torch.zeros(width), torch.zeros(())
    return {"f0": [(end, end)] * count}


def no_loss(_: Call) -> Any:
    """A loss of zero that no weight has a part in."""
    return torch.zeros((), requires_grad=True) * 1.0, NO_LOG


NO_LOG: dict[str, Any] = {"loss": torch.zeros(()), "x0_recon": torch.zeros(1, 1)}
"""What a forward pass logs besides, where nobody looks at it."""


def in_test_form(task: Task) -> Task:
    """A copy of the task as the test uses it: a discrete one mapped to logits."""
    task = copy.deepcopy(task)
    if task.is_discrete:
        task.map_to_logits()
    return task


def unscored(x: Any) -> Any:
    """The scores of a task that nobody asks for any."""
    return np.zeros(len(x))


class _Unfitted:
    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


UNFITTED = _Unfitted()
"""A Gaussian process that nobody asks for values."""
