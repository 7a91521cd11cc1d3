"""Render the report's page and its Markdown from the document alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined
from markupsafe import Markup

from parity.report.drawing import drawn
from parity.report.read import complete
from parity.report.view import anchor, digits, grouped, lead, prose, tolerance_plot
from parity.study import Section
from parity.verdict import Verdict

__all__ = ["COLOURS", "Rendered", "render"]

COLOURS: dict[str, str] = {
    Verdict.IDENTICAL: "#1a7f4b",
    Verdict.REFUSED: "#1a7f4b",
    Verdict.ROUNDING: "#4c7d35",
    Verdict.UNSTABLE: "#8f6a00",
    Verdict.RANDOMNESS: "#2f6bb3",
    Verdict.DISTRIBUTION: "#5b5fb0",
    Verdict.DIVERGENT: "#b93d28",
    Verdict.MISSING: "#666c76",
    Verdict.ERROR: "#8c1d40",
}
"""One colour per verdict, dark enough for white text; text says the same, so colour is never the only carrier."""

MEANINGS: dict[str, str] = {
    Verdict.IDENTICAL: "equal to the bit, same randomness, same side effects",
    Verdict.ROUNDING: "float64 agrees; the float32 error is the reference's own",
    Verdict.UNSTABLE: "float64 agrees; float32 is worse than the reference's",
    Verdict.RANDOMNESS: "the draws differ; with equal draws the values agree",
    Verdict.DISTRIBUTION: "draws differ by design; their law agrees",
    Verdict.DIVERGENT: "the mathematics, a shape or a side effect differs",
    Verdict.MISSING: "the candidate does not have it",
    Verdict.ERROR: "one side raises or returns NaN where the other does not",
}

_OTHER = "#666c76"


@dataclass(frozen=True)
class Rendered:
    """`page`: HTML that loads nothing. `markdown`: the same content; `pictures`: the files that it shows, by name."""

    page: str
    markdown: str
    pictures: dict[str, str]


def render(document: Mapping[str, Any], sections: Sequence[Section]) -> Rendered:
    """Return the page, and the Markdown with its pictures. `sections`: those of the study.

    A part that cannot be read is left out, and both say so at their top.
    """
    whole = complete(document, sections)
    results = whole["results"]
    tolerance = tolerance_plot(whole)
    shown = [section for section in sections if whole[section.key]]
    plots = [*([tolerance] if tolerance else []), *whole["plots"]]
    plots += [plot for section in shown for plot in _plots_of(whole[section.key])]
    svgs = {id(plot): _drawn(plot, whole["notices"]) for plot in plots}
    pictures = _pictures(plots, svgs, results)
    names = {
        "document": whole,
        "lead": lead(whole, sections),
        "sections": [
            {"key": s.key, "title": s.title, "label": s.label, "names": s.names, "value": whole[s.key]} for s in shown
        ],
        "profiles": list(dict.fromkeys(result["profile"] for result in results)),
        "groups": grouped(whole),
        "cells": {(result["component"], result["profile"]): result for result in results},
        "tolerance": tolerance,
        "colour": lambda verdict: COLOURS.get(verdict, _OTHER),
        "meanings": {v: text for v, text in MEANINGS.items() if any(result["verdict"] == v for result in results)},
        "ledger": {entry["name"]: entry for entry in whole["ledger"]},
        "anchor": anchor,
        "svgs": lambda plot: svgs[id(plot)],
        "pictures_of": lambda plot: pictures.get(id(plot), {}),
    }
    packages = tuple((section.key, section.templates) for section in shown)
    return Rendered(
        page=_environment(packages, autoescape=True).get_template("report.html.j2").render(names),
        markdown=_tidy(_environment(packages, autoescape=False).get_template("report.md.j2").render(names)),
        pictures={name: svg for files in pictures.values() for name, svg in files.items()},
    )


def _plots_of(value: Any) -> list[dict[str, Any]]:
    return (value.get("plots") or []) if isinstance(value, dict) else []


def _drawn(plot: Mapping[str, Any], notices: list[str]) -> list[Markup]:
    """Return the plot's panels; none, and add a notice, if it cannot be drawn."""
    try:
        return drawn(plot)
    except Exception as error:  # noqa: BLE001 - a file from elsewhere: the rest of the page is complete
        said = " ".join(str(error).split())[:120]
        name = " ".join(filter(None, (plot["profile"], plot["component"], plot["title"])))
        notices.append(f"The plot `{name}` cannot be drawn: {type(error).__name__}: {said}.")
        return []


@cache
def _environment(packages: tuple[tuple[str, str], ...], *, autoescape: bool) -> Environment:
    """Return Jinja's environment, with each section's templates in a folder of its key."""
    folders = PrefixLoader({key: PackageLoader(package) for key, package in packages})
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("parity.report"), folders]),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["digits"] = digits
    environment.filters["prose"] = prose
    environment.filters["cell"] = lambda text: str(text).replace("|", "\\|").replace("\n", " ")
    return environment


def _pictures(
    plots: list[dict[str, Any]], svgs: Mapping[int, list[Markup]], results: list[dict[str, Any]]
) -> dict[int, dict[str, str]]:
    """Return each plot's files. Histograms of errors only where the sides disagree: the others look alike."""
    disagreeing = {(r["profile"], r["component"]) for r in results if r["verdict"] != Verdict.IDENTICAL}
    files: dict[int, dict[str, str]] = {}
    for plot in plots:
        if plot["kind"] == "errors" and (plot["profile"], plot["component"]) not in disagreeing:
            continue
        parts = filter(None, ("report", plot["profile"], plot["component"], plot["kind"]))
        stem = re.sub(r"[^a-z0-9_]+", "-", "-".join(parts).lower())
        taken = sum(name.startswith(stem) for named in files.values() for name in named)
        panels = enumerate(svgs[id(plot)], start=taken + 1)
        files[id(plot)] = {f"{stem}-{k}.svg": f"{svg}\n" for k, svg in panels}
    return files


def _tidy(markdown: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", markdown).strip() + "\n"
