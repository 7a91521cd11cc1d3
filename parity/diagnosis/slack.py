"""A trace made ready for looking up its numbers, each with how far rounding may have moved it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parity.diagnosis.trace import Event, Trace
from parity.diagnosis.values import Numbers, Value
from parity.policy import EPS32, EPS64

__all__ = ["Traced"]

_ROUNDINGS = 64
"""Units in the last place that two ways of writing one operation may differ by, without amplification."""

_MARGIN = 32
"""Twice the policy's margin for float64: values on the way are moved by more than outputs, and few runs sample them."""

_UNTOLD = 0.1
"""Share of a value's largest number: what rounding moves by more was never computed (unwritten memory)."""

_FIRSTS = 1e-9
"""How near, relatively, first numbers lie that are compared in full: far above the errors of float64."""


@dataclass(eq=False)
class Traced:
    """A trace, and traces of the same call with inputs and operations moved within a float32 unit (`moved`).

    `slack` by digest: how far each number of a value may lie from the same number on the other side.
    """

    trace: Trace
    moved: Sequence[Trace] = ()

    def __post_init__(self) -> None:
        self.values: dict[str, Value] = {}
        self.slack: dict[str, NDArray[np.float64]] = {}
        self._made_by: dict[str, list[Event]] = defaultdict(list)
        moved = [_operations(trace) for trace in self.moved]
        places = {event.index: place for place, event in enumerate(_operations(self.trace))}
        for event in self.trace.events:
            for value in event.inputs:
                self._keep(value)
            for k, value in enumerate(event.outputs):
                self._made_by[value.digest].append(event)
                self._keep(value, (_same_place(there, event, places.get(event.index), k) for there in moved))
        arguments = (value for call in self.trace.calls for value in call.arguments.values())
        for value in [*self.trace.inputs.values(), *self.trace.outputs.values(), *arguments]:
            self._keep(value)
        self.numbers = Numbers((value, self.slack[digest]) for digest, value in self.values.items())
        self._by_size: dict[int, tuple[NDArray[np.float64], list[Value]]] = {}
        sizes: dict[int, list[Value]] = defaultdict(list)
        for value in self.values.values():
            sizes[len(value.numbers)].append(value)
        for size, values in sizes.items():
            values.sort(key=_first)
            self._by_size[size] = np.array([_first(value) for value in values]), values

    def near(self, value: Value, slack: float) -> list[Value]:
        """Values of the same size that begin with about the same number."""
        firsts, values = self._by_size.get(len(value.numbers), (np.empty(0), []))
        first = _first(value)
        reach = slack + _FIRSTS * abs(first)
        return values[np.searchsorted(firsts, first - reach) : np.searchsorted(firsts, first + reach, side="right")]

    def producer(self, value: Value, before: int) -> Event | None:
        """The last event before number `before` that made this value."""
        return next((e for e in reversed(self._made_by.get(value.digest, [])) if e.index < before), None)

    def _keep(self, value: Value, moved: Iterable[Value | None] = ()) -> None:
        self.values.setdefault(value.digest, value)
        slack = self.slack.get(value.digest)
        with np.errstate(invalid="ignore"):  # memory that was not written yet may hold anything
            slack = _ROUNDINGS * EPS64 * np.abs(value.numbers) if slack is None else slack
        for other in moved:
            if other is not None and other.numbers.shape == value.numbers.shape:
                with np.errstate(invalid="ignore", over="ignore"):
                    moved_by = _MARGIN * EPS64 / EPS32 * np.abs(other.numbers - value.numbers)
                    told = moved_by <= _UNTOLD * np.abs(value.numbers).max(
                        initial=0.0, where=np.isfinite(value.numbers)
                    )
                    slack = np.fmax(slack, np.where(told, moved_by, 0.0))
        self.slack[value.digest] = np.where(np.isfinite(slack), slack, 0.0)


def _operations(trace: Trace) -> list[Event]:
    """What reached the dispatcher: that much the traces of runs that were moved have too, without lines."""
    return [event for event in trace.events if event.operation != "line"]


def _same_place(moved: Sequence[Event], event: Event, place: int | None, output: int) -> Value | None:
    """The value that stands where this one does in a trace of the same code, as long as both went the same way."""
    if place is None or place >= len(moved):
        return None
    there = moved[place]
    return there.outputs[output] if there.operation == event.operation and len(there.outputs) > output else None


def _first(value: Value) -> float:
    """What values are sorted by: the first number, if it is one."""
    number = float(value.numbers[0]) if len(value.numbers) else 0.0
    return number if np.isfinite(number) else 0.0
