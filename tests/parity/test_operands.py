"""Operands of both sides: which mean the same numbers, in which order, and which of them an index chooses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from parity.diagnosis.backward_slice import differing_operands
from parity.diagnosis.first_divergence import Divergence, sources
from parity.diagnosis.trace import Event, Value, value_of

A = torch.tensor([0.123, 0.456, 0.789, 0.321])
B = torch.tensor([1.234, 1.567, 1.891, 1.432])


def _value(tensor: torch.Tensor) -> Value:
    value = value_of(tensor)
    assert value is not None
    return value


def _divergence(operation: str, output: torch.Tensor, *inputs: torch.Tensor) -> Divergence:
    made = _value(output)
    event = Event(0, operation, tuple(map(_value, inputs)), (made,), (), ())
    return Divergence(event, made, np.ones(len(made.numbers), dtype=bool))


def test_an_operand_with_other_numbers_is_the_one_that_differs() -> None:
    alike, differing = differing_operands(_divergence("mul", A * B * 2, A, B * 2), _divergence("mul", A * B, A, B))
    assert alike == 1
    assert differing is not None
    assert differing[0].numbers == pytest.approx((B * 2).numpy())
    assert differing[1].numbers == pytest.approx(B.numpy())


def test_equal_operands_differ_in_nothing() -> None:
    assert differing_operands(_divergence("add", A + B, A, B), _divergence("mul", A * B, A, B)) == (2, None)


def test_of_operands_with_equal_numbers_the_one_in_another_order_differs() -> None:
    shifted = B.roll(1)
    _, differing = differing_operands(_divergence("sub", A - shifted, A, shifted), _divergence("sub", A - B, A, B))
    assert differing is not None
    assert differing[0].numbers == pytest.approx(shifted.numpy())
    assert differing[1].numbers == pytest.approx(B.numpy())


def test_where_all_operands_are_in_another_order_it_is_only_that_of_the_rows() -> None:
    a, b = A.flip(0), B.flip(0)
    assert differing_operands(_divergence("mul", a * b * 2, a, b), _divergence("mul", A * B, A, B)) == (2, None)


def test_where_both_choose_from_the_same_values_it_is_the_indices_that_differ() -> None:
    mine, theirs = torch.tensor([0, 2]), torch.tensor([3, 1])
    _, differing = differing_operands(
        _divergence("index", A[mine], A, mine), _divergence("index", A[theirs], A, theirs)
    )
    assert differing is not None
    assert differing[0].numbers.tolist() == [0, 2]
    assert differing[1].numbers.tolist() == [3, 1]


def test_the_places_that_a_sort_gives_are_made_of_all_that_is_sorted() -> None:
    order = _value(torch.argsort(A))
    event = Event(0, "sort", (_value(A),), (_value(A.sort().values), order), (), ())
    first = np.arange(len(A)) == 0
    assert [mask.tolist() for _, mask in sources(event, order, first)] == [[True] * 4]
    assert [mask.tolist() for _, mask in sources(event, event.outputs[0], first)] == [[True, False, False, False]]
