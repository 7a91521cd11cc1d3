"""Keep what a watched script did: a folder with a log of events and the values that they name; read without executing.

`recording.json` says what was run, with what. `events.jsonl` has one line for each event, written as it happens: a line
of code (`site`), a stored value (`value`), an event, and last how the script ended. `values.bin` holds tensors one
after the other, each once.
"""

from __future__ import annotations

import json
import math
import mmap
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import ModuleType
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
    plain = value.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return plain.view(torch.uint8).numpy().data if plain.numel() else b""


def leaves(value: Any, name: str = "", *, objects: bool = False, deep: int = 12) -> Iterator[tuple[str, Any]]:
    """Yield the tensors, arrays and plain values inside nested lists, tuples and mappings, each with its path.

    `objects`: also those in attributes of other objects.
    """
    if isinstance(value, Tensor | np.ndarray | np.generic | float | int | str | bool) or value is None:
        yield name, value
        return
    if isinstance(value, Mapping):
        inside: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, list | tuple):
        inside = enumerate(value)
    elif objects and not isinstance(value, type | torch.nn.Module | ModuleType) and not callable(value):
        inside = getattr(value, "__dict__", {}).items()
    else:
        return
    if deep:
        for key, item in inside:
            yield from leaves(item, f"{name}.{key}" if name else str(key), objects=objects, deep=deep - 1)


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
        self.digests, self._left = digests, int(store * GIB)
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
        if not isinstance(value, Tensor | np.ndarray):
            return _plain(value)
        shape, dtype = tuple(value.shape), str(value.dtype).removeprefix("torch.")
        if not self.digests or dtype == "object" or getattr(value, "is_meta", False) or not _is_dense(value):
            return Numbers("", dtype, shape)
        content = _bytes_of(value)
        digest = str(xxhash.xxh3_128_hexdigest(content))
        if digest not in self._stored and self._left:
            size = len(content)
            if size > self._left:
                self._left, self._complete = 0, False
            else:
                _write(self._values, content)
                self._write(_Stored(digest, self._offset, dtype, shape))
                self._stored.add(digest)
                self._offset += size
                self._left -= size
        return Numbers(digest, dtype, shape)

    def _write(self, line: _LINE) -> None:
        try:
            encoded = self._encode(line)
        except UnicodeEncodeError:  # half of a surrogate pair, from a file name or an argument
            encoded = self._encode(msgspec.convert(_encodable(msgspec.to_builtins(line)), _LINE))
        _write(self._log, encoded + b"\n")


def _write(file: int, content: Any) -> None:
    """Write all of it: a call of the system writes 2 GiB at most."""
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]


def _plain(value: Any) -> float | int | str | bool | None:
    """Return a value as JSON holds it: without infinities, and whole numbers of 63 bits."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value) if abs(value) < 2**63 else str(int(value))
    if isinstance(value, float):
        return float(value)
    return str(value) if isinstance(value, str) else repr(value)[:200]


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    return [_encodable(item) for item in value] if isinstance(value, list | tuple) else value


def _is_dense(value: Any) -> bool:
    if not isinstance(value, Tensor):
        return bool(value.dtype.itemsize)
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor(value)
    return not wrapped and value.layout is torch.strided and not value.is_quantized


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
        self._check_values(partial)

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
        dtype, size = _dtype(numbers.dtype), _size(numbers)
        if dtype is None or size is None or size != _size(entry) or entry.offset + size > len(self._content):
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
            if partial and isinstance(error, FileNotFoundError):
                return
            raise RecordingError(f"{self.folder} is cut short: {_EVENTS}: {error.strerror}") from None
        lines = content.split(b"\n")
        whole, rest = lines[:-1], lines[-1]
        for number, line in enumerate(whole, start=1):
            if self.end is not None:  # a thread of the script went on
                rest = b""
                break
            try:
                self._take(decode(line))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, RecordingError) as error:
                raise RecordingError(f"{file}, line {number}: {error}") from None
        if (rest or self.end is None) and not partial:
            raise RecordingError(
                f"{self.folder} is cut short after {len(self.events)} events: the process that wrote it was killed; "
                "--partial compares what is there"
            )

    def _take(self, entry: _LINE) -> None:
        match entry:
            case Site():
                if entry.id in self.sites:
                    raise RecordingError(f"a second line of code with the number {entry.id}")
                self.sites[entry.id] = entry
            case _Stored():
                if entry.offset < 0 or _size(entry) is None:
                    raise RecordingError(f"a stored value of {entry.dtype} {list(entry.shape)} at {entry.offset}")
                self._stored[entry.digest] = entry
            case End():
                self._known((entry.site,))
                self.end = entry
            case Event():
                self._check(entry)
                self.events.append(entry)

    def _check(self, event: Event) -> None:
        if event.index != len(self.events):
            raise RecordingError(f"event {event.index} follows event {len(self.events) - 1}")
        if not 0 <= event.step <= event.index:
            raise RecordingError(f"event {event.index} at step {event.step}")
        self._known(event.path)
        for name, value in event.values.items():
            if isinstance(value, Numbers) and any(n < 0 for n in value.shape):
                raise RecordingError(f"event {event.index}: {name} has the shape {list(value.shape)}")
        for name, kind in _ABOUT.items():
            if not isinstance(event.about.get(name), kind | None):
                raise RecordingError(f"event {event.index}: {name} is {str(event.about[name])[:80]!r}")
        self._known((event.about.get("set_at"), *_lines(event)))

    def _known(self, lines: Iterable[int | None]) -> None:
        unknown = [line for line in lines if line is not None and line not in self.sites]
        if unknown:
            raise RecordingError(f"it names the line of code {unknown[0]}, which is not there")

    def _check_values(self, partial: bool) -> None:
        needed = max((entry.offset + (_size(entry) or 0) for entry in self._stored.values()), default=0)
        if needed > len(self._content) and not partial:
            raise RecordingError(
                f"{self.folder} is cut short: {_VALUES} has {len(self._content)} of {needed} bytes; "
                "--partial compares what is there"
            )


_ABOUT: Mapping[str, Any] = {
    "of": int, "number": int, "group": int, "set_at": int, "generator": str, "module": str, "why": str, "note": str,
    "function": str, "since": list, "lines": dict,
}  # fmt: skip
"""What is known of an event besides its values, and its type."""


def _lines(event: Event) -> Iterator[int]:
    """Yield the lines of code that an event names besides its path. Raises RecordingError for another form."""
    for entry in event.about.get("since") or ():
        match entry:
            case [str(), int() as line]:
                yield line
            case [str(), None]:
                pass
            case _:
                raise RecordingError(f"event {event.index}: since has {str(entry)[:80]!r}")
    for line in (event.about.get("lines") or {}).values():
        if not isinstance(line, int):
            raise RecordingError(f"event {event.index}: lines has {str(line)[:80]!r}")
        yield line


def _dtype(name: str) -> torch.dtype | None:
    found = getattr(torch, name, None)
    return found if isinstance(found, torch.dtype) else None


def _size(value: Numbers | _Stored) -> int | None:
    """Return the number of bytes; None for a shape or a dtype that cannot be."""
    if any(n < 0 for n in value.shape):
        return None
    dtype = _dtype(value.dtype)
    if dtype is not None:
        return math.prod(value.shape) * dtype.itemsize
    try:
        return math.prod(value.shape) * np.dtype(value.dtype).itemsize
    except (TypeError, ValueError, SyntaxError):
        return None
