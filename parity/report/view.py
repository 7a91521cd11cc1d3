"""Turn the document into what is shown: results grouped by component, each with its evidence and source."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from parity.report.plot import Plot, panel, plot, series
from parity.report.read import PARTS
from parity.study import Section
from parity.summary import look_first
from parity.verdict import Verdict

__all__ = ["anchor", "digits", "grouped", "lead", "listings", "prose", "tolerance_plot"]

_AGREEING = tuple(verdict.value for verdict in Verdict if verdict.agrees)
_FLOOR, _CEILING = 1e-4, 1e6
_ROLES = ("reference", "candidate")
"""Of the first profiles: their colours in a plot of all of them."""

_LINES = {True: 50, False: 90}
"""Lines shown of a side, where it agrees and where it does not; a marked function is always shown."""

_CHECKS = re.compile(r"_*(check|require|validate|ensure|refuse|assert)(_|$)")
"""Names of functions that look at arguments and compute nothing."""

Marks = dict[tuple[str, int], str]


def anchor(profile: str, component: str) -> str:
    """Return the name by which a result's section is linked to."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", f"{profile}-{component}")


def digits(value: Any, precision: int = 2) -> str:
    """Return a number as a table shows it: `1.2e-07`, `0`, `inf`."""
    number = float(value)
    return "0" if number == 0 else f"{number:.{precision - 1}e}"


def prose(text: str) -> Markup:
    """Return a sentence as HTML, text between backticks as code; closed by a full stop."""
    parts = _closed(text).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if k % 2 and k < len(parts) - 1 else escape(part)
        for k, part in enumerate(parts)
    )


def lead(document: Mapping[str, Any], sections: Sequence[Section]) -> dict[str, Any]:
    """Return the one thing to look at first: `good`, a title, a sentence, and the result it is about, if any."""
    results = document["results"]
    counts = [
        (sum(not result["ok"] for result in results), "unexpected difference", "unexpected differences"),
        (sum(len(result["stale"]) for result in results), "stale entry of the ledger", "stale entries of the ledger"),
    ]
    counts += [(section.count_wrong(document[section.key]), *section.wrong) for section in sections]
    wrong = ", ".join(f"{n} {one if n == 1 else many}" for n, one, many in counts if n)
    first = look_first(results, document["components"])
    if first is not None:
        sentence = first["stale"][0]["reason"] if first["ok"] else first["judgement"]["reason"]
        sentence = sentence if first["ok"] else (first["explanation"] or {}).get("sentence") or sentence
    elif wrong:
        sentence = "See there: each says what it expected."
    elif any(result["known"] for result in results):
        sentence = "Every difference that was seen is one that the ledger names and explains."
    else:
        sentence = "No difference was seen." if results else ""
    title = f"{wrong}." if wrong else "Nothing unexpected." if results else "Nothing was compared."
    good = not wrong and bool(results) and not document["unfinished"]
    return {"good": good, "title": title, "sentence": sentence, "first": first}


def grouped(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return an entry for each component in the order of the results: its title, its formula, and each profile's result
    with its plots, its errors in every measure, and the source of both sides."""
    rarity = _rarity(document)
    groups: dict[str, dict[str, Any]] = {}
    for result in document["results"]:
        group = groups.setdefault(
            result["component"],
            {"name": result["component"], "title": result["title"], "formula": result["formula"], "results": []},
        )
        mine = (result["profile"], result["component"])
        plots = [p for p in document["plots"] if (p["profile"], p["component"]) == mine]
        group["results"].append({
            **result,
            "anchor": anchor(*mine),
            "agrees": result["verdict"] in _AGREEING,
            "plots": plots,
            "case": json.dumps(result["judgement"]["params"]),
            "explain": _explain_line(result),
            "traced": _traced_line(result, document["plain_profile"]),
            "why": _why(result),
            "listings": listings(result, document["sources"], rarity),
        })  # fmt: skip
    return list(groups.values())


def tolerance_plot(document: Mapping[str, Any]) -> Plot | None:
    """Plot every output's error as a share of the rounding error allowed for it, by component and profile."""
    results = [result for result in document["results"] if result["used"]]
    if not results:
        return None
    names = list(dict.fromkeys(result["component"] for result in results))
    profiles = list(dict.fromkeys(result["profile"] for result in results))
    shown = []
    for k, profile in enumerate(profiles):
        points = {  # as far as they can be told apart
            (names.index(result["component"]) + 0.3 * (k - (len(profiles) - 1) / 2), _tenth(float(used))): None
            for result in results if result["profile"] == profile
            for used in result["used"]
        }  # fmt: skip
        role = _ROLES[k] if len(profiles) > 1 and k < len(_ROLES) else "other"
        shown.append(series(profile, role, [x for x, _ in points], [y for _, y in points], mark="dots"))
    caption = (
        "Every output at the worst input that was tried. Above the dotted line is a difference that rounding does not "
        "explain. Outputs equal to the bit lie at the lower edge."
    )
    axes = panel("", "", "error / tolerance", shown, scales=("linear", "log"), across=[(1.0, "limit")], ticks=names)
    return plot("tolerance", "", "", "Share of the tolerance used", caption, [axes])


def _tenth(used: float) -> float:
    return 10 ** round(math.log10(min(max(used, _FLOOR), _CEILING)), 1) if used == used else _CEILING


def _rarity(document: Mapping[str, Any]) -> dict[str, int]:
    """Count the components that run a function: one that only few run is what they are about."""
    where: dict[str, set[str]] = {}
    for row in (document["sources"] or {}).get("executed", ()):
        for side in ("reference", "candidate"):
            for function in row[side]:
                where.setdefault(function["key"], set()).add(row["component"])
    return {key: len(components) for key, components in where.items()}


def _explain_line(result: Mapping[str, Any]) -> str:
    if not result["finished"] or result["verdict"] in (*_AGREEING, Verdict.MISSING):
        return ""
    return str(result["reproduce"]).replace("parity check", "parity explain", 1)


def _traced_line(result: Mapping[str, Any], plain_profile: str) -> str:
    """Return the line for the smaller input on which the operations were traced; empty if it is no other one."""
    operations = (result["explanation"] or {}).get("operations") or {}
    traced, alone = operations.get("input"), operations.get("alone")
    if traced is None or (traced == result["judgement"]["params"] and not alone):
        return ""
    line = str(result["reproduce"]).replace("parity check", "parity explain", 1).partition(" --case ")[0]
    if alone:
        line = line.replace(f"--profile {result['profile']}", f"--profile {plain_profile} --on {alone}")
    return f"{line} --case '{json.dumps(traced, separators=(',', ':'))}'"


def _why(result: Mapping[str, Any]) -> list[str]:
    """Return the result's own sentences, those left out that its explanation says."""
    told = ((result["explanation"] or {}).get("sentence") or "").lower()
    operations = ((result["explanation"] or {}).get("operations") or {}).get("sentence", "")
    said = [result["judgement"]["reason"], *result["judgement"]["notes"], operations]
    return [text for text in said if text and text.rstrip(".").lower() not in told]


def _closed(sentence: str) -> str:
    sentence = sentence.strip()
    if sentence.partition(" ")[0].isalpha():  # a word, not the name of an output
        sentence = sentence[:1].upper() + sentence[1:]
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."


def listings(
    result: Mapping[str, Any], sources: Mapping[str, Any] | None, rarity: Mapping[str, int]
) -> dict[str, dict[str, Any]]:
    """Return for each side the source to show, with the lines to look at marked.

    `functions`: each `file`, `function`, `marked` and `lines` (number, text, why it is marked, True if it ran);
    `omitted`: the number of further functions that ran. First come the functions with a marked line; then those that
    the component calls itself, the last call first, as earlier ones prepare it, those of a line or two last; then what
    those call, and what the objects are made with, beginning with what the fewest components run. Checks of arguments
    are last.
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
    """Rank a function: the lower, the more it says about the component that ran it."""
    called, short = ran["part"] == "called", len(ran["ran"]) <= 2
    part = PARTS.index(ran["part"]) if ran["part"] else 0
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
    marked = any(why for *_, why, _ in lines)
    return {"file": source["file"], "function": source["function"], "marked": marked, "lines": lines}


def _elsewhere(
    explanation: Mapping[str, Any] | None, side: str, marks: Marks, there: set[tuple[str, int]]
) -> list[dict[str, Any]]:
    """Return the lines around an operation of code that was not traced: as the explanation has them."""
    point = ((explanation or {}).get("operations") or {}).get(side)
    if not point or not point["source"]:
        return []
    site = point["made_at"] or point["site"]
    if (site["file"], site["line"]) in there:
        return []
    numbers, texts = zip(*point["source"], strict=True)
    shown = zip(numbers, _dedented(texts), strict=True)
    lines = [(number, text, marks.get((site["file"], number), ""), True) for number, text in shown]
    return [{"file": site["file"], "function": site["function"], "marked": True, "lines": lines}]


def _marks(explanation: Mapping[str, Any] | None, side: str) -> Iterator[tuple[tuple[str, int], str]]:
    """Return file and line, and why it is marked; a later reason for the same line says more."""
    for row in ((explanation or {}).get("draws") or {}).get("rows", ()):
        event = row[side]
        if row["mark"] != "same" and event and event["site"]:
            yield (event["site"]["file"], event["site"]["line"]), f"draw {event['index']}: {row['mark']}"
    point = ((explanation or {}).get("operations") or {}).get(side)
    if point:
        yield (point["site"]["file"], point["site"]["line"]), f"{point['operation']} parts here"
        if point["made_at"]:
            yield (point["made_at"]["file"], point["made_at"]["line"]), point["made_at"]["why"] or "look here"


def _dedented(text: Sequence[str]) -> list[str]:
    margin = min((len(line) - len(line.lstrip()) for line in text if line.strip()), default=0)
    return [line[margin:].rstrip() for line in text]
