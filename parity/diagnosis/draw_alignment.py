"""Two sequences of draws side by side: which belong together, and where they part.

Generators do not disturb each other: what counts is the order of events of each. A generator parts if its draws differ,
or the state that it is left in; seeding one that is not used, or two in another order, is no parting. A draw more from
a generator of a side's own moves no draw of another, so it comes last among the partings: libraries make such draws and
throw them away.

Up to the first difference the sequences run together. From there on the cheapest alignment counts: pairs of the same
generator, kind and shape cost less than a draw that only one side makes, and equal values cost nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile, zip_longest
from typing import Any, Literal

from parity.diagnosis.draw_record import DrawEvent

__all__ = ["Alignment", "Mark", "Row", "align"]

Mark = Literal["same", "value", "reference only", "candidate only", "other"]

_COST = {"same": 0.0, "value": 1.0, "other": 2.5, "reference only": 1.5, "candidate only": 1.5}
"""Two draws in each other's place (`other`) are better than one missing on each side."""

_LOOKED_AT = 200
"""Events of each side, from the parting on, that are aligned; the work grows with its square."""

_BEFORE, _AFTER = 8, 32
"""Rows shown before the parting, and from it on."""


@dataclass(frozen=True)
class Row:
    """What stands side by side, and what it says: `same`; `value` (only the value differs, or the seed); one side only;
    `other` (another kind, shape, dtype or generator)."""

    mark: Mark
    reference: DrawEvent | None
    candidate: DrawEvent | None

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        sides = {"reference": self.reference, "candidate": self.candidate}
        return {"mark": self.mark} | {name: event and event.plain() for name, event in sides.items()}


@dataclass(frozen=True)
class Alignment:
    """`rows` around the parting, of the generators that part (of all, if none does); `parting` is the row at which the
    first of them does, or None; `omitted` counts what is not shown; `aside`, whether all that parts is that one side
    draws more from a generator of its own."""

    rows: tuple[Row, ...]
    parting: Row | None
    omitted: int
    aside: bool = False

    @property
    def parted_at(self) -> int | None:
        """The number of the event at which they part, among the reference's where it has it."""
        event = self.parting and (self.parting.reference or self.parting.candidate)
        return event.index if event else None


def align(
    reference: Sequence[DrawEvent], candidate: Sequence[DrawEvent], left_apart: Collection[str] = ()
) -> Alignment:
    """Align what two sides drew and reseeded. `left_apart`: generators that they leave in different states."""
    generators = {event.generator for event in (*reference, *candidate)}
    apart = {name for name in generators if name in left_apart or _draws(reference, name) != _draws(candidate, name)}
    shown, other = ([e for e in events if not apart or e.generator in apart] for events in (reference, candidate))
    hidden = max(len(reference) - len(shown), len(candidate) - len(other))

    pairs = zip(shown, other, strict=False)
    together = [Row("same", a, b) for a, b in takewhile(lambda pair: _mark(*pair) == "same", pairs)]
    start = len(together)
    before = together[-_BEFORE:] if apart else together[: _BEFORE + _AFTER]
    rest, other_rest = shown[start:], other[start:]
    aligned = _cheapest(rest[:_LOOKED_AT], other_rest[:_LOOKED_AT])
    telling = apart - {name for name in apart if _only_more(aligned, name)}
    parting = _first(aligned, [_parting(shown, other, name) for name in telling or apart])
    # Rows that are the same may stand between: generators that part later, in another order.
    place = aligned.index(parting) if parting else 0
    after = aligned[max(0, place - _BEFORE) : place + _AFTER]
    rows = [*(before if place <= _BEFORE else ()), *after]
    told = [sum(row.reference is not None for row in rows), sum(row.candidate is not None for row in rows)]
    return Alignment(
        tuple(rows), parting, hidden + max(len(shown) - told[0], len(other) - told[1]), bool(apart and not telling)
    )


def _draws(events: Iterable[DrawEvent], generator: str) -> list[tuple[object, ...]]:
    return [(*_form(e), e.digest) for e in events if e.what == "draw" and e.generator == generator]


def _only_more(rows: Iterable[Row], generator: str) -> bool:
    """Whether all that differs in a generator of a side's own is draws that one side makes more."""
    apart = [row for row in rows if row.mark != "same"]
    events = [(row.mark, event) for row in apart for event in (row.reference, row.candidate) if event is not None]
    marks = {mark for mark, event in events if event.generator == generator}
    return generator.startswith("an own") and (marks == {"reference only"} or marks == {"candidate only"})


def _parting(
    reference: Iterable[DrawEvent], candidate: Iterable[DrawEvent], generator: str
) -> tuple[DrawEvent | None, DrawEvent | None]:
    """The first events of one generator that are not the same on both sides."""
    theirs, own = ([e for e in events if e.generator == generator] for events in (reference, candidate))
    pairs = zip_longest(theirs, own)
    return next((p for p in pairs if p[0] is None or p[1] is None or _mark(p[0], p[1]) != "same"), (None, None))


def _first(rows: Sequence[Row], partings: Sequence[tuple[DrawEvent | None, DrawEvent | None]]) -> Row | None:
    """The first row that holds an event of a parting; the first that is not the same, if they lie beyond."""
    if not partings:
        return None
    events = {id(event) for parting in partings for event in parting if event is not None}
    apart = [row for row in rows if row.mark != "same"]
    held = (row for row in apart if id(row.reference) in events or id(row.candidate) in events)
    return next(held, apart[0] if apart else None)


def _mark(reference: DrawEvent, candidate: DrawEvent) -> Mark:
    if _form(reference) != _form(candidate):
        return "other"
    return "same" if reference.digest == candidate.digest else "value"


def _form(event: DrawEvent) -> tuple[object, ...]:
    return event.what, event.kind, event.shape, event.dtype, event.generator


def _comparable(reference: DrawEvent, candidate: DrawEvent) -> bool:
    """Whether one can stand in the other's place: a draw of the same kind, or of the same shape."""
    return reference.what == candidate.what and (
        reference.kind == candidate.kind or reference.shape == candidate.shape != ()
    )


def _cheapest(reference: Sequence[DrawEvent], candidate: Sequence[DrawEvent]) -> list[Row]:
    """The alignment of least cost (Needleman and Wunsch 1970)."""
    n, m = len(reference), len(candidate)
    cost = [[0.0] * (m + 1) for _ in range(n + 1)]
    for i in range(n, -1, -1):
        for j in range(m, -1, -1):
            if i < n or j < m:
                cost[i][j] = min(
                    cost[i + di][j + dj] + _COST[mark] for mark, di, dj in _moves(reference, candidate, i, j)
                )
    rows: list[Row] = []
    i = j = 0
    while i < n or j < m:
        moves = _moves(reference, candidate, i, j)
        mark, di, dj = min(moves, key=lambda move: cost[i + move[1]][j + move[2]] + _COST[move[0]])
        rows.append(Row(mark, reference[i] if di else None, candidate[j] if dj else None))
        i, j = i + di, j + dj
    return rows


def _moves(
    reference: Sequence[DrawEvent], candidate: Sequence[DrawEvent], i: int, j: int
) -> list[tuple[Mark, int, int]]:
    moves: list[tuple[Mark, int, int]] = []
    if i < len(reference) and j < len(candidate) and _comparable(reference[i], candidate[j]):
        moves.append((_mark(reference[i], candidate[j]), 1, 1))
    if i < len(reference):
        moves.append(("reference only", 1, 0))
    if j < len(candidate):
        moves.append(("candidate only", 0, 1))
    return moves
