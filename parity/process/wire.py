"""Encode a host's answers: named tensors and plain values, read back without executing anything."""

from __future__ import annotations

import builtins
import io
import struct
from typing import Any

import numpy as np
import torch

from parity.draws import Draw
from parity.execution import Outcome
from parity.side import MissingComponent

__all__ = ["SIZE", "decode", "encode", "from_plain", "to_plain"]

SIZE = struct.Struct("!Q")
"""Before each message: its length in bytes."""

_ALLOCATOR = "can't allocate memory"

_PLAIN = (int, float, bool, str, type(None))


def encode(reply: dict[str, Any]) -> bytes:
    """The bytes of a reply."""
    buffer = io.BytesIO()
    torch.save(reply, buffer)
    return buffer.getvalue()


def decode(content: bytes) -> dict[str, Any]:
    """The reply; only tensors and plain values are read."""
    reply: dict[str, Any] = torch.load(io.BytesIO(content), weights_only=True)
    return reply


def to_plain(outcome: Outcome) -> dict[str, Any]:
    """An outcome as tensors and plain values. Raises TypeError for an output that is neither."""
    error = outcome.error
    plain: dict[str, Any] = {
        n: getattr(outcome, n) for n in ("generators", "mutated", "aliases", "undetached", "globals")
    }
    plain["tree"] = {name: _leaf(name, leaf) for name, leaf in outcome.tree.items()}
    plain["draws"] = [
        (d.kind, d.operation, tuple(d.shape), d.dtype, d.value.cpu(), d.own_generator) for d in outcome.draws
    ]
    kinds = [kind.__name__ for kind in type(error).__mro__]
    if _ALLOCATOR in str(error):  # torch raises a RuntimeError, which a refusal is, too
        kinds = ["MemoryError", "Exception"]
    plain["error"] = None if error is None else (kinds, str(error))
    return plain


def from_plain(plain: dict[str, Any]) -> Outcome:
    """The outcome again; an exception of a class that only the host has becomes its nearest built-in one, renamed."""
    tree = {name: leaf.numpy() if kind == "array" else leaf for name, (kind, leaf) in plain["tree"].items()}
    names = {n: plain[n] for n in ("generators", "mutated", "aliases", "undetached", "globals")}
    draws = tuple(Draw(*draw) for draw in plain["draws"])
    return Outcome(tree, _error(*plain["error"]) if plain["error"] else None, draws, **names)


def _leaf(name: str, leaf: Any) -> tuple[str, Any]:
    if isinstance(leaf, torch.Tensor):
        return "plain", leaf.detach().cpu().clone()
    if isinstance(leaf, np.ndarray):
        return "array", torch.from_numpy(np.array(leaf))
    if isinstance(leaf, np.generic):
        return "plain", leaf.item()
    if isinstance(leaf, _PLAIN) or (isinstance(leaf, list) and all(isinstance(item, _PLAIN) for item in leaf)):
        return "plain", leaf
    raise TypeError(f"output {name!r} is {type(leaf).__name__}; allowed are tensors, arrays, plain values and lists")


def _error(mro: list[str], text: str) -> Exception:
    if MissingComponent.__name__ in mro:
        return MissingComponent(text)
    for name in mro:
        kind = getattr(builtins, name, None)
        if isinstance(kind, type) and issubclass(kind, Exception) and name != "UnicodeDecodeError":
            try:
                return kind(text) if name == mro[0] else type(mro[0], (kind,), {})(text)
            except TypeError:  # a built-in that takes other arguments
                continue
    return RuntimeError(f"{mro[0]}: {text}")
