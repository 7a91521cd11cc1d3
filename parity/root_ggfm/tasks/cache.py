"""The folder of data files: where it is, and how files get in and out of it whole."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from numpy.typing import NDArray

from parity import atomic_write as files

__all__ = ["DataCorrupt", "DataUnavailable", "cache_folder", "npy_bytes", "read_npy", "sha256", "write_atomic"]

REPAIR = "`parity data fetch` repairs it"


class DataUnavailable(RuntimeError):
    """Data is not on this machine, or could not be had. The message says what to do."""


class DataCorrupt(RuntimeError):
    """A data file is not what it should be: cut short, changed, or something else altogether."""


def cache_folder() -> Path:
    """The folder in the environment variable PARITY_DATA if that is set, else the user's cache folder for parity."""
    return Path(os.environ.get("PARITY_DATA") or platformdirs.user_cache_dir("parity"))


def sha256(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def npy_bytes(array: NDArray[Any]) -> bytes:
    """The array as the bytes of a `.npy` file, format version 1.0."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that at any moment, even after a kill, it is either whole or not there (or the old one).

    Raises `DataUnavailable` where the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()  # whether it can be written
    except OSError as error:
        raise DataUnavailable(f"cannot write to {path.parent} ({error}); PARITY_DATA names another folder") from error
    files.write_atomic(path, data)


def read_npy(path: Path, expected_sha256: str) -> NDArray[Any]:
    """Read a `.npy` file, its checksum verified first. Raises `DataUnavailable` or `DataCorrupt`."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataUnavailable(f"{path} is not there; `parity data fetch` gets it") from None
    except OSError as error:
        raise DataCorrupt(f"{path} cannot be read: {error}; {REPAIR}") from error
    found = sha256(data)
    if found != expected_sha256:
        raise DataCorrupt(
            f"{path} was cut short or changed: expected sha256 {expected_sha256}, got {found} "
            f"({len(data)} bytes); {REPAIR}"
        )
    array: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return array
