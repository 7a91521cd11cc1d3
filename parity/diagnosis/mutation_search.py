"""Mutation-based fault localisation: find the small change of the candidate that makes both sides agree.

Each executed line is changed in small ways, in memory only, and the component runs again. Lines come by suspicion,
changes by likelihood, within a budget of time. A change that removes the whole difference on every input tried is the
strongest evidence for where the sides differ: it names the line, and the text to write there.
"""

from __future__ import annotations

import ast
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

from torch import Tensor

from parity.comparator import same_bits
from parity.diagnosis.hot_patch import Patcher, TooLong, guarded, is_guarded
from parity.diagnosis.location import SourceLocation, location_at
from parity.diagnosis.mutations import Edit, added_terms, mutations, statement_mutations, telling_constants, wrappings
from parity.diagnosis.oracle import Oracle, Oracles
from parity.diagnosis.settings import enabled
from parity.diagnosis.symbols import Kinds, Scope, Tokens, scope_of, statement_at, surroundings, tree_of
from parity.execution import Outcome

__all__ = ["Change", "Repair", "Search", "in_order", "search_repair"]

_MOST = 12_000
"""Changes tried. They are counted, so that a busy machine finds the same as an idle one; time is the ceiling."""

_PATIENCE = 4
"""Factor from seconds of computing to seconds on the clock, for a busy machine or code that waits."""

_LONGER = 250
"""Changes tried after the first that helps, in case a likelier or smaller one helps as well."""

_MUCH_LONGER = 1500
"""The same if no change that helps is a likely slip."""

_UNLIKELY = 2
"""The rank of a change to be made only where nothing else helps."""

_LATEST = 4
"""Steps between the first changes of a line and its last."""

_BLOCKS = 1
"""Steps between the first changes of a line and those that exchange it with the next one or add one beside it."""

_UNREAD = 2
"""The latest step of lines whose function does not read all that it is given."""

_COVERED = 3
"""Lines executed by so many other components, or more, are demoted alike."""

_LIMIT = 10
"""Break off a change after so many times the seconds that the candidate takes as it is."""

_INERT = 32
"""Give up a statement after so many changes that change no output."""

_INERT_PART = 4
"""Give up a part of a statement after so many."""


@dataclass(frozen=True)
class Change:
    """A change to try, in a statement (its line) of a function."""

    path: str
    function: str
    statement: int
    edit: Edit


@dataclass(frozen=True)
class Repair:
    """A change that makes both sides agree on all of `inputs` inputs: at `site`, `after` replaces `before`."""

    site: SourceLocation
    before: str
    after: str
    inputs: int

    def __str__(self) -> str:
        return f"with `{self.after}` in place of `{self.before}` both sides agree on all of {self.inputs} inputs"


@dataclass(frozen=True)
class Search:
    """The result of a search: the repair, if one was found; how many changes were tried, and why no more were.

    `ended`: `found`, `all tried`, `enough tried` or `time`. The text is empty if a repair was found, or there was
    nothing to try.
    """

    repair: Repair | None
    tried: int
    ended: str

    def __str__(self) -> str:
        why = "the time for it ended" if self.ended == "time" else self.ended
        if self.repair is not None or (not self.tried and self.ended == "all tried"):
            return ""
        if not self.tried:
            return f"no small change of the candidate was tried ({why})"
        return f"of {self.tried} small changes of the candidate none makes both sides agree ({why})"


def search_repair(
    oracles: Oracles,
    tiers: Sequence[Sequence[SourceLocation]],
    tokens: Tokens,
    kinds: Kinds,
    coverage: Counter[tuple[str, int]],
    *,
    seconds: float,
) -> Search:
    """Find the likeliest, then smallest, change by which the candidate agrees on all inputs, in `seconds` of computing.

    `oracles`: the input that fails now, and others. `tiers`: lines to try, most suspicious first, those accused
    outright in the first. `coverage`, by path and number of a line: how many other components execute it; it comes the
    later. Try nothing if the candidate agrees as it is, within a change that is tried (which may call anything, a
    search as well), or outside a process's main thread, where a change that never ends could not be stopped.
    """
    if oracles.first is None or is_guarded() or threading.current_thread() is not threading.main_thread():
        return Search(None, 0, "all tried")
    end, latest = time.thread_time() + seconds, time.monotonic() + _PATIENCE * seconds
    attempt = _Attempt(oracles, oracles.first)
    if attempt.agrees_as_it_is:
        return Search(None, 0, "all tried")
    found: list[tuple[int, Change]] = []
    ended, likely = "all tried", False
    for place, change in enumerate(in_order(tiers, tokens, kinds, coverage)):
        if time.thread_time() > end or time.monotonic() > latest:
            ended = "time"
        elif attempt.count >= _MOST or (found and place > found[0][0] + (_LONGER if likely else _MUCH_LONGER)):
            ended = "enough tried"
        if ended != "all tried":
            break
        if attempt.helps(change):
            found.append((place, change))
            likely = likely or change.edit.rank < _UNLIKELY
    if not found:
        return Search(None, attempt.count, ended)
    accused = {(site.path, site.function) for site in tiers[0]}
    best = min(
        (change for _, change in found),
        key=lambda change: (
            change.edit.rank,
            min(coverage[change.path, change.edit.line], _COVERED),
            (change.path, change.function) not in accused,
            change.edit.size,
        ),
    )
    site = location_at(best.path, best.edit.first_line, best.function)
    return Search(Repair(site, best.edit.before, best.edit.after, 1 + len(oracles.others)), attempt.count, "found")


class _Attempt:
    """Runs the candidate with one change after the other; gives up lines without effect on the outputs."""

    def __init__(self, oracles: Oracles, first: Oracle) -> None:
        self._oracles = oracles
        self._first = first
        self._limits: dict[Oracle, float] = {}
        self.agrees_as_it_is = self._timed(first)
        self._patcher = Patcher()
        self._before = first.last[0]
        self._inert: Counter[tuple[str, int, int]] = Counter()
        self.count = 0  # changes run so far

    def helps(self, change: Change) -> bool:
        """True if the candidate agrees on all inputs with this change in it."""
        whole = change.path, change.statement, 0
        part = change.path, change.statement, id(change.edit.was)
        if enabled("inert") and (self._inert[whole] >= _INERT or self._inert[part] >= _INERT_PART):
            return False
        self.count += 1
        first = self._first
        if not self._agrees(change, first):
            same = bool(first.last) and _same_outcome(first.last[0], self._before)
            for place in (whole, part):
                self._inert[place] = self._inert[place] + 1 if same and self._inert[place] >= 0 else -sys.maxsize
            return False
        return all(self._agrees(change, other) for other in self._others)

    @cached_property
    def _others(self) -> list[Oracle]:
        """The other inputs, the quickest first."""
        for other in self._oracles.others:
            self._timed(other)
        return sorted(self._oracles.others, key=lambda other: self._limits[other])

    def _timed(self, oracle: Oracle) -> bool:
        """True if the candidate as it is agrees. The time that this takes limits that of a change."""
        started = time.monotonic()
        agrees = oracle.agrees()
        self._limits[oracle] = _LIMIT * (time.monotonic() - started)
        return agrees

    def _agrees(self, change: Change, oracle: Oracle) -> bool:
        oracle.last.clear()
        try:
            tree = tree_of(change.path)
            with (
                change.edit.applied(),
                self._patcher.patched(change.path, tree, change.edit.line),
                guarded(max(1.0, self._limits[oracle])),
            ):
                return oracle.agrees()
        except (Exception, SystemExit, TooLong):  # noqa: BLE001 - changed code may raise anything
            return False


def _same_outcome(left: Outcome, right: Outcome) -> bool:
    """True if two outcomes are alike. Without outputs nothing is known."""
    if not left.tree or left.tree.keys() != right.tree.keys() or left.generators != right.generators:
        return False
    return all(_same(left.tree[name], right.tree[name]) for name in left.tree)


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return left.shape == right.shape and left.dtype == right.dtype and same_bits(left, right)
    return not isinstance(left, Tensor) and not isinstance(right, Tensor) and bool(left == right)


def in_order(
    tiers: Sequence[Iterable[SourceLocation]], tokens: Tokens, kinds: Kinds, coverage: Counter[tuple[str, int]]
) -> Iterator[Change]:
    """Yield likely slips in suspicious lines; then less likely ones, or less suspicious lines; then the rest."""
    lines = _lines_in_order(tiers, tokens, kinds, coverage)
    if enabled("telling_constants"):
        told = [(how, line, edit) for _, line in lines for how, edit in telling_constants(line.statement, line.scope)]
        for _, line, edit in sorted(told, key=lambda one: one[0]):
            yield line.change(edit)
    for step in range(len(tiers) + 4 + _LATEST):
        for late, line in lines:
            yield from map(line.change, line.edits(step - late))


def _lines_in_order(
    tiers: Sequence[Iterable[SourceLocation]], tokens: Tokens, kinds: Kinds, coverage: Counter[tuple[str, int]]
) -> list[tuple[int, _Line]]:
    """Return each statement once, with the step at which it begins."""
    seen: set[tuple[str, int]] = set()
    lines: list[tuple[int, _Line]] = []
    for distance, tier in enumerate(tiers):
        sites = list(tier)
        for site in chain(sites, *map(surroundings, sites)) if enabled("surroundings") else sites:
            statement = statement_at(site)
            if statement is not None and (site.path, statement.lineno) not in seen:
                seen.add((site.path, statement.lineno))
                scope = scope_of(site, kinds, tokens)
                late = min(distance, _UNREAD) if scope.smells and enabled("unread_first") else distance
                if coverage and distance:
                    late = max(1, late - 2 + 2 * min(coverage[site.path, site.line], _COVERED))
                lines.append((late, _Line(site, statement, scope)))
    return lines


@dataclass(frozen=True, eq=False)
class _Line:
    """One statement and its edits, made when they are first asked for."""

    site: SourceLocation
    statement: ast.stmt
    scope: Scope

    def change(self, edit: Edit) -> Change:
        """Return the edit as a change of this statement."""
        return Change(self.site.path, self.site.function, self.statement.lineno, edit)

    def edits(self, late: int) -> Iterator[Edit]:
        """Yield the edits of this step: by rank at 0, 2 and 4; added and wrapped code in between."""
        if late in (0, 2, 4):
            yield from self._by_rank.get(late // 2, ())
        if late == 3:
            yield from wrappings(self.statement, self.scope)
        if late == _BLOCKS:
            yield from statement_mutations(tree_of(self.site.path), self.statement, self.scope)
        if late == _LATEST:
            yield from added_terms(self.statement, self.scope)

    @cached_property
    def _by_rank(self) -> dict[int, list[Edit]]:
        ranked: dict[int, list[Edit]] = defaultdict(list)
        for edit in mutations(self.statement, self.scope):
            ranked[edit.rank].append(edit)
        return ranked
