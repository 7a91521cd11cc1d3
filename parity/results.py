"""Results as plain JSON values: what pytest workers send, what reports are made of, what other tools read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from parity.component import Component
from parity.policy import EPS32, EPS64
from parity.root_ggfm.components import REGISTRY
from parity.search import ComponentResult, reproduce_line
from parity.session import Session
from parity.verdict import Judgement, Verdict
from parity.version import __version__

__all__ = ["FORMAT", "document", "plain_result"]

FORMAT = "parity-report/2"
"""Of the document. `parity.report.read` says what is made of others."""


def plain_result(result: ComponentResult, profile: str, component: Component | None = None) -> dict[str, Any]:
    """One component's result. Floats that JSON cannot hold are written as strings.

    `component`: its declaration, where it is not one of parity's own.
    """
    shown = result.unexpected or result.worst
    component = component or REGISTRY[result.component]
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


def document(
    session: Session, results: Iterable[Mapping[str, Any]], *, stages: Iterable[Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """The whole report as one JSON document. `stages`: of whole runs."""
    return {
        "format": FORMAT,
        "parity": __version__,
        "header": session.header(),
        "ledger": [asdict(entry) for entry in session.ledger.values()],
        "results": list(results),
        **({} if stages is None else {"stages": list(stages)}),
    }


def _error_row(leaf: Mapping[str, Any]) -> dict[str, Any]:
    """The float32 and the float64 error of one output: absolute, relative to its largest number, and in units in the
    last place of that number. Equal bits have the reference's own float32 error."""
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
