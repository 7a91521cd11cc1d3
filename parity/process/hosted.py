"""The process that holds a checkout: it loads it, then answers one request after the other."""

from __future__ import annotations

import json
import os
import pickle
import resource
import shutil
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from parity.component import Context
from parity.execution import Outcome, execute, settings_kept
from parity.process.wire import SIZE, encode, to_plain
from parity.root_ggfm.checkouts.layouts import NoCheckout, load_checkout
from parity.root_ggfm.components import REGISTRY
from parity.side import MissingComponent

__all__ = ["serve"]


def serve(requests: int, replies: int, memory: int, scratch: str) -> None:
    """Answers what comes over the pipe `requests`, over the pipe `replies`, until the other side closes it.

    Removes the folder `scratch` where its parent ended without doing so.
    """
    threading.Thread(target=_end_with, args=(os.getppid(), scratch), daemon=True).start()
    _limit_memory(memory)
    torch.set_num_threads(1)
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
    shutil.rmtree(scratch, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)  # what the code has started ends with it


def _load(specifier: str) -> tuple[Any, dict[str, Any]]:
    folder = Path.cwd()
    try:
        with settings_kept(), warnings.catch_warnings():
            side = load_checkout(specifier)
    except NoCheckout as error:
        return None, {"refused": str(error)}
    except BaseException as error:  # noqa: BLE001 - whatever importing it raises, an exit included
        where = traceback.extract_tb(error.__traceback__)[-1]
        at = f"{Path(where.filename).name}:{where.lineno}"
        return None, {"refused": f"{specifier} cannot be loaded: {type(error).__name__}: {error} ({at})"}
    finally:
        os.chdir(folder)
    return side, {"name": side.name, "version": side.version, "notes": list(side.notes)}


def _execute(side: Any, component: str, inputs: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    if not hasattr(side, component):
        absent = MissingComponent(f"{side.name}: the layout of {side.layout} has no {component} to be called by itself")
        return to_plain(Outcome({}, absent))
    return to_plain(execute(REGISTRY[component], side, inputs, **settings))


def _explain(
    side: Any, component: str, params: dict[str, Any], other: Any, ctx: Context, is_reference: bool, seconds: float
) -> dict[str, Any]:
    from parity.diagnosis.explain import explain

    sides = (side, other) if is_reference else (other, side)
    return {"explanation": json.dumps(explain(REGISTRY[component], params, *sides, ctx, seconds=seconds))}


_ACTIONS: dict[str, Callable[..., dict[str, Any]]] = {"execute": _execute, "explain": _explain}


def _guarded(call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The reply; an exit of the code is one, and what it did to the interpreter is undone."""
    path, environment, folder = list(sys.path), dict(os.environ), Path.cwd()
    try:
        return call()
    except SystemExit as error:
        return {"died": f"called sys.exit({error.code!r})"}
    except BaseException as error:  # noqa: BLE001 - the code may raise anything, and must not end the process
        return {"died": f"raised {type(error).__name__}: {error}"}
    finally:
        os.chdir(folder)
        sys.path[:] = path
        os.environ.clear()
        os.environ.update(environment)


def _end_with(parent: int, scratch: str) -> None:
    """Ends this process and all that it started once its parent is gone, however that ended."""
    while os.getppid() == parent:
        time.sleep(1.0)
    shutil.rmtree(scratch, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def _limit_memory(memory: int) -> None:
    used = 0
    statm = Path("/proc/self/statm")
    if statm.exists():
        used = int(statm.read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = used + memory
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
