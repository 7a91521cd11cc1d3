"""Ledger entries at their pinned inputs: each must be seen there, or it is stale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from parity.component import Component
from parity.ledger import Entry
from parity.recording.recorded_side import RecordedSide
from parity.search import judge_explained, reproduce_line
from parity.session import Session
from parity.verdict import Judgement

__all__ = ["Pinned", "entries_of", "look_at"]

_EDIT = (
    "in parity/root_ggfm/known_differences.toml remove [[difference]] {name!r} (and its switch), or correct `example`"
)


@dataclass(frozen=True)
class Pinned:
    """What one entry's pinned input shows. `stale`: why the entry does not hold any more, or nothing."""

    entry: Entry
    found: Judgement
    options: str
    explained: bool

    @property
    def stale(self) -> str:
        """Why the ledger no longer describes the candidate here; empty where it does, or where more differs."""
        if not self.explained:
            return ""
        if self.found.agrees:
            return f"the sides agree at its pinned input ({self.found.verdict})"
        others = ", ".join(self.found.known)
        return "" if self.entry.name in self.found.known else f"{others} explain its pinned input without it"

    def plain(self) -> dict[str, Any]:
        """The stale entry as JSON values: its name, why, what to edit, and the line that shows it."""
        return {
            "difference": self.entry.name,
            "reason": self.stale,
            "edit": _EDIT.format(name=self.entry.name),
            "reproduce": reproduce_line(self.found, self.options),
        }


def entries_of(component: Component, profile: str, session: Session) -> list[Entry]:
    """The entries that `component` owns, where they are to be seen: in the profile `described` of ggfm.

    Against a recording, those whose pinned input it holds.
    """
    if session.candidate != "ggfm" or profile != "described":
        return []
    owned = [entry for entry in session.ledger.values() if entry.component == component.name]
    if isinstance(session.reference, RecordedSide):
        first = component.examples[0]
        return [entry for entry in owned if session.reference.holds(component.name, entry.pinned(first))]
    return owned


def look_at(entry: Entry, component: Component, session: Session) -> Pinned:
    """Judge the pinned input of an entry; one that no profile has on is turned on."""
    candidate = session.candidate_in("described", on=[] if entry.described else [entry.name])
    params: Mapping[str, Any] = entry.pinned(component.examples[0])
    found, explained = judge_explained(component, params, session.reference, candidate, session.context)
    return Pinned(entry, found, candidate.options, explained)
