"""Trace a training run: every draw, loss, gradient, rate and weight, named by the step at which it appears."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn

from parity.comparator import metadata_difference, same_bits
from parity.draws import Draw, DrawMode
from parity.root_ggfm.contract import Pairs, Step, Training
from parity.side import Tree

__all__ = ["TEST", "Timeline", "record_timeline", "seen_at", "step_of"]

TEST = "test"

_BATCH = ("x_high", "y_high", "x_low", "y_low")


class Timeline:
    """Record a training run as it proceeds; a context within which it trains.

    The tree is that of `record_timeline`. `parameters`: the model's, with their initial values.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        self.tree: Tree = {_name(0, "weights"): _flat(parameters)}
        self._parameters = parameters
        self._gradients: dict[str, Tensor] = {}
        self._mode = DrawMode()
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []
        self._step, self._first = 0, 1

    def __enter__(self) -> Timeline:
        for name, parameter in self._parameters.items():
            hook = partial(self._keep, name)
            self._hooks.append(parameter.register_post_accumulate_grad_hook(hook))  # type: ignore[no-untyped-call]
        self._mode.__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *raised: Any) -> None:
        self._mode.__exit__(*raised)  # type: ignore[no-untyped-call]
        for handle in self._hooks:
            handle.remove()

    def after_step(self, step: Step, pool: Tensor, evaluation: Mapping[str, Tensor]) -> None:
        """Note a batch. `pool`: the epoch's; `evaluation`: the weights that a validation would use."""
        k = self._step = step.global_step
        draws = self._drawn()
        first = _own_draws(draws, len(step.batch["y_high"]))
        if k == self._first:
            self.tree[_name(k, "pool")] = pool.clone()
        self.tree.update(_named(k, "before", draws[:first]))
        self.tree.update({_name(k, f"batch/{end}"): step.batch[end].clone() for end in _BATCH})
        self.tree.update(_named(k, "draw", draws[first:]))
        self.tree[_name(k, "loss")] = torch.tensor(step.loss, dtype=torch.float64)
        self.tree[_name(k, "lr")] = step.lr
        gradients = {name: self._gradients[name] for name in self._parameters if name in self._gradients}
        self.tree[_name(k, "gradient")] = _flat(gradients)
        self.tree[_name(k, "weights")] = _flat(self._parameters)
        self.tree[_name(k, "evaluation")] = _flat(evaluation)

    def after_epoch(self, validation: Sequence[float] | None) -> None:
        """Note the end of an epoch. `validation`: the losses of its batches, where there was one."""
        k = self._step
        self.tree.update(_named(k, "validation/draw", self._drawn()))
        if validation is not None:
            self.tree[_name(k, "validation/loss")] = torch.tensor(validation, dtype=torch.float64)
        self._first = k + 1

    @property
    def raised(self) -> str:
        """Return the name of the leaf that says that training raised in the present epoch."""
        return _name(self._first, "raised")

    def _keep(self, name: str, parameter: Tensor) -> None:
        assert parameter.grad is not None
        self._gradients[name] = parameter.grad.detach().clone()

    def _drawn(self) -> list[Draw]:
        """Return the draws since the last call, those of torch's global generator.

        Draws from a generator of the code's own show in the batches; PyTorch's sampler draws more than it uses.
        """
        draws, self._mode.draws = [draw for draw in self._mode.draws if not draw.own_generator], []
        return draws


def record_timeline(training: Training, pairs: Sequence[Sequence[Pairs]] | None = None, *, test: bool = True) -> Tree:
    """Run `training` to its end, and return what happened at each global step k, under `step<k>/`.

    `batch/{x_high,y_high,x_low,y_low}`; `draw<j>/<kind>` the step's own random draws in order (which conditions are
    dropped, timesteps, noise); `loss`; `gradient` (all parameters', flat, as accumulated before the update); `lr` (the
    rate of this step); `weights` and `evaluation` (flat: the weights, and those that validation would use) afterwards.

    The first step of an epoch also holds what comes before it: `pool`, and `before<j>/<kind>`, the draws of pair
    sampling and of the loader. The last one also holds what comes after it: `validation/draw<j>/<kind>` and
    `validation/loss`. `step0/weights` are the initial weights; the test is under `test/`. The tree is in the order of
    time. `pairs`: per epoch, per function, in place of sampled ones.

    If training raises, the tree ends with `step<k>/raised`, k the first step of that epoch; the test, `test/raised`.
    """
    with Timeline(training.parameters()) as timeline:
        tree, reached = timeline.tree, ""

        def after_step(step: Step) -> None:
            timeline.after_step(step, training.pool, training.evaluation_weights())

        try:
            for epoch in range(training.n_epochs):
                reached, validations = timeline.raised, len(training.val_losses)
                training.epoch(after_step, None if pairs is None else pairs[epoch])
                timeline.after_epoch(training.val_losses[-1] if len(training.val_losses) > validations else None)
            if test:
                reached = f"{TEST}/raised"
                tree.update({f"{TEST}/{name.removeprefix('test/')}": leaf for name, leaf in training.test().items()})
        except Exception as error:  # noqa: BLE001 - where a side stops is part of what it does
            tree[reached] = type(error).__name__
    return tree


def step_of(name: str) -> int | str:
    """Return the step at which a leaf appears; `test` for those of the test."""
    head = name.split("/", 1)[0]
    return TEST if head == TEST else int(head.removeprefix("step"))


def seen_at(left: Tree, right: Tree) -> tuple[int | str, str] | None:
    """Return the earliest step at which two traces differ by a bit, and the leaf; None if they never do.

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


def _own_draws(draws: Sequence[Draw], batch: int) -> int:
    """Return where the step's own draws begin: they are one value per row, or one per entry, of its batch."""
    first = len(draws)
    while first and draws[first - 1].shape[:1] == (batch,):
        first -= 1
    return first


def _named(step: int, where: str, draws: Sequence[Draw]) -> Tree:
    kinds = [draw.kind.partition("(")[0] for draw in draws]
    return {_name(step, f"{where}{j:03d}/{kinds[j]}"): draw.value for j, draw in enumerate(draws)}
