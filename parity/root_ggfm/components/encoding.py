"""The designs of a task as numbers, and the task afterwards.

    discrete   task.to_logits(task.x) flattened to (N, L (V-1)), the task itself left as it is;  continuous: task.x

Source: ROOT, `runners.utils.get_offline_data`.
"""

from dataclasses import dataclass

import numpy as np
import torch

import reference_root
from ggfm.data import encode, is_mapped
from parity.root_ggfm.component import Context, Params, Policy, Side, StudyComponent, Switches, Tree
from parity.root_ggfm.inputs import task_of, task_sizes
from parity.root_ggfm.tasks.task import Task

__all__ = ["COMPONENT", "Inputs"]


@dataclass(frozen=True)
class Inputs:
    """A task, unmapped."""

    task: Task


def build(params: Params, ctx: Context) -> Inputs:
    """Return the session's task, or a small one."""
    return Inputs(task_of(params, ctx))


def root(i: Inputs) -> Tree:
    """Return `x` (N, D), and of the task afterwards `task_x_after` and `task_is_mapped`."""
    x = torch.from_numpy(reference_root.encode_designs(i.task))
    after = i.task.x
    return {
        "x": x,
        "task_x_after": torch.from_numpy(after.copy()),
        "task_is_mapped": bool(i.task.is_discrete and after.ndim == 3),
    }


def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Return the same. GGFM may map the task itself."""
    x = encode(i.task, switches)
    return {
        "x": torch.from_numpy(np.array(x)),
        "task_x_after": torch.from_numpy(np.array(i.task.x)),
        "task_is_mapped": is_mapped(i.task),
    }


def stated(i: Inputs, on: frozenset[str], reference: Side) -> Tree:
    """`encoding`: the task itself becomes logits."""
    tree: Tree = reference.encoding(task=i.task)
    if "encoding" not in on or not i.task.is_discrete:
        return tree
    i.task.map_to_logits()
    return tree | {"task_x_after": torch.from_numpy(i.task.x), "task_is_mapped": True}


_WHOLE_TASK = {"source": "task", "rows": 0, "dim": 0, "normalize_x": True, "normalize_y": True, "seed": 0}
_DISCRETE = {"source": "discrete", "rows": 30, "dim": 5, "normalize_x": True, "normalize_y": True, "seed": 0}

COMPONENT = StudyComponent(
    name="encoding",
    after="loader",
    title="How designs of a discrete task become numbers, and what that does to the task",
    formula="task.to_logits(task.x) flattened to (N, L (V-1)); continuous: task.x",
    inputs=Inputs,
    strategy=task_sizes,
    build=build,
    root=root,
    ggfm=ggfm,
    stated=stated,
    policy=Policy(exact=("x", "task_x_after")),
    examples=[_WHOLE_TASK, _DISCRETE, _DISCRETE | {"source": "continuous"}],
    on_task=True,
    cost=0.5,
)
