"""ROOT as a side, the bridge model: each component is one or two calls of `reference_root`."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature

import torch
from torch import Tensor, nn

import reference_root as root
from parity.root_ggfm.contract import Bridge
from parity.side import Tree

__all__ = ["RootBridge", "prefixed"]

ENDS = ("x_high", "y_high", "x_low", "y_low")


class RootBridge:
    """The components of the model: schedule, forward process, network, losses, reverse process."""

    def defaults(self) -> Tree:
        """Of `BridgeParams`, `BrownianBridgeModel.sample` and `sampling_data_from_GP`."""
        bridge = signature(root.BridgeParams).parameters
        chain = signature(root.BrownianBridgeModel.sample).parameters
        pairs = signature(root.sampling_data_from_GP).parameters
        names = (
            "num_gradient_steps", "num_functions", "num_points", "learning_rate", "delta_lengthscale",
            "delta_variance", "threshold_diff",
        )  # fmt: skip
        return {
            **{f"bridge/{name}": bridge[name].default for name in ("max_var", "eta")},
            "sample/clip_denoised": chain["clip_denoised"].default,
            "sample/guidance_weight": chain["classifier_free_guidance_weight"].default,
            **{f"gp_pairs/{name}": pairs[name].default for name in names},
        }

    def schedule(self, bridge: Bridge) -> Tree:
        """The model's buffers."""
        return {name: buffer.clone() for name, buffer in _model(bridge).named_buffers()}

    def sample_steps(self, bridge: Bridge) -> Tree:
        """The model's plain attribute `steps`."""
        model = _model(bridge)
        return {"steps": model.steps, "state_dict_keys": sorted(model.state_dict())}

    def q_sample(self, bridge: Bridge, *, x_high: Tensor, x_low: Tensor, t: Tensor, noise: Tensor | None) -> Tree:
        """`BrownianBridgeModel.q_sample`."""
        x_t, objective = _model(bridge, like=x_high).q_sample(x_high, x_low, t, noise)
        return {"x_t": x_t, "objective": objective}

    def predict_x0(self, bridge: Bridge, *, x_t: Tensor, x_low: Tensor, t: Tensor, objective_recon: Tensor) -> Tree:
        """`BrownianBridgeModel.predict_x0_from_objective`."""
        return {"x0": _model(bridge, like=x_t).predict_x0_from_objective(x_t, x_low, t, objective_recon)}

    def initial_weights(self, bridge: Bridge) -> Tree:
        """Default initialisation, then `weights_init`."""
        model = root.BrownianBridgeModel(_params(bridge), dtype=bridge.dtype)
        model.apply(root.weights_init)
        return _named("state", model)

    def denoiser(
        self, bridge: Bridge, *, state: Mapping[str, Tensor], x_t: Tensor, t: Tensor, y_first: Tensor, y_second: Tensor
    ) -> Tree:
        """`denoise_fn`."""
        with torch.no_grad():
            return {"output": _model(bridge, state, like=x_t).denoise_fn(x_t, t, y_first, y_second)}

    def p_losses(
        self,
        bridge: Bridge,
        *,
        state: Mapping[str, Tensor],
        x_high: Tensor,
        y_high: Tensor,
        x_low: Tensor,
        y_low: Tensor,
        t: Tensor | None,
        noise: Tensor | None,
    ) -> Tree:
        """`p_losses`, or `forward` where the timesteps are to be drawn, which then draws the noise too."""
        model = _model(bridge, state, like=x_high)
        if t is not None:
            loss, log = model.p_losses(x_high, y_high, x_low, y_low, t, noise)
        elif noise is None:
            loss, log = model(x_high, y_high, x_low, y_low)
        else:
            raise ValueError("noise must be None where t is None: ROOT's forward draws both")
        return {"loss": loss.detach(), "x0_recon": log["x0_recon"].detach(), **_gradients(model, loss)}

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
        """`training_loss`, the function that the training loop calls."""
        model = _model(bridge, state, like=x_high)
        loss = root.training_loss(model, ((x_high, y_high), (x_low, y_low)), step, guidance_prob)
        return {"loss": loss.detach(), **_gradients(model, loss)}

    def p_sample(
        self,
        bridge: Bridge,
        *,
        state: Mapping[str, Tensor],
        x_t: Tensor,
        x_low: Tensor,
        y_low: Tensor,
        y_high: Tensor,
        step: int,
        clip_denoised: bool,
        guidance_weight: float,
    ) -> Tree:
        """`BrownianBridgeModel.p_sample`."""
        model = _model(bridge, state, like=x_t)
        x_next, x0 = model.p_sample(x_t, x_low, y_low, y_high, step, clip_denoised, guidance_weight)
        return {"x_next": x_next, "x0": x0}

    def sample(
        self,
        bridge: Bridge,
        *,
        state: Mapping[str, Tensor],
        x_low: Tensor,
        y_low: Tensor,
        y_high: Tensor,
        clip_denoised: bool,
        guidance_weight: float,
    ) -> Tree:
        """`BrownianBridgeModel.sample`."""
        model = _model(bridge, state, like=x_low)
        return {"x_high": model.sample(x_low, y_low, y_high, clip_denoised, guidance_weight)}


def _params(bridge: Bridge) -> root.BridgeParams:
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


def _model(
    bridge: Bridge, state: Mapping[str, Tensor] | None = None, *, like: Tensor | None = None
) -> root.BrownianBridgeModel:
    """The model with the weights `state` on the device of `like`, made without a random draw."""
    denoiser = root.uninitialised_mlp(bridge.dim, bridge.hidden, dtype=bridge.dtype)
    if state is not None:
        denoiser.load_state_dict({name.removeprefix("denoise_fn."): value for name, value in state.items()})
    model = root.BrownianBridgeModel(_params(bridge), dtype=bridge.dtype, denoise_fn=denoiser)
    return model if like is None else model.to(like.device)


def prefixed(group: str, tensors: Mapping[str, Tensor]) -> Tree:
    """Copies under `group/` and their name."""
    return {f"{group}/{name}": tensor.detach().clone() for name, tensor in tensors.items()}


def _named(group: str, model: nn.Module) -> Tree:
    return prefixed(group, dict(model.named_parameters()))


def _gradients(model: nn.Module, loss: Tensor) -> Tree:
    loss.backward()  # type: ignore[no-untyped-call]
    return {f"grad/{name}": parameter.grad for name, parameter in model.named_parameters()}
