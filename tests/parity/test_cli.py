"""The `parity` command: what it prints, and the three exit codes."""

import json

import pytest

from parity.cli import main

FAST = ["--task", "SyntheticContinuous-v0", "--examples", "2"]


def test_check_exits_0_on_agreement_and_prints_what_was_compared(capsys):
    assert main(["check", "--component", "q_sample", "--profile", "aligned", *FAST]) == 0
    out = capsys.readouterr().out
    assert "ROOT d23f14f" in out
    assert "GGFM 6327731" in out
    assert "q_sample         identical" in out


def test_check_names_the_known_difference_that_explains(capsys):
    assert main(["check", "--component", "predict_x0", "--profile", "described", *FAST]) == 0
    assert "known: noise_eps" in capsys.readouterr().out


def test_check_exits_1_on_an_unexpected_difference_and_says_how_to_see_it_again(capsys, monkeypatch):
    from ggfm.bridge import BrownianBridge

    predict = BrownianBridge.predict_x0_from_objective
    monkeypatch.setattr(BrownianBridge, "predict_x0_from_objective", lambda *a, **k: predict(*a, **k) * (1 + 1e-6))
    assert main(["check", "--component", "predict_x0", "--profile", "aligned", *FAST]) == 1
    out = capsys.readouterr().out
    assert "UNEXPECTED" in out
    line = next(line for line in out.splitlines() if line.startswith("reproduce: "))
    case = line.split("--case ")[1].strip("'")
    assert main(["check", "--component", "predict_x0", "--profile", "aligned", *FAST, "--case", case]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "--task", "TFBind9"], "TFBind9"),
        (["check", "--examples", "many"], "examples 'many' is neither a positive number nor one of dev, ci, nightly"),
        (["check", "--dtype", "float16"], "dtype 'float16' is unknown; allowed are float32, float64"),
        (["check", "--device", "abacus"], "device 'abacus' cannot be used here"),
        (["check", "--threads", "0"], "threads must be at least 1, got 0"),
        (["check", *FAST, "--case", "{}"], "--case needs exactly one --component"),
        (["check", *FAST, "--component", "pool", "--case", "{"], "--case is no valid JSON"),
        (["check", *FAST, "--component", "ema", "--case", "{}"], "--case of ema must be an object with"),
        (["check", *FAST, "--on", "colour"], "colour"),
        (["golden", "/nowhere"], "/nowhere holds no recorded numbers"),
    ],
)
def test_what_cannot_run_exits_2_and_says_why(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["check", "--component", "teleport"], ["check", "--profile", "odd"], ["fly"], []]
)
def test_an_option_that_does_not_exist_exits_2(arguments, capsys):
    with pytest.raises(SystemExit) as exited:
        main(arguments)
    assert exited.value.code == 2
    assert capsys.readouterr().err


def test_components_and_ledger_list_everything(capsys):
    assert main(["components"]) == 0
    assert main(["ledger"]) == 0
    out = capsys.readouterr().out
    assert "gp_pairs" in out
    assert "steps_buffer (not in the list; described)" in out
    assert "pool (section 1; described)" in out


def test_report_writes_a_page_that_needs_nothing_else(tmp_path, capsys):
    arguments = ["report", "--component", "schedule", "--component", "predict_x0", "--out", str(tmp_path), *FAST]
    assert main(arguments) == 0
    page = (tmp_path / "index.html").read_text()
    document = json.loads((tmp_path / "report.json").read_text())
    assert str(tmp_path / "index.html") in capsys.readouterr().out
    assert {r["component"] for r in document["results"]} == {"schedule", "predict_x0"}
    assert "noise_eps" in page
    assert page.count("<svg") == 3
    for source in ("src=", "@import", "<link"):
        assert source not in page


def test_golden_prints_a_verdict_per_case(capsys, request):
    folder = request.config.rootpath / "tests" / "golden" / "root"
    assert main(["golden", str(folder), "--component", "schedule"]) == 0
    out = capsys.readouterr().out
    assert "schedule/0" in out
    assert "6 identical" in out


def test_golden_of_a_component_that_is_not_recorded_exits_2(capsys, request):
    folder = request.config.rootpath / "tests" / "golden" / "ggfm"
    assert main(["golden", str(folder), "--component", "runner"]) == 2
    assert "records no ['runner']" in capsys.readouterr().err


def test_data_status_says_where_the_cache_is(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PARITY_DATA", str(tmp_path))
    assert main(["data", "status"]) == 0
    assert str(tmp_path) in capsys.readouterr().out
