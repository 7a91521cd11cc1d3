"""What is refused at the package's boundaries: each check names the parameter, what it got and what is allowed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "as_column",
    "require_choice",
    "require_device",
    "require_finite",
    "require_positive",
    "require_shape",
    "require_timesteps",
]


def require_choice(parameter: str, value: object, allowed: Sequence[str]) -> None:
    """ValueError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise ValueError(f"{parameter}: got {value!r}, allowed are {', '.join(map(repr, allowed))}")


def require_device(parameter: str, value: torch.device | str) -> torch.device:
    """The device; ValueError unless it is the CPU or a CUDA device that torch sees."""
    try:
        device = torch.device(value)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"{parameter}: got {value!r}, allowed are 'cpu', 'cuda', 'cuda:0', ...") from error
    if device.type == "cpu":
        return device
    count = torch.cuda.device_count()
    if device.type != "cuda" or (device.index or 0) >= count:
        raise ValueError(f"{parameter}: got {str(value)!r}, allowed are 'cpu' and the {count} CUDA devices seen here")
    return device


def require_positive(parameter: str, value: int) -> None:
    """ValueError unless the count `value` is at least 1."""
    if value < 1:
        raise ValueError(f"{parameter}: got {value}, expected at least 1")


def require_shape(parameter: str, value: Tensor, shape: Sequence[int | str]) -> None:
    """ValueError unless `value` has the given shape; a string stands for a size that is free."""
    fits = value.dim() == len(shape) and all(
        isinstance(wanted, str) or size == wanted for size, wanted in zip(value.shape, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        raise ValueError(f"{parameter}: expected shape ({wanted}), got {tuple(value.shape)}")


def require_finite(parameter: str, value: Tensor | NDArray[np.generic]) -> None:
    """ValueError if `value` holds NaN or infinity."""
    tensor = torch.as_tensor(value)
    bad = int((~torch.isfinite(tensor)).sum())
    if bad:
        raise ValueError(f"{parameter}: {bad} of {tensor.numel()} values are NaN or infinite, expected finite ones")


def require_timesteps(t: Tensor, batch: int, num_timesteps: int) -> None:
    """ValueError unless `t` is (batch,) integers from 0 to num_timesteps - 1."""
    require_shape("t", t, (batch,))
    if t.is_floating_point() or t.dtype == torch.bool:
        raise ValueError(f"t: expected integers, got {t.dtype}")
    if batch and (int(t.min()) < 0 or int(t.max()) >= num_timesteps):
        raise ValueError(f"t: expected 0 to {num_timesteps - 1}, got {int(t.min())} to {int(t.max())}")


def as_column(parameter: str, value: Tensor, batch: int) -> Tensor:
    """One condition per row as (batch, 1), from (batch,) or (batch, 1). Raises ValueError for other shapes."""
    if value.shape not in ((batch,), (batch, 1)):
        raise ValueError(f"{parameter}: expected shape ({batch},) or ({batch}, 1), got {tuple(value.shape)}")
    return value.reshape(batch, 1)
