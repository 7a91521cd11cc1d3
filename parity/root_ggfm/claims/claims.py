"""The list's claims and what it leaves out, read from `claims.toml` and checked."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from parity.ledger import load as load_ledger
from parity.root_ggfm.claims.evidence import EVIDENCE
from parity.root_ggfm.claims.facts import Standing
from parity.root_ggfm.claims.words import KINDS
from parity.root_ggfm.profiles import LEDGER

__all__ = ["Claim", "ClaimsError", "Unlisted", "UserList", "load"]

T = TypeVar("T")

_FILE = Path(__file__).with_name("claims.toml")


class ClaimsError(ValueError):
    """The claims contradict themselves, the evidence or the ledger. The message says which entry, and how."""


@dataclass(frozen=True)
class Claim:
    """One claim: `zh` in the list's words, `en` in English. `expected`: the standing it is known to have."""

    id: str
    zh: str
    en: str
    kind: str
    evidence: str
    expected: Standing

    @property
    def section(self) -> str:
        """The number of its section."""
        return self.id.split(".")[0]


@dataclass(frozen=True)
class Unlisted:
    """A difference that no section names: the ledger's words in Chinese, and the small run in which it can show."""

    name: str
    root: str
    ggfm: str
    cause: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    empty: int | None = None


@dataclass(frozen=True)
class UserList:
    """Titles of the sections by number and language, the claims in order, and what they leave out."""

    sections: Mapping[str, Mapping[str, str]]
    claims: tuple[Claim, ...]
    unlisted: tuple[Unlisted, ...]


def load(path: Path = _FILE) -> UserList:
    """Read and check the file.

    Raises ClaimsError for an unknown or missing field, kind, evidence, standing or section, an id that comes twice, and
    where the differences without a section are others than the ledger's.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ClaimsError(f"{path.name} is not valid TOML: {error}") from error
    claims = tuple(_claim(item, raw.get("sections", {})) for item in raw.get("claim", ()))
    twice = sorted({c.id for c in claims if sum(other.id == c.id for other in claims) > 1})
    if twice:
        raise ClaimsError(f"{path.name}: claim {', '.join(twice)} is listed twice; keep one")
    unlisted = tuple(
        _made(Unlisted, item, f"unlisted difference {item.get('name', '?')}") for item in raw.get("unlisted", ())
    )
    named, without = {entry.name for entry in unlisted}, {n for n, e in load_ledger(LEDGER).items() if not e.section}
    if named != without:
        raise ClaimsError(
            f"{path.name}: unlisted are {sorted(named)}, the ledger's without a section {sorted(without)}"
        )
    return UserList(raw.get("sections", {}), claims, unlisted)


def _claim(item: Mapping[str, Any], sections: Mapping[str, Any]) -> Claim:
    claim = _made(Claim, item, f"claim {item.get('id', '?')}")
    allowed: dict[str, tuple[Any, list[str]]] = {
        "kind": (claim.kind, sorted(KINDS)),
        "evidence": (claim.evidence, sorted(EVIDENCE)),
        "expected": (claim.expected, [s.value for s in Standing]),
        "id": (claim.section, list(sections)),
    }
    for name, (got, known) in allowed.items():
        if got not in known:
            raise ClaimsError(f"claim {claim.id}: {name} is {got!r}, allowed are {', '.join(known)}")
    return Claim(**{**item, "expected": Standing(claim.expected)})


def _made(kind: type[T], item: Mapping[str, Any], who: str) -> T:
    try:
        return kind(**item)
    except TypeError as error:  # Python names the field that is missing or unknown
        raise ClaimsError(f"{who}: {str(error).split('__init__() ')[-1]}") from error
