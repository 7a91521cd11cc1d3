"""A child process that ends with its parent, and takes along everything that it has started.

Each child is two processes: a keeper, and under it the one that does the work. The keeper adopts what the work leaves
behind, in whatever session (on Linux), and kills it: when the work has ended, when the parent asks for it (SIGTERM),
and when the parent is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
import traceback
from collections import defaultdict
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

from parity.process.starter import Started

__all__ = ["end", "keep"]

_ADOPT = 36
"""PR_SET_CHILD_SUBREAPER of Linux: orphans among the descendants become children of this process."""

_PATIENCE = 10.0
"""Seconds that a keeper may take to end what it keeps."""


def keep(work: Callable[[], None], parent_gone: Callable[[], object], release: Callable[[], None]) -> None:
    """Do `work` in a child of this process, then end this process in the way in which that one ended.

    `parent_gone` blocks until the parent is gone. `release` closes what only the work needs. Call it while there is
    one thread only.
    """
    signals = {signal.SIGCHLD, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with contextlib.suppress(PermissionError):  # it leads a session already
        os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_ADOPT, 1, 0, 0, 0)
    worker = os.fork()
    if worker == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        os.setpgid(0, 0)
        _work(work)
    release()

    def watch() -> None:
        parent_gone()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
    status = None
    while status is None and signal.sigwait(signals) == signal.SIGCHLD:
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                status = found[1] if found[0] == worker else status
    _end_descendants(worker)
    _end_like(status)


def end(process: subprocess.Popen[bytes] | Started | BaseProcess) -> None:
    """End a keeper and everything under it."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.join(_PATIENCE) if isinstance(process, BaseProcess) else process.wait(_PATIENCE)
    process.kill()
    process.join() if isinstance(process, BaseProcess) else process.wait()


def _work(work: Callable[[], None]) -> None:
    """Never returns."""
    code = 1
    try:
        work()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if not isinstance(error.code, int | None):
            sys.stderr.write(f"{error.code}\n")
    except BaseException:  # noqa: BLE001 - this process ends here, whatever was raised
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _end_descendants(worker: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(worker, signal.SIGKILL)
    stopped: set[int] = set()
    while found := _descendants() - stopped:  # a process that is stopped starts no other
        stopped |= found
        _send(signal.SIGSTOP, found)
    _send(signal.SIGKILL, stopped)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def _descendants() -> set[int]:
    """Return the processes under this one, as far as `/proc` tells."""
    children = defaultdict(list)
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended by now
            children[int(entry.read_text(errors="replace").rpartition(")")[2].split()[1])].append(
                int(entry.parent.name)
            )
    found: set[int] = set()
    waiting = [os.getpid()]
    while waiting:
        under = children[waiting.pop()]
        found |= set(under)
        waiting += under
    return found


def _send(number: signal.Signals, processes: set[int]) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)


def _end_like(status: int | None) -> None:
    """End this process as the wait status tells that another one ended; None: as SIGTERM ends one."""
    number = signal.SIGTERM if status is None else os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if number:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the process that crashed has left its own
        with contextlib.suppress(OSError):  # SIGKILL has no other handler
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status) if status is not None else 1)
