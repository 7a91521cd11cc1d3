"""Stages of a whole run: what is planted in one is found in that one, and what follows inherits from it."""

import json

import pytest
import torch

from parity.cli.main import main
from parity.comparator import same_bits
from parity.component import Context
from parity.execution import GeneratorState, run
from parity.loading import load_side
from parity.results import document
from parity.root_ggfm.sides.ggfm import GgfmSide
from parity.root_ggfm.stages.attribution import (
    NOT_REACHED,
    StageVerdict,
    attribute,
    judge_session,
    judge_stages,
    reference_run,
    sentence,
)
from parity.root_ggfm.stages.stage_graph import STAGES, stages_that_feed
from parity.root_ggfm.stages.traced_run import trace_run
from parity.root_ggfm.tasks.catalogue import load_task
from parity.session import open_session

SHORT = {
    "source": "continuous", "task_name": "DKittyMorphology-Exact-v0", "lengthscale": 1.0, "epochs": 1, "functions": 1,
    "num_points": 35,
}  # fmt: skip
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def context():
    return Context(load_task("Synthetic8-v0")[0])


@pytest.fixture(scope="module")
def root(context):
    return reference_run(load_side("reference_root"), context, SHORT)


@pytest.fixture(scope="module")
def judged(root):
    """Judges a candidate, by stage."""
    return lambda candidate: {result.stage: result for result in judge_stages(root, candidate)}


def causes(results):
    return [name for name, result in results.items() if result.is_cause]


class Faulty(GgfmSide):
    """GGFM with a fault in the components given by name: `fault(tree)` changes what the component returns."""

    def __init__(self, **faults):
        super().__init__()
        for name, fault in faults.items():
            setattr(self, name, self._with(getattr(self, name), fault))

    @staticmethod
    def _with(method, fault):
        return lambda *given, **named: fault(method(*given, **named))


def scaled(*names, factor=1.01):
    return lambda tree: tree | {name: leaf * factor for name, leaf in tree.items() if name in names}


def refuse(tree):
    raise ArithmeticError("planted")


@pytest.mark.parametrize("side", ["reference_root", "ggfm"])
@pytest.mark.parametrize(("source", "dtype"), [("continuous", torch.float32), ("task", torch.float64)])
def test_the_chain_of_its_stages_is_the_run_to_the_bit(context, side, dtype, source):
    changes = {"source": source} | ({"task_name": "TFBind8-Exact-v0", "epochs": 2} if source == "task" else {})
    given = reference_run(load_side("reference_root"), context, SHORT | changes).given
    whole = run(load_side(side).training, given, seed=0, dtype=dtype).tree
    chained = trace_run(load_side(side), given, dtype=dtype, device=CPU).result
    assert chained.keys() == whole.keys()
    assert whole["global_step"] > 0
    for name, leaf in whole.items():
        same = same_bits(leaf, chained[name]) if isinstance(leaf, torch.Tensor) else leaf == chained[name]
        assert same, name


def test_the_reference_is_identical_to_itself(judged):
    results = judged(load_side("reference_root"))
    assert {(r.own, r.forced, r.standing) for r in results.values()} == {("identical", "identical", "agrees")}


def test_the_aligned_profile_causes_nothing_and_inherits_rounding_only(judged):
    results = judged(load_side("ggfm"))
    assert {result.standing for result in results.values()} == {"agrees"}
    assert results["gp_pairs"].forced == "rounding"
    assert (results["training_loss"].own, results["training_loss"].forced) == ("rounding", "identical")
    assert sentence(list(results.values())) == "Every stage agrees, on its own inputs and on the reference's."


def test_several_causes_are_all_found_and_later_ones_do_not_hide(judged):
    on = ["pool", "loader", "accumulation", "ema", "guidance", "target"]
    results = judged(load_side("ggfm", on=on))
    expected = {"pool", "loader", "training_loss", "optimiser", "ema", "validation", "target", "sample"}
    assert set(causes(results)) == expected
    assert (results["loader"].own, results["loader"].forced) == ("divergent", "randomness")
    assert (results["split"].standing, results["split"].origin) == ("inherits", "pool")
    assert (results["evaluation"].standing, results["evaluation"].origin) == ("inherits", "pool")
    said = sentence(list(results.values()))
    assert said.startswith("The first stage that causes a difference is pool (divergent: ")
    assert "split, gp_pairs" not in said
    assert "inherit from pool." in said


def test_what_follows_another_order_of_draws_inherits_randomness(judged):
    results = judged(load_side("ggfm", on=["loader", "target"]))
    assert causes(results) == ["loader", "target"]
    assert results["loader"].own == results["optimiser"].own == results["validation"].own == "randomness"
    assert results["sample"].own == results["training"].own == "divergent"
    assert results["sample"].origin == "loader"


@pytest.mark.parametrize(
    ("stage", "outputs"),
    [
        ("offline_data", "y"),
        ("gp_pairs", "f0/x_high"),
        ("training_loss", "grad/denoise_fn.main.0.weight"),
        ("optimiser", "lr1"),
        ("sample", "x_high"),
    ],
)
def test_a_fault_in_one_component_is_found_in_its_stage(judged, stage, outputs):
    results = judged(Faulty(**{stage: scaled(outputs)}))
    assert results[stage].forced in ("divergent", "unstable")
    # The candidate's own run does not go through the faulty method, and the validation goes through that of the losses.
    assert set(causes(results)) - {"training", "validation"} == {stage}
    assert all(r.origin == stage for r in results.values() if r.standing == "inherits")


def test_a_stage_that_raises_stops_its_own_run_and_the_rest_is_still_judged(judged):
    results = judged(Faulty(ema=refuse))
    assert (results["ema"].own, results["ema"].forced, results["ema"].standing) == ("error", "error", "causes")
    assert "ArithmeticError: planted" in results["ema"].reason_own
    assert results["optimiser"].standing == "agrees"
    for stage in ("sample", "evaluation"):
        assert (results[stage].own, results[stage].standing) == (NOT_REACHED, "inherits")
        assert results[stage].forced in ("identical", "rounding")
        assert results[stage].origin == "ema"


def test_a_component_that_is_not_there_is_missing_in_its_stage(judged):
    side = load_side("ggfm")
    side.candidates = None
    results = judged(side)
    assert (results["candidates"].own, results["candidates"].forced) == ("missing", "missing")
    assert results["sample"].own == NOT_REACHED


def test_faults_that_cancel_are_masked_in_the_second_stage(judged):
    double = scaled("x", "y", factor=2.0)
    results = judged(Faulty(offline_data=double, candidates=scaled("x", "y", factor=0.5)))
    assert results["offline_data"].standing == "causes"
    assert results["candidates"].standing == "masked"
    assert results["candidates"].own in ("identical", "rounding")


def test_where_the_reference_ends_nothing_is_held_against_what_follows(context):
    broken = reference_run(load_side("reference_root"), context, SHORT | {"threshold_diff": 1e9})
    results = {r.stage: r for r in judge_stages(broken, load_side("ggfm"))}
    assert (results["split"].forced, results["split"].standing) == ("refused", "agrees")
    assert results["loader"].standing == results["sample"].standing == "not reached"
    assert results["training"].standing == "agrees"


def test_a_run_without_average_or_validation_pairs_has_no_such_stage(context):
    run = reference_run(load_side("reference_root"), context, SHORT | {"use_ema": False, "val_frac": 0.0})
    results = {r.stage: r for r in judge_stages(run, load_side("ggfm"))}
    assert {"ema", "validation"}.isdisjoint(results)
    assert {result.standing for result in results.values()} == {"agrees"}


@pytest.mark.parametrize(
    ("own", "forced", "standing"),
    [
        ("rounding", "identical", "agrees"),
        ("divergent", "randomness", "causes"),
        ("divergent", "rounding", "inherits"),
        (NOT_REACHED, "identical", "inherits"),
        ("rounding", "divergent", "masked"),
        ("identical", NOT_REACHED, "inherits"),
        (NOT_REACHED, NOT_REACHED, "not reached"),
    ],
)
def test_two_verdicts_make_a_standing(own, forced, standing):
    (result,) = attribute({"loader": StageVerdict(own, "")}, {"loader": StageVerdict(forced, "")})
    assert result.standing == standing


def test_a_stage_inherits_along_the_pipeline_before_it_does_from_an_earlier_epoch():
    agree, differ = StageVerdict("identical", ""), StageVerdict("divergent", "")
    forced = dict.fromkeys(STAGES, agree) | {"initial_weights": differ, "pool": differ}
    own = dict.fromkeys(STAGES, agree) | {"initial_weights": differ, "pool": differ, "gp_pairs": differ}
    origins = {result.stage: result.origin for result in attribute(own, forced)}
    assert origins["gp_pairs"] == "pool"
    own["training_loss"] = differ
    results = attribute(own, dict.fromkeys(STAGES, agree) | {"optimiser": differ})
    assert {r.stage: r.origin for r in results}["training_loss"] == "optimiser"


def test_every_stage_is_fed_by_stages_that_exist():
    assert all(set(stage.fed_by) <= set(STAGES) for stage in STAGES.values())
    assert "optimiser" in stages_that_feed("training_loss")
    assert "optimiser" not in stages_that_feed("training_loss", within_epoch=True)


def test_generator_states_are_restored_and_told_apart():
    before = GeneratorState.now()
    drawn = torch.rand(2)
    assert GeneratorState.now().digest != before.digest
    before.restore()
    assert GeneratorState.now().digest == before.digest
    assert torch.equal(torch.rand(2), drawn)
    before.restore()


def test_a_case_that_no_run_has_is_refused_by_name(context):
    with pytest.raises(ValueError, match=r"case: got epoch, allowed are .*epochs"):
        reference_run(load_side("reference_root"), context, {"epoch": 1})


def command(*options):
    return main(["stages", "--task", "Synthetic8-v0", "--case", json.dumps(SHORT), *options])


def test_the_command_names_causes_and_what_the_ledger_knows_of_them(capsys):
    assert command("--profile", "aligned", "--on", "loader", "--stage", "loader") == 0
    shown = capsys.readouterr().out
    assert "aligned: The first stage that causes a difference is loader (randomness: the draws part" in shown
    assert "causes (known: loader)" in shown
    assert 'reproduce: parity stages --profile aligned --on loader --case \'{"source":' in shown
    assert "gp_pairs   " not in shown


def test_the_command_fails_where_the_ledger_explains_no_cause(capsys, monkeypatch):
    monkeypatch.setattr(
        "parity.session.load_side",
        lambda name, *_, **__: Faulty(target=scaled("condition")) if name == "ggfm" else load_side(name),
    )
    assert command("--profile", "aligned") == 1
    shown = capsys.readouterr().out
    assert "causes  UNEXPECTED" in next(line for line in shown.splitlines() if line.startswith("target "))
    assert "inherits from target  UNEXPECTED" in next(line for line in shown.splitlines() if line.startswith("sample "))


@pytest.mark.parametrize(
    ("case", "said"), [("{", "--case is no valid JSON"), ("[]", "--case must be a JSON object"), ('{"a": 1}', "got a,")]
)
def test_the_command_refuses_a_case_that_is_none(capsys, case, said):
    assert main(["stages", "--task", "Synthetic8-v0", "--case", case]) == 2
    assert said in capsys.readouterr().err


def test_the_report_document_holds_the_stages_as_plain_values(context, root):
    session = open_session(profiles=["described"], components=["training"], task="Synthetic8-v0")
    report = judge_session(session, "described", root)
    rows = json.loads(json.dumps(document(session, []) | {"stages": report.plain()}))["stages"]
    assert [row["stage"] for row in rows] == [name for name in STAGES if name in {row["stage"] for row in rows}]
    assert all(row["ok"] for row in rows)
    loader = next(row for row in rows if row["stage"] == "loader")
    assert loader["own"] == loader["forced"] == "divergent"
    assert loader["standing"] == "causes"
    assert {"split", "loader", "batch_size"} <= set(loader["known"])
    assert loader["reproduce"] == "parity stages --profile described --stage loader"
