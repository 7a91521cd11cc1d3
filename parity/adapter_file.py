"""A side from one file of a user's own: a class, a module, or a function, beside the modules of the file's folder."""

from __future__ import annotations

import ast
import builtins
import contextlib
import difflib
import hashlib
import importlib
import importlib.util
import inspect
import math
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, wraps
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from parity import comparator, draws, execution, judge, policy, search, verdict
from parity.component import Component
from parity.execution import settings_kept, text_of
from parity.functions import FunctionSide
from parity.side import Tree

__all__ = ["OwnSide", "declared_in", "is_adapter_file", "load_own", "nearest"]

_ALSO = {"name", "version", "start_training", "check_config"}
"""What a side may have beside components: its own name and version, and what whole runs drive it through."""

_JUDGING = (comparator, draws, execution, judge, policy, search, verdict)
_USED = (builtins, math, np, torch, torch.Tensor, torch._C.TensorBase)
"""Where the modules that judge find the functions that they call, besides their own."""

_T = TypeVar("_T")

_ABSENT = object()

_OWN = "parity_own_"
"""Begins the names of modules that adapter files are, and the second names of those beside them."""


class ReplacedFunction(Exception):
    """The code of a side has replaced a function that the comparison rests on. No refusal: a side that refuses raises
    ValueError or RuntimeError."""


class OwnSide:
    """A side made of an object whose methods, or a module whose functions, are named after components.

    `declared`: components that the file declares itself. What a method returns is a mapping of named outputs; nested
    mappings are flattened with slashes, NumPy arrays are compared as tensors.
    """

    def __init__(self, specifier: str, holder: Any, file: _File) -> None:
        path, _, name = _split(specifier)
        self.specifier = specifier
        self._holder = holder
        self._file = file
        self._methods = frozenset(_public(holder))
        self.declared = file.declared
        self.name = str(getattr(holder, "name", "") or f"{path.name}:{name}".rstrip(":"))
        version = getattr(holder, "version", "")
        self.version = f"{self.name} {version}".rstrip()

    def check(self, known: Mapping[str, Component]) -> None:
        """Raise ValueError for a method that is none of the components `known`, and if there is no method at all."""
        allowed = {*known, *_ALSO}
        for method in sorted(self._methods - allowed):
            raise ValueError(
                f"{self.specifier} has {method!r}, which is no component{nearest(method, allowed)}; a component of "
                "one's own is declared in the file, the name of a helper starts with an underscore"
            )
        if not any(self.offers(component) for component in known.values()):
            raise ValueError(f"{self.specifier} has no component: no method is named after one")

    def offers(self, component: Component) -> bool:
        """Return True if it has this component."""
        return not self._methods.isdisjoint(component.methods)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._methods:
            raise AttributeError(f"{self.name} has no {name}")
        method = getattr(self._holder, name)
        return method if name in _ALSO else self._file.folder.within(_named(method, f"{self.name}.{name}"))


@dataclass
class _Folder:
    """A folder of adapter files. While its code runs, `import` finds the modules that lie in it, and those of no other
    such folder."""

    path: Path
    before: frozenset[str] | None = None
    """The names of modules before the folder's code ran first."""
    modules: dict[str, ModuleType] = field(default_factory=dict)
    """Its own ones, while they are not in `sys.modules`."""
    hidden: dict[str, ModuleType] = field(default_factory=dict)
    """Those from elsewhere whose names it takes, while its own are."""
    stamps: dict[str, tuple[int, int]] = field(default_factory=dict)

    known: ClassVar[dict[Path, _Folder]] = {}
    present: ClassVar[_Folder | None] = None
    """The folder whose modules are in `sys.modules`: they stay there until another one needs the names."""
    running: ClassVar[list[_Folder]] = []

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Import from this folder first. Raises ReplacedFunction if the code has replaced what a comparison rests on,
        and puts that back."""
        self._enter()
        self.running.append(self)
        sys.path.insert(0, str(self.path))
        kept = [space.get(name, _ABSENT) for space, name, _ in _rested_on()]
        writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # a file that changes at once is read anew
        count = len(sys.modules)
        try:
            yield
        finally:
            sys.dont_write_bytecode = writes
            with contextlib.suppress(ValueError):
                sys.path.remove(str(self.path))
            if len(sys.modules) != count:
                self.stamps |= {n: _stamp(m) for n, m in self._imported().items() if n not in self.stamps}
            self.running.pop()
            if self.running:
                self.running[-1]._enter()
            elif self.hidden:
                self._leave()
            _put_back(kept)

    def within(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return `call`, run while the folder is active."""

        @wraps(call)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self.active():
                return call(*args, **kwargs)

        return inside

    def is_stale(self) -> bool:
        """Return True if a module of the folder has changed since it was imported."""
        own = {**self.modules, **self._imported()}
        return any(_stamp(own[name]) != stamp for name, stamp in self.stamps.items() if name in own)

    def _enter(self) -> None:
        if _Folder.present is self:
            return
        if _Folder.present is not None:
            _Folder.present._leave()
        _Folder.present = self
        if self.before is None:
            self.before = frozenset(sys.modules)
        taken = {child.name.partition(".")[0] for child in self.path.iterdir()} & {*sys.modules}
        foreign = {name for name in taken if self._is_foreign(sys.modules[name])}
        self.hidden = {name: m for name, m in sys.modules.items() if name.partition(".")[0] in foreign}
        for name in self.hidden:
            del sys.modules[name]
        for name in self.modules:
            sys.modules.pop(self._alias(name), None)
        sys.modules.update(self.modules)

    def _leave(self) -> None:
        self.modules = self._imported()
        for name, module in self.modules.items():
            del sys.modules[name]
            sys.modules[self._alias(name)] = module  # a diagnosis looks for modules by their files
        sys.modules.update(self.hidden)
        self.hidden = {}
        _Folder.present = None

    def _alias(self, name: str) -> str:
        return f"{_OWN}{hashlib.sha256(str(self.path).encode()).hexdigest()[:16]}.{name}"

    def _imported(self) -> dict[str, ModuleType]:
        """Return the modules in `sys.modules` that lie in this folder and were imported by its code."""
        if _Folder.present is not self or self.before is None:
            return {}
        before = self.before - {*self.hidden}
        new = [name for name in sys.modules if name not in before and not name.startswith(_OWN)]
        tops = {name for name in {name.partition(".")[0] for name in new} if self._holds(sys.modules.get(name))}
        return {name: sys.modules[name] for name in new if name.partition(".")[0] in tops}

    def _holds(self, module: ModuleType | None) -> bool:
        return any(place.parent == self.path for place in _places(module))

    def _is_foreign(self, module: ModuleType) -> bool:
        """Return True for a module from another folder of a user's, neither installed nor Python's own."""
        places = _places(module)
        installed = module.__name__ in sys.stdlib_module_names or any("site-packages" in p.parts for p in places)
        return bool(places) and not installed and not self._holds(module)


def _places(module: ModuleType | None) -> list[Path]:
    file = getattr(module, "__file__", None)
    return [*([Path(file)] if file else []), *(Path(place) for place in getattr(module, "__path__", ()))]


def _stamp(module: ModuleType) -> tuple[int, int]:
    with contextlib.suppress(OSError, TypeError):  # the file is gone, or there never was one
        stat = Path(str(module.__file__)).stat()
        return stat.st_mtime_ns, stat.st_size
    return 0, 0


@dataclass(frozen=True)
class _File:
    """An adapter file that has been loaded."""

    path: Path
    module: ModuleType
    folder: _Folder
    declared: Mapping[str, Component]

    loaded: ClassVar[dict[tuple[Path, bytes], _File]] = {}


def is_adapter_file(specifier: str) -> bool:
    """Return True for `FILE.py` and `FILE.py:NAME`."""
    return specifier.endswith(".py") or ".py:" in specifier


def load_own(specifier: str, known: Mapping[str, Component]) -> OwnSide | FunctionSide:
    """Return the side that `FILE.py:NAME` names, NAME being a class that takes no arguments, an object or a function;
    `FILE.py` alone is the module with its functions. `known`: the study's components, under whose names it may declare
    none.

    The file is executed in this process. Raises ValueError for a file that is not there or cannot be loaded, a name
    that it lacks, and a component that is declared wrongly or twice.
    """
    path, named, name = _split(specifier)
    file = _load(path, known)
    module = file.module
    if not named:
        return _made(specifier, path, lambda: OwnSide(specifier, module, file), file)
    there = [n for n, value in vars(module).items() if not n.startswith("_") and not isinstance(value, ModuleType)]
    if name not in there:
        raise ValueError(f"{path} has no {name!r}{nearest(name, there)}; it has {', '.join(there) or 'nothing'}")
    holder = getattr(module, name)
    if inspect.isfunction(holder):
        inputs = getattr(module, "inputs", None)
        inputs = file.folder.within(inputs) if callable(inputs) else inputs
        return FunctionSide(file.folder.within(holder), f"{path.name}:{name}", inputs)
    if inspect.isclass(holder):
        holder = _made(f"{specifier}()", path, holder, file)
    return _made(specifier, path, lambda: OwnSide(specifier, holder, file), file)


def _made(what: str, path: Path, make: Callable[[], _T], file: _File) -> _T:
    """Return what `make` returns. Raises ValueError for whatever it raises."""
    try:
        with file.folder.active(), settings_kept():
            return make()
    except ReplacedFunction as error:
        raise ValueError(f"the adapter file {path} {error}") from error
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ValueError(f"{what} cannot be made: {_why(error, path.resolve())}") from error


def declared_in(module: ModuleType, path: Path, known: Mapping[str, Component]) -> dict[str, Component]:
    """Return the components that a file declares: every `Component` among its names, or in a list or tuple there."""
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
    """Return a suggestion in brackets, if something known is close to `name`."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def _split(specifier: str) -> tuple[Path, str, str]:
    end = specifier.rindex(".py") + len(".py")
    return Path(specifier[:end]), specifier[end : end + 1], specifier[end + 1 :]


def _load(path: Path, known: Mapping[str, Component]) -> _File:
    """Load the file, once for each content of it and of the modules beside it, under a name of its own."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"the adapter file {path} cannot be read: {error.strerror}") from error
    where = path.resolve()
    folder = _Folder.known.get(where.parent)
    if folder is None or folder.is_stale():
        importlib.invalidate_caches()
        folder = _Folder.known[where.parent] = _Folder(where.parent)
        for key in [key for key in _File.loaded if key[0].parent == where.parent]:
            del _File.loaded[key]
    if (where, content) not in _File.loaded:
        module = _executed(path, where, folder, content)
        declared = {name: _within(folder, one) for name, one in declared_in(module, path, known).items()}
        _File.loaded[where, content] = _File(where, module, folder, declared)
    return _File.loaded[where, content]


def _executed(path: Path, where: Path, folder: _Folder, content: bytes) -> ModuleType:
    name = f"{_OWN}{hashlib.sha256(f'{where} {id(folder)}'.encode() + content).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, where)
    assert spec is not None
    assert spec.loader is not None  # the suffix is .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses of the file look themselves up there
    try:
        with folder.active(), settings_kept():
            spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        if isinstance(error, ReplacedFunction):
            raise ValueError(f"the adapter file {path} {error}") from error
        raise ValueError(f"the adapter file {path} cannot be loaded: {_why(error, where)}") from error
    return module


def _within(folder: _Folder, component: Component) -> Component:
    """Return the component with all that it calls run while the folder is active."""
    return replace(
        component,
        strategy=folder.within(component.strategy),
        build=folder.within(component.build),
        refused=folder.within(component.refused),
        flips=folder.within(component.flips),
    )


@cache
def _rested_on() -> tuple[tuple[Mapping[str, Any], str, Any], ...]:
    """Return the functions that the comparison rests on, each by the attributes of its owner, its name, and the owner.

    They are those of the modules that judge, and of what these modules use; a name that such a module lacks, and finds
    among Python's own, could be put into it.
    """
    nodes = [node for module in _JUDGING for node in ast.walk(ast.parse(inspect.getsource(module)))]
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    used |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    used.discard("manual_seed")  # torch replaces it by itself, when it is first asked to compile
    own = {v for m in _JUDGING for v in vars(m).values() if isinstance(v, type) and v.__module__ == m.__name__}
    found: set[tuple[Any, str]] = {(owner, name) for owner in _USED for name in used if callable(vars(owner).get(name))}
    found |= {(torch.Tensor, name) for name in used if hasattr(torch._C.TensorBase, name)}
    found |= {(owner, name) for owner in (*_JUDGING, *own) for name, value in vars(owner).items() if callable(value)}
    found |= {(owner, name) for owner in _JUDGING for name in used if hasattr(builtins, name)}
    return tuple((vars(owner), name, owner) for owner, name in found)


def _put_back(kept: list[Any]) -> None:
    """Raise ReplacedFunction if one of the functions is another one now."""
    watched = zip(_rested_on(), kept, strict=True)
    replaced = [(owner, name, v) for (space, name, owner), v in watched if space.get(name, _ABSENT) is not v]
    for owner, name, value in replaced:
        if value is _ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, value)
    if replaced:
        names = sorted({f"{owner.__name__}.{name}" for owner, name, _ in replaced})
        raise ReplacedFunction(f"replaces {', '.join(names)}, on which the comparison rests")


def _why(error: BaseException, path: Path) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno} of {Path(error.filename or path).name}: {error.msg}"
    if isinstance(error, ModuleNotFoundError):
        return f"it needs the module {error.name!r}, which is not installed"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{type(error).__name__}: {text_of(error)}" + (f" (line {lines[-1]})" if lines else "")


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
