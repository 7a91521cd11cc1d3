"""`python -m tools.fault_injection`: plant faults, mutants or harmless rewrites, and count how many are caught."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from parity.atomic_write import write_atomic
from parity.diagnosis.settings import HEURISTICS
from parity.root_ggfm.runs.run_spec import parse_seeds
from parity.session import open_session
from tools.fault_injection.campaign import Campaign, Results, Row, executed_lines, impact
from tools.fault_injection.changes import Change, load, reviewed, sample_mutants
from tools.fault_injection.report import changes_since, page, summary_lines
from tools.fault_injection.stability import conditions, judge_conditions

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return 1 for a missed fault or mutant, an alarm on a rewrite or an unstable verdict.

    Return 2 if it could not run, and 130 if it was interrupted.
    """
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"fault_injection: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.fault_injection", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--rewrites", action="store_true", help="plant harmless rewrites instead: none may alarm")
    which.add_argument("--stability", action="store_true", help="plant nothing: the same verdicts in any order?")
    which.add_argument("--mutants", type=int, metavar="N", help="plant a sample of Cosmic Ray's mutants instead")
    parser.add_argument("--seed", type=int, default=0, help="of the sample of mutants (default 0)")
    parser.add_argument("--seeds", default="0", help="of the search for inputs, such as 0-3 (default 0)")
    parser.add_argument("--id", action="append", default=[], metavar="ID", help="only this one; may be repeated")
    parser.add_argument("--kind", action="append", default=[], metavar="KIND", help="only this kind; may be repeated")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="at a time (default 1)")
    parser.add_argument(
        "--diagnose", action=argparse.BooleanOptionalAction, default=False,
        help="also tell if the diagnosis names the planted line (some 10 s each)",
    )  # fmt: skip
    parser.add_argument(
        "--without", action="append", default=[], choices=HEURISTICS, metavar="HEURISTIC",
        help="diagnose without this heuristic of parity.diagnosis.settings; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--time-limit", type=float, default=120.0, metavar="SECONDS", help="per component (default 120)"
    )
    parser.add_argument("--examples", default="dev", help="inputs per component: dev, ci, nightly or a number")
    parser.add_argument("--task", default="auto", help="task whose designs are used (default TFBind8 if cached)")
    parser.add_argument(
        "--out", type=Path, default=Path("parity-faults.jsonl"), metavar="FILE",
        help="results, a line each as they come; a change that has one is not run again (default parity-faults.jsonl)",
    )  # fmt: skip
    parser.add_argument("--against", type=Path, metavar="FILE", help="compare with these earlier results afterwards")
    parser.add_argument("--page", type=Path, metavar="FILE", help="run nothing: write the results of --out as Markdown")
    return parser


def _run(options: argparse.Namespace) -> int:
    if options.jobs < 1:
        raise ValueError(f"--jobs must be at least 1, got {options.jobs}")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes to come
    results, earlier = Results(options.out), Results(options.against or options.out)
    given = {"task": options.task, "examples": options.examples}
    session = {"profiles": ("aligned",), **given}
    campaign = Campaign(session, impact(), options.time_limit, options.diagnose, tuple(sorted(set(options.without))))
    if options.page:
        return _write_page(options.page, results, campaign)
    rows: list[Row] = []
    if options.stability:
        total, coming = len(conditions()), judge_conditions(given, campaign.impact.digest, results)
    else:
        changes, seeds = _chosen(options, session), parse_seeds(options.seeds)
        total, coming = len(changes) * len(seeds), campaign.run(changes, seeds, results, options.jobs)
    results.note([*open_session(**session).header(), f"sources: {campaign.impact.digest}"])
    try:
        with tqdm(total=total, disable=None, leave=False) as bar:
            for row in coming:
                rows.append(row)
                bar.update()
                tqdm.write(_line(row))
    except KeyboardInterrupt:
        print(f"interrupted: {len(rows)} of {total} are known; the same command goes on")
        return 130
    print("\n".join([*summary_lines(rows), *(changes_since(rows, earlier.rows) if options.against else [])]))
    return int(any(_is_unexpected(row) for row in rows))


def _write_page(path: Path, results: Results, campaign: Campaign) -> int:
    """Write the rows of mutants and stability, and of the faults and rewrites that the catalogue still has.

    Keep what stands in the file before the first section of results.
    """
    changes = {(change.what, change.id): change for change in (*load("fault"), *load("rewrite"))}
    reasons = {key: change.equivalent for key, change in changes.items()}
    reasons |= {("mutant", name): why for name, why in reviewed("equivalent").items()}
    rows = [
        row | {"equivalent": reasons.get((row["what"], row["id"]), "")}
        for row in results.rows.values()
        if row["what"] in ("mutant", "stability") or (row["what"], row["id"]) in changes
    ]
    sections = page(rows, results.conditions)
    kept = path.read_text(encoding="utf-8").partition(sections.partition("\n")[0])[0] if path.exists() else ""
    write_atomic(path, kept + sections)
    known = [(row, changes[row["what"], row["id"]]) for row in rows if (row["what"], row["id"]) in changes]
    stale = sum(row["key"] != campaign.key(change) for row, change in known)
    print(f"{path}: {stale} of {len(known)} results are of other sources or conditions than now")
    return 0


def _chosen(options: argparse.Namespace, session: Mapping[str, Any]) -> Sequence[Change]:
    """Return the changes asked for. Raises ValueError for an unknown id or kind."""
    if options.mutants is not None:
        changes = sample_mutants(executed_lines(session), options.mutants, options.seed)
    else:
        changes = load("rewrite" if options.rewrites else "fault")
    for name in ("id", "kind"):
        known = {getattr(change, name) for change in changes}
        if unknown := sorted(set(getattr(options, name)) - known):
            raise ValueError(f"--{name} {', '.join(unknown)} is unknown; known are {', '.join(sorted(known))}")
        changes = tuple(c for c in changes if getattr(c, name) in (getattr(options, name) or known))
    for change in changes:
        change.check()
    return changes


def _line(row: Row) -> str:
    if row["what"] == "stability":
        return f"{row['outcome']:7} {row['id']} ({row['kind']}): {row['reason'] or len(row['judged'])}"
    found = f"{row['verdict']} by {', '.join(row['caught_by'])}" if row["caught_by"] else row["reason"][-120:]
    note = " (equivalent)" if row["equivalent"] else ""
    near = (" near" if row["near"] else " elsewhere") if row["diagnosed"] else ""
    outcome = {"caught": "ALARM", "missed": "agrees"}.get(row["outcome"]) if row["what"] == "rewrite" else None
    place = f"{row['file']}:{row['line']}"
    return f"{outcome or row['outcome']:7}{near} {row['id']}{note} ({place}): {found} [{row['seconds']:.1f} s]"


def _is_unexpected(row: Row) -> bool:
    if row["what"] in ("rewrite", "stability"):
        return row["outcome"] not in ("missed", "same")
    return bool(row["outcome"] == "missed" and not row["equivalent"])


if __name__ == "__main__":
    sys.exit(main())
