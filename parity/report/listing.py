"""The source that is shown of each side: functions that matter for a result, with the lines to look at marked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from parity.report.sources import PARTS

__all__ = ["listings"]

_LINES = {True: 50, False: 90}
"""Lines shown of a side, where it agrees and where it does not; a marked function is always shown."""

_CHECKS = re.compile(r"_*(check|require|validate|ensure|refuse|assert)(_|$)")
"""Names of functions that look at arguments and compute nothing."""

Marks = dict[tuple[str, int], str]


def listings(
    result: Mapping[str, Any], sources: Mapping[str, Any] | None, rarity: Mapping[str, int]
) -> dict[str, dict[str, Any]]:
    """Per side: `functions` (each `file`, `function`, `marked` and `lines`: number, text, why it is marked, whether it
    ran) and `omitted`, the number of further functions that ran.

    First the functions with a marked line; then what the component calls itself, the last call first, as what comes
    before prepares it, but for those of a line or two; then what those call, and what the objects are made with: what
    the fewest components run first. Checks of arguments last.
    """
    sides: dict[str, dict[str, Any]] = {}
    rows, mine = (sources or {}).get("executed", ()), (result["profile"], result["component"])
    row: Mapping[str, Any] = next((r for r in rows if (r["profile"], r["component"]) == mine), {})
    texts = (sources or {}).get("functions", {})
    agrees = result["ok"] and not result["known"]
    for side in ("reference", "candidate"):
        marks = dict(_marks(result["explanation"], side))
        ran = [f for f in row.get(side, ()) if f["key"] in texts]
        shown = [_listing(texts[f["key"]], set(f["ran"]), marks) for f in ran]
        ranks = [(not f["marked"], *_rank(f, ran[k], rarity[ran[k]["key"]], k)) for k, f in enumerate(shown)]
        order = sorted(range(len(shown)), key=ranks.__getitem__)
        sides[side] = _cut([shown[k] for k in order], _LINES[agrees])
        there = {(function["file"], line[0]) for function in shown for line in function["lines"]}
        sides[side]["functions"][:0] = _elsewhere(result["explanation"], side, marks, there)
    return sides


def _rank(shown: Mapping[str, Any], ran: Mapping[str, Any], rarity: int, k: int) -> tuple[int, ...]:
    """The lower, the more a function says about the component that ran it."""
    called, short = ran.get("part") == "called", len(ran["ran"]) <= 2
    part = PARTS.index(ran["part"]) if ran.get("part") else 0
    check = bool(_CHECKS.match(shown["function"].rpartition(".")[2]))
    return check, part, short if called else rarity, -k if called else k


def _cut(functions: Sequence[dict[str, Any]], limit: int) -> dict[str, Any]:
    kept: list[dict[str, Any]] = []
    for function in functions:
        lines = sum(len(other["lines"]) for other in kept)
        if not kept or function["marked"] or lines + len(function["lines"]) <= limit:
            kept.append(function)
    return {"functions": kept, "omitted": len(functions) - len(kept)}


def _listing(source: Mapping[str, Any], ran: set[int], marks: Marks) -> dict[str, Any]:
    first = source["line"]
    lines = [
        (number, text, marks.get((source["file"], number), ""), number in ran)
        for number, text in enumerate(_dedented(source["text"]), start=first)
    ]
    return {"file": source["file"], "function": source["function"], "marked": any(why for *_, why, _ in lines),
            "lines": lines}  # fmt: skip


def _elsewhere(
    explanation: Mapping[str, Any] | None, side: str, marks: Marks, there: set[tuple[str, int]]
) -> list[dict[str, Any]]:
    """The lines around an operation of code that was not followed: as the explanation has them."""
    point = ((explanation or {}).get("operations") or {}).get(side)
    if not point or not point["source"]:
        return []
    site = point["made_at"] or point["site"]
    if (site["file"], site["line"]) in there:
        return []
    texts = _dedented([str(line[1]) for line in point["source"]])
    lines = [(line[0], text, marks.get((site["file"], line[0]), ""), True) for line, text in zip(point["source"], texts,
                                                                                             strict=True)]  # fmt: skip
    return [{"file": site["file"], "function": site["function"], "marked": True, "lines": lines}]


def _marks(explanation: Mapping[str, Any] | None, side: str) -> Iterator[tuple[tuple[str, int], str]]:
    """File and line, and what is to be seen there; what comes later says more."""
    for row in ((explanation or {}).get("draws") or {}).get("rows", ()):
        event = row[side]
        if row["mark"] != "same" and event and event["site"]:
            yield (event["site"]["file"], event["site"]["line"]), f"draw {event['index']}: {row['mark']}"
    point = ((explanation or {}).get("operations") or {}).get(side)
    if point:
        yield (point["site"]["file"], point["site"]["line"]), f"{point['operation']} parts here"
        if point["made_at"]:
            why = point["made_at"].get("why", "look here")
            yield (point["made_at"]["file"], point["made_at"]["line"]), why


def _dedented(text: Sequence[str]) -> list[str]:
    margin = min((len(line) - len(line.lstrip()) for line in text if line.strip()), default=0)
    return [line[margin:].rstrip() for line in text]
