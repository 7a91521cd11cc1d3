"""A task held in arrays behaves as design-bench's do, and refuses what they let through."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from parity.root_ggfm.tasks.task import ArrayTask, TableOracle, Task, integers_to_logits, logits_to_integers

SEQUENCES = np.array([[0, 1, 2], [3, 3, 0], [1, 2, 3]], dtype=np.int32)


class Spy:
    """An oracle that remembers what it was shown."""

    def __init__(self) -> None:
        self.shown: list[NDArray[Any]] = []

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        self.shown.append(x)
        return np.asarray(x.sum(axis=1))


def discrete(oracle: Any = None) -> ArrayTask:
    y = SEQUENCES.sum(axis=1, keepdims=True).astype(np.float32)
    return ArrayTask("discrete", SEQUENCES, y, oracle or Spy(), num_classes=4)


def continuous(oracle: Any = None) -> ArrayTask:
    x = np.array([[0.1, 0.2], [0.3, 0.4]], dtype=np.float32)
    return ArrayTask("continuous", x, x.sum(axis=1, keepdims=True), oracle or Spy())


def test_both_kinds_are_tasks() -> None:
    assert isinstance(discrete(), Task)
    assert isinstance(continuous(), Task)


def test_logits_are_a_soft_one_hot() -> None:
    logits = integers_to_logits(np.array([[0, 1]]), 4)
    assert logits.dtype == np.float32
    assert logits.shape == (1, 2, 3)
    np.testing.assert_allclose(logits[0, 0], -np.log(7.0), rtol=1e-6)
    np.testing.assert_allclose(logits[0, 1], [np.log(7.0), 0, 0], rtol=1e-6)
    np.testing.assert_allclose(np.exp(integers_to_logits(np.array([[1]]), 2)), (0.6 + 0.2) / 0.2, rtol=1e-6)


@pytest.mark.parametrize("num_classes", [2, 3, 4, 20])
def test_logits_and_back(num_classes: int) -> None:
    x = np.random.RandomState(0).randint(num_classes, size=(50, 7))
    back = logits_to_integers(integers_to_logits(x, num_classes))
    assert back.dtype == np.int32
    np.testing.assert_array_equal(back, x)


def test_first_of_equal_logits_wins() -> None:
    np.testing.assert_array_equal(logits_to_integers(np.array([[[0.0, 0.0], [-1.0, 2.0], [2.0, 2.0]]])), [[0, 2, 1]])


def test_mapping_changes_the_form_and_nothing_else() -> None:
    task = discrete()
    other = task.copy()
    before = task.predict(task.x)
    task.map_to_logits()
    task.map_to_logits()
    assert task.is_discrete
    assert task.is_mapped
    assert task.is_logits
    assert task.x.shape == (3, 3, 3)
    np.testing.assert_array_equal(task.x, other.to_logits(other.x))
    np.testing.assert_array_equal(task.predict(task.x), before)
    assert not other.is_mapped
    np.testing.assert_array_equal(other.x, SEQUENCES)


def test_what_is_handed_out_is_a_copy() -> None:
    task = continuous()
    task.x[:] = 0
    task.y[:] = 0
    assert task.x.all()
    assert task.y.all()


@pytest.mark.parametrize("mapped", [False, True])
def test_float64_copy_holds_the_same_data(mapped: bool) -> None:
    for task in (continuous(), discrete()):
        if mapped and task.is_discrete:
            task.map_to_logits()
        double = task.astype(np.float64)
        assert double.y.dtype == np.float64
        assert double.predict(double.x).dtype == np.float64
        assert double.x.dtype == (np.int32 if task.is_discrete and not mapped else np.float64)
        np.testing.assert_array_equal(double.x, task.x)
        np.testing.assert_array_equal(double.y, task.y)
        assert double.astype(np.float32).y.dtype == np.float32
    assert discrete().astype(np.float64).to_logits(SEQUENCES).dtype == np.float64


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_designs_never_reach_the_oracle(value: float) -> None:
    for make in (continuous, discrete):
        spy = Spy()
        task = make(spy)
        if task.is_discrete:
            task.map_to_logits()
        designs = np.concatenate([task.x, task.x])
        designs[[1, 3], ..., -1] = value
        with pytest.raises(ValueError, match=rf"x: 2 of {len(designs)} designs hold NaN or infinity, .* row 1"):
            task.predict(designs)
        assert not spy.shown


@pytest.mark.parametrize(
    ("designs", "message"),
    [
        (np.zeros((2, 3), np.float32), r"shape \(n, 2\), got \(2, 3\)"),
        (np.zeros(2, np.float32), r"shape \(n, 2\), got \(2,\)"),
        (np.zeros((2, 2), np.int64), "floating-point designs, got dtype int64"),
    ],
)
def test_continuous_designs_of_another_kind_are_refused(designs: NDArray[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        continuous().predict(designs)


@pytest.mark.parametrize(
    ("designs", "message"),
    [
        (np.zeros((2, 4), np.int32), r"shape \(n, 3\), got \(2, 4\)"),
        (np.zeros((2, 3, 3), np.float32), r"shape \(n, 3\), got \(2, 3, 3\)"),
        (np.zeros((2, 3), np.float32), "expected integers, .* float32"),
        (np.full((2, 3), 4), r"classes 0 \.\. 3, got 4 \.\. 4"),
        (np.full((2, 3), -1), r"classes 0 \.\. 3, got -1 \.\. -1"),
    ],
)
def test_sequences_of_another_kind_are_refused(designs: NDArray[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        discrete().predict(designs)


@pytest.mark.parametrize("shape", [(2, 9), (2, 3, 4), (2, 3)])
def test_logits_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    task = discrete()
    task.map_to_logits()
    with pytest.raises(ValueError, match=r"shape \(n, 3, 3\)"):
        task.predict(np.zeros(shape, np.float32))


def test_conversions_refuse_the_other_form() -> None:
    with pytest.raises(ValueError, match="expected integers"):
        discrete().to_logits(np.zeros((1, 3), np.float32))
    with pytest.raises(ValueError, match="expected shape"):
        discrete().to_logits(np.zeros(3, np.int32))
    with pytest.raises(ValueError, match="floating-point logits"):
        discrete().to_integers(np.zeros((1, 3, 3), np.int32))
    with pytest.raises(ValueError, match=r"\(N, L, 3\)"):
        discrete().to_integers(np.zeros((1, 3), np.float32))
    with pytest.raises(ValueError, match=r"\(N, L, V - 1\)"):
        logits_to_integers(np.zeros((1, 3), np.float32))


def test_a_continuous_task_has_no_classes() -> None:
    task = continuous()
    with pytest.raises(ValueError, match="num_classes: continuous is a continuous task"):
        _ = task.num_classes
    with pytest.raises(ValueError, match="map_to_logits: continuous is a continuous task"):
        task.map_to_logits()
    with pytest.raises(ValueError, match="continuous is a continuous task"):
        task.to_logits(SEQUENCES)
    assert not task.is_mapped


@pytest.mark.parametrize(
    ("x", "y", "num_classes", "message"),
    [
        (np.zeros((0, 2)), np.zeros((0, 1)), None, "x: expected shape"),
        (np.zeros(3), np.zeros((3, 1)), None, "x: expected shape"),
        (np.zeros((3, 2)), np.zeros(3), None, r"y: expected shape \(3, 1\)"),
        (np.full((3, 2), np.nan), np.zeros((3, 1)), None, "x: 3 of 3 designs"),
        (np.zeros((3, 2)), np.full((3, 1), np.inf), None, "y: 3 of 3 designs"),
        (np.zeros((3, 2), int), np.zeros((3, 1)), None, "x: expected floats, or num_classes"),
        (np.zeros((3, 2)), np.zeros((3, 1)), 4, "x: expected integers"),
        (np.zeros((3, 2), int), np.zeros((3, 1)), 1, "num_classes: expected 2 or more, got 1"),
    ],
)
def test_arrays_that_are_no_task(x: NDArray[Any], y: NDArray[Any], num_classes: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ArrayTask("bad", x, y, Spy(), num_classes=num_classes)


def test_dtype_is_a_floating_point_type() -> None:
    with pytest.raises(ValueError, match="dtype: expected a floating-point type, got int32"):
        continuous().astype(np.int32)


def test_table_oracle_reads_sequences_as_numbers() -> None:
    oracle = TableOracle(np.arange(64, dtype=np.float32), 4)
    np.testing.assert_array_equal(oracle(SEQUENCES), [0 * 16 + 1 * 4 + 2, 3 * 16 + 3 * 4 + 0, 1 * 16 + 2 * 4 + 3])
