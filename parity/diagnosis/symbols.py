"""Collect what mutations are made of: tokens of the reference's executed lines, symbols of a file and its folder, names
in the scope of a statement."""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path
from typing import TypeGuard

from parity.diagnosis.location import SourceLocation, location_at

__all__ = [
    "Kinds",
    "Scope",
    "Tokens",
    "definition_at",
    "named_alike",
    "reference_tokens",
    "scope_of",
    "statement_at",
    "surroundings",
    "tree_of",
]

_STARTED = re.compile("main$|tests?(_|$)").match
"""Matches names of functions that tools and people start: nothing has to call them."""

_SHORTEST = 4
"""Letters of a name that counts as part of another one."""

_AKIN = 6
"""Functions of a module that are tried for one with a similar name."""

_FILES = 100
"""Files of a folder that are read."""

Kinds = Mapping[tuple[str, str], Mapping[str, str]]
"""By file and function, the type and shape of the object that each local name held."""


@dataclass(frozen=True)
class Tokens:
    """Tokens that the reference uses, some of which the candidate may lack."""

    numbers: dict[float, bool] = field(default_factory=dict)
    """Each number, with True if the candidate's executed lines lack it."""

    strings: dict[str, bool] = field(default_factory=dict)
    """Each string, with True if the candidate's lack it."""

    functions: dict[str, None] = field(default_factory=dict)
    """Names that are called as functions."""

    methods: dict[str, ast.Call] = field(default_factory=dict)
    """Method calls that the candidate lacks and whose arguments are all constants, by their text after the object:
    `.clamp(-1.0, 1.0)`.
    """

    verbs: dict[str, ast.Call] = field(default_factory=dict)
    """All such calls, those that the candidate has included."""

    of_modules: Counter[str] = field(default_factory=Counter)
    """Functions called by a dotted name (`torch.randperm`), with how many more calls there are than the candidate's."""

    keywords: list[ast.keyword] = field(default_factory=list)
    """Constants given by keyword, under names that the candidate's calls lack."""

    statements: dict[str, ast.Call] = field(default_factory=dict)
    """Calls that are statements of their own, of functions and methods that the candidate calls less often so."""

    named: frozenset[str] = frozenset()
    """Names under which anything is given by keyword."""


@dataclass(frozen=True)
class Scope:
    """Hold the names that expressions may use: local ones, attributes of each object, the reference's tokens."""

    kinds: Mapping[str, str]
    """The type and shape of the object that each local name held."""

    attributes: Mapping[str, tuple[str, ...]]
    modules: frozenset[str]
    unread: tuple[str, ...]
    """Attributes of `self` that the file sets and never reads, arguments that the function does not read, and, where
    it reads settings by their keys, those that nothing reads.
    """

    tokens: Tokens

    keywords: tuple[ast.keyword, ...]
    """Keyword arguments of other calls in the function."""

    fields: Mapping[str, tuple[str, ...]]
    """Names that the body of each class of the folder declares."""

    uncalled: frozenset[str]
    """Functions of the file that none of its folder mentions, without those that tools and people start."""

    methods: Mapping[str, frozenset[str]]
    """For each method of the folder's classes, those of the same class."""

    path: str
    """The file's."""

    names: frozenset[str]
    """Names that can be called: the file's own and Python's."""

    flags: Mapping[str, tuple[ast.keyword, ...]]
    """For each function of the folder, its switches, each with the opposite of its default."""

    @property
    def smells(self) -> bool:
        """True if the function or its object leaves something unread; a setting may be read elsewhere."""
        return any("[" not in name for name in self.unread)


@lru_cache(maxsize=256)
def tree_of(path: str) -> ast.Module:
    """Return a file's syntax tree, read once."""
    return ast.parse(Path(path).read_text(encoding="utf-8"), filename=path)


# Tokens of the reference


def reference_tokens(reference: Iterable[SourceLocation], candidate: Iterable[SourceLocation]) -> Tokens:
    """Collect the tokens of the reference's executed lines and compare them with those of the candidate's."""
    tokens, own = _tokens(reference), _tokens(candidate)
    there = {_verb(call) for call in own.methods.values()}
    given = {keyword.arg for keyword in own.keywords}
    lacking = [keyword for keyword in tokens.keywords if keyword.arg not in given and _is_constant(keyword.value)]
    return replace(
        tokens,
        methods={text: call for text, call in tokens.methods.items() if _verb(call) not in there},
        verbs=tokens.methods,
        numbers={number: number not in own.numbers for number in tokens.numbers},
        strings={text: text not in own.strings for text in tokens.strings},
        named=frozenset(keyword.arg for keyword in tokens.keywords if keyword.arg),
        of_modules=Counter({name: count - own.of_modules[name] for name, count in tokens.of_modules.items()}),
        keywords=[*{ast.unparse(keyword): keyword for keyword in lacking}.values()],
        statements={text: call for text, call in tokens.statements.items() if text not in own.statements},
    )


def _tokens(lines: Iterable[SourceLocation]) -> Tokens:
    numbered: dict[str, set[int]] = defaultdict(set)
    for line in lines:
        numbered[line.path].add(line.line)
    tokens = Tokens()
    trees = {path: tree_of(path) for path in numbered}
    own = {node.name for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for path, executed in numbered.items():
        tree = trees[path]
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.expr) and node.lineno in executed]
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and node.lineno in executed and isinstance(node.value, ast.Call):
                _collect_statement(node.value, tokens, own)
        read = {node.id for node in nodes if isinstance(node, ast.Name)}
        for node in [*nodes, *_definitions(tree, read)]:
            _collect(node, tokens, own)
    return tokens


def _definitions(tree: ast.Module, names: set[str]) -> Iterator[ast.expr]:
    """Yield the expressions that a module's variables of these names are made of."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and {ast.unparse(target) for target in statement.targets} & names:
            yield from (node for node in ast.walk(statement.value) if isinstance(node, ast.expr))


def _collect(node: ast.expr, tokens: Tokens, own: Collection[str]) -> None:
    """Add a node's tokens. `own`: names of functions that nobody else has."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            tokens.strings[node.value] = True
        elif isinstance(node.value, int | float) and not isinstance(node.value, bool):
            tokens.numbers[node.value] = True
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        if isinstance(node.operand.value, int | float):
            tokens.numbers[-node.operand.value] = True
    elif isinstance(node, ast.Call):
        tokens.keywords.extend(keyword for keyword in node.keywords if keyword.arg)
        if isinstance(node.func, ast.Name):
            tokens.functions[node.func.id] = None
        if isinstance(node.func, ast.Attribute):
            if re.fullmatch(r"[\w.]+", dotted := ast.unparse(node.func)):
                tokens.of_modules[dotted] += 1
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            private = node.func.attr.startswith("_") or node.func.attr in own
            if not private and all(map(_is_constant, given)):
                tokens.methods[ast.unparse(node)[len(ast.unparse(node.func.value)) :]] = node


def _collect_statement(call: ast.Call, tokens: Tokens, own: Collection[str]) -> None:
    """Add a call that is a statement of its own, by its function's name, or its method's with what it is given."""
    dotted = ast.unparse(call.func)
    if isinstance(call.func, ast.Attribute) and call.func.attr not in own:
        tokens.statements[dotted if not dotted.startswith("self.") and call.args else f".{call.func.attr}"] = call


def _verb(call: ast.Call) -> str:
    """Return a method's name without the mark of the in-place one."""
    assert isinstance(call.func, ast.Attribute)
    return call.func.attr.rstrip("_")


def _is_constant(node: ast.expr) -> bool:
    return isinstance(node.operand if isinstance(node, ast.UnaryOp) else node, ast.Constant)


# The scope of a statement


def scope_of(location: SourceLocation, kinds: Kinds, tokens: Tokens) -> Scope:
    """Return the scope of the function around a line."""
    path, function = location.path, _function_around(location)
    return Scope(
        kinds=kinds.get((path, location.function), {}),
        attributes=_attributes(path),
        modules=_modules(path),
        unread=_unread(path, function, of_object="." in location.function),
        tokens=tokens,
        keywords=_keywords(function),
        fields=_fields(path),
        uncalled=_uncalled(path),
        methods=_methods(path),
        path=path,
        names=_names(path),
        flags=_flags(path),
    )


def statement_at(location: SourceLocation) -> ast.stmt | None:
    """Return the innermost statement of a line."""
    near = [node for node in _statements(location.path) if _spans(node, location.line)]
    return max(near, key=lambda node: (node.lineno, node.col_offset), default=None)


@lru_cache(maxsize=4096)
def surroundings(location: SourceLocation) -> tuple[SourceLocation, ...]:
    """Return the conditions that decide if a line runs, innermost first, and the module's variables that it reads."""
    statement = statement_at(location)
    if statement is None:
        return ()
    control = [
        node
        for node in _statements(location.path)
        if isinstance(node, ast.If | ast.For | ast.While) and node is not statement and _spans(node, location.line)
    ]
    found = [location_at(location.path, node.lineno, location.function) for node in control[::-1]]
    names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
    tree = tree_of(location.path)
    for node in tree.body:
        definition = definition_at(tree, node.lineno)
        if definition is not None and definition[0] in names:
            found.append(location_at(location.path, node.lineno, "<module>"))
    return tuple(found)


def definition_at(tree: ast.Module, line: int) -> tuple[str, ast.expr] | None:
    """Return the variable that a module assigns at a line, outside of functions and classes, and its value."""
    for node in tree.body:
        if _spans(node, line):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            value = getattr(node, "value", None)
            if len(targets) == 1 and isinstance(targets[0], ast.Name) and isinstance(value, ast.expr):
                return targets[0].id, value
    return None


def _spans(node: ast.stmt | ast.expr, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)


@lru_cache(maxsize=256)
def _statements(path: str) -> tuple[ast.stmt, ...]:
    nodes = ast.walk(tree_of(path))
    return tuple(n for n in nodes if isinstance(n, ast.stmt) and not isinstance(n, ast.FunctionDef | ast.ClassDef))


@lru_cache(maxsize=1024)
def _keywords(function: ast.FunctionDef | None) -> tuple[ast.keyword, ...]:
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)] if function else []
    found = [keyword for call in calls for keyword in call.keywords]
    return tuple({ast.unparse(keyword): keyword for keyword in found if keyword.arg}.values())


@lru_cache(maxsize=1024)
def _unread(path: str, function: ast.FunctionDef | None, *, of_object: bool) -> tuple[str, ...]:
    unread = list(_unread_attributes(path)) if of_object else []
    if function is not None:
        names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        unread += [argument.arg for argument in function.args.args if argument.arg not in names | {"self", "cls"}]
        keyed = [n for n in ast.walk(function) if isinstance(n, ast.Subscript) and _is_string(n.slice)]
        for base in dict.fromkeys(ast.unparse(node.value) for node in keyed):
            used = frozenset(str(node.slice.value) for node in keyed if _is_string(node.slice))
            unread += [f"{base}[{key!r}]" for key in _unread_keys(Path(path).parent, used)]
    return tuple(dict.fromkeys(unread))


def _function_around(location: SourceLocation) -> ast.FunctionDef | None:
    """Return the innermost function that holds a line."""
    near = [f for f in _all_functions(location.path) if _spans(f, location.line)]
    return near[-1] if near else None


@lru_cache(maxsize=256)
def _all_functions(path: str) -> tuple[ast.FunctionDef, ...]:
    return tuple(node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef))


# Symbols of a file and its folder


@lru_cache(maxsize=256)
def _flags(path: str) -> dict[str, tuple[ast.keyword, ...]]:
    turned: dict[str, tuple[ast.keyword, ...]] = {}
    for node in _beside(path):
        if isinstance(node, ast.FunctionDef):
            given = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            late = node.args.args[len(node.args.args) - len(node.args.defaults) :]
            pairs = [*given, *zip(late, node.args.defaults, strict=True)]
            turned[node.name] = tuple(
                ast.keyword(argument.arg, ast.Constant(not default.value))
                for argument, default in pairs
                if isinstance(default, ast.Constant) and isinstance(default.value, bool)
            )
    return turned


@lru_cache(maxsize=256)
def _fields(path: str) -> dict[str, tuple[str, ...]]:
    classes = [node for node in _beside(path) if isinstance(node, ast.ClassDef)]
    declared = {c.name: [s.target for s in c.body if isinstance(s, ast.AnnAssign)] for c in classes}
    return {name: tuple(t.id for t in targets if isinstance(t, ast.Name)) for name, targets in declared.items()}


@lru_cache(maxsize=256)
def _uncalled(path: str) -> frozenset[str]:
    nodes = [*_beside(path)]
    mentioned = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    mentioned |= {node.id for node in nodes if isinstance(node, ast.Name)}
    return frozenset(name for name in _functions(tree_of(path)) - mentioned if not _STARTED(name))


@lru_cache(maxsize=256)
def _methods(path: str) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = defaultdict(frozenset)
    for node in _beside(path):
        if isinstance(node, ast.ClassDef):
            for name in _functions(node):
                found[name] |= _functions(node)
    return found


def _functions(node: ast.Module | ast.ClassDef) -> frozenset[str]:
    return frozenset(one.name for one in node.body if isinstance(one, ast.FunctionDef) and one.name[:2] != "__")


@lru_cache(maxsize=256)
def _names(path: str) -> frozenset[str]:
    tree = tree_of(path)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    imported = {alias.asname or alias.name for node in imports for alias in node.names}
    made = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return frozenset(imported | made | set(dir(builtins)))


@lru_cache(maxsize=256)
def _unread_keys(folder: Path, used: frozenset[str]) -> tuple[str, ...]:
    """Return the keys beside these in a dictionary of a folder that none of its files mentions again, nor in parts."""
    mentioned, tables, together = _mentioned(folder)
    keys = set().union(*(table for table in tables if table & used))

    def in_parts(key: str) -> bool:
        section, _, name = key.rpartition(".")
        return section in mentioned or any(f"{section}." in some and name in some for some in together)

    return tuple(sorted(key for key in keys if mentioned[key] == 1 and not in_parts(key)))


@lru_cache(maxsize=16)
def _mentioned(folder: Path) -> tuple[Counter[str], list[set[str]], list[set[str]]]:
    """Return the strings of a folder's files with their counts, the keys of each dictionary, those of each function."""
    nodes = _within(folder)
    strings = Counter(str(node.value) for node in nodes if _is_string(node))
    tables = [{str(key.value) for key in node.keys if _is_string(key)} for node in nodes if isinstance(node, ast.Dict)]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    together = [{str(inner.value) for inner in ast.walk(node) if _is_string(inner)} for node in functions]
    return strings, tables, together


def _is_string(node: ast.AST | None) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _beside(path: str) -> tuple[ast.AST, ...]:
    """Return the nodes of all files in a file's folder."""
    return _within(Path(path).parent)


@lru_cache(maxsize=16)
def _within(folder: Path) -> tuple[ast.AST, ...]:
    nodes: list[ast.AST] = []
    for file in sorted(folder.glob("*.py"))[:_FILES]:
        with suppress(SyntaxError, ValueError, OSError):
            nodes += ast.walk(tree_of(str(file)))
    return tuple(nodes)


@lru_cache(maxsize=256)
def _attributes(path: str) -> dict[str, tuple[str, ...]]:
    """Map the text before a dot to the names that stand after it anywhere in a file."""
    attributes: dict[str, dict[str, None]] = defaultdict(dict)
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute):
            attributes[ast.unparse(node.value)][node.attr] = None
    return {base: tuple(names) for base, names in attributes.items()}


@lru_cache(maxsize=256)
def _modules(path: str) -> frozenset[str]:
    """Return the names under which a file imports modules."""
    imports = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Import)]
    return frozenset(alias.asname or alias.name for node in imports for alias in node.names)


@lru_cache(maxsize=1024)
def named_alike(path: str, base: str, name: str) -> tuple[str, ...]:
    """Return functions of the module that a file imports as `base`, whose name holds this one or is held by it."""
    nodes = ast.walk(tree_of(path))
    imported = [(f"{n.module}.{a.name}", a) for n in nodes if isinstance(n, ast.ImportFrom) for a in n.names]
    module = next((sys.modules.get(full) for full, a in imported if (a.asname or a.name) == base), None)
    if module is None and base in _modules(path):
        module = sys.modules.get(base)
    if module is None:
        return ()
    like = [n for n in vars(module) if n != name and (n in name or name in n) and n[:1] != "_"]
    functions = [n for n in like if min(len(n), len(name)) >= _SHORTEST and callable(vars(module)[n])]
    return tuple(sorted(functions, key=lambda n: -SequenceMatcher(None, n, name).ratio())[:_AKIN])


@lru_cache(maxsize=256)
def _unread_attributes(path: str) -> tuple[str, ...]:
    """Return the attributes of `self` that a file sets and never reads."""
    nodes = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute)]
    own = [node for node in nodes if isinstance(node.value, ast.Name) and node.value.id == "self"]
    read = {node.attr for node in own if isinstance(node.ctx, ast.Load)}
    return tuple(f"self.{node.attr}" for node in own if node.attr not in read)
