"""Read a report's document back: whatever can still be shown of it, and a notice for whatever cannot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Meta, Struct

from parity.results import FORMAT
from parity.study import Section
from parity.verdict import Verdict
from parity.version import __version__

__all__ = ["PARTS", "Executed", "Finite", "Number", "Plot", "Sources", "UnreadableReport", "complete", "read_report"]

Finite = Annotated[float, Meta(ge=-1e300, le=1e300)]
"""Numbers that a picture can show."""

Number = Finite | Literal["inf", "-inf", "nan"]
"""Numbers that JSON lacks are written as text."""

Part = Literal["called", "inner", "making"]
PARTS: tuple[str, ...] = get_args(Part)
"""The part of a function in a component, the most telling first."""


class UnreadableReport(ValueError):
    """A file that holds no report, or only a part of one. The message names the file and what is wrong with it."""


class _Site(Struct):
    file: str
    line: int
    function: str
    text: str
    why: str = "look here"


class _Event(Struct):
    index: int
    what: str
    operation: str
    kind: str
    shape: list[int]
    dtype: str
    digest: str
    seed: int | None = None
    site: _Site | None = None


class _DrawRow(Struct):
    mark: str
    reference: _Event | None = None
    candidate: _Event | None = None


class _Draws(Struct):
    sentence: str
    rows: list[_DrawRow]
    omitted: int | None = None


class _Point(Struct):
    operation: str
    site: _Site
    source: list[tuple[int, str]]
    chain: list[_Site]
    result: str
    other: str
    made_at: _Site | None = None


class _Operations(Struct):
    sentence: str
    reference: _Point | None = None
    candidate: _Point | None = None
    input: dict[str, Any] | None = None
    alone: str | None = None


class _Explanation(Struct):
    sentence: str
    look_at: _Site | None = None
    draws: _Draws | None = None
    operations: _Operations | None = None


class _Error(Struct):
    name: str
    scale: Number
    error32: Number
    reference_error32: Number
    error64: Number
    used: Number
    verdict: str = ""


class _Judgement(Struct):
    reason: str = "why is not in the file"
    params: dict[str, Any] = {}
    draws_reference: str = ""
    draws_candidate: str = ""
    notes: list[str] = []


class _Stale(Struct):
    difference: str
    reason: str
    edit: str
    reproduce: str


class _Named(Struct):
    component: str
    profile: str
    verdict: str


class _Result(_Named, kw_only=True):
    """A component in a profile. Each field has the value that is shown where the file has none of this form."""

    title: str = ""
    formula: str = ""
    candidate: str = ""
    ok: bool = False
    known: list[str] = []
    counts: dict[str, int] = {}
    seconds: Finite = 0.0
    used: list[Number] = []
    reproduce: str = ""
    judgement: _Judgement = msgspec.field(default_factory=_Judgement)
    errors: list[_Error] = []
    stale: list[_Stale] | None = None
    explanation: _Explanation | None = None
    finished: bool | None = None
    output: str | None = None


_OPTIONAL = ("stale", "explanation", "finished", "output")


class _Difference(Struct):
    name: str
    section: str
    component: str
    verdict: str
    reference: str
    candidate: str
    cause: str


class _Series(Struct):
    label: str
    role: str
    mark: str
    x: list[Finite | None]
    y: list[Finite | None]
    low: list[Finite | None] | None = None
    high: list[Finite | None] | None = None


_Scale = Literal["linear", "log"]


class _Panel(Struct):
    title: str
    x: str
    y: str
    series: list[_Series]
    scales: tuple[_Scale, _Scale]
    across: list[tuple[Finite, str]]
    ticks: list[str]
    descending: bool
    top: Finite | None = None


class Plot(Struct):
    """A plot as `parity.report.plot.plot` makes it; or the reason why it could not be made, `missing`."""

    kind: str
    component: str
    profile: str
    title: str
    caption: str
    panels: list[_Panel]
    missing: str | None = None


class _Function(Struct):
    file: str
    function: str
    line: int
    text: list[str]


class _Ran(Struct):
    key: str
    ran: list[int]
    part: Part | None = None


class Executed(Struct):
    """The functions that each side ran for a component, by their key, with the lines that ran."""

    component: str
    profile: str
    reference: list[_Ran]
    candidate: list[_Ran]


class Sources(Struct):
    """The functions of both sides by a key, and which of them were executed."""

    functions: dict[str, _Function]
    executed: list[Executed]


_FORMS: Mapping[str, Any] = {
    "header": list[str],
    "labels": list[str],
    "components": list[str],
    "ledger": list[_Difference],
    "unfinished": list[str],
    "plots": list[Plot],
    "sources": Sources,
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
        if _converted(result, _Named) is not None:
            whole["results"].append(_whole_result(result, notices))
        else:
            notices.append(f"Result {number} of {len(document['results'])} names no component, profile or verdict.")
    for name, form in {**_FORMS, **{section.key: section.form for section in sections}}.items():
        given = document.get(name)
        if get_origin(form) is not list:
            whole[name] = None if given is None else _converted(given, form)
            if given is not None and whole[name] is None:
                notices.append(f"The section `{name}` cannot be read.")
            continue
        entries = given if isinstance(given, list) else []
        found = [_converted(entry, *get_args(form)) for entry in entries]
        whole[name] = [entry for entry in found if entry is not None]
        lost = len(entries) - len(whole[name])
        if lost or (given is not None and not isinstance(given, list)):
            notices.append(f"{lost or 'All'} of the entries of `{name}` cannot be read.")
    if len(whole["labels"]) != 2:
        whole["labels"] = ["reference", "candidate"]
    return whole | {"plain_profile": str(document.get("plain_profile", "")), "notices": notices}


def _converted(value: Any, form: Any) -> Any:
    """Return a value as plain values of this form, with null where it may lack an entry; None if it is of another."""
    try:
        return msgspec.to_builtins(msgspec.convert(value, form))
    except (msgspec.ValidationError, OverflowError):
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
    whole: dict[str, Any] = {}
    lost = []
    for field in msgspec.structs.fields(_Result):
        given = result.get(field.name)
        whole[field.name] = None if given is None else _converted(given, field.type)
        if whole[field.name] is None:
            default = field.default_factory() if field.default is NODEFAULT else field.default
            whole[field.name] = msgspec.to_builtins(default)
            if given is not None or field.name not in _OPTIONAL:
                lost.append(field.name)
    if "ok" in lost:
        whole["ok"] = whole["verdict"] in [verdict.value for verdict in Verdict if verdict.agrees]
    whole["stale"], whole["output"] = whole["stale"] or [], whole["output"] or ""
    whole["finished"] = whole["finished"] is not False
    if lost:
        notices.append(f"{whole['profile']} {whole['component']}: {', '.join(lost)} absent or of another form.")
    return whole
