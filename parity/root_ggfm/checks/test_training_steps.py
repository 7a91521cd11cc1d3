"""Each switch, turned on alone, parts from ROOT's run at the step where it first can matter, in what it acts on.

That step is read off ROOT's run itself; before it every draw, batch, loss, gradient, rate and weight is equal to the
bit. A switch that acts outside of training and test never parts the runs: only the component that owns it sees it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import torch

from parity.execution import cast
from parity.ledger import Entry
from parity.loading import load_side
from parity.root_ggfm.components import component
from parity.root_ggfm.training_trace import TEST, record_timeline, seen_at, step_of
from parity.session import Session
from parity.side import Side, Tree

Step = int | str | None


def _steps(run: Tree, leaf: str) -> dict[int, Any]:
    """A leaf of the run by step."""
    return {int(step_of(name)): value for name, value in run.items() if name.endswith(f"/{leaf}")}


def _first(steps: Mapping[int, bool]) -> Step:
    return min((step for step, holds in steps.items() if holds), default=None)


def _updates(run: Tree) -> list[int]:
    """The steps at which the optimiser steps."""
    weights = _steps(run, "weights")
    return [step for step in weights if step and not torch.equal(weights[step], weights[step - 1])]


def _at(step: Step) -> Callable[[Tree], Step]:
    return lambda run: step  # noqa: ARG005 - known before the run


def _first_update(run: Tree) -> Step:
    return min(_updates(run))


def _first_batch_without_update(run: Tree) -> Step:
    return _first({step: step not in _updates(run) for step in _steps(run, "loss")})


def _first_reduced_rate(run: Tree) -> Step:
    rates = _steps(run, "lr")
    return _first({step: rate < rates[1] for step, rate in rates.items()})


def _first_clipped_update(run: Tree) -> Step:
    norms = {step: float(gradient.norm()) for step, gradient in _steps(run, "gradient").items()}
    return _first({step: step in _updates(run) and norm > 5 for step, norm in norms.items()})


def _first_lagging_average(run: Tree) -> Step:
    weights = _steps(run, "weights")
    return _first({k: not torch.equal(used, weights[k]) for k, used in _steps(run, "evaluation").items()})


def _first_empty_epoch(run: Tree) -> Step:
    """Where ROOT fails; an epoch that is skipped leaves that step to the next one."""
    return _first({step: raised == "ValueError" for step, raised in _steps(run, "raised").items()})


@dataclass(frozen=True)
class Scenario:
    """A run in which the switch can matter: the leaf it acts on, and the step at which it first does.

    `leaf` is a shell pattern; None: the switch never parts the runs. Step 0 are the initial weights. Runs are given
    their pairs, since sampled ones differ by rounding; `empty` is the epoch that is given none.
    """

    leaf: str | None
    expected: Callable[[Tree], Step]
    changes: Mapping[str, Any] = field(default_factory=dict)
    empty: int | None = None


_NEVER = Scenario(None, _at(None))
_NOISE = {"objective": "noise", "batch_size": 4, "dim": 4}
"""The other objectives work where the batch size is D, in every batch."""

SCENARIOS = {
    "pool": Scenario("*/pool", _at(1)),
    "trajectory": _NEVER,
    "split": Scenario("*/batch/*", _at(1)),
    "loader": Scenario("*/before*", _at(1)),
    "batch_size": Scenario("*/batch/*", _at(1)),
    "accumulation": Scenario("*/weights", _first_batch_without_update),
    "optimiser": Scenario("*/weights", _first_update, {"optimizer": "RMSProp", "accumulate": 3}),
    "scheduler": Scenario("*/lr", _first_reduced_rate, {"epochs": 4, "patience": 0}),
    "grad_clip": Scenario("*/weights", _first_clipped_update, {"loss_type": "l2", "max_var": 150.0}),
    "ema": Scenario("*/evaluation", _first_lagging_average),
    "encoding": Scenario(None, _at(None), {"source": "discrete", "task_name": "TFBind10-Exact-v0"}),
    "noise_eps": Scenario("test/high", _at(TEST), _NOISE),
    "logged_x0": Scenario(None, _at(None), _NOISE),
    "clamp": Scenario("test/*", _at(TEST), {"sample_step": 30}),
    "step_seed": Scenario("*/draw*", _at(1)),
    "guidance": Scenario("*/draw*", _at(1)),
    "init": Scenario("*/weights", _at(0)),
    "steps_buffer": _NEVER,
    "empty_epoch": Scenario("*/raised", _first_empty_epoch, {"epochs": 3}, empty=1),
    "target": Scenario("test/high_cond", _at(TEST)),
}

_LATER = (
    _first_update, _first_reduced_rate, _first_clipped_update, _first_lagging_average, _first_empty_epoch,
)  # fmt: skip
"""What comes after the first step; a run in which it does not tells nothing."""


def _timeline(side: Side, scenario: Scenario, session: Session) -> Tree:
    steps = component("training_steps")
    given = steps.build({**steps.examples[0], **scenario.changes}, session.context)
    given = cast(given, device=session.context.device)
    pairs = given.pop("pairs")
    if scenario.empty is not None:
        pairs[scenario.empty] = [{end: v[:0] for end, v in function.items()} for function in pairs[scenario.empty]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that an epoch is skipped is said in a warning
        return record_timeline(side.start_training(**given), pairs)


def _before_test(run: Tree) -> Tree:
    return {name: leaf for name, leaf in run.items() if step_of(name) != TEST}


def test_the_switch_alone_is_seen_at_the_step_where_it_first_can_matter(
    difference: Entry, parity_session: Session
) -> None:
    scenario = SCENARIOS[difference.name]
    root = _timeline(parity_session.reference, scenario, parity_session)
    expected = scenario.expected(root)
    assert scenario.expected not in _LATER or expected not in (None, 0, 1), f"the run tells nothing: {expected}"
    aligned = _timeline(load_side("ggfm", "aligned"), scenario, parity_session)
    assert seen_at(_before_test(root), _before_test(aligned)) is None

    seen = seen_at(aligned, _timeline(load_side("ggfm", "aligned", on=[difference.name]), scenario, parity_session))
    assert (seen[0] if seen else None) == expected, f"{difference.name}: expected at step {expected}, seen at {seen}"
    assert seen is None or fnmatchcase(seen[1], scenario.leaf or ""), f"{difference.name}: seen in {seen[1]}"
