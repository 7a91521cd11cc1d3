"""The search: lines by suspicion, changes by likelihood, within a budget of time."""

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
from parity.diagnosis.repair.blocks import block_edits
from parity.diagnosis.repair.edits import edits, terms, wrappings
from parity.diagnosis.repair.graft import Grafter, TooLong, guarded, is_guarded
from parity.diagnosis.repair.scope import Kinds, Scope, around, scope_of, statement_at
from parity.diagnosis.repair.telling import telling
from parity.diagnosis.repair.tree import Edit
from parity.diagnosis.repair.trial import Trial, Trials
from parity.diagnosis.repair.vocabulary import Vocabulary, tree_of
from parity.diagnosis.site import Site, site_at
from parity.execution import Outcome

__all__ = ["Repair", "Search", "search_repair"]

_MOST = 12_000
"""Changes tried; what decides is counted, so that a busy machine finds what an idle one does. Time is the ceiling."""

_PATIENCE = 4
"""Times the seconds of computing that may pass on the clock, on a busy machine or with code that waits."""

_LONGER = 250
"""Changes tried after the first that helps, in case a likelier or smaller one helps as well."""

_MUCH_LONGER = 1500
"""The same where none that helps is likely."""

_UNLIKELY = 2
"""The rank of a change that is to be made only where nothing else helps."""

_LATEST = 4
"""Steps between the first changes of a line and its last."""

_BLOCKS = 1
"""Steps between the first changes of a line and those that exchange it with the next one or put one beside it."""

_SMELLS = 2
"""How far back lines stand at most whose function does not read what it is given."""

_CLEARED = 3
"""Other components that run a line, more of which clear it no further."""

_LIMIT = 10
"""Times the seconds that the candidate takes as it is, after which a change of it is broken off."""

_INERT = 32
"""Changes of one statement that change nothing that comes out, after which it is left alone."""

_INERT_PART = 4
"""The same for one part of a statement."""


@dataclass(frozen=True)
class Change:
    """A change to try, with the function and the line of the statement it is made in."""

    path: str
    function: str
    statement: int
    edit: Edit


@dataclass(frozen=True)
class Repair:
    """A change that makes both sides agree: `before` at `site` replaced by `after`.

    All of `inputs` inputs agree with it.
    """

    site: Site
    before: str
    after: str
    inputs: int

    def __str__(self) -> str:
        return f"with `{self.after}` in place of `{self.before}` both sides agree on all of {self.inputs} inputs"


@dataclass(frozen=True)
class Search:
    """What came of it: the repair, if one was found; how many changes were tried, and why no more were."""

    repair: Repair | None
    tried: int
    ended: str
    """`found`, `all tried`, `enough tried` or `time`."""

    def __str__(self) -> str:
        """Empty where a repair was found, or there was nothing to try."""
        why = "the time for it ended" if self.ended == "time" else self.ended
        if self.repair is not None or (not self.tried and self.ended == "all tried"):
            return ""
        if not self.tried:
            return f"no small change of the candidate was tried ({why})"
        return f"of {self.tried} small changes of the candidate none makes both sides agree ({why})"


def search_repair(
    trials: Trials,
    tiers: Sequence[Sequence[Site]],
    words: Vocabulary,
    kinds: Kinds,
    others: Counter[tuple[str, int]] | None = None,
    *,
    seconds: float,
) -> Search:
    """The likeliest, then smallest, change found in `seconds` of computing by which the candidate agrees on all inputs.

    `trials`: the input that fails now, and others. `tiers`: lines to try, most suspicious first, those accused outright
    in the first. `others`, by path and number of a line: how many other components run it; it comes the later. Nothing
    is tried if it agrees as it is, within a change that is tried (which may call anything, a search as well), or
    outside a process's main thread, where a change that never ends could not be stopped.
    """
    if trials.first is None or is_guarded() or threading.current_thread() is not threading.main_thread():
        return Search(None, 0, "all tried")
    end, latest = time.thread_time() + seconds, time.monotonic() + _PATIENCE * seconds
    attempt = _Attempt(trials, trials.first)
    if attempt.agrees_as_it_is:
        return Search(None, 0, "all tried")
    found: list[tuple[int, Change]] = []
    ended, likely = "all tried", False
    for place, change in enumerate(_in_order(tiers, words, kinds, others)):
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
    cleared = others or Counter()
    accused = {(site.path, site.function) for site in tiers[0]}
    best = min(
        (change for _, change in found),
        key=lambda change: (
            change.edit.rank,
            min(cleared[change.path, change.edit.line], _CLEARED),
            (change.path, change.function) not in accused,
            change.edit.size,
        ),
    )
    site = site_at(best.path, best.edit.first_line, best.function)
    return Search(Repair(site, best.edit.before, best.edit.after, 1 + len(trials.others)), attempt.count, "found")


class _Attempt:
    """Runs the candidate with one change after the other; lines without effect on what comes out are soon given up."""

    def __init__(self, trials: Trials, first: Trial) -> None:
        self._trials = trials
        self._first = first
        self._limits: dict[Trial, float] = {}
        self.agrees_as_it_is = self._timed(first)
        self._grafter = Grafter()
        self._before = first.last[0]
        self._inert: Counter[tuple[str, int, int]] = Counter()
        self.count = 0
        """Changes run so far."""

    def helps(self, change: Change) -> bool:
        """Whether the candidate agrees everywhere with this change in it."""
        whole = change.path, change.statement, 0
        part = change.path, change.statement, id(change.edit.was)
        if self._inert[whole] >= _INERT or self._inert[part] >= _INERT_PART:
            return False
        self.count += 1
        first = self._first
        if not self._agrees(change, first):
            same = bool(first.last) and _same_outcome(first.last[0], self._before)
            for place in (whole, part):
                self._inert[place] = self._inert[place] + 1 if same and self._inert[place] >= 0 else -sys.maxsize
            return False
        return all(self._agrees(change, trial) for trial in self._others)

    @cached_property
    def _others(self) -> list[Trial]:
        """The other inputs, the quickest first."""
        for trial in self._trials.others:
            self._timed(trial)
        return sorted(self._trials.others, key=lambda trial: self._limits[trial])

    def _timed(self, trial: Trial) -> bool:
        """Whether the candidate as it is agrees; how long that takes says when a change of it takes too long."""
        started = time.monotonic()
        agrees = trial.agrees()
        self._limits[trial] = _LIMIT * (time.monotonic() - started)
        return agrees

    def _agrees(self, change: Change, trial: Trial) -> bool:
        trial.last.clear()
        try:
            tree = tree_of(change.path)
            with (
                change.edit.applied(),
                self._grafter.grafted(change.path, tree, change.edit.line),
                guarded(max(1.0, self._limits[trial])),
            ):
                return trial.agrees()
        except (Exception, SystemExit, TooLong):  # noqa: BLE001 - whatever changed code makes of itself
            return False


def _same_outcome(left: Outcome, right: Outcome) -> bool:
    """Whether two outcomes cannot be told apart. Without outputs nothing is known."""
    if not left.tree or left.tree.keys() != right.tree.keys() or left.generators != right.generators:
        return False
    return all(_same(left.tree[name], right.tree[name]) for name in left.tree)


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return left.shape == right.shape and left.dtype == right.dtype and same_bits(left, right)
    return not isinstance(left, Tensor) and not isinstance(right, Tensor) and bool(left == right)


def _in_order(
    tiers: Sequence[Iterable[Site]], words: Vocabulary, kinds: Kinds, others: Counter[tuple[str, int]] | None
) -> Iterator[Change]:
    """Likely slips in suspicious lines first; then either less likely ones, or less suspicious lines; then the rest."""
    seen: set[tuple[str, int]] = set()
    lines: list[tuple[int, _Line]] = []
    for distance, tier in enumerate(tiers):
        sites = list(tier)
        for site in chain(sites, *map(around, sites)):
            statement = statement_at(site)
            if statement is not None and (site.path, statement.lineno) not in seen:
                seen.add((site.path, statement.lineno))
                scope = scope_of(site, kinds, words)
                late = min(distance, _SMELLS) if scope.smells else distance
                if others and distance:
                    late = max(1, late - 2 + 2 * min(others[site.path, site.line], _CLEARED))
                lines.append((late, _Line(site, statement, scope)))
    told = [(how, line, edit) for _, line in lines for how, edit in telling(line.statement, line.scope)]
    for _, line, edit in sorted(told, key=lambda one: one[0]):
        yield Change(line.site.path, line.site.function, line.statement.lineno, edit)
    for block in range(len(tiers) + 4 + _LATEST):
        for distance, line in lines:
            for edit in line.changes(block - distance):
                yield Change(line.site.path, line.site.function, line.statement.lineno, edit)


@dataclass(frozen=True, eq=False)
class _Line:
    """One statement and the changes of it, made when they are first asked for."""

    site: Site
    statement: ast.stmt
    scope: Scope

    def changes(self, late: int) -> Iterator[Edit]:
        """Those that are `late` by so much: 0, 2 and 4 by rank, what is put around or added in between."""
        if late in (0, 2, 4):
            yield from self._by_rank.get(late // 2, ())
        if late == 3:
            yield from wrappings(self.statement, self.scope)
        if late == _BLOCKS:
            yield from block_edits(tree_of(self.site.path), self.statement, self.scope)
        if late == _LATEST:
            yield from terms(self.statement, self.scope)

    @cached_property
    def _by_rank(self) -> dict[int, list[Edit]]:
        ranked: dict[int, list[Edit]] = defaultdict(list)
        for edit in edits(self.statement, self.scope):
            ranked[edit.rank].append(edit)
        return ranked
