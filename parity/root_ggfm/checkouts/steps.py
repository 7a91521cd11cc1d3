"""What ROOT computes only inside its runner, from a checkout: a training step, and what follows a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from parity.root_ggfm.checkouts.bridge import BRIDGE_NAMES, CheckoutSide
from parity.root_ggfm.checkouts.runner import Call
from parity.root_ggfm.checkouts.short import NO_LOG, few_pairs, no_loss, short_config, short_run
from parity.root_ggfm.checkouts.watch import Enough, generators_kept, loss_of
from parity.root_ggfm.contract import Bridge
from parity.root_ggfm.tasks.task import ArrayTask
from parity.side import MissingComponent, Tree

__all__ = ["CheckoutSteps"]

_TASK = "DKittyMorphology-Exact-v0"


class CheckoutSteps(CheckoutSide):
    """Each method trains one epoch of the checkout's own loop on batches that are handed to it."""

    def training_loss(
        self,
        bridge: Bridge,
        *,
        state: Mapping[str, Tensor],
        x_high: Tensor,
        y_high: Tensor,
        x_low: Tensor,
        y_low: Tensor,
        step: int,
        guidance_prob: float,
    ) -> Tree:
        """Batch number `step`, where the loop first steps its optimiser; the batches before lose nothing."""
        config = short_config(_TASK, bridge.dim)
        config["model"]["BB"]["params"] |= {name: getattr(bridge, name) for name in BRIDGE_NAMES}
        config["model"]["BB"]["params"]["MLPParams"]["hidden_size"] = bridge.hidden
        config["training"] |= {"classifier_free_guidance_prob": guidance_prob, "accumulate_grad_batches": step}
        tree: Tree = {}
        batches = 0

        def forward(call: Call) -> Any:
            nonlocal batches
            batches += 1
            if batches < step:
                return no_loss(call)
            model = call.given["self"]
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    parameter.copy_(state[name])
            made = call.made()
            tree["loss"] = loss_of(made).detach().clone()
            tree["model"], tree["generator"] = model, torch.get_rng_state()
            return made

        def optimising(call: Call) -> Any:
            optimizer = call.made()
            optimizer.register_step_pre_hook(_enough)
            return optimizer

        batch, pairs = ((x_high, y_high), (x_low, y_low)), few_pairs(bridge.dim)
        with generators_kept():
            short_run(self, config, _task(x_high), {
                "forward": forward, "get_optimizer": optimising, "sampling_data_from_GP": lambda _: pairs,
                "create_train_dataloader": lambda _: (_Repeated(batch, step), pairs["f0"]),
            })  # fmt: skip
        if "generator" not in tree:
            raise MissingComponent(f"{self.name}: its loop steps the optimiser before accumulate_grad_batches batches")
        torch.set_rng_state(tree.pop("generator"))
        model = tree.pop("model")
        return tree | {f"grad/{name}": parameter.grad for name, parameter in model.named_parameters()}

    def optimiser(
        self,
        *,
        optimizer: Mapping[str, Any],
        lr_scheduler: Mapping[str, Any],
        accumulate_grad_batches: int,
        weights: Mapping[str, Tensor],
        grads: Sequence[Mapping[str, Tensor]],
        losses: Sequence[float],
    ) -> Tree:
        """The loop with `weights` in the place of the model's, and a loss that has the given values and gradients."""
        config = short_config(_TASK, 1)
        config["model"]["BB"]["optimizer"] = dict(optimizer)
        config["model"]["BB"]["lr_scheduler"] = dict(lr_scheduler)
        config["training"]["accumulate_grad_batches"] = accumulate_grad_batches
        held = nn.ParameterDict({name: weight.clone() for name, weight in weights.items()})
        made: list[Any] = []
        tree: Tree = {}
        batches = 0

        def note() -> None:
            if batches:
                tree.update({f"w{batches - 1}/{name}": value.detach().clone() for name, value in held.items()})
                if not made:
                    raise MissingComponent(f"{self.name}: its runner never called get_optimizer as published")
                tree[f"lr{batches - 1}"] = made[-1].param_groups[0]["lr"]

        def forward(_: Call) -> Any:
            nonlocal batches
            note()
            if batches == len(losses):
                raise Enough
            loss = sum(
                (gradient * (held[name] - held[name].detach())).sum() for name, gradient in grads[batches].items()
            )
            batches += 1
            return loss + torch.tensor(losses[batches - 1], dtype=torch.float64), NO_LOG

        def optimising(call: Call) -> Any:
            settings = next(iter(call.given.values()))
            result = call.original(settings, list(held.values()))
            if not isinstance(result, torch.optim.Optimizer):
                raise TypeError(f"{type(result).__name__} is not an Optimizer")  # as its scheduler would
            made.append(result)
            return result

        like = next(iter(weights.values()))
        end, pairs = (like.new_zeros(1, 1), like.new_zeros(1)), few_pairs(1)
        with generators_kept():
            short_run(self, config, _task(like.new_zeros(4, 1)), {
                "forward": forward, "get_optimizer": optimising, "sampling_data_from_GP": lambda _: pairs,
                "create_train_dataloader": lambda _: (_Repeated((end, end), len(losses) + 1), pairs["f0"]),
            })  # fmt: skip
        return tree


class _Repeated:
    """A loader of one batch, `count` times: each time of new tensors, as published code may write into them."""

    def __init__(self, batch: Sequence[Sequence[Tensor]], count: int) -> None:
        self._batch, self._count = batch, count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        for _ in range(self._count):
            yield [[values.clone() for values in end] for end in self._batch]


def _enough(*_: Any) -> None:
    raise Enough


def _task(x: Tensor) -> ArrayTask:
    """A task of the same width and precision, whose designs nobody looks at."""
    values = np.zeros((4, x.shape[1]), dtype=x.numpy().dtype)
    return ArrayTask("batches", values, np.arange(4.0).reshape(4, 1), lambda designs: designs[:, 0], dtype=values.dtype)
