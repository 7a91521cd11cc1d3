"""The report's pictures, as inline SVG."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from parity.sides import Bridge, Side, load_side

__all__ = ["drawn", "figures"]

_STYLE: Any = {
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.fonttype": "path",
    "svg.hashsalt": "parity", "axes.grid": True, "grid.alpha": 0.25,
}  # fmt: skip


def figures(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Title, caption and SVG of every picture of the components."""
    return drawn(
        lambda: [
            ("Share of the tolerance used", _USED_CAPTION, _tolerance_used(document)),
            ("Mean and variance of the bridge", _SCHEDULE_CAPTION, _schedules()),
            ("Standard deviation of each reverse step", _STEPS_CAPTION, _step_deviation()),
        ]
    )


def drawn(draw: Callable[[], Iterable[tuple[str, str, Figure]]]) -> list[dict[str, Any]]:
    """Titles, captions and figures, drawn in the report's style, as titles, captions and SVG."""
    with plt.rc_context(_STYLE):
        return [{"title": title, "caption": caption, "svg": _svg(figure)} for title, caption, figure in draw()]


_USED_CAPTION = (
    "Every output of every input that was tried, by profile: its error as a fraction of what rounding explains. "
    "Right of the line is a difference. Outputs equal to the bit are counted at the left edge."
)
_SCHEDULE_CAPTION = "Reference (line) and candidate (dots), T = 1000, max_var 1."
_STEPS_CAPTION = (
    "The noise that p_sample adds at each visited timestep (T = 1000, S = 200, eta = 1): "
    "reference (line) and candidate (dots), from the schedules of both sides."
)


def _tolerance_used(document: Mapping[str, Any]) -> Figure:
    results = [r for r in document["results"] if r["used"]]
    profiles = list(dict.fromkeys(r["profile"] for r in results))
    names = list(dict.fromkeys(r["component"] for r in results))
    figure, axes = plt.subplots(figsize=(7.5, 0.24 * len(names) + 1.1))
    floor = 1e-4
    for k, profile in enumerate(profiles):
        points = [
            (min(max(float(used), floor), 1e6), names.index(r["component"]) + 0.22 * (k - (len(profiles) - 1) / 2))
            for r in results if r["profile"] == profile
            for used in r["used"]
        ]  # fmt: skip
        if points:
            x, y = zip(*points, strict=True)
            axes.scatter(x, y, s=12, label=profile, alpha=0.7, color=("#1a7f4b", "#c8452f", "#3d7dca")[k % 3])
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set(xscale="log", xlim=(floor / 2, 2e6), xlabel="error / tolerance")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.legend(loc="lower right", frameon=False)
    return figure


def _sides() -> tuple[Side, Side]:
    return load_side("reference_root"), load_side("ggfm")


def _schedules() -> Figure:
    reference, candidate = _sides()
    figure, panels = plt.subplots(1, 2, figsize=(7.5, 2.6))
    for mt_type, colour in (("linear", "#1f4e79"), ("sin", "#c8452f")):
        bridge = Bridge(mt_type=mt_type)
        left, right = reference.schedule(bridge), candidate.schedule(bridge)
        t = np.arange(1000)
        for panel, name in zip(panels, ("m_t", "variance_t"), strict=True):
            panel.plot(t, left[name], color=colour, linewidth=1, label=mt_type)
            panel.plot(t[::50], right[name][::50], "o", color=colour, markersize=3)
            panel.set(title=name, xlabel="t")
    panels[0].legend(frameon=False)
    return figure


def _step_deviation() -> Figure:
    figure, axes = plt.subplots(figsize=(7.5, 2.4))
    for side, marker in zip(_sides(), ("-", "o"), strict=True):
        bridge = Bridge()
        buffers = side.schedule(bridge)
        steps = np.asarray(side.sample_steps(bridge)["steps"])
        m, v = (np.asarray(buffers[name], dtype=np.float64) for name in ("m_t", "variance_t"))
        t, s = steps[:-1], steps[1:]
        sigma = np.sqrt(np.maximum((v[t] - v[s] * (1 - m[t]) ** 2 / (1 - m[s]) ** 2) * v[s] / v[t], 0))
        every = 1 if marker == "-" else 8
        axes.plot(t[::every], sigma[::every], marker, color="#1f4e79", markersize=3, linewidth=1)
    axes.set(xlabel="t", ylabel="sigma")
    axes.invert_xaxis()
    return figure


def _svg(figure: Figure) -> Markup:
    buffer = io.StringIO()
    figure.tight_layout()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    text = buffer.getvalue()
    return Markup(text[text.index("<svg") :])
