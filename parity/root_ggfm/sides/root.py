"""ROOT as a side: each component is one or two calls of `reference_root`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

import reference_root as root
from parity.root_ggfm.contract import Pairs
from parity.root_ggfm.sides.root_bridge import RootBridge, prefixed
from parity.root_ggfm.sides.root_pairs import ENDS, nested, stacked
from parity.root_ggfm.sides.root_training import RootTraining
from parity.root_ggfm.tasks.task import Task
from parity.side import Tree

__all__ = ["RootSide"]


class RootSide(RootBridge):
    """`parity.side.Side` for the package `reference_root`."""

    name = "reference_root"
    version = f"ROOT {root.__version__} (reference)"

    def gp(
        self,
        *,
        x_train: Tensor,
        y_train: Tensor,
        x_test: Tensor,
        lengthscale: float,
        variance: float,
        noise: float,
        mean_prior: float,
    ) -> Tree:
        """`GP`; the gradient by autograd."""
        gp = root.GP(x_train, y_train, lengthscale, variance, noise, mean_prior)
        x = x_test.clone().requires_grad_(True)
        mean = gp.mean_posterior(x)
        (gradient,) = torch.autograd.grad(mean.sum(), x)
        return {
            "coef": gp.coef,
            "mean": mean.detach(),
            "grad": gradient,
            "lengthscale_stored": gp.lengthscale.reshape(()),
        }

    def gp_pairs(
        self,
        *,
        x_train: Tensor,
        y_train: Tensor,
        pool: Tensor,
        lengthscale: float,
        variance: float,
        noise: float,
        num_functions: int,
        num_points: int,
        num_gradient_steps: int,
        learning_rate: float,
        delta_lengthscale: float,
        delta_variance: float,
        seed: int,
        threshold_diff: float,
    ) -> Tree:
        """`sampling_data_from_GP`, its nested tuples stacked."""
        gp = root.GP(x_train, y_train, lengthscale, variance, noise)
        data = root.sampling_data_from_GP(
            pool,
            gp,
            num_gradient_steps=num_gradient_steps,
            num_functions=num_functions,
            num_points=num_points,
            learning_rate=learning_rate,
            delta_lengthscale=delta_lengthscale,
            delta_variance=delta_variance,
            seed=seed,
            threshold_diff=threshold_diff,
        )
        tree: Tree = {"counts": torch.tensor([len(pairs) for pairs in data.values()])}
        for function, pairs in data.items():
            tree |= stacked(function, pairs, like=pool)
        return tree | {
            "lengthscale_after": gp.lengthscale.reshape(()),
            "variance_after": gp.variance.reshape(()),
            "coef_after": gp.coef,
        }

    def split(self, *, functions: Sequence[Pairs], val_frac: float) -> Tree:
        """`create_train_dataloader`: the data set of its loader and the validation list."""
        loader, validation = root.create_train_dataloader(nested(functions), val_frac)
        training = list(cast(root.PairDataset, loader.dataset).pairs)
        like = functions[0]["x_high"]
        return stacked("train", training, like=like) | stacked("val", validation, like=like)

    def loader(
        self, *, functions: Sequence[Pairs], val_frac: float, batch_size: int, shuffle: bool, passes: int
    ) -> Tree:
        """`create_train_dataloader`, its loader run `passes` times."""
        loader, _ = root.create_train_dataloader(nested(functions), val_frac, batch_size, shuffle)
        tree: Tree = {}
        for epoch in range(passes):
            for number, batch in enumerate(loader):
                (x_high, y_high), (x_low, y_low) = batch
                for end, values in zip(ENDS, (x_high, y_high, x_low, y_low), strict=True):
                    tree[f"epoch{epoch}/batch{number}/{end}"] = values
        return tree

    def pool(
        self,
        *,
        x: Tensor,
        y: Tensor,
        type_of_initial_points: str,
        num_points: int,  # noqa: ARG002 - ROOT's pool has a size of its own
        epochs: int,
    ) -> Tree:
        """`select_pool`, once: fixed for the run."""
        pool = root.select_pool(x, y, type_of_initial_points)
        return {f"epoch{epoch}": pool for epoch in range(epochs)}

    def offline_data(self, *, task: Task, normalize_x: bool, normalize_y: bool) -> Tree:
        """`get_offline_data` in the task's own precision."""
        data = root.get_offline_data(task, normalize_x, normalize_y)
        return dict(vars(data))

    def encoding(self, *, task: Task) -> Tree:
        """`encode_designs`."""
        x = torch.from_numpy(root.encode_designs(task))
        after = task.x
        return {
            "x": x,
            "task_x_after": torch.from_numpy(after.copy()),
            "task_is_mapped": bool(task.is_discrete and after.ndim == 3),
        }

    def optimiser(
        self,
        *,
        optimizer: Mapping[str, Any],
        lr_scheduler: Mapping[str, Any],
        accumulate_grad_batches: int,
        weights: Mapping[str, Tensor],
        grads: Sequence[Mapping[str, Tensor]],
        losses: Sequence[float],
    ) -> Tree:
        """`BatchUpdate`, the object that the training loop calls, on gradients added to the parameters'."""
        model = _Weights(weights)
        update = root.BatchUpdate(optimizer, lr_scheduler, accumulate_grad_batches, list(model.parameters.values()))
        tree: Tree = {}
        for k, (gradients, loss) in enumerate(zip(grads, losses, strict=True)):
            for name, parameter in model.parameters.items():
                gradient = gradients[name].clone()
                parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
            update(loss, k + 1)
            tree |= model.tree(f"w{k}") | {f"lr{k}": update.lr}
        return tree

    def ema(self, *, decay: float, decay_from_step: int, weights: Sequence[Mapping[str, Tensor]]) -> Tree:
        """`EMA`."""
        model = _Weights(weights[0])
        ema = root.EMA(decay)
        ema.register(model)
        tree: Tree = prefixed("shadow0", ema.shadow)
        for k, values in enumerate(weights[1:], start=1):
            model.load(values)
            ema.update(model, with_decay=k >= decay_from_step)
            tree |= prefixed(f"shadow{k}", ema.shadow)
        ema.apply_shadow(model)
        tree |= model.tree("applied")
        ema.restore(model)
        return tree | model.tree("restored")

    def candidates(
        self, *, x: Tensor, y: Tensor, n_candidates: int, type: str, percentile_sampling: float, seed: int
    ) -> Tree:
        """`sampling_from_offline_data`."""
        chosen_x, chosen_y = root.sampling_from_offline_data(x, y, n_candidates, type, percentile_sampling, seed)
        return {"x": chosen_x, "y": chosen_y}

    def target(self, *, y: Tensor, y_max: float, alpha: float, n: int) -> Tree:
        """`score_statistics`, then `target_condition`."""
        mean_y, std_y = root.score_statistics(y.cpu().numpy())
        return {"condition": root.target_condition(mean_y, std_y, y_max, alpha, n).to(y.device)}

    def evaluation(
        self, *, task: Task, designs: Tensor, mean_x: Tensor, std_x: Tensor, y_min: float, y_max: float
    ) -> Tree:
        """`evaluate_designs`."""
        scores, percentiles = root.evaluate_designs(task, designs, mean_x, std_x, y_min, y_max)
        return {"scores": scores, "percentiles": percentiles}

    def training(self, *, config: Mapping[str, Any], task: Task, seed: int, dtype: torch.dtype) -> Tree:
        """`train`, then `test`."""
        settings = root.Config.from_mapping(config)
        run = root.train(settings, task, seed, dtype=dtype)
        outcome = root.test(settings, task, root.in_test_form(task), seed, run.weights, run.shadow)
        val_losses = [loss for losses in run.val_losses for loss in losses]
        return {
            "losses": torch.tensor(run.losses, dtype=torch.float64),
            "lr": torch.tensor(run.lr, dtype=torch.float64),
            "val_losses": torch.tensor(val_losses, dtype=torch.float64),
            "global_step": run.global_step,
            "offline_x": run.data.x,
            "offline_y": run.data.y,
            "best_x": run.pool,
            **prefixed("final/state", run.weights),
            **prefixed("ema", run.shadow or {}),
            "test/low": outcome.low,
            "test/low_scores": outcome.low_scores,
            "test/high_cond": outcome.high_cond,
            "test/high": outcome.high,
            "percentiles": outcome.percentiles,
        }

    def check_config(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """`Config.from_mapping`, which knows what it does not use, and the optimiser's name: ROOT fails on it later."""
        read = root.Config.from_mapping(config)
        name = read.optimizer["optimizer"]
        if name not in ("Adam", "RMSProp", "SGD"):
            raise ValueError(f"config: model.BB.optimizer.optimizer must be Adam, RMSProp or SGD, got {name!r}")
        return read.unknown

    def start_training(
        self,
        *,
        config: Mapping[str, Any],
        task: Task,
        seed: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> RootTraining:
        """`reference_root.Training`."""
        return RootTraining(root.Config.from_mapping(config), task, seed, dtype, device)


class _Weights:
    """Parameters under any names, dots included, as a model that has nothing else."""

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        self.parameters = {name: nn.Parameter(value.clone()) for name, value in values.items()}

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        return iter(self.parameters.items())

    def load(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self.parameters.items():
            parameter.data = values[name].clone()

    def tree(self, group: str) -> Tree:
        return prefixed(group, self.parameters)
