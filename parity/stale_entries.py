"""Judge ledger entries at their pinned inputs: a difference that is not seen there any more is stale."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parity.component import Component
from parity.ledger import Entry
from parity.recording.side import RecordedSide
from parity.search import judge_explained, reproduce_line
from parity.session import Session
from parity.verdict import Judgement

__all__ = ["PinnedEntry", "judge_pinned", "pinned_entries"]


@dataclass(frozen=True)
class PinnedEntry:
    """An entry and its pinned input's judgement. `explained`: nothing but known differences shows there."""

    entry: Entry
    found: Judgement
    options: str
    explained: bool
    ledger: Path

    @property
    def stale(self) -> str:
        """Say why the ledger no longer describes the candidate here; empty where it does, or where more differs."""
        if not self.explained:
            return ""
        if self.found.agrees:
            return f"the sides agree at its pinned input ({self.found.verdict})"
        others = ", ".join(self.found.known)
        return "" if self.entry.name in self.found.known else f"{others} explain its pinned input without it"

    def plain(self) -> dict[str, Any]:
        """Return the stale entry as JSON values: its name, why, how to edit it, and the line that shows it."""
        tree = Path(__file__).parents[1]
        file = self.ledger.relative_to(tree).as_posix() if self.ledger.is_relative_to(tree) else str(self.ledger)
        name = self.entry.name
        return {
            "difference": name,
            "reason": self.stale,
            "edit": f"in {file} remove [[difference]] {name!r} (and its switch), or correct `example`",
            "reproduce": reproduce_line(self.found, self.options),
        }


def pinned_entries(component: Component, profile: str, session: Session) -> list[Entry]:
    """Return the entries that `component` owns: in the ledger's profile of the study's candidate, else none.

    Against a recording, those whose pinned input it holds.
    """
    if session.candidate != session.study.candidate or profile != session.study.ledger_profile:
        return []
    owned = [entry for entry in session.ledger.values() if entry.component == component.name]
    if isinstance(session.reference, RecordedSide):
        first = component.examples[0]
        return [entry for entry in owned if session.reference.holds(component.name, entry.pinned(first))]
    return owned


def judge_pinned(entry: Entry, component: Component, session: Session) -> PinnedEntry:
    """Judge the pinned input of an entry; turn on a difference that the profile does not have."""
    candidate = session.candidate_in(session.study.ledger_profile, on=[] if entry.active else [entry.name])
    params = entry.pinned(component.examples[0])
    found, explained = judge_explained(component, params, session.reference, candidate, session.context)
    assert session.study.ledger is not None  # an entry comes from a ledger
    return PinnedEntry(entry, found, candidate.options, explained, session.study.ledger)
