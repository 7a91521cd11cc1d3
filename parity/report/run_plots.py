"""The pictures of whole runs: scores by label, and losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from parity.runs.comparison import conditions_key
from parity.runs.curve import smoothed, validations
from parity.runs.result import PERCENTILES
from parity.tasks.constants import CONSTANTS

__all__ = ["run_figures"]

_COLOURS = ("#1f4e79", "#c8452f", "#1a7f4b", "#d9a400", "#8c1d40", "#3d7dca", "#7d7d7d")

_SCORES_CAPTION = (
    "A dot is a seed, a bar their mean; dotted: the best design that the methods got to see; "
    "dashed, where there is one: the published score."
)
_LOSSES_CAPTION = (
    "Mean over seeds, as far as all of them go. Lines: moving mean of the batch losses; its first fiftieth may lie "
    "above the picture. Dots: validation."
)


def run_figures(results: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, Figure]]:
    """Title, caption and figure: for each task, size and conditions one of the scores and one of the losses."""
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for result in results:
        groups.setdefault(conditions_key(result), []).append(result)
    drawn = []
    for members in groups.values():
        where = f"{members[0]['task']}, {members[0]['size']}"
        if any(result["scores"] for result in members):
            drawn.append((f"Scores of whole runs, {where}", _SCORES_CAPTION, _scores(members)))
        if any(result["losses"] for result in members):
            drawn.append((f"Losses of whole runs, {where}", _LOSSES_CAPTION, _losses(members)))
    return drawn


def _scores(results: Sequence[Mapping[str, Any]]) -> Figure:
    finished = [result for result in results if result["scores"]]
    labels = list(dict.fromkeys(result["label"] for result in finished))
    figure = Figure(figsize=(7.5, 2.6 + 0.12 * max(map(len, labels))))
    panels = figure.subplots(1, len(PERCENTILES), sharey=True)
    known = CONSTANTS.get(finished[0]["task"])
    published = known.published if known and finished[0]["size"] == "published" else None
    for number, (panel, key) in enumerate(zip(panels, PERCENTILES, strict=True)):
        _strip(panel, finished, labels, key)
        panel.axhline(finished[0]["best_offline"], color="black", linewidth=0.8, linestyle=":")
        if published:
            panel.axhline(published[number], color="black", linewidth=0.8, linestyle="--")
        panel.set_title(f"{PERCENTILES[key]} percentile")
        panel.set_xticks(range(len(labels)), labels, rotation=90 if len(labels) > 2 else 30, ha="center")
        panel.set_xlim(-0.6, len(labels) - 0.4)
    panels[0].set_ylabel("normalised score")
    return figure


def _strip(panel: Axes, results: Sequence[Mapping[str, Any]], labels: Sequence[str], key: str) -> None:
    for place, label in enumerate(labels):
        scores = [result["scores"][key] for result in results if result["label"] == label]
        spread = [place + 0.3 * ((k + 0.5) / len(scores) - 0.5) for k in range(len(scores))]
        colour = _COLOURS[place % len(_COLOURS)]
        panel.plot(spread, scores, "o", color=colour, markersize=4, alpha=0.75, markeredgewidth=0)
        panel.plot([place - 0.3, place + 0.3], [sum(scores) / len(scores)] * 2, color=colour, linewidth=1.5)


def _losses(results: Sequence[Mapping[str, Any]]) -> Figure:
    figure = Figure(figsize=(7.5, 3))
    axes = figure.subplots()
    labels = list(dict.fromkeys(result["label"] for result in results if result["nudge"] is None))
    shown: list[float] = []
    for place, label in enumerate(labels):
        runs = [result for result in results if result["label"] == label and result["losses"]]
        colour = _COLOURS[place % len(_COLOURS)]
        steps, means = smoothed(_mean([run["losses"] for run in runs]))
        axes.plot(steps, means, color=colour, linewidth=1 if place else 2.5, label=label)  # the others lie on the first
        checked = [validations(run) for run in runs]
        checked_steps = min((steps for steps, _ in checked), key=len, default=[])
        axes.plot(
            checked_steps, _mean([means for _, means in checked]), "o", color=colour, markersize=3 if place else 6
        )
        shown += means[len(means) // 50 :].tolist()
    if shown:
        axes.set_ylim(top=1.05 * max(shown))
    axes.set(xlabel="global step", ylabel="loss")
    axes.legend(frameon=False)
    return figure


def _mean(series: Sequence[Sequence[float]]) -> list[float]:
    """Mean over seeds, as far as all of them go."""
    return [sum(values) / len(values) for values in zip(*series, strict=False)]
