"""What seeds a generator, and what NumPy and Python's `random` draw, caught while it runs and passed on unchanged.

The functions of the modules, and the classes of generators that code makes for itself, are replaced while someone
listens and put back afterwards. They listen for their own thread only.
"""

from __future__ import annotations

import functools
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch

from parity.diagnosis.generators import GLOBALS, NUMPY_GLOBAL, PYTHON_GLOBAL, Stream, stream_of
from parity.diagnosis.site import is_own

__all__ = ["Listener", "catching"]


class Listener(Protocol):
    """What is told of draws and reseedings."""

    def look(self, stream: Stream) -> None:
        """Take note that a generator is about to be used."""

    def drawn(self, operation: str, kind: str, value: Any, stream: Stream) -> None:
        """Take note of a draw that was just made."""

    def reseeded(self, operation: str, stream: Stream, seed: int | None) -> None:
        """Take note of a generator that was seeded, made, or put into another state."""


_KINDS = {
    "randn": "normal", "standard_normal": "normal", "gauss": "normal", "normalvariate": "normal",
    "rand": "uniform", "random": "uniform", "random_sample": "uniform",
    "randint": "integer", "integers": "integer", "random_integers": "integer", "randrange": "integer",
    "lognormal": "log_normal", "lognormvariate": "log_normal", "expovariate": "exponential",
    "standard_exponential": "exponential",
}  # fmt: skip
"""Kinds of draws that two implementations share, where the name does not say it; as in `parity.draws`."""

_RESEEDS = {"seed", "set_state", "setstate", "manual_seed", "set_rng_state", "set_bit_generator"}
_NO_DRAWS = {"get_state", "getstate", "bit_generator", "spawn"}

_lock = threading.Lock()
_listening = 0
_replaced: list[tuple[Any, str, Any, Any]] = []
_ABSENT = object()


class _Thread(threading.local):
    listeners: tuple[Listener, ...] = ()
    inside = False
    """Within a function that is caught: what it calls is part of it."""


_thread = _Thread()


@contextmanager
def catching(listener: Listener) -> Iterator[None]:
    """Tell the listener of everything that this thread draws and reseeds; may be nested, and used in many threads."""
    global _listening
    with _lock:
        if not _listening:
            _replace()
        _listening += 1
    before = _thread.listeners
    _thread.listeners = (*before, listener)
    try:
        yield
    finally:
        _thread.listeners = before
        with _lock:
            _listening -= 1
            if not _listening:
                _restore()


def _caught(
    original: Callable[..., Any], module: str, stream: Stream | None = None, *, of_class: type | None = None
) -> Callable[..., Any]:
    """`original`, told to who listens. Without a `stream`, the first argument is the generator."""
    name = original.__name__
    operation = f"{module}.{name}" if of_class is None else f"{of_class.__name__}.{name}"

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        listeners = () if _thread.inside else _thread.listeners
        if of_class is random.Random and not is_own(sys._getframe(1).f_code):
            listeners = ()  # the standard library has some for itself
        if not listeners:
            return original(*args, **kwargs)
        used = stream or stream_of(args[0])
        for listener in listeners:
            listener.look(used)
        given = args if stream else args[1:]
        result = _within(original, args, kwargs)
        for listener in listeners:
            if name in _RESEEDS:
                listener.reseeded(operation, used, _seed_among(given, kwargs))
            else:  # what shuffles in place returns nothing
                value = given[0] if result is None and given else result
                listener.drawn(operation, _KINDS.get(name, name), value, used)
        return result

    return call


def _within(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    _thread.inside = True
    try:
        return original(*args, **kwargs)
    finally:
        _thread.inside = False


def _seed_among(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int | None:
    return next((int(a) for a in (*args, *kwargs.values()) if isinstance(a, int | np.integer)), None)


def _class_of(real: type, names: list[str], *, told_when_made: bool) -> type:
    """A class in the place of `real` whose methods are caught. Whatever is a `real` is an instance of it."""
    init: Callable[..., None] = vars(real)["__init__"] if told_when_made else real

    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        for listener in () if _thread.inside else _thread.listeners:
            listener.reseeded(f"{real.__name__}()", stream_of(self), _seed_among(args, kwargs))

    body: dict[str, Any] = {name: _caught(getattr(real, name), "", of_class=real) for name in names}
    body |= {"__init__": made} if told_when_made else {}
    about = {"__module__": real.__module__, "__qualname__": real.__qualname__, "__doc__": real.__doc__}
    checks = {
        "__instancecheck__": lambda cls, thing: isinstance(thing, cls.__mro__[1]),
        "__subclasscheck__": lambda cls, other: issubclass(other, cls.__mro__[1]),
    }
    like: Any = type(f"_Like{real.__name__}", (type(real),), checks)
    made_class: type = like(real.__name__, (real,), body | about)
    return made_class


def _draws_of(thing: Any) -> list[str]:
    public = [name for name in dir(thing) if not name.startswith("_") and name not in _NO_DRAWS]
    return [name for name in public if callable(getattr(thing, name))]


_Generator: Any = _class_of(np.random.Generator, _draws_of(np.random.Generator), told_when_made=True)
_RandomState: Any = _class_of(np.random.RandomState, _draws_of(np.random.RandomState), told_when_made=True)
_TorchGenerator: Any = _class_of(torch.Generator, ["manual_seed", "seed", "set_state"], told_when_made=False)


def _default_rng(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def default_rng(seed: Any = None) -> Any:
        made = original(seed)
        if made is seed or not _thread.listeners:
            return made
        with_methods = _within(_Generator, (made.bit_generator,), {})
        for listener in _thread.listeners:
            listener.reseeded("numpy.random.default_rng", stream_of(with_methods), _seed_among((seed,), {}))
        return with_methods

    return default_rng


def _replace() -> None:
    numpy, python = stream_of(NUMPY_GLOBAL), stream_of(PYTHON_GLOBAL)
    for name in (name for name in _draws_of(NUMPY_GLOBAL) if name in np.random.__all__):
        _put(np.random, name, _caught(getattr(np.random, name), "numpy.random", numpy))
    for name, real in (("Generator", _Generator), ("RandomState", _RandomState)):
        _put(np.random, name, real)
    _put(np.random, "default_rng", _default_rng(np.random.default_rng))
    for name in _draws_of(PYTHON_GLOBAL):
        if name in random.__all__:
            _put(random, name, _caught(getattr(random, name), "random", python))
        _put(random.Random, name, _caught(getattr(random.Random, name), "", of_class=random.Random))
    for module in (torch, torch.random):
        for name in ("manual_seed", "seed", "set_rng_state"):
            _put(module, name, _caught(getattr(module, name), "torch", GLOBALS[0]))
    _put(torch, "Generator", _TorchGenerator)


def _put(owner: Any, name: str, replacement: Any) -> None:
    _replaced.append((owner, name, vars(owner).get(name, _ABSENT), replacement))
    setattr(owner, name, replacement)


def _restore() -> None:
    """Put back what is still there; what the code itself has replaced since is its own doing."""
    while _replaced:
        owner, name, original, replacement = _replaced.pop()
        if vars(owner).get(name) is not replacement:
            continue
        if original is _ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, original)
