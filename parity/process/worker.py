"""What runs in a worker process: one job after the other, everything printed kept aside."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

__all__ = ["Handler", "Opener", "serve"]

Handler = Callable[[Any, Callable[[Any], None]], Any]
"""`handler(job, tell)` returns the job's result; `tell(value)` leaves word of how far it came."""

Opener = Callable[..., Handler]
"""Makes the handler, once per process. A module's own function: it travels by its name."""


def serve(connection: Connection, opener: Opener, arguments: tuple[Any, ...], log: Path) -> None:
    """Take `(job, time limit)` from the connection until it closes; send what `parity.process.pool` reads.

    What is printed goes to `log`, which holds the present job's output only: also the Python stack of a crash, and of
    a job that is over its time limit (after which the pool kills the process).
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of the terminal; the pool decides
    _end_with_the_parent()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    for text in (sys.stdout, sys.stderr):
        if isinstance(text, io.TextIOWrapper):
            text.reconfigure(line_buffering=True)  # what a process that dies had in its buffer would be lost
    faulthandler.enable()
    handler = opener(*arguments)
    connection.send(("ready", None))
    while True:
        try:
            job, limit = connection.recv()
        except EOFError:
            return
        os.ftruncate(descriptor, 0)
        faulthandler.dump_traceback_later(limit)
        try:
            answer = ("done", handler(job, lambda value: connection.send(("told", value))))
        except Exception as error:  # noqa: BLE001 - a job that fails is reported, and the next one is taken
            traceback.print_exc()
            answer = ("raised", f"{type(error).__name__}: {error}")
        finally:
            faulthandler.cancel_dump_traceback_later()
        sys.stdout.flush()
        sys.stderr.flush()
        with contextlib.suppress(BrokenPipeError):
            connection.send(answer)


def _end_with_the_parent() -> None:
    """A parent that is killed cannot kill its workers; they see it by themselves, also in the midst of a job."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True, name="ends with the parent").start()
