"""Small changes of one statement: what a slip of the pen would have changed, undone in every way it could be."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from itertools import combinations

from parity.diagnosis.repair.instead import ARITHMETIC, compares_words, instead_of, names_exchanged
from parity.diagnosis.repair.scope import Scope
from parity.diagnosis.repair.tree import Edit, Part, is_callee, parts

__all__ = ["edits", "terms", "wrappings"]

_NUMERIC = ("float", "int", "Tensor", "Parameter", "ndarray")


def edits(statement: ast.stmt, scope: Scope) -> Iterator[Edit]:
    """Changes that keep the statement's shape: another number, name, operator, order; a part left out."""
    yield from _of_statement(statement, scope)
    for part in parts(statement):
        for new, rank in instead_of(part, scope):
            yield part.into(new, rank)


def wrappings(statement: ast.stmt, scope: Scope) -> Iterator[Edit]:
    """Changes that put something around a part: a factor, a sign, a root, a square, a shift, a call."""
    two, one = ast.Constant(2), ast.Constant(1)
    for part in parts(statement):
        node = part.node
        if not _has_value(part, scope):
            continue
        yield part.into(ast.BinOp(two, ast.Mult(), node))
        yield part.into(ast.BinOp(node, ast.Div(), two))
        yield part.into(ast.UnaryOp(ast.USub(), node))
        yield part.into(ast.BinOp(node, ast.Pow(), ast.Constant(0.5)))
        yield part.into(ast.BinOp(node, ast.Pow(), two))
        yield part.into(ast.BinOp(node, ast.Add(), one))
        yield part.into(ast.BinOp(node, ast.Sub(), one))
        yield part.into(ast.BinOp(one, ast.Sub(), node))
        for number in scope.words.numbers:
            if 0 < abs(number) < 1e-3:
                yield part.into(ast.BinOp(node, ast.Add(), ast.Constant(number)))
        for unread in scope.unread:
            term = ast.parse(unread, mode="eval").body
            yield from (part.into(ast.BinOp(node, operator(), term)) for operator in ARITHMETIC)
            yield from (part.into(ast.BoolOp(operator(), [term, node])) for operator in (ast.And, ast.Or))
        for name, more in scope.words.of_modules.items():
            if more > 0 and name.partition(".")[0] in scope.modules:
                yield part.into(ast.Call(ast.parse(name, mode="eval").body, [node], []))
        for call in scope.words.methods.values():
            assert isinstance(call.func, ast.Attribute)
            method = ast.Attribute(node, call.func.attr, ast.Load())
            yield part.into(ast.Call(method, copy.deepcopy(call.args), copy.deepcopy(call.keywords)))


def terms(statement: ast.stmt, scope: Scope) -> Iterator[Edit]:
    """Changes that add a term or a factor that the function or its object has at hand to what a statement makes."""
    numeric = [name for name, kind in scope.kinds.items() if kind.startswith(_NUMERIC)]
    own = [f"self.{name}" for name in scope.attributes.get("self", ())] if "self" in scope.kinds else []
    for part in parts(statement):
        computed = isinstance(part.node, ast.BinOp) and not isinstance(part.holder, ast.BinOp)
        whole = computed or part.holder is statement or isinstance(part.holder, ast.Tuple)
        if whole and not isinstance(part.node, ast.Tuple | ast.Constant) and _has_value(part, scope):
            text = ast.unparse(part.node)
            for name in (name for name in [*numeric, *own] if name not in text):
                at_hand = ast.parse(name, mode="eval").body
                yield from (part.into(ast.BinOp(part.node, op(), at_hand), 2) for op in ARITHMETIC)


def _in_place(statement: ast.Expr, scope: Scope) -> Iterator[ast.expr]:
    """A further step of a chain that ends in place: `x.exp_()` becomes `x.exp_().mul_(variance)`."""
    call = statement.value
    ends = isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr.endswith("_")
    for name in (name for name, kind in scope.kinds.items() if ends and kind.startswith(_NUMERIC)):
        for verb in ("mul_", "add_", "sub_", "div_"):
            yield ast.Call(ast.Attribute(call, verb, ast.Load()), [ast.Name(name, ast.Load())], [])


def _of_statement(statement: ast.stmt, scope: Scope) -> Iterator[Edit]:
    value = getattr(statement, "value", None)
    if isinstance(value, ast.expr):
        yield from (Part(statement, "value", None, value).into(new) for new in names_exchanged(value, scope))
    if isinstance(statement, ast.If | ast.While):
        part = Part(statement, "test", None, statement.test)
        rank = 2 if compares_words(statement.test) else 0
        if not isinstance(statement.test, ast.UnaryOp):  # where it is one, the part that is left out says the same
            yield part.into(ast.UnaryOp(ast.Not(), statement.test), rank)
        if isinstance(statement, ast.If):
            yield part.into(ast.Constant(True), rank)
            yield part.into(ast.Constant(False), rank)
    if isinstance(statement, ast.AugAssign):
        for operator in ARITHMETIC:
            if not isinstance(statement.op, operator):
                whole = ast.AugAssign(statement.target, statement.op, statement.value)
                other = ast.AugAssign(statement.target, operator(), statement.value)
                yield Edit(statement, "op", None, operator(), statement.lineno, whole, other)
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    if len(targets) == 1 and isinstance(targets[0], ast.Name) and scope.kinds.get(targets[0].id) in ("int", "float"):
        yield from _gathered(statement, targets[0])
    if isinstance(statement, ast.Expr):
        part = Part(statement, "value", None, statement.value)
        yield part.into(ast.Constant(None))
        yield from (part.into(new, 1) for new in _in_place(statement, scope))
    if targets and isinstance(targets[0], ast.Tuple):
        several = targets[0]
        for first, second in combinations(range(min(len(several.elts), 6)), 2):
            elements = list(several.elts)
            elements[first], elements[second] = elements[second], elements[first]
            new = ast.Tuple(elements, ast.Store())
            yield Edit(statement, "targets", 0, new, statement.lineno, several, new)


def _gathered(statement: ast.stmt, target: ast.Name) -> Iterator[Edit]:
    """A sum that is set instead of added to: `start = n` becomes `start = start + n`."""
    assert isinstance(statement, ast.Assign)
    own = ast.Name(target.id, ast.Load())
    part = Part(statement, "value", None, statement.value)
    yield from (part.into(ast.BinOp(own, operator(), statement.value), 1) for operator in (ast.Add, ast.Sub))


def _has_value(part: Part, scope: Scope) -> bool:
    """Whether a part may hold a number that is computed with, as far as can be told."""
    node, holder = part.node, part.holder
    if isinstance(node, ast.Constant | ast.Slice | ast.Tuple | ast.List | ast.Dict | ast.Compare | ast.JoinedStr):
        return False
    if isinstance(node, ast.Name) and not scope.kinds.get(node.id, "").startswith(_NUMERIC):
        return False
    named = isinstance(holder, ast.Compare) and compares_words(holder)
    of_object = isinstance(holder, ast.Attribute) and not isinstance(node, ast.BinOp)
    return not (of_object or isinstance(holder, ast.FormattedValue) or named or is_callee(part))
