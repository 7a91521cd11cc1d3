"""A starter: a process that has imported once what many others need, and forks each of them when asked to.

Importing PyTorch takes seconds; a fork takes milliseconds, and finds everything as a new interpreter would have it.
"""

from __future__ import annotations

import importlib
import os
import pickle
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from parity.process.wire import SIZE

__all__ = ["Started", "start"]

_START = "import sys; sys.path.append({root!r}); from parity.process.starter import serve; serve({socket}, {module!r})"

_READ_AT_START = ("ATEN_", "CUDA", "DYLD_", "KMP_", "LD_", "MKL_", "OMP_", "PYTHON", "TORCH")
"""Beginnings of environment variables that act when an interpreter, or PyTorch, starts: others can be set later."""

_TO_IMPORT = 300.0
"""Seconds that importing may take: a few, on a machine that is busy otherwise many."""

_PATIENCE = 10.0
"""Seconds that a starter may take to end."""

_LOOK = 1.0
"""Seconds after which a starter looks whether its parent is still there, besides the end of their connection."""


class Started:
    """A process that a starter has forked: what `subprocess.Popen` would be, were it a child of this process."""

    def __init__(self, starter: _Starter, pid: int) -> None:
        self._starter, self.pid = starter, pid

    def terminate(self) -> None:
        """Send SIGTERM, unless it has ended."""
        self._starter.tell("signal", self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL, unless it has ended."""
        self._starter.tell("signal", self.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit code, negative for a signal. Raises TimeoutExpired of `subprocess`."""
        return self._starter.wait(self.pid, timeout)


_starters: dict[tuple[int, str], _Starter] = {}


def start(target: str, arguments: Sequence[Any], descriptors: Sequence[int], folder: str) -> Started:
    """Call `target`, the function that `module:function` names, in a new process in `folder`.

    It is given the number of the process that it ends with (its parent), the arguments, and copies of the file
    descriptors. Its output goes to the last of them. What else this process has imported is not there, its environment
    is.

    Raises RuntimeError if no process can be started, with what was printed last.
    """
    module = target.partition(":")[0]
    key = os.getpid(), module
    starter = _starters.get(key)
    if starter is None or not starter.fits():
        starter = _starters[key] = _Starter(module)
    return starter.start(target, tuple(arguments), descriptors, folder)


class _Starter:
    """The end of a starter's connection that asks."""

    def __init__(self, module: str) -> None:
        self._socket, theirs = socket.socketpair()
        self._folder = tempfile.mkdtemp(prefix="parity-starter-")  # its own: modules are looked for where it starts
        self._printed = Path(self._folder, "printed")
        self._environment = _read_at_start(os.environ)
        self._lock = threading.RLock()
        self._codes: dict[int, int] = {}
        self._gone = False
        code = _START.format(root=str(Path(__file__).parents[2]), socket=theirs.fileno(), module=module)
        with self._printed.open("wb") as printed:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C is for the process that asks
            )
        theirs.close()
        weakref.finalize(self, _end, self._process, self._socket, self._folder)

    def fits(self) -> bool:
        """Return False if it has ended, or if an environment variable that it has read is another one now."""
        return not self._gone and self._process.poll() is None and self._environment == _read_at_start(os.environ)

    def start(self, target: str, arguments: tuple[Any, ...], descriptors: Sequence[int], folder: str) -> Started:
        with self._lock:
            self.tell("start", target, arguments, folder, dict(os.environ), descriptors=descriptors)
            end = time.monotonic() + _TO_IMPORT
            while (pid := self._hear(end)) is None and not self._gone and time.monotonic() < end:
                pass
        if pid is None:
            self._gone = True
            printed = self._printed.read_text(errors="replace").strip().splitlines()
            raise RuntimeError(" | ".join(["no process can be started", *printed[-5:]]))
        return Started(self, pid)

    def tell(self, *message: Any, descriptors: Sequence[int] = ()) -> None:
        content = pickle.dumps(message)
        with self._lock:
            try:
                socket.send_fds(self._socket, [SIZE.pack(len(content))], list(descriptors))
                self._socket.sendall(content)
            except OSError:  # it is gone, as reading will tell
                self._gone = True

    def wait(self, pid: int, timeout: float | None) -> int:
        end = time.monotonic() + (threading.TIMEOUT_MAX if timeout is None else timeout)
        with self._lock:
            while pid not in self._codes and not self._gone and time.monotonic() < end:
                self._hear(end)
            if pid in self._codes:
                return self._codes[pid]
            if self._gone:
                return -signal.SIGKILL  # all that it has started ends with it
        raise subprocess.TimeoutExpired(str(pid), timeout or 0.0)

    def _hear(self, end: float) -> int | None:
        """Take one message that comes until then; return the process that has started, if it says so."""
        if not select.select([self._socket], [], [], max(0.0, end - time.monotonic()))[0]:
            return None
        try:
            message, _ = _received(self._socket)
        except (EOFError, OSError):
            self._gone = True
            return None
        if message[0] == "started":
            return int(message[1])
        _, pid, code = message
        self._codes[pid] = code
        return None


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_READ_AT_START)}


def _end(process: subprocess.Popen[bytes], connection: socket.socket, folder: str) -> None:
    connection.close()  # it ends at that, with all that it has started
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    shutil.rmtree(folder, ignore_errors=True)


def _received(connection: socket.socket) -> tuple[Any, list[int]]:
    """Return a message, and the file descriptors that came with it. Raises EOFError."""
    header, descriptors, _, _ = socket.recv_fds(connection, SIZE.size, maxfds=8)
    header += _read(connection, SIZE.size - len(header)) if header else b""
    if not header:
        raise EOFError
    return pickle.loads(_read(connection, *SIZE.unpack(header))), descriptors


def _read(connection: socket.socket, size: int) -> bytes:
    content = bytearray()
    while len(content) < size:
        chunk = connection.recv(size - len(content))
        if not chunk:
            raise EOFError
        content += chunk
    return bytes(content)


# The process itself


def serve(descriptor: int, module: str) -> None:
    """Fork the processes that are asked for, say how they end, until the asking side is gone; end them with it."""
    parent = os.getppid()
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    importlib.import_module(module).prepare()
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    running: set[int] = set()
    with socket.socket(fileno=descriptor) as connection:
        connection.set_inheritable(False)
        try:
            while os.getppid() == parent:
                ready: list[Any] = select.select([connection, woken], [], [], _LOOK)[0]  # type: ignore[type-var]
                if woken in ready:
                    os.read(woken, 4096)
                    _tell_ended(connection, running)
                if connection in ready:
                    _obey(connection, running, (woken, wake))
        except (EOFError, OSError):  # the asking side has closed its end
            pass
    for pid in running:
        os.kill(pid, signal.SIGTERM)


def _tell_ended(connection: socket.socket, running: set[int]) -> None:
    for pid in sorted(running):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            running.remove(pid)
            _say(connection, "ended", pid, os.waitstatus_to_exitcode(status))


def _obey(connection: socket.socket, running: set[int], pipe: tuple[int, int]) -> None:
    (action, *given), descriptors = _received(connection)
    if action == "signal":
        pid, number = given
        if pid in running:
            os.kill(pid, number)
        return
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        connection.close()
        for end in pipe:
            os.close(end)
        _become(parent, descriptors, *given)
    for end in descriptors:
        os.close(end)
    running.add(pid)
    _say(connection, "started", pid)


def _say(connection: socket.socket, *message: Any) -> None:
    content = pickle.dumps(message)
    connection.sendall(SIZE.pack(len(content)) + content)


def _become(
    parent: int,
    descriptors: list[int],
    target: str,
    arguments: tuple[Any, ...],
    folder: str,
    environment: dict[str, str],
) -> None:
    """Never returns."""
    code = 1
    try:
        *given, output = descriptors
        for stream in (1, 2):
            os.dup2(output, stream)
        os.close(output)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        random.seed()  # as in a new interpreter, not as in the one before
        np.random.seed()
        module, _, function = target.partition(":")
        getattr(sys.modules[module], function)(parent, *arguments, *given)
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - this process ends here, whatever was raised
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
