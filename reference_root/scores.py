"""Scores: the one that the test asks for, and those that the oracle gives."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reference_root.checks import check_choice, check_int, check_shape

__all__ = ["SCORE_RANGES", "ScoreRange", "ScoredTask", "evaluate_designs", "score_range", "target_condition"]


class ScoreRange(NamedTuple):
    """Smallest and largest score of a task's full data set, by which scores are normalised."""

    y_min: float
    y_max: float


SCORE_RANGES = {
    "TFBind8-Exact-v0": ScoreRange(0.0, 1.0),
    "TFBind10-Exact-v0": ScoreRange(-1.8585268, 2.1287067),
    "AntMorphology-Exact-v0": ScoreRange(-386.90036, 590.24445),
    "DKittyMorphology-Exact-v0": ScoreRange(-880.4585, 340.90985),
}
"""Normalisation constants of the four published tasks."""

PERCENTILES = (1.0, 0.8, 0.5)


class ScoredTask(Protocol):
    """What ROOT uses of design-bench's task in the test. A discrete one is already mapped to logits."""

    @property
    def x(self) -> NDArray[Any]:
        """(N, D) designs, or (N, L, V - 1) logits."""

    @property
    def is_discrete(self) -> bool:
        """Whether designs are sequences of classes."""

    def predict(self, x: NDArray[Any]) -> NDArray[Any]:
        """(n, 1) scores."""


def score_range(name: str) -> ScoreRange:
    """The normalisation constants of the task `name`. Raises ValueError for a task that ROOT does not know."""
    check_choice("task.name", name, tuple(SCORE_RANGES))
    return SCORE_RANGES[name]


def target_condition(mean_y: Tensor, std_y: Tensor, y_max: float, alpha: float, n: int) -> Tensor:
    """The score that the test asks for: alpha (y_max - mean_y)/std_y, (n,), the same for every row.

    `mean_y` () and `std_y` () are the raw offline scores' in their own precision; alpha multiplies as a Python float.
    """
    check_int("n", n, 1)
    condition = float((y_max - mean_y) / std_y) * alpha
    return torch.full((n,), condition, dtype=mean_y.dtype, device=mean_y.device)


def evaluate_designs(
    task: ScoredTask, designs: Tensor, mean_x: Tensor, std_x: Tensor, y_min: float, y_max: float
) -> tuple[Tensor, Tensor]:
    """Normalised scores (n,) of standardised designs (n, D), and their percentiles (3,): 100th, 80th and 50th.

    x = designs std_x + mean_x, whether or not x was standardised; of a discrete task reshaped to (n, L, V - 1)
    score = (task.predict(x) - y_min)/(y_max - y_min);   percentiles by `torch.quantile`, interpolation "higher"

    Raises ValueError for wrong shapes; what the oracle refuses, it refuses itself.
    Source: ROOT, `runners/DiffusionBasedModelRunners/BBDMRunner.py`, `test`.
    """
    check_shape("designs", designs, (None, len(mean_x)))
    x = (designs * std_x + mean_x).cpu().numpy()
    if task.is_discrete:
        x = x.reshape(len(x), *task.x.shape[1:])
    predicted = torch.from_numpy(np.asarray(task.predict(x))).reshape(len(x))
    scores = (predicted - y_min) / (y_max - y_min)
    quantiles = [torch.quantile(scores, q, interpolation="higher") for q in PERCENTILES]
    return scores, torch.stack(quantiles)
