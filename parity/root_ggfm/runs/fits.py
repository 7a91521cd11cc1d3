"""Whether a configuration can be run to its end on a task: what is known before training is said before training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parity.root_ggfm.tasks.task import CONSTANTS, Task

__all__ = ["check_fits", "check_task_name"]

_POOL = 1024
_BEST = 2000


def check_fits(config: Mapping[str, Any], task: Task, switches: Sequence[str] = ()) -> None:
    """ValueError naming the entry that stops a run on this task, in training or only in the test.

    `cosine` steps start outside of the schedule; candidates and start points must be among the N offline designs.
    `switches`: those of ggfm that are on; with `pool`, half of the start points are among the 2000 best designs.
    """
    params, testing, gp = config["model"]["BB"]["params"], config["testing"], config["GP"]
    n, wanted, share = len(task.y), testing["num_candidates"], testing["percentile_sampling"]
    if params["skip_sample"] and params["sample_type"] == "cosine":
        raise ValueError("config: model.BB.params.sample_type 'cosine' cannot be sampled with; allowed is 'linear'")
    among = {"low": int(share * n), "high": int(share * n), "random": n}.get(testing["type_sampling"], wanted)
    if wanted > among:
        raise ValueError(
            f"config: testing.num_candidates must be at most the {among} designs that type_sampling "
            f"{testing['type_sampling']!r} draws from (percentile_sampling {share}, {n} designs), got {wanted}"
        )
    pool = min(n, _POOL) if gp["type_of_initial_points"] in ("highest", "lowest") else n
    if "pool" in switches:
        most = min(2 * _BEST + 1, 2 * n)
        if gp["num_points"] > most:
            raise ValueError(
                f"config: GP.num_points must be at most {most} with the switch pool, got {gp['num_points']}"
            )
    elif gp["num_points"] > pool:
        raise ValueError(
            f"config: GP.num_points must be at most the {pool} designs of the pool "
            f"{gp['type_of_initial_points']!r}, got {gp['num_points']}"
        )


def check_task_name(config: Mapping[str, Any], task_name: str) -> None:
    """`task.name` decides on the range by which both sides normalise scores: it must be the range of the task run.

    Raises ValueError if it is another one.
    """
    named, run = CONSTANTS.get(str(config["task"]["name"])), CONSTANTS.get(task_name)
    if named is None or run is None or (named.y_min, named.y_max) == (run.y_min, run.y_max):
        return
    raise ValueError(
        f"config: task.name is {named.name}, whose scores run from {named.y_min:g} to {named.y_max:g}; those of "
        f"--task {run.name} run from {run.y_min:g} to {run.y_max:g}. They must be the same: choose the other task, or "
        "--set task.name"
    )
