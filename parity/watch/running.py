"""The process in which a watched script runs: as `python SCRIPT ARGS` would run it, until it ends in whatever way."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import importlib.machinery
import json
import multiprocessing
import os
import resource
import runpy
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from parity.process.child import keep
from parity.watch.copying import copy_before_writing
from parity.watch.follow import Following
from parity.watch.hooks import Watch
from parity.watch.locate import Operations
from parity.watch.recording import End, Recorder, Recording

__all__ = ["serve"]

_ROOT = Path(__file__).parents[2]

_MOST_FILES = 500
"""Files of a script that are searched for the word cuda."""


def serve(spec: str, memory: int) -> None:
    """Run the script that the file `spec` describes, in a process made for it."""
    asking = multiprocessing.parent_process()

    def parent_gone() -> None:
        if asking is not None:
            asking.join()

    given = json.loads(Path(spec).read_text())
    os.environ.clear()
    os.environ.update(given["environment"])
    _redirect(given["output"])
    keep(partial(_script, given, memory), parent_gone, lambda: None)


def _redirect(output: str | None) -> None:
    """Let the script read nothing, and print into `output` where there is one."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if output is not None:
        opened = os.open(output, os.O_WRONLY)
        os.dup2(opened, 1)
        os.dup2(opened, 2)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout, sys.stderr = (os.fdopen(k, "w", buffering=1, closefd=False) for k in (1, 2))


def _script(spec: Mapping[str, Any], memory: int) -> None:
    how, folder, script = spec["how"], Path(spec["folder"]), Path(spec["script"])
    torch.set_num_threads(how["threads"])
    _limit_memory(memory)
    about = {
        "script": spec["name"],
        "fingerprint": spec["fingerprint"],
        "arguments": spec["arguments"],
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "threads": how["threads"],
    }
    reference = None if spec["follow"] is None else Recording(Path(spec["follow"]), partial=True)
    known = () if reference is None else reference.digests
    recorder = Recorder(Path(spec["out"]), about, digests=how["digests"], store=how["store"], known=known)
    follower = None if reference is None else Following(reference)
    ending = _Ending(recorder, follower, Path(spec["out"]), how)
    watch = Watch(
        recorder, folder, follower=follower, calls=how["calls"], stop_after=how["stop_after"], stop=ending.stopped
    )
    ending.watch = watch
    arguments = list(spec["arguments"])
    os.chdir(spec["work"])
    sys.path.insert(0, str(script.parent))
    notes: list[str] = []
    if how["prepare"]:
        module, _, name = how["prepare"].partition(":")
        notes += getattr(importlib.import_module(module), name)(folder, arguments, how["setting"], watch)
    device: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
    if not torch.cuda.is_available() and _names_cuda(folder):
        device = _on_cpu()
        notes.append("adapted: no GPU here: what asks for cuda gets the CPU")
    for note in notes:
        recorder.event("note", "note", {"note": note}, (), {})
    if not how["in_place"]:
        copy_before_writing(folder)
    sys.addaudithook(ending.heard)
    sys.argv = [str(script), *arguments]
    # This process comes from a server; those of the script's own loaders and pools start as they would without one.
    multiprocessing.set_start_method(None, force=True)
    _free_names(script.parent)
    ending.guard(how["seconds"])
    trace = None
    traced: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
    if how["operations"] is not None:
        traced = ending.operations = Operations(watch, how["operations"])
    try:
        with watch.armed(), device, traced:
            sys.stderr = ending.errors = _LastLine(sys.stderr)
            try:
                runpy.run_path(str(script), run_name="__main__")
            finally:
                _let_end()
        way, why = "finished", ""
    except SystemExit as error:
        way = "finished" if error.code in (None, 0) else "exited"
        why, trace = f"sys.exit({error.code!r}){ending.last()}", error.__traceback__
    except BaseException as error:  # noqa: BLE001 - whatever it raises is what is recorded
        way, why, trace = "raised", f"{type(error).__name__}: {str(error)[:400]}", error.__traceback__
        ending.at_syntax(error)
        traceback.print_exc()
    ending.ended(way, _one_line(why), trace)


class _Ending:
    """Write how the script ended, once, in the process in which it started: whoever comes first says it."""

    def __init__(self, recorder: Recorder, follower: Following | None, out: Path, how: Mapping[str, Any]) -> None:
        self._recorder, self._follower, self._out, self._how = recorder, follower, out, how
        self._started, self._main, self._thread = time.monotonic(), os.getpid(), threading.get_ident()
        self._once = threading.Lock()
        self._site: int | None = None
        self._told = False
        self.errors: _LastLine | None = None
        self.operations: Operations | None = None
        self.watch: Watch
        self._exit = os._exit

    def ended(self, way: str, why: str = "", trace: TracebackType | None = None) -> None:
        """Write it, and the differences."""
        if os.getpid() != self._main or not self._once.acquire(blocking=False):
            return
        site = self._site
        for frame, line in traceback.walk_tb(trace):
            number = self.watch.site_at(frame.f_code, line)
            site = site if number is None else number
        self.watch.leave()
        with self.watch.quiet(), self.watch.lock:
            self._recorder.end(End(way, why, site, time.monotonic() - self._started))
            if self.operations is not None:
                self.operations.write(self._out)
            if self._follower is not None:
                self._follower.write(self._out)

    def stopped(self) -> None:
        """End the process after as many steps as were asked for."""
        self.ended("stopped", f"after {self._how['stop_after']} optimiser steps")
        sys.stdout.flush()
        self._exit(0)

    def guard(self, seconds: float) -> None:
        """See to it that nothing ends the process without a word: not the time limit, not `os._exit`, not `exec`."""

        def watchdog() -> None:
            time.sleep(seconds)
            frame = sys._current_frames().get(self._thread)
            while frame is not None and self._site is None:
                self._site = self.watch.site_at(frame.f_code, frame.f_lineno)
                frame = frame.f_back
            self.ended("killed", f"it did not end within {seconds:g} s")
            self._exit(0)

        threading.Thread(target=watchdog, daemon=True).start()
        for name in ("_exit", "execv", "execve", "abort"):
            setattr(os, name, self._leaving(name, getattr(os, name)))

    def _leaving(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def leave(*args: Any) -> Any:
            if os.getpid() == self._main:
                says = f"os.{name}({args[0] if args else ''})"
                way = "finished" if name == "_exit" and args[:1] == (0,) else "exited"
                self._site = self.watch.line()
                self.ended(way, f"{says}{', which starts another program' if name.startswith('exec') else ''}")
                with contextlib.suppress(Exception):
                    sys.stdout.flush()
            return original(*args)

        return leave

    def heard(self, event: str, args: Any) -> None:
        """Note the first process that the script starts: it is not watched."""
        if event not in ("subprocess.Popen", "os.system", "os.posix_spawn") or self._told:
            return
        if os.getpid() != self._main or not self.watch.watching():
            return
        self._told = True
        words = args[1] if event != "os.system" else args[0]
        command = " ".join(map(str, words)) if isinstance(words, list | tuple) else os.fsdecode(words)
        self.watch.event("note", "note", {"note": _one_line(f"not watched: the process {command}")})

    def at_syntax(self, error: BaseException) -> None:
        """Take the line of a file that cannot be compiled."""
        if isinstance(error, SyntaxError) and error.filename and error.lineno:
            self._site = self.watch.site_of(error.filename, error.lineno)

    def last(self) -> str:
        """Return what it printed last as an error."""
        line = self.errors.line if self.errors is not None else ""
        return f": {line}" if line else ""


class _LastLine:
    """Pass on what is printed, and keep the last line."""

    def __init__(self, stream: Any) -> None:
        self._stream, self.line = stream, ""

    def write(self, text: str) -> Any:
        lines = [line for line in text[-2000:].splitlines() if line.strip()]
        self.line = lines[-1].strip() if lines else self.line
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _let_end() -> None:
    """Wait for the script's threads and call what it registered for its end, as the interpreter does."""
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.current_thread():
            thread.join()
    atexit._run_exitfuncs()


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:600]


# What the script would find in a process of its own


def _free_names(place: Path) -> None:
    """Forget modules of this process that have the names of the script's own, and find nothing beside `parity`."""
    own = {entry.stem for entry in place.iterdir() if entry.suffix == ".py" or entry.is_dir()}
    kept = {"torch", "numpy", *sys.stdlib_module_names}
    for name in list(sys.modules):
        top = name.partition(".")[0]
        if top in own and top not in kept and not _is_of(sys.modules[name], place):
            del sys.modules[name]
    if str(_ROOT) in sys.path and place != _ROOT:
        sys.path.remove(str(_ROOT))
        names = {name for name in sys.modules if "." not in name and _is_of(sys.modules[name], _ROOT)}
        sys.meta_path.append(_Beside(names | {"parity"}))


def _is_of(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return bool(file) and Path(str(file)).is_relative_to(folder)


class _Beside:
    """Find the packages that parity itself consists of."""

    def __init__(self, names: set[str]) -> None:
        self._names = names

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        """Return where one of them lies."""
        del path, target
        if fullname not in self._names:
            return None
        return importlib.machinery.PathFinder.find_spec(fullname, [str(_ROOT)])


def _names_cuda(folder: Path) -> bool:
    found = 0
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "site-packages"]
        for name in files:
            if name.endswith(".py") and found < _MOST_FILES:
                found += 1
                with contextlib.suppress(OSError):
                    if b"cuda" in Path(here, name).read_bytes():
                        return True
    return False


@contextlib.contextmanager
def _on_cpu() -> Iterator[None]:
    """Give the CPU to whoever asks for a GPU, on a machine without one."""

    def itself(thing: Any, *_: Any, **__: Any) -> Any:
        return thing

    def nothing(*_: Any, **__: Any) -> None:
        return None

    kept = [(Tensor, "cuda", itself), (nn.Module, "cuda", itself), (torch.cuda, "set_device", nothing)]
    kept += [(torch.cuda, "synchronize", nothing), (torch.cuda, "reset_peak_memory_stats", nothing)]
    loading, generator = torch.load, torch.Generator

    def load(*args: Any, **kwargs: Any) -> Any:
        where = {} if kwargs.get("map_location") is not None or len(args) > 1 else {"map_location": "cpu"}
        return loading(*map(_cpu, args), **{n: _cpu(v) for n, v in kwargs.items()} | where)

    class Generator(generator):  # type: ignore[misc, valid-type]
        def __new__(cls, device: Any = "cpu") -> Any:
            return super().__new__(cls, device=_cpu(device))

    kept += [(torch, "load", load), (torch, "Generator", Generator)]
    before = [(holder, name, getattr(holder, name)) for holder, name, _ in kept]
    for holder, name, new in kept:
        setattr(holder, name, new)
    try:
        with _OnCpu():
            yield
    finally:
        for holder, name, old in before:
            setattr(holder, name, old)


class _OnCpu(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*map(_cpu, args), **{n: _cpu(v) for n, v in (kwargs or {}).items()})


def _cpu(value: Any) -> Any:
    if isinstance(value, torch.device) and value.type == "cuda":
        return torch.device("cpu")
    return "cpu" if isinstance(value, str) and (value == "cuda" or value.startswith("cuda:")) else value


def _limit_memory(memory: int) -> None:
    used = 0
    statm = Path("/proc/self/statm")
    if statm.exists():
        used = int(statm.read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = used + memory
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
