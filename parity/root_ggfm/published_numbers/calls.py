"""How each recorded component is called on a side: the explicit translation of recorded names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from parity.root_ggfm.contract import Bridge
from parity.root_ggfm.published_numbers.folder import GoldenCase, GoldenFolder
from parity.root_ggfm.tasks.task import ArrayTask
from parity.side import Side, Tree

__all__ = ["CALLS", "prepare"]

Prepared = tuple[Callable[..., Tree], dict[str, Any]]


def prepare(case: GoldenCase, folder: GoldenFolder, side: Side) -> Prepared:
    """The call that repeats a recorded case, and its inputs.

    Raises KeyError for a component that is not known here.
    """
    return CALLS[case.component](case, folder, side)


def _bridge(case: GoldenCase) -> Bridge:
    fields = {n: case.params[n] for n in Bridge.__dataclass_fields__ if n in case.params and n != "dtype"}
    sizes = {tuple(array.shape) for name, array in case.state.items() if name.endswith("main.0.weight")}
    for hidden, columns in sizes:
        fields |= {"dim": columns - 3, "hidden": hidden}
    return Bridge(**fields)


def _plain(method: str) -> Callable[[GoldenCase, GoldenFolder, Side], Prepared]:
    """A component whose recorded inputs already have the side's names."""

    def call(case: GoldenCase, folder: GoldenFolder, side: Side) -> Prepared:
        given = {n: array for n, array in case.inputs.items() if not n.startswith("state/")}
        return getattr(side, method), {"bridge": _bridge(case), **given}

    return call


def _with_state(method: str, **fixed: Any) -> Callable[[GoldenCase, GoldenFolder, Side], Prepared]:
    """As `_plain`, with the recorded weights."""

    def call(case: GoldenCase, folder: GoldenFolder, side: Side) -> Prepared:
        function, inputs = _plain(method)(case, folder, side)
        return function, inputs | {"state": case.state} | fixed

    return call


def _sampling(method: str) -> Callable[[GoldenCase, GoldenFolder, Side], Prepared]:
    def call(case: GoldenCase, folder: GoldenFolder, side: Side) -> Prepared:
        function, inputs = _with_state(method)(case, folder, side)
        inputs |= {"clip_denoised": case.params["clip_denoised"], "guidance_weight": case.params["cfg_weight"]}
        return function, inputs | ({"step": case.params["step"]} if "step" in case.params else {})

    return call


def _gp(case: GoldenCase, folder: GoldenFolder, side: Side) -> Prepared:
    return side.gp, {**case.inputs, **case.params}


def _gp_pairs(case: GoldenCase, folder: GoldenFolder, side: Side) -> Prepared:
    def call(**given: Any) -> Tree:
        return side.gp_pairs(**given) | {"next_rand": torch.rand(4)}

    return call, {**case.inputs, **case.params}


def _too_few_points(case: GoldenCase, folder: GoldenFolder, side: Side) -> Prepared:
    defaults = {
        "lengthscale": 1.0, "variance": 1.0, "noise": 0.01, "num_gradient_steps": 50, "learning_rate": 0.001,
        "delta_lengthscale": 0.1, "delta_variance": 0.1, "threshold_diff": 0.1,
    }  # fmt: skip
    pool = case.inputs["pool"]
    params = {name: value for name, value in case.params.items() if name != "error"}
    return side.gp_pairs, {"x_train": pool, "y_train": pool.sum(1), "pool": pool, **defaults, **params}


def _dataloader(case: GoldenCase, folder: GoldenFolder, side: Side) -> Prepared:
    pairs = folder.case(case.params["pairs"])
    # A function without a pair may have been recorded as nothing at all.
    no_rows = pairs.inputs["pool"][:0]
    nothing = {"x_high": no_rows, "x_low": no_rows, "y_high": no_rows[:, 0], "y_low": no_rows[:, 0]}
    functions = [
        {name: pairs.outputs.get(f"f{f}/{name}", nothing[name]) for name in ("x_high", "y_high", "x_low", "y_low")}
        for f in range(len(pairs.outputs["counts"]))
    ]

    def call(functions: list[Mapping[str, Tensor]], val_frac: float, batch_size: int) -> Tree:
        tree = side.loader(functions=functions, val_frac=val_frac, batch_size=batch_size, shuffle=True, passes=2)
        tree |= {"next_rand": torch.rand(4)}
        held_out = side.split(functions=functions, val_frac=val_frac)
        return tree | {
            "n_val": torch.tensor(len(held_out["val/x_low"])),
            "val/x_low": held_out["val/x_low"],
            "val/y_high": held_out["val/y_high"],
        }

    return call, {"functions": functions, "val_frac": case.params["val_frac"], "batch_size": case.params["batch_size"]}


def _candidates(case: GoldenCase, folder: GoldenFolder, side: Side) -> Prepared:
    return side.candidates, {**case.inputs, **case.params}


def _ema(case: GoldenCase, folder: GoldenFolder, side: Side) -> Prepared:
    count = len({name.split("/")[0] for name in case.inputs})
    weights = [case.nested(f"w{k}") for k in range(count)]
    return side.ema, {
        "decay": case.params["decay"],
        "decay_from_step": case.params["decay_from_step"],
        "weights": weights,
    }


def _runner(case: GoldenCase, folder: GoldenFolder, side: Side) -> Prepared:
    x, y = case.inputs["x"].numpy(), case.inputs["y"].numpy()
    goal = case.inputs["goal"].numpy() if "goal" in case.inputs else None

    def oracle(designs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        scores = -(designs**2) if goal is None else designs == goal
        return np.asarray(scores.sum(axis=1) if goal is None else scores.mean(axis=1))

    task = ArrayTask(case.params["task"], x, y.reshape(len(y), 1), oracle, num_classes=None if goal is None else 4)
    seed = case.params["run"]["seed"]
    return side.training, {"config": case.params["config"], "task": task, "seed": seed, "dtype": torch.float32}


CALLS: dict[str, Callable[[GoldenCase, GoldenFolder, Side], Prepared]] = {
    "schedule": _plain("schedule"),
    "sample_steps": _plain("sample_steps"),
    "q_sample": _plain("q_sample"),
    "predict_x0": _plain("predict_x0"),
    "initial_weights": _plain("initial_weights"),
    "denoiser": _with_state("denoiser"),
    "p_losses": _with_state("p_losses"),
    "forward_seeded": _with_state("p_losses", t=None, noise=None),
    "p_sample": _sampling("p_sample"),
    "sample": _sampling("sample"),
    "gp": _gp,
    "gp_pairs": _gp_pairs,
    "gp_pairs_too_few_points": _too_few_points,
    "dataloader": _dataloader,
    "candidates": _candidates,
    "ema": _ema,
    "runner": _runner,
}
