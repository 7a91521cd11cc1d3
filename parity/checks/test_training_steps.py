"""Each switch, turned on alone, parts from the aligned run at the step where it first can matter, and not before.

That step is read off the aligned run itself, which the component `training_steps` holds to ROOT's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from parity.components import component
from parity.components.training import small_run
from parity.ledger import Entry
from parity.outcome import cast
from parity.session import Session
from parity.sides import load_side
from parity.sides.interface import Tree
from parity.timeline import TEST, record_timeline, seen_at, step_of

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
    """A run in which the switch can matter, and the step at which it first does: 0 are the initial weights, None is
    never (then the switch acts outside of training and test, and the component that owns it is the only one to see it).
    `empty`: the epoch that is given no pairs."""

    expected: Callable[[Tree], Step]
    changes: Mapping[str, Any] = field(default_factory=dict)
    empty: int | None = None


_NOISE = {"objective": "noise", "batch_size": 4, "dim": 4}
"""The other objectives work where the batch size is D, in every batch."""

SCENARIOS = {
    "pool": Scenario(_at(1)),
    "trajectory": Scenario(_at(None)),
    "split": Scenario(_at(1)),
    "loader": Scenario(_at(1)),
    "batch_size": Scenario(_at(1)),
    "accumulation": Scenario(_first_batch_without_update),
    "optimiser": Scenario(_first_update, {"optimizer": "RMSProp", "accumulate": 3}),
    "scheduler": Scenario(_first_reduced_rate),
    "grad_clip": Scenario(_first_clipped_update, {"loss_type": "l2", "max_var": 150.0}),
    "ema": Scenario(_first_lagging_average),
    "encoding": Scenario(_at(None), {"source": "discrete", "task_name": "TFBind10-Exact-v0"}),
    "noise_eps": Scenario(_at(TEST), _NOISE),
    "logged_x0": Scenario(_at(None), _NOISE),
    "clamp": Scenario(_at(TEST), {"sample_step": 30}),
    "step_seed": Scenario(_at(1)),
    "guidance": Scenario(_at(1)),
    "init": Scenario(_at(0)),
    "steps_buffer": Scenario(_at(None)),
    "empty_epoch": Scenario(_first_empty_epoch, {"epochs": 3}, empty=1),
    "target": Scenario(_at(TEST)),
}


def _timeline(scenario: Scenario, on: list[str], session: Session) -> Tree:
    steps = component("training_steps")
    params = {**steps.examples[0], **scenario.changes}
    pairs = None
    if scenario.empty is not None:
        pairs = steps.build(params, session.context)["pairs"]
        pairs[scenario.empty] = [{end: values[:0] for end, values in pairs[scenario.empty][0].items()}]
    given = cast(small_run(params, session.context), device=session.context.device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that an epoch is skipped is said in a warning
        return record_timeline(load_side("ggfm", "aligned", on=on).start_training(**given), pairs)


def test_the_switch_alone_is_seen_at_the_step_where_it_first_can_matter(
    difference: Entry, parity_session: Session
) -> None:
    scenario = SCENARIOS[difference.name]
    aligned = _timeline(scenario, [], parity_session)
    expected = scenario.expected(aligned)
    seen = seen_at(aligned, _timeline(scenario, [difference.name], parity_session))
    assert (seen[0] if seen else None) == expected, f"{difference.name}: expected at step {expected}, seen at {seen}"
    conditional = scenario.expected in (
        _first_reduced_rate, _first_clipped_update, _first_lagging_average, _first_empty_epoch, _first_update,
    )  # fmt: skip
    assert expected != 1 or not conditional, "the run shows the switch at once: it does not tell early from late"
    assert expected is not None or not conditional, "the run never comes to the point where the switch matters"
