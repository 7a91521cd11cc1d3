"""Each switch in whole runs: the stage in which it is a cause, and the step at which it is first seen.

A switch that acts outside of training and test, or on what such a run does not use, causes nothing there: only the
component that owns it shows it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import pytest
import torch

from parity.execution import Outcome, cast, run
from parity.ledger import Entry
from parity.loading import load_side
from parity.root_ggfm.components import component
from parity.root_ggfm.stages.attribution import ReferenceRun, judge_stages, reference_run, stages_of
from parity.root_ggfm.training_trace import TEST, record_timeline, seen_at, step_of
from parity.session import Session
from parity.side import Tree

Step = int | str | None

_SHORT = {
    "source": "continuous",
    "task_name": "DKittyMorphology-Exact-v0",
    "lengthscale": 1.0,
    "epochs": 1,
    "functions": 1,
    "num_points": 35,
}
"""One epoch of four batches: two updates of the weights, one of their average."""

_NOISE = {"objective": "noise", "batch_size": 4, "dim": 4}
"""The other objectives work where the batch size is D, in every batch, also of the validation."""


@dataclass(frozen=True)
class Owned:
    """The stages that the switch acts in, in a run in which it matters."""

    causes: tuple[str, ...] = ()
    case: Mapping[str, Any] = field(default_factory=dict)


OWNED = {
    "pool": Owned(("pool",)),
    "trajectory": Owned(),
    "split": Owned(("split",)),
    "loader": Owned(("loader",)),
    "batch_size": Owned(("loader",)),
    # The run itself counts the interval of the average in steps of the optimiser.
    "accumulation": Owned(("optimiser", "training")),
    "optimiser": Owned(("optimiser",), {"optimizer": "RMSProp"}),
    "scheduler": Owned(("optimiser",)),
    "grad_clip": Owned(("optimiser",), {"loss_type": "l2", "max_var": 1e4}),
    "ema": Owned(("ema",)),
    "encoding": Owned(("encoding",), {"source": "discrete", "task_name": "TFBind10-Exact-v0"}),
    "noise_eps": Owned(("sample",), {**_NOISE, "num_points": 40}),
    "logged_x0": Owned((), {**_NOISE, "num_points": 40}),
    "clamp": Owned(("sample",), {"sample_step": 40}),
    "step_seed": Owned(("training_loss", "validation")),
    "guidance": Owned(("training_loss", "validation", "sample")),
    "init": Owned(("initial_weights",)),
    "steps_buffer": Owned(),
    "empty_epoch": Owned(("split",), {"threshold_diff": 1e9}),
    "target": Owned(("target",)),
}


@pytest.fixture(scope="module")
def runs(parity_session: Session) -> Any:
    """The reference's run in a case, made once."""

    @cache
    def run(case: tuple[tuple[str, Any], ...]) -> ReferenceRun:
        return reference_run(parity_session.reference, parity_session.context, _SHORT | dict(case))

    return lambda case: run(tuple(case.items()))


def test_the_switch_alone_causes_a_difference_in_the_stage_that_owns_it(difference: Entry, runs: Any) -> None:
    owned = OWNED[difference.name]
    candidate = load_side("ggfm", "aligned", on=[difference.name])
    results = judge_stages(runs(owned.case), candidate)
    causes = {result.stage: result for result in results if result.is_cause}
    assert tuple(causes) == owned.causes
    assert all(cause.component in difference.components for cause in causes.values())
    assert {causes[stage].forced for stage in owned.causes[:1]} <= {difference.verdict}
    inherited = [result for result in results if result.standing == "inherits"]
    assert all(result.origin in owned.causes for result in inherited)


@pytest.mark.about("training")
def test_the_ledger_explains_every_stage_that_causes_a_difference(parity_session: Session) -> None:
    """On the session's own task, in every profile: nothing but what the ledger explains."""
    rows = stages_of(parity_session)
    assert {row["profile"] for row in rows} == set(parity_session.profiles)
    assert [row for row in rows if not row["ok"]] == []
    assert {row["standing"] for row in rows if row["profile"] == "aligned"} <= {"agrees"}


def _steps(run: Tree, leaf: str) -> dict[int, Any]:
    """Return a leaf of the run by step."""
    return {int(step_of(name)): value for name, value in run.items() if name.endswith(f"/{leaf}")}


def _first(steps: Mapping[int, bool]) -> Step:
    return min((step for step, holds in steps.items() if holds), default=None)


def _updates(run: Tree) -> list[int]:
    """Return the steps at which the optimiser steps."""
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
    """Return the step where ROOT fails; an epoch that is skipped leaves that step to the next one."""
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

_LATER = (_first_update, _first_reduced_rate, _first_clipped_update, _first_lagging_average, _first_empty_epoch)
"""Events that come after the first step; a run in which they do not tells nothing."""


def _timeline(side: Any, scenario: Scenario, session: Session) -> Tree:
    steps = component("training_steps")
    given = steps.build({**steps.examples[0], **scenario.changes}, session.context)
    given = cast(given, device=session.context.device)
    pairs = given.pop("pairs")
    if scenario.empty is not None:
        pairs[scenario.empty] = [{end: v[:0] for end, v in function.items()} for function in pairs[scenario.empty]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a skipped epoch warns
        return record_timeline(side.start_training(**given), pairs)


def _before_test(run: Tree) -> Tree:
    return {name: leaf for name, leaf in run.items() if step_of(name) != TEST}


def test_the_switch_alone_is_seen_at_the_step_where_it_first_can_matter(
    difference: Entry, parity_session: Session
) -> None:
    """Read the step off ROOT's run; before it every draw, batch, loss, gradient, rate and weight is equal."""
    scenario = SCENARIOS[difference.name]
    root = _timeline(parity_session.reference, scenario, parity_session)
    expected = scenario.expected(root)
    assert scenario.expected not in _LATER or expected not in (None, 0, 1), f"the run tells nothing: {expected}"
    aligned = _timeline(load_side("ggfm", "aligned"), scenario, parity_session)
    assert seen_at(_before_test(root), _before_test(aligned)) is None

    seen = seen_at(aligned, _timeline(load_side("ggfm", "aligned", on=[difference.name]), scenario, parity_session))
    assert (seen[0] if seen else None) == expected, f"{difference.name}: expected at step {expected}, seen at {seen}"
    assert seen is None or fnmatchcase(seen[1], scenario.leaf or ""), f"{difference.name}: seen in {seen[1]}"


def _train(session: Session, on: list[str], **changes: Any) -> Outcome:
    training = component("training")
    inputs = training.build({**training.examples[0], **changes}, session.context)
    return run(load_side("ggfm", "aligned", on=on).training, inputs, seed=0)


@pytest.mark.about("training", "described")
def test_pool_is_drawn_anew_in_every_epoch(parity_session: Session) -> None:
    pools = [_train(parity_session, ["pool"], epochs=n).tree["best_x"] for n in (1, 2, 3)]
    assert pools[0].shape == pools[1].shape
    assert not torch.equal(pools[0], pools[1])
    assert not torch.equal(pools[1], pools[2])


@pytest.mark.about("training", "described")
def test_empty_epochs_are_skipped_and_leave_the_weights_alone(parity_session: Session) -> None:
    skipped = _train(parity_session, ["empty_epoch"], threshold_diff=1e9)
    owner = component("initial_weights")
    bridge = owner.build({**owner.examples[0], "dim": 4, "hidden": 16}, parity_session.context)["bridge"]
    initial = run(load_side("ggfm").initial_weights, {"bridge": bridge}, seed=0).tree
    assert skipped.error is None
    assert skipped.tree["global_step"] == 0
    final = {name: leaf for name, leaf in skipped.tree.items() if name.startswith("final/")}
    assert final.keys() == {f"final/{name}" for name in initial}
    for name, weight in initial.items():
        assert torch.equal(final[f"final/{name}"], weight), name


@pytest.mark.about("training", "described")
def test_the_moving_average_is_taken_every_interval_of_batches_where_nothing_accumulates(
    parity_session: Session,
) -> None:
    """With `accumulation` on the optimiser steps after every batch, and the average follows after every interval."""
    every_batch = _train(parity_session, ["accumulation"], accumulate=2).tree
    configured = _train(parity_session, [], accumulate=1).tree
    compared = [name for name in configured if name.startswith(("ema/", "final/"))]
    assert {name.partition("/")[0] for name in compared} == {"ema", "final"}
    for name in compared:
        assert torch.equal(every_batch[name], configured[name]), name
