"""Tasks by name."""

from __future__ import annotations

from parity.root_ggfm.tasks import tfbind8
from parity.root_ggfm.tasks.design_bench import DesignBenchTask, design_bench_task
from parity.root_ggfm.tasks.synthetic import CONTINUOUS, DISCRETE, synthetic8, synthetic_continuous
from parity.root_ggfm.tasks.task import ArrayTask

__all__ = ["NAMES", "PREFIX", "load_task"]

PREFIX = "design-bench:"
NAMES = ("auto", tfbind8.NAME, DISCRETE, CONTINUOUS, f"{PREFIX}NAME")
"""The names that `load_task` takes; NAME is any task of an installed design-bench."""


def load_task(name: str = "auto", *, fetch: bool = False) -> tuple[ArrayTask | DesignBenchTask, str]:
    """Return the task `name` and a note on where it comes from.

    `auto` is TFBind8 if it is in the cache, else the built-in discrete task, and the note says so. With `fetch`,
    TFBind8 is downloaded where it is missing. Raises ValueError for an unknown name, `DataUnavailable` for a task
    that was asked for by name and is not available, `DataCorrupt` for a damaged file: it is never passed over.
    """
    if name.startswith(PREFIX):
        task = design_bench_task(name.removeprefix(PREFIX))
        return task, f"{task.name} of the installed design-bench; bridged: {'; '.join(task.bridges) or 'nothing'}"
    if name == DISCRETE:
        return synthetic8(), f"{name}, built in"
    if name == CONTINUOUS:
        return synthetic_continuous(), f"{name}, built in"
    if name not in NAMES:
        raise ValueError(f"name: unknown task {name!r}; allowed: {', '.join(NAMES)}")
    try:
        if fetch and tfbind8.status()["state"] != "ok":
            tfbind8.fetch()
        measured = tfbind8.load()
        return measured, f"{tfbind8.NAME}, {len(measured.y)} measured designs"
    except tfbind8.DataUnavailable as error:
        if name != "auto":
            raise
        return synthetic8(), f"{error}; the built-in synthetic task {DISCRETE} takes its place"
