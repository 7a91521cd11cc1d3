"""Run one side once, isolated, and keep all that is compared: values, errors, randomness, side effects."""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from parity.component import Component
from parity.draws import Draw, DrawMode, nudged
from parity.policy import EPS32
from parity.side import Side, Tree, capabilities

__all__ = [
    "GeneratorState", "Outcome", "cast", "execute", "generators_kept", "run", "seed_generators", "settings_kept",
    "text_of",
]  # fmt: skip

_LARGEST = 16 << 30
"""Bytes of one output: a comparison holds four runs of it, and more than this is a mistake, as an expanded tensor."""

_PLAIN = (int, float, str, bytes, type(None))
"""Values that are copied as they are and hold no arrays."""


@dataclass(frozen=True)
class Outcome:
    """Hold everything that one call did.

    `tree`: detached copies of the outputs (empty if it raised). `undetached`: outputs that still carried a graph.
    `aliases`: outputs that share memory with an input. `mutated`: inputs whose values changed, tasks included.
    `generators`: digest of torch's, NumPy's and Python's global generators afterwards. `globals`: process-wide settings
    it changed.
    """

    tree: Tree
    error: Exception | None = None
    draws: tuple[Draw, ...] = ()
    generators: str = ""
    mutated: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    undetached: tuple[str, ...] = ()
    globals: tuple[str, ...] = field(default=())


def cast(value: Any, *, dtype: torch.dtype | None = None, device: torch.device | None = None) -> Any:
    """Return a deep copy of nested inputs with every floating tensor in `dtype` (None: unchanged).

    An object with a method `astype(name)`, such as a task or a configuration that names a precision, gives its copy by
    that method; one without is compared in the one precision that it has.
    """
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Tensor):
        target = dtype if value.is_floating_point() else None
        return value.detach().to(device=device or value.device, dtype=target or value.dtype, copy=True)
    if isinstance(value, torch.dtype):
        return dtype or value
    if isinstance(value, Mapping):
        return {name: cast(item, dtype=dtype, device=device) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [cast(item, dtype=dtype, device=device) for item in value]
    astype = getattr(value, "astype", None)
    return copy.deepcopy(value) if dtype is None or astype is None else astype(str(dtype).removeprefix("torch."))


def execute(component: Component, side: Side, inputs: Mapping[str, Any], **settings: Any) -> Outcome:
    """One run of a side, with the settings of `run`: here, or where a side with an `execute` of its own has it made
    (another process, a recording)."""
    if capabilities(side).code != "here":
        outcome: Outcome = side.execute(component.name, inputs, **settings)  # type: ignore[assignment]
        return outcome
    return run(component.bind(side), inputs, **settings)


def run(
    call: Callable[..., Tree],
    inputs: Mapping[str, Any],
    *,
    seed: int,
    dtype: torch.dtype = torch.float32,
    device: torch.device | None = None,
    record: bool = False,
    replay: Sequence[Draw] = (),
    nudge: int | None = None,
    unit: float = EPS32,
) -> Outcome:
    """Call with copies of `inputs` from freshly seeded generators; the caller's generators are left as they were.

    With `dtype` float64 the floating draws are those of float32, cast. `record`, `replay`, `nudge` and `unit` are
    explained in `parity.draws`; `nudge` moves the inputs as well.
    Only `Exception` is kept as an outcome; an interrupt or an exit passes through.
    """
    given = cast(inputs if nudge is None else _nudged(inputs, nudge, unit), dtype=dtype, device=device)
    kept, held = _tensors(cast(given)), _held(given)
    single = dtype == torch.float64
    watched = record or replay or single or nudge is not None
    mode = DrawMode(single_precision=single, replay=replay, nudge=nudge, unit=unit) if watched else None
    with generators_kept(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seed_generators(seed)
        before = _globals()
        try:
            with mode or contextlib.nullcontext():
                returned = call(**given)
            tree, error = {name: _copied(name, leaf) for name, leaf in returned.items()}, None
        except Exception as raised:  # noqa: BLE001 - whatever a side raises is an outcome to compare, not a failure
            returned, tree, error = {}, {}, _readable(raised)
        generators = GeneratorState.now().digest
        changed = tuple(f"{name}: {before[name]} -> {now}" for name, now in _globals().items() if now != before[name])
        _restore_globals(before)
    given_tensors = _tensors(given)
    storages = {t.untyped_storage().data_ptr() for t in given_tensors.values() if t.numel()}
    leaves = {name: leaf for name, leaf in returned.items() if isinstance(leaf, Tensor)}
    return Outcome(
        tree=tree,
        error=error,
        draws=tuple(mode.draws) if mode else (),
        generators=generators,
        mutated=(
            *(name for name, tensor in given_tensors.items() if not _same_bits(tensor, kept[name])),
            *(name for name, digest in _held(given).items() if digest != held[name]),
        ),
        aliases=tuple(n for n, t in leaves.items() if t.numel() and t.untyped_storage().data_ptr() in storages),
        undetached=tuple(name for name, tensor in leaves.items() if tensor.requires_grad),
        globals=changed,
    )


def _nudged(value: Any, seed: int, unit: float) -> Any:
    """Floating input tensors moved within one unit in the last place: the same input, as far as rounding knows."""
    if isinstance(value, Tensor) and value.is_floating_point():
        value = value.double() if unit < EPS32 else value  # a smaller move than its own precision has would be lost
        return nudged(value, torch.Generator().manual_seed(7919 * (seed + 1) + value.numel()), unit)
    if isinstance(value, Mapping):
        return {name: _nudged(item, seed, unit) for name, item in value.items()}
    return [_nudged(item, seed, unit) for item in value] if isinstance(value, list) else value


def _copied(name: str, leaf: Any) -> Any:
    """Return a detached copy of an output. Raises TypeError for a tensor that cannot be compared."""
    if not isinstance(leaf, Tensor):
        return copy.deepcopy(leaf)
    if leaf.layout is not torch.strided or leaf.is_quantized or leaf.is_nested or leaf.device.type == "meta":
        raise TypeError(f"output {name!r} is not a dense tensor of numbers: {leaf.layout}, {leaf.dtype}, {leaf.device}")
    if leaf.numel() * leaf.element_size() > _LARGEST:
        raise TypeError(f"output {name!r} of shape {tuple(leaf.shape)} is larger than {_LARGEST >> 30} GiB")
    return leaf.detach().clone()


def text_of(error: BaseException) -> str:
    """Return the error's text, also of one that has none to give."""
    try:
        return str(error)
    except Exception as second:  # noqa: BLE001 - the text is made by code of the error's own
        return f"its text cannot be made: {type(second).__name__}"


def _readable(error: Exception) -> Exception:
    """Return the error, or one in its place whose text can be made."""
    try:
        str(error)
    except Exception:  # noqa: BLE001 - the text is made by code of the error's own
        return Exception(f"{type(error).__name__}: {text_of(error)}")
    return error


def _tensors(value: Any, name: str = "") -> dict[str, Tensor]:
    if isinstance(value, Tensor):
        return {name: value}
    items: Any = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    found: dict[str, Tensor] = {}
    for key, item in items:
        found |= _tensors(item, f"{name}/{key}" if name else str(key))
    return found


def _held(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Return a digest of the data that each object among the inputs holds at present: its arrays `x` and `y`."""
    digests = {}
    for name, value in inputs.items():
        if isinstance(value, (*_PLAIN, Tensor)):
            continue
        arrays = [array for key in ("x", "y") if isinstance(array := getattr(value, key, None), np.ndarray)]
        shown = [f"{array.shape} {array.dtype} ".encode() + np.ascontiguousarray(array).tobytes() for array in arrays]
        digests[name] = hashlib.blake2b(b"".join(shown), digest_size=16).hexdigest()
    return digests


def _same_bits(left: Tensor, right: Tensor) -> bool:
    return torch.equal(left, right) or bool(((left == right) | ((left != left) & (right != right))).all())


@dataclass(frozen=True)
class GeneratorState:
    """State of torch's (on the CPU and on every GPU in use), NumPy's and Python's global generators."""

    torch_cpu: Tensor
    torch_cuda: tuple[Tensor, ...]
    numpy: tuple[Any, ...]
    python: tuple[Any, ...]

    @classmethod
    def now(cls) -> GeneratorState:
        """Return the present state."""
        # Asking an uninitialised CUDA for its state would initialise it.
        in_use = torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        cuda = tuple(torch.cuda.get_rng_state_all()) if in_use else ()
        return cls(torch.get_rng_state(), cuda, tuple(np.random.get_state(legacy=True)), random.getstate())

    def restore(self) -> None:
        """Put the global generators into this state."""
        torch.set_rng_state(self.torch_cpu)
        if self.torch_cuda:
            torch.cuda.set_rng_state_all(list(self.torch_cuda))
        np.random.set_state(self.numpy)
        random.setstate(self.python)

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that identify the state."""
        found = hashlib.sha256()
        for state in (self.torch_cpu, *self.torch_cuda):
            found.update(state.numpy().tobytes())
        found.update(np.asarray(self.numpy[1]).tobytes() + repr(self.numpy[2:]).encode())
        found.update(repr(self.python).encode())
        return found.hexdigest()[:16]


@contextlib.contextmanager
def generators_kept() -> Iterator[None]:
    """Put the global generators back into their states afterwards."""
    before = GeneratorState.now()
    try:
        yield
    finally:
        before.restore()


def seed_generators(seed: int) -> None:
    """Seed torch's, NumPy's and Python's global generators."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    # Without an accelerator, leave out what `torch.manual_seed` does to remember seeds for one.
    if _has_accelerator():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


@functools.cache
def _has_accelerator() -> bool:
    return torch.accelerator.is_available()


def _globals() -> dict[str, Any]:
    return {
        "default dtype": torch.get_default_dtype(),
        "gradient mode": torch.is_grad_enabled(),
        "threads": torch.get_num_threads(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "NumPy error state": tuple(sorted(np.geterr().items())),
    }


@contextlib.contextmanager
def settings_kept() -> Iterator[None]:
    """Process-wide settings (default dtype, threads, NumPy's error state, ...) are afterwards what they were before."""
    before = _globals()
    try:
        yield
    finally:
        _restore_globals(before)


def _restore_globals(before: Mapping[str, Any]) -> None:
    if torch.get_default_dtype() != before["default dtype"]:
        torch.set_default_dtype(before["default dtype"])
    torch.set_grad_enabled(before["gradient mode"])
    if torch.get_num_threads() != before["threads"]:
        torch.set_num_threads(before["threads"])
    if torch.are_deterministic_algorithms_enabled() != before["deterministic algorithms"]:
        torch.use_deterministic_algorithms(before["deterministic algorithms"])
    np.seterr(**dict(before["NumPy error state"]))
