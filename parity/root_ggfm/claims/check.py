"""Check the whole list: from claims to one document that every rendering is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from parity.loading import load_side
from parity.root_ggfm.claims.bench import Bench
from parity.root_ggfm.claims.claims import Claim, Unlisted, UserList, load
from parity.root_ggfm.claims.evidence import EVIDENCE
from parity.root_ggfm.claims.facts import Fact, standing
from parity.version import __version__

__all__ = ["FORMAT", "check_list", "exit_code"]

FORMAT = "parity-list/1"


def check_list(
    bench: Bench, *, versions: str = "", only: Sequence[str] = (), tell: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Every claim with its standing and facts, and every difference that the list leaves out, as JSON values.

    `versions`: what computed it, to be shown. `only`: the ids of the claims to check; the rest, and what is left out,
    is not in the document then. `tell` is called with the name of each thing once it is measured.

    Raises ValueError for an id that does not exist.
    """
    whole = load()
    ids = [claim.id for claim in whole.claims]
    unknown = [name for name in only if name not in ids]
    if unknown:
        raise ValueError(f"claim {unknown[0]!r} does not exist; allowed are {', '.join(ids)}")
    claims, unlisted = [], []
    for claim in whole.claims:
        if not only or claim.id in only:
            claims.append(_checked(claim, bench))
            if tell:
                tell(claim.id)
    for entry in () if only else whole.unlisted:
        unlisted.append(_measured(entry, bench))
        if tell:
            tell(entry.name)
    return {
        "format": FORMAT,
        "parity": __version__,
        "sides": [bench.reference.version, load_side("ggfm").version],
        "task": bench.context.task.name,
        "versions": versions,
        "with_runs": bool(bench.runs),
        "sections": _sections(whole, [claim["section"] for claim in claims]),
        "claims": claims,
        "unlisted": unlisted,
    }


def exit_code(document: dict[str, Any]) -> int:
    """2 if something could not be measured, 1 if something came out otherwise than is known, else 0.

    With whole runs nothing is known in advance about the claims that need them.
    """
    if any(item["error"] for item in (*document["claims"], *document["unlisted"])):
        return 2
    changed = any(
        claim["standing"] != claim["expected"] and not (document["with_runs"] and claim["kind"] == "runs")
        for claim in document["claims"]
    )
    return int(changed or any(item["verdict"] != item["expected"] for item in document["unlisted"]))


def _checked(claim: Claim, bench: Bench) -> dict[str, Any]:
    facts: list[Fact] = []
    reached, error = None, None
    try:
        facts = EVIDENCE[claim.evidence](bench)
        reached = standing(facts).value
    except Exception as raised:  # noqa: BLE001 - one claim that cannot be measured does not take the others with it
        error = _text(raised)
    return {
        "id": claim.id,
        "section": claim.section,
        "zh": claim.zh,
        "en": claim.en,
        "kind": claim.kind,
        "command": f"parity list --claim {claim.id}{bench.options}"
        + (f" --runs {bench.runs_folder}" if bench.runs and claim.kind == "runs" else ""),
        "standing": reached,
        "expected": claim.expected.value,
        "facts": [{**asdict(fact), "role": fact.role.value} for fact in facts],
        "error": error,
    }


def _measured(entry: Unlisted, bench: Bench) -> dict[str, Any]:
    known = bench.ledger[entry.name]
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
        found = bench.pinned(entry.name)
        seen = bench.first_seen(entry.name, empty=entry.empty, **entry.changes)
    except Exception as raised:  # noqa: BLE001 - as above
        return made | {"error": _text(raised)}
    return made | {
        "verdict": found.verdict.value,
        "reason": found.reason,
        "seen": None if seen is None else {"step": seen[0], "leaf": seen[1].split("/", 1)[1]},
        "command": bench.command(found, [entry.name]),
    }


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _sections(whole: UserList, present: Sequence[str]) -> dict[str, dict[str, str]]:
    return {number: dict(titles) for number, titles in whole.sections.items() if number in present}
