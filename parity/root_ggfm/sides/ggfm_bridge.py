"""GGFM as a side, the bridge model: each component is one or two calls of `ggfm`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from inspect import signature

import torch
from torch import Tensor, nn

from ggfm.bridge import BrownianBridge
from ggfm.losses import training_loss
from ggfm.network import draw_initial_weights
from ggfm.pair_sampling import PairSampling
from ggfm.pairs import Batch
from ggfm.sampling import p_sample, sample
from ggfm.schedule import bridge_schedule
from ggfm.switches import Switches
from parity.root_ggfm.contract import Bridge
from parity.side import Tree

__all__ = ["GgfmBridge", "load", "named"]

_COLUMNS = ("x_high", "y_high", "x_low", "y_low")


class GgfmBridge:
    """The components of the model: schedule, forward process, network, losses, reverse process."""

    def __init__(self, switches: Switches | None = None) -> None:
        self.switches = switches or Switches.aligned()
        self.name = f"ggfm[{self.switches}]"

    def defaults(self) -> Tree:
        """Of `BrownianBridge`, `sample` and `PairSampling`."""
        bridge, chain = signature(BrownianBridge).parameters, signature(sample).parameters
        return {
            **{f"bridge/{name}": bridge[name].default for name in ("max_var", "eta")},
            **{f"sample/{name}": chain[name].default for name in ("clip_denoised", "guidance_weight")},
            **{f"gp_pairs/{field.name}": field.default for field in fields(PairSampling)},
        }

    def schedule(self, bridge: Bridge) -> Tree:
        """`ggfm.schedule.bridge_schedule`."""
        return dict(bridge_schedule(bridge.num_timesteps, bridge.mt_type, bridge.max_var, bridge.dtype))

    def sample_steps(self, bridge: Bridge) -> Tree:
        """The model's `steps`, and the names in its state dict."""
        model = self._model(bridge)
        return {"steps": model.steps, "state_dict_keys": sorted(model.state_dict())}

    def q_sample(self, bridge: Bridge, *, x_high: Tensor, x_low: Tensor, t: Tensor, noise: Tensor | None) -> Tree:
        """`BrownianBridge.q_sample`, of a model without weights."""
        x_t, objective = self._model(bridge, device=x_high.device).q_sample(x_high, x_low, t, noise)
        return {"x_t": x_t, "objective": objective}

    def predict_x0(self, bridge: Bridge, *, x_t: Tensor, x_low: Tensor, t: Tensor, objective_recon: Tensor) -> Tree:
        """`BrownianBridge.predict_x0_from_objective`, of a model without weights."""
        model = self._model(bridge, device=x_t.device)
        return {"x0": model.predict_x0_from_objective(x_t, x_low, t, objective_recon)}

    def initial_weights(self, bridge: Bridge) -> Tree:
        """`ggfm.network.draw_initial_weights` on a new model."""
        model = self._model(bridge)
        draw_initial_weights(model.denoise_fn, self.switches)
        return {f"state/{name}": weight.detach() for name, weight in model.named_parameters()}

    def denoiser(
        self, bridge: Bridge, *, state: Mapping[str, Tensor], x_t: Tensor, t: Tensor, y_first: Tensor, y_second: Tensor
    ) -> Tree:
        """`BrownianBridge.denoise_fn`."""
        with torch.no_grad():
            return {"output": self._model(bridge, state).denoise_fn(x_t, t, y_first, y_second)}

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
        """`BrownianBridge.p_losses`, or `forward` where t is to be drawn."""
        model = self._model(bridge, state)
        if t is None:
            loss, logged = model(x_high, y_high, x_low, y_low)
        else:
            loss, logged = model.p_losses(x_high, y_high, x_low, y_low, t, noise)
        return {"loss": loss.detach(), "x0_recon": logged, **_gradients(loss, model)}

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
        """`ggfm.losses.training_loss`."""
        model = self._model(bridge, state)
        loss = training_loss(model, Batch(x_high, y_high, x_low, y_low), step, guidance_prob)
        return {"loss": loss.detach(), **_gradients(loss, model)}

    @torch.no_grad()
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
        """`ggfm.sampling.p_sample`."""
        x_next, x0 = p_sample(
            self._model(bridge, state),
            x_t,
            x_low,
            y_low,
            y_high,
            step,
            clip_denoised=clip_denoised,
            guidance_weight=guidance_weight,
        )
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
        """`ggfm.sampling.sample`."""
        model = self._model(bridge, state)
        x_high = sample(model, x_low, y_low, y_high, clip_denoised=clip_denoised, guidance_weight=guidance_weight)
        return {"x_high": x_high}

    def _model(
        self, bridge: Bridge, state: Mapping[str, Tensor] | None = None, device: torch.device | None = None
    ) -> BrownianBridge:
        """GGFM's model of a bridge, with given weights or with none; making it draws nothing."""
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
            switches=self.switches,
        )
        if state is not None:
            device = next(iter(state.values())).device
            load(model, state)
        return model if device is None else model.to(device)


def load(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put `weights` into the model's parameters of the same names."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])


def _gradients(loss: Tensor, model: nn.Module) -> Tree:
    names, parameters = zip(*model.named_parameters(), strict=True)
    return {f"grad/{n}": g for n, g in zip(names, torch.autograd.grad(loss, parameters), strict=True)}


def named(prefix: str, tensors: Mapping[str, Tensor]) -> Tree:
    """Copies under `prefix` and their name."""
    return {f"{prefix}{name}": tensor.detach().clone() for name, tensor in tensors.items()}
