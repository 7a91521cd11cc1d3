"""Files of tensors and plain values: written atomically, read without executing anything."""

from __future__ import annotations

import contextlib
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

__all__ = ["read_tensors", "write_tensors"]


def write_tensors(path: Path, state: Mapping[str, Any]) -> None:
    """Writes `state`; a kill leaves the old file or the new one. On its return the new one is on the disk."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            torch.save(dict(state), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # not every file system has it
            os.fsync(folder)  # the file's new name is an entry of its folder
    finally:
        os.close(folder)


def read_tensors(path: Path) -> Any:
    """What was written, on the CPU. Raises ValueError naming a file that is not there, or is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:  # torch does not look at the checksums
            damaged = archive.testzip()
        if damaged:
            raise ValueError(f"the checksum of {damaged} is wrong")
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: there is no such checkpoint") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{path}: cut short, damaged, or no checkpoint: {reason}") from error
