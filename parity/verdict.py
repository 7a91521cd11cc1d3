"""Verdicts and what carries them: one result object for pytest, the report and the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["Judgement", "LeafResult", "Verdict"]


class Verdict(StrEnum):
    """How two implementations of one component relate, from best to worst.

    - `refused`: an input that the reference is declared to refuse, and both sides refuse it. Nothing was compared;
      raising where no refusal is declared is `error`, on both sides too.
    - `identical`: equal to the bit, same randomness consumed, same side effects.
    - `rounding`: float64 results agree to float64 accuracy, and the candidate's float32 error is at most a small
      factor of the reference's own.
    - `distribution`: the draws differ by design and follow one law: agreement is statistical, with both error rates
      stated. Never the verdict on a single input, where such a difference is `randomness`.
    - `unstable`: float64 agrees, float32 is worse than that: same mathematics, worse arithmetic.
    - `randomness`: the draws differ in order, number, shape or generator; with equal draws the values agree.
    - `divergent`: the mathematics differs, or a shape, a dtype, a side effect.
    - `missing`: the candidate does not have the component.
    - `error`: one side raises, or returns NaN or infinity, where the other does not.
    """

    REFUSED = "refused"
    IDENTICAL = "identical"
    ROUNDING = "rounding"
    DISTRIBUTION = "distribution"
    UNSTABLE = "unstable"
    RANDOMNESS = "randomness"
    DIVERGENT = "divergent"
    MISSING = "missing"
    ERROR = "error"

    @property
    def agrees(self) -> bool:
        """Whether this verdict counts as agreement."""
        return self in (Verdict.IDENTICAL, Verdict.REFUSED, Verdict.ROUNDING, Verdict.DISTRIBUTION)

    @property
    def severity(self) -> int:
        """Grows with the gravity of the difference."""
        return list(Verdict).index(self)


@dataclass(frozen=True)
class LeafResult:
    """One output compared. Errors are against the reference's float64 result; NaN where nothing could be measured.

    `used`: the larger of the two errors as a fraction of what its tolerance allows (1 is the limit).
    """

    name: str
    verdict: Verdict
    reason: str = ""
    error32: float = 0.0
    reference_error32: float = 0.0
    error64: float = 0.0
    scale: float = 0.0
    ulps32: float = 0.0
    used: float = 0.0


@dataclass(frozen=True)
class Judgement:
    """One component judged on one input. `params` are the plain values that rebuild the input."""

    component: str
    candidate: str
    params: dict[str, Any]
    verdict: Verdict
    reason: str
    leaves: tuple[LeafResult, ...] = ()
    draws_reference: str = ""
    draws_candidate: str = ""
    known: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def agrees(self) -> bool:
        """Whether the sides agree on this input."""
        return self.verdict.agrees

    @property
    def worst(self) -> LeafResult | None:
        """The output with the gravest verdict; among equals, the one that used most of its tolerance."""
        return max(self.leaves, key=lambda leaf: (leaf.verdict.severity, leaf.used), default=None)
