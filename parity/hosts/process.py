"""The process that holds a checkout: it loads it, then answers one request after the other."""

from __future__ import annotations

import os
import pickle
import resource
import sys
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from parity.components import REGISTRY
from parity.hosts.wire import SIZE, encode, to_plain
from parity.outcome import execute, settings_kept
from parity.sides.checkout import NoCheckout, load_checkout

__all__ = ["serve"]


def serve(requests: int, replies: int, memory: int) -> None:
    """Answers what comes over the pipe `requests`, over the pipe `replies`, until the other side closes it."""
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
                reply = _guarded(partial(_execute, side, *given))
            content = encode(reply)
            target.write(SIZE.pack(len(content)) + content)
            target.flush()


def _load(specifier: str) -> tuple[Any, dict[str, Any]]:
    try:
        with settings_kept(), warnings.catch_warnings():
            side = load_checkout(specifier)
    except NoCheckout as error:
        return None, {"refused": str(error)}
    except BaseException as error:  # noqa: BLE001 - whatever importing it raises, an exit included
        where = traceback.extract_tb(error.__traceback__)[-1]
        at = f"{Path(where.filename).name}:{where.lineno}"
        return None, {"refused": f"{specifier} cannot be loaded: {type(error).__name__}: {error} ({at})"}
    return side, {"name": side.name, "version": side.version, "notes": list(side.notes)}


def _execute(side: Any, component: str, inputs: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    return to_plain(execute(REGISTRY[component], side, inputs, **settings))


def _guarded(call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The reply; an exit of the code is one, and what it did to the interpreter is undone."""
    path, environment = list(sys.path), dict(os.environ)
    try:
        return call()
    except SystemExit as error:
        return {"died": f"called sys.exit({error.code!r})"}
    except BaseException as error:  # noqa: BLE001 - the code may raise anything, and must not end the process
        return {"died": f"raised {type(error).__name__}: {error}"}
    finally:
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
