"""`parity check`: judge in worker processes, print, and say how it ended."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from parity.atomic_write import write_atomic
from parity.change_impact import select
from parity.cli.options import POOL, SESSION, add_options, case_of, in_workers, session_of
from parity.cli.scripts import add_script_options, asks_for_scripts, check_scripts, own_ledger
from parity.compare import Comparison
from parity.jobs import Job, failed, open_judge, time_limit
from parity.own_ledger import OwnLedger
from parity.process.pool import Failure
from parity.report.write import SectionJob
from parity.scripts import Conditions, compare_script_sides, script_of
from parity.session import Session
from parity.summary import output_lines
from parity.verdict import Verdict

__all__ = ["INTERRUPTED", "add_parser", "check", "end", "jobs_of", "judge_jobs", "worked"]

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

Row = dict[str, Any]


def add_parser(actions: Any) -> None:
    """Declare the command."""
    parser = actions.add_parser("check", help="compare component by component; a table of verdicts")
    add_options(parser.add_argument, (*SESSION, "since", *POOL, "on"))
    parser.add_argument("--case", metavar="JSON", help="judge this one input of one component, as a failure printed it")
    parser.add_argument("--json", metavar="FILE", help="write the results into this file as well")
    add_script_options(parser.add_argument)
    parser.set_defaults(run=check)


def check(options: argparse.Namespace) -> int:
    """Compare and print a table."""
    if asks_for_scripts(options):
        return check_scripts(options)
    session = session_of(options)
    only = case_of(options, session)
    jobs = jobs_of(session, options, on=tuple(options.on), only=only, explain="unexpected")
    ledger = None if session.in_tree else own_ledger(options)
    rows, whole = judge_jobs(session, jobs, options)
    if whole and only is None and not session.in_tree:
        rows = _from_scripts(session, rows, options)
    if ledger is not None and whole and only is None:
        rows = _by_own_ledger(session, rows, ledger, options)
    for row in rows:
        _print_row(row, in_full=only is not None)
    found = Comparison(session, rows)
    if options.json:
        write_atomic(Path(options.json), json.dumps(found.to_dict(), indent=1, allow_nan=False) + "\n")
    return end(found, whole, len(jobs))


def _from_scripts(session: Session, rows: Sequence[Row], options: argparse.Namespace) -> list[Row]:
    """Return the rows; what cannot be called is judged from the scripts of both sides, where both have one."""
    made = session.study.scripts
    sides = session.reference_named, session.candidate
    lacking = {row["component"] for row in rows if row["verdict"] == Verdict.MISSING}
    if made is None or not lacking or not all(script_of(made, side) for side in sides):
        return list(rows)
    print(f"from the scripts of both sides, run and watched: {', '.join(sorted(lacking))}", flush=True)
    conditions = Conditions(task=options.task, threads=options.threads, memory=int(options.memory_limit * 2**30))
    try:
        found = {row["component"]: row for row in compare_script_sides(*sides, conditions).rows}
    except ValueError as error:
        print(f"  {error}")
        return list(rows)
    return [dict(found[r["component"]]) if r["component"] in lacking & found.keys() else r for r in rows]


def _by_own_ledger(session: Session, rows: Sequence[Row], ledger: OwnLedger, options: argparse.Namespace) -> list[Row]:
    """Return the rows as the ledger of the user's own code settles them; each entry's pinned input is judged."""
    there = {(row["component"], row["profile"]) for row in rows}
    pinned = [entry for entry in ledger.entries if (entry.component, entry.profile) in there]
    jobs = [Job(e.component, e.profile, on=tuple(options.on), only=ledger.input_of(e)) for e in pinned]
    found, _ = judge_jobs(session, jobs, options)
    held = dict(zip((entry.name for entry in pinned), found, strict=True))
    settled = []
    for row in rows:
        entries = [e for e in pinned if (e.component, e.profile) == (row["component"], row["profile"])]
        stale = [
            {
                "difference": e.name, "reason": f"its pinned input is {held[e.name]['verdict']} now, not {e.kind}",
                "edit": f"delete {e.name} from {ledger.path.name}", "reproduce": held[e.name]["reproduce"],
            }
            for e in entries
            if held[e.name]["verdict"] != e.kind
        ]  # fmt: skip
        names = [e.name for e in entries if e.explains(row)]
        settled.append(row | {"stale": [*row["stale"], *stale]} | ({"known": names, "ok": True} if names else {}))
    return settled


def jobs_of(session: Session, options: argparse.Namespace, **settings: Any) -> list[Job]:
    """In the order in which they are shown: profile by profile, along the pipeline."""
    chosen = [component.name for component in session.components]
    if options.since is not None:
        if not session.in_tree:
            raise ValueError("--since knows changes of the packages in this tree; leave it out for other sides")
        selection = select(options.since, session.study)
        print("\n".join(selection.lines(chosen)), flush=True)
        chosen = [name for name in chosen if name in selection.reasons]
    for profile in session.profiles:
        session.candidate_in(profile, on=settings.get("on", ()))  # a wrong switch is said before anything is run
    return [Job(name, profile, **settings) for profile in session.profiles for name in chosen]


def judge_jobs(
    session: Session,
    jobs: Sequence[Job],
    options: argparse.Namespace,
    keep: Callable[[list[Row]], Any] = lambda _: None,
) -> tuple[list[Row], bool]:
    """The rows in the order of the jobs, and whether all are there; fewer after an interrupt.

    `keep` is given what is there after every job. Whole runs come last in the pipeline and take longest: they start
    first.
    """
    found: dict[int, Row] = {}

    def rows() -> list[Row]:
        return [found[k] for k in sorted(found)]

    order = list(reversed(range(len(jobs))))
    try:
        with tqdm(total=len(jobs), unit="component", disable=None, leave=False) as bar:
            for position, result in worked([jobs[k] for k in order], options, session.examples):
                k = order[position]
                found[k] = failed(session, jobs[k], result) if isinstance(result, Failure) else result
                keep(rows())
                bar.set_description(f"{jobs[k].profile} {jobs[k].component}")
                bar.update()
    except KeyboardInterrupt:
        return rows(), False
    return rows(), True


def worked(jobs: Sequence[Job | SectionJob], options: argparse.Namespace, examples: int) -> Iterator[tuple[int, Any]]:
    """Return the index of each job and its result, as they finish in the worker processes that `options` ask for."""
    return in_workers(open_judge, jobs, options, limit=time_limit(options.time_limit, examples))


def _print_row(row: Row, *, in_full: bool) -> None:
    known = f"  known: {', '.join(row['known'])}" if row["known"] and row["ok"] else ""
    mark = "" if row["ok"] or row["verdict"] == Verdict.MISSING else "  UNEXPECTED"
    print(f"{row['profile']:10} {row['component']:16} {row['verdict']:11}{mark}{known}".rstrip())
    if in_full or not row["ok"]:
        shown = row["judgement"]
        print(f"  {shown['reason']}")
        for side in ("reference", "candidate"):
            if shown[f"draws_{side}"]:
                print(f"  draws of the {side}: {shown[f'draws_{side}']}")
        for line in output_lines(row):
            print(f"  {line}")
    for stale in row["stale"]:
        print(f"  STALE {stale['difference']}: {stale['reason']}")


def end(found: Comparison, whole: bool, jobs: int) -> int:
    """Print the summary; return the exit code."""
    print(found.summary())
    if not whole:
        print(f"interrupted: {len(found.rows)} of {jobs} components were judged")
        return INTERRUPTED
    return 0 if found.as_expected else 1
