"""Whether two sides draw the same, where they part, and whether their values agree once they draw the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch

from parity.comparator import Runs, compare_trees
from parity.component import start_seed
from parity.diagnosis.draw_alignment import Alignment, Row, align
from parity.diagnosis.draw_record import DrawEvent, DrawLog, recorded
from parity.draws import handovers
from parity.execution import Outcome, run
from parity.side import Side

if TYPE_CHECKING:
    from parity.component import Component, Context

__all__ = ["compare_draws"]

Forced = Literal["agree", "differ"]


def compare_draws(
    component: Component, params: Mapping[str, Any], reference: Side, candidate: Side, ctx: Context, *, force: bool
) -> dict[str, Any]:
    """Records both sides on one input and aligns what they draw and reseed.

    `sentence`; `parted_at`, the row at which the sequences part (None if they do not); `forced`, whether the values
    agree once the candidate is given the reference's draws (None if not asked for, or nothing can be given); `aside`,
    whether one side only draws more from a generator of its own; `omitted` rows, and the `rows` shown.
    """
    inputs = component.build(params, ctx)
    execute = partial(run, seed=start_seed(params), device=ctx.device)

    def record(side: Side) -> tuple[DrawLog, Outcome]:
        log = DrawLog()
        return log, execute(recorded(component.bind(side), log), inputs, dtype=ctx.dtype, record=True)

    (log, ref), (other, cand) = record(reference), record(candidate)
    theirs, own = log.events, other.events
    left, left_by_other = log.left(), other.left()
    alignment = align(theirs, own, [name for name in left if left[name] != left_by_other[name]])
    forced: Forced | None = None
    outcome = ""
    if force and alignment.parting is not None and not (ref.error or cand.error):
        ref64 = execute(component.bind(reference), inputs, dtype=torch.float64, record=True)
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
) -> Forced:
    """As `parity.judge` decides between `randomness` and `divergent`."""
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
    theirs: Sequence[DrawEvent], own: Sequence[DrawEvent], ref: Outcome, forced: Forced
) -> tuple[Forced | None, str]:
    """What forcing says, and in words. Only torch's draws are forced: where others part too, values that still differ
    say nothing."""
    if forced == "agree":
        return forced, "with the reference's draws forced on the candidate the values agree"
    if not ref.draws:
        return None, "the reference draws nothing in torch that could be forced on the candidate"
    if _of_others(theirs) != _of_others(own):
        return None, "only torch's draws can be forced, and others part as well"
    return forced, "with the reference's draws forced on the candidate the values still differ"


def _of_others(events: Sequence[DrawEvent]) -> list[str]:
    """What NumPy's and Python's generators drew."""
    return [event.digest for event in events if event.what == "draw" and "torch" not in event.generator]


def _sentence(theirs: Sequence[DrawEvent], alignment: Alignment) -> str:
    row = alignment.parting
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
