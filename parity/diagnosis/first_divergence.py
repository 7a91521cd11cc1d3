"""The first divergence of two traces: the operation at which one side departs from the other.

A number is *known* if the other side has it, within its error bounds; a value's numbers are looked up one by one. So
batching, tables in place of single values, views and another order of independent work keep everything known, and
traces of different length and order need no alignment by position.

From an output that differs the search goes back through unknown numbers only. An unknown number that leads to a known
one is right: it is an intermediate of another way to write the same formula. Of the rest, the earliest operation that
makes something unknown out of known or right numbers is the divergence.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parity.diagnosis.location import SourceLocation
from parity.diagnosis.trace import Event, Trace, Value, is_simple
from parity.policy import EPS32, EPS64

__all__ = [
    "Divergence",
    "Mask",
    "TraceWithBounds",
    "ValueMatcher",
    "find_divergence",
    "leading_events",
    "moves",
    "sources",
    "suspiciousness",
]

Mask = NDArray[np.bool_]
"""Which numbers of a value are meant."""

_MOVES = {
    "index", "gather", "select", "slice", "view", "_unsafe_view", "reshape", "expand", "unsqueeze", "squeeze", "t",
    "transpose", "permute", "_to_copy", "clone", "detach", "alias", "index_select", "copy_", "lift_fresh", "unbind",
    "cat", "stack", "repeat", "split", "chunk", "masked_select", "where", "flip", "diagonal", "take_along_dim", "sort",
}  # fmt: skip
"""Operations that only carry numbers elsewhere."""

_ROUNDINGS = 64
"""Units in the last place that two ways of writing one operation may differ by, without amplification."""

_MARGIN = 32
"""Twice the policy's margin for float64: intermediate values move by more than outputs, and few runs sample them."""

_UNWRITTEN = 0.1
"""Numbers that move by more than this share of the array's largest number are unwritten memory, and are ignored."""

_FIRSTS = 1e-9
"""Values whose first numbers lie so near, relatively, are compared in full: far above the errors of float64."""


@dataclass(eq=False)
class TraceWithBounds:
    """A trace, and traces of the same call with inputs and operations perturbed within a float32 unit.

    `bounds` by digest: how far each number of a value may lie from the same number on the other side.
    """

    trace: Trace
    perturbed: Sequence[Trace] = ()

    def __post_init__(self) -> None:
        self.values: dict[str, Value] = {}
        self.bounds: dict[str, NDArray[np.float64]] = {}
        self._made_by: dict[str, list[Event]] = defaultdict(list)
        perturbed = [_operations(trace) for trace in self.perturbed]
        places = {event.index: place for place, event in enumerate(_operations(self.trace))}
        for event in self.trace.events:
            for value in event.inputs:
                self._keep(value)
            for k, value in enumerate(event.outputs):
                self._made_by[value.digest].append(event)
                self._keep(value, (_same_place(there, event, places.get(event.index), k) for there in perturbed))
        arguments = (value for call in self.trace.calls for value in call.arguments.values())
        for value in [*self.trace.inputs.values(), *self.trace.outputs.values(), *arguments]:
            self._keep(value)
        self._sort_numbers()
        self._by_size: dict[int, tuple[NDArray[np.float64], list[Value]]] = {}
        sizes: dict[int, list[Value]] = defaultdict(list)
        for value in self.values.values():
            sizes[len(value.numbers)].append(value)
        for size, values in sizes.items():
            values.sort(key=_first)
            self._by_size[size] = np.array([_first(value) for value in values]), values

    def has(self, numbers: NDArray[np.float64], bounds: NDArray[np.float64]) -> Mask:
        """Return a mask of the numbers that equal any number of this trace within both bounds."""
        # An interval meets [low, high] if it begins before high and does not end before low; one that ends before low
        # has begun before high as well.
        with np.errstate(invalid="ignore"):
            begun = np.searchsorted(self._from, numbers + bounds, side="right")
            ended = np.searchsorted(self._to, numbers - bounds, side="left")
        return np.where(np.isnan(numbers), self._has_nan, begun > ended)

    def near(self, value: Value, bound: float) -> list[Value]:
        """Return values of the same size that begin with about the same number."""
        firsts, values = self._by_size.get(len(value.numbers), (np.empty(0), []))
        first = _first(value)
        reach = bound + _FIRSTS * abs(first)
        return values[np.searchsorted(firsts, first - reach) : np.searchsorted(firsts, first + reach, side="right")]

    def producer(self, value: Value, before: int) -> Event | None:
        """Return the last event before number `before` that made this value."""
        return next((e for e in reversed(self._made_by.get(value.digest, [])) if e.index < before), None)

    def _keep(self, value: Value, perturbed: Iterable[Value | None] = ()) -> None:
        self.values.setdefault(value.digest, value)
        bounds = self.bounds.get(value.digest)
        with np.errstate(invalid="ignore", over="ignore"):  # memory that was not written yet may hold anything
            bounds = _ROUNDINGS * EPS64 * np.abs(value.numbers) if bounds is None else bounds
            for other in perturbed:
                if other is not None and other.numbers.shape == value.numbers.shape:
                    largest = np.abs(value.numbers).max(initial=0.0, where=np.isfinite(value.numbers))
                    moved = _MARGIN * EPS64 / EPS32 * np.abs(other.numbers - value.numbers)
                    bounds = np.fmax(bounds, np.where(moved <= _UNWRITTEN * largest, moved, 0.0))
        self.bounds[value.digest] = np.where(np.isfinite(bounds), bounds, 0.0)

    def _sort_numbers(self) -> None:
        values = list(self.values.values())
        numbers = np.concatenate([v.numbers for v in values]) if values else np.empty(0)
        bounds = np.concatenate([self.bounds[v.digest] for v in values]) if values else np.empty(0)
        self._has_nan = bool(np.isnan(numbers).any())
        finite = np.isfinite(numbers)
        numbers, bounds = numbers[finite], bounds[finite]
        self._from, self._to = np.sort(numbers - bounds), np.sort(numbers + bounds)


def _operations(trace: Trace) -> list[Event]:
    """Return the operations of the dispatcher: traces of perturbed runs hold those, but no lines."""
    return [event for event in trace.events if event.operation != "line"]


def _same_place(perturbed: Sequence[Event], event: Event, place: int | None, output: int) -> Value | None:
    """Return the value at the same place in a trace of the same code, as long as both went the same way."""
    if place is None or place >= len(perturbed):
        return None
    there = perturbed[place]
    return there.outputs[output] if there.operation == event.operation and len(there.outputs) > output else None


def _first(value: Value) -> float:
    """Return the first number, if it is one: values are sorted by it."""
    number = float(value.numbers[0]) if len(value.numbers) else 0.0
    return number if np.isfinite(number) else 0.0


@dataclass(frozen=True, eq=False)
class Divergence:
    """An event that departs from the other side, and the numbers of its output that are to blame."""

    event: Event
    output: Value
    mask: Mask


@dataclass(eq=False)
class ValueMatcher:
    """Finds the numbers of one side that the other lacks. `whole`: values are matched whole, not number by number.

    `agreed`: outputs that agree; numbers that lead to them are right, however far rounding was carried on the way.
    """

    own: TraceWithBounds
    other: TraceWithBounds
    whole: bool = False
    agreed: Sequence[Value] = ()

    def __post_init__(self) -> None:
        self._unknown: dict[str, Mask] = {}
        self._right: dict[str, Mask] = {value.digest: self._identifying(value) for value in self.agreed}
        for event in reversed(self.own.trace.events):
            for output in event.outputs:
                right = ~self.unknown(output) & self._identifying(output) | self._right.get(output.digest, False)
                if right.any():
                    for value, mask in sources(event, output, right):
                        self._right[value.digest] = mask | self._right.get(value.digest, False)

    def unknown(self, value: Value) -> Mask:
        """Return a mask of the numbers that the other side lacks. It never lacks numbers that occur anywhere."""
        if value.digest not in self._unknown:
            if self.whole:
                lacking = np.full(len(value.numbers), not self.has_whole(value))
            else:
                lacking = ~self.other.has(value.numbers, self.own.bounds[value.digest]) & ~is_simple(value.numbers)
            self._unknown[value.digest] = lacking
        return self._unknown[value.digest]

    def wrong(self, value: Value) -> Mask:
        """Return a mask of the numbers that are unknown and lead to nothing known."""
        return self.unknown(value) & ~self._right.get(value.digest, np.zeros(len(value.numbers), dtype=bool))

    def has_whole(self, value: Value) -> bool:
        """True if the other side has this value, in this order."""
        if value.digest in self.other.values:
            return True
        bounds = self.own.bounds[value.digest]
        near = self.other.near(value, float(bounds[0]) if len(bounds) else 0.0)
        return any(self.same(value, other) for other in near)

    def same(self, value: Value, other: Value) -> bool:
        """True if a value and one of the other side hold equal numbers in the same order, within the bounds of both."""
        if len(value.numbers) != len(other.numbers):
            return False
        bounds = self.own.bounds[value.digest] + self.other.bounds[other.digest]
        with np.errstate(invalid="ignore"):
            close = np.abs(value.numbers - other.numbers) <= bounds
        both_nan = np.isnan(value.numbers) & np.isnan(other.numbers)
        return bool((close | both_nan | (value.numbers == other.numbers)).all())

    def _identifying(self, value: Value) -> Mask:
        return ~is_simple(value.numbers) if not self.whole else np.ones(len(value.numbers), dtype=bool)


def find_divergence(matcher: ValueMatcher, outputs: Iterable[Value]) -> Divergence | None:
    """Return the first divergence on the way back from `outputs`; None if all of that is known."""
    own = matcher.own
    wanted: dict[int, dict[str, Mask]] = defaultdict(dict)

    def want(value: Value, mask: Mask, before: int) -> None:
        maker = own.producer(value, before)
        if maker is not None:
            masks = wanted[maker.index]
            masks[value.digest] = mask | masks.get(value.digest, False)

    for value in outputs:
        want(value, matcher.wrong(value), len(own.trace.events))
    found: Divergence | None = None
    for index in range(len(own.trace.events) - 1, -1, -1):
        event = own.trace.events[index]
        for output in event.outputs:
            mask = wanted[index].get(output.digest) if index in wanted else None
            if mask is None or not mask.any():
                continue
            deeper = [(value, into & matcher.wrong(value)) for value, into in sources(event, output, mask)]
            deeper = [(value, into) for value, into in deeper if into.any()]
            for value, into in deeper:
                want(value, into, index)
            made_elsewhere = all(own.producer(value, index) is None for value, _ in deeper)
            if made_elsewhere and event.of_side:
                found = Divergence(event, output, mask)
    return found


def sources(event: Event, output: Value, mask: Mask) -> list[tuple[Value, Mask]]:
    """Return the numbers that the masked numbers of an output were made of, as far as the operation's kind tells."""
    return [(value, _came_from(event, output, mask, value)) for value in event.inputs]


def moves(event: Event, output: Value, value: Value) -> bool:
    """True if an operation carries the numbers of an operand to where they stand in an output."""
    return event.operation in _MOVES and not _ranks(event, output, value)


def _ranks(event: Event, output: Value, value: Value) -> bool:
    """True if an output holds the places of sorted numbers: it is made of all of them, and holds none of them."""
    return event.operation == "sort" and output.exact and not value.exact


def _came_from(event: Event, output: Value, mask: Mask, value: Value) -> Mask:
    everything = np.ones(len(value.numbers), dtype=bool)
    if (value.exact and not output.exact) or _ranks(event, output, value):
        return everything
    if moves(event, output, value):
        return np.isin(value.numbers, output.numbers[mask])
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


# Spectrum-based localisation, with outputs in the place of tests: a line that leads to many of the differing outputs
# and to few of those that agree is more suspicious than one that leads to all alike (Abreu et al. 2007, "On the
# accuracy of spectrum-based fault localization").


def leading_events(trace: Trace, names: Collection[str]) -> list[Event]:
    """Return the events that lead to the named outputs, the last one first."""
    led = _leads_to(trace, names)
    return [event for event in reversed(trace.events) if led[event.index]]


def suspiciousness(trace: Trace, differing: Collection[str]) -> dict[SourceLocation, float]:
    """Return Ochiai's coefficient w / sqrt(W (w + r)) of each line that leads to an output that differs.

    w and r: the differing and the agreeing outputs that it leads to; W: all that differ. It is 1 where a line leads to
    all of those and to no other. Callers of a line lead where it leads.
    """
    names = list(trace.outputs)
    led = _leads_to(trace, names)
    wrong = sum(1 << k for k, name in enumerate(names) if name in differing)
    of_line: dict[SourceLocation, int] = defaultdict(int)
    for event in trace.events:
        for site in event.chain:
            of_line[site] |= led[event.index]
    return {
        site: (outputs & wrong).bit_count() / math.sqrt(wrong.bit_count() * outputs.bit_count())
        for site, outputs in of_line.items()
        if outputs & wrong
    }


def _leads_to(trace: Trace, names: Collection[str]) -> list[int]:
    """Return for each event the outputs that it leads to, one bit for each name."""
    needed: dict[str, int] = defaultdict(int)
    for k, name in enumerate(names):
        if name in trace.outputs:
            needed[trace.outputs[name].digest] |= 1 << k
    led = [0] * len(trace.events)
    for event in reversed(trace.events):
        outputs = 0
        for value in event.outputs if event.chain else ():
            outputs |= needed.get(value.digest, 0)
        led[event.index] = outputs
        for value in event.inputs if outputs else ():
            needed[value.digest] |= outputs
    return led
