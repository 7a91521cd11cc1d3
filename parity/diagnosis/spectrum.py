"""Which lines to suspect from what comes out right and wrong: Ochiai's coefficient, from spectrum-based localisation.

Outputs take the place of tests. A line that leads to many of the differing outputs and to few of those that agree is
more suspicious than one that leads to all alike (Abreu et al. 2007, "On the accuracy of spectrum-based fault
localization").
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection

from parity.diagnosis.site import Site
from parity.diagnosis.trace import Event, Trace

__all__ = ["leading_events", "suspicion"]


def leading_events(trace: Trace, names: Collection[str]) -> list[Event]:
    """The events that lead to the named outputs, the last one first."""
    led = _leads_to(trace, names)
    return [event for event in reversed(trace.events) if led[event.index]]


def suspicion(trace: Trace, differing: Collection[str]) -> dict[Site, float]:
    """Of each line that leads to an output that differs: w / sqrt(W (w + r)).

    w and r: the differing and the agreeing outputs that it leads to; W: all that differ. 1 where it leads to all of
    those and to no other. Callers of a line lead where it leads.
    """
    names = list(trace.outputs)
    led = _leads_to(trace, names)
    wrong = sum(1 << k for k, name in enumerate(names) if name in differing)
    of_line: dict[Site, int] = defaultdict(int)
    for event in trace.events:
        for site in event.chain:
            of_line[site] |= led[event.index]
    return {
        site: (outputs & wrong).bit_count() / math.sqrt(wrong.bit_count() * outputs.bit_count())
        for site, outputs in of_line.items()
        if outputs & wrong
    }


def _leads_to(trace: Trace, names: Collection[str]) -> list[int]:
    """Of each event the outputs that it leads to, one bit for each name."""
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
