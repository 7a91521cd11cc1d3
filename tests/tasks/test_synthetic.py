"""The built-in tasks are what their docstrings say, on every machine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from parity.root_ggfm.tasks.synthetic import synthetic8, synthetic_continuous
from parity.root_ggfm.tasks.task import CONSTANTS, ArrayTask, constants

EVERY = np.stack(np.unravel_index(np.arange(4**8), (4,) * 8), axis=1)


def test_synthetic8_is_in_the_likeness_of_tfbind8() -> None:
    task = synthetic8()
    assert task.x.shape == (2000, 8)
    assert task.x.dtype == np.int32
    assert len(np.unique(task.x, axis=0)) < 2000, "palindromes come twice"
    assert len(np.unique(task.y)) < 200, "scores are tied"
    np.testing.assert_array_equal(task.predict(task.x), task.y)
    np.testing.assert_array_equal(task.predict(3 - task.x[:, ::-1]), task.y)


def test_synthetic8_is_smooth() -> None:
    task = synthetic8()
    neighbours = task.x
    neighbours[:, 0] = (neighbours[:, 0] + 1) % 4
    assert np.abs(task.predict(neighbours) - task.y).mean() < np.abs(np.diff(task.y, axis=0)).mean()


def test_synthetic_continuous() -> None:
    task = synthetic_continuous()
    assert task.x.shape == (1000, 10)
    assert (task.x.std(axis=0) == 0).sum() == 1
    np.testing.assert_array_equal(task.predict(task.x), task.y)
    corner = task.x[:1].astype(np.float64)
    np.testing.assert_allclose(task.predict(corner), task.astype(np.float64).predict(corner), rtol=1e-6)


@pytest.mark.parametrize("make", [synthetic8, synthetic_continuous])
def test_same_seed_same_task_and_no_global_draw(make: Callable[[int], ArrayTask]) -> None:
    np.random.seed(0)
    expected = np.random.rand()
    np.random.seed(0)
    first, second, other = make(0), make(0), make(1)
    assert np.random.rand() == expected
    np.testing.assert_array_equal(first.x, second.x)
    assert not np.array_equal(first.x, other.x)


def test_synthetic_tasks_are_pinned() -> None:
    np.testing.assert_array_equal(synthetic8().x[:2], [[0, 0, 0, 3, 0, 1, 2, 0], [2, 1, 3, 0, 1, 2, 2, 1]])
    np.testing.assert_allclose(synthetic8().y.sum(dtype=np.float64), 774.35, rtol=1e-6)
    np.testing.assert_allclose(synthetic_continuous().y.sum(dtype=np.float64), 649.84271, rtol=1e-6)


def test_constants_fit_the_tasks() -> None:
    scores = synthetic8().predict(EVERY)
    known = constants("Synthetic8-v0")
    assert (scores.min(), scores.max()) == (known.y_min, known.y_max)
    assert synthetic8().y.max() == known.best_offline

    continuous, known = synthetic_continuous(), constants("SyntheticContinuous-v0")
    np.testing.assert_allclose(continuous.y.max(), known.best_offline, rtol=1e-6)
    box = np.random.RandomState(0).uniform(-1, 1, size=(1000, 10))
    scores = continuous.predict(box)
    assert known.y_min < scores.min()
    assert scores.max() < known.y_max


def test_constants_table() -> None:
    assert all(entry.y_min < entry.y_max for entry in CONSTANTS.values())
    assert len({entry.config for entry in CONSTANTS.values()}) == len(CONSTANTS)
    assert constants("TFBind8-Exact-v0").published == (0.986, 0.839, 0.675)
    with pytest.raises(ValueError, match="name: no constants for task 'TFBind9'; known: TFBind8-Exact-v0, "):
        constants("TFBind9")
