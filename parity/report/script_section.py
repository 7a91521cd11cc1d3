"""The report's section on two training scripts: a timeline of both runs, then each difference with both sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parity.report.read import form, many
from parity.results import FORMAT
from parity.scripts import ScriptComparison
from parity.study import Section
from parity.version import __version__

__all__ = ["SCRIPTS", "script_document"]

_WIDTH = 240
"""Columns of the timeline: events that fall into one share a mark, the gravest of theirs."""

_GRAVE = ("equal", "inherited", "missing", "extra", "apart")

_PLACE = form("Place", file=str, line=int, function=str, text=str, around=list[tuple[int, str]])
_DIFFERENCE = form(
    "Difference", kind=str, what=str, step=int, count=int, reference=_PLACE | None, candidate=_PLACE | None,
    neutralised=str, follows=list[str], lines=list[str], known=str,
)  # fmt: skip
_FORM = form(
    "Scripts", names=list[str], ends=many(form("End", how=str, why=str, seconds=float) | None),
    settings=list[dict[str, Any]], differences=many(_DIFFERENCE), stale=list[str], led=bool,
    scores=many(form("Score", side=str, text=str)),
    lanes=many(form("Lane", stage=str, marks=list[tuple[float, str]])),
)  # fmt: skip

SCRIPTS = Section(
    key="scripts",
    title="Both scripts, event by event",
    label="Scripts",
    form=_FORM,
    templates="parity.report",
    wrong=("difference", "differences"),
    count_wrong=lambda value: sum(
        d["kind"] != "rounding" and not d["known"] for d in (value or {}).get("differences", ())
    ),
)


def script_document(found: ScriptComparison) -> dict[str, Any]:
    """Return the report's document on two scripts."""
    value = found.to_dict()
    return {
        "format": FORMAT,
        "parity": __version__,
        "header": [f"parity: {found.names[1]} against {found.names[0]}", *found.notes],
        "labels": ["reference", "candidate"],
        "plain_profile": "",
        "components": [row["component"] for row in found.rows],
        "ledger": [],
        "results": list(found.rows),
        "unfinished": [],
        "scripts": value | {"lanes": _lanes(value)},
    }


def _lanes(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a lane for each stage: the columns that hold events of it, and what they say."""
    last = max((event["at"] for event in value["timeline"]), default=0) + 1
    columns = min(last, _WIDTH)
    lanes: dict[str, dict[int, str]] = {}
    for event in value["timeline"]:
        column = event["at"] * columns // last
        marks = lanes.setdefault(event["stage"], {})
        marks[column] = max(marks.get(column, "equal"), event["state"], key=_GRAVE.index)
    return [
        {"stage": stage, "marks": [[column / columns, state] for column, state in sorted(marks.items())]}
        for stage, marks in lanes.items()
    ]
