"""An unexpected disagreement of code whose known differences cannot be turned off: what else it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from parity.component import Component, Context
from parity.diagnosis.explain import explain
from parity.judge import judge
from parity.search import Candidate
from parity.side import Side
from parity.verdict import Judgement

__all__ = ["explain_beside"]

_NO_WORSE = 1.01
"""Times the error against the reference that may be left against a side which has known differences as well."""


def explain_beside(
    component: Component,
    params: Mapping[str, Any],
    reference: Side,
    candidate: Candidate,
    known: Sequence[str],
    ctx: Context,
) -> dict[str, Any]:
    """As `explain`; where no change repairs the candidate, beside a side that has those of its differences `known`.

    No one change makes code agree that differs in two ways. `candidate.having` gives a side that has the ledger's: of
    those that leave no more to explain than the reference does, the one with most differences is taken.
    """
    found = explain(component, params, reference, candidate.side, ctx)
    if candidate.having is None or _is_repaired(found):
        return found
    both = replace(component, refused=lambda params: False)  # noqa: ARG005 - what ROOT refuses says nothing of two others
    whole = _error(judge(both, params, reference, candidate.side, ctx))
    for some in (some for size in range(len(known), 0, -1) for some in combinations(known, size)):
        other = candidate.having(some)
        if _error(judge(both, params, other, candidate.side, ctx)) <= _NO_WORSE * whole:
            beside = explain(component, params, other, candidate.side, ctx)
            if _is_repaired(beside):
                return beside | {"sentence": f"Beside a side that has {', '.join(some)}, too: {beside['sentence']}"}
            break
    return found


def _is_repaired(found: Mapping[str, Any]) -> bool:
    """Whether an explanation names a change that makes both sides agree."""
    return bool(found["operations"] and found["operations"]["repaired"])


def _error(found: Judgement) -> float:
    """The largest float64 error; infinite where something else than values differs."""
    return max((leaf.error64 for leaf in found.leaves), default=float("inf"))
