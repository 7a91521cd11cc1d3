"""The search finds the smallest failing input, and accepts only what the ledger explains."""

import json

import torch

from parity.ledger import Entry
from parity.search import Candidate, explore, reproduce_line
from parity.verdict import Verdict

from .toys import CONTEXT, REFERENCE, Toy, component

WRONG_BEYOND_6 = Toy("candidate", lambda x: x * 2 + torch.sin(x) + (len(x) > 6))
KNOWN = Entry("shift", "1", "double", Verdict.DIVERGENT, "2 x", "2 x + 1", "a shift")


def test_agreement_everywhere_is_ok_and_counted():
    result = explore(component(), REFERENCE, Candidate(REFERENCE), CONTEXT, examples=10)
    assert result.ok
    assert result.verdict is Verdict.IDENTICAL
    assert sum(result.counts.values()) >= 10


def test_the_smallest_failing_input_is_found_and_printed():
    result = explore(component(), REFERENCE, Candidate(WRONG_BEYOND_6), CONTEXT, examples=50)
    assert result.unexpected is not None
    assert result.unexpected.params == {"n": 7, "seed": 0}
    line = reproduce_line(result.unexpected, "--profile aligned")
    assert line.startswith("parity check --component double --profile aligned --case ")
    assert json.loads(line.split("--case ")[1].strip("'")) == {"n": 7, "seed": 0}


def test_the_same_seed_gives_the_same_search():
    runs = [explore(component(), REFERENCE, Candidate(REFERENCE), CONTEXT, examples=15) for _ in range(2)]
    assert [j.params for j in runs[0].judgements] == [j.params for j in runs[1].judgements]


def test_a_known_difference_is_accepted_if_turning_it_off_makes_the_sides_agree():
    candidate = Candidate(WRONG_BEYOND_6, known={"shift": KNOWN}, without=lambda names: REFERENCE)
    result = explore(component(), REFERENCE, candidate, CONTEXT, examples=30)
    assert result.ok
    assert result.known == ("shift",)
    assert result.verdict is Verdict.DIVERGENT


def test_a_known_difference_does_not_excuse_what_it_does_not_explain():
    candidate = Candidate(WRONG_BEYOND_6, known={"shift": KNOWN}, without=lambda names: WRONG_BEYOND_6)
    result = explore(component(), REFERENCE, candidate, CONTEXT, examples=30)
    assert not result.ok
    assert result.unexpected is not None
    assert result.unexpected.notes == ("also with shift turned off",)


def test_a_known_difference_does_not_excuse_inputs_that_it_does_not_cover():
    entry = Entry("shift", "1", "double", Verdict.DIVERGENT, "2 x", "2 x + 1", "a shift", when={"n": [30]})
    candidate = Candidate(WRONG_BEYOND_6, known={"shift": entry}, without=lambda names: REFERENCE)
    assert not explore(component(), REFERENCE, candidate, CONTEXT, examples=30).ok
