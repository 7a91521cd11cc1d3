"""The forward process: schedule, reverse steps, q_sample, predict_x0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from parity.component import Component, Context, Params, gaussian
from parity.policy import Policy
from parity.root_ggfm.components.strategies import batch, bridges, make_bridge, seeds

__all__ = ["COMPONENTS", "timesteps"]


def timesteps(params: Mapping[str, Any], generator: torch.Generator) -> Tensor:
    """(B,) timesteps, the first ones at the ends 0 and T-1, the rest drawn; or the first one outside, at T or -1."""
    t = torch.randint(params["num_timesteps"], (params["batch"],), generator=generator)
    ends = torch.tensor([0, params["num_timesteps"] - 1])[: params["batch"]]
    t[: len(ends)] = ends if params.get("ends", True) else t[: len(ends)]
    if params.get("outside"):
        t[0] = {"above": params["num_timesteps"], "below": -1}[params["outside"]]
    return t


def _nothing(params: Params, ctx: Context) -> dict[str, Any]:
    return {}


def _bridge_only(params: Params, ctx: Context) -> dict[str, Any]:
    return {"bridge": make_bridge(params)}


@st.composite
def _points(draw: st.DrawFn) -> dict[str, Any]:
    return {
        **draw(bridges()),
        "batch": draw(batch, label="B"),
        "ends": draw(st.booleans(), label="t at 0 and T-1"),
        "scale": draw(st.sampled_from([1.0, 0.01, 100.0]), label="scale"),
        "given_noise": draw(st.booleans(), label="noise is given"),
        "seed": draw(seeds, label="seed"),
    }


def _q_sample(params: Params, ctx: Context) -> dict[str, Any]:
    g = torch.Generator().manual_seed(params["seed"])
    shape = params["batch"], params["dim"]
    return {
        "bridge": make_bridge(params),
        "x_high": gaussian(g, *shape, scale=params["scale"]),
        "x_low": gaussian(g, *shape, scale=params["scale"]),
        "t": timesteps(params, g),
        "noise": gaussian(g, *shape) if params["given_noise"] else None,
    }


def _predict_x0(params: Params, ctx: Context) -> dict[str, Any]:
    g = torch.Generator().manual_seed(params["seed"])
    shape = params["batch"], params["dim"]
    return {
        "bridge": make_bridge(params),
        "x_t": gaussian(g, *shape, scale=params["scale"]),
        "x_low": gaussian(g, *shape, scale=params["scale"]),
        "t": timesteps(params, g),
        "objective_recon": gaussian(g, *shape),
    }


def _bad_steps(params: Params) -> bool:
    if not params["skip_sample"]:
        return False
    if params["sample_type"] == "linear":
        return bool(params["sample_step"] <= 2 or params["num_timesteps"] <= 1)
    return bool(params["sample_type"] != "cosine")


def _bad_point(params: Params) -> bool:
    return params["objective"] not in ("grad", "noise", "ysubx") or bool(params.get("outside"))


_PUBLISHED = {
    "num_timesteps": 1000, "mt_type": "linear", "max_var": 1.0, "eta": 0.2, "skip_sample": True,
    "sample_type": "linear", "sample_step": 200, "loss_type": "l1", "objective": "grad", "dim": 6, "hidden": 16,
}  # fmt: skip
_POINT = _PUBLISHED | {"batch": 4, "ends": True, "scale": 1.0, "given_noise": True, "seed": 0}

COMPONENTS = [
    Component(
        name="defaults",
        title="What is taken where nothing is given",
        formula="max_var 1, eta 1; clip on, weight 0; 50 steps, 5 functions, 10 points, rate 0.001, deltas 0.1, 0.1",
        strategy=lambda: st.just({"seed": 0}),
        build=_nothing,
        examples=[{"seed": 0}],
        cost=0.01,
    ),
    Component(
        name="schedule",
        title="Mean and variance schedule of the bridge",
        formula="m_t; v_t = 2 (m_t - m_t²) max_var; v_t|s = v_t - v_s ((1 - m_t)/(1 - m_s))²; v_t|s v_s / v_t",
        strategy=bridges,
        build=_bridge_only,
        policy=Policy(shared_scale=True),
        examples=[
            _PUBLISHED,
            _PUBLISHED | {"mt_type": "sin"},
            _PUBLISHED | {"num_timesteps": 2, "sample_step": 3},
            _PUBLISHED | {"mt_type": "cosine"},
        ],
        refused=lambda p: p["mt_type"] not in ("linear", "sin"),
    ),
    Component(
        name="sample_steps",
        title="Timesteps that the reverse process visits, and the model's state dict",
        formula="torch.arange(T-1, 1, -(T-1)/(S-2)) in float32, truncated, then 1, 0; or T-1, ..., 0",
        strategy=bridges,
        build=_bridge_only,
        policy=Policy(exact=("steps",)),
        examples=[
            _PUBLISHED,
            _PUBLISHED | {"sample_step": 1010},
            _PUBLISHED | {"skip_sample": False, "num_timesteps": 7},
            _PUBLISHED | {"sample_type": "cosine", "num_timesteps": 100, "sample_step": 20},
            _PUBLISHED | {"sample_step": 2},
            _PUBLISHED | {"sample_step": 3},
            _PUBLISHED | {"num_timesteps": 1},
            _PUBLISHED | {"sample_type": "quadratic"},
        ],
        refused=_bad_steps,
    ),
    Component(
        name="q_sample",
        title="Forward process: a point of the bridge and what the network learns",
        formula="x_t = (1 - m) x_high + m x_low + sigma noise; grad: m (x_low - x_high) + sigma noise",
        strategy=_points,
        build=_q_sample,
        examples=[
            _POINT,
            *(_POINT | {"objective": o, "mt_type": m} for o in ("noise", "ysubx", "grad") for m in ("linear", "sin")),
            _POINT | {"given_noise": False},
            _POINT | {"objective": "score"},
            _POINT | {"outside": "above"},
            _POINT | {"outside": "below"},
        ],
        refused=_bad_point,
    ),
    Component(
        name="predict_x0",
        title="The high design that a prediction stands for",
        formula="grad: x_t - r; noise: (x_t - m x_low - sigma r)/(1 - m); ysubx: x_low - r",
        strategy=_points,
        build=_predict_x0,
        examples=[
            _POINT,
            _POINT | {"objective": "noise"},
            _POINT | {"objective": "ysubx"},
            _POINT | {"objective": "score"},
            # Of the others no formula reads t, and code that checks nothing takes any.
            _POINT | {"objective": "noise", "outside": "above"},
            _POINT | {"objective": "noise", "outside": "below"},
        ],
        refused=_bad_point,
    ),
]
