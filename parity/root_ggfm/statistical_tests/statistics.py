"""Tests of one null hypothesis each: statistic, p-value, and how often a stated deviation would pass unseen.

Every test has a closed form of its statistic's law under the null hypothesis, and states one deviation of practical
size (`alternative`) with its probability of being missed at a given threshold for the p-value (`miss`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from parity.root_ggfm.statistical_tests.law import Array

__all__ = [
    "StatisticalTest",
    "binomial",
    "chi_squared",
    "exact",
    "gaussian_mean",
    "normal_shape",
    "position",
    "spread",
    "spread_by_group",
    "two_samples",
]


@dataclass(frozen=True)
class StatisticalTest:
    """What one test found. `sample_size`: independent observations; `closed_form`: the null hypothesis.

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
    """A hypothesis that chance has no part in. The statistic is 0 where it holds, else 1."""
    return StatisticalTest(
        name, float(not holds), float(holds), sample_size, closed_form, alternative, lambda _: 0.0, exact=True
    )


def chi_squared(
    name: str, statistic: float, df: int, sample_size: int, *, noncentrality: float, closed_form: str, alternative: str
) -> StatisticalTest:
    """A statistic of law chi²(df), large where the hypothesis fails; noncentral with `noncentrality` if it does."""
    return StatisticalTest(
        name, statistic, float(special.chdtrc(df, statistic)), sample_size, closed_form, alternative,
        lambda level: float(stats.ncx2.cdf(stats.chi2.isf(level, df), df, noncentrality)),
    )  # fmt: skip


def spread(name: str, squares: float, df: int, *, scale: float, closed_form: str, alternative: str) -> StatisticalTest:
    """A sum of `df` squares of independent standard normals, chi²(df), two-sided; `scale` times it if it fails."""
    p_value = _two_sided(special.chdtr(df, squares), special.chdtrc(df, squares))
    return StatisticalTest(
        name, squares / df, p_value, df, closed_form, alternative, lambda level: _spread_missed(level, df, scale)
    )


def spread_by_group(
    name: str, squares: ArrayLike, sizes: ArrayLike, *, scale: float, closed_form: str, alternative: str
) -> StatisticalTest:
    """`spread` in each of G independent groups; the smallest p-value, corrected: 1 - (1 - p)^G (Šidák).

    The alternative is `scale` in one group, the smallest. Its miss rate is an upper bound: only that group is counted
    on.
    """
    sums, df = np.asarray(squares, dtype=np.float64), np.asarray(sizes, dtype=np.int64)
    p_values = np.minimum(1.0, 2 * np.minimum(special.chdtr(df, sums), special.chdtrc(df, sums)))
    worst, groups, smallest = int(np.argmin(p_values)), len(df), int(df.min())
    return StatisticalTest(
        name, float(sums[worst] / df[worst]), _any_of(groups, float(p_values[worst])), int(df.sum()), closed_form,
        alternative, lambda level: _spread_missed(-math.expm1(math.log1p(-level) / groups), smallest, scale),
    )  # fmt: skip


def binomial(
    name: str, successes: int, n: int, probability: float, *, other: float, closed_form: str, alternative: str
) -> StatisticalTest:
    """The number of successes in n trials, exactly binomial, two-sided; with probability `other` if it fails."""

    def miss(level: float) -> float:
        low, high = stats.binom.ppf(level / 2, n, probability), stats.binom.isf(level / 2, n, probability)
        return float(stats.binom.cdf(high, n, other) - stats.binom.cdf(low - 1, n, other))

    law = stats.binom
    p_value = _two_sided(law.cdf(successes, n, probability), law.sf(successes - 1, n, probability))
    return StatisticalTest(name, successes / n, p_value, n, closed_form, alternative, miss)


def gaussian_mean(
    name: str, z: float, sample_size: int, *, shift: float, closed_form: str, alternative: str
) -> StatisticalTest:
    """A standardised mean of many terms, z ~ N(0, 1), two-sided; N(shift, 1) if the hypothesis fails."""

    def miss(level: float) -> float:
        bound = stats.norm.isf(level / 2)
        return float(stats.norm.cdf(bound, shift) - stats.norm.cdf(-bound, shift))

    return StatisticalTest(name, z, math.erfc(abs(z) / math.sqrt(2)), sample_size, closed_form, alternative, miss)


def position(name: str, noise: Array, slope: Array, *, off: float) -> StatisticalTest:
    """Where x_t lies between the two ends: the regression of its noise on `slope`, N(0, 1) once standardised.

    The alternative moves every m_t by `off`.
    """
    length = math.sqrt(float(np.sum(slope**2)))
    return gaussian_mean(
        name, float(np.sum(noise * slope)) / length, noise.size, shift=off * length,
        closed_form="N(0, 1): the mean of x_t is (1 - m_t) x_high + m_t x_low", alternative=f"every m_t off by {off:g}",
    )  # fmt: skip


def normal_shape(name: str, values: Array, *, closed_form: str) -> StatisticalTest:
    """Kolmogorov-Smirnov against N(0, 1). The alternative is a law with heavier tails and the same variance.

    The miss rate is an upper bound: the test sees at least what the one point where the two laws are furthest apart
    shows.
    """
    n, df = values.size, 8
    found = stats.kstest(values.ravel(), "norm", method="asymp")

    def miss(level: float) -> float:
        points = np.linspace(-4, 4, 801)
        normal, heavy = stats.norm.cdf(points), stats.t.cdf(points * math.sqrt(df / (df - 2)), df)
        at = int(np.argmax(np.abs(normal - heavy)))
        distance, law = stats.kstwo.isf(level, n), stats.binom(n, heavy[at])
        return float(law.cdf(n * (normal[at] + distance)) - law.cdf(n * (normal[at] - distance)))

    return StatisticalTest(
        name, float(found.statistic), float(found.pvalue), n, closed_form,
        f"Student's t with {df} degrees of freedom, of equal variance", miss,
    )  # fmt: skip


def two_samples(name: str, left: Array, right: Array, *, shift: float, closed_form: str) -> StatisticalTest:
    """Kolmogorov-Smirnov of two samples: one law, whichever. The alternative moves it by `shift` of its deviations.

    The miss rate is an upper bound, for a normal law, from the one point half-way between the two.
    """
    found = stats.ks_2samp(left, right)
    n, m = left.size, right.size
    low, high = stats.norm.cdf([-shift / 2, shift / 2])

    def miss(level: float) -> float:
        distance = stats.kstwo.isf(level, n * m / (n + m))
        return float(stats.norm.cdf((distance - (high - low)) / math.sqrt(low * high * (1 / n + 1 / m))))

    return StatisticalTest(
        name, float(found.statistic), float(found.pvalue), n + m, closed_form,
        f"one side's law moved by {shift:g} of its standard deviation", miss,
    )  # fmt: skip


def _spread_missed(level: float, df: int, scale: float) -> float:
    low, high = stats.chi2.ppf(level / 2, df), stats.chi2.isf(level / 2, df)
    return float(stats.chi2.cdf(high / scale, df) - stats.chi2.cdf(low / scale, df))


def _two_sided(at_most: float, at_least: float) -> float:
    return float(min(1.0, 2 * min(at_most, at_least)))


def _any_of(groups: int, p_value: float) -> float:
    return -math.expm1(groups * math.log1p(-p_value)) if p_value < 1 else 1.0
