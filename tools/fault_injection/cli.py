"""`parity faults`: plant faults, mutants and harmless rewrites, and say how many are caught."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from parity.atomic_write import write_atomic
from parity.root_ggfm.runs.run_spec import parse_seeds
from tools.fault_injection.campaign import open_campaign
from tools.fault_injection.catalogue import Change, load
from tools.fault_injection.mutants import reviewed, sample_mutants
from tools.fault_injection.page import page
from tools.fault_injection.reach import reach
from tools.fault_injection.results import Results, Row
from tools.fault_injection.stability import conditions, judge_conditions
from tools.fault_injection.summary import summary_lines

__all__ = ["add_parser", "faults"]


def add_parser(actions: Any) -> None:
    """Declare the command."""
    parser = actions.add_parser("faults", help="who checks the checker: planted faults are caught, rewrites pass")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--rewrites", action="store_true", help="plant harmless rewrites instead: none may alarm")
    which.add_argument(
        "--stability", action="store_true", help="plant nothing: the same verdicts in any order, on any thread count?"
    )
    which.add_argument("--mutants", type=int, metavar="N", help="plant a sample of Cosmic Ray's mutants instead")
    parser.add_argument("--seed", type=int, default=0, help="of the sample of mutants (default 0)")
    parser.add_argument("--seeds", default="0", help="of the search for inputs, such as 0-3 (default 0)")
    parser.add_argument("--id", action="append", default=[], metavar="ID", help="only this one; may be repeated")
    parser.add_argument("--kind", action="append", default=[], metavar="KIND", help="only this kind; may be repeated")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="at a time (default 1)")
    parser.add_argument(
        "--diagnose", action=argparse.BooleanOptionalAction, default=False,
        help="also whether the diagnosis points at the planted line (some 10 s each)",
    )  # fmt: skip
    parser.add_argument(
        "--time-limit", type=float, default=120.0, metavar="SECONDS", help="per component (default 120)"
    )
    parser.add_argument("--examples", default="dev", help="inputs per component: dev, ci, nightly or a number")
    parser.add_argument("--task", default="auto", help="task whose designs are used (default TFBind8 if cached)")
    parser.add_argument(
        "--out", default="parity-faults.jsonl", metavar="FILE",
        help="results, a line each as they come; what is there is not run again (default parity-faults.jsonl)",
    )  # fmt: skip
    parser.add_argument("--page", metavar="FILE", help="run nothing: write all results of --out as Markdown")
    parser.set_defaults(run=faults)


def faults(options: argparse.Namespace) -> int:
    """Plant, print, and say how it ended: 1 for a fault or mutant that was missed, and for an alarm on a rewrite."""
    if options.jobs < 1:
        raise ValueError(f"--jobs must be at least 1, got {options.jobs}")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes to come
    results = Results(Path(options.out))
    if options.page:
        write_atomic(Path(options.page), page(_listed(results), [*_conditions(options), _sources(options, results)]))
        print(options.page)
        return 0
    if options.stability:
        return _stability(options, results)
    session = {"profiles": ("aligned",), "task": options.task, "examples": options.examples}
    campaign = open_campaign(session, time_limit=options.time_limit, diagnose=options.diagnose)
    changes = _chosen(options, session)
    rows: list[Row] = []
    total = len(changes) * len(seeds := parse_seeds(options.seeds))
    try:
        with tqdm(total=total, unit="change", disable=None, leave=False) as bar:
            for row in campaign.run(changes, seeds, results, options.jobs):
                rows.append(row)
                bar.update()
                tqdm.write(_line(row))
    except KeyboardInterrupt:
        print(f"interrupted: {len(rows)} of {total} are known; the same command goes on")
        return 130
    print("\n".join(summary_lines(rows)))
    return int(any(_is_unexpected(row) for row in rows))


def _stability(options: argparse.Namespace, results: Results) -> int:
    """Judge under every condition; 1 if a verdict is another than under the first."""
    given = {"task": options.task, "examples": options.examples}
    rows: list[Row] = []
    with tqdm(total=len(conditions()), unit="condition", disable=None, leave=False) as bar:
        for row in judge_conditions(given, reach({"profiles": ("aligned",), **given}).digest, results):
            rows.append(row)
            bar.update()
            tqdm.write(f"{row['outcome']:7} {row['id']} ({row['kind']}): {row['reason'] or len(row['judged'])}")
    return int(any(row["outcome"] != "same" for row in rows))


def _chosen(options: argparse.Namespace, session: dict[str, Any]) -> Sequence[Change]:
    """The changes asked for. Raises ValueError for an id or a kind that there is none of."""
    if options.mutants is not None:
        changes: Sequence[Change] = sample_mutants(session, options.mutants, options.seed)
    else:
        changes = load("rewrite" if options.rewrites else "fault")
    for name, wanted, known in (
        ("id", options.id, {c.id for c in changes}),
        ("kind", options.kind, {c.kind for c in changes}),
    ):
        if unknown := sorted(set(wanted) - known):
            raise ValueError(f"--{name} {', '.join(unknown)} is unknown; known are {', '.join(sorted(known))}")
    chosen = [
        c for c in changes if (not options.id or c.id in options.id) and (not options.kind or c.kind in options.kind)
    ]
    for change in chosen:
        change.check()
    return chosen


def _listed(results: Results) -> list[Row]:
    """The rows of all mutants, and of the faults and rewrites that the catalogue still has, as it sees them today."""
    known: dict[tuple[str, str], str] = {}
    for change in (*load("fault"), *load("rewrite")):
        known[change.what, change.id] = change.equivalent
    rows = [
        row
        for row in results.rows.values()
        if row["what"] in ("mutant", "stability") or (row["what"], row["id"]) in known
    ]
    known.update({("mutant", name): why for name, why in reviewed("equivalent").items()})
    return [row | {"equivalent": known.get((row["what"], row["id"]), "")} for row in rows]


def _sources(options: argparse.Namespace, results: Results) -> str:
    """Whether the results are of the sources as they are now."""
    session = {"profiles": ("aligned",), "task": options.task, "examples": options.examples}
    campaign = open_campaign(session, time_limit=options.time_limit)
    keys = {(change.what, change.id): campaign.key(change) for change in (*load("fault"), *load("rewrite"))}
    known = [row for row in results.rows.values() if (row["what"], row["id"]) in keys]
    other = [row for row in known if row["key"] != keys[row["what"], row["id"]]]
    if not other:
        return f"sources: {campaign.reach.digest}, as they are now"
    return f"sources: {len(other)} of {len(known)} results are of other sources or conditions than now"


def _line(row: Row) -> str:
    place = f"{row['file']}:{row['line']}"
    found = f"{row['verdict']} by {', '.join(row['caught_by'])}" if row["caught_by"] else row["reason"][-120:]
    note = " (equivalent)" if row["equivalent"] else ""
    near = (" near" if row["near"] else " elsewhere") if row["diagnosed"] else ""
    outcome = {"caught": "ALARM", "missed": "agrees"}.get(row["outcome"], row["outcome"])
    said = outcome if row["what"] == "rewrite" else row["outcome"]
    return f"{said:7}{near} {row['id']}{note} ({place}): {found} [{row['seconds']:.1f} s]"


def _is_unexpected(row: Row) -> bool:
    if row["what"] == "rewrite":
        return bool(row["outcome"] != "missed")
    return bool(row["outcome"] == "missed" and not row["equivalent"])


def _conditions(options: argparse.Namespace) -> list[str]:
    from parity.session import open_session

    return open_session(profiles=("aligned",), task=options.task, examples=options.examples).header()
