"""A trace: every operation of a side's call with the numbers that went in and came out, and its source line.

Torch operations are recorded at the dispatcher. NumPy and plain floats are seen line by line, as local variables that
change and values that are returned. Calls of the side's own functions are kept with their arguments. The side's code
is not changed; it runs several times slower.
"""

from __future__ import annotations

import dis
import hashlib
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

from parity.component import Component
from parity.diagnosis.location import SourceLocation, call_chain, call_site, is_own, location_at
from parity.execution import Outcome, run
from parity.side import Side

__all__ = [
    "Call",
    "Event",
    "Trace",
    "Value",
    "is_simple",
    "plain_trace",
    "trace_of",
    "trace_plainly",
    "traced",
    "value_of",
]

_LARGEST = 2**16
"""Elements kept of one value; of larger ones every k-th. Smallest failing inputs stay far below it."""

_SIMPLE = 1024.0

_MOST = 100_000
"""Events kept; a whole training run has more, and is located by its stages and steps first."""


@dataclass(frozen=True, eq=False)
class Value:
    """The numbers of a tensor, an array or a float, flat and in float64, and their digest.

    A value is recognised by its numbers, whatever shape holds them. `exact`: it holds integers or booleans. `sampled`:
    only every k-th number was kept.
    """

    numbers: NDArray[np.float64]
    shape: tuple[int, ...]
    digest: str
    exact: bool
    sampled: bool = False

    def __str__(self) -> str:
        shown = ", ".join(f"{number:.10g}" for number in self.numbers[:4])
        return f"{list(self.shape) if self.shape else ''}({shown}{', ...' if len(self.numbers) > 4 else ''})"


def value_of(thing: Any) -> Value | None:
    """Return a `Value`, or None for an object that holds no numbers."""
    if isinstance(thing, Tensor):
        if thing.is_complex() or thing.layout != torch.strided or thing.device.type == "meta":
            return None
        with _disable_current_modes():  # looking at a tensor is no operation of the side's
            array = thing.detach().to("cpu").double().reshape(-1).numpy()
        exact = not thing.is_floating_point()
        shape = tuple(thing.shape)
    elif isinstance(thing, float | np.ndarray | np.generic):
        held = np.asarray(thing)
        if held.dtype.kind not in "fiub":
            return None
        array, exact, shape = held.astype(np.float64).reshape(-1), held.dtype.kind != "f", held.shape
    else:
        return None
    digest = hashlib.blake2b(array.tobytes(), digest_size=12).hexdigest()
    step = -(-len(array) // _LARGEST) if len(array) > _LARGEST else 1
    return Value(array[::step].copy(), shape, digest, exact, step > 1)


def is_simple(numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return a mask of numbers that occur anywhere and identify nothing: 0, 1, small integers, simple fractions."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = numbers * _SIMPLE
    simple: NDArray[np.bool_] = (np.abs(numbers) <= _SIMPLE) & (scaled == np.floor(scaled))
    return simple


@dataclass(frozen=True, eq=False)
class Event:
    """One operation, or one line of NumPy: its inputs, its outputs, its location (`chain`, innermost line first)."""

    index: int
    operation: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    constants: tuple[float, ...]
    chain: tuple[SourceLocation, ...]

    @property
    def of_side(self) -> bool:
        """True if its line is the side's own; an adapter only translates."""
        return bool(self.chain) and not self.chain[0].of_adapter


@dataclass(frozen=True, eq=False)
class Call:
    """A call of one of the side's own functions: its arguments that hold numbers, and the line that calls."""

    function: str
    arguments: Mapping[str, Value]
    caller: SourceLocation | None
    path: str


@dataclass(eq=False)
class Trace:
    """One call of a side, in time order; `inputs` and `outputs` are the component's, by name.

    `lines`: the lines of the side's own code that were executed. `kinds`: by file and function, the type and shape of
    its local variables. Without `sites` only operations and their numbers are kept, not where they stand.
    """

    sites: bool = True
    events: list[Event] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    lines: dict[SourceLocation, None] = field(default_factory=dict)
    kinds: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    inputs: dict[str, Value] = field(default_factory=dict)
    outputs: dict[str, Value] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    @property
    def complete(self) -> bool:
        """True if every operation was kept."""
        return len(self.events) < _MOST

    def add(
        self,
        operation: str,
        inputs: list[Value],
        outputs: list[Value],
        constants: list[float],
        chain: tuple[SourceLocation, ...],
    ) -> None:
        """Append an event, unless there are too many, or a line only gives another name to a value."""
        if operation == "line":
            outputs = [value for value in outputs if value.digest not in self._seen]
        if outputs and len(self.events) < _MOST:
            index = len(self.events)
            self._seen.update(value.digest for value in [*inputs, *outputs])
            self.events.append(Event(index, operation, tuple(inputs), tuple(outputs), tuple(constants), chain))


def plain_trace(trace: Trace) -> dict[str, Any]:
    """Return a trace as tensors and plain values: values and lines once each, and named by their places."""
    values: dict[int, Value] = {}
    sites: dict[SourceLocation, int] = {}

    numbered: dict[int, int] = {}

    def number(value: Value) -> int:
        values.setdefault(id(value), value)
        return numbered.setdefault(id(value), len(numbered))

    def line(site: SourceLocation) -> int:
        return sites.setdefault(site, len(sites))

    events = [
        (
            e.operation,
            list(map(number, e.inputs)),
            list(map(number, e.outputs)),
            list(e.constants),
            list(map(line, e.chain)),
        )
        for e in trace.events
    ]
    calls = [
        (
            c.function,
            {n: number(v) for n, v in c.arguments.items()},
            None if c.caller is None else line(c.caller),
            c.path,
        )
        for c in trace.calls
    ]
    return {
        "events": events,
        "calls": calls,
        "lines": list(map(line, trace.lines)),
        "kinds": [(*key, held) for key, held in trace.kinds.items()],
        "inputs": {n: number(v) for n, v in trace.inputs.items()},
        "outputs": {n: number(v) for n, v in trace.outputs.items()},
        "values": [(torch.from_numpy(v.numbers), list(v.shape), v.digest, v.exact, v.sampled) for v in values.values()],
        "sites": [(s.file, s.line, s.function, s.text, s.path) for s in sites],
        "located": trace.sites,
    }


def trace_plainly(
    component: Component, side: Side, inputs: Mapping[str, Any], *, sites: bool, **settings: Any
) -> tuple[dict[str, Any], Outcome]:
    """Run a side once, traced; return the trace as `plain_trace` does, and the outcome."""
    trace = Trace(sites=sites)
    outcome = run(traced(component.bind(side), trace), inputs, **settings)
    return plain_trace(trace), outcome


def trace_of(plain: Mapping[str, Any]) -> Trace:
    """Return the trace that `plain_trace` wrote."""
    values = [Value(n.numpy(), tuple(shape), digest, exact, cut) for n, shape, digest, exact, cut in plain["values"]]
    sites = [SourceLocation(*site) for site in plain["sites"]]

    def held(numbers: Iterable[int]) -> tuple[Value, ...]:
        return tuple(values[k] for k in numbers)

    return Trace(
        sites=plain["located"],
        events=[
            Event(k, operation, held(inputs), held(outputs), tuple(constants), tuple(sites[i] for i in chain))
            for k, (operation, inputs, outputs, constants, chain) in enumerate(plain["events"])
        ],
        calls=[
            Call(function, {n: values[k] for n, k in given.items()}, None if at is None else sites[at], path)
            for function, given, at, path in plain["calls"]
        ],
        lines={sites[k]: None for k in plain["lines"]},
        kinds={(file, function): held_kinds for file, function, held_kinds in plain["kinds"]},
        inputs={n: values[k] for n, k in plain["inputs"].items()},
        outputs={n: values[k] for n, k in plain["outputs"].items()},
    )


def traced(call: Callable[..., dict[str, Any]], trace: Trace) -> Callable[..., dict[str, Any]]:
    """Return `call`, recorded into `trace`."""

    def run(**given: Any) -> dict[str, Any]:
        trace.inputs.update(_named(given))
        with _Operations(trace), _lines(trace) if trace.sites else nullcontext():
            tree = call(**given)
        trace.outputs.update(_named(tree))
        return tree

    return run


class _Operations(TorchDispatchMode):
    """Records every operation that reaches PyTorch's dispatcher."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._trace = trace
        self._forward: dict[int, tuple[SourceLocation, ...]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        leaves = tree_leaves((args, kwargs))
        inputs = _values([leaf for leaf in leaves if isinstance(leaf, Tensor)])  # before one in place changes them
        result = func(*args, **kwargs)
        constants = [float(leaf) for leaf in leaves if isinstance(leaf, float | int) and not isinstance(leaf, bool)]
        name = func._schema.name.removeprefix("aten::")
        if "empty" in name:
            _clear(result)
            return result
        written = [argument for argument in _written(func, args, kwargs) if argument is not result]
        made = _values([t for t in [*tree_leaves(result), *written] if isinstance(t, Tensor)])
        self._trace.add(name, inputs, list(dict.fromkeys(made)), constants, self._chain() if self._trace.sites else ())
        return result

    def _chain(self) -> tuple[SourceLocation, ...]:
        """Return the operation's location; one of the backward pass has that of its forward operation."""
        node = torch._C._current_autograd_node()
        if node is not None:
            return self._forward.get(node._sequence_nr()) or call_chain()
        # The node of an operation is made right before the operation runs, and takes the number before the next one.
        chain = call_chain()
        self._forward.setdefault(torch._C._autograd._get_sequence_nr() - 1, chain)
        return chain


def _clear(unwritten: Any) -> None:
    """Fill unwritten memory with zeros, which identify nothing: its numbers would be taken for numbers of this side,
    and be others in every run.
    """
    with _disable_current_modes(), torch.no_grad():
        for tensor in tree_leaves(unwritten):
            if isinstance(tensor, Tensor) and tensor.device.type != "meta":
                tensor.zero_()


def _written(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
    """Return the arguments that an operation changes in place; some of those operations return nothing."""
    changed: list[Any] = []
    for k, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            written = tree_leaves(args[k] if k < len(args) else kwargs.get(argument.name))
            # The tensor that a view belongs to changes with it.
            changed += [*written, *(t._base for t in written if isinstance(t, Tensor) and t._base is not None)]
    return changed


@contextmanager
def _lines(trace: Trace) -> Iterator[None]:
    """Record, for the side's own functions, calls and the lines that make arrays and floats."""
    before: dict[FrameType, tuple[int, dict[str, Value]]] = {}

    def finish(frame: FrameType, returned: Any = None) -> None:
        line, known = before[frame]
        now = _held(frame)
        here = location_at(frame.f_code.co_filename, line, frame.f_code.co_qualname)
        trace.lines[here] = None
        made = [value for name, value in now.items() if name not in known or known[name].digest != value.digest]
        made += _values([returned] if not isinstance(returned, Tensor) else [])
        if made:
            names = _reads(frame.f_code).get(line, ())
            read = [known[name] for name in names if name in known]
            read += _values([frame.f_locals[name] for name in names if isinstance(frame.f_locals.get(name), Tensor)])
            trace.add("line", read, made, [], (here, *call_chain(frame)[1:]))
        before[frame] = (frame.f_lineno, now)

    def local(frame: FrameType, event: str, argument: Any) -> Any:
        if event in ("line", "return"):
            finish(frame, argument if event == "return" else None)
        if event == "return":
            before.pop(frame, None)
            held = trace.kinds.setdefault((frame.f_code.co_filename, frame.f_code.co_qualname), {})
            held.update((name, _kind(thing)) for name, thing in frame.f_locals.items())
        return local

    def entered(frame: FrameType, event: str, argument: Any) -> Any:  # noqa: ARG001 - the protocol of sys.settrace
        if event != "call" or not is_own(frame.f_code):
            return None
        code = frame.f_code
        parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        arguments = {name: value_of(frame.f_locals[name]) for name in parameters if name in frame.f_locals}
        held = {name: value for name, value in arguments.items() if value is not None}
        caller = call_site(frame.f_back) if frame.f_back else None
        trace.calls.append(Call(code.co_qualname, held, caller, code.co_filename))
        before[frame] = (frame.f_lineno, _held(frame))
        return local

    previous = sys.gettrace()
    sys.settrace(entered)
    try:
        yield
    finally:
        sys.settrace(previous)


def _kind(thing: Any) -> str:
    """Return type and shape: names whose objects have the same could stand for one another."""
    return f"{type(thing).__name__}{tuple(thing.shape) if isinstance(thing, Tensor | np.ndarray) else ''}"


def _held(frame: FrameType) -> dict[str, Value]:
    """Return local variables that are arrays or floats. Tensors are seen at the dispatcher."""
    held = {}
    for name, thing in frame.f_locals.items():
        if isinstance(thing, float | np.ndarray | np.floating):
            value = value_of(thing)
            if value is not None:
                held[name] = value
    return held


@lru_cache(maxsize=4096)
def _reads(code: CodeType) -> dict[int, tuple[str, ...]]:
    """Return the local names that each line reads."""
    lines: dict[int, dict[str, None]] = defaultdict(dict)
    line = code.co_firstlineno
    for instruction in dis.get_instructions(code):
        line = instruction.positions.lineno if instruction.positions and instruction.positions.lineno else line
        if instruction.opname in ("LOAD_FAST", "LOAD_DEREF", "LOAD_CLOSURE"):
            lines[line][instruction.argval] = None
    return {number: tuple(names) for number, names in lines.items()}


def _values(things: list[Any]) -> list[Value]:
    found = [value_of(thing) for thing in things if isinstance(thing, Tensor | np.ndarray | np.floating | float)]
    return [value for value in found if value is not None and len(value.numbers)]


def _named(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, thing in tree.items():
        if isinstance(thing, Mapping):
            found |= _named(thing, f"{prefix}{name}/")
        elif isinstance(thing, list | tuple):
            found |= _named({str(k): item for k, item in enumerate(thing)}, f"{prefix}{name}/")
        elif (value := value_of(thing)) is not None:
            found[f"{prefix}{name}"] = value
    return found
