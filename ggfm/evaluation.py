"""The test: start designs, the score asked for, normalised scores of the result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ggfm.checks import require_choice, require_positive, require_shape
from ggfm.data import DesignTask
from ggfm.switches import Switches

__all__ = ["SCORE_RANGES", "Evaluation", "candidates", "evaluate", "score_range", "target_score"]

SCORE_RANGES = {
    "TFBind8-Exact-v0": (0.0, 1.0),
    "TFBind10-Exact-v0": (-1.8585268, 2.1287067),
    "AntMorphology-Exact-v0": (-386.90036, 590.24445),
    "DKittyMorphology-Exact-v0": (-880.4585, 340.90985),
}
"""(y_min, y_max) of each task's oracle: a score of 0 and of 1."""

_QUANTILES = (1.0, 0.8, 0.5)


def score_range(task_name: str) -> tuple[float, float]:
    """(y_min, y_max) of a task. Raises ValueError for a task without them."""
    require_choice("task.name", task_name, tuple(SCORE_RANGES))
    return SCORE_RANGES[task_name]


def candidates(x: Tensor, y: Tensor, n: int, kind: str, percentile_sampling: float, seed: int) -> tuple[Tensor, Tensor]:
    """The designs (n, D) and scores (n,) from which sampling starts, from x (N, D), y (N,) in ascending order of y.

    `highest`: the last n; `lowest`: the first n; `low`, `high`, `random`: n without replacement, by
    `np.random.seed(seed)` and `np.random.choice`, from the lowest or highest int(percentile_sampling N), or from all.
    Raises ValueError for another kind, and if there are fewer than n to draw from.
    """
    require_choice("type", kind, ("highest", "lowest", "low", "high", "random"))
    require_shape("x", x, ("N", "D"))
    require_shape("y", y, (len(x),))
    require_positive("n_candidates", n)
    ascending = torch.argsort(y)
    if kind in ("highest", "lowest"):
        chosen = ascending[-n:] if kind == "highest" else ascending[:n]
        return x[chosen], y[chosen]
    share = len(y) if kind == "random" else int(percentile_sampling * len(y))
    if n > share:
        raise ValueError(f"n_candidates: got {n}, expected at most {share}, the designs that type {kind!r} draws from")
    among = ascending[len(y) - share :] if kind == "high" else ascending[:share]
    np.random.seed(seed)
    chosen = among[torch.from_numpy(np.random.choice(share, size=n, replace=False)).to(among.device)]
    return x[chosen], y[chosen]


def target_score(y: Tensor, mean_y: Tensor, std_y: Tensor, y_max: float, alpha: float, switches: Switches) -> Tensor:
    """The standardised score () that the test asks for: alpha (y_max - mean_y)/std_y, the quotient in the
    precision of mean_y, the product in double precision.

    With the switch `target`: the 99th percentile of the standardised raw scores y (N,), linear in between.
    """
    if switches.target:
        return torch.quantile((y - mean_y) / std_y, 0.99)
    best = float((y_max - mean_y) / std_y)
    return mean_y.new_tensor(alpha * best)


@dataclass(frozen=True)
class Evaluation:
    """Normalised scores (n,), and their 100th, 80th and 50th percentile (3,)."""

    scores: Tensor
    percentiles: Tensor


def evaluate(
    task: DesignTask, designs: Tensor, mean_x: Tensor, std_x: Tensor, y_min: float, y_max: float
) -> Evaluation:
    """Score standardised designs (n, D): x std_x + mean_x through the oracle, (score - y_min)/(y_max - y_min).

    `task` is in its test form, logits (n, L, V - 1) if discrete. Percentiles are scores that occur: the next higher
    one where a quantile falls between two. Raises ValueError for shapes that do not fit and for y_max <= y_min.
    """
    require_shape("designs", designs, ("n", len(mean_x)))
    require_positive("designs", len(designs))
    if not y_max > y_min:
        raise ValueError(f"y_max: got {y_max}, expected more than y_min {y_min}")
    x = (designs * std_x + mean_x).detach().cpu().numpy()
    if task.is_discrete:
        x = x.reshape(len(x), -1, task.num_classes - 1)
    predicted = torch.from_numpy(np.asarray(task.predict(x)).reshape(-1))
    scores = (predicted - y_min) / (y_max - y_min)
    percentiles = torch.stack([torch.quantile(scores, q, interpolation="higher") for q in _QUANTILES])
    return Evaluation(scores, percentiles)
