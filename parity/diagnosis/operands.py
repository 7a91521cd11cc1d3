"""The operands of an operation on both sides: which mean the same numbers, and which do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parity.diagnosis.culprit import Mask, Parting, reach
from parity.diagnosis.values import Value

__all__ = ["Operand", "differing_operands"]

_CHOOSING = ("index", "index_select", "gather", "take_along_dim")
"""Operations whose further operands say which numbers of the first one are taken."""

_SAME_OPERAND = 1e-11
"""Operands of both sides went through some roundings of float64 before; a difference in what is meant is far larger."""


@dataclass(frozen=True, eq=False)
class Operand:
    """One operand of an operation: the value, and which of its numbers are meant."""

    value: Value
    mask: Mask

    @property
    def numbers(self) -> NDArray[np.float64]:
        """The numbers that are meant."""
        return self.value.numbers[self.mask]

    def __str__(self) -> str:
        shown = ", ".join(f"{number:.6g}" for number in self.numbers[:3])
        return shown + (", ..." if len(self.numbers) > 3 else "")


def differing_operands(here: Parting, there: Parting) -> tuple[int, tuple[Operand, Operand] | None]:
    """How many operands are alike, and the first ones that are not; None if nothing is left to compare.

    Where all are, but some hold their numbers in another order, these are not.
    """
    mine, theirs = _chosen_alike(here, there)
    left, rest, alike = list(theirs), [], 0
    for own in mine:
        same = next((operand for operand in left if _alike(own, operand)), None)
        if same is None:
            rest.append(own)
        else:
            left.remove(same)
            alike += 1
    if not rest and not left:
        return alike, _in_another_order(mine, theirs)
    return alike, (rest[0], left[0]) if rest and len(rest) == len(left) else None


def _chosen_alike(here: Parting, there: Parting) -> tuple[list[Operand], list[Operand]]:
    """The operands of both. Where indices choose from the same values, all of these and all the indices are meant."""
    mine, theirs = (
        [Operand(value, mask) for value, mask in reach(one.event, one.output, one.mask)] for one in (here, there)
    )
    for operands, one in ((mine, here), (theirs, there)):
        if one.event.operation in _CHOOSING:
            operands[1:] = [Operand(o.value, np.ones_like(o.mask)) if o.value.exact else o for o in operands[1:]]
    choosing = all(one.event.operation in _CHOOSING for one in (here, there))
    if choosing and mine and theirs and _in_the_same_order(mine[0], theirs[0]):
        mine[0], theirs[0] = (Operand(o.value, np.ones_like(o.mask)) for o in (mine[0], theirs[0]))
    return mine, theirs


def _in_another_order(mine: Sequence[Operand], theirs: Sequence[Operand]) -> tuple[Operand, Operand] | None:
    """The first operands in the same place whose order differs, if that of others is the same."""
    pairs = list(zip(mine, theirs, strict=True))
    ordered = [_in_the_same_order(own, other) for own, other in pairs]
    misplaced = [pair for pair, same in zip(pairs, ordered, strict=True) if not same and _alike(*pair)]
    return misplaced[0] if misplaced and any(ordered) else None


def _in_the_same_order(own: Operand, other: Operand) -> bool:
    """Whether the values as a whole hold equal numbers in the same order."""
    left, right = own.value.numbers, other.value.numbers
    return len(left) == len(right) and np.allclose(left, right, rtol=_SAME_OPERAND, atol=0.0, equal_nan=True)


def _alike(own: Operand, other: Operand) -> bool:
    """Whether two operands mean the same numbers, however often each is repeated."""
    left, right = np.unique(own.numbers), np.unique(other.numbers)
    if bool(np.isnan(left).any()) != bool(np.isnan(right).any()):
        return False
    left, right = left[~np.isnan(left)], right[~np.isnan(right)]
    if not len(left) or not len(right):
        return len(left) == len(right)
    return _all_near(left, right) and _all_near(right, left)


def _all_near(these: NDArray[np.float64], those: NDArray[np.float64]) -> bool:
    """Whether each of `these` lies near one of `those`; both are sorted, so that one next to its place is nearest."""
    place = np.searchsorted(those, these)
    near = np.zeros(len(these), dtype=bool)
    for neighbour in (those[np.maximum(place - 1, 0)], those[np.minimum(place, len(those) - 1)]):
        larger = np.maximum(np.abs(these), np.abs(neighbour))
        with np.errstate(invalid="ignore"):  # infinity less infinity
            near |= (these == neighbour) | (np.isfinite(larger) & (np.abs(these - neighbour) <= _SAME_OPERAND * larger))
    return bool(near.all())
