"""`parity report`: judge, add what goes beyond single components, and write the page."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from parity.atomic_write import write_atomic
from parity.cli.check import end, jobs_of, judge_jobs, worked
from parity.cli.options import POOL, SESSION, add_options, session_of
from parity.compare import Comparison
from parity.report.read import complete, read_report
from parity.report.sections import collected, extras_for
from parity.report.write import write_report
from parity.results import document
from parity.root_ggfm.runs.comparison import load_results
from parity.root_ggfm.statistical_tests.apply import apply_tests
from parity.session import Session
from parity.summary import as_expected, summary_lines

__all__ = ["add_parser", "report"]

Row = dict[str, Any]


def add_parser(actions: Any) -> None:
    """Declare the command."""
    parser = actions.add_parser("report", help="compare, and write the diagnostic report (HTML, Markdown, JSON)")
    add_options(parser.add_argument, (*SESSION, "since", *POOL))
    parser.add_argument("--out", default="parity-report", metavar="DIR", help="folder (default parity-report)")
    parser.add_argument("--runs", metavar="DIR", help="show these whole runs as well: what `parity run --out` wrote")
    parser.add_argument(
        "--from", dest="source", metavar="FILE", help="compute nothing: show this report.json (or the folder it is in)"
    )
    parser.set_defaults(run=report)


def report(options: argparse.Namespace) -> int:
    """Compare and write the report, with whole runs in it if a folder of them is given; or show one that exists."""
    runs = load_results(Path(options.runs)) if options.runs else None
    if options.source:
        return _show(options, runs)
    session = session_of(options)
    jobs = jobs_of(session, options, explain="disagreement")
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)

    def made_of(rows: Sequence[Row]) -> Row:
        there = {(row["profile"], row["component"]) for row in rows}
        missing = [f"{job.profile} {job.component}" for job in jobs if (job.profile, job.component) not in there]
        return document(session, rows) | {"unfinished": missing}

    def keep(rows: Sequence[Row]) -> None:
        """What is there so far: a run that is killed leaves it behind."""
        write_atomic(folder / "report.json", json.dumps(made_of(rows), indent=1, allow_nan=False) + "\n")

    rows, whole = judge_jobs(session, jobs, options, keep)
    extras, lost = _extras(session, rows, options) if whole else ({}, [])
    rows = apply_tests(rows, extras.get("distributions", []), session.ledger)
    made = made_of(rows) | extras
    page = write_report(made | {"unfinished": [*made["unfinished"], *lost]}, folder, runs=runs)
    code = end(Comparison(session, rows), whole, len(jobs))
    for line in (*lost, *_causes(extras.get("stages", []))):
        print(line)
    print(f"report: {page}")
    return code or int(bool(lost) or not all(stage["ok"] for stage in extras.get("stages", [])))


def _extras(session: Session, rows: Sequence[Row], options: argparse.Namespace) -> tuple[Row, list[str]]:
    """What the report shows beside the components, and a line for each part that did not come back."""
    jobs = extras_for(session, rows)
    with tqdm(worked(jobs, options, session.examples), total=len(jobs), unit="part", disable=None, leave=False) as bar:
        return collected(jobs, bar)


def _causes(stages: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each stage of a whole run that causes a difference which the ledger does not explain."""
    return [f"UNEXPECTED {s['profile']} stage {s['stage']}: {s['reason_forced']}" for s in stages if not s["ok"]]


def _show(options: argparse.Namespace, runs: Sequence[Row] | None) -> int:
    """Render the document of an earlier report; nothing is computed."""
    if options.component or options.profile or options.since:
        raise ValueError("--from shows a report as it is: it goes with no --component, --profile or --since")
    stored = read_report(Path(options.source))
    whole = complete(stored)
    page = write_report(stored, Path(options.out), runs=runs)
    print("\n".join([*whole["header"], *whole["notices"], *summary_lines(whole["results"])]))
    print(f"report: {page}")
    return 0 if as_expected(whole["results"]) else 1
