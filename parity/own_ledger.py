"""Keep known differences of one's own code in a file of one's own repository: red for anything new, or gone."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from parity.atomic_write import write_atomic
from parity.watch.follow import Difference

__all__ = ["FILE", "OwnEntry", "OwnLedger", "entries_of_rows", "entries_of_scripts"]

FILE = "parity-ledger.toml"

_HEAD = """# Known differences of this repository's code from its reference, written by `parity ledger init`.
# `parity check` is green while each of them is there, and red for anything new or gone. Say why below each name.
"""


class OwnEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A difference.

    `kind`: its class or verdict. `what`: the quantity. `reference`, `candidate`: `FILE: TEXT OF THE LINE`, so that an
    entry survives lines that move. Of a component also its name, its profile, and `input`, the pinned one, as JSON.
    """

    name: str
    kind: str
    what: str
    reference: str = ""
    candidate: str = ""
    component: str = ""
    profile: str = ""
    input: str = ""
    why: str = ""

    def explains(self, row: Mapping[str, Any]) -> bool:
        """True for a row that disagrees in the way and at the line that the entry names."""
        place = (row.get("explanation") or {}).get("look_at")
        line = f"{place['file']}: {place['text']}" if place else ""
        return not row["ok"] and row["verdict"] == self.kind and self.candidate in ("", line)


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    difference: list[OwnEntry] = []


@dataclass(frozen=True)
class OwnLedger:
    """The entries of a file."""

    path: Path
    entries: tuple[OwnEntry, ...]

    @classmethod
    def read(cls, path: Path) -> OwnLedger:
        """Read a file. Raises ValueError naming it and what is wrong."""
        try:
            text = path.read_text(encoding="utf-8")
            found = msgspec.convert(tomllib.loads(text), _File).difference
        except FileNotFoundError:
            raise ValueError(f"--ledger: there is no file {path}; `parity ledger init` writes one") from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise ValueError(f"--ledger {path}: {error}") from None
        twice = [name for name, n in Counter(entry.name for entry in found).items() if n > 1]
        if twice:
            raise ValueError(f"--ledger {path}: {twice[0]!r} stands there twice")
        return cls(path, tuple(found))

    def write(self) -> None:
        """Write the file, as a whole or not at all."""
        parts = [_HEAD]
        for entry in self.entries:
            fields = {n: getattr(entry, n) for n in entry.__struct_fields__}
            lines = [f"{n} = {_quoted(v)}" for n, v in fields.items() if v or n in ("name", "kind", "what", "why")]
            parts.append("\n".join(["[[difference]]", *lines]) + "\n")
        write_atomic(self.path, "\n".join(parts))

    def match(self, differences: Sequence[Difference]) -> tuple[dict[int, str], list[str]]:
        """Return the entry's name of each difference that has one, by its number, and entries that are gone."""
        left = {e.name: e for e in self.entries if not e.component}
        known: dict[int, str] = {}
        for k, difference in enumerate(differences):
            sign = _sign(entry_of(difference, ""))
            name = next((n for n, e in left.items() if _sign(e) == sign), None)
            if name is not None:
                known[k] = name
                del left[name]
        gone = [f"{e.name}: not seen any more; delete it from {self.path.name} ({e.what})" for e in left.values()]
        return known, gone

    def input_of(self, entry: OwnEntry) -> dict[str, Any]:
        """Return the pinned input of an entry. Raises ValueError if it is none."""
        try:
            found = json.loads(entry.input)
        except json.JSONDecodeError as error:
            raise ValueError(f"--ledger {self.path}: the input of {entry.name} is no JSON: {error}") from None
        if not isinstance(found, dict):
            raise ValueError(f"--ledger {self.path}: the input of {entry.name} must be an object, got {entry.input}")
        return found


def entries_of_scripts(differences: Sequence[Difference]) -> tuple[OwnEntry, ...]:
    """Return an entry for each difference that is more than rounding."""
    names = _Names()
    return tuple(entry_of(d, names(f"{d.kind} {d.what}")) for d in differences if d.counts)


def entries_of_rows(rows: Sequence[Mapping[str, Any]], dumps: Any) -> tuple[OwnEntry, ...]:
    """Return an entry for each component that disagrees; `dumps` writes its pinned input as text."""
    names = _Names()
    found = []
    for row in rows:
        if row["ok"] or row["verdict"] in ("missing", "error"):
            continue
        shown = row["judgement"]
        place = (row.get("explanation") or {}).get("look_at")
        found.append(
            OwnEntry(
                name=names(f"{row['component']} {row['verdict']}"), kind=row["verdict"], what=_plain(shown["reason"]),
                candidate=f"{place['file']}: {place['text']}" if place else "", component=row["component"],
                profile=row["profile"], input=dumps(shown["params"]),
            )
        )  # fmt: skip
    return tuple(found)


def entry_of(difference: Difference, name: str) -> OwnEntry:
    """Return the entry of one difference of two scripts."""
    places = [f"{p.file}: {p.text}" if p is not None else "" for p in (difference.reference, difference.candidate)]
    return OwnEntry(
        name=name, kind=difference.kind, what=_plain(difference.what), reference=places[0], candidate=places[1]
    )


def _sign(entry: OwnEntry) -> tuple[str, ...]:
    return entry.kind, _plain(entry.what), entry.reference, entry.candidate


def _plain(what: str) -> str:
    """Return a sentence without the sizes of errors: they vary from machine to machine."""
    return re.sub(r"differs by [-+0-9.e]+(, rounding explains [-+0-9.e]+| of its largest number)?", "differs", what)


class _Names:
    """Names that are short and that no other entry has."""

    def __init__(self) -> None:
        self._given: Counter[str] = Counter()

    def __call__(self, text: str) -> str:
        words = re.findall(r"[a-z][a-z0-9]+", _plain(text).lower())
        short = "-".join(words[:5]) or "difference"
        self._given[short] += 1
        return short if self._given[short] == 1 else f"{short}-{self._given[short]}"


def _quoted(text: str) -> str:
    escaped = "".join(_ESCAPES.get(c) or (c if c.isprintable() else f"\\u{ord(c):04x}") for c in text)
    return f'"{escaped}"'


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
