"""A process that holds one checkout and answers requests, seen from the process that asks."""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from parity.process.wire import SIZE, decode
from parity.root_ggfm.checkouts.layouts import check_folder
from parity.side import SideLost

__all__ = ["Host", "Limits", "SideDied", "SideTimedOut"]

_KEPT = 64 * 1024
"""Bytes of the checkout's output that are kept: the last ones."""

_TO_LOAD = 120.0
"""Seconds that loading may take at least: importing PyTorch and a checkout takes a few, of a cold disk many."""

_START = (
    "import sys; sys.path.append({root!r}); from parity.process.hosted import serve; "
    "serve({requests}, {replies}, {memory}, {scratch!r})"
)


class SideDied(SideLost):
    """The process that held the code ended: it exited, crashed, or was killed."""


class SideTimedOut(SideLost):
    """The code did not answer in time; its process was killed."""


@dataclass(frozen=True)
class Limits:
    """`seconds`: for one request, loading aside. `memory`: bytes of address space beyond what the start takes."""

    seconds: float = 120.0
    memory: int = 8 << 30

    def __post_init__(self) -> None:
        if not 0 < self.seconds < math.inf:
            raise ValueError(f"call-limit must be a positive number of seconds, got {self.seconds:g}")
        if self.memory < 1:
            raise ValueError(f"memory-limit must be positive, got {self.memory} bytes")


class Host:
    """A process with its own import path, scratch folder and process group; started by the first request, and again
    by the first one after it ended.

    `specifier` is what it loads: `root:PATH` or `ggfm:PATH`; from where this process stands, if relative.
    """

    def __init__(self, specifier: str, limits: Limits | None = None) -> None:
        layout, _, path = specifier.partition(":")
        self.specifier = f"{layout}:{Path(path).expanduser().resolve()}" if path else specifier
        self.limits = limits or Limits()
        self._running: _Running | None = None
        self._loaded: dict[str, Any] = {}

    def start(self) -> dict[str, Any]:
        """What was loaded: `name`, `version`, `notes`. Raises ValueError for what is no usable checkout."""
        if self._running is None:
            check_folder(self.specifier)
            self._running = _Running(self.limits)
            try:
                reply = self._exchange(("load", self.specifier), max(self.limits.seconds, _TO_LOAD))
            except (SideDied, SideTimedOut) as error:
                raise ValueError(f"{error}, while it was loaded") from None
            if "refused" in reply:
                printed = _shown(self._running.output())
                self.close()
                raise ValueError(f"{reply['refused']}{printed}")
            self._loaded = reply
        return self._loaded

    def request(self, *message: Any, seconds: float | None = None) -> dict[str, Any]:
        """The reply to a request, within `seconds` where the limit of a call is not meant.

        Raises SideDied and SideTimedOut, after which the next request starts it anew.
        """
        try:
            self.start()
        except ValueError as error:
            raise SideDied(f"{self.specifier} could not be started again: {error}") from None
        return self._exchange(message, seconds)

    def close(self) -> None:
        """Ends the process and all that it started."""
        if self._running is not None:
            self._running.close()
            self._running = None

    def _exchange(self, message: tuple[Any, ...], seconds: float | None = None) -> dict[str, Any]:
        running = self._running
        if running is None:
            raise SideDied(f"{self.specifier} is not running")
        try:
            return running.exchange(message, seconds or self.limits.seconds)
        except (SideDied, SideTimedOut) as error:
            self.close()
            raise type(error)(f"{self.specifier} {error}{_shown(running.output())}") from None


class _Running:
    """One life of the process."""

    def __init__(self, limits: Limits) -> None:
        self._folder = tempfile.mkdtemp(prefix="parity-host-")
        theirs_in, self._requests = os.pipe()
        self._replies, theirs_out = os.pipe()
        code = _START.format(
            root=str(Path(__file__).parents[2]),
            requests=theirs_in,
            replies=theirs_out,
            memory=limits.memory,
            scratch=self._folder,
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(theirs_in, theirs_out),
            start_new_session=True,  # a group of its own: what it starts can be ended with it
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._tail = bytearray()
        threading.Thread(target=_drain, args=(self._process.stdout, self._tail), daemon=True).start()
        self._end = weakref.finalize(self, _end, self._process, self._folder, self._requests, self._replies)

    def exchange(self, message: tuple[Any, ...], seconds: float) -> dict[str, Any]:
        """Send, then wait that long for the answer."""
        deadline = time.monotonic() + seconds
        content = pickle.dumps(message)
        try:
            self._write(SIZE.pack(len(content)) + content, deadline)
            (size,) = SIZE.unpack(self._read(SIZE.size, deadline))
            return decode(self._read(size, deadline))
        except TimeoutError:
            raise SideTimedOut(f"did not answer within {seconds:g} s") from None

    def output(self) -> str:
        """The last of what it printed."""
        return bytes(self._tail).decode(errors="replace").strip()

    def close(self) -> None:
        """Kill the process group."""
        self._end()

    def _write(self, content: bytes, deadline: float) -> None:
        rest = memoryview(content)
        os.set_blocking(self._requests, False)
        while rest:
            self._wait(deadline, write=True)
            try:
                rest = rest[os.write(self._requests, rest) :]
            except BrokenPipeError:
                raise SideDied(self._how_it_ended()) from None

    def _read(self, size: int, deadline: float) -> bytes:
        content = bytearray()
        while len(content) < size:
            self._wait(deadline, write=False)
            chunk = os.read(self._replies, min(size - len(content), 1 << 20))
            if not chunk:
                raise SideDied(self._how_it_ended())
            content += chunk
        return bytes(content)

    def _wait(self, deadline: float, *, write: bool) -> None:
        left = max(deadline - time.monotonic(), 0.0)
        ready = select.select([] if write else [self._replies], [self._requests] if write else [], [], left)
        if not any(ready):
            raise TimeoutError

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "closed its end of the connection"
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"


def _drain(stream: IO[bytes], tail: bytearray) -> None:
    """Keeps the last of the output; no method, since a thread that holds its object would keep the process alive."""
    with stream:
        while chunk := os.read(stream.fileno(), _KEPT):
            tail += chunk
            del tail[:-_KEPT]


def _end(process: subprocess.Popen[bytes], folder: str, *pipes: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in pipes:
        os.close(pipe)
    shutil.rmtree(folder, ignore_errors=True)


def _shown(output: str) -> str:
    lines = output.splitlines()[-5:]
    return "; it printed last: " + " | ".join(lines) if lines else ""
