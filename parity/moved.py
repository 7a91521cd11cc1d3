"""Old import paths of adapter files: they work for one release more, with a warning that names the new path."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["MovedModules", "install"]

_MOVED = {
    "parity.components": ("parity.component", "parity.study"),
    "parity.components.base": ("parity.component",),
    "parity.explore": ("parity.search",),
    "parity.outcome": ("parity.execution",),
    "parity.sides": ("parity.loading", "parity.side"),
    "parity.sides.interface": ("parity.side",),
}
"""Each old module, and those that hold its names now."""


class MovedModules(MetaPathFinder, Loader):
    """Find an old module, and take each of its names from where it is now."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002
        """Return the stand-in's spec, or None for a name that did not move."""
        return ModuleSpec(fullname, self, is_package=True) if fullname in _MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return a module whose names are looked up when they are asked for."""
        warnings.warn(
            f"{spec.name} has moved: import from parity what `parity.__all__` names, the rest from "
            f"{' or '.join(_MOVED[spec.name])}; the old path is gone in the next release",
            FutureWarning,
            stacklevel=2,
        )
        return _Moved(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Execute nothing: the module has no code."""


class _Moved(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__"):
            for place in _MOVED[self.__name__]:
                module = importlib.import_module(place)
                if hasattr(module, name):
                    return getattr(module, name)
        raise AttributeError(f"{self.__name__} has moved, and no {name} came with it")


def install() -> None:
    """Look for old modules where no other finder has one."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(MovedModules())
