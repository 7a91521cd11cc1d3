"""Run a training script unchanged, in a process of its own, watched: `script:PATH ARGS`.

The script runs through `runpy` with its own arguments, under limits of time and memory; a crash, a hang, an exit or a
forked child costs this process nothing, and everything up to there is recorded.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import multiprocessing
import os
import resource
import runpy
import shlex
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from parity.process.child import end, keep
from parity.version import __version__
from parity.watch.follow import Following
from parity.watch.hooks import Watch
from parity.watch.recording import End, Recorder, Recording, new_folder

__all__ = ["PREFIX", "Script", "Watched", "fingerprint", "watch_script"]

PREFIX = "script:"

_TAIL = 64 * 1024
_LARGEST_COPIED = 32 << 20
_READ = (".py", ".yaml", ".yml", ".json", ".toml", ".cfg", ".ini")
_SKIPPED = (".git", "__pycache__", ".venv", "venv", "node_modules", ".tox", "wandb", ".idea", ".vscode")

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


def fingerprint(script: Script, how: Watched) -> str:
    """Return a digest of everything that a recording depends on: the script's folder, its arguments, how it ran."""
    digest = hashlib.sha256(json.dumps([str(script), asdict(how), torch.__version__, __version__]).encode())
    files = sorted(f for f in script.folder.rglob("*") if f.suffix in _READ and not set(_SKIPPED) & set(f.parts))
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
        folder = script.folder if how.in_place else _copy(script.folder, scratch / script.folder.name)
        spec = {
            "script": str(folder / script.path.relative_to(script.folder)),
            "arguments": list(script.arguments),
            "folder": str(folder),
            "work": str(folder / script.work.relative_to(script.folder)),
            "name": script.name,
            "environment": dict(os.environ) | _ENVIRONMENT,
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
        with (out / "events.jsonl").open("ab") as log:
            log.write(b"\n" if _torn(out) else b"")
            log.write(json.dumps({"is": "end", "how": "killed", "why": ended}).encode() + b"\n")
        recording = Recording(out, partial=True)
    return recording


def _torn(out: Path) -> bool:
    content = (out / "events.jsonl").read_bytes()
    if content and not content.endswith(b"\n"):
        (out / "events.jsonl").write_bytes(content[: content.rfind(b"\n") + 1])
    return False


def _copy(folder: Path, to: Path) -> Path:
    """Copy the script's folder, large files as links: it may write where it likes."""

    def copied(source: str, target: str) -> str:
        if os.path.islink(source) or os.path.getsize(source) > _LARGEST_COPIED:
            os.symlink(os.path.realpath(source), target)
            return target
        return shutil.copy2(source, target)

    def skipped(place: str, names: list[str]) -> list[str]:
        special = [n for n in names if not (p := Path(place, n)).is_file() and not p.is_dir()]
        return [n for n in names if n in _SKIPPED] + special

    shutil.copytree(folder, to, symlinks=False, ignore=skipped, copy_function=copied)
    return to


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
    deadline = time.monotonic() + how.seconds
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


# The process itself


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
    how, folder = spec["how"], Path(spec["folder"])
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
    started = time.monotonic()

    def ended(way: str, why: str = "", site: int | None = None) -> None:
        with watch.quiet():
            recorder.end(End(way, why, site, time.monotonic() - started))
            if follower is not None:
                follower.write(Path(spec["out"]), recorder)

    def stop() -> None:
        ended("stopped", f"after {how['stop_after']} optimiser steps")
        sys.stdout.flush()
        os._exit(0)

    watch = Watch(recorder, folder, follower=follower, calls=how["calls"], stop_after=how["stop_after"], stop=stop)
    main = os.getpid()
    os.register_at_fork(after_in_child=watch.leave)
    arguments = list(spec["arguments"])
    os.chdir(spec["work"])
    sys.path.insert(0, str(Path(spec["script"]).parent))
    notes: list[str] = []
    if how["prepare"]:
        module, _, name = how["prepare"].partition(":")
        prepared = getattr(importlib.import_module(module), name)(folder, arguments, how["setting"], watch)
        notes += prepared
    device = contextlib.nullcontext()
    if not torch.cuda.is_available() and _names_cuda(folder):
        device = _OnCpu()  # type: ignore[assignment]
        notes.append("adapted: no GPU here: what asks for cuda gets the CPU")
    for note in notes:
        recorder.event("note", "note", {"note": note}, (), {})
    sys.argv = [spec["script"], *arguments]
    warnings.simplefilter("ignore")
    try:
        with watch.armed(), device:
            runpy.run_path(spec["script"], run_name="__main__")
        way, why, site = "finished", "", None
    except SystemExit as error:
        way = "finished" if error.code in (None, 0) else "exited"
        why, site = f"sys.exit({error.code!r})", _site_of(watch, error.__traceback__)
    except BaseException as error:  # noqa: BLE001 - whatever it raises is what is recorded
        way, why = "raised", f"{type(error).__name__}: {str(error)[:400]}"
        site = _site_of(watch, error.__traceback__)
        traceback.print_exc()
    if os.getpid() == main:
        ended(way, why, site)


def _site_of(watch: Watch, trace: TracebackType | None) -> int | None:
    found = None
    for frame, line in traceback.walk_tb(trace):
        number = watch.site_at(frame.f_code, line)
        found = found if number is None else number
    return found


def _names_cuda(folder: Path) -> bool:
    files = [f for f in folder.rglob("*.py") if "site-packages" not in f.parts][:500]
    return any("cuda" in f.read_text("utf-8", errors="replace") for f in files)


class _OnCpu(TorchFunctionMode):
    """Give the CPU to calls that ask for a GPU, on a machine without one."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*map(_on_cpu, args), **{n: _on_cpu(v) for n, v in (kwargs or {}).items()})


def _on_cpu(value: Any) -> Any:
    if isinstance(value, torch.device) and value.type == "cuda":
        return torch.device("cpu")
    return "cpu" if isinstance(value, str) and value.startswith("cuda") else value


def _limit_memory(memory: int) -> None:
    used = 0
    statm = Path("/proc/self/statm")
    if statm.exists():
        used = int(statm.read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = used + memory
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
