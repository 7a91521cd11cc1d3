"""Persistent worker processes under a time limit; one that hangs is killed, one that dies is replaced."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import math
import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from parity.execution import text_of
from parity.process.child import end, keep

__all__ = ["Failure", "Handler", "Opener", "Pool", "WorkerError", "usable_cores"]

Handler = Callable[[Any, Callable[[Any], None]], Any]
"""`handler(job, tell)` returns the job's result; `tell(value)` says how far it has come."""

Opener = Callable[..., Handler]
"""Makes the handler, once per process. It is a function of a module: it travels by its name."""

_GRACE = 1.0
"""Seconds between a job's limit, when its stack is written down, and the kill."""

_OPENING = 300.0
"""Seconds that a process may take to start, imports and data included, on a machine that is busy otherwise."""

_SERVE = f'{Path("process", "pool.py")}", line'
"""Marks the frame of the code that runs jobs."""

_KEPT = 4000
"""Characters kept of what a job printed last."""


class WorkerError(RuntimeError):
    """Workers do not start at all: nothing can be run."""


@dataclass(frozen=True)
class Failure:
    """A job without a result: why, what it printed last, and what it told before."""

    reason: str
    output: str = ""
    told: tuple[Any, ...] = ()


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    log: Path
    deadline: float
    job: int | None = None
    told: list[Any] = field(default_factory=list)

    @property
    def idle(self) -> bool:
        """Ready, and without a job: nothing that it does has an end to wait for."""
        return self.deadline == math.inf


class Pool:
    """Up to `size` processes, started when there is work for them, that keep what `opener(*arguments)` made.

    Processes come from a server that has imported everything once (on systems without `fork`, each imports anew), so
    a replacement costs little. Raises ValueError for a size or a limit that is not positive.
    """

    def __init__(self, opener: Opener, arguments: tuple[Any, ...] = (), *, size: int, time_limit: float) -> None:
        if size < 1:
            raise ValueError(f"the number of worker processes must be at least 1, got {size}")
        if not (math.isfinite(time_limit) and time_limit > 0):
            raise ValueError(f"the time limit must be a positive number of seconds, got {time_limit}")
        self._opener, self._arguments = opener, arguments
        self._size, self._limit = size, time_limit
        self._methods = multiprocessing.get_all_start_methods()
        self._context: Any = multiprocessing.get_context("forkserver" if "forkserver" in self._methods else "spawn")
        if "forkserver" in self._methods:
            # A dispatch mode that is entered first imports torch._dynamo, which takes as long as PyTorch itself.
            self._context.set_forkserver_preload([opener.__module__, "torch._dynamo"])
        self._folder = tempfile.TemporaryDirectory(prefix="parity-")
        self._workers: list[_Worker] = []
        self._started = 0

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, jobs: Sequence[Any], time_limit: float | None = None) -> Iterator[tuple[int, Any]]:
        """Yield the index of each job and its result or its `Failure`, as they finish; jobs start in the given order.

        `time_limit`: of these jobs and later ones.

        Raises WorkerError if a process ends before it is ready for work. Left early (an interrupt), every process
        that is still at work is killed.
        """
        waiting = deque(enumerate(jobs))
        self._limit = time_limit or self._limit
        try:
            while waiting or any(worker.job is not None for worker in self._workers):
                self._assign(waiting)
                for worker in self._ready():
                    finished = self._receive(worker)
                    if finished is not None:
                        yield finished
        finally:
            for worker in [w for w in self._workers if w.job is not None]:
                self._kill(worker)

    def close(self) -> None:
        """End all processes."""
        for worker in list(self._workers):
            self._kill(worker)
        self._folder.cleanup()

    def _assign(self, waiting: deque[tuple[int, Any]]) -> None:
        """Give every idle worker a job, and start workers while there are more jobs than that."""
        for worker in [w for w in self._workers if w.idle and not w.process.is_alive()]:
            self._kill(worker)  # it died while it had nothing to do
        for worker in [w for w in self._workers if w.idle][: len(waiting)]:
            index, job = waiting[0]
            try:
                worker.connection.send((job, self._limit))
            except OSError:  # it has died just now
                self._kill(worker)
                continue
            waiting.popleft()
            worker.job, worker.deadline = index, time.monotonic() + self._limit + _GRACE
            worker.told.clear()
        opening = sum(worker.job is None for worker in self._workers)
        for _ in range(min(len(waiting) - opening, self._size - len(self._workers))):
            self._start()

    def _start(self) -> None:
        self._started += 1
        ours, theirs = self._context.Pipe()
        log = Path(self._folder.name) / f"{self._started}.log"
        process = self._context.Process(
            target=_keep_worker,
            args=(theirs, self._opener, self._arguments, log),
            daemon=True,
            name=f"parity {self._started}",
        )
        process.start()
        theirs.close()
        self._workers.append(_Worker(process, ours, log, deadline=time.monotonic() + _OPENING))

    def _ready(self) -> list[_Worker]:
        """The workers that have something to say, have died, or are over their time; waits for the first."""
        watched: dict[Any, _Worker] = {w.connection: w for w in self._workers}
        watched |= {w.process.sentinel: w for w in self._workers}
        patience = min(worker.deadline for worker in self._workers) - time.monotonic()
        heard = wait(list(watched), timeout=None if patience == math.inf else max(0.0, patience))
        now = time.monotonic()
        late = [worker for worker in self._workers if worker.deadline <= now]
        return list({id(worker): worker for worker in [*(watched[handle] for handle in heard), *late]}.values())

    def _receive(self, worker: _Worker) -> tuple[int, Any] | None:
        """Take one message; a job's result or failure, if that is what it brings."""
        try:
            if worker.connection.poll():
                return self._message(worker, *_Reader(io.BytesIO(worker.connection.recv_bytes())).load())
        except (EOFError, OSError):  # it has ended, or is as good as ended: nothing can be heard of it
            worker.process.join(_GRACE)
            worker.deadline = min(worker.deadline, time.monotonic())
        except Exception as error:
            self._kill(worker)
            if worker.job is None:
                raise WorkerError(f"a worker process sent what cannot be read: {error}") from error
            return worker.job, Failure(f"its process sent what cannot be read: {error}", "", tuple(worker.told))
        if worker.process.is_alive() and worker.deadline > time.monotonic():
            return None
        if worker.process.is_alive():
            reason = f"did not finish within {_OPENING if worker.job is None else self._limit:g} s"
        else:
            reason = _death(worker.process.exitcode)
        self._kill(worker)
        if worker.idle:
            return None
        if worker.job is None:
            raise WorkerError(f"a worker process could not start: {reason}\n{_tail(worker.log)}".rstrip())
        return worker.job, Failure(reason, _tail(worker.log), tuple(worker.told))

    def _message(self, worker: _Worker, kind: str, value: Any) -> tuple[int, Any] | None:
        if kind == "told":
            worker.told.append(value)
            return None
        index, worker.job, worker.deadline = worker.job, None, math.inf
        if index is None:  # it is ready for its first job
            return None
        return index, value if kind == "done" else Failure(value, _tail(worker.log), tuple(worker.told))

    def _kill(self, worker: _Worker) -> None:
        if worker in self._workers:
            self._workers.remove(worker)
        end(worker.process)
        worker.connection.close()


def usable_cores() -> int:
    """The cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


class _Reader(pickle.Unpickler):
    """Reads a message. A class that this process has not imported is one of code that is judged: a value of it (of an
    enumeration, say) is read as what it was made from."""

    def find_class(self, module: str, name: str) -> Any:
        return super().find_class(module, name) if module in sys.modules else _Value


class _Value:
    def __new__(cls, *given: Any) -> Any:
        return given[-1] if given else None


def _keep_worker(connection: Connection, opener: Opener, arguments: tuple[Any, ...], log: Path) -> None:
    """The process that `Pool` starts."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # multiprocessing has started this process
    work = partial(_serve, connection, opener, arguments, log)
    keep(work, parent_gone=partial(wait, [parent.sentinel]), release=connection.close)


def _serve(connection: Connection, opener: Opener, arguments: tuple[Any, ...], log: Path) -> None:
    """Take `(job, time limit)` from the connection until it closes; send what `Pool` reads.

    What is printed goes to `log`, which holds the present job's output only: also the Python stack of a crash, and of
    a job that is over its time limit (after which the pool kills the process).
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the pool decides what Ctrl-C means
    multiprocessing.current_process().daemon = False  # the code may start processes: they are ended with this one
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
        except SystemExit:
            raise
        except BaseException as error:  # noqa: BLE001 - a job that fails is reported, and the next one is taken
            traceback.print_exc()
            answer = ("raised", f"{type(error).__name__}: {text_of(error)}")
        finally:
            faulthandler.cancel_dump_traceback_later()
        sys.stdout.flush()
        sys.stderr.flush()
        with contextlib.suppress(BrokenPipeError):
            connection.send(answer)


def _death(code: int | None) -> str:
    if code is None or code >= 0:
        return f"the process ended itself (exit code {code})"
    name = (signal.strsignal(-code) or "unknown").lower()
    hint = ", as systems do to a process that takes too much memory" if code == -9 else ""
    return f"the process died (signal {-code}: {name}{hint})"


def _tail(log: Path) -> str:
    """The end of what a job printed; of a stack, only what stands above the code that runs jobs."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    kept: list[str] = []
    below = False
    for line in lines:
        if not line.startswith("  File "):
            below = False
        elif _SERVE in line:
            below = True
        if not (below or line.startswith("Extension modules: ")):
            kept.append(line)
    return "\n".join(kept)[-_KEPT:]
