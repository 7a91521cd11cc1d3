"""The strict ledger of known differences: named, caused, pinned. Unknown, duplicate or contradicting entries fail."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parity.verdict import Verdict

__all__ = ["Entry", "LedgerError", "load", "reaching"]


class LedgerError(ValueError):
    """The ledger contradicts itself or the code. The message says which entry to edit and how."""


@dataclass(frozen=True)
class Entry:
    """Describe one known difference. `verdict` is what its component says when this switch alone is on, at the example.

    `reference` and `candidate` say what each side does; `active`: the study's ledger profile has it on.

    `by_design`: what is drawn differs on purpose and follows the same law.
    """

    name: str
    section: str
    component: str
    verdict: Verdict
    reference: str
    candidate: str
    cause: str
    also: tuple[str, ...] = ()
    active: bool = True
    by_design: bool = False
    when: Mapping[str, list[Any]] = field(default_factory=dict)
    example: Mapping[str, Any] = field(default_factory=dict)

    @property
    def components(self) -> tuple[str, ...]:
        """Every component that this difference reaches, the owner first."""
        return (self.component, *self.also)

    def covers(self, params: Mapping[str, Any]) -> bool:
        """Return True if this input may show the difference."""
        return all(params.get(name) in allowed for name, allowed in self.when.items() if name in params)

    def pinned(self, first_example: Mapping[str, Any]) -> dict[str, Any]:
        """The pinned input, from the first example of its component."""
        return {**first_example, **self.example}


def load(
    path: Path, *, components: Iterable[str] | None = None, switches: Iterable[str] | None = None
) -> dict[str, Entry]:
    """Read and validate the ledger.

    Raises LedgerError for an unknown field, verdict, component or switch, a duplicate name, a switch without an
    entry, and two entries that pin one input of one component to different verdicts.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8")).get("difference", [])
    except tomllib.TOMLDecodeError as error:
        raise LedgerError(f"{path.name} is not valid TOML: {error}") from error
    entries: dict[str, Entry] = {}
    for item in raw:
        entry = _entry(item)
        if entry.name in entries:
            raise LedgerError(f"{path.name}: difference {entry.name!r} is listed twice; keep one entry")
        entries[entry.name] = entry
    _check_names(path.name, entries, components, switches)
    _check_contradictions(path.name, entries)
    return entries


def reaching(entries: Mapping[str, Entry], component: str) -> list[Entry]:
    """The entries that reach a component."""
    return [entry for entry in entries.values() if component in entry.components]


def _entry(item: Mapping[str, Any]) -> Entry:
    name = item.get("name", "?")
    unknown = set(item) - set(Entry.__dataclass_fields__)
    if unknown:
        raise LedgerError(f"difference {name!r}: unknown field {sorted(unknown)}; allowed are "
                          f"{sorted(Entry.__dataclass_fields__)}")  # fmt: skip
    missing = {"name", "section", "component", "verdict", "reference", "candidate", "cause"} - set(item)
    if missing:
        raise LedgerError(f"difference {name!r}: field {sorted(missing)} is missing; add it")
    known = [v.value for v in Verdict if not v.agrees]
    if item["verdict"] not in known:
        raise LedgerError(f"difference {name!r}: verdict {item['verdict']!r} is not one of {known}; correct it")
    if item.get("by_design") and item["verdict"] != Verdict.RANDOMNESS:
        raise LedgerError(f"difference {name!r}: by_design needs verdict 'randomness', got {item['verdict']!r}; what "
                          f"differs with equal draws too is no matter of their law")  # fmt: skip
    return Entry(**{**item, "verdict": Verdict(item["verdict"]), "also": tuple(item.get("also", ()))})


def _check_names(
    file: str, entries: Mapping[str, Entry], components: Iterable[str] | None, switches: Iterable[str] | None
) -> None:
    known = set(components) if components is not None else None
    for entry in entries.values():
        unknown = [c for c in entry.components if known is not None and c not in known]
        if unknown:
            raise LedgerError(f"{file}: difference {entry.name!r} names component {unknown}, which does not exist; "
                              f"correct the name, `parity components` lists them")  # fmt: skip
        twice = [c for c, count in Counter(entry.components).items() if count > 1]
        if twice:
            raise LedgerError(f"{file}: difference {entry.name!r} names component {twice} twice; keep it once, in "
                              f"`component` or in `also`")  # fmt: skip
    if switches is not None:
        extra, absent = set(entries) - set(switches), set(switches) - set(entries)
        if extra:
            raise LedgerError(f"{file}: {sorted(extra)} is no switch of the candidate; remove the entry or the typo")
        if absent:
            raise LedgerError(f"{file}: the candidate's switch {sorted(absent)} has no entry; add one")


def _check_contradictions(file: str, entries: Mapping[str, Entry]) -> None:
    """No two entries may be the same difference under two names: same owner, same pinned input, other verdict."""
    seen: dict[tuple[str, str], Entry] = {}
    for entry in entries.values():
        if not entry.example:
            continue
        other = seen.setdefault((entry.component, repr(sorted(entry.example.items()))), entry)
        if other.verdict is not entry.verdict:
            raise LedgerError(f"{file}: {other.name!r} and {entry.name!r} pin the same input of {entry.component} to "
                              f"{other.verdict} and {entry.verdict}; correct or remove the wrong one")  # fmt: skip
