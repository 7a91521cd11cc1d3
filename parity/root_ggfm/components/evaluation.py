"""The test: start candidates, the score asked for, normalised scores and their percentiles."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from parity.component import Component, Context, Params, gaussian
from parity.policy import Policy
from parity.root_ggfm.components.data import designs, small_task
from parity.root_ggfm.components.strategies import seeds

__all__ = ["COMPONENTS"]

_TYPES = ["highest", "lowest", "low", "high", "random"]
_CONTINUOUS = [(-880.4585, 340.90985), (-386.90036, 590.24445)]
_DISCRETE = [(0.0, 1.0), (-1.8585268, 2.1287067)]
"""Smallest and largest score of the published tasks of either kind: published code knows no others."""


@st.composite
def _candidate_params(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "source": "gaussian",
        "rows": draw(st.integers(5, 60), label="N"),
        "dim": draw(st.integers(1, 4), label="D"),
        "levels": draw(st.sampled_from([10**6, 1, 3]), label="different scores"),
        "n_candidates": draw(st.integers(1, 20), label="candidates"),
        "type": draw(st.sampled_from(_TYPES), label="type"),
        "percentile_sampling": draw(st.sampled_from([0.2, 0.35, 1.0]), label="share"),
        "seed": draw(seeds, label="seed"),
    }


def _candidates(params: Params, ctx: Context) -> dict[str, Any]:
    g = torch.Generator().manual_seed(params["seed"])
    if params["source"] == "task":
        x, y = designs(params | {"rows": len(ctx.task.x)}, ctx, g)  # type: ignore[operator]
    else:
        x = gaussian(g, params["rows"], params["dim"])
        y = torch.randint(params["levels"], (params["rows"],), generator=g).float()
    return {"x": x, "y": y, **{n: params[n] for n in ("n_candidates", "type", "percentile_sampling", "seed")}}


def _too_few(params: Params) -> bool:
    if params["source"] == "task" or params["type"] in ("highest", "lowest"):
        return False
    share = params["rows"] if params["type"] == "random" else int(params["percentile_sampling"] * params["rows"])
    return bool(params["n_candidates"] > share)


@st.composite
def _target_params(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "source": "gaussian",
        "rows": draw(st.integers(2, 60), label="N"),
        "dim": 1,
        "y_max": draw(st.sampled_from([1.0, 340.90985, 2.1287067]), label="y_max"),
        "alpha": draw(st.sampled_from([0.8, 1.0, 0.0]), label="alpha"),
        "n": draw(st.integers(1, 8), label="candidates"),
        "seed": draw(seeds, label="seed"),
    }


def _target(params: Params, ctx: Context) -> dict[str, Any]:
    g = torch.Generator().manual_seed(params["seed"])
    if params["source"] == "task":
        y = torch.from_numpy(np.ascontiguousarray(ctx.task.y[:, 0], dtype=np.float32))
    else:
        y = gaussian(g, params["rows"], scale=0.1 * params["y_max"]) + 0.5 * params["y_max"]
    return {"y": y, **{name: params[name] for name in ("y_max", "alpha", "n")}}


@st.composite
def _evaluation_params(draw: st.DrawFn) -> dict[str, Any]:
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


def _evaluation(params: Params, ctx: Context) -> dict[str, Any]:
    g = torch.Generator().manual_seed(params["seed"])
    task = copy.deepcopy(ctx.task) if params["source"] == "task" else small_task(params, g)
    if task.is_discrete:
        task.map_to_logits()
    offline = torch.from_numpy(np.asarray(task.x, dtype=np.float32).reshape(len(task.x), -1))
    mean, std = offline.mean(0), offline.std(0, correction=0) + 0.1
    rows = torch.randint(len(offline), (params["n"],), generator=g)
    near = offline[rows] + gaussian(g, params["n"], offline.shape[1], scale=0.5)
    return {
        "task": task,
        "designs": ((near - mean) / std).repeat(params["repeat"], 1),
        "mean_x": mean,
        "std_x": std,
        "y_min": params["y_min"],
        "y_max": params["y_max"],
    }


_CANDIDATES = {
    "source": "gaussian", "rows": 60, "dim": 3, "levels": 10**6, "n_candidates": 8, "type": "highest",
    "percentile_sampling": 0.2, "seed": 0,
}  # fmt: skip
_TARGET = {"source": "gaussian", "rows": 60, "dim": 1, "y_max": 340.90985, "alpha": 0.8, "n": 4, "seed": 0}
_EVALUATION = {
    "source": "task", "rows": 30, "dim": 4, "n": 12, "repeat": 2, "y_min": 0.0, "y_max": 1.0, "seed": 0,
}  # fmt: skip

COMPONENTS = [
    Component(
        name="candidates",
        title="Offline designs from which sampling starts in the test",
        formula="argsort(y); highest: last n; lowest: first n; low, high, random: np.random.seed, choice of n",
        strategy=_candidate_params,
        build=_candidates,
        policy=Policy(exact=("x", "y")),
        refused=_too_few,
        examples=[
            *(_CANDIDATES | {"type": kind} for kind in _TYPES),
            *(_CANDIDATES | {"source": "task", "n_candidates": 64, "type": kind} for kind in ("highest", "low")),
            _CANDIDATES | {"levels": 1},
            _CANDIDATES | {"type": "low", "n_candidates": 12},
            _CANDIDATES | {"type": "low", "n_candidates": 13},
            _CANDIDATES | {"type": "random", "n_candidates": 60},
        ],
        on_task=True,
    ),
    Component(
        name="target",
        title="The score that sampling is asked for",
        formula="alpha (y_max - mean_y)/std_y with the offline statistics in float32",
        strategy=_target_params,
        build=_target,
        examples=[_TARGET, _TARGET | {"source": "task", "y_max": 1.0}],
        on_task=True,
    ),
    Component(
        name="evaluation",
        title="Normalised scores of the sampled designs, and their percentiles",
        formula="score = (task.predict(x std + mean) - y_min)/(y_max - y_min); quantiles 1.0, 0.8, 0.5, 'higher'",
        strategy=_evaluation_params,
        build=_evaluation,
        examples=[_EVALUATION, _EVALUATION | {"source": "continuous", "y_min": -880.4585, "y_max": 340.90985}],
        on_task=True,
    ),
]
