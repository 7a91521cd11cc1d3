"""Which operation: the earliest one on each side whose inputs the other side has too and whose result it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from parity.diagnosis.cleared import lines_before
from parity.diagnosis.culprit import Parting, Unknown, parting
from parity.diagnosis.points import located, raised_at, raised_through
from parity.diagnosis.repair.search import Search, search_repair
from parity.diagnosis.repair.trial import Trial, open_trial, trials
from parity.diagnosis.repair.vocabulary import vocabulary
from parity.diagnosis.site import Site
from parity.diagnosis.slack import Traced
from parity.diagnosis.smallest import smallest_failing
from parity.diagnosis.spectrum import leading_events, suspicion
from parity.diagnosis.suspect import Blame, blame_argument, blame_constant, blame_operand, counterpart
from parity.diagnosis.trace import Event, Trace, traced
from parity.diagnosis.values import Value
from parity.draws import Draw, handovers
from parity.execution import Outcome, run
from parity.side import Side

if TYPE_CHECKING:
    from parity.component import Component, Context

__all__ = ["locate"]

_MOVED = 2
"""Runs of each side, moved within rounding, from which the slack of every value is learnt."""

_LONG = 5_000
"""Operations above which the slack is learnt from one run instead."""


def locate(
    component: Component,
    params: Mapping[str, Any],
    reference: Side,
    candidate: Side,
    ctx: Context,
    *,
    draws_at: tuple[str, int] | None = None,
    seconds: float = 40.0,
) -> dict[str, Any] | None:
    """Traces both sides in float64 on one input and names the operation on each side at which they part.

    The input is made smaller first (`input` in what is returned), as long as the sides differ on it.
    Both sides see the reference's draws where theirs differ. Returns `sentence`, and for `reference` and `candidate`
    what was found: `operation`, `site`, `source` (the lines around it), `chain` (its callers), `result`, `other` (what
    the operation took), `made_at` (the line to look at, and why, if it is another one); None for a side that shows
    nothing. None altogether if both sides agree in float64 and draw alike: then only float32's arithmetic differs.
    `draws_at`: file and line at which the candidate draws otherwise, if known: changes there are tried early.
    Of a trace that was cut nothing is claimed.

    For `seconds` at most, small changes of the candidate's lines are tried, the suspicious ones first, as
    `parity.diagnosis.repair` says: one that makes both sides agree is the line to look at, whatever the traces say.
    Where float64 agrees, it is to agree in the session's precision.
    """
    params = smallest_failing(component, params, reference, candidate, ctx)
    trial = open_trial(component, params, reference, candidate, ctx, forced=True)
    own = trial.run(record=True)
    draws_apart = _draws(trial.reference) != _draws(own)
    ref_trace, ref = _traced(component, reference, trial, ())
    forced = True
    for replay in [(), *handovers(ref.draws, own.draws)] if draws_apart else [()]:
        cand_trace, cand = _traced(component, candidate, trial, replay)
        if not (ref.error or cand.error) and not trial.differing(cand):
            forced = False  # equal draws make it agree: what draws is to blame
            break
    found = _Found()
    cut = not (ref_trace.complete and cand_trace.complete)
    if forced and not (ref.error or cand.error or cut):
        found = _where_they_part(component, reference, candidate, trial, (ref_trace, cand_trace), cand, replay)
    single = not forced and not draws_apart  # float64 agrees as it is: what fails is the session's precision
    if single:
        in_double = cand_trace.lines
        cand_trace, _ = _traced(component, candidate, trial, (), dtype=ctx.dtype)
        found = _Found(most=[site for site in cand_trace.lines if site not in in_double])
    raised = raised_at(cand)
    suspects = [site for site in (raised, *found.suspects) if site is not None]
    parted = found.here.event if found.here else None
    drawn = [site for site in cand_trace.lines if (site.file, site.line) == draws_at]
    way = [*drawn, *_callers(drawn, cand_trace), *(parted.chain if parted else ()), *raised_through(cand)]
    functions = dict.fromkeys((site.path, site.function) for site in way)
    nearby = [site for name in functions for site in cand_trace.lines if (site.path, site.function) == name]
    first = [*found.first, *drawn, *raised_through(cand)]
    tiers = suspects, first, found.most, nearby, found.leading, cand_trace.lines
    search = Search(None, 0, "all tried")
    if (ref.error is None or component.refused(params)) and seconds > 0:
        search = search_repair(
            trials(component, params, reference, candidate, ctx, forced=draws_apart and forced, single=single),
            [_of_the_side(tier, cand_trace) for tier in tiers],
            vocabulary(ref_trace.lines, cand_trace.lines),
            cand_trace.kinds,
            lines_before(component, candidate, ctx),
            seconds=seconds,
        )
    if not forced and search.repair is None:
        return None
    return located(ref, cand, parted, found.facing, found.blame, search, cut=cut) | {"input": params}


@dataclass(frozen=True, eq=False)
class _Found:
    """What the traces tell: where the candidate parts, the operation that faces it, whom to blame, lines to suspect."""

    here: Parting | None = None
    facing: Event | None = None
    blame: Blame | None = None
    first: Sequence[Site] = ()
    most: Sequence[Site] = ()
    leading: Sequence[Site] = ()

    @property
    def suspects(self) -> list[Site]:
        """The lines that the traces accuse, most suspicious first."""
        blamed = [self.blame.site] if self.blame else []
        return [*blamed, *(self.here.event.chain[:1] if self.here else ())]


def _where_they_part(
    component: Component,
    reference: Side,
    candidate: Side,
    trial: Trial,
    traces: tuple[Trace, Trace],
    cand: Outcome,
    replay: Sequence[Draw],
) -> _Found:
    names = trial.differing(cand)
    ref_trace, cand_trace = traces
    if not _leaves(ref_trace, names) and not _leaves(cand_trace, names):
        return _Found()  # what differs holds no numbers

    def agreed(trace: Trace) -> list[Value]:
        return _leaves(trace, [name for name in trace.outputs if name not in names])

    left = Traced(ref_trace, _moved_traces(component, reference, trial, (), ref_trace))
    right = Traced(cand_trace, _moved_traces(component, candidate, trial, replay, cand_trace))
    for whole in (False, True):
        theirs, mine = Unknown(left, right, whole, agreed(ref_trace)), Unknown(right, left, whole, agreed(cand_trace))
        there = parting(theirs, _leaves(ref_trace, names))
        here = parting(mine, _leaves(cand_trace, names))
        if here is not None or there is not None:
            break
    if here is None and there is not None:
        here = _last_of(right, _leaves(cand_trace, names))  # right as far as it goes: the reference goes on
    blame = _blame(here, mine, theirs) if here else None
    facing = blame.reference if blame and blame.reference else there.event if there else None
    suspected = suspicion(cand_trace, names)
    leading = leading_events(cand_trace, names)
    first = [site for event in reversed(leading) if _goes_wrong(event, mine) for site in event.chain]
    in_time = dict.fromkeys(site for event in reversed(leading) for site in event.chain)
    lines = sorted(in_time, key=lambda site: -suspected[site])
    several = len(set(suspected.values())) > 1
    most = [site for site in lines if several and suspected[site] == suspected[lines[0]]]
    return _Found(here, facing, blame, first, most, lines)


def _last_of(side: Traced, outputs: Sequence[Value]) -> Parting | None:
    """What makes an output: where a side stops that leaves out a step."""
    for output in outputs:
        event = side.producer(output, len(side.trace.events))
        if event is not None and event.chain and not event.chain[0].of_adapter:
            return Parting(event, output, np.ones(len(output.numbers), dtype=bool))
    return None


def _blame(here: Parting, mine: Unknown, theirs: Unknown) -> Blame | None:
    """The line to look at, if it is another one than that of the operation itself."""
    misnamed = blame_argument(here.event.chain, mine, theirs)
    other = counterpart(here, theirs)
    if misnamed is not None or other is None:
        return misnamed
    return blame_constant(here, other, mine) or blame_operand(here, other, mine, theirs)


def _callers(sites: Sequence[Site], trace: Trace) -> list[Site]:
    """The lines that call the functions of `sites`, and so on outwards."""
    callers: dict[Site, None] = {}
    functions = {(site.path, site.function) for site in sites}
    for call in reversed(trace.calls):
        if call.caller is not None and (call.path, call.function) in functions:
            callers[call.caller] = None
            functions.add((call.caller.path, call.caller.function))
    return list(callers)


def _goes_wrong(event: Event, mine: Unknown) -> bool:
    """Whether an operation makes something wrong out of what is right."""
    lacking = any(mine.wrong(output).any() for output in event.outputs)
    return lacking and not any(mine.wrong(value).any() for value in event.inputs)


def _traced(
    component: Component,
    side: Side,
    trial: Trial,
    replay: Sequence[Draw],
    nudge: int | None = None,
    dtype: torch.dtype = torch.float64,
) -> tuple[Trace, Outcome]:
    trace = Trace(sites=nudge is None)
    call: Callable[..., Any] = traced(component.bind(side), trace)
    execute = partial(run, call, trial.inputs, seed=trial.seed, dtype=dtype, device=trial.device)
    return trace, execute(record=True, replay=replay, nudge=nudge)


def _moved_traces(component: Component, side: Side, trial: Trial, replay: Sequence[Draw], trace: Trace) -> list[Trace]:
    count = _MOVED if len(trace.events) <= _LONG else 1
    return [_traced(component, side, trial, replay, nudge=k)[0] for k in range(count)]


def _draws(outcome: Outcome) -> list[tuple[str, tuple[int, ...], bytes]]:
    """What the global generators gave. A generator of one's own moves nobody else's draws: its values speak."""

    def key(draw: Draw) -> tuple[str, tuple[int, ...], bytes]:
        return draw.kind, draw.shape, draw.value.contiguous().cpu().numpy().tobytes()

    return [key(draw) for draw in outcome.draws if not draw.own_generator]


def _of_the_side(sites: Iterable[Site], trace: Trace) -> list[Site]:
    """Without the adapter's lines, unless there are no others."""
    whole = all(site.of_adapter for site in trace.lines)
    return [site for site in sites if whole or not site.of_adapter]


def _leaves(trace: Trace, names: Iterable[str]) -> list[Value]:
    return [trace.outputs[name] for name in names if name in trace.outputs]
