"""Which line is to blame: that of the operation where the sides part, of an operand, of a constant, of a caller."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np

from parity.diagnosis.culprit import Parting, Unknown, moves, reach
from parity.diagnosis.operands import Operand, differing_operands
from parity.diagnosis.site import Site
from parity.diagnosis.trace import Call, Event
from parity.diagnosis.values import Value, is_simple

__all__ = ["Blame", "blame_argument", "blame_constant", "blame_operand", "counterpart"]

_FAMILIES = {
    "rsub": "sub", "addcmul": "mul", "addcdiv": "div", "addmm": "mm", "baddbmm": "mm", "bmm": "mm", "mv": "mm",
    "addmv": "mm", "linear": "mm", "square": "pow", "true_divide": "div",
}  # fmt: skip

_RESEMBLES = 0.6
"""Share of equal text above which two lines with a single operand are taken for the same formula: renamed variables
leave more than half of a short line standing, another formula seldom does. It only orders what to look at."""

_SAME_CONSTANT = 1e-12
"""A number of the text and what is computed with differ by at most one rounding, as in 1 - 0.995."""


@dataclass(frozen=True)
class Blame:
    """The line to look at, and why; the reference's operation that stands against it, if one was found."""

    site: Site
    why: str
    reference: Event | None = None


def counterpart(parting: Parting, theirs: Unknown) -> Event | None:
    """The reference's operation that does what the candidate's was meant to do.

    Of the same kind, making something that the candidate lacks, and with all operands alike but some, if there are
    several; of those that fit, the one whose line reads most like the candidate's.
    """
    event = parting.event
    fit = []
    for other in theirs.own.trace.events:
        if _family(other) != _family(event) or not other.chain or other.chain[0].of_adapter:
            continue
        output = next((value for value in other.outputs if theirs.wrong(value).any()), None)
        likeness = _resemblance(event, other)
        if output is None or (len(event.inputs) < 2 and likeness < _RESEMBLES):
            continue
        alike, differing = differing_operands(parting, Parting(other, output, theirs.wrong(output)))
        if differing is not None and (alike or likeness >= _RESEMBLES):
            fit.append((likeness, other.index, other))
    return max(fit, key=lambda one: (one[0], -one[1]))[2] if fit else None


def blame_operand(parting: Parting, other: Event, mine: Unknown, theirs: Unknown) -> Blame | None:
    """Blames the line that made an operand, following both sides back in step from an operation that both do.

    Operand by operand, as long as both sides do the same, to where they do something else: that line makes the
    operand wrongly, or does not make it into what the reference makes of it.
    """
    output = next(value for value in other.outputs if theirs.wrong(value).any())
    here, there = parting, Parting(other, output, theirs.wrong(output))
    while True:
        _, wrong = differing_operands(here, there)
        if wrong is None:
            return None if here is parting else _blame(here, there, "it does this with another constant")
        own, right = wrong
        said = f"it has {own} where the reference has {right}"
        if here is parting and mine.own.producer(own.value, here.event.index) is None:
            return _blame(here, there, said)
        maker, their_maker = _maker(own, here.event, mine), _maker(right, there.event, theirs)
        if maker is None or their_maker is None:
            return _blame(maker or here, their_maker or there, said)
        if _family(maker.event) != _family(their_maker.event) or differing_operands(maker, their_maker)[1] is None:
            computed = mine.as_it_stands(own.value) and _has(right, theirs)
            return _blame(here if computed else maker, there if computed else their_maker, said)
        here, there = maker, their_maker


def blame_constant(parting: Parting, other: Event, mine: Unknown) -> Blame | None:
    """Blames the line that holds a number in its text, if both sides do the same with all but one constant equal.

    Libraries, such as an optimiser, compute with what they were told elsewhere: the number itself, or 1 less it.
    """
    own, theirs = parting.event.constants, other.constants
    if len(own) != len(theirs):
        return None
    changed = [(a, b) for a, b in zip(own, theirs, strict=True) if a != b]
    for constant, right in changed:
        for site in mine.own.trace.lines:
            for text in re.findall(r"(?<![\w.])\d+\.?\d*(?:[eE][-+]?\d+)?", site.text):
                number = float(text)
                told = any(abs(number - c) <= _SAME_CONSTANT * abs(c) for c in (constant, 1 - constant, -constant))
                if told and not is_simple(np.array([number])).all():
                    return Blame(site, f"{text} in it makes {constant:.6g} where the reference has {right:.6g}", other)
    return None


def blame_argument(chain: Sequence[Site], mine: Unknown, theirs: Unknown) -> Blame | None:
    """Blames a caller, if an argument holds what the reference only has under another argument's name.

    Names are compared as the published functions share them; where the reference has no such name nothing is claimed.
    """
    named: dict[str, list[Value]] = defaultdict(list)
    for call in theirs.own.trace.calls:
        for name, value in call.arguments.items():
            named[name].append(value)
    for name, value in theirs.own.trace.inputs.items():
        named[name].append(value)
    lines = {(site.path, site.line) for site in chain}
    functions = {site.function for site in chain}
    for call in mine.own.trace.calls:
        if call.caller is None or (call.caller.path, call.caller.line) not in lines or call.function not in functions:
            continue
        wrong = _misnamed(call, named, mine)
        if wrong is not None:
            name, other = wrong
            return Blame(call.caller, f"it passes as `{name}` what the reference calls `{other}`")
    return None


def _misnamed(call: Call, named: dict[str, list[Value]], mine: Unknown) -> tuple[str, str] | None:
    for name, value in call.arguments.items():
        if is_simple(value.numbers).all() or name not in named or any(mine.same(value, v) for v in named[name]):
            continue
        for other in call.arguments:
            if other != name and any(mine.same(value, v) for v in named.get(other, ())):
                return name, other
    return None


def _has(operand: Operand, theirs: Unknown) -> bool:
    """Whether the candidate has the reference's operand as well, as it stands."""
    return theirs.as_it_stands(operand.value)


def _maker(operand: Operand, before: Event, side: Unknown) -> Parting | None:
    """What made an operand, not counting what only carried it along on the same line."""
    value, mask, index = operand.value, operand.mask, before.index
    while (event := side.own.producer(value, index)) is not None:
        carried = [(v, m) for v, m in reach(event, value, mask) if m.any() and not (v.exact and not value.exact)]
        one = carried[0] if len(carried) == 1 and moves(event, value, carried[0][0]) else None
        if one is None or side.own.producer(one[0], event.index) is None or _another_line(event, one[0], side):
            return Parting(event, value, mask)
        (value, mask), index = one, event.index
    return None


def _another_line(event: Event, value: Value, side: Unknown) -> bool:
    """Whether an operation that carries numbers stands elsewhere than what made them."""
    maker = side.own.producer(value, event.index)
    if maker is None or not maker.chain or not event.chain:
        return True
    chooses = event.operation in ("index", "gather", "select", "slice", "index_select", "cat", "where")
    return chooses and (maker.chain[0].path, maker.chain[0].line) != (event.chain[0].path, event.chain[0].line)


def _blame(here: Parting, there: Parting, why: str) -> Blame | None:
    chain = here.event.chain
    own = chain and not chain[0].of_adapter  # an adapter only translates
    return Blame(chain[0], why, there.event if there.event.chain else None) if own else None


def _resemblance(here: Event, there: Event) -> float:
    """How alike two lines read: of several operations that fit, the one that is written the same way is meant."""
    left, right = (event.chain[0].text if event.chain else "" for event in (here, there))
    return float(SequenceMatcher(None, left, right, autojunk=False).ratio())


def _family(event: Event) -> str:
    name = event.operation.rstrip("_")
    return _FAMILIES.get(name, name)
