"""All of it, component by component; one that fails costs its own entry and no other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from parity.component import Component
from parity.report.errors import errors_plot
from parity.report.plot import Plot
from parity.report.sources import executed
from parity.session import Session

__all__ = ["plot_data", "source_data"]

Results = Iterable[Mapping[str, Any]]


def plot_data(session: Session, results: Results = ()) -> list[Plot]:
    """The document's `plots`, some seconds: what `parity.report.plot.plot` makes, for every component and profile.

    Errors are shown at the input that each of `results` shows, else at the component's first example. A plot that
    cannot be made is an entry with `missing` (why) and no panels.
    """
    plots: list[Plot] = []
    for profile, component, params in _inputs(session, results):
        makers = [partial(errors_plot, session, component, profile, params)]
        if component.name in session.study.plots:
            makers.insert(0, partial(session.study.plots[component.name], session, profile))
        for make in makers:
            plots += _made(make, component.name, profile)
    return plots


def source_data(session: Session, results: Results = ()) -> dict[str, Any]:
    """The document's `sources`, some seconds.

    `functions`: each function's `file`, `function`, `line` and `text`, by a key. `executed`: per component and profile
    the keys of what each side runs, in order, with the lines that ran.
    """
    functions: dict[str, Any] = {}
    rows = []
    for profile, component, params in _inputs(session, results):
        row: dict[str, Any] = {"component": component.name, "profile": profile}
        for name, side in (("reference", session.reference), ("candidate", session.candidate_in(profile).side)):
            row[name] = []
            for function in _executed(session, component, side, params):
                key = f"{function['file']}:{function['line']}"
                functions[key] = {what: function[what] for what in ("file", "function", "line", "text")}
                row[name].append({"key": key, "ran": function["ran"], "part": function["part"]})
        rows.append(row)
    return {"functions": functions, "executed": rows}


def _inputs(session: Session, results: Results) -> Iterator[tuple[str, Component, Mapping[str, Any]]]:
    """Profile, component and input of everything that is compared; not where a process did not survive it."""
    shown = {(row["profile"], row["component"]): row for row in results}
    for profile in session.profiles:
        for component in session.components:
            row = shown.get((profile, component.name), {})
            if row.get("finished", True):
                params = (row.get("judgement") or {}).get("params") or component.examples[0]
                yield profile, component, params


def _made(make: Any, component: str, profile: str) -> list[Plot]:
    try:
        made = make()
    except Exception as error:  # noqa: BLE001 - a candidate may fail in any way, and the report says how
        kind = getattr(make.func, "__name__", "plot").removesuffix("_plot").removesuffix("_plots")
        why = f"{type(error).__name__}: {error}"
        return [{"kind": kind, "component": component, "profile": profile, "title": kind, "caption": "", "panels": [],
                 "missing": why}]  # fmt: skip
    plots: list[Plot] = made if isinstance(made, list) else [made] if made else []
    return plots


def _executed(session: Session, component: Component, side: Any, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    try:
        return executed(session, component, side, params)
    except Exception:  # noqa: BLE001 - without its source the rest of the report is complete
        return []
