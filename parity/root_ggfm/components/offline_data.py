"""The offline designs and scores, standardised and shuffled.

    (x - mean)/std over the rows in their original order, by NumPy in float32, where a zero std of x becomes 1;
    then one np.random.permutation(N)

Source: ROOT, `runners.utils.get_offline_data`.
"""

from dataclasses import dataclass

import reference_root
from ggfm.data import OfflineData
from parity.root_ggfm.component import Context, Params, StudyComponent, Switches, Tree
from parity.root_ggfm.inputs import task_of, task_sizes
from parity.root_ggfm.tasks.task import Task

__all__ = ["COMPONENT", "Inputs"]


@dataclass(frozen=True)
class Inputs:
    """A task, unmapped, and what of it is standardised."""

    task: Task
    normalize_x: bool
    normalize_y: bool


def build(params: Params, ctx: Context) -> Inputs:
    """Return the session's task, or a small one."""
    return Inputs(task_of(params, ctx), params["normalize_x"], params["normalize_y"])


def root(i: Inputs) -> Tree:
    """Return `x` (N, D), `y` (N,), `mean_x`, `std_x` (D,), `mean_y`, `std_y` (), in the task's own precision."""
    return dict(vars(reference_root.get_offline_data(i.task, i.normalize_x, i.normalize_y)))


def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Return the same."""
    data = OfflineData.of(i.task, normalize_x=i.normalize_x, normalize_y=i.normalize_y, switches=switches)
    return {name: getattr(data, name) for name in ("x", "y", "mean_x", "std_x", "mean_y", "std_y")}


_WHOLE_TASK = {"source": "task", "rows": 0, "dim": 0, "normalize_x": True, "normalize_y": True, "seed": 0}
_DISCRETE = {"source": "discrete", "rows": 30, "dim": 5, "normalize_x": True, "normalize_y": True, "seed": 0}

COMPONENT = StudyComponent(
    name="offline_data",
    after="encoding",
    title="Standardised and shuffled offline designs",
    formula="(x - mean)/std over the rows in their original order, zero std becomes 1; np.random.permutation(N)",
    inputs=Inputs,
    strategy=task_sizes,
    build=build,
    root=root,
    ggfm=ggfm,
    examples=[
        _WHOLE_TASK,
        _DISCRETE,
        _DISCRETE | {"source": "continuous"},
        _DISCRETE | {"normalize_x": False, "normalize_y": False},
    ],
    on_task=True,
)
