"""A whole run written as a chain of components, in the order in which they act.

The order is ROOT's; both sides are led through it with their own components. That nothing of a run is left out is
judged, too: the stage `training` holds a side's own run against the chain of its components.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from parity.root_ggfm.contract import Bridge, Pairs
from parity.root_ggfm.tasks.task import Task, constants
from parity.side import Tree

__all__ = ["Perform", "play"]

Perform = Callable[..., Tree]
"""`perform(stage, label, **inputs)`: calls the component of a stage and returns its outputs."""

_FITTED_ON_PART = "TFBind8-Exact-v0"
"""The task whose process is fitted on designs that the run draws, in every epoch anew."""


def play(perform: Perform, config: Mapping[str, Any], task: Task, seed: int, reseed: Callable[[], None]) -> Tree:
    """Lead a side through a whole run and return what `Side.training` would have returned.

    `config`: a ROOT configuration; `reseed` puts the generators where `seed` puts them, before training and before the
    test. What `perform` raises passes through.
    """
    return _Run(perform, config, task, seed).whole(reseed)


class _Run:
    """The state of the run between its stages."""

    def __init__(self, perform: Perform, config: Mapping[str, Any], task: Task, seed: int) -> None:
        self.perform, self.config, self.task, self.seed = perform, config, task, seed
        self.bridge = _bridge(config)
        self.training = config["training"]
        self.held_out: list[Pairs] = []
        self.losses: list[float] = []
        self.rates: list[float] = []
        self.validations: list[Tensor] = []
        self.gradients: list[dict[str, Tensor]] = []
        self.weights: list[dict[str, Tensor]] = []

    def whole(self, reseed: Callable[[], None]) -> Tree:
        reseed()
        self.weights.append(_group(self.perform("initial_weights", "training", bridge=self.bridge), "state"))
        self.perform("encoding", "", task=self.task)
        data = self._offline_data("training")
        pool = data["x"][:0]
        for epoch in range(self.training["n_epochs"]):
            pool = self._epoch(epoch, data)
        result = {
            "losses": torch.tensor(self.losses, dtype=torch.float64),
            "lr": torch.tensor(self.rates, dtype=torch.float64),
            "val_losses": torch.cat([torch.empty(0, dtype=torch.float64), *self.validations]),
            "global_step": len(self.losses),
            "offline_x": data["x"],
            "offline_y": data["y"],
            "best_x": pool,
            **{f"final/state/{name}": weight for name, weight in self.weights[-1].items()},
        }
        if self._averages:
            result |= {f"ema/{name}": weight for name, weight in self._averaged().items()}
        return result | self._test(reseed)

    def _offline_data(self, label: str) -> Tree:
        choice = self.config["task"]
        return self.perform(
            "offline_data", label, task=self.task,
            normalize_x=choice["normalize_x"], normalize_y=choice["normalize_y"],
        )  # fmt: skip

    def _epoch(self, epoch: int, data: Tree) -> Tensor:
        gp, training, label = self.config["GP"], self.training, f"epoch{epoch}"
        x, y = data["x"], data["y"]
        if self.config["task"]["name"] == _FITTED_ON_PART:
            rows = torch.randperm(len(x))[: gp["num_fit_samples"]]
            x, y = x[rows], y[rows]
        pool: Tensor = self.perform(
            "pool", label, x=data["x"], y=data["y"],
            type_of_initial_points=gp["type_of_initial_points"], num_points=gp["num_points"], epochs=1,
        )["epoch0"]  # fmt: skip
        names = ("num_functions", "num_points", "num_gradient_steps", "delta_lengthscale", "delta_variance")
        sampled = self.perform(
            "gp_pairs", label, x_train=x, y_train=y, pool=pool,
            lengthscale=gp["initial_lengthscale"], variance=gp["initial_outputscale"], noise=gp["noise"],
            learning_rate=gp["sampling_from_GP_lr"], threshold_diff=gp["threshold_diff"], seed=epoch,
            **{name: gp[name] for name in names},
        )  # fmt: skip
        functions = [_group(sampled, f"f{k}") for k in range(gp["num_functions"])]
        parts = self.perform("split", label, functions=functions, val_frac=training["val_frac"])
        self.held_out.append(_group(parts, "val"))
        for batch in self._batches(label, [_group(parts, "train")], shuffle=True):
            self._step(batch)
        if (epoch + 1) % training["validation_interval"] == 0 or epoch + 1 == training["n_epochs"]:
            self._validate(label)
        return pool

    def _batches(self, label: str, functions: Sequence[Pairs], *, shuffle: bool) -> list[Pairs]:
        tree = self.perform(
            "loader", label, functions=list(functions), val_frac=0.0,
            batch_size=self.training["batch_size"], shuffle=shuffle, passes=1,
        )  # fmt: skip
        count = len({name.split("/")[1] for name in tree})
        return [_group(tree, f"epoch0/batch{b}") for b in range(count)]

    def _step(self, batch: Pairs) -> None:
        step = len(self.losses) + 1
        label = f"step{step:03d}"
        tree = self.perform(
            "training_loss", label, bridge=self.bridge, state=self.weights[-1], **batch,
            step=step, guidance_prob=self.training["classifier_free_guidance_prob"],
        )  # fmt: skip
        self.losses.append(float(tree["loss"]))
        self.gradients.append(_group(tree, "grad"))
        section = self.config["model"]["BB"]
        updated = self.perform(
            "optimiser", "", optimizer=section["optimizer"], lr_scheduler=section["lr_scheduler"],
            accumulate_grad_batches=self.training["accumulate_grad_batches"],
            weights=self.weights[0], grads=self.gradients, losses=self.losses,
        )  # fmt: skip
        # The rate of a batch is the one that it found, not the one that it left.
        first = float(section["optimizer"]["lr"])
        self.rates.append(updated[f"lr{step - 2}"] if step > 1 else first)
        self.weights.append(_group(updated, f"w{step - 1}"))

    @property
    def _averages(self) -> bool:
        return bool(self.config["model"].get("EMA", {}).get("use_ema"))

    def _averaged(self) -> dict[str, Tensor]:
        """What validation and test use."""
        if not self._averages:
            return self.weights[-1]
        section = self.config["model"]["EMA"]
        interval = section["update_ema_interval"] * self.training["accumulate_grad_batches"]
        # The average of parameters under any names, without the dots that no parameter of a module may have.
        plain = {name.replace(".", "_"): name for name in self.weights[0]}
        seen = [
            {name: weights[dotted] for name, dotted in plain.items()}
            for weights in (self.weights[0], *self.weights[interval::interval])
        ]
        tree = self.perform(
            "ema", "", decay=section["ema_decay"], decay_from_step=-(-section["start_ema_step"] // interval),
            weights=seen,
        )  # fmt: skip
        return {plain[name]: weight for name, weight in _group(tree, f"shadow{len(seen) - 1}").items()}

    def _validate(self, label: str) -> None:
        weights = self._averaged()
        losses = [
            self.perform(
                "validation", f"{label}/batch{k}", bridge=self.bridge, state=weights, **batch,
                step=k, guidance_prob=self.training["classifier_free_guidance_prob"],
            )["loss"]
            for k, batch in enumerate(self._batches(f"{label}/validation", self.held_out, shuffle=False))
        ]  # fmt: skip
        self.validations.append(torch.tensor([float(loss) for loss in losses], dtype=torch.float64))

    def _test(self, reseed: Callable[[], None]) -> Tree:
        testing, limits = self.config["testing"], constants(self.config["task"]["name"])
        weights = self._averaged()
        reseed()
        self.perform("initial_weights", "test", bridge=self.bridge)
        data = self._offline_data("test")
        low = self.perform(
            "candidates", "", x=data["x"], y=data["y"], n_candidates=testing["num_candidates"],
            type=testing["type_sampling"], percentile_sampling=testing["percentile_sampling"], seed=self.seed,
        )  # fmt: skip
        scores = torch.from_numpy(np.ascontiguousarray(self.task.y[:, 0])).to(data["y"])
        condition: Tensor = self.perform(
            "target", "", y=scores, y_max=limits.y_max, alpha=testing["alpha"], n=len(low["x"])
        )["condition"]
        high: Tensor = self.perform(
            "sample", "", bridge=self.bridge, state=weights, x_low=low["x"], y_low=low["y"], y_high=condition,
            clip_denoised=testing["clip_denoised"], guidance_weight=testing["classifier_free_guidance_weight"],
        )["x_high"]  # fmt: skip
        scored = self.perform(
            "evaluation", "", task=_in_test_form(self.task), designs=high, mean_x=data["mean_x"],
            std_x=data["std_x"], y_min=limits.y_min, y_max=limits.y_max,
        )  # fmt: skip
        return {
            "test/low": low["x"],
            "test/low_scores": low["y"],
            "test/high_cond": condition,
            "test/high": high,
            "percentiles": scored["percentiles"],
        }


def _group(tree: Tree, group: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{group}/"): leaf for name, leaf in tree.items() if name.startswith(f"{group}/")}


def _bridge(config: Mapping[str, Any]) -> Bridge:
    params = dict(config["model"]["BB"]["params"])
    network = params["MLPParams"]
    fields = {name: value for name, value in params.items() if name in Bridge.__dataclass_fields__}
    return Bridge(dim=network["image_size"], hidden=network["hidden_size"], **fields)


def _in_test_form(task: Task) -> Task:
    task = copy.deepcopy(task)
    if task.is_discrete:
        task.map_to_logits()
    return task
