"""Each stage judged twice: with the reference's inputs forced, and on its own inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import torch

from parity.comparator import Runs, compare_trees, metadata_difference
from parity.component import Component, Context
from parity.draws import Draw, handovers
from parity.execution import Outcome, run
from parity.judge import compare_with_spread, judge
from parity.policy import EPS32, EPS64, Policy
from parity.root_ggfm.components import REGISTRY
from parity.root_ggfm.stages.chain import Call, Chain, Replay, follow, repeat
from parity.root_ggfm.stages.inputs import as_far_as, same_inputs
from parity.root_ggfm.stages.standing import NOT_REACHED, Judged, StageResult, stand
from parity.root_ggfm.stages.table import JOINED, STAGES
from parity.side import MissingComponent, Side, Tree
from parity.verdict import LeafResult, Verdict

__all__ = ["ReferenceRun", "judge_chain"]

_LOOSE = Policy()
"""Of a stage whose inputs differ within rounding nothing can be equal to the bit but what is discrete."""


class ReferenceRun:
    """The reference's run, in both precisions: made once, whatever is held against it.

    `low`, `high`: in the session's precision, and in float64. `nudged(k)`: from inputs that rounding cannot tell from
    the given ones. `forced`: per stage, what the reference makes of that stage's inputs alone.

    `given`: configuration, task, seed and precision, as `Side.training` takes them.
    """

    def __init__(self, side: Side, given: Mapping[str, Any], ctx: Context) -> None:
        self.side, self.given, self.ctx = side, given, ctx
        self.low = follow(side, given, dtype=ctx.dtype, device=ctx.device, record=True)
        self.high = follow(side, given, dtype=torch.float64, device=ctx.device)
        self.nudged = cache(self._nudged)
        self.nudged64 = cache(partial(self._nudged, dtype=torch.float64, unit=EPS64))
        self.forced: dict[str, dict[tuple[Any, ...], Outcome]] = {}

    def _nudged(self, k: int, dtype: torch.dtype | None = None, unit: float = EPS32) -> Chain:
        """The run from inputs that rounding cannot tell from the given ones; `k` seeds the moves."""
        return follow(self.side, self.given, dtype=dtype or self.ctx.dtype, device=self.ctx.device, nudge=k, unit=unit)


def judge_chain(reference: ReferenceRun, candidate: Side) -> list[StageResult]:
    """Judge every stage of the candidate's run against the reference's, in the pipeline's order."""
    return _Judging(reference, candidate).results()


class _Judging:
    def __init__(self, reference: ReferenceRun, candidate: Side) -> None:
        self.reference, self.candidate, self.ctx = reference, candidate, reference.ctx
        self.low, self.high = self._chain(reference.ctx.dtype), self._chain(torch.float64)

    def _chain(self, dtype: torch.dtype, replay: Replay | None = None) -> Chain:
        return follow(self.candidate, self.reference.given, dtype=dtype, device=self.ctx.device, replay=replay)

    def results(self) -> list[StageResult]:
        runs = self.reference.low, self.low
        names = [n for n in STAGES if n != JOINED and (self.reference.low.raised or any(run.of(n) for run in runs))]
        forced = {name: self._forced(name) for name in names}
        own = {name: self._own(name, forced[name], self.low, self.high) for name in names}
        own_joined, forced_joined = self._joined()
        own[JOINED], forced[JOINED] = own_joined, forced_joined
        by_chance = {name for name in names if forced[name].verdict == Verdict.RANDOMNESS}
        if by_chance:
            own |= self._with_equal_draws(own, forced, by_chance)
        return stand(own, forced)

    def _with_equal_draws(
        self, own: Mapping[str, Judged], forced: Mapping[str, Judged], by_chance: set[str]
    ) -> dict[str, Judged]:
        """The stages that agree once the stages `by_chance` are handed the reference's draws: `randomness`."""
        replay = self._equal_draws(by_chance)
        low, high = self._chain(self.ctx.dtype, replay), self._chain(torch.float64, replay)
        found = {}
        for name, judged in own.items():
            if judged.agrees:
                continue
            equal = self._whole(low, high) if name == JOINED else self._compare(name, forced[name], low, high)
            if equal.agrees:
                reason = f"{judged.reason}; with the reference's draws handed over it agrees"
                found[name] = Judged(Verdict.RANDOMNESS.value, reason)
        return found

    def _forced(self, name: str) -> Judged:
        """The project's verdict on the very inputs and generator states that the reference's stage had."""
        calls, raised = self.reference.low.of(name), self.reference.low.raised
        fails = raised is not None and raised.stage == name
        if fails:
            assert raised is not None
            calls = [*calls, raised]
        if not calls:
            why = f"ends before, in {raised.stage}" if raised else "has no use for it"
            return Judged(NOT_REACHED, f"the reference's run {why}")
        bind, inputs = repeat(name, calls)
        made_of = REGISTRY[STAGES[name].component]
        stage = Component(
            name=name,
            title=made_of.title,
            formula=made_of.formula,
            strategy=made_of.strategy,
            build=lambda params, ctx: inputs,  # noqa: ARG005 - the reference's run is the input
            policy=_everywhere(made_of.policy),
            refused=lambda params: fails,  # noqa: ARG005 - likewise
            call=bind,
        )
        known = self.reference.forced.setdefault(name, {})
        found = judge(stage, {}, self.reference.side, self.candidate, self.ctx, known=known)
        return Judged(found.verdict.value, found.reason)

    def _own(self, name: str, forced: Judged, low: Chain, high: Chain) -> Judged:
        """On what the candidate's own stages made; where that is the reference's to the bit, the forced verdict."""
        theirs = self.reference.low, self.reference.high
        if all(same_inputs(left, right, name) for left, right in zip(theirs, (low, high), strict=True)):
            return forced
        return self._compare(name, forced, low, high)

    def _compare(self, name: str, forced: Judged, low: Chain, high: Chain) -> Judged:
        """A stage's results against the reference's, within what rounding of the reference's inputs explains."""
        theirs = self.reference.low, self.reference.high
        errors = [chain.error(name) for chain in (*theirs, low, high)]
        if any(isinstance(error, MissingComponent) for error in errors[2:]):
            return Judged(Verdict.MISSING.value, forced.reason)
        if any(errors):
            return _judge_raised(errors)
        ours = [as_far_as(*chains, name) for chains in zip(theirs, (low, high), strict=True)]
        for left, right in zip(theirs, (low, high), strict=True):
            if not left.of(name) and left.raised:
                return Judged(NOT_REACHED, f"the reference's run ends before, in {left.raised.stage}")
            if len(right.of(name)) < len(left.of(name)) and right.raised:
                return Judged(NOT_REACHED, f"the candidate's run ends before, in {right.raised.stage}")
        trees = [{leaf: value for call in calls for leaf, value in call.tree.items()} for calls in ours]
        runs = Runs(theirs[0].tree(name), trees[0], theirs[1].tree(name), trees[1])
        policy = replace(_LOOSE, shared_scale=REGISTRY[STAGES[name].component].policy.shared_scale)
        ref = self.reference
        _, leaves = compare_with_spread(
            runs, policy, lambda k: ref.nudged(k).tree(name), lambda k: ref.nudged64(k).tree(name)
        )
        return _judged(leaves)

    def _whole(self, low: Chain, high: Chain) -> Judged:
        """The results of a whole chain against the reference's."""
        if low.result is None or high.result is None:
            return Judged(NOT_REACHED, "the candidate's run ends before")
        return self._compare_results(low.result, high.result)

    def _compare_results(self, low: Tree, high: Tree) -> Judged:
        theirs = self.reference.low.result, self.reference.high.result
        if theirs[0] is None or theirs[1] is None:
            return Judged(NOT_REACHED, "the reference's run ends before")
        runs = _results(theirs[0], low, theirs[1], high)
        ref = self.reference
        _, leaves = compare_with_spread(
            runs,
            _LOOSE,
            lambda k: _without_averages(ref.nudged(k).result or {}),
            lambda k: _without_averages(ref.nudged64(k).result or {}),
        )
        return _judged(leaves)

    def _joined(self) -> tuple[Judged, Judged]:
        """The candidate's run as it makes it itself: against the reference's, and against the chain of its stages."""
        given = self.reference.given

        def made(dtype: torch.dtype) -> Outcome:
            method = REGISTRY[JOINED].bind(self.candidate)
            return run(method, given, seed=int(given["seed"]), dtype=dtype, device=self.ctx.device)

        low, high = made(self.ctx.dtype), made(torch.float64)
        if isinstance(low.error, MissingComponent):
            missing = Judged(Verdict.MISSING.value, str(low.error))
            return missing, missing
        found = []
        for who, left, right in (
            ("reference's run", self.reference.low, self.reference.high),
            ("chain of its stages", self.low, self.high),
        ):
            errors = [chain.raised.outcome.error if chain.raised else None for chain in (left, right)]
            if any(errors) or low.error or high.error:
                found.append(_judge_raised([*errors, low.error, high.error], who, "candidate's own run"))
            elif left is self.reference.low:
                found.append(self._compare_results(low.tree, high.tree))
            else:
                runs = _results(left.result or {}, low.tree, right.result or {}, high.tree)
                found.append(_judged(compare_trees(runs, _LOOSE)))
        return found[0], found[1]

    def _equal_draws(self, stages: set[str]) -> Replay:
        """Hands the reference's draws to the stages that differ by their draws alone, call by call."""
        reference = {key: call for key, call in self.reference.low.calls.items() if call.stage in stages}

        def replay(stage: str, label: str) -> Sequence[Draw]:
            call = reference.get((stage, label))
            return self._handed_over(call) if call else ()

        return replay

    def _handed_over(self, call: Call) -> Sequence[Draw]:
        """The draws of the reference's call in the way in which the candidate, on its inputs, comes closest to it."""
        bind, inputs = repeat(call.stage, [call])

        def made(**options: Any) -> Outcome:
            return run(bind(self.candidate), inputs, seed=0, dtype=self.ctx.dtype, device=self.ctx.device, **options)

        ways = handovers(call.outcome.draws, made(record=True).draws)
        return min(ways, key=lambda way: _distance(call.tree, made(replay=way).tree))


def _distance(left: Tree, right: Tree) -> float:
    """The largest difference of two trees; infinite where they differ in anything but values."""
    if left.keys() != right.keys() or any(metadata_difference(leaf, right[name]) for name, leaf in left.items()):
        return math.inf
    pairs = [(leaf, right[name]) for name, leaf in left.items() if isinstance(leaf, torch.Tensor) and leaf.numel()]
    return max((float((a.double() - b.double()).abs().max()) for a, b in pairs), default=0.0)


def _everywhere(policy: Policy) -> Policy:
    """The policy of a component, for outputs that are named by the call they come from."""
    return replace(policy, exact=(*policy.exact, *(f"*/{pattern}" for pattern in policy.exact)))


def _judge_raised(
    errors: Sequence[Exception | None], reference: str = "reference", candidate: str = "candidate"
) -> Judged:
    """`errors`: of the reference in both precisions, then of the candidate. Only a refusal agrees with a refusal."""
    said = [f"{type(error).__name__}: {' '.join(str(error).split())[:160]}" if error else "" for error in errors]
    left, right = said[0] or said[1], said[2] or said[3]
    if left and right:
        if not isinstance(errors[2] or errors[3], (ValueError, RuntimeError)):
            why = f"the {candidate} does not refuse this, it fails: {right}; {reference} {left}"
            return Judged(Verdict.ERROR.value, why)
        return Judged(Verdict.REFUSED.value, f"both raise: {reference} {left}; {candidate} {right}")
    who, what = (reference, left) if left else (candidate, right)
    return Judged(Verdict.ERROR.value, f"only the {who} raises: {what}")


def _judged(leaves: Sequence[LeafResult]) -> Judged:
    worst = max(leaves, key=lambda leaf: (leaf.verdict.severity, leaf.used), default=None)
    if worst is None or worst.verdict is Verdict.IDENTICAL:
        return Judged(Verdict.IDENTICAL.value, "equal to the bit")
    return Judged(worst.verdict.value, f"{worst.name}: {worst.reason}")


def _results(reference32: Tree, candidate32: Tree, reference64: Tree, candidate64: Tree) -> Runs:
    trees = map(_without_averages, (reference32, candidate32, reference64, candidate64))
    return Runs(next(trees), next(trees), next(trees), next(trees))


def _without_averages(tree: Tree) -> Tree:
    """Averages are kept where there is a use for them; what they do shows in the validation and in the test."""
    return {name: leaf for name, leaf in tree.items() if not name.startswith("ema/")}
