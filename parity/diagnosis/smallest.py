"""A smaller input on which both sides still differ: its traces are shorter, and quicker to make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from parity.diagnosis.repair.trial import open_trial
from parity.side import Side

if TYPE_CHECKING:
    from parity.component import Component, Context

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
    candidate raises, and whether one side has a NaN where the other has none, stays as it was, too. `params` itself if
    they agree there in float64 (what fails is float32 alone), or if nothing smaller fails.
    """
    forced = True

    def kind_there(smaller: Mapping[str, Any]) -> tuple[bool, bool]:
        """In which way the sides differ on an input."""
        trial = open_trial(component, smaller, reference, candidate, ctx, forced=forced, spread=1)
        if trial.reference.error or trial.low.error or trial.agrees():
            raise _Agrees
        (own,) = trial.last
        return own.error is not None, _has_nan(own.tree) != _has_nan(trial.reference.tree)

    best = dict(params)
    try:
        kind = kind_there(best)
    except _Agrees:
        forced = False
        try:
            kind = kind_there(best)
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
            if kind_there(best | {name: size}) == kind:
                best[name] = size
        except Exception:  # noqa: BLE001 - not an input of this component
            continue
    return best


class _Agrees(Exception):
    """Both sides agree on an input, or the reference refuses it."""


def _has_nan(tree: Mapping[str, Any]) -> bool:
    return any(isinstance(leaf, Tensor) and bool(leaf.isnan().any()) for leaf in tree.values())


def _smaller(params: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Names and sizes to try, one smallest size for every name before the next."""
    names = [
        name
        for name, value in params.items()
        if isinstance(value, int) and not isinstance(value, bool) and value > _SIZES[0] and name != "seed"
    ]
    for size in _SIZES:
        yield from ((name, size) for name in names)
