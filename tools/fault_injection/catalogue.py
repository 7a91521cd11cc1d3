"""Small changes of GGFM's source, read from `faults.toml` and `rewrites.toml` and checked against today's source."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from parity.root_ggfm.components import REGISTRY

__all__ = ["CONTROL", "Change", "ChangeError", "Kind", "load", "source_folder"]

Kind = Literal["fault", "mutant", "rewrite", "control"]
"""A fault and a mutant must be caught; a rewrite must not, nor the control, which changes nothing."""

_FILES: Mapping[Kind, Path] = {
    "fault": Path(__file__).with_name("faults.toml"),
    "rewrite": Path(__file__).with_name("rewrites.toml"),
}


class ChangeError(ValueError):
    """A change that says something wrong, or that today's source has no place for. The message names it."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """`old` becomes `new` in one file of GGFM; `old` stands there once, or it is its occurrence number `at` (from 0).

    `component`: those of which one must catch it (of a fault). `equivalent`: why nobody can see it, which takes it out
    of the count. `what`: whether it is a fault, a mutant or a rewrite; `kind`: the sort of mistake.
    """

    id: str
    kind: str
    file: str
    old: str
    new: str
    what: Kind = "fault"
    component: tuple[str, ...] = ()
    at: int | None = None
    equivalent: str = ""

    @cached_property
    def original(self) -> str:
        """The file as it is."""
        return (source_folder() / self.file).read_text(encoding="utf-8")

    @cached_property
    def changed(self) -> str:
        """The file with the change. Raises ChangeError where `old` is not found, or found more often than is said."""
        found = self.original.count(self.old)
        if self.at is None and found != 1:
            raise ChangeError(f"{self.id}: {self.old!r} stands {found} times in {self.file}; it must stand there once")
        if self.at is not None and not self.at < found:
            raise ChangeError(f"{self.id}: {self.old!r} stands {found} times in {self.file}, at is {self.at}")
        start = self._start()
        return self.original[:start] + self.new + self.original[start + len(self.old) :]

    @property
    def lines(self) -> range:
        """The numbers of the lines that the change touches, in the changed file."""
        before, after = self.original.splitlines(), self.changed.splitlines()
        same = _shared(before, after)
        tail = _shared(before[same:][::-1], after[same:][::-1])
        return range(same + 1, max(same + 2, len(after) - tail + 1))

    def check(self) -> None:
        """Raises ChangeError where the change does not apply, changes nothing, or makes no Python."""
        if _tree(self.changed, self.id) == _tree(self.original, self.id):
            raise ChangeError(f"{self.id}: the program stays the same")

    def _start(self) -> int:
        start = -1
        for _ in range((self.at or 0) + 1):
            start = self.original.index(self.old, start + 1)
        return start


CONTROL = Change(id="unchanged", kind="control", what="control", file="__init__.py", old="__all__", new="__all__")
"""Where this alarms, what alarms on a change says nothing about it."""


def load(what: Kind = "fault", path: Path | None = None) -> tuple[Change, ...]:
    """The catalogue's faults or rewrites, in its order.

    Raises ChangeError for a field that is unknown or missing, an id that comes twice and an unknown component.
    """
    path = path or _FILES[what]
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8")).get(what, [])
    except tomllib.TOMLDecodeError as error:
        raise ChangeError(f"{path.name} is not valid TOML: {error}") from error
    changes = tuple(_made(item, what) for item in raw)
    ids = [change.id for change in changes]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise ChangeError(f"{path.name}: {', '.join(twice)} is listed twice; keep one")
    return changes


def source_folder() -> Path:
    """Where GGFM's source lies, which is not imported for that. Raises ChangeError if it is not installed."""
    spec = find_spec("ggfm")
    if spec is None or not spec.submodule_search_locations:
        raise ChangeError("ggfm is not installed")
    return Path(spec.submodule_search_locations[0])


def _made(item: Mapping[str, Any], what: Kind) -> Change:
    try:
        change = Change(**{**item, "component": tuple(item.get("component", ())), "what": what})
    except TypeError as error:  # Python names the field that is missing or unknown
        raise ChangeError(f"{what} {item.get('id', '?')}: {str(error).split('__init__() ')[-1]}") from error
    if unknown := [name for name in change.component if name not in REGISTRY]:
        raise ChangeError(f"{change.id}: unknown component {', '.join(unknown)}; known are {', '.join(REGISTRY)}")
    if what == "fault" and not change.component:
        raise ChangeError(f"{change.id}: component is missing, one of which must catch it")
    return change


def _shared(left: Sequence[str], right: Sequence[str]) -> int:
    """How many lines at the start are the same."""
    return next((k for k, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


def _tree(source: str, name: str) -> str:
    try:
        return ast.dump(ast.parse(source))
    except SyntaxError as error:
        raise ChangeError(f"{name}: the changed file is no Python: {error}") from error
