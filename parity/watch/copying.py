"""Copy a script's folder, so that the script writes where it likes and its own folder stays as it is.

Large files and what symbolic links lead to are linked, not copied. A linked file that the script opens for writing is
copied first.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["SKIPPED", "copy_before_writing", "copy_folder"]

_LARGE = 32 << 20
_MOST_BYTES = 4 << 30
_MOST_FILES = 50_000
SKIPPED = {".git", "__pycache__", ".venv", "venv", "node_modules", ".tox", "wandb", ".idea", ".vscode"}
_RECORDING = "recording.json"


def copy_folder(folder: Path, to: Path) -> None:
    """Copy a folder; raise ValueError where it holds too much to copy for each run."""
    copied = 0
    for files, (source, place) in enumerate(_entries(folder, to), start=1):
        copied += _copy(source, place)
        if files > _MOST_FILES or copied > _MOST_BYTES:
            what = f"more than {_MOST_FILES} files" if files > _MOST_FILES else f"more than {_MOST_BYTES >> 30} GiB"
            raise ValueError(
                f"{folder} holds {what}, too much to copy for a run: move its data out of it and link them, or let the "
                "script run in its own folder"
            )


def copy_before_writing(folder: Path) -> None:
    """Replace a link under `folder` by a copy of its file when this process opens it for writing, from now on."""
    inside = f"{folder}{os.sep}"

    def opened(event: str, args: Any) -> None:
        if event != "open" or not isinstance(args[0], str | bytes | os.PathLike) or not args[2] & _WRITING:
            return
        path = os.path.abspath(os.fsdecode(args[0]))
        if path.startswith(inside) and os.path.islink(path) and os.path.isfile(path):
            own_copy(path)

    sys.addaudithook(opened)


def own_copy(link: str) -> None:
    """Put a copy of the file in the place of a link to it."""
    source = os.path.realpath(link)
    os.unlink(link)
    shutil.copy2(source, link)


_WRITING = os.O_WRONLY | os.O_RDWR | os.O_TRUNC | os.O_APPEND


def _entries(folder: Path, to: Path) -> Iterator[tuple[os.DirEntry[str], Path]]:
    waiting = [(folder, to)]
    while waiting:
        here, there = waiting.pop()
        there.mkdir(parents=True)
        with os.scandir(here) as entries:
            for entry in entries:
                if entry.name in SKIPPED:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if not os.path.exists(os.path.join(entry.path, _RECORDING)):
                        waiting.append((Path(entry.path), there / entry.name))
                elif entry.is_symlink() or entry.is_file():
                    yield entry, there / entry.name


def _copy(entry: os.DirEntry[str], place: Path) -> int:
    """Copy or link a file; return the bytes that were copied."""
    if entry.is_symlink():
        target = os.readlink(entry.path)
        within = not os.path.isabs(target) and ".." not in target.split(os.sep)
        os.symlink(target if within else os.path.join(os.path.dirname(entry.path), target), place)
        return 0
    size = entry.stat().st_size
    if size > _LARGE or not os.access(entry.path, os.R_OK):
        os.symlink(os.path.realpath(entry.path), place)
        return 0
    shutil.copy2(entry.path, place)
    return size
