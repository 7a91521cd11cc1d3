"""`parity run`, `parity runs` and `parity report --runs`: what they print, write and exit with."""

import json

import pytest
import torch
import yaml

from parity.cli.main import main
from parity.root_ggfm.implementations import GgfmSide, RootSide
from parity.root_ggfm.runs import plots
from parity.root_ggfm.runs.run_spec import merged, preset_config
from parity.root_ggfm.tasks.synthetic import CONTINUOUS, DISCRETE, synthetic_continuous
from tests.parity.test_runs_comparison import NUDGED, ROOT, result, written

TINY = {
    "training.n_epochs": 2, "training.validation_interval": 1, "training.batch_size": 16, "GP.num_functions": 2,
    "GP.num_points": 24, "GP.num_gradient_steps": 3, "GP.num_fit_samples": 60,
    "model.BB.params.MLPParams.hidden_size": 8, "model.BB.params.sample_step": 10, "testing.num_candidates": 8,
}  # fmt: skip
SET = [part for name, value in TINY.items() for part in ("--set", f"{name}={value}")]


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def quick_curve(monkeypatch):
    monkeypatch.setattr(plots, "loss_curve", lambda result: b"a picture")


def run(folder, *options, task=CONTINUOUS):
    return main(["run", "--task", task, "--threads", "1", "--out", str(folder), *options])


def results(folder):
    return {(d["label"], d["seed"]): d for d in (json.loads(p.read_text()) for p in folder.rglob("result.json"))}


@pytest.mark.parametrize("task", [CONTINUOUS, DISCRETE])
def test_both_sides_run_and_are_compared(tmp_path, capsys, quick_curve, task):
    for options in (["root"], ["root", "--nudge", "1"], ["ggfm"], ["ggfm", "--profile", "described", "--off", "ema"]):
        assert run(tmp_path, *SET, "--side", *options, "--seeds", "0,2", task=task) == 0
    out = capsys.readouterr().out
    assert out.count("seed 2: 100th ") == 4
    assert out.count("mean ± std of 2 seeds: 100th ") == 4
    found = results(tmp_path)
    labels = {"root", "root-nudge1", "ggfm-aligned", "ggfm-described-ema"}
    assert set(found) == {(label, seed) for label in labels for seed in (0, 2)}
    for seed in (0, 2):
        root, aligned = found["root", seed], found["ggfm-aligned", seed]
        assert root["losses"] == pytest.approx(aligned["losses"], rel=1e-3)
        assert root["val_steps"] == aligned["val_steps"]
    assert main(["runs", str(tmp_path)]) == 0
    table = capsys.readouterr().out
    for label in labels:
        assert label in table
    assert "ggfm-aligned" in table.split("difference from root")[0]


def test_a_seed_that_diverges_exits_2_and_says_where_and_the_others_finish(tmp_path, capsys, monkeypatch, quick_curve):
    start = RootSide.start_training

    def poisoned(side, **options):
        training = start(side, **options)
        if options["seed"] == 1:
            with torch.no_grad():
                next(iter(training.parameters().values())).fill_(float("nan"))
        return training

    monkeypatch.setattr(RootSide, "start_training", poisoned)
    assert run(tmp_path, *SET, "--side", "root", "--seeds", "0-2") == 2
    captured = capsys.readouterr()
    assert "seed 1: DIVERGED: the loss is nan at global step 1, epoch 0" in captured.out
    assert "mean ± std of 2 seeds" in captured.out
    assert "parity run: seed 1 diverged: the loss is nan at global step 1, epoch 0" in captured.err
    assert {k: d["status"] for (_, k), d in results(tmp_path).items()} == {0: "finished", 1: "diverged", 2: "finished"}


@pytest.mark.parametrize("side", ["root", "ggfm"])
def test_sampled_designs_that_are_not_finite_are_a_divergence(tmp_path, capsys, monkeypatch, quick_curve, side):
    kind = {"root": RootSide, "ggfm": GgfmSide}[side]
    start = kind.start_training

    def poisoned(self, **options):
        training = start(self, **options)
        test = training.test

        def with_nan():
            with torch.no_grad():
                for weights in training.parameters().values():
                    weights.fill_(float("nan"))
            return test()

        training.test = with_nan
        return training

    monkeypatch.setattr(kind, "start_training", poisoned)
    assert run(tmp_path, *SET, "--set", "model.EMA.use_ema=false", "--side", side) == 2
    assert "DIVERGED: the test after the last epoch: x: 8 of 8 designs hold NaN or infinity" in capsys.readouterr().out


def test_a_configuration_file_is_run_as_it_is_and_what_nothing_uses_is_named(tmp_path, capsys):
    config = merged(preset_config("desk", synthetic_continuous()), TINY)
    config["training"]["colour"] = "blue"
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(config))
    assert run(tmp_path / "out", "--side", "root", "--config", str(file)) == 0
    assert "warning: nothing uses training.colour of the configuration" in capsys.readouterr().err
    found = results(tmp_path / "out")["root", 0]
    assert found["config"] == config
    assert found["unknown_entries"] == ["training.colour"]
    assert (tmp_path / "out" / CONTINUOUS / "mine" / "root" / "seed0" / "loss.png").exists()


def test_other_conditions_exit_2_and_fresh_starts_over(tmp_path, capsys, quick_curve):
    assert run(tmp_path, *SET, "--side", "root") == 0
    assert run(tmp_path, *SET, "--side", "root", "--dtype", "float64") == 2
    assert "dtype was 'float32', is now 'float64'" in capsys.readouterr().err
    assert run(tmp_path, *SET, "--side", "root", "--dtype", "float64", "--fresh") == 0
    assert results(tmp_path)["root", 0]["dtype"] == "float64"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--side", "root", "--seeds", "x"], "--seeds 'x'"),
        (["--side", "root", "--profile", "aligned"], "--side root has no switches"),
        (["--side", "ggfm", "--on", "colour"], "colour"),
        (["--side", "ggfm", "--nudge", "1"], "it needs --side root"),
        (["--side", "root", "--device", "abacus"], "--device 'abacus' cannot be used here"),
        (["--side", "root", "--size", "published"], "size 'published' does not exist for task SyntheticContinuous-v0"),
        (["--side", "root", "--config", "/nowhere.yaml"], "/nowhere.yaml"),
        (
            ["--side", "root", "--set", "training.n_epochs=0"],
            "training.n_epochs must be an integer of at least 1, got 0",
        ),
    ],
)
def test_what_cannot_run_exits_2_and_says_why(arguments, message, tmp_path, capsys):
    assert run(tmp_path, *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("parity run: ")
    assert message in error
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_exits_2(tmp_path, capsys):
    assert run(tmp_path, "--side", "root", "--device", "cuda") == 2
    assert "--device 'cuda' cannot be used here" in capsys.readouterr().err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("side", ["root", "ggfm"])
def test_both_sides_run_on_a_gpu(tmp_path, side):
    assert run(tmp_path, *SET, "--side", side, "--device", "cuda") == 0
    (found,) = results(tmp_path).values()
    assert found["device"] == "cuda"


def test_ctrl_c_says_that_the_same_command_goes_on(tmp_path, capsys, monkeypatch):
    def interrupted(side, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(RootSide, "start_training", interrupted)
    assert run(tmp_path, "--side", "root") == 130
    assert "stopped; the same command goes on" in capsys.readouterr().err


def test_runs_of_a_folder_without_any_exits_2(tmp_path, capsys):
    assert main(["runs", str(tmp_path)]) == 2
    assert "holds no result.json" in capsys.readouterr().err


def test_the_report_takes_whole_runs_in(tmp_path, capsys):
    for number, document in enumerate([*ROOT, *NUDGED, result("ggfm-aligned", 0, 0.86)]):
        written(tmp_path / "runs" / str(number), document)
    arguments = ["report", "--component", "schedule", "--task", CONTINUOUS, "--examples", "2"]
    out = tmp_path / "report"
    assert main([*arguments, "--out", str(out), "--runs", str(tmp_path / "nowhere")]) == 2
    assert "nowhere is not a folder" in capsys.readouterr().err
    assert main([*arguments, "--out", str(out), "--runs", str(tmp_path / "runs")]) == 0
    assert '<h2 id="runs">Whole runs</h2>' in (out / "index.html").read_text()
    assert json.loads((out / "report.json").read_text())["runs"]["comparisons"][0]["label"] == "ggfm-aligned"
