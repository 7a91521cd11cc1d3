"""GGFM seen through the common contract: the only place where parity and `ggfm` meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ggfm.batches import Batches, split_pairs, training_batch_size
from ggfm.bridge import BrownianBridge
from ggfm.data import OfflineData, encode, is_mapped, score_statistics
from ggfm.ema import MovingAverage, averages_weights
from ggfm.evaluation import candidates, evaluate, target_score
from ggfm.gaussian_process import GaussianProcess
from ggfm.losses import training_loss
from ggfm.network import draw_initial_weights
from ggfm.optimisation import Updater
from ggfm.pair_sampling import PairSampling, sample_pairs
from ggfm.pairs import Pairs
from ggfm.pool import Pool
from ggfm.run import run
from ggfm.sampling import p_sample, sample
from ggfm.schedule import bridge_schedule
from ggfm.switches import Switches
from parity.sides.interface import Bridge, Tree
from parity.sides.interface import Pairs as PairMapping
from parity.tasks.interface import Task

__all__ = ["GgfmSide"]

_COLUMNS = ("x_high", "y_high", "x_low", "y_low")


class GgfmSide:
    """GGFM with the given switches; implements `parity.sides.interface.Side`."""

    version = "GGFM 6327731 (re-implementation)"

    def __init__(self, switches: Switches | None = None) -> None:
        self.switches = switches or Switches.aligned()
        self.name = f"ggfm[{self.switches}]"

    def schedule(self, bridge: Bridge) -> Tree:
        """`ggfm.schedule.bridge_schedule`."""
        return dict(bridge_schedule(bridge.num_timesteps, bridge.mt_type, bridge.max_var, bridge.dtype))

    def sample_steps(self, bridge: Bridge) -> Tree:
        """The model's `steps`, and the names in its state dict."""
        model = self._model(bridge)
        return {"steps": model.steps, "state_dict_keys": sorted(model.state_dict())}

    def q_sample(self, bridge: Bridge, *, x_high: Tensor, x_low: Tensor, t: Tensor, noise: Tensor | None) -> Tree:
        """`BrownianBridge.q_sample`, of a model without weights."""
        x_t, objective = self._model(bridge, device=x_high.device).q_sample(x_high, x_low, t, noise)
        return {"x_t": x_t, "objective": objective}

    def predict_x0(self, bridge: Bridge, *, x_t: Tensor, x_low: Tensor, t: Tensor, objective_recon: Tensor) -> Tree:
        """`BrownianBridge.predict_x0_from_objective`, of a model without weights."""
        model = self._model(bridge, device=x_t.device)
        return {"x0": model.predict_x0_from_objective(x_t, x_low, t, objective_recon)}

    def initial_weights(self, bridge: Bridge) -> Tree:
        """`ggfm.network.draw_initial_weights` on a new model."""
        model = self._model(bridge)
        draw_initial_weights(model.denoise_fn, self.switches)
        return {f"state/{name}": weight.detach() for name, weight in model.named_parameters()}

    def denoiser(
        self, bridge: Bridge, *, state: Mapping[str, Tensor], x_t: Tensor, t: Tensor, y_first: Tensor, y_second: Tensor
    ) -> Tree:
        """`BrownianBridge.denoise_fn`."""
        with torch.no_grad():
            return {"output": self._model(bridge, state).denoise_fn(x_t, t, y_first, y_second)}

    def p_losses(
        self,
        bridge: Bridge,
        *,
        state: Mapping[str, Tensor],
        x_high: Tensor,
        y_high: Tensor,
        x_low: Tensor,
        y_low: Tensor,
        t: Tensor | None,
        noise: Tensor | None,
    ) -> Tree:
        """`BrownianBridge.p_losses`, or `forward` where t is to be drawn."""
        model = self._model(bridge, state)
        if t is None:
            loss, logged = model(x_high, y_high, x_low, y_low)
        else:
            loss, logged = model.p_losses(x_high, y_high, x_low, y_low, t, noise)
        return {"loss": loss.detach(), "x0_recon": logged, **_gradients(loss, model)}

    def training_loss(
        self,
        bridge: Bridge,
        *,
        state: Mapping[str, Tensor],
        x_high: Tensor,
        y_high: Tensor,
        x_low: Tensor,
        y_low: Tensor,
        step: int,
        guidance_prob: float,
    ) -> Tree:
        """`ggfm.losses.training_loss`."""
        model = self._model(bridge, state)
        loss = training_loss(model, Pairs(x_high, y_high, x_low, y_low), step, guidance_prob)
        return {"loss": loss.detach(), **_gradients(loss, model)}

    @torch.no_grad()
    def p_sample(
        self,
        bridge: Bridge,
        *,
        state: Mapping[str, Tensor],
        x_t: Tensor,
        x_low: Tensor,
        y_low: Tensor,
        y_high: Tensor,
        step: int,
        clip_denoised: bool,
        guidance_weight: float,
    ) -> Tree:
        """`ggfm.sampling.p_sample`."""
        x_next, x0 = p_sample(
            self._model(bridge, state),
            x_t,
            x_low,
            y_low,
            y_high,
            step,
            clip_denoised=clip_denoised,
            guidance_weight=guidance_weight,
        )
        return {"x_next": x_next, "x0": x0}

    def sample(
        self,
        bridge: Bridge,
        *,
        state: Mapping[str, Tensor],
        x_low: Tensor,
        y_low: Tensor,
        y_high: Tensor,
        clip_denoised: bool,
        guidance_weight: float,
    ) -> Tree:
        """`ggfm.sampling.sample`."""
        model = self._model(bridge, state)
        x_high = sample(model, x_low, y_low, y_high, clip_denoised=clip_denoised, guidance_weight=guidance_weight)
        return {"x_high": x_high}

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
        return tree | {"lengthscale_after": process.lengthscale, "variance_after": process.variance}

    def split(self, *, functions: Sequence[PairMapping], val_frac: float) -> Tree:
        """`ggfm.batches.split_pairs`; ROOT makes the shuffling loader in the same call, which refuses an empty one."""
        training, validation = split_pairs(_stacked(functions), val_frac, self.switches)
        Batches(training, 1, shuffle=True, switches=self.switches)
        return _columns("train/", training) | _columns("val/", validation)

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
        updater = Updater(parameters.values(), optimizer, lr_scheduler, accumulate_grad_batches, self.switches)
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
            _load(holder, present)
            if average is None:
                tree |= _named(f"shadow{k}/", present)
            else:
                average.register(holder) if k == 0 else average.update(holder, with_decay=k >= decay_from_step)
                tree |= _named(f"shadow{k}/", average.shadow)
        if average is not None:
            average.apply_shadow(holder)
        tree |= _named("applied/", dict(holder.named_parameters()))
        if average is not None:
            average.restore(holder)
        return tree | _named("restored/", dict(holder.named_parameters()))

    def candidates(
        self, *, x: Tensor, y: Tensor, n_candidates: int, type: str, percentile_sampling: float, seed: int
    ) -> Tree:
        """`ggfm.evaluation.candidates`."""
        chosen_x, chosen_y = candidates(x, y, n_candidates, type, percentile_sampling, seed)
        return {"x": chosen_x, "y": chosen_y}

    def target(self, *, y: Tensor, y_max: float, alpha: float, n: int) -> Tree:
        """`ggfm.evaluation.target_score` with the statistics of the raw scores."""
        mean, std = (torch.as_tensor(value) for value in score_statistics(y.cpu().numpy()))
        return {"condition": target_score(y, mean, std, y_max, alpha, self.switches).expand(n).clone()}

    def evaluation(
        self, *, task: Task, designs: Tensor, mean_x: Tensor, std_x: Tensor, y_min: float, y_max: float
    ) -> Tree:
        """`ggfm.evaluation.evaluate`."""
        scored = evaluate(task, designs, mean_x, std_x, y_min, y_max)
        return {"scores": scored.scores, "percentiles": scored.percentiles}

    def training(self, *, config: Mapping[str, Any], task: Task, seed: int, dtype: torch.dtype) -> Tree:
        """`ggfm.run.run`, training and test."""
        trained, tested = run(config, task, seed=seed, switches=self.switches, dtype=dtype)
        tree: Tree = {
            "losses": torch.tensor(trained.losses, dtype=torch.float64),
            "lr": torch.tensor(trained.lr, dtype=torch.float64),
            "val_losses": torch.tensor(trained.val_losses, dtype=torch.float64),
            "global_step": trained.global_step,
            "offline_x": trained.data.x,
            "offline_y": trained.data.y,
            "best_x": trained.pool,
            **_named("final/state/", dict(trained.bridge.named_parameters())),
        }
        if trained.average is not None:
            tree |= _named("ema/", trained.average.shadow)
        return tree | {
            "test/low": tested.low,
            "test/low_scores": tested.low_scores,
            "test/high_cond": tested.high_cond,
            "test/high": tested.high,
            "percentiles": tested.evaluation.percentiles,
        }

    def _model(
        self, bridge: Bridge, state: Mapping[str, Tensor] | None = None, device: torch.device | None = None
    ) -> BrownianBridge:
        """GGFM's model of a bridge, with given weights or with none; making it draws nothing."""
        model = BrownianBridge(
            bridge.dim,
            bridge.hidden,
            num_timesteps=bridge.num_timesteps,
            mt_type=bridge.mt_type,
            max_var=bridge.max_var,
            eta=bridge.eta,
            loss_type=bridge.loss_type,
            objective=bridge.objective,
            skip_sample=bridge.skip_sample,
            sample_type=bridge.sample_type,
            sample_step=bridge.sample_step,
            dtype=bridge.dtype,
            switches=self.switches,
        )
        if state is not None:
            device = next(iter(state.values())).device
            _load(model, state)
        return model if device is None else model.to(device)


def _load(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])


def _gradients(loss: Tensor, model: nn.Module) -> Tree:
    names, parameters = zip(*model.named_parameters(), strict=True)
    return {f"grad/{n}": g for n, g in zip(names, torch.autograd.grad(loss, parameters), strict=True)}


def _named(prefix: str, tensors: Mapping[str, Tensor]) -> Tree:
    return {f"{prefix}{name}": tensor.detach().clone() for name, tensor in tensors.items()}


def _columns(prefix: str, pairs: Pairs) -> Tree:
    return {f"{prefix}{name}": getattr(pairs, name) for name in _COLUMNS}


def _stacked(functions: Sequence[PairMapping]) -> list[Pairs]:
    return [Pairs(*(function[name] for name in _COLUMNS)) for function in functions]
