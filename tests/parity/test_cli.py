"""The `parity` command: what it prints, and its exit codes."""

import json
from functools import partial

import pytest

from parity.cli import check as checking
from parity.cli import report as reporting
from parity.cli.main import main
from parity.root_ggfm.components import REGISTRY
from tests.parity.faulty import open_faulty_judge

FAST = ["--task", "SyntheticContinuous-v0", "--examples", "2", "--jobs", "0"]
EMA = '{"decay": 0.9, "decay_from_step": 1, "updates": %s, "seed": %s%s}'
"""In this process: where what a test plants is seen."""

WORKERS = [*FAST[:-1], "2"]


@pytest.fixture
def documents(monkeypatch):
    """The documents of reports, whose pages are not drawn."""
    written = []
    monkeypatch.setattr(reporting, "write_report", lambda document, *_: written.append(document))
    return written


def test_check_exits_0_on_agreement_and_prints_what_was_compared(capsys):
    assert main(["check", "--component", "q_sample", "--profile", "aligned", *FAST]) == 0
    out = capsys.readouterr().out
    assert "ROOT d23f14f" in out
    assert "GGFM 6327731" in out
    assert "q_sample         identical" in out


def test_check_writes_its_results_as_a_document_that_the_report_shows(tmp_path, capsys):
    file = tmp_path / "results.json"
    assert main(["check", "--component", "ema", "--profile", "aligned", "--json", str(file), *FAST]) == 0
    [row] = json.loads(file.read_text())["results"]
    assert (row["component"], row["verdict"]) == ("ema", "identical")
    assert main(["report", "--from", str(file), "--out", str(tmp_path)]) == 0
    assert "aligned: 1 identical" in capsys.readouterr().out


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
    assert f"explain: {line.removeprefix('reproduce: ').replace(' check ', ' explain ')}" in out.splitlines()
    case = line.split("--case ")[1].strip("'")
    assert main(["check", "--component", "predict_x0", "--profile", "aligned", *FAST, "--case", case]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "--task", "TFBind9"], "TFBind9"),
        (["check", "--examples", "many"], "examples 'many' is neither a positive number nor one of dev, ci, nightly"),
        (["check", "--dtype", "float16"], "dtype 'float16' is unknown; allowed are float32, float64"),
        (["check", "--device", "abacus"], "device 'abacus' cannot be used here"),
        (["check", "--threads", "0"], "threads must be from 1 to 256, got 0"),
        (["check", *FAST, "--case", "{}"], "--case needs exactly one --component"),
        (["check", *FAST, "--component", "pool", "--case", "{"], "--case is no valid JSON"),
        (["check", *FAST, "--component", "ema", "--case", "{}"], "--case of ema must be an object with"),
        (["check", *FAST, "--component", "ema", "--case", EMA % ("2.5", "0", "")], "updates must be int, got 2.5"),
        (["check", *FAST, "--component", "ema", "--case", EMA % ("2", '"a"', "")], "seed must be int, got 'a'"),
        (["check", *FAST, "--component", "ema", "--case", EMA % ("2", 2**64, "")], "seed must be from 0 to 2**63 - 1"),
        (["check", *FAST, "--component", "ema", "--case", EMA % ("2", "0", ', "updats": 1')], "did you mean updates?"),
        (["check", *FAST, "--component", "ema", "--case", EMA % ("2", "0", ', "seed": 1')], "holds 'seed' twice"),
        (["check", *FAST, "--on", "colour"], "colour"),
        (["check", *FAST, "--since", "no-such-branch"], "--since 'no-such-branch' names no commit of"),
        (["check", *WORKERS, "--time-limit", "0"], "time limit must be a positive number of seconds, got 0.0"),
        (["check", *FAST, "--jobs", "-1"], "number of worker processes must be at least 1, got -1"),
        (["golden", "/nowhere"], "/nowhere holds no recorded numbers"),
    ],
)
def test_what_cannot_run_exits_2_and_says_why(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_component_that_does_not_exist_exits_2(capsys):
    assert main(["check", "--component", "teleport"]) == 2
    assert "component 'teleport' is unknown; known are defaults, schedule" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["check", "--profile", "odd"], ["fly"], []])
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
    assert "<svg" in page
    for source in ("src=", "@import", "<link"):
        assert source not in page


def test_a_ledger_entry_whose_difference_is_gone_exits_1_and_says_what_to_edit(capsys, monkeypatch):
    from ggfm.switches import Switches

    having = Switches.having
    monkeypatch.setattr(Switches, "having", lambda self, on: having(self, {**on, "noise_eps": False}))
    assert main(["check", "--component", "predict_x0", "--profile", "described", *FAST]) == 1
    out = capsys.readouterr().out
    assert "described  predict_x0       identical" in out
    assert "STALE noise_eps: the sides agree at its pinned input (identical)" in out
    assert "edit: in parity/root_ggfm/known_differences.toml remove [[difference]] 'noise_eps'" in out
    reproduce = next(line for line in out.splitlines() if line.startswith("reproduce: "))
    assert '"objective":"noise"' in reproduce


def test_any_number_of_workers_gives_the_same_results_in_the_same_order(tmp_path, documents):
    chosen = [f"--component={name}" for name in ("q_sample", "offline_data")]
    for jobs in ("0", "2"):
        assert main(["report", *chosen, *FAST[:-1], jobs, "--out", str(tmp_path)]) == 0
    # How far a diagnosis comes within its seconds depends on what else the machine does.
    found = [[{**r, "seconds": 0, "explanation": None} for r in document["results"]] for document in documents]
    assert found[0] == found[1]
    assert [(r["profile"], r["component"]) for r in found[0]] == [
        (profile, name) for profile in ("aligned", "described") for name in ("q_sample", "offline_data")
    ]


def test_a_component_that_kills_its_process_costs_its_own_result_alone(tmp_path, documents, capsys, monkeypatch):
    monkeypatch.setattr(checking, "open_judge", partial(open_faulty_judge, faults={"target": "leave", "ema": "kill"}))
    chosen = [f"--component={name}" for name in ("encoding", "ema", "target")]
    assert main(["report", *chosen, "--profile", "aligned", "--out", str(tmp_path), *WORKERS]) == 1
    [document] = documents
    reasons = {r["component"]: (r["verdict"], r["judgement"]["reason"]) for r in document["results"]}
    assert reasons["encoding"][0] == "identical"
    assert reasons["target"] == ("error", "the process ended itself (exit code 7)")
    assert reasons["ema"][0] == "error"
    assert "signal 9" in reasons["ema"][1]
    assert "look first at aligned ema: the process died" in capsys.readouterr().out


def test_a_component_that_hangs_is_stopped_and_reported_with_its_input(capsys, monkeypatch):
    monkeypatch.setattr(checking, "open_judge", partial(open_faulty_judge, faults={"ema": "hang"}))
    arguments = ["--component", "ema", "--profile", "aligned", "--time-limit", "1", *WORKERS]
    assert main(["check", *arguments]) == 1
    out = capsys.readouterr().out
    assert "aligned    ema              error        UNEXPECTED" in out
    assert "look first at aligned ema: did not finish within 1 s" in out, out
    assert "reproduce: parity check --component ema --profile aligned --case '{" in out


def test_an_interrupt_keeps_what_is_finished_and_exits_130(tmp_path, documents, capsys, monkeypatch):
    judge = checking.open_judge

    def open_interrupted(options):
        handle = judge(options)

        def handler(job, tell):
            if job.component == "pool":
                raise KeyboardInterrupt
            return handle(job, tell)

        return handler

    monkeypatch.setattr(checking, "open_judge", open_interrupted)
    arguments = ["--component", "pool", "--component", "ema", "--profile", "aligned", "--out", str(tmp_path), *FAST]
    assert main(["report", *arguments]) == checking.INTERRUPTED == 130
    kept = json.loads((tmp_path / "report.json").read_text())
    assert [r["component"] for r in kept["results"]] == ["ema"]
    assert kept["unfinished"] == ["aligned pool"]
    assert [document["unfinished"] for document in documents] == [["aligned pool"]]
    assert "interrupted: 1 of 2 components were judged" in capsys.readouterr().out


def test_since_a_commit_without_changes_there_is_nothing_to_judge(tmp_path, documents, capsys, monkeypatch):
    monkeypatch.setattr("parity.change_impact.changed_files", lambda folder, revision: ("docs/verdicts.md",))
    assert main(["check", "--since", "HEAD", *FAST]) == 0
    assert main(["report", "--since", "HEAD", "--out", str(tmp_path), *FAST]) == 0
    out = capsys.readouterr().out
    assert f"since HEAD: 1 changed file, 0 of {len(REGISTRY)} components to judge" in out
    assert [(document["results"], document["plots"]) for document in documents] == [([], [])]


def test_since_judges_only_what_the_changed_file_can_touch(capsys, monkeypatch):
    monkeypatch.setattr("parity.change_impact.changed_files", lambda folder, revision: ("ggfm/ema.py",))
    chosen = [f"--component={name}" for name in ("gp", "ema", "target")]
    assert main(["check", "--since", "main", *chosen, *FAST]) == 0
    out = capsys.readouterr().out
    assert "ggfm/ema.py: ema, training_steps, training" in out
    assert "aligned    ema              identical" in out
    assert "target" not in out.split("since main")[1]


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
