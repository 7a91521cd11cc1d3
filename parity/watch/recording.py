"""Keep what a watched script did: a folder with a log of events and the values that they name; read without executing.

`recording.json` says what was run, with what. `events.jsonl` has one line for each event, written as it happens: a line
of code (`site`), a stored value (`value`), an event, and last how the script ended. `values.bin` holds tensors one
after the other, each once.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
import torch
import xxhash
from msgspec import Struct
from torch import Tensor

from parity.atomic_write import write_atomic
from parity.version import __version__

__all__ = [
    "FORMAT", "End", "Event", "Numbers", "Recorder", "Recording", "RecordingError", "Site", "digest_of", "leaves",
    "new_folder",
]  # fmt: skip

FORMAT = "parity-watch/1"
_MANIFEST, _EVENTS, _VALUES = "recording.json", "events.jsonl", "values.bin"

GIB = 2**30


class RecordingError(ValueError):
    """A folder that holds no recording, or only a part of one. The message names the folder and the defect."""


class Site(Struct, frozen=True, tag_field="is", tag="site"):
    """A line of the script's own code. `file`: from the script's folder on. `around`: lines before and after it."""

    id: int
    file: str
    line: int
    function: str
    text: str
    around: list[tuple[int, str]] = []

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Numbers(Struct, frozen=True):
    """A tensor or an array. `digest` is empty where a script ran without digests."""

    digest: str
    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"


Value: TypeAlias = Numbers | float | int | str | bool | None


class Event(Struct, frozen=True, tag_field="is", tag="event"):
    """Something that the script did.

    `role`: what kind of thing (`draw`, `batch`, `gradient`). `key`: what two events share that can be compared.
    `step`: optimiser steps before it. `path`: lines of the script's own code on the stack, innermost first.
    `about`: what else is known of it.
    """

    index: int
    role: str
    key: str
    step: int
    path: tuple[int, ...]
    values: dict[str, Value]
    about: dict[str, Any] = {}


class _Stored(Struct, frozen=True, tag_field="is", tag="value"):
    digest: str
    offset: int
    dtype: str
    shape: tuple[int, ...]


class End(Struct, frozen=True, tag_field="is", tag="end"):
    """How the script ended: `finished`, `stopped` as asked, `exited`, `raised` or `killed`."""

    how: str
    why: str = ""
    site: int | None = None
    seconds: float = 0.0
    stored: bool = True


class _Manifest(Struct, frozen=True):
    format: str
    parity: str
    about: dict[str, Any]


_LINE = Site | _Stored | Event | End


def digest_of(value: Tensor | np.ndarray[Any, Any]) -> str:
    """Return a digest of the bytes, dtype and shape aside."""
    return str(xxhash.xxh3_128_hexdigest(_bytes_of(value)))


def _bytes_of(value: Tensor | np.ndarray[Any, Any]) -> Any:
    if isinstance(value, np.ndarray):
        return np.ascontiguousarray(value).reshape(-1).view(np.uint8).data
    plain = value.detach().cpu().contiguous().reshape(-1)
    return plain.view(torch.uint8).numpy().data if plain.numel() else b""


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the tensors, arrays and plain values inside nested lists, tuples and mappings, each with its path."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for k, item in enumerate(value):
            yield from leaves(item, f"{name}.{k}" if name else str(k))
    elif isinstance(value, Tensor | np.ndarray | np.generic | float | int | str | bool) or value is None:
        yield name, value


def new_folder(folder: Path) -> None:
    """Make the folder of a recording. Raises RecordingError for one that holds a recording, and for a file."""
    if (folder / _MANIFEST).exists():
        raise RecordingError(f"--out {folder} holds a recording already; name a new folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise RecordingError(f"--out {folder} is a file; name a folder") from None


class Recorder:
    """Write a recording into a new folder.

    `digests`: False writes only dtypes and shapes. `store`: GiB of values that are stored besides; once they are
    reached, further ones have digests only. `known`: digests of values that another recording holds: they are not
    stored again.
    """

    def __init__(
        self,
        folder: Path,
        about: Mapping[str, Any],
        *,
        digests: bool = True,
        store: float = 0.0,
        known: Iterable[str] = (),
    ) -> None:
        new_folder(folder)
        manifest = {"format": FORMAT, "parity": __version__, "about": dict(about)}
        write_atomic(folder / _MANIFEST, json.dumps(manifest, indent=1, default=str) + "\n")
        self._log = os.open(folder / _EVENTS, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._values = os.open(folder / _VALUES, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._encode = msgspec.json.Encoder().encode
        self._digests, self._left = digests, int(store * GIB)
        self._offset, self._stored = 0, set(known)
        self._complete = True
        self.count = 0
        self.step = 0

    def event(
        self, role: str, key: str, values: Mapping[str, Any], path: tuple[int, ...], about: Mapping[str, Any]
    ) -> Event:
        """Write an event and return it."""
        kept = {name: self._value(value) for name, value in values.items()}
        event = Event(self.count, role, key, self.step, path, kept, dict(about))
        self.count += 1
        self._write(event)
        return event

    def site(self, site: Site) -> None:
        """Write a line of code that later events name by its number."""
        self._write(site)

    def end(self, end: End) -> None:
        """Write how the script ended."""
        self._write(msgspec.structs.replace(end, stored=self._complete))

    def _value(self, value: Any) -> Value:
        if isinstance(value, np.generic):
            value = value.item()
        if not isinstance(value, Tensor | np.ndarray):
            return value if isinstance(value, float | int | str | bool) or value is None else repr(value)[:200]
        shape, dtype = tuple(value.shape), str(value.dtype).removeprefix("torch.")
        if not self._digests or dtype == "object" or getattr(value, "is_meta", False) or not _is_dense(value):
            return Numbers("", dtype, shape)
        content = _bytes_of(value)
        digest = str(xxhash.xxh3_128_hexdigest(content))
        if digest not in self._stored and self._left:
            size = len(content)
            if size > self._left:
                self._left, self._complete = 0, False
            else:
                os.write(self._values, content)
                self._write(_Stored(digest, self._offset, dtype, shape))
                self._stored.add(digest)
                self._offset += size
                self._left -= size
        return Numbers(digest, dtype, shape)

    def _write(self, line: _LINE) -> None:
        os.write(self._log, self._encode(line) + b"\n")


def _is_dense(value: Any) -> bool:
    return not isinstance(value, Tensor) or (value.layout is torch.strided and not value.is_quantized)


class Recording:
    """A recording that was read. Raises RecordingError for a folder that holds none, of another version, or cut short.

    `partial`: take one that was cut short for what it has.
    """

    def __init__(self, folder: Path, *, partial: bool = False) -> None:
        self.folder = folder
        self.about = self._manifest().about
        self.events: list[Event] = []
        self.sites: dict[int, Site] = {}
        self.end: End | None = None
        self._stored: dict[str, _Stored] = {}
        self._read(partial)

    def site(self, event: Event | End | None) -> Site | None:
        """Return the line at which it happened."""
        if isinstance(event, Event):
            return self.sites.get(event.path[0]) if event.path else None
        return None if event is None or event.site is None else self.sites.get(event.site)

    @property
    def digests(self) -> frozenset[str]:
        """The digests of the values that are stored."""
        return frozenset(self._stored)

    def tensor(self, numbers: Value) -> Tensor | None:
        """Return the stored numbers; None where they were not stored."""
        entry = self._stored.get(numbers.digest) if isinstance(numbers, Numbers) else None
        if entry is None or not isinstance(numbers, Numbers):
            return None
        dtype = getattr(torch, numbers.dtype, None)
        size = int(np.prod(numbers.shape)) * (dtype.itemsize if dtype is not None else 0)
        if dtype is None or entry.offset + size > len(self._content):
            return None
        raw = bytearray(self._content[entry.offset : entry.offset + size])
        return (torch.frombuffer(raw, dtype=dtype) if raw else torch.empty(0, dtype=dtype)).reshape(numbers.shape)

    @cached_property
    def _content(self) -> Any:
        file = self.folder / _VALUES
        if not file.exists() or file.stat().st_size == 0:
            return b""
        with file.open("rb") as opened:
            return mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)

    def _manifest(self) -> _Manifest:
        file = self.folder / _MANIFEST
        try:
            manifest = msgspec.json.decode(file.read_bytes(), type=_Manifest)
        except FileNotFoundError:
            raise RecordingError(f"{self.folder} holds no recording: {_MANIFEST} is not there") from None
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RecordingError(f"{file} cannot be read: {error}") from None
        if manifest.format != FORMAT:
            raise RecordingError(f"{self.folder} has the format {manifest.format!r}; this version reads {FORMAT!r}")
        return manifest

    def _read(self, partial: bool) -> None:
        file = self.folder / _EVENTS
        decode = msgspec.json.Decoder(_LINE).decode
        try:
            content = file.read_bytes()
        except OSError as error:
            raise RecordingError(f"{self.folder} is cut short: {_EVENTS}: {error.strerror}") from None
        lines = content.split(b"\n")
        whole, rest = lines[:-1], lines[-1]
        for number, line in enumerate(whole, start=1):
            try:
                entry = decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise RecordingError(f"{file}, line {number}: {error}") from None
            match entry:
                case Site():
                    self.sites[entry.id] = entry
                case _Stored():
                    self._stored[entry.digest] = entry
                case End():
                    self.end = entry
                case Event():
                    self.events.append(entry)
        if (rest or self.end is None) and not partial:
            raise RecordingError(
                f"{self.folder} is cut short after {len(self.events)} events: the process that wrote it was killed; "
                "--partial compares what is there"
            )
