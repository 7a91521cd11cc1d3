"""What is unexpected of code that has known differences as well is looked at beside a side that has them, too."""

from types import SimpleNamespace

import pytest

from parity.diagnosis import explain as module
from parity.root_ggfm.components import REGISTRY
from parity.verdict import LeafResult, Verdict


class Sides:
    """`errors`: by the differences of the other side, the largest error that the candidate has against it."""

    side = "candidate"

    def __init__(self, errors, repaired):
        self.errors, self.repaired, self.explained = errors, repaired, []

    def having(self, names):
        return names

    def judge(self, component, params, other, candidate, ctx):
        assert candidate == "candidate"
        assert not component.refused(params)
        return SimpleNamespace(leaves=(LeafResult("x", Verdict.DIVERGENT, error64=self.errors[other]),))

    def explain(self, component, params, other, candidate, ctx):
        self.explained.append(other)
        found = {"repaired": True} if other in self.repaired else None
        return {"sentence": f"beside {other}", "operations": found}


def explained(monkeypatch, errors, repaired):
    sides = Sides(errors, repaired)
    monkeypatch.setattr(module, "judge", sides.judge)
    monkeypatch.setattr(module, "explain", sides.explain)
    component = REGISTRY["p_sample"]
    return sides, module.explain_modulo_known(component, {}, "reference", sides, ("clamp", "guidance"), None)


ERRORS = {"reference": 0.02, ("clamp", "guidance"): 0.9, ("clamp",): 0.02, ("guidance",): 0.9}


def test_the_side_with_most_known_differences_that_leaves_no_more_to_explain_is_taken(monkeypatch):
    sides, found = explained(monkeypatch, ERRORS, repaired=[("clamp",)])
    assert sides.explained == ["reference", ("clamp",)]
    assert found["sentence"] == "Beside a side that has clamp, too: beside ('clamp',)"


@pytest.mark.parametrize("repaired", [["reference"], []])
def test_where_the_reference_says_as_much_it_is_the_reference_that_is_compared_with(monkeypatch, repaired):
    sides, found = explained(monkeypatch, ERRORS, repaired)
    assert found["sentence"] == "beside reference"
    assert sides.explained == ["reference"] + [("clamp",)] * (not repaired)
