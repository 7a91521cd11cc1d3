"""What a training step drew, read from its gradients: timesteps, dropped conditions and noise, row by row.

Nothing of a side is touched or recorded, so it does not matter how, in which order or from which generator it draws.
The weights are chosen such that hidden unit j of the first layer is on for row j of the batch and off for all others:
x_high and x_low of row j hold a large number at coordinate j, and off means a swish of -40, which is 0 to rounding.
The gradient of unit j's weights is then d_j times what the network was given for row j, [x_t, t, y_high, y_low], and
that of its bias d_j.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from parity.execution import run
from parity.root_ggfm.contract import Bridge
from parity.root_ggfm.statistical_tests.law import Array, bridge_law, finite
from parity.side import Side, Tree

__all__ = ["BRIDGE", "DROP", "StepDraws", "step_draws", "step_losses", "taken"]

_ROWS = 32
_ON = 80.0
_Y_HIGH, _Y_LOW = 1.5, -0.75

DROP = 0.15
"""The probability with which a row's conditions are dropped, as published."""

BRIDGE = Bridge(num_timesteps=20, skip_sample=False, eta=0.2, dim=_ROWS, hidden=_ROWS, loss_type="l1", objective="grad")
"""Few timesteps, so that each is drawn often."""


@dataclass(frozen=True)
class StepDraws:
    """The draws of K steps on B rows: `t` and `dropped` (K, B), `noise` (K, B, D) by the closed form of x_t.

    `slope` (K, B, D): what the noise gains per unit by which m_t is too large. `whole`: every row was given one
    timestep of the schedule, and both its conditions as they are or both as 0.
    """

    t: NDArray[np.int64]
    dropped: NDArray[np.bool_]
    noise: Array
    slope: Array
    whole: bool


def step_draws(side: Side, steps: Iterable[int], seed: int, device: torch.device) -> StepDraws:
    """The draws of `side.training_loss` at the given step numbers, one after the other in a run from `seed`.

    Raises what the side raises.
    """
    inputs = _probe()
    given = {name: value.to(device) for name, value in inputs.items()}
    state = {name: value.to(device) for name, value in _gate().items()}

    def take() -> Tree:
        rows = []
        for step in steps:
            tree = side.training_loss(BRIDGE, state=state, step=step, guidance_prob=DROP, **given)
            unit = tree["grad/denoise_fn.main.0.weight"] / tree["grad/denoise_fn.main.0.bias"][:, None]
            rows.append(unit.cpu().double())
        return {"rows": torch.stack(rows)}

    return _read(finite("what the gradients say", taken(take, seed)["rows"].numpy()), inputs)


def step_losses(side: Side, steps: Iterable[int], seed: int, device: torch.device) -> Array:
    """The losses (K,) of those steps, at fixed weights and a fixed batch of 64."""
    generator = torch.Generator().manual_seed(20)
    bridge = Bridge(num_timesteps=20, skip_sample=False, dim=6, hidden=16, loss_type="l1", objective="grad")
    shapes = {0: (16, 9), 2: (16, 16), 4: (16, 16), 6: (6, 16)}
    state: dict[str, Tensor] = {}
    for layer, (rows, columns) in shapes.items():
        state[f"denoise_fn.main.{layer}.weight"] = torch.randn(rows, columns, generator=generator) / columns**0.5
        state[f"denoise_fn.main.{layer}.bias"] = torch.zeros(rows)
    state["denoise_fn.main.0.weight"][:, 6] /= bridge.num_timesteps  # the raw timestep goes in
    batch = {f"{name}_{end}": torch.randn(64, *size, generator=generator)
             for end in ("high", "low") for name, size in (("x", (6,)), ("y", ()))}  # fmt: skip
    state = {name: value.to(device) for name, value in state.items()}
    batch = {name: value.to(device) for name, value in batch.items()}

    def take() -> Tree:
        return {
            "losses": torch.stack(
                [
                    side.training_loss(bridge, state=state, step=k, guidance_prob=DROP, **batch)["loss"].cpu()
                    for k in steps
                ]
            )
        }

    return finite("losses", np.asarray(taken(take, seed)["losses"].double().numpy()))


def _probe() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(19)
    gate = _ON * torch.eye(_ROWS)
    return {
        "x_high": gate + torch.randn(_ROWS, _ROWS, generator=generator),
        "x_low": gate + torch.randn(_ROWS, _ROWS, generator=generator),
        "y_high": torch.full((_ROWS,), _Y_HIGH),
        "y_low": torch.full((_ROWS,), _Y_LOW),
    }


def _gate() -> dict[str, Tensor]:
    """Weights under which unit j of every hidden layer is on for row j; the output's first entry is far above its
    target, so that every row's error has the same sign."""
    layers = {layer: torch.eye(_ROWS) for layer in (0, 2, 4)}
    layers[0] = torch.cat([layers[0], torch.zeros(_ROWS, 3)], dim=1)
    layers[6] = torch.zeros(_ROWS, _ROWS)
    layers[6][0] = 1.0
    state = {f"denoise_fn.main.{layer}.weight": weight for layer, weight in layers.items()}
    state |= {f"denoise_fn.main.{layer}.bias": torch.zeros(_ROWS) for layer in layers}
    state["denoise_fn.main.0.bias"] -= _ON / 2
    return state


def _read(rows: Array, inputs: dict[str, Tensor]) -> StepDraws:
    """`rows` (K, B, D + 3): [x_t, t, y_high, y_low]."""
    x_t, time, conditions = rows[..., :_ROWS], rows[..., _ROWS], rows[..., _ROWS + 1 :]
    law = bridge_law(BRIDGE.num_timesteps, BRIDGE.mt_type, BRIDGE.max_var)
    t = np.rint(time).astype(np.int64).clip(0, BRIDGE.num_timesteps - 1)
    x_high, x_low = inputs["x_high"].double().numpy(), inputs["x_low"].double().numpy()
    dropped = np.abs(conditions[..., 0]) < _Y_HIGH / 2
    expected = np.where(dropped[..., None], 0.0, np.array([_Y_HIGH, _Y_LOW]))
    # Quotients of float32 gradients; what is read is far apart.
    whole = bool((np.abs(time - t) < 1e-2).all() and (np.abs(conditions - expected) < 1e-3).all())
    noise = np.stack([law.forward_noise(x, x_high, x_low, k) for x, k in zip(x_t, t, strict=True)])
    slope = np.stack([law.forward_slope(x_high, x_low, k) for k in t])
    return StepDraws(t, dropped, noise, slope, whole)


def taken(call: Callable[[], Tree], seed: int) -> Tree:
    """What `call` returns with every generator seeded; the caller's stay as they are. Raises what it raises."""
    outcome = run(call, {}, seed=seed)
    if outcome.error is not None:
        raise outcome.error
    return outcome.tree
