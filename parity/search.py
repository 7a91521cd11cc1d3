"""Search a component's inputs for the smallest one on which two sides disagree.

One function for pytest, the command line and the report: it runs the component's examples, then Hypothesis, and
returns a result object. Hypothesis is seeded, so the same call gives the same result.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

from hypothesis import HealthCheck, Phase, assume, given, seed, settings

from parity.component import Component, Context
from parity.judge import judge
from parity.ledger import Entry, reaching
from parity.side import Side
from parity.verdict import Judgement, Verdict

__all__ = ["EXAMPLES", "Candidate", "ComponentResult", "explore", "inputs_of", "judge_explained", "reproduce_line"]

EXAMPLES = {"dev": 24, "ci": 100, "nightly": 1000}
"""Inputs drawn per component, by profile of the search; expensive components draw a declared share of it."""


@dataclass(frozen=True)
class Candidate:
    """Hold a candidate and the differences that it is known to have.

    `without(names)` is the same candidate with those switches off: what a known difference explains must vanish.
    `having(names)`, for a candidate without switches, is another that has exactly those: it must compute the same.
    """

    side: Side
    known: Mapping[str, Entry] = field(default_factory=dict)
    without: Callable[[tuple[str, ...]], Side] | None = None
    having: Callable[[tuple[str, ...]], Side] | None = None
    options: str = ""


@dataclass(frozen=True)
class ComponentResult:
    """Hold the result of a search: one component of one candidate."""

    component: str
    candidate: str
    worst: Judgement
    counts: Mapping[str, int]
    known: tuple[str, ...]
    unexpected: Judgement | None
    seconds: float
    judgements: tuple[Judgement, ...] = ()
    options: str = ""

    @property
    def ok(self) -> bool:
        """Return True if the ledger explains everything that was seen."""
        return self.unexpected is None

    @property
    def verdict(self) -> Verdict:
        """The verdict of the unexpected input where there is one, else the gravest one seen."""
        return (self.unexpected or self.worst).verdict

    def summary(self) -> str:
        """One line: the verdict, why, and what explains it."""
        shown = self.unexpected or self.worst
        text = f"{shown.component}: {shown.verdict}. {shown.reason}"
        return text if self.unexpected or not self.known else f"{text} (known: {', '.join(self.known)})"


def _any(params: Mapping[str, Any]) -> bool:  # noqa: ARG001 - every input is relevant
    return True


class _Disagreement(AssertionError):
    """Carries the judgement out of Hypothesis's search."""

    def __init__(self, judgement: Judgement) -> None:
        super().__init__(judgement.reason)
        self.judgement = judgement


def _never(_: Mapping[str, Any]) -> bool:
    return False


def judge_explained(
    component: Component, params: Mapping[str, Any], reference: Side, candidate: Candidate, ctx: Context
) -> tuple[Judgement, bool]:
    """Judge one input; return the judgement and whether it is as expected.

    A disagreement is expected only if the ledger has entries that cover this input and the candidate with exactly
    those switches off agrees: the known differences explain it, all of it. Code that has no switches must agree with
    a side that has only such differences; the fewest that suffice are named.
    """
    found = judge(component, params, reference, candidate.side, ctx)
    if found.agrees:
        return found, True
    names = tuple(entry.name for entry in reaching(candidate.known, component.name) if entry.covers(params))
    if candidate.having is not None and found.verdict is not Verdict.MISSING:
        both = replace(component, refused=_never)  # the reference's refusals say nothing of two others
        for some in (some for size in range(1, len(names) + 1) for some in combinations(names, size)):
            if judge(both, params, candidate.having(some), candidate.side, ctx).agrees:
                return replace(found, known=some), True
    if not names or candidate.without is None:
        return found, False
    rest = judge(component, params, reference, candidate.without(names), ctx)
    if rest.agrees:
        return replace(found, known=names), True
    return replace(rest, notes=(*rest.notes, f"also with {', '.join(names)} turned off")), False


def explore(
    component: Component,
    reference: Side,
    candidate: Candidate,
    ctx: Context,
    *,
    examples: int = EXAMPLES["dev"],
    search_seed: int = 0,
    only: Mapping[str, Any] | None = None,
    relevant: Callable[[Mapping[str, Any]], bool] = _any,
) -> ComponentResult:
    """Judge the component's examples and `examples` drawn inputs; shrink the first unexpected one.

    `only`: judge this one input instead. `relevant`: inputs to leave out of the search.
    """
    start = time.perf_counter()
    judgements: list[Judgement] = []

    def check(params: Mapping[str, Any]) -> None:
        found, expected = judge_explained(component, params, reference, candidate, ctx)
        judgements.append(found)
        if not expected:
            raise _Disagreement(found)

    unexpected: Judgement | None = None
    try:
        for params in [only] if only is not None else [e for e in component.examples if relevant(e)]:
            check(params)
        if only is None and component.cost > 0:
            _search(component, check, max(1, round(examples * component.cost)), search_seed, relevant)
    except _Disagreement as disagreement:
        unexpected = disagreement.judgement
    expected = [j for j in judgements if j is not unexpected]
    worst = max(expected or judgements, key=lambda j: j.verdict.severity)
    return ComponentResult(
        component=component.name,
        candidate=candidate.side.name,
        worst=worst,
        counts=Counter(j.verdict.value for j in judgements),
        known=tuple(sorted({name for j in judgements for name in j.known})),
        unexpected=unexpected,
        seconds=time.perf_counter() - start,
        judgements=tuple(judgements),
        options=candidate.options,
    )


def inputs_of(component: Component, examples: int, search_seed: int) -> list[Mapping[str, Any]]:
    """The inputs that `explore` judges where nothing disagrees: the component's examples, then drawn ones."""
    found: list[Mapping[str, Any]] = list(component.examples)
    if component.cost > 0:
        _search(component, found.append, max(1, round(examples * component.cost)), search_seed, _any)
    return found


def _search(
    component: Component,
    check: Callable[[Mapping[str, Any]], None],
    examples: int,
    search_seed: int,
    relevant: Callable[[Mapping[str, Any]], bool],
) -> None:
    @seed(search_seed)
    @settings(
        max_examples=examples,
        deadline=None,  # a slow machine is no finding
        database=None,  # the seed alone decides what is tried
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
    )
    @given(component.strategy())
    def search(params: dict[str, Any]) -> None:
        assume(relevant(params))
        check(params)

    search()


def reproduce_line(judgement: Judgement, options: str = "") -> str:
    """The command that judges exactly this input again."""
    case = json.dumps(judgement.params, separators=(",", ":"))
    return f"parity check --component {judgement.component}{options and ' ' + options} --case '{case}'"
