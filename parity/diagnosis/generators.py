"""Random generators, whoever made them: their names, their states, and where they were seeded."""

from __future__ import annotations

import gc
import marshal
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["GLOBALS", "NUMPY_GLOBAL", "PYTHON_GLOBAL", "Stream", "existing", "stream_of", "torch_stream"]

NUMPY_GLOBAL: Any = np.random.mtrand._rand
PYTHON_GLOBAL: random.Random = random._inst

_NUMPY = (np.random.Generator, np.random.RandomState)
_TORCH = torch.Generator  # the real ones: both names are others while draws are recorded


def _identity(thing: Any) -> int:
    # PyTorch's dispatcher hands over another Python object for the same generator each time.
    return int(getattr(thing, "_cdata", id(thing)))


@dataclass(frozen=True, eq=False)
class Stream:
    """A generator: `name` for reading, `own` if the code made it for itself, `thing` the object."""

    name: str
    own: bool
    thing: Any

    def __hash__(self) -> int:
        return _identity(self.thing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and _identity(other.thing) == _identity(self.thing)

    def state(self) -> bytes:
        """Its state; equal states draw equal values."""
        if isinstance(self.thing, _TORCH):
            torch_state: bytes = self.thing.get_state().numpy().tobytes()
            return torch_state
        if isinstance(self.thing, random.Random):
            return b"" if isinstance(self.thing, random.SystemRandom) else marshal.dumps(self.thing.getstate())
        if isinstance(self.thing, np.random.RandomState):
            return _flat(self.thing.get_state(legacy=False))
        return _flat(self.thing.bit_generator.state)

    def seed(self) -> int | None:
        """What it was seeded with, as far as the generator itself knows."""
        return self.thing.initial_seed() if isinstance(self.thing, _TORCH) else None


def stream_of(thing: Any) -> Stream:
    """The stream of a torch, NumPy or Python generator."""
    if isinstance(thing, _TORCH):
        own = _identity(thing) not in map(_identity, (torch.default_generator, *torch.cuda.default_generators))
        where = "" if thing.device.type == "cpu" else f" of {thing.device}"
        return Stream(f"an own torch.Generator{where}" if own else f"torch's global generator{where}", own, thing)
    if thing is NUMPY_GLOBAL:
        return Stream("NumPy's global generator", False, thing)
    if thing is PYTHON_GLOBAL:
        return Stream("Python's global generator", False, thing)
    kind = "random.Random" if isinstance(thing, random.Random) else f"numpy.random.{type(thing).__name__}"
    return Stream(f"an own {kind}", True, thing)


GLOBALS = tuple(map(stream_of, (torch.default_generator, NUMPY_GLOBAL, PYTHON_GLOBAL)))
"""What every process has; CUDA's are known from their first draw on."""


def torch_stream(arguments: Iterable[Any]) -> Stream:
    """Where an operation with these arguments draws from: the generator among them, or the global one of the device."""
    device = torch.device("cpu")
    for argument in arguments:
        if isinstance(argument, _TORCH):
            return stream_of(argument)
        if isinstance(argument, Tensor):
            device = argument.device
        elif isinstance(argument, torch.device):
            device = argument
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        return stream_of(torch.cuda.default_generators[index])
    return GLOBALS[0]


def existing() -> list[Stream]:
    """NumPy's generators that were made before: nothing can be put in their place, so that their state is watched."""
    found = [thing for thing in gc.get_objects() if type(thing) in _NUMPY and thing is not NUMPY_GLOBAL]
    return list(map(stream_of, found))


def _flat(state: Any) -> bytes:
    if isinstance(state, dict):
        return b"".join(_flat(value) for value in state.values())
    return state.tobytes() if isinstance(state, np.ndarray) else repr(state).encode()
