"""What surrounds a line: its statement, what decides whether it runs, and what its expressions may name."""

from __future__ import annotations

import ast
import builtins
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeGuard

from parity.diagnosis.repair.graft import definition_at
from parity.diagnosis.repair.vocabulary import Vocabulary, tree_of
from parity.diagnosis.site import Site, site_at

__all__ = ["Kinds", "Scope", "around", "scope_of", "statement_at"]

Kinds = Mapping[tuple[str, str], Mapping[str, str]]
"""By file and function, what kind of thing each local name held."""

_STARTED = re.compile("main$|tests?(_|$)").match
"""Names of functions that tools and people start, and that no function lacks a call of."""

_FILES = 100
"""Files of a folder that are read for the switches of their functions and the fields of their classes."""


@dataclass(frozen=True)
class Scope:
    """What a statement's expressions may name: local names, attributes used of each object, the reference's words."""

    kinds: Mapping[str, str]
    """Of a local name, what kind of thing it held."""

    attributes: Mapping[str, tuple[str, ...]]
    modules: frozenset[str]
    unread: tuple[str, ...]
    """Attributes of `self` that the file sets and never reads, arguments that the function does not read, and, where
    it reads settings by their keys, those that nothing reads.
    """

    words: Vocabulary

    keywords: tuple[ast.keyword, ...]
    """What other calls of the function are given by keyword."""

    fields: Mapping[str, tuple[str, ...]]
    """Of a class of the file or its neighbours, the names that its body declares."""

    uncalled: frozenset[str]
    """Functions of the file that none of its folder mentions, without those that tools and people start."""

    methods: Mapping[str, frozenset[str]]
    """By the name of a method of the folder's classes, those of the same class."""

    names: frozenset[str]
    """What can be called by name alone: the file's own names, and Python's."""

    flags: Mapping[str, tuple[ast.keyword, ...]]
    """Of a function of the file or its neighbours, its switches, each the other way round than by default."""

    @property
    def smells(self) -> bool:
        """Whether the function or its object leaves unread what it has; a setting may be read elsewhere."""
        return any("[" not in name for name in self.unread)


def scope_of(site: Site, kinds: Kinds, words: Vocabulary) -> Scope:
    """The scope of the function around a line."""
    held = kinds.get((site.path, site.function), {})
    path, function = site.path, _function_around(site)
    unread = _unread(path, function, of_object="." in site.function)
    own = _attributes(path), _modules(path), unread, words, _keywords(function), _fields(path), _uncalled(path)
    return Scope(held, *own, _methods(path), _names(path), _flags(path))


def statement_at(site: Site) -> ast.stmt | None:
    """The innermost statement of a line."""
    near = (node for node in _statements(site.path) if node.lineno <= site.line <= (node.end_lineno or node.lineno))
    return max(near, key=lambda node: (node.lineno, node.col_offset), default=None)


@lru_cache(maxsize=4096)
def around(site: Site) -> tuple[Site, ...]:
    """What decides whether a line runs, innermost first, and the module's variables that it reads."""
    statement = statement_at(site)
    if statement is None:
        return ()
    control = [
        node
        for node in _statements(site.path)
        if isinstance(node, ast.If | ast.For | ast.While)
        and node is not statement
        and node.lineno <= site.line <= (node.end_lineno or node.lineno)
    ]
    found = [site_at(site.path, node.lineno, site.function) for node in control[::-1]]
    names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
    tree = tree_of(site.path)
    for node in tree.body:
        definition = definition_at(tree, node.lineno)
        if definition is not None and definition[0] in names:
            found.append(site_at(site.path, node.lineno, "<module>"))
    return tuple(found)


@lru_cache(maxsize=256)
def _statements(path: str) -> tuple[ast.stmt, ...]:
    nodes = ast.walk(tree_of(path))
    return tuple(n for n in nodes if isinstance(n, ast.stmt) and not isinstance(n, ast.FunctionDef | ast.ClassDef))


@lru_cache(maxsize=1024)
def _keywords(function: ast.FunctionDef | None) -> tuple[ast.keyword, ...]:
    """What any call of a function is given by keyword."""
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)] if function else []
    found = [keyword for call in calls for keyword in call.keywords]
    return tuple({ast.unparse(keyword): keyword for keyword in found if keyword.arg}.values())


@lru_cache(maxsize=256)
def _flags(path: str) -> dict[str, tuple[ast.keyword, ...]]:
    """By function of the file's folder, its switches turned over."""
    flags: dict[str, tuple[ast.keyword, ...]] = {}
    for node in _beside(path):
        if isinstance(node, ast.FunctionDef):
            given = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            late = node.args.args[len(node.args.args) - len(node.args.defaults) :]
            pairs = [*given, *zip(late, node.args.defaults, strict=True)]
            flags[node.name] = tuple(
                ast.keyword(argument.arg, ast.Constant(not default.value))
                for argument, default in pairs
                if isinstance(default, ast.Constant) and isinstance(default.value, bool)
            )
    return flags


@lru_cache(maxsize=256)
def _fields(path: str) -> dict[str, tuple[str, ...]]:
    """By class of the file's folder, what its body declares."""
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
    """Beside these keys of a dictionary in a folder, those that none of its files mentions again, nor in parts."""
    words, tables, together = _mentioned(folder)
    keys = set().union(*(table for table in tables if table & used))

    def in_parts(key: str) -> bool:
        section, _, name = key.rpartition(".")
        return section in words or any(f"{section}." in some and name in some for some in together)

    return tuple(sorted(key for key in keys if words[key] == 1 and not in_parts(key)))


@lru_cache(maxsize=16)
def _mentioned(folder: Path) -> tuple[Counter[str], list[set[str]], list[set[str]]]:
    """The strings of a folder's files, how often; those that are keys, by dictionary; all of them, by function."""
    nodes = _within(folder)
    words = Counter(str(node.value) for node in nodes if _is_word(node))
    tables = [{str(key.value) for key in node.keys if _is_word(key)} for node in nodes if isinstance(node, ast.Dict)]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    together = [{str(inner.value) for inner in ast.walk(node) if _is_word(inner)} for node in functions]
    return words, tables, together


def _is_word(node: ast.AST | None) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _beside(path: str) -> tuple[ast.AST, ...]:
    """What the syntax trees of a file's folder consist of."""
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
    """By the text before the dot, what stands after it anywhere in a file."""
    attributes: dict[str, dict[str, None]] = defaultdict(dict)
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute):
            attributes[ast.unparse(node.value)][node.attr] = None
    return {base: tuple(names) for base, names in attributes.items()}


@lru_cache(maxsize=256)
def _modules(path: str) -> frozenset[str]:
    imports = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Import)]
    return frozenset(alias.asname or alias.name for node in imports for alias in node.names)


@lru_cache(maxsize=1024)
def _unread(path: str, function: ast.FunctionDef | None, *, of_object: bool) -> tuple[str, ...]:
    unread = list(_unread_attributes(path)) if of_object else []
    if function is not None:
        names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        unread += [argument.arg for argument in function.args.args if argument.arg not in names | {"self", "cls"}]
        keyed = [n for n in ast.walk(function) if isinstance(n, ast.Subscript) and _is_word(n.slice)]
        for base in dict.fromkeys(ast.unparse(node.value) for node in keyed):
            used = frozenset(str(node.slice.value) for node in keyed if _is_word(node.slice))
            unread += [f"{base}[{key!r}]" for key in _unread_keys(Path(path).parent, used)]
    return tuple(dict.fromkeys(unread))


@lru_cache(maxsize=256)
def _unread_attributes(path: str) -> tuple[str, ...]:
    """Attributes of `self` that a file sets and never reads."""
    nodes = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute)]
    own = [node for node in nodes if isinstance(node.value, ast.Name) and node.value.id == "self"]
    read = {node.attr for node in own if isinstance(node.ctx, ast.Load)}
    return tuple(f"self.{node.attr}" for node in own if node.attr not in read)


def _function_around(site: Site) -> ast.FunctionDef | None:
    """The innermost function that holds a line."""
    near = [f for f in _all_functions(site.path) if f.lineno <= site.line <= (f.end_lineno or f.lineno)]
    return near[-1] if near else None


@lru_cache(maxsize=256)
def _all_functions(path: str) -> tuple[ast.FunctionDef, ...]:
    return tuple(node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef))
