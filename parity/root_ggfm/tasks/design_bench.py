"""Tasks of an installed design-bench (2.0.20), and what makes that package work today while it makes one.

Its data server is gone, it uses NumPy names that NumPy 2 dropped, and it imports every simulator before it gives out
a table look-up. `bridged` works around each obstacle only where it is met, and describes every workaround in words.
"""

from __future__ import annotations

import ast
import copy
import importlib
import importlib.util
import logging
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from parity.execution import generators_kept
from parity.root_ggfm.tasks import tfbind8
from parity.root_ggfm.tasks.task import ArrayTask, NotDiscrete, Task, refuse_non_finite
from parity.root_ggfm.tasks.tfbind8 import DataUnavailable, cache_folder, npy_bytes, write_data

__all__ = ["DesignBenchTask", "design_bench_task", "installed", "write_design_bench_files"]

INSTALL = (
    "`pip install --no-deps design-bench==2.0.20`, then `pip install pandas requests scikit-learn deepchem==2.8.0 "
    "'transformers<5'` (or the tox environment `design-bench`)"
)
MIRROR = "beckhamc/design_bench_data"
"""A community mirror of design-bench's data files on the Hugging Face hub."""

TFBIND8_FILES = ("tf_bind_8-SIX6_REF_R1/tf_bind_8-x-0.npy", "tf_bind_8-SIX6_REF_R1/tf_bind_8-y-0.npy")

DATASET_ARGUMENTS = {"TFBind10-Exact-v0": {"max_samples": 10_000}}
"""Arguments with which ROOT makes a task, where they are not design-bench's defaults."""

_VOCABULARY = "smiles_vocab.txt"
_STAND_IN = "a stand-in for the SMILES vocabulary, which the package's import asks for and only ChEMBL tasks use"
_EXACT = "design_bench.oracles.exact"


class DesignBenchTask(Task):
    """design-bench's own task object `task`, with designs checked for NaN before it scores them.

    `bridges` describes the workarounds that were needed to make it.
    """

    def __init__(self, name: str, task: Any, bridges: Sequence[str] = ()) -> None:
        self.name = name
        self.task = task
        self.bridges = tuple(bridges)

    @property
    def x(self) -> NDArray[Any]:
        """(N, D) floats, (N, L) integers, or (N, L, V - 1) logits after `map_to_logits`."""
        return np.asarray(self.task.x)

    @property
    def y(self) -> NDArray[Any]:
        """(N, 1) scores."""
        return np.asarray(self.task.y)

    @property
    def is_discrete(self) -> bool:
        """True if designs are sequences of classes; `map_to_logits` does not change it."""
        return bool(self.task.is_discrete)

    @property
    def is_mapped(self) -> bool:
        """True if the task is in logits."""
        return self.is_discrete and bool(self.task.is_logits)

    @property
    def num_classes(self) -> int:
        """V. Raises `NotDiscrete` (a ValueError) for a continuous task."""
        if not self.is_discrete:
            raise NotDiscrete(f"num_classes: {self.name} is a continuous task, only discrete ones have classes")
        return int(self.task.num_classes)

    def to_logits(self, x: NDArray[Any]) -> NDArray[Any]:
        """(N, L) integers to (N, L, V - 1) logits."""
        return np.asarray(self.task.to_logits(x))

    def to_integers(self, x: NDArray[Any]) -> NDArray[Any]:
        """(N, L, V - 1) logits to (N, L) integers."""
        return np.asarray(self.task.to_integers(x))

    def map_to_logits(self) -> None:
        """Switch the task to logits."""
        self.task.map_to_logits()

    def predict(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return the scores (n, 1) of designs in the task's present form; refuse NaN and infinity with ValueError."""
        refuse_non_finite(x)
        return np.asarray(self.task.predict(x))

    def copy(self) -> DesignBenchTask:
        """Return a task of its own in the same form."""
        return DesignBenchTask(self.name, copy.deepcopy(self.task), self.bridges)

    def astype(self, dtype: DTypeLike) -> ArrayTask:
        """Return the same designs, scores and oracle in arrays, floats held in `dtype`, values cast last."""
        if self.is_mapped:
            raise ValueError(f"{self.name} is mapped to logits; astype before map_to_logits")
        num_classes = self.num_classes if self.is_discrete else None
        return ArrayTask(self.name, self.x, self.y, self.copy().predict, num_classes=num_classes, dtype=dtype)


def installed() -> bool:
    """True if design-bench is installed; does not import it."""
    return importlib.util.find_spec("design_bench") is not None


def design_bench_task(name: str, *, data: Path | None = None, seed: int = 0) -> DesignBenchTask:
    """Make the task `name` with the user's design-bench (`design_bench.make`).

    Looks for data files in `data`; without it, in the installation's own `design_bench_data`, then in the folder of
    that name in the cache, where TFBind8's are written if the cache has TFBind8. Making a task draws from NumPy's
    global generator (for TFBind10 it chooses the 10,000 designs): it is seeded with `seed` for that, and restored.
    Raises ValueError for a name that design-bench does not know, `DataUnavailable` for everything missing.
    """
    cached = cache_folder() / "design_bench_data"
    looked = []
    for folder in [_own_data_folder(), cached] if data is None else [data]:
        unwritten = not all((cached / file).is_file() for file in TFBIND8_FILES)
        if folder == cached and unwritten and name.startswith("TFBind8") and tfbind8.is_cached():
            write_design_bench_files(folder)
        if not folder.is_dir():
            looked.append(f"{folder} is not there")
            continue
        try:
            return _make(name, folder, seed)
        except FileNotFoundError as error:
            looked.append(f"{error.filename} is not there")
    raise DataUnavailable(
        f"design-bench has no data files for {name}: {'; '.join(looked)}. Its server is gone; the Hugging Face hub has "
        f"a community mirror, {MIRROR}. For TFBind8, `parity data fetch` is enough"
    )


def write_design_bench_files(folder: Path, table: tuple[NDArray[Any], NDArray[Any]] | None = None) -> list[Path]:
    """Write TFBind8 under `folder` as the data files that design-bench reads; return their paths.

    `folder` is a `design_bench_data` folder, `table` the full data set, by default the one in the cache. design-bench's
    own files differ from these by at most 3e-8. Raises like `parity.root_ggfm.tasks.tfbind8.load`.
    """
    paths = [folder / name for name in TFBIND8_FILES]
    for path, array in zip(paths, tfbind8.full_table() if table is None else table, strict=True):
        write_data(path, npy_bytes(array))
    return paths


def _make(name: str, folder: Path, seed: int) -> DesignBenchTask:
    with _bridged(folder) as (package, bridges), generators_kept():
        package.registry.spec(name)  # ValueError for an unknown name
        if "MorganFingerprint" in name and _STAND_IN in bridges:
            raise DataUnavailable(f"{name} needs the SMILES vocabulary, {_own_data_folder() / _VOCABULARY}")
        np.random.seed(seed)
        try:
            task = package.make(name, dataset_kwargs=DATASET_ARGUMENTS.get(name))
        except FileNotFoundError:
            raise
        except Exception as error:  # simulators raise anything
            raise DataUnavailable(
                f"design-bench could not make {name} from {folder}: {type(error).__name__}: {error}"
            ) from error
        return DesignBenchTask(name, task, bridges)


def _package_folder() -> Path:
    spec = importlib.util.find_spec("design_bench")
    if spec is None or not spec.submodule_search_locations:
        raise DataUnavailable(f"design-bench is not installed: {INSTALL}")
    return Path(next(iter(spec.submodule_search_locations)))


def _own_data_folder() -> Path:
    """Return the installation's own folder of data files, beside the package. Raises `DataUnavailable`."""
    return _package_folder().parent / "design_bench_data"


@contextmanager
def _bridged(data: Path) -> Iterator[tuple[Any, list[str]]]:
    """Import design-bench, let it make tasks from the files in `data`, and undo every change afterwards.

    Yields the package and the workarounds in words. Raises `DataUnavailable` where the package is not installed or
    cannot be imported all the same.
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
        yield package, bridges


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
    if not (_own_data_folder() / _VOCABULARY).is_file():
        bridges.append(_STAND_IN)
    if "design_bench" in sys.modules or _STAND_IN not in bridges:
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
        (data / _VOCABULARY).write_text("\n".join(["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ""]))
        _set(stack, resource, "DATA_DIR", str(data))
        stack.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.WARNING)  # deepchem warns of each optional dependency that is missing
        return importlib.import_module("design_bench")


def _open_exact_oracles(stack: ExitStack, bridges: list[str]) -> None:
    """Import each exact oracle from its own module where the package of all of them cannot be imported."""
    try:
        importlib.import_module(_EXACT)
        return
    except Exception as error:  # noqa: BLE001 - a half-installed simulator raises anything
        reason = f"{type(error).__name__}: {error}"
    folder = _package_folder() / "oracles" / "exact"
    homes = {
        alias.name: f"{_EXACT}.{node.module}"
        for node in ast.parse((folder / "__init__.py").read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(name)
        return getattr(importlib.import_module(homes[name]), name)

    hollow = ModuleType(_EXACT)
    hollow.__path__ = [str(folder)]
    hollow.__dict__["__getattr__"] = load
    sys.modules[_EXACT] = hollow
    stack.callback(sys.modules.pop, _EXACT, None)
    bridges.append(f"the oracle's own module loaded without its package's __init__, which fails ({reason})")
