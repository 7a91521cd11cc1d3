"""Read a report's document back: whatever can still be shown of it, and a notice for whatever cannot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import GenericAlias, NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, defstruct

from parity.results import FORMAT
from parity.study import Section
from parity.verdict import Verdict
from parity.version import __version__

__all__ = [
    "NUMBER", "PARTS", "PLOT", "SOURCES", "WRITTEN_NUMBER", "UnreadableReport", "by_name", "complete", "form",
    "many", "read_report",
]  # fmt: skip


class UnreadableReport(ValueError):
    """A file that holds no report, or only a part of one. The message names the file and what is wrong with it."""


def form(title: str, /, **fields: Any) -> Any:
    """Return the form of an object: each field's type. A field that may be null may also be absent."""
    defined = [(n, kind, None) if NoneType in get_args(kind) else (n, kind) for n, kind in fields.items()]
    return defstruct(title, defined, kw_only=True)


def many(entry: Any) -> Any:
    """Return the form of a list of entries of one form."""
    return GenericAlias(list, (entry,))


def by_name(entry: Any) -> Any:
    """Return the form of a mapping from names to entries of one form."""
    return GenericAlias(dict, (str, entry))


NUMBER: Any = Annotated[float, Meta(ge=-1e300, le=1e300)]
"""Numbers that a picture can show."""

WRITTEN_NUMBER: Any = NUMBER | Literal["inf", "-inf", "nan"]
"""Numbers that JSON lacks are written as text."""

PARTS = ("called", "inner", "making")
"""The part of a function in a component, the most telling first."""

_TEXTS, _NUMBERS = list[str], many(NUMBER | None)

_SITE = form("Site", file=str, line=int, function=str, text=str, why=str | None)
_EVENT = form(
    "Event", index=int, what=str, operation=str, kind=str, shape=list[int], dtype=str, digest=str, seed=int | None,
    site=_SITE | None,
)  # fmt: skip
_DRAWS = form(
    "Draws", sentence=str, omitted=int | None,
    rows=many(form("Row", mark=str, reference=_EVENT | None, candidate=_EVENT | None)),
)  # fmt: skip
_POINT = form(
    "Point", operation=str, site=_SITE, source=list[tuple[int, str]], chain=many(_SITE), result=str, other=str,
    made_at=_SITE | None,
)  # fmt: skip
_OPERATIONS = form(
    "Operations", sentence=str, reference=_POINT | None, candidate=_POINT | None, input=dict[str, Any] | None,
    alone=str | None,
)  # fmt: skip
_EXPLANATION = form(
    "Explanation", sentence=str, look_at=_SITE | None, draws=_DRAWS | None, operations=_OPERATIONS | None
)
_MEASURES = ("scale", "error32", "relative32", "ulps32", "reference_error32", "error64", "relative64", "ulps64", "used")
_ERROR = form("Error", name=str, verdict=str, **dict.fromkeys(_MEASURES, WRITTEN_NUMBER))
_JUDGEMENT = form(
    "Judgement", reason=str, params=dict[str, Any], draws_reference=str, draws_candidate=str, notes=_TEXTS
)
_STALE = form("Stale", difference=str, reason=str, edit=str, reproduce=str)

_NAMED = form("Named", component=str, profile=str, verdict=str)
_RESULT: Mapping[str, tuple[Any, Any]] = {
    "title": (str, ""),
    "formula": (str, ""),
    "candidate": (str, ""),
    "ok": (bool, False),
    "known": (_TEXTS, []),
    "counts": (dict[str, int], {}),
    "seconds": (NUMBER, 0.0),
    "used": (many(WRITTEN_NUMBER), []),
    "reproduce": (str, ""),
    "judgement": (
        _JUDGEMENT,
        {"reason": "why is not in the file", "params": {}, "draws_reference": "", "draws_candidate": "", "notes": []},
    ),
    "errors": (many(_ERROR), []),
}
"""The form of each entry of a result besides its names, and the value that is shown where it has none of this form."""
_OPTIONAL: Mapping[str, tuple[Any, Any]] = {
    "stale": (many(_STALE), []),
    "explanation": (_EXPLANATION, None),
    "finished": (bool, True),
    "output": (str, ""),
}
"""Entries that a result may lack."""

_SERIES = form(
    "Series", label=str, role=str, mark=str, x=_NUMBERS, y=_NUMBERS, low=_NUMBERS | None, high=_NUMBERS | None
)
_SCALE: Any = Literal["linear", "log"]
_PANEL = form(
    "Panel", title=str, x=str, y=str, series=many(_SERIES), scales=many(_SCALE), across=list[tuple[float, str]],
    ticks=_TEXTS, descending=bool, top=NUMBER | None,
)  # fmt: skip
PLOT = form(
    "Plot", kind=str, component=str, profile=str, title=str, caption=str, panels=many(_PANEL), missing=str | None
)
"""The form of what `parity.report.plot.plot` makes."""

_FUNCTION = form("Function", file=str, function=str, line=int, text=_TEXTS)
_RAN = many(form("Ran", key=str, ran=list[int], part=Literal[PARTS] | None))
_EXECUTED = form("Executed", component=str, profile=str, reference=_RAN, candidate=_RAN)
SOURCES = form("Sources", functions=by_name(_FUNCTION), executed=many(_EXECUTED))

_DIFFERENCE = form(
    "Difference", name=str, section=str, component=str, verdict=str, reference=str, candidate=str, cause=str
)
_FORMS: Mapping[str, Any] = {
    "header": _TEXTS,
    "labels": _TEXTS,
    "components": _TEXTS,
    "ledger": many(_DIFFERENCE),
    "unfinished": _TEXTS,
    "plots": many(PLOT),
    "sources": SOURCES,
}
"""The form of the document's entries, those of a study's sections aside."""


def read_report(path: Path) -> dict[str, Any]:
    """Return the document in a file, or in a folder's `report.json`.

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
        raise UnreadableReport(
            f"{file} {'is cut short' if cut else 'is no JSON'} (line {error.lineno}: {error.msg})"
        ) from error
    if not isinstance(document, dict) or not str(document.get("format", "")).startswith("parity-report/"):
        raise UnreadableReport(f"{file} holds no report of parity: its `format` must be {FORMAT!r}")
    if not isinstance(document.get("results"), list):
        raise UnreadableReport(f"{file} has no list `results`: nothing of it can be shown")
    return document


def complete(document: Mapping[str, Any], sections: Sequence[Section]) -> dict[str, Any]:
    """Return the document with everything that a page needs; `notices` names each part of another form, which it lacks.

    `sections`: those of the study, whose values are in the document as well.
    """
    notices = _versions(document)
    whole: dict[str, Any] = {**document, "parity": str(document.get("parity", "an unknown version")), "results": []}
    for number, result in enumerate(document["results"], start=1):
        if _converted(result, _NAMED) is not None:
            whole["results"].append(_whole_result(result, notices))
        else:
            notices.append(f"Result {number} of {len(document['results'])} names no component, profile or verdict.")
    for name, kind in {**_FORMS, **{section.key: section.form for section in sections}}.items():
        given = document.get(name)
        if get_origin(kind) is not list:
            whole[name] = None if given is None else _converted(given, kind)
            if given is not None and whole[name] is None:
                notices.append(f"The section `{name}` cannot be read.")
            continue
        entries = given if isinstance(given, list) else []
        found = [_converted(entry, *get_args(kind)) for entry in entries]
        whole[name] = [entry for entry in found if entry is not None]
        lost = len(entries) - len(whole[name])
        if lost or (given is not None and not isinstance(given, list)):
            notices.append(f"{lost or 'All'} of the entries of `{name}` cannot be read.")
    if len(whole["labels"]) != 2:
        whole["labels"] = ["reference", "candidate"]
    return whole | {"plain_profile": str(document.get("plain_profile", "")), "notices": notices}


def _converted(value: Any, kind: Any) -> Any:
    """Return a value as plain values of this form, null for an absent field; None if it is of another form."""
    try:
        return msgspec.to_builtins(msgspec.convert(value, kind))
    except msgspec.ValidationError:
        return None


def _versions(document: Mapping[str, Any]) -> list[str]:
    written = document.get("parity", "an unknown version")
    if document.get("format") != FORMAT:
        return [
            f"Written by parity {written} in the format {document.get('format')}; parity {__version__} reads {FORMAT}. "
            "Shown is what both have."
        ]
    return [] if written == __version__ else [f"Written by parity {written}, shown by parity {__version__}."]


def _whole_result(result: Mapping[str, Any], notices: list[str]) -> dict[str, Any]:
    whole = {name: result[name] for name in ("component", "profile", "verdict")}
    lost = []
    for name, (kind, default) in {**_RESULT, **_OPTIONAL}.items():
        found = None if result.get(name) is None else _converted(result[name], kind)
        whole[name] = default if found is None else found
        if found is None and (name in _RESULT or result.get(name) is not None):
            lost.append(name)
    if "ok" in lost:
        whole["ok"] = whole["verdict"] in [verdict.value for verdict in Verdict if verdict.agrees]
    if lost:
        notices.append(f"{whole['profile']} {whole['component']}: {', '.join(lost)} absent or of another form.")
    return whole
