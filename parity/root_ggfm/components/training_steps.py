"""Training, followed step by step from equal initial weights on equal pairs.

    per batch: reseed by the step, mask conditions, draw t and noise, loss, gradient; step, schedule, average;
    validation between epochs

Source: ROOT (arXiv 2509.16300, section on training), `BaseRunner.train`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st

import reference_root
from parity.root_ggfm.component import Context, Params, Policy, StudyComponent, Switches, Tree, gaussian
from parity.root_ggfm.components import training
from parity.root_ggfm.components.training import SMALL_RUN
from parity.root_ggfm.contract import Pairs, Training
from parity.root_ggfm.inputs import generator_of, seeds
from parity.root_ggfm.sides.training import GgfmTraining, RootTraining
from parity.root_ggfm.tasks.task import Task
from parity.root_ggfm.training_trace import record_timeline

__all__ = ["COMPONENT", "LONG", "Inputs"]


@dataclass(frozen=True)
class Inputs:
    """A run, and the pairs that it trains on in place of sampled ones."""

    config: Mapping[str, Any]  # ROOT's, as nested plain values
    task: Task  # unmapped
    seed: int
    dtype: torch.dtype
    pairs: Sequence[Sequence[Pairs]]  # per epoch, per function


@st.composite
def strategy(draw: st.DrawFn) -> dict[str, Any]:
    """Draw runs of up to three epochs, on pairs of their own; ROOT divides by zero where none of them is held out."""
    pairs = draw(st.integers(4, 20), label="pairs per function")
    return _STEPS | {
        "optimizer": draw(st.sampled_from(["Adam", "RMSProp", "SGD"]), label="optimizer"),
        "loss_type": draw(st.sampled_from(["l1", "l2"]), label="loss"),
        "accumulate": draw(st.integers(1, 3), label="accumulation"),
        "guidance_prob": draw(st.sampled_from([0.15, 0.0, 0.5]), label="guidance_prob"),
        "use_ema": draw(st.booleans(), label="EMA"),
        "start_ema_step": draw(st.sampled_from([4, 1, 6]), label="start_ema_step"),
        "patience": draw(st.integers(0, 2), label="patience"),
        "cooldown": draw(st.integers(0, 2), label="cooldown"),
        "val_frac": draw(st.sampled_from([frac for frac in (0.3, 0.25, 0.1) if int(pairs * frac)]), label="val_frac"),
        "validation_interval": draw(st.integers(1, 2), label="validation_interval"),
        "epochs": draw(st.integers(1, 3), label="epochs"),
        "pairs": pairs,
        "functions": draw(st.integers(1, 2), label="functions"),
        "seed": draw(seeds, label="seed"),
    }


def build(params: Params, ctx: Context) -> Inputs:
    """Return a small run, with Gaussian pairs whose high scores are higher."""
    g = generator_of(params)

    def function() -> Pairs:
        n, dim = params["pairs"], params["dim"]
        y_low = gaussian(g, n)
        return {
            "x_high": gaussian(g, n, dim),
            "y_high": y_low + gaussian(g, n).abs(),
            "x_low": gaussian(g, n, dim),
            "y_low": y_low,
        }

    pairs = [[function() for _ in range(params["functions"])] for _ in range(params["epochs"])]
    return Inputs(**vars(training.build(params, ctx)), pairs=pairs)


def root(i: Inputs) -> Tree:
    """Return the tree of `record_timeline`, without the test."""
    config = reference_root.Config.from_mapping(i.config)
    return record_timeline(RootTraining(config, i.task, i.seed, i.dtype, "cpu"), i.pairs, test=False)


def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Return the same."""
    return record_timeline(GgfmTraining(i.config, i.task, i.seed, switches, i.dtype, "cpu"), i.pairs, test=False)


def _followed(start_training: Callable[..., Training]) -> Callable[..., Tree]:
    """Follow a side that can start a run, and has no `training_steps` of its own."""

    def follow(*, pairs: Sequence[Sequence[Pairs]], **given: Any) -> Tree:
        return record_timeline(start_training(**given), pairs, test=False)

    return follow


_STEPS = SMALL_RUN | {"patience": 1, "cooldown": 1, "validation_interval": 2, "pairs": 20, "functions": 2}

LONG = _STEPS | {
    "epochs": 14, "pairs": 65, "start_ema_step": 100, "patience": 20, "cooldown": 10, "validation_interval": 3,
}  # fmt: skip
"""210 steps: 15 batches per epoch, an odd number, so that gradients accumulate across epochs, the last batch partial;
the average decays from step 100 on; the rate falls several times; five validations."""

COMPONENT = StudyComponent(
    name="training_steps",
    after="evaluation",
    title="Each training step: draws, loss, gradient, learning rate, weights and their average",
    formula="per batch: reseed, mask, t, noise, loss, gradient; step, schedule, average; validation between epochs",
    inputs=Inputs,
    strategy=strategy,
    build=build,
    root=root,
    ggfm=ggfm,
    instead={"start_training": _followed},
    policy=Policy(exact=("*/lr", "*/batch/*", "*draw*", "*/before*")),
    examples=[
        _STEPS,
        LONG,
        _STEPS | {"optimizer": "RMSProp", "loss_type": "l2", "use_ema": False, "accumulate": 3},
    ],
    cost=0.1,
)
