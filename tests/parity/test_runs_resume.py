"""Killed with SIGKILL at every moment at which a file is written, and at random ones: the result is the same."""

import json
import os
import subprocess
import sys
import time

import pytest

from parity.cli.main import main
from parity.root_ggfm.tasks.synthetic import CONTINUOUS

ALONE = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills children that it forks")
def test_a_run_killed_at_any_moment_goes_on_to_the_same_result(tmp_path, request):
    sides = {"fake": "fake::3", "root": "root:9:1", "aligned": "aligned:12:1", "described": "described:8:0"}
    ran = subprocess.run(
        [sys.executable, "-m", "tests.parity.killed_runs", str(tmp_path), *sides.values()],
        cwd=request.config.rootpath, env=ALONE, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    outcomes = {line["kind"]: line for line in map(json.loads, ran.stdout.splitlines())}
    assert outcomes.keys() == sides.keys()
    assert all(outcome["differing"] == [] for outcome in outcomes.values())
    assert outcomes["fake"]["killed"] >= 40  # files are put in place 12 times, each synced before
    assert all(outcome["killed"] >= 1 and outcome["losses"] >= 3 for outcome in outcomes.values())


TINY = [
    "training.n_epochs=25", "training.validation_interval=2", "GP.num_functions=1", "GP.num_points=24",
    "GP.num_gradient_steps=2", "GP.num_fit_samples=40", "model.BB.params.MLPParams.hidden_size=8",
    "model.BB.params.sample_step=10", "testing.num_candidates=8", "training.batch_size=64",
]  # fmt: skip


def command(folder):
    settings = [part for setting in TINY for part in ("--set", setting)]
    return ["run", "--side", "root", "--task", CONTINUOUS, "--threads", "1", "--out", str(folder), *settings]


def only_result(folder):
    (path,) = folder.rglob("result.json")
    return json.loads(path.read_text())


def test_the_command_killed_and_given_again_writes_the_same_result(tmp_path, request, capsys):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen(
        [sys.executable, "-m", "parity", *command(killed)], cwd=request.config.rootpath, env=ALONE,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(killed.rglob("checkpoint.pt")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    finished = bool(list(killed.rglob("result.json")))  # a busy machine may have let it come to its end
    for folder in (killed, whole):
        assert main(command(folder)) == 0
    results = [only_result(folder) for folder in (killed, whole)]
    assert [result.pop("timings")["resumed"] for result in results] == [0 if finished else 1, 0]
    assert results[0] == results[1]
    assert capsys.readouterr().out.count("seed 0: 100th ") == 2
