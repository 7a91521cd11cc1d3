"""Every draw and every reseeding of a side's call, in order, each with its source line; the side's code is not touched.

Torch's draws arrive at the dispatcher; what seeds a generator, and what NumPy and Python's `random` draw, is caught by
`parity.diagnosis.draw_catching` while it runs. Values and consumption stay what they were. What gets past that (a name
imported before, a generator made before) leaves a generator in another state than it was last seen in: that is
recorded as well, at the next line that draws.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from parity.diagnosis.draw_catching import catching
from parity.diagnosis.generators import GLOBALS, Stream, existing, torch_stream
from parity.diagnosis.site import Site, call_site
from parity.draws import draw_kind

__all__ = ["DrawEvent", "DrawLog", "recorded"]


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
    site: Site | None

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        plain = asdict(self) | {"shape": list(self.shape)}
        if plain["site"] is not None:
            del plain["site"]["path"]
        return plain

    def __str__(self) -> str:
        if self.what == "draw":
            return f"{self.kind}{list(self.shape)} from {self.generator}"
        return f"{self.operation} of {self.generator}" + (f" (seed {self.seed})" if self.seed is not None else "")


@dataclass(eq=False)
class DrawLog:
    """What one call did with random generators."""

    events: list[DrawEvent] = field(default_factory=list)
    _watched: dict[Stream, bytes] = field(default_factory=dict)
    _seen: dict[Stream, bytes] = field(default_factory=dict)
    _seeds: dict[Stream, int] = field(default_factory=dict)

    def start(self) -> None:
        """Look at the generators that are there."""
        self._watched = {stream: stream.state() for stream in [*GLOBALS, *existing()]}

    def look(self, stream: Stream | None = None) -> None:
        """Record what moved since it was last seen. `stream` is about to be used; without one, look at all."""
        own = self._seen if stream is None else {stream} & self._seen.keys()
        for known in [*self._watched, *own]:
            state = known.state()
            if state != self._last(known)[known]:
                self._last(known)[known] = state
                self._add("reseed", "state changed before this line", known, state)
        if stream is not None and stream not in self._watched:
            self._seen.setdefault(stream, stream.state())

    def drawn(self, operation: str, kind: str, value: Any, stream: Stream) -> None:
        """Record a draw that was just made."""
        self._last(stream)[stream] = stream.state()
        shape, dtype, content = _content(value)
        self._add("draw", operation, stream, content, kind, shape, dtype)

    def reseeded(self, operation: str, stream: Stream, seed: int | None) -> None:
        """Record what was just done to a generator."""
        state = self._last(stream)[stream] = stream.state()
        if seed is not None:
            self._seeds[stream] = seed
        self._add("reseed", operation, stream, state)

    def left(self) -> dict[str, bytes]:
        """The states in which the process's own generators were last seen, by name."""
        return {stream.name: state for stream, state in self._watched.items() if not stream.own}

    def _last(self, stream: Stream) -> dict[Stream, bytes]:
        return self._watched if stream in self._watched else self._seen

    def _add(
        self, what: str, operation: str, stream: Stream, content: bytes,
        kind: str = "reseed", shape: tuple[int, ...] = (), dtype: str = "",
    ) -> None:  # fmt: skip
        digest = hashlib.blake2b(content, digest_size=8).hexdigest()
        seed = stream.seed() if stream.seed() is not None else self._seeds.get(stream)
        seed = seed if what == "reseed" or stream.own else None
        index = len(self.events)
        self.events.append(
            DrawEvent(index, what, operation, kind, shape, dtype, stream.name, digest, seed, call_site())
        )


def recorded(call: Callable[..., dict[str, Any]], log: DrawLog) -> Callable[..., dict[str, Any]]:
    """`call`, writing what it draws into `log`. In other threads nothing is recorded, and nothing changes."""

    def run(**given: Any) -> dict[str, Any]:
        with catching(log), _Draws(log):
            log.start()
            try:
                return call(**given)
            finally:
                log.look()

    return run


class _Draws(TorchDispatchMode):
    """Writes down every draw that reaches PyTorch's dispatcher."""

    def __init__(self, log: DrawLog) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._log = log

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        stream = torch_stream([*args, *kwargs.values()])
        self._log.look(stream)
        before = stream.state()
        result = func(*args, **kwargs)
        name, kind = func._schema.name.removeprefix("aten::"), draw_kind(func, args, kwargs)
        if kind is not None or stream.state() != before:  # a fused kernel may draw, and mostly does not
            value = result[0] if isinstance(result, tuple) else result
            self._log.drawn(f"torch {name}", kind or name, value, stream)
        return result


def _content(value: Any) -> tuple[tuple[int, ...], str, bytes]:
    """Shape, dtype and bytes of what was drawn."""
    if isinstance(value, Tensor):
        return tuple(value.shape), str(value.dtype).removeprefix("torch."), _bytes(value)
    if isinstance(value, np.ndarray | np.generic) and value.dtype != object:
        return tuple(value.shape), str(value.dtype), value.tobytes()
    shape = (len(value),) if isinstance(value, list | tuple) else ()
    return shape, type(value).__name__, repr(value).encode()


def _bytes(value: Tensor) -> bytes:
    content: bytes = value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
    return content
