"""Read a report's document back: whatever can still be shown of it, and a line for whatever cannot."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parity.report.shape import ANYTHING, NUMBER, MapOf, Maybe, OneOf, filled, fits
from parity.report.sources import PARTS
from parity.results import FORMAT
from parity.verdict import Verdict
from parity.version import __version__

__all__ = ["UnreadableReport", "complete", "read_report"]


class UnreadableReport(ValueError):
    """A file that holds no report, or only a part of one. The message names the file and what is wrong with it."""


_SITE = {"file": str, "line": int, "function": str, "text": str}
_POINT = {"operation": str, "site": _SITE, "source": [list], "chain": [_SITE], "result": str, "other": str,
          "made_at": Maybe(_SITE)}  # fmt: skip
_EVENT = {"index": int, "what": str, "operation": str, "kind": str, "shape": [int], "dtype": str, "digest": str,
          "seed": Maybe(int), "site": Maybe(_SITE)}  # fmt: skip
_ROW = {"mark": str, "reference": Maybe(_EVENT), "candidate": Maybe(_EVENT)}
_EXPLANATION = {
    "sentence": str,
    "look_at": Maybe(_SITE),
    "draws": Maybe({"sentence": str, "omitted": Maybe(int), "rows": [_ROW]}),
    "operations": Maybe({
        "sentence": str, "reference": Maybe(_POINT), "candidate": Maybe(_POINT), "input": Maybe(dict),
        "alone": Maybe(str),
    }),
}  # fmt: skip
_ERROR = dict.fromkeys(("scale", "error32", "reference_error32", "error64", "used"), NUMBER) | {"name": str}
_JUDGEMENT = {"reason": str, "params": dict, "draws_reference": str, "draws_candidate": str, "notes": [str]}
_STALE = dict.fromkeys(("difference", "reason", "edit", "reproduce"), str)

_RESULT: dict[str, tuple[Any, Any]] = {
    "title": (str, ""), "formula": (str, ""), "candidate": (str, ""), "ok": (bool, False), "known": ([str], []),
    "counts": (MapOf(int), {}), "seconds": ((int, float), 0.0), "used": ([NUMBER], []), "reproduce": (str, ""),
    "judgement": (_JUDGEMENT, {"reason": "why is not in the file", "params": {}, "draws_reference": "",
                               "draws_candidate": "", "notes": []}),
    "errors": ([_ERROR], []), "stale": (Maybe([_STALE]), []), "explanation": (Maybe(_EXPLANATION), None),
    "finished": (Maybe(bool), True), "output": (Maybe(str), ""),
}  # fmt: skip
"""Of each entry of a result its shape, and what stands for it where it is absent."""
_ADDED = ("stale", "explanation", "finished", "output")

_POINTS = [Maybe((int, float))]
_SERIES = {"label": str, "role": str, "mark": str, "x": _POINTS, "y": _POINTS, "low": Maybe(_POINTS),
           "high": Maybe(_POINTS)}  # fmt: skip
_PANEL = {"title": str, "x": str, "y": str, "series": [_SERIES], "scales": [OneOf(("linear", "log"))],
          "across": [list], "ticks": [str], "descending": bool, "top": Maybe((int, float))}  # fmt: skip
_PLOT = {"kind": str, "component": str, "profile": str, "title": str, "caption": str, "panels": [_PANEL],
         "missing": Maybe(str)}  # fmt: skip
_FUNCTION = {"file": str, "function": str, "line": int, "text": [str]}
_RAN = [{"key": str, "ran": [int], "part": Maybe(OneOf(PARTS))}]
_STAGE = dict.fromkeys(
    ("profile", "stage", "title", "own", "forced", "standing", "reason_own", "reason_forced", "reproduce"), str
) | {"origin": Maybe(str), "known": Maybe([str]), "ok": Maybe(bool)}  # fmt: skip
_DISTRIBUTION = {
    **dict.fromkeys(("profile", "component", "difference", "test", "alternative", "closed_form"), str),
    **dict.fromkeys(("statistic", "p_value", "threshold", "false_alarm", "miss"), NUMBER),
    "passed": bool, "sample_size": int,
}  # fmt: skip
_RUN_ROW = {
    **dict.fromkeys(("task", "size", "label"), str), "seeds": list, "diverged": list, "train_s": (int, float),
    **{name: Maybe((int, float)) for name in ("p100_mean", "p100_std", "p80_mean", "p50_mean")},
}  # fmt: skip
_COMPARISON = {
    **dict.fromkeys(("task", "size", "label", "standing", "sentence"), str), "nudges": Maybe(list),
    **{name: Maybe(dict) for name in ("candidate", "rounding", "p_values", "intervals")},
}  # fmt: skip

_LISTS: dict[str, Any] = {
    "header": str,
    "ledger": dict.fromkeys(("name", "section", "component", "verdict", "root", "ggfm", "cause"), str),
    "plots": _PLOT,
    "stages": _STAGE,
    "distributions": _DISTRIBUTION,
    "unfinished": str,
}
"""The document's lists, and the shape of an entry of each."""
_SINGLE: dict[str, Any] = {
    "sources": {"functions": dict, "executed": [{"component": str, "profile": str, "reference": _RAN,
                                                 "candidate": _RAN}]},
    "runs": {"rows": [_RUN_ROW], "comparisons": [_COMPARISON], "plots": Maybe([_PLOT]), "results": ANYTHING},
}  # fmt: skip


def read_report(path: Path) -> dict[str, Any]:
    """The document in a file, or in a folder's `report.json`.

    Raises UnreadableReport if there is no such file, if it is cut short or no JSON, or if it holds something else.
    """
    file = path / "report.json" if path.is_dir() else path
    text = ""
    try:
        text = file.read_text(encoding="utf-8").rstrip()
        document = json.loads(text)
    except FileNotFoundError as error:
        raise UnreadableReport(f"{file}: there is no such file; `parity report` writes a report.json") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableReport(f"{file} cannot be read: {error}") from error
    except json.JSONDecodeError as error:
        cut = not text or (text.startswith("{") and not text.endswith("}")) or error.pos >= len(text)
        what = "is cut short" if cut else "is no JSON"
        raise UnreadableReport(f"{file} {what} (line {error.lineno}: {error.msg})") from error
    if not isinstance(document, dict) or not str(document.get("format", "")).startswith("parity-report/"):
        raise UnreadableReport(f"{file} holds no report of parity: its `format` must be {FORMAT!r}")
    if not isinstance(document.get("results"), list):
        raise UnreadableReport(f"{file} has no list `results`: nothing of it can be shown")
    return document


def complete(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with everything that a page needs. What is of another shape is left out, and `notices` says so."""
    notices = _versions(document)
    whole: dict[str, Any] = {
        **document, "parity": str(document.get("parity", "an unknown version")), "results": [],
    }  # fmt: skip
    for number, result in enumerate(document["results"], start=1):
        if fits(result, {"component": str, "profile": str, "verdict": str}):
            whole["results"].append(_whole_result(result, notices))
        else:
            notices.append(f"Result {number} of {len(document['results'])} names no component, profile or verdict.")
    for name, shape in _LISTS.items():
        given = document.get(name)
        entries = given if isinstance(given, list) else []
        whole[name] = [filled(entry, shape) for entry in entries if fits(entry, shape)]
        lost = len(entries) - len(whole[name])
        if lost or (given is not None and not isinstance(given, list)):
            notices.append(f"{lost or 'All'} of the entries of `{name}` cannot be read.")
    for name, shape in _SINGLE.items():
        whole[name] = filled(document[name], shape) if fits(document.get(name), shape) else None
        if document.get(name) is not None and whole[name] is None:
            notices.append(f"The section `{name}` cannot be read.")
    functions = (whole["sources"] or {}).get("functions", {})
    if not all(fits(function, _FUNCTION) for function in functions.values()):
        whole["sources"] = None
        notices.append("The section `sources` cannot be read.")
    return whole | {"notices": notices}


def _versions(document: Mapping[str, Any]) -> list[str]:
    written = document.get("parity", "an unknown version")
    if document.get("format") != FORMAT:
        return [
            f"Written by parity {written} in the format {document.get('format')}; parity {__version__} reads {FORMAT}. "
            "Shown is what both have."
        ]
    return [] if written == __version__ else [f"Written by parity {written}, shown by parity {__version__}."]


def _whole_result(result: Mapping[str, Any], notices: list[str]) -> dict[str, Any]:
    whole = dict(result)
    lost = []
    for name, (shape, default) in _RESULT.items():
        if name in result and fits(result[name], shape):
            whole[name] = filled(result[name], shape)
        else:
            whole[name] = default
            if name in result or name not in _ADDED:
                lost.append(name)
    if "ok" in lost:
        whole["ok"] = whole["verdict"] in [verdict.value for verdict in Verdict if verdict.agrees]
    whole["stale"], whole["output"] = whole["stale"] or [], whole["output"] or ""
    whole["finished"] = whole["finished"] is not False
    if lost:
        notices.append(f"{whole['profile']} {whole['component']}: {', '.join(lost)} absent or of another form.")
    return whole
