"""The Brownian bridge between a low and a high design: forward process, prediction of x0, loss.

Source: paper arXiv 2509.16300 and ROOT's `model/BrownianBridge/BrownianBridgeModel.py`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ggfm.checks import as_column, require_choice, require_shape, require_timesteps
from ggfm.network import Denoiser
from ggfm.schedule import bridge_schedule, reverse_steps
from ggfm.switches import Switches

__all__ = ["BrownianBridge"]

_OBJECTIVES = ("grad", "noise", "ysubx")
_LOSSES = {"l1": functional.l1_loss, "l2": functional.mse_loss}


class BrownianBridge(nn.Module):
    """The model: schedules as buffers, the denoiser as `denoise_fn`, ROOT's method names.

    Making it draws nothing: weights are zero until `ggfm.network.draw_initial_weights` or `load_state_dict`.
    `dtype` is the precision of buffers and weights. Raises ValueError for sizes below 1, an unknown `mt_type` or
    `sample_type`, and too few steps; objective and loss are checked where they are used.
    """

    m_t: Tensor
    variance_t: Tensor
    steps: Tensor

    def __init__(
        self,
        image_size: int,
        hidden_size: int,
        *,
        num_timesteps: int = 1000,
        mt_type: str = "linear",
        max_var: float = 1.0,
        eta: float = 1.0,
        loss_type: str = "l1",
        objective: str = "grad",
        skip_sample: bool = True,
        sample_type: str = "linear",
        sample_step: int = 200,
        dtype: torch.dtype = torch.float32,
        switches: Switches | None = None,
    ) -> None:
        super().__init__()
        self.switches = switches or Switches.aligned()
        self.num_timesteps = num_timesteps
        self.eta = eta
        self.loss_type = loss_type
        self.objective = objective
        for name, values in bridge_schedule(num_timesteps, mt_type, max_var, dtype).items():
            self.register_buffer(name, values)
        steps = reverse_steps(num_timesteps, skip_sample, sample_type, sample_step)
        if self.switches.steps_buffer:
            self.register_buffer("steps", steps)
        else:
            self.steps = steps
        self.denoise_fn = Denoiser(image_size, hidden_size, dtype)

    def q_sample(self, x_high: Tensor, x_low: Tensor, t: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """A point of the bridge at time t, and what the network learns there: (x_t, objective), (B, D) each.

        x_t = (1 - m) x_high + m x_low + sigma noise with m = m_t[t], sigma² = variance_t[t]. Objective: `grad`
        m (x_low - x_high) + sigma noise, `noise` noise, `ysubx` x_low - x_high. Without `noise` one standard normal
        draw shaped like x_high is made. Raises ValueError for shapes, timesteps and objectives that do not fit.
        """
        require_choice("objective", self.objective, _OBJECTIVES)
        require_shape("x_high", x_high, ("B", "D"))
        require_shape("x_low", x_low, x_high.shape)
        require_timesteps(t, len(x_high), self.num_timesteps)
        if noise is None:
            noise = torch.randn_like(x_high)
        require_shape("noise", noise, x_high.shape)
        m = self.m_t[t].unsqueeze(1)
        spread = self.variance_t[t].sqrt().unsqueeze(1) * noise
        x_t = (1.0 - m) * x_high + m * x_low + spread
        if self.objective == "grad":
            return x_t, m * (x_low - x_high) + spread
        return x_t, noise if self.objective == "noise" else x_low - x_high

    def predict_x0_from_objective(self, x_t: Tensor, x_low: Tensor, t: Tensor, objective_recon: Tensor) -> Tensor:
        """The high design that a predicted objective r stands for: (B, D).

        `grad`: x_t - r; `noise`: (x_t - m x_low - sigma r)/(1 - m), with 1e-8 more in the denominator if the switch
        `noise_eps` is on; `ysubx`: x_low - r. Raises ValueError for shapes, timesteps and objectives that do not fit.
        """
        require_shape("x_t", x_t, ("B", "D"))
        require_shape("objective_recon", objective_recon, x_t.shape)
        require_shape("x_low", x_low, x_t.shape)
        require_timesteps(t, len(x_t), self.num_timesteps)
        m = self.m_t[t].unsqueeze(1)
        sigma = self.variance_t[t].sqrt().unsqueeze(1)
        return self.x0_at(x_t, x_low, m, sigma, objective_recon)

    def x0_at(self, x_t: Tensor, x_low: Tensor, m: Tensor, sigma: Tensor, objective_recon: Tensor) -> Tensor:
        """`predict_x0_from_objective` with m and sigma given, in any shape that broadcasts."""
        require_choice("objective", self.objective, _OBJECTIVES)
        if self.objective == "grad":
            return x_t - objective_recon
        if self.objective == "ysubx":
            return x_low - objective_recon
        remaining = 1.0 - m
        if self.switches.noise_eps:
            remaining = remaining + 1e-8
        return (x_t - m * x_low - sigma * objective_recon) / remaining

    def p_losses(
        self, x_high: Tensor, y_high: Tensor, x_low: Tensor, y_low: Tensor, t: Tensor, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(loss (), logged x0 (B, D)) at timesteps t (B,): the mean error of f(x_t, t, y_high, y_low).

        The logged x0 takes no part in the loss. As in ROOT it is computed from y_high (B,) in the place of x_low:
        for `noise` and `ysubx` that only broadcasts where B is D or 1, and is a RuntimeError elsewhere. The switch
        `logged_x0` puts x_low there. Raises ValueError for an unknown loss and for shapes that do not fit.
        """
        require_choice("loss_type", self.loss_type, tuple(_LOSSES))
        batch = len(x_high)
        y_high = as_column("y_high", y_high, batch).squeeze(1)
        y_low = as_column("y_low", y_low, batch).squeeze(1)
        x_t, objective = self.q_sample(x_high, x_low, t, noise)
        predicted = self.denoise_fn(x_t, t, y_high, y_low)
        loss = _LOSSES[self.loss_type](predicted, objective)
        with torch.no_grad():
            other_end = x_low if self.switches.logged_x0 else y_high
            m = self.m_t[t].unsqueeze(1)
            sigma = self.variance_t[t].sqrt().unsqueeze(1)
            logged = self.x0_at(x_t, other_end, m, sigma, predicted.detach())
        return loss, logged

    def forward(self, x_high: Tensor, y_high: Tensor, x_low: Tensor, y_low: Tensor) -> tuple[Tensor, Tensor]:
        """`p_losses` at timesteps drawn uniformly: one `randint` of B, then the noise."""
        t = torch.randint(0, self.num_timesteps, (len(x_high),), device=x_high.device)
        return self.p_losses(x_high, y_high, x_low, y_low, t)
