"""`parity explain`: why a component disagrees, on one input: the draws side by side, then the operation."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from textwrap import fill
from typing import Any

from parity.atomic_write import write_atomic
from parity.cli.options import SESSION, add_options, case_of, in_workers, session_of
from parity.cli.scripts import add_script_options, asks_for_scripts, explain_scripts
from parity.diagnosis.explain import explain as explain_input
from parity.diagnosis.explain import explain_known
from parity.jobs import open_judge
from parity.ledger import Entry, reaching
from parity.process.pool import Failure
from parity.search import Candidate, explore, reproduce_line
from parity.session import Session
from parity.side import Side
from parity.verdict import Verdict

__all__ = ["add_parser", "explain"]

_WIDTH = 118
"""Columns printed."""

_LIMIT = 3600.0
"""Seconds for one profile: a diagnosis may run the training of a whole task many times."""

_MARKS = {"same": "=", "value": "~", "reference only": "<", "candidate only": ">", "other": "!"}
_LEGEND = "= same   ~ another value   < reference only   > candidate only   ! another draw"


def add_parser(actions: Any) -> None:
    """Declare the command."""
    parser = actions.add_parser("explain", help="why one component differs: draws side by side, and the operation")
    add_options(parser.add_argument, (*SESSION, "on", "jobs"), jobs={"help": "0: all in this process, for a debugger"})
    parser.add_argument(
        "--case", metavar="JSON", help="explain this input (default: search for the smallest failing one)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the explanation into this file as well")
    add_script_options(parser.add_argument)
    parser.set_defaults(run=explain)


def explain(options: argparse.Namespace) -> int:
    """Judge one component, then print (and write) why it disagrees; 0 once that is said."""
    if asks_for_scripts(options):
        return explain_scripts(options)
    if len(options.component or ()) != 1:
        raise ValueError(f"explain needs exactly one --component, got {len(options.component or ())}")
    options.jobs = 1 if options.jobs != 0 else 0  # one after the other: a diagnosis is given seconds
    session = session_of(options)
    only = case_of(options, session)
    (component,) = session.components
    found: list[dict[str, Any]] = []
    jobs = [_Explanation(profile, tuple(options.on), only) for profile in session.profiles]
    for k, explained in in_workers(open_judge, jobs, options, limit=_LIMIT):
        if isinstance(explained, Failure):
            raise RuntimeError(f"{jobs[k].profile} {component.name}: {explained.reason}")
        _print(session, *explained)
        found.append(explained[0])
    if options.json:
        write_atomic(Path(options.json), json.dumps({"explanations": found}, indent=1) + "\n")
        print(f"\nwritten: {options.json}")
    return 0


@dataclass(frozen=True)
class _Explanation:
    """The job of a worker: search (or take `only`), and explain."""

    profile: str
    on: tuple[str, ...]
    only: Mapping[str, Any] | None

    def run(self, session: Session, _: Callable[[Any], None]) -> tuple[dict[str, Any], list[Entry], bool]:
        """Return the explanation, the ledger's entries that cover the input, and True if they do not explain it."""
        (component,) = session.components
        candidate = session.candidate_in(self.profile, on=self.on)
        result = explore(
            component, session.reference, candidate, session.context,
            examples=session.examples, search_seed=session.seed, only=self.only,
        )  # fmt: skip
        # The first one that disagrees is an example, and small, where an example shows it.
        judgement = result.unexpected or next((j for j in result.judgements if not j.agrees), result.worst)
        entries = [e for e in reaching(candidate.known, component.name) if e.covers(judgement.params)]
        entries = [] if judgement.agrees else entries
        sides = component, judgement.params, session.reference
        if result.unexpected is None:
            found = explain_known(*sides, candidate, judgement.known, session.context)
        else:
            found = explain_input(*sides, _as_judged(candidate, entries), session.context)
        written = {
            "component": component.name,
            "profile": self.profile,
            "verdict": judgement.verdict.value,
            "params": judgement.params,
            "known": [entry.name for entry in entries],
            "reproduce": reproduce_line(judgement, result.options).replace("parity check", "parity explain", 1),
            "explanation": found,
        }
        return written, entries, result.unexpected is not None


def _print(session: Session, written: Mapping[str, Any], entries: list[Entry], unexpected: bool) -> None:
    found = written["explanation"]
    print(f"\n{written['profile']} {written['component']}: {written['verdict']}")
    print(fill(found["sentence"], _WIDTH, break_long_words=False, break_on_hyphens=False))
    if found["look_at"] is not None:
        print(f"\nlook first at {_place(found['look_at'])}: {found['look_at']['text']}")
    _print_draws(found["draws"])
    _print_operations(found["operations"], written["params"])
    if not Verdict(written["verdict"]).agrees:
        _print_entries(entries, session.study.labels, unexpected=unexpected)
    print(f"\nreproduce: {written['reproduce']}", flush=True)


def _as_judged(candidate: Candidate, entries: list[Entry]) -> Side:
    """Return the candidate with every known difference turned off: so an unexpected one was judged."""
    if entries and candidate.without is not None:
        return candidate.without(tuple(entry.name for entry in entries))
    return candidate.side


def _print_draws(draws: Mapping[str, Any] | None) -> None:
    if draws is None or not draws["rows"]:
        return
    column = _WIDTH // 2 - 2
    print(f"\n  {'draws of the reference':{column}} | draws of the candidate")
    for row in draws["rows"]:
        for line, (a, b) in enumerate(zip_longest(_event(row["reference"]), _event(row["candidate"]), fillvalue="")):
            mark = _MARKS[row["mark"]] if line == 0 else " "
            print(f"{mark} {a[:column]:{column}} | {b[:column]}".rstrip())
    print(f"  {_LEGEND}" + (f"; {draws['omitted']} more are not shown" if draws["omitted"] else ""))


def _event(event: Mapping[str, Any] | None) -> list[str]:
    """Return the draw, its generator, its place and the line, in lines of text."""
    if event is None:
        return []
    site, seed = event["site"], event["seed"]
    seeded = "" if seed is None else f", seed {seed}"
    draw = event["what"] == "draw"
    what = f"{event['kind']}{event['shape']} from" if draw else f"{event['operation']} of"
    place = [f"    {site['file']}:{site['line']}", f"    {site['text']}"] if site else ["    no line of its own"]
    return [f"{event['index']} {what} {event['generator']}{seeded}", *place]


def _print_operations(operations: Mapping[str, Any] | None, params: Mapping[str, Any]) -> None:
    if operations is None:
        return
    print("\n  operations")
    if operations["input"] != dict(params):
        print(f"  traced at a smaller input: --case '{json.dumps(operations['input'], separators=(',', ':'))}'")
    for name in ("reference", "candidate"):
        point = operations[name]
        if point is None:
            continue
        marked = (point["made_at"] or point["site"])["line"]
        operation = f"{point['operation']} at " if point["operation"] else ""
        print(f"  {name}: {operation}{_place(point['made_at'] or point['site'])}")
        for number, text in point["source"]:
            print(f"  {'>' if number == marked else ' '} {number:5} {text}")
        for step in point["chain"]:
            print(f"    called from {_place(step)}")


def _place(site: Mapping[str, Any]) -> str:
    return f"{site['file']}:{site['line']} in {site['function']}"


def _print_entries(entries: list[Entry], labels: tuple[str, str], *, unexpected: bool) -> None:
    print("\nLedger, entries that cover this input:")
    for entry in entries:
        section = f"section {entry.section} of the list" if entry.section else "not in the list"
        print(f"  {entry.name} ({section}): {entry.cause}")
        print(f"    {labels[0]}: {entry.reference}\n    {labels[1]}: {entry.candidate}")
    if unexpected:
        print("  no known difference explains this" + (": it is there with these turned off" if entries else ""))
