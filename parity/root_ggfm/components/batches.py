"""The split into training and validation pairs, and the batches made of them."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from parity.component import Component, Context, Params, gaussian
from parity.policy import Policy
from parity.root_ggfm.components.strategies import seeds

__all__ = ["COMPONENTS"]


@st.composite
def _split_params(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "counts": draw(st.lists(st.integers(0, 12), min_size=1, max_size=3), label="pairs per function"),
        "dim": draw(st.integers(1, 5), label="D"),
        "val_frac": draw(st.sampled_from([0.1, 0.0, 0.2, 0.5, 0.95]), label="val_frac"),
        "seed": draw(seeds, label="seed"),
    }


@st.composite
def _loader_params(draw: st.DrawFn) -> dict[str, Any]:
    return {
        **draw(_split_params()),
        "batch_size": draw(st.sampled_from([4, 1, 7, 64]), label="batch size"),
        "shuffle": draw(st.booleans(), label="shuffle"),
    }


def _functions(params: Params) -> list[dict[str, Tensor]]:
    g = torch.Generator().manual_seed(params["seed"])
    dim = params["dim"]
    return [
        {
            "x_high": gaussian(g, n, dim),
            "y_high": gaussian(g, n),
            "x_low": gaussian(g, n, dim),
            "y_low": gaussian(g, n),
        }
        for n in params["counts"]
    ]


def _split(params: Params, ctx: Context) -> dict[str, Any]:
    return {"functions": _functions(params), "val_frac": params["val_frac"]}


def _loader(params: Params, ctx: Context) -> dict[str, Any]:
    return _split(params, ctx) | {"batch_size": params["batch_size"], "shuffle": params["shuffle"], "passes": 2}


def training_pairs(params: Params) -> int:
    """How many pairs are left for training."""
    return sum(n - int(n * params["val_frac"]) for n in params["counts"])


_SPLIT = {"counts": [12, 7, 9], "dim": 3, "val_frac": 0.1, "seed": 0}
_LOADER = _SPLIT | {"batch_size": 4, "shuffle": True}

COMPONENTS = [
    Component(
        name="split",
        title="Which pairs are trained on and which are held out",
        formula="per function the first int(n val_frac) pairs are validation; functions concatenated in order",
        strategy=_split_params,
        build=_split,
        policy=Policy(exact=("*",)),
        refused=lambda p: training_pairs(p) == 0,
        examples=[
            _SPLIT,
            _SPLIT | {"val_frac": 0.2},
            _SPLIT | {"val_frac": 0.0},
            _SPLIT | {"val_frac": 0.95},
            _SPLIT | {"counts": [1]},
            _SPLIT | {"counts": [19], "val_frac": 0.95},
            _SPLIT | {"counts": [0]},
        ],
    ),
    Component(
        name="loader",
        title="Training batches: order, shapes, randomness consumed",
        formula="DataLoader(train, batch_size, shuffle): last partial batch kept",
        strategy=_loader_params,
        build=_loader,
        policy=Policy(exact=("*",)),
        refused=lambda p: training_pairs(p) == 0 and p["shuffle"],
        examples=[
            _LOADER,
            _LOADER | {"counts": [130, 140, 40], "batch_size": 64},
            _LOADER | {"counts": [700, 600], "batch_size": 64},
            _LOADER | {"batch_size": 1},
            _LOADER | {"shuffle": False},
            _LOADER | {"counts": [1]},
            _LOADER | {"counts": [0, 0]},
        ],
    ),
]
