"""The permutation test: exact where it can be counted by hand, honest in its error rates."""

import numpy as np
import pytest

from parity.root_ggfm.runs.comparison import shift_interval, shift_p_value, smallest_p_value


def test_the_p_value_is_the_share_of_relabellings_that_shift_as_far():
    assert shift_p_value([[3.0, 1.0, 2.0]]) == pytest.approx(2 / 3)  # 3 and 1 lie equally far from the rest
    assert shift_p_value([[2.0, 1.0, 3.0]]) == 1.0
    assert shift_p_value([[3.0, 1.0, 2.0], [30.0, 10.0, 20.0]]) == pytest.approx(2 / 9)


def test_equal_scores_give_a_p_value_of_one():
    assert shift_p_value([[0.5] * 4] * 8) == 1.0


def test_no_p_value_is_smaller_than_the_smallest():
    runs = [[9.0, 1.0, 2.0, 1.5]] * 4
    assert shift_p_value(runs) == smallest_p_value([4] * 4) == 1 / 256


def test_many_runs_are_drawn_instead_of_counted_and_say_the_same():
    scores = np.random.default_rng(1).normal(size=(8, 4))
    scores[:, 0] += 0.5
    counted = shift_p_value(scores.tolist())
    drawn = shift_p_value(scores.tolist(), exact_up_to=60_000)
    assert drawn != counted
    assert 0.01 < counted < 0.9
    assert drawn == pytest.approx(counted, abs=0.01)
    assert drawn == shift_p_value(scores.tolist(), exact_up_to=60_000)


def test_the_interval_holds_the_shifts_that_are_not_excluded():
    scores = np.random.default_rng(2).normal(size=(8, 4))
    scores[:, 0] += 5
    low, high = shift_interval(scores.tolist(), 0.01)
    assert low < 5 < high
    assert high - low < 4
    moved = scores - np.array([high, 0, 0, 0])
    assert shift_p_value(moved.tolist()) <= 0.01
    moved = scores - np.array([(low + high) / 2, 0, 0, 0])
    assert shift_p_value(moved.tolist()) > 0.01
    with pytest.raises(ValueError, match="2 of them have too few runs to exclude any shift"):
        shift_interval(scores[:2].tolist(), 0.01)


def rejected(shift, level=0.01 / 3, trials=300):
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(trials, 8, 4))
    scores[:, :, 0] += shift
    return np.mean([shift_p_value(trial.tolist()) <= level for trial in scores])


def test_error_rates_with_eight_seeds_and_two_nudges_are_as_documented():
    assert rejected(0.0) <= 0.01
    assert rejected(2.0) >= 0.85
