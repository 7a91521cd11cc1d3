"""What whole runs say about the ranking of causes."""

import pytest

from parity.component import Context
from parity.root_ggfm.claims.claims import check_claims, exit_code
from parity.root_ggfm.claims.measurements import Measurements
from parity.root_ggfm.profiles import switches
from parity.root_ggfm.tasks.synthetic import synthetic_continuous
from tests.parity.test_runs_comparison import many, result

DESCRIBED = sorted(switches("described"))


@pytest.fixture
def standings():
    def measured(results, *only):
        measure = Measurements(Context(synthetic_continuous()), runs=results, runs_folder="runs")
        document = check_claims(measure, only=only)
        assert exit_code(document) == 0
        return {claim["id"]: (claim["standing"], claim["facts"]) for claim in document["claims"]}

    return measured


def candidate(label, on, shift):
    return [
        r | {"side": "ggfm", "switches": list(on)} for r in many(shift, label=label) if r["label"] == label
    ]  # fmt: skip


ROOT = [r | {"side": "reference_root"} for r in many() if r["label"].startswith("root")]


def test_scores_far_below_confirm_the_gap(standings):
    found, facts = standings([*ROOT, *candidate("ggfm-described", DESCRIBED, -0.1)], "9.0")["9.0"]
    assert found == "confirmed"
    assert "8 seeds" in facts[0]["en"]
    assert "-0.1" in facts[0]["en"]
    assert facts[0]["command"] == "parity runs runs"


def test_scores_above_refute_the_gap(standings):
    assert standings([*ROOT, *candidate("ggfm-described", DESCRIBED, 0.1)], "9.0")["9.0"][0] == "refuted"


def test_scores_within_rounding_decide_nothing(standings):
    found, facts = standings([*ROOT, *candidate("ggfm-described", DESCRIBED, 0.0)], "9.0")["9.0"]
    assert found == "not measured"
    assert "cannot be told from rounding" in facts[0]["en"]


def test_too_few_nudged_runs_decide_nothing(standings):
    root = [r for r in ROOT if r["nudge"] is None]
    found, facts = standings([*root, *candidate("ggfm-described", DESCRIBED, -0.1)], "9.0")["9.0"]
    assert found == "not measured"
    assert "too few" in facts[0]["en"]


def test_equal_scores_refute_a_cost(standings):
    root = [r for r in ROOT if r["label"] == "root"]
    equal = [result("ggfm-ema", r["seed"], r["scores"]["p100"], side="ggfm", switches=["ema"]) for r in root]
    assert standings([*root, *equal], "9.2")["9.2"][0] == "refuted"


def test_causes_are_ranked_against_the_list(standings):
    costs = {"pool": -0.1, "ema": -0.2, "init": -0.3}
    runs = [*ROOT, *(run for name, shift in costs.items() for run in candidate(name, [name], shift))]
    found = standings(runs, "9.1", "9.2", "9.3", "9.4", "5.4")
    assert {name: standing for name, (standing, _) in found.items()} == {
        "9.1": "refined", "9.2": "refined", "9.3": "not measured", "9.4": "not measured", "5.4": "refined",
    }  # fmt: skip
    assert "`ema`; `init`." in found["9.1"][1][1]["en"]
    assert "parity run --side ggfm --on scheduler" in found["9.4"][1][0]["command"]


def test_the_first_cause_is_confirmed_if_nothing_costs_more(standings):
    runs = [*ROOT, *candidate("pool", ["pool"], -0.2), *candidate("ema", ["ema"], -0.1)]
    assert {name: found for name, (found, _) in standings(runs, "9.1", "9.2").items()} == {
        "9.1": "confirmed", "9.2": "confirmed",
    }  # fmt: skip
