"""Apply the statistical tests: to every difference by design at one rate of false alarms, and to verdicts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from parity.ledger import Entry
from parity.root_ggfm.statistical_tests.probe import (
    BRIDGE,
    StepDraws,
    forward_draws,
    loader_orders,
    reverse_noise,
    step_draws,
    step_losses,
)
from parity.root_ggfm.statistical_tests.tests import (
    StatisticalTest,
    exact,
    forward_tests,
    order_tests,
    reverse_tests,
    runs_independent,
    step_tests,
    two_sample_orders,
    two_samples,
)
from parity.search import Candidate
from parity.session import Session
from parity.side import MissingComponent, Side
from parity.verdict import Verdict

__all__ = [
    "FALSE_ALARMS",
    "FULL_SIZES",
    "SUITES",
    "SampleSizes",
    "apply_tests",
    "differences_by_design",
    "holm",
    "judge_distributions",
    "judge_side",
]

FALSE_ALARMS = 0.01
"""The probability that any test of one report fails although every draw follows its law."""

Tests = Callable[[Side, int], list[StatisticalTest]]
Row = dict[str, Any]


class SampleSizes(NamedTuple):
    """Steps, repeated steps and losses of a training step, and passes of a loader that are drawn.

    At the defaults the stated alternatives are missed with a probability of about one in a hundred at most.
    """

    steps: int = 250
    repeated: int = 32
    losses: int = 320
    passes: int = 2000


FULL_SIZES = SampleSizes()


class _Placed(NamedTuple):
    """A test, its component, and the side that it is about: reference, candidate or both."""

    component: str
    side: str
    test: StatisticalTest


@dataclass(frozen=True)
class _Bench:
    """Two sides and where they draw. Each has a seed of its own: equal draws on both would be no evidence."""

    reference: Side
    candidate: Side
    seed: int
    device: torch.device
    sizes: SampleSizes

    def each(self, component: str, tests: Tests, of_candidate: Tests | None = None) -> list[_Placed]:
        """Run `tests(side, seed)` of one component on both sides; with `of_candidate`, other ones on the candidate."""

        def both() -> list[_Placed]:
            found = [_Placed(component, "reference", test) for test in tests(self.reference, self.seed)]
            others = (of_candidate or tests)(self.candidate, self.seed + 1)
            return found + [_Placed(component, "candidate", test) for test in others]

        return self.guarded(component, both)

    def guarded(self, component: str, tests: Callable[[], list[_Placed]]) -> list[_Placed]:
        """Run tests of one component; return a failed test where a side raises.

        Returns none where the candidate lacks the component, which has a verdict of its own.
        """
        if not hasattr(self.candidate, component):
            return []
        try:
            return tests()
        except MissingComponent:
            return []
        except Exception as error:  # noqa: BLE001 - a side that raises, in any way, has not shown the law of its draws
            said = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
            name = f"{component} can be drawn from: {said}"
            failed = exact(name, False, 0, closed_form="neither side raises", alternative="one raises")
            return [_Placed(component, "both", failed)]


def _loader_suite(bench: _Bench) -> list[_Placed]:
    def tests() -> list[_Placed]:
        left = loader_orders(bench.reference, bench.sizes.passes, bench.seed, bench.device)
        right = loader_orders(bench.candidate, bench.sizes.passes, bench.seed + 1, bench.device)
        sides = (("reference", left), ("candidate", right))
        found = [_Placed("loader", name, test) for name, orders in sides for test in order_tests(orders)]
        if left.complete and right.complete:
            found.append(_Placed("loader", "both", two_sample_orders(left, right)))
        return found

    return bench.guarded("loader", tests)


def _step_seed_suite(bench: _Bench) -> list[_Placed]:
    count = bench.sizes.repeated

    def drawn(side: Side, seed: int) -> tuple[StepDraws, StepDraws, bool]:
        """Draw in two runs; compare their first steps."""
        draws = step_draws(side, range(1, bench.sizes.steps + 1), seed, bench.device)
        again = step_draws(side, range(1, count + 1), seed + 1000, bench.device)
        same = np.array_equal(draws.noise[:count], again.noise) and np.array_equal(draws.t[:count], again.t)
        return draws, again, bool(same)

    def reseeded(side: Side, seed: int) -> list[StatisticalTest]:
        draws, _, same = drawn(side, seed)
        law, alternative = "the draws of step k are the same in every run", "any step that draws otherwise"
        name = "draws given by the step's number"
        repeated = exact(name, same, count, closed_form=law, alternative=alternative)
        return [repeated, *step_tests(draws, BRIDGE.num_timesteps)]

    def running(side: Side, seed: int) -> list[StatisticalTest]:
        draws, again, same = drawn(side, seed)
        law, alternative = "the draws of step k differ from run to run", "the same draws in both runs"
        name = "draws not given by the step's number"
        differ = exact(name, not same, count, closed_form=law, alternative=alternative)
        return [differ, *step_tests(draws, BRIDGE.num_timesteps), runs_independent(draws.noise[:count], again.noise)]

    def losses() -> list[_Placed]:
        steps = range(1, bench.sizes.losses + 1)
        left = step_losses(bench.reference, steps, bench.seed, bench.device)
        right = step_losses(bench.candidate, steps, bench.seed + 1, bench.device)
        law = "Smirnov's law: the losses of the steps have one law on both sides"
        test = two_samples("training loss at fixed weights", left, right, shift=0.75, closed_form=law)
        return [_Placed("training_loss", "both", test)]

    def forward(side: Side, seed: int) -> list[StatisticalTest]:
        return [
            test
            for k, kind in enumerate(("linear", "sin"))
            for test in forward_tests(forward_draws(side, kind, seed + 2 * k, bench.device), kind)
        ]

    return [
        *bench.each("training_loss", reseeded, running),
        *bench.guarded("training_loss", losses),
        *bench.each("q_sample", forward),
        *bench.each("p_sample", lambda side, seed: reverse_tests(reverse_noise(side, seed, bench.device))),
    ]


SUITES: Mapping[str, Callable[[_Bench], list[_Placed]]] = {"loader": _loader_suite, "step_seed": _step_seed_suite}
"""The differences by design for which there are tests."""


def judge_distributions(
    session: Session,
    *,
    on: Sequence[str] = (),
    components: Collection[str] | None = None,
    sizes: SampleSizes = FULL_SIZES,
) -> list[Row]:
    """Test every difference by design that is on, in each profile of the session; return plain values.

    All other known differences of the candidate are turned off: they have verdicts of their own.
    `on`: further switches. `components`: only differences that reach one of these (default: those of the session).
    Keys: profile, component, difference, test, side, statistic, p_value, threshold, passed (p_value > threshold),
    sample_size, false_alarm (of all tests together; 0 where chance has no part), miss (the probability of passing under
    `alternative`, at the strictest threshold), alternative, closed_form, reproduce (the command that repeats it).
    Holm's correction is over the whole list.
    """
    placed: list[tuple[str, str, _Placed]] = []
    for profile, name in differences_by_design(session, on=on, components=components):
        side = _only_by_design(session.candidate_in(profile, on=on))
        bench = _bench(session.reference, side, session.seed, session.context.device, sizes)
        placed += [(profile, name, test) for test in _suite(name)(bench)]
    options = "".join(f" --on {name}" for name in on) + (f" --seed {session.seed}" if session.seed else "")
    return [row | {"reproduce": f"parity distribution --profile {row['profile']}{options}"} for row in _judged(placed)]


def differences_by_design(
    session: Session, *, on: Sequence[str] = (), components: Collection[str] | None = None
) -> list[tuple[str, str]]:
    """Return the (profile, difference) that `judge_distributions` tests."""
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
    differences: Iterable[str] = tuple(SUITES),
    *,
    seed: int = 0,
    device: torch.device | None = None,
    sizes: SampleSizes = FULL_SIZES,
) -> list[Row]:
    """Test any side like `judge_distributions`, for the differences named; `profile` is its name, without `reproduce`.

    Raises ValueError for a difference without tests.
    """
    bench = _bench(reference, candidate, seed, device or torch.device("cpu"), sizes)
    return _judged([(candidate.name, name, test) for name in differences for test in _suite(name)(bench)])


def holm(p_values: Sequence[float], level: float) -> list[float]:
    """Return the threshold of each p-value: a test fails where p <= threshold (Holm 1979).

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


def _judged(placed: Sequence[tuple[str, str, _Placed]]) -> list[Row]:
    chance = [k for k, (_, _, item) in enumerate(placed) if not item.test.exact]
    thresholds = dict.fromkeys(range(len(placed)), 0.0)
    thresholds |= zip(chance, holm([placed[k][2].test.p_value for k in chance], FALSE_ALARMS), strict=True)
    strictest = FALSE_ALARMS / max(1, len(chance))
    return [
        {
            "profile": profile,
            "component": component,
            "difference": difference,
            "test": f"{test.name} ({side})",
            "side": side,
            "statistic": test.statistic,
            "p_value": test.p_value,
            "threshold": thresholds[k],
            "passed": test.p_value > thresholds[k],
            "sample_size": test.sample_size,
            "false_alarm": 0.0 if test.exact else FALSE_ALARMS,
            "miss": test.miss(strictest),
            "alternative": test.alternative,
            "closed_form": test.closed_form,
        }
        for k, (profile, difference, (component, side, test)) in enumerate(placed)
    ]


def _only_by_design(candidate: Candidate) -> Side:
    """Return the candidate with its differences by design only."""
    others = tuple(name for name, entry in candidate.known.items() if not entry.by_design)
    return candidate.without(others) if others and candidate.without else candidate.side


def _bench(reference: Side, candidate: Side, seed: int, device: torch.device, sizes: SampleSizes) -> _Bench:
    # Far from the step numbers with which the reference reseeds.
    return _Bench(reference, candidate, (seed + 1) * 1_000_003 % 2**31, device, sizes)


def _suite(difference: str) -> Callable[[_Bench], list[_Placed]]:
    if difference not in SUITES:
        raise ValueError(f"difference {difference!r} has no statistical tests; there are some for {', '.join(SUITES)}")
    return SUITES[difference]


def apply_tests(
    rows: Iterable[Mapping[str, Any]], distributions: Sequence[Mapping[str, Any]], ledger: Mapping[str, Entry]
) -> list[Row]:
    """Return the component results with the verdict that the tests of `judge_distributions` give them.

    - `randomness` that differences by design explain alone becomes `distribution` where all their tests pass.
    - Where a test fails it becomes `divergent` and unexpected, and so does, whatever else is known of it, the component
      that owns the difference; where that is not among the rows, every component that the difference reaches.
    - A difference without tests in this profile changes nothing: `randomness` stays.
    """
    plain = [dict(row) for row in rows]
    there = {(row["profile"], row["component"]) for row in plain}
    return [
        _applied(row, there, [test for test in distributions if test["profile"] == row["profile"]], ledger)
        for row in plain
    ]


def _applied(
    row: Row, there: Collection[tuple[str, str]], tests: Sequence[Mapping[str, Any]], ledger: Mapping[str, Entry]
) -> Row:
    by_design = {name for name in row["known"] if name in ledger and ledger[name].by_design}
    explained = bool(row["known"]) and set(row["known"]) == by_design
    randomness = row["ok"] and row["verdict"] == Verdict.RANDOMNESS and explained

    def blamed(name: str) -> bool:
        owner_there = (row["profile"], ledger[name].component) in there
        return row["component"] in (ledger[name].components[:1] if owner_there else ledger[name].components)

    failed = [
        test
        for test in tests
        if not test["passed"] and ((randomness and test["difference"] in by_design) or blamed(test["difference"]))
    ]
    if failed and row["ok"]:
        unexpected = _with(row, Verdict.DIVERGENT, _failure(failed))
        return unexpected | {"ok": False, "reproduce": failed[0]["reproduce"]}
    own = [test for test in tests if test["difference"] in by_design]
    if not failed and randomness and {test["difference"] for test in own} == by_design:
        return _with(row, Verdict.DISTRIBUTION, _agreement(own))
    return row


def _with(row: Row, verdict: Verdict, reason: str) -> Row:
    judgement = {**row["judgement"], "verdict": verdict.value, "reason": reason}
    return row | {"verdict": verdict.value, "judgement": judgement}


def _agreement(tests: Sequence[Mapping[str, Any]]) -> str:
    chance = [test for test in tests if test["false_alarm"]]
    names = ", ".join(dict.fromkeys(test["difference"] for test in tests))
    return (
        f"the draws differ by design ({names}) and follow one law: {len(tests)} tests pass, false alarms at most "
        f"{max((test['false_alarm'] for test in chance), default=0.0):.0%} together, the stated deviations missed with "
        f"probability at most {max((test['miss'] for test in chance), default=0.0):.2g}"
    )


def _failure(failed: Sequence[Mapping[str, Any]]) -> str:
    first = min(failed, key=lambda test: test["p_value"])
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return (
        f"the draws differ by design ({first['difference']}), but not in law: {first['test']} fails with "
        f"p = {first['p_value']:.2g}, threshold {first['threshold']:.2g}{more}; expected {first['closed_form']}"
    )
