"""Input checks: a ValueError that names the parameter, what it got and what is allowed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["check_choice", "check_finite", "check_fraction", "check_int", "check_shape"]


def check_int(name: str, value: object, minimum: int) -> int:
    """`value` if it is an integer of at least `minimum`; ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ValueError(f"{name} must be an integer of at least {minimum}, got {value!r}")
    return value


def check_fraction(name: str, value: float) -> float:
    """`value` if it lies in [0, 1]; ValueError otherwise, NaN included."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {value!r}")
    return value


def check_choice(name: str, value: object, allowed: Sequence[str]) -> None:
    """ValueError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")


def check_shape(name: str, tensor: Tensor, shape: Sequence[int | None]) -> None:
    """ValueError unless `tensor` has `shape`; None stands for any size."""
    fits = tensor.ndim == len(shape) and all(
        want is None or want == got for want, got in zip(shape, tensor.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} must have shape ({wanted}), got {tuple(tensor.shape)}")


def check_finite(name: str, tensor: Tensor) -> None:
    """ValueError if `tensor` holds NaN or infinity, with the first row that does."""
    finite = torch.isfinite(tensor)
    if not bool(finite.all()):
        count, row = int((~finite).sum()), int((~finite).nonzero()[0, 0])
        raise ValueError(f"{name} must be finite, got {count} NaN or infinite values, the first in row {row}")
