"""Where in a side's own code something happened: the frames on the stack that are neither machinery nor libraries."""

from __future__ import annotations

import linecache
import sys
import sysconfig
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, FrameType

__all__ = ["Site", "call_chain", "call_site", "is_own", "is_own_file", "outermost", "site_at", "surrounding"]

_OWN = ("reference_root", "ggfm")
"""Packages that are a side's own code even where they are installed. So is all code that is not installed."""


@dataclass(frozen=True)
class Site:
    """A source line: `file` as in an import (`ggfm/bridge.py`), `path` as on disk, the line's number and text."""

    file: str
    line: int
    function: str
    text: str
    path: str

    @property
    def of_adapter(self) -> bool:
        """Whether it translates for a side instead of being the side's own."""
        return self.file.startswith("parity/")

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


def call_chain(frame: FrameType | None = None, limit: int = 8) -> tuple[Site, ...]:
    """The side's own lines on the stack, innermost first; those of the adapter if there are no others, or none."""
    own: list[Site] = []
    adapter: list[Site] = []
    frame = frame or sys._getframe(1)
    while frame is not None and len(own) < limit:
        kind = _kind(frame.f_code.co_filename)
        if kind == "own":
            own.append(_site(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname))
        elif kind == "adapter":
            adapter.append(_site(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname))
        elif kind == "parity" and (own or adapter):
            break  # what lies further out called the side
        frame = frame.f_back
    return tuple(own or adapter[:limit])


def call_site(frame: FrameType | None = None) -> Site | None:
    """The innermost of the `call_chain`."""
    return next(iter(call_chain(frame or sys._getframe(1), limit=1)), None)


def site_at(file: str, line: int, function: str) -> Site:
    """The site of a known line."""
    return _site(file, line, function)


def is_own(code: CodeType) -> bool:
    """Whether a function is a side's own code."""
    return _kind(code.co_filename) == "own"


def is_own_file(path: str) -> bool:
    """Whether a file is a side's own code."""
    return _kind(path) == "own"


def outermost(frame: FrameType) -> CodeType:
    """Of the side's own functions on the stack of one of them, the one that parity or an adapter called."""
    found, outer = frame.f_code, frame.f_back
    while outer is not None and (kind := _kind(outer.f_code.co_filename)) != "parity":
        found = outer.f_code if kind == "own" else found
        outer = outer.f_back
    return found


def surrounding(site: Site, lines: int = 3) -> list[tuple[int, str]]:
    """The site's line with as many lines before and after: (number, text), for showing."""
    last = len(linecache.getlines(site.path))
    span = range(max(1, site.line - lines), min(last, site.line + lines) + 1)
    return [(number, linecache.getline(site.path, number).rstrip("\n")) for number in span]


@lru_cache(maxsize=4096)
def _kind(name: str) -> str:
    """Of a file: `own`, `adapter`, `parity` or `library`."""
    if name.startswith(tuple(_folder("parity") + part for part in ("root_ggfm/sides/", "root_ggfm/checkouts/"))):
        return "adapter"
    if name.startswith(_folder("parity")):
        return "parity"
    if any(name.startswith(_folder(package)) for package in _OWN):
        return "own"
    installed = "-packages/" in name or name.startswith(("<", sysconfig.get_path("stdlib")))
    return "library" if installed else "own"


@cache
def _folder(package: str) -> str:
    """A package's folder, with a separator at its end."""
    spec = find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return f"{places[0]}/" if places else "<absent>"


@lru_cache(maxsize=65536)
def _site(file: str, line: int, function: str) -> Site:
    return Site(_shown(file), line, function, linecache.getline(file, line).strip(), file)


@lru_cache(maxsize=1024)
def _shown(file: str) -> str:
    """The path from the outermost package on."""
    path = Path(file)
    start = path.parent
    while (start / "__init__.py").exists():
        start = start.parent
    return path.relative_to(start).as_posix()
