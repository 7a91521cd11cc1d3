"""Whether the candidate, as it stands at that moment, agrees with the reference on an input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any

import torch

from parity.comparator import Runs, compare_leaf
from parity.component import start_seed
from parity.draws import Draw, handovers
from parity.execution import Outcome, run
from parity.judge import compare_with_spread, side_effects
from parity.policy import EPS64
from parity.side import Side, Tree

if TYPE_CHECKING:
    from parity.component import Component, Context

__all__ = ["Trial", "Trials", "open_trial", "trials"]

_MOST_INPUTS = 6

_SPREAD = 2
"""Runs of the reference moved within rounding, from which its own float32 error is estimated at first."""

_HOPELESS = 1e4
"""Excess over the tolerance that more of them, which the judge asks for as well, cannot explain."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One input with the reference's runs on it; the candidate is run each time it is asked for.

    `forced`: the candidate is handed the reference's draws, and not held to the state it leaves generators in.
    """

    component: Component
    inputs: Mapping[str, Any]
    seed: int
    device: torch.device
    candidate: Side
    reference: Outcome
    """In float64."""

    low: Outcome
    """In the session's precision."""

    spread: int
    moved: tuple[Callable[[int], Tree], Callable[[int], Tree]]
    """The reference's trees on inputs that rounding cannot tell from this one, in the session's precision and in
    float64, by number. The first `spread` of the former are always looked at, more where little is lacking.
    """

    forced: bool
    single: torch.dtype | None = None
    """A precision that the candidate is judged in as well, where float64 agrees as it is."""

    last: list[Outcome] = field(default_factory=list)
    """The candidate's latest outcome."""

    def agrees(self) -> bool:
        """Whether the candidate agrees in float64: values, errors, side effects and, unless forced, randomness.

        Where the reference refuses the input: whether the candidate does so with an error of the same type.
        """
        if self.single is not None and not self._accurate(self.single):
            return False
        own = self.run(record=self.forced)
        self.last[:] = [own]
        if self.reference.error is not None:
            return own.error is not None and type(own.error).__name__ == type(self.reference.error).__name__
        if self._same(own):
            return True
        if not self.forced or own.error is not None:
            return False
        ways = {tuple(map(id, way)): way for way in handovers(self.reference.draws, own.draws)}
        return any(self._same(self.run(replay=way)) for way in ways.values())

    def differing(self, outcome: Outcome) -> list[str]:
        """Names of the outputs that differ from the reference's by more than rounding explains."""
        far, near = self._apart(outcome)
        return [*far, *(name for name in near if not self._by_rounding(outcome, [name]))]

    def run(self, *, record: bool = False, replay: Sequence[Draw] = (), dtype: torch.dtype = torch.float64) -> Outcome:
        """The candidate's run."""
        call = self.component.bind(self.candidate)
        return run(call, self.inputs, seed=self.seed, dtype=dtype, device=self.device, record=record, replay=replay)

    def _accurate(self, precision: torch.dtype) -> bool:
        """Whether the candidate errs no more than rounding explains."""
        own = self.run(dtype=precision)
        self.last[:] = [own]
        ref = self.reference.tree
        runs = Runs(self.low.tree, own.tree, ref, ref, self._spread)
        named = own.error is None and own.tree.keys() == ref.keys()
        return named and all(compare_leaf(name, runs, self.component.policy).verdict.agrees for name in ref)

    def _same(self, outcome: Outcome) -> bool:
        return (
            outcome.error is None
            and (self.forced or outcome.generators == self.reference.generators)
            and not side_effects(self.reference, outcome)
            and self._agree(outcome)
        )

    def _agree(self, outcome: Outcome) -> bool:
        far, near = self._apart(outcome, first=True)
        return not far and (not near or self._by_rounding(outcome, near))

    @cached_property
    def _spread(self) -> tuple[Tree, ...]:
        return tuple(self.moved[0](k) for k in range(self.spread))

    def _apart(self, outcome: Outcome, *, first: bool = False) -> tuple[list[str], list[str]]:
        """Outputs that differ by more than rounding can explain, and those by so little that it may; or the first."""
        ref, low = self.reference.tree, self.low.tree
        runs = Runs(low, low, ref, outcome.tree, self._spread)  # only float64 is judged, by what float32 errs
        far = [name for name in outcome.tree if name not in ref]
        near: list[str] = []
        for name in ref:
            if first and far:
                break
            leaf = compare_leaf(name, runs, self.component.policy) if name in outcome.tree else None
            if leaf is None or not leaf.verdict.agrees:
                (near if leaf is not None and 1 < leaf.used < _HOPELESS else far).append(name)
        return far, near

    def _by_rounding(self, outcome: Outcome, names: Sequence[str]) -> bool:
        """Whether the judge, which looks at more of the reference's own runs, takes a difference for rounding."""
        low, ref, own = ({name: one.tree[name] for name in names} for one in (self.low, self.reference, outcome))
        runs = Runs(low, low, ref, own, self._spread)
        _, leaves = compare_with_spread(runs, self.component.policy, *self.moved)
        return all(leaf.verdict.agrees for leaf in leaves)


def open_trial(
    component: Component,
    params: Mapping[str, Any],
    reference: Side,
    candidate: Side,
    ctx: Context,
    *,
    forced: bool,
    single: bool = False,
    spread: int = _SPREAD,
) -> Trial:
    """Runs the reference on one input. `reference.error` is set if it raised."""
    inputs, seed = component.build(params, ctx), start_seed(params)
    execute = partial(run, component.bind(reference), inputs, seed=seed, device=ctx.device)
    low = execute(dtype=ctx.dtype)
    truth = execute(dtype=torch.float64, record=forced)
    moved = (
        cache(lambda k: execute(dtype=ctx.dtype, nudge=k).tree),
        cache(lambda k: execute(dtype=torch.float64, nudge=k, unit=EPS64).tree),
    )
    precision = ctx.dtype if single else None
    return Trial(component, inputs, seed, ctx.device, candidate, truth, low, spread, moved, forced, precision)


@dataclass(frozen=True, eq=False)
class Trials:
    """The input that fails, and others on which a change is to agree as well; opened when they are first asked for.

    `first` is None if the reference fails on it, too.
    """

    first: Trial | None
    opens: Callable[[], list[Trial]]

    @cached_property
    def others(self) -> list[Trial]:
        """The component's examples, as far as the reference does not fail on them."""
        return self.opens()


def trials(
    component: Component,
    params: Mapping[str, Any],
    reference: Side,
    candidate: Side,
    ctx: Context,
    *,
    forced: bool,
    single: bool,
) -> Trials:
    """For `params`, and for the component's examples; `single`: in the session's precision, too.

    An input that the component is to refuse is one on which both are to raise.
    """

    def opened(one: Mapping[str, Any]) -> Trial | None:
        trial = open_trial(component, one, reference, candidate, ctx, forced=forced, single=single)
        works = trial.reference.error is None and trial.low.error is None
        return trial if works or (component.refused(one) and trial.reference.error) else None

    examples = [example for example in component.examples if dict(example) != dict(params)][: _MOST_INPUTS - 1]
    return Trials(opened(params), lambda: [trial for trial in map(opened, examples) if trial is not None])
