"""`parity components` and `parity ledger`: list the components, and the known differences."""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

from parity.cli.check import jobs_of, judge_jobs
from parity.cli.options import POOL, SESSION, add_options, session_of
from parity.cli.scripts import add_script_options, asks_for_scripts, compare_as_asked
from parity.own_ledger import FILE, OwnLedger, entries_of_rows, entries_of_scripts
from parity.session import known_differences
from parity.study import installed

__all__ = ["add_parsers"]


def add_parsers(actions: Any) -> None:
    """Declare both commands."""
    listing = actions.add_parser("components", help="list what is compared")
    listing.set_defaults(run=_components)
    ledger = actions.add_parser(
        "ledger",
        help="list the known differences (fails if the ledger is inconsistent); init: of your own code",
    )
    ledger.set_defaults(run=_ledger)
    own = ledger.add_subparsers(metavar="init")
    init = own.add_parser("init", help=f"write the differences found as entries of {FILE}")
    add_options(init.add_argument, (*SESSION, *POOL))
    add_script_options(init.add_argument)
    init.set_defaults(run=_init, on=[], since=None, case=None)


def _init(options: argparse.Namespace) -> int:
    """Write the differences that are there now; from then on `parity check` is red for anything new, or gone."""
    path = Path(options.ledger or FILE)
    if path.exists():
        raise ValueError(f"--ledger: {path} is there already; edit it, or delete it first")
    if asks_for_scripts(options):
        entries = entries_of_scripts(compare_as_asked(options, None).differences)
    else:
        rows, _ = judge_jobs(session := session_of(options), jobs_of(session, options, explain="unexpected"), options)
        entries = entries_of_rows(rows, partial(json.dumps, separators=(",", ":")))
    OwnLedger(path, entries).write()
    print(f"{path}: {len(entries)} differences" + "".join(f"\n  {e.name}: {e.kind}, {e.what}" for e in entries))
    return 0


def _components(options: argparse.Namespace) -> int:  # noqa: ARG001 - it has none
    for component in installed().components.values():
        lines = [component.title, component.formula, *(["on the task's designs"] if component.on_task else [])]
        for name, line in zip([component.name, "", ""], lines, strict=False):
            print(f"{name:16} {line}")
    return 0


def _ledger(options: argparse.Namespace) -> int:  # noqa: ARG001 - it has none
    study = installed()
    reference, candidate = study.labels
    for entry in known_differences(study).values():
        section = f"section {entry.section}" if entry.section else "not in the list"
        profile = study.ledger_profile if entry.active else "off in both profiles"
        print(f"{entry.name} ({section}; {profile})\n  {entry.component}: {entry.verdict}")
        print(f"  {reference}: {entry.reference}\n  {candidate}: {entry.candidate}\n  cause: {entry.cause}")
    return 0
