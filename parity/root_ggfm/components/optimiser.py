"""The weights and the learning rate after each batch.

    every `accumulate_grad_batches` batches: optimiser step on the summed gradient, gradients zeroed, and
    ReduceLROnPlateau(min, rel) stepped with this batch's loss

Source: ROOT (arXiv 2509.16300, section on training), `runners.utils.get_optimizer` and the loop in `BaseRunner.train`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

import reference_root
from ggfm.optimisation import Updater
from parity.root_ggfm.component import Context, Params, Policy, Side, StudyComponent, Switches, Tree
from parity.root_ggfm.inputs import generator_of, layer_weights, seeds
from parity.root_ggfm.sides.models import prefixed

__all__ = ["COMPONENT", "Inputs"]


@dataclass(frozen=True)
class Inputs:
    """Initial weights, and per batch a gradient and a loss."""

    optimizer: Mapping[str, Any]  # ROOT's section of that name
    lr_scheduler: Mapping[str, Any]  # ROOT's section of that name
    accumulate_grad_batches: int
    weights: Mapping[str, Tensor]
    grads: Sequence[Mapping[str, Tensor]]
    losses: Sequence[float]


@st.composite
def strategy(draw: st.DrawFn) -> dict[str, Any]:
    """Draw all optimisers, with schedulers that wait, reduce, and reach their smallest rate."""
    return {
        "optimizer": draw(st.sampled_from(["Adam", "RMSProp", "SGD"]), label="optimizer"),
        "lr": draw(st.sampled_from([1e-3, 0.1]), label="lr"),
        "beta1": draw(st.sampled_from([0.9, 0.5]), label="beta1"),
        "weight_decay": draw(st.sampled_from([0.0, 0.01]), label="weight decay"),
        "accumulate": draw(st.integers(1, 3), label="accumulation"),
        "batches": draw(st.integers(1, 14), label="batches"),
        "patience": draw(st.integers(0, 3), label="patience"),
        "cooldown": draw(st.integers(0, 2), label="cooldown"),
        "factor": draw(st.sampled_from([0.5, 0.1]), label="factor"),
        "threshold": draw(st.sampled_from([1e-4, 0.1]), label="threshold"),
        "min_lr": draw(st.sampled_from([5e-7, 4e-4]), label="min_lr"),
        "losses": draw(st.sampled_from(["stall", "creep"]), label="losses"),
        "grad_scale": draw(st.sampled_from([1.0, 30.0]), label="gradient size"),
        "seed": draw(seeds, label="seed"),
    }


def build(params: Params, ctx: Context) -> Inputs:
    """Return Gaussian weights and gradients."""
    g = generator_of(params)
    n = params["batches"]
    return Inputs(
        optimizer={name: params[name] for name in ("optimizer", "lr", "beta1", "weight_decay")},
        lr_scheduler={name: params[name] for name in ("factor", "patience", "threshold", "cooldown", "min_lr")},
        accumulate_grad_batches=params["accumulate"],
        weights=layer_weights(g),
        grads=[layer_weights(g, params["grad_scale"]) for _ in range(n)],
        losses=_losses(params["losses"], n, g),
    )


def _losses(kind: str, n: int, g: torch.Generator) -> list[float]:
    """Return losses that fall, then stall, so that the scheduler waits and reduces; or large, slowly falling ones."""
    k = torch.arange(n, dtype=torch.float64)
    values = 100 - 0.005 * k if kind == "creep" else 1 / (1 + k % 5) + 0.01 * torch.rand(n, generator=g).double()
    return [float(value) for value in values]


def _add(gradients: Mapping[str, Tensor], parameters: Mapping[str, nn.Parameter]) -> None:
    """Add to each parameter's gradient, as a backward pass does."""
    for name, parameter in parameters.items():
        added = gradients[name].clone()
        parameter.grad = added if parameter.grad is None else parameter.grad + added


def root(i: Inputs) -> Tree:
    """Return `w{k}/<name>` and `lr{k}` after batch k. The global step counts from 1."""
    parameters = {name: nn.Parameter(weight.clone()) for name, weight in i.weights.items()}
    update = reference_root.BatchUpdate(
        i.optimizer, i.lr_scheduler, i.accumulate_grad_batches, list(parameters.values())
    )
    tree: Tree = {}
    for k, (gradients, loss) in enumerate(zip(i.grads, i.losses, strict=True)):
        _add(gradients, parameters)
        update(loss, k + 1)
        tree |= prefixed(f"w{k}", parameters) | {f"lr{k}": update.lr}
    return tree


def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Return the same. GGFM is told the step before the loss."""
    parameters = {name: nn.Parameter(weight.clone()) for name, weight in i.weights.items()}
    updater = Updater(parameters, i.optimizer, i.lr_scheduler, i.accumulate_grad_batches, switches)
    tree: Tree = {}
    for k, (gradients, loss) in enumerate(zip(i.grads, i.losses, strict=True)):
        _add(gradients, parameters)
        updater.after_batch(k + 1, loss)
        tree |= prefixed(f"w{k}", parameters) | {f"lr{k}": updater.lr}
    return tree


def stated(i: Inputs, on: frozenset[str], reference: Side) -> Tree:
    """`accumulation`: every batch. `optimiser`: Adam's defaults. `grad_clip`: 5.0. `scheduler`: constant rate."""
    every = 1 if "accumulation" in on else i.accumulate_grad_batches
    given = replace(i, accumulate_grad_batches=every)
    if "optimiser" in on:
        adam = {"optimizer": "Adam", "lr": i.optimizer["lr"], "beta1": 0.9, "weight_decay": 0.0}
        given = replace(given, optimizer=adam)
    if "grad_clip" in on:
        given = replace(given, grads=_clipped_sums(i.grads, every))
    if "scheduler" in on:
        given = replace(given, lr_scheduler={**i.lr_scheduler, "patience": len(i.grads) + 1})
    tree: Tree = reference.optimiser(**vars(given))
    return tree


def _clipped_sums(grads: Sequence[Mapping[str, Tensor]], every: int) -> list[dict[str, Tensor]]:
    """Return gradients that sum, over each group of `every`, to the group's sum clipped to norm 5."""
    clipped: list[dict[str, Tensor]] = []
    for start in range(0, len(grads), every):
        group = grads[start : start + every]
        total = {name: sum((g[name] for g in group[1:]), group[0][name]) for name in group[0]}
        norm = torch.sqrt(torch.stack([value.square().sum() for value in total.values()]).sum())
        factor = torch.clamp(5.0 / (norm + 1e-6), max=1.0)
        nothing = {name: torch.zeros_like(value) for name, value in total.items()}
        clipped += [nothing] * (len(group) - 1) + [{name: value * factor for name, value in total.items()}]
    return clipped


_ADAM = {
    "optimizer": "Adam", "lr": 1e-3, "beta1": 0.9, "weight_decay": 0.0, "accumulate": 2, "batches": 14, "patience": 1,
    "cooldown": 1, "factor": 0.5, "threshold": 1e-4, "min_lr": 5e-7, "losses": "stall", "grad_scale": 30.0, "seed": 0,
}  # fmt: skip

COMPONENT = StudyComponent(
    name="optimiser",
    after="pool",
    title="Weights and learning rate after each batch: accumulation, optimiser, scheduler",
    formula="every `accumulate` batches: optimiser step on the summed gradient, zero, plateau step on the loss",
    inputs=Inputs,
    strategy=strategy,
    build=build,
    root=root,
    ggfm=ggfm,
    stated=stated,
    policy=Policy(exact=("lr*",)),
    examples=[
        _ADAM,
        _ADAM | {"accumulate": 1, "grad_scale": 1.0},
        _ADAM | {"optimizer": "RMSProp", "weight_decay": 0.01},
        _ADAM | {"optimizer": "SGD"},
        _ADAM | {"losses": "creep", "patience": 0, "cooldown": 0},
        _ADAM | {"accumulate": 1, "threshold": 0.1, "patience": 0, "cooldown": 0, "factor": 0.1},
        _ADAM | {"accumulate": 1, "min_lr": 4e-4, "patience": 0, "cooldown": 0},
        _ADAM | {"optimizer": "LBFGS"},
    ],
    refused=lambda p: p["optimizer"] not in ("Adam", "RMSProp", "SGD"),
)
