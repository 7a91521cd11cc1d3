"""Attribute differences of a whole run to stages: which stage causes one, and which only inherit it.

Every stage is judged twice: forced on the inputs and generator states that the reference's stage had, and on its own
inputs, those that the candidate's earlier stages made.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Literal

import torch

from parity.comparator import Runs, compare_trees, metadata_difference
from parity.component import Component, Context
from parity.draws import Draw, handovers
from parity.execution import Outcome, run
from parity.judge import compare_with_spread, judge
from parity.ledger import reaching
from parity.policy import EPS32, EPS64, Policy
from parity.root_ggfm.components import component
from parity.root_ggfm.components.training import SMALL_RUN
from parity.root_ggfm.stages.stage_graph import JOINED, STAGES, stages_that_feed
from parity.root_ggfm.stages.traced_run import (
    Call,
    Replay,
    TracedRun,
    comparable_calls,
    repeat,
    same_inputs,
    trace_run,
)
from parity.session import Session
from parity.side import MissingComponent, Side, Tree
from parity.verdict import LeafResult, Verdict

__all__ = [
    "NOT_REACHED",
    "STAGE_RUN",
    "ReferenceRun",
    "StageReport",
    "StageResult",
    "StageVerdict",
    "Standing",
    "attribute",
    "judge_session",
    "judge_stages",
    "reference_run",
    "sentence",
    "stages_of",
]

NOT_REACHED = "not reached"
"""In the place of a verdict: the run ended before this stage."""

Standing = Literal["agrees", "causes", "inherits", "masked", "not reached"]
"""- `agrees`: on its own inputs and on the reference's.
- `causes`: it differs although it has the reference's inputs.
- `inherits`: it differs, or is not reached, on its own inputs only.
- `masked`: it differs on the reference's inputs, and an earlier difference hides that in a run of its own.
- `not reached`: the reference's run ends before it, so there is nothing to compare with.
"""

STAGE_RUN: Mapping[str, Any] = {
    **SMALL_RUN,
    "source": "task",
    "task_name": "TFBind8-Exact-v0",
    "lengthscale": 6.25,
    "num_points": 24,
    "patience": 0,
}
"""The run that is judged: on the session's task, 12 batches in two epochs. The rate falls and the average decays within
them, and the average is last taken at the last batch."""

_CHANGES = {"functions", "sample_step", "max_var", "objective", "cooldown", "batch_size", "validation_interval"}
"""Parameters of a run that a case may change, besides those of `STAGE_RUN`."""

_LOOSE = Policy()
"""For stages whose inputs differ within rounding: only discrete outputs must be equal to the bit."""


@dataclass(frozen=True)
class StageVerdict:
    """A verdict, or `NOT_REACHED`, and why."""

    verdict: str
    reason: str

    @property
    def agrees(self) -> bool:
        """True if the sides agree."""
        return self.verdict != NOT_REACHED and Verdict(self.verdict).agrees


@dataclass(frozen=True)
class StageResult:
    """A stage judged twice. `origin`: the cause that it inherits from, if there is one."""

    stage: str
    own: str
    forced: str
    standing: Standing
    reason_own: str
    reason_forced: str
    origin: str | None = None

    @property
    def component(self) -> str:
        """The component that the stage calls."""
        return STAGES[self.stage].component

    @property
    def is_cause(self) -> bool:
        """True if it differs although it has the reference's inputs."""
        return self.standing in ("causes", "masked")


def attribute(own: Mapping[str, StageVerdict], forced: Mapping[str, StageVerdict]) -> list[StageResult]:
    """Return the standing of every stage, in the pipeline's order, with the cause from which a stage inherits."""
    standings = {name: _standing(own[name], forced[name]) for name in own}
    causes = [name for name, standing in standings.items() if standing in ("causes", "masked")]
    return [
        StageResult(
            stage=name,
            own=own[name].verdict,
            forced=forced[name].verdict,
            standing=standing,
            reason_own=own[name].reason,
            reason_forced=forced[name].reason,
            origin=_origin(name, causes) if standing in ("inherits", "not reached") else None,
        )
        for name, standing in standings.items()
    ]


def _standing(own: StageVerdict, forced: StageVerdict) -> Standing:
    if forced.verdict == NOT_REACHED:
        return "not reached" if own.verdict == NOT_REACHED else "inherits"
    if forced.agrees:
        return "agrees" if own.agrees else "inherits"
    return "masked" if own.agrees else "causes"


def _origin(name: str, causes: Sequence[str]) -> str | None:
    """Return the earliest cause that feeds the stage: along the pipeline, or else through an earlier step or epoch."""
    for within_epoch in (True, False):
        feeding = stages_that_feed(name, within_epoch=within_epoch)
        found = next((cause for cause in causes if cause in feeding), None)
        if found is not None:
            return found
    return None


def sentence(results: Sequence[StageResult]) -> str:
    """Sum the stages up: the first that causes a difference, the others that do, and who inherits from which."""
    causes = [result for result in results if result.is_cause]
    inheriting: dict[str | None, list[str]] = {}
    for result in results:
        if result.standing == "inherits":
            inheriting.setdefault(result.origin, []).append(result.stage)
    if not causes and not inheriting:
        return "Every stage agrees, on its own inputs and on the reference's."
    text = "No stage causes a difference."
    if causes:
        first, *others = causes
        text = f"The first stage that causes a difference is {first.stage} ({first.forced}: {first.reason_forced})."
        text += f" {_listed([c.stage for c in others])} {_verb(others, 'cause')} one as well." if others else ""
    for origin, stages in inheriting.items():
        source = origin or "rounding alone, which grows beyond what is allowed"
        text += f" {_listed(stages)} {_verb(stages, 'inherit')} from {source}."
    return text


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _verb(subjects: Sequence[object], verb: str) -> str:
    return verb if len(subjects) > 1 else f"{verb}s"


class ReferenceRun:
    """The reference's run, in both precisions: made once, for any number of candidates.

    `low`, `high`: in the session's precision, and in float64. `nudged(k)`, `nudged64(k)`: from inputs perturbed within
    rounding, by seed k. `forced`: per stage, the reference's outcomes on that stage's inputs alone.

    `given`: configuration, task, seed and precision, as `Side.training` takes them.
    """

    def __init__(self, side: Side, given: Mapping[str, Any], ctx: Context) -> None:
        self.side, self.given, self.ctx = side, given, ctx
        self.low = trace_run(side, given, dtype=ctx.dtype, device=ctx.device, record=True)
        self.high = trace_run(side, given, dtype=torch.float64, device=ctx.device)
        self.nudged = cache(partial(self._nudged, dtype=ctx.dtype, unit=EPS32))
        self.nudged64 = cache(partial(self._nudged, dtype=torch.float64, unit=EPS64))
        self.forced: dict[str, dict[tuple[Any, ...], Outcome]] = {}

    def _nudged(self, k: int, *, dtype: torch.dtype, unit: float) -> TracedRun:
        return trace_run(self.side, self.given, dtype=dtype, device=self.ctx.device, nudge=k, unit=unit)


def reference_run(reference: Side, ctx: Context, case: Mapping[str, Any] | None = None) -> ReferenceRun:
    """Make the reference's run in both precisions, to compare any number of candidates with.

    `case`: changes to `STAGE_RUN`. Raises ValueError naming one that such a run does not have.
    """
    known = {*STAGE_RUN, *_CHANGES}
    unknown = sorted(set(case or {}) - known)
    if unknown:
        raise ValueError(f"case: got {', '.join(unknown)}, allowed are {', '.join(sorted(known))}")
    return ReferenceRun(reference, component("training").build({**STAGE_RUN, **(case or {})}, ctx), ctx)


def judge_stages(reference: ReferenceRun, candidate: Side) -> list[StageResult]:
    """Judge every stage of the candidate's run twice, in the pipeline's order."""
    return _Attribution(reference, candidate).results()


@dataclass(frozen=True, kw_only=True)
class _Stage(Component):
    """Judge all calls of a stage as one component: `calls` makes them on a side."""

    calls: Callable[[Side], Callable[..., Tree]]

    def bind(self, side: Side) -> Callable[..., Tree]:
        """Return the calls on a side."""
        return self.calls(side)


class _Attribution:
    def __init__(self, reference: ReferenceRun, candidate: Side) -> None:
        self.reference, self.candidate, self.ctx = reference, candidate, reference.ctx
        self.low, self.high = self._traced(reference.ctx.dtype), self._traced(torch.float64)

    def _traced(self, dtype: torch.dtype, replay: Replay | None = None) -> TracedRun:
        return trace_run(self.candidate, self.reference.given, dtype=dtype, device=self.ctx.device, replay=replay)

    def results(self) -> list[StageResult]:
        runs = self.reference.low, self.low
        names = [n for n in STAGES if n != JOINED and (self.reference.low.raised or any(run.of(n) for run in runs))]
        forced = {name: self._forced(name) for name in names}
        own = {name: self._own(name, forced[name]) for name in names}
        own[JOINED], forced[JOINED] = self._joined()
        by_chance = {name for name in names if forced[name].verdict == Verdict.RANDOMNESS}
        if by_chance:
            own |= self._with_equal_draws(own, forced, by_chance)
        return attribute(own, forced)

    def _with_equal_draws(
        self, own: Mapping[str, StageVerdict], forced: Mapping[str, StageVerdict], by_chance: set[str]
    ) -> dict[str, StageVerdict]:
        """Give `randomness` to the stages that agree once the stages `by_chance` replay the reference's draws."""
        reference = {key: call for key, call in self.reference.low.calls.items() if call.stage in by_chance}

        def replay(stage: str, label: str) -> Sequence[Draw]:
            call = reference.get((stage, label))
            return self._draws_to_replay(call) if call else ()

        low, high = self._traced(self.ctx.dtype, replay), self._traced(torch.float64, replay)
        found = {}
        for name, judged in own.items():
            if judged.agrees:
                continue
            equal = (
                self._compare_results(low.result, high.result)
                if name == JOINED
                else self._compare(name, forced[name], low, high)
            )
            if equal.agrees:
                reason = f"{judged.reason}; with the reference's draws handed over it agrees"
                found[name] = StageVerdict(Verdict.RANDOMNESS.value, reason)
        return found

    def _draws_to_replay(self, call: Call) -> Sequence[Draw]:
        """Return the draws of the reference's call, in the way that brings the candidate closest to its outputs."""
        bind, inputs = repeat(call.stage, [call])

        def made(**options: Any) -> Outcome:
            return run(bind(self.candidate), inputs, seed=0, dtype=self.ctx.dtype, device=self.ctx.device, **options)

        ways = handovers(call.outcome.draws, made(record=True).draws)
        return min(ways, key=lambda way: _distance(call.tree, made(replay=way).tree))

    def _forced(self, name: str) -> StageVerdict:
        """Judge the stage as a component, on the inputs and generator states that the reference's stage had."""
        raised = self.reference.low.raised
        failed = self.reference.low.raised_in(name)
        calls = [*self.reference.low.of(name), *failed]
        if not calls:
            why = f"ends before, in {raised.stage}" if raised else "has no use for it"
            return StageVerdict(NOT_REACHED, f"the reference's run {why}")
        bind, inputs = repeat(name, calls)
        made_of = component(STAGES[name].component)
        exact = made_of.policy.exact
        stage = _Stage(
            name=name,
            title=made_of.title,
            formula=made_of.formula,
            strategy=made_of.strategy,
            build=lambda params, ctx: inputs,  # noqa: ARG005 - the reference's run is the input
            policy=replace(made_of.policy, exact=(*exact, *(f"*/{pattern}" for pattern in exact))),
            refused=lambda params: bool(failed),  # noqa: ARG005 - likewise
            calls=bind,
        )
        known = self.reference.forced.setdefault(name, {})
        found = judge(stage, {}, self.reference.side, self.candidate, self.ctx, cache=known)
        return StageVerdict(found.verdict.value, found.reason)

    def _own(self, name: str, forced: StageVerdict) -> StageVerdict:
        """Judge the stage on its own inputs; where these are the reference's to the bit, return the forced verdict."""
        pairs = ((self.reference.low, self.low), (self.reference.high, self.high))
        if all(same_inputs(left, right, name) for left, right in pairs):
            return forced
        return self._compare(name, forced, self.low, self.high)

    def _compare(self, name: str, forced: StageVerdict, low: TracedRun, high: TracedRun) -> StageVerdict:
        """Compare a stage's results with the reference's, within rounding of the reference's inputs."""
        ref = self.reference
        errors = [
            next((call.outcome.error for call in run.raised_in(name)), None) for run in (ref.low, ref.high, low, high)
        ]
        if any(isinstance(error, MissingComponent) for error in errors[2:]):
            return StageVerdict(Verdict.MISSING.value, forced.reason)
        if any(errors):
            return _judge_raised(errors)
        for left, right in ((ref.low, low), (ref.high, high)):
            if not left.of(name) and left.raised:
                return StageVerdict(NOT_REACHED, f"the reference's run ends before, in {left.raised.stage}")
            if len(right.of(name)) < len(left.of(name)) and right.raised:
                return StageVerdict(NOT_REACHED, f"the candidate's run ends before, in {right.raised.stage}")
        trees = [
            {leaf: value for call in comparable_calls(left, right, name) for leaf, value in call.tree.items()}
            for left, right in ((ref.low, low), (ref.high, high))
        ]
        runs = Runs(ref.low.tree(name), trees[0], ref.high.tree(name), trees[1])
        policy = replace(_LOOSE, shared_scale=component(STAGES[name].component).policy.shared_scale)
        _, leaves = compare_with_spread(
            runs, policy, lambda k: ref.nudged(k).tree(name), lambda k: ref.nudged64(k).tree(name)
        )
        return _worst(leaves)

    def _compare_results(self, low: Tree | None, high: Tree | None) -> StageVerdict:
        """Compare the results of a whole run with the reference's."""
        ref = self.reference
        if low is None or high is None:
            return StageVerdict(NOT_REACHED, "the candidate's run ends before")
        if ref.low.result is None or ref.high.result is None:
            return StageVerdict(NOT_REACHED, "the reference's run ends before")
        _, leaves = compare_with_spread(
            _results(ref.low.result, low, ref.high.result, high),
            _LOOSE,
            lambda k: _without_averages(ref.nudged(k).result),
            lambda k: _without_averages(ref.nudged64(k).result),
        )
        return _worst(leaves)

    def _joined(self) -> tuple[StageVerdict, StageVerdict]:
        """Judge the candidate's run as it makes it itself: against the reference's, and against its own chain."""
        given = self.reference.given

        def made(dtype: torch.dtype) -> Outcome:
            method = component(JOINED).bind(self.candidate)
            return run(method, given, seed=int(given["seed"]), dtype=dtype, device=self.ctx.device)

        low, high = made(self.ctx.dtype), made(torch.float64)
        if isinstance(low.error, MissingComponent):
            missing = StageVerdict(Verdict.MISSING.value, str(low.error))
            return missing, missing

        def raised(who: str, left: TracedRun, right: TracedRun) -> StageVerdict | None:
            errors = [run.raised.outcome.error if run.raised else None for run in (left, right)]
            failed = any(errors) or low.error or high.error
            return _judge_raised([*errors, low.error, high.error], who, "candidate's own run") if failed else None

        own = raised("reference's run", self.reference.low, self.reference.high)
        forced = raised("chain of its stages", self.low, self.high)
        chained = _results(self.low.result, low.tree, self.high.result, high.tree)
        return (
            own or self._compare_results(low.tree, high.tree),
            forced or _worst(compare_trees(chained, _LOOSE)),
        )


def _distance(left: Tree, right: Tree) -> float:
    """Return the largest difference of two trees; infinity where they differ in anything but values."""
    if left.keys() != right.keys() or any(metadata_difference(leaf, right[name]) for name, leaf in left.items()):
        return math.inf
    pairs = [(leaf, right[name]) for name, leaf in left.items() if isinstance(leaf, torch.Tensor) and leaf.numel()]
    return max((float((a.double() - b.double()).abs().max()) for a, b in pairs), default=0.0)


def _judge_raised(
    errors: Sequence[Exception | None], reference: str = "reference", candidate: str = "candidate"
) -> StageVerdict:
    """Judge `errors`, of the reference in both precisions, then of the candidate: only refusals agree."""
    said = [f"{type(error).__name__}: {' '.join(str(error).split())[:160]}" if error else "" for error in errors]
    left, right = said[0] or said[1], said[2] or said[3]
    if left and right:
        if not isinstance(errors[2] or errors[3], (ValueError, RuntimeError)):
            why = f"the {candidate} does not refuse this, it fails: {right}; {reference} {left}"
            return StageVerdict(Verdict.ERROR.value, why)
        return StageVerdict(Verdict.REFUSED.value, f"both raise: {reference} {left}; {candidate} {right}")
    who, what = (reference, left) if left else (candidate, right)
    return StageVerdict(Verdict.ERROR.value, f"only the {who} raises: {what}")


def _worst(leaves: Sequence[LeafResult]) -> StageVerdict:
    worst = max(leaves, key=lambda leaf: (leaf.verdict.severity, leaf.used), default=None)
    if worst is None or worst.verdict is Verdict.IDENTICAL:
        return StageVerdict(Verdict.IDENTICAL.value, "equal to the bit")
    return StageVerdict(worst.verdict.value, f"{worst.name}: {worst.reason}")


def _results(*trees: Tree | None) -> Runs:
    reference32, candidate32, reference64, candidate64 = map(_without_averages, trees)
    return Runs(reference32, candidate32, reference64, candidate64)


def _without_averages(tree: Tree | None) -> Tree:
    """Drop the moving averages: sides keep them only where they use them; validation and test show their effect."""
    return {name: leaf for name, leaf in (tree or {}).items() if not name.startswith("ema/")}


@dataclass(frozen=True)
class StageReport:
    """The stages of one candidate in one profile.

    `known`: per stage, the entries of the ledger that explain why it causes a difference. `unexpected`: the stages that
    none explains. `options`: those of the command that repeats it.
    """

    profile: str
    results: Sequence[StageResult]
    known: Mapping[str, tuple[str, ...]]
    unexpected: tuple[str, ...]
    options: str

    def plain(self) -> list[dict[str, Any]]:
        """Return the rows of the report document, stage by stage."""
        return [
            {
                "profile": self.profile,
                "stage": result.stage,
                "component": result.component,
                "title": STAGES[result.stage].title,
                "own": result.own,
                "forced": result.forced,
                "standing": result.standing,
                "origin": result.origin,
                "reason_own": result.reason_own,
                "reason_forced": result.reason_forced,
                "known": list(self.known.get(result.stage, ())),
                "ok": result.stage not in self.unexpected,
                "reproduce": f"parity stages {self.options} --stage {result.stage}",
            }
            for result in self.results
        ]


def judge_session(
    session: Session, profile: str, run: ReferenceRun, *, on: Sequence[str] = (), case: Mapping[str, Any] | None = None
) -> StageReport:
    """Judge the stages of the session's candidate in a profile, with the ledger's explanations.

    A cause is explained if entries of the ledger reach its component and the candidate with these differences turned
    off has no such cause on the same run. A stage that inherits is explained with its cause.
    `case`: that of `run`, for the command that repeats it.
    """
    candidate = session.candidate_in(profile, on=on)
    results = judge_stages(run, candidate.side)
    entries = {r.stage: tuple(e.name for e in reaching(candidate.known, r.component)) for r in results if r.is_cause}
    names = tuple(sorted({name for reaching_stage in entries.values() for name in reaching_stage}))
    rest = results
    if names and candidate.without is not None:
        rest = judge_stages(run, candidate.without(names))
    left = {result.stage for result in rest if result.standing not in ("agrees", "not reached")}
    known = {stage: found for stage, found in entries.items() if stage not in left}
    options = candidate.options
    if case:
        options += f" --case '{json.dumps(dict(case), separators=(',', ':'))}'"
    unexpected = tuple(r.stage for r in results if r.stage in left or (r.is_cause and not entries[r.stage]))
    return StageReport(profile, results, known, unexpected, options)


def stages_of(session: Session) -> list[dict[str, Any]]:
    """Return the stages of the session's candidate in each of its profiles, as the report document holds them."""
    run = reference_run(session.reference, session.context)
    return [row for profile in session.profiles for row in judge_session(session, profile, run).plain()]
