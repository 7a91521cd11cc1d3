"""A side whose draws are given as functions: ROOT's mathematics, any law of the draws."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from parity.loading import load_side
from parity.root_ggfm.contract import Bridge

ROOT: Any = load_side("reference_root")


def randn(shape: tuple[int, ...], v: Tensor) -> Tensor:
    return torch.randn(shape)


def uniform_timesteps(rows: int, num_timesteps: int) -> Tensor:
    return torch.randint(num_timesteps, (rows,))


def bernoulli(rows: int, probability: float) -> Tensor:
    return torch.rand(rows) <= probability


def shuffled(n: int) -> Tensor:
    return torch.randperm(n)


@cache
def variance(bridge: Bridge) -> Tensor:
    return ROOT.schedule(bridge)["variance_t"]


@dataclass
class Drawing:
    """`noise(shape, v_t)`, `timesteps(B, T)`, `dropped(B, p)`, `order(n)`; `first` is drawn before the rest."""

    noise: Callable[[tuple[int, ...], Tensor], Tensor] = randn
    timesteps: Callable[[int, int], Tensor] = uniform_timesteps
    dropped: Callable[[int, float], Tensor] = bernoulli
    order: Callable[[int], Tensor] = shuffled
    eta: float = 1.0
    noise_first: bool = False
    name: str = "drawing"
    version: str = "toy"

    def training_loss(self, bridge, *, step, guidance_prob, x_high, y_high, x_low, y_low, state):
        early = torch.randn(x_high.shape) if self.noise_first else None
        t = self.timesteps(len(x_high), bridge.num_timesteps)
        dropped = self.dropped(len(x_high), guidance_prob)
        v = variance(bridge)[t][:, None]
        noise = self.noise(tuple(x_high.shape), v) if early is None else early
        tree = ROOT.p_losses(
            bridge, state=state, x_high=x_high, x_low=x_low, y_high=y_high.masked_fill(dropped, 0.0),
            y_low=y_low.masked_fill(dropped, 0.0), t=t, noise=noise.float(),
        )  # fmt: skip
        del tree["x0_recon"]
        return tree

    def q_sample(self, bridge, *, x_high, x_low, t, noise):
        v = variance(bridge)[t][:, None]
        return ROOT.q_sample(bridge, x_high=x_high, x_low=x_low, t=t, noise=self.noise(tuple(x_high.shape), v).float())

    def p_sample(self, bridge, **given):
        return ROOT.p_sample(replace(bridge, eta=bridge.eta * self.eta), **given)

    def loader(self, *, functions, val_frac, batch_size, shuffle, passes):
        pairs = {end: torch.cat([function[end] for function in functions]) for end in functions[0]}
        tree = {}
        for e in range(passes):
            order = self.order(len(pairs["y_low"]))
            for b, batch in enumerate(order.split(batch_size)):
                tree |= {f"epoch{e}/batch{b}/{end}": values[batch] for end, values in pairs.items()}
        return tree
