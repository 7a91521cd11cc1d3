"""Pairs of a worse and a better design, sampled from Gaussian processes."""

from __future__ import annotations

import torch
from torch import Tensor

from reference_root.checks import check_finite, check_int, check_shape
from reference_root.gp import GP

__all__ = ["Pair", "Pairs", "follow_gradient", "sampling_data_from_GP"]

Pair = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]
"""((x_high (D,), y_high ()), (x_low (D,), y_low ()))."""

Pairs = dict[str, list[Pair]]
"""The pairs of each function: {"f0": [...], "f1": [...], ...}."""


def follow_gradient(
    gp: GP, x_low: Tensor, x_high: Tensor, num_gradient_steps: int, learning_rate: float
) -> tuple[Tensor, Tensor]:
    """Gradient descent on the posterior mean from x_low (P, D), ascent from x_high (P, D), in one batch of 2P.

    x_low <- x_low - lr grad,   x_high <- x_high + lr grad,   grad of the summed posterior mean.
    """
    points = torch.cat([x_low, x_high]).detach()
    rate = torch.cat([-learning_rate * torch.ones_like(x_low), learning_rate * torch.ones_like(x_high)])
    for _ in range(num_gradient_steps):
        points.requires_grad_(True)
        (gradient,) = torch.autograd.grad(gp.mean_at(points).sum(), points)
        points = points.detach() + rate * gradient
    return points[: len(x_low)], points[len(x_low) :]


def sampling_data_from_GP(
    x_train: Tensor,
    gp: GP,
    num_gradient_steps: int = 50,
    num_functions: int = 5,
    num_points: int = 10,
    learning_rate: float = 0.001,
    delta_lengthscale: float = 0.1,
    delta_variance: float = 0.1,
    seed: int = 0,
    threshold_diff: float = 0.1,
) -> Pairs:
    """Pairs of `num_functions` functions, each a refit of `gp` with redrawn hyperparameters.

    Seeds torch's global generator with `seed`; then for each function:
    1. lengthscale + delta_lengthscale (2u - 1) and variance + delta_variance (2u' - 1), u and u' uniform draws,
       always around the values that `gp` came with; refit.
    2. One `randperm` of the pool `x_train` (N, D); its first `num_points` rows are the starts for both ends.
    3. `follow_gradient`; scores are the posterior mean at the end points.
    4. A pair is kept iff y_high - y_low > threshold_diff.

    Side effect, as published: lengthscale and variance are restored on `gp`, but its `coef` stays the last function's.
    Raises RuntimeError if the pool has fewer than `num_points` designs, ValueError for non-finite designs and counts
    below 1 (below 0 for `num_gradient_steps`).
    Source: ROOT, `runners/utils.py`, `sampling_data_from_GP`; arXiv 2509.16300, section on Gaussian-process sampling.
    """
    check_shape("x_train", x_train, (None, gp.x_train.shape[1]))
    check_finite("x_train", x_train)
    check_int("num_gradient_steps", num_gradient_steps, 0)
    check_int("num_functions", num_functions, 1)
    check_int("num_points", num_points, 1)
    if len(x_train) < num_points:
        raise RuntimeError(f"num_points must be at most the size of the pool, {len(x_train)}, got {num_points}")
    lengthscale, variance = gp.lengthscale.clone(), gp.variance.clone()
    torch.manual_seed(seed)
    data: Pairs = {}
    for function in range(num_functions):
        new_lengthscale = lengthscale + delta_lengthscale * (_uniform_like(x_train) * 2 - 1)
        new_variance = variance + delta_variance * (_uniform_like(x_train) * 2 - 1)
        gp.set_hyper(new_lengthscale, new_variance)
        starts = x_train[torch.randperm(len(x_train), device=x_train.device)[:num_points]]
        x_low, x_high = follow_gradient(gp, starts, starts, num_gradient_steps, learning_rate)
        with torch.no_grad():
            y_low, y_high = gp.mean_at(torch.cat([x_low, x_high])).chunk(2)
        kept = y_high - y_low > threshold_diff
        data[f"f{function}"] = [((x_high[k], y_high[k]), (x_low[k], y_low[k])) for k in kept.nonzero()[:, 0].tolist()]
    gp.keep_hyper(lengthscale, variance)
    return data


def _uniform_like(x: Tensor) -> Tensor:
    return torch.rand(1, dtype=x.dtype, device=x.device)
