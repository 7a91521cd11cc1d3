"""Every verdict is provoked by a toy candidate whose difference is known."""

import numpy as np
import pytest
import torch

from parity.judge import judge
from parity.side import Capabilities, MissingComponent, SideLost
from parity.verdict import Verdict

from .toys import CONTEXT, PARAMS, REFERENCE, Toy, component


def verdict(candidate, reference=REFERENCE, **declaration):
    return judge(component(**declaration), PARAMS, reference, Toy("candidate", candidate), CONTEXT)


def raising(error):
    def call(x):
        raise error

    return call


def test_the_same_operations_are_identical():
    assert verdict(lambda x: x * 2 + torch.sin(x)).verdict is Verdict.IDENTICAL


def test_the_same_operations_in_another_order_are_rounding():
    assert verdict(lambda x: x + (torch.sin(x) + x)).verdict in (Verdict.ROUNDING, Verdict.IDENTICAL)


def _root_of_what_cancels(x, order):
    square = (x + 1) * (x + 1)
    return torch.sqrt((square - x * x - 2 * x - 1 if order else square - 1 - 2 * x - x * x).abs())


def test_a_root_of_what_cancels_is_rounding_though_its_error_does_not_scale_with_the_unit():
    reference = Toy("reference", lambda x: _root_of_what_cancels(x, order=False))
    assert verdict(lambda x: _root_of_what_cancels(x, order=True), reference).verdict is Verdict.ROUNDING
    wrong = verdict(lambda x: _root_of_what_cancels(x, order=True) + 1e-5, reference)
    assert wrong.verdict is Verdict.DIVERGENT


def _root_of_a_sign(x, order):
    third = x / 3
    rest = third + third + third - x if order else x - third - third - third
    return torch.sqrt(rest * 1e6 + (0 if x.dtype == torch.float32 else 1.0)) * 0 + x


def test_nan_that_rounding_alone_decides_is_rounding():
    reference = Toy("reference", lambda x: _root_of_a_sign(x, order=False))
    found = verdict(lambda x: _root_of_a_sign(x, order=True).nan_to_num(0.0), reference)
    assert found.verdict is Verdict.ROUNDING
    assert "within rounding of its boundary" in found.reason


def test_worse_arithmetic_is_unstable():
    assert verdict(lambda x: ((x * 2 + torch.sin(x)) + 1000.0) - 1000.0).verdict is Verdict.UNSTABLE


def test_a_term_of_1e_10_is_divergent_though_float32_cannot_see_it():
    found = verdict(lambda x: x * 2 + torch.sin(x) * (1 + 1e-10))
    assert found.verdict is Verdict.DIVERGENT


def test_computing_in_float32_inside_float64_is_divergent():
    assert verdict(lambda x: (x.float() * 2 + torch.sin(x.float())).to(x.dtype)).verdict is Verdict.DIVERGENT


def test_an_error_on_one_side_is_an_error_and_named():
    found = verdict(raising(ValueError("x: no")))
    assert found.verdict is Verdict.ERROR
    assert found.reason == "only the candidate raises: ValueError: x: no"


def test_raising_on_both_sides_is_no_agreement():
    reference = Toy("reference", raising(ValueError("a")))
    found = verdict(raising(ValueError("a")), reference)
    assert found.verdict is Verdict.ERROR
    assert not found.agrees


def test_a_declared_refusal_agrees_only_if_both_refuse():
    reference = Toy("reference", raising(ValueError("a")))
    assert verdict(raising(ValueError("b")), reference, refused=lambda p: True).verdict is Verdict.REFUSED
    assert verdict(lambda x: x, reference, refused=lambda p: True).verdict is Verdict.ERROR
    assert verdict(lambda x: x, REFERENCE, refused=lambda p: True).verdict is Verdict.ERROR


@pytest.mark.parametrize(
    ("error", "of_code_that_checks", "of_code_that_checks_nothing"),
    [
        (RuntimeError("index out of bounds"), Verdict.REFUSED, Verdict.REFUSED),
        (ZeroDivisionError("division by zero"), Verdict.ERROR, Verdict.REFUSED),
        (IndexError("index out of range"), Verdict.ERROR, Verdict.REFUSED),
        (SideLost("was killed by SIGSEGV"), Verdict.ERROR, Verdict.ERROR),
        (MemoryError(), Verdict.ERROR, Verdict.ERROR),
    ],
)
def test_a_failure_is_a_refusal_of_code_that_checks_nothing_and_a_crash_is_none(
    error, of_code_that_checks, of_code_that_checks_nothing
):
    reference, candidate = Toy("reference", raising(ValueError("a"))), Toy("candidate", raising(error))
    for unchecked, expected in ((False, of_code_that_checks), (True, of_code_that_checks_nothing)):
        candidate.capabilities = Capabilities(checks_inputs=not unchecked)
        found = judge(component(refused=lambda p: True), PARAMS, reference, candidate, CONTEXT)
        assert found.verdict is expected


@pytest.mark.parametrize("error", [SideLost("was killed by SIGSEGV"), MemoryError()])
def test_a_crash_of_the_reference_refuses_nothing(error):
    reference = Toy("reference", raising(error))
    found = verdict(raising(ValueError("b")), reference, refused=lambda p: True)
    assert found.verdict is Verdict.ERROR
    assert found.reason.startswith("both sides raise where no refusal is declared: reference")


def test_a_component_that_a_side_lacks_in_one_precision_is_missing():
    def lacking(x):
        if x.dtype == torch.float64:
            raise MissingComponent("none in float64")
        return x

    assert verdict(lacking).verdict is Verdict.MISSING


def test_a_missing_component_is_missing():
    found = verdict(raising(MissingComponent("double")))
    assert found.verdict is Verdict.MISSING
    assert not found.agrees


NOISY = Toy("reference", lambda x: {"a": torch.randn(3).to(x.dtype), "b": torch.rand(2).to(x.dtype)})


def test_equal_draws_in_the_same_order_are_identical():
    assert verdict(lambda x: {"a": torch.randn(3).to(x.dtype), "b": torch.rand(2).to(x.dtype)}, NOISY).agrees


def test_draws_in_another_order_are_randomness():
    def swapped(x):
        b = torch.rand(2)
        return {"a": torch.randn(3).to(x.dtype), "b": b.to(x.dtype)}

    found = verdict(swapped, NOISY)
    assert found.verdict is Verdict.RANDOMNESS
    assert "part at number 0: normal[3] became uniform[2]" in found.reason
    assert found.draws_reference == "normal[3], uniform[2]"
    assert found.draws_candidate == "uniform[2], normal[3]"


def test_an_extra_draw_is_randomness_even_if_all_values_agree():
    def extra(x):
        tree = {"a": torch.randn(3).to(x.dtype), "b": torch.rand(2).to(x.dtype)}
        torch.rand(1)
        return tree

    found = verdict(extra, NOISY)
    assert found.verdict is Verdict.RANDOMNESS
    assert found.reason == "the candidate draws 1 more than the reference"


def test_a_draw_from_another_law_is_divergent():
    reference = Toy("reference", lambda x: x + torch.empty_like(x).normal_(0.0, 0.02))
    assert verdict(lambda x: x + torch.empty_like(x).normal_(0.0, 0.2), reference).verdict is Verdict.DIVERGENT


def test_reseeding_is_randomness():
    def reseeded(x):
        torch.manual_seed(5)
        return {"a": torch.randn(3).to(x.dtype), "b": torch.rand(2).to(x.dtype)}

    assert verdict(reseeded, NOISY).verdict is Verdict.RANDOMNESS


def test_another_draw_with_another_formula_is_divergent():
    def wrong(x):
        b = torch.rand(2)
        return {"a": 2 * torch.randn(3).to(x.dtype), "b": b.to(x.dtype)}

    assert verdict(wrong, NOISY).verdict is Verdict.DIVERGENT


def test_consuming_numpys_generator_is_seen():
    def extra(x):
        np.random.rand()
        return x * 2 + torch.sin(x)

    assert verdict(extra).verdict is Verdict.RANDOMNESS


def test_changing_an_input_in_place_is_divergent():
    def in_place(x):
        y = x * 2 + torch.sin(x)
        x.zero_()
        return y

    found = verdict(in_place)
    assert found.verdict is Verdict.DIVERGENT
    assert found.reason == "side effect: inputs changed: [] became ['x']"


def test_returning_an_alias_of_an_input_is_divergent_where_the_reference_returns_a_copy():
    reference = Toy("reference", lambda x: x.clone())
    assert "share memory with an input: ['y']" in verdict(lambda x: x.view(-1), reference).reason
    assert verdict(lambda x: x.clone(), Toy("reference", lambda x: x)).verdict is Verdict.IDENTICAL


def test_a_result_that_still_carries_a_graph_is_divergent():
    def attached(x):
        return (x.clone().requires_grad_() * 2) + torch.sin(x)

    assert "still carry a graph: ['y']" in verdict(attached).reason


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: torch.set_default_dtype(torch.float64), "default dtype"),
        (lambda: torch.set_grad_enabled(False), "gradient mode"),
        (lambda: torch.set_num_threads(torch.get_num_threads() + 1), "threads"),
    ],
)
def test_changed_global_settings_are_divergent_and_undone(change, message):
    def rude(x):
        y = x * 2 + torch.sin(x)
        change()
        return y

    before = (torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads())
    found = verdict(rude)
    assert found.verdict is Verdict.DIVERGENT
    assert message in found.reason
    assert (torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads()) == before


def test_judging_leaves_the_callers_generators_alone():
    torch.manual_seed(3)
    np.random.seed(3)
    expected = torch.rand(2), np.random.rand()
    torch.manual_seed(3)
    np.random.seed(3)
    verdict(lambda x: x * 2 + torch.sin(x))
    assert torch.equal(torch.rand(2), expected[0])
    assert np.random.rand() == expected[1]
