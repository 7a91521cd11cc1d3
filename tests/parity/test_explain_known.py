"""Where the ledger explains a disagreement, each known difference is looked at alone."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from parity.diagnosis.explain import explain_known
from parity.search import Candidate
from tests.parity.toys import CONTEXT, PARAMS, Toy, component

FACTORS = {"double": lambda x: x * 2, "shift": lambda x: x + 1, "idle": lambda x: x}


def having(names: Collection[str]) -> Toy:
    """A toy with some differences."""

    def changed(x):
        y = x
        for name in FACTORS:
            y = FACTORS[name](y) if name in names else y
        return y

    return Toy("c", changed)


def known(*names: str) -> Candidate:
    return Candidate(having(names), without=lambda off: having([name for name in names if name not in off]))


def explained(candidate: Candidate, *names: str, **settings: int) -> dict:
    return explain_known(component(), PARAMS, having(()), candidate, names, CONTEXT, seconds=2, **settings)


def test_each_of_several_differences_that_act_is_looked_at_alone():
    found = explained(known("double", "shift"), "double", "shift")
    assert found["sentence"].startswith("2 known differences act on this input, each looked at alone. double: ")
    assert "shift: Mathematics" in found["sentence"]
    assert found["operations"]["sentence"].startswith("with double alone: ")


def test_a_difference_that_covers_an_input_and_does_not_act_is_said():
    found = explained(known("double", "idle"), "double", "idle")
    assert found["sentence"].startswith("Only double acts on this input, not idle. Mathematics")


def test_beyond_the_most_that_are_looked_at_the_others_are_named():
    found = explained(known("double", "shift"), "double", "shift", most=1)
    assert "shift: " not in found["sentence"]
    assert "shift act as well: `parity explain --profile aligned --on NAME` looks at one." in found["sentence"]


def test_differences_that_act_only_together_are_blamed_on_no_line():
    both = Candidate(
        having(["double"]), without=lambda off: having([] if off else ["double"])
    )  # fmt: skip
    found = explained(both, "double", "shift")
    assert found["sentence"] == (
        "No one of the known differences double, shift is enough: they act here only together."
    )
    assert found["operations"] is None


def test_code_whose_differences_cannot_be_turned_off_is_said_to_be_so():
    found = explained(Candidate(having(["double", "shift"])), "double", "shift")
    assert found["sentence"].startswith("Several known differences may act here (double, shift); this code cannot be")


@pytest.mark.parametrize("names", [(), ("double",)])
def test_a_single_difference_is_explained_as_it_is(names):
    found = explained(known("double"), *names)
    assert found["sentence"].startswith("Mathematics")
