"""What importing a published checkout needs and may not be there or not work, bridged in the host's process only."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Iterator
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from parity.root_ggfm.checkouts.files import is_own

__all__ = ["BRIDGED", "StandIns"]

BRIDGED = (
    "design_bench", "wandb", "einops", "omegaconf", "tqdm", "matplotlib", "pandas", "seaborn", "tensorboard",
)  # fmt: skip
"""Packages that published code imports and that no component needs."""

ASIDE = {
    "design_bench": "is not imported: doing so loads simulators and asks a server, and tasks are given",
    "wandb": "is not imported: it sends what it is given to a server",
}
"""Those of them that are not imported where they are installed, either, with the reason."""

LOGS = ("wandb", "tensorboard")
"""Those of them that published code only writes to: their stand-ins take any call."""

_WITHIN = {"torch.utils.tensorboard": "tensorboard"}
"""Modules of installed packages that are of no use without one of `BRIDGED`."""


class StandIns(MetaPathFinder, Loader):
    """The first place where an import is looked for: a stand-in for one of `BRIDGED`, where code in `folder` asks.

    It stands in for what is not installed, for what is in `ASIDE`, and for what `failed` has found to fail. What a
    library asks for by way of trial stays absent.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._instead = {package: why for package, why in ASIDE.items() if not (folder / package).exists()}
        self._used: dict[str, str] = {}

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """The stand-in's, or None where the import takes its course."""
        package = _package(fullname)
        submodule_of_another = package in sys.modules and not isinstance(sys.modules[package], _StandIn)
        if package not in BRIDGED or submodule_of_another or not self._asked_from_folder():
            return None
        of_another = fullname.partition(".")[0] != package
        if package not in self._instead and self._is_there(*((package,) if of_another else (fullname, path, target))):
            return None
        self._used[package] = self._instead.get(package, "is not installed")
        return ModuleSpec(fullname, self, is_package=True)

    def failed(self, error: BaseException) -> bool:
        """Whether the error comes from importing one of `BRIDGED`; from now on a stand-in takes its place."""
        for frame, _ in traceback.walk_tb(error.__traceback__):
            package = frame.f_globals.get("__name__", "").partition(".")[0]
            if frame.f_code.co_name == "<module>" and package in BRIDGED and package not in self._instead:
                self._instead[package] = f"cannot be imported ({type(error).__name__}: {error})"
                for name in [name for name in sys.modules if name.partition(".")[0] == package]:
                    del sys.modules[name]
                return True
        return False

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """An empty one, whose names are made when they are asked for."""
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is to be run."""

    @property
    def notes(self) -> tuple[str, ...]:
        """A line on each package in use."""
        does = {"tqdm": "its progress bars show nothing", **dict.fromkeys(LOGS, "what is written to it is dropped")}
        other = "a stand-in takes its place, which fails where it is called"
        return tuple(f"bridged: {name} {why}: {does.get(name, other)}" for name, why in self._used.items())

    def _is_there(self, fullname: str, path: Any = None, target: Any = None) -> bool:
        finders = [finder for finder in sys.meta_path if finder is not self]
        return any(finder.find_spec(fullname, path, target) is not None for finder in finders)

    def _asked_from_folder(self) -> bool:
        frame = inspect.currentframe()
        while frame is not None and (frame.f_code.co_filename == __file__ or "importlib" in frame.f_code.co_filename):
            frame = frame.f_back
        return frame is not None and is_own(frame.f_code.co_filename, self._folder)


class _StandIn(ModuleType):
    """A module whose every name can be imported."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        package = _package(self.__name__)
        made = _Log if package in LOGS else _Progress if package == "tqdm" else _absent(f"{self.__name__}.{name}")
        setattr(self, name, made)  # the same whenever it is asked for
        return made


class _Absent(type):
    """A class, so that it can stand in annotations and be inherited from; it cannot be called."""

    full: str

    def __call__(cls, *_: Any, **__: Any) -> Any:
        package = cls.full.partition(".")[0]
        raise ModuleNotFoundError(f"{cls.full} was called, and a stand-in takes the place of {package}")

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _absent(f"{cls.full}.{name}")


def _package(module: str) -> str:
    return _WITHIN.get(module) or module.partition(".")[0]


class _Open(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return cls


class _Log(metaclass=_Open):
    """What code writes a log to: every name of it is there, every call is taken, and nothing is kept."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> _Log:
        return self

    def __getattr__(self, name: str) -> _Log:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __enter__(self) -> _Log:
        return self

    def __exit__(self, *_: object) -> None:
        return None


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
