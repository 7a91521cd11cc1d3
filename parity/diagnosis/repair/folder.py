"""What a file and its folder say: names, fields, methods, switches, and what nothing in them reads."""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections import Counter, defaultdict
from contextlib import suppress
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path
from typing import TypeGuard

from parity.diagnosis.repair.vocabulary import tree_of

__all__ = [
    "attributes", "fields", "flags", "is_word", "methods", "modules", "named_alike", "names", "uncalled",
    "unread_attributes", "unread_keys",
]  # fmt: skip

_STARTED = re.compile("main$|tests?(_|$)").match
"""Names of functions that tools and people start, and that no function lacks a call of."""

_SHORTEST = 4
"""Letters of a name that counts as part of another one."""

_AKIN = 6
"""Functions of a module that are tried for one of a name like theirs."""

_FILES = 100
"""Files of a folder that are read for the switches of their functions and the fields of their classes."""


@lru_cache(maxsize=256)
def flags(path: str) -> dict[str, tuple[ast.keyword, ...]]:
    """By function of the file's folder, its switches turned over."""
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
def fields(path: str) -> dict[str, tuple[str, ...]]:
    """By class of the file's folder, what its body declares."""
    classes = [node for node in _beside(path) if isinstance(node, ast.ClassDef)]
    declared = {c.name: [s.target for s in c.body if isinstance(s, ast.AnnAssign)] for c in classes}
    return {name: tuple(t.id for t in targets if isinstance(t, ast.Name)) for name, targets in declared.items()}


@lru_cache(maxsize=256)
def uncalled(path: str) -> frozenset[str]:
    """Functions of a file that none of its folder mentions, without those that tools and people start."""
    nodes = [*_beside(path)]
    mentioned = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    mentioned |= {node.id for node in nodes if isinstance(node, ast.Name)}
    return frozenset(name for name in _functions(tree_of(path)) - mentioned if not _STARTED(name))


@lru_cache(maxsize=256)
def methods(path: str) -> dict[str, frozenset[str]]:
    """By the name of a method of the folder's classes, those of the same class."""
    found: dict[str, frozenset[str]] = defaultdict(frozenset)
    for node in _beside(path):
        if isinstance(node, ast.ClassDef):
            for name in _functions(node):
                found[name] |= _functions(node)
    return found


def _functions(node: ast.Module | ast.ClassDef) -> frozenset[str]:
    return frozenset(one.name for one in node.body if isinstance(one, ast.FunctionDef) and one.name[:2] != "__")


@lru_cache(maxsize=256)
def names(path: str) -> frozenset[str]:
    """What can be called by name alone: a file's own names, and Python's."""
    tree = tree_of(path)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    imported = {alias.asname or alias.name for node in imports for alias in node.names}
    made = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return frozenset(imported | made | set(dir(builtins)))


@lru_cache(maxsize=256)
def unread_keys(folder: Path, used: frozenset[str]) -> tuple[str, ...]:
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
    words = Counter(str(node.value) for node in nodes if is_word(node))
    tables = [{str(key.value) for key in node.keys if is_word(key)} for node in nodes if isinstance(node, ast.Dict)]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    together = [{str(inner.value) for inner in ast.walk(node) if is_word(inner)} for node in functions]
    return words, tables, together


def is_word(node: ast.AST | None) -> TypeGuard[ast.Constant]:
    """Whether a node is a string."""
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
def attributes(path: str) -> dict[str, tuple[str, ...]]:
    """By the text before the dot, what stands after it anywhere in a file."""
    attributes: dict[str, dict[str, None]] = defaultdict(dict)
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute):
            attributes[ast.unparse(node.value)][node.attr] = None
    return {base: tuple(names) for base, names in attributes.items()}


@lru_cache(maxsize=256)
def modules(path: str) -> frozenset[str]:
    """Under which names a file imports modules."""
    imports = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Import)]
    return frozenset(alias.asname or alias.name for node in imports for alias in node.names)


@lru_cache(maxsize=1024)
def named_alike(path: str, base: str, name: str) -> tuple[str, ...]:
    """Functions of the module that a file imports as `base` with a name that holds this one, or is held by it."""
    nodes = ast.walk(tree_of(path))
    imported = [(f"{n.module}.{a.name}", a) for n in nodes if isinstance(n, ast.ImportFrom) for a in n.names]
    module = next((sys.modules.get(full) for full, a in imported if (a.asname or a.name) == base), None)
    if module is None and base in modules(path):
        module = sys.modules.get(base)
    if module is None:
        return ()
    like = [n for n in vars(module) if n != name and (n in name or name in n) and n[:1] != "_"]
    functions = [n for n in like if min(len(n), len(name)) >= _SHORTEST and callable(vars(module)[n])]
    return tuple(sorted(functions, key=lambda n: -SequenceMatcher(None, n, name).ratio())[:_AKIN])


@lru_cache(maxsize=256)
def unread_attributes(path: str) -> tuple[str, ...]:
    """Attributes of `self` that a file sets and never reads."""
    nodes = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute)]
    own = [node for node in nodes if isinstance(node.value, ast.Name) and node.value.id == "self"]
    read = {node.attr for node in own if isinstance(node.ctx, ast.Load)}
    return tuple(f"self.{node.attr}" for node in own if node.attr not in read)
