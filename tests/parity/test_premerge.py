"""The workflow and the hooks: what they run is what the command line takes, and their shell does what it says."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from parity.cli.main import parser

ROOT = Path(__file__).parents[2]
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/parity.yml").read_text())
STEPS = WORKFLOW["jobs"]["parity"]["steps"]
RUN = {step["name"]: step["run"] for step in STEPS if "run" in step}


def hooks():
    local = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    offered = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    return [hook for hook in (*local, *offered) if hook["id"] == "parity-check"]


@pytest.fixture
def shell(tmp_path):
    """Runs a step as GitHub does, in an empty folder, with commands that only write down how they were called."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("parity", "pytest", "python"):
        (commands / name).write_text(f'#!/bin/sh\nfor word in {name} "$@"; do echo "$word"; done >> "$CALLED"\n')
        (commands / name).chmod(0o755)
    called, summary, folder = tmp_path / "called", tmp_path / "summary", tmp_path / "checkout"
    folder.mkdir()

    def run(step, **environment):
        called.write_text("")
        summary.write_text("")
        own = {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "CALLED": str(called),
               "GITHUB_STEP_SUMMARY": str(summary)}  # fmt: skip
        subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", RUN[step]],
            cwd=folder, env={**os.environ, **own, **environment}, check=True,
        )  # fmt: skip
        return called.read_text().splitlines(), summary.read_text(), folder

    return run


def test_the_workflow_runs_on_pull_requests_and_on_main_with_python_3_11():
    triggers = WORKFLOW[True]  # YAML 1.1 reads the key `on` as true
    assert set(triggers) == {"pull_request", "push"}
    assert triggers["push"] == {"branches": ["main"]}
    uses = {step["uses"].split("@")[0]: step.get("with", {}) for step in STEPS if "uses" in step}
    assert uses["actions/setup-python"]["python-version"] == "3.11"
    assert uses["actions/checkout"]["fetch-depth"] == 0
    assert uses["actions/upload-artifact"]["path"] == "parity-report/"


def test_report_and_summary_are_kept_also_when_the_comparison_fails():
    after = [step for step in STEPS if step.get("name") in ("summary", "keep the report")]
    assert [step["if"] for step in after] == ["${{ !cancelled() }}"] * 2


@pytest.mark.parametrize(
    ("base", "since"),
    [("origin/main", ["--since", "origin/main"]), ("origin/a b", ["--since", "origin/a b"]), ("", [])],
)
def test_a_pull_request_is_compared_with_its_base_and_main_as_a_whole(shell, base, since):
    called, _, _ = shell("compare", BASE=base)
    assert called == ["parity", "report", "--out", "parity-report", *since]
    assert parser().parse_args(called[1:]).since == (base or None)
    called, _, _ = shell("ledger, pinned inputs and stated differences", BASE=base)
    assert called[-len(since) or len(called) :] == since
    assert called[:2] == ["pytest", "parity/"]


def test_the_designs_are_fetched_by_a_command_that_exists(shell):
    called, _, _ = shell("fetch the designs")
    assert parser().parse_args(called[1:]).optional


def test_the_package_is_installed_with_what_the_report_needs(shell):
    called, _, _ = shell("install")
    assert called[:4] == ["python", "-m", "pip", "install"]
    assert ".[test,report]" in called
    assert (ROOT / called[called.index("-c") + 1]).is_file()


def test_the_summary_is_the_report_or_says_that_there_is_none(shell):
    _, summary, folder = shell("summary")
    assert summary == "There is no report: the comparison could not run. Its log says why.\n"
    (folder / "parity-report").mkdir()
    (folder / "parity-report" / "report.md").write_text("# As expected\n")
    assert shell("summary")[1] == "# As expected\n"


@pytest.mark.parametrize("hook", hooks(), ids=["of this repository", "offered to others"])
def test_the_hook_judges_what_is_staged(hook):
    command, *arguments = shlex.split(hook["entry"])
    assert command == "parity"
    assert parser().parse_args(arguments).since == "HEAD"
    assert hook["pass_filenames"] is False
    assert hook["language"] == "system"
