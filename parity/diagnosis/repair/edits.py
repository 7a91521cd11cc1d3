"""Small changes of one statement: what a slip of the pen would have changed, undone in every way it could be."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cached_property
from itertools import chain, combinations
from typing import Any

from parity.diagnosis.repair.vocabulary import Vocabulary

__all__ = ["Edit", "Scope", "edits", "terms", "wrappings"]

_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div)
_COMPARISONS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
_BOUNDARY = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
_EQUALITY = (ast.Eq, ast.NotEq)
_NUMERIC = ("float", "int", "Tensor", "Parameter", "ndarray")
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
        return ast.unparse(self.was)

    @cached_property
    def after(self) -> str:
        """The text in its place."""
        return ast.unparse(self.becomes) if self.becomes is not None else "nothing"

    @property
    def size(self) -> int:
        """How much text it changes."""
        blocks = SequenceMatcher(None, self.before, self.after, autojunk=False).get_matching_blocks()
        return len(self.before) + len(self.after) - 2 * sum(block.size for block in blocks)

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


@dataclass(frozen=True)
class Scope:
    """What a statement's expressions may name: local names, attributes used of each object, the reference's words."""

    kinds: Mapping[str, str]
    """Of a local name, what kind of thing it held."""

    attributes: dict[str, tuple[str, ...]]
    modules: frozenset[str]
    unread: tuple[str, ...]
    """Attributes of `self` that the file sets and never reads, and arguments that the function does not read."""

    words: Vocabulary

    keywords: tuple[ast.keyword, ...] = ()
    """What other calls of the function are given by keyword."""

    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of a class of the file or its neighbours, the names that its body declares."""

    flags: Mapping[str, tuple[ast.keyword, ...]] = field(default_factory=dict)
    """Of a function of the file or its neighbours, its switches, each the other way round than by default."""


@dataclass(frozen=True, eq=False)
class _Part:
    holder: ast.AST
    name: str
    place: int | None
    node: ast.expr

    def into(self, new: ast.expr | None, rank: int = 0) -> Edit:
        return Edit(self.holder, self.name, self.place, new, self.node.lineno, self.node, new, rank)


def _place(new: Any, old: ast.AST) -> None:
    """New parts of a tree stand where the old one did; what stood somewhere before stays there."""
    if isinstance(new, ast.AST) and not hasattr(new, "lineno"):
        if "lineno" in new._attributes:
            ast.copy_location(new, old)
        for part in ast.iter_child_nodes(new):
            _place(part, old)


def edits(statement: ast.stmt, scope: Scope) -> Iterator[Edit]:
    """Changes that keep the statement's shape: another number, name, operator, order; a part left out."""
    yield from _of_statement(statement, scope)
    for part in _parts(statement):
        node = part.node
        if isinstance(node, ast.Constant):
            news = _constants(node, scope)
        elif isinstance(node, ast.BinOp):
            news = _operations(node)
        elif isinstance(node, ast.UnaryOp):
            news = _likely([node.operand])
        elif isinstance(node, ast.Compare):
            news = _comparisons(node)
        elif isinstance(node, ast.BoolOp):
            news = ((value, 2) for value in node.values)
        elif isinstance(node, ast.IfExp):
            news = ((value, 1) for value in (node.body, node.orelse))
        elif isinstance(node, ast.Call):
            news = _calls(node, scope)
        elif isinstance(node, ast.Name):
            news = chain(
                ((ast.Name(name, ast.Load()), 1) for name in _alike(node.id, scope)),
                ((ast.Name(name, ast.Load()), 2) for name in _of_the_type(node.id, scope)),
                ((ast.parse(f"{base}.{node.id}", mode="eval").body, 1) for base in _holders(node.id, scope)),
            )
        elif isinstance(node, ast.Attribute):
            news = _attributes(part, scope)
        elif isinstance(node, ast.Subscript):
            news = _subscripts(node, scope)
        elif isinstance(node, ast.Slice):
            news = _likely(_slices(node))
        elif isinstance(node, ast.List | ast.Tuple):
            news = chain(_likely(_reordered(node)), ((new, 1) for new in _as_neighbours(node)))
        elif isinstance(node, ast.Dict):
            news = _likely(_values_exchanged(node))
        elif isinstance(node, ast.Starred) and isinstance(node.value, ast.Name):
            news = ((ast.Starred(shorter, ast.Load()), 1) for shorter in _without_an_end(node.value))
        else:
            continue
        for new, rank in news:
            yield part.into(new, rank)


def wrappings(statement: ast.stmt, scope: Scope) -> Iterator[Edit]:
    """Changes that put something around a part: a factor, a sign, a root, a square, a shift, a call."""
    two, one = ast.Constant(2), ast.Constant(1)
    for part in _parts(statement):
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
            yield from (part.into(ast.BinOp(node, operator(), term)) for operator in _ARITHMETIC)
        for call in scope.words.methods.values():
            assert isinstance(call.func, ast.Attribute)
            method = ast.Attribute(node, call.func.attr, ast.Load())
            yield part.into(ast.Call(method, copy.deepcopy(call.args), copy.deepcopy(call.keywords)))


def terms(statement: ast.stmt, scope: Scope) -> Iterator[Edit]:
    """Changes that add a term or a factor that the function or its object has at hand to what a statement makes."""
    numeric = [name for name, kind in scope.kinds.items() if kind.startswith(_NUMERIC)]
    own = [f"self.{name}" for name in scope.attributes.get("self", ())] if "self" in scope.kinds else []
    for part in _parts(statement):
        whole = part.holder is statement or isinstance(part.holder, ast.Tuple)
        if whole and not isinstance(part.node, ast.Tuple | ast.Constant) and _has_value(part, scope):
            text = ast.unparse(part.node)
            for name in (name for name in [*numeric, *own] if name not in text):
                at_hand = ast.parse(name, mode="eval").body
                yield from (part.into(ast.BinOp(part.node, op(), at_hand), 2) for op in _ARITHMETIC)


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
        yield from (_Part(statement, "value", None, value).into(new) for new in _names_exchanged(value, scope))
    if isinstance(statement, ast.If | ast.While):
        part = _Part(statement, "test", None, statement.test)
        rank = 2 if _compares_words(statement.test) else 0
        if not isinstance(statement.test, ast.UnaryOp):  # where it is one, the part that is left out says the same
            yield part.into(ast.UnaryOp(ast.Not(), statement.test), rank)
        if isinstance(statement, ast.If):
            yield part.into(ast.Constant(True), rank)
            yield part.into(ast.Constant(False), rank)
    if isinstance(statement, ast.AugAssign):
        for operator in _ARITHMETIC:
            if not isinstance(statement.op, operator):
                whole = ast.AugAssign(statement.target, statement.op, statement.value)
                other = ast.AugAssign(statement.target, operator(), statement.value)
                yield Edit(statement, "op", None, operator(), statement.lineno, whole, other)
    if isinstance(statement, ast.Expr):
        part = _Part(statement, "value", None, statement.value)
        yield part.into(ast.Constant(None))
        yield from (part.into(new, 1) for new in _in_place(statement, scope))
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Tuple):
        targets = statement.targets[0]
        for first, second in combinations(range(min(len(targets.elts), 6)), 2):
            elements = list(targets.elts)
            elements[first], elements[second] = elements[second], elements[first]
            new = ast.Tuple(elements, ast.Store())
            yield Edit(statement, "targets", 0, new, statement.lineno, targets, new)


def _parts(statement: ast.stmt) -> Iterator[_Part]:
    """Every expression that is read in a statement, not in the statements inside it."""

    def inside(holder: ast.AST) -> Iterator[_Part]:
        for name, value in ast.iter_fields(holder):
            if isinstance(holder, ast.stmt) and name in _BODIES:
                continue
            for place, item in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(item, ast.expr) and isinstance(getattr(item, "ctx", ast.Load()), ast.Load):
                    yield _Part(holder, name, place, item)
                if isinstance(item, ast.AST):
                    yield from inside(item)

    annotation = getattr(statement, "annotation", None)
    for part in inside(statement):
        if part.node is not annotation:
            yield part


def _has_value(part: _Part, scope: Scope) -> bool:
    """Whether a part may hold a number that is computed with, as far as can be told."""
    node, holder = part.node, part.holder
    if isinstance(node, ast.Constant | ast.Slice | ast.Tuple | ast.List | ast.Dict | ast.Compare | ast.JoinedStr):
        return False
    if isinstance(node, ast.Name) and not scope.kinds.get(node.id, "").startswith(_NUMERIC):
        return False
    return not (isinstance(holder, ast.Attribute | ast.FormattedValue) or _is_callee(part))


def _is_condition(part: _Part) -> bool:
    return part.name == "test" or isinstance(part.holder, ast.BoolOp | ast.UnaryOp)


def _is_callee(part: _Part) -> bool:
    return isinstance(part.holder, ast.Call) and part.name == "func"


def _alike(name: str, scope: Scope) -> Iterator[str]:
    """Other local names that held the same kind of thing."""
    kind = scope.kinds.get(name)
    return (other for other, its in scope.kinds.items() if its == kind and other != name)


def _of_the_type(name: str, scope: Scope) -> Iterator[str]:
    """Other local names that held tensors or arrays of another shape."""
    shaped = [other for other, kind in scope.kinds.items() if kind.startswith(("Tensor", "ndarray"))]
    its = scope.kinds.get(name)
    return (other for other in shaped if name in shaped and scope.kinds[other] != its)


def _likely(news: Iterable[ast.expr]) -> Iterator[tuple[ast.expr, int]]:
    return ((new, 0) for new in news)


def _holders(name: str, scope: Scope) -> Iterator[str]:
    """Local names, read with that attribute elsewhere in the file."""
    return (base for base, attributes in scope.attributes.items() if base in scope.kinds and name in attributes)


def _constants(node: ast.Constant, scope: Scope) -> Iterator[tuple[ast.expr, int]]:
    """Another constant, or what the function does not read though it is there for it.

    A constant that the reference has as well is less likely to be the wrong one.
    """
    value, words = node.value, scope.words
    yield from ((ast.parse(unread, mode="eval").body, 0) for unread in scope.unread if not isinstance(value, str))
    if isinstance(value, bool):
        yield ast.Constant(not value), 0
    elif isinstance(value, int | float):
        whole = isinstance(value, int)
        rank = 1 if value in words.numbers else 0
        for number, lacking in words.numbers.items():
            if number != value and not (whole and isinstance(number, float)):
                yield ast.Constant(number), rank + (not lacking)
        if value and -value not in words.numbers:
            yield ast.UnaryOp(ast.USub(), ast.Constant(value)), rank
        others: list[float] = [value + 1, value - 1, 2 * value, 0, 1, 1 - value]
        others += [value // 2] if whole and value % 2 == 0 else [value / 2]
        for number in dict.fromkeys(others):
            if number != value and number not in words.numbers:
                yield ast.Constant(number), 1
    elif isinstance(value, str):
        for word, lacking in words.strings.items():
            if word != value:
                near = value not in words.strings and (lacking or _parts_of(word) & _parts_of(value))
                yield ast.Constant(word), 0 if near else 2


def _parts_of(word: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", word))


def _attributes(part: _Part, scope: Scope) -> Iterator[tuple[ast.expr, int]]:
    node = part.node
    assert isinstance(node, ast.Attribute)
    base = ast.unparse(node.value)
    # Another flag in a condition may help by accident: whatever it turns on or off, turning it over says more.
    rank = 2 if base in scope.modules or _is_callee(part) or _is_condition(part) else 1
    if _is_callee(part) and node.attr.endswith("_"):  # in place where it should make something new
        yield ast.Attribute(node.value, node.attr.rstrip("_"), ast.Load()), 0
    if node.attr in scope.kinds and not _is_callee(part):
        yield ast.Name(node.attr, ast.Load()), 0
    used = scope.attributes.get(base, ())
    for name in used:
        if name != node.attr:
            yield ast.Attribute(node.value, name, ast.Load()), rank
    for name in scope.fields.get(scope.kinds.get(base, ""), ()):
        if name not in used:
            akin = set(name.split("_")) & set(node.attr.split("_"))
            yield ast.Attribute(node.value, name, ast.Load()), 1 if akin else 2


def _operations(node: ast.BinOp) -> Iterator[tuple[ast.expr, int]]:
    for kept, dropped in ((node.left, node.right), (node.right, node.left)):
        yield kept, int(isinstance(dropped, ast.BinOp))
    for operator in _ARITHMETIC:
        if not isinstance(node.op, operator):
            yield ast.BinOp(node.left, operator(), node.right), 0
    if not isinstance(node.op, ast.Add | ast.Mult):
        yield ast.BinOp(node.right, node.op, node.left), 0


def _comparisons(node: ast.Compare) -> Iterator[tuple[ast.expr, int]]:
    """Another comparison. Whether two things are equal is seldom meant to be their order, that of words never."""
    equality = isinstance(node.ops[0], _EQUALITY)
    word = _compares_words(node)
    nearest = _BOUNDARY.get(type(node.ops[0]))
    for operator in sorted(_COMPARISONS, key=lambda one: one is not nearest):
        if not isinstance(node.ops[0], operator) and not (word and operator not in _EQUALITY):
            rank = 2 if word else int(equality != (operator in _EQUALITY))
            yield ast.Compare(node.left, [operator(), *node.ops[1:]], node.comparators), rank


def _compares_words(node: ast.expr) -> bool:
    """Whether a comparison chooses by name: taking another way altogether helps wherever that way is right."""
    sides = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
    return any(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in sides)


def _names_exchanged(value: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    """The expression with two local names of one kind in each other's place."""
    used = {node.id: None for node in ast.walk(value) if isinstance(node, ast.Name) and node.id in scope.kinds}
    for one, other in combinations(used, 2):
        if scope.kinds[one] == scope.kinds[other]:
            new = copy.deepcopy(value)
            for node in ast.walk(new):
                if isinstance(node, ast.Name) and node.id in (one, other):
                    node.id = other if node.id == one else one
            yield new


def _reordered(node: ast.List | ast.Tuple) -> Iterator[ast.expr]:
    """Two elements in each other's place."""
    for first, second in combinations(range(min(len(node.elts), 6)), 2):
        elements = list(node.elts)
        elements[first], elements[second] = elements[second], elements[first]
        yield type(node)(elements, ast.Load())


def _values_exchanged(node: ast.Dict) -> Iterator[ast.expr]:
    """Two entries with each other's values."""
    for first, second in combinations(range(min(len(node.values), 6)), 2):
        values = list(node.values)
        values[first], values[second] = values[second], values[first]
        yield ast.Dict(node.keys, values)


def _as_neighbours(node: ast.List | ast.Tuple) -> Iterator[ast.expr]:
    """One element treated by the method that another one is treated by."""
    for k, element in enumerate(node.elts):
        for other in node.elts:
            if other is not element and isinstance(other, ast.Call) and isinstance(other.func, ast.Attribute):
                method = ast.Attribute(element, other.func.attr, ast.Load())
                treated = ast.Call(method, copy.deepcopy(other.args), copy.deepcopy(other.keywords))
                yield type(node)([*node.elts[:k], treated, *node.elts[k + 1 :]], ast.Load())


def _without_an_end(name: ast.Name) -> Iterator[ast.expr]:
    yield ast.Subscript(name, ast.Slice(None, ast.Constant(-1)), ast.Load())
    yield ast.Subscript(name, ast.Slice(ast.Constant(1), None), ast.Load())


def _calls(node: ast.Call, scope: Scope) -> Iterator[tuple[ast.expr, int]]:
    words = scope.words
    for first in range(len(node.args)):
        for second in range(first + 1, len(node.args)):
            swapped = list(node.args)
            swapped[first], swapped[second] = swapped[second], swapped[first]
            yield ast.Call(node.func, swapped, node.keywords), 0
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
        if ast.unparse(node.func.value) in scope.modules:
            for other, more in words.of_modules.items():
                if other != node.func.attr:
                    function = ast.Attribute(node.func.value, other, ast.Load())
                    yield ast.Call(function, node.args, node.keywords), 0 if more > 0 else 2
    else:
        yield from ((argument, 0) for argument in node.args[:1])
        name = ast.unparse(node.func)
        rank = 2 if name in words.functions else 1
        for other in words.functions:
            if other != name:
                yield ast.Call(ast.Name(other, ast.Load()), node.args, node.keywords), rank
    for k in range(len(node.keywords)):
        yield ast.Call(node.func, node.args, node.keywords[:k] + node.keywords[k + 1 :]), 1
    callee = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    for keyword in (*words.keywords, *scope.keywords, *scope.flags.get(callee, ())):
        if keyword.arg not in given:
            yield ast.Call(node.func, node.args, [*node.keywords, keyword]), 1


def _subscripts(node: ast.Subscript, scope: Scope) -> Iterator[tuple[ast.expr, int]]:
    yield from _likely(_indices(node))
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


def _slices(node: ast.Slice) -> Iterator[ast.expr]:
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
