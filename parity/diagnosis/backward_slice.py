"""The backward slice from a divergence: the line to blame is that of an operand, of a constant, or of a caller."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np
from numpy.typing import NDArray

from parity.diagnosis.first_divergence import Divergence, Mask, ValueMatcher, moves, sources
from parity.diagnosis.location import SourceLocation
from parity.diagnosis.settings import enabled
from parity.diagnosis.trace import Call, Event, Value, is_simple

__all__ = ["Blame", "Operand", "blamed_line", "differing_operands"]

_FAMILIES = {
    "rsub": "sub", "addcmul": "mul", "addcdiv": "div", "addmm": "mm", "baddbmm": "mm", "bmm": "mm", "mv": "mm",
    "addmv": "mm", "linear": "mm", "square": "pow", "true_divide": "div",
}  # fmt: skip

_CHOOSING = ("index", "index_select", "gather", "take_along_dim")
"""Operations whose further operands say which numbers of the first one are taken."""

_RESEMBLES = 0.6
"""Share of equal text above which two lines with a single operand are taken for the same formula: renamed variables
leave more than half of a short line standing, another formula seldom does. It only orders what to look at."""

_SAME_CONSTANT = 1e-12
"""A number in the text and the number computed with differ by at most one rounding, as in 1 - 0.995."""

_SAME_OPERAND = 1e-11
"""Operands of both sides went through some roundings of float64 before; a meant difference is far larger."""


@dataclass(frozen=True)
class Blame:
    """The line to look at, and why; the reference's operation that corresponds, if one was found."""

    site: SourceLocation
    why: str
    reference: Event | None = None


@dataclass(frozen=True, eq=False)
class Operand:
    """One operand of an operation: the value, and which of its numbers are meant."""

    value: Value
    mask: Mask

    @property
    def numbers(self) -> NDArray[np.float64]:
        """The numbers that are meant."""
        return self.value.numbers[self.mask]

    def __str__(self) -> str:
        shown = ", ".join(f"{number:.6g}" for number in self.numbers[:3])
        return shown + (", ..." if len(self.numbers) > 3 else "")


def blamed_line(here: Divergence, mine: ValueMatcher, theirs: ValueMatcher) -> Blame | None:
    """Return the line to look at, if it is another one than that of the divergence itself."""
    misnamed = _blame_argument(here.event.chain, mine, theirs) if enabled("blame_argument") else None
    other = _counterpart(here, theirs)
    if misnamed is not None or other is None:
        return misnamed
    blame = _blame_constant(here, other, mine) if enabled("blame_constant") else None
    return blame or (_blame_operand(here, other, mine, theirs) if enabled("blame_operand") else None)


def _counterpart(divergence: Divergence, theirs: ValueMatcher) -> Event | None:
    """Return the reference's operation that does what the candidate's was meant to do.

    It is of the same kind, makes something that the candidate lacks, and has some operands alike, if there are several;
    of those that fit, it is the one whose line reads most like the candidate's.
    """
    event = divergence.event
    fit = []
    for other in theirs.own.trace.events:
        if _family(other) != _family(event) or not other.of_side:
            continue
        output = next((value for value in other.outputs if theirs.wrong(value).any()), None)
        likeness = _resemblance(event, other)
        if output is None or (len(event.inputs) < 2 and likeness < _RESEMBLES):
            continue
        alike, differing = differing_operands(divergence, Divergence(other, output, theirs.wrong(output)))
        if differing is not None and (alike or likeness >= _RESEMBLES):
            fit.append((likeness, other.index, other))
    return max(fit, key=lambda one: (one[0], -one[1]))[2] if fit else None


def _blame_operand(start: Divergence, other: Event, mine: ValueMatcher, theirs: ValueMatcher) -> Blame | None:
    """Follow both sides back in step, operand by operand, as long as both do the same.

    Blame the line where they do something else: it makes the operand wrongly, or does not make it into what the
    reference makes of it.
    """
    output = next(value for value in other.outputs if theirs.wrong(value).any())
    here, there = start, Divergence(other, output, theirs.wrong(output))
    while True:
        _, wrong = differing_operands(here, there)
        if wrong is None:
            return None if here is start else _blame(here, there, "it does this with another constant")
        own, right = wrong
        said = f"it has {own} where the reference has {right}"
        if here is start and mine.own.producer(own.value, here.event.index) is None:
            return _blame(here, there, said)
        maker, their_maker = _maker(own, here.event, mine), _maker(right, there.event, theirs)
        if maker is None or their_maker is None:
            return _blame(maker or here, their_maker or there, said)
        if _family(maker.event) != _family(their_maker.event) or differing_operands(maker, their_maker)[1] is None:
            computed = mine.has_whole(own.value) and theirs.has_whole(right.value)
            return _blame(here if computed else maker, there if computed else their_maker, said)
        here, there = maker, their_maker


def _blame_constant(divergence: Divergence, other: Event, mine: ValueMatcher) -> Blame | None:
    """Blame the line that holds a number in its text, if both sides do the same with all but one constant equal.

    Libraries, such as an optimiser, compute with a number given elsewhere: the number itself, or 1 less it.
    """
    own, theirs = divergence.event.constants, other.constants
    if len(own) != len(theirs):
        return None
    changed = [(a, b) for a, b in zip(own, theirs, strict=True) if a != b]
    for constant, right in changed:
        for site in mine.own.trace.lines:
            for text in re.findall(r"(?<![\w.])\d+\.?\d*(?:[eE][-+]?\d+)?", site.text):
                number = float(text)
                near = any(abs(number - c) <= _SAME_CONSTANT * abs(c) for c in (constant, 1 - constant, -constant))
                if near and not is_simple(np.array([number])).all():
                    return Blame(site, f"{text} in it makes {constant:.6g} where the reference has {right:.6g}", other)
    return None


def _blame_argument(chain: Sequence[SourceLocation], mine: ValueMatcher, theirs: ValueMatcher) -> Blame | None:
    """Blame a caller, if an argument holds what the reference only has under another argument's name.

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


def _misnamed(call: Call, named: dict[str, list[Value]], mine: ValueMatcher) -> tuple[str, str] | None:
    for name, value in call.arguments.items():
        if is_simple(value.numbers).all() or name not in named or any(mine.same(value, v) for v in named[name]):
            continue
        for other in call.arguments:
            if other != name and any(mine.same(value, v) for v in named.get(other, ())):
                return name, other
    return None


def _maker(operand: Operand, before: Event, side: ValueMatcher) -> Divergence | None:
    """Return what made an operand, without operations that only carried it along on the same line."""
    value, mask, index = operand.value, operand.mask, before.index
    while (event := side.own.producer(value, index)) is not None:
        carried = [(v, m) for v, m in sources(event, value, mask) if m.any() and not (v.exact and not value.exact)]
        one = carried[0] if len(carried) == 1 and moves(event, value, carried[0][0]) else None
        if one is None or side.own.producer(one[0], event.index) is None or _another_line(event, one[0], side):
            return Divergence(event, value, mask)
        (value, mask), index = one, event.index
    return None


def _another_line(event: Event, value: Value, side: ValueMatcher) -> bool:
    """True if an operation that carries numbers stands elsewhere than what made them."""
    maker = side.own.producer(value, event.index)
    if maker is None or not maker.chain or not event.chain:
        return True
    chooses = event.operation in ("index", "gather", "select", "slice", "index_select", "cat", "where")
    return chooses and (maker.chain[0].path, maker.chain[0].line) != (event.chain[0].path, event.chain[0].line)


def _blame(here: Divergence, there: Divergence, why: str) -> Blame | None:
    if not here.event.of_side:  # an adapter only translates
        return None
    return Blame(here.event.chain[0], why, there.event if there.event.chain else None)


def _resemblance(here: Event, there: Event) -> float:
    """Return how alike two lines read: of several operations that fit, one that is written the same way is meant."""
    left, right = (event.chain[0].text if event.chain else "" for event in (here, there))
    return float(SequenceMatcher(None, left, right, autojunk=False).ratio())


def _family(event: Event) -> str:
    name = event.operation.rstrip("_")
    return _FAMILIES.get(name, name)


def differing_operands(here: Divergence, there: Divergence) -> tuple[int, tuple[Operand, Operand] | None]:
    """Return how many operands are alike, and the first ones that are not; None if nothing is left to compare.

    If all are alike, but some hold their numbers in another order, these differ.
    """
    mine, theirs = _meant_operands(here, there)
    left, rest, alike = list(theirs), [], 0
    for own in mine:
        same = next((operand for operand in left if _alike(own, operand)), None)
        if same is None:
            rest.append(own)
        else:
            left.remove(same)
            alike += 1
    if not rest and not left:
        return alike, _in_another_order(mine, theirs)
    return alike, (rest[0], left[0]) if rest and len(rest) == len(left) else None


def _meant_operands(here: Divergence, there: Divergence) -> tuple[list[Operand], list[Operand]]:
    """Return the operands of both. If indices choose from the same values, all of these and all indices are meant."""
    mine, theirs = (
        [Operand(value, mask) for value, mask in sources(one.event, one.output, one.mask)] for one in (here, there)
    )
    for operands, one in ((mine, here), (theirs, there)):
        if one.event.operation in _CHOOSING:
            operands[1:] = [Operand(o.value, np.ones_like(o.mask)) if o.value.exact else o for o in operands[1:]]
    choosing = all(one.event.operation in _CHOOSING for one in (here, there))
    if choosing and mine and theirs and _in_the_same_order(mine[0], theirs[0]):
        mine[0], theirs[0] = (Operand(o.value, np.ones_like(o.mask)) for o in (mine[0], theirs[0]))
    return mine, theirs


def _in_another_order(mine: Sequence[Operand], theirs: Sequence[Operand]) -> tuple[Operand, Operand] | None:
    """Return the first operands in the same place whose order differs, if that of others is the same."""
    pairs = list(zip(mine, theirs, strict=True))
    ordered = [_in_the_same_order(own, other) for own, other in pairs]
    misplaced = [pair for pair, same in zip(pairs, ordered, strict=True) if not same and _alike(*pair)]
    return misplaced[0] if misplaced and any(ordered) else None


def _in_the_same_order(own: Operand, other: Operand) -> bool:
    """True if the values as a whole hold equal numbers in the same order."""
    left, right = own.value.numbers, other.value.numbers
    return len(left) == len(right) and np.allclose(left, right, rtol=_SAME_OPERAND, atol=0.0, equal_nan=True)


def _alike(own: Operand, other: Operand) -> bool:
    """True if two operands mean the same numbers, however often each is repeated."""
    left, right = np.unique(own.numbers), np.unique(other.numbers)
    if bool(np.isnan(left).any()) != bool(np.isnan(right).any()):
        return False
    left, right = left[~np.isnan(left)], right[~np.isnan(right)]
    if not len(left) or not len(right):
        return len(left) == len(right)
    return _all_near(left, right) and _all_near(right, left)


def _all_near(these: NDArray[np.float64], those: NDArray[np.float64]) -> bool:
    """True if each of `these` lies near one of `those`; both are sorted, so that one next to its place is nearest."""
    place = np.searchsorted(those, these)
    near = np.zeros(len(these), dtype=bool)
    for neighbour in (those[np.maximum(place - 1, 0)], those[np.minimum(place, len(those) - 1)]):
        larger = np.maximum(np.abs(these), np.abs(neighbour))
        with np.errstate(invalid="ignore"):  # infinity less infinity
            near |= (these == neighbour) | (np.isfinite(larger) & (np.abs(these - neighbour) <= _SAME_OPERAND * larger))
    return bool(near.all())
