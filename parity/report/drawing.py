"""Draw plots of the document as inline SVG, one per panel, so that a narrow page can put them below each other."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["drawn"]

_STYLE: Any = {
    "font.size": 9, "axes.titlesize": 9.5, "axes.titlelocation": "left", "axes.titleweight": "bold",
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.22,
    "axes.edgecolor": "#8b93a1", "xtick.color": "#4a5261", "ytick.color": "#4a5261", "text.color": "#1c2330",
    "axes.labelcolor": "#4a5261", "legend.frameon": False, "legend.fontsize": 8, "svg.fonttype": "none",
    "svg.hashsalt": "parity", "font.family": "sans-serif", "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True,
}  # fmt: skip

_COLOURS = {"reference": "#1f4e79", "candidate": "#c2571a", "expected": "#6b7280"}
_OTHERS = ("#1a7f4b", "#7a3b8f", "#946c00", "#a8324a", "#2f7f86", "#5d6675")
_WIDE, _NARROW, _HIGH = 6.4, 4.0, 2.7


def drawn(plot: Mapping[str, Any]) -> list[Markup]:
    """Return the SVG of each panel; it loads nothing, and its text is text."""
    panels = plot["panels"]
    width = _NARROW if len(panels) > 1 else _WIDE
    with plt.rc_context(_STYLE):
        return [_svg(_figure(panel, width)) for panel in panels]


def _figure(panel: Mapping[str, Any], width: float) -> Figure:
    labels = panel["ticks"]
    tall = 0.07 * max((len(label) for label in labels), default=0) if len(labels) > 2 else 0.0
    high = _HIGH + tall
    figure = Figure(figsize=(width, high))  # fixed margins: a layout engine takes longer than everything else
    axes = figure.add_axes((0.62 / width, (0.5 + tall) / high, 1 - 0.74 / width, 1 - (0.8 + tall) / high))
    others = iter(_OTHERS * (1 + len(panel["series"]) // len(_OTHERS)))
    colours: dict[str, str] = {}
    for series in panel["series"]:
        label = series["label"]
        colour = _COLOURS.get(series["role"]) or colours.setdefault(label, next(others))
        _add(axes, series, colour)
    for y, label in panel["across"]:
        axes.axhline(y, color="#1c2330", linewidth=0.8, linestyle="--" if label == "published" else ":")
    axes.set(xlabel=panel["x"], ylabel=panel["y"], title=panel["title"])
    axes.set_xscale(panel["scales"][0])
    if panel["scales"][1] != "log" or _positive(panel["series"]):
        axes.set_yscale(panel["scales"][1])
    if labels:
        axes.set_xticks(range(len(labels)), labels, rotation=90 if len(labels) > 2 else 0)
        axes.set_xlim(-0.6, len(labels) - 0.4)
        axes.grid(axis="x", visible=False)
    if panel["descending"]:
        axes.invert_xaxis()
    if panel["top"] is not None:
        axes.set_ylim(top=panel["top"])
    names = {series["label"] for series in panel["series"]} - {""}
    if len(names) > 1 and not names & set(labels):
        axes.legend(handlelength=2.2)
    return figure


def _add(axes: Axes, series: Mapping[str, Any], colour: str) -> None:
    x, y = (np.array([np.nan if v is None else v for v in series[name]], dtype=float) for name in ("x", "y"))
    role, mark, label = series["role"], series["mark"], series["label"] or None
    wide = role == "reference"  # the candidate is drawn thinner on it, so both are seen where they are equal
    dash = {"reference": "-", "expected": (0, (4, 2))}.get(role, (0, (5, 1.5)) if role == "candidate" else "-")
    if mark == "dots":
        axes.plot(x, y, "o", color=colour, markersize=3.5, markeredgewidth=0, alpha=0.85, label=label)
    elif mark == "errors":
        low, high = (np.array(series[name], dtype=float) for name in ("low", "high"))
        axes.errorbar(
            x, y, yerr=(y - low, high - y), fmt="s" if wide else "o", color=colour, markersize=3, linewidth=1,
            label=label,
        )  # fmt: skip
    elif mark == "steps":
        style: Any = {"fill": True, "alpha": 0.28} if wide else {"linewidth": 1.3, "linestyle": dash}
        axes.stairs(y, x, color=colour, label=label, **style)
    else:
        width = 2.6 if wide else 1.2
        axes.plot(x, y, color=colour, linewidth=width, linestyle=dash, alpha=0.55 if wide else 1, label=label)


def _positive(series: Sequence[Mapping[str, Any]]) -> bool:
    return any(value for shown in series for value in shown["y"])


def _svg(figure: Figure) -> Markup:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    plt.close(figure)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r' id="[a-zA-Z0-9.]+_\d+"', "", text)  # of groups: the same in every picture
    text = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    return Markup(re.sub(r"\s*\n\s*", "\n", text).strip())
