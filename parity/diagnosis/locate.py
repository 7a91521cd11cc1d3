"""Locate a difference: trace both sides, find their first divergence, search for the change that makes them agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any

import numpy as np
import torch

from parity.component import Component, Context, start_seed
from parity.diagnosis.backward_slice import Blame, blamed_line
from parity.diagnosis.first_divergence import (
    Divergence,
    TraceWithBounds,
    ValueMatcher,
    find_divergence,
    leading_events,
    suspiciousness,
)
from parity.diagnosis.location import SourceLocation, call_chain, line_coverage, location_at, source_around
from parity.diagnosis.mutation_search import Search, search_repair
from parity.diagnosis.oracle import Oracle, open_oracle, open_oracles, smallest_failing
from parity.diagnosis.settings import enabled
from parity.diagnosis.symbols import reference_tokens
from parity.diagnosis.trace import Event, Trace, Value, trace_of, trace_plainly, traced
from parity.draws import Draw, handovers
from parity.execution import Outcome, run
from parity.side import Side, capabilities
from parity.study import installed

__all__ = ["earlier_coverage", "locate"]

_PERTURBED = 2
"""Perturbed runs of each side from which the error bounds of every value are learnt."""

_LONG = 5_000
"""Operations above which the bounds are learnt from one run instead."""


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
    """Trace both sides in float64 on one input and name the operation on each side at which they diverge.

    The input is made smaller first (`input` in the result), as long as the sides differ on it. Both sides see the
    reference's draws where theirs differ. Return `sentence`, and for `reference` and `candidate`: `operation`, `site`,
    `source` (the lines around it), `chain` (its callers), `result`, `other` (the operation's inputs), `made_at` (the
    line to look at, and why, if it is another one); None for a side that shows nothing. Return None if both sides agree
    in float64 and draw alike: then only float32's arithmetic differs. Claim nothing of a trace that was cut.

    `draws_at`: file and line at which the candidate draws otherwise, if known: changes there are tried early. For
    `seconds` at most, small changes of the candidate's lines are tried (`parity.diagnosis.mutation_search`): the one
    that makes both sides agree is the line to look at, whatever the traces say. Where float64 agrees, they must agree
    in the session's precision.
    """
    params = smallest_failing(component, params, reference, candidate, ctx)
    oracle = open_oracle(component, params, reference, candidate, ctx, forced=True)
    own = oracle.run(record=True)
    draws_differ = _draws(oracle.reference) != _draws(own)
    ref_trace, ref = _traced(component, reference, oracle, ())
    forced = True
    for replay in [(), *handovers(ref.draws, own.draws)] if draws_differ else [()]:
        cand_trace, cand = _traced(component, candidate, oracle, replay)
        if not (ref.error or cand.error) and not oracle.differing(cand):
            forced = False  # equal draws make it agree: a draw is to blame
            break
    found = _Found()
    cut = not (ref_trace.complete and cand_trace.complete)
    if forced and not (ref.error or cand.error or cut) and enabled("traces"):
        found = _compare_traces(component, reference, candidate, oracle, (ref_trace, cand_trace), cand, replay)
    single = not forced and not draws_differ  # float64 agrees as it is: the session's precision fails
    if single:
        in_double = cand_trace.lines
        cand_trace, _ = _traced(component, candidate, oracle, (), dtype=ctx.dtype)
        found = _Found(most=[site for site in cand_trace.lines if site not in in_double])
    parted = found.here.event if found.here else None
    raised = _raised_through(cand)
    suspects = [*raised[:1], *found.suspects]
    drawn = [site for site in cand_trace.lines if (site.file, site.line) == draws_at] if enabled("draws_first") else []
    way = [*drawn, *_callers(drawn, cand_trace), *(parted.chain if parted else ()), *raised]
    functions = dict.fromkeys((site.path, site.function) for site in way)
    nearby = [site for name in functions for site in cand_trace.lines if (site.path, site.function) == name]
    tiers = suspects, [*found.first, *drawn, *raised], found.most, nearby, found.leading, cand_trace.lines
    search = Search(None, 0, "all tried")
    if (ref.error is None or component.refused(params)) and seconds > 0 and enabled("repairs"):
        search = search_repair(
            open_oracles(component, params, reference, candidate, ctx, forced=draws_differ and forced, single=single),
            [_of_the_side(tier, cand_trace) for tier in tiers],
            reference_tokens(ref_trace.lines, cand_trace.lines),
            cand_trace.kinds,
            earlier_coverage(component, candidate, ctx) if enabled("coverage") else Counter(),
            seconds=seconds,
        )
    if not forced and search.repair is None:
        return None
    return _report(ref, cand, parted, found.facing, found.blame, search, cut=cut) | {"input": params}


def earlier_coverage(component: Component, candidate: Side, ctx: Context) -> Counter[tuple[str, int]]:
    """Count, per source line (path and number), how many earlier components of the study execute it.

    A bug there would already have failed an earlier, smaller component, so the line is less suspicious. Only the first
    example of each is run. Empty for a component that is not among the study's.
    """
    components = installed().components
    runs: Counter[tuple[str, int]] = Counter()
    if component.name not in components:
        return runs
    for earlier in takewhile(lambda one: one.name != component.name, components.values()):
        for params in earlier.examples[:1]:
            with suppress(Exception):  # this task or this side may have no use for an example
                call, inputs = earlier.bind(candidate), earlier.build(params, ctx)
                with line_coverage() as lines:
                    run(call, inputs, seed=start_seed(params), dtype=torch.float64, device=ctx.device)
                runs.update({(code.co_filename, number) for code, numbers in lines.items() for number in numbers})
    return runs


@dataclass(frozen=True, eq=False)
class _Found:
    """The findings of the traces: the divergence, the operation facing it, the line to blame, lines to suspect."""

    here: Divergence | None = None
    facing: Event | None = None
    blame: Blame | None = None
    first: Sequence[SourceLocation] = ()
    most: Sequence[SourceLocation] = ()
    leading: Sequence[SourceLocation] = ()

    @property
    def suspects(self) -> list[SourceLocation]:
        """The lines that the traces accuse, most suspicious first."""
        blamed = [self.blame.site] if self.blame else []
        return [*blamed, *(self.here.event.chain[:1] if self.here else ())]


def _compare_traces(
    component: Component,
    reference: Side,
    candidate: Side,
    oracle: Oracle,
    traces: tuple[Trace, Trace],
    cand: Outcome,
    replay: Sequence[Draw],
) -> _Found:
    names = oracle.differing(cand)
    ref_trace, cand_trace = traces
    if not _leaves(ref_trace, names) and not _leaves(cand_trace, names):
        return _Found()  # the outputs that differ hold no numbers

    def agreed(trace: Trace) -> list[Value]:
        return _leaves(trace, [name for name in trace.outputs if name not in names])

    left = TraceWithBounds(ref_trace, _perturbed(component, reference, oracle, (), ref_trace))
    right = TraceWithBounds(cand_trace, _perturbed(component, candidate, oracle, replay, cand_trace))
    for whole in (False, True) if enabled("whole_values") else (False,):
        theirs = ValueMatcher(left, right, whole, agreed(ref_trace))
        mine = ValueMatcher(right, left, whole, agreed(cand_trace))
        there = find_divergence(theirs, _leaves(ref_trace, names))
        here = find_divergence(mine, _leaves(cand_trace, names))
        if here is not None or there is not None:
            break
    if here is None and there is not None:
        here = _last_of(right, _leaves(cand_trace, names))  # right as far as it goes: the reference goes on
    blame = blamed_line(here, mine, theirs) if here else None
    facing = blame.reference if blame and blame.reference else there.event if there else None
    leading = leading_events(cand_trace, names)
    first = [site for event in reversed(leading) if _goes_wrong(event, mine) for site in event.chain]
    in_time = dict.fromkeys(site for event in reversed(leading) for site in event.chain)
    suspected = suspiciousness(cand_trace, names) if enabled("ochiai") else dict.fromkeys(in_time, 1.0)
    lines = sorted(in_time, key=lambda site: -suspected[site])
    several = len(set(suspected.values())) > 1
    most = [site for site in lines if several and suspected[site] == suspected[lines[0]]]
    return _Found(here, facing, blame, first if enabled("divergence_first") else (), most, lines)


def _last_of(side: TraceWithBounds, outputs: Sequence[Value]) -> Divergence | None:
    """Return what makes an output: a side that leaves out a step stops there."""
    for output in outputs:
        event = side.producer(output, len(side.trace.events))
        if event is not None and event.of_side:
            return Divergence(event, output, np.ones(len(output.numbers), dtype=bool))
    return None


def _callers(sites: Sequence[SourceLocation], trace: Trace) -> list[SourceLocation]:
    """Return the lines that call the functions of `sites`, and so on outwards."""
    callers: dict[SourceLocation, None] = {}
    functions = {(site.path, site.function) for site in sites}
    for call in reversed(trace.calls):
        if call.caller is not None and (call.path, call.function) in functions:
            callers[call.caller] = None
            functions.add((call.caller.path, call.caller.function))
    return list(callers)


def _goes_wrong(event: Event, mine: ValueMatcher) -> bool:
    """True if an operation makes something wrong out of right numbers."""
    lacking = any(mine.wrong(output).any() for output in event.outputs)
    return lacking and not any(mine.wrong(value).any() for value in event.inputs)


def _traced(
    component: Component,
    side: Side,
    oracle: Oracle,
    replay: Sequence[Draw],
    nudge: int | None = None,
    dtype: torch.dtype = torch.float64,
) -> tuple[Trace, Outcome]:
    if capabilities(side).code == "elsewhere":
        settings = {"seed": oracle.seed, "dtype": dtype, "device": oracle.device, "record": True}
        settings |= {"replay": tuple(replay), "nudge": nudge, "sites": nudge is None}
        made: Any = side.traced(f"{trace_plainly.__module__}:trace_plainly", component.name, oracle.inputs, settings)
        return trace_of(made[0]), made[1]
    trace = Trace(sites=nudge is None)
    call = traced(component.bind(side), trace)
    execute = partial(run, call, oracle.inputs, seed=oracle.seed, dtype=dtype, device=oracle.device)
    return trace, execute(record=True, replay=replay, nudge=nudge)


def _perturbed(component: Component, side: Side, oracle: Oracle, replay: Sequence[Draw], trace: Trace) -> list[Trace]:
    count = _PERTURBED if len(trace.events) <= _LONG else 1
    return [_traced(component, side, oracle, replay, nudge=k)[0] for k in range(count)]


def _draws(outcome: Outcome) -> list[tuple[str, tuple[int, ...], bytes]]:
    """Return what the global generators gave. A generator of one's own moves nobody else's draws: its values count."""

    def key(draw: Draw) -> tuple[str, tuple[int, ...], bytes]:
        return draw.kind, draw.shape, draw.value.contiguous().cpu().numpy().tobytes()

    return [key(draw) for draw in outcome.draws if not draw.own_generator]


def _of_the_side(sites: Iterable[SourceLocation], trace: Trace) -> list[SourceLocation]:
    """Leave out the adapter's lines, unless there are no others."""
    whole = all(site.of_adapter for site in trace.lines)
    return [site for site in sites if whole or not site.of_adapter]


def _leaves(trace: Trace, names: Iterable[str]) -> list[Value]:
    return [trace.outputs[name] for name in names if name in trace.outputs]


# The located difference as plain values: one point on each side and a sentence.


def _report(
    ref: Outcome,
    cand: Outcome,
    here: Event | None,
    facing: Event | None,
    blame: Blame | None,
    search: Search,
    *,
    cut: bool,
) -> dict[str, Any]:
    """Return the `operations` part of an explanation.

    `here` and `facing`: the candidate's operation and the reference's. `blame`: the line to look at, if it is another
    one. A change that makes both sides agree decides over the traces; if it stands in another function than theirs,
    the reference's operation is not shown. `cut`: a trace was too long to keep.
    """
    repair = search.repair
    if repair is not None:
        accused = [*(here.chain if here else ()), *([blame.site] if blame else [])]
        if all((site.path, site.function) != (repair.site.path, repair.site.function) for site in accused):
            facing = None
        blame = Blame(repair.site, str(repair))
    points = {
        "reference": _raised(ref) if ref.error else _diverged(facing),
        "candidate": _raised(cand) if cand.error else _diverged(here),
    }
    if blame is not None and points["candidate"] is None:
        points["candidate"] = _point(blame.site)
    if blame is not None and points["candidate"] is not None:
        points["candidate"]["made_at"] = blame.site.plain() | {"why": blame.why}
        points["candidate"]["source"] = source_around(blame.site)
    said = [_sentence(ref, cand, points, blame, cut=cut), str(search)]
    if cut:
        said.append("a trace was cut, as it has too many operations: where the values part is not said")
    return {"sentence": "; ".join(text for text in said if text), **points, "repaired": repair is not None}


def _raised_through(outcome: Outcome) -> list[SourceLocation]:
    """Return the lines of a side's own code on the way to the exception that ended a run, innermost first."""
    found = []
    step = outcome.error.__traceback__ if outcome.error else None
    while step is not None:
        code = step.tb_frame.f_code
        innermost = next(iter(call_chain(step.tb_frame, limit=1)), None)
        if innermost is not None and innermost.path == code.co_filename and not innermost.of_adapter:
            found.append(location_at(code.co_filename, step.tb_lineno, code.co_qualname))
        step = step.tb_next
    return found[::-1]


def _sentence(ref: Outcome, cand: Outcome, points: Mapping[str, Any], blame: Blame | None, *, cut: bool) -> str:
    said = []
    if blame is not None:
        said.append(f"look at {blame.site}: {blame.why}")
    for who, outcome, other in (("candidate", cand, "reference"), ("reference", ref, "candidate")):
        point = points[who]
        if outcome.error:
            said.append(f"the {who} raises {type(outcome.error).__name__}" + (f" at {_where(point)}" if point else ""))
        elif point is not None and point["operation"]:
            said.append(f"{_where(point)} makes what the {other} lacks")
    return "; ".join(said) or ("" if cut else "no operation was seen that one side has and the other lacks")


def _where(point: Mapping[str, Any]) -> str:
    site = point["site"]
    return f"{site['file']}:{site['line']} in {site['function']} (`{site['text']}`)"


def _raised(outcome: Outcome) -> dict[str, Any] | None:
    site = next(iter(_raised_through(outcome)), None)
    return _point(site, operation="raise", result=str(outcome.error)) if site else None


def _diverged(event: Event | None) -> dict[str, Any] | None:
    if event is None or not event.chain:
        return None
    taken = ", ".join(str(value) for value in event.inputs[:4])
    return _point(event.chain[0], event.chain[1:], event.operation, str(event.outputs[0]), taken)


def _point(
    site: SourceLocation,
    chain: Sequence[SourceLocation] = (),
    operation: str = "",
    result: str = "",
    taken: str = "",
) -> dict[str, Any]:
    return {
        "operation": operation,
        "site": site.plain(),
        "source": source_around(site),
        "chain": [step.plain() for step in chain],
        "result": result,
        "other": taken,
        "made_at": None,
    }
