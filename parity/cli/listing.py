"""`parity components` and `parity ledger`: list the components, and the known differences."""

from __future__ import annotations

import argparse
from typing import Any

from parity.session import known_differences
from parity.study import installed

__all__ = ["add_parsers"]


def add_parsers(actions: Any) -> None:
    """Declare both commands."""
    listing = actions.add_parser("components", help="list what is compared")
    listing.set_defaults(run=_components)
    ledger = actions.add_parser("ledger", help="list the known differences; fails if the ledger is inconsistent")
    ledger.set_defaults(run=_ledger)


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
