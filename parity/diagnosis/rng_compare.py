"""Compare the random draws of two sides: where they diverge, and if values agree once both draw the same.

Generators do not disturb each other: the order of events of each counts. A generator diverges if its draws differ, or
the state that it is left in; seeding one that is not used, or two in another order, is no divergence. One more draw
from a generator of a side's own moves no draw of another, so it comes last: libraries make such draws and throw them
away.

Up to the first difference the sequences run together. From there on the cheapest alignment counts: pairs of the same
generator, kind and shape cost less than a draw that only one side makes, and equal values cost nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile, zip_longest
from typing import Any, Literal

import torch

from parity.comparator import Runs, compare_trees
from parity.component import Component, Context, start_seed
from parity.diagnosis.rng_trace import DrawEvent, RngTrace, recorded, trace_draws
from parity.draws import handovers
from parity.execution import Outcome, run
from parity.execution import execute as execute_side
from parity.side import Side, capabilities

__all__ = ["Alignment", "Mark", "Row", "align", "compare_draws"]

Mark = Literal["same", "value", "reference only", "candidate only", "other"]

_COST = {"same": 0.0, "value": 1.0, "other": 2.5, "reference only": 1.5, "candidate only": 1.5}
"""Two draws in each other's place (`other`) are better than one missing on each side."""

_LOOKED_AT = 200
"""Events of each side, from the parting on, that are aligned; the work grows with its square."""

_BEFORE, _AFTER = 8, 32
"""Rows shown before the parting, and from it on."""


@dataclass(frozen=True)
class Row:
    """A pair of events and its mark: `same`; `value` (only the value differs, or the seed); one side only; `other`
    (another kind, shape, dtype or generator)."""

    mark: Mark
    reference: DrawEvent | None
    candidate: DrawEvent | None

    def plain(self) -> dict[str, Any]:
        """Return JSON values."""
        sides = {"reference": self.reference, "candidate": self.candidate}
        return {"mark": self.mark} | {name: event and event.plain() for name, event in sides.items()}


@dataclass(frozen=True)
class Alignment:
    """`rows` around the divergence, of the generators that diverge (of all, if none does).

    `diverges`: the row at which the first of them does, or None. `omitted`: how many events are not shown. `aside`:
    True if one side only draws more from a generator of its own.
    """

    rows: tuple[Row, ...]
    diverges: Row | None
    omitted: int
    aside: bool = False

    @property
    def parted_at(self) -> int | None:
        """The number of the event at which they diverge, among the reference's where it has it."""
        event = self.diverges and (self.diverges.reference or self.diverges.candidate)
        return event.index if event else None


def align(
    reference: Sequence[DrawEvent], candidate: Sequence[DrawEvent], left_apart: Collection[str] = ()
) -> Alignment:
    """Align the draws and reseedings of two sides. `left_apart`: generators that they leave in different states."""
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
    """True if one side only draws more from a generator of its own."""
    apart = [row for row in rows if row.mark != "same"]
    events = [(row.mark, event) for row in apart for event in (row.reference, row.candidate) if event is not None]
    marks = {mark for mark, event in events if event.generator == generator}
    return generator.startswith("an own") and (marks == {"reference only"} or marks == {"candidate only"})


def _parting(
    reference: Iterable[DrawEvent], candidate: Iterable[DrawEvent], generator: str
) -> tuple[DrawEvent | None, DrawEvent | None]:
    """Return the first events of one generator that are not the same on both sides."""
    theirs, own = ([e for e in events if e.generator == generator] for events in (reference, candidate))
    pairs = zip_longest(theirs, own)
    return next((p for p in pairs if p[0] is None or p[1] is None or _mark(p[0], p[1]) != "same"), (None, None))


def _first(rows: Sequence[Row], partings: Sequence[tuple[DrawEvent | None, DrawEvent | None]]) -> Row | None:
    """Return the first row with an event of a divergence; the first that is not the same, if they lie beyond."""
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
    """True if one can replace the other: a draw of the same kind, or of the same shape."""
    return reference.what == candidate.what and (
        reference.kind == candidate.kind or reference.shape == candidate.shape != ()
    )


def _cheapest(reference: Sequence[DrawEvent], candidate: Sequence[DrawEvent]) -> list[Row]:
    """Return the alignment of least cost (Needleman and Wunsch 1970)."""
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


_Forced = Literal["agree", "differ"]


def compare_draws(
    component: Component, params: Mapping[str, Any], reference: Side, candidate: Side, ctx: Context, *, force: bool
) -> dict[str, Any]:
    """Record both sides on one input and align their draws and reseedings.

    Return `sentence`; `parted_at`, the row at which the sequences diverge (None if they do not); `forced`: the values
    `agree` or `differ` once the candidate gets the reference's draws (None if not asked for, or nothing can be given);
    `aside`: True if one side only draws more from a generator of its own; `omitted` rows, and the `rows` shown.
    """
    inputs = component.build(params, ctx)
    execute = partial(run, seed=start_seed(params), device=ctx.device)

    def record(side: Side) -> tuple[RngTrace, Outcome]:
        if capabilities(side).code == "elsewhere":
            settings = {"seed": start_seed(params), "device": ctx.device, "dtype": ctx.dtype, "record": True}
            made: Any = side.traced(f"{trace_draws.__module__}:trace_draws", component.name, inputs, settings)
            return RngTrace.of(made[0]), made[1]
        trace = RngTrace()
        return trace, execute(recorded(component.bind(side), trace), inputs, dtype=ctx.dtype, record=True)

    (trace, ref), (other, cand) = record(reference), record(candidate)
    theirs, own = trace.events, other.events
    left, left_by_other = trace.left(), other.left()
    alignment = align(theirs, own, [name for name in left if left[name] != left_by_other[name]])
    forced: _Forced | None = None
    outcome = ""
    if force and alignment.diverges is not None and not (ref.error or cand.error):
        settings = {"seed": start_seed(params), "device": ctx.device, "dtype": torch.float64, "record": True}
        ref64 = execute_side(component, reference, inputs, **settings)
        again = partial(execute, component.bind(candidate), inputs)
        forced, outcome = _told(theirs, own, ref, _with_equal_draws(component, ref, ref64, cand, again, ctx))
    return {
        "sentence": "; ".join(filter(None, (_sentence(theirs, alignment), outcome))),
        "parted_at": alignment.parted_at,
        "aside": alignment.aside,
        "forced": forced,
        "omitted": alignment.omitted,
        "rows": [row.plain() for row in alignment.rows],
    }


def _with_equal_draws(
    component: Component, ref: Outcome, ref64: Outcome, own: Outcome, execute: Any, ctx: Context
) -> _Forced:
    """Decide as `parity.judge` does between `randomness` and `divergent`."""
    for low, high in zip(handovers(ref.draws, own.draws), handovers(ref64.draws, own.draws), strict=False):
        forced = execute(dtype=ctx.dtype, replay=low)
        forced64 = execute(dtype=torch.float64, replay=high)
        if forced.error or forced64.error:
            return "differ"
        leaves = compare_trees(Runs(ref.tree, forced.tree, ref64.tree, forced64.tree), component.policy)
        if all(leaf.verdict.agrees for leaf in leaves):
            return "agree"
    return "differ"


def _told(
    theirs: Sequence[DrawEvent], own: Sequence[DrawEvent], ref: Outcome, forced: _Forced
) -> tuple[_Forced | None, str]:
    """Return the result of forcing, and its words. Only torch's draws are forced: where others diverge too, values that
    still differ say nothing."""
    if forced == "agree":
        return forced, "with the reference's draws forced on the candidate the values agree"
    if not ref.draws:
        return None, "the reference draws nothing in torch that could be forced on the candidate"
    if _of_others(theirs) != _of_others(own):
        return None, "only torch's draws can be forced, and others part as well"
    return forced, "with the reference's draws forced on the candidate the values still differ"


def _of_others(events: Sequence[DrawEvent]) -> list[str]:
    """Return the draws of NumPy's and Python's generators."""
    return [event.digest for event in events if event.what == "draw" and "torch" not in event.generator]


def _sentence(theirs: Sequence[DrawEvent], alignment: Alignment) -> str:
    row = alignment.diverges
    if row is not None and alignment.aside:
        return f"what both sides draw is the same; from a generator of its own {_said(row)}, which moves no other draw"
    if row is not None:
        return f"the draws part at number {alignment.parted_at}: {_said(row)}"
    draws = sum(event.what == "draw" for event in theirs)
    return f"both sides draw the same, {_number(draws)} in the same order" if theirs else "neither side draws"


def _number(draws: int) -> str:
    return f"{draws} draw" + ("s" if draws != 1 else "")


def _said(row: Row) -> str:
    left, right = row.reference, row.candidate
    if left is None or right is None:
        who, event = ("candidate", right) if left is None else ("reference", left)
        return f"only the {who} has {_at(event)}"
    if row.mark == "value" and left.what == "draw":
        return f"{left} comes out with other values: {_where(left)} in the reference, {_where(right)} in the candidate"
    return f"the reference has {_at(left)}, the candidate {_at(right)}"


def _at(event: DrawEvent | None) -> str:
    return f"{event} ({_where(event)})" if event is not None else "nothing"


def _where(event: DrawEvent) -> str:
    return f"{event.site.file}:{event.site.line}" if event.site else "no line of its own"
