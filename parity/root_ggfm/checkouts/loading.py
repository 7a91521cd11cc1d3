"""Import a checkout in a host process and make its side: `root:PATH`, `ggfm:PATH`.

Published code imports packages that no component needs and uses names that newer libraries no longer have. Import
stubs and restored names, in this process only, make up for both.
"""

from __future__ import annotations

import importlib
import inspect
import re
import shutil
import sys
import traceback
from collections.abc import Iterator
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from parity.root_ggfm.checkouts.ggfm import GgfmCheckout
from parity.root_ggfm.checkouts.patching import is_own
from parity.root_ggfm.checkouts.root import RootCheckout
from parity.root_ggfm.checkouts.side import CheckoutSide, missing_import
from parity.study import NoCheckout, find_checkout, installed

__all__ = ["ImportStubs", "load_checkout", "restore_numpy_names", "restore_verbose_argument"]

_ADAPTERS: dict[str, type[CheckoutSide]] = {"root": RootCheckout, "ggfm": GgfmCheckout}


def load_checkout(specifier: str) -> CheckoutSide:
    """Import a checkout's modules, from its folder before any other place, and return its side.

    Raises NoCheckout for a syntax error, for an import that is neither installed nor stubbed, and if no module of the
    layout can be imported. A module that imports what the checkout lacks, or fails in another way, costs only the
    components that need it; an optional one may fail for any reason.
    """
    layout, folder = find_checkout(specifier, installed().layouts)
    sys.path.insert(0, str(folder))
    stubs = ImportStubs(folder)
    sys.meta_path.insert(0, stubs)
    restored = (*restore_verbose_argument(), *restore_numpy_names(folder))
    _copy_settings(folder)
    adapter = _ADAPTERS[layout]
    failures = {module: _try_import(specifier, folder, module, stubs) for module in adapter.modules}
    if None not in failures.values():
        reasons = "; ".join(why for why in failures.values() if why)
        raise NoCheckout(f"{specifier}: none of its modules can be imported: {reasons}")
    for module in adapter.optional:
        failures[module] = _try_import(specifier, folder, module, stubs, optional=True)
    notes = [why for why in failures.values() if why]
    return adapter(specifier, folder, (*_other_layouts(layout, folder), *notes, *stubs.notes, *restored))


def _try_import(specifier: str, folder: Path, module: str, stubs: ImportStubs, *, optional: bool = False) -> str | None:
    """Import a module. Return None, or one line on why that fails; an empty one if the checkout has no such module.

    Raises NoCheckout as `load_checkout` says. Components that need the module meet its error again.
    """
    try:
        _import_with_stubs(module, stubs)
    except SyntaxError as error:
        where = f"syntax error in {error.filename}, line {error.lineno}: {error.msg}"
        if not optional:
            raise NoCheckout(f"{specifier}: {where}") from error
        return f"{module} cannot be imported: {where}"
    except ModuleNotFoundError as error:
        why = missing_import(error, module, folder)
        if why is not None:
            return why
        absent = error.name or str(error)
        why = f"{module} imports {absent!r}, which is not installed: pip install {absent.partition('.')[0]}"
        if not optional:
            raise NoCheckout(f"{specifier}: {why}") from error
        return why
    except (Exception, SystemExit) as error:  # noqa: BLE001 - importing it may raise anything
        return f"{module} cannot be imported: {type(error).__name__}: {error}"
    return None


def _import_with_stubs(module: str, stubs: ImportStubs) -> None:
    while True:
        try:
            importlib.import_module(module)
            return
        except Exception as error:
            if not stubs.replace_failed(error):
                raise


def _copy_settings(folder: Path) -> None:
    """Copy configuration files into the working folder: code may read them by relative paths when imported."""
    places = [folder, *(path for path in folder.glob("config*") if path.is_dir())]
    for file in (file for place in places for file in (place.glob if place == folder else place.rglob)("*.*")):
        if file.suffix in (".yaml", ".yml", ".json", ".toml") and file.is_file():
            copy = Path(file.relative_to(folder))
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)


def _other_layouts(layout: str, folder: Path) -> list[str]:
    files = {name: other.files for name, other in installed().layouts.items() if name != layout}
    others = [name for name in files if all((folder / file).is_file() for file in files[name])]
    return [f"{folder.name} has the layout of {name}: too; it is read as {layout}:" for name in others]


_STUBBED = ("design_bench", "wandb", "einops", "omegaconf", "tqdm", "matplotlib", "pandas", "seaborn", "tensorboard")
"""Packages that published code imports and that no component needs."""

_ALWAYS_STUBBED = {
    "design_bench": "is not imported: doing so loads simulators and asks a server, and tasks are given",
    "wandb": "is not imported: it sends what it is given to a server",
}
"""Packages that are stubbed even where they are installed, with the reason."""

_LOGGERS = ("wandb", "tensorboard")
"""Packages that published code only writes to: their stubs accept any call."""

_NEEDS = {"torch.utils.tensorboard": "tensorboard"}
"""Modules of installed packages that are useless without a package of `_STUBBED`."""


class ImportStubs(MetaPathFinder, Loader):
    """Import a stub for a package of `_STUBBED` when code in `folder` asks for it.

    A stub replaces a package that is not installed, one of `_ALWAYS_STUBBED`, and one whose import `replace_failed`
    has seen fail. When a library tries one of these imports, the package stays absent.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reasons = {package: why for package, why in _ALWAYS_STUBBED.items() if not (folder / package).exists()}
        self._used: dict[str, str] = {}

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """Return the stub's spec, or None to leave the import to the other finders."""
        package = _package(fullname)
        submodule_of_another = package in sys.modules and not isinstance(sys.modules[package], _StubModule)
        if package not in _STUBBED or submodule_of_another or not self._asked_from_folder():
            return None
        of_another = fullname.partition(".")[0] != package
        if package not in self._reasons and self._is_there(*((package,) if of_another else (fullname, path, target))):
            return None
        self._used[package] = self._reasons.get(package, "is not installed")
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return a module that makes every name when it is asked for."""
        return _StubModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Execute nothing."""

    def replace_failed(self, error: BaseException) -> bool:
        """Stub the package whose import raised the error from now on; False if it is none of `_STUBBED`."""
        for frame, _ in traceback.walk_tb(error.__traceback__):
            package = frame.f_globals.get("__name__", "").partition(".")[0]
            if frame.f_code.co_name == "<module>" and package in _STUBBED and package not in self._reasons:
                self._reasons[package] = f"cannot be imported ({type(error).__name__}: {error})"
                for name in [name for name in sys.modules if name.partition(".")[0] == package]:
                    del sys.modules[name]
                return True
        return False

    @property
    def notes(self) -> tuple[str, ...]:
        """One line per stub in use."""
        does = {"tqdm": "its progress bars show nothing", **dict.fromkeys(_LOGGERS, "what is written to it is dropped")}
        other = "a stub takes its place, which fails where it is called"
        return tuple(f"bridged: {name} {why}: {does.get(name, other)}" for name, why in self._used.items())

    def _is_there(self, fullname: str, path: Any = None, target: Any = None) -> bool:
        finders = [finder for finder in sys.meta_path if finder is not self]
        return any(finder.find_spec(fullname, path, target) is not None for finder in finders)

    def _asked_from_folder(self) -> bool:
        frame = inspect.currentframe()
        while frame is not None and (frame.f_code.co_filename == __file__ or "importlib" in frame.f_code.co_filename):
            frame = frame.f_back
        return frame is not None and is_own(frame.f_code.co_filename, self._folder)


def _package(module: str) -> str:
    return _NEEDS.get(module) or module.partition(".")[0]


class _StubModule(ModuleType):
    """A module from which every name can be imported."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        package = _package(self.__name__)
        made = _Logger if package in _LOGGERS else _ProgressBar if package == "tqdm" else _stub(self.__name__, name)
        setattr(self, name, made)  # the same object at every access
        return made


def _stub(holder: str, name: str) -> _Stub:
    return _Stub(name, (), {"dotted_name": f"{holder}.{name}"})


class _Stub(type):
    """A class that annotations and base classes may name; calling it raises."""

    dotted_name: str

    def __call__(cls, *_: Any, **__: Any) -> Any:
        package = cls.dotted_name.partition(".")[0]
        raise ModuleNotFoundError(f"{cls.dotted_name} was called, and a stub takes the place of {package}")

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _stub(cls.dotted_name, name)


class _AnyAttribute(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return cls


class _Logger(metaclass=_AnyAttribute):
    """Has every name, accepts every call, and keeps nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> _Logger:
        return self

    def __getattr__(self, name: str) -> _Logger:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __enter__(self) -> _Logger:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class _ProgressBar(_Logger):
    """Iterates over its argument and shows nothing."""

    def __init__(self, iterable: Any = (), *_: Any, **__: Any) -> None:
        self._iterable = iterable

    def __iter__(self) -> Iterator[Any]:
        return iter(self._iterable)

    def __len__(self) -> int:
        return len(self._iterable)


_LOST_NUMPY_NAMES = {
    **dict.fromkeys(("PINF", "Inf", "Infinity", "infty"), np.inf),
    **{kind.__name__: kind for kind in (float, int, object, complex, str)},
    "NINF": -np.inf,
    "NaN": np.nan,
    "float_": np.float64,
    "complex_": np.complex128,
    "bool8": np.bool_,
    "product": np.prod,
    "alltrue": np.all,
    "sometrue": np.any,
    "in1d": np.isin,
    "trapz": np.trapezoid,
}

_FILES_READ = 500
"""Files of a checkout that are searched for such names."""


def restore_numpy_names(folder: Path) -> tuple[str, ...]:
    """Give NumPy back, as a best effort, the names that it has lost and files of the checkout mention; one note."""
    files = sorted(file for file in folder.rglob("*.py") if is_own(str(file), folder))[:_FILES_READ]
    text = "".join(file.read_text("utf-8", errors="replace") for file in files)
    mentioned = set(re.findall(r"\b(?:np|numpy)\.(\w+)", text))
    lost = [name for name in _LOST_NUMPY_NAMES if name in mentioned and not hasattr(np, name)]
    for name in lost:
        setattr(np, name, _LOST_NUMPY_NAMES[name])
    return (f"bridged: NumPy no longer has {', '.join(lost)}: put back",) if lost else ()


def restore_verbose_argument() -> tuple[str, ...]:
    """Let ReduceLROnPlateau accept and drop `verbose` if this torch no longer has it; one note."""
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau
    if "verbose" in inspect.signature(plateau).parameters:
        return ()

    class ReduceLROnPlateau(plateau):  # type: ignore[misc, valid-type]
        def __init__(self, *args: Any, verbose: Any = None, **kwargs: Any) -> None:  # noqa: ARG002
            super().__init__(*args, **kwargs)

    torch.optim.lr_scheduler.ReduceLROnPlateau = ReduceLROnPlateau  # type: ignore[misc]
    return ("bridged: ReduceLROnPlateau no longer takes verbose: the argument is dropped",)
