"""Sum a comparison up in a few lines: each profile, what is not as expected, and the one thing to look at first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from parity.verdict import Verdict

__all__ = ["as_expected", "failure_lines", "look_first", "output_lines", "summary_lines"]

Row = Mapping[str, Any]


def as_expected(rows: Iterable[Row]) -> bool:
    """True if nothing unexpected was seen, and no ledger entry is stale."""
    return not any(_bad(row) for row in rows)


def look_first(rows: Iterable[Row], order: Sequence[str]) -> Row | None:
    """Return the result to look at first of those that are not as expected; None if there is none.

    That is the first in the pipeline, whose names `order` lists: what lies behind it may follow from it. Of two
    profiles it is the graver one; a missing component comes after all that were compared.
    """
    return min(filter(_bad, rows), key=lambda row: _priority(row, order), default=None)


def summary_lines(results: Iterable[Row], order: Sequence[str]) -> list[str]:
    """Return a line per profile, one per result that is not as expected, then the one to look at first and how.

    `order`: the names of components along the pipeline.
    """
    rows = list(results)
    lines = [_profile_line(profile, [r for r in rows if r["profile"] == profile]) for profile in _profiles(rows)]
    for row in filter(_bad, rows):
        if not row["ok"] and not _missing(row):
            lines.append(f"UNEXPECTED {row['profile']} {row['component']}: {row['verdict']}")
        lines += [f"STALE {row['profile']} {row['component']}: {s['difference']}, {s['reason']}" for s in _stale(row)]
    lines += _missing_lines(rows)
    first = look_first(rows, order)
    return lines + (_first_lines(first) if first else [])


def failure_lines(row: Row) -> list[str]:
    """Return all that is known of one result that is not as expected, for a test that fails."""
    shown = row["judgement"]
    lines = [f"{row['profile']} {row['component']}: {row['verdict']}. {shown['reason']}", *shown["notes"]]
    lines.append(f"smallest input: {shown['params']}")
    for side in ("reference", "candidate"):
        if shown[f"draws_{side}"]:
            lines.append(f"draws of the {side}: {shown[f'draws_{side}']}")
    sentence = (row.get("explanation") or {}).get("sentence")
    return [*lines, *([sentence] if sentence else []), *output_lines(row), f"reproduce: {row['reproduce']}"]


def output_lines(row: Row) -> list[str]:
    """Return the last lines that a component's lost process printed, and where in the code it was."""
    return [f"| {line}" for line in str(row.get("output", "")).splitlines()[-40:]]


def _first_lines(row: Row) -> list[str]:
    if row["ok"]:
        stale = _stale(row)[0]
        return [
            f"look first at the ledger entry {stale['difference']}: {stale['reason']}",
            f"edit: {stale['edit']}",
            f"reproduce: {stale['reproduce']}",
        ]
    lines = [f"look first at {row['profile']} {row['component']}: {row['judgement']['reason']}"]
    sentence = (row.get("explanation") or {}).get("sentence")
    lines += [sentence] if sentence else []
    lines.append(f"reproduce: {row['reproduce']}")
    if row.get("finished", True) and row["verdict"] != Verdict.MISSING:
        lines.append(f"explain: {row['reproduce'].replace('parity check', 'parity explain', 1)}")
    return lines


def _profile_line(profile: str, rows: Sequence[Row]) -> str:
    counts: Counter[str] = Counter()
    for row in rows:
        counts[_standing(row)] += 1
        if _stale(row):
            counts["STALE"] += len(_stale(row))
    return f"{profile}: " + ", ".join(f"{n} {key}" for key, n in sorted(counts.items()))


def _missing_lines(rows: Sequence[Row]) -> list[str]:
    """Name the missing components, profile by profile: nothing can be said of them, and that is no pass."""
    names = {p: [r["component"] for r in rows if r["profile"] == p and _missing(r)] for p in _profiles(rows)}
    return [f"MISSING {profile}, not compared: {', '.join(found)}" for profile, found in names.items() if found]


def _standing(row: Row) -> str:
    if row["ok"]:
        return "known" if row["known"] else str(row["verdict"])
    return str(Verdict.MISSING) if _missing(row) else "UNEXPECTED"


def _missing(row: Row) -> bool:
    return bool(row["verdict"] == Verdict.MISSING)


def _priority(row: Row, order: Sequence[str]) -> tuple[bool, int, int]:
    place = order.index(row["component"]) if row["component"] in order else len(order)
    graver = list(Verdict).index(row["verdict"]) if row["verdict"] in list(Verdict) else len(Verdict)
    return _missing(row), place, -graver if not row["ok"] else 0


def _profiles(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row["profile"] for row in rows))


def _stale(row: Row) -> Sequence[Mapping[str, str]]:
    stale: Sequence[Mapping[str, str]] = row.get("stale") or ()
    return stale


def _bad(row: Row) -> bool:
    return not row["ok"] or bool(_stale(row))
