"""The list's claims and the differences that it leaves out, and the check of both: a document of JSON values."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from parity.ledger import load as load_ledger
from parity.root_ggfm.claims.evidence import EVIDENCE
from parity.root_ggfm.claims.facts import Standing, standing
from parity.root_ggfm.claims.i18n import names
from parity.root_ggfm.claims.measurements import Measurements
from parity.root_ggfm.profiles import LEDGER
from parity.version import __version__

__all__ = ["FORMAT", "Claim", "Claims", "ClaimsError", "Unlisted", "check_claims", "exit_code", "load"]

T = TypeVar("T")

FORMAT = "parity-list/1"
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
class Claims:
    """Titles of the sections by number and language, the claims in order, and the differences they leave out."""

    sections: Mapping[str, Mapping[str, str]]
    claims: tuple[Claim, ...]
    unlisted: tuple[Unlisted, ...]


def load(path: Path = _FILE) -> Claims:
    """Read and check the file.

    Raises ClaimsError for an unknown or missing field, kind, evidence, standing or section, an id that comes twice, and
    where the differences without a section are others than the ledger's.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ClaimsError(f"{path.name} is not valid TOML: {error}") from error
    sections = raw.get("sections", {})
    claims = tuple(_claim(item, sections) for item in raw.get("claim", ()))
    twice = sorted({c.id for c in claims if sum(other.id == c.id for other in claims) > 1})
    if twice:
        raise ClaimsError(f"{path.name}: claim {', '.join(twice)} is listed twice; keep one")
    unlisted = tuple(
        _made(Unlisted, item, f"unlisted difference {item.get('name', '?')}") for item in raw.get("unlisted", ())
    )
    named, without = {u.name for u in unlisted}, {n for n, e in load_ledger(LEDGER).items() if not e.section}
    if named != without:
        raise ClaimsError(
            f"{path.name}: unlisted are {sorted(named)}, the ledger's without a section {sorted(without)}"
        )
    return Claims(sections, claims, unlisted)


def _claim(item: Mapping[str, Any], sections: Mapping[str, Any]) -> Claim:
    claim = _made(Claim, item, f"claim {item.get('id', '?')}")
    allowed: dict[str, tuple[Any, list[str]]] = {
        "kind": (claim.kind, sorted(names("kind"))),
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


def check_claims(
    measure: Measurements, *, versions: str = "", only: Sequence[str] = (), tell: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Return every claim with its standing and facts, and every difference that the list leaves out, as JSON values.

    `versions` of the packages that measured, to be shown. `only`: the ids of the claims to check; no others are in the
    document then, nor the differences that the list leaves out. `tell` gets the name of each thing once it is measured.

    Raises ValueError for an id that does not exist.
    """
    whole = load()
    ids = [claim.id for claim in whole.claims]
    for name in only:
        if name not in ids:
            raise ValueError(f"claim {name!r} does not exist; allowed are {', '.join(ids)}")
    claims, unlisted = [], []
    for claim in whole.claims:
        if not only or claim.id in only:
            claims.append(_checked(claim, measure))
            tell(claim.id)
    for entry in () if only else whole.unlisted:
        unlisted.append(_measured(entry, measure))
        tell(entry.name)
    present = {claim["section"] for claim in claims}
    return {
        "format": FORMAT,
        "parity": __version__,
        "sides": [measure.reference.version, measure.side(()).version],
        "task": measure.context.task.name,
        "versions": versions,
        "with_runs": bool(measure.runs),
        "sections": {number: dict(titles) for number, titles in whole.sections.items() if number in present},
        "claims": claims,
        "unlisted": unlisted,
    }


def exit_code(document: Mapping[str, Any]) -> int:
    """Return 2 if something could not be measured, 1 if something came out otherwise than is known, else 0.

    With whole runs nothing is known in advance about the claims that need them.
    """
    if any(item["error"] for item in (*document["claims"], *document["unlisted"])):
        return 2
    changed = any(
        claim["standing"] != claim["expected"] and not (document["with_runs"] and claim["kind"] == "runs")
        for claim in document["claims"]
    )
    return int(changed or any(item["verdict"] != item["expected"] for item in document["unlisted"]))


def _checked(claim: Claim, measure: Measurements) -> dict[str, Any]:
    runs = f" --runs {measure.runs_folder}" if measure.runs and claim.kind == "runs" else ""
    made: dict[str, Any] = {
        "id": claim.id,
        "section": claim.section,
        "zh": claim.zh,
        "en": claim.en,
        "kind": claim.kind,
        "command": f"parity list --claim {claim.id}{measure.options}{runs}",
        "standing": None,
        "expected": claim.expected.value,
        "facts": [],
        "error": None,
    }
    try:
        facts = list(EVIDENCE[claim.evidence](measure))
        reached = standing(facts).value
    except Exception as raised:  # noqa: BLE001 - one claim that cannot be measured does not take the others with it
        return made | {"error": _text(raised)}
    return made | {"standing": reached, "facts": [{**asdict(fact), "role": fact.role.value} for fact in facts]}


def _measured(entry: Unlisted, measure: Measurements) -> dict[str, Any]:
    known = measure.ledger[entry.name]
    made: dict[str, Any] = {
        "name": entry.name,
        "component": known.component,
        "verdict": None,
        "expected": known.verdict.value,
        "reason": "",
        "seen": None,
        "command": "",
        "en": {"root": known.reference, "ggfm": known.candidate, "cause": known.cause},
        "zh": {"root": entry.root, "ggfm": entry.ggfm, "cause": entry.cause},
        "error": None,
    }
    try:
        found = measure.pinned(entry.name)
        seen = measure.first_seen(entry.name, empty=entry.empty, **entry.changes)
    except Exception as raised:  # noqa: BLE001 - as above
        return made | {"error": _text(raised)}
    return made | {
        "verdict": found.verdict.value,
        "reason": found.reason,
        "seen": None if seen is None else {"step": seen[0], "leaf": seen[1].split("/", 1)[1]},
        "command": measure.command(found, [entry.name]),
    }


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
