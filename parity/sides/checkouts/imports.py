"""What importing a published checkout needs and may not be installed, bridged in the host's process only."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

__all__ = ["BRIDGED", "StandIns", "bridge_plateau"]

BRIDGED = (
    "design_bench", "wandb", "einops", "omegaconf", "tqdm", "matplotlib", "pandas", "seaborn", "tensorboard",
)  # fmt: skip
"""Packages that published code imports and that no component needs."""


class StandIns(MetaPathFinder, Loader):
    """The last place where an import is looked for: a stand-in for one of `BRIDGED`, where code in `folder` asks.

    `used`: the packages that were asked for. What a library asks for by way of trial stays absent.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self.used: dict[str, None] = {}

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002
        """The stand-in's, or None where the import has to fail."""
        package = fullname.partition(".")[0]
        submodule_of_installed = package in sys.modules and not isinstance(sys.modules[package], _StandIn)
        if package not in BRIDGED or submodule_of_installed or not self._asked_from_folder():
            return None
        self.used[package] = None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """An empty one, whose names are made when they are asked for."""
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is to be run."""

    @property
    def notes(self) -> tuple[str, ...]:
        """A line on each package in use."""
        return tuple(
            "bridged: tqdm is not installed: its progress bars show nothing" if name == "tqdm" else
            f"bridged: {name} is not installed: a stand-in takes its place, which fails where it is called"
            for name in self.used
        )  # fmt: skip

    def _asked_from_folder(self) -> bool:
        frame = inspect.currentframe()
        while frame is not None and (frame.f_code.co_filename == __file__ or "importlib" in frame.f_code.co_filename):
            frame = frame.f_back
        return frame is not None and frame.f_code.co_filename.startswith(self._folder)


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


class _StandIn(ModuleType):
    """A module whose every name can be imported."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Progress if self.__name__.startswith("tqdm") else _absent(f"{self.__name__}.{name}")


class _Absent(type):
    """A class, so that it can stand in annotations and be inherited from; it cannot be called."""

    full: str

    def __call__(cls, *_: Any, **__: Any) -> Any:
        raise ModuleNotFoundError(f"{cls.full} was called, and {cls.full.partition('.')[0]} is not installed")

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _absent(f"{cls.full}.{name}")


def _absent(full: str) -> _Absent:
    return _Absent(full.rpartition(".")[2], (), {"full": full})


class _Progress:
    """The iterable of a progress bar, without the bar."""

    def __init__(self, iterable: Any = (), *_: Any, **__: Any) -> None:
        self._iterable = iterable

    def __iter__(self) -> Iterator[Any]:
        return iter(self._iterable)

    def __len__(self) -> int:
        return len(self._iterable)

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None
