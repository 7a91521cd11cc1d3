"""The normalised scores of the sampled designs, and their percentiles.

    score = (task.predict(x std_x + mean_x) - y_min)/(y_max - y_min);  quantiles 1.0, 0.8, 0.5, interpolation "higher"

Source: ROOT (arXiv 2509.16300, section on experiments), `BBDMRunner.test`.
"""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

import reference_root
from ggfm.evaluation import evaluate
from parity.root_ggfm.component import Context, Params, StudyComponent, Switches, Tree, gaussian
from parity.root_ggfm.inputs import generator_of, seeds, small_task
from parity.root_ggfm.tasks.task import Task

__all__ = ["COMPONENT", "Inputs"]

_CONTINUOUS = [(-880.4585, 340.90985), (-386.90036, 590.24445)]
_DISCRETE = [(0.0, 1.0), (-1.8585268, 2.1287067)]
"""Smallest and largest score of the published tasks of either kind: published code knows no others."""


@dataclass(frozen=True)
class Inputs:
    """Sampled designs, and the task in its test form: a discrete one is mapped to logits."""

    task: Task
    designs: Tensor  # (n, D), standardised
    mean_x: Tensor  # (D,)
    std_x: Tensor  # (D,)
    y_min: float
    y_max: float


@st.composite
def strategy(draw: st.DrawFn) -> dict[str, Any]:
    """Draw designs of all kinds of tasks, some of them repeated."""
    source = draw(st.sampled_from(["continuous", "discrete", "task"]), label="task")
    y_min, y_max = draw(st.sampled_from(_CONTINUOUS if source == "continuous" else _DISCRETE), label="range")
    return {
        "source": source,
        "rows": draw(st.integers(2, 30), label="N"),
        "dim": draw(st.integers(1, 5), label="D"),
        "n": draw(st.integers(1, 12), label="designs"),
        "repeat": draw(st.sampled_from([1, 2, 5]), label="times each design is repeated"),
        "y_min": y_min,
        "y_max": y_max,
        "seed": draw(seeds, label="seed"),
    }


def build(params: Params, ctx: Context) -> Inputs:
    """Return designs near offline ones."""
    g = generator_of(params)
    task = copy.deepcopy(ctx.task) if params["source"] == "task" else small_task(params, g)
    if task.is_discrete:
        task.map_to_logits()
    offline = torch.from_numpy(np.asarray(task.x, dtype=np.float32).reshape(len(task.x), -1))
    mean, std = offline.mean(0), offline.std(0, correction=0) + 0.1
    rows = torch.randint(len(offline), (params["n"],), generator=g)
    near = offline[rows] + gaussian(g, params["n"], offline.shape[1], scale=0.5)
    designs = ((near - mean) / std).repeat(params["repeat"], 1)
    return Inputs(task, designs, mean, std, params["y_min"], params["y_max"])


def root(i: Inputs) -> Tree:
    """Return `scores` (n,) normalised, and `percentiles` (3,): 100th, 80th, 50th."""
    scores, percentiles = reference_root.evaluate_designs(i.task, i.designs, i.mean_x, i.std_x, i.y_min, i.y_max)
    return {"scores": scores, "percentiles": percentiles}


def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Return the same."""
    scored = evaluate(i.task, i.designs, i.mean_x, i.std_x, i.y_min, i.y_max)
    return {"scores": scored.scores, "percentiles": scored.percentiles}


_EVALUATION = {
    "source": "task", "rows": 30, "dim": 4, "n": 12, "repeat": 2, "y_min": 0.0, "y_max": 1.0, "seed": 0,
}  # fmt: skip

COMPONENT = StudyComponent(
    name="evaluation",
    after="target",
    title="Normalised scores of the sampled designs, and their percentiles",
    formula="score = (task.predict(x std + mean) - y_min)/(y_max - y_min); quantiles 1.0, 0.8, 0.5, 'higher'",
    inputs=Inputs,
    strategy=strategy,
    build=build,
    root=root,
    ggfm=ggfm,
    examples=[_EVALUATION, _EVALUATION | {"source": "continuous", "y_min": -880.4585, "y_max": 340.90985}],
    on_task=True,
)
