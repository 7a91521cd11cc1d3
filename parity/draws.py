"""Random draws made comparable: equal at both precisions, recorded, and replayed.

Both sides draw with ordinary torch functions; nothing of theirs is changed. The modes below sit under them, at
PyTorch's dispatcher, where `torch.randn`, `tensor.normal_()`, a sampler's `randperm` and the rest all arrive.

Torch's generator gives other numbers for float64 than for float32 under the same seed. A float64 run is meant to be
the same computation with less rounding, so its floating draws are made in float32 and cast: same numbers, same
consumption of the generator.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from parity.policy import EPS32

__all__ = ["Draw", "DrawMode", "describe_draws", "draw_kind", "handovers", "nudged", "written_by"]

# Operation of the dispatcher -> the kind of draw it is, where the name does not say it. Kinds, not names, are what two
# implementations share: `torch.randn(n)` and `torch.empty(n).normal_()` draw the same thing.
_KINDS: dict[str, str] = {
    "randn": "normal",
    "randn_like": "normal",
    "rand": "uniform",
    "rand_like": "uniform",
    "randint": "integer",
    "randint_like": "integer",
    "random": "integer",
    "randperm": "permutation",
}

_PARAMETERS: dict[str, dict[str, float]] = {
    "normal": {"mean": 0.0, "std": 1.0},
    "uniform": {"from": 0.0, "to": 1.0},
    "integer": {"from": 0, "to": 0},
    "bernoulli": {"p": 0.5},
    "exponential": {"lambd": 1.0},
    "geometric": {"p": 0.5},
    "cauchy": {"median": 0.0, "sigma": 1.0},
    "log_normal": {"mean": 1.0, "std": 2.0},
}
"""Of each kind the parameters that say which law is drawn from, with what they are by default."""

_SPELLINGS = {"low": "from", "high": "to"}

_PLAIN = {"normal": (0.0, 1.0), "uniform": (0.0, 1.0), "integer": (0, 0)}
"""Laws that a kind's name stands for by itself."""

_PRODUCTS = {"mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot", "cholesky_solve", "linalg_cholesky_ex"}
"""Where rounding errors grow: sums of many products that may cancel."""

_ROUNDED = {"add", "sub", "rsub", "mul", "div", "addcmul", "addcdiv", "exp", "sqrt", "sigmoid", "sum", "mean"}
"""Operations whose result is rounded once, and may cancel later."""


@dataclass(frozen=True)
class Draw:
    """One random draw: its kind, the dispatcher's operation, its shape and dtype, what came out, and whether it came
    from a generator of the code's own instead of torch's global one."""

    kind: str
    operation: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    value: Tensor
    own_generator: bool = False

    def __str__(self) -> str:
        return f"{self.kind}{list(self.shape)}"


class DrawMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records every draw made under it; optionally draws float64 in float32; optionally replays given draws.

    `replay`: draws of another run. A draw of the same kind and shape takes the next recorded value instead of its
    own (its own is still made, so the generator moves as it would); where none is left it stays as drawn.
    `nudge`: a seed; floating draws, what goes into matrix products and what comes out of elementwise arithmetic are
    moved within one unit in the last place, float32's unless `unit` is another one. Rounding does not tell them apart,
    so what comes of it is the error that rounding makes (Monte Carlo arithmetic).
    """

    def __init__(
        self,
        *,
        single_precision: bool = False,
        replay: Iterable[Draw] = (),
        nudge: int | None = None,
        unit: float = EPS32,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.draws: list[Draw] = []
        self._single_precision = single_precision
        self._unit = unit
        self._nudge = None if nudge is None else torch.Generator().manual_seed(nudge)
        self._replay: dict[tuple[str, tuple[int, ...]], deque[Tensor]] = defaultdict(deque)
        for draw in replay:
            self._replay[draw.kind, draw.shape].append(draw.value)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        kind = draw_kind(func, args, kwargs)
        if kind is None:
            operation = func._schema.name.removeprefix("aten::")
            if self._nudge is not None and operation in _PRODUCTS:
                args = tuple(self._moved(a) if isinstance(a, Tensor) and a.is_floating_point() else a for a in args)
            result = func(*args, **kwargs)
            if self._nudge is not None and operation in _ROUNDED and result.is_floating_point():
                return self._moved(result)
            return result
        value = self._draw(func, args, kwargs)
        written = written_by(func, args, kwargs) is not None
        queue = self._replay.get((kind, tuple(value.shape)))
        if queue:
            replayed = queue.popleft().to(device=value.device, dtype=value.dtype)
            value = value.copy_(replayed) if written else replayed
        if self._nudge is not None and value.is_floating_point():
            value = value.copy_(self._moved(value)) if written else self._moved(value)
        own = kwargs.get("generator") is not None
        name = func._schema.name.removeprefix("aten::")
        self.draws.append(Draw(kind, name, tuple(value.shape), value.dtype, value.detach().clone(), own))
        return value

    def _moved(self, value: Tensor) -> Tensor:
        assert self._nudge is not None
        return nudged(value, self._nudge, self._unit)

    def _draw(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        """The draw as the code asks for it; or made in float32, and cast to what it asks for."""
        target = written_by(func, args, kwargs)
        wanted = _dtype_of_result(func, target, args, kwargs) if self._single_precision else None
        if wanted != torch.float64:
            return torch.as_tensor(func(*args, **kwargs))
        args, kwargs = tuple(map(_in_single, args)), {name: _in_single(value) for name, value in kwargs.items()}
        if target is None:
            if _has_dtype(func):
                kwargs["dtype"] = torch.float32
            drawn = torch.as_tensor(func(*args, **kwargs))
            return drawn.double() if drawn.is_floating_point() else drawn
        # Strides too: PyTorch draws other numbers into memory that is not contiguous.
        single = torch.empty_strided(target.shape, target.stride(), dtype=torch.float32, device=target.device)
        if "out" in kwargs:
            func(*args, **kwargs | {"out": single})
            return target.resize_(single.shape).copy_(single)
        kind = _kind(func)
        if kind in ("normal", "uniform"):
            first, second = _law(func, args, kwargs)
            plain = func(single, *_PLAIN[kind], generator=kwargs.get("generator"))
            scale = second if kind == "normal" else second - first
            return target.copy_(plain.double() * scale + first)  # what is drawn is float32, not what is made of it
        return target.copy_(func(single, *args[1:], **kwargs))


def draw_kind(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    """The kind of draw that a call of the dispatcher makes, with the law's parameters: `normal`, `normal(0, 0.02)`,
    `integer(0, 1000)`. None if it draws nothing, or not one tensor.

    The parameters belong to the kind: values drawn from one law must not stand for those of another.
    """
    kind = _kind(func)
    if kind not in _PARAMETERS:
        return kind
    law = _law(func, args, kwargs)
    plain = law == _PLAIN.get(kind) or any(isinstance(argument, Tensor) for argument in args[1:])
    return kind if plain else f"{kind}({', '.join(f'{value:.10g}' for value in law)})"


def _law(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[float, ...]:
    """The parameters of the law that a call draws from, in the order of `_PARAMETERS`."""
    found = dict(_PARAMETERS[str(_kind(func))])
    for k, argument in enumerate(func._schema.arguments):
        name = _SPELLINGS.get(argument.name, argument.name)
        value = args[k] if k < len(args) else kwargs.get(argument.name)
        if name in found and isinstance(value, int | float):
            found[name] = value
    return tuple(found.values())


@cache
def _kind(func: Any) -> str | None:
    if torch.Tag.nondeterministic_seeded not in func.tags:
        return None
    if [str(result.type) for result in func._schema.returns] != ["Tensor"]:
        return None  # fused kernels: most draw nothing, and no tensor that they return is the draw
    name = str(func._schema.name).split("::")[1].removesuffix("_").removeprefix("_")
    if name == "rrelu_with_noise":
        return None  # what it returns is made of its input, which would be replayed with it
    return _KINDS.get(name, name)


def written_by(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor | None:
    """The tensor that a draw is written into: that of an operation in place, or `out`; None for a new tensor."""
    if func._schema.name.endswith("_"):
        target: Tensor = args[0]
        return target
    return kwargs.get("out")


def _has_dtype(func: Any) -> bool:
    """Return True for a draw whose dtype the code may name, and which gives floating numbers by default."""
    return any(a.name == "dtype" and a.default_value is None for a in func._schema.arguments)


def _dtype_of_result(
    func: Any, target: Tensor | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> torch.dtype | None:
    if target is not None:
        return target.dtype
    given = next((a for a in args if isinstance(a, Tensor)), None)
    default = torch.get_default_dtype() if _has_dtype(func) else None
    dtype: torch.dtype | None = kwargs.get("dtype") or (given.dtype if given is not None else default)
    return dtype


def _in_single(given: Any) -> Any:
    """An argument of a draw, such as the probabilities of `multinomial` or a dtype, in float32 in place of float64."""
    if isinstance(given, Tensor):
        return given.float() if given.dtype == torch.float64 else given
    return torch.float32 if given is torch.float64 else given


def nudged(value: Tensor, generator: torch.Generator, unit: float = EPS32) -> Tensor:
    """Floating values, each moved by up to one unit in the last place: float32's, unless `unit` is another one."""
    move = torch.empty(value.shape, dtype=torch.float64).uniform_(-1, 1, generator=generator).to(value.device)
    return (value.double() * (1 + move * unit)).to(value.dtype)


def handovers(given: Sequence[Draw], taker: Sequence[Draw]) -> list[list[Draw]]:
    """Ways to hand the draws `given` to a side that by itself draws like `taker`.

    In order; and where `given` has k draws of a kind and shape for each one of the taker (a sampler that draws more
    than it uses), every k-th of them, for each start.
    """
    wanted = Counter((draw.kind, draw.shape) for draw in taker)
    there = Counter((draw.kind, draw.shape) for draw in given)
    ratios = {key: n // wanted[key] if wanted[key] and n % wanted[key] == 0 else 1 for key, n in there.items()}

    def every_kth(start: int) -> list[Draw]:
        seen: Counter[tuple[str, tuple[int, ...]]] = Counter()
        chosen = []
        for draw in given:
            key = draw.kind, draw.shape
            if seen[key] % ratios[key] == min(start, ratios[key] - 1):
                chosen.append(draw)
            seen[key] += 1
        return chosen

    return [list(given), *(every_kth(start) for start in range(max(ratios.values(), default=1)))]


def describe_draws(draws: Iterable[Draw], limit: int = 12) -> str:
    """The sequence of draws in one line: `normal[4, 3], integer[4], ...`."""
    names = [str(draw) for draw in draws]
    shown = ", ".join(names[:limit]) or "none"
    return shown + (f", ... ({len(names)} in all)" if len(names) > limit else "")
