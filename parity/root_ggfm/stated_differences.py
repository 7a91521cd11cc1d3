"""What each known difference computes, stated in executable form on top of the reference.

A ledger that only says "differs here" would accept any difference there. `Claimed` is the reference with the stated
differences written out; ggfm with the same switches on must agree with it everywhere. So a difference is known in its
exact form: the size of the pool, the place of the clamp, the order of the draws.

Whole runs are not restated: they are made of the components that are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from parity.root_ggfm.contract import Bridge, Pairs
from parity.root_ggfm.tasks.task import Task
from parity.side import Side, Tree

__all__ = ["CLAIMED", "Claimed"]

CLAIMED = (
    "sample_steps", "predict_x0", "initial_weights", "p_losses", "training_loss", "p_sample", "sample", "gp_pairs",
    "split", "loader", "pool", "encoding", "optimiser", "ema", "target",
)  # fmt: skip
"""Components whose known differences are stated here."""


class Claimed:
    """The reference with the differences `on` written out. A component without a claim is the reference's own."""

    def __init__(self, reference: Side, on: Iterable[str]) -> None:
        self._root = reference
        self._on = frozenset(on)
        self.name = f"{reference.name} with {', '.join(sorted(self._on))}"
        self.version = reference.version

    def __getattr__(self, component: str) -> Any:
        return getattr(self._root, component)

    def sample_steps(self, bridge: Bridge) -> Tree:
        """`steps_buffer`: one more key in the state dict."""
        tree = self._root.sample_steps(bridge)
        if "steps_buffer" in self._on:
            tree["state_dict_keys"] = sorted([*tree["state_dict_keys"], "steps"])
        return tree

    def predict_x0(self, bridge: Bridge, *, x_t: Tensor, x_low: Tensor, t: Tensor, objective_recon: Tensor) -> Tree:
        """`noise_eps`: the denominator 1 - m_t + 1e-8."""
        return {"x0": self._x0(bridge, x_t, x_low, t, objective_recon)}

    def _x0(self, bridge: Bridge, x_t: Tensor, x_low: Tensor, t: Tensor, r: Tensor) -> Tensor:
        if bridge.objective == "grad":
            return x_t - r
        if bridge.objective == "ysubx":
            return x_low - r
        buffers = self._root.schedule(bridge)
        m, v = (buffers[name].to(x_t.device)[t][:, None] for name in ("m_t", "variance_t"))
        x0: Tensor = (x_t - m * x_low - v.sqrt() * r) / (1.0 - m + (1e-8 if "noise_eps" in self._on else 0.0))
        return x0

    def initial_weights(self, bridge: Bridge) -> Tree:
        """`init`: PyTorch's default initialisation, not redrawn."""
        if "init" not in self._on:
            return self._root.initial_weights(bridge)
        sizes = [bridge.dim + 3, bridge.hidden, bridge.hidden, bridge.hidden, bridge.dim]
        layers = [nn.Linear(a, b, dtype=bridge.dtype) for a, b in pairwise(sizes)]
        return {
            f"state/denoise_fn.main.{2 * k}.{name}": getattr(layer, name).detach()
            for k, layer in enumerate(layers)
            for name in ("weight", "bias")
        }

    def p_losses(self, bridge: Bridge, *, t: Tensor | None, noise: Tensor | None, **given: Any) -> Tree:
        """`logged_x0`: x0_recon from x_low. The loss and its gradient are ROOT's; t is drawn before the noise."""
        x_high, x_low = given["x_high"], given["x_low"]
        t = torch.randint(bridge.num_timesteps, (len(x_high),), device=x_high.device) if t is None else t
        noise = torch.randn_like(x_high) if noise is None else noise
        tree = self._root.p_losses(bridge, t=t, noise=noise, **given)
        x_t = self._root.q_sample(bridge, x_high=x_high, x_low=x_low, t=t, noise=noise)["x_t"]
        r = self._root.denoiser(
            bridge, state=given["state"], x_t=x_t, t=t, y_first=given["y_high"], y_second=given["y_low"]
        )["output"]
        start = x_low if "logged_x0" in self._on else given["y_high"]
        return tree | {"x0_recon": self._x0(bridge, x_t, start, t, r)}

    def training_loss(self, bridge: Bridge, *, step: int, guidance_prob: float, **given: Any) -> Tree:
        """`step_seed`: no reseeding. `guidance`: no masking draw."""
        if "step_seed" not in self._on:
            torch.manual_seed(step)
        if "guidance" not in self._on:
            kept = torch.rand(len(given["y_high"]), device=given["y_high"].device) > guidance_prob
            given |= {name: given[name] * kept for name in ("y_high", "y_low")}
        tree = self._root.p_losses(bridge, t=None, noise=None, **given)
        return {name: leaf for name, leaf in tree.items() if name != "x0_recon"}

    def p_sample(self, bridge: Bridge, *, step: int, guidance_weight: float, **given: Any) -> Tree:
        """`clamp`: arguments of roots at least 0, v_t + 1e-10 in denominators. `guidance`: weight 0."""
        weight = 0.0 if "guidance" in self._on else guidance_weight
        if not {"clamp", "noise_eps"} & self._on:
            return self._root.p_sample(bridge, step=step, guidance_weight=weight, **given)
        x_t, x_low, y_low, y_high = (given[name] for name in ("x_t", "x_low", "y_low", "y_high"))
        steps = self._root.sample_steps(bridge)["steps"].tolist()
        buffers = self._root.schedule(bridge)
        t = torch.full((len(x_t),), steps[step], device=x_t.device)

        def network(first: Tensor, second: Tensor) -> Tensor:
            tree = self._root.denoiser(bridge, state=given["state"], x_t=x_t, t=t, y_first=first, y_second=second)
            return tree["output"]  # type: ignore[no-any-return]

        nothing = torch.zeros_like(y_low)
        r = (1 + weight) * network(y_low, y_high) - weight * network(nothing, nothing)
        x0 = self._x0(bridge, x_t, x_low, t, r)
        x0 = x0.clamp(-1, 1) if given["clip_denoised"] else x0
        if steps[step] == 0:
            return {"x_next": x0, "x0": x0}
        m, v = buffers["m_t"][steps[step]], buffers["variance_t"][steps[step]]
        m_s, v_s = buffers["m_t"][steps[step + 1]], buffers["variance_t"][steps[step + 1]]
        floor, below = (0.0, v + 1e-10) if "clamp" in self._on else (-math.inf, v)
        variance = (v - v_s * (1 - m) ** 2 / (1 - m_s) ** 2) * v_s / below
        sigma = variance.clamp(min=floor).sqrt() * bridge.eta
        towards = ((v_s - variance) / below).clamp(min=floor).sqrt() * (x_t - (1 - m) * x0 - m * x_low)
        mean = (1 - m_s) * x0 + m_s * x_low + towards
        return {"x_next": mean + sigma * torch.randn_like(x_t), "x0": x0}

    def sample(self, bridge: Bridge, *, x_low: Tensor, guidance_weight: float, **given: Any) -> Tree:
        """The differences of `p_sample`, step by step."""
        x_t = x_low
        for step in range(len(self._root.sample_steps(bridge)["steps"])):
            tree = self.p_sample(bridge, step=step, guidance_weight=guidance_weight, x_t=x_t, x_low=x_low, **given)
            x_t = tree["x_next"]
        return {"x_high": x_t}

    def gp_pairs(self, *, num_gradient_steps: int, threshold_diff: float, **given: Any) -> Tree:
        """`trajectory`: also the whole path of each kept pair, low end to high end, resampled to 201 points.

        The path is what ROOT's end points are after 0, 1, 2, ... steps: the draws do not depend on their number.
        """
        tree = self._root.gp_pairs(num_gradient_steps=num_gradient_steps, threshold_diff=threshold_diff, **given)
        if "trajectory" not in self._on:
            return tree
        state = torch.get_rng_state()
        ends = [
            self._root.gp_pairs(num_gradient_steps=k, threshold_diff=-math.inf, **given)
            for k in range(num_gradient_steps + 1)
        ]
        torch.set_rng_state(state)
        for f in range(len(tree["counts"])):
            kept = ends[-1][f"f{f}/y_high"] - ends[-1][f"f{f}/y_low"] > threshold_diff
            low = [end[f"f{f}/x_low"][kept] for end in reversed(ends)]
            high = [end[f"f{f}/x_high"][kept] for end in ends[1:]]
            tree[f"f{f}/trajectory"] = _resampled(torch.stack([*low, *high], dim=1), 201)
        return tree

    def split(self, *, functions: Sequence[Pairs], val_frac: float) -> Tree:
        """`split`: everything is trained on. `empty_epoch`: nothing to train on is no error."""
        held = [0 if "split" in self._on else int(len(pairs["y_high"]) * val_frac) for pairs in functions]
        parts = {"train": [slice(n, None) for n in held], "val": [slice(n) for n in held]}
        return {
            f"{part}/{name}": torch.cat([pairs[name][rows] for pairs, rows in zip(functions, slices, strict=True)])
            for part, slices in parts.items()
            for name in ("x_high", "y_high", "x_low", "y_low")
        }

    def loader(
        self, *, functions: Sequence[Pairs], val_frac: float, batch_size: int, shuffle: bool, passes: int
    ) -> Tree:
        """`loader`: per pass one randperm over all pairs, sliced. `batch_size`: 256. `empty_epoch`: no batch."""
        size = 256 if "batch_size" in self._on else batch_size
        pairs = self.split(functions=functions, val_frac=val_frac)
        train = {name.removeprefix("train/"): rows for name, rows in pairs.items() if name.startswith("train/")}
        count = len(train["y_high"])
        if count == 0 and shuffle and "empty_epoch" in self._on:
            return {}
        if "loader" not in self._on:
            return self._root.loader(functions=[train], val_frac=0.0, batch_size=size, shuffle=shuffle, passes=passes)
        tree: Tree = {}
        for epoch in range(passes):
            order = torch.randperm(count) if shuffle else torch.arange(count)
            for b, rows in enumerate(torch.split(order, size) if count else ()):
                tree |= {f"epoch{epoch}/batch{b}/{name}": values[rows] for name, values in train.items()}
        return tree

    def pool(self, *, x: Tensor, y: Tensor, type_of_initial_points: str, num_points: int, epochs: int) -> Tree:
        """`pool`: per epoch half from the 2000 best by randperm, half from all by randperm, in that order."""
        if "pool" not in self._on:
            return self._root.pool(
                x=x, y=y, type_of_initial_points=type_of_initial_points, num_points=num_points, epochs=epochs
            )
        best = torch.argsort(y, descending=True)[:2000]
        tree = {}
        for epoch in range(epochs):
            top = best[torch.randperm(len(best))[: num_points // 2]]
            anywhere = torch.randperm(len(x))[: num_points - num_points // 2]
            tree[f"epoch{epoch}"] = x[torch.cat([top, anywhere])]
        return tree

    def encoding(self, *, task: Task) -> Tree:
        """`encoding`: the task itself becomes logits."""
        tree = self._root.encoding(task=task)
        if "encoding" not in self._on or not task.is_discrete:
            return tree
        task.map_to_logits()
        return tree | {"task_x_after": torch.from_numpy(task.x), "task_is_mapped": True}

    def optimiser(
        self, *, optimizer: Mapping[str, Any], accumulate_grad_batches: int, grads: Sequence[Any], **given: Any
    ) -> Tree:
        """`accumulation`: every batch. `optimiser`: Adam's defaults. `grad_clip`: 5.0. `scheduler`: constant rate."""
        if "optimiser" in self._on:
            optimizer = {"optimizer": "Adam", "lr": optimizer["lr"], "beta1": 0.9, "weight_decay": 0.0}
        every = 1 if "accumulation" in self._on else accumulate_grad_batches
        if "grad_clip" in self._on:
            grads = _clipped_sums(grads, every)
        if "scheduler" in self._on:
            given["lr_scheduler"] = given["lr_scheduler"] | {"patience": len(grads) + 1}
        return self._root.optimiser(optimizer=optimizer, accumulate_grad_batches=every, grads=grads, **given)

    def ema(self, *, decay: float, decay_from_step: int, weights: Sequence[Mapping[str, Tensor]]) -> Tree:
        """`ema`: what evaluation uses is the current weights."""
        if "ema" not in self._on:
            return self._root.ema(decay=decay, decay_from_step=decay_from_step, weights=weights)
        last = weights[-1]
        shadows = {f"shadow{k}/{name}": w.clone() for k, now in enumerate(weights) for name, w in now.items()}
        return shadows | {f"{use}/{name}": w.clone() for use in ("applied", "restored") for name, w in last.items()}

    def target(self, *, y: Tensor, y_max: float, alpha: float, n: int) -> Tree:
        """`target`: the 99th percentile of the standardised offline scores."""
        if "target" not in self._on:
            return self._root.target(y=y, y_max=y_max, alpha=alpha, n=n)
        standardised = (y - y.mean()) / y.std(correction=0)
        return {"condition": torch.quantile(standardised, 0.99).repeat(n)}


def _resampled(paths: Tensor, count: int) -> Tensor:
    """(n, S, D) paths at `count` points, evenly spaced along the index, linear in between, end points kept."""
    last = paths.shape[1] - 1
    where = torch.linspace(0, last, count, dtype=torch.float64)
    left = where.floor().long().clamp(max=max(last - 1, 0))
    share = (where - left)[None, :, None].to(paths.dtype)
    right = (left + 1).clamp(max=last)
    return paths[:, left] + share * (paths[:, right] - paths[:, left])


def _clipped_sums(grads: Sequence[Mapping[str, Tensor]], every: int) -> list[dict[str, Tensor]]:
    """Gradients that sum, over each group of `every`, to the group's sum clipped to norm 5."""
    clipped: list[dict[str, Tensor]] = []
    for start in range(0, len(grads), every):
        group = grads[start : start + every]
        total = {name: sum((g[name] for g in group[1:]), group[0][name]) for name in group[0]}
        norm = torch.sqrt(torch.stack([value.square().sum() for value in total.values()]).sum())
        factor = torch.clamp(5.0 / (norm + 1e-6), max=1.0)
        nothing = {name: torch.zeros_like(value) for name, value in total.items()}
        clipped += [nothing] * (len(group) - 1) + [{name: value * factor for name, value in total.items()}]
    return clipped
