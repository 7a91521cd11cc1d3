"""What ROOT computes only inside its runner, from a checkout: what its test asks for, and how it scores designs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from parity.root_ggfm.checkouts.bridge import CheckoutSide
from parity.root_ggfm.checkouts.runner import Call, Driver
from parity.root_ggfm.checkouts.short import (
    UNFITTED,
    few_pairs,
    in_test_form,
    no_loss,
    short_config,
    short_run,
    unscored,
)
from parity.root_ggfm.checkouts.statistics import put_statistic
from parity.root_ggfm.checkouts.watch import Enough, as_number, generators_kept, put
from parity.root_ggfm.sides.root_config import PUBLISHED, published_range
from parity.root_ggfm.tasks.task import ArrayTask, Task
from parity.side import MissingComponent, Tree

__all__ = ["CheckoutScoring"]


class CheckoutScoring(CheckoutSide):
    """Each method tests a model that one short epoch has trained on nothing."""

    def target(self, *, y: Tensor, y_max: float, alpha: float, n: int) -> Tree:
        """The condition that sampling is given; y_max is the checkout's own, of the task that has it."""
        name = self._published(y_max=y_max)
        discrete = name.startswith("TFBind")
        x = np.zeros((len(y), 2), dtype=np.int32 if discrete else y.numpy().dtype)
        task = ArrayTask(
            name, x, y.reshape(-1, 1).numpy(), unscored, num_classes=3 if discrete else None, dtype=y.numpy().dtype
        )
        config = short_config(name, 4 if discrete else 2)
        config["testing"] |= {"alpha": alpha, "num_candidates": n}
        conditions: list[Tensor] = []

        def sample(call: Call) -> Any:
            conditions.append(call.given["y_high"].detach().reshape(-1).clone())
            raise Enough

        with generators_kept():
            instead = {
                "sampling_data_from_GP": lambda _: few_pairs(x.shape[1]), "forward": no_loss,
                "sampling_from_offline_data": lambda call: _first_of(call, n), "sample": sample,
            }  # fmt: skip
            short_run(self, config, task, instead, test=in_test_form(task))
        return {"condition": conditions[0]}

    def evaluation(
        self, *, task: Task, designs: Tensor, mean_x: Tensor, std_x: Tensor, y_min: float, y_max: float
    ) -> Tree:
        """The test with `designs` in the place of what it samples; y_min and y_max are the checkout's own.

        The offline designs have the given mean and standard deviation but for rounding, which its attributes of such
        names are then freed of. Scores are what quantiles are taken of.
        """
        n, width = designs.shape
        asked: list[Any] = []
        config = short_config(self._published(y_min=y_min, y_max=y_max), width)
        config["testing"] |= {"num_candidates": n}

        def sample(_: Call) -> Any:
            asked.clear()  # what a runner took quantiles of before says nothing of scores
            put_statistic(self, driver.runner, "mean", "x", mean_x)
            put_statistic(self, driver.runner, "std", "x", std_x)
            return designs.clone()

        driver = Driver(
            self, config, _Offline(task, mean_x, std_x), 0, GP=lambda _: UNFITTED, forward=no_loss, sample=sample,
            sampling_data_from_GP=lambda _: few_pairs(width),
            sampling_from_offline_data=lambda call: _first_of(call, n),
        )  # fmt: skip
        with generators_kept(), self.precision(designs.dtype), driver.watching():
            paths = driver.train()
            with _quantiles(asked):
                percentiles = driver.test(task, paths)
            if not asked:
                raise MissingComponent(f"{self.name}: its test takes no quantile of its scores by torch or NumPy")
            scores = torch.as_tensor(asked[0]).detach().clone().reshape(-1)
            return {"scores": scores, "percentiles": torch.stack([as_number(value) for value in percentiles])}
        raise MissingComponent(f"{self.name}: the test ended early")

    def _published(self, **limits: float) -> str:
        """The task that the layout knows by these limits of its scores."""
        for name in PUBLISHED:
            y_min, y_max = published_range(name)
            if limits.items() <= {"y_min": y_min, "y_max": y_max}.items():
                return name
        said = " and ".join(f"{name} {value}" for name, value in limits.items())
        raise MissingComponent(f"{self.name}: the layout has no task with {said}")


class _Offline:
    """Two designs, of the kind and width of another task's, whose mean and standard deviation are given."""

    def __init__(self, task: Task, mean_x: Tensor, std_x: Tensor) -> None:
        self._ends = torch.stack([mean_x - std_x, mean_x + std_x]).numpy()
        self.is_discrete = task.is_discrete
        if task.is_discrete:
            self.num_classes = task.num_classes
            self._ends = self._ends.reshape(2, *task.x.shape[1:])
        self.x = np.zeros(self._ends.shape[:2], dtype=np.int32) if task.is_discrete else self._ends
        self.y = np.array([[0.0], [1.0]], dtype=self._ends.dtype)

    def to_logits(self, x: Any) -> Any:  # noqa: ARG002 - as published code calls it
        return self._ends

    def map_to_logits(self) -> None:
        self.x = self._ends


@contextmanager
def _quantiles(asked: list[Any]) -> Iterator[None]:
    """Adds what quantiles are taken of inside, in order."""

    def noting(original: Any) -> Any:
        def taken(values: Any, *args: Any, **kwargs: Any) -> Any:
            asked.append(values)
            return original(values, *args, **kwargs)

        return taken

    with ExitStack() as stack:
        holders = (torch, "quantile"), (torch.Tensor, "quantile"), (np, "quantile"), (np, "percentile")
        for holder, name in holders:
            stack.enter_context(put(holder, name, noting(getattr(holder, name))))
        yield


def _first_of(call: Call, n: int) -> tuple[Tensor, Tensor]:
    first = call.given["x"][:1]
    return first.expand(n, -1), first.new_zeros(n)
