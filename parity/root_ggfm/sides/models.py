"""The model of a bridge in either implementation, under the names that both share."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

import reference_root as root
from ggfm.bridge import BrownianBridge
from ggfm.switches import Switches
from parity.root_ggfm.contract import Bridge
from parity.side import Tree

__all__ = ["ggfm_model", "load", "prefixed", "root_model", "root_params"]


def root_params(bridge: Bridge) -> root.BridgeParams:
    """Return ROOT's configuration of a bridge."""
    return root.BridgeParams(
        num_timesteps=bridge.num_timesteps,
        mt_type=bridge.mt_type,
        objective=bridge.objective,
        loss_type=bridge.loss_type,
        skip_sample=bridge.skip_sample,
        sample_type=bridge.sample_type,
        sample_step=bridge.sample_step,
        MLPParams=root.MLPParams(image_size=bridge.dim, hidden_size=bridge.hidden),
        max_var=bridge.max_var,
        eta=bridge.eta,
    )


def root_model(
    bridge: Bridge, state: Mapping[str, Tensor] | None = None, *, like: Tensor | None = None
) -> root.BrownianBridgeModel:
    """Return ROOT's model with the weights `state`, on the device of `like`; making it draws nothing."""
    denoiser = root.uninitialised_mlp(bridge.dim, bridge.hidden, dtype=bridge.dtype)
    if state is not None:
        denoiser.load_state_dict({name.removeprefix("denoise_fn."): value for name, value in state.items()})
    model = root.BrownianBridgeModel(root_params(bridge), dtype=bridge.dtype, denoise_fn=denoiser)
    return model if like is None else model.to(like.device)


def ggfm_model(
    bridge: Bridge, switches: Switches, state: Mapping[str, Tensor] | None = None, *, like: Tensor | None = None
) -> BrownianBridge:
    """Return GGFM's model with the weights `state`, or with none; making it draws nothing.

    It is on the device of the weights, or of `like` where there are none.
    """
    model = BrownianBridge(
        bridge.dim,
        bridge.hidden,
        num_timesteps=bridge.num_timesteps,
        mt_type=bridge.mt_type,
        max_var=bridge.max_var,
        eta=bridge.eta,
        loss_type=bridge.loss_type,
        objective=bridge.objective,
        skip_sample=bridge.skip_sample,
        sample_type=bridge.sample_type,
        sample_step=bridge.sample_step,
        dtype=bridge.dtype,
        switches=switches,
    )
    if state is not None:
        like = next(iter(state.values()))
        load(model, state)
    return model if like is None else model.to(like.device)


def load(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put `weights` into the model's parameters of the same names."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])


def prefixed(group: str, tensors: Mapping[str, Tensor]) -> Tree:
    """Return copies under `group/` and their name."""
    return {f"{group}/{name}": tensor.detach().clone() for name, tensor in tensors.items()}
