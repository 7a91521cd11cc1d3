"""Offline data in, scores out."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from ggfm.data import OfflineData, encode, in_test_form, is_mapped
from ggfm.evaluation import candidates, evaluate, score_range, target_score
from ggfm.switches import Switches

ALIGNED = Switches.aligned()


def _offline(task: Any, **options: Any) -> OfflineData:
    return OfflineData.of(task, **({"normalize_x": True, "normalize_y": True, "switches": ALIGNED} | options))


def test_a_constant_column_has_std_one(continuous_task: Any) -> None:
    data = _offline(continuous_task)
    assert float(data.std_x[1]) == 1.0
    assert bool((data.x[:, 1] == 0).all())
    order = np.random.RandomState(0).permutation(60)
    x = continuous_task.x
    expected = (x[order] - x.mean(axis=0)) / np.where(x.std(axis=0) == 0, 1, x.std(axis=0)).astype(np.float32)
    assert torch.equal(data.x, torch.from_numpy(expected))


def test_statistics_are_there_without_standardising(continuous_task: Any) -> None:
    data = _offline(continuous_task, normalize_x=False, normalize_y=False)
    assert set(data.y.tolist()) == set(continuous_task.y[:, 0].tolist())
    assert float(data.std_y) > 0


def test_equal_scores_are_divided_by_zero_quietly(continuous_task: Any) -> None:
    continuous_task._y[:] = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert bool(_offline(continuous_task).y.isnan().all())


def test_the_encoding_switch_maps_the_task(discrete_task: Any) -> None:
    untouched = encode(discrete_task, ALIGNED)
    assert untouched.shape == (60, 9)
    assert not is_mapped(discrete_task)
    form = in_test_form(discrete_task)
    assert is_mapped(form)
    assert not is_mapped(discrete_task)
    assert np.array_equal(encode(discrete_task, ALIGNED.toggled("encoding")), untouched)
    assert is_mapped(discrete_task)
    assert in_test_form(discrete_task) is discrete_task
    with pytest.raises(ValueError, match="logits of shape"):
        encode(discrete_task, ALIGNED)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_non_finite_data_is_refused(continuous_task: Any, bad: float) -> None:
    continuous_task._x[3, 2] = bad
    with pytest.raises(ValueError, match=r"task\.x: 1 of 240 values are NaN or infinite"):
        _offline(continuous_task)
    continuous_task._x[3, 2] = 0.0
    continuous_task._y[3] = bad
    with pytest.raises(ValueError, match=r"task\.y"):
        _offline(continuous_task)


def test_candidates() -> None:
    y = torch.tensor([3.0, 1.0, 4.0, 1.5, 5.0, 9.0, 2.0, 6.0])
    x = y[:, None]
    assert candidates(x, y, 3, "highest", 0.5, 0)[1].tolist() == [5.0, 6.0, 9.0]
    assert candidates(x, y, 3, "lowest", 0.5, 0)[1].tolist() == [1.0, 1.5, 2.0]
    assert set(candidates(x, y, 4, "low", 0.5, 0)[1].tolist()) == {1.0, 1.5, 2.0, 3.0}
    assert set(candidates(x, y, 4, "high", 0.5, 0)[1].tolist()) == {4.0, 5.0, 6.0, 9.0}
    drawn_x, drawn_y = candidates(x, y, 5, "random", 0.5, 1)
    assert torch.equal(drawn_x[:, 0], drawn_y)
    with pytest.raises(ValueError, match="type: got 'best'"):
        candidates(x, y, 3, "best", 0.5, 0)
    with pytest.raises(ValueError, match="n_candidates: got 5, expected at most 4"):
        candidates(x, y, 5, "low", 0.5, 0)
    with pytest.raises(ValueError, match="n_candidates: got 0"):
        candidates(x, y, 0, "low", 0.5, 0)


def test_target() -> None:
    y = torch.arange(101.0)
    mean, std = y.mean(), y.std(correction=0)
    assert float(target_score(y, mean, std, 200.0, 0.8, ALIGNED)) == pytest.approx(0.8 * 150 / float(std))
    percentile = target_score(y, mean, std, 200.0, 0.8, ALIGNED.toggled("target"))
    assert float(percentile) == pytest.approx((99 - 50) / float(std))


def test_evaluation(continuous_task: Any, discrete_task: Any) -> None:
    designs = torch.tensor([[0.0] * 4, [1.0] * 4, [2.0] * 4])
    scored = evaluate(continuous_task, designs, torch.zeros(4), torch.ones(4), -16.0, 0.0)
    assert scored.scores.tolist() == [1.0, 0.75, 0.0]
    assert scored.percentiles.tolist() == [1.0, 1.0, 0.75]
    logits = torch.zeros(2, 9)
    logits[0, [1, 4, 7]] = 1.0
    assert evaluate(in_test_form(discrete_task), logits, torch.zeros(9), torch.ones(9), 0.0, 1.0).scores[0] == 1.0
    with pytest.raises(ValueError, match="designs"):
        evaluate(continuous_task, designs[:, :3], torch.zeros(4), torch.ones(4), 0.0, 1.0)
    with pytest.raises(ValueError, match="y_max"):
        evaluate(continuous_task, designs, torch.zeros(4), torch.ones(4), 1.0, 1.0)


def test_unknown_tasks_have_no_score_range() -> None:
    with pytest.raises(ValueError, match=r"task\.name: got 'Hopper'"):
        score_range("Hopper")
