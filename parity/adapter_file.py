"""A side from one file of a user's own: a class, or a module, with a method for each component that it has."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from parity.component import Component
from parity.execution import settings_kept
from parity.functions import FunctionSide
from parity.side import Tree

__all__ = ["OwnSide", "declared_in", "load_own", "nearest"]

_ALSO = {"name", "version", "start_training", "check_config"}
"""What a side may have beside components: its own name and version, and what whole runs drive it through."""


class OwnSide:
    """A side made of an object whose methods, or a module whose functions, are named after components.

    `declared`: components that the file declares itself. What a method returns is a mapping of named outputs; nested
    mappings are flattened with slashes, NumPy arrays are compared as tensors.
    """

    def __init__(self, specifier: str, holder: Any, declared: Mapping[str, Component]) -> None:
        path, _, name = _split(specifier)
        self.specifier = specifier
        self._holder = holder
        self._methods = frozenset(_public(holder))
        self.declared = declared
        self.name = str(getattr(holder, "name", "") or f"{path.name}:{name}".rstrip(":"))
        version = getattr(holder, "version", "")
        self.version = f"{self.name} {version}".rstrip()

    def check(self, known: Mapping[str, Component]) -> None:
        """Raises ValueError for a method that is none of the components `known`, and if there is no method at all."""
        allowed = {*known, *_ALSO}
        for method in sorted(self._methods - allowed):
            raise ValueError(
                f"{self.specifier} has {method!r}, which is no component{nearest(method, allowed)}; a component of "
                "one's own is declared in the file, the name of a helper starts with an underscore"
            )
        if not any(self.offers(component) for component in known.values()):
            raise ValueError(f"{self.specifier} has no component: no method is named after one")

    def offers(self, component: Component) -> bool:
        """Whether it has this component."""
        return not self._methods.isdisjoint(component.methods)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._methods:
            raise AttributeError(f"{self.name} has no {name}")
        method = getattr(self._holder, name)
        return method if name in _ALSO else _named(method, f"{self.name}.{name}")


def load_own(specifier: str, known: Mapping[str, Component]) -> OwnSide | FunctionSide:
    """The side that `FILE.py:NAME` names, NAME being a class that takes no arguments, or an object; `FILE.py` alone is
    the module with its functions. `known`: the study's components, under whose names it may declare none.

    Raises ValueError for a file that is not there or cannot be loaded, a name that it lacks, and a component that is
    declared wrongly or twice.
    """
    path, named, name = _split(specifier)
    module = _load(path)
    declared = declared_in(module, path, known)
    if not named:
        return OwnSide(specifier, module, declared)
    there = [n for n, value in vars(module).items() if not n.startswith("_") and not isinstance(value, ModuleType)]
    if name not in there:
        raise ValueError(f"{path} has no {name!r}{nearest(name, there)}; it has {', '.join(there) or 'nothing'}")
    holder = getattr(module, name)
    if inspect.isfunction(holder):
        return FunctionSide(holder, f"{path.name}:{name}", getattr(module, "inputs", None))
    if inspect.isclass(holder):
        try:
            holder = holder()
        except Exception as error:
            raise ValueError(f"{specifier}() cannot be made: {type(error).__name__}: {error}") from error
    return OwnSide(specifier, holder, declared)


def declared_in(module: ModuleType, path: Path, known: Mapping[str, Component]) -> dict[str, Component]:
    """The components that a file declares: every `Component` among its names, or in a list or tuple there."""
    found: dict[str, Component] = {}
    for value in vars(module).values():
        for component in value if isinstance(value, (list, tuple)) else [value]:
            if not isinstance(component, Component) or found.get(component.name) is component:
                continue
            if component.name in found:
                raise ValueError(f"{path} declares the component {component.name!r} twice")
            if component.name in known:
                raise ValueError(f"{path} declares the component {component.name!r}, which parity has already")
            if not component.name.isidentifier() or component.name in _ALSO:
                raise ValueError(f"{path} declares a component named {component.name!r}: it must be a method's name")
            if not component.examples:
                raise ValueError(f"{path} declares the component {component.name!r} without an example")
            found[component.name] = component
    return found


def nearest(name: str, known: Iterable[str]) -> str:
    """A suggestion in brackets, if something known is close to `name`."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def _split(specifier: str) -> tuple[Path, str, str]:
    end = specifier.rindex(".py") + len(".py")
    return Path(specifier[:end]), specifier[end : end + 1], specifier[end + 1 :]


def _load(path: Path) -> ModuleType:
    """The file as a module, once for each content, under a name of its own."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"the adapter file {path} cannot be read: {error.strerror}") from error
    where = path.resolve()
    name = f"parity_own_{hashlib.sha256(str(where).encode() + content).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, where)
    assert spec is not None
    assert spec.loader is not None  # the suffix is .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses of the file look themselves up there
    try:
        with _importing_from(where.parent), settings_kept():
            spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        del sys.modules[name]
        raise ValueError(f"the adapter file {path} cannot be loaded: {_why(error, where)}") from error
    return module


@contextlib.contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """Modules beside the file can be imported while it is loaded."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder))


def _why(error: BaseException, path: Path) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno} of {Path(error.filename or path).name}: {error.msg}"
    if isinstance(error, ModuleNotFoundError):
        return f"it needs the module {error.name!r}, which is not installed"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{type(error).__name__}: {error}" + (f" (line {lines[-1]})" if lines else "")


def _public(holder: Any) -> Iterator[str]:
    for name in dir(holder):
        if name.startswith("_"):
            continue
        value = getattr(holder, name)
        of_file = not isinstance(holder, ModuleType) or getattr(value, "__module__", "") == holder.__name__
        if inspect.isroutine(value) and of_file:
            yield name


def _named(method: Callable[..., Any], where: str) -> Callable[..., Tree]:
    @wraps(method)
    def call(**inputs: Any) -> Tree:
        returned = method(**inputs)
        if not isinstance(returned, Mapping):
            raise TypeError(f"{where} must return a mapping of named outputs, got {type(returned).__name__}")
        return dict(_leaves(returned, "", where))

    return call


def _leaves(returned: Mapping[Any, Any], prefix: str, where: str) -> Iterator[tuple[str, Any]]:
    for key, value in returned.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{name}/", where)
        elif isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biufc":
            # A scalar stays one: NumPy's are what its reductions return, Python's are what they are compared with.
            yield name, torch.from_numpy(np.ascontiguousarray(value)) if value.ndim else value.item()
        elif isinstance(value, (Tensor, bool, int, float, str, list)):
            yield name, value
        else:
            raise TypeError(f"{where} returned {name!r} of type {type(value).__name__}; allowed are tensors, NumPy "
                            "arrays, numbers, booleans, text, lists and mappings of these")  # fmt: skip
