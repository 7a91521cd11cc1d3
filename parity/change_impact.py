"""Select the components that a change can touch: git's changed files, against those that each component refers to.

References are read from the sources; nothing runs. From a component's file every global name is followed to its
definition, through imports, and on from there: this reaches all code that can run because of it, on any input. It holds
for code that calls by name, as all of it here does (a test holds it against the code that really runs). A class counts
whole.
"""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from parity.study import Study

__all__ = [
    "GitError",
    "Reference",
    "Selection",
    "Sources",
    "changed_files",
    "component_files",
    "select",
    "selection_of",
]

_FOR_NONE = (
    "tests/",
    "docs/",
    "examples/",
    "benchmarks/",
    "tools/",
    ".github/",
    ".ci/",
    ".pre-commit",
    ".gitignore",
    ".importlinter",
    "LICENSE",
    "tox.ini",
    "parity/diagnosis/",
    "parity/report/",
)
"""Paths, by their beginning, on which no verdict depends: texts, tests, and code that only shows or explains verdicts.
The study names more."""

_SHOWN = 3
"""Files named of those for which everything is judged."""


@dataclass(frozen=True)
class Selection:
    """Hold the components that each changed file can touch, in the order of git, out of all `components`."""

    revision: str
    files: Mapping[str, tuple[str, ...]]
    components: tuple[str, ...]

    @property
    def reasons(self) -> dict[str, tuple[str, ...]]:
        """Return the files for which each component is to be judged, along the pipeline; without the others."""
        found = {name: tuple(f for f, touched in self.files.items() if name in touched) for name in self.components}
        return {name: files for name, files in found.items() if files}

    def lines(self, among: Sequence[str]) -> list[str]:
        """Say which of the components `among` are judged, and because of which file."""
        chosen, every = [name for name in among if name in self.reasons], len(self.components)
        lines = [
            f"since {self.revision}: {len(self.files)} changed file{'s' * (len(self.files) != 1)}, "
            f"{len(chosen)} of {len(among)} components to judge"
        ]
        lines += [f"  {f}: {', '.join(names)}" for f, names in self.files.items() if 0 < len(names) < every]
        general = [file for file, touched in self.files.items() if len(touched) == every]
        if general:
            more = f" and {len(general) - _SHOWN} more" if len(general) > _SHOWN else ""
            lines.append(f"  {', '.join(general[:_SHOWN])}{more}: every component")
        without = sum(not touched for touched in self.files.values())
        return lines + [f"  {without} on which no component depends"] * bool(without)


def select(revision: str, study: Study) -> Selection:
    """Return the components that changed since a commit. Raises GitError if git cannot tell."""
    folder = Path(__file__).resolve().parents[1]
    return selection_of(changed_files(folder, revision), folder, study, revision)


def selection_of(changed: Iterable[str], folder: Path, study: Study, revision: str = "") -> Selection:
    """Return the components that depend on each changed file, named relative to the folder that holds the packages."""
    sources = Sources(folder, ("parity", *study.code))
    needed = component_files(sources, study)
    touched = {file: _touched(file, folder, sources, needed, study) for file in dict.fromkeys(changed)}
    return Selection(revision, touched, tuple(study.components))


def component_files(sources: Sources, study: Study) -> dict[str, frozenset[str]]:
    """Return, per component, the files that its own file and the sides' calls of it refer to, on any input."""
    sides = [type(made.load(next(iter(made.profiles), ""), (), ())) for made in study.implementations.values()]
    calls = [sources.member(s.__module__, s.__qualname__, m) for s in sides for m in ("__init__", "__getattr__")]
    called = [call for call in calls if call is not None]
    return {c.name: sources.files_of([Reference(c.build.__module__), *called]) for c in study.components.values()}


def _touched(
    file: str, folder: Path, sources: Sources, needed: Mapping[str, frozenset[str]], study: Study
) -> tuple[str, ...]:
    """Return the components that refer to a file of a side or an adapter; all, or none, for any other file."""
    if file.startswith((*_FOR_NONE, *study.irrelevant)) or (file.endswith(".md") and "/" not in file):
        return ()
    own = (*(f"{package}/" for package in study.code), *study.adapters)
    of_a_component = file.startswith(own) and file.endswith(".py") and not file.endswith("__init__.py")
    if not of_a_component or not (folder / file).is_file() or sources.runs_when_imported(file):
        return tuple(study.components)
    return tuple(name for name in study.components if file in needed[name])


class GitError(RuntimeError):
    """Git is not there, the folder is in no repository, or the commit does not exist."""


def changed_files(folder: Path, revision: str) -> tuple[str, ...]:
    """Paths below `folder`, relative to it, that differ between `revision` and the files there, sorted.

    Committed, staged and unstaged changes, deleted files, the old and the new name of a moved one, and new files that
    git does not ignore. Raises GitError saying what git said.
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


@dataclass(frozen=True)
class Reference:
    """A name at the top of a module; `member`: one method of that class instead of all of it; no name: the module."""

    module: str
    name: str = ""
    member: str = ""


@dataclass
class _Module:
    """Top-level definitions by name, and where imported names come from: (module, name), or (module, "") for one."""

    path: Path
    tree: ast.Module
    defined: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imported: dict[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for statement in _top_level(self.tree.body):
            for name in _names(statement):
                self.defined.setdefault(name, []).append(statement)
            self.imported |= _imports(statement)


class Sources:
    """The Python files of some packages below a folder. Raises SyntaxError for one that is no Python."""

    def __init__(self, folder: Path, packages: Iterable[str]) -> None:
        self.folder = folder
        self._paths = {
            _module_name(path.relative_to(folder)): path
            for package in packages
            for path in sorted((folder / package).rglob("*.py"))
        }

        self._parsed: dict[str, _Module] = {}
        self._known: dict[Reference, tuple[Reference, ...]] = {}

    def files_of(self, starts: Iterable[Reference]) -> frozenset[str]:
        """Paths, relative to the folder, of all that the starts lead to, their own included.

        A name that is re-exported counts where it is defined and in every module on the way, but for packages'
        `__init__`, which hold no code of their own. Raises KeyError for a start that does not exist.
        """
        seen: set[Reference] = set()
        files: set[str] = set()
        waiting = list(starts)
        for start in waiting:
            if not (self._exists(start.module) and (start.name in {"", *self._names_of(start.module)})):
                raise KeyError(f"{start} does not exist")
        while waiting:
            reference = waiting.pop()
            if reference in seen:
                continue
            seen.add(reference)
            path = self._module(reference.module).path
            if path.name != "__init__.py":
                files.add(path.relative_to(self.folder).as_posix())
            if reference not in self._known:
                self._known[reference] = tuple(self._next(reference))
            waiting += self._known[reference]
        return frozenset(files)

    def runs_when_imported(self, file: str) -> bool:
        """Return True if importing the file does more than define names: it may act on code that never names it."""
        module = self._module(_module_name(Path(file)))
        return not all(_only_defines(statement) for statement in _top_level(module.tree.body))

    def _exists(self, module: str) -> bool:
        return module in self._paths

    def _module(self, name: str) -> _Module:
        if name not in self._parsed:
            path = self._paths[name]
            self._parsed[name] = _Module(path, ast.parse(path.read_text(encoding="utf-8"), str(path)))
        return self._parsed[name]

    def _next(self, reference: Reference) -> Iterator[Reference]:
        module = self._module(reference.module)
        if reference.name in module.imported:
            yield from self._found(*module.imported[reference.name])
        members = self._members(reference) if reference.member else {}
        for node in self._nodes(reference):
            known = module.imported | {k: v for s in ast.walk(node) for k, v in _imports(s).items()}
            for chain in _chains(node):
                if members and chain[0] in ("self", "cls", "super"):
                    owner = members.get(chain[1]) if len(chain) > 1 else Reference(reference.module, reference.name)
                    yield from [owner] if owner else []
                elif chain[0] in module.defined:
                    yield Reference(reference.module, chain[0])
                elif chain[0] in known:
                    yield from self._followed(*known[chain[0]], chain[1:])

    def _followed(self, module: str, name: str, attributes: tuple[str, ...]) -> Iterator[Reference]:
        """Follow `name` of `module`; of a module, follow its attribute."""
        whole = f"{module}.{name}" if name else module
        while attributes and self._exists(whole):
            module, name, attributes = whole, attributes[0], attributes[1:]
            whole = f"{module}.{name}"
        return self._found(module, name)

    def _found(self, module: str, name: str) -> Iterator[Reference]:
        submodule = f"{module}.{name}" if name else module
        if self._exists(submodule) and name not in self._names_of(module):
            yield Reference(submodule)
        elif name and name in self._names_of(module):
            yield Reference(module, name)

    def _names_of(self, module: str) -> set[str]:
        return {*self._module(module).defined, *self._module(module).imported} if self._exists(module) else set()

    def _nodes(self, reference: Reference) -> list[ast.stmt]:
        """The statements that a reference stands for; none for a name that is only imported."""
        module = self._module(reference.module)
        if not reference.name:
            return module.tree.body
        if not reference.member:
            return module.defined.get(reference.name, [])
        return [s for c in self._classes(reference) for s in c.body if reference.member in _names(s)]

    def _classes(self, reference: Reference) -> list[ast.ClassDef]:
        return [
            s for s in self._module(reference.module).defined.get(reference.name, []) if isinstance(s, ast.ClassDef)
        ]

    def _members(self, reference: Reference) -> dict[str, Reference]:
        """The members of a class and of its bases, and which reference each is."""
        members: dict[str, Reference] = {}
        for definition in self._classes(reference):
            for base in definition.bases:
                for chain in _chains(base):
                    for owner in self._resolved(reference.module, chain):
                        members |= self._members(owner)
            for statement in definition.body:
                members |= {n: Reference(reference.module, reference.name, n) for n in _names(statement)}
        return members

    def _resolved(self, module: str, chain: tuple[str, ...]) -> list[Reference]:
        here = self._module(module)
        if chain[0] in here.defined:
            return [Reference(module, chain[0])]
        return list(self._followed(*here.imported[chain[0]], chain[1:])) if chain[0] in here.imported else []

    def member(self, module: str, name: str, member: str) -> Reference | None:
        """The method `member` of a class, wherever among its bases it is defined; None where there is none."""
        return self._members(Reference(module, name)).get(member)


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _top_level(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run on import, those of `if` and `try` included."""
    for statement in body:
        if isinstance(statement, (ast.If, ast.Try, ast.With)):
            nested = [*statement.body, *getattr(statement, "orelse", []), *getattr(statement, "finalbody", [])]
            nested += [s for handler in getattr(statement, "handlers", []) for s in handler.body]
            yield from _top_level(nested)
        else:
            yield statement


def _names(statement: ast.stmt) -> list[str]:
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [statement.name]
    if isinstance(statement, ast.Assign):
        return [n.id for target in statement.targets for n in ast.walk(target) if isinstance(n, ast.Name)]
    if isinstance(statement, (ast.AnnAssign, ast.AugAssign)) and isinstance(statement.target, ast.Name):
        return [statement.target.id]
    return []


def _only_defines(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assign):
        return all(isinstance(target, (ast.Name, ast.Tuple)) for target in statement.targets)
    if isinstance(statement, ast.AnnAssign):
        return isinstance(statement.target, ast.Name)
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    return isinstance(statement, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef))


def _imports(node: ast.AST) -> dict[str, tuple[str, str]]:
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
    if isinstance(node, ast.Import):
        return {
            a.asname or a.name.split(".")[0]: (a.name if a.asname else a.name.split(".")[0], "") for a in node.names
        }
    return {}


def _chains(node: ast.AST) -> Iterator[tuple[str, ...]]:
    """Every name in a node with the attributes that follow: `root.config.Config` as ("root", "config", "Config").

    `super().method` stands as ("super", "method").
    """
    attributes: list[str] = []
    base = node
    while isinstance(base, ast.Attribute):
        attributes.insert(0, base.attr)
        base = base.value
    if isinstance(base, ast.Call) and isinstance(base.func, ast.Name) and base.func.id == "super" and attributes:
        yield ("super", *attributes)
    elif isinstance(base, ast.Name):
        yield (base.id, *attributes)
    else:
        for child in ast.iter_child_nodes(base):
            yield from _chains(child)
