"""Scores and losses of whole runs as plots, and the loss curve of one run as a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parity.report.plot import Panel, Plot, panel, plot, series
from parity.root_ggfm.runs.run_spec import PERCENTILES, grouped
from parity.root_ggfm.tasks.task import CONSTANTS

__all__ = ["loss_curve", "run_plots", "smoothed", "validations"]

_POINTS = 200
"""Points kept of a curve of losses."""

_SCORES_CAPTION = (
    "A dot is a seed, a bar their mean; dotted: the best design that the methods got to see; "
    "dashed, where there is one: the published score."
)
_LOSSES_CAPTION = (
    "Mean over seeds, as far as all of them go. Lines: moving mean of the batch losses; its first fiftieth may lie "
    "above the picture. Dots: validation."
)


def smoothed(losses: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the middle steps of windows of a fiftieth of the run, and the mean batch loss of each."""
    window = max(1, len(losses) // 50)
    if not losses:
        return np.empty(0), np.empty(0)
    sums = np.concatenate([[0.0], np.cumsum(losses)])
    means = np.asarray((sums[window:] - sums[:-window]) / window)
    return np.arange(len(means), dtype=np.float64) + (window + 1) / 2, means


def validations(result: Mapping[str, Any]) -> tuple[list[int], list[float]]:
    """Return global steps and mean losses of the validations that had pairs."""
    pairs = zip(result["val_steps"], result["val_losses"], strict=True)
    there = [(step, mean) for step, mean in pairs if mean is not None]
    return [step for step, _ in there], [mean for _, mean in there]


def loss_curve(result: Mapping[str, Any]) -> bytes:
    """Draw a PNG: batch losses and their moving mean, validations at their steps, and the learning rate below."""
    from matplotlib.figure import Figure  # of the optional extra `report`

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


def run_plots(results: Sequence[Mapping[str, Any]]) -> list[Plot]:
    """Plot scores and losses of each task, size and conditions."""
    plots = []
    for members in grouped(results):
        where = f"{members[0]['task']}, {members[0]['size']}"
        if any(result["scores"] for result in members):
            plots.append(plot("scores", "", "", f"Scores of whole runs, {where}", _SCORES_CAPTION, _scores(members)))
        if any(result["losses"] for result in members):
            plots.append(plot("losses", "", "", f"Losses of whole runs, {where}", _LOSSES_CAPTION, [_losses(members)]))
    return plots


def _scores(results: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """Show the scores of all labels by percentile."""
    finished = [result for result in results if result["scores"]]
    labels = list(dict.fromkeys(result["label"] for result in finished))
    known = CONSTANTS.get(finished[0]["task"])
    published = known.published if known and finished[0]["size"] == "published" else None
    panels = []
    for number, (key, name) in enumerate(PERCENTILES.items()):
        across = [(finished[0]["best_offline"], "best seen")]
        across += [(published[number], "published")] if published else []
        shown = []
        for place, label in enumerate(labels):
            scores = [result["scores"][key] for result in finished if result["label"] == label]
            spread = [place + 0.3 * ((k + 0.5) / len(scores) - 0.5) for k in range(len(scores))]
            shown.append(series(label, _role(label), spread, scores, mark="dots"))
            shown.append(series(label, _role(label), [place - 0.3, place + 0.3], [sum(scores) / len(scores)] * 2))
        panels.append(panel(f"{name} percentile", "", "normalised score", shown, across=across, ticks=labels))
    return panels


def _losses(results: Sequence[Mapping[str, Any]]) -> Panel:
    """Show the losses of all labels, without nudged runs."""
    shown = []
    high: list[float] = []
    for label in dict.fromkeys(result["label"] for result in results if result["nudge"] is None):
        runs = [result for result in results if result["label"] == label and result["losses"]]
        steps, means = smoothed(_mean([run["losses"] for run in runs]))
        every = max(1, len(steps) // _POINTS)
        shown.append(series(label, _role(label), steps[::every], means[::every]))
        checked = [validations(run) for run in runs]
        at = min((steps for steps, _ in checked), key=len, default=[])
        shown.append(series(label, _role(label), at, _mean([means for _, means in checked]), mark="dots"))
        high += means[len(means) // 50 :].tolist()
    return panel("", "global step", "loss", shown, top=1.05 * max(high) if high else None)


def _role(label: str) -> str:
    return "reference" if label == "root" else "other"


def _mean(values: Sequence[Sequence[float]]) -> list[float]:
    """Average over seeds, as far as all of them go."""
    return [sum(column) / len(column) for column in zip(*values, strict=False)]
