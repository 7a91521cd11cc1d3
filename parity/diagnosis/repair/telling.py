"""Changes that the two sides' texts speak for by themselves, on whatever line: they are tried before all others."""

from __future__ import annotations

import ast

from parity.diagnosis.repair.scope import Scope
from parity.diagnosis.repair.tree import Edit

__all__ = ["has_telling", "is_telling"]

_NEAR = 0.1
"""How far, relatively, a number may lie from the one that it is a slip for."""


def has_telling(statement: ast.stmt, scope: Scope) -> bool:
    """Whether a statement holds a constant that may be a slip: one the reference lacks, or in a setting's place."""
    return any(_is_odd(node, scope) for node in ast.walk(statement))


def is_telling(edit: Edit, scope: Scope) -> bool:
    """Whether a change puts a number that the candidate lacks in the place of a near one that the reference lacks, or
    a setting that nothing reads in the place of a constant.
    """
    if not _is_odd(edit.was, scope):
        return False
    if isinstance(edit.new, ast.Subscript):
        return ast.unparse(edit.new) in scope.unread
    value, new = getattr(edit.was, "value", None), getattr(edit.new, "value", None)
    if not isinstance(value, int | float) or not isinstance(new, int | float):
        return False
    return scope.words.numbers.get(new, False) and abs(new - value) < _NEAR * abs(new)


def _is_odd(node: ast.AST, scope: Scope) -> bool:
    if not isinstance(node, ast.Constant) or isinstance(node.value, str | bytes):
        return False
    number = isinstance(node.value, int | float) and not isinstance(node.value, bool)
    return (number and node.value not in scope.words.numbers) or any("[" in name for name in scope.unread)
