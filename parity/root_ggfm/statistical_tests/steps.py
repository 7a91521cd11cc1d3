"""Whether the draws of a training step follow their law: timesteps, dropped conditions, noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from parity.root_ggfm.statistical_tests.law import Array
from parity.root_ggfm.statistical_tests.probe import DROP, StepDraws
from parity.root_ggfm.statistical_tests.statistics import (
    StatisticalTest,
    binomial,
    chi_squared,
    exact,
    gaussian_mean,
    normal_shape,
    position,
    spread,
    spread_by_group,
)

__all__ = ["noise_tests", "runs_independent", "step_tests"]


_SHIFT = 0.025
"""Of the mean of x_t, in units of sigma_t: what `mean at each timestep` states that it sees."""


def step_tests(draws: StepDraws, num_timesteps: int, drop: float = DROP) -> list[StatisticalTest]:
    """K steps on B rows, N = K B timesteps and N D values of noise, each hypothesis by itself."""
    return [
        exact(
            "one timestep and whole conditions per row", draws.whole, draws.t.size,
            closed_form="each row is given one t of 0..T-1, and both conditions as they are or both as 0",
            alternative="any row for which that is not so",
        ),
        _timesteps(draws, num_timesteps),
        binomial(
            "conditions dropped", int(draws.dropped.sum()), draws.dropped.size, drop, other=drop + 0.03,
            closed_form=f"binomial(N, {drop:g})", alternative=f"dropped with probability {drop + 0.03:g}",
        ),
        _dropping_by_timestep(draws, num_timesteps, drop),
        _mean_by_timestep(draws, num_timesteps),
        _variance_by_timestep(draws, num_timesteps),
        position("position between the ends", draws.noise, draws.slope, off=0.004),
        *noise_tests(draws.noise),
        *_independence(draws.noise),
    ]  # fmt: skip


def noise_tests(noise: Array) -> list[StatisticalTest]:
    """All noise taken together: its variance and its shape."""
    n = noise.size
    return [
        spread(
            "variance", float(np.sum(noise**2)), n, scale=_seen_scale(n), closed_form="chi²(N): v_t of the bridge",
            alternative=f"variance {100 * (_seen_scale(n) - 1):.1f}% larger",
        ),
        normal_shape("normal shape", noise, closed_form="Kolmogorov's law: x_t is normal around its closed form"),
    ]  # fmt: skip


def runs_independent(one: Array, other: Array) -> StatisticalTest:
    """The noise of equal steps in two runs: uncorrelated."""
    n = one.size
    return gaussian_mean(
        "runs independent", float(np.sum(one * other) / np.sqrt(n)), n, shift=6.5,
        closed_form="N(0, 1): the noise of equal steps in two runs is uncorrelated",
        alternative=f"a correlation of {6.5 / np.sqrt(n):.3f}",
    )  # fmt: skip


def _seen_scale(n: int) -> float:
    """Seven standard deviations of chi²(n)/n above 1."""
    return float(1 + 7 * np.sqrt(2 / n))


def _timesteps(draws: StepDraws, num_timesteps: int) -> StatisticalTest:
    n = draws.t.size
    counts = np.bincount(draws.t.ravel(), minlength=num_timesteps)
    share = 1 / num_timesteps
    other = np.full(num_timesteps, (1 - share / 2) / (num_timesteps - 1))
    other[-1] = share / 2
    return chi_squared(
        "timesteps uniform", float(np.sum((counts - n * share) ** 2) / (n * share)), num_timesteps - 1, n,
        noncentrality=float(n * np.sum((other - share) ** 2) / share),
        closed_form="Pearson's chi²(T - 1): t is uniform on 0..T-1", alternative="T-1 drawn half as often",
    )  # fmt: skip


def _dropping_by_timestep(draws: StepDraws, num_timesteps: int, drop: float) -> StatisticalTest:
    n, sizes = draws.t.size, _by_timestep(draws, np.ones_like(draws.t), num_timesteps)
    dropped = _by_timestep(draws, draws.dropped, num_timesteps)
    overall = dropped.sum() / n
    there = sizes > 0
    deviations = (dropped - sizes * overall)[there] ** 2 / (sizes[there] * max(overall * (1 - overall), 1e-12))
    return chi_squared(
        "dropping independent of the timestep", float(deviations.sum()), int(there.sum()) - 1, n,
        noncentrality=n * 0.05**2 / (drop * (1 - drop)),
        closed_form="contingency chi²(T - 1): the share dropped is the same at every t",
        alternative="5 of 100 fewer dropped at one half of the timesteps, 5 more at the other",
    )  # fmt: skip


def _mean_by_timestep(draws: StepDraws, num_timesteps: int) -> StatisticalTest:
    n, dim = draws.noise.size, draws.noise.shape[-1]
    sizes = dim * _by_timestep(draws, np.ones_like(draws.t), num_timesteps)
    sums = _by_timestep(draws, draws.noise.sum(-1), num_timesteps)
    there = sizes > 0
    return chi_squared(
        "mean at each timestep", float(np.sum(sums[there] ** 2 / sizes[there])), int(there.sum()), n,
        noncentrality=n * _SHIFT**2,
        closed_form="chi²(T): the mean of x_t is (1 - m_t) x_high + m_t x_low at every t",
        alternative=f"every mean off by {_SHIFT:g} sigma_t",
    )  # fmt: skip


def _variance_by_timestep(draws: StepDraws, num_timesteps: int) -> StatisticalTest:
    sizes = draws.noise.shape[-1] * _by_timestep(draws, np.ones_like(draws.t), num_timesteps)
    squares = _by_timestep(draws, (draws.noise**2).sum(-1), num_timesteps)
    there = sizes > 0
    return spread_by_group(
        "variance at each timestep", squares[there], sizes[there], scale=1.12,
        closed_form="chi² at each t, the smallest p corrected for T of them (Šidák): v_t of the bridge",
        alternative="variance 12% larger at one timestep",
    )  # fmt: skip


def _independence(noise: Array) -> list[StatisticalTest]:
    """Along each axis the sum of n independent standard normals has variance n; 1 + (n - 1) rho times it if any two
    of them have the correlation rho."""
    steps, rows, dim = noise.shape
    found = []
    for what, axis, n in (("rows", 1, rows), ("dimensions", 2, dim), ("steps", 0, steps)):
        sums = noise.sum(axis)
        scale = _seen_scale(sums.size)
        found.append(
            spread(
                f"{what} independent", float(np.sum(sums**2) / n), sums.size, scale=scale,
                closed_form=f"chi²: the sum over {what} has the variance of independent ones",
                alternative=f"any two {what} correlated by {(scale - 1) / (n - 1):.4f}",
            )
        )  # fmt: skip
    return found


def _by_timestep(draws: StepDraws, values: ArrayLike, num_timesteps: int) -> Array:
    """Sums of `values` (K, B) over the rows at each timestep: (T,)."""
    weights = np.asarray(values, dtype=np.float64).ravel()
    return np.asarray(np.bincount(draws.t.ravel(), weights=weights, minlength=num_timesteps), dtype=np.float64)
