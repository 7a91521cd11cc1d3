"""Built-in tasks that need no data: one discrete, one continuous, each the same on every machine.

Drawn with `RandomState`, whose streams NumPy has frozen, in its own instance: no global generator is touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parity.root_ggfm.tasks.task import ArrayTask, TableOracle

__all__ = ["CONTINUOUS", "DISCRETE", "QuadraticOracle", "synthetic8", "synthetic_continuous"]

DISCRETE = "Synthetic8-v0"
CONTINUOUS = "SyntheticContinuous-v0"

LETTERS, LENGTH, CONSTANT_COLUMN = 4, 8, 3


def synthetic8(seed: int = 0) -> ArrayTask:
    """Synthetic8-v0: 2,000 sequences of 8 letters out of 4, in the likeness of TFBind8.

    The binding energy of a sequence is sum_l w[l, s_l] + sum_l c[s_l, s_l+1]; a molecule binds to either strand, so
    the score is the better of a sequence and its reverse complement, cut to steps of 1/200 of the range 0 .. 1. As in
    TFBind8, scores are tied (strands, steps), palindromes come twice, and only the worse half (y <= 0.5) is shown;
    the oracle knows all 65,536 sequences exactly.
    """
    random = np.random.RandomState(seed)
    position = random.uniform(-1.0, 1.0, size=(LENGTH, LETTERS))
    neighbour = random.uniform(-0.5, 0.5, size=(LETTERS, LETTERS))
    every = np.stack(np.unravel_index(np.arange(LETTERS**LENGTH), (LETTERS,) * LENGTH), axis=1)

    energy = np.zeros(len(every))
    for place in range(LENGTH):
        energy += position[place, every[:, place]]
    for place in range(LENGTH - 1):
        energy += neighbour[every[:, place], every[:, place + 1]]
    reverse = (LETTERS - 1 - every[:, ::-1]) @ (LETTERS ** np.arange(LENGTH - 1, -1, -1))
    energy = np.maximum(energy, energy[reverse])
    scores = np.round(200 * (energy - energy.min()) / (energy.max() - energy.min())) / 200

    shown = random.permutation(np.flatnonzero(scores <= 0.5))[:1000]
    rows = np.concatenate([shown, reverse[shown]])
    table = scores.astype(np.float32)
    return ArrayTask(
        DISCRETE, every[rows].astype(np.int32), table[rows, None], TableOracle(table, LETTERS), num_classes=LETTERS
    )


@dataclass(frozen=True)
class QuadraticOracle:
    """f(x) = 1 - |x - optimum|^2 / farthest: 1 at the optimum, 0 in the farthest corner, smooth."""

    optimum: NDArray[np.float64]
    farthest: float

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        """(n, D) to (n,), computed in the designs' precision."""
        distance = x - self.optimum.astype(x.dtype)
        scores: NDArray[Any] = 1 - (distance * distance).sum(axis=1) / x.dtype.type(self.farthest)
        return scores


def synthetic_continuous(seed: int = 0) -> ArrayTask:
    """SyntheticContinuous-v0: 1,000 designs in [-1, 1]^10, of which one column is constant (its spread is zero).

    The worse half of 2,000 designs drawn uniformly, scored by their squared distance to a hidden optimum: a score of
    1 is the optimum, 0 the corner of the box farthest from it.
    """
    random = np.random.RandomState(seed)
    dimension = 10
    optimum = random.uniform(-0.5, 0.5, size=dimension)
    designs = random.uniform(-1.0, 1.0, size=(2000, dimension)).astype(np.float32)
    designs[:, CONSTANT_COLUMN] = 1.0
    optimum[CONSTANT_COLUMN] = 1.0
    reach = 1.0 + np.abs(np.delete(optimum, CONSTANT_COLUMN))
    oracle = QuadraticOracle(optimum, farthest=float(reach @ reach))
    y = oracle(designs)[:, None]
    shown = y[:, 0] <= np.median(y)
    return ArrayTask(CONTINUOUS, designs[shown], y[shown], oracle)
