"""What judges one copy of GGFM: a process whose import path begins with the copy, and which ends with it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import parity.root_ggfm.sides.root  # noqa: F401 - once, where processes are made from
from parity.diagnosis.explain import explain
from parity.loading import load_side
from parity.process.pool import Handler
from parity.root_ggfm.components import component
from parity.search import Candidate, explore
from parity.session import open_session

__all__ = ["Diagnose", "Judge", "open_copy"]


@dataclass(frozen=True)
class Judge:
    """One component of the copy, on its examples and on inputs that are searched from `seed`."""

    component: str
    seed: int


@dataclass(frozen=True)
class Diagnose:
    """Why a component of the copy disagrees on the input that `params` describe."""

    component: str
    params: Mapping[str, Any]


def open_copy(options: Mapping[str, Any], folder: str) -> Handler:
    """The handler of `Judge` and `Diagnose` for the `ggfm` in a folder, in the profile `aligned`.

    Raises RuntimeError where another `ggfm` has been imported before.
    """
    if "ggfm" in sys.modules:
        raise RuntimeError("ggfm has been imported before: its copy would not be judged")
    sys.path.insert(0, folder)
    session = open_session(**options)
    side = load_side("ggfm", "aligned")
    found = Path(str(sys.modules["ggfm"].__file__))
    if not found.is_relative_to(folder):
        raise RuntimeError(f"{found} was imported, expected a copy in {folder}")

    def handle(job: Judge | Diagnose, tell: Callable[[Any], None]) -> Any:  # noqa: ARG001 - a handler's signature
        if isinstance(job, Diagnose):
            return explain(component(job.component), job.params, session.reference, side, session.context)
        result = explore(
            component(job.component), session.reference, Candidate(side), session.context,
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
