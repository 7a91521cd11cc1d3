"""A plot as plain JSON values: what it shows is stored, how it is drawn is decided when the page is made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["Panel", "Plot", "Series", "numbers", "panel", "plot", "series"]

Series = dict[str, Any]
Panel = dict[str, Any]
Plot = dict[str, Any]


def series(
    label: str,
    role: str,
    x: Iterable[float],
    y: Iterable[float],
    *,
    mark: str = "line",
    low: Iterable[float] | None = None,
    high: Iterable[float] | None = None,
) -> Series:
    """Points of one kind. `role`: reference, candidate, expected or other, which decides colour and dash.

    `mark`: `line`, `dots`, `steps` (a histogram: `x` are the edges, one more than `y`), `errors` (dots with bars from
    `low` to `high`).
    """
    found: Series = {"label": label, "role": role, "mark": mark, "x": numbers(x), "y": numbers(y)}
    for name, values in (("low", low), ("high", high)):
        if values is not None:
            found[name] = numbers(values)
    return found


def panel(
    title: str,
    x: str,
    y: str,
    shown: Sequence[Series],
    *,
    scales: tuple[str, str] = ("linear", "linear"),
    across: Sequence[tuple[float, str]] = (),
    ticks: Sequence[str] = (),
    descending: bool = False,
    top: float | None = None,
) -> Panel:
    """One set of axes. `across`: horizontal lines as (y, label); `ticks`: names at x = 0, 1, ... in place of numbers;
    `descending`: x runs from high to low; `top`: the upper end of y."""
    return {
        "title": title, "x": x, "y": y, "series": list(shown), "scales": list(scales),
        "across": [list(line) for line in across], "ticks": list(ticks), "descending": descending, "top": top,
    }  # fmt: skip


def plot(
    kind: str,
    component: str,
    profile: str,
    title: str,
    caption: str,
    panels: Sequence[Panel],
    *,
    missing: str | None = None,
) -> Plot:
    """Return one picture, of a component in a profile; or the reason why it could not be made, `missing`."""
    return {
        "kind": kind, "component": component, "profile": profile, "title": title, "caption": caption,
        "panels": list(panels), "missing": missing,
    }  # fmt: skip


def numbers(values: Iterable[float]) -> list[float | None]:
    """Seven digits of each, as many as a picture shows; None, a gap, for what is not finite."""
    return [float(f"{float(value):.7g}") if math.isfinite(float(value)) else None for value in values]
