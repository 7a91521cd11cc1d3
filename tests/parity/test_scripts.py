"""Two training scripts as sides: of the command line, of the report, of a ledger of one's own."""

import json
from pathlib import Path

import pytest

import parity.scripts
from parity.cli.main import main
from parity.own_ledger import OwnEntry, OwnLedger
from parity.scripts import compare_script_sides, parse_settings, parse_stop

SCRIPT = """
import sys

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed({seed})
x = torch.randn(32, 4)
y = x.sum(1, keepdim=True)
net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
optimiser = torch.optim.SGD(net.parameters(), lr={lr})
for epoch in range(2):
    for xb, yb in DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True):
        optimiser.zero_grad()
        nn.functional.mse_loss(net(xb), yb).backward()
        optimiser.step()
    print(f"score {{float(net(x).mean()):.4f}}")
if "--crash" in sys.argv:
    raise RuntimeError("half-way")
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """Folders of a reference and of a candidate with another rate."""
    folder = tmp_path_factory.mktemp("scripts")
    for name, lr in (("theirs", 0.1), ("mine", 0.2)):
        (folder / name).mkdir()
        (folder / name / "train.py").write_text(SCRIPT.format(seed=0, lr=lr))
    return folder


@pytest.fixture(scope="module")
def sides(scripts):
    return [f"script:{scripts / name / 'train.py'}" for name in ("theirs", "mine")]


@pytest.fixture(scope="module")
def recordings(scripts, sides):
    """Recordings that every test takes again: one run of each script."""
    compare_script_sides(*sides, parity.scripts.Conditions(out=scripts / "kept"))
    return scripts / "kept"


def given(sides, recordings, *more):
    return ["--reference", sides[0], "--candidate", sides[1], "--recordings", str(recordings), *more]


def test_check_lists_the_one_difference_with_both_lines(sides, recordings, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["check", *given(sides, recordings, "--json", "found.json")]) == 1
    printed = capsys.readouterr().out
    assert "configuration the optimiser SGD: lr 0.2 for 0.1" in printed
    assert printed.count("train.py:12") >= 2
    document = json.loads(Path("found.json").read_text())
    assert [d["kind"] for d in document["differences"]] == ["configuration"]
    assert document["compared"]["gradient"] == document["equal"]["gradient"] == 4


def test_a_script_agrees_with_itself_and_what_it_prints_is_shown(sides, recordings, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["check", "--reference", sides[0], "--candidate", sides[0]]) == 0
    printed = capsys.readouterr().out
    assert "no difference beyond rounding" in printed
    assert "printed by the reference: score" in printed


def test_a_ledger_of_ones_own_is_green_then_red_for_what_is_new_or_gone(
    sides, recordings, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main(["ledger", "init", *given(sides, recordings)]) == 0
    assert main(["ledger", "init", *given(sides, recordings)]) == 2
    assert main(["check", *given(sides, recordings)]) == 0
    ledger = OwnLedger.read(Path("parity-ledger.toml"))
    assert [(e.kind, e.what) for e in ledger.entries] == [("configuration", "the optimiser SGD: lr 0.2 for 0.1")]
    gone = OwnEntry(name="gone", kind="randomness", what="a draw", reference="train.py: x")
    OwnLedger(Path("parity-ledger.toml"), (*ledger.entries, gone)).write()
    assert main(["check", *given(sides, recordings)]) == 1
    assert "STALE gone" in capsys.readouterr().out
    OwnLedger(Path("parity-ledger.toml"), ()).write()
    assert main(["check", *given(sides, recordings)]) == 1


def test_explain_shows_the_source_around_both_lines(sides, recordings, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["explain", *given(sides, recordings)]) == 0
    printed = capsys.readouterr().out
    assert ">    12 optimiser = torch.optim.SGD(net.parameters(), lr=0.1)" in printed
    assert ">    12 optimiser = torch.optim.SGD(net.parameters(), lr=0.2)" in printed


def test_the_report_shows_the_timeline_and_both_sources_and_is_shown_again(sides, recordings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["report", *given(sides, recordings, "--out", "made")]) == 1
    assert main(["report", "--from", "made", "--out", "again"]) == 1
    for folder in ("made", "again"):
        page = Path(folder, "index.html").read_text()
        assert "lr 0.2 for 0.1" in page
        assert "<svg" in page
        assert "lr=0.2)" in page


def test_recordings_are_made_again_when_a_script_has_changed(scripts, sides, recordings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(SCRIPT.format(seed=0, lr=0.1))
    here = tmp_path / "kept"
    conditions = parity.scripts.Conditions(out=here)
    assert compare_script_sides(sides[0], f"script:{tmp_path / 'train.py'}", conditions).agrees
    (tmp_path / "train.py").write_text(SCRIPT.format(seed=0, lr=0.3))
    found = compare_script_sides(sides[0], f"script:{tmp_path / 'train.py'}", conditions)
    assert [d.what for d in found.differences] == ["the optimiser SGD: lr 0.3 for 0.1"]


def test_a_crash_is_a_finding_with_its_line_and_everything_before_is_compared(sides, recordings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = compare_script_sides(sides[0], f"{sides[0]} --crash")
    assert not found.agrees
    (difference,) = found.differences
    assert "raised: RuntimeError: half-way" in difference.what
    assert difference.candidate.line == 20
    assert found.compared["gradient"] == found.equal["gradient"] == 4


def test_watch_records_and_diff_compares_without_the_code(scripts, tmp_path, capsys, monkeypatch):
    for name in ("theirs", "mine"):
        monkeypatch.chdir(scripts / name)
        assert main(["watch", "--out", str(tmp_path / name), "--", "train.py"]) == 0
    monkeypatch.chdir(tmp_path)
    assert main(["diff", "theirs", "theirs"]) == 0
    assert main(["diff", "theirs", "mine"]) == 1
    printed = capsys.readouterr().out
    assert "lr 0.2 for 0.1" in printed
    assert main(["watch", "--out", "theirs", "--", str(scripts / "theirs" / "train.py")]) == 2
    log = tmp_path / "mine" / "events.jsonl"
    log.write_bytes(log.read_bytes()[:-40])
    assert main(["diff", "theirs", "mine"]) == 2
    assert "is cut short" in capsys.readouterr().err
    assert main(["diff", "theirs", "mine", "--partial"]) == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--reference", "script:nowhere.py", "--candidate", "script:nowhere.py"], "there is no script 'nowhere.py'"),
        (["--reference", "script:", "--candidate", "script:x.py"], "names no script"),
        (["--reference", "{0}", "--candidate", "q.py:f"], "beside a script only scripts can stand"),
        (["--reference", "{0}", "--candidate", "{0}", "--component", "ema"], "--component goes with components"),
        (["--reference", "{0}", "--candidate", "{0}", "--set", "n_epochs"], "--set must be NAME=VALUE"),
        (["--reference", "{0}", "--candidate", "{0}", "--set", "n_epochs=2"], "--set goes with scripts of a layout"),
        (["--reference", "{0}", "--candidate", "{0}", "--stop-after", "5"], "--stop-after must be steps=N"),
        (["--reference", "{0}", "--candidate", "{0}", "--ledger", "none.toml"], "there is no file none.toml"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(options, says, sides, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["check", *(option.format(sides[0]) for option in options)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line


@pytest.mark.parametrize("text", ["difference = 3", '[[difference]]\nname = "a"', "x", '[[difference]]\nnme = "a"'])
def test_a_damaged_ledger_is_refused_by_name(text, tmp_path):
    (tmp_path / "l.toml").write_text(text)
    with pytest.raises(ValueError, match=r"--ledger .*l\.toml"):
        OwnLedger.read(tmp_path / "l.toml")


def test_settings_are_read_as_yaml_and_steps_as_a_number():
    assert parse_settings(["a=2", "b=1e-6", "c=[1, 2]", "d.e=x"]) == {"a": 2, "b": 1e-6, "c": [1, 2], "d.e": "x"}
    assert parse_stop("steps=20") == 20
