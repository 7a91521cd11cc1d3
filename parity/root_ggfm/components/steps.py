"""Training followed step by step, on equal initial weights and equal pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from hypothesis import strategies as st

from parity.component import Component, Context, Params, gaussian
from parity.policy import Policy
from parity.root_ggfm.components.strategies import seeds
from parity.root_ggfm.components.training import SMALL_RUN, small_run
from parity.root_ggfm.contract import Pairs
from parity.root_ggfm.training_trace import record_timeline
from parity.side import MissingComponent, Side, Tree

__all__ = ["COMPONENTS", "LONG"]


@st.composite
def _params(draw: st.DrawFn) -> dict[str, Any]:
    return _STEPS | {
        "optimizer": draw(st.sampled_from(["Adam", "RMSProp", "SGD"]), label="optimizer"),
        "loss_type": draw(st.sampled_from(["l1", "l2"]), label="loss"),
        "accumulate": draw(st.integers(1, 3), label="accumulation"),
        "guidance_prob": draw(st.sampled_from([0.15, 0.0, 0.5]), label="guidance_prob"),
        "use_ema": draw(st.booleans(), label="EMA"),
        "start_ema_step": draw(st.sampled_from([4, 1, 6]), label="start_ema_step"),
        "patience": draw(st.integers(0, 2), label="patience"),
        "cooldown": draw(st.integers(0, 2), label="cooldown"),
        "val_frac": draw(st.sampled_from([0.1, 0.0, 0.3]), label="val_frac"),
        "validation_interval": draw(st.integers(1, 2), label="validation_interval"),
        "epochs": draw(st.integers(1, 3), label="epochs"),
        "pairs": draw(st.integers(4, 20), label="pairs per function"),
        "functions": draw(st.integers(1, 2), label="functions"),
        "seed": draw(seeds, label="seed"),
    }


def _build(params: Params, ctx: Context) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(params["seed"])

    def function() -> Pairs:
        n, dim = params["pairs"], params["dim"]
        y_low = gaussian(generator, n)
        return {
            "x_high": gaussian(generator, n, dim),
            "y_high": y_low + gaussian(generator, n).abs(),
            "x_low": gaussian(generator, n, dim),
            "y_low": y_low,
        }

    pairs = [[function() for _ in range(params["functions"])] for _ in range(params["epochs"])]
    return small_run(params, ctx) | {"pairs": pairs}


def _follow(side: Side) -> Callable[..., Tree]:
    own: Callable[..., Tree] | None = getattr(side, "training_steps", None)

    def follow(*, pairs: Sequence[Sequence[Pairs]], **given: Any) -> Tree:
        if not hasattr(side, "start_training"):
            raise MissingComponent(f"{side.name} has no start_training")
        return record_timeline(side.start_training(**given), pairs, test=False)

    return own or follow


_STEPS = SMALL_RUN | {"patience": 1, "cooldown": 1, "validation_interval": 2, "pairs": 20, "functions": 2}

LONG = _STEPS | {
    "epochs": 14, "pairs": 65, "start_ema_step": 100, "patience": 20, "cooldown": 10, "validation_interval": 3,
}  # fmt: skip
"""210 steps: 15 batches per epoch, an odd number, so that gradients accumulate across epochs, the last batch partial;
the average decays from step 100 on; the rate falls several times; five validations."""

COMPONENTS = [
    Component(
        name="training_steps",
        title="Each training step: draws, loss, gradient, learning rate, weights and their average",
        formula="per batch: reseed, mask, t, noise, loss, gradient; step, schedule, average; validation between epochs",
        strategy=_params,
        build=_build,
        policy=Policy(exact=("*/lr", "*/batch/*", "*draw*", "*/before*")),
        call=_follow,
        examples=[
            _STEPS,
            LONG,
            _STEPS | {"optimizer": "RMSProp", "loss_type": "l2", "use_ema": False, "accumulate": 3},
        ],
        cost=0.1,
    ),
]
