"""Read what both sides draw: loader orders, draws of a training step, noise of the forward and the reverse process.

Nothing of a side is touched or recorded, so it does not matter how, in which order or from which generator it draws.

The draws of a training step (timesteps, dropped conditions, noise) are read from its gradients, row by row. The weights
are chosen such that hidden unit j of the first layer is on for row j of the batch and off for all others: x_high and
x_low of row j hold a large number at coordinate j, and off means a swish of -40, which is 0 to rounding. The gradient
of unit j's weights is then d_j times the network's input for row j, [x_t, t, y_high, y_low], and that of its bias d_j.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from parity.execution import run
from parity.root_ggfm.contract import Bridge
from parity.root_ggfm.statistical_tests.closed_forms import Array, bridge_law, finite
from parity.side import Side, Tree

__all__ = [
    "BRIDGE",
    "DROP",
    "ForwardDraws",
    "Orders",
    "StepDraws",
    "forward_draws",
    "loader_orders",
    "reverse_noise",
    "step_draws",
    "step_losses",
]

_ROWS = 32
_ON = 80.0
_Y_HIGH, _Y_LOW = 1.5, -0.75

DROP = 0.15
"""The probability with which a row's conditions are dropped, as published."""

BRIDGE = Bridge(num_timesteps=20, skip_sample=False, eta=0.2, dim=_ROWS, hidden=_ROWS, loss_type="l1", objective="grad")
"""Few timesteps, so that each is drawn often."""

_LOSSES = replace(BRIDGE, dim=6, hidden=16, eta=1.0)
_FORWARD = Bridge(num_timesteps=1000, dim=32, objective="grad")
_REVERSE = replace(BRIDGE, dim=16, hidden=4)
_REVERSE_ROWS = 256

_COUNTS = (7, 5)
_BATCH = 5
_ENDS = ("x_high", "y_high", "x_low", "y_low")


def _seeded(call: Callable[[], Tree], seed: int) -> Tree:
    """Return what `call` returns with every generator seeded, and raise what it raises; restore the caller's."""
    outcome = run(call, {}, seed=seed)
    if outcome.error is not None:
        raise outcome.error
    return outcome.tree


@dataclass(frozen=True)
class StepDraws:
    """The draws of K steps on B rows: `t` and `dropped` (K, B), `noise` (K, B, D) by the closed form of x_t.

    `slope` (K, B, D): the gain of the noise per unit by which m_t is too large. `whole`: every row was given one
    timestep of the schedule, and both its conditions as they are or both as 0.
    """

    t: NDArray[np.int64]
    dropped: NDArray[np.bool_]
    noise: Array
    slope: Array
    whole: bool


def step_draws(side: Side, steps: Iterable[int], seed: int, device: torch.device) -> StepDraws:
    """Return the draws of `side.training_loss` at the given step numbers, in order in a run from `seed`.

    Raises what the side raises.
    """
    generator = torch.Generator().manual_seed(19)
    gate = _ON * torch.eye(_ROWS)
    inputs = {end: gate + torch.randn(_ROWS, _ROWS, generator=generator) for end in ("x_high", "x_low")}
    inputs |= {"y_high": torch.full((_ROWS,), _Y_HIGH), "y_low": torch.full((_ROWS,), _Y_LOW)}
    given = {name: value.to(device) for name, value in inputs.items()}
    state = {name: value.to(device) for name, value in _gate().items()}

    def take() -> Tree:
        rows = []
        for step in steps:
            tree = side.training_loss(BRIDGE, state=state, step=step, guidance_prob=DROP, **given)
            unit = tree["grad/denoise_fn.main.0.weight"] / tree["grad/denoise_fn.main.0.bias"][:, None]
            rows.append(unit.cpu().double())
        return {"rows": torch.stack(rows)}

    rows = finite("what the gradients say", _seeded(take, seed)["rows"].numpy())  # (K, B, D + 3)
    x_t, time, conditions = rows[..., :_ROWS], rows[..., _ROWS], rows[..., _ROWS + 1 :]
    law = bridge_law(BRIDGE.num_timesteps, BRIDGE.mt_type, BRIDGE.max_var)
    t = np.rint(time).astype(np.int64).clip(0, BRIDGE.num_timesteps - 1)
    x_high, x_low = _double(inputs["x_high"]), _double(inputs["x_low"])
    dropped = np.abs(conditions[..., 0]) < _Y_HIGH / 2
    expected = np.where(dropped[..., None], 0.0, np.array([_Y_HIGH, _Y_LOW]))
    # Quotients of float32 gradients; the values that are told apart are far from each other.
    whole = bool((np.abs(time - t) < 1e-2).all() and (np.abs(conditions - expected) < 1e-3).all())
    noise = np.stack([law.forward_noise(x, x_high, x_low, k) for x, k in zip(x_t, t, strict=True)])
    slope = np.stack([law.forward_slope(x_high, x_low, k) for k in t])
    return StepDraws(t, dropped, noise, slope, whole)


def _gate() -> dict[str, Tensor]:
    """Return weights under which unit j of every hidden layer is on for row j.

    The output's first entry is far above its target, so that every row's error has the same sign.
    """
    layers = {layer: torch.eye(_ROWS) for layer in (0, 2, 4)}
    layers[0] = torch.cat([layers[0], torch.zeros(_ROWS, 3)], dim=1)
    layers[6] = torch.zeros(_ROWS, _ROWS)
    layers[6][0] = 1.0
    state = {f"denoise_fn.main.{layer}.weight": weight for layer, weight in layers.items()}
    state |= {f"denoise_fn.main.{layer}.bias": torch.zeros(_ROWS) for layer in layers}
    state["denoise_fn.main.0.bias"] -= _ON / 2
    return state


def step_losses(side: Side, steps: Iterable[int], seed: int, device: torch.device) -> Array:
    """Return the losses (K,) of those steps, at fixed weights and a fixed batch of 64."""
    generator = torch.Generator().manual_seed(20)
    state = _weights(_LOSSES, lambda out, into: torch.randn(out, into, generator=generator) / into**0.5)
    state["denoise_fn.main.0.weight"][:, _LOSSES.dim] /= _LOSSES.num_timesteps  # the network is given the raw timestep
    batch = {
        f"{name}_{end}": torch.randn(64, *size, generator=generator)
        for end in ("high", "low")
        for name, size in (("x", (_LOSSES.dim,)), ("y", ()))
    }
    given: dict[str, Any] = {name: value.to(device) for name, value in batch.items()}
    given["state"] = {name: value.to(device) for name, value in state.items()}

    def take() -> Tree:
        losses = [side.training_loss(_LOSSES, step=k, guidance_prob=DROP, **given)["loss"].cpu() for k in steps]
        return {"losses": torch.stack(losses)}

    return finite("losses", _double(_seeded(take, seed)["losses"]))


@dataclass(frozen=True)
class ForwardDraws:
    """One row per timestep: `noise` (T, D) by the closed form of x_t, and its `slope`, as in `StepDraws`."""

    noise: Array
    slope: Array


def forward_draws(side: Side, mt_type: str, seed: int, device: torch.device) -> ForwardDraws:
    """Return what `side.q_sample` draws at every timestep of the published schedule. Raises what the side raises."""
    bridge = replace(_FORWARD, mt_type=mt_type)
    generator = torch.Generator().manual_seed(21)
    x_high, x_low = (torch.randn(bridge.num_timesteps, bridge.dim, generator=generator) for _ in range(2))
    t = torch.arange(bridge.num_timesteps)
    given: dict[str, Any] = {"x_high": x_high.to(device), "x_low": x_low.to(device), "t": t.to(device), "noise": None}
    x_t = finite("x_t", _double(_seeded(lambda: side.q_sample(bridge, **given), seed)["x_t"]))
    law = bridge_law(bridge.num_timesteps, mt_type, bridge.max_var)
    high, low, times = _double(x_high), _double(x_low), t.numpy()
    return ForwardDraws(law.forward_noise(x_t, high, low, times), law.forward_slope(high, low, times))


def reverse_noise(side: Side, seed: int, device: torch.device) -> Array:
    """Return (T - 1, B, D): what `side.p_sample` draws from t = T-1 down to 1, by the closed form of each step.

    The network's weights are 0, so x0 is x_t. Raises what the side raises.
    """
    bridge = _REVERSE
    generator = torch.Generator().manual_seed(22)
    x_t, x_low = (torch.randn(_REVERSE_ROWS, bridge.dim, generator=generator) for _ in range(2))
    zeros = torch.zeros(_REVERSE_ROWS, device=device)
    state = {name: value.to(device) for name, value in _weights(bridge, torch.zeros).items()}
    given: dict[str, Any] = {"state": state, "x_t": x_t.to(device), "x_low": x_low.to(device), "y_low": zeros}
    given |= {"y_high": zeros, "clip_denoised": False, "guidance_weight": 0.0}

    def take() -> Tree:
        steps = range(bridge.num_timesteps - 1)
        return {"x_next": torch.stack([side.p_sample(bridge, step=i, **given)["x_next"] for i in steps])}

    law = bridge_law(bridge.num_timesteps, bridge.mt_type, bridge.max_var)
    start, low = _double(x_t), _double(x_low)
    found = finite("x_next", _double(_seeded(take, seed)["x_next"]))
    last = bridge.num_timesteps - 1
    return np.stack([law.reverse_noise(x, start, start, low, last - i, bridge.eta) for i, x in enumerate(found)])


def _weights(bridge: Bridge, weight: Callable[[int, int], Tensor]) -> dict[str, Tensor]:
    """Return weights of the denoiser by `weight(out, into)`, biases of 0."""
    sizes = [bridge.dim + 3, bridge.hidden, bridge.hidden, bridge.hidden, bridge.dim]
    state: dict[str, Tensor] = {}
    for k, (into, out) in enumerate(pairwise(sizes)):
        state[f"denoise_fn.main.{2 * k}.weight"] = weight(out, into)
        state[f"denoise_fn.main.{2 * k}.bias"] = torch.zeros(out)
    return state


def _double(value: Tensor) -> Array:
    return np.asarray(value.detach().cpu().double().numpy())


@dataclass(frozen=True)
class Orders:
    """The pairs' numbers in the order of each pass, (P, n), -1 for what is not a pair.

    `batches`: all are of the size asked for, the last of a pass of the rest. `rows`: the two designs and scores of a
    pair stay together.
    """

    passes: NDArray[np.int64]
    batches: bool = True
    rows: bool = True

    @property
    def permutations(self) -> NDArray[np.int64]:
        """The passes that have every pair once."""
        whole = (np.sort(self.passes, axis=1) == np.arange(self.passes.shape[1])).all(axis=1)
        return np.asarray(self.passes[whole])

    @property
    def complete(self) -> bool:
        """True if every pass has every pair once."""
        return len(self.permutations) == len(self.passes)


def loader_orders(side: Side, passes: int, seed: int, device: torch.device) -> Orders:
    """Return the orders of `passes` passes of one loader over twelve pairs of two functions, in batches of five.

    Pair k has the scores k and k + 100, and designs made of them. Raises what the side raises.
    """
    n, first = sum(_COUNTS), _COUNTS[0]
    number = torch.arange(n, dtype=torch.float32)
    columns = number[:, None].expand(n, 2)
    pairs = {"x_high": columns + 0.25, "y_high": number + 100.0, "x_low": columns - 0.25, "y_low": number.clone()}
    functions = [
        {end: values[part].to(device) for end, values in pairs.items()} for part in (slice(first), slice(first, None))
    ]

    def take() -> Tree:
        return side.loader(functions=functions, val_frac=0.0, batch_size=_BATCH, shuffle=True, passes=passes)

    tree = _seeded(take, seed)
    sizes = [min(_BATCH, n - start) for start in range(0, n, _BATCH)]
    orders = np.full((passes, n), -1, dtype=np.int64)
    batches = rows = True
    for e in range(passes):
        parts: list[dict[str, Tensor]] = []
        while f"epoch{e}/batch{len(parts)}/y_low" in tree:
            parts.append({end: tree[f"epoch{e}/batch{len(parts)}/{end}"].cpu() for end in _ENDS})
        batches &= [len(batch["y_low"]) for batch in parts] == sizes
        scores = torch.cat([batch["y_low"] for batch in parts]) if parts else torch.empty(0)
        numbers = scores.round().long()
        rows &= all(
            torch.equal(torch.cat([batch[end] for batch in parts]), pairs[end][numbers.clamp(0, n - 1)])
            for end in (_ENDS if parts else ())
        )
        if len(numbers) == n:
            orders[e] = numbers.numpy()
    return Orders(orders, batches, rows)
