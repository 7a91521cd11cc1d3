"""Changes of GGFM's source: faults and rewrites of a catalogue, and a seeded sample of a mutation tool's mutants."""

from __future__ import annotations

import ast
import importlib
import random
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from parity.root_ggfm.components import REGISTRY

__all__ = ["CONTROL", "Change", "ChangeError", "Kind", "MutationToolMissing", "load", "mutants", "reviewed",
           "sample_mutants", "source_folder"]  # fmt: skip

Kind = Literal["fault", "mutant", "rewrite", "control"]
"""A fault and a mutant must be caught; a rewrite must not, nor the control, which changes nothing."""

_FOLDER = Path(__file__).parent
_FILES: Mapping[Kind, Path] = {"fault": _FOLDER / "faults.toml", "rewrite": _FOLDER / "rewrites.toml"}
_REVIEWED = _FOLDER / "survivors.toml"


class ChangeError(ValueError):
    """A change that contradicts itself, or that does not apply to today's source. The message names it."""


class MutationToolMissing(RuntimeError):
    """Cosmic Ray is not installed. The message says how to get it."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """`old` becomes `new` in one file of GGFM; `old` stands there once, or it is its occurrence number `at` (from 0).

    `component`: one of these must catch it (of a fault). `equivalent`: why nobody can see it; such a change is not
    counted. `what`: fault, mutant or rewrite; `kind`: the sort of mistake.
    """

    id: str
    kind: str
    file: str
    old: str
    new: str
    what: Kind = "fault"
    component: tuple[str, ...] = ()
    at: int | None = None
    equivalent: str = ""

    @cached_property
    def original(self) -> str:
        """The file as it is."""
        return (source_folder() / self.file).read_text(encoding="utf-8")

    @cached_property
    def changed(self) -> str:
        """The file with the change. Raises ChangeError if `old` is not found, or found more often than stated."""
        found = self.original.count(self.old)
        if self.at is None and found != 1:
            raise ChangeError(f"{self.id}: {self.old!r} stands {found} times in {self.file}; it must stand there once")
        if self.at is not None and not self.at < found:
            raise ChangeError(f"{self.id}: {self.old!r} stands {found} times in {self.file}, at is {self.at}")
        start = -1
        for _ in range((self.at or 0) + 1):
            start = self.original.index(self.old, start + 1)
        return self.original[:start] + self.new + self.original[start + len(self.old) :]

    @property
    def lines(self) -> range:
        """The numbers of the lines that the change touches, in the changed file."""
        before, after = self.original.splitlines(), self.changed.splitlines()
        same = _common_start(before, after)
        tail = _common_start(before[same:][::-1], after[same:][::-1])
        return range(same + 1, max(same + 2, len(after) - tail + 1))

    def check(self) -> None:
        """Raise ChangeError if the change does not apply, changes nothing, or leaves a file that is not Python."""
        try:
            same = ast.dump(ast.parse(self.changed)) == ast.dump(ast.parse(self.original))
        except SyntaxError as error:
            raise ChangeError(f"{self.id}: the changed file is no Python: {error}") from error
        if same:
            raise ChangeError(f"{self.id}: the program stays the same")


CONTROL = Change(id="unchanged", kind="control", what="control", file="__init__.py", old="__all__", new="__all__")
"""If this one is caught, no result of a change means anything."""


def source_folder() -> Path:
    """Return the folder of GGFM's source, without importing it. Raises ChangeError if it is not installed."""
    spec = find_spec("ggfm")
    if spec is None or not spec.submodule_search_locations:
        raise ChangeError("ggfm is not installed")
    return Path(spec.submodule_search_locations[0])


def load(what: Kind = "fault", path: Path | None = None) -> tuple[Change, ...]:
    """Return the catalogue's faults or rewrites, in its order.

    Raises ChangeError for a field that is unknown or missing, an id that comes twice and an unknown component.
    """
    path = path or _FILES[what]
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8")).get(what, [])
    except tomllib.TOMLDecodeError as error:
        raise ChangeError(f"{path.name} is not valid TOML: {error}") from error
    changes = tuple(_read(item, what) for item in raw)
    ids = [change.id for change in changes]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise ChangeError(f"{path.name}: {', '.join(twice)} is listed twice; keep one")
    return changes


def _read(item: Mapping[str, Any], what: Kind) -> Change:
    try:
        change = Change(**{**item, "component": tuple(item.get("component", ())), "what": what})
    except TypeError as error:  # Python names the field that is missing or unknown
        raise ChangeError(f"{what} {item.get('id', '?')}: {str(error).split('__init__() ')[-1]}") from error
    if unknown := [name for name in change.component if name not in REGISTRY]:
        raise ChangeError(f"{change.id}: unknown component {', '.join(unknown)}; known are {', '.join(REGISTRY)}")
    if what == "fault" and not change.component:
        raise ChangeError(f"{change.id}: component is missing, one of which must catch it")
    return change


def reviewed(what: Literal["equivalent", "missed"]) -> dict[str, str]:
    """Return, by the id of each surviving mutant that somebody reviewed, why nobody can see it, or why it is missed.

    Raises ChangeError for an entry without a reason, and for one that comes twice.
    """
    entries = tomllib.loads(_REVIEWED.read_text(encoding="utf-8")).get("survivor", [])
    seen: set[str] = set()
    for entry in entries:
        if set(entry) not in ({"id", "equivalent"}, {"id", "missed"}) or entry["id"] in seen:
            raise ChangeError(f"{_REVIEWED.name}: {entry}: expected an id, once, and why it is equivalent or missed")
        seen.add(entry["id"])
    return {entry["id"]: entry[what] for entry in entries if what in entry}


def sample_mutants(executed: Mapping[str, frozenset[int]], number: int, seed: int) -> tuple[Change, ...]:
    """Draw a sample, without replacement, of the mutants on lines that run; sorted by file and line.

    `executed`: lines by file. Raises MutationToolMissing.
    """
    found = [
        (path.name, *mutant)
        for path in sorted(source_folder().glob("*.py"))
        for mutant in mutants(path.read_text(encoding="utf-8"), executed.get(path.name, frozenset()))
    ]
    chosen = sorted(random.Random(seed).sample(range(len(found)), min(number, len(found))))
    reasons = reviewed("equivalent")
    return tuple(_as_change(*found[k], reasons) for k in chosen)


def mutants(source: str, executed: frozenset[int]) -> Iterator[tuple[str, str, int]]:
    """Yield (mutated source, operator, occurrence) of Cosmic Ray's operators on the executed lines, in a fixed order.

    Leaves out a mutant that is the same program as the source or an earlier mutant, but for annotations and docstrings.
    Raises MutationToolMissing.
    """
    try:  # an optional extra
        plugins = importlib.import_module("cosmic_ray.plugins")
        mutating = importlib.import_module("cosmic_ray.mutating")
        trees = importlib.import_module("cosmic_ray.ast")
    except ModuleNotFoundError as error:
        raise MutationToolMissing(f"mutants are Cosmic Ray's: pip install 'parity-suite[faults]' ({error})") from error
    seen = {_program(source)}
    nodes = list(trees.ast_nodes(trees.get_ast(source)))
    for name in sorted(plugins.operator_names()):
        operator_class = plugins.get_operator(name)
        if operator_class.arguments():
            continue  # replaces given variables by given values
        operator = operator_class()
        places = [place for node in nodes for place in operator.mutation_positions(node)]
        for occurrence, ((first, _), (last, _)) in enumerate(places):
            if not executed & set(range(first, last + 1)):
                continue
            mutated = mutating.mutate_code(source, operator, occurrence)
            program = _program(mutated) if mutated else None
            if program is not None and program not in seen:
                seen.add(program)
                yield mutated, name.rpartition("/")[2], occurrence


def _as_change(file: str, mutated: str, operator: str, occurrence: int, reasons: Mapping[str, str]) -> Change:
    """Return the mutant as a change of whole lines."""
    source = (source_folder() / file).read_text(encoding="utf-8")
    before, after = source.splitlines(keepends=True), mutated.splitlines(keepends=True)
    first = _common_start(before, after)
    tail = _common_start(before[first:][::-1], after[first:][::-1])
    old, new = ("".join(lines[first : len(lines) - tail]) for lines in (before, after))
    start = sum(map(len, before[:first]))
    name = f"{file}:{first + 1}:{operator}:{occurrence}"
    at = sum(source.startswith(old, k) for k in range(start))
    reason = reasons.get(name, "")
    return Change(id=name, kind=operator, file=file, old=old, new=new, what="mutant", at=at, equivalent=reason)


def _common_start(left: Sequence[str], right: Sequence[str]) -> int:
    """Count the lines at the start that are the same."""
    return next((k for k, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


def _program(source: str) -> str | None:
    """Return the program without annotations and docstrings, which nothing here reads; None if it is no Python."""
    try:
        return ast.dump(_WithoutTexts().visit(ast.parse(source)))
    except SyntaxError:
        return None


class _WithoutTexts(ast.NodeTransformer):
    """Removes annotations and texts that stand alone; a field of a dataclass keeps its name and its value."""

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
