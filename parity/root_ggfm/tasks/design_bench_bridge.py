"""Making the design-bench package (2.0.20) work today, for as long as a `with` block lasts.

Its data server is gone, it uses NumPy names that NumPy 2 dropped, and it imports every simulator before it gives out
a table look-up. Each obstacle is bridged only where it is met, and every bridge is reported in words.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import logging
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from parity.root_ggfm.tasks.cache import DataUnavailable

__all__ = ["INSTALL", "Bridged", "bridged", "installed", "own_data_folder"]

INSTALL = (
    "`pip install --no-deps design-bench==2.0.20`, then `pip install pandas requests scikit-learn deepchem==2.8.0 "
    "'transformers<5'` (or the tox environment `design-bench`)"
)
VOCABULARY = "smiles_vocab.txt"
STAND_IN = "a stand-in for the SMILES vocabulary, which the package's import asks for and only ChEMBL tasks use"
EXACT = "design_bench.oracles.exact"


@dataclass
class Bridged:
    """The imported package, and what was bridged to get there."""

    package: ModuleType
    bridges: list[str] = field(default_factory=list)

    @property
    def has_vocabulary(self) -> bool:
        """Whether the SMILES vocabulary is the real one."""
        return STAND_IN not in self.bridges


def installed() -> bool:
    """Whether design-bench is there; it is not imported to find out."""
    return importlib.util.find_spec("design_bench") is not None


def own_data_folder() -> Path:
    """The installation's own folder of data files, beside the package. Raises `DataUnavailable`."""
    return _package_folder().parent / "design_bench_data"


def _package_folder() -> Path:
    spec = importlib.util.find_spec("design_bench")
    if spec is None or not spec.submodule_search_locations:
        raise DataUnavailable(f"design-bench is not installed: {INSTALL}")
    return Path(next(iter(spec.submodule_search_locations)))


@contextmanager
def bridged(data: Path) -> Iterator[Bridged]:
    """design-bench, imported and fit to make tasks from the files in `data`; afterwards everything is put back.

    Raises `DataUnavailable` where the package is not installed or cannot be imported all the same.
    """
    _package_folder()  # raises where nothing is installed
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        bridges: list[str] = []
        missing = [name for name in ("NINF", "PINF") if not hasattr(np, name)]
        for name in missing:
            _set(stack, np, name, -np.inf if name == "NINF" else np.inf)
        if missing:
            bridges.append(f"{' and '.join(f'np.{name}' for name in missing)} set, which NumPy 2 dropped")
        try:
            package = _import_package(bridges)
        except Exception as error:
            raise DataUnavailable(
                f"design-bench cannot be imported ({type(error).__name__}: {error}); what it needs: {INSTALL}"
            ) from error
        resource = importlib.import_module("design_bench.disk_resource")
        for name in ("direct_download", "google_drive_download"):
            _set(stack, resource, name, lambda *_: False)
        bridges.append("downloads from its retired data server answered with 'not there' at once")
        if Path(resource.DATA_DIR) != data:
            _set(stack, resource, "DATA_DIR", str(data))
            bridges.append(f"data files taken from {data}")
        _open_exact_oracles(stack, bridges)
        yield Bridged(package, bridges)


def _set(stack: ExitStack, owner: Any, name: str, value: Any) -> None:
    """Set an attribute until the stack unwinds."""
    if hasattr(owner, name):
        stack.callback(setattr, owner, name, getattr(owner, name))
    else:
        stack.callback(delattr, owner, name)
    setattr(owner, name, value)


def _import_package(bridges: list[str]) -> ModuleType:
    """Import design_bench, with a stand-in vocabulary where the real one is not in place."""
    folder = _package_folder()
    if not (own_data_folder() / VOCABULARY).is_file():
        bridges.append(STAND_IN)
    if "design_bench" in sys.modules or STAND_IN not in bridges:
        return importlib.import_module("design_bench")
    # The folder of data files is a constant of a submodule: load that alone, behind an empty package.
    hollow = ModuleType("design_bench")
    hollow.__path__ = [str(folder)]
    sys.modules["design_bench"] = hollow
    try:
        resource = importlib.import_module("design_bench.disk_resource")
    finally:
        del sys.modules["design_bench"]
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="parity-")))
        (data / VOCABULARY).write_text("\n".join(["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ""]))
        _set(stack, resource, "DATA_DIR", str(data))
        stack.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.WARNING)  # deepchem tells of each optional dependency that it does without
        return importlib.import_module("design_bench")


def _open_exact_oracles(stack: ExitStack, bridges: list[str]) -> None:
    """Let each exact oracle be imported from its own module where the package of all of them cannot be."""
    try:
        importlib.import_module(EXACT)
        return
    except Exception as error:  # noqa: BLE001 - a half-installed simulator raises anything
        reason = f"{type(error).__name__}: {error}"
    folder = _package_folder() / "oracles" / "exact"
    homes = {
        alias.name: f"{EXACT}.{node.module}"
        for node in ast.parse((folder / "__init__.py").read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(name)
        return getattr(importlib.import_module(homes[name]), name)

    hollow = ModuleType(EXACT)
    hollow.__path__ = [str(folder)]
    hollow.__dict__["__getattr__"] = load
    sys.modules[EXACT] = hollow
    stack.callback(sys.modules.pop, EXACT, None)
    bridges.append(f"the oracle's own module loaded without its package's __init__, which fails ({reason})")
