"""Changes that the two sides' texts speak for by themselves, on whatever line: they are tried before all others."""

from __future__ import annotations

import ast
from typing import TypeGuard

from parity.diagnosis.repair.scope import Scope
from parity.diagnosis.repair.tree import Edit

__all__ = ["has_telling", "how_telling"]

_NEAR = 0.1
"""How far, relatively, a number may lie from the one that it is a slip for."""

_FEW = 6
"""Numbers that only the reference has, of which each is tried in the place of any other."""


class _Number(ast.Constant):
    """A constant that is a number, for the type checker."""

    value: float


def has_telling(statement: ast.stmt, scope: Scope) -> bool:
    """Whether a statement holds a constant that may be a slip: one the reference lacks, or in the place of a setting or
    of a number that only the reference has.
    """
    return any(_is_odd(node, scope) or (_is_number(node) and _lacks_few(scope)) for node in ast.walk(statement))


def how_telling(edit: Edit, scope: Scope) -> int | None:
    """0 if a change puts a number that the candidate lacks in the place of a near one that the reference lacks, or a
    setting that nothing reads in the place of a constant. 1 if it puts one of a few such numbers in the place of any
    other. None otherwise.
    """
    odd = _is_odd(edit.was, scope)
    if isinstance(edit.new, ast.Subscript):
        return 0 if odd and ast.unparse(edit.new) in scope.unread else None
    if not _is_number(edit.was) or not _is_number(edit.new) or not scope.words.numbers.get(edit.new.value, False):
        return None
    if odd and abs(edit.new.value - edit.was.value) < _NEAR * abs(edit.new.value):
        return 0
    return 1 if _lacks_few(scope) else None


def _is_odd(node: ast.AST, scope: Scope) -> bool:
    if not isinstance(node, ast.Constant) or isinstance(node.value, str | bytes):
        return False
    return (_is_number(node) and node.value not in scope.words.numbers) or any("[" in name for name in scope.unread)


def _is_number(node: ast.AST) -> TypeGuard[_Number]:
    if not isinstance(node, ast.Constant):
        return False
    return isinstance(node.value, int | float) and not isinstance(node.value, bool)


def _lacks_few(scope: Scope) -> bool:
    return 0 < sum(scope.words.numbers.values()) <= _FEW
