"""One side led through a whole run, with everything written down that its stages can be judged from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from parity.draws import Draw
from parity.execution import Outcome, cast, run
from parity.policy import EPS32
from parity.root_ggfm.components import component
from parity.root_ggfm.stages.generators import Generators, fold
from parity.root_ggfm.stages.pipeline import play
from parity.root_ggfm.stages.table import STAGES
from parity.side import Side, Tree

__all__ = ["Call", "Chain", "follow", "labelled", "repeat"]

Replay = Callable[[str, str], Sequence[Draw]]
"""The draws to hand to the call of a stage, by its label."""


@dataclass(frozen=True)
class Call:
    """One call of a stage: what it was given, the state of the generators included, and what came of it."""

    stage: str
    label: str
    inputs: Mapping[str, Any]
    generators: Generators
    outcome: Outcome

    @property
    def tree(self) -> Tree:
        """Its outputs that the run goes on with, named by the call."""
        return labelled(self.label, STAGES[self.stage].read(self.outcome.tree))


@dataclass
class Chain:
    """A run: its calls in order, and `result`, what `Side.training` would have returned, if it came to its end.

    A call with the label of an earlier one of its stage takes its place: it saw all that the earlier one saw, and more.
    """

    calls: dict[tuple[str, str], Call] = field(default_factory=dict)
    result: Tree | None = None
    raised: Call | None = None

    def of(self, stage: str) -> list[Call]:
        """The calls of a stage, in order."""
        return [call for call in self.calls.values() if call.stage == stage]

    def tree(self, stage: str) -> Tree:
        """All outputs of a stage."""
        return {name: leaf for call in self.of(stage) for name, leaf in call.tree.items()}

    def error(self, stage: str) -> Exception | None:
        """What the stage raised."""
        return self.raised.outcome.error if self.raised is not None and self.raised.stage == stage else None


class _Stopped(Exception):
    """A stage raised; the run cannot go on."""


def labelled(label: str, tree: Tree) -> Tree:
    """The outputs of one call under its label."""
    return {f"{label}/{name}": leaf for name, leaf in tree.items()} if label else dict(tree)


def follow(
    side: Side,
    given: Mapping[str, Any],
    *,
    dtype: torch.dtype,
    device: torch.device,
    record: bool = False,
    replay: Replay | None = None,
    nudge: int | None = None,
    unit: float = EPS32,
) -> Chain:
    """Lead `side` through the run that `given` describes (the inputs of `Side.training`), in `dtype` on `device`.

    `record`, `replay`, `nudge` and `unit` are those of `parity.execution.run`, for every call; only stages that compute
    are nudged: moving the scores by which designs are only chosen would choose others among equals.
    The caller's generators are left as they were.
    """
    chain = Chain()

    def perform(stage: str, label: str, **inputs: Any) -> Tree:
        before = Generators.now()
        after = before

        def call(**arguments: Any) -> Tree:
            nonlocal after
            before.restore()
            try:
                return component(STAGES[stage].component).bind(side)(**arguments)
            finally:
                after = Generators.now()

        outcome = run(
            call, inputs, seed=0, dtype=dtype, device=device, record=record,
            replay=replay(stage, label) if replay else (), nudge=nudge if STAGES[stage].rounds else None, unit=unit,
        )  # fmt: skip
        after.restore()
        made = Call(stage, label, inputs, before, outcome)
        if outcome.error is not None:
            chain.raised = made
            raise _Stopped
        chain.calls[stage, label] = made
        return outcome.tree

    caller, seed = Generators.now(), int(given["seed"])
    try:
        chain.result = play(
            perform, given["config"], given["task"], seed, reseed=lambda: Generators.seeded(seed).restore()
        )
    except _Stopped:
        pass
    finally:
        caller.restore()
    return chain


def repeat(stage: str, calls: Sequence[Call]) -> tuple[Callable[[Side], Callable[..., Tree]], dict[str, Any]]:
    """The calls of a stage as one: how a side makes them from equal generator states, and their inputs.

    The generators end in a state that tells whether any single call left them in another one.
    """

    def bind(side: Side) -> Callable[..., Tree]:
        method = component(STAGES[stage].component).bind(side)

        def together(calls_inputs: list[dict[str, Any]]) -> Tree:
            tree: Tree = {}
            states = []
            for call, inputs in zip(calls, calls_inputs, strict=True):
                call.generators.restore()
                tree |= labelled(call.label, STAGES[stage].read(method(**inputs)))
                states.append(Generators.now())
            fold(states)
            return tree

        return together

    return bind, {"calls_inputs": [cast(call.inputs) for call in calls]}
