"""Where in a side's own code something happened: the frames on the stack that are neither machinery nor libraries."""

from __future__ import annotations

import linecache
import sys
import sysconfig
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, FrameType

__all__ = ["Site", "call_chain", "call_site", "is_own", "surrounding"]

_LIBRARIES = (
    "torch", "numpy", "scipy", "gpytorch", "linear_operator", "jaxtyping", "hypothesis", "pytest", "_pytest", "pluggy",
    "tqdm", "parity",
)  # fmt: skip
"""What calls a side, and what a side computes with. Everything else is a side's own code."""


@dataclass(frozen=True)
class Site:
    """A source line: `file` as in an import (`ggfm/bridge.py`), `path` as on disk, the line's number and text."""

    file: str
    line: int
    function: str
    text: str
    path: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


def call_chain(frame: FrameType | None = None, limit: int = 8) -> tuple[Site, ...]:
    """The side's own lines on the stack, innermost first; those of the adapter if there are no others, or none."""
    own: list[Site] = []
    adapter: list[Site] = []
    frame = frame or sys._getframe(1)
    while frame is not None and len(own) < limit:
        kind = _kind(frame.f_code)
        if kind == "own":
            own.append(_site(frame.f_code, frame.f_lineno))
        elif kind == "adapter":
            adapter.append(_site(frame.f_code, frame.f_lineno))
        elif kind == "parity" and (own or adapter):
            break  # what lies further out called the side
        frame = frame.f_back
    return tuple(own or adapter[:limit])


def call_site(frame: FrameType | None = None) -> Site | None:
    """The innermost of the `call_chain`."""
    return next(iter(call_chain(frame or sys._getframe(1), limit=1)), None)


def is_own(code: CodeType) -> bool:
    """Whether a function is a side's own code."""
    return _kind(code) == "own"


def surrounding(site: Site, lines: int = 3) -> list[tuple[int, str]]:
    """The site's line with as many lines before and after: (number, text), for showing."""
    last = len(linecache.getlines(site.path))
    span = range(max(1, site.line - lines), min(last, site.line + lines) + 1)
    return [(number, linecache.getline(site.path, number).rstrip("\n")) for number in span]


@lru_cache(maxsize=4096)
def _kind(code: CodeType) -> str:
    """`own`, `adapter`, `parity` or `library`."""
    name = code.co_filename
    folders = _folders()
    if name.startswith(f"{folders['parity']}sides/"):
        return "adapter"
    if name.startswith(folders["parity"]):
        return "parity"
    in_stdlib = name.startswith(sysconfig.get_path("stdlib")) and "-packages/" not in name
    return "library" if in_stdlib or name.startswith(("<", *folders.values())) else "own"


@lru_cache(maxsize=1)
def _folders() -> dict[str, str]:
    """Folder of each library that is installed, with a separator at its end."""
    specs = {name: find_spec(name) for name in _LIBRARIES}
    return {
        name: f"{place}/" for name, spec in specs.items() if spec for place in spec.submodule_search_locations or ()
    }


@lru_cache(maxsize=65536)
def _site(code: CodeType, line: int) -> Site:
    text = linecache.getline(code.co_filename, line).strip()
    return Site(_shown(code.co_filename), line, code.co_qualname, text, code.co_filename)


@lru_cache(maxsize=1024)
def _shown(file: str) -> str:
    """The path from the outermost package on."""
    path = Path(file)
    start = path.parent
    while (start / "__init__.py").exists():
        start = start.parent
    return path.relative_to(start).as_posix()
