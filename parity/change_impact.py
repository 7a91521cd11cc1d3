"""Change impact: the components that the changes since a commit can touch.

git names the changed files; the imports in the sources, read and not run, say which components depend on each. A
component depends on every module that its own module imports, directly or through others. A package that re-exports
names is looked through: code that takes a name from it depends on the module that defines the name.
"""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from parity.loading import load_side
from parity.study import Study

__all__ = [
    "FOLDER", "GitError", "GraphMissing", "Imports", "Selection", "acts_on_import", "changed_files", "dependencies",
    "files_of", "import_graph", "select", "selection_of",
]  # fmt: skip

Imports = Mapping[str, AbstractSet[str]]
"""The modules that each module imports directly."""

FOLDER = Path(__file__).resolve().parents[1]
"""The folder that holds this package and the study's code; paths of files are relative to it."""

_FOR_NONE = (
    "tests/", "docs/", "examples/", "benchmarks/", "tools/", ".github/", ".ci/", ".pre-commit", ".gitignore", "LICENSE",
    "tox.ini", ".importlinter", "parity/diagnosis/", "parity/report/",
)  # fmt: skip
"""Beginnings of paths on which no verdict depends: texts, tests, and code that only shows or explains verdicts."""

_SHOWN = 3
"""Files named of those for which everything is judged."""


class GitError(RuntimeError):
    """git is not installed, the folder is in no repository, or the commit does not exist."""


class GraphMissing(RuntimeError):
    """grimp is not installed. The message says how to get it."""


@dataclass(frozen=True)
class Selection:
    """The components that changed files can touch, by file; `components`: all of them, along the pipeline."""

    revision: str
    components: tuple[str, ...]
    files: Mapping[str, tuple[str, ...]]

    @property
    def reasons(self) -> dict[str, tuple[str, ...]]:
        """The changed files behind each component that is to be judged, along the pipeline."""
        found = {name: tuple(f for f, touched in self.files.items() if name in touched) for name in self.components}
        return {name: files for name, files in found.items() if files}

    def lines(self, among: Sequence[str]) -> list[str]:
        """Return lines that tell what is judged out of the components `among`, and because of which file."""
        chosen = [name for name in among if name in self.reasons]
        lines = [
            f"since {self.revision}: {len(self.files)} changed file{'s' * (len(self.files) != 1)}, "
            f"{len(chosen)} of {len(among)} components to judge"
        ]
        every = len(self.components)
        lines += [f"  {f}: {', '.join(names)}" for f, names in self.files.items() if 0 < len(names) < every]
        general = [file for file, touched in self.files.items() if len(touched) == every]
        if general:
            more = f" and {len(general) - _SHOWN} more" if len(general) > _SHOWN else ""
            lines.append(f"  {', '.join(general[:_SHOWN])}{more}: every component")
        without = sum(not touched for touched in self.files.values())
        return lines + [f"  {without} on which no component depends"] * bool(without)


def select(revision: str, study: Study) -> Selection:
    """Return what the changes between a commit and the files that run here can touch.

    Raises GitError if git cannot tell the changes, GraphMissing if grimp is not installed.
    """
    return selection_of(changed_files(FOLDER, revision), study, revision)


def selection_of(changed: Iterable[str], study: Study, revision: str = "") -> Selection:
    """Return the components that depend on each changed file."""
    imports = import_graph(study)
    needed = dependencies(study, imports)
    of_sides = files_of(imports, [type(load_side(name, study=study)).__module__ for name in study.implementations])
    every = tuple(study.components)
    one_by_one = (*(f"{package}/" for package in study.code), *study.adapters)

    def touched(file: str) -> tuple[str, ...]:
        if file.startswith((*_FOR_NONE, *study.irrelevant)) or (file.endswith(".md") and "/" not in file):
            return ()
        is_module = file.startswith(one_by_one) and file.endswith(".py") and not file.endswith("__init__.py")
        if not is_module or not (FOLDER / file).is_file() or acts_on_import(FOLDER / file):
            return every
        found = tuple(name for name in every if file in needed[name])
        # A side's own module finds components by name: it is behind all of them, though none imports it.
        return every if not found and file.startswith(study.adapters) and file in of_sides else found

    return Selection(revision, every, {file: touched(file) for file in dict.fromkeys(changed)})


def dependencies(study: Study, imports: Imports) -> dict[str, frozenset[str]]:
    """Return the files that each component depends on: those behind the functions and classes that it declares."""
    found = {}
    for name, component in study.components.items():
        declared = {getattr(value, "__module__", "") for value in vars(component).values() if callable(value)}
        found[name] = files_of(imports, declared & imports.keys())
    return found


def files_of(imports: Imports, modules: Iterable[str]) -> frozenset[str]:
    """Return the files of modules and of all that they import, directly or through others."""
    waiting, every = list(modules), set[str]()
    while waiting:
        module = waiting.pop()
        if module not in every:
            every.add(module)
            waiting += imports[module]
    return frozenset(_path(module).relative_to(FOLDER).as_posix() for module in every)


def import_graph(study: Study) -> Imports:
    """Return who imports whom in this package and the study's code. Raises GraphMissing, SyntaxError.

    An import of a name from a package of the study's code counts as one of the module that defines the name.
    """
    try:
        from grimp import build_graph  # an optional extra
    except ModuleNotFoundError as error:
        raise GraphMissing(f"--since needs grimp: pip install 'parity-suite[since]' ({error})") from error
    graph = build_graph("parity", *study.code, cache_dir=None)
    imports = {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}
    for package in study.code:
        exported = {
            alias.asname or alias.name: node.module
            for node in ast.parse(_path(package).read_text(encoding="utf-8")).body
            if isinstance(node, ast.ImportFrom) and node.module in imports
            for alias in node.names
        }
        for importer in graph.find_modules_that_directly_import(package):
            names = _names_taken(ast.parse(_path(importer).read_text(encoding="utf-8")), package)
            defining = {exported.get(name, f"{package}.{name}") for name in names or ()}
            if names is not None and defining <= imports.keys():
                imports[importer] = imports[importer] - {package} | defining
    return imports


def _names_taken(tree: ast.Module, package: str) -> set[str] | None:
    """Return the names that a module takes from a package; None if it may take any."""
    nodes = list(ast.walk(tree))
    imports = [alias for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    bound = {alias.asname or package for alias in imports if alias.name == package}
    of_package = [node for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    taken = [node.attr for node in of_package if isinstance(node.value, ast.Name) and node.value.id in bound]
    named = [node for node in nodes if isinstance(node, ast.Name) and node.id in bound]
    if len(named) > len(taken):  # the package itself is handed on
        return None
    origins = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == package]
    names = {*taken, *(alias.name for node in origins for alias in node.names)}
    return None if "*" in names else names


def _path(module: str) -> Path:
    path = FOLDER.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def acts_on_import(path: Path) -> bool:
    """True if importing the file does more than define names: it may then act on code that does not import it."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return not all(_only_defines(statement) for statement in _top_level(tree.body))


def _top_level(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run on import, those of `if` and `try` included."""
    for statement in body:
        if isinstance(statement, (ast.If, ast.Try, ast.With)):
            nested = [*statement.body, *getattr(statement, "orelse", []), *getattr(statement, "finalbody", [])]
            nested += [s for handler in getattr(statement, "handlers", []) for s in handler.body]
            yield from _top_level(nested)
        else:
            yield statement


def _only_defines(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assign):
        return all(isinstance(target, (ast.Name, ast.Tuple)) for target in statement.targets)
    if isinstance(statement, ast.AnnAssign):
        return isinstance(statement.target, ast.Name)
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    return isinstance(statement, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef))


def changed_files(folder: Path, revision: str) -> tuple[str, ...]:
    """Return the paths below `folder`, relative to it, that differ between `revision` and the files there, sorted.

    Includes committed, staged and unstaged changes, deleted files, the old and the new name of a moved one, and new
    files that git does not ignore. Raises GitError with git's own words.
    """
    if not revision.strip():
        raise GitError("--since needs a commit, such as HEAD~1 or origin/main, got an empty text")
    _git(folder, "rev-parse", "--is-inside-work-tree", problem=f"{folder} is in no git repository")
    new = _git(folder, "ls-files", "--others", "--exclude-standard", "-z", "--", ".")
    if not new and not _git(folder, "ls-files", "-z", "--", "."):
        raise GitError(f"the git repository around {folder} keeps no file of it: changes cannot be told")
    hint = "fetch it first if it is a branch of the remote (a shallow clone lacks older commits)"
    _git(
        folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}",
        problem=f"--since {revision!r} names no commit of {folder}; {hint}",
    )  # fmt: skip
    diff = _git(folder, "diff", "--name-only", "--no-renames", "--relative", "-z", f"{revision}^{{commit}}", "--", ".")
    return tuple(sorted({*diff.split("\0"), *new.split("\0")} - {""}))


def _git(folder: Path, *arguments: str, problem: str = "") -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, encoding="utf-8", check=False
        )
    except FileNotFoundError as error:
        raise GitError("--since needs git, and there is no command `git` here") from error
    if done.returncode:
        raise GitError(": ".join(part for part in (problem, done.stderr.strip()) if part))
    return done.stdout
