"""Two traces of the same component: the operation at which one side parts from the other.

A number is *known* if the other side has it, within what rounding moves it; a value's numbers are looked up one by one.
So batching, tables in place of single values, views and another order of independent work keep everything known, and
traces of different length and order need no alignment by position.

From an output that differs one walks back through unknown numbers only. What leads to a known number is right, so an
unknown intermediate of another way to write the same formula is passed over. Of what is left, the earliest operation
that makes something unknown out of what is known, or right, is where the sides part.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parity.diagnosis.slack import Traced
from parity.diagnosis.trace import Event
from parity.diagnosis.values import Value, is_simple

__all__ = ["Mask", "Parting", "Unknown", "moves", "parting", "reach"]

Mask = NDArray[np.bool_]
"""Which numbers of a value are meant."""

_MOVES = {
    "index", "gather", "select", "slice", "view", "_unsafe_view", "reshape", "expand", "unsqueeze", "squeeze", "t",
    "transpose", "permute", "_to_copy", "clone", "detach", "alias", "index_select", "copy_", "lift_fresh", "unbind",
    "cat", "stack", "repeat", "split", "chunk", "masked_select", "where", "flip", "diagonal", "take_along_dim", "sort",
}  # fmt: skip
"""Operations that only carry numbers elsewhere."""


@dataclass(frozen=True, eq=False)
class Parting:
    """An event that parts from the other side, and the numbers of what it makes that are to blame."""

    event: Event
    output: Value
    mask: Mask


@dataclass(eq=False)
class Unknown:
    """What one side has and the other lacks. `whole`: values are looked up as they stand, not number by number.

    `agreed`: outputs that agree; what leads to them is right, however far rounding was carried on the way.
    """

    own: Traced
    other: Traced
    whole: bool = False
    agreed: Sequence[Value] = ()

    def __post_init__(self) -> None:
        self._known: dict[str, Mask] = {}
        self._right: dict[str, Mask] = {value.digest: self._telling(value) for value in self.agreed}
        for event in reversed(self.own.trace.events):
            for output in event.outputs:
                right = ~self.numbers(output) & self._telling(output) | self._right.get(output.digest, False)
                if right.any():
                    for value, mask in reach(event, output, right):
                        self._right[value.digest] = mask | self._right.get(value.digest, False)

    def numbers(self, value: Value) -> Mask:
        """Which of a value's numbers the other side lacks. Numbers that turn up anywhere are never lacking."""
        if value.digest not in self._known:
            if self.whole:
                lacking = np.full(len(value.numbers), not self.as_it_stands(value))
            else:
                slack = self.own.slack[value.digest]
                lacking = ~self.other.numbers.hold(value.numbers, slack) & ~is_simple(value.numbers)
            self._known[value.digest] = lacking
        return self._known[value.digest]

    def wrong(self, value: Value) -> Mask:
        """Which of a value's numbers are lacking, and lead to nothing that is known."""
        return self.numbers(value) & ~self._right.get(value.digest, np.zeros(len(value.numbers), dtype=bool))

    def as_it_stands(self, value: Value) -> bool:
        """Whether the other side has this value, in this order."""
        if value.digest in self.other.values:
            return True
        slack = self.own.slack[value.digest]
        near = self.other.near(value, float(slack[0]) if len(slack) else 0.0)
        return any(self.same(value, other) for other in near)

    def same(self, value: Value, other: Value) -> bool:
        """Whether a value and one of the other side hold equal numbers in the same order, within the slack of both."""
        if len(value.numbers) != len(other.numbers):
            return False
        slack = self.own.slack[value.digest] + self.other.slack[other.digest]
        with np.errstate(invalid="ignore"):
            close = np.abs(value.numbers - other.numbers) <= slack
        both_nan = np.isnan(value.numbers) & np.isnan(other.numbers)
        return bool((close | both_nan | (value.numbers == other.numbers)).all())

    def _telling(self, value: Value) -> Mask:
        return ~is_simple(value.numbers) if not self.whole else np.ones(len(value.numbers), dtype=bool)


def parting(unknown: Unknown, outputs: Iterable[Value]) -> Parting | None:
    """Where the side parts from the other, on the way back from `outputs`; None if all of that is known."""
    own = unknown.own
    wanted: dict[int, dict[str, Mask]] = defaultdict(dict)

    def want(value: Value, mask: Mask, before: int) -> None:
        maker = own.producer(value, before)
        if maker is not None:
            masks = wanted[maker.index]
            masks[value.digest] = mask | masks.get(value.digest, False)

    for value in outputs:
        want(value, unknown.wrong(value), len(own.trace.events))
    found: Parting | None = None
    for index in range(len(own.trace.events) - 1, -1, -1):
        event = own.trace.events[index]
        for output in event.outputs:
            mask = wanted[index].get(output.digest) if index in wanted else None
            if mask is None or not mask.any():
                continue
            deeper = [(value, into & unknown.wrong(value)) for value, into in reach(event, output, mask)]
            deeper = [(value, into) for value, into in deeper if into.any()]
            for value, into in deeper:
                want(value, into, index)
            made_elsewhere = all(own.producer(value, index) is None for value, _ in deeper)
            if made_elsewhere and event.chain and not event.chain[0].of_adapter:  # an adapter only translates
                found = Parting(event, output, mask)
    return found


def reach(event: Event, output: Value, mask: Mask) -> list[tuple[Value, Mask]]:
    """The numbers that the masked numbers of an output were made of, as far as the operation's kind tells."""
    return [(value, _came_from(event, output, mask, value)) for value in event.inputs]


def moves(event: Event, output: Value, value: Value) -> bool:
    """Whether an operation carries the numbers of an operand to where they stand in an output."""
    return event.operation in _MOVES and not _ranks(event, output, value)


def _ranks(event: Event, output: Value, value: Value) -> bool:
    """Whether an output holds the places of what was sorted: made of all of it, and none of its numbers."""
    return event.operation == "sort" and output.exact and not value.exact


def _came_from(event: Event, output: Value, mask: Mask, value: Value) -> Mask:
    everything = np.ones(len(value.numbers), dtype=bool)
    if (value.exact and not output.exact) or _ranks(event, output, value):
        return everything
    if moves(event, output, value):
        from_here = np.isin(value.numbers, output.numbers[mask])
        return from_here if from_here.any() else np.zeros(len(value.numbers), dtype=bool)
    if output.sampled or value.sampled:
        return everything
    places = np.arange(len(value.numbers)).reshape(value.shape)
    try:
        spread = np.broadcast_to(places, output.shape).reshape(-1)
    except ValueError:
        return everything  # a sum or a product of matrices: made of all of it
    reached = np.zeros(len(value.numbers), dtype=bool)
    reached[spread[mask]] = True
    return reached
