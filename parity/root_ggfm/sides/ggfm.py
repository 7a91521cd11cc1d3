"""GGFM seen through the common contract: the only place where parity and `ggfm` meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ggfm.batches import Batches, split_pairs, training_batch_size
from ggfm.data import OfflineData, encode, is_mapped, score_statistics
from ggfm.ema import MovingAverage, averages_weights
from ggfm.evaluation import candidates, evaluate, target_score
from ggfm.gaussian_process import GaussianProcess
from ggfm.optimisation import Updater
from ggfm.pair_sampling import PairSampling, sample_pairs
from ggfm.pairs import Batch, Pairs
from ggfm.pool import Pool
from ggfm.settings import Settings
from parity.root_ggfm.contract import Pairs as PairMapping
from parity.root_ggfm.sides.ggfm_bridge import GgfmBridge, load, named
from parity.root_ggfm.sides.ggfm_training import GgfmTraining
from parity.root_ggfm.tasks.task import Task
from parity.side import Tree

__all__ = ["GgfmSide"]

_COLUMNS = ("x_high", "y_high", "x_low", "y_low")


class GgfmSide(GgfmBridge):
    """GGFM with the given switches; implements `parity.side.Side`."""

    version = "GGFM 6327731 (re-implementation)"

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
        """`ggfm.gaussian_process.GaussianProcess`."""
        process = GaussianProcess(
            x_train, y_train, lengthscale=lengthscale, variance=variance, noise=noise, mean_prior=mean_prior
        )
        return {
            "coef": process.coef,
            "mean": process.mean_posterior(x_test),
            "grad": process.gradient(x_test),
            "lengthscale_stored": process.lengthscale,
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
        """`ggfm.pair_sampling.sample_pairs` with a process of its own; its paths where it records them."""
        process = GaussianProcess(x_train, y_train, lengthscale=lengthscale, variance=variance, noise=noise)
        settings = PairSampling(
            num_gradient_steps=num_gradient_steps,
            num_functions=num_functions,
            num_points=num_points,
            learning_rate=learning_rate,
            delta_lengthscale=delta_lengthscale,
            delta_variance=delta_variance,
            threshold_diff=threshold_diff,
        )
        functions = sample_pairs(pool, process, settings, seed=seed, switches=self.switches)
        tree: Tree = {"counts": torch.tensor([len(pairs) for pairs in functions])}
        for k, pairs in enumerate(functions):
            tree |= _columns(f"f{k}/", pairs)
            if pairs.path is not None:
                tree[f"f{k}/trajectory"] = pairs.path
        return tree | {
            "lengthscale_after": process.lengthscale,
            "variance_after": process.variance,
            "coef_after": process.coef,
        }

    def split(self, *, functions: Sequence[PairMapping], val_frac: float) -> Tree:
        """`ggfm.batches.split_pairs`; ROOT makes the shuffling loader in the same call, which refuses an empty one."""
        training, validation = split_pairs(_stacked(functions), val_frac, self.switches)
        Batches(training, 1, shuffle=True, switches=self.switches)
        return _columns("train/", Pairs.concatenated(training)) | _columns("val/", Pairs.concatenated(validation))

    def loader(
        self, *, functions: Sequence[PairMapping], val_frac: float, batch_size: int, shuffle: bool, passes: int
    ) -> Tree:
        """`ggfm.batches.Batches` of the training pairs."""
        training, _ = split_pairs(_stacked(functions), val_frac, self.switches)
        batches = Batches(training, training_batch_size(batch_size, self.switches), shuffle, self.switches)
        tree: Tree = {}
        for epoch in range(passes):
            for b, batch in enumerate(batches):
                tree |= _columns(f"epoch{epoch}/batch{b}/", batch)
        return tree

    def pool(self, *, x: Tensor, y: Tensor, type_of_initial_points: str, num_points: int, epochs: int) -> Tree:
        """`ggfm.pool.Pool`."""
        pool = Pool(x, y, type_of_initial_points, num_points, self.switches)
        return {f"epoch{epoch}": pool.epoch() for epoch in range(epochs)}

    def offline_data(self, *, task: Task, normalize_x: bool, normalize_y: bool) -> Tree:
        """`ggfm.data.OfflineData`."""
        data = OfflineData.of(task, normalize_x=normalize_x, normalize_y=normalize_y, switches=self.switches)
        return {name: getattr(data, name) for name in ("x", "y", "mean_x", "std_x", "mean_y", "std_y")}

    def encoding(self, *, task: Task) -> Tree:
        """`ggfm.data.encode`, and the task afterwards."""
        x = encode(task, self.switches)
        return {
            "x": torch.from_numpy(np.array(x)),
            "task_x_after": torch.from_numpy(np.array(task.x)),
            "task_is_mapped": is_mapped(task),
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
        """`ggfm.optimisation.Updater` on parameters of the given names."""
        parameters = {name: nn.Parameter(weight.clone()) for name, weight in weights.items()}
        updater = Updater(parameters, optimizer, lr_scheduler, accumulate_grad_batches, self.switches)
        tree: Tree = {}
        for k, (gradient, loss) in enumerate(zip(grads, losses, strict=True)):
            for name, parameter in parameters.items():
                added = gradient[name].clone()
                parameter.grad = added if parameter.grad is None else parameter.grad + added
            updater.after_batch(k + 1, loss)
            tree |= {f"w{k}/{name}": parameter.detach().clone() for name, parameter in parameters.items()}
            tree[f"lr{k}"] = updater.lr
        return tree

    def ema(self, *, decay: float, decay_from_step: int, weights: Sequence[Mapping[str, Tensor]]) -> Tree:
        """`ggfm.ema.MovingAverage`; without one, what is used instead: the current weights."""
        holder = nn.Module()
        for name, weight in weights[0].items():
            holder.register_parameter(name, nn.Parameter(weight.clone()))
        average = MovingAverage(decay) if averages_weights(True, self.switches) else None
        tree: Tree = {}
        for k, present in enumerate(weights):
            load(holder, present)
            if average is None:
                tree |= named(f"shadow{k}/", present)
            else:
                average.register(holder) if k == 0 else average.update(holder, with_decay=k >= decay_from_step)
                tree |= named(f"shadow{k}/", average.shadow)
        if average is not None:
            average.apply_shadow(holder)
        tree |= named("applied/", dict(holder.named_parameters()))
        if average is not None:
            average.restore(holder)
        return tree | named("restored/", dict(holder.named_parameters()))

    def candidates(
        self, *, x: Tensor, y: Tensor, n_candidates: int, type: str, percentile_sampling: float, seed: int
    ) -> Tree:
        """`ggfm.evaluation.candidates`."""
        chosen_x, chosen_y = candidates(x, y, n_candidates, type, percentile_sampling, seed)
        return {"x": chosen_x, "y": chosen_y}

    def target(self, *, y: Tensor, y_max: float, alpha: float, n: int) -> Tree:
        """`ggfm.evaluation.target_score` with the statistics of the raw scores."""
        mean, std = (torch.as_tensor(value) for value in score_statistics(y.cpu().numpy()))
        return {"condition": target_score(y, mean, std, y_max, alpha, self.switches).expand(n).clone().to(y.device)}

    def evaluation(
        self, *, task: Task, designs: Tensor, mean_x: Tensor, std_x: Tensor, y_min: float, y_max: float
    ) -> Tree:
        """`ggfm.evaluation.evaluate`."""
        scored = evaluate(task, designs, mean_x, std_x, y_min, y_max)
        return {"scores": scored.scores, "percentiles": scored.percentiles}

    def training(self, *, config: Mapping[str, Any], task: Task, seed: int, dtype: torch.dtype) -> Tree:
        """`ggfm.training.Trainer`, epoch after epoch, then `ggfm.run.test`."""
        training = GgfmTraining(config, task, seed, self.switches, dtype, "cpu")
        while training.epochs_done < training.n_epochs:
            training.epoch()
        return training.result() | {name: leaf for name, leaf in training.test().items() if name != "scores"}

    def check_config(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """`ggfm.settings.Settings`."""
        return Settings(config).unused

    def start_training(
        self,
        *,
        config: Mapping[str, Any],
        task: Task,
        seed: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> GgfmTraining:
        """`ggfm.training.Trainer`."""
        return GgfmTraining(config, task, seed, self.switches, dtype, device)


def _columns(prefix: str, pairs: Pairs | Batch) -> Tree:
    return {f"{prefix}{name}": getattr(pairs, name) for name in _COLUMNS}


def _stacked(functions: Sequence[PairMapping]) -> list[Pairs]:
    return [Pairs(*(function[name] for name in _COLUMNS)) for function in functions]
