"""From the document to what is shown: results grouped by component, evidence put where it belongs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from parity.policy import EPS32, EPS64
from parity.report.listing import listings
from parity.report.plot import Plot, panel, plot, series
from parity.summary import look_first
from parity.verdict import Verdict

__all__ = ["anchor", "digits", "grouped", "lead", "prose", "tolerance_plot"]

_AGREEING = tuple(verdict.value for verdict in Verdict if verdict.agrees)
_FLOOR, _CEILING = 1e-4, 1e6


def anchor(profile: str, component: str) -> str:
    """The name by which a result's section is linked to."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", f"{profile}-{component}")


def digits(value: Any, precision: int = 2) -> str:
    """A number as a table shows it: `1.2e-07`, `0`, `inf`."""
    number = float(value)
    return "0" if number == 0 else f"{number:.{precision - 1}e}"


def prose(text: str) -> Markup:
    """A sentence as HTML, with what stands between backticks as code; closed by a full stop."""
    parts = _closed(text).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if k % 2 and k < len(parts) - 1 else escape(part)
        for k, part in enumerate(parts)
    )


def lead(document: Mapping[str, Any]) -> dict[str, Any]:
    """The one thing to look at first: `good`, a title, a sentence, and the result it is about, if it is about one."""
    results = document["results"]
    counts = (
        (sum(not result["ok"] for result in results), "unexpected difference", "unexpected differences"),
        (sum(len(result["stale"]) for result in results), "stale entry of the ledger", "stale entries of the ledger"),
        (sum(not stage.get("ok", True) for stage in document["stages"]), "unexpected stage", "unexpected stages"),
        (sum(not test["passed"] for test in document["distributions"]), "test of distributions fails",
         "tests of distributions fail"),
    )  # fmt: skip
    wrong = ", ".join(f"{n} {one if n == 1 else many}" for n, one, many in counts if n)
    first = look_first(results)
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
    return {"good": not wrong and bool(results) and not document["unfinished"], "title": title, "sentence": sentence,
            "first": first}  # fmt: skip


def grouped(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One entry per component in the order of the results: its title, its formula, and each profile's result with its
    plots, its errors in every measure, and the source of both sides."""
    rarity = _rarity(document)
    groups: dict[str, dict[str, Any]] = {}
    for result in document["results"]:
        group = groups.setdefault(
            result["component"], {"name": result["component"], "title": result["title"], "formula": result["formula"],
                                  "results": []}
        )  # fmt: skip
        mine = (result["profile"], result["component"])
        plots = [p for p in document["plots"] if (p["profile"], p["component"]) == mine]
        group["results"].append({
            **result,
            "anchor": anchor(*mine),
            "agrees": result["verdict"] in _AGREEING,
            "plots": plots,
            "errors": [_measured(row) for row in result["errors"]],
            "case": json.dumps(result["judgement"]["params"]),
            "explain": _explain_line(result),
            "traced": _traced_line(result),
            "why": _why(result),
            "listings": listings(result, document["sources"], rarity),
        })  # fmt: skip
    return list(groups.values())


def tolerance_plot(document: Mapping[str, Any]) -> Plot | None:
    """Every output's error as a share of what rounding explains, by component and profile."""
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
        role = {"aligned": "reference", "described": "candidate"}.get(profile, "other")
        shown.append(series(profile, role, [x for x, _ in points], [y for _, y in points], mark="dots"))
    caption = (
        "Every output at the worst input that was tried. Above the dotted line is a difference that rounding does not "
        "explain. Outputs equal to the bit lie at the lower edge."
    )
    axes = panel("", "", "error / tolerance", shown, scales=("linear", "log"), across=[(1.0, "limit")], ticks=names)
    return plot("tolerance", "", "", "Share of the tolerance used", caption, [axes])


def _tenth(used: float) -> float:
    return 10 ** round(math.log10(min(max(used, _FLOOR), _CEILING)), 1) if used == used else _CEILING


def _measured(row: Mapping[str, Any]) -> dict[str, Any]:
    scale = float(row["scale"])
    measures = {}
    for bits, eps in (("32", EPS32), ("64", EPS64)):
        error = float(row[f"error{bits}"])
        measures[f"relative{bits}"] = error / scale if scale else 0.0
        measures[f"ulps{bits}"] = error / scale / eps if scale else 0.0
    return {"verdict": "", **row, **measures}


def _rarity(document: Mapping[str, Any]) -> dict[str, int]:
    """In how many components a function runs: what only few run is what they are about."""
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


def _traced_line(result: Mapping[str, Any]) -> str:
    """The line that reproduces the smaller input on which the operations were traced; empty if it is no other one."""
    operations = (result["explanation"] or {}).get("operations") or {}
    traced, alone = operations.get("input"), operations.get("alone")
    if traced is None or (traced == result["judgement"]["params"] and not alone):
        return ""
    line = str(result["reproduce"]).replace("parity check", "parity explain", 1).partition(" --case ")[0]
    if alone:
        line = line.replace(f"--profile {result['profile']}", f"--profile aligned --on {alone}")
    return f"{line} --case '{json.dumps(traced, separators=(',', ':'))}'"


def _why(result: Mapping[str, Any]) -> list[str]:
    """What the result says for itself, as far as its explanation has not said it."""
    told = ((result["explanation"] or {}).get("sentence") or "").lower()
    operations = ((result["explanation"] or {}).get("operations") or {}).get("sentence", "")
    said = [result["judgement"]["reason"], *result["judgement"]["notes"], operations]
    return [text for text in said if text and text.rstrip(".").lower() not in told]


def _closed(sentence: str) -> str:
    sentence = sentence.strip()
    if sentence.partition(" ")[0].isalpha():  # a word, not the name of an output
        sentence = sentence[:1].upper() + sentence[1:]
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
