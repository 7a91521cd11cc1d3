"""What ROOT computes only inside its runner, from a checkout: what comes before training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from parity.root_ggfm.checkouts.bridge import CheckoutSide
from parity.root_ggfm.checkouts.runner import Call
from parity.root_ggfm.checkouts.short import UNFITTED, few_pairs, no_loss, short_config, short_run, unscored
from parity.root_ggfm.checkouts.statistics import statistic
from parity.root_ggfm.checkouts.watch import Enough, generators_kept, put
from parity.root_ggfm.tasks.task import ArrayTask, Task
from parity.side import Tree

__all__ = ["CheckoutParts"]

_CONTINUOUS, _DISCRETE = "DKittyMorphology-Exact-v0", "TFBind10-Exact-v0"
"""Of either kind a name under which the Gaussian process is fitted on all designs."""


class CheckoutParts(CheckoutSide):
    """Each method runs `BBDMRunner` with everything replaced that the component is not about.

    Seeding, initial weights and what else a run does around a component is no part of it: generators are afterwards as
    if it had been called by itself.
    """

    def offline_data(self, *, task: Task, normalize_x: bool, normalize_y: bool) -> Tree:
        """What the Gaussian process is fitted on; the statistics from the runner's attributes of such names."""
        with _own_shuffle():
            runner, x, y = self._fitted_on(task, normalize_x, normalize_y)
        tree: Tree = {"x": x, "y": y}
        for kind in ("mean", "std"):
            for end, shape in (("x", -1), ("y", ())):
                tree[f"{kind}_{end}"] = statistic(self, runner, kind, end).reshape(shape)
        return tree

    def encoding(self, *, task: Task) -> Tree:
        """What the Gaussian process is fitted on, neither standardised nor shuffled; then the task."""
        with generators_kept(), put(np.random, "permutation", np.arange):
            _, x, _ = self._fitted_on(task, normalize_x=False, normalize_y=False)
        after = np.array(task.x)
        return {
            "x": x,
            "task_x_after": torch.from_numpy(after),
            "task_is_mapped": bool(task.is_discrete and after.ndim == 3),
        }

    def pool(self, *, x: Tensor, y: Tensor, type_of_initial_points: str, num_points: int, epochs: int) -> Tree:
        """What pair sampling is given, epoch by epoch."""
        config = short_config(_CONTINUOUS, x.shape[1], GP={"type_of_initial_points": type_of_initial_points})
        config["GP"]["num_points"] = num_points
        config["task"] |= {"normalize_x": False, "normalize_y": False}
        config["training"]["n_epochs"] = epochs
        designs: list[Tensor] = []
        pools: list[Tensor] = []

        def fitting(call: Call) -> Any:
            designs.append(call.given["x_train"])
            return UNFITTED

        def sampling(call: Call) -> Any:
            pool = call.given["x_train"].detach()
            whole = designs[-1]
            same = pool.shape == whole.shape and pool.data_ptr() == whole.data_ptr()
            pools.append(x if same else pool.clone())  # x stands for the run's designs; a view of them is one of x
            if len(pools) == epochs:
                raise Enough
            return few_pairs(x.shape[1])

        task = ArrayTask("pool", x.numpy(), y.reshape(-1, 1).numpy(), unscored, dtype=x.numpy().dtype)
        with generators_kept(), put(np.random, "permutation", np.arange):
            short_run(self, config, task, {"GP": fitting, "sampling_data_from_GP": sampling, "forward": no_loss})
        return {f"epoch{epoch}": pool for epoch, pool in enumerate(pools)}

    def _fitted_on(self, task: Task, normalize_x: bool, normalize_y: bool) -> tuple[Any, Tensor, Tensor]:
        """The runner, and the offline data that it hands to its Gaussian process."""
        letters = task.num_classes - 1 if task.is_discrete else 1
        config = short_config(_DISCRETE if task.is_discrete else _CONTINUOUS, task.x.shape[1] * letters)
        config["task"] |= {"normalize_x": normalize_x, "normalize_y": normalize_y}
        found: list[Tensor] = []

        def fitting(call: Call) -> Any:
            x, y = call.given["x_train"], call.given["y_train"]
            found.extend((x.detach().clone(), y.detach().reshape(-1).clone()))
            raise Enough

        driver = short_run(self, config, task, {"GP": fitting})
        x, y = found
        return driver.runner, x, y


class _Shuffle:
    """`np.random.permutation`, from a generator of its own that starts where NumPy's is."""

    def __init__(self) -> None:
        self._original, self.state = np.random.permutation, np.random.get_state()

    def __call__(self, *given: Any) -> Any:
        around = np.random.get_state()
        np.random.set_state(self.state)
        order = self._original(*given)
        self.state = np.random.get_state()
        np.random.set_state(around)
        return order


@contextmanager
def _own_shuffle() -> Iterator[None]:
    """Of all that a run draws, only what it shuffles the designs with comes from the generator as it stands here."""
    shuffle = _Shuffle()
    with generators_kept(), put(np.random, "permutation", shuffle):
        yield
    np.random.set_state(shuffle.state)
