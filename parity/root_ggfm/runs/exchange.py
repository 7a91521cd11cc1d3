"""An exact test of whether one run per seed can be told from the others of that seed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["shift_interval", "shift_p_value", "smallest_p_value"]

_EXACT = 2**18
"""Up to so many relabellings all are counted; beyond, as many are drawn."""


def shift_p_value(seeds: Sequence[Sequence[float]]) -> float:
    """How often chance alone shifts the first score of every seed from the rest as far as it is shifted.

    Per seed: the candidate's score, then those of runs that differ by rounding only. If the candidate does so too, any
    of them might as well have been the candidate. T = |sum over seeds of (score - mean of the others)|; the p-value is
    the share of relabellings, one run of each seed taken for the candidate, with a T as large.
    """
    shifts = [_shifts(np.asarray(scores, dtype=np.float64)) for scores in seeds]
    observed = abs(sum(float(s[0]) for s in shifts))
    if math.prod(map(len, shifts)) <= _EXACT:
        sums = np.zeros(1)
        for s in shifts:
            sums = np.add.outer(sums, s).ravel()
        return float(np.mean(_reaches(sums, observed)))
    generator = np.random.default_rng(0)
    sums = np.sum([generator.choice(s, _EXACT) for s in shifts], axis=0)
    return float((1 + _reaches(sums, observed).sum()) / (1 + _EXACT))


def shift_interval(seeds: Sequence[Sequence[float]], level: float) -> tuple[float, float]:
    """The mean shifts of the candidate that the test does not exclude at `level`, from lowest to highest.

    A shift d is excluded if the candidate's scores less d have a p-value of `level` or less. Raises ValueError if so
    few runs exclude no shift at all.
    """
    if smallest_p_value([len(scores) for scores in seeds]) > level:
        raise ValueError(f"seeds: {len(seeds)} of them have too few runs to exclude any shift at level {level}")
    centre = float(np.mean([_shifts(np.asarray(scores, dtype=np.float64))[0] for scores in seeds]))
    reach = max(max(scores) - min(scores) for scores in seeds) or 1e-9

    def excluded(d: float) -> bool:
        return shift_p_value([[scores[0] - d, *scores[1:]] for scores in seeds]) <= level

    def edge(direction: int) -> float:
        inside, outside = 0.0, reach
        while not excluded(centre + direction * outside):
            inside, outside = outside, 2 * outside
        for _ in range(12):
            middle = (inside + outside) / 2
            inside, outside = (inside, middle) if excluded(centre + direction * middle) else (middle, outside)
        return centre + direction * outside

    return edge(-1), edge(1)


def smallest_p_value(counts: Sequence[int]) -> float:
    """The smallest p-value that seeds with so many runs each can give: one relabelling shifts furthest."""
    return 1.0 / math.prod(counts)


def _shifts(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(scores - (scores.sum() - scores) / (len(scores) - 1))


def _reaches(sums: NDArray[np.float64], observed: float) -> NDArray[np.bool_]:
    return np.asarray(np.abs(sums) >= observed - 1e-12)  # sums of the same numbers in another order
