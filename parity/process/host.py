"""A host: a process that holds one checkout and answers requests; both ends of it, and the side that it makes."""

from __future__ import annotations

import importlib
import json
import math
import os
import pickle
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from parity.component import Context
from parity.execution import Outcome, execute, settings_kept, text_of
from parity.process.child import end, keep
from parity.process.starter import Started, start
from parity.process.wire import SIZE, decode, encode, from_plain, to_plain
from parity.side import Capabilities, MissingComponent, Side, SideDied, SideTimedOut
from parity.study import NoCheckout, find_checkout, installed

__all__ = ["Host", "HostedSide", "Limits", "limit_hosts", "load_hosted", "prepare", "serve"]

_KEPT = 64 * 1024
"""Bytes of the checkout's output that are kept: the last ones."""

_TO_LOAD = 120.0
"""Seconds that loading may take at least: importing PyTorch and a checkout takes a few, from a cold disk many."""

_PATIENCE = 8
"""Times the seconds of computing for a diagnosis that it may take on the clock, besides one call."""


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


_limits = Limits()


def limit_hosts(limits: Limits) -> None:
    """Set what a call may take in a host that is loaded from now on."""
    global _limits
    _limits = limits


def load_hosted(specifier: str) -> HostedSide:
    """Return the side that `LAYOUT:PATH` names; one host for each in a process, under the limits set last.

    Raises ValueError for a path that is no such checkout, and for one that cannot be imported.
    """
    return _hosted(specifier, _limits)


@cache
def _hosted(specifier: str, limits: Limits) -> HostedSide:
    return HostedSide(Host(specifier, limits))


class HostedSide:
    """The code behind a `Host`. `layout`: of the checkout. `notes`: what its adapter had to adapt, a line each."""

    capabilities = Capabilities("elsewhere", checks_inputs=False)
    """A checkout validates no input."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.layout = host.specifier.partition(":")[0]
        loaded = host.start()
        self.name: str = loaded["name"]
        self.version: str = loaded["version"]
        self.notes: tuple[str, ...] = tuple(loaded["notes"])

    def execute(self, component: str, inputs: Mapping[str, Any], **settings: Any) -> Outcome:
        """Run once, with the settings of `parity.execution.run`; a crash or a hang is the outcome's error."""
        device = settings.get("device")
        if device is not None and device.type != "cpu":
            return Outcome({}, MissingComponent(f"{self.name} runs on the CPU, not on {device}"))
        try:
            reply = self.host.request("execute", component, dict(inputs), settings)
        except (SideDied, SideTimedOut) as error:
            return Outcome({}, error)
        if "died" in reply:
            return Outcome({}, SideDied(f"{self.name} {reply['died']}"))
        return from_plain(reply)

    def __reduce__(self) -> Any:
        """Load it again where it is unpickled: in another host, beside which it then runs."""
        return load_hosted, (self.host.specifier,)

    def traced(
        self, tracer: str, component: str, inputs: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> tuple[Any, Outcome]:
        """Call `tracer`, a dotted name, where the code is: one run. Return what it recorded, plain, and the outcome.

        Raises SideDied and SideTimedOut.
        """
        # A traced run takes several times as long as one that is not.
        limit = _PATIENCE * self.host.limits.seconds
        reply = self.host.request("trace", tracer, component, dict(inputs), dict(settings), seconds=limit)
        if "died" in reply:
            raise SideDied(f"{self.name} {reply['died']}")
        return reply["recorded"], from_plain(reply["outcome"])

    def explain(
        self,
        explainer: str,
        component: str,
        params: Mapping[str, Any],
        other: Side,
        ctx: Context,
        *,
        seconds: float,
    ) -> dict[str, Any]:
        """Call `explainer`, the dotted name of `parity.diagnosis.explain.explain`, where the code is.

        `other`, the reference, is a side of this repository, or one that is hosted as well. Raises SideDied and
        SideTimedOut.
        """
        # It runs the code many times over, each time within its own limit, and slower for being traced.
        limit = self.host.limits.seconds + _PATIENCE * seconds
        given = (explainer, component, dict(params), other, ctx, seconds)
        reply = self.host.request("explain", *given, seconds=limit)
        if "died" in reply:
            raise SideDied(f"{self.name} {reply['died']}")
        found: dict[str, Any] = json.loads(reply["explanation"])
        return found


class Host:
    """A process with its own import path and scratch folder. The first request starts it, and again the first one after
    it has ended.

    `specifier` is the checkout that it loads, `LAYOUT:PATH`; a relative path starts where this process works.
    """

    def __init__(self, specifier: str, limits: Limits | None = None) -> None:
        layout, _, path = specifier.partition(":")
        self.specifier = f"{layout}:{Path(path).expanduser().resolve()}" if path else specifier
        self.limits = limits or Limits()
        self._running: _Running | None = None
        self._loaded: dict[str, Any] = {}

    def start(self) -> dict[str, Any]:
        """Return `name`, `version` and `notes` of what was loaded. Raises ValueError if it is no usable checkout."""
        if self._running is None:
            layouts = installed().layouts
            layout, _ = find_checkout(self.specifier, layouts)
            try:
                self._running = _Running(self.limits)
            except RuntimeError as error:
                raise ValueError(f"{self.specifier} cannot be loaded: {error}") from None
            message = "load", layouts[layout].loader, self.specifier
            try:
                reply = self._exchange(message, max(self.limits.seconds, _TO_LOAD))
            except (SideDied, SideTimedOut) as error:
                raise ValueError(f"{error}, while it was loaded") from None
            if "refused" in reply:
                printed = _shown(self._running.output())
                self.close()
                raise ValueError(f"{reply['refused']}{printed}")
            self._loaded = reply
        return self._loaded

    def request(self, *message: Any, seconds: float | None = None) -> dict[str, Any]:
        """Return the reply to a request, within `seconds` where the limit of a call is not meant.

        Raises SideDied and SideTimedOut, after which the next request starts it anew.
        """
        try:
            self.start()
        except ValueError as error:
            raise SideDied(f"{self.specifier} could not be started again: {error}") from None
        return self._exchange(message, seconds)

    def close(self) -> None:
        """End the process and all that it has started."""
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
        printed, output = os.pipe()
        try:
            target, given = f"{__name__}:{serve.__name__}", (limits.memory, self._folder)
            self._process = start(target, given, (theirs_in, theirs_out, output), self._folder)
        finally:
            for pipe in (theirs_in, theirs_out, output):
                os.close(pipe)
        self._tail = bytearray()
        threading.Thread(target=_drain, args=(printed, self._tail), daemon=True).start()
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
        """Return the last of what it printed."""
        return bytes(self._tail).decode(errors="replace").strip()

    def close(self) -> None:
        """End the process and all that it has started."""
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


def _drain(output: int, tail: bytearray) -> None:
    """Keep the last of the output. No method: a thread that holds its object would keep the process alive."""
    with os.fdopen(output, "rb") as stream:
        while chunk := os.read(stream.fileno(), _KEPT):
            tail += chunk
            del tail[:-_KEPT]


def _end(process: Started, folder: str, *pipes: int) -> None:
    end(process)
    for pipe in pipes:
        os.close(pipe)
    shutil.rmtree(folder, ignore_errors=True)


def _shown(output: str) -> str:
    lines = output.splitlines()[-5:]
    return "; it printed last: " + " | ".join(lines) if lines else ""


# The process itself


def prepare() -> None:
    """Import what a host needs, now, before a checkout can stand in the way of it."""
    torch.set_num_threads(1)
    installed()
    importlib.import_module("torch._dynamo")  # PyTorch does, in seconds, where a dispatch mode is entered first


def serve(parent: int, memory: int, scratch: str, requests: int, replies: int) -> None:
    """Answer requests from one pipe over the other, in a process made for it, until the asking side closes them.

    Removes the folder `scratch` where the asking side has ended without doing so.
    """

    def parent_gone() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        shutil.rmtree(scratch, ignore_errors=True)

    def release() -> None:
        for pipe in (requests, replies):
            os.close(pipe)

    keep(partial(_answer, requests, replies, memory), parent_gone, release)


def _answer(requests: int, replies: int, memory: int) -> None:
    _limit_memory(memory)
    for pipe in (requests, replies):
        os.set_inheritable(pipe, False)
    side: Any = None
    with os.fdopen(requests, "rb") as source, os.fdopen(replies, "wb") as target:
        while header := source.read(SIZE.size):
            action, *given = pickle.loads(source.read(*SIZE.unpack(header)))
            if action == "load":
                side, reply = _load(*given)
            else:
                reply = _guarded(partial(_ACTIONS[action], side, *given))
            content = encode(reply)
            target.write(SIZE.pack(len(content)) + content)
            target.flush()


def _load(loader: str, specifier: str) -> tuple[Any, dict[str, Any]]:
    folder = Path.cwd()
    try:
        with settings_kept(), warnings.catch_warnings():
            side = _named(loader)(specifier)
    except NoCheckout as error:
        return None, {"refused": str(error)}
    except BaseException as error:  # noqa: BLE001 - whatever importing it raises, an exit included
        where = traceback.extract_tb(error.__traceback__)[-1]
        at = f"{Path(where.filename).name}:{where.lineno}"
        return None, {"refused": f"{specifier} cannot be loaded: {type(error).__name__}: {text_of(error)} ({at})"}
    finally:
        os.chdir(folder)
    return side, {"name": side.name, "version": side.version, "notes": list(side.notes)}


def _execute(side: Any, component: str, inputs: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    if not hasattr(side, component):
        absent = MissingComponent(f"{side.name}: the layout of {side.layout} has no {component} to be called by itself")
        return to_plain(Outcome({}, absent))
    return to_plain(execute(installed().component(component), side, inputs, **settings))


def _explain(
    side: Any,
    explainer: str,
    component: str,
    params: dict[str, Any],
    other: Any,
    ctx: Context,
    seconds: float,
) -> dict[str, Any]:
    found = _named(explainer)(installed().component(component), params, other, side, ctx, seconds=seconds)
    return {"explanation": json.dumps(found)}


def _trace(side: Any, tracer: str, component: str, inputs: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    recorded, outcome = _named(tracer)(installed().component(component), side, inputs, **settings)
    return {"recorded": recorded, "outcome": to_plain(outcome)}


_ACTIONS: dict[str, Callable[..., dict[str, Any]]] = {"execute": _execute, "explain": _explain, "trace": _trace}


def _named(name: str) -> Callable[..., Any]:
    """Return the function that `module:function` names."""
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def _guarded(call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the reply; an exit of the code is one. Undo what the code has done to the interpreter."""
    path, environment, folder = list(sys.path), dict(os.environ), Path.cwd()
    try:
        return call()
    except SystemExit as error:
        return {"died": f"called sys.exit({error.code!r})"}
    except BaseException as error:  # noqa: BLE001 - the code may raise anything, and must not end the process
        return {"died": f"raised {type(error).__name__}: {text_of(error)}"}
    finally:
        os.chdir(folder)
        sys.path[:] = path
        os.environ.clear()
        os.environ.update(environment)


def _limit_memory(memory: int) -> None:
    used = 0
    statm = Path("/proc/self/statm")
    if statm.exists():
        used = int(statm.read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = used + memory
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
