"""What published checkouts use and newer libraries no longer have, put back in the host's process only."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from parity.root_ggfm.checkouts.files import is_own

__all__ = ["bridge_numpy", "bridge_plateau"]

_NUMPY = {
    "NINF": -np.inf, "PINF": np.inf, "Inf": np.inf, "Infinity": np.inf, "infty": np.inf, "NaN": np.nan,
    "float": float, "int": int, "object": object, "complex": complex, "str": str, "float_": np.float64,
    "complex_": np.complex128, "bool8": np.bool_, "product": np.prod, "alltrue": np.all, "sometrue": np.any,
    "in1d": np.isin, "trapz": np.trapezoid,
}  # fmt: skip

_FILES = 500
"""Files of a checkout that are read for what they mention."""


def bridge_plateau() -> tuple[str, ...]:
    """Lets ReduceLROnPlateau take `verbose` where this torch no longer does; a line on it."""
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau
    if "verbose" in inspect.signature(plateau).parameters:
        return ()

    class ReduceLROnPlateau(plateau):  # type: ignore[misc, valid-type]
        def __init__(self, *args: Any, verbose: Any = None, **kwargs: Any) -> None:  # noqa: ARG002
            super().__init__(*args, **kwargs)

    torch.optim.lr_scheduler.ReduceLROnPlateau = ReduceLROnPlateau  # type: ignore[misc]
    return ("bridged: ReduceLROnPlateau no longer takes verbose: the argument is dropped",)


def bridge_numpy(folder: Path) -> tuple[str, ...]:
    """Gives NumPy back the names that it has lost and files of the checkout mention; a line on them."""
    files = sorted(file for file in folder.rglob("*.py") if is_own(str(file), folder))[:_FILES]
    text = "".join(file.read_text("utf-8", errors="replace") for file in files)
    mentioned = set(re.findall(r"\b(?:np|numpy)\.(\w+)", text))
    lost = [name for name in _NUMPY if name in mentioned and not hasattr(np, name)]
    for name in lost:
        setattr(np, name, _NUMPY[name])
    return (f"bridged: NumPy no longer has {', '.join(lost)}: put back",) if lost else ()
