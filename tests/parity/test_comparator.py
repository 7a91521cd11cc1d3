"""The comparator: each rule has a case that passes, a case that fails, and a message."""

import math

import pytest
import torch

from parity.comparator import Runs, compare_leaf, compare_trees, metadata_difference, same_bits
from parity.policy import EPS32, Policy
from parity.verdict import Verdict

ONES = torch.ones(3)


def judge(r32, c32, r64=None, c64=None, policy=None):
    r64 = r32.double() if r64 is None else r64
    c64 = c32.double() if c64 is None else c64
    runs = Runs({"y": r32}, {"y": c32}, {"y": r64}, {"y": c64})
    return compare_leaf("y", runs, policy or Policy())


def test_equal_bits_are_identical():
    assert judge(ONES, ONES.clone()).verdict is Verdict.IDENTICAL


def test_nan_in_the_same_place_is_identical():
    value = torch.tensor([1.0, math.nan])
    assert judge(value, value.clone()).verdict is Verdict.IDENTICAL


def test_zeros_of_different_sign_are_not_the_same_bits():
    assert not same_bits(torch.tensor([0.0]), torch.tensor([-0.0]))
    assert judge(torch.tensor([0.0]), torch.tensor([-0.0])).verdict is Verdict.ROUNDING


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        (torch.ones(1, 3), "shape (3,) became (1, 3)"),
        (torch.ones(()), "shape (3,) became ()"),
        (torch.ones(3, dtype=torch.float64), "dtype float32 became float64"),
        (torch.ones(3, device="meta"), "device cpu became meta"),
        ([1.0, 1.0, 1.0], "type Tensor became list"),
    ],
)
def test_metadata_is_compared_before_values_and_never_broadcast(candidate, message):
    assert metadata_difference(ONES, candidate) == message


def test_a_shape_that_would_broadcast_is_divergent():
    assert judge(ONES, torch.ones(1, 3)).verdict is Verdict.DIVERGENT


def test_one_more_rounding_is_rounding():
    truth = torch.tensor([1.0, 3.0], dtype=torch.float64)
    assert judge(truth.float(), truth.float() * (1 + EPS32), truth, truth.clone()).verdict is Verdict.ROUNDING


def test_an_error_that_float64_does_not_lose_is_divergent():
    truth = torch.tensor([1.0, 3.0], dtype=torch.float64)
    found = judge(truth.float(), truth.float(), truth, truth * (1 + 1e-10))
    assert found.verdict is Verdict.DIVERGENT
    assert "float64 differs by 3e-10" in found.reason


def test_worse_float32_arithmetic_is_unstable():
    truth = torch.tensor([1.0, 3.0], dtype=torch.float64)
    found = judge(truth.float(), truth.float() + 1e-4, truth, truth.clone())
    assert found.verdict is Verdict.UNSTABLE
    assert "float64 agrees" in found.reason


def test_the_references_own_error_widens_what_rounding_explains():
    truth = torch.tensor([1.0, 3.0], dtype=torch.float64)
    assert judge(truth.float() + 1e-4, truth.float() - 1.5e-4, truth, truth.clone()).verdict is Verdict.ROUNDING


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_value_that_is_not_finite_on_one_side_is_an_error(bad):
    found = judge(ONES, torch.tensor([1.0, bad, 1.0]))
    assert found.verdict is Verdict.ERROR
    assert found.reason == "only the candidate is NaN or infinite, at 1 of 3 places (float32)"


def test_infinities_of_different_sign_are_an_error():
    assert judge(torch.tensor([math.inf]), torch.tensor([-math.inf])).verdict is Verdict.ERROR


def test_integers_must_be_equal():
    found = judge(torch.tensor([1, 2]), torch.tensor([1, 3]))
    assert found.verdict is Verdict.DIVERGENT
    assert "first at [1]: 2 became 3" in found.reason


def test_an_exact_output_allows_no_rounding():
    assert judge(ONES, ONES * (1 + EPS32), policy=Policy(exact=("y",))).verdict is Verdict.DIVERGENT


def test_plain_values_must_be_equal():
    runs = Runs({"keys": ["a"]}, {"keys": ["a", "b"]}, {"keys": ["a"]}, {"keys": ["a", "b"]})
    found = compare_leaf("keys", runs, Policy())
    assert found.verdict is Verdict.DIVERGENT
    assert found.reason == "['a'] became ['a', 'b']"


def test_an_output_on_one_side_only_is_divergent():
    runs = Runs({"a": ONES}, {"b": ONES}, {"a": ONES}, {"b": ONES})
    reasons = [(leaf.name, leaf.verdict, leaf.reason) for leaf in compare_trees(runs, Policy())]
    assert reasons == [
        ("a", Verdict.DIVERGENT, "the candidate does not return it"),
        ("b", Verdict.DIVERGENT, "only the candidate returns it"),
    ]


def test_empty_outputs_of_equal_shape_are_identical():
    assert judge(torch.empty(0, 3), torch.empty(0, 3)).verdict is Verdict.IDENTICAL
