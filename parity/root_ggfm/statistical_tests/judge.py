"""The tests of all differences by design, judged together at one rate of false alarms."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import numpy as np
import torch

from parity.root_ggfm.statistical_tests.families import FAMILIES, Bench, Placed
from parity.search import Candidate
from parity.session import Session
from parity.side import Side

__all__ = ["FALSE_ALARMS", "differences_by_design", "holm", "judge_distributions", "judge_side"]

FALSE_ALARMS = 0.01
"""How often any test of one report fails although every draw follows its law, all tests together."""


def judge_distributions(
    session: Session, *, on: Sequence[str] = (), components: Collection[str] | None = None
) -> list[dict[str, Any]]:
    """The tests of every difference by design that is on, in each profile of the session, as plain values.

    What else the candidate is known to do differently is turned off: those differences have verdicts of their own.
    `on`: further switches. `components`: only differences that reach one of these (default: those of the session).
    Keys: profile, component, difference, test, side, statistic, p_value, threshold, passed (p_value > threshold),
    sample_size, false_alarm (of all tests together; 0 where chance has no part), miss (the probability of passing under
    `alternative`, at the strictest threshold), alternative, closed_form, reproduce (the command that repeats it).
    Holm's correction is over the whole list.
    """
    placed: list[tuple[str, str, Placed]] = []
    for profile, name in differences_by_design(session, on=on, components=components):
        side = _tested(session.candidate_in(profile, on=on))
        bench = _bench(session.reference, side, session.seed, session.context.device)
        placed += [(profile, name, test) for test in _tests_of(name)(bench)]
    options = "".join(f" --on {name}" for name in on) + (f" --seed {session.seed}" if session.seed else "")
    return [row | {"reproduce": f"parity distribution --profile {row['profile']}{options}"} for row in _judged(placed)]


def differences_by_design(
    session: Session, *, on: Sequence[str] = (), components: Collection[str] | None = None
) -> list[tuple[str, str]]:
    """The (profile, difference) that `judge_distributions` tests."""
    chosen = set(components) if components is not None else {c.name for c in session.components}
    return [
        (profile, name)
        for profile in session.profiles
        for name, entry in session.candidate_in(profile, on=on).known.items()
        if entry.by_design and chosen & set(entry.components)
    ]


def judge_side(
    reference: Side,
    candidate: Side,
    differences: Iterable[str] = tuple(FAMILIES),
    *,
    seed: int = 0,
    device: torch.device | None = None,
) -> list[dict[str, Any]]:
    """`judge_distributions` of any side, for the differences named; `profile` is the side's name, and no command
    repeats it.

    Raises ValueError for a difference without tests.
    """
    bench = _bench(reference, candidate, seed, device or torch.device("cpu"))
    return _judged([(candidate.name, name, test) for name in differences for test in _tests_of(name)(bench)])


def holm(p_values: Sequence[float], level: float) -> list[float]:
    """The threshold of each p-value: a test fails where p <= threshold (Holm 1979).

    The k-th smallest of m fails if it and all smaller ones are at most level/(m - k + 1); the first that is not stops
    the descent, and its threshold is that of all the rest. Any failure among true hypotheses has a probability of at
    most `level`, however the tests depend on each other.
    """
    thresholds = [0.0] * len(p_values)
    threshold, descending = 0.0, True
    for rank, k in enumerate(np.argsort(p_values, kind="stable")):
        if descending:
            threshold = level / (len(p_values) - rank)
            descending = p_values[k] <= threshold
        thresholds[k] = threshold
    return thresholds


def _judged(placed: Sequence[tuple[str, str, Placed]]) -> list[dict[str, Any]]:
    chance = [k for k, (_, _, item) in enumerate(placed) if not item.test.exact]
    thresholds = dict.fromkeys(range(len(placed)), 0.0)
    thresholds |= zip(chance, holm([placed[k][2].test.p_value for k in chance], FALSE_ALARMS), strict=True)
    strictest = FALSE_ALARMS / max(1, len(chance))
    return [
        {
            "profile": profile,
            "component": item.component,
            "difference": difference,
            "test": f"{item.test.name} ({item.side})",
            "side": item.side,
            "statistic": item.test.statistic,
            "p_value": item.test.p_value,
            "threshold": thresholds[k],
            "passed": item.test.p_value > thresholds[k],
            "sample_size": item.test.sample_size,
            "false_alarm": 0.0 if item.test.exact else FALSE_ALARMS,
            "miss": item.test.miss(strictest),
            "alternative": item.test.alternative,
            "closed_form": item.test.closed_form,
        }
        for k, (profile, difference, item) in enumerate(placed)
    ]


def _tested(candidate: Candidate) -> Side:
    """The candidate with only its differences by design."""
    others = tuple(name for name, entry in candidate.known.items() if not entry.by_design)
    return candidate.without(others) if others and candidate.without else candidate.side


def _bench(reference: Side, candidate: Side, seed: int, device: torch.device) -> Bench:
    # Far from the step numbers with which the reference reseeds.
    return Bench(reference, candidate, (seed + 1) * 1_000_003 % 2**31, device)


def _tests_of(difference: str) -> Callable[[Bench], list[Placed]]:
    if difference not in FAMILIES:
        raise ValueError(
            f"difference {difference!r} has no statistical tests; there are some for {', '.join(FAMILIES)}"
        )
    return FAMILIES[difference]
