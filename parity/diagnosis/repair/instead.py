"""What may stand in an expression's place: another number, name, operator, order; a part left out."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterable, Iterator
from itertools import chain, combinations

from parity.diagnosis.repair.access import calls, slices, subscripts
from parity.diagnosis.repair.folder import named_alike
from parity.diagnosis.repair.scope import Scope
from parity.diagnosis.repair.tree import Part, is_callee, is_condition

__all__ = ["ARITHMETIC", "compares_words", "instead_of", "names_exchanged"]

ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div)
_COMPARISONS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
_BOUNDARY = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
_FEW = 6
"""Numbers, or strings, of the reference that the candidate lacks, of which each is a likely one in another's place."""

_NEAR = 0.1
"""Otherwise, how far a likely one may be from it."""

_EQUALITY = (ast.Eq, ast.NotEq)


def instead_of(part: Part, scope: Scope) -> Iterator[tuple[ast.expr, int]]:
    """What a slip could have replaced, with the rank of `Edit`: 0 likely, 2 only where nothing else helps."""
    node = part.node
    news: Iterable[tuple[ast.expr, int]] = ()
    if isinstance(node, ast.Constant):
        chooses = isinstance(part.holder, ast.Compare) and compares_words(part.holder)
        news = ((new, 2 if chooses else rank) for new, rank in _constants(node, scope))
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
        news = calls(node, scope)
    elif isinstance(node, ast.Name):
        news = chain(
            ((ast.Name(name, ast.Load()), 1) for name in _alike(node.id, scope)),
            ((ast.Name(name, ast.Load()), 2) for name in _of_the_type(node.id, scope)),
            ((ast.Subscript(node, ast.Name(name, ast.Load()), ast.Load()), 2) for name in _indices_for(node.id, scope)),
            ((ast.parse(f"{base}.{node.id}", mode="eval").body, 1) for base in _holders(node.id, scope)),
            _likely(_counted_otherwise(part, scope)),
        )
    elif isinstance(node, ast.Attribute):
        news = _attributes(part, scope)
    elif isinstance(node, ast.Subscript):
        news = subscripts(node, scope)
    elif isinstance(node, ast.Slice):
        news = _likely(slices(node))
    elif isinstance(node, ast.List | ast.Tuple):
        others = ((new, 1) for new in (*_as_neighbours(node), *_unpacked(node)))
        news = chain(_likely([*_repeated(node), *_reordered(node), *_indexed_as_neighbours(node)]), others)
    elif isinstance(node, ast.Dict):
        news = _likely(_values_exchanged(node))
    elif isinstance(node, ast.Starred) and isinstance(node.value, ast.Name):
        news = ((ast.Starred(shorter, ast.Load()), 1) for shorter in _without_an_end(node.value))
    yield from news


def _indices_for(name: str, scope: Scope) -> Iterator[str]:
    """Local names that could choose rows of a tensor or an array: they hold one dimension."""
    shaped = ("Tensor", "ndarray")
    rows = [other for other, kind in scope.kinds.items() if kind.startswith(shaped) and kind.endswith(",)")]
    return (other for other in rows if other != name and scope.kinds.get(name, "").startswith(shaped))


def _counted_otherwise(part: Part, scope: Scope) -> Iterator[ast.expr]:
    """A whole number that is compared, or whose remainder is taken, counted from one more or one less."""
    counts = isinstance(part.holder, ast.Compare) or (
        isinstance(part.holder, ast.BinOp) and isinstance(part.holder.op, ast.Mod) and part.name == "left"
    )
    if counts and isinstance(part.node, ast.Name) and scope.kinds.get(part.node.id) == "int":
        yield from (ast.BinOp(part.node, operator(), ast.Constant(1)) for operator in (ast.Add, ast.Sub))


def _likely(news: Iterable[ast.expr]) -> Iterator[tuple[ast.expr, int]]:
    return ((new, 0) for new in news)


def _alike(name: str, scope: Scope) -> Iterator[str]:
    """Other local names that held the same kind of thing."""
    kind = scope.kinds.get(name)
    return (other for other, its in scope.kinds.items() if its == kind and other != name)


def _of_the_type(name: str, scope: Scope) -> Iterator[str]:
    """Other local names that held tensors or arrays of another shape."""
    shaped = [other for other, kind in scope.kinds.items() if kind.startswith(("Tensor", "ndarray"))]
    its = scope.kinds.get(name)
    return (other for other in shaped if name in shaped and scope.kinds[other] != its)


def _holders(name: str, scope: Scope) -> Iterator[str]:
    """Local names, read with that attribute elsewhere in the file."""
    return (base for base, attributes in scope.attributes.items() if base in scope.kinds and name in attributes)


def _constants(node: ast.Constant, scope: Scope) -> Iterator[tuple[ast.expr, int]]:
    """Another constant, or what the function does not read though it is there for it.

    A constant that the reference has as well is less likely to be the wrong one.
    """
    value, words = node.value, scope.words
    kind = type(value).__name__
    if kind in ("int", "float"):
        yield from ((ast.Name(name, ast.Load()), 1) for name, its in scope.kinds.items() if its == kind)
    yield from ((ast.parse(unread, mode="eval").body, 0) for unread in scope.unread if not isinstance(value, str))
    if isinstance(value, bool):
        yield ast.Constant(not value), 0
    elif isinstance(value, int | float):
        whole = isinstance(value, int)
        rank = 1 if value in words.numbers else 0
        few = sum(words.numbers.values()) <= _FEW
        for number, lacking in words.numbers.items():
            if number != value and not (whole and isinstance(number, float)):
                likely = lacking and (few or abs(number - value) < _NEAR * abs(number))
                yield ast.Constant(number), rank + (not likely)
        if value and -value not in words.numbers:
            yield ast.UnaryOp(ast.USub(), ast.Constant(value)), rank
        others: list[float] = [value + 1, value - 1, 2 * value, 0, 1, 1 - value]
        others += [value // 2] if whole and value % 2 == 0 else [value / 2]
        for number in dict.fromkeys(others):
            if number != value and number not in words.numbers:
                yield ast.Constant(number), 1
    elif isinstance(value, str):
        few = sum(words.strings.values()) <= _FEW
        for word, lacking in words.strings.items():
            if word != value and (" " in word) == (" " in value):  # a name is no text
                akin = bool(_words_of(word) & _words_of(value))
                near = value not in words.strings and ((lacking and few) or akin)
                yield ast.Constant(word), 0 if near else 2


def _words_of(word: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", word))


def _attributes(part: Part, scope: Scope) -> Iterator[tuple[ast.expr, int]]:
    node = part.node
    assert isinstance(node, ast.Attribute)
    base = ast.unparse(node.value)
    # Another flag in a condition may help by accident: whatever it turns on or off, turning it over says more.
    rank = 2 if base in scope.modules or is_callee(part) or is_condition(part) else 1
    if is_callee(part) and node.attr.endswith("_"):  # in place where it should make something new
        yield ast.Attribute(node.value, node.attr.rstrip("_"), ast.Load()), 0
    for name in named_alike(scope.path, base, node.attr):
        yield ast.Attribute(node.value, name, ast.Load()), 1
    if node.attr in scope.kinds and not is_callee(part):
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
    by_one = isinstance(node.right, ast.Constant) and node.right.value == 1
    for operator in ARITHMETIC[:2] if by_one else ARITHMETIC:  # times one is what is left of it
        if not isinstance(node.op, operator):
            yield ast.BinOp(node.left, operator(), node.right), 0
    if not isinstance(node.op, ast.Add | ast.Mult):
        yield ast.BinOp(node.right, node.op, node.left), 0
    if isinstance(node.left, ast.BinOp) and not isinstance(node.left.op, type(node.op)):  # in the other order
        yield ast.BinOp(ast.BinOp(node.left.left, node.op, node.right), node.left.op, node.left.right), 0


def _comparisons(node: ast.Compare) -> Iterator[tuple[ast.expr, int]]:
    """Another comparison. Whether two things are equal is seldom meant to be their order, that of words never."""
    equality = isinstance(node.ops[0], _EQUALITY)
    word = compares_words(node)
    nearest = _BOUNDARY.get(type(node.ops[0]))
    for operator in sorted(_COMPARISONS, key=lambda one: one is not nearest):
        if not isinstance(node.ops[0], operator) and not (word and operator not in _EQUALITY):
            rank = 2 if word else int(equality != (operator in _EQUALITY))
            yield ast.Compare(node.left, [operator(), *node.ops[1:]], node.comparators), rank


def compares_words(node: ast.expr) -> bool:
    """Whether a comparison chooses by name: taking another way altogether helps wherever that way is right."""
    sides = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
    return any(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in sides)


def names_exchanged(value: ast.expr, scope: Scope) -> Iterator[ast.expr]:
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


def _repeated(node: ast.List | ast.Tuple) -> Iterator[ast.expr]:
    """One element twice."""
    for k in range(min(len(node.elts), 6)):
        yield type(node)([*node.elts[: k + 1], *node.elts[k:]], ast.Load())


def _unpacked(node: ast.List | ast.Tuple) -> Iterator[ast.expr]:
    """What one starred element is made of, alone."""
    return (element.value for element in node.elts if isinstance(element, ast.Starred))


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


def _indexed_as_neighbours(node: ast.List | ast.Tuple) -> Iterator[ast.expr]:
    """One element that is taken whole, indexed as another one is: `x[order], y` becomes `x[order], y[order]`."""
    indices = {ast.unparse(one.slice): one.slice for one in node.elts if isinstance(one, ast.Subscript)}
    for k, element in enumerate(node.elts):
        if isinstance(element, ast.Name | ast.Attribute):
            for index in indices.values():
                indexed = ast.Subscript(element, index, ast.Load())
                yield type(node)([*node.elts[:k], indexed, *node.elts[k + 1 :]], ast.Load())


def _without_an_end(name: ast.Name) -> Iterator[ast.expr]:
    yield ast.Subscript(name, ast.Slice(None, ast.Constant(-1)), ast.Load())
    yield ast.Subscript(name, ast.Slice(ast.Constant(1), None), ast.Load())
