"""`parity report`: judge, add the sections of the study, and write the page."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from parity.atomic_write import write_atomic
from parity.cli.check import end, jobs_of, judge_jobs, worked
from parity.cli.options import POOL, SESSION, add_options, session_of
from parity.cli.scripts import add_script_options, asks_for_scripts, compare_as_asked, end_of, own_ledger, print_scripts
from parity.compare import Comparison
from parity.report.read import complete, read_report
from parity.report.script_section import SCRIPTS, script_document
from parity.report.write import make_document, section_jobs, write_report
from parity.results import document
from parity.study import installed
from parity.summary import as_expected, summary_lines

__all__ = ["add_parser", "report"]

Row = dict[str, Any]


def add_parser(actions: Any) -> None:
    """Declare the command."""
    parser = actions.add_parser("report", help="compare, and write the diagnostic report (HTML, Markdown, JSON)")
    add_options(parser.add_argument, (*SESSION, "since", *POOL))
    add_script_options(parser.add_argument)
    parser.add_argument("--out", default="parity-report", metavar="DIR", help="folder (default parity-report)")
    for section in installed().sections:
        if section.read is not None:
            parser.add_argument(f"--{section.key}", metavar="DIR", help=section.help)
    parser.add_argument(
        "--from", dest="source", metavar="FILE", help="compute nothing: show this report.json (or the folder it is in)"
    )
    parser.set_defaults(run=report)


def report(options: argparse.Namespace) -> int:
    """Compare and write the report, with the sections whose folders are given; or show a report that exists."""
    given = {
        section.key: section.read(Path(getattr(options, section.key)))
        for section in installed().sections
        if section.read is not None and getattr(options, section.key)
    }
    if options.source:
        return _show(options, given)
    if asks_for_scripts(options):
        return _report_scripts(options)
    session = session_of(options)
    jobs = jobs_of(session, options, explain="disagreement")
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)

    def missing(rows: Sequence[Row]) -> list[str]:
        there = {(row["profile"], row["component"]) for row in rows}
        return [f"{job.profile} {job.component}" for job in jobs if (job.profile, job.component) not in there]

    def keep(rows: Sequence[Row]) -> None:
        """Write the results so far: a run that is killed leaves them behind."""
        so_far = document(session, rows) | {"unfinished": missing(rows)}
        write_atomic(folder / "report.json", json.dumps(so_far, indent=1, allow_nan=False) + "\n")

    rows, whole = judge_jobs(session, jobs, options, keep)
    parts = section_jobs(session, rows) if whole else []
    results = worked(parts, options, session.examples) if parts else ()
    with tqdm(results, total=len(parts), unit="part", disable=None, leave=False) as bar:
        made = make_document(session, rows, parts, bar)
    unfinished = [*missing(rows), *made.document["unfinished"]]
    page = write_report(made.document | {"unfinished": unfinished} | given, folder, session.study.sections)
    code = end(Comparison(session, made.rows), whole, len(jobs))
    for line in made.lines:
        print(line)
    print(f"report: {page}")
    return code or int(bool(made.lines))


def _report_scripts(options: argparse.Namespace) -> int:
    found = compare_as_asked(options, own_ledger(options))
    page = write_report(script_document(found), Path(options.out), (*installed().sections, SCRIPTS))
    print_scripts(found)
    print(f"report: {page}")
    return end_of(found)


def _show(options: argparse.Namespace, given: Row) -> int:
    """Render the document of an earlier report; nothing is computed."""
    if options.component or options.profile or options.since:
        raise ValueError("--from shows a report as it is: it goes with no --component, --profile or --since")
    sections = (*installed().sections, SCRIPTS)
    stored = read_report(Path(options.source))
    whole = complete(stored, sections)
    page = write_report(stored | given, Path(options.out), sections)
    summary = summary_lines(whole["results"], whole["components"])
    print("\n".join([*whole["header"], *whole["notices"], *summary]))
    print(f"report: {page}")
    return 0 if as_expected(whole["results"]) else 1
