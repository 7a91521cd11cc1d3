"""Adding a component is adding its file: every command finds it, and nothing else has to be told."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILE = "parity/root_ggfm/components/midpoint.py"
MIDPOINT = '''"""The point halfway between two designs.

    midpoint = (x_high + x_low)/2
"""

from dataclasses import dataclass

from hypothesis import strategies as st
from torch import Tensor

from parity.root_ggfm.component import Context, Params, StudyComponent, Switches, Tree, gaussian
from parity.root_ggfm.inputs import generator_of, seeds

__all__ = ["COMPONENT", "Inputs"]


@dataclass(frozen=True)
class Inputs:
    """Two designs."""

    x_high: Tensor  # (D,)
    x_low: Tensor  # (D,)


def build(params: Params, ctx: Context) -> Inputs:
    """Return Gaussian designs."""
    g = generator_of(params)
    return Inputs(gaussian(g, 5), gaussian(g, 5))


def root(i: Inputs) -> Tree:
    """Return the half of the sum."""
    return {"midpoint": (i.x_high + i.x_low) / 2}


def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Go half of the way."""
    return {"midpoint": i.x_low + (i.x_high - i.x_low) / 2}


COMPONENT = StudyComponent(
    name="midpoint",
    after="q_sample",
    title="Halfway between two designs",
    formula="(x_high + x_low)/2",
    inputs=Inputs,
    strategy=lambda: st.fixed_dictionaries({"seed": seeds}),
    build=build,
    root=root,
    ggfm=ggfm,
    examples=[{"seed": 0}],
)
'''
CHEAP = ["--task", "SyntheticContinuous-v0", "--examples", "2", "--jobs", "0"]
ONLY = ["--component", "midpoint", *CHEAP]
COMMANDS = {
    "components": ["components"],
    "check": ["check", *ONLY],
    "report": ["report", "--profile", "aligned", "--out", "report", *ONLY],
    "record": ["record", "reference_root", "--out", "golden", *ONLY],
    "judge by the recording": ["check", "--reference", "golden:golden", "--profile", "aligned", *CHEAP],
    "since": ["check", "--since", "HEAD", "--profile", "aligned", *CHEAP],
}
DRIVER = """
import contextlib, io, json, sys
from parity.cli.main import main
said = {}
for name, arguments in json.loads(sys.argv[1]).items():
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = main(arguments)
    said[name] = [code, out.getvalue()]
print(json.dumps(said))
"""
"""All commands in one process: each start costs more than all that they do."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy of the packages in a repository of its own, in which the file is new."""
    folder = tmp_path_factory.mktemp("tree")
    for package in ("parity", "ggfm", "reference_root"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".gitignore").write_text("__pycache__/\n/report/\n/golden/\n")
    git = ["git", "-C", str(folder), "-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "before"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    (folder / FILE).write_text(MIDPOINT)
    return folder


@pytest.fixture(scope="module")
def said(folder):
    """Exit code and output of each command of the copy."""
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps(COMMANDS)],
        env={**os.environ, "PYTHONPATH": str(folder)}, cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_succeeds(command, said):
    code, out = said[command]
    assert code == 0, out


def test_it_is_listed_where_its_file_says(said):
    names = [line.split()[0] for line in said["components"][1].splitlines() if not line.startswith(" ")]
    assert names[names.index("q_sample") + 1 :][:2] == ["midpoint", "predict_x0"]


@pytest.mark.parametrize("profile", ["aligned", "described"])
def test_it_is_checked_in_every_profile(profile, said):
    assert f"{profile:10} midpoint         rounding" in said["check"][1]


@pytest.mark.usefixtures("said")
def test_it_is_reported(folder):
    results = json.loads((folder / "report" / "report.json").read_text())["results"]
    assert [(row["component"], row["formula"]) for row in results] == [("midpoint", "(x_high + x_low)/2")]


def test_it_is_recorded_and_judged_by_its_recording(said):
    assert "aligned    midpoint         rounding" in said["judge by the recording"][1]


def test_a_commit_without_it_selects_it_alone(said):
    out = said["since"][1]
    assert f"  {FILE}: midpoint\n" in out
    assert out.endswith("aligned: 1 rounding\n")
