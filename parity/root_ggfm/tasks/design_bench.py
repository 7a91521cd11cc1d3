"""Tasks of an installed design-bench, as this suite sees them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from parity.root_ggfm.tasks import tfbind8
from parity.root_ggfm.tasks.array_task import ArrayTask, NotDiscrete, refuse_non_finite
from parity.root_ggfm.tasks.cache import DataUnavailable, cache_folder, npy_bytes, write_atomic
from parity.root_ggfm.tasks.design_bench_bridge import bridged, own_data_folder
from parity.root_ggfm.tasks.interface import Task

__all__ = ["MIRROR", "DesignBenchTask", "design_bench_task", "write_design_bench_files"]

MIRROR = "beckhamc/design_bench_data"
"""A community mirror of design-bench's data files on the Hugging Face hub."""

TFBIND8_FILES = ("tf_bind_8-SIX6_REF_R1/tf_bind_8-x-0.npy", "tf_bind_8-SIX6_REF_R1/tf_bind_8-y-0.npy")

DATASET_ARGUMENTS = {"TFBind10-Exact-v0": {"max_samples": 10_000}}
"""How ROOT makes a task where it does not take design-bench's defaults."""


class DesignBenchTask(Task):
    """design-bench's own task object, with designs checked for NaN before it scores them.

    `task` is that object; `bridges` says in words what had to be bridged to make it.
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
        """Whether designs are sequences of classes; `map_to_logits` does not change it."""
        return bool(self.task.is_discrete)

    @property
    def is_mapped(self) -> bool:
        """Whether the task is in logits."""
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
        """Scores (n, 1) of designs in the task's present form; ValueError, before the oracle, for NaN or infinity."""
        refuse_non_finite(x)
        return np.asarray(self.task.predict(x))

    def copy(self) -> DesignBenchTask:
        """A task of its own in the same form."""
        return DesignBenchTask(self.name, copy.deepcopy(self.task), self.bridges)

    def astype(self, dtype: DTypeLike) -> ArrayTask:
        """The same designs, scores and oracle in arrays, floats held in `dtype`, values cast last."""
        if self.is_mapped:
            raise ValueError(f"{self.name} is mapped to logits; astype before map_to_logits")
        num_classes = self.num_classes if self.is_discrete else None
        return ArrayTask(self.name, self.x, self.y, self.copy().predict, num_classes=num_classes, dtype=dtype)


def write_design_bench_files(folder: Path, table: tuple[NDArray[Any], NDArray[Any]] | None = None) -> list[Path]:
    """Write TFBind8 under `folder` as the data files that design-bench reads; returns their paths.

    `folder` is a `design_bench_data` folder, `table` the full data set, by default the one in the cache. design-bench's
    own files differ from these by at most 3e-8. Raises like `parity.root_ggfm.tasks.tfbind8.load`.
    """
    paths = [folder / name for name in TFBIND8_FILES]
    for path, array in zip(paths, tfbind8.full_table() if table is None else table, strict=True):
        write_atomic(path, npy_bytes(array))
    return paths


@contextmanager
def _own_numpy_stream(seed: int) -> Iterator[None]:
    """Run with NumPy's global generator seeded, then put it back."""
    before = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before)


def design_bench_task(name: str, *, data: Path | None = None, seed: int = 0) -> DesignBenchTask:
    """The task `name` of the user's design-bench, made by `design_bench.make`.

    Data files are looked for in `data`; without it, in the installation's own `design_bench_data`, then in the
    folder of that name in the cache, where TFBind8's are written if the cache has TFBind8. Making a task draws from
    NumPy's global generator (for TFBind10 it chooses the 10,000 designs): it is seeded with `seed` for that, and put
    back. Raises ValueError for a name that design-bench does not know, `DataUnavailable` for everything missing.
    """
    cached = cache_folder() / "design_bench_data"
    looked = []
    for folder in [own_data_folder(), cached] if data is None else [data]:
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


def _make(name: str, folder: Path, seed: int) -> DesignBenchTask:
    with bridged(folder) as bench, _own_numpy_stream(seed):
        bench.package.registry.spec(name)  # ValueError for an unknown name
        if "MorganFingerprint" in name and not bench.has_vocabulary:
            raise DataUnavailable(f"{name} needs the SMILES vocabulary, {own_data_folder() / 'smiles_vocab.txt'}")
        try:
            task = bench.package.make(name, dataset_kwargs=DATASET_ARGUMENTS.get(name))
        except FileNotFoundError:
            raise
        except Exception as error:  # simulators raise anything
            raise DataUnavailable(
                f"design-bench could not make {name} from {folder}: {type(error).__name__}: {error}"
            ) from error
        return DesignBenchTask(name, task, bench.bridges)
