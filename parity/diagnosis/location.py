"""Locations in a side's own source code: of the frames on the stack, and of the lines that run."""

from __future__ import annotations

import linecache
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from parity.study import installed

__all__ = [
    "SourceLocation",
    "call_chain",
    "call_site",
    "is_own",
    "is_own_file",
    "line_coverage",
    "location_at",
    "outermost",
    "source_around",
]


@dataclass(frozen=True)
class SourceLocation:
    """A source line: `file` as in an import (`package/module.py`), `path` on disk, the line's number and text."""

    file: str
    line: int
    function: str
    text: str
    path: str

    @property
    def of_adapter(self) -> bool:
        """True if the line translates for a side and is not the side's own."""
        return self.file.startswith("parity/")

    def plain(self) -> dict[str, Any]:
        """Return JSON values."""
        return {name: value for name, value in asdict(self).items() if name != "path"}

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


def call_chain(frame: FrameType | None = None, limit: int = 8) -> tuple[SourceLocation, ...]:
    """Return the side's own lines on the stack, innermost first; the adapter's if there are no others; or none."""
    own: list[SourceLocation] = []
    adapter: list[SourceLocation] = []
    frame = frame or sys._getframe(1)
    while frame is not None and len(own) < limit:
        kind = _kind(frame.f_code.co_filename)
        if kind in ("own", "adapter"):
            code = frame.f_code
            found = own if kind == "own" else adapter
            found.append(location_at(code.co_filename, frame.f_lineno, code.co_qualname))
        elif kind == "parity" and (own or adapter):
            break  # frames further out called the side
        frame = frame.f_back
    return tuple(own or adapter[:limit])


def call_site(frame: FrameType | None = None) -> SourceLocation | None:
    """Return the innermost location of the `call_chain`."""
    return next(iter(call_chain(frame or sys._getframe(1), limit=1)), None)


@lru_cache(maxsize=65536)
def location_at(path: str, line: int, function: str) -> SourceLocation:
    """Return the location of a known line."""
    return SourceLocation(_shown(path), line, function, linecache.getline(path, line).strip(), path)


def is_own(code: CodeType) -> bool:
    """True if a function is a side's own code."""
    return _kind(code.co_filename) == "own"


def is_own_file(path: str) -> bool:
    """True if a file is a side's own code."""
    return _kind(path) == "own"


def outermost(frame: FrameType) -> CodeType:
    """Return the outermost of the side's own functions on the stack: parity or an adapter called it."""
    found, outer = frame.f_code, frame.f_back
    while outer is not None and (kind := _kind(outer.f_code.co_filename)) != "parity":
        found = outer.f_code if kind == "own" else found
        outer = outer.f_back
    return found


def source_around(location: SourceLocation, lines: int = 3) -> list[list[Any]]:
    """Return the line with as many lines before and after, each as [number, text]."""
    linecache.checkcache(location.path)
    last = len(linecache.getlines(location.path))
    span = range(max(1, location.line - lines), min(last, location.line + lines) + 1)
    return [[number, linecache.getline(location.path, number).rstrip("\n")] for number in span]


@contextmanager
def line_coverage(
    relevant: Callable[[CodeType], bool] = is_own, entered: Callable[[FrameType], None] | None = None
) -> Iterator[dict[CodeType, set[int]]]:
    """Collect the lines that this thread runs in `relevant` functions, by function in the order of the first call.

    `entered` is called with the frame of each call.
    """
    lines: dict[CodeType, set[int]] = {}

    def inside(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            lines[frame.f_code].add(frame.f_lineno)
        return inside

    def called(frame: FrameType, event: str, _: Any) -> Any:
        if event != "call" or not relevant(frame.f_code):
            return None
        lines.setdefault(frame.f_code, set())
        if entered is not None:
            entered(frame)
        return inside

    previous = sys.gettrace()
    sys.settrace(called)
    try:
        yield lines
    finally:
        sys.settrace(previous)


@lru_cache(maxsize=4096)
def _kind(path: str) -> str:
    """Return what a file is: `own`, `adapter`, `parity` or `library`."""
    parity, study = _folder("parity"), installed()
    if path.startswith(parity):
        inside = f"parity/{path.removeprefix(parity)}"
        return "adapter" if inside.startswith(study.adapters) else "parity"
    if any(path.startswith(_folder(package)) for package in study.code):
        return "own"
    library = "-packages/" in path or path.startswith(("<", sysconfig.get_path("stdlib")))
    return "library" if library else "own"


@cache
def _folder(package: str) -> str:
    """Return a package's folder, with a separator at its end."""
    spec = find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return f"{places[0]}/" if places else "<absent>"


@lru_cache(maxsize=1024)
def _shown(path: str) -> str:
    """Return the path from the outermost package on."""
    file = Path(path)
    start = file.parent
    while (start / "__init__.py").exists():
        start = start.parent
    return file.relative_to(start).as_posix()
