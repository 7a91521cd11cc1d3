"""Where recorded numbers come from: versions, the code's git commit, and a digest of its sources."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np
import torch

from parity.root_ggfm.profiles import SIDES
from parity.version import __version__

__all__ = ["code_of", "source_state", "versions"]

_SUFFIXES = (".py", ".yaml", ".yml")
_SKIPPED = {".git", "__pycache__", "node_modules", "site-packages"}


def versions() -> dict[str, str]:
    """Of everything that numbers depend on, processor included."""
    return {
        "parity": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "gpytorch": metadata.version("gpytorch"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    }


def code_of(specifier: str) -> Path:
    """The file or folder behind a side's specifier: of `root:PATH` and `FILE.py:NAME` the path, a folder itself, else
    the package."""
    head, _, tail = specifier.partition(":")
    if head in ("root", "ggfm") and tail:
        return Path(tail)
    if specifier not in SIDES and Path(specifier).is_dir():
        return Path(specifier)
    found = None if ".py" in specifier else util.find_spec(specifier)
    if found is not None and found.submodule_search_locations:
        return Path(next(iter(found.submodule_search_locations)))
    return Path(specifier[: specifier.rindex(".py") + len(".py")])


def source_state(code: Path) -> dict[str, Any]:
    """`sources`: a digest of all Python and YAML files; `commit` and `dirty` of the git repository around, else None.

    `dirty`: whether some of these differ from the commit, or are not in it.
    """
    folder = code if code.is_dir() else code.parent
    commit = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "-uall", "--", str(code.resolve())) if commit else None
    dirty = None if changed is None else any(line.rstrip('"').endswith(_SUFFIXES) for line in changed.splitlines())
    return {"sources": _digest(code), "commit": commit, "dirty": dirty}


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
