"""Whether the candidate, as it stands at that moment, agrees with the reference on an input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import torch

from parity.comparator import Runs, compare_leaf
from parity.components.base import start_seed
from parity.draws import Draw, handovers
from parity.judge import side_effects
from parity.outcome import Outcome, run
from parity.sides.interface import Side

if TYPE_CHECKING:
    from parity.components.base import Component, Context

__all__ = ["Trial", "Trials", "open_trial", "trials"]

_MOST_INPUTS = 6

_SPREAD = 2
"""Runs of the reference moved within rounding, from which its own float32 error is estimated."""


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

    spread: tuple[Any, ...]
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
        return list(self._differing(outcome))

    def run(self, *, record: bool = False, replay: Sequence[Draw] = (), dtype: torch.dtype = torch.float64) -> Outcome:
        """The candidate's run."""
        call = self.component.bind(self.candidate)
        return run(call, self.inputs, seed=self.seed, dtype=dtype, device=self.device, record=record, replay=replay)

    def _accurate(self, precision: torch.dtype) -> bool:
        """Whether the candidate errs no more than rounding explains."""
        own = self.run(dtype=precision)
        self.last[:] = [own]
        ref = self.reference.tree
        runs = Runs(self.low.tree, own.tree, ref, ref, self.spread)
        named = own.error is None and own.tree.keys() == ref.keys()
        return named and all(compare_leaf(name, runs, self.component.policy).verdict.agrees for name in ref)

    def _same(self, outcome: Outcome) -> bool:
        return (
            outcome.error is None
            and (self.forced or outcome.generators == self.reference.generators)
            and not side_effects(self.reference, outcome)
            and next(self._differing(outcome), None) is None
        )

    def _differing(self, outcome: Outcome) -> Iterator[str]:
        ref, low = self.reference.tree, self.low.tree
        runs = Runs(low, low, ref, outcome.tree, self.spread)  # only float64 is judged, by what float32 errs
        yield from (name for name in outcome.tree if name not in ref)
        for name in ref:
            if name not in outcome.tree or not compare_leaf(name, runs, self.component.policy).verdict.agrees:
                yield name


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
    moved = () if low.error else tuple(execute(dtype=ctx.dtype, nudge=k).tree for k in range(spread))
    truth = execute(dtype=torch.float64, record=forced)
    precision = ctx.dtype if single else None
    return Trial(component, inputs, seed, ctx.device, candidate, truth, low, moved, forced, precision)


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
