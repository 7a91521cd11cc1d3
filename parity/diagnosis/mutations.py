"""The mutation operators: small changes of one statement that undo a slip, and how likely each slip is.

An operator of expressions takes a node, the part of the statement that it is, and its scope. It yields expressions that
may replace the node, each with a rank: 0 for a likely slip, 1 for a less likely one, 2 for a change to be made only
where nothing else helps. Its name, without the underscore, is its name in `parity.diagnosis.settings`.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cached_property, lru_cache
from itertools import combinations
from typing import Any, TypeGuard

from parity.diagnosis.settings import enabled
from parity.diagnosis.symbols import Scope, named_alike

__all__ = ["Edit", "Part", "added_terms", "mutations", "parts", "statement_mutations", "telling_constants", "wrappings"]

_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div)
_COMPARISONS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
_EQUALITY = (ast.Eq, ast.NotEq)
_BOUNDARY = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
_SIMPLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.Pass)
_BODIES = ("body", "orelse", "finalbody", "handlers")

_ARRAYS = ("Tensor", "ndarray")
_NUMERIC = ("float", "int", "Tensor", "Parameter", "ndarray")

_FEW = 6
"""Up to so many numbers, or strings, that only the reference has are each a likely replacement of any other."""

_NEAR = 0.1
"""How far, relatively, a likely number may lie from the one that it replaces."""

_ELEMENTS = 6
"""Elements of a sequence of which pairs are exchanged."""


@dataclass(frozen=True, eq=False)
class Edit:
    """One part of a syntax tree and what replaces it. `operator`: the name of the mutation operator."""

    holder: ast.AST
    name: str
    place: int | None
    new: Any
    line: int
    was: ast.AST
    becomes: ast.AST | None
    """What a reader is shown: mostly the part that is replaced, and `new`."""

    rank: int = 0
    operator: str = ""

    @cached_property
    def before(self) -> str:
        """The text that is changed."""
        return _on_one_line(self.was)

    @cached_property
    def after(self) -> str:
        """The text that replaces it."""
        return _on_one_line(self.becomes) if self.becomes is not None else "nothing"

    @property
    def size(self) -> int:
        """The amount of text that changes."""
        blocks = SequenceMatcher(None, self.before, self.after, autojunk=False).get_matching_blocks()
        return len(self.before) + len(self.after) - 2 * sum(block.size for block in blocks)

    @property
    def first_line(self) -> int:
        """The line to show: of a call over several lines, that of the first argument that changes."""
        if isinstance(self.was, ast.Call) and isinstance(self.becomes, ast.Call):
            given, then = ([*c.args, *(k.value for k in c.keywords)] for c in (self.was, self.becomes))
            if ast.dump(self.was.func) == ast.dump(self.becomes.func):
                changed = (old.lineno for old, new in zip(given, then, strict=False) if ast.dump(old) != ast.dump(new))
                return next(changed, self.line)
        return self.line

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Make the change in the tree for as long as the context lasts."""
        _locate_like(self.new, self.was)
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
    """An expression and its position: the field of its holder, and the index in it if that is a list."""

    holder: ast.AST
    name: str
    place: int | None
    node: ast.expr

    def into(self, new: ast.expr | None, rank: int = 0, operator: str = "") -> Edit:
        """The edit that puts `new` there."""
        return Edit(self.holder, self.name, self.place, new, self.node.lineno, self.node, new, rank, operator)

    @property
    def is_condition(self) -> bool:
        """True if it is tested for truth."""
        return self.name == "test" or isinstance(self.holder, ast.BoolOp | ast.UnaryOp)

    @property
    def is_callee(self) -> bool:
        """True if it is the function of a call."""
        return isinstance(self.holder, ast.Call) and self.name == "func"


def parts(statement: ast.stmt) -> Iterator[Part]:
    """Yield every expression that a statement reads, without those of the statements inside it."""

    def inside(holder: ast.AST) -> Iterator[Part]:
        for name, value in ast.iter_fields(holder):
            if isinstance(holder, ast.stmt) and name in (*_BODIES, "decorator_list"):
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


def mutations(statement: ast.stmt, scope: Scope) -> Iterator[Edit]:
    """Yield the edits that keep the statement's shape: another number, name, operator, order; a part left out."""
    for operator in _STATEMENT_OPERATORS:
        name = operator.__name__.removeprefix("_")
        if enabled(name):
            yield from (replace(edit, operator=name) for edit in operator(statement, scope))
    for part in parts(statement):
        yield from _mutations_of(part, scope)


def _mutations_of(part: Part, scope: Scope) -> Iterator[Edit]:
    # Another word in a comparison with a word selects another path altogether, which helps wherever that one is right.
    chooses = isinstance(part.node, ast.Constant) and _compares_words(part.holder)
    for nodes, operator in _EXPRESSION_OPERATORS:
        name = operator.__name__.removeprefix("_")
        if isinstance(part.node, nodes) and enabled(name):
            for new, rank in operator(part.node, part, scope):
                yield part.into(new, 2 if chooses else rank, name)


def wrappings(statement: ast.stmt, scope: Scope) -> Iterator[Edit]:
    """Yield the edits that put something around an expression: a factor, a sign, a root, a square, a shift, a call."""
    for part in parts(statement):
        if _has_value(part, scope):
            for operator in _WRAPPING_OPERATORS:
                name = operator.__name__.removeprefix("_")
                if enabled(name):
                    yield from (part.into(new, 0, name) for new in operator(part.node, scope))


def added_terms(statement: ast.stmt, scope: Scope) -> Iterator[Edit]:
    """Yield the edits that add a term or factor, which the function or its object has at hand, to what is computed."""
    if not enabled("added_terms"):
        return
    numeric = [name for name, kind in scope.kinds.items() if kind.startswith(_NUMERIC)]
    own = [f"self.{name}" for name in scope.attributes.get("self", ())] if "self" in scope.kinds else []
    for part in parts(statement):
        computed = isinstance(part.node, ast.BinOp) and not isinstance(part.holder, ast.BinOp)
        whole = computed or part.holder is statement or isinstance(part.holder, ast.Tuple)
        if whole and not isinstance(part.node, ast.Tuple | ast.Constant) and _has_value(part, scope):
            text = ast.unparse(part.node)
            for name in (name for name in [*numeric, *own] if name not in text):
                at_hand = ast.parse(name, mode="eval").body
                for operator in _ARITHMETIC:
                    yield part.into(ast.BinOp(part.node, operator(), at_hand), 2, "added_terms")


def telling_constants(statement: ast.stmt, scope: Scope) -> Iterator[tuple[int, Edit]]:
    """Yield the edits of constants that the texts of both sides speak for, each with an order.

    0: a number that the candidate lacks for a near one that the reference lacks, or a setting that nothing reads for
    any constant. 1: one of a few such numbers for any other.
    """
    few = 0 < sum(scope.tokens.numbers.values()) <= _FEW
    keyed = any("[" in name for name in scope.unread)
    for part in parts(statement):
        odd = _is_number(part.node) and part.node.value not in scope.tokens.numbers
        if isinstance(part.node, ast.Constant) and (odd or few or keyed):
            for edit in _mutations_of(part, scope):
                order = _how_telling(part.node, edit.new, scope, odd=odd, few=few)
                if order is not None:
                    yield order, edit


def _how_telling(was: ast.Constant, new: ast.expr, scope: Scope, *, odd: bool, few: bool) -> int | None:
    if isinstance(new, ast.Subscript):
        return 0 if not isinstance(was.value, str | bytes) and ast.unparse(new) in scope.unread else None
    if not _is_number(was) or not _is_number(new) or not scope.tokens.numbers.get(new.value, False):
        return None
    if odd and abs(new.value - was.value) < _NEAR * abs(new.value):
        return 0
    return 1 if few else None


# Operators of expressions. Their order is that in which changes of equal rank are tried.

_Proposals = Iterator[tuple[ast.expr, int]]
"""Expressions that may replace a part, each with its rank."""

_Operator = Callable[[Any, Part, Scope], _Proposals]
_EXPRESSION_OPERATORS: list[tuple[tuple[type[ast.AST], ...], _Operator]] = []


def _of(*nodes: type[ast.AST]) -> Callable[[_Operator], _Operator]:
    """Register an operator for expressions of these types."""

    def register(operator: _Operator) -> _Operator:
        _EXPRESSION_OPERATORS.append((nodes, operator))
        return operator

    return register


@_of(ast.Constant)
def _names_for_constants(node: ast.Constant, _part: Part, scope: Scope) -> _Proposals:
    kind = type(node.value).__name__
    if kind in ("int", "float"):
        yield from ((_name(name), 1) for name, its in scope.kinds.items() if its == kind)


@_of(ast.Constant)
def _unread_for_constants(node: ast.Constant, _part: Part, scope: Scope) -> _Proposals:
    if not isinstance(node.value, str):
        yield from ((_parsed(unread), 0) for unread in scope.unread)


@_of(ast.Constant)
def _booleans(node: ast.Constant, _part: Part, _scope: Scope) -> _Proposals:
    if isinstance(node.value, bool):
        yield ast.Constant(not node.value), 0


@_of(ast.Constant)
def _reference_numbers(node: ast.Constant, _part: Part, scope: Scope) -> _Proposals:
    """A number of the reference's. A constant that the reference has as well is less likely to be the wrong one."""
    if _is_number(node):
        value, numbers = node.value, scope.tokens.numbers
        few = sum(numbers.values()) <= _FEW
        for number, lacking in numbers.items():
            if number != value and not (isinstance(value, int) and isinstance(number, float)):
                likely = lacking and (few or abs(number - value) < _NEAR * abs(number))
                yield ast.Constant(number), int(value in numbers) + (not likely)


@_of(ast.Constant)
def _near_numbers(node: ast.Constant, _part: Part, scope: Scope) -> _Proposals:
    if _is_number(node):
        value, numbers = node.value, scope.tokens.numbers
        if value and -value not in numbers:
            yield ast.UnaryOp(ast.USub(), ast.Constant(value)), int(value in numbers)
        half = value // 2 if isinstance(value, int) and value % 2 == 0 else value / 2
        for number in dict.fromkeys([value + 1, value - 1, 2 * value, 0, 1, 1 - value, half]):
            if number != value and number not in numbers:
                yield ast.Constant(number), 1


@_of(ast.Constant)
def _reference_strings(node: ast.Constant, _part: Part, scope: Scope) -> _Proposals:
    value = node.value
    if isinstance(value, str):
        few = sum(scope.tokens.strings.values()) <= _FEW
        for word, lacking in scope.tokens.strings.items():
            if word != value and (" " in word) == (" " in value):  # a name does not replace a text
                akin = bool(_words_in(word) & _words_in(value))
                near = value not in scope.tokens.strings and ((lacking and few) or akin)
                yield ast.Constant(word), 0 if near else 2


@_of(ast.BinOp)
def _left_out_operands(node: ast.BinOp, _part: Part, _scope: Scope) -> _Proposals:
    for kept, dropped in ((node.left, node.right), (node.right, node.left)):
        yield kept, int(isinstance(dropped, ast.BinOp))


@_of(ast.BinOp)
def _arithmetic(node: ast.BinOp, _part: Part, _scope: Scope) -> _Proposals:
    by_one = isinstance(node.right, ast.Constant) and node.right.value == 1
    for operator in _ARITHMETIC[:2] if by_one else _ARITHMETIC:  # times 1 is the same as the operand alone
        if not isinstance(node.op, operator):
            yield ast.BinOp(node.left, operator(), node.right), 0


@_of(ast.BinOp)
def _exchanged_operands(node: ast.BinOp, _part: Part, _scope: Scope) -> _Proposals:
    if not isinstance(node.op, ast.Add | ast.Mult):
        yield ast.BinOp(node.right, node.op, node.left), 0


@_of(ast.BinOp)
def _regrouped_operands(node: ast.BinOp, _part: Part, _scope: Scope) -> _Proposals:
    if isinstance(node.left, ast.BinOp) and not isinstance(node.left.op, type(node.op)):
        yield ast.BinOp(ast.BinOp(node.left.left, node.op, node.right), node.left.op, node.left.right), 0


@_of(ast.UnaryOp)
def _signs(node: ast.UnaryOp, _part: Part, _scope: Scope) -> _Proposals:
    yield node.operand, 0


@_of(ast.Compare)
def _comparisons(node: ast.Compare, _part: Part, _scope: Scope) -> _Proposals:
    """Another comparison. An equality is seldom meant to be an order; of words it never is."""
    equality, word = isinstance(node.ops[0], _EQUALITY), _compares_words(node)
    nearest = _BOUNDARY.get(type(node.ops[0]))
    for operator in sorted(_COMPARISONS, key=lambda one: one is not nearest):
        if not isinstance(node.ops[0], operator) and not (word and operator not in _EQUALITY):
            rank = 2 if word else int(equality != (operator in _EQUALITY))
            yield ast.Compare(node.left, [operator(), *node.ops[1:]], node.comparators), rank


@_of(ast.BoolOp, ast.IfExp)
def _branches(node: ast.BoolOp | ast.IfExp, _part: Part, _scope: Scope) -> _Proposals:
    """One part of a condition, or one branch of a conditional expression."""
    if isinstance(node, ast.BoolOp):
        yield from ((value, 2) for value in node.values)
    if isinstance(node, ast.IfExp):
        yield from ((value, 1) for value in (node.body, node.orelse))


@_of(ast.Call)
def _exchanged_arguments(node: ast.Call, _part: Part, _scope: Scope) -> _Proposals:
    for elements in _exchanged(node.args, len(node.args)):
        yield ast.Call(node.func, elements, node.keywords), 0


@_of(ast.Call)
def _left_out_arguments(node: ast.Call, _part: Part, _scope: Scope) -> _Proposals:
    if len(node.args) > 1:
        yield ast.Call(node.func, node.args[:-1], node.keywords), 1


@_of(ast.Call)
def _exchanged_keywords(node: ast.Call, _part: Part, _scope: Scope) -> _Proposals:
    """Keyword arguments are computed in the order in which they stand."""
    for k in range(len(node.keywords) - 1):
        pair = node.keywords[k : k + 2]
        if all(any(isinstance(inner, ast.Call) for inner in ast.walk(keyword.value)) for keyword in pair):
            yield ast.Call(node.func, node.args, [*node.keywords[:k], *pair[::-1], *node.keywords[k + 2 :]]), 0


@_of(ast.Call)
def _names_for_arguments(node: ast.Call, _part: Part, scope: Scope) -> _Proposals:
    names = [name for name, kind in scope.kinds.items() if kind.startswith(_ARRAYS)]
    for k, argument in enumerate(node.args):
        if isinstance(argument, ast.Call | ast.BinOp | ast.Subscript):
            for name in names:
                yield ast.Call(node.func, [*node.args[:k], _name(name), *node.args[k + 1 :]], node.keywords), 2


@_of(ast.Call)
def _unread_arguments(node: ast.Call, _part: Part, scope: Scope) -> _Proposals:
    given = {keyword.arg for keyword in node.keywords}
    for unread in scope.unread:
        if unread.isidentifier() and unread not in given:
            yield ast.Call(node.func, node.args, [*node.keywords, ast.keyword(unread, _name(unread))]), 1


@_of(ast.Call)
def _left_out_calls(node: ast.Call, _part: Part, _scope: Scope) -> _Proposals:
    if isinstance(node.func, ast.Attribute):
        yield node.func.value, 0
    else:
        yield from ((argument, 0) for argument in node.args[:1])


@_of(ast.Call)
def _reference_methods(node: ast.Call, _part: Part, scope: Scope) -> _Proposals:
    if isinstance(node.func, ast.Attribute):
        for other in scope.tokens.verbs.values():
            assert isinstance(other.func, ast.Attribute)
            if other.func.attr != node.func.attr:
                yield _method_like(node.func.value, other), 1


@_of(ast.Call)
def _reference_functions(node: ast.Call, _part: Part, scope: Scope) -> _Proposals:
    tokens = scope.tokens
    called = ast.unparse(node.func)
    if isinstance(node.func, ast.Attribute):
        if called.partition(".")[0] not in scope.modules:
            return
        for other, more in tokens.of_modules.items():
            if other.partition(".")[0] in scope.modules and other != called:
                yield ast.Call(_parsed(other), node.args, node.keywords), 0 if more > 0 else 2
        rank = 1
    else:
        rank = 2 if called in tokens.functions else 1
    for other in sorted(tokens.functions.keys() & scope.names):
        if other != called:
            yield ast.Call(_name(other), node.args, node.keywords), rank


@_of(ast.Call)
def _left_out_keywords(node: ast.Call, _part: Part, scope: Scope) -> _Proposals:
    for k, keyword in enumerate(node.keywords):
        unknown = keyword.arg is not None and keyword.arg not in scope.tokens.named
        yield ast.Call(node.func, node.args, node.keywords[:k] + node.keywords[k + 1 :]), 0 if unknown else 1


@_of(ast.Call)
def _added_keywords(node: ast.Call, _part: Part, scope: Scope) -> _Proposals:
    given = {keyword.arg for keyword in node.keywords}
    callee = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    for keyword in (*scope.tokens.keywords, *scope.keywords, *scope.flags.get(callee, ())):
        if keyword.arg not in given:
            yield ast.Call(node.func, node.args, [*node.keywords, keyword]), 1


@_of(ast.Name)
def _alike_names(node: ast.Name, _part: Part, scope: Scope) -> _Proposals:
    name = node.id
    kind = scope.kinds.get(name)
    yield from ((_name(other), 1) for other, its in scope.kinds.items() if its == kind and other != name)


@_of(ast.Name)
def _other_arrays(node: ast.Name, _part: Part, scope: Scope) -> _Proposals:
    arrays = [other for other, kind in scope.kinds.items() if kind.startswith(_ARRAYS)]
    if node.id in arrays:
        kind = scope.kinds[node.id]
        yield from ((_name(other), 2) for other in arrays if scope.kinds[other] != kind)


@_of(ast.Name)
def _indexed_names(node: ast.Name, _part: Part, scope: Scope) -> _Proposals:
    """An array of one dimension may select rows of another."""
    if scope.kinds.get(node.id, "").startswith(_ARRAYS):
        rows = [other for other, kind in scope.kinds.items() if kind.startswith(_ARRAYS) and kind.endswith(",)")]
        for other in (other for other in rows if other != node.id):
            yield ast.Subscript(node, _name(other), ast.Load()), 2


@_of(ast.Name)
def _attributes_for_names(node: ast.Name, _part: Part, scope: Scope) -> _Proposals:
    for base, attributes in scope.attributes.items():
        if base in scope.kinds and node.id in attributes:
            yield _parsed(f"{base}.{node.id}"), 1


@_of(ast.Name)
def _counted_from(node: ast.Name, part: Part, scope: Scope) -> _Proposals:
    holder = part.holder
    remainder = isinstance(holder, ast.BinOp) and isinstance(holder.op, ast.Mod) and part.name == "left"
    if (isinstance(holder, ast.Compare) or remainder) and scope.kinds.get(node.id) == "int":
        yield from ((_plus(node, step), 0) for step in (1, -1))


@_of(ast.Attribute)
def _in_place(node: ast.Attribute, part: Part, _scope: Scope) -> _Proposals:
    if part.is_callee and node.attr.endswith("_"):
        yield ast.Attribute(node.value, node.attr.rstrip("_"), ast.Load()), 0


@_of(ast.Attribute)
def _alike_functions(node: ast.Attribute, _part: Part, scope: Scope) -> _Proposals:
    for name in named_alike(scope.path, ast.unparse(node.value), node.attr):
        yield ast.Attribute(node.value, name, ast.Load()), 1


@_of(ast.Attribute)
def _names_for_attributes(node: ast.Attribute, part: Part, scope: Scope) -> _Proposals:
    if node.attr in scope.kinds and not part.is_callee:
        yield _name(node.attr), 0


@_of(ast.Attribute)
def _used_attributes(node: ast.Attribute, part: Part, scope: Scope) -> _Proposals:
    base = ast.unparse(node.value)
    # Another flag in a condition may help by accident: it turns on or off whatever the right one does.
    rank = 2 if base in scope.modules or part.is_callee or part.is_condition else 1
    for name in scope.attributes.get(base, ()):
        if name != node.attr:
            yield ast.Attribute(node.value, name, ast.Load()), rank


@_of(ast.Attribute)
def _declared_fields(node: ast.Attribute, _part: Part, scope: Scope) -> _Proposals:
    base = ast.unparse(node.value)
    for name in scope.fields.get(scope.kinds.get(base, ""), ()):
        if name not in scope.attributes.get(base, ()):
            akin = set(name.split("_")) & set(node.attr.split("_"))
            yield ast.Attribute(node.value, name, ast.Load()), 1 if akin else 2


@_of(ast.Subscript)
def _indices(node: ast.Subscript, _part: Part, scope: Scope) -> _Proposals:
    yield node.value, 0
    if not isinstance(node.slice, ast.Slice | ast.Tuple):
        yield from ((ast.Subscript(node.value, _plus(node.slice, step), ast.Load()), 0) for step in (1, -1))
    for name, kind in scope.kinds.items():
        if kind.startswith((*_ARRAYS, "int", "slice")) and name != ast.unparse(node.slice):
            yield ast.Subscript(node.value, _name(name), ast.Load()), 1
    yield from ((ast.Constant(number), 2) for number in (0.0, 1.0))


@_of(ast.Slice)
def _slices(node: ast.Slice, _part: Part, _scope: Scope) -> _Proposals:
    lower, upper, step = node.lower, node.upper, node.step
    found = [ast.Slice(other, upper, step) for other in _bounds(lower)]
    found += [ast.Slice(lower, other, step) for other in _bounds(upper)]
    if lower is not None or upper is not None:
        later, further = (_plus(bound, 1) if bound else None for bound in (lower, upper))
        found += [ast.Slice(upper, lower, step), ast.Slice(), ast.Slice(lower, None, step)]
        found += [ast.Slice(later, further, step)]
    if isinstance(lower, ast.UnaryOp) and upper is None:  # as many from the other end
        found.append(ast.Slice(None, lower.operand, step))
    if lower is None and upper is not None:
        found.append(ast.Slice(ast.UnaryOp(ast.USub(), upper), None, step))
    yield from ((new, 0) for new in found)


@_of(ast.List, ast.Tuple)
def _repeated_elements(node: ast.List | ast.Tuple, _part: Part, _scope: Scope) -> _Proposals:
    elements = node.elts
    for k in range(min(len(elements), _ELEMENTS)):
        yield _sequence(node, [*elements[: k + 1], *elements[k:]]), 0


@_of(ast.List, ast.Tuple)
def _exchanged_elements(node: ast.List | ast.Tuple, _part: Part, _scope: Scope) -> _Proposals:
    yield from ((_sequence(node, elements), 0) for elements in _exchanged(node.elts))


@_of(ast.List, ast.Tuple)
def _indexed_elements(node: ast.List | ast.Tuple, _part: Part, _scope: Scope) -> _Proposals:
    """`x[order], y` becomes `x[order], y[order]`."""
    elements = node.elts
    indices = {ast.unparse(one.slice): one.slice for one in elements if isinstance(one, ast.Subscript)}
    for k, element in enumerate(elements):
        if isinstance(element, ast.Name | ast.Attribute):
            for index in indices.values():
                indexed = ast.Subscript(element, index, ast.Load())
                yield _sequence(node, [*elements[:k], indexed, *elements[k + 1 :]]), 0


@_of(ast.List, ast.Tuple)
def _treated_elements(node: ast.List | ast.Tuple, _part: Part, _scope: Scope) -> _Proposals:
    """`x.view(-1), y` becomes `x.view(-1), y.view(-1)`."""
    elements = node.elts
    for k, element in enumerate(elements):
        for other in elements:
            if other is not element and isinstance(other, ast.Call) and isinstance(other.func, ast.Attribute):
                treated = _method_like(element, other)
                yield _sequence(node, [*elements[:k], treated, *elements[k + 1 :]]), 1


@_of(ast.List, ast.Tuple)
def _unpacked_elements(node: ast.List | ast.Tuple, _part: Part, _scope: Scope) -> _Proposals:
    yield from ((element.value, 1) for element in node.elts if isinstance(element, ast.Starred))


@_of(ast.Dict)
def _exchanged_values(node: ast.Dict, _part: Part, _scope: Scope) -> _Proposals:
    yield from ((ast.Dict(node.keys, values), 0) for values in _exchanged(node.values))


@_of(ast.Starred)
def _shortened_elements(node: ast.Starred, _part: Part, _scope: Scope) -> _Proposals:
    name = node.value
    if isinstance(name, ast.Name):
        for kept in (ast.Slice(None, ast.Constant(-1)), ast.Slice(ast.Constant(1), None)):
            yield ast.Starred(ast.Subscript(name, kept, ast.Load()), ast.Load()), 1


# Operators of statements.


def _exchanged_names(statement: ast.stmt, scope: Scope) -> Iterator[Edit]:
    value = getattr(statement, "value", None)
    if not isinstance(value, ast.expr):
        return
    used = {node.id: None for node in ast.walk(value) if isinstance(node, ast.Name) and node.id in scope.kinds}
    for one, other in combinations(used, 2):
        if scope.kinds[one] == scope.kinds[other]:
            new = copy.deepcopy(value)
            for node in ast.walk(new):
                if isinstance(node, ast.Name) and node.id in (one, other):
                    node.id = other if node.id == one else one
            yield Part(statement, "value", None, value).into(new)


def _conditions(statement: ast.stmt, _: Scope) -> Iterator[Edit]:
    if isinstance(statement, ast.If | ast.While):
        part = Part(statement, "test", None, statement.test)
        rank = 2 if _compares_words(statement.test) else 0
        if not isinstance(statement.test, ast.UnaryOp):  # leaving it out says the same
            yield part.into(ast.UnaryOp(ast.Not(), statement.test), rank)
        if isinstance(statement, ast.If):
            yield part.into(ast.Constant(True), rank)
            yield part.into(ast.Constant(False), rank)


def _augmented(statement: ast.stmt, _: Scope) -> Iterator[Edit]:
    if isinstance(statement, ast.AugAssign):
        for operator in _ARITHMETIC:
            if not isinstance(statement.op, operator):
                whole = ast.AugAssign(statement.target, statement.op, statement.value)
                other = ast.AugAssign(statement.target, operator(), statement.value)
                yield Edit(statement, "op", None, operator(), statement.lineno, whole, other)


def _accumulated(statement: ast.stmt, scope: Scope) -> Iterator[Edit]:
    """`start = n` becomes `start = start + n`."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
        name = statement.targets[0].id
        if scope.kinds.get(name) in ("int", "float"):
            part = Part(statement, "value", None, statement.value)
            for operator in (ast.Add, ast.Sub):
                yield part.into(ast.BinOp(_name(name), operator(), statement.value), 1)


def _left_out_statements(statement: ast.stmt, _: Scope) -> Iterator[Edit]:
    if isinstance(statement, ast.Expr):
        yield Part(statement, "value", None, statement.value).into(ast.Constant(None))


def _chained_in_place(statement: ast.stmt, scope: Scope) -> Iterator[Edit]:
    """`x.exp_()` becomes `x.exp_().mul_(variance)`."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr.endswith("_"):
        part = Part(statement, "value", None, call)
        for name in (name for name, kind in scope.kinds.items() if kind.startswith(_NUMERIC)):
            for verb in ("mul_", "add_", "sub_", "div_"):
                yield part.into(ast.Call(ast.Attribute(call, verb, ast.Load()), [_name(name)], []), 1)


def _exchanged_targets(statement: ast.stmt, _: Scope) -> Iterator[Edit]:
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    if targets and isinstance(targets[0], ast.Tuple):
        for elements in _exchanged(targets[0].elts):
            new = ast.Tuple(elements, ast.Store())
            yield Edit(statement, "targets", 0, new, statement.lineno, targets[0], new)


_STATEMENT_OPERATORS: tuple[Callable[[ast.stmt, Scope], Iterator[Edit]], ...] = (
    _exchanged_names,
    _conditions,
    _augmented,
    _accumulated,
    _left_out_statements,
    _chained_in_place,
    _exchanged_targets,
)


# Operators that put something around an expression.


def _wrapped(node: ast.expr, _: Scope) -> Iterator[ast.expr]:
    two, one = ast.Constant(2), ast.Constant(1)
    yield ast.BinOp(two, ast.Mult(), node)
    yield ast.BinOp(node, ast.Div(), two)
    yield ast.UnaryOp(ast.USub(), node)
    yield ast.BinOp(node, ast.Pow(), ast.Constant(0.5))
    yield ast.BinOp(node, ast.Pow(), two)
    yield ast.BinOp(node, ast.Add(), one)
    yield ast.BinOp(node, ast.Sub(), one)
    yield ast.BinOp(one, ast.Sub(), node)


def _small_numbers(node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    for number in scope.tokens.numbers:
        if 0 < abs(number) < 1e-3:
            yield ast.BinOp(node, ast.Add(), ast.Constant(number))


def _wrapped_unread(node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    for unread in scope.unread:
        term = _parsed(unread)
        yield from (ast.BinOp(node, operator(), term) for operator in _ARITHMETIC)
        yield from (ast.BoolOp(operator(), [term, node]) for operator in (ast.And, ast.Or))


def _wrapped_functions(node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    for name, more in scope.tokens.of_modules.items():
        if more > 0 and name.partition(".")[0] in scope.modules:
            yield ast.Call(_parsed(name), [node], [])


def _wrapped_methods(node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    yield from (_method_like(node, call) for call in scope.tokens.methods.values())


_WRAPPING_OPERATORS: tuple[Callable[[ast.expr, Scope], Iterator[ast.expr]], ...] = (
    _wrapped,
    _small_numbers,
    _wrapped_unread,
    _wrapped_functions,
    _wrapped_methods,
)


# Operators of the order and number of statements.


def statement_mutations(tree: ast.Module, statement: ast.stmt, scope: Scope) -> Iterator[Edit]:
    """Yield the statement exchanged with the next one, and missing calls put before and after it.

    A call is missing if the reference has it as a statement of its own and the candidate less often, if nothing in
    the folder calls that function, or if the function around calls another method of the object with the same.
    """
    home = _homes(tree).get(statement)
    if home is None:
        return
    holder, name, place = home
    body: list[ast.stmt] = getattr(holder, name)
    after = body[place + 1] if place + 1 < len(body) else None
    if isinstance(statement, _SIMPLE) and isinstance(after, _SIMPLE) and enabled("exchanged_statements"):
        yield _rewritten(home, body, place, place + 2, [after, statement], "exchanged_statements")
    for operator, call in _missing_calls(tree, statement, scope):
        if not enabled(operator):
            continue
        new = ast.Expr(call)
        for part in ast.walk(new):
            if "lineno" in part._attributes:
                ast.copy_location(part, statement)
        if isinstance(statement, ast.Pass):  # an empty body is the likeliest to lack something
            yield Edit(holder, name, place, new, statement.lineno, statement, new, operator=operator)
            continue
        yield _rewritten(home, body, place, place, [new], operator)
        if after is None:
            yield _rewritten(home, body, place + 1, place + 1, [new], operator)


_Home = tuple[ast.AST, str, int]


def _rewritten(home: _Home, body: list[ast.stmt], start: int, end: int, new: list[ast.stmt], operator: str) -> Edit:
    holder, name, place = home
    shown = body[start:end] or [body[place]]
    then = new if end > start else [*new, *shown] if start == place else [*shown, *new]
    was, becomes = (ast.Module([*map(_first_line, some)], []) for some in (shown, then))
    return Edit(holder, name, None, [*body[:start], *new, *body[end:]], body[place].lineno, was, becomes, 1, operator)


def _first_line(statement: ast.stmt) -> ast.stmt:
    """Return a statement without the statements in it."""
    if not hasattr(statement, "body"):
        return statement
    short = copy.copy(statement)
    for name in set(_BODIES) & set(short._fields):
        setattr(short, name, [ast.Expr(ast.Constant(...))] if name == "body" else [])
    return short


@lru_cache(maxsize=256)
def _homes(tree: ast.Module) -> dict[ast.AST, _Home]:
    """Map each statement of a function to the list that holds it: node, field and index."""
    found: dict[ast.AST, _Home] = {}
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            statements = getattr(node, name, None)
            if isinstance(statements, list) and not isinstance(node, ast.Module | ast.ClassDef):
                found.update((one, (node, name, k)) for k, one in enumerate(statements))
    return found


def _missing_calls(tree: ast.Module, statement: ast.stmt, scope: Scope) -> Iterator[tuple[str, ast.Call]]:
    whole = [name for name, kind in scope.kinds.items() if kind == "int"]
    for call in scope.tokens.statements.values():
        text = ast.unparse(call.func)
        if text.partition(".")[0] in scope.modules:  # it seeds, or sets something
            for name in whole:
                yield "added_seeding", ast.Call(copy.deepcopy(call.func), [_name(name)], [])
            if all(isinstance(argument, ast.Constant) for argument in call.args):
                yield "added_seeding", copy.deepcopy(call)
        elif isinstance(call.func, ast.Attribute) and not call.args and not call.keywords:
            for owner in _owners(scope):
                yield "added_methods", ast.Call(ast.Attribute(owner, call.func.attr, ast.Load()), [], [])
    without_arguments = {n.name for n in tree.body if isinstance(n, ast.FunctionDef) and not n.args.args}
    for name in sorted(scope.uncalled & without_arguments):
        yield "uncalled_functions", ast.Call(_name(name), [], [])
    beside_it = [*_method_calls_around(tree, statement)]
    called = {call.func.attr for call in beside_it if isinstance(call.func, ast.Attribute)}
    for beside in beside_it:
        assert isinstance(beside.func, ast.Attribute)
        for name in sorted(scope.methods.get(beside.func.attr, frozenset()) - called):
            method = ast.Attribute(beside.func.value, name, ast.Load())
            yield "neighbouring_methods", copy.deepcopy(ast.Call(method, beside.args, beside.keywords))


def _owners(scope: Scope) -> Iterator[ast.expr]:
    """Yield what may have a method: local names, and attributes of the object."""
    yield from (_name(name) for name in scope.kinds)
    for name in scope.attributes.get("self", ()) if "self" in scope.kinds else ():
        yield ast.Attribute(_name("self"), name, ast.Load())


def _method_calls_around(tree: ast.Module, statement: ast.stmt) -> Iterator[ast.Call]:
    """Yield the calls of methods that are statements of the same function."""
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.lineno <= statement.lineno <= (node.end_lineno or node.lineno)
    ]
    for node in ast.walk(around[-1]) if around else ():
        call = node.value if isinstance(node, ast.Expr) else None
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            yield call


# Parts of syntax trees.


class _Number(ast.Constant):
    """A constant that is a number, for the type checker."""

    value: float


def _is_number(node: ast.AST) -> TypeGuard[_Number]:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool)


def _sequence(node: ast.List | ast.Tuple, elements: list[ast.expr]) -> ast.expr:
    return type(node)(elements, ast.Load())


def _name(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _plus(node: ast.expr, step: int) -> ast.expr:
    return ast.BinOp(node, ast.Add() if step > 0 else ast.Sub(), ast.Constant(abs(step)))


def _method_like(owner: ast.expr, call: ast.Call) -> ast.expr:
    """Return a call of the owner's method of that name with the same arguments."""
    assert isinstance(call.func, ast.Attribute)
    method = ast.Attribute(owner, call.func.attr, ast.Load())
    return ast.Call(method, copy.deepcopy(call.args), copy.deepcopy(call.keywords))


def _exchanged(elements: list[ast.expr], most: int = _ELEMENTS) -> Iterator[list[ast.expr]]:
    """Yield the elements with two of the first `most` exchanged."""
    for first, second in combinations(range(min(len(elements), most)), 2):
        swapped = list(elements)
        swapped[first], swapped[second] = swapped[second], swapped[first]
        yield swapped


def _bounds(bound: ast.expr | None) -> tuple[ast.expr | None, ...]:
    if bound is None:
        return ast.Constant(1), ast.Constant(-1)
    return None, _plus(bound, 1), _plus(bound, -1)


def _words_in(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", text))


def _compares_words(node: ast.AST) -> bool:
    """True for a comparison with a string."""
    sides = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
    return any(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in sides)


def _has_value(part: Part, scope: Scope) -> bool:
    """True if a part may hold a number to compute with, as far as can be seen."""
    node, holder = part.node, part.holder
    if isinstance(node, ast.Constant | ast.Slice | ast.Tuple | ast.List | ast.Dict | ast.Compare | ast.JoinedStr):
        return False
    if isinstance(node, ast.Name) and not scope.kinds.get(node.id, "").startswith(_NUMERIC):
        return False
    of_object = isinstance(holder, ast.Attribute) and not isinstance(node, ast.BinOp)
    return not (of_object or isinstance(holder, ast.FormattedValue) or _compares_words(holder) or part.is_callee)


def _on_one_line(tree: ast.AST) -> str:
    text = ast.unparse(tree).replace(":\n    ", ": ")
    return "; ".join(text.splitlines())


def _locate_like(new: Any, old: ast.AST) -> None:
    """Give new nodes the position of the old one; nodes that have a position keep it."""
    if isinstance(new, ast.AST) and not hasattr(new, "lineno"):
        if "lineno" in new._attributes:
            ast.copy_location(new, old)
        for part in ast.iter_child_nodes(new):
            _locate_like(part, old)
