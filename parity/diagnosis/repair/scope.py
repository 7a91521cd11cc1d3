"""What surrounds a line: its statement, what decides whether it runs, and what its expressions may name."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from parity.diagnosis.repair import folder
from parity.diagnosis.repair.graft import definition_at
from parity.diagnosis.repair.vocabulary import Vocabulary, tree_of
from parity.diagnosis.site import Site, site_at

__all__ = ["Kinds", "Scope", "around", "scope_of", "statement_at"]

Kinds = Mapping[tuple[str, str], Mapping[str, str]]
"""By file and function, what kind of thing each local name held."""


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

    path: str
    """The file's."""

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
    path, function = site.path, _function_around(site)
    return Scope(
        kinds=kinds.get((path, site.function), {}),
        attributes=folder.attributes(path),
        modules=folder.modules(path),
        unread=_unread(path, function, of_object="." in site.function),
        words=words,
        keywords=_keywords(function),
        fields=folder.fields(path),
        uncalled=folder.uncalled(path),
        methods=folder.methods(path),
        path=path,
        names=folder.names(path),
        flags=folder.flags(path),
    )


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


@lru_cache(maxsize=1024)
def _unread(path: str, function: ast.FunctionDef | None, *, of_object: bool) -> tuple[str, ...]:
    unread = list(folder.unread_attributes(path)) if of_object else []
    if function is not None:
        names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        unread += [argument.arg for argument in function.args.args if argument.arg not in names | {"self", "cls"}]
        keyed = [n for n in ast.walk(function) if isinstance(n, ast.Subscript) and folder.is_word(n.slice)]
        for base in dict.fromkeys(ast.unparse(node.value) for node in keyed):
            used = frozenset(str(node.slice.value) for node in keyed if folder.is_word(node.slice))
            unread += [f"{base}[{key!r}]" for key in folder.unread_keys(Path(path).parent, used)]
    return tuple(dict.fromkeys(unread))


def _function_around(site: Site) -> ast.FunctionDef | None:
    """The innermost function that holds a line."""
    near = [f for f in _all_functions(site.path) if f.lineno <= site.line <= (f.end_lineno or f.lineno)]
    return near[-1] if near else None


@lru_cache(maxsize=256)
def _all_functions(path: str) -> tuple[ast.FunctionDef, ...]:
    return tuple(node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef))
