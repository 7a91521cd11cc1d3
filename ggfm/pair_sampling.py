"""Pairs from Gaussian processes: from one start, down the posterior mean to a worse design and up to a better one.

After ROOT's `runners/utils.py`, `sampling_data_from_GP`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ggfm.checks import require_finite, require_positive, require_shape
from ggfm.gaussian_process import GaussianProcess
from ggfm.pairs import Pairs
from ggfm.switches import Switches
from ggfm.trajectory import Recorder

__all__ = ["PairSampling", "sample_pairs"]


@dataclass(frozen=True, kw_only=True)
class PairSampling:
    """How pairs are sampled; defaults are those of ROOT's function. Raises ValueError for counts below 1."""

    num_gradient_steps: int = 50
    num_functions: int = 5
    num_points: int = 10
    learning_rate: float = 0.001
    delta_lengthscale: float = 0.1
    delta_variance: float = 0.1
    threshold_diff: float = 0.1

    def __post_init__(self) -> None:
        require_positive("num_functions", self.num_functions)
        require_positive("num_points", self.num_points)
        if self.num_gradient_steps < 0:
            raise ValueError(f"num_gradient_steps: got {self.num_gradient_steps}, expected at least 0")


def sample_pairs(
    pool: Tensor, gp: GaussianProcess, settings: PairSampling, *, seed: int, switches: Switches
) -> list[Pairs]:
    """The pairs of each of F functions, from start designs pool (M, D).

    Seeds torch's global generator. Per function: lengthscale and variance are moved by delta (2u - 1), one uniform u
    each, around the values that the GP came with; a `randperm` of the pool gives P starts, for both low and high;
    low descends and high ascends the posterior mean; a pair is kept iff y_high - y_low > threshold_diff. Afterwards
    the GP has its hyperparameters back; its `coef` stays that of the last function.
    Raises RuntimeError for a pool smaller than P, ValueError for shapes that do not fit, NaN or infinity.
    """
    require_shape("pool", pool, ("M", "D"))
    require_finite("pool", pool)
    if len(pool) < settings.num_points:
        raise RuntimeError(f"pool: {len(pool)} start designs, expected at least num_points {settings.num_points}")
    torch.manual_seed(seed)
    lengthscale, variance = gp.lengthscale, gp.variance
    functions = []
    for _ in range(settings.num_functions):
        gp.set_hyper(
            lengthscale + settings.delta_lengthscale * _symmetric(pool),
            variance + settings.delta_variance * _symmetric(pool),
        )
        starts = pool[torch.randperm(len(pool), device=pool.device)[: settings.num_points]]
        functions.append(_climb(starts, gp, settings, switches))
    gp.set_hyper(lengthscale, variance, keep_coef=True)
    return functions


def _symmetric(like: Tensor) -> Tensor:
    """One number uniform in [-1, 1)."""
    return torch.rand(1, dtype=like.dtype, device=like.device).squeeze(0) * 2 - 1


def _climb(starts: Tensor, gp: GaussianProcess, settings: PairSampling, switches: Switches) -> Pairs:
    """Both ends of every start, low and high together in one tensor, and the pairs that differ enough."""
    points = starts.repeat(2, 1)
    rates = points.new_full((len(points), 1), settings.learning_rate)
    rates[: len(starts)] *= -1
    recorder = Recorder(switches)
    recorder.record(points)
    for _ in range(settings.num_gradient_steps):
        points = points + rates * gp.gradient(points)
        recorder.record(points)
    x_low, x_high = points.chunk(2)
    y_low, y_high = gp.mean_posterior(points).chunk(2)
    kept = y_high - y_low > settings.threshold_diff
    return Pairs(x_high[kept], y_high[kept], x_low[kept], y_low[kept], recorder.path(kept))
