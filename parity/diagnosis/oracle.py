"""The test oracle of a mutation: it tells if the candidate, as it stands at that moment, agrees with the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from typing import Any

import torch
from torch import Tensor

from parity.comparator import Runs, compare_leaf
from parity.component import Component, Context, start_seed
from parity.diagnosis.settings import enabled
from parity.draws import Draw, handovers
from parity.execution import Outcome, run
from parity.execution import execute as execute_side
from parity.judge import compare_with_spread, side_effects
from parity.policy import EPS64
from parity.side import Side, Tree

__all__ = ["Oracle", "Oracles", "open_oracle", "open_oracles", "smallest_failing"]

_MOST_INPUTS = 6

_SPREAD = 2
"""Perturbed runs of the reference from which its own float32 error is estimated at first."""

_HOPELESS = 1e4
"""Excess over the tolerance that more of them, which the judge asks for as well, cannot explain."""

_MOST_SMALLER = 60
"""Smaller inputs tried."""

_SIZES = (4, 8, 16, 32, 64)
"""Not below 4: values are recognised by their numbers, and a value of one or two numbers is soon mistaken."""


@dataclass(frozen=True, eq=False)
class Oracle:
    """One input with the reference's runs on it; the candidate is run each time it is asked.

    `forced`: the candidate gets the reference's draws, and may leave generators in another state. `reference` is the
    outcome in float64, `low` that in the session's precision. `perturbed` gives the reference's trees on inputs that
    rounding cannot tell from this one, by number, in the session's precision and in float64; the first `spread` of the
    former are always looked at, more where little is lacking. `single`: a precision in which the candidate is judged
    as well, where float64 agrees as it is. `last`: the candidate's latest outcome.
    """

    component: Component
    inputs: Mapping[str, Any]
    seed: int
    device: torch.device
    candidate: Side
    reference: Outcome
    low: Outcome
    spread: int
    perturbed: tuple[Callable[[int], Tree], Callable[[int], Tree]]
    forced: bool
    single: torch.dtype | None = None
    last: list[Outcome] = field(default_factory=list)

    def agrees(self) -> bool:
        """True if the candidate agrees in float64: values, errors, side effects and, unless forced, randomness.

        Where the reference refuses the input, the candidate must raise an error of the same type.
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
        """Return the outputs that differ by more than rounding."""
        far, near = self._apart(outcome)
        return [*far, *(name for name in near if not self._by_rounding(outcome, [name]))]

    def run(self, *, record: bool = False, replay: Sequence[Draw] = (), dtype: torch.dtype = torch.float64) -> Outcome:
        """Run the candidate."""
        call = self.component.bind(self.candidate)
        return run(call, self.inputs, seed=self.seed, dtype=dtype, device=self.device, record=record, replay=replay)

    def _accurate(self, precision: torch.dtype) -> bool:
        """True if the candidate errs no more than rounding explains."""
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
        return tuple(self.perturbed[0](k) for k in range(self.spread))

    def _apart(self, outcome: Outcome, *, first: bool = False) -> tuple[list[str], list[str]]:
        """Return outputs that differ by more than rounding can explain, and those for which it may; or the first."""
        ref, low = self.reference.tree, self.low.tree
        runs = Runs(low, low, ref, outcome.tree, self._spread)  # only float64 is judged, by float32's own error
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
        """True if the judge, which looks at more of the reference's own runs, takes a difference for rounding."""
        low, ref, own = ({name: one.tree[name] for name in names} for one in (self.low, self.reference, outcome))
        runs = Runs(low, low, ref, own, self._spread)
        _, leaves = compare_with_spread(runs, self.component.policy, *self.perturbed)
        return all(leaf.verdict.agrees for leaf in leaves)


def open_oracle(
    component: Component,
    params: Mapping[str, Any],
    reference: Side,
    candidate: Side,
    ctx: Context,
    *,
    forced: bool,
    single: bool = False,
    spread: int = _SPREAD,
) -> Oracle:
    """Run the reference on one input. `reference.error` is set if it raised."""
    inputs, seed = component.build(params, ctx), start_seed(params)
    execute = partial(execute_side, component, reference, inputs, seed=seed, device=ctx.device)
    low = execute(dtype=ctx.dtype)
    truth = execute(dtype=torch.float64, record=forced)
    perturbed = (
        cache(lambda k: execute(dtype=ctx.dtype, nudge=k).tree),
        cache(lambda k: execute(dtype=torch.float64, nudge=k, unit=EPS64).tree),
    )
    precision = ctx.dtype if single else None
    return Oracle(component, inputs, seed, ctx.device, candidate, truth, low, spread, perturbed, forced, precision)


@dataclass(frozen=True, eq=False)
class Oracles:
    """The input that fails, and others on which a change must agree as well; opened when they are first asked for.

    `first` is None if the reference fails on it, too.
    """

    first: Oracle | None
    opens: Callable[[], list[Oracle]]

    @cached_property
    def others(self) -> list[Oracle]:
        """The component's examples, as far as the reference does not fail on them."""
        return self.opens()


def open_oracles(
    component: Component,
    params: Mapping[str, Any],
    reference: Side,
    candidate: Side,
    ctx: Context,
    *,
    forced: bool,
    single: bool,
) -> Oracles:
    """Open `params` and the component's examples; `single`: in the session's precision, too.

    On an input that the component must refuse both sides must raise.
    """

    def opened(one: Mapping[str, Any]) -> Oracle | None:
        oracle = open_oracle(component, one, reference, candidate, ctx, forced=forced, single=single)
        works = oracle.reference.error is None and oracle.low.error is None
        return oracle if works or (component.refused(one) and oracle.reference.error) else None

    examples = [example for example in component.examples if dict(example) != dict(params)][: _MOST_INPUTS - 1]
    return Oracles(opened(params), lambda: [oracle for oracle in map(opened, examples) if oracle is not None])


def smallest_failing(
    component: Component, params: Mapping[str, Any], reference: Side, candidate: Side, ctx: Context
) -> dict[str, Any]:
    """Return `params` with every whole number as small as it may be while the sides still differ in float64.

    Traces of a smaller input are shorter, and quicker to make. If the sides differ with equal draws forced, they go on
    to differ so: mathematics stays mathematics. A candidate that raises goes on to raise, and a NaN that one side alone
    has stays. Return `params` if the sides agree there in float64 (only float32 fails), or nothing smaller fails.
    """
    best = dict(params)
    if not enabled("shrink"):
        return best

    def way_of_differing(smaller: Mapping[str, Any], *, forced: bool) -> tuple[bool, bool] | None:
        oracle = open_oracle(component, smaller, reference, candidate, ctx, forced=forced, spread=1)
        if oracle.reference.error or oracle.low.error or oracle.agrees():
            return None
        (own,) = oracle.last
        return own.error is not None, _has_nan(own.tree) != _has_nan(oracle.reference.tree)

    forced = True
    way = way_of_differing(best, forced=True)
    if way is None:
        forced = False
        way = way_of_differing(best, forced=False)
    tried = 0
    for name, size in _smaller(params) if way is not None else ():
        if tried == _MOST_SMALLER:
            break
        if size < best[name]:
            tried += 1
            try:
                if way_of_differing(best | {name: size}, forced=forced) == way:
                    best[name] = size
            except Exception:  # noqa: BLE001 - not an input of this component
                continue
    return best


def _has_nan(tree: Mapping[str, Any]) -> bool:
    return any(isinstance(leaf, Tensor) and bool(leaf.isnan().any()) for leaf in tree.values())


def _smaller(params: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield names and sizes to try, the smallest size of every name before the next size."""
    names = [
        name
        for name, value in params.items()
        if isinstance(value, int) and not isinstance(value, bool) and value > _SIZES[0] and name != "seed"
    ]
    for size in _SIZES:
        yield from ((name, size) for name in names)
