"""Random draws made comparable: equal at both precisions, recorded, and replayed.

Both sides draw with ordinary torch functions; nothing of theirs is changed. The modes below sit under them, at
PyTorch's dispatcher, where `torch.randn`, `tensor.normal_()`, a sampler's `randperm` and the rest all arrive.

Torch's generator gives other numbers for float64 than for float32 under the same seed. A float64 run is meant to be
the same computation with less rounding, so its floating draws are made in float32 and cast: same numbers, same
consumption of the generator.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from parity.policy import EPS32

__all__ = ["Draw", "DrawMode", "describe_draws", "handovers", "nudged"]

# Operation of the dispatcher -> the kind of draw it is. Kinds, not names, are what two implementations share:
# `torch.randn(n)` and `torch.empty(n).normal_()` draw the same thing.
_KINDS: dict[str, str] = {
    "randn": "normal",
    "randn_like": "normal",
    "normal_": "normal",
    "normal": "normal",
    "rand": "uniform",
    "rand_like": "uniform",
    "uniform_": "uniform",
    "randint": "integer",
    "randint_like": "integer",
    "random_": "integer",
    "random": "integer",
    "randperm": "permutation",
    "bernoulli": "bernoulli",
    "bernoulli_": "bernoulli",
    "multinomial": "multinomial",
}

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
    moved within one float32 unit in the last place. Rounding does not tell them apart, so what comes of it is the error
    that rounding makes (Monte Carlo arithmetic).
    """

    def __init__(
        self, *, single_precision: bool = False, replay: Iterable[Draw] = (), nudge: int | None = None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.draws: list[Draw] = []
        self._single_precision = single_precision
        self._nudge = None if nudge is None else torch.Generator().manual_seed(nudge)
        self._replay: dict[tuple[str, tuple[int, ...]], deque[Tensor]] = defaultdict(deque)
        for draw in replay:
            self._replay[draw.kind, draw.shape].append(draw.value)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        operation = func._schema.name.removeprefix("aten::")
        kind = _KINDS.get(operation)
        if kind is None:
            if self._nudge is not None and operation in _PRODUCTS:
                args = tuple(self._moved(a) if isinstance(a, Tensor) and a.is_floating_point() else a for a in args)
            result = func(*args, **kwargs)
            if self._nudge is not None and operation in _ROUNDED and result.is_floating_point():
                return self._moved(result)
            return result
        in_place = operation.endswith("_")
        value = self._draw(func, in_place, args, kwargs)
        queue = self._replay.get((kind, tuple(value.shape)))
        if queue:
            replayed = queue.popleft().to(device=value.device, dtype=value.dtype)
            value = value.copy_(replayed) if in_place else replayed
        if self._nudge is not None and value.is_floating_point():
            value = value.copy_(self._moved(value)) if in_place else self._moved(value)
        own = kwargs.get("generator") is not None
        self.draws.append(Draw(kind, operation, tuple(value.shape), value.dtype, value.detach().clone(), own))
        return value

    def _moved(self, value: Tensor) -> Tensor:
        assert self._nudge is not None
        return nudged(value, self._nudge)

    def _draw(self, func: Callable[..., Any], in_place: bool, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        if not self._single_precision:
            return torch.as_tensor(func(*args, **kwargs))
        if in_place and args[0].dtype == torch.float64:
            target: Tensor = args[0]
            single = torch.empty(target.shape, dtype=torch.float32, device=target.device)
            return target.copy_(func(single, *args[1:], **kwargs))
        if not in_place:
            like = args[0] if args and isinstance(args[0], Tensor) else None
            dtype = kwargs.get("dtype") or (like.dtype if like is not None else torch.get_default_dtype())
            if dtype == torch.float64 and "dtype" in {a.name for a in func._schema.arguments}:  # type: ignore[attr-defined]
                return torch.as_tensor(func(*args, **(kwargs | {"dtype": torch.float32}))).to(torch.float64)
        return torch.as_tensor(func(*args, **kwargs))


def nudged(value: Tensor, generator: torch.Generator) -> Tensor:
    """Floating values, each moved by up to one float32 unit in the last place."""
    move = torch.empty(value.shape, dtype=torch.float64).uniform_(-1, 1, generator=generator).to(value.device)
    return (value.double() * (1 + move * EPS32)).to(value.dtype)


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
