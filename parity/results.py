"""Write results as plain JSON values: for pytest workers, for reports, for other tools."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from parity.component import Component
from parity.policy import EPS32, EPS64
from parity.search import ComponentResult, reproduce_line
from parity.session import Session
from parity.verdict import Judgement, Verdict
from parity.version import __version__

__all__ = ["FORMAT", "document", "plain_result"]

FORMAT = "parity-report/3"
"""Of the document. `parity.report.read` shows documents of other formats as far as it can."""


def plain_result(result: ComponentResult, profile: str, component: Component) -> dict[str, Any]:
    """Return one component's result. Floats that JSON cannot hold are written as strings."""
    shown = result.unexpected or result.worst
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
        "errors": [_error_row(leaf) for leaf in sorted(leaves.values(), key=lambda leaf: -leaf["used"])[:12]],
    }
    finite: dict[str, Any] = _finite(plain)
    return finite


def document(session: Session, results: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the whole report as one JSON document, less the sections of `parity report`.

    `components`: the names of all that the study has, along its pipeline, then of others. `plain_profile`: the
    candidate's profile in which a switch acts alone. The ledger is left out where the candidate is none of the study's.
    """
    study = session.study
    made = study.implementations.get(session.candidate)
    described = made is not None or any(session.candidate_in(profile).known for profile in session.profiles)
    return {
        "format": FORMAT,
        "parity": __version__,
        "header": session.header(),
        "labels": list(study.labels),
        "plain_profile": next(iter(made.profiles), "") if made else "",
        "components": session.order,
        "ledger": [asdict(entry) for entry in session.ledger.values()] if described else [],
        "results": list(results),
    }


def _error_row(leaf: Mapping[str, Any]) -> dict[str, Any]:
    """Return the float32 and the float64 error of one output: absolute, relative to its largest number, and in units in
    the last place of that number. Equal bits have the reference's own float32 error."""
    scale = leaf["scale"]
    same = leaf["verdict"] == Verdict.IDENTICAL
    error32, error64 = leaf["reference_error32"] if same else leaf["error32"], leaf["error64"]
    return {
        "name": leaf["name"],
        "verdict": str(leaf["verdict"]),
        "scale": scale,
        "error32": error32,
        "relative32": error32 / scale if scale else 0.0,
        "ulps32": error32 / (EPS32 * scale) if scale else 0.0,
        "reference_error32": leaf["reference_error32"],
        "error64": error64,
        "relative64": error64 / scale if scale else 0.0,
        "ulps64": error64 / (EPS64 * scale) if scale else 0.0,
        "used": leaf["used"],
    }


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
