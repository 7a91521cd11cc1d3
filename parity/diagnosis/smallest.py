"""A smaller input on which both sides still differ: its traces are shorter, and quicker to make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from parity.diagnosis.repair.trial import open_trial
from parity.sides.interface import Side

if TYPE_CHECKING:
    from parity.components.base import Component, Context

__all__ = ["smallest_failing"]

_MOST = 60
"""Inputs tried."""

_SIZES = (4, 8, 16, 32, 64)
"""Not below 4: values are recognised by their numbers, and a value of one or two numbers is soon mistaken."""


def smallest_failing(
    component: Component, params: Mapping[str, Any], reference: Side, candidate: Side, ctx: Context
) -> dict[str, Any]:
    """Every whole number of `params` made as small as it may be while the sides still differ in float64.

    If they differ with equal draws forced, they go on to differ so: mathematics stays mathematics. Whether the
    candidate raises stays as it was, too. `params` itself if they agree there in float64 (what fails is float32 alone),
    or if nothing smaller fails.
    """
    forced = True

    def raises_there(smaller: Mapping[str, Any]) -> bool:
        """Whether the candidate raises on an input on which the sides differ."""
        trial = open_trial(component, smaller, reference, candidate, ctx, forced=forced, spread=1)
        if trial.reference.error or trial.low.error or trial.agrees():
            raise _Agrees
        return trial.last[0].error is not None

    best = dict(params)
    try:
        raises = raises_there(best)
    except _Agrees:
        forced = False
        try:
            raises = raises_there(best)
        except _Agrees:
            return best
    tried = 0
    for name, size in _smaller(params):
        if tried == _MOST:
            break
        if size >= best[name]:
            continue
        tried += 1
        try:
            if raises_there(best | {name: size}) == raises:
                best[name] = size
        except Exception:  # noqa: BLE001 - not an input of this component
            continue
    return best


class _Agrees(Exception):
    """Both sides agree on an input, or the reference refuses it."""


def _smaller(params: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Names and sizes to try, one smallest size for every name before the next."""
    names = [
        name
        for name, value in params.items()
        if isinstance(value, int) and not isinstance(value, bool) and value > _SIZES[0] and name != "seed"
    ]
    for size in _SIZES:
        yield from ((name, size) for name in names)
