"""Runs in a process of its own: judges one copy of GGFM, or traces which of GGFM's lines run.

Imports nothing of the study, which imports `ggfm`: that must come from the copy.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import reference_root  # noqa: F401 - once, in the process from which workers are forked
from parity.component import start_seed
from parity.diagnosis.explain import explain
from parity.diagnosis.location import line_coverage
from parity.diagnosis.settings import without
from parity.execution import run
from parity.process.pool import Handler
from parity.search import Candidate, explore
from parity.session import open_session

__all__ = ["Diagnose", "Judge", "open_copy", "open_tracer"]


@dataclass(frozen=True)
class Judge:
    """Judge one component of the copy, on its examples and on inputs that are searched from `seed`."""

    component: str
    seed: int


@dataclass(frozen=True)
class Diagnose:
    """Explain why a component of the copy disagrees on the input that `params` describe.

    `without`: heuristics of the diagnosis that are turned off.
    """

    component: str
    params: Mapping[str, Any]
    without: tuple[str, ...] = ()


def open_copy(options: Mapping[str, Any], folder: str) -> Handler:
    """Return the handler of `Judge` and `Diagnose` for the `ggfm` in a folder, in the profile `aligned`.

    Raises RuntimeError if another `ggfm` was imported before.
    """
    if "ggfm" in sys.modules:
        raise RuntimeError("ggfm has been imported before: its copy would not be judged")
    sys.path.insert(0, folder)
    session = open_session(**options)
    side = session.candidate_in("aligned").side
    found = Path(str(sys.modules["ggfm"].__file__))
    if not found.is_relative_to(folder):
        raise RuntimeError(f"{found} was imported, expected a copy in {folder}")

    def handle(job: Judge | Diagnose, tell: Callable[[Any], None]) -> Any:  # noqa: ARG001 - a handler's signature
        component = session.component(job.component)
        if isinstance(job, Diagnose):
            with without(job.without):
                return explain(component, job.params, session.reference, side, session.context)
        result = explore(
            component, session.reference, Candidate(side), session.context,
            examples=session.examples, search_seed=job.seed,
        )  # fmt: skip
        shown = result.unexpected or result.worst
        return {
            "ok": result.ok,
            "verdict": result.verdict.value,
            "reason": shown.reason,
            "params": shown.params,
            "inputs": len(result.judgements),
            "used": max((leaf.used for j in result.judgements if j.agrees for leaf in j.leaves), default=0.0),
        }

    return handle


def open_tracer(options: Mapping[str, Any], folder: str) -> Handler:
    """Return a handler that answers any job with the executed lines of each file of the package in `folder`.

    Executed are the lines that run when the package is imported, or on any component's own examples.
    """

    def handle(job: object, tell: Callable[[Any], None]) -> dict[str, frozenset[int]]:  # noqa: ARG001 - as above
        lines: dict[str, frozenset[int]] = {}
        with line_coverage(lambda code: code.co_filename.startswith(f"{folder}/")) as covered:
            session = open_session(**options)
            side = session.candidate_in("aligned").side
            for component in session.components:
                for params in component.examples:
                    inputs = component.build(params, session.context)
                    run(component.bind(side), inputs, seed=start_seed(params), device=session.context.device)
        for code, numbers in covered.items():
            file = code.co_filename.removeprefix(f"{folder}/")
            lines[file] = lines.get(file, frozenset()).union(numbers)
        return lines

    return handle
