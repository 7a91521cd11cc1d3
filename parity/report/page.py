"""Render the report's page from its document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from parity.report import plots
from parity.report.run_plots import run_figures
from parity.runs.result import PERCENTILES
from parity.verdict import Verdict

__all__ = ["COLOURS", "render"]

COLOURS: dict[str, str] = {
    Verdict.IDENTICAL: "#1a7f4b",
    Verdict.REFUSED: "#1a7f4b",
    Verdict.ROUNDING: "#6aa84f",
    Verdict.UNSTABLE: "#d9a400",
    Verdict.RANDOMNESS: "#3d7dca",
    Verdict.DIVERGENT: "#c8452f",
    Verdict.MISSING: "#7d7d7d",
    Verdict.ERROR: "#8c1d40",
}
"""One colour per verdict; text says the same, so colour is never the only carrier."""

MEANINGS: dict[str, str] = {
    Verdict.IDENTICAL: "equal to the bit, same randomness, same side effects",
    Verdict.ROUNDING: "float64 agrees; the float32 error is the reference's own",
    Verdict.UNSTABLE: "float64 agrees; float32 is worse than the reference's",
    Verdict.RANDOMNESS: "the draws differ; with equal draws the values agree",
    Verdict.DIVERGENT: "the mathematics, a shape or a side effect differs",
    Verdict.ERROR: "one side raises or returns NaN where the other does not",
}


def render(document: Mapping[str, Any], runs: Sequence[Mapping[str, Any]] = ()) -> str:
    """The whole page as one string; nothing is loaded from anywhere. `runs`: the results behind `document["runs"]`."""
    results = document["results"]
    profiles = list(dict.fromkeys(r["profile"] for r in results))
    components = list(dict.fromkeys(r["component"] for r in results))
    cells = {(r["component"], r["profile"]): r for r in results}
    environment = Environment(
        loader=PackageLoader("parity.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    page: str = environment.get_template("report.html.j2").render(
        document=document,
        profiles=profiles,
        components=components,
        cells=cells,
        unexpected=[r for r in results if not r["ok"]],
        colours=COLOURS,
        meanings=MEANINGS,
        figures=plots.figures(document),
        run_figures=plots.drawn(lambda: run_figures(runs)),
        percentiles=PERCENTILES,
        ledger={entry["name"]: entry for entry in document["ledger"]},
    )
    return page
