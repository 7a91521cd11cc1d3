"""Tolerances: one policy for every component, each number with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

__all__ = ["EPS32", "EPS64", "Policy"]

EPS32 = 2.0**-23
EPS64 = 2.0**-52


@dataclass(frozen=True)
class Policy:
    """How a component's outputs are judged.

    Allowed float32 error: `factor` times the reference's own float32 error, and never less than `ulps32` units in the
    last place at the output's magnitude.
    Allowed float64 difference: the larger of both sides' float32 errors carried over to float64 (times eps64/eps32:
    rounding errors scale with the unit of rounding, a difference in the mathematics does not), times `margin64`; never
    less than `ulps64` units in the last place at the output's magnitude.
    """

    exact: tuple[str, ...] = ()
    """Outputs (shell patterns) that must be equal to the bit: gathered rows, indices, batches. Integers, booleans,
    strings and lists always are."""

    shared_scale: bool = False
    """Whether outputs are differences of one another, so that the largest of them sets the size of rounding errors."""

    factor: float = 2.0
    """A legitimate rewrite reorders operations, which redistributes rounding errors but does not multiply them."""

    ulps32: float = 8.0
    """A lucky reference error of 0 allows nothing; eight roundings is what the longest elementwise formula makes."""

    margin64: float = 16.0
    """One float32 run samples the amplification, it does not bound it; 16 covers an unlucky sample. The smallest
    planted term of interest (1e-10) is 4e5 units of float64 rounding, so this costs no power."""

    ulps64: float = 1024.0
    """As `ulps32`, with room for a schedule's end: 1 - m_t is 0.001 to 0.0075 there and so holds m_t's last bits 134 to
    1000 times enlarged. The smallest term of interest (1e-10) is 4e5 units: this costs no power."""

    def is_exact(self, name: str) -> bool:
        """Whether the output `name` must be equal to the bit."""
        return any(fnmatchcase(name, pattern) for pattern in self.exact)

    def allowed32(self, reference_error: float, scale: float) -> float:
        """The largest float32 error of a candidate that still is rounding."""
        return max(self.factor * reference_error, self.ulps32 * EPS32 * scale)

    def allowed64(self, error32: float, scale: float) -> float:
        """The largest float64 difference that still is rounding, where float32 rounding makes `error32`."""
        return max(self.margin64 * error32 * EPS64 / EPS32, self.ulps64 * EPS64 * scale)
