"""The search: lines by suspicion, changes by likelihood, within a budget of time."""

from __future__ import annotations

import ast
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from torch import Tensor

from parity.comparator import same_bits
from parity.diagnosis.repair.edits import Edit, Scope, edits, terms, wrappings
from parity.diagnosis.repair.graft import Grafter, TooLong, guarded
from parity.diagnosis.repair.trial import Trial
from parity.diagnosis.repair.vocabulary import Vocabulary, tree_of
from parity.diagnosis.site import Site, site_at
from parity.outcome import Outcome

__all__ = ["Repair", "Search", "search_repair"]

Kinds = Mapping[tuple[str, str], Mapping[str, str]]
"""By file and function, what kind of thing each local name held."""

_MOST = 4_000
"""Changes tried; what decides is counted, so that a busy machine finds what an idle one does. Time is the ceiling."""

_PATIENCE = 4
"""Times the seconds of computing that may pass on the clock, on a busy machine or with code that waits."""

_LONGER = 150
"""Changes tried after the first that helps, in case a likelier or smaller one helps as well."""

_INERT = 6
"""Changes of one statement that change nothing that comes out, after which it is left alone."""


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
    trials: Sequence[Trial],
    tiers: Sequence[Iterable[Site]],
    words: Vocabulary,
    kinds: Kinds,
    *,
    seconds: float,
) -> Search:
    """The likeliest, then smallest, change found in `seconds` of computing by which the candidate agrees on all inputs.

    `trials`: one per input; the first is the one that fails now. `tiers`: lines to try, most suspicious first. Nothing
    is tried if it agrees as it is, or outside a process's main thread, where a change that never ends could not be
    stopped.
    """
    if not trials or threading.current_thread() is not threading.main_thread():
        return Search(None, 0, "all tried")
    end, latest = time.thread_time() + seconds, time.monotonic() + _PATIENCE * seconds
    started = time.monotonic()
    if trials[0].agrees():
        return Search(None, 0, "all tried")
    attempt = _Attempt(trials, max(1.0, 10 * (time.monotonic() - started)))
    found: list[tuple[int, Change]] = []
    ended = "all tried"
    for place, change in enumerate(_in_order(tiers, words, kinds)):
        if time.thread_time() > end or time.monotonic() > latest:
            ended = "time"
        elif attempt.count >= _MOST or (found and place > found[0][0] + _LONGER):
            ended = "enough tried"
        if ended != "all tried":
            break
        if attempt.helps(change):
            found.append((place, change))
    if not found:
        return Search(None, attempt.count, ended)
    best = min((change for _, change in found), key=lambda change: (change.edit.rank, change.edit.size))
    site = site_at(best.path, best.edit.line, best.function)
    return Search(Repair(site, best.edit.before, best.edit.after, len(trials)), attempt.count, "found")


class _Attempt:
    """Runs the candidate with one change after the other; lines without effect on what comes out are soon given up."""

    def __init__(self, trials: Sequence[Trial], limit: float) -> None:
        self._trials = trials
        self._limit = limit
        self._grafter = Grafter()
        self._before = trials[0].last[0]
        self._inert: Counter[tuple[str, int]] = Counter()
        self.count = 0
        """Changes run so far."""

    def helps(self, change: Change) -> bool:
        """Whether the candidate agrees everywhere with this change in it."""
        place = change.path, change.statement
        if self._inert[place] >= _INERT:
            return False
        self.count += 1
        first, *others = self._trials
        if not self._agrees(change, first):
            if self._inert[place] >= 0 and first.last and _same_outcome(first.last[0], self._before):
                self._inert[place] += 1
            else:
                self._inert[place] = -sys.maxsize
            return False
        return all(self._agrees(change, trial) for trial in others)

    def _agrees(self, change: Change, trial: Trial) -> bool:
        trial.last.clear()
        try:
            tree = tree_of(change.path)
            with (
                change.edit.applied(),
                self._grafter.grafted(change.path, tree, change.edit.line),
                guarded(self._limit),
            ):
                return trial.agrees()
        except (Exception, TooLong):  # noqa: BLE001 - whatever changed code makes of itself: it does not agree
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


def _in_order(tiers: Sequence[Iterable[Site]], words: Vocabulary, kinds: Kinds) -> Iterator[Change]:
    """Likely slips in suspicious lines first; then either less likely ones, or less suspicious lines; then the rest."""
    seen: set[tuple[str, int]] = set()
    blocks: dict[int, list[Change]] = defaultdict(list)
    for distance, tier in enumerate(tiers):
        for site in tier:
            statement = _statement_at(site)
            if statement is None or (site.path, statement.lineno) in seen:
                continue
            seen.add((site.path, statement.lineno))
            scope = _scope(site, kinds, words)
            for edit in edits(statement, scope):
                blocks[distance + 2 * edit.rank].append(Change(site.path, site.function, statement.lineno, edit))
            for edit in wrappings(statement, scope):
                blocks[distance + 3].append(Change(site.path, site.function, statement.lineno, edit))
            for edit in terms(statement, scope):
                blocks[distance + 4].append(Change(site.path, site.function, statement.lineno, edit))
    for _, block in sorted(blocks.items()):
        yield from block


def _statement_at(site: Site) -> ast.stmt | None:
    """The innermost statement of a line."""
    around = (
        node
        for node in ast.walk(tree_of(site.path))
        if isinstance(node, ast.stmt)
        and not isinstance(node, ast.FunctionDef | ast.ClassDef)
        and node.lineno <= site.line <= (node.end_lineno or node.lineno)
    )
    return max(around, key=lambda node: (node.lineno, node.col_offset), default=None)


def _scope(site: Site, kinds: Kinds, words: Vocabulary) -> Scope:
    attributes: dict[str, dict[str, None]] = defaultdict(dict)
    for node in ast.walk(tree_of(site.path)):
        if isinstance(node, ast.Attribute):
            attributes[ast.unparse(node.value)][node.attr] = None
    used = {base: tuple(names) for base, names in attributes.items()}
    held = kinds.get((site.path, site.function), {})
    return Scope(held, used, _modules(site.path), _unread(site), words)


@lru_cache(maxsize=256)
def _modules(path: str) -> frozenset[str]:
    imports = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Import)]
    return frozenset(alias.asname or alias.name for node in imports for alias in node.names)


@lru_cache(maxsize=4096)
def _unread(site: Site) -> tuple[str, ...]:
    tree = tree_of(site.path)
    own = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self"]
    read = {node.attr for node in own if isinstance(node.ctx, ast.Load)}
    unread = [f"self.{node.attr}" for node in own if node.attr not in read] if "." in site.function else []
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    around = [f for f in functions if f.lineno <= site.line <= (f.end_lineno or f.lineno)]
    for function in around[-1:]:
        names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        unread += [argument.arg for argument in function.args.args if argument.arg not in names | {"self", "cls"}]
    return tuple(dict.fromkeys(unread))
