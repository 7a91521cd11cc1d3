"""What importing a published checkout needs and may not be installed, bridged in the host's process only."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from types import ModuleType
from typing import Any

import torch

__all__ = ["bridge_imports"]

_STAND_INS = ("design_bench", "wandb", "einops", "omegaconf", "tqdm", "matplotlib", "pandas")


def bridge_imports() -> tuple[str, ...]:
    """Puts a stand-in where an import is missing, and lets ReduceLROnPlateau take `verbose`; a line on each."""
    notes = []
    for name in _STAND_INS:
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            sys.modules[name] = _StandIn(name)
            notes.append(f"{name} is not installed: a stand-in takes its place, which fails where it is called")
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau
    if "verbose" not in inspect.signature(plateau).parameters:
        torch.optim.lr_scheduler.ReduceLROnPlateau = _without_verbose(plateau)  # type: ignore[misc, assignment]
        notes.append("ReduceLROnPlateau no longer takes verbose: the argument is dropped")
    return tuple(notes)


class _StandIn(ModuleType):
    """A module whose every name can be imported, and none used."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []
        self.__spec__ = importlib.util.spec_from_loader(name, None)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        full = f"{self.__name__}.{name}"

        def absent(*_: Any, **__: Any) -> Any:
            raise ModuleNotFoundError(f"{full} was called, and {full.split('.')[0]} is not installed")

        return absent


def _without_verbose(plateau: type) -> type:
    class ReduceLROnPlateau(plateau):  # type: ignore[misc]
        def __init__(self, *args: Any, verbose: Any = None, **kwargs: Any) -> None:  # noqa: ARG002
            super().__init__(*args, **kwargs)

    return ReduceLROnPlateau
