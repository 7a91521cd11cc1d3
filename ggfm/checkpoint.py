"""Files that hold the state of a run: written whole or not at all, checked before anything is made of them."""

from __future__ import annotations

import contextlib
import os
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

__all__ = ["Exactly", "OrNone", "Rows", "read", "write"]


@dataclass(frozen=True)
class Exactly:
    """Describes an entry that must equal `value`."""

    value: object


@dataclass(frozen=True)
class OrNone:
    """Describes an entry that is None or as `form` says."""

    form: Any


@dataclass(frozen=True)
class Rows:
    """Describes a tensor with any number of rows, each as those of `like`."""

    like: Tensor


def write(path: Path, entries: Mapping[str, Any]) -> None:
    """Write plain values and tensors so that a kill at any moment leaves the old file or the new one.

    They go to a temporary file in the same folder, which takes the old one's place when all of it is on the disk.
    Raises OSError where that cannot be; the temporary file is then gone and the old file as it was.
    """
    temporary = path.with_name(f"{path.name}.part")
    try:
        with temporary.open("wb") as file:
            torch.save(dict(entries), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Put the new name of a file on the disk too; without this a power failure can bring the old file back."""
    with contextlib.suppress(OSError):  # some file systems cannot: the file is whole all the same
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def read(path: Path, form: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a file, tensors on the CPU, if they have the given form.

    A form is a tree: a mapping stands for one with the same names; a tensor for one of the same shape and dtype; a
    type such as `int` for a value of it, `[int]` for a list of those, None for itself; `Exactly`, `OrNone` and `Rows`
    as they say.
    Raises ValueError naming the file, the entry, what it got and what is expected: for a file that is cut short or no
    checkpoint, and for what is missing, unexpected or of another form. OSError where there is no file to read.
    """
    with path.open("rb") as file:
        try:
            _require_undamaged(file)
            values = torch.load(file, map_location="cpu", weights_only=True)
        except _UNREADABLE as error:
            raise ValueError(f"{path}: expected a checkpoint, got a file that is cut short, damaged or none") from error
    try:
        _require(values, form, "")
    except _Unfit as error:
        raise ValueError(f"{path}: {error}") from error
    return dict(values)


_UNREADABLE = (
    OSError,
    RuntimeError,
    EOFError,
    pickle.UnpicklingError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    zipfile.BadZipFile,
)
"""What torch raises for bytes that it did not write, depending on the first one that it cannot make sense of."""


def _require_undamaged(file: BinaryIO) -> None:
    """Compare all bytes with their checksums, which torch writes and does not read."""
    with zipfile.ZipFile(file) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(damaged)
    file.seek(0)


class _Unfit(Exception):
    """An entry is not what it should be."""


def _require(value: Any, form: Any, entry: str) -> None:
    if isinstance(form, OrNone):
        if value is not None:
            _require(value, form.form, entry)
    elif isinstance(form, Mapping):
        _require_names(value, form, entry)
        for name, wanted in form.items():
            _require(value[name], wanted, f"{entry}/{name}" if entry else str(name))
    elif not _fits(value, form):
        raise _Unfit(f"entry {entry}: got {_described(value)}, expected {_wanted(form)}")


def _require_names(value: Any, form: Mapping[str, Any], entry: str) -> None:
    where = f"entry {entry}" if entry else "the file"
    if not isinstance(value, Mapping):
        raise _Unfit(f"{where}: got {_described(value)}, expected the names {', '.join(form)}")
    for name in form:
        if name not in value:
            raise _Unfit(f"{where}: {name!r} is missing, got {_listed(value)}")
    for name in value:
        if name not in form:
            raise _Unfit(f"{where}: got {name!r}, expected {_listed(form)}")


def _fits(value: Any, form: Any) -> bool:
    if isinstance(form, Exactly):
        return type(value) is type(form.value) and value == form.value
    if isinstance(form, Tensor):
        return isinstance(value, Tensor) and value.dtype == form.dtype and value.shape == form.shape
    if isinstance(form, Rows):
        like = form.like
        return isinstance(value, Tensor) and value.dtype == like.dtype and value.shape[1:] == like.shape[1:]
    if isinstance(form, list):
        return isinstance(value, list) and all(_fits(item, form[0]) for item in value)
    return value is None if form is None else type(value) is form


def _described(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    if isinstance(value, Mapping | list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return repr(value)


def _wanted(form: Any) -> str:
    if isinstance(form, Exactly):
        return repr(form.value)
    if isinstance(form, Tensor):
        return _described(form)
    if isinstance(form, Rows):
        return f"{form.like.dtype} of shape ({', '.join(['n', *map(str, form.like.shape[1:])])})"
    if isinstance(form, list):
        return f"a list of {_wanted(form[0])}"
    return "None" if form is None else str(form.__name__)


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, names)) or "nothing"
