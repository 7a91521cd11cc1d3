"""Hot patches: a live function gets changed code for one run, which is guarded."""

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

from parity.diagnosis.location import is_own_file
from parity.diagnosis.symbols import definition_at

__all__ = ["CannotPatch", "Patcher", "TooLong", "guarded", "is_guarded"]

_WRITING = ("os.", "shutil.", "subprocess.", "socket.", "ctypes.", "pty.", "ftplib.", "smtplib.", "urllib.")
"""Audit events by which code could change something outside of its own process."""

_READING = ("os.listdir", "os.scandir", "os.walk", "os.fwalk", "os.getxattr", "os.listxattr")
_HARMLESS = {*_READING, "os.putenv", "os.unsetenv"}

_CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
"""Flags by which a file is opened to be changed."""

_TO_DEFINE = 1.0
"""Seconds that the new value of a module's variable may take to compute."""


class CannotPatch(Exception):
    """The changed code cannot replace the function's."""


class TooLong(BaseException):
    """A changed function ran past its time; not an `Exception`, which is an outcome to compare."""


class Patcher:
    """Finds the live functions of files, and gives them other code for a while."""

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
    def patched(self, path: str, tree: ast.Module, line: int) -> Iterator[None]:
        """Give the functions of a file around `line` the code of `tree`, which is the file's with a change in it.

        Outside of any function, give the module's variable that is assigned there the value that `tree` gives it.
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
            raise CannotPatch(str(error)) from error
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
                raise CannotPatch(f"no function is alive at {path}:{line}")
            _clear(caches)
            yield
        except ValueError as error:
            raise CannotPatch(str(error)) from error
        finally:
            for function, old in lent:
                function.__code__ = old
            _clear(caches)

    @contextmanager
    def _lent(self, path: str, name: str, value: ast.expr) -> Iterator[None]:
        """Give a module's variable another value, there and wherever it was imported."""
        module = next((function.__globals__ for function in self._functions.get(path, ())), {})
        if name not in module:
            raise CannotPatch(f"{path} has no variable {name}")
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


def _modules() -> list[ModuleType]:
    return [
        m
        for m in list(sys.modules.values())
        if type(m) is ModuleType and is_own_file(getattr(m, "__file__", None) or "")
    ]


@contextmanager
def guarded(seconds: float) -> Iterator[None]:
    """Stop the code inside after `seconds` (`TooLong`), and keep it from touching files and the network.

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
        if remaining:  # somebody else's alarm must come at its time
            signal.setitimer(signal.ITIMER_REAL, max(remaining - (time.monotonic() - started), 1e-6))


def is_guarded() -> bool:
    """True while a change is tried in this thread."""
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
    """Return the part of a file to compile for a change in one line: its outermost definition, and its future."""
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
