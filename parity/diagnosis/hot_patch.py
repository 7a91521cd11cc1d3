"""A changed function in the place of the candidate's own, for one run, under guard."""

from __future__ import annotations

import ast
import functools
import gc
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType, ModuleType
from typing import Any

from parity.diagnosis.site import is_own_file

__all__ = ["CannotGraft", "Grafter", "TooLong", "definition_at", "guarded", "is_guarded"]

_WRITING = ("os.", "shutil.", "subprocess.", "socket.", "ctypes.", "pty.", "ftplib.", "smtplib.", "urllib.")
"""Audit events by which code could change something outside of its own process."""

_HARMLESS = (
    "os.listdir",
    "os.scandir",
    "os.walk",
    "os.fwalk",
    "os.getxattr",
    "os.listxattr",
    "os.putenv",
    "os.unsetenv",
)


_CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
"""Flags by which a file is opened to be changed."""


_TO_DEFINE = 1.0
"""Seconds within which a module's variable is made, where it is given another value."""


class CannotGraft(Exception):
    """The changed code does not fit in the function's place."""


class TooLong(BaseException):
    """A changed function ran past its time; not an `Exception`, which is an outcome to compare."""


class Grafter:
    """Knows the live functions of the files it is asked for, and lends them other code."""

    def __init__(self) -> None:
        self._functions: dict[str, list[FunctionType]] = {}
        caches: list[Any] = []
        for thing in gc.get_objects():
            if type(thing) is FunctionType:  # isinstance would wake up modules that load on first touch
                self._functions.setdefault(thing.__code__.co_filename, []).append(thing)
            elif type(thing) is functools._lru_cache_wrapper:
                caches.append(thing)
        self._caches = [(cache, _file_of(cache)) for cache in caches]

    @contextmanager
    def grafted(self, path: str, tree: ast.Module, line: int) -> Iterator[None]:
        """The functions of a file around `line` with the code of `tree`, which is the file's with a change in it.

        Outside of any function: the module's variable that is assigned there with the value that `tree` gives it.
        """
        definition = definition_at(tree, line)
        if definition is not None:
            with self._lent(path, *definition):
                yield
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a change that is only tried, such as `0.5(x)`
                codes = dict(_nested(compile(_around(tree, line), path, "exec", dont_inherit=True)))
        except (SyntaxError, ValueError, TypeError) as error:
            raise CannotGraft(str(error)) from error
        lent: list[tuple[FunctionType, CodeType]] = []
        caches = [cache for cache, file in self._caches if file == path]
        try:
            for function in self._functions.get(path, ()):
                old = function.__code__
                new = codes.get((old.co_qualname, old.co_firstlineno))
                if new is not None and _covers(old, line):
                    function.__code__ = new
                    lent.append((function, old))
            if not lent:
                raise CannotGraft(f"no function is alive at {path}:{line}")
            _clear(caches)
            yield
        except ValueError as error:
            raise CannotGraft(str(error)) from error
        finally:
            for function, old in lent:
                function.__code__ = old
            _clear(caches)

    @contextmanager
    def _lent(self, path: str, name: str, value: ast.expr) -> Iterator[None]:
        """A module's variable with another value, there and wherever it was imported."""
        module = next((function.__globals__ for function in self._functions.get(path, ())), {})
        if name not in module:
            raise CannotGraft(f"{path} has no variable {name}")
        old = module[name]
        with guarded(_TO_DEFINE):
            new = eval(compile(ast.Expression(value), path, "eval", dont_inherit=True), module)
        caches = [cache for cache, file in self._caches if is_own_file(file)]
        imported = [space for space in map(vars, _modules()) if space is not module and space.get(name) is old]
        holders = [module, *imported]
        try:
            for space in holders:
                space[name] = new
            _clear(caches)
            yield
        finally:
            for space in holders:
                space[name] = old
            _clear(caches)


def definition_at(tree: ast.Module, line: int) -> tuple[str, ast.expr] | None:
    """The variable that a module assigns at a line, outside of functions and classes, and what it is."""
    for node in tree.body:
        if node.lineno <= line <= (node.end_lineno or line):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            value = getattr(node, "value", None)
            if len(targets) == 1 and isinstance(targets[0], ast.Name) and isinstance(value, ast.expr):
                return targets[0].id, value
    return None


def _modules() -> list[ModuleType]:
    return [
        m
        for m in list(sys.modules.values())
        if type(m) is ModuleType and is_own_file(getattr(m, "__file__", None) or "")
    ]


@contextmanager
def guarded(seconds: float) -> Iterator[None]:
    """Stops what runs inside after `seconds` (`TooLong`), and keeps it from touching files and the network.

    Only in a process's main thread, where a signal can stop it.
    """

    def stop(*_: Any) -> None:
        raise TooLong

    _install()
    previous = signal.signal(signal.SIGALRM, stop)
    started = time.monotonic()
    remaining = signal.setitimer(signal.ITIMER_REAL, seconds)[0]
    outer, _Guard.thread = _Guard.thread, threading.get_ident()
    try:
        yield
    finally:
        _Guard.thread = outer
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        if remaining:  # somebody else's alarm, which was not to wait for this
            signal.setitimer(signal.ITIMER_REAL, max(remaining - (time.monotonic() - started), 1e-6))


def is_guarded() -> bool:
    """Whether what runs in this thread is a change that is tried."""
    return _Guard.thread == threading.get_ident()


class _Guard:
    thread: int | None = None


@functools.cache
def _install() -> None:
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if not is_guarded():
        return
    opens = event == "open" and bool(set(arguments[1] or "") & set("wax+") or (arguments[2] or 0) & _CHANGES)
    if opens or (event.startswith(_WRITING) and event not in _HARMLESS):
        raise PermissionError(f"a changed line may not do this: {event}")


def _around(tree: ast.Module, line: int) -> ast.Module:
    """What of a file is compiled for a change in one line: the outermost definition that has it, and its future."""
    whole = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    near = [node for node in tree.body if isinstance(node, whole) and node.lineno <= line <= (node.end_lineno or line)]
    future = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    return ast.Module([*future, *near], [])


def _covers(code: CodeType, line: int) -> bool:
    lines = [number for _, _, number in code.co_lines() if number is not None]
    inner = (_covers(constant, line) for constant in code.co_consts if isinstance(constant, CodeType))
    return min(lines, default=line + 1) <= line <= max(lines, default=line - 1) or any(inner)


def _nested(code: CodeType) -> Iterator[tuple[tuple[str, int], CodeType]]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield (constant.co_qualname, constant.co_firstlineno), constant
            yield from _nested(constant)


def _file_of(cache: Any) -> str:
    code = getattr(cache.__wrapped__, "__code__", None)
    return code.co_filename if code is not None else "<built-in>"


def _clear(caches: list[Any]) -> None:
    for cache in caches:
        cache.cache_clear()
