"""Offline data: encoding, standardisation and shuffling, and the pool that GP sampling starts from."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from parity.component import Component, Context, Params, gaussian
from parity.policy import Policy
from parity.root_ggfm.components.strategies import seeds
from parity.root_ggfm.tasks.task import ArrayTask, Task

__all__ = ["COMPONENTS", "designs", "small_task"]


def designs(params: Params, ctx: Context, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(N, D) standardised designs and (N,) scores: rows of the session's task, or Gaussian on a smooth landscape."""
    n = params["rows"]
    if params["source"] == "gaussian":
        x = gaussian(generator, n, params["dim"])
        return x, torch.sin(x.sum(1)) + 0.1 * gaussian(generator, n)
    task = ctx.task
    rows = torch.randperm(len(task.x), generator=generator)[:n].numpy()
    x_rows = task.to_logits(task.x[rows]).reshape(len(rows), -1) if task.is_discrete else task.x[rows]
    x = torch.from_numpy(np.ascontiguousarray(x_rows, dtype=np.float32))
    y = torch.from_numpy(np.ascontiguousarray(task.y[rows, 0], dtype=np.float32))
    return (x - x.mean(0)) / (x.std(0, correction=0) + 0.1), (y - y.mean()) / (y.std(correction=0) + 1e-3)


def small_task(params: Params, generator: torch.Generator) -> Task:
    """A task with tied scores: discrete with 4 letters, or continuous with one column that never changes."""
    n, dim = params["rows"], params["dim"]
    y = (torch.randint(20, (n, 1), generator=generator).float() / 7).numpy()
    if params["source"] == "discrete":
        letters = torch.randint(4, (n, dim), generator=generator).int().numpy()
        goal = torch.randint(4, (dim,), generator=generator).int().numpy()
        return ArrayTask("discrete", letters, y, partial(_share, goal), num_classes=4)
    x = gaussian(generator, n, dim, scale=3.0)
    x[:, 0] = 2.5
    return ArrayTask("continuous", x.numpy(), y, _sphere)


def _share(goal: np.ndarray[Any, Any], x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray((x == goal).mean(axis=1), dtype=np.float32)


def _sphere(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(-(x**2).sum(axis=1))


@st.composite
def _task_params(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "source": draw(st.sampled_from(["continuous", "discrete"]), label="task"),
        "rows": draw(st.integers(1, 40), label="N"),
        "dim": draw(st.integers(1, 6), label="D"),
        "normalize_x": draw(st.booleans(), label="normalize_x"),
        "normalize_y": draw(st.booleans(), label="normalize_y"),
        "seed": draw(seeds, label="seed"),
    }


def _task(params: Params, ctx: Context) -> Task:
    if params["source"] == "task":
        return ctx.task
    return small_task(params, torch.Generator().manual_seed(params["seed"]))


def _offline_data(params: Params, ctx: Context) -> dict[str, Any]:
    return {"task": _task(params, ctx), **{name: params[name] for name in ("normalize_x", "normalize_y")}}


@st.composite
def _pool_params(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "rows": draw(st.one_of(st.integers(1, 50), st.sampled_from([1023, 1024, 1500, 2600])), label="N"),
        "dim": draw(st.integers(1, 4), label="D"),
        "levels": draw(st.sampled_from([1, 3, 10**6]), label="different scores"),
        "type_of_initial_points": draw(st.sampled_from(["highest", "lowest", "all"]), label="pool"),
        "source": "gaussian",
        "seed": draw(seeds, label="seed"),
    }


def _pool(params: Params, ctx: Context) -> dict[str, Any]:
    g = torch.Generator().manual_seed(params["seed"])
    if params["source"] == "task":
        x, y = designs(params | {"rows": len(ctx.task.x)}, ctx, g)  # type: ignore[operator]
    else:
        x = gaussian(g, params["rows"], params["dim"])
        y = torch.randint(params["levels"], (params["rows"],), generator=g).float()
    return {
        "x": x,
        "y": y,
        "type_of_initial_points": params["type_of_initial_points"],
        "num_points": 1024,
        "epochs": 2,
    }


_WHOLE_TASK = {"source": "task", "rows": 0, "dim": 0, "normalize_x": True, "normalize_y": True, "seed": 0}
_DISCRETE = {"source": "discrete", "rows": 30, "dim": 5, "normalize_x": True, "normalize_y": True, "seed": 0}
_POOL = {"source": "gaussian", "rows": 2600, "dim": 3, "levels": 10**6, "type_of_initial_points": "highest", "seed": 0}

COMPONENTS = [
    Component(
        name="encoding",
        title="How designs of a discrete task become numbers, and what that does to the task",
        formula="task.to_logits(task.x) flattened to (N, L (V-1)); continuous: task.x",
        strategy=_task_params,
        build=lambda params, ctx: {"task": _task(params, ctx)},
        policy=Policy(exact=("x", "task_x_after")),
        examples=[_WHOLE_TASK, _DISCRETE, _DISCRETE | {"source": "continuous"}],
        on_task=True,
        cost=0.5,
    ),
    Component(
        name="offline_data",
        title="Standardised and shuffled offline designs",
        formula="(x - mean)/std over the rows in their original order, zero std becomes 1; np.random.permutation(N)",
        strategy=_task_params,
        build=_offline_data,
        examples=[
            _WHOLE_TASK,
            _DISCRETE,
            _DISCRETE | {"source": "continuous"},
            _DISCRETE | {"normalize_x": False, "normalize_y": False},
        ],
        on_task=True,
    ),
    Component(
        name="pool",
        title="Designs from which GP sampling starts",
        formula="highest: the last 1024 of argsort(y); lowest: the first 1024; else all",
        strategy=_pool_params,
        build=_pool,
        policy=Policy(exact=("epoch*",)),
        examples=[
            _POOL,
            _POOL | {"source": "task"},
            _POOL | {"levels": 3},
            _POOL | {"rows": 700},
            _POOL | {"type_of_initial_points": "lowest"},
        ],
        on_task=True,
        cost=0.5,
    ),
]
