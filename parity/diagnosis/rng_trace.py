"""Trace every random draw and every reseeding of a side's call, in order, each with its source line.

Torch's draws are recorded at the dispatcher. The functions that seed a generator, and those by which NumPy and Python's
`random` draw, are replaced while someone listens, pass everything on unchanged, and are put back afterwards; they
listen for their own thread only. Values and consumption stay as they were. A draw that gets past that (a name imported
before, a generator made before) leaves a generator in another state than it was last seen in: that is recorded as
well, at the next line that draws.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import marshal
import random
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from parity.component import Component
from parity.diagnosis.location import SourceLocation, call_site, is_own
from parity.draws import draw_kind
from parity.execution import Outcome
from parity.execution import run as run_once
from parity.side import Side

__all__ = ["DrawEvent", "RngTrace", "recorded", "trace_draws"]

_NUMPY_GLOBAL: Any = np.random.mtrand._rand
_PYTHON_GLOBAL: random.Random = random._inst

_NUMPY = (np.random.Generator, np.random.RandomState)
_TORCH = torch.Generator  # the real ones: both names are replaced while draws are recorded


def _identity(thing: Any) -> int:
    # PyTorch's dispatcher hands over another Python object for the same generator each time.
    return int(getattr(thing, "_cdata", id(thing)))


@dataclass(frozen=True, eq=False)
class _Stream:
    """A generator: `name` for reading, `own` if the code made it for itself, `thing` the object."""

    name: str
    own: bool
    thing: Any

    def __hash__(self) -> int:
        return _identity(self.thing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Stream) and _identity(other.thing) == _identity(self.thing)

    def state(self) -> bytes:
        """Return its state; equal states draw equal values."""
        if isinstance(self.thing, _TORCH):
            torch_state: bytes = self.thing.get_state().numpy().tobytes()
            return torch_state
        if isinstance(self.thing, random.Random):
            return b"" if isinstance(self.thing, random.SystemRandom) else marshal.dumps(self.thing.getstate())
        if isinstance(self.thing, np.random.RandomState):
            return _flat(self.thing.get_state(legacy=False))
        return _flat(self.thing.bit_generator.state)

    def seed(self) -> int | None:
        """Return its seed, as far as the generator itself knows."""
        return self.thing.initial_seed() if isinstance(self.thing, _TORCH) else None


def _stream_of(thing: Any) -> _Stream:
    """Return the stream of a torch, NumPy or Python generator."""
    if isinstance(thing, _TORCH):
        own = _identity(thing) not in map(_identity, (torch.default_generator, *torch.cuda.default_generators))
        where = "" if thing.device.type == "cpu" else f" of {thing.device}"
        return _Stream(f"an own torch.Generator{where}" if own else f"torch's global generator{where}", own, thing)
    if thing is _NUMPY_GLOBAL:
        return _Stream("NumPy's global generator", False, thing)
    if thing is _PYTHON_GLOBAL:
        return _Stream("Python's global generator", False, thing)
    kind = "random.Random" if isinstance(thing, random.Random) else f"numpy.random.{type(thing).__name__}"
    return _Stream(f"an own {kind}", True, thing)


_GLOBALS = tuple(map(_stream_of, (torch.default_generator, _NUMPY_GLOBAL, _PYTHON_GLOBAL)))
"""Every process has these; CUDA's are known from their first draw on."""


def _torch_stream(arguments: Iterable[Any]) -> _Stream:
    """Return the generator among an operation's arguments, or the global one of their device."""
    device = torch.device("cpu")
    for argument in arguments:
        if isinstance(argument, _TORCH):
            return _stream_of(argument)
        if isinstance(argument, Tensor):
            device = argument.device
        elif isinstance(argument, torch.device):
            device = argument
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        return _stream_of(torch.cuda.default_generators[index])
    return _GLOBALS[0]


def _flat(state: Any) -> bytes:
    if isinstance(state, dict):
        return b"".join(_flat(value) for value in state.values())
    return state.tobytes() if isinstance(state, np.ndarray) else repr(state).encode()


@dataclass(frozen=True)
class DrawEvent:
    """A draw, or a reseeding: anything else that moves a generator (a seed, a state put back).

    `digest`: of the values drawn; of a reseeding, of the generator's state afterwards. `seed`: of a reseeding, or of
    the code's own generator that is drawn from, where it is known. `site`: the side's own line; None if there is none.
    """

    index: int
    what: str
    operation: str
    kind: str
    shape: tuple[int, ...]
    dtype: str
    generator: str
    digest: str
    seed: int | None
    site: SourceLocation | None

    def plain(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self) | {"shape": list(self.shape), "site": self.site and self.site.plain()}

    def __str__(self) -> str:
        if self.what == "draw":
            return f"{self.kind}{list(self.shape)} from {self.generator}"
        return f"{self.operation} of {self.generator}" + (f" (seed {self.seed})" if self.seed is not None else "")


@dataclass(eq=False)
class RngTrace:
    """The draws and reseedings of one call."""

    events: list[DrawEvent] = field(default_factory=list)
    _watched: dict[_Stream, bytes] = field(default_factory=dict)
    _seen: dict[_Stream, bytes] = field(default_factory=dict)
    _seeds: dict[_Stream, int] = field(default_factory=dict)
    _left: dict[str, bytes] | None = None

    def plain(self) -> dict[str, Any]:
        """Return events and final states as plain values."""
        events = [asdict(e) | {"site": e.site and asdict(e.site), "shape": list(e.shape)} for e in self.events]
        return {"events": events, "left": {name: state.decode() for name, state in self.left().items()}}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> RngTrace:
        """Return the trace that `plain` wrote; its final states can only be compared."""
        events = [
            DrawEvent(
                **{**e, "site": None if e["site"] is None else SourceLocation(**e["site"]), "shape": tuple(e["shape"])}
            )
            for e in plain["events"]
        ]
        return cls(events, _left={name: digest.encode() for name, digest in plain["left"].items()})

    def start(self) -> None:
        """Look at the generators that exist.

        NumPy's that were made before cannot be replaced, so that their state is watched.
        """
        made = [thing for thing in gc.get_objects() if type(thing) in _NUMPY and thing is not _NUMPY_GLOBAL]
        self._watched = {stream: stream.state() for stream in [*_GLOBALS, *map(_stream_of, made)]}

    def look(self, stream: _Stream | None = None) -> None:
        """Record generators that moved since they were last seen. `stream` is about to be used; None: look at all."""
        own = self._seen if stream is None else {stream} & self._seen.keys()
        for known in [*self._watched, *own]:
            state = known.state()
            if state != self._last(known)[known]:
                self._last(known)[known] = state
                self._add("reseed", "state changed before this line", known, state)
        if stream is not None and stream not in self._watched:
            self._seen.setdefault(stream, stream.state())

    def drawn(self, operation: str, kind: str, value: Any, stream: _Stream) -> None:
        """Record a draw that was just made."""
        self._last(stream)[stream] = stream.state()
        shape, dtype, content = _content(value)
        self._add("draw", operation, stream, content, kind, shape, dtype)

    def reseeded(self, operation: str, stream: _Stream, seed: int | None) -> None:
        """Record a generator that was just seeded, made, or put into another state."""
        state = self._last(stream)[stream] = stream.state()
        if seed is not None:
            self._seeds[stream] = seed
        self._add("reseed", operation, stream, state)

    def left(self) -> dict[str, bytes]:
        """Return digests of the states in which the process's own generators were last seen, by name."""
        if self._left is not None:
            return self._left
        return {stream.name: _digest(state).encode() for stream, state in self._watched.items() if not stream.own}

    def _last(self, stream: _Stream) -> dict[_Stream, bytes]:
        return self._watched if stream in self._watched else self._seen

    def _add(
        self, what: str, operation: str, stream: _Stream, content: bytes,
        kind: str = "reseed", shape: tuple[int, ...] = (), dtype: str = "",
    ) -> None:  # fmt: skip
        digest = _digest(content)
        seed = stream.seed() if stream.seed() is not None else self._seeds.get(stream)
        seed = seed if what == "reseed" or stream.own else None
        index = len(self.events)
        self.events.append(
            DrawEvent(index, what, operation, kind, shape, dtype, stream.name, digest, seed, call_site())
        )


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def recorded(call: Callable[..., dict[str, Any]], trace: RngTrace) -> Callable[..., dict[str, Any]]:
    """Return `call`, recorded into `trace`. In other threads nothing is recorded, and nothing changes."""

    def run(**given: Any) -> dict[str, Any]:
        with _listening_to_all(trace), _TorchDraws(trace):
            trace.start()
            try:
                return call(**given)
            finally:
                trace.look()

    return run


def trace_draws(
    component: Component, side: Side, inputs: Mapping[str, Any], **settings: Any
) -> tuple[dict[str, Any], Outcome]:
    """Run a side once, its draws recorded; return them as plain values, and the outcome."""
    trace = RngTrace()
    outcome = run_once(recorded(component.bind(side), trace), inputs, **settings)
    return trace.plain(), outcome


class _TorchDraws(TorchDispatchMode):
    """Records every draw that reaches PyTorch's dispatcher."""

    def __init__(self, trace: RngTrace) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._trace = trace

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        stream = _torch_stream([*args, *kwargs.values()])
        self._trace.look(stream)
        before = stream.state()
        result = func(*args, **kwargs)
        name, kind = func._schema.name.removeprefix("aten::"), draw_kind(func, args, kwargs)
        if kind is not None or stream.state() != before:  # a fused kernel may draw, and mostly does not
            value = result[0] if isinstance(result, tuple) else result
            self._trace.drawn(f"torch {name}", kind or name, value, stream)
        return result


def _content(value: Any) -> tuple[tuple[int, ...], str, bytes]:
    """Return shape, dtype and bytes of a drawn value."""
    if isinstance(value, Tensor):
        content: bytes = value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        return tuple(value.shape), str(value.dtype).removeprefix("torch."), content
    if isinstance(value, np.ndarray | np.generic) and value.dtype != object:
        return tuple(value.shape), str(value.dtype), value.tobytes()
    shape = (len(value),) if isinstance(value, list | tuple) else ()
    return shape, type(value).__name__, repr(value).encode()


# Patching of NumPy, `random` and torch's functions that seed.

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
    """`inside`: within a patched function; the functions that it calls are part of it."""

    listeners: tuple[RngTrace, ...] = ()
    inside = False


_thread = _Thread()


@contextmanager
def _listening_to_all(trace: RngTrace) -> Iterator[None]:
    """Tell the trace of everything that this thread draws and reseeds; may be nested, and used in many threads."""
    global _listening
    with _lock:
        if not _listening:
            _patch()
        _listening += 1
    before = _thread.listeners
    _thread.listeners = (*before, trace)
    try:
        yield
    finally:
        _thread.listeners = before
        with _lock:
            _listening -= 1
            if not _listening:
                _restore()


def _caught(
    original: Callable[..., Any], module: str, stream: _Stream | None = None, *, of_class: type | None = None
) -> Callable[..., Any]:
    """Return `original`, heard by those who listen. Without a `stream`, the first argument is the generator."""
    name = original.__name__
    operation = f"{module}.{name}" if of_class is None else f"{of_class.__name__}.{name}"

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        listeners = () if _thread.inside else _thread.listeners
        if of_class is random.Random and not is_own(sys._getframe(1).f_code):
            listeners = ()  # the standard library has some for itself
        if not listeners:
            return original(*args, **kwargs)
        used = stream or _stream_of(args[0])
        for listener in listeners:
            listener.look(used)
        given = args if stream else args[1:]
        result = _within(original, args, kwargs)
        for listener in listeners:
            if name in _RESEEDS:
                listener.reseeded(operation, used, _seed_among(given, kwargs))
            else:  # a function that shuffles in place returns nothing
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


def _class_like(real: type, names: list[str], *, heard_when_made: bool) -> type:
    """Return a class to replace `real` whose methods are heard. Every `real` is an instance of it."""
    init: Callable[..., None] = vars(real)["__init__"] if heard_when_made else real

    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        for listener in () if _thread.inside else _thread.listeners:
            listener.reseeded(f"{real.__name__}()", _stream_of(self), _seed_among(args, kwargs))

    body: dict[str, Any] = {name: _caught(getattr(real, name), "", of_class=real) for name in names}
    body |= {"__init__": made} if heard_when_made else {}
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


_Generator: Any = _class_like(np.random.Generator, _draws_of(np.random.Generator), heard_when_made=True)
_RandomState: Any = _class_like(np.random.RandomState, _draws_of(np.random.RandomState), heard_when_made=True)
_TorchGenerator: Any = _class_like(torch.Generator, ["manual_seed", "seed", "set_state"], heard_when_made=False)


def _default_rng(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def default_rng(seed: Any = None) -> Any:
        made = original(seed)
        if made is seed or not _thread.listeners:
            return made
        with_methods = _within(_Generator, (made.bit_generator,), {})
        for listener in _thread.listeners:
            listener.reseeded("numpy.random.default_rng", _stream_of(with_methods), _seed_among((seed,), {}))
        return with_methods

    return default_rng


def _patch() -> None:
    _, numpy, python = _GLOBALS
    for name in (name for name in _draws_of(_NUMPY_GLOBAL) if name in np.random.__all__):
        _put(np.random, name, _caught(getattr(np.random, name), "numpy.random", numpy))
    for name, real in (("Generator", _Generator), ("RandomState", _RandomState)):
        _put(np.random, name, real)
    _put(np.random, "default_rng", _default_rng(np.random.default_rng))
    for name in _draws_of(_PYTHON_GLOBAL):
        if name in random.__all__:
            _put(random, name, _caught(getattr(random, name), "random", python))
        _put(random.Random, name, _caught(getattr(random.Random, name), "", of_class=random.Random))
    for module in (torch, torch.random):
        for name in ("manual_seed", "seed", "set_rng_state"):
            _put(module, name, _caught(getattr(module, name), "torch", _GLOBALS[0]))
    _put(torch, "Generator", _TorchGenerator)


def _put(owner: Any, name: str, replacement: Any) -> None:
    _replaced.append((owner, name, vars(owner).get(name, _ABSENT), replacement))
    setattr(owner, name, replacement)


def _restore() -> None:
    """Put back the originals; leave alone what the code itself has replaced since."""
    while _replaced:
        owner, name, original, replacement = _replaced.pop()
        if vars(owner).get(name) is not replacement:
            continue
        if original is _ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, original)
