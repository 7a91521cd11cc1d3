"""Whole runs: every profile and every switch alone completes, and changes what it should."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from ggfm.run import full_run, run
from ggfm.settings import Settings
from ggfm.switches import Switches

ALIGNED = Switches.aligned()
SILENT = {"trajectory", "grad_clip", "encoding", "noise_eps", "logged_x0", "steps_buffer", "empty_epoch"}
"""Switches that a healthy run on a continuous task with objective `grad` and small gradients does not notice."""
TEST_ONLY = {"target"}
ROUNDING = {"clamp"}


def _numbers(config: dict[str, Any], task: Any, switches: Switches) -> tuple[list[float], torch.Tensor]:
    trained, tested = run(config, copy.deepcopy(task), seed=0, switches=switches)
    return trained.losses, tested.high


@pytest.fixture
def reference(config: dict[str, Any], continuous_task: Any) -> tuple[list[float], torch.Tensor]:
    return _numbers(config, continuous_task, ALIGNED)


def test_a_run_depends_on_its_seed_alone(
    config: dict[str, Any], continuous_task: Any, reference: tuple[list[float], torch.Tensor]
) -> None:
    torch.manual_seed(123)
    losses, high = _numbers(config, continuous_task, ALIGNED)
    assert losses == reference[0]
    assert torch.equal(high, reference[1])


@pytest.mark.parametrize("name", Switches.names())
def test_each_switch_changes_a_run_where_it_should(
    config: dict[str, Any], continuous_task: Any, reference: tuple[list[float], torch.Tensor], name: str
) -> None:
    losses, high = _numbers(config, continuous_task, ALIGNED.toggled(name))
    assert bool(high.isfinite().all())
    if name in SILENT:
        assert losses == reference[0]
        assert torch.equal(high, reference[1])
    elif name in ROUNDING:
        assert losses == reference[0]
        torch.testing.assert_close(high, reference[1])
    else:
        assert (losses == reference[0]) == (name in TEST_ONLY | {"ema"})
        assert not torch.equal(high, reference[1])


def test_what_a_run_records(config: dict[str, Any], continuous_task: Any) -> None:
    trained, tested = run(config, continuous_task, seed=1, switches=ALIGNED)
    assert trained.global_step == len(trained.losses) == len(trained.lr)
    assert len(trained.val_losses) > 0
    assert trained.average is not None
    assert tested.high.shape == tested.low.shape == (6, 4)
    assert tested.evaluation.percentiles.shape == (3,)


def test_both_profiles_on_a_discrete_task(config: dict[str, Any], discrete_task: Any) -> None:
    config["model"]["BB"]["params"]["MLPParams"]["image_size"] = 9
    config["task"]["name"] = "TFBind8-Exact-v0"
    config["GP"]["num_fit_samples"] = 30
    for switches in (ALIGNED, Switches.described()):
        trained, tested = run(config, discrete_task, seed=0, switches=switches)
        assert discrete_task.mapped == switches.encoding
        assert bool(tested.evaluation.scores.isfinite().all())
        assert (trained.average is None) == switches.ema


def test_double_precision_agrees(config: dict[str, Any], continuous_task: Any) -> None:
    trained, _ = run(config, continuous_task, seed=0, switches=ALIGNED, dtype=torch.float64)
    assert trained.data.x.dtype == torch.float64
    assert next(trained.bridge.parameters()).dtype == torch.float64


def test_full_run(config: dict[str, Any], continuous_task: Any) -> None:
    result = full_run(config, continuous_task, seeds=(0, 1), switches=ALIGNED)
    assert result.percentiles.shape == (2, 3)
    best = result.percentiles[:, 0].double()
    assert result.mean == pytest.approx(float(best.mean()))
    assert result.std == pytest.approx(float(best.std(correction=0)))
    with pytest.raises(ValueError, match="seeds"):
        full_run(config, continuous_task, seeds=(), switches=ALIGNED)


def test_no_surviving_pair_fails_or_is_skipped(config: dict[str, Any], continuous_task: Any) -> None:
    config["GP"]["threshold_diff"] = 1e9
    with pytest.raises(ValueError, match="none is left to train on"):
        run(config, continuous_task, seed=0, switches=ALIGNED)
    with pytest.warns(UserWarning, match="the epoch is skipped"):
        trained, _ = run(config, continuous_task, seed=0, switches=ALIGNED.toggled("empty_epoch"))
    assert trained.losses == trained.val_losses == []


def test_a_pool_that_is_too_small_fails(config: dict[str, Any], continuous_task: Any) -> None:
    config["GP"]["num_points"] = 61
    with pytest.raises(RuntimeError, match="expected at least num_points 61"):
        run(config, continuous_task, seed=0, switches=ALIGNED)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("task.name", "Hopper", r"task\.name"),
        ("training.n_epochs", 0, r"training\.n_epochs: got 0"),
        ("training.batch_size", None, r"config: training\.batch_size is missing"),
    ],
)
def test_bad_configurations_are_refused(config: dict[str, Any], path: str, value: Any, message: str) -> None:
    section, name = path.split(".")
    if value is None:
        del config[section][name]
    else:
        config[section][name] = value
    with pytest.raises(ValueError, match=message):
        Settings(config)
