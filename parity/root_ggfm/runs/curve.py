"""The loss curve of one run as a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

__all__ = ["loss_curve", "smoothed", "validations"]


def smoothed(losses: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Global steps and moving means of batch losses, over a fiftieth of the run, at the middle of each window."""
    window = max(1, len(losses) // 50)
    if not losses:
        return np.empty(0), np.empty(0)
    sums = np.concatenate([[0.0], np.cumsum(losses)])
    means = np.asarray((sums[window:] - sums[:-window]) / window)
    return np.arange(len(means), dtype=np.float64) + (window + 1) / 2, means


def validations(result: Mapping[str, Any]) -> tuple[list[int], list[float]]:
    """Global steps and mean losses of the validations that had pairs."""
    pairs = zip(result["val_steps"], result["val_losses"], strict=True)
    there = [(step, mean) for step, mean in pairs if mean is not None]
    return [step for step, _ in there], [mean for _, mean in there]


def loss_curve(result: Mapping[str, Any]) -> bytes:
    """PNG: batch losses and their moving mean, validations at their steps, and the learning rate below."""
    losses = result["losses"]
    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    steps = np.arange(1, len(losses) + 1)
    upper.plot(steps, losses, ".", color="#9fb4cc", markersize=2, label="batches")
    upper.plot(*smoothed(losses), color="#1f4e79", linewidth=1.2, label="moving mean")
    upper.plot(*validations(result), "o", color="#c8452f", markersize=4, label="validation")
    upper.set(ylabel="loss", title=f"{result['label']}, {result['task']}, {result['size']}, seed {result['seed']}")
    upper.legend(frameon=False)
    lower.plot(steps, result["lr"], color="#5d6675", linewidth=1)
    lower.set(xlabel="global step", ylabel="learning rate")
    if any(rate > 0 for rate in result["lr"]):
        lower.set_yscale("log")
    for axes in (upper, lower):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
