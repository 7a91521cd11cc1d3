"""What tests of laws make of a report: which are run on which side, and the verdicts that follow."""

import json

import pytest
import torch

from parity.cli.main import main
from parity.ledger import LedgerError, load
from parity.results import plain_result
from parity.root_ggfm.components import component
from parity.root_ggfm.statistical_tests.apply import (
    FALSE_ALARMS,
    SUITES,
    SampleSizes,
    apply_tests,
    judge_distributions,
    judge_side,
)
from parity.root_ggfm.study import STUDY
from parity.search import explore
from parity.session import open_session
from parity.verdict import Verdict
from tests.parity.drawing import ROOT, Drawing

LEDGER = load(STUDY.ledger)


SMALL = SampleSizes(steps=40, repeated=4, losses=20, passes=200)
"""What is tested here is not how much the tests detect."""


def session(*profiles, **options):
    return open_session(profiles=profiles, task="SyntheticContinuous-v0", **options)


def row(component, verdict="randomness", known=("loader",), ok=True, profile="described"):
    judgement = {"component": component, "verdict": verdict, "reason": "the draws part", "params": {}}
    return {
        "component": component, "profile": profile, "verdict": verdict, "known": list(known), "ok": ok,
        "judgement": judgement,
    }  # fmt: skip


def outcome(difference="loader", passed=True, profile="described", p_value=0.4):
    return {
        "profile": profile, "component": "loader", "difference": difference, "test": "places uniform (candidate)",
        "statistic": 1.0, "p_value": p_value, "threshold": 1e-3, "passed": passed, "sample_size": 10,
        "false_alarm": 0.01, "miss": 0.02, "alternative": "a pair that stays", "closed_form": "chi²",
        "reproduce": "parity distribution --profile described",
    }  # fmt: skip


def test_randomness_by_design_whose_tests_pass_is_distribution():
    before = row("loader")
    (after,) = apply_tests([before], [outcome()], LEDGER)
    assert after["verdict"] == after["judgement"]["verdict"] == "distribution"
    assert after["ok"]
    assert "1 tests pass, false alarms at most 1% together" in after["judgement"]["reason"]
    assert "missed with probability at most 0.02" in after["judgement"]["reason"]
    assert before["verdict"] == before["judgement"]["verdict"] == "randomness"


@pytest.mark.parametrize("component", ["loader", "training"])
def test_randomness_by_design_that_fails_a_test_is_divergent_and_unexpected(component):
    (after,) = apply_tests([row(component)], [outcome(), outcome(passed=False, p_value=1e-9)], LEDGER)
    assert after["verdict"] == after["judgement"]["verdict"] == "divergent"
    assert not after["ok"]
    assert after["reproduce"] == "parity distribution --profile described"
    assert "places uniform (candidate) fails with p = 1e-09, threshold 0.001" in after["judgement"]["reason"]


def test_the_owner_of_a_difference_whose_test_fails_is_unexpected_whatever_else_is_known_of_it():
    rows = [
        row("loader", "divergent", ["batch_size", "loader"]),
        row("training", "divergent", ["batch_size", "loader"]),
    ]
    loader, training = apply_tests(rows, [outcome(passed=False)], LEDGER)
    assert not loader["ok"]
    assert training == rows[1]


def test_without_its_owner_every_component_that_a_failed_difference_reaches_is_unexpected():
    rows = [row("training", "divergent", ["batch_size", "loader"]), row("ema", "identical", [])]
    training, ema = apply_tests(rows, [outcome(passed=False)], LEDGER)
    assert (training["verdict"], training["ok"]) == ("divergent", False)
    assert "places uniform" in training["judgement"]["reason"]
    assert ema == rows[1]


@pytest.mark.parametrize(
    "unchanged",
    [
        row("loader", known=["loader", "split"]),
        row("loader", known=[]),
        row("loader", known=["loader"], profile="aligned"),
        row("training", known=["loader", "step_seed"]),
        row("loader", "divergent", ["loader"]),
        row("loader", "identical", []),
        row("loader", ok=False),
    ],
    ids=["also explained otherwise", "not known", "other profile", "not all tested", "divergent", "identical", "bad"],
)
def test_what_the_tests_say_nothing_about_stays(unchanged):
    assert apply_tests([unchanged], [outcome()], LEDGER) == [unchanged]


def test_distribution_agrees_and_is_graver_than_rounding_only():
    assert Verdict.DISTRIBUTION.agrees
    assert Verdict.ROUNDING.severity < Verdict.DISTRIBUTION.severity < Verdict.UNSTABLE.severity


def test_every_difference_by_design_has_tests():
    assert {name for name, entry in LEDGER.items() if entry.by_design} == set(SUITES)


def test_the_ledger_takes_only_randomness_by_design(tmp_path):
    path = tmp_path / "ledger.toml"
    path.write_text(
        '[[difference]]\nname = "a"\nsection = ""\ncomponent = "loader"\nverdict = "divergent"\n'
        'reference = "r"\ncandidate = "g"\ncause = "c"\nby_design = true\n'
    )
    with pytest.raises(LedgerError, match="by_design needs verdict 'randomness', got 'divergent'"):
        load(path)


def test_each_profile_is_tested_for_its_differences_by_design_with_all_others_off():
    rows = judge_distributions(session("aligned", "described"), sizes=SMALL)
    assert {(r["profile"], r["difference"]) for r in rows} == {("described", "loader"), ("described", "step_seed")}
    assert [r["test"] for r in rows if not r["passed"]] == []  # GGFM drops no condition and has batches of 256
    assert len({r["threshold"] for r in rows}) == 2
    chance = [r for r in rows if r["false_alarm"]]
    assert {r["threshold"] for r in chance} == {FALSE_ALARMS / len(chance)}
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_a_switch_that_is_turned_on_is_tested_too():
    rows = judge_distributions(session("aligned"), on=["loader"], sizes=SMALL)
    assert {r["difference"] for r in rows} == {"loader"}
    assert rows[0]["reproduce"] == "parity distribution --profile aligned --on loader"
    assert judge_distributions(session("aligned")) == []
    assert judge_distributions(session("aligned", components=["schedule"]), on=["loader"], sizes=SMALL) == []


def test_the_same_seed_gives_the_same_draws_and_another_seed_others():
    def p_values(seed):
        return [r["p_value"] for r in judge_distributions(session("aligned", seed=seed), on=["loader"], sizes=SMALL)]

    before = torch.get_rng_state()
    assert p_values(0) == p_values(0) != p_values(1)
    assert torch.equal(before, torch.get_rng_state())


def test_any_side_can_be_tested_and_lacks_what_it_does_not_have():
    class Partial:
        name = "partial"
        loader = Drawing(order=lambda n: torch.randint(n, (n,))).loader

    rows = judge_side(ROOT, Partial(), sizes=SMALL)
    assert {r["component"] for r in rows} == {"loader"}
    assert [r["test"] for r in rows if not r["passed"]] == ["each pass is a permutation (candidate)"]
    with pytest.raises(ValueError, match="difference 'clamp' has no statistical tests; there are some for loader,"):
        judge_side(ROOT, Partial(), ["clamp"], sizes=SMALL)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda shape, v: torch.full(shape, float("nan")), "what the gradients say must be finite"),
        (lambda shape, v: torch.zeros(3), "RuntimeError|ValueError"),
    ],
    ids=["not finite", "raises"],
)
def test_a_side_that_cannot_be_drawn_from_fails_a_test_that_says_so(wrong, said):
    rows = judge_side(ROOT, Drawing(noise=wrong), ["step_seed"], sizes=SMALL)
    failed = {r["component"] for r in rows if not r["passed"] and "can be drawn from" in r["test"]}
    assert {"training_loss", "q_sample"} <= failed
    text = " ".join(r["test"] for r in rows if not r["passed"])
    assert any(part in text for part in said.split("|"))
    json.dumps(rows, allow_nan=False)


def test_noise_that_is_equal_in_all_runs_and_losses_of_another_size_fail_their_tests():
    class Side(Drawing):
        def training_loss(self, bridge, **given):
            tree = super().training_loss(bridge, **given)
            return tree | {"loss": 1.5 * tree["loss"]}

    side = Side(noise=lambda shape, v: torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    failed = {r["test"] for r in judge_side(ROOT, side, ["step_seed"], sizes=SMALL) if not r["passed"]}
    assert {"runs independent (candidate)", "training loss at fixed weights (both)"} <= failed
    assert not any("(reference)" in test for test in failed)


def test_the_reference_against_itself_draws_by_the_step_number():
    failed = [r["test"] for r in judge_side(ROOT, ROOT, ["step_seed"], sizes=SMALL) if not r["passed"]]
    assert failed[:1] == ["draws not given by the step's number (candidate)"]


def test_the_command_prints_a_table_and_its_exit_code_says_whether_a_test_failed(capsys, monkeypatch):
    assert main(["distribution", "--profile", "aligned"]) == 0
    assert "aligned: no draw differs by design" in capsys.readouterr().out
    assert main(["distribution", "--profile", "aligned", "--on", "loader"]) == 0
    shown = capsys.readouterr().out
    assert "15 of 15 tests pass; false alarms at most 1%, all together" in shown
    assert "one pair never comes first" in shown
    monkeypatch.setattr("ggfm.batches.Batches._global_order", lambda batches: torch.arange(batches.total))
    assert main(["distribution", "--profile", "aligned", "--on", "loader"]) == 1
    assert "FAILED aligned loader: places uniform (candidate)" in capsys.readouterr().out
    assert main(["distribution", "--on", "nothing"]) == 2


def test_a_component_on_its_way_through_a_report_becomes_distribution():
    opened = session("aligned", components=["loader"])
    candidate = opened.candidate_in("aligned", on=["loader"])
    loader = component("loader")
    result = explore(loader, opened.reference, candidate, opened.context, only=loader.examples[0])
    plain = plain_result(result, "aligned", loader)
    (settled,) = apply_tests([plain], judge_distributions(opened, on=["loader"], sizes=SMALL), opened.ledger)
    assert (plain["verdict"], settled["verdict"], settled["ok"]) == ("randomness", "distribution", True)
