"""The inputs that several components share: the ranges of values they are tried on, and how those become tensors.

Notation: B batch, D design dimension, T `num_timesteps`, S `sample_step`, N designs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from parity.component import Context, Params, gaussian
from parity.root_ggfm.contract import Bridge, Pairs
from parity.root_ggfm.tasks.task import ArrayTask, Task

__all__ = [
    "PUBLISHED", "bridges", "chain_of", "chains", "denoiser_state", "designs", "functions_of", "generator_of",
    "hyperparameters", "layer_weights", "make_bridge", "network_points", "pair_counts", "pairs_of", "points",
    "scored_designs", "seeds", "small_task", "task_of", "task_sizes", "timesteps", "training_pairs",
]  # fmt: skip

seeds = st.integers(0, 2**16)
_batch = st.integers(1, 9)
_max_vars = st.sampled_from([1.0, 0.5, 2.0, 0.0, 0.013])
"""max_var 0 makes the bridge deterministic and its variances 0/0 in places: both sides must then agree on the NaN."""

PUBLISHED: dict[str, Any] = {
    "num_timesteps": 1000, "mt_type": "linear", "max_var": 1.0, "eta": 0.2, "skip_sample": True,
    "sample_type": "linear", "sample_step": 200, "loss_type": "l1", "objective": "grad", "dim": 6, "hidden": 16,
}  # fmt: skip
"""The published bridge, on few dimensions and a small network."""


def generator_of(params: Params) -> torch.Generator:
    """Return the generator from which the input that `params` describe is made."""
    return torch.Generator().manual_seed(params["seed"])


# The bridge and its network.


@st.composite
def bridges(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the values of a bridge: T from 2, S from 3 to beyond T, both schedules, three objectives, both losses.

    Skipped steps only exist for T > 1 and S > 2; the examples of `sample_steps` hold values that are refused.
    """
    num_timesteps = draw(st.one_of(st.integers(2, 40), st.sampled_from([100, 999, 1000])), label="T")
    return {
        "num_timesteps": num_timesteps,
        "mt_type": draw(st.sampled_from(["linear", "sin"]), label="mt_type"),
        "max_var": draw(_max_vars, label="max_var"),
        "eta": draw(st.sampled_from([1.0, 0.2, 0.0]), label="eta"),
        "skip_sample": draw(st.booleans(), label="skip_sample"),
        "sample_type": "linear",
        "sample_step": draw(st.integers(3, min(num_timesteps, 60) + 8), label="S"),
        "loss_type": draw(st.sampled_from(["l1", "l2"]), label="loss"),
        "objective": draw(st.sampled_from(["grad", "noise", "ysubx"]), label="objective"),
        "dim": draw(st.integers(1, 8), label="D"),
        "hidden": draw(st.sampled_from([4, 16, 1]), label="hidden"),
    }


def make_bridge(params: Params) -> Bridge:
    """Return the bridge that the plain values describe."""
    return Bridge(**{name: params[name] for name in PUBLISHED if name in params})


@st.composite
def points(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a bridge, and the size of a batch of points on it."""
    return {
        **draw(bridges()),
        "batch": draw(_batch, label="B"),
        "ends": draw(st.booleans(), label="t at 0 and T-1"),
        "scale": draw(st.sampled_from([1.0, 0.01, 100.0]), label="scale"),
        "given_noise": draw(st.booleans(), label="noise is given"),
        "seed": draw(seeds, label="seed"),
    }


@st.composite
def network_points(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a bridge with its network, and the size of a batch for it."""
    return {
        **draw(bridges()),
        "batch": draw(_batch, label="B"),
        "ends": draw(st.booleans(), label="t at 0 and T-1"),
        "seed": draw(seeds, label="seed"),
    }


@st.composite
def chains(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a bridge, and what a reverse process over it is given."""
    return {
        **draw(bridges()),
        "batch": draw(_batch, label="B"),
        "clip_denoised": draw(st.booleans(), label="clip"),
        "guidance_weight": draw(st.sampled_from([-1.5, 0.0, 0.7, -1.0, 3.0]), label="guidance weight"),
        "seed": draw(seeds, label="seed"),
    }


def chain_of(params: Params, generator: torch.Generator) -> dict[str, Any]:
    """Return a network and Gaussian designs for a reverse process; high scores lie around 1."""
    n, dim = params["batch"], params["dim"]
    return {
        "bridge": make_bridge(params),
        "state": denoiser_state(params, generator),
        "x_low": gaussian(generator, n, dim),
        "y_low": gaussian(generator, n),
        "y_high": gaussian(generator, n) + 1.0,
        "clip_denoised": params["clip_denoised"],
        "guidance_weight": params["guidance_weight"],
    }


def timesteps(params: Params, generator: torch.Generator) -> Tensor:
    """Return (B,) timesteps: the first ones at the ends 0 and T-1, the rest drawn; or the first outside, at T or -1."""
    t = torch.randint(params["num_timesteps"], (params["batch"],), generator=generator)
    ends = torch.tensor([0, params["num_timesteps"] - 1])[: params["batch"]]
    t[: len(ends)] = ends if params.get("ends", True) else t[: len(ends)]
    if params.get("outside"):
        t[0] = {"above": params["num_timesteps"], "below": -1}[params["outside"]]
    return t


def denoiser_state(params: Params, generator: torch.Generator) -> dict[str, Tensor]:
    """Return weights under ROOT's names: D+3 -> H -> H -> H -> D, of a size that lets every input matter."""
    dim, hidden = params["dim"], params["hidden"]
    state = {}
    for layer, (rows, columns) in zip(
        (0, 2, 4, 6), [(hidden, dim + 3), (hidden, hidden), (hidden, hidden), (dim, hidden)], strict=True
    ):
        weight = gaussian(generator, rows, columns, scale=1 / math.sqrt(columns))
        if layer == 0:
            weight[:, dim] /= params["num_timesteps"]  # the raw timestep goes in: keep it from drowning the rest
        state[f"denoise_fn.main.{layer}.weight"] = weight
        state[f"denoise_fn.main.{layer}.bias"] = gaussian(generator, rows, scale=0.3)
    return state


def layer_weights(generator: torch.Generator, scale: float = 1.0) -> dict[str, Tensor]:
    """Return a weight (3, 2) and a bias (3,): parameters of the smallest model that has both."""
    return {"weight": gaussian(generator, 3, 2, scale=scale), "bias": gaussian(generator, 3, scale=scale)}


# Pairs.


def pairs_of(generator: torch.Generator, n: int, dim: int) -> dict[str, Tensor]:
    """Return n pairs whose scores are standard normal: negative and positive, as a batch holds them."""
    return {
        "x_high": gaussian(generator, n, dim),
        "y_high": gaussian(generator, n),
        "x_low": gaussian(generator, n, dim),
        "y_low": gaussian(generator, n),
    }


@st.composite
def pair_counts(draw: st.DrawFn) -> dict[str, Any]:
    """Draw how many pairs each function has, none included, and the share of them that is held out."""
    return {
        "counts": draw(st.lists(st.integers(0, 12), min_size=1, max_size=3), label="pairs per function"),
        "dim": draw(st.integers(1, 5), label="D"),
        "val_frac": draw(st.sampled_from([0.1, 0.0, 0.2, 0.5, 0.95]), label="val_frac"),
        "seed": draw(seeds, label="seed"),
    }


def functions_of(params: Params) -> Sequence[Pairs]:
    """Return the pairs of each function."""
    g = generator_of(params)
    return [pairs_of(g, n, params["dim"]) for n in params["counts"]]


def training_pairs(params: Params) -> int:
    """Return how many pairs are left for training."""
    return sum(n - int(n * params["val_frac"]) for n in params["counts"])


# Designs and tasks.


@st.composite
def hyperparameters(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a Gaussian process, and the designs that it is fitted on."""
    return {
        "source": draw(st.sampled_from(["gaussian", "task"]), label="designs"),
        "rows": draw(st.integers(1, 40), label="N"),
        "dim": draw(st.integers(1, 8), label="D"),
        "lengthscale": draw(st.sampled_from([1.0, 6.25, 1.3, 0.5]), label="lengthscale"),
        "variance": draw(st.sampled_from([1.0, 6.25, 0.8]), label="variance"),
        "noise": draw(st.sampled_from([0.01, 0.1, 1.0]), label="noise"),
        "seed": draw(seeds, label="seed"),
    }


def designs(params: Params, ctx: Context, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return (N, D) standardised designs and (N,) scores: of the session's task, or Gaussian on a smooth landscape."""
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


def scored_designs(params: Params, ctx: Context, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return designs to choose from: all of the session's task, or Gaussian ones of `levels` different scores."""
    if params["source"] == "task":
        return designs({**params, "rows": len(ctx.task.x)}, ctx, generator)
    x = gaussian(generator, params["rows"], params["dim"])
    return x, torch.randint(params["levels"], (params["rows"],), generator=generator).float()


@st.composite
def task_sizes(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a small task, and what of it is standardised."""
    return {
        "source": draw(st.sampled_from(["continuous", "discrete"]), label="task"),
        "rows": draw(st.integers(1, 40), label="N"),
        "dim": draw(st.integers(1, 6), label="D"),
        "normalize_x": draw(st.booleans(), label="normalize_x"),
        "normalize_y": draw(st.booleans(), label="normalize_y"),
        "seed": draw(seeds, label="seed"),
    }


def task_of(params: Params, ctx: Context) -> Task:
    """Return the session's task, or a small one."""
    if params["source"] == "task":
        task: Task = ctx.task
        return task
    return small_task(params, generator_of(params))


def small_task(params: Params, generator: torch.Generator) -> Task:
    """Return a task with tied scores: discrete with 4 letters, or continuous with one column that never changes."""
    n, dim = params["rows"], params["dim"]
    y = (torch.randint(20, (n, 1), generator=generator).float() / 7).numpy()
    if params["source"] == "discrete":
        letters = torch.randint(4, (n, dim), generator=generator).int().numpy()
        goal = torch.randint(4, (dim,), generator=generator).int().numpy()
        return ArrayTask("discrete", letters, y, partial(_share, goal), num_classes=4)
    x = gaussian(generator, n, dim, scale=3.0)
    x[:, 0] = 2.5
    return ArrayTask("continuous", x.numpy(), y, _sphere)


def _share(goal: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    return np.asarray((x == goal).mean(axis=1), dtype=np.float32)


def _sphere(x: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(-(x**2).sum(axis=1))
