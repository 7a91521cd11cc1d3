"""A training run as a timeline: every draw, loss, gradient, rate and weight, named by the step at which it appears."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

import torch
from torch import Tensor

from parity.comparator import metadata_difference, same_bits
from parity.draws import Draw, DrawMode
from parity.sides.interface import Pairs, Tree
from parity.sides.training import Step, Training

__all__ = ["TEST", "record_timeline", "seen_at", "step_of"]

TEST = "test"

_BATCH = ("x_high", "y_high", "x_low", "y_low")


def record_timeline(training: Training, pairs: Sequence[Sequence[Pairs]] | None = None, *, test: bool = True) -> Tree:
    """Runs `training` to its end and writes down what happened at each global step k, under `step<k>/`.

    `batch/{x_high,y_high,x_low,y_low}`; `draw<j>/<kind>` the step's own random draws in order (which conditions are
    dropped, timesteps, noise); `loss`; `gradient` (all parameters', flat, as accumulated before the update); `lr` (the
    rate of this step); `weights` and `evaluation` (flat: the weights, and those that validation would use) afterwards.

    What comes before an epoch's first batch stands at that step: `pool`, and `before<j>/<kind>`, the draws of pair
    sampling and of the loader. What comes after its last stands at that one: `validation/draw<j>/<kind>` and
    `validation/loss`. `step0/weights` are the initial weights; the test is under `test/`. The tree is in the order of
    time. `pairs`: per epoch, per function, in place of sampled ones.

    If training raises, the tree ends with `step<k>/raised`, k the first step of that epoch; the test, `test/raised`.
    """
    tree: Tree = {}
    parameters = training.parameters()
    tree[_name(0, "weights")] = _flat(parameters)
    gradients: dict[str, Tensor] = {}

    def keep(name: str) -> None:
        def hook(parameter: Tensor) -> None:
            assert parameter.grad is not None
            gradients[name] = parameter.grad.detach().clone()

        hooks.append(parameters[name].register_post_accumulate_grad_hook(hook))  # type: ignore[no-untyped-call]

    hooks: list[torch.utils.hooks.RemovableHandle] = []
    for name in parameters:
        keep(name)

    k = first_of_epoch = 0
    with DrawMode() as mode:

        def after_step(step: Step) -> None:
            nonlocal k
            k = step.global_step
            draws = _taken(mode)
            first = _own_draws(draws, len(step.batch["y_high"]))
            if k == first_of_epoch:
                tree[_name(k, "pool")] = training.pool.clone()
            tree.update(_drawn(k, "before", draws[:first]))
            tree.update({_name(k, f"batch/{end}"): step.batch[end].clone() for end in _BATCH})
            tree.update(_drawn(k, "draw", draws[first:]))
            tree[_name(k, "loss")] = torch.tensor(step.loss, dtype=torch.float64)
            tree[_name(k, "lr")] = step.lr
            tree[_name(k, "gradient")] = _flat({name: gradients[name] for name in parameters if name in gradients})
            tree[_name(k, "weights")] = _flat(parameters)
            tree[_name(k, "evaluation")] = _flat(training.evaluation_weights())

        reached = ""
        try:
            for epoch in range(training.n_epochs):
                first_of_epoch, validations = k + 1, len(training.val_losses)
                reached = _name(first_of_epoch, "raised")
                training.epoch(after_step, None if pairs is None else pairs[epoch])
                tree.update(_drawn(k, "validation/draw", _taken(mode)))
                if len(training.val_losses) > validations:
                    tree[_name(k, "validation/loss")] = torch.tensor(training.val_losses[-1], dtype=torch.float64)
            if test:
                reached = f"{TEST}/raised"
                tree.update({f"{TEST}/{name.removeprefix('test/')}": leaf for name, leaf in training.test().items()})
        except Exception as error:  # noqa: BLE001 - where a side stops is part of what it does
            tree[reached] = type(error).__name__
    for handle in hooks:
        handle.remove()
    return tree


def step_of(name: str) -> int | str:
    """The step at which a leaf appears; `test` for those of the test."""
    head = name.split("/", 1)[0]
    return TEST if head == TEST else int(head.removeprefix("step"))


def seen_at(left: Tree, right: Tree) -> tuple[int | str, str] | None:
    """The earliest step at which two timelines part by a bit, and the leaf in which; None if they never do.

    Where one records what the other does not, the leaf is that of the earlier step.
    """
    for a, b in zip_longest(left, right):
        if a is None or b is None or a != b:
            name = min((name for name in (a, b) if name is not None), key=lambda name: name.split("/", 1)[0])
            return step_of(name), name
        if _differ(left[a], right[b]):
            return step_of(a), a
    return None


def _differ(left: object, right: object) -> bool:
    if metadata_difference(left, right):
        return True
    return not same_bits(left, right) if isinstance(left, Tensor) and isinstance(right, Tensor) else left != right


def _name(step: int, leaf: str) -> str:
    return f"step{step:06d}/{leaf}"


def _flat(tensors: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors.values()]) if tensors else torch.empty(0)


def _taken(mode: DrawMode) -> list[Draw]:
    """The draws since the last call from torch's global generator. What comes from a generator of the code's own shows
    in the batches; PyTorch's sampler draws more from its own than it uses."""
    draws, mode.draws = [draw for draw in mode.draws if not draw.own_generator], []
    return draws


def _own_draws(draws: Sequence[Draw], batch: int) -> int:
    """Where the step's own draws begin: they are one value per row, or one per entry, of its batch."""
    first = len(draws)
    while first and draws[first - 1].shape[:1] == (batch,):
        first -= 1
    return first


def _drawn(step: int, where: str, draws: Sequence[Draw]) -> Tree:
    kinds = [draw.kind.partition("(")[0] for draw in draws]
    return {_name(step, f"{where}{j:03d}/{kinds[j]}"): draw.value for j, draw in enumerate(draws)}
