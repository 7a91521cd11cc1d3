"""Whether a loader's passes are independent, uniform permutations of the pairs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from parity.root_ggfm.statistical_tests.probe import taken
from parity.root_ggfm.statistical_tests.statistics import StatisticalTest, chi_squared, exact, gaussian_mean
from parity.side import Side, Tree

__all__ = ["Orders", "loader_orders", "order_tests", "two_sample_orders"]

_COUNTS = (7, 5)
_BATCH = 5
_DIM = 2
_ASCENTS = 0.15
_ENDS = ("x_high", "y_high", "x_low", "y_low")


@dataclass(frozen=True)
class Orders:
    """The pairs' numbers in the order of each pass, (P, n), -1 for what is no pair.

    `batches`: all are of the size asked for, the last of a pass of what is left. `rows`: the two designs and scores of
    a pair stay together. `complete`: each pass has every pair once; what has not is left out of `permutations`.
    """

    passes: NDArray[np.int64]
    batches: bool = True
    rows: bool = True

    @property
    def permutations(self) -> NDArray[np.int64]:
        """The passes that are permutations."""
        whole = (np.sort(self.passes, axis=1) == np.arange(self.passes.shape[1])).all(axis=1)
        return np.asarray(self.passes[whole])

    @property
    def complete(self) -> bool:
        """Whether every pass has every pair once."""
        return len(self.permutations) == len(self.passes)


def loader_orders(side: Side, passes: int, seed: int, device: torch.device) -> Orders:
    """`passes` passes of one loader over twelve pairs of two functions, in batches of five.

    Raises what the side raises.
    """
    n = sum(_COUNTS)
    pairs = _pairs(n)
    first = {end: values[: _COUNTS[0]].to(device) for end, values in pairs.items()}
    second = {end: values[_COUNTS[0] :].to(device) for end, values in pairs.items()}

    def take() -> Tree:
        return side.loader(functions=[first, second], val_frac=0.0, batch_size=_BATCH, shuffle=True, passes=passes)

    return _read(taken(take, seed), passes, n, pairs)


def order_tests(orders: Orders) -> list[StatisticalTest]:
    """One side's passes against the law of independent uniform permutations."""
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
    return [*tests, *_uniform(found), *_independent(found)] if len(found) > 1 else tests


def two_sample_orders(left: Orders, right: Orders) -> StatisticalTest:
    """The first two pairs of each pass, counted together: one law on both sides."""
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


def _independent(passes: NDArray[np.int64]) -> list[StatisticalTest]:
    """Each pass relative to the one before is again a uniform permutation, independent of the others."""
    count, n = len(passes) - 1, passes.shape[1]
    before, after = np.argsort(passes[:-1], axis=1), np.argsort(passes[1:], axis=1)
    kept = int(np.sum(before == after))
    repeats = 1 / 40
    mean, variance = 1 + (n - 1) * repeats, (1 - repeats) + (n - 1) ** 2 * repeats * (1 - repeats)

    def miss(level: float) -> float:
        bounds = np.array([stats.poisson.ppf(level / 2, count), stats.poisson.isf(level / 2, count)])
        low, high = stats.norm.cdf((bounds - count * mean) / math.sqrt(count * variance))
        return float(high - low)

    p_value = min(1.0, 2 * float(min(stats.poisson.cdf(kept, count), stats.poisson.sf(kept - 1, count))))
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
    """Counts (n (n - 1),) of the ordered pair of first entries."""
    n = passes.shape[1]
    counts = np.zeros((n, n))
    np.add.at(counts, (passes[:, 0], passes[:, 1]), 1)
    return np.asarray(counts[~np.eye(n, dtype=bool)])


def _pairs(n: int) -> dict[str, Tensor]:
    """Pair k has the scores k and k + 100, and designs made of them."""
    number = torch.arange(n, dtype=torch.float32)
    return {
        "x_high": number[:, None].expand(n, _DIM) + 0.25,
        "y_high": number + 100.0,
        "x_low": number[:, None].expand(n, _DIM) - 0.25,
        "y_low": number.clone(),
    }


def _read(tree: Tree, passes: int, n: int, pairs: dict[str, Tensor]) -> Orders:
    sizes = [min(_BATCH, n - start) for start in range(0, n, _BATCH)]
    orders = np.full((passes, n), -1, dtype=np.int64)
    batches = rows = True
    for e in range(passes):
        parts: list[dict[str, Tensor]] = []
        while f"epoch{e}/batch{len(parts)}/y_low" in tree:
            parts.append({end: tree[f"epoch{e}/batch{len(parts)}/{end}"].cpu() for end in _ENDS})
        batches &= [len(batch["y_low"]) for batch in parts] == sizes
        scores = torch.cat([batch["y_low"] for batch in parts]) if parts else torch.empty(0)
        numbers = scores.round().long()
        rows &= all(
            torch.equal(torch.cat([batch[end] for batch in parts]), pairs[end][numbers.clamp(0, n - 1)])
            for end in (_ENDS if parts else ())
        )
        orders[e, : min(n, len(numbers))] = numbers[:n].numpy()
        if len(numbers) != n:
            orders[e] = -1
    return Orders(orders, batches, rows)
