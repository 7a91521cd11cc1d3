"""Judge two implementations on one input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from parity.comparator import Runs, compare_trees
from parity.component import Component, Context, start_seed
from parity.draws import describe_draws, handovers
from parity.execution import Outcome
from parity.execution import execute as run_side
from parity.policy import EPS64, Policy
from parity.side import MissingComponent, Side, SideLost, Tree, capabilities
from parity.verdict import Judgement, LeafResult, Verdict

__all__ = ["SPREAD_RUNS", "compare_with_spread", "judge", "side_effects"]

_HOPELESS64 = 1e4
"""Excess over the float64 tolerance that the reference's own float64 error is not asked to explain."""

SPREAD_RUNS = 20
"""Runs of the reference on inputs and draws moved within one unit in the last place: enough that their largest error
bounds what rounding does (an error of a candidate that is twice as large comes by chance less than once in 10,000)."""

_SPREADS = ((4, 1e4), (SPREAD_RUNS, 1e2))
"""Such runs when one says too little about the reference's own error: first a few, then enough. Each stage with the
excess over the tolerance that it cannot turn into agreement."""


_NO_CODE = "both sides are recorded numbers: other draws or other mathematics, that cannot be told without their code"

_Drawn = tuple[Side, Outcome, Outcome]
"""A side with its float32 and its float64 run, draws recorded."""


def judge(
    component: Component,
    params: Mapping[str, Any],
    reference: Side,
    candidate: Side,
    ctx: Context,
    *,
    cache: dict[tuple[Any, ...], Outcome] | None = None,
) -> Judgement:
    """Judge `candidate` against `reference` on the input that `params` describe.

    Four runs from equal generator states: both sides, float32 and float64. Only when these disagree more is run: the
    reference on inputs that rounding cannot tell apart (to learn its own error), both sides once more with their draws
    recorded, and the candidate with the reference's draws forced on it (to tell `randomness` from `divergent`).

    `cache`: keeps the reference's runs on this very input from one candidate to the next.
    """
    inputs = component.build(params, ctx)
    seed = start_seed(params)

    def execute(side: Side, dtype: torch.dtype, **options: Any) -> Outcome:
        key = dtype, *sorted(options.items())
        if side is reference and cache is not None and key in cache:
            return cache[key]
        outcome = run_side(component, side, inputs, seed=seed, dtype=dtype, device=ctx.device, **options)
        if side is reference and cache is not None:
            cache[key] = outcome
        return outcome

    def verdict(kind: Verdict, reason: str, leaves: list[LeafResult] | None = None, **more: Any) -> Judgement:
        return Judgement(component.name, candidate.name, dict(params), kind, reason, tuple(leaves or ()), **more)

    low = ctx.dtype
    ref32, cand32 = execute(reference, low), execute(candidate, low)
    ref64, cand64 = execute(reference, torch.float64), execute(candidate, torch.float64)

    outcomes = ((reference, ref32), (candidate, cand32), (reference, ref64), (candidate, cand64))
    for name, outcome in ((side.name, outcome) for side, outcome in outcomes):
        if isinstance(outcome.error, MissingComponent):
            return verdict(Verdict.MISSING, str(outcome.error) or f"{name} has no {component.name}")
    for left, right in ((ref32, cand32), (ref64, cand64)):
        if left.error or right.error or component.refused(params):
            unchecked = not capabilities(candidate).checks_inputs
            return verdict(*_judge_errors(left, right, component.refused(params), unchecked))

    runs = Runs(ref32.tree, cand32.tree, ref64.tree, cand64.tree)
    runs, leaves = compare_with_spread(
        runs,
        component.policy,
        lambda k: execute(reference, low, nudge=k).tree,
        lambda k: execute(reference, torch.float64, nudge=k, unit=EPS64).tree,
    )
    parted = ref32.generators != cand32.generators or ref64.generators != cand64.generators
    effects = side_effects(ref32, cand32)
    if not parted and not effects and any(leaf.verdict in (Verdict.DIVERGENT, Verdict.ERROR) for leaf in leaves):
        flip = component.flips(params, runs) or _flipped_decision(runs, component, execute, reference, low)
        if flip is not None:
            return verdict(Verdict.ROUNDING, flip, notes=(flip,))

    worst = max(leaves, key=lambda leaf: (leaf.verdict.severity, leaf.used), default=None)
    agree = worst is None or worst.verdict.agrees
    draws: dict[str, Any] = {}
    if parted or not agree:
        ref32, cand32 = (execute(side, low, record=True) for side in (reference, candidate))
        draws = {"draws_reference": describe_draws(ref32.draws), "draws_candidate": describe_draws(cand32.draws)}
        if parted or _drawn(ref32) != _drawn(cand32):
            ref64, cand64 = (execute(side, torch.float64, record=True) for side in (reference, candidate))
            forced = reference if capabilities(candidate).code == "none" else candidate  # numbers cannot draw again
            drawn = (reference, ref32, ref64), (candidate, cand32, cand64)
            same = agree or _agrees_with_equal_draws(execute, low, component, *drawn, forced)
            if same and not effects:
                return verdict(Verdict.RANDOMNESS, _parting(ref32, cand32), leaves, **draws)
            if not same and capabilities(forced).code == "none":
                draws["notes"] = (_NO_CODE,)
    if effects:
        return verdict(Verdict.DIVERGENT, f"side effect: {effects}", leaves, **draws)
    if worst is None:
        return verdict(Verdict.IDENTICAL, "nothing is returned, nothing else happened", leaves, **draws)
    if worst.verdict is Verdict.IDENTICAL:
        return verdict(Verdict.IDENTICAL, "equal to the bit, same randomness, same side effects", leaves, **draws)
    return verdict(worst.verdict, f"{worst.name}: {worst.reason}", leaves, **draws)


def compare_with_spread(
    runs: Runs, policy: Policy, nudged: Callable[[int], Tree], nudged64: Callable[[int], Tree]
) -> tuple[Runs, list[LeafResult]]:
    """Compare; where one run says too little about the reference's own error, run it more often.

    `nudged(k)`: the reference's float32 tree on inputs that rounding cannot tell from the given ones, moved by seed k;
    `nudged64(k)`: its float64 tree, moved within float64's unit. That one is asked last: where rounding passes through
    a root of what cancels, errors do not scale with the unit, and float32's say too little about float64's.
    """
    leaves = compare_trees(runs, policy)
    for count, hopeless in _SPREADS:
        if _rounding_may_explain(leaves, hopeless):
            more = (nudged(k) for k in range(len(runs.spread32), count))
            runs = replace(runs, spread32=(*runs.spread32, *more))
            leaves = compare_trees(runs, policy)
    if any(leaf.verdict is Verdict.DIVERGENT for leaf in leaves) and _rounding_may_explain(leaves, _HOPELESS64):
        runs = replace(runs, spread64=tuple(nudged64(k) for k in range(SPREAD_RUNS)))
        leaves = compare_trees(runs, policy)
    return runs, leaves


def _judge_errors(reference: Outcome, candidate: Outcome, refused: bool, unchecked: bool) -> tuple[Verdict, str]:
    """Judge runs of which one raises. `unchecked`: the candidate does not validate inputs, so any exception counts as a
    refusal."""
    left, right = reference.error, candidate.error
    if left and right:
        kinds = f"reference {_say(left)}; candidate {_say(right)}"
        # An error of another kind is a refusal where it is the reference's own way to refuse.
        meant = isinstance(right, (ValueError, RuntimeError)) or type(left).__name__ == type(right).__name__
        lost = any(isinstance(error, (SideLost, MemoryError)) for error in (left, right))
        if refused and (meant or unchecked) and not lost:
            return Verdict.REFUSED, f"both refuse this input: {kinds}"
        if refused and not isinstance(left, (SideLost, MemoryError)):
            return Verdict.ERROR, f"the candidate does not refuse this input, it fails on it: {kinds}"
        return Verdict.ERROR, f"both sides raise where no refusal is declared: {kinds}"
    if left or right:
        who, error = ("reference", left) if left else ("candidate", right)
        return Verdict.ERROR, f"only the {who} raises: {_say(error)}"
    return Verdict.ERROR, "both sides return a result for an input that is declared to be refused"


def _say(error: Exception | None) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}"


def _rounding_may_explain(leaves: list[LeafResult], hopeless: float) -> bool:
    """Return True if every disagreement is one of values, and small enough that a better known error may explain it."""
    excess = [leaf.used for leaf in leaves if not leaf.verdict.agrees]
    return bool(excess) and all(1 < used < hopeless for used in excess)


def _flipped_decision(runs: Runs, component: Component, execute: Any, reference: Side, low: torch.dtype) -> str | None:
    """Explains outputs of another shape, or NaN on one side, if a decision (how many pairs are kept, the sign under a
    root) flips within rounding of its boundary.

    Only if float64 agrees entirely, and the reference by itself decides otherwise in float64 than in float32, or on
    inputs that rounding cannot tell apart.
    """
    mathematics = Runs(runs.reference64, runs.candidate64, runs.reference64, runs.candidate64)
    if not all(leaf.verdict.agrees for leaf in compare_trees(mathematics, component.policy)):
        return None
    decided = _decided(runs.reference32)
    if decided != _decided(runs.reference64):
        return "a decision lies within rounding of its boundary: the reference flips it between float32 and float64"
    if decided != _decided(runs.candidate32) and any(
        _decided(execute(reference, low, nudge=k).tree) != decided for k in range(SPREAD_RUNS)
    ):
        return "a decision lies within rounding of its boundary: the reference flips it on inputs moved by one unit"
    return None


def _decided(tree: Tree) -> dict[str, tuple[tuple[int, ...], bool]]:
    """Return the shape of each output, and True if it is finite."""
    tensors = {name: leaf for name, leaf in tree.items() if isinstance(leaf, torch.Tensor)}
    return {name: (tuple(leaf.shape), bool(leaf.isfinite().all())) for name, leaf in tensors.items()}


def _drawn(outcome: Outcome) -> list[tuple[str, tuple[int, ...], bytes]]:
    return [(d.kind, d.shape, d.value.contiguous().cpu().numpy().tobytes()) for d in outcome.draws]


def _agrees_with_equal_draws(
    execute: Any, low: torch.dtype, component: Component, reference: _Drawn, candidate: _Drawn, forced: Side
) -> bool:
    """Return True if the sides agree once `forced`, one of them, draws the other one's draws, for some way of handing
    them over."""
    kept, own = (reference, candidate) if forced is candidate[0] else (candidate, reference)
    for replay32, replay64 in zip(
        handovers(kept[1].draws, own[1].draws), handovers(kept[2].draws, own[1].draws), strict=False
    ):
        forced32 = execute(forced, low, replay=replay32)
        forced64 = execute(forced, torch.float64, replay=replay64)
        if forced32.error or forced64.error:
            return False
        runs = Runs(kept[1].tree, forced32.tree, kept[2].tree, forced64.tree)
        if kept is candidate:
            runs = Runs(runs.candidate32, runs.reference32, runs.candidate64, runs.reference64)
        if all(leaf.verdict.agrees for leaf in compare_trees(runs, component.policy)):
            return True
    return False


def _parting(reference: Outcome, candidate: Outcome) -> str:
    for k, (left, right) in enumerate(zip(reference.draws, candidate.draws, strict=False)):
        if (left.kind, left.shape) != (right.kind, right.shape):
            return f"the draws part at number {k}: {left} became {right}; with equal draws the values agree"
        if not torch.equal(left.value, right.value.to(left.value.dtype)):
            return f"the draws part at number {k}: {left} from another generator state; with equal draws they agree"
    longer = len(candidate.draws) - len(reference.draws)
    if longer:
        return f"the candidate draws {abs(longer)} {'more' if longer > 0 else 'fewer'} than the reference"
    return "the generators are left in another state"


def side_effects(reference: Outcome, candidate: Outcome) -> str:
    """Say which side effects the candidate has and the reference does not. Aliasing an input or keeping a
    graph only counts when the candidate does it: returning a copy where the reference returns its input harms nobody.
    """
    found = []
    if reference.mutated != candidate.mutated:
        found.append(f"inputs changed: {list(reference.mutated)} became {list(candidate.mutated)}")
    for what in ("aliases", "undetached"):
        extra = sorted(set(getattr(candidate, what)) - set(getattr(reference, what)))
        if extra:
            meaning = "share memory with an input" if what == "aliases" else "still carry a graph"
            found.append(f"outputs that {meaning}: {extra}")
    if reference.globals != candidate.globals:
        found.append(f"global settings: {list(reference.globals)} became {list(candidate.globals)}")
    return "; ".join(found)
