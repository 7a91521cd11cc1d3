"""Changes of the order and number of statements: two exchanged, one that is lacking put in."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from functools import lru_cache

from parity.diagnosis.repair.scope import Scope
from parity.diagnosis.repair.tree import Edit

__all__ = ["block_edits"]

_SIMPLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.Pass)


def block_edits(tree: ast.Module, statement: ast.stmt, scope: Scope) -> Iterator[Edit]:
    """The statement exchanged with the next one, and calls that are lacking put before it and after it.

    A call is lacking if the reference has it as a statement of its own and the candidate less often, if nothing in
    the folder calls that function, or if the function around calls another method of the object with the same.
    """
    home = _homes(tree).get(statement)
    if home is None:
        return
    holder, name, place = home
    body: list[ast.stmt] = getattr(holder, name)
    after = body[place + 1] if place + 1 < len(body) else None
    if isinstance(statement, _SIMPLE) and isinstance(after, _SIMPLE):
        yield _edit(home, body, place, place + 2, [after, statement])
    for call in _lacking(tree, statement, scope):
        new = ast.Expr(call)
        for part in ast.walk(new):
            if "lineno" in part._attributes:
                ast.copy_location(part, statement)
        if isinstance(statement, ast.Pass):  # an empty body is the likeliest to lack something
            yield Edit(holder, name, place, new, statement.lineno, statement, new)
            continue
        yield _edit(home, body, place, place, [new])
        if after is None:
            yield _edit(home, body, place + 1, place + 1, [new])


_Home = tuple[ast.AST, str, int]


def _edit(home: _Home, body: list[ast.stmt], start: int, end: int, new: list[ast.stmt]) -> Edit:
    holder, name, place = home
    shown = body[start:end] or [body[place]]
    then = new if end > start else [*new, *shown] if start == place else [*shown, *new]
    was, becomes = (ast.Module([*map(_first_line, some)], []) for some in (shown, then))
    return Edit(holder, name, None, [*body[:start], *new, *body[end:]], body[place].lineno, was, becomes, 1)


def _first_line(statement: ast.stmt) -> ast.stmt:
    """A statement without the statements in it."""
    if not hasattr(statement, "body"):
        return statement
    short = copy.copy(statement)
    return _with(short, body=[ast.Expr(ast.Constant(...))], orelse=[], handlers=[], finalbody=[])


def _with(node: ast.stmt, **fields: list[ast.AST]) -> ast.stmt:
    for name in fields.keys() & set(node._fields):
        setattr(node, name, fields[name])
    return node


@lru_cache(maxsize=256)
def _homes(tree: ast.Module) -> dict[ast.AST, _Home]:
    """In which list of which node each statement of a function stands."""
    found: dict[ast.AST, _Home] = {}
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            statements = getattr(node, name, None)
            if isinstance(statements, list) and not isinstance(node, ast.Module | ast.ClassDef):
                found.update((one, (node, name, k)) for k, one in enumerate(statements))
    return found


def _lacking(tree: ast.Module, statement: ast.stmt, scope: Scope) -> Iterator[ast.Call]:
    words = scope.words
    whole = [name for name, kind in scope.kinds.items() if kind == "int"]
    for call in words.statements.values():
        text = ast.unparse(call.func)
        if text.partition(".")[0] in scope.modules:  # it seeds, or sets something
            constants = all(isinstance(argument, ast.Constant) for argument in call.args)
            yield from (ast.Call(copy.deepcopy(call.func), [ast.Name(name, ast.Load())], []) for name in whole)
            if constants:
                yield copy.deepcopy(call)
        elif isinstance(call.func, ast.Attribute) and not call.args and not call.keywords:
            for owner in _owners(scope):
                yield ast.Call(ast.Attribute(owner, call.func.attr, ast.Load()), [], [])
    for name in sorted(scope.uncalled & _own_functions(tree)):
        yield ast.Call(ast.Name(name, ast.Load()), [], [])
    beside_it = [*_calls_beside(tree, statement)]
    called = {call.func.attr for call in beside_it if isinstance(call.func, ast.Attribute)}
    for beside in beside_it:
        assert isinstance(beside.func, ast.Attribute)
        for name in sorted(scope.methods.get(beside.func.attr, frozenset()) - called):
            method = ast.Attribute(beside.func.value, name, ast.Load())
            yield copy.deepcopy(ast.Call(method, beside.args, beside.keywords))


def _owners(scope: Scope) -> Iterator[ast.expr]:
    """What may have a method: local names, and attributes of the object."""
    yield from (ast.Name(name, ast.Load()) for name in scope.kinds)
    for name in scope.attributes.get("self", ()) if "self" in scope.kinds else ():
        yield ast.Attribute(ast.Name("self", ast.Load()), name, ast.Load())


def _own_functions(tree: ast.Module) -> frozenset[str]:
    """Functions of the file that can be called with nothing."""
    return frozenset(n.name for n in tree.body if isinstance(n, ast.FunctionDef) and not n.args.args)


def _calls_beside(tree: ast.Module, statement: ast.stmt) -> Iterator[ast.Call]:
    """Calls of methods that are statements of the same function."""
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.lineno <= statement.lineno <= (node.end_lineno or node.lineno)
    ]
    for node in ast.walk(around[-1]) if around else ():
        call = node.value if isinstance(node, ast.Expr) else None
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            yield call
