"""A verdict per recorded case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from parity.comparator import Runs, compare_leaf
from parity.execution import Outcome, run
from parity.judge import SPREAD_RUNS
from parity.policy import Policy
from parity.root_ggfm.published_numbers.calls import CALLS, prepare
from parity.root_ggfm.published_numbers.folder import GoldenCase, GoldenFolder
from parity.side import MissingComponent, Side, Tree
from parity.verdict import Judgement, LeafResult, Verdict

__all__ = ["judge_case"]

_EXACT = ("counts", "next_rand", "steps", "n_val", "val/*", "epoch*", "global_step", "lr")
"""What holds on every processor: indices, splits, batches and draws. Recorded candidates are gathered rows."""


def judge_case(case: GoldenCase, folder: GoldenFolder, side: Side, yardstick: Side | None = None) -> Judgement:
    """Repeat a recorded call and compare every recorded output.

    `identical`: equal to the bit. `rounding`: the recorded float32 numbers lie as close to this side's float64 result
    as the float32 numbers of `yardstick` do on inputs that rounding cannot tell apart (factor 2), which is what another
    processor's matrix products give. The yardstick computes as the recorded code did (default: `side` itself); a side
    with better arithmetic than that would not know the error of the recorded numbers.
    Anything else is `divergent`, `error` or `missing`.
    """

    def verdict(kind: Verdict, reason: str, leaves: tuple[LeafResult, ...] = ()) -> Judgement:
        return Judgement(case.component, side.name, {"key": case.key}, kind, reason, leaves)

    if case.component not in CALLS:
        return verdict(Verdict.MISSING, f"component {case.component!r} is unknown; known are {', '.join(CALLS)}")
    try:
        call, inputs = prepare(case, folder, side)
    except (KeyError, TypeError) as error:
        return verdict(Verdict.ERROR, f"the case cannot be repeated, it lacks or misnames {error}")
    seed = int(case.params.get("seed", 0))
    single = run(call, inputs, seed=seed)
    if isinstance(single.error, MissingComponent):
        return verdict(Verdict.MISSING, f"{side.name} has no {case.component}")
    if "error" in case.params:
        return verdict(*_judge_error(single, case.params["error"]))
    if single.error:
        return verdict(Verdict.ERROR, f"raises {type(single.error).__name__}: {single.error}")
    again = _Again(call, prepare(case, folder, yardstick or side)[0], inputs, seed)
    leaves = []
    if not case.outputs:
        return verdict(Verdict.ERROR, "nothing was recorded to compare with")
    for name, recorded in case.outputs.items():
        if name not in single.tree:
            leaves.append(LeafResult(name, Verdict.DIVERGENT, "recorded, but not returned"))
            continue
        mine = _as_recorded(single.tree[name], recorded)
        leaf = compare_leaf(name, Runs({name: recorded}, {name: mine}, {name: recorded}, {name: mine}), Policy())
        if leaf.verdict is not Verdict.IDENTICAL and recorded.is_floating_point() and mine.shape == recorded.shape:
            leaf = _judge_rounding(name, recorded, mine, again, case.component)
        leaves.append(leaf)
    worst = max(leaves, key=lambda leaf: (leaf.verdict.severity, leaf.used))
    identical = worst.verdict is Verdict.IDENTICAL
    reason = f"{len(leaves)} outputs equal to the bit" if identical else f"{worst.name}: {worst.reason}"
    return verdict(worst.verdict, reason, tuple(leaves))


class _Again:
    """Further runs of the same call, made when a comparison first needs them."""

    def __init__(
        self, call: Callable[..., Tree], yardstick: Callable[..., Tree], inputs: dict[str, Any], seed: int
    ) -> None:
        self._call, self._yardstick, self._inputs, self._seed = call, yardstick, inputs, seed

    @cached_property
    def double(self) -> Tree:
        """In float64."""
        return run(self._call, self._inputs, seed=self._seed, dtype=torch.float64).tree

    @cached_property
    def spread(self) -> list[Tree]:
        """On inputs and draws that rounding cannot tell from the recorded ones."""
        return [run(self._yardstick, self._inputs, seed=self._seed, nudge=k).tree for k in range(SPREAD_RUNS)]


def _judge_rounding(name: str, recorded: Tensor, mine: Tensor, again: _Again, component: str) -> LeafResult:
    truth = again.double.get(name)
    if not isinstance(truth, Tensor) or truth.numel() != recorded.numel():
        return LeafResult(name, Verdict.DIVERGENT, "differs, and the float64 run gives nothing to judge it by")
    # Both float32 results are judged against one float64 result; there is no recorded float64 to compare it with.
    policy = Policy(exact=_EXACT if component != "candidates" else ("*",))
    truth = truth.double().reshape(recorded.shape)
    runs = Runs({name: mine}, {name: recorded}, {name: truth}, {name: truth})
    leaf = compare_leaf(name, runs, policy)
    if leaf.verdict is Verdict.UNSTABLE:
        nudged = ({name: _as_recorded(tree[name], recorded)} for tree in again.spread if name in tree)
        leaf = compare_leaf(name, replace(runs, spread32=tuple(nudged)), policy)
    if leaf.verdict is Verdict.UNSTABLE:
        reason = f"off by {leaf.error32:.3g} where rounding explains {2 * leaf.reference_error32:.3g}"
        return replace(leaf, verdict=Verdict.DIVERGENT, reason=reason)
    return leaf


def _as_recorded(leaf: object, recorded: Tensor) -> Tensor:
    """A leaf in the recorded precision: plain numbers and lists were stored as arrays, single
    numbers, and nothing at all, in any shape."""
    mine = leaf if isinstance(leaf, Tensor) else torch.as_tensor(leaf)
    mine = mine.reshape(recorded.shape) if mine.numel() == recorded.numel() <= 1 else mine
    same_kind = mine.is_floating_point() == recorded.is_floating_point()
    return mine.to(recorded.dtype) if same_kind else mine


def _judge_error(outcome: Outcome, kind: str) -> tuple[Verdict, str]:
    if outcome.error is None:
        return Verdict.ERROR, f"returns a result where {kind} was recorded"
    if kind in {base.__name__ for base in type(outcome.error).__mro__}:
        return Verdict.IDENTICAL, f"fails as recorded, with {kind}"
    return Verdict.ERROR, f"fails with {type(outcome.error).__name__} where {kind} was recorded"
