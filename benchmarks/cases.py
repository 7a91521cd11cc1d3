"""What is timed: each case builds its inputs once and returns the call to time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

import reference_root
from ggfm.batches import Batches, split_pairs
from ggfm.pairs import Pairs
from ggfm.switches import Switches
from parity.root_ggfm.contract import Bridge
from parity.root_ggfm.sides.root_config import published_config
from parity.root_ggfm.tasks.task import ArrayTask
from parity.side import Side

__all__ = ["CASES", "build"]

Call = Callable[[], object]


def _pairs(side: Side, num_functions: int) -> Call:
    """Pair sampling at D'Kitty's size: 10,004 designs, 56 dimensions, 1,024 points, 100 gradient steps."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(10_004, 56, generator=g)
    y = torch.sin(x[:, :8].sum(1))
    pool = x[torch.argsort(y)[-1024:]]
    return lambda: side.gp_pairs(
        x_train=x, y_train=y, pool=pool, lengthscale=1.0, variance=1.0, noise=0.01, num_functions=num_functions,
        num_points=1024, num_gradient_steps=100, learning_rate=0.001, delta_lengthscale=0.25, delta_variance=0.25,
        seed=0, threshold_diff=0.001,
    )  # fmt: skip


def _loader(side: Side) -> Call:
    """One epoch: split and loader made from sampled pairs, each side's own form of them, and every batch taken.

    8 functions of 1,024 pairs of 56 dimensions, val_frac 0.1, batch size 64, shuffled.
    """
    g = torch.Generator().manual_seed(0)
    highs, lows = torch.randn(8, 1024, 56, generator=g), torch.randn(8, 1024, 56, generator=g)
    y_highs, y_lows = torch.randn(8, 1024, generator=g), torch.randn(8, 1024, generator=g)
    functions = list(zip(highs, y_highs, lows, y_lows, strict=True))

    def reference() -> object:
        loader, _ = reference_root.create_train_dataloader(nested, 0.1, 64, True)
        return list(loader)

    def candidate() -> object:
        training, _ = split_pairs(stacked, 0.1, aligned)
        return list(Batches(training, 64, True, aligned))

    if side.name == "reference_root":
        nested = {
            f"f{k}": [((a, b), (c, d)) for a, b, c, d in zip(*function, strict=True)]
            for k, function in enumerate(functions)
        }
        return reference
    aligned, stacked = Switches.aligned(), [Pairs(*function) for function in functions]
    return candidate


def _sampling(side: Side) -> Call:
    """128 designs of 56 dimensions, 200 steps, hidden 1024, guided with weight -1.5."""
    g = torch.Generator().manual_seed(0)
    bridge = Bridge(dim=56, hidden=1024, eta=0.2)
    sizes = [(1024, 59), (1024, 1024), (1024, 1024), (56, 1024)]
    state = {}
    for layer, (rows, columns) in zip((0, 2, 4, 6), sizes, strict=True):
        state[f"denoise_fn.main.{layer}.weight"] = torch.randn(rows, columns, generator=g) / math.sqrt(columns)
        state[f"denoise_fn.main.{layer}.bias"] = torch.zeros(rows)
    given: dict[str, Any] = {
        "x_low": torch.randn(128, 56, generator=g),
        "y_low": torch.randn(128, generator=g),
        "y_high": torch.full((128,), 2.0),
    }
    return lambda: side.sample(bridge, state=state, clip_denoised=False, guidance_weight=-1.5, **given)


def _epoch(side: Side) -> Call:
    """One training epoch at ROOT's size on given pairs: 8 x 1,024 of 56 dimensions, hidden 1024, batch 64.

    Loader, loss, gradient, accumulation over 2 batches, Adam, scheduler and moving average; 116 steps.
    """
    g = torch.Generator().manual_seed(0)
    x = torch.randn(1024, 56, generator=g).numpy()
    task = ArrayTask("designs", x, x.sum(axis=1, keepdims=True), lambda designs: designs.sum(axis=1))
    pairs = [
        {"x_high": high, "x_low": low, "y_high": high.sum(1), "y_low": low.sum(1)}
        for high, low in zip(*torch.randn(2, 8, 1024, 56, generator=g), strict=True)
    ]
    training = side.start_training(config=published_config("DKittyMorphology-Exact-v0"), task=task, seed=0)
    return lambda: training.epoch(pairs=pairs)


CASES: dict[str, tuple[str, Callable[[Side], Call]]] = {
    "pairs-1": ("pair sampling, D'Kitty's size, 1 function", lambda side: _pairs(side, 1)),
    "pairs-8": ("pair sampling, D'Kitty's size, 8 functions", lambda side: _pairs(side, 8)),
    "loader": ("loader epoch, 8 x 1,024 pairs, batch 64", _loader),
    "epoch": ("training epoch, 8 x 1,024 pairs, hidden 1024, batch 64", _epoch),
    "sampling": ("sampling, 128 designs, 200 steps, hidden 1024, guided", _sampling),
}


def build(case: str, side: Side) -> Call:
    """The call to time."""
    torch.manual_seed(0)
    return CASES[case][1](side)
