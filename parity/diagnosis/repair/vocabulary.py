"""What the reference's executed lines are written with: numbers, strings, names of functions, calls of methods."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from parity.diagnosis.site import Site

__all__ = ["Vocabulary", "tree_of", "vocabulary"]


@dataclass(frozen=True)
class Vocabulary:
    """Words that the reference uses, some of which the candidate may lack."""

    numbers: dict[float, bool] = field(default_factory=dict)
    """With each, whether the candidate's executed lines lack it."""

    strings: dict[str, bool] = field(default_factory=dict)
    """With each, whether the candidate's lack it."""

    functions: dict[str, None] = field(default_factory=dict)
    """Names that are called as functions."""

    methods: dict[str, ast.Call] = field(default_factory=dict)
    """Method calls that the candidate lacks and whose arguments are all constants, by their text after the object:
    `.clamp(-1.0, 1.0)`.
    """

    verbs: dict[str, ast.Call] = field(default_factory=dict)
    """Such calls whether the candidate has them or not."""

    of_modules: Counter[str] = field(default_factory=Counter)
    """Functions called by a dotted name (`torch.randperm`): in how many places more than the candidate's."""

    keywords: list[ast.keyword] = field(default_factory=list)
    """Constants given by keyword, under names that the candidate's calls lack."""

    statements: dict[str, ast.Call] = field(default_factory=dict)
    """Calls that are statements of their own, of functions and methods that the candidate calls less often so."""

    named: frozenset[str] = frozenset()
    """Names under which anything is given by keyword."""


@lru_cache(maxsize=256)
def tree_of(path: str) -> ast.Module:
    """A file's syntax tree, read once."""
    return ast.parse(Path(path).read_text(encoding="utf-8"), filename=path)


def vocabulary(reference: Iterable[Site], candidate: Iterable[Site]) -> Vocabulary:
    """The words of the reference's executed lines, compared to those of the candidate's."""
    words, own = _words(reference), _words(candidate)
    there = {_verb(call) for call in own.methods.values()}
    methods = {text: call for text, call in words.methods.items() if _verb(call) not in there}
    numbers = {number: number not in own.numbers for number in words.numbers}
    strings = {word: word not in own.strings for word in words.strings}
    of_modules = Counter({name: count - own.of_modules[name] for name, count in words.of_modules.items()})
    given = {keyword.arg for keyword in own.keywords}
    lacking = [keyword for keyword in words.keywords if keyword.arg not in given and _constant(keyword.value)]
    keywords = {ast.unparse(keyword): keyword for keyword in lacking}
    return replace(
        words,
        methods=methods,
        verbs=words.methods,
        numbers=numbers,
        strings=strings,
        named=frozenset(keyword.arg for keyword in words.keywords if keyword.arg),
        of_modules=of_modules,
        keywords=[*keywords.values()],
        statements={text: call for text, call in words.statements.items() if text not in own.statements},
    )


def _words(lines: Iterable[Site]) -> Vocabulary:
    numbered: dict[str, set[int]] = defaultdict(set)
    for site in lines:
        numbered[site.path].add(site.line)
    words = Vocabulary()
    trees = {path: tree_of(path) for path in numbered}
    own = {node.name for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for path, executed in numbered.items():
        tree = trees[path]
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.expr) and node.lineno in executed]
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and node.lineno in executed and isinstance(node.value, ast.Call):
                _state(node.value, words, own)
        read = {node.id for node in nodes if isinstance(node, ast.Name)}
        for node in [*nodes, *_definitions(tree, read)]:
            _collect(node, words, own)
    return words


def _definitions(tree: ast.Module, names: set[str]) -> Iterator[ast.expr]:
    """What a module's variables of these names are made of."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and {ast.unparse(target) for target in statement.targets} & names:
            yield from (node for node in ast.walk(statement.value) if isinstance(node, ast.expr))


def _collect(node: ast.expr, words: Vocabulary, own: Collection[str]) -> None:
    """Keep what a node adds. `own`: names of functions that nobody else has."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            words.strings[node.value] = True
        elif isinstance(node.value, int | float) and not isinstance(node.value, bool):
            words.numbers[node.value] = True
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        if isinstance(node.operand.value, int | float):
            words.numbers[-node.operand.value] = True
    elif isinstance(node, ast.Call):
        words.keywords.extend(keyword for keyword in node.keywords if keyword.arg)
        if isinstance(node.func, ast.Name):
            words.functions[node.func.id] = None
        if isinstance(node.func, ast.Attribute) and re.fullmatch(r"[\w.]+", dotted := ast.unparse(node.func)):
            words.of_modules[dotted] += 1
        if (
            isinstance(node.func, ast.Attribute)
            and not node.func.attr.startswith("_")
            and node.func.attr not in own
            and all(_constant(a) for a in _arguments(node))
        ):
            text = ast.unparse(node)[len(ast.unparse(node.func.value)) :]
            words.methods[text] = node


def _state(call: ast.Call, words: Vocabulary, own: Collection[str]) -> None:
    """Keep a call that is a statement of its own, by its function's name, or its method's with what it is given."""
    dotted = ast.unparse(call.func)
    if isinstance(call.func, ast.Attribute) and call.func.attr not in own:
        words.statements[dotted if not dotted.startswith("self.") and call.args else f".{call.func.attr}"] = call


def _verb(call: ast.Call) -> str:
    """A method's name without the mark of the in-place one."""
    assert isinstance(call.func, ast.Attribute)
    return call.func.attr.rstrip("_")


def _arguments(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def _constant(node: ast.expr) -> bool:
    plain = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(plain, ast.Constant)
