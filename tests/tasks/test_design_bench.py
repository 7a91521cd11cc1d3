"""Our TFBind8 against design-bench's own task, and the adapter to any task of an installation.

Runs where design-bench is installed. With PARITY_REQUIRE_DESIGN_BENCH set, its absence is a failure, not a skip.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from parity.root_ggfm.tasks import tfbind8
from parity.root_ggfm.tasks.design_bench import DesignBenchTask, design_bench_task, installed, write_design_bench_files
from parity.root_ggfm.tasks.task import ArrayTask, Task
from parity.root_ggfm.tasks.tfbind8 import DataUnavailable

pytestmark = pytest.mark.design_bench

NAME = "TFBind8-Exact-v0"
EXACT = "design_bench.oracles.exact"


@pytest.fixture(scope="module", autouse=True)
def _design_bench() -> None:
    if not installed():
        (pytest.fail if os.environ.get("PARITY_REQUIRE_DESIGN_BENCH") else pytest.skip)("design-bench is not installed")


@pytest.fixture(scope="module")
def data(lookalike: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `design_bench_data` folder: TFBind8 (measured, if it is in the cache) and a small ToyContinuous."""
    folder = tmp_path_factory.mktemp("data") / "design_bench_data"
    write_design_bench_files(folder, tfbind8.full_table() if tfbind8.is_cached() else tfbind8.parse(lookalike))
    random = np.random.RandomState(0)
    (folder / "toy_continuous").mkdir()
    for shard in range(14):
        x = random.uniform(size=(5, 3)).astype(np.float32)
        np.save(folder / "toy_continuous" / f"toy_continuous-x-{shard}.npy", x)
        np.save(folder / "toy_continuous" / f"toy_continuous-y-{shard}.npy", -((x - 0.5) ** 2).sum(1, keepdims=True))
    return folder


@pytest.fixture(scope="module")
def published(data: Path) -> DesignBenchTask:
    return design_bench_task(NAME, data=data)


@pytest.fixture(scope="module")
def ours(lookalike: bytes) -> ArrayTask:
    return tfbind8.table_task(*(tfbind8.full_table() if tfbind8.is_cached() else tfbind8.parse(lookalike)))


def assert_same(first: NDArray[Any], second: NDArray[Any]) -> None:
    """Equal to the bit, in shape and type too."""
    assert (first.shape, first.dtype) == (second.shape, second.dtype)
    np.testing.assert_array_equal(first, second)


def test_same_task_to_the_bit(published: DesignBenchTask, ours: ArrayTask) -> None:
    assert isinstance(published, Task)
    assert (published.name, published.is_discrete, published.num_classes) == (NAME, True, 4)
    assert_same(published.x, ours.x)
    assert_same(published.y, ours.y)
    logits = published.to_logits(published.x)
    assert_same(logits, ours.to_logits(ours.x))
    noisy = logits + np.random.RandomState(0).normal(size=logits.shape).astype(np.float32)
    assert_same(published.to_integers(noisy), ours.to_integers(noisy))
    every = np.stack(np.unravel_index(np.arange(0, 4**8, 7), (4,) * 8), axis=1).astype(np.int32)
    assert_same(published.predict(every), ours.predict(every))


def test_same_task_after_mapping(published: DesignBenchTask, ours: ArrayTask) -> None:
    untouched, published, ours = published, published.copy(), ours.copy()
    for task in (published, ours):
        task.map_to_logits()
        assert task.is_mapped
        assert task.is_discrete
    assert not untouched.is_mapped
    assert_same(published.x, ours.x)
    assert_same(published.y, ours.y)
    noisy = ours.x[::16] + np.random.RandomState(0).normal(size=ours.x[::16].shape).astype(np.float32)
    assert_same(published.predict(noisy), ours.predict(noisy))


@pytest.mark.parametrize("num_classes", [2, 3, 5, 20])
def test_same_logits_for_any_number_of_classes(num_classes: int, published: DesignBenchTask) -> None:
    x = np.random.RandomState(0).randint(num_classes, size=(33, 7))
    theirs = published.copy().task
    theirs.dataset.num_classes = num_classes
    ours = ArrayTask("any", x, np.zeros((33, 1)), lambda x: x[:, 0], num_classes=num_classes)
    assert_same(theirs.to_logits(x), ours.to_logits(x))


def test_nan_is_scored_by_design_bench_and_refused_here(published: DesignBenchTask) -> None:
    task = published.copy()
    task.map_to_logits()
    designs = task.x[:2]
    designs[1] = np.nan
    assert np.isfinite(task.task.predict(designs)).all()
    with pytest.raises(ValueError, match="x: 1 of 2 designs hold NaN or infinity, the first is row 1"):
        task.predict(designs)


def test_float64(published: DesignBenchTask) -> None:
    double = published.astype(np.float64)
    double.map_to_logits()
    assert double.x.dtype == double.predict(double.x[:3]).dtype == np.float64
    np.testing.assert_array_equal(double.x, published.to_logits(published.x))
    mapped = published.copy()
    mapped.map_to_logits()
    with pytest.raises(ValueError, match="astype before map_to_logits"):
        mapped.astype(np.float64)


def test_any_task_of_the_installation(data: Path) -> None:
    task = design_bench_task("ToyContinuous-Exact-v0", data=data)
    assert not task.is_discrete
    assert not task.is_mapped
    np.testing.assert_allclose(task.predict(task.x), task.y, rtol=1e-5)
    with pytest.raises(ValueError, match="continuous task"):
        _ = task.num_classes
    with pytest.raises(ValueError, match="only supported on discrete datasets"):
        task.map_to_logits()


def test_bridges_are_told_and_taken_down(published: DesignBenchTask, data: Path) -> None:
    disk_resource = importlib.import_module("design_bench.disk_resource")
    assert f"data files taken from {data}" in published.bridges
    assert str(data) != disk_resource.DATA_DIR
    assert disk_resource.direct_download.__module__ == "design_bench.disk_resource"
    hollow = [name for name, module in sys.modules.items() if name == EXACT and not hasattr(module, "__file__")]
    assert hollow == []
    for name in ("NINF", "PINF"):
        assert any(f"np.{name}" in bridge for bridge in published.bridges) != hasattr(np, name)


def test_making_a_task_leaves_numpys_generator_alone(data: Path) -> None:
    np.random.seed(3)
    expected = np.random.rand()
    np.random.seed(3)
    design_bench_task("ToyContinuous-Exact-v0", data=data)
    assert np.random.rand() == expected


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match=r"TFBind10-Exact-v0: .*nowhere is not there.*beckhamc/design_bench_data"):
        design_bench_task("TFBind10-Exact-v0", data=tmp_path / "nowhere")
    with pytest.raises(DataUnavailable, match=r"ant_morphology-x-0\.npy is not there"):
        design_bench_task("AntMorphology-Exact-v0", data=tmp_path)


def test_damaged_file_is_named(data: Path, tmp_path: Path) -> None:
    x, _ = write_design_bench_files(tmp_path, (np.zeros((3, 8), np.int32), np.zeros((3, 1), np.float32)))
    x.write_bytes(x.read_bytes()[:-5])
    with pytest.raises(DataUnavailable, match=f"could not make {NAME} from {tmp_path}: "):
        design_bench_task(NAME, data=tmp_path)


def test_unknown_name(data: Path) -> None:
    with pytest.raises(ValueError, match="No registered task with name: Nothing-Exact-v0"):
        design_bench_task("Nothing-Exact-v0", data=data)


def test_cached_tfbind8_is_enough(pinned: bytes, tmp_path: Path, cache: Path) -> None:
    source = tmp_path / "text"
    source.write_bytes(pinned)
    tfbind8.fetch(source)
    task = design_bench_task(NAME)
    assert (cache / "design_bench_data").is_dir()
    assert_same(task.x, tfbind8.load().x)
