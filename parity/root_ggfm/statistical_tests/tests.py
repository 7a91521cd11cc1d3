"""Tests of one null hypothesis each: statistic, p-value, and how often a stated deviation would be missed.

Every test has a closed form of its statistic's law under the null hypothesis (`closed_form`), and states one deviation
of practical size (`alternative`) with its probability of being missed at a given threshold for the p-value (`miss`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from parity.root_ggfm.statistical_tests.closed_forms import Array
from parity.root_ggfm.statistical_tests.probe import DROP, ForwardDraws, Orders, StepDraws

__all__ = [
    "StatisticalTest",
    "binomial",
    "chi_squared",
    "exact",
    "forward_tests",
    "gaussian_mean",
    "means_by_group",
    "normal_shape",
    "order_tests",
    "position",
    "reverse_tests",
    "runs_independent",
    "spread",
    "spread_by_group",
    "step_tests",
    "sums_independent",
    "two_sample_orders",
    "two_samples",
]

_PARTS = 20
_ASCENTS = 0.15


@dataclass(frozen=True)
class StatisticalTest:
    """The result of one test. `sample_size`: independent observations; `closed_form`: the null hypothesis.

    `miss(threshold)`: the probability of p > threshold under `alternative`. `exact`: the hypothesis is no matter of
    chance, p is 0 or 1, and nothing is missed.
    """

    name: str
    statistic: float
    p_value: float
    sample_size: int
    closed_form: str
    alternative: str
    miss: Callable[[float], float]
    exact: bool = False


def exact(name: str, holds: bool, sample_size: int, *, closed_form: str, alternative: str) -> StatisticalTest:
    """Test a hypothesis that does not depend on chance. The statistic is 0 where it holds, else 1."""
    return StatisticalTest(
        name, float(not holds), float(holds), sample_size, closed_form, alternative, lambda _: 0.0, exact=True
    )


def chi_squared(
    name: str, statistic: float, df: int, sample_size: int, *, noncentrality: float, closed_form: str, alternative: str
) -> StatisticalTest:
    """Test a statistic of law chi²(df), large where the hypothesis fails; `noncentrality` is its own if it does."""

    def miss(level: float) -> float:
        return float(stats.ncx2.cdf(stats.chi2.isf(level, df), df, noncentrality))

    p_value = float(special.chdtrc(df, statistic))
    return StatisticalTest(name, statistic, p_value, sample_size, closed_form, alternative, miss)


def spread(name: str, squares: float, df: int, *, scale: float, closed_form: str, alternative: str) -> StatisticalTest:
    """Test a sum of `df` squares of independent standard normals, chi²(df), two-sided; `scale` times it if it fails."""
    p_value = _two_sided(special.chdtr(df, squares), special.chdtrc(df, squares))
    return StatisticalTest(
        name, squares / df, p_value, df, closed_form, alternative, lambda level: _spread_missed(level, df, scale)
    )


def spread_by_group(
    name: str, squares: ArrayLike, sizes: ArrayLike, *, scale: float, closed_form: str, alternative: str
) -> StatisticalTest:
    """Test `spread` in each of G independent groups; correct the smallest p-value: 1 - (1 - p)^G (Šidák).

    The alternative is `scale` in one group, the smallest. Its miss rate is an upper bound: it counts on that group
    only.
    """
    sums, df = np.asarray(squares, dtype=np.float64), np.asarray(sizes, dtype=np.int64)
    p_values = np.minimum(1.0, 2 * np.minimum(special.chdtr(df, sums), special.chdtrc(df, sums)))
    worst, groups, smallest = int(np.argmin(p_values)), len(df), int(df.min())
    p_value = float(p_values[worst])
    corrected = -math.expm1(groups * math.log1p(-p_value)) if p_value < 1 else 1.0

    def miss(level: float) -> float:
        return _spread_missed(-math.expm1(math.log1p(-level) / groups), smallest, scale)

    return StatisticalTest(
        name, float(sums[worst] / df[worst]), corrected, int(df.sum()), closed_form, alternative, miss
    )


def binomial(
    name: str, successes: int, n: int, probability: float, *, other: float, closed_form: str, alternative: str
) -> StatisticalTest:
    """Test the number of successes in n trials, exactly binomial, two-sided; with probability `other` if it fails."""
    law = stats.binom

    def miss(level: float) -> float:
        low, high = law.ppf(level / 2, n, probability), law.isf(level / 2, n, probability)
        return float(law.cdf(high, n, other) - law.cdf(low - 1, n, other))

    p_value = _two_sided(law.cdf(successes, n, probability), law.sf(successes - 1, n, probability))
    return StatisticalTest(name, successes / n, p_value, n, closed_form, alternative, miss)


def gaussian_mean(
    name: str, z: float, sample_size: int, *, shift: float, closed_form: str, alternative: str
) -> StatisticalTest:
    """Test a standardised mean of many terms, z ~ N(0, 1), two-sided; N(shift, 1) if the hypothesis fails."""

    def miss(level: float) -> float:
        bound = stats.norm.isf(level / 2)
        return float(stats.norm.cdf(bound, shift) - stats.norm.cdf(-bound, shift))

    return StatisticalTest(name, z, math.erfc(abs(z) / math.sqrt(2)), sample_size, closed_form, alternative, miss)


def means_by_group(
    name: str, groups: Sequence[tuple[float, float]], *, off: float, closed_form: str
) -> StatisticalTest:
    """Test by chi² that the means of groups of noise are 0; `groups` are their sums and sizes.

    The alternative moves every mean by `off` standard deviations.
    """
    n = int(sum(size for _, size in groups))
    return chi_squared(
        name, float(sum(total**2 / size for total, size in groups)), len(groups), n, noncentrality=n * off**2,
        closed_form=closed_form, alternative=f"every mean off by {off:g} sigma_t",
    )  # fmt: skip


def sums_independent(name: str, noise: Array, axis: int, what: str, *, scale: float | None = None) -> StatisticalTest:
    """Test that entries of noise along an axis are independent, by the variance of their sums.

    The sum of n independent standard normals has variance n; 1 + (n - 1) rho times it if any two of them have the
    correlation rho. The alternative is `scale` times it, by default what is detected almost always.
    """
    n, sums = noise.shape[axis], noise.sum(axis)
    scale = scale or _detected_scale(sums.size)
    return spread(
        name, float(np.sum(sums**2) / n), sums.size, scale=scale,
        closed_form=f"chi²: the sum over {what} has the variance of independent ones",
        alternative=f"any two {what} correlated by {(scale - 1) / (n - 1):.4f}",
    )  # fmt: skip


def position(name: str, noise: Array, slope: Array, *, off: float) -> StatisticalTest:
    """Test where x_t lies between the two ends: the regression of its noise on `slope`, standardised, is N(0, 1).

    The alternative moves every m_t by `off`.
    """
    length = math.sqrt(float(np.sum(slope**2)))
    return gaussian_mean(
        name, float(np.sum(noise * slope)) / length, noise.size, shift=off * length,
        closed_form="N(0, 1): the mean of x_t is (1 - m_t) x_high + m_t x_low", alternative=f"every m_t off by {off:g}",
    )  # fmt: skip


def normal_shape(name: str, values: Array, *, closed_form: str) -> StatisticalTest:
    """Test against N(0, 1) by Kolmogorov-Smirnov. The alternative has heavier tails and the same variance.

    The miss rate is an upper bound: it counts on the one point where the two laws are furthest apart.
    """
    n, df = values.size, 8
    found = stats.kstest(values.ravel(), "norm", method="asymp")

    def miss(level: float) -> float:
        points = np.linspace(-4, 4, 801)
        normal, heavy = stats.norm.cdf(points), stats.t.cdf(points * math.sqrt(df / (df - 2)), df)
        at = int(np.argmax(np.abs(normal - heavy)))
        distance, law = stats.kstwo.isf(level, n), stats.binom(n, heavy[at])
        return float(law.cdf(n * (normal[at] + distance)) - law.cdf(n * (normal[at] - distance)))

    alternative = f"Student's t with {df} degrees of freedom, of equal variance"
    return StatisticalTest(name, float(found.statistic), float(found.pvalue), n, closed_form, alternative, miss)


def two_samples(name: str, left: Array, right: Array, *, shift: float, closed_form: str) -> StatisticalTest:
    """Test by Kolmogorov-Smirnov that two samples have one law. The alternative moves it by `shift` of its deviations.

    The miss rate is an upper bound, for a normal law, from the one point half-way between the two.
    """
    found = stats.ks_2samp(left, right)
    n, m = left.size, right.size
    low, high = stats.norm.cdf([-shift / 2, shift / 2])

    def miss(level: float) -> float:
        distance = stats.kstwo.isf(level, n * m / (n + m))
        return float(stats.norm.cdf((distance - (high - low)) / math.sqrt(low * high * (1 / n + 1 / m))))

    alternative = f"one side's law moved by {shift:g} of its standard deviation"
    return StatisticalTest(name, float(found.statistic), float(found.pvalue), n + m, closed_form, alternative, miss)


def _spread_missed(level: float, df: int, scale: float) -> float:
    low, high = stats.chi2.ppf(level / 2, df), stats.chi2.isf(level / 2, df)
    return float(stats.chi2.cdf(high / scale, df) - stats.chi2.cdf(low / scale, df))


def _two_sided(at_most: float, at_least: float) -> float:
    return float(min(1.0, 2 * min(at_most, at_least)))


def step_tests(draws: StepDraws, num_timesteps: int, drop: float = DROP) -> list[StatisticalTest]:
    """Test K steps on B rows, N = K B timesteps and N D values of noise, each hypothesis by itself."""
    n = draws.noise.size
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
        *_noise_by_timestep(draws, num_timesteps),
        position("position between the ends", draws.noise, draws.slope, off=0.004),
        spread(
            "variance", float(np.sum(draws.noise**2)), n, scale=_detected_scale(n),
            closed_form="chi²(N): v_t of the bridge",
            alternative=f"variance {100 * (_detected_scale(n) - 1):.1f}% larger",
        ),
        normal_shape("normal shape", draws.noise, closed_form="Kolmogorov's law: x_t is normal around its closed form"),
        *(sums_independent(f"{what} independent", draws.noise, axis, what)
          for what, axis in (("rows", 1), ("dimensions", 2), ("steps", 0))),
    ]  # fmt: skip


def runs_independent(one: Array, other: Array) -> StatisticalTest:
    """Test that the noise of equal steps in two runs is uncorrelated."""
    n = one.size
    return gaussian_mean(
        "runs independent", float(np.sum(one * other) / np.sqrt(n)), n, shift=6.5,
        closed_form="N(0, 1): the noise of equal steps in two runs is uncorrelated",
        alternative=f"a correlation of {6.5 / np.sqrt(n):.3f}",
    )  # fmt: skip


def _detected_scale(n: int) -> float:
    """Return seven standard deviations of chi²(n)/n above 1."""
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


def _noise_by_timestep(draws: StepDraws, num_timesteps: int) -> list[StatisticalTest]:
    sizes = draws.noise.shape[-1] * _by_timestep(draws, np.ones_like(draws.t), num_timesteps)
    there = sizes > 0
    sums = _by_timestep(draws, draws.noise.sum(-1), num_timesteps)[there]
    squares = _by_timestep(draws, (draws.noise**2).sum(-1), num_timesteps)[there]
    return [
        means_by_group(
            "mean at each timestep", [*zip(sums, sizes[there], strict=True)], off=0.025,
            closed_form="chi²(T): the mean of x_t is (1 - m_t) x_high + m_t x_low at every t",
        ),
        spread_by_group(
            "variance at each timestep", squares, sizes[there], scale=1.12,
            closed_form="chi² at each t, the smallest p corrected for T of them (Šidák): v_t of the bridge",
            alternative="variance 12% larger at one timestep",
        ),
    ]  # fmt: skip


def _by_timestep(draws: StepDraws, values: ArrayLike, num_timesteps: int) -> Array:
    """Sum `values` (K, B) over the rows at each timestep: (T,)."""
    weights = np.asarray(values, dtype=np.float64).ravel()
    return np.asarray(np.bincount(draws.t.ravel(), weights=weights, minlength=num_timesteps), dtype=np.float64)


def forward_tests(draws: ForwardDraws, mt_type: str) -> list[StatisticalTest]:
    """Test mean, position, variance and shape of x_t in the forward process."""
    # Neighbouring timesteps together: enough values to detect a deviation in one part of the schedule only.
    parts = np.array_split(draws.noise, _PARTS)
    along = f"along the {mt_type} schedule"
    return [
        means_by_group(
            f"mean {along}", [(part.sum(), part.size) for part in parts], off=0.07,
            closed_form="chi²: the mean of x_t is (1 - m_t) x_high + m_t x_low",
        ),
        position(f"position {along}", draws.noise, draws.slope, off=0.01),
        spread_by_group(
            f"variance {along}", [float(np.sum(part**2)) for part in parts], [part.size for part in parts], scale=1.3,
            closed_form=f"chi² in each of {_PARTS} parts of the schedule, the smallest p corrected (Šidák): v_t",
            alternative=f"variance 30% larger in one part of {_PARTS}",
        ),
        normal_shape(f"normal shape {along}", draws.noise, closed_form="Kolmogorov's law: normal"),
    ]  # fmt: skip


def reverse_tests(noise: Array) -> list[StatisticalTest]:
    """Test mean, variance and shape at the reverse steps, and independence of the rows; `noise` is (S, B, D)."""
    return [
        means_by_group(
            "mean along the reverse steps", [(step.sum(), step.size) for step in noise], off=0.05,
            closed_form="chi²: the mean of x_s is that of the bridge",
        ),
        spread_by_group(
            "variance along the reverse steps", [float(np.sum(step**2)) for step in noise],
            [step.size for step in noise], scale=1.2,
            closed_form="chi² at each step, the smallest p corrected for their number (Šidák): sigma_t² of the bridge",
            alternative="variance 20% larger at one step",
        ),
        sums_independent("rows independent along the reverse steps", noise, 1, "rows", scale=1.7),
        normal_shape("normal shape along the reverse steps", noise, closed_form="Kolmogorov's law: normal"),
    ]  # fmt: skip


def order_tests(orders: Orders) -> list[StatisticalTest]:
    """Test that one side's loader passes are independent uniform permutations."""
    found = orders.permutations
    count = len(orders.passes)
    tests = [
        exact(
            "each pass is a permutation", orders.complete, count, closed_form="every pair once in every pass",
            alternative="any pass for which that is not so",
        ),
        exact(
            "batches partition the pairs", orders.batches and orders.rows, count,
            closed_form="batches of the size asked for, the rest in the last; a pair's four values stay together",
            alternative="any batch for which that is not so",
        ),
    ]  # fmt: skip
    return [*tests, *_uniform(found), *_passes_independent(found)] if len(found) > 1 else tests


def two_sample_orders(left: Orders, right: Orders) -> StatisticalTest:
    """Test that the first two pairs of each pass, counted together, have one law on both sides."""
    one, other = (_first_two(orders.permutations) for orders in (left, right))
    cells = one.size
    both = one + other
    # Expected counts under one common law, from both sides together.
    shares = (one.sum() / both.sum(), other.sum() / both.sum())
    there = both > 0
    deviations = (one[there] - shares[0] * both[there]) ** 2 / both[there]
    statistic = float(deviations.sum() / (shares[0] * shares[1]))
    n = left.passes.shape[1]
    followed = 0.25
    plain = np.full(cells, 1 / cells)
    bound = (1 - followed) * plain
    bound[:n] += followed / n  # which n cells they are makes no difference
    size = one.sum() * other.sum() / both.sum()
    return chi_squared(
        "order of both sides", statistic, int(there.sum()) - 1, int(both.sum()),
        noncentrality=float(size * np.sum((plain - bound) ** 2 / ((plain + bound) / 2))),
        closed_form="chi² of two samples: the first two pairs of a pass have one law on both sides",
        alternative=f"one side's first pair followed by its neighbour in {followed:.0%} of the passes",
    )  # fmt: skip


def _uniform(passes: NDArray[np.int64]) -> list[StatisticalTest]:
    count, n = passes.shape
    places = np.zeros((n, n))
    np.add.at(places, (np.broadcast_to(np.arange(n), passes.shape), passes), 1)
    expected = count / n
    ascents = np.sum(np.diff(passes, axis=1) > 0)
    stuck = 0.12
    shift = _ASCENTS / math.sqrt((n + 1) / 12 / count)
    return [
        chi_squared(
            "places uniform", float(np.sum((places - expected) ** 2) / expected * (n - 1) / n), (n - 1) ** 2, count,
            # One pair at its own place with probability stuck + (1 - stuck)/n.
            noncentrality=count * (n - 1) * ((stuck * (n - 1) / n) ** 2 * (1 + 2 / (n - 1) + 1 / (n - 1) ** 2)),
            closed_form="chi²((n - 1)²): every pair is at every place equally often",
            alternative=f"one pair left at its place in {stuck:.0%} of the passes",
        ),
        chi_squared(
            "first pair uniform", float(np.sum((places[0] - expected) ** 2) / expected), n - 1, count,
            noncentrality=count / (n - 1), closed_form="Pearson's chi²(n - 1): every pair comes first equally often",
            alternative="one pair never comes first",
        ),
        gaussian_mean(
            "ascents", float((ascents - count * (n - 1) / 2) / math.sqrt(count * (n + 1) / 12)), count, shift=shift,
            closed_form="N(0, 1): a pass has (n - 1)/2 ascents on average, with variance (n + 1)/12 (Euler's numbers)",
            alternative=f"{_ASCENTS:g} ascents more per pass",
        ),
    ]  # fmt: skip


def _passes_independent(passes: NDArray[np.int64]) -> list[StatisticalTest]:
    """Test that each pass relative to the one before is again a uniform permutation, independent of the others."""
    count, n = len(passes) - 1, passes.shape[1]
    before, after = np.argsort(passes[:-1], axis=1), np.argsort(passes[1:], axis=1)
    kept = int(np.sum(before == after))
    repeats = 1 / 40
    mean, variance = 1 + (n - 1) * repeats, (1 - repeats) + (n - 1) ** 2 * repeats * (1 - repeats)

    def miss(level: float) -> float:
        bounds = np.array([stats.poisson.ppf(level / 2, count), stats.poisson.isf(level / 2, count)])
        low, high = stats.norm.cdf((bounds - count * mean) / math.sqrt(count * variance))
        return float(high - low)

    p_value = _two_sided(stats.poisson.cdf(kept, count), stats.poisson.sf(kept - 1, count))
    centred = (n - 1) / 2
    correlations = np.sum((before - centred) * (after - centred)) * 12 / (n * (n**2 - 1))
    return [
        StatisticalTest(
            "passes independent: places kept", kept / count, p_value, count,
            "Poisson(P - 1): pairs at the place that they had in the pass before (its first n moments are exact)",
            "one pass in 40 repeats the one before", miss,
        ),
        gaussian_mean(
            "passes independent: rank correlation", float(correlations * math.sqrt((n - 1) / count)), count,
            shift=0.045 * math.sqrt((n - 1) * count),
            closed_form="N(0, 1): Spearman's correlation with the pass before is 0 on average, with variance 1/(n - 1)",
            alternative="an average correlation of 0.045",
        ),
    ]  # fmt: skip


def _first_two(passes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Count the ordered pairs of first entries: (n (n - 1),)."""
    n = passes.shape[1]
    counts = np.zeros((n, n))
    np.add.at(counts, (passes[:, 0], passes[:, 1]), 1)
    return np.asarray(counts[~np.eye(n, dtype=bool)])
