"""Changes that the two sides' texts speak for by themselves, on whatever line: they are tried before all others."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TypeGuard

from parity.diagnosis.repair.instead import instead_of
from parity.diagnosis.repair.scope import Scope
from parity.diagnosis.repair.tree import Edit, parts

__all__ = ["telling"]

_NEAR = 0.1
"""How far, relatively, a number may lie from the one that it is a slip for."""

_FEW = 6
"""Numbers that only the reference has, of which each is tried in the place of any other."""


class _Number(ast.Constant):
    """A constant that is a number, for the type checker."""

    value: float


def telling(statement: ast.stmt, scope: Scope) -> Iterator[tuple[int, Edit]]:
    """Changes of a statement's constants that the texts speak for, with how little they do so.

    0: puts a number that the candidate lacks in the place of a near one that the reference lacks, or a setting that
    nothing reads in the place of any constant. 1: puts one of a few such numbers in the place of any other.
    """
    few = 0 < sum(scope.words.numbers.values()) <= _FEW
    keyed = any("[" in name for name in scope.unread)
    for part in parts(statement):
        odd = _is_number(part.node) and part.node.value not in scope.words.numbers
        if not isinstance(part.node, ast.Constant) or not (odd or few or keyed):
            continue
        for new, rank in instead_of(part, scope):
            how = _how_telling(part.node, new, scope, odd=odd, few=few)
            if how is not None:
                yield how, part.into(new, rank)


def _how_telling(was: ast.expr, new: ast.expr, scope: Scope, *, odd: bool, few: bool) -> int | None:
    if isinstance(was, ast.Constant) and isinstance(new, ast.Subscript):
        return 0 if not isinstance(was.value, str | bytes) and ast.unparse(new) in scope.unread else None
    if not _is_number(was) or not _is_number(new) or not scope.words.numbers.get(new.value, False):
        return None
    if odd and abs(new.value - was.value) < _NEAR * abs(new.value):
        return 0
    return 1 if few else None


def _is_number(node: ast.AST) -> TypeGuard[_Number]:
    if not isinstance(node, ast.Constant):
        return False
    return isinstance(node.value, int | float) and not isinstance(node.value, bool)
