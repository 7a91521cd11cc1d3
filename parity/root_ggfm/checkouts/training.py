"""What ROOT computes only inside its runner, from a checkout: whole runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from parity.root_ggfm.checkouts.bridge import CheckoutSide
from parity.root_ggfm.checkouts.loader import Heard
from parity.root_ggfm.checkouts.runner import Call, Driver
from parity.root_ggfm.checkouts.short import in_test_form
from parity.root_ggfm.checkouts.watch import as_number, loss_of, python_generator_kept
from parity.root_ggfm.tasks.task import Task
from parity.side import MissingComponent, Tree

__all__ = ["CheckoutTraining"]


class CheckoutTraining(CheckoutSide):
    """`training`, by `BBDMRunner(config)`, its `train()` and its `test(task)`."""

    def training(self, *, config: Mapping[str, Any], task: Task, seed: int, dtype: torch.dtype) -> Tree:
        """Losses and rates as batches pass the model, then weights, average, candidates, samples and percentiles."""
        notes = _Notes()
        test_task = in_test_form(task)
        driver = Driver(
            self, config, task, seed, forward=notes.forward, sample=notes.sample, create_train_dataloader=notes.loader
        )
        with self.precision(dtype), python_generator_kept(), driver.watching():
            notes.watched = driver.watched
            paths = driver.train()
            tree = notes.trained()
            percentiles = driver.test(test_task, paths)
            return tree | notes.tested() | {"percentiles": torch.stack([as_number(value) for value in percentiles])}
        raise MissingComponent(f"{self.name}: the run ended early")


class _Notes:
    """Notes what the outputs of `training` are made of."""

    def __init__(self) -> None:
        self.watched: Any = None
        self.losses: dict[bool, list[float]] = {True: [], False: []}
        self.rates: list[float] = []
        self.sampled_with: dict[str, Tensor] = {}
        self._heard = Heard(())

    def loader(self, call: Call) -> Any:
        loader, held_out = call.made()
        self._heard = Heard(loader)
        return self._heard, held_out

    def forward(self, call: Call) -> Any:
        training = self._heard.out
        if training:
            self.rates.append(float(self.watched.last("get_optimizer").result.param_groups[0]["lr"]))
        made = call.made()
        self.losses[training].append(float(loss_of(made).detach()))
        return made

    def sample(self, call: Call) -> Any:
        self.sampled_with = _parameters(call.given["self"])
        return call.made()

    def trained(self) -> Tree:
        self.weights = _parameters(self.watched.models[-1])
        averages = [dict(average.shadow) for average in self.watched.averages]
        self.average = {n: w.detach().clone() for n, w in averages[-1].items()} if averages else {}
        return {
            "losses": torch.tensor(self.losses[True], dtype=torch.float64),
            "lr": torch.tensor(self.rates, dtype=torch.float64),
            "val_losses": torch.tensor(self.losses[False], dtype=torch.float64),
            "global_step": len(self.losses[True]),
            "best_x": self.watched.last("sampling_data_from_GP").given["x_train"].detach().clone(),
            **{f"final/state/{name}": weight for name, weight in self.weights.items()},
            **{f"ema/{name}": weight for name, weight in self.average.items()},
        }

    def tested(self) -> Tree:
        expected = self.average or self.weights
        if not all(torch.equal(self.sampled_with[name], weight) for name, weight in expected.items()):
            raise MissingComponent(
                "test() sampled with other weights than train() left: it was told where they lie by "
                "config.model.model_load_path"
            )
        chosen, chain = self.watched.last("sampling_from_offline_data"), self.watched.last("sample")
        low, low_scores = chosen.result
        return {
            "offline_x": chosen.given["x"].detach().clone(),
            "offline_y": chosen.given["y"].detach().clone(),
            "test/low": low,
            "test/low_scores": low_scores,
            "test/high_cond": chain.given["y_high"].reshape(-1),
            "test/high": chain.result,
        }


def _parameters(model: Any) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
