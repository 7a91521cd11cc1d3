"""Each switch, turned on alone, is a cause in the stage that owns it, and in no other; what follows only inherits.

A switch that acts outside of a whole run, or on what such a run does not use, causes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest

from parity.ledger import Entry
from parity.loading import load_side
from parity.root_ggfm.stages.attribution import ReferenceRun, judge_stages, reference_run, stages_of
from parity.session import Session

_SHORT = {
    "source": "continuous", "task_name": "DKittyMorphology-Exact-v0", "lengthscale": 1.0, "epochs": 1, "functions": 1,
    "num_points": 35,
}  # fmt: skip
"""One epoch of four batches: two updates of the weights, one of their average."""

_NOISE = {"objective": "noise", "batch_size": 4, "dim": 4, "num_points": 40}
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
    "noise_eps": Owned(("sample",), _NOISE),
    "logged_x0": Owned((), _NOISE),
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
    assert not causes or causes[owned.causes[0]].forced == difference.verdict
    inherited = [result for result in results if result.standing == "inherits"]
    assert all(result.origin in owned.causes for result in inherited)


@pytest.mark.about("training")
def test_the_ledger_explains_every_stage_that_causes_a_difference(parity_session: Session) -> None:
    """On the session's own task, in every profile: nothing but what the ledger explains."""
    rows = stages_of(parity_session)
    assert {row["profile"] for row in rows} == set(parity_session.profiles)
    assert [row for row in rows if not row["ok"]] == []
    assert {row["standing"] for row in rows if row["profile"] == "aligned"} <= {"agrees"}
