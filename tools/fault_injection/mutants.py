"""A mutation tool's mutants of GGFM: changes that nobody chose. Cosmic Ray's operators, through its library."""

from __future__ import annotations

import ast
import importlib
import random
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from tools.fault_injection.catalogue import Change, ChangeError, source_folder
from tools.fault_injection.reach import executed_lines

__all__ = ["MutationToolMissing", "reviewed", "sample_mutants"]

_REVIEWED = Path(__file__).with_name("survivors.toml")


class MutationToolMissing(RuntimeError):
    """Cosmic Ray is not installed. The message says how to get it."""


def sample_mutants(options: Mapping[str, Any], number: int, seed: int) -> tuple[Change, ...]:
    """A seeded sample, without replacement, of the mutants on lines that run; sorted by file and line.

    What changes annotations, docstrings or the layout only is no mutant, nor is one that is the same program as an
    earlier one. Raises MutationToolMissing.
    """
    lines = executed_lines(options)
    mutants = list(_mutants(lines))
    chosen = sorted(random.Random(seed).sample(range(len(mutants)), min(number, len(mutants))))
    reasons = reviewed("equivalent")
    return tuple(_change(*mutants[k], reasons) for k in chosen)


def reviewed(what: Literal["equivalent", "missed"]) -> dict[str, str]:
    """By the id of each surviving mutant that was looked at: why nobody can see it, or why it is missed.

    Raises ChangeError for an entry without a reason, and for one that comes twice.
    """
    entries = tomllib.loads(_REVIEWED.read_text(encoding="utf-8")).get("survivor", [])
    seen: set[str] = set()
    for entry in entries:
        if set(entry) not in ({"id", "equivalent"}, {"id", "missed"}) or entry["id"] in seen:
            raise ChangeError(f"{_REVIEWED.name}: {entry}: expected an id, once, and why it is equivalent or missed")
        seen.add(entry["id"])
    return {entry["id"]: entry[what] for entry in entries if what in entry}


def _mutants(executed: Mapping[str, frozenset[int]]) -> Iterator[tuple[str, str, str, int]]:
    """(file, operator, mutated source, occurrence), in a fixed order."""
    try:
        plugins = importlib.import_module("cosmic_ray.plugins")
        mutating = importlib.import_module("cosmic_ray.mutating")
        trees = importlib.import_module("cosmic_ray.ast")
    except ModuleNotFoundError as error:
        raise MutationToolMissing(f"mutants are Cosmic Ray's: pip install 'parity-suite[faults]' ({error})") from error
    for path in sorted(source_folder().glob("*.py")):
        source = path.read_text(encoding="utf-8")
        seen = {_program(source)}
        nodes = list(trees.ast_nodes(trees.get_ast(source)))
        for name in sorted(plugins.operator_names()):
            operator_class = plugins.get_operator(name)
            if operator_class.arguments():
                continue  # replaces given variables by given values
            operator = operator_class()
            places = [place for node in nodes for place in operator.mutation_positions(node)]
            for occurrence, ((first, _), (last, _)) in enumerate(places):
                if not executed.get(path.name, frozenset()) & set(range(first, last + 1)):
                    continue
                mutated = mutating.mutate_code(source, operator, occurrence)
                program = _program(mutated) if mutated else None
                if program is not None and program not in seen:
                    seen.add(program)
                    yield path.name, name.rpartition("/")[2], mutated, occurrence


def _change(file: str, operator: str, mutated: str, occurrence: int, reasons: Mapping[str, str]) -> Change:
    """The mutant as a change of whole lines."""
    source = (source_folder() / file).read_text(encoding="utf-8")
    before, after = source.splitlines(keepends=True), mutated.splitlines(keepends=True)
    first = next(k for k, (a, b) in enumerate(zip(before, after, strict=False)) if a != b)
    shorter = min(len(before), len(after)) - first
    tail = next((k for k in range(shorter) if before[-1 - k] != after[-1 - k]), shorter)
    old, new = ("".join(lines[first : len(lines) - tail]) for lines in (before, after))
    start = sum(map(len, before[:first]))
    name = f"{file}:{first + 1}:{operator}:{occurrence}"
    at = sum(source.startswith(old, k) for k in range(start))
    return Change(
        id=name, kind=operator, file=file, old=old, new=new, what="mutant", at=at, equivalent=reasons.get(name, "")
    )


def _program(source: str) -> str | None:
    """The program without annotations and docstrings, which nothing here reads; None for what is none."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    return ast.dump(_Bare().visit(tree))


class _Bare(ast.NodeTransformer):
    """Takes out annotations and texts that stand alone; a field of a dataclass keeps its name and its value."""

    def visit_arg(self, node: ast.arg) -> Any:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> Any:
        stands_alone = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return ast.Pass() if stands_alone else self.generic_visit(node)
