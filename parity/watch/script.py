"""Run a training script unchanged, in a process of its own, watched: `script:PATH ARGS`.

The script runs through `runpy` with its own arguments, under limits of time and memory; a crash, a hang, an exit or a
forked child costs this process nothing, and everything up to there is recorded.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import shlex
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from parity.process.child import end
from parity.version import __version__
from parity.watch.copying import SKIPPED, copy_folder
from parity.watch.follow import DIFFERENCES, led_again
from parity.watch.recording import Recording, new_folder
from parity.watch.running import serve

__all__ = ["PREFIX", "Script", "Watched", "fingerprint", "watch_script"]

PREFIX = "script:"

_TAIL = 64 * 1024
_GRACE = 30.0
"""Seconds that a process takes to start, and that one that ran out of time may write what it found."""

_READ = (".py", ".yaml", ".yml", ".json", ".toml", ".cfg", ".ini")

_ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "MPLBACKEND": "Agg", "WANDB_MODE": "disabled"}

_CONTEXT: Any = multiprocessing.get_context("forkserver")
"""A server that has imported PyTorch forks the processes of scripts: each starts at once."""
_CONTEXT.set_forkserver_preload(["parity.watch.preload"])


@dataclass(frozen=True)
class Script:
    """A script and its arguments. `folder`: all code that is its own. `work`: where it is started."""

    path: Path
    arguments: tuple[str, ...]
    folder: Path
    work: Path

    @classmethod
    def parse(cls, text: str, option: str = "script", extra: str = "") -> Script:
        """Return what `script:PATH ARGS` names. Raises ValueError if there is no such file."""
        try:
            words = [*shlex.split(text.removeprefix(PREFIX)), *shlex.split(extra)]
        except ValueError as error:
            raise ValueError(f"{option} {text!r} cannot be split into words: {error}") from None
        if not words:
            raise ValueError(f"{option} {text!r} names no script: give script:PATH ARGS")
        return cls.of(words, option)

    @classmethod
    def of(cls, words: Sequence[str], option: str = "script") -> Script:
        """Return the script that the first word names, with the other words as its arguments."""
        path = Path(words[0]).expanduser()
        if not path.is_file():
            raise ValueError(f"{option}: there is no script {words[0]!r}")
        path = path.resolve()
        folder = next((p for p in path.parents if (p / ".git").exists()), path.parent)
        here = Path.cwd()
        return cls(path, tuple(words[1:]), folder, here if here.is_relative_to(folder) else path.parent)

    @property
    def name(self) -> str:
        """The script as it is shown."""
        return f"{self.folder.name}/{self.path.relative_to(self.folder).as_posix()}"

    def __str__(self) -> str:
        return shlex.join([self.name, *self.arguments])


@dataclass(frozen=True, kw_only=True)
class Watched:
    """How a script is watched.

    `prepare`: `module:function` called before it with the script's folder, `setting` and the watch; it returns notes.
    `calls`: published functions to report. `in_place`: work in its own folder, not in a copy of it.
    `operations`: an event until which each operation is recorded as well.
    """

    prepare: str = ""
    setting: Mapping[str, Any] = field(default_factory=dict)
    calls: tuple[str, ...] = ()
    digests: bool = True
    store: float = 2.0
    stop_after: int | None = None
    in_place: bool = False
    threads: int = 1
    seconds: float = 600.0
    memory: int = 8 << 30
    show: bool = False
    operations: int | None = None


def fingerprint(script: Script, how: Watched) -> str:
    """Return a digest of everything that a recording depends on: the script's folder, its arguments, how it ran."""
    digest = hashlib.sha256(json.dumps([str(script), asdict(how), torch.__version__, __version__]).encode())
    files = sorted(f for f in script.folder.rglob("*") if f.suffix in _READ and not SKIPPED & set(f.parts))
    for file in files:
        with contextlib.suppress(OSError):
            digest.update(str(file).encode() + file.read_bytes())
    return digest.hexdigest()


def watch_script(
    script: Script,
    out: Path,
    how: Watched,
    *,
    follow: Path | None = None,
    tick: Callable[[], object] = lambda: None,
) -> Recording:
    """Run a script and return what was recorded in `out`, however it ended.

    `follow`: a recording that it is compared with and led along; the differences are then in `out` as well.
    Raises ValueError if it cannot be started.
    """
    new_folder(out)
    scratch = Path(tempfile.mkdtemp(prefix="parity-script-"))
    try:
        folder = script.folder
        if not how.in_place:
            folder = scratch / script.folder.name
            copy_folder(script.folder, folder)
        spec = {
            "script": str(folder / script.path.relative_to(script.folder)),
            "arguments": list(script.arguments),
            "folder": str(folder),
            "work": str(folder / script.work.relative_to(script.folder)),
            "name": script.name,
            "environment": {"PYTHONHASHSEED": "0", **os.environ, **_ENVIRONMENT},
            "output": None if how.show else str(scratch / "output"),
            "fingerprint": fingerprint(script, how),
            "out": str(out.resolve()),
            "follow": None if follow is None else str(follow.resolve()),
            "how": asdict(how),
        }
        file = scratch / "spec.json"
        file.write_text(json.dumps(spec))
        ended = _run(file, how, scratch, tick)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    try:
        recording = Recording(out, partial=True)
    except ValueError as error:
        raise ValueError(f"{script.name} could not be started: {ended or error}") from None
    if recording.end is None:
        _close(out, ended)
        recording = Recording(out, partial=True)
    if follow is not None and not (out / DIFFERENCES).exists():
        led_again(Recording(follow, partial=True), recording).write(out)
    return recording


def _close(out: Path, why: str) -> None:
    """Write the end that the process could not write itself, after the last whole line."""
    log = out / "events.jsonl"
    content = log.read_bytes() if log.exists() else b""
    end = json.dumps({"is": "end", "how": "killed", "why": why}).encode()
    log.write_bytes(content[: content.rfind(b"\n") + 1] + end + b"\n")


def _run(spec: Path, how: Watched, scratch: Path, tick: Callable[[], object]) -> str:
    """Run the process to its end; return why it ended, empty if it ended by itself."""
    output = scratch / "output"
    os.mkfifo(output)
    stream = os.open(output, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(stream, True)
    opened = os.open(output, os.O_WRONLY)  # until the process ends: a reader of a pipe that nobody writes to ends
    process = _CONTEXT.Process(target=serve, args=(str(spec), how.memory))
    tail = bytearray()
    reader = threading.Thread(target=_drain, args=(stream, tail), daemon=True)
    reader.start()
    deadline = time.monotonic() + how.seconds + _GRACE
    try:
        _start(process)
        while process.is_alive():
            if time.monotonic() > deadline:
                end(process)
                return f"it did not end within {how.seconds:g} s"
            tick()
            process.join(0.1)
    except BaseException:
        if process.pid is not None:
            end(process)
        raise
    finally:
        os.close(opened)
    reader.join(2.0)
    status = process.exitcode or 0
    printed = bytes(tail).decode(errors="replace").strip().splitlines()[-1:]
    last = f"; it printed last: {_plain(printed[0])}" if printed else ""
    if status < 0:
        return f"it was killed by {signal.Signals(-status).name}{last}"
    return f"it ended with exit code {status}{last}"


def _start(process: Any) -> None:
    """Start a process that does not import the main module of this one: a user's own may start a comparison."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        process.start()
    finally:
        sys.modules["__main__"] = main


def _plain(line: str) -> str:
    return "".join(c if c.isprintable() else " " for c in line)[:300]


def _drain(stream: int, tail: bytearray) -> None:
    with os.fdopen(stream, "rb", buffering=0) as opened:
        while chunk := opened.read(_TAIL):
            tail += chunk
            del tail[:-_TAIL]
