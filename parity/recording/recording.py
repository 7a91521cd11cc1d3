"""Keep a folder of recorded numbers: its manifest, its files, where they come from, and the checks before one is read.

`manifest.json` says what was recorded, with what, under which conditions, and for each component its two files with
their sha256: `NAME.json` with the cases and `NAME.npz` with the arrays that they name.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata, util
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
import torch
from msgspec import Meta, Struct
from numpy.typing import NDArray

from parity.atomic_write import write_atomic
from parity.recording.values import RecordedOutcome, RecordedSpread, RecordingError, array_references
from parity.study import Study
from parity.version import __version__

__all__ = [
    "FORMAT", "About", "Case", "Conditions", "Declaration", "Entry", "Recording", "Source", "code_of", "run_name",
    "source_of", "versions",
]  # fmt: skip

T = TypeVar("T")

FORMAT = "parity-recording/1"
_MANIFEST = "manifest.json"
_PUBLISHED = "index.json"
_SUFFIXES = (".py", ".yaml", ".yml")
_SKIPPED = {".git", "__pycache__", "node_modules", "site-packages"}


class Source(Struct, frozen=True):
    """The recorded side. `sources`: a digest of all its Python and YAML files; `commit` and `dirty` of the git
    repository around them, else None. `dirty`: some of the files differ from the commit, or are not in it."""

    name: str
    version: str
    sources: str
    commit: str | None
    dirty: bool | None


class Conditions(Struct, frozen=True, kw_only=True):
    """The conditions that recorded numbers depend on besides the code."""

    profile: str = ""
    task: str | None = None
    task_sha256: str | None = None
    seed: int = 0
    examples: int = 0
    dtype: str
    device: str


class Declaration(Struct, frozen=True):
    """The form of a component's inputs: names of the parameters and of the arguments made of them."""

    params: list[str]
    inputs: list[str]


class Entry(Struct, frozen=True):
    """A component in the manifest: how many cases it has, its files with their sha256, the form of its inputs."""

    cases: Annotated[int, Meta(ge=1)]
    files: dict[str, str]
    declaration: Declaration


class About(Struct, frozen=True):
    """The side, the versions and the conditions of a recording. `asked`: the components asked for; None for all."""

    side: Source
    versions: dict[str, str]
    conditions: Conditions
    asked: list[str] | None


_Name = Annotated[str, Meta(pattern=r"^\w[\w .-]*$")]
"""A component's name: it becomes a file's name, in this folder and no other."""


class _Manifest(About, frozen=True):
    format: str
    components: dict[_Name, Entry]


class Case(Struct, frozen=True):
    """A recorded input with its outcomes. `runs`: by `run_name`; `spread`: by precision."""

    params: dict[str, Any]
    seed: int
    fingerprint: str
    inputs: dict[str, Any]
    runs: dict[str, RecordedOutcome]
    spread: dict[str, RecordedSpread]


class _Cases(Struct, frozen=True):
    cases: list[Case]


def run_name(dtype: torch.dtype | str, *, record: bool = False) -> str:
    """Return the name of a run in a recording: `float32`, `float64`, `float32/draws`."""
    return str(dtype).removeprefix("torch.") + "/draws" * record


@dataclass(frozen=True)
class Recording:
    """A folder with a manifest."""

    path: Path
    about: About
    components: dict[str, Entry] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path) -> Recording:
        """Return the recording in a folder. Raises RecordingError for a folder that holds none, and for a manifest of
        another format or with a field of another form, which the message names."""
        file = path / _MANIFEST
        if not file.is_file():
            other = ": these are numbers of a published code, see `parity golden`" * (path / _PUBLISHED).is_file()
            raise RecordingError(f"{path} holds no recording: {_MANIFEST} is not there{other}")
        content = file.read_bytes()
        found = _decoded(file, content, dict[str, Any]).get("format")
        if found != FORMAT:
            raise RecordingError(f"{file} has the format {found!r}; this version reads {FORMAT}")
        manifest = _decoded(file, content, _Manifest)
        for name, entry in manifest.components.items():
            if set(entry.files) != set(_files(name)):
                raise RecordingError(
                    f"{file} cannot be read: the files of {name} must be {' and '.join(_files(name))}, "
                    f"got {', '.join(entry.files) or 'none'}"
                )
        about = About(manifest.side, manifest.versions, manifest.conditions, manifest.asked)
        return cls(path, about, dict(manifest.components))

    @classmethod
    def begin(cls, path: Path, about: About) -> Recording:
        """Return a new recording, or the one in the folder if it was made of the same code under the same conditions.

        Raises RecordingError naming what differs.
        """
        if path.exists() and not path.is_dir():
            raise RecordingError(f"{path} is a file; name a new or an empty folder")
        path.mkdir(parents=True, exist_ok=True)
        if not (path / _MANIFEST).exists():
            if any(path.iterdir()):
                raise RecordingError(f"{path} is not empty and holds no recording; name a new or an empty folder")
            begun = cls(path, about)
            begun._write()
            return begun
        there = cls.open(path)
        for part in about.__struct_fields__:
            old, new = (msgspec.to_builtins(getattr(each, part)) for each in (there.about, about))
            if old != new:
                changed = ", ".join(_changes(part, old, new))
                raise RecordingError(f"{path} holds another recording ({changed}); name another folder")
        return there

    def write(
        self, component: str, declaration: Declaration, cases: Sequence[Case], arrays: Mapping[str, NDArray[Any]]
    ) -> Entry:
        """Write a component's two files; return its entry, which `enter` adds to the manifest.

        Raises RecordingError for a name that is none of a file.
        """
        try:
            msgspec.convert(component, _Name)
        except msgspec.ValidationError as error:
            raise RecordingError(f"the name {component!r} is none of a file: {error}") from error
        packed = io.BytesIO()
        np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]  # NumPy's stub takes them for its own options
        lines = ",\n".join(json.dumps(msgspec.to_builtins(case), allow_nan=False) for case in cases)
        text = f'{{"component": {json.dumps(component)}, "cases": [\n{lines}\n]}}\n'
        contents = dict(zip(_files(component), (text.encode(), packed.getvalue()), strict=True))
        for name, content in contents.items():
            write_atomic(self.path / name, content)
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        return Entry(len(cases), digests, declaration)

    def enter(self, component: str, entry: Entry) -> None:
        """Name a component's files in the manifest: from now on it is recorded. A kill before leaves it out."""
        self.components[component] = entry
        self._write()

    def cases(self, component: str) -> list[Case]:
        """Return a recorded component's cases.

        Raises RecordingError for a file that is absent, altered or not what it should be: its digest is checked before
        anything in it is looked at.
        """
        name, _ = _files(component)
        cases = _decoded(self.path / name, self._checked(name, component), _Cases).cases
        if len(cases) != self.components[component].cases:
            raise RecordingError(
                f"{self.path / name} holds {len(cases)} cases, {_MANIFEST} says {self.components[component].cases}"
            )
        precisions = dict.fromkeys((self.about.conditions.dtype, "float64"))
        runs = [run_name(dtype, record=record) for dtype in precisions for record in (False, True)]
        for k, case in enumerate(cases):
            for what, names, held in (("run", runs, case.runs), ("spread", ("float32", "float64"), case.spread)):
                lost = [wanted for wanted in names if wanted not in held]
                if lost:
                    raise RecordingError(f"{self.path / name} cannot be read: case {k} lacks the {what} {lost[0]}")
        return cases

    def arrays(self, component: str) -> dict[str, NDArray[Any]]:
        """Return the arrays that a component's cases name. Errors as in `cases`; nothing in the archive is executed."""
        _, name = _files(component)
        content = self._checked(name, component)
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as opened:
                return {name: opened[name] for name in opened.files}
        except Exception as error:  # NumPy raises a dozen kinds for files that are none of its own
            raise RecordingError(f"{self.path / name} cannot be read: {_one_line(error)}") from error

    def check(self, component: str) -> None:
        """Raise RecordingError if a recorded component's files are damaged, or name arrays that are not there."""
        arrays = self.arrays(component)
        for case in self.cases(component):
            for kind, name in array_references(msgspec.to_builtins(case)):
                if name not in arrays:
                    raise RecordingError(f"{self.path / component}.npz cannot be read: it lacks the array {name}")
                if kind == "tensor" and arrays[name].dtype.kind not in "biufc":
                    raise RecordingError(
                        f"{self.path / component}.npz cannot be read: {name} holds {arrays[name].dtype}, no numbers"
                    )

    def _checked(self, name: str, component: str) -> bytes:
        try:
            content = (self.path / name).read_bytes()
        except OSError as error:
            raise RecordingError(f"{self.path / name} cannot be read: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != self.components[component].files[name]:
            raise RecordingError(f"{self.path / name} is not the file that was recorded (cut short or altered): sha256")
        return content

    def _write(self) -> None:
        whole = {
            "format": FORMAT,
            **msgspec.to_builtins(self.about),
            "components": msgspec.to_builtins(dict(sorted(self.components.items()))),
        }
        write_atomic(self.path / _MANIFEST, json.dumps(whole, indent=1, allow_nan=False) + "\n")


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of everything that numbers depend on, `packages` and the processor included."""
    return {
        "parity": __version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        **{name: metadata.version(name) for name in packages},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    }


def source_of(name: str, version: str, code: Path) -> Source:
    """Return the state of a side's code, a file or a folder."""
    folder = code if code.is_dir() else code.parent
    commit = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "-uall", "--", str(code.resolve())) if commit else None
    dirty = None if changed is None else any(line.rstrip('"').endswith(_SUFFIXES) for line in changed.splitlines())
    return Source(name, version, _digest(code), commit, dirty)


def code_of(specifier: str, study: Study) -> Path:
    """Return the file or folder behind a side's specifier: of `LAYOUT:PATH` and `FILE.py:NAME` the path, a folder
    itself, else the package."""
    head, _, tail = specifier.partition(":")
    if head in study.layouts and tail:
        return Path(tail)
    if specifier not in study.implementations and Path(specifier).is_dir():
        return Path(specifier)
    found = None if ".py" in specifier else util.find_spec(specifier)
    if found is not None and found.submodule_search_locations:
        return Path(next(iter(found.submodule_search_locations)))
    return Path(specifier[: specifier.rindex(".py") + len(".py")])


def _decoded(file: Path, content: bytes, form: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=form)
    except msgspec.ValidationError as error:
        raise RecordingError(f"{file} cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{file} is no valid JSON: {error}") from error


def _files(component: str) -> tuple[str, str]:
    return f"{component}.json", f"{component}.npz"


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _changes(part: str, there: Any, here: Any) -> Iterator[str]:
    if not (isinstance(there, dict) and isinstance(here, dict)):
        yield f"{part}: {there} became {here}"
        return
    for name in sorted({*there, *here}):
        if there.get(name) != here.get(name):
            yield f"{part} {name}: {there.get(name)} became {here.get(name)}"


def _digest(code: Path) -> str:
    digest = hashlib.sha256()
    for file in [code] if code.is_file() else _sources(code):
        name = file.name if file == code else file.relative_to(code).as_posix()
        digest.update(f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _sources(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink() and entry.name not in _SKIPPED:
            yield from _sources(entry)
        elif entry.is_file() and entry.suffix in _SUFFIXES:
            yield entry


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, encoding="utf-8", check=False
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
