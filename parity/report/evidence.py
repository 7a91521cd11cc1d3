"""Collect the evidence that a report shows besides the results: numbers of plots, and the source that was executed.

A component or a plot that fails costs its own entry and no other.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from types import CodeType, FrameType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from parity.component import Component, start_seed
from parity.diagnosis.location import line_coverage, location_at, outermost
from parity.execution import execute, run
from parity.report.plot import Plot, panel, plot, series
from parity.report.read import PARTS
from parity.session import Session
from parity.side import Side, Tree

__all__ = ["executed", "plot_data", "source_data"]

Results = Iterable[Mapping[str, Any]]

_LOWEST, _HIGHEST = -11, 2
_EDGES = np.linspace(_LOWEST, _HIGHEST, 2 * (_HIGHEST - _LOWEST) + 1)
"""Bins of log10 of the relative error, half a decade each."""


def plot_data(session: Session, results: Results | None = None) -> list[Plot]:
    """Return the document's `plots`, as `parity.report.plot.plot` makes them, for each of `results`.

    Errors are shown at the input that the result shows; without `results`, of every component and profile, at the
    component's first example. A plot that cannot be made is an entry with `missing` (why) and no panels.
    """
    plots: list[Plot] = []
    for profile, component, params in _inputs(session, results):
        makers: list[Any] = [partial(_errors_plot, session, component, profile, params)]
        if component.name in session.study.plots:
            makers.insert(0, partial(session.study.plots[component.name], session, profile))
        for make in makers:
            plots += _made(make, component.name, profile)
    return plots


def source_data(session: Session, results: Results | None = None) -> dict[str, Any]:
    """Return the document's `sources`.

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


def executed(session: Session, component: Component, side: Side, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the functions of its own code that a side executes, in the order of the first call.

    Each has `file`, `function`, `line` (the first), `text` (its lines), `ran`, the lines that ran, and `part`: `called`
    by the component itself, `inner` to what it calls, or part of the `making` of the objects it calls. Adapters are
    left out; a comprehension or a lambda is part of the function that holds it.
    """
    parts: dict[CodeType, set[str]] = {}

    def entered(frame: FrameType) -> None:
        parts.setdefault(frame.f_code, set()).add(_part(frame))

    inputs, device = component.build(params, session.context), session.context.device
    with line_coverage(entered=entered) as lines:
        run(component.bind(side), inputs, seed=start_seed(params), device=device)
    functions = [(_function(code, lines), parts[code]) for code in lines if not code.co_name.startswith("<")]
    return [function | {"part": min(part, key=PARTS.index)} for function, part in functions if function]


def _inputs(session: Session, results: Results | None) -> Iterator[tuple[str, Component, Mapping[str, Any]]]:
    """Return profile, component and input of everything that was compared; not where a process did not survive it."""
    shown = None if results is None else {(row["profile"], row["component"]): row for row in results}
    for profile in session.profiles:
        for component in session.components:
            row = {} if shown is None else shown.get((profile, component.name), {"finished": False})
            if row.get("finished", True):
                params = (row.get("judgement") or {}).get("params") or component.examples[0]
                yield profile, component, params


def _made(make: Any, component: str, profile: str) -> list[Plot]:
    try:
        made = make()
    except Exception as error:  # noqa: BLE001 - a candidate may fail in any way, and the report says how
        kind = getattr(make.func, "__name__", "plot").strip("_").removesuffix("_plot").removesuffix("_plots")
        return [plot(kind, component, profile, kind, "", [], missing=f"{type(error).__name__}: {error}")]
    plots: list[Plot] = made if isinstance(made, list) else [made] if made else []
    return plots


def _errors_plot(session: Session, component: Component, profile: str, params: Mapping[str, Any]) -> Plot | None:
    """Plot each number that float32 returns, relative to the largest of its output; return None where nothing floats,
    all of it is exact, or one side raises.

    Errors are against the reference's float64 result. Numbers that cannot be compared (other names, other shapes, NaN
    on one side) are counted.
    """
    inputs, seed = component.build(params, session.context), start_seed(params)
    reference, candidate = session.reference, session.candidate_in(profile).side
    low = session.context.dtype

    def tree(side: Side, dtype: torch.dtype) -> Tree:
        return execute(component, side, inputs, seed=seed, dtype=dtype, device=session.context.device).tree

    truth = tree(reference, torch.float64)
    shown, said = [], []
    for role, side in (("reference", reference), ("candidate", candidate)):
        errors, left_out = _relative_errors(tree(side, low), truth)
        if not len(errors):
            return None
        nonzero = errors[errors > 0]
        counts, _ = np.histogram(np.clip(np.log10(nonzero), _LOWEST, _HIGHEST), bins=_EDGES)
        shown.append(series(role, role, 10.0**_EDGES, counts, mark="steps"))
        text = f"{len(errors) - len(nonzero)} of {len(errors)} of the {role}'s are exact"
        said.append(text + (f", {left_out} cannot be compared" if left_out else ""))
    if all(sum(part["y"]) == 0 for part in shown):
        return None
    caption = (
        "Every number of every output at the input below, as a distance from the reference's float64 result relative "
        f"to the largest number of its output. {said[0].capitalize()}; {said[1]}."
    )
    name = str(low).removeprefix("torch.")
    axes = panel(f"Relative errors in {name}", "relative error", "numbers", shown, scales=("log", "linear"))
    return plot("errors", component.name, profile, f"Histogram of {name} errors", caption, [axes])


def _relative_errors(tree: Tree, truth: Tree) -> tuple[NDArray[np.float64], int]:
    found, left_out = [np.empty(0)], 0
    for name, exact in truth.items():
        if not (isinstance(exact, Tensor) and exact.is_floating_point() and exact.numel()):
            continue
        own = tree.get(name)
        if not isinstance(own, Tensor) or own.shape != exact.shape:
            left_out += exact.numel()
            continue
        both = own.isfinite() & exact.isfinite()
        left_out += int((own.isfinite() != exact.isfinite()).sum())
        scale = float(exact[exact.isfinite()].abs().max()) if bool(exact.isfinite().any()) else 0.0
        error = (own.double() - exact.double()).abs()[both] / (scale or 1.0)
        found.append(error.cpu().numpy())
    return np.concatenate(found), left_out


def _executed(session: Session, component: Component, side: Any, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    try:
        return executed(session, component, side, params)
    except Exception:  # noqa: BLE001 - without its source the rest of the report is complete
        return []


def _part(frame: FrameType) -> str:
    """Return a function's part by the outermost of a side's own functions: it itself, inside it, or a constructor."""
    first = outermost(frame)
    if first.co_name in ("__init__", "__new__", "__post_init__"):
        return "making"
    return "called" if first is frame.f_code else "inner"


def _function(code: CodeType, lines: Mapping[CodeType, set[int]]) -> dict[str, Any] | None:
    try:
        text, first = inspect.getsourcelines(code)
    except (OSError, TypeError):  # its source is not there: made at run time, or a file that is gone
        return None
    site = location_at(code.co_filename, first, code.co_qualname)
    if site.of_adapter:
        return None
    last = first + len(text)
    ran = {n for other, hit in lines.items() if other.co_filename == code.co_filename for n in hit if first <= n < last}
    shown = [line.rstrip("\n") for line in text]
    return {"file": site.file, "function": code.co_qualname, "line": first, "text": shown, "ran": sorted(ran)}
