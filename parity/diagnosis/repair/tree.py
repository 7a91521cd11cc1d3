"""Parts of a statement's syntax tree, and one of them with something else in its place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from typing import Any

__all__ = ["Edit", "Part", "is_callee", "is_condition", "parts"]

_BODIES = ("body", "orelse", "finalbody", "handlers", "decorator_list")


@dataclass(frozen=True, eq=False)
class Edit:
    """One part of a syntax tree and what is put in its place."""

    holder: ast.AST
    name: str
    place: int | None
    new: Any
    line: int
    was: ast.AST
    becomes: ast.AST | None
    """What a reader is shown: mostly what stands there, and `new`."""

    rank: int = 0
    """0: a likely slip. 1: less likely. 2: only where nothing else helps."""

    @cached_property
    def before(self) -> str:
        """The text that is changed."""
        return _on_one_line(self.was)

    @cached_property
    def after(self) -> str:
        """The text in its place."""
        return _on_one_line(self.becomes) if self.becomes is not None else "nothing"

    @property
    def size(self) -> int:
        """How much text it changes."""
        blocks = SequenceMatcher(None, self.before, self.after, autojunk=False).get_matching_blocks()
        return len(self.before) + len(self.after) - 2 * sum(block.size for block in blocks)

    @property
    def first_line(self) -> int:
        """Where it can be read: of a call over several lines, where the first argument is another one."""
        if isinstance(self.was, ast.Call) and isinstance(self.becomes, ast.Call):
            given, then = ([*c.args, *(k.value for k in c.keywords)] for c in (self.was, self.becomes))
            if ast.dump(self.was.func) == ast.dump(self.becomes.func):
                changed = (old.lineno for old, new in zip(given, then, strict=False) if ast.dump(old) != ast.dump(new))
                return next(changed, self.line)
        return self.line

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The tree with the change in it, for as long as the context lasts."""
        _place(self.new, self.was)
        held = getattr(self.holder, self.name)
        old = held if self.place is None else held[self.place]
        self._put(self.new)
        try:
            yield
        finally:
            self._put(old)

    def _put(self, part: Any) -> None:
        if self.place is None:
            setattr(self.holder, self.name, part)
        else:
            getattr(self.holder, self.name)[self.place] = part


@dataclass(frozen=True, eq=False)
class Part:
    """An expression, and where it hangs: in which field of which node, at which place of a list."""

    holder: ast.AST
    name: str
    place: int | None
    node: ast.expr

    def into(self, new: ast.expr | None, rank: int = 0) -> Edit:
        """The change that puts `new` there."""
        return Edit(self.holder, self.name, self.place, new, self.node.lineno, self.node, new, rank)


def _on_one_line(tree: ast.AST) -> str:
    text = ast.unparse(tree).replace(":\n    ", ": ")
    return "; ".join(text.splitlines())


def _place(new: Any, old: ast.AST) -> None:
    """New parts of a tree stand where the old one did; what stood somewhere before stays there."""
    if isinstance(new, ast.AST) and not hasattr(new, "lineno"):
        if "lineno" in new._attributes:
            ast.copy_location(new, old)
        for part in ast.iter_child_nodes(new):
            _place(part, old)


def parts(statement: ast.stmt) -> Iterator[Part]:
    """Every expression that is read in a statement, not in the statements inside it."""

    def inside(holder: ast.AST) -> Iterator[Part]:
        for name, value in ast.iter_fields(holder):
            if isinstance(holder, ast.stmt) and name in _BODIES:
                continue
            for place, item in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(item, ast.expr) and isinstance(getattr(item, "ctx", ast.Load()), ast.Load):
                    yield Part(holder, name, place, item)
                if isinstance(item, ast.AST):
                    yield from inside(item)

    annotation = getattr(statement, "annotation", None)
    for part in inside(statement):
        if part.node is not annotation:
            yield part


def is_condition(part: Part) -> bool:
    """Whether it is tested for truth."""
    return part.name == "test" or isinstance(part.holder, ast.BoolOp | ast.UnaryOp)


def is_callee(part: Part) -> bool:
    """Whether it is what a call calls."""
    return isinstance(part.holder, ast.Call) and part.name == "func"
