"""What a whole described run does between its components, which no single component shows."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from parity.execution import Outcome, run
from parity.loading import load_side
from parity.root_ggfm.components import component
from parity.session import Session

pytestmark = pytest.mark.about("training", "described")


def _train(session: Session, on: list[str], **changes: Any) -> Outcome:
    training = component("training")
    inputs = training.build({**training.examples[0], **changes}, session.context)
    return run(load_side("ggfm", "aligned", on=on).training, inputs, seed=0)


def test_pool_is_drawn_anew_in_every_epoch(parity_session: Session) -> None:
    pools = [_train(parity_session, ["pool"], epochs=n).tree["best_x"] for n in (1, 2, 3)]
    assert pools[0].shape == pools[1].shape
    assert not torch.equal(pools[0], pools[1])
    assert not torch.equal(pools[1], pools[2])


def test_empty_epochs_are_skipped_and_leave_the_weights_alone(parity_session: Session) -> None:
    skipped = _train(parity_session, ["empty_epoch"], threshold_diff=1e9)
    bridge = component("initial_weights").build(
        {**component("initial_weights").examples[0], "dim": 4, "hidden": 16}, parity_session.context
    )["bridge"]
    initial = run(load_side("ggfm").initial_weights, {"bridge": bridge}, seed=0).tree
    assert skipped.error is None
    assert skipped.tree["global_step"] == 0
    for name, weight in initial.items():
        assert torch.equal(skipped.tree[f"final/{name}"], weight), name


def test_the_moving_average_is_taken_every_interval_of_batches_where_nothing_accumulates(
    parity_session: Session,
) -> None:
    """With `accumulation` on the optimiser steps after every batch, and the average follows after every interval."""
    every_batch = _train(parity_session, ["accumulation"], accumulate=2).tree
    configured = _train(parity_session, [], accumulate=1).tree
    for name in (n for n in configured if n.startswith(("ema/", "final/"))):
        assert torch.equal(every_batch[name], configured[name]), name
