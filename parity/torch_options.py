"""Precision and device by the names that options give them."""

from __future__ import annotations

import torch

__all__ = ["DTYPES", "usable_device"]

DTYPES = {"float32": torch.float32, "float64": torch.float64}
"""Precisions that can be asked for."""


def usable_device(name: str, option: str = "device") -> torch.device:
    """The device `name`, if something can be computed on it here. Raises ValueError naming the option."""
    try:
        device = torch.device(name)
        torch.ones(1, device=device).sum().item()
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"{option} {name!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return device
