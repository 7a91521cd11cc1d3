"""One run, isolated: what it draws, and what it leaves behind."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from parity.execution import cast, run
from parity.root_ggfm.tasks.synthetic import synthetic8


def _drawing(**_: Any) -> dict[str, Any]:
    return {"torch": torch.randn(5), "numpy": torch.from_numpy(np.random.rand(5)), "python": random.random()}


def test_a_run_draws_what_its_seed_draws() -> None:
    tree = run(_drawing, {}, seed=11).tree
    torch.manual_seed(11)
    np.random.seed(11)
    random.seed(11)
    own = _drawing()
    assert torch.equal(tree["torch"], own["torch"])
    assert torch.equal(tree["numpy"], own["numpy"])
    assert tree["python"] == own["python"]


def test_a_run_leaves_generators_and_settings_as_they_were() -> None:
    def meddle(**_: Any) -> dict[str, Any]:
        torch.use_deterministic_algorithms(True)
        torch.set_default_dtype(torch.float64)
        return _drawing()

    torch.manual_seed(3)
    expected = torch.randn(4)
    torch.manual_seed(3)
    outcome = run(meddle, {}, seed=11)
    assert torch.equal(torch.randn(4), expected)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_default_dtype() == torch.float32
    assert [change.partition(":")[0] for change in outcome.globals] == ["default dtype", "deterministic algorithms"]


def test_inputs_of_every_kind_are_copied() -> None:
    task = synthetic8()
    given = {"x": torch.ones(2), "groups": [torch.zeros(1), "name", 3, None, 0.5], "dtype": torch.float32, "task": task}
    copied = cast(given, dtype=torch.float64)
    assert copied["x"].dtype == copied["groups"][0].dtype == copied["dtype"] == torch.float64
    assert copied["groups"][1:] == ["name", 3, None, 0.5]
    assert copied["task"] is not task
    assert copied["task"].y.dtype == np.float64


def test_a_task_that_a_run_changes_is_named() -> None:
    def switch(task: Any, count: int) -> dict[str, Any]:
        task.map_to_logits()
        return {"count": count}

    outcome = run(switch, {"task": synthetic8(), "count": 2}, seed=0)
    assert outcome.mutated == ("task",)
