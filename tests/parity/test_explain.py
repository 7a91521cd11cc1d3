"""An explanation says rounding, randomness or mathematics, shows both sequences of draws, and never raises."""

import importlib.util
import json
import re
import sys

import numpy as np
import pytest
import torch

from parity.cli.main import main
from parity.diagnosis import explain as module
from parity.diagnosis.explain import explain, only, primary_location
from parity.loading import load_side
from parity.root_ggfm.components import REGISTRY
from parity.verdict import Judgement, Verdict
from tests.parity.toys import CONTEXT, PARAMS, REFERENCE, Toy, component


@pytest.fixture(autouse=True)
def _draws_alone(monkeypatch):
    """Operations are located elsewhere."""
    monkeypatch.setattr(module, "locate", lambda *sides: None)


def explained(candidate, reference=REFERENCE):
    found = explain(component(), PARAMS, reference, candidate, CONTEXT)
    assert json.loads(json.dumps(found)) == found
    return found


def noisy(x):
    return x + torch.rand_like(x)


def seeded(seed):
    def double(x):
        torch.manual_seed(seed)
        return x + torch.rand_like(x)

    return double


def test_agreement_is_said_and_the_draws_are_shown():
    found = explained(Toy("c", noisy), Toy("r", noisy))
    assert found["sentence"].startswith("The sides agree (identical)")
    assert found["draws"]["sentence"] == "both sides draw the same, 1 draw in the same order"
    (row,) = found["draws"]["rows"]
    assert row["mark"] == "same"
    assert row["candidate"]["site"]["text"] == "return x + torch.rand_like(x)"
    assert set(row["candidate"]["site"]) == {"file", "line", "function", "text"}
    assert found["draws"]["parted_at"] is found["draws"]["forced"] is None


def test_a_missing_reseeding_is_randomness_since_its_line():
    found = explained(Toy("c", noisy), Toy("r", seeded(3)))
    assert found["sentence"].startswith("Randomness: once both draw the same, the values agree. The draws part")
    assert "only the reference has torch.manual_seed of torch's global generator (seed 3)" in found["sentence"]
    assert [row["mark"] for row in found["draws"]["rows"]] == ["reference only", "value"]
    assert found["draws"]["forced"] == "agree"


def test_another_draw_in_other_mathematics_still_differs_with_equal_draws():
    found = explained(Toy("c", lambda x: 3 * x + torch.rand_like(x)), Toy("r", seeded(3)))
    assert found["sentence"].startswith("Mathematics: ")
    assert found["draws"]["forced"] == "differ"
    assert "with the reference's draws forced on the candidate the values still differ" in found["sentence"]


def test_other_mathematics_with_equal_draws_needs_no_forcing():
    found = explained(Toy("c", lambda x: 3 * x + torch.rand_like(x)), Toy("r", noisy))
    assert found["draws"]["forced"] is None
    assert found["draws"]["parted_at"] is None
    assert "Both sides draw the same" in found["sentence"]


def test_numpys_draws_are_shown_and_not_forced():
    def draws(x):
        return x + torch.from_numpy(np.random.rand(len(x))).to(x)

    def shuffles(x):
        np.random.permutation(len(x))
        return draws(x)

    found = explained(Toy("c", shuffles), Toy("r", draws))
    assert [row["mark"] for row in found["draws"]["rows"]] == ["candidate only", "value"]
    assert found["draws"]["forced"] is None
    assert found["sentence"].startswith("Mathematics or randomness: y: ")
    assert "the reference draws nothing in torch that could be forced" in found["sentence"]


def test_values_that_differ_by_numpys_draws_are_not_called_mathematics():
    def draws(seed):
        def double(x):
            torch.manual_seed(seed)
            np.random.seed(seed)
            return x + torch.rand_like(x) + float(np.random.rand())

        return double

    found = explained(Toy("c", draws(1)), Toy("r", draws(2)))
    assert found["draws"]["forced"] is None
    assert found["sentence"].startswith("Mathematics or randomness: y: ")
    assert "only torch's draws can be forced, and others part as well" in found["sentence"]


def test_a_component_that_is_missing_is_said():
    class Empty:
        name, version = "empty", "0"

    found = explained(Empty())
    assert found == only("Not there: empty has no double.")


def test_an_error_shows_the_draws_before_it():
    def fails(x):
        torch.rand(2)
        raise ArithmeticError("no")

    found = explained(Toy("c", fails), Toy("r", noisy))
    assert found["sentence"].startswith("An error: only the candidate raises: ArithmeticError: no")
    assert [row["mark"] for row in found["draws"]["rows"]] == ["other"]


def test_a_library_that_draws_and_throws_away_is_not_blamed():
    def thrown(x):
        own = torch.Generator().manual_seed(1)
        torch.rand(2, generator=own)
        return x * 3

    found = explained(Toy("c", lambda x: x * 3), Toy("r", thrown))
    assert found["sentence"].startswith("The sides agree")
    found = explained(Toy("c", lambda x: x * 3.1), Toy("r", thrown))
    assert "from a generator of its own only the reference has" in found["sentence"]
    assert "which moves no other draw" in found["sentence"]


def test_what_cannot_be_judged_is_said():
    found = explain(component(), {"n": "many", "seed": 0}, REFERENCE, REFERENCE, CONTEXT)
    assert found["sentence"].startswith("The input could not be judged: TypeError: ")
    assert found["draws"] is found["operations"] is None


@pytest.mark.parametrize(
    ("part", "said"),
    [("locate", "The operations could not be traced"), ("compare_draws", "The draws could not be recorded")],
)
def test_a_part_that_fails_is_said_and_the_rest_is_there(part, said, monkeypatch):
    def fails(*sides, **options):
        raise RuntimeError("it broke")

    monkeypatch.setattr(module, part, fails)
    found = explained(Toy("c", lambda x: 3 * x))
    assert found["sentence"].startswith("Mathematics: y: ")
    assert f"{said}: RuntimeError: it broke." in found["sentence"]


def test_the_operations_are_part_of_the_sentence(monkeypatch):
    where = {"sentence": "the candidate parts at mine.py:3", "reference": None, "candidate": None}
    monkeypatch.setattr(module, "locate", lambda *sides, **settings: where)
    found = explained(Toy("c", lambda x: 3 * x))
    assert found["sentence"].endswith("The candidate parts at mine.py:3.")
    assert found["operations"] == where


FAST = ["--task", "SyntheticContinuous-v0", "--examples", "1", "--profile", "aligned"]


def test_the_command_shows_both_sequences_and_writes_the_explanation(tmp_path, capsys):
    file = tmp_path / "why.json"
    arguments = ["explain", "--component", "training_loss", "--on", "step_seed", *FAST, "--json", str(file)]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "aligned training_loss: randomness" in out
    assert "< 0 torch.manual_seed of torch's global generator, seed 1" in out
    assert "step_seed (" in out
    assert "reproduce: parity explain --component training_loss --profile aligned --on step_seed --case" in out
    (written,) = json.loads(file.read_text())["explanations"]
    assert written["verdict"] == "randomness"
    assert written["known"] == ["step_seed"]
    assert written["explanation"]["draws"]["forced"] == "agree"


def test_the_command_says_agreement(capsys):
    assert main(["explain", "--component", "q_sample", *FAST]) == 0
    assert "aligned q_sample: identical\nThe sides agree (identical)" in capsys.readouterr().out


def test_an_unexpected_difference_is_explained_with_the_known_ones_turned_off(capsys, monkeypatch):
    from ggfm.bridge import BrownianBridge

    predict = BrownianBridge.predict_x0_from_objective
    monkeypatch.setattr(BrownianBridge, "predict_x0_from_objective", lambda *a, **k: predict(*a, **k) * (1 + 1e-6))
    assert main(["explain", "--component", "predict_x0", *FAST[:4], "--profile", "described"]) == 0
    assert "no known difference explains this" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "explain needs exactly one --component, got 0"),
        (["--component", "ema", "--component", "pool"], "explain needs exactly one --component, got 2"),
        (["--component", "ema", "--case", "{"], "--case is no valid JSON"),
    ],
)
def test_what_cannot_be_explained_exits_2(arguments, message, capsys):
    assert main(["explain", *arguments, *FAST]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if not verdict.agrees])
def test_every_verdict_that_disagrees_has_its_words(verdict, monkeypatch):
    judged = Judgement("double", "c", PARAMS, verdict, "so it is")
    monkeypatch.setattr(module, "judge", lambda *sides: judged)
    sentence = explained(Toy("c", lambda x: 3 * x))["sentence"]
    assert re.match(r"[A-Z][^.]*(: so it is|the values agree)", sentence)


def test_the_line_to_look_at_is_that_of_another_draw_or_of_what_is_drawn_after_one_left_out():
    found = explained(Toy("c", noisy), Toy("r", seeded(3)))
    assert found["look_at"]["text"] == "return x + torch.rand_like(x)"
    found = explained(Toy("c", lambda x: x + torch.randn_like(x)), Toy("r", noisy))
    assert "randn_like" in found["look_at"]["text"]
    found = explained(Toy("c", noisy), Toy("r", noisy))
    assert found["look_at"] is None


@pytest.mark.parametrize(("repaired", "line"), [(True, 9), (False, 4)])
def test_a_change_that_helps_decides_over_a_draw_that_parts(repaired, line):
    site = {"file": "f.py", "function": "f", "text": "x"}
    draw = {"mark": "other", "reference": None, "candidate": {"site": site | {"line": 4}}}
    draws = {"parted_at": 0, "aside": False, "rows": [draw]}
    point = {"site": site | {"line": 8}, "made_at": site | {"line": 9, "why": "it helps"}}
    found = primary_location(draws, {"candidate": point, "repaired": repaired}, random=False)
    assert found == site | {"line": line}


def test_a_default_value_is_located_where_it_is_given(tmp_path, monkeypatch):
    path = tmp_path / "their_bridge.py"
    path.write_text("def chain(\n    x,\n    max_var: float = 2.0,\n):\n    return x\n")
    spec = importlib.util.spec_from_file_location("their_bridge", path)
    theirs = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "their_bridge", theirs)
    spec.loader.exec_module(theirs)

    class Theirs:
        name, version = "theirs", "1"

        def defaults(self):
            return {**load_side("reference_root").defaults(), "bridge/max_var": theirs.chain.__defaults__[0]}

    component = REGISTRY["defaults"]
    found = explain(component, component.examples[0], load_side("reference_root"), Theirs(), CONTEXT)
    assert (found["look_at"]["file"], found["look_at"]["line"]) == ("their_bridge.py", 3)
    assert "the value is given there" in found["sentence"]
