"""Whether the candidate, as it stands at that moment, agrees with the reference on an input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
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

__all__ = ["Trial", "open_trial", "trials"]

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
    last: list[Outcome] = field(default_factory=list)
    """The candidate's latest outcome."""

    def agrees(self) -> bool:
        """Whether the candidate agrees in float64: values, errors, side effects and, unless forced, randomness.

        Where the reference refuses the input: whether the candidate does so with an error of the same type.
        """
        own = self.run(record=self.forced)
        self.last[:] = [own]
        if self.reference.error is not None:
            return own.error is not None and type(own.error).__name__ == type(self.reference.error).__name__
        outcomes = [own]
        if self.forced and own.error is None:
            outcomes += [self.run(replay=replay) for replay in handovers(self.reference.draws, own.draws)]
        return any(self._same(outcome) for outcome in outcomes)

    def differing(self, outcome: Outcome) -> list[str]:
        """Names of the outputs that differ from the reference's by more than rounding explains."""
        return list(self._differing(outcome))

    def run(self, *, record: bool = False, replay: Sequence[Draw] = ()) -> Outcome:
        """The candidate's float64 run."""
        call = self.component.bind(self.candidate)
        return run(
            call, self.inputs, seed=self.seed, dtype=torch.float64, device=self.device, record=record, replay=replay
        )

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
    spread: int = _SPREAD,
) -> Trial:
    """Runs the reference on one input. `reference.error` is set if it raised."""
    inputs, seed = component.build(params, ctx), start_seed(params)
    execute = partial(run, component.bind(reference), inputs, seed=seed, device=ctx.device)
    low = execute(dtype=ctx.dtype)
    moved = () if low.error else tuple(execute(dtype=ctx.dtype, nudge=k).tree for k in range(spread))
    truth = execute(dtype=torch.float64, record=forced)
    return Trial(component, inputs, seed, ctx.device, candidate, truth, low, moved, forced)


def trials(
    component: Component, params: Mapping[str, Any], reference: Side, candidate: Side, ctx: Context, *, forced: bool
) -> list[Trial]:
    """For `params`, and for the component's examples, as far as the reference does not fail on them.

    An input that the component is to refuse is one on which both are to raise.
    """
    inputs = [params, *(example for example in component.examples if dict(example) != dict(params))]
    opened = [open_trial(component, one, reference, candidate, ctx, forced=forced) for one in inputs[:_MOST_INPUTS]]
    refused = [component.refused(one) for one in inputs[:_MOST_INPUTS]]
    return [
        trial
        for trial, refusal in zip(opened, refused, strict=True)
        if (trial.reference.error is None and trial.low.error is None) or (refusal and trial.reference.error)
    ]
