"""Scores and losses of whole runs as plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parity.report.plot import Panel, Plot, panel, plot, series
from parity.root_ggfm.runs.comparison import conditions_key
from parity.root_ggfm.runs.curve import smoothed, validations
from parity.root_ggfm.runs.result import PERCENTILES
from parity.root_ggfm.tasks.task import CONSTANTS

__all__ = ["run_plots"]

_POINTS = 200
"""Kept of a curve of losses."""

_SCORES_CAPTION = (
    "A dot is a seed, a bar their mean; dotted: the best design that the methods got to see; "
    "dashed, where there is one: the published score."
)
_LOSSES_CAPTION = (
    "Mean over seeds, as far as all of them go. Lines: moving mean of the batch losses; its first fiftieth may lie "
    "above the picture. Dots: validation."
)


def run_plots(results: Sequence[Mapping[str, Any]]) -> list[Plot]:
    """For each task, size and conditions one plot of the scores and one of the losses."""
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for result in results:
        groups.setdefault(conditions_key(result), []).append(result)
    plots = []
    for members in groups.values():
        where = f"{members[0]['task']}, {members[0]['size']}"
        if any(result["scores"] for result in members):
            plots.append(plot("scores", "", "", f"Scores of whole runs, {where}", _SCORES_CAPTION, _scores(members)))
        if any(result["losses"] for result in members):
            plots.append(plot("losses", "", "", f"Losses of whole runs, {where}", _LOSSES_CAPTION, [_losses(members)]))
    return plots


def _role(label: str) -> str:
    return "reference" if label == "root" else "other"


def _scores(results: Sequence[Mapping[str, Any]]) -> list[Panel]:
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


def _mean(values: Sequence[Sequence[float]]) -> list[float]:
    """Mean over seeds, as far as all of them go."""
    return [sum(column) / len(column) for column in zip(*values, strict=False)]
