"""Calls, subscripts and slices: given other arguments, another function, other bounds."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator

from parity.diagnosis.repair.scope import Scope

__all__ = ["calls", "slices", "subscripts"]


def calls(node: ast.Call, scope: Scope) -> Iterator[tuple[ast.expr, int]]:
    """Arguments exchanged, left out or added; another function; what the call is made of alone. With their ranks."""
    words = scope.words
    for first in range(len(node.args)):
        for second in range(first + 1, len(node.args)):
            swapped = list(node.args)
            swapped[first], swapped[second] = swapped[second], swapped[first]
            yield ast.Call(node.func, swapped, node.keywords), 0
    if len(node.args) > 1:
        yield ast.Call(node.func, node.args[:-1], node.keywords), 1
    for k in range(len(node.keywords) - 1):  # they are computed in this order
        pair = node.keywords[k : k + 2]
        if all(any(isinstance(inner, ast.Call) for inner in ast.walk(keyword.value)) for keyword in pair):
            exchanged = [*node.keywords[:k], *pair[::-1], *node.keywords[k + 2 :]]
            yield ast.Call(node.func, node.args, exchanged), 0
    yield from ((new, 2) for new in _arguments_at_hand(node, scope))
    given = {keyword.arg for keyword in node.keywords}
    for unread in scope.unread:
        if unread.isidentifier() and unread not in given:
            keyword = ast.keyword(unread, ast.Name(unread, ast.Load()))
            yield ast.Call(node.func, node.args, [*node.keywords, keyword]), 1
    if isinstance(node.func, ast.Attribute):
        yield node.func.value, 0
        for call in words.verbs.values():
            assert isinstance(call.func, ast.Attribute)
            if call.func.attr != node.func.attr:
                method = ast.Attribute(node.func.value, call.func.attr, ast.Load())
                yield ast.Call(method, copy.deepcopy(call.args), copy.deepcopy(call.keywords)), 1
        if _root(node.func) in scope.modules:
            for other, more in words.of_modules.items():
                if other.partition(".")[0] in scope.modules and other != ast.unparse(node.func):
                    function = ast.parse(other, mode="eval").body
                    yield ast.Call(function, node.args, node.keywords), 0 if more > 0 else 2
            for other in sorted(words.functions.keys() & scope.names):
                yield ast.Call(ast.Name(other, ast.Load()), node.args, node.keywords), 1
    else:
        yield from ((argument, 0) for argument in node.args[:1])
        name = ast.unparse(node.func)
        rank = 2 if name in words.functions else 1
        for other in sorted(words.functions.keys() & scope.names):
            if other != name:
                yield ast.Call(ast.Name(other, ast.Load()), node.args, node.keywords), rank
    for k, keyword in enumerate(node.keywords):
        unknown = keyword.arg is not None and keyword.arg not in words.named
        yield ast.Call(node.func, node.args, node.keywords[:k] + node.keywords[k + 1 :]), 0 if unknown else 1
    callee = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    for keyword in (*words.keywords, *scope.keywords, *scope.flags.get(callee, ())):
        if keyword.arg not in given:
            yield ast.Call(node.func, node.args, [*node.keywords, keyword]), 1


def _arguments_at_hand(node: ast.Call, scope: Scope) -> Iterator[ast.expr]:
    """An argument that is computed, given as it is at hand instead."""
    names = [name for name, kind in scope.kinds.items() if kind.startswith(("Tensor", "ndarray"))]
    for k, argument in enumerate(node.args):
        if isinstance(argument, ast.Call | ast.BinOp | ast.Subscript):
            for name in names:
                given = [*node.args[:k], ast.Name(name, ast.Load()), *node.args[k + 1 :]]
                yield ast.Call(node.func, given, node.keywords)


def _root(function: ast.Attribute) -> str:
    """The first name of a dotted one."""
    return ast.unparse(function).partition(".")[0]


def subscripts(node: ast.Subscript, scope: Scope) -> Iterator[tuple[ast.expr, int]]:
    """No index, the one before or after, or another variable for it. With their ranks."""
    yield from ((new, 0) for new in _indices(node))
    for name, kind in scope.kinds.items():
        if kind.startswith(("Tensor", "ndarray", "int", "slice")) and name != ast.unparse(node.slice):
            yield ast.Subscript(node.value, ast.Name(name, ast.Load()), ast.Load()), 1
    yield from ((ast.Constant(number), 2) for number in (0.0, 1.0))


def _indices(node: ast.Subscript) -> Iterator[ast.expr]:
    yield node.value
    place = node.slice
    if not isinstance(place, ast.Slice | ast.Tuple):
        yield ast.Subscript(node.value, ast.BinOp(place, ast.Add(), ast.Constant(1)), ast.Load())
        yield ast.Subscript(node.value, ast.BinOp(place, ast.Sub(), ast.Constant(1)), ast.Load())


def slices(node: ast.Slice) -> Iterator[ast.expr]:
    """Other bounds."""
    for lower in _bounds(node.lower):
        yield ast.Slice(lower, node.upper, node.step)
    for upper in _bounds(node.upper):
        yield ast.Slice(node.lower, upper, node.step)
    if node.lower is not None or node.upper is not None:
        yield ast.Slice(node.upper, node.lower, node.step)
        yield ast.Slice()
        yield ast.Slice(node.lower, None, node.step)
        lower, upper = (ast.BinOp(b, ast.Add(), ast.Constant(1)) if b else None for b in (node.lower, node.upper))
        yield ast.Slice(lower, upper, node.step)
    if isinstance(node.lower, ast.UnaryOp) and node.upper is None:  # as many from the other end
        yield ast.Slice(None, node.lower.operand, node.step)
    if node.lower is None and node.upper is not None:
        yield ast.Slice(ast.UnaryOp(ast.USub(), node.upper), None, node.step)


def _bounds(bound: ast.expr | None) -> Iterator[ast.expr | None]:
    if bound is None:
        yield ast.Constant(1)
        yield ast.Constant(-1)
    else:
        yield None
        yield ast.BinOp(bound, ast.Add(), ast.Constant(1))
        yield ast.BinOp(bound, ast.Sub(), ast.Constant(1))
