"""Results as plain JSON values: what pytest workers send, what reports are made of, what other tools read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from parity import __version__
from parity.components import REGISTRY
from parity.explore import ComponentResult, reproduce_line
from parity.session import Session
from parity.verdict import Judgement

__all__ = ["document", "plain_result", "summary_lines"]


def plain_result(result: ComponentResult, profile: str) -> dict[str, Any]:
    """One component's result. Floats that JSON cannot hold are written as strings."""
    shown = result.unexpected or result.worst
    component = REGISTRY[result.component]
    leaves: dict[str, dict[str, Any]] = {}
    for judgement in result.judgements:
        for leaf in judgement.leaves:
            best = leaves.get(leaf.name)
            if best is None or leaf.used > best["used"]:
                leaves[leaf.name] = asdict(leaf)
    plain = {
        "component": result.component,
        "title": component.title,
        "formula": component.formula,
        "profile": profile,
        "candidate": result.candidate,
        "verdict": result.verdict.value,
        "ok": result.ok,
        "known": list(result.known),
        "counts": dict(result.counts),
        "seconds": round(result.seconds, 3),
        "used": [leaf["used"] for leaf in leaves.values()],
        "judgement": _plain_judgement(shown),
        "reproduce": reproduce_line(shown, result.options),
        "errors": [
            {key: leaf[key] for key in ("name", "error32", "reference_error32", "error64", "scale", "used")}
            for leaf in sorted(leaves.values(), key=lambda leaf: -leaf["used"])[:12]
        ],
    }
    finite: dict[str, Any] = _finite(plain)
    return finite


def document(session: Session, results: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The whole report as one JSON document."""
    return {
        "format": "parity-report/1",
        "parity": __version__,
        "header": session.header(),
        "ledger": [asdict(entry) for entry in session.ledger.values()],
        "results": list(results),
    }


def summary_lines(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """A short terminal summary: one line per profile, then the one thing to look at first."""
    by_profile: dict[str, list[Mapping[str, Any]]] = {}
    for result in results:
        by_profile.setdefault(result["profile"], []).append(result)
    lines = []
    for profile, rows in by_profile.items():
        counts: dict[str, int] = {}
        for row in rows:
            key = row["verdict"] if row["ok"] and not row["known"] else "known" if row["ok"] else "UNEXPECTED"
            counts[key] = counts.get(key, 0) + 1
        lines.append(f"{profile}: " + ", ".join(f"{n} {key}" for key, n in sorted(counts.items())))
    bad = [row for rows in by_profile.values() for row in rows if not row["ok"]]
    if bad:
        first = bad[0]
        lines.append(f"look first at {first['profile']} {first['component']}: {first['judgement']['reason']}")
        lines.append(f"reproduce: {first['reproduce']}")
    return lines


def _plain_judgement(judgement: Judgement) -> dict[str, Any]:
    plain = asdict(judgement)
    plain["leaves"] = plain["leaves"][:40]
    return plain


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
