"""The Brownian bridge model: forward process, loss and reverse process."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reference_root.checks import check_choice, check_int, check_shape
from reference_root.config import BridgeParams
from reference_root.denoiser import MLP
from reference_root.schedule import make_schedule
from reference_root.steps import sample_steps

__all__ = ["LOSS_TYPES", "OBJECTIVES", "BrownianBridgeModel"]

OBJECTIVES = ("grad", "noise", "ysubx")
LOSS_TYPES = ("l1", "l2")


class BrownianBridgeModel(nn.Module):
    """A Brownian bridge from a low (source) design to a high (target) one, with the network that runs it backwards.

    The schedule is computed in float64 and kept in buffers of `dtype`; `steps` is a plain attribute, not a buffer.
    `denoise_fn` is an `MLP` with PyTorch's default initialisation unless one is given.

    Shapes throughout: designs (B, D), scores and conditions (B,), timesteps (B,) integers in 0..T-1.
    Raises ValueError for an unknown schedule, sample type, objective or loss type, for wrong shapes and for
    timesteps outside 0..T-1.
    Source: ROOT, `model/BrownianBridge/BrownianBridgeModel.py`; arXiv 2509.16300, section on the Brownian bridge.
    """

    m_t: Tensor
    m_tminus: Tensor
    variance_t: Tensor
    variance_tminus: Tensor
    variance_t_tminus: Tensor
    posterior_variance_t: Tensor

    def __init__(
        self, params: BridgeParams, *, dtype: torch.dtype = torch.float32, denoise_fn: MLP | None = None
    ) -> None:
        super().__init__()
        self.num_timesteps = params.num_timesteps
        self.objective = params.objective
        self.loss_type = params.loss_type
        self.eta = params.eta
        schedule = make_schedule(params.num_timesteps, params.mt_type, params.max_var)
        for name, values in schedule._asdict().items():
            self.register_buffer(name, torch.tensor(values, dtype=dtype))
        self.steps = sample_steps(params.num_timesteps, params.skip_sample, params.sample_type, params.sample_step)
        if denoise_fn is None:
            denoise_fn = MLP(params.MLPParams.image_size, params.MLPParams.hidden_size, dtype=dtype)
        self.denoise_fn = denoise_fn

    def q_sample(self, x_high: Tensor, x_low: Tensor, t: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The bridge at t, and what the network is to predict there: (x_t, objective), both (B, D).

        x_t = (1 - m) x_high + m x_low + sigma noise,   sigma = sqrt(variance_t)
        grad: m (x_low - x_high) + sigma noise;   noise: noise;   ysubx: x_low - x_high

        Without `noise` one standard normal draw shaped like x_high is made.
        """
        check_shape("x_high", x_high, (None, None))
        check_shape("x_low", x_low, x_high.shape)
        self._check_t(t, x_high.shape[0])
        check_choice("objective", self.objective, OBJECTIVES)
        if noise is None:
            noise = torch.randn_like(x_high)
        check_shape("noise", noise, x_high.shape)
        m, sigma = _column(self.m_t, t), torch.sqrt(_column(self.variance_t, t))
        x_t = (1.0 - m) * x_high + m * x_low + sigma * noise
        if self.objective == "grad":
            return x_t, m * (x_low - x_high) + sigma * noise
        return x_t, noise if self.objective == "noise" else x_low - x_high

    def predict_x0_from_objective(self, x_t: Tensor, x_low: Tensor, t: Tensor, objective_recon: Tensor) -> Tensor:
        """The high design (B, D) that a predicted objective r stands for.

        grad: x_t - r;   noise: (x_t - m x_low - sigma r)/(1 - m), no epsilon;   ysubx: x_low - r
        """
        check_shape("x_t", x_t, (None, None))
        check_shape("x_low", x_low, x_t.shape)
        check_shape("objective_recon", objective_recon, x_t.shape)
        self._check_t(t, x_t.shape[0])
        return self._predict_x0(x_t, x_low, t, objective_recon)

    def _predict_x0(self, x_t: Tensor, x_low: Tensor, t: Tensor, objective_recon: Tensor) -> Tensor:
        check_choice("objective", self.objective, OBJECTIVES)
        if self.objective == "grad":
            return x_t - objective_recon
        if self.objective == "ysubx":
            return x_low - objective_recon
        m, sigma = _column(self.m_t, t), torch.sqrt(_column(self.variance_t, t))
        return (x_t - m * x_low - sigma * objective_recon) / (1.0 - m)

    def forward(self, x_high: Tensor, y_high: Tensor, x_low: Tensor, y_low: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """`p_losses` at timesteps drawn uniformly from 0..T-1, one `randint` of B; the noise is drawn after them."""
        check_shape("x_high", x_high, (None, None))
        t = torch.randint(0, self.num_timesteps, (x_high.shape[0],), device=x_high.device)
        return self.p_losses(x_high, y_high, x_low, y_low, t)

    def p_losses(
        self, x_high: Tensor, y_high: Tensor, x_low: Tensor, y_low: Tensor, t: Tensor, noise: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss () at given timesteps, and a log with `loss` and `x0_recon`.

        r = f(x_t, t, y_high, y_low);   l1: mean |objective - r|;   l2: mean (objective - r)^2

        Published mistakes, kept. The conditions are in the order (y_high, y_low), opposite to `p_sample`. `x0_recon`
        is computed with y_high in the place of x_low: harmless for `grad`; for `noise` and `ysubx` a (B,) vector is
        broadcast against (B, D), which raises RuntimeError unless B is 1 or D, or D is 1.
        """
        n = x_high.shape[0]
        check_shape("y_high", y_high, (n,))
        check_shape("y_low", y_low, (n,))
        check_choice("loss_type", self.loss_type, LOSS_TYPES)
        x_t, objective = self.q_sample(x_high, x_low, t, noise)
        objective_recon = self.denoise_fn(x_t, t, y_high, y_low)
        error = objective - objective_recon
        loss = error.abs().mean() if self.loss_type == "l1" else (error**2).mean()
        if self.objective != "grad" and n not in (1, x_t.shape[1]) and x_t.shape[1] != 1:
            raise RuntimeError(
                f"y_high: the published x0_recon broadcasts y_high ({n},) against x_t {tuple(x_t.shape)}, which "
                f"objective {self.objective!r} allows only for a batch of 1 or D; use objective 'grad'"
            )
        x0_recon = self._predict_x0(x_t, y_high, t, objective_recon)
        return loss, {"loss": loss, "x0_recon": x0_recon}

    @torch.no_grad()
    def p_sample(
        self,
        x_t: Tensor,
        x_low: Tensor,
        y_low: Tensor,
        y_high: Tensor,
        i: int,
        clip_denoised: bool = False,
        classifier_free_guidance_weight: float = 0.0,
        noise: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """One reverse step, from t = steps[i] to s = steps[i+1]: (x_s, x0), both (B, D).

        r      = (1 + w) f(x_t, t, y_low, y_high) - w f(x_t, t, 0, 0), both evaluated whatever w is
        x0     = predict_x0(r), clamped to [-1, 1] if `clip_denoised`; at t = 0 the result is (x0, x0)
        sigma2 = (v_t - v_s (1 - m_t)^2 / (1 - m_s)^2) v_s / v_t
        mean   = (1 - m_s) x0 + m_s x_low + sqrt((v_s - sigma2)/v_t) (x_t - (1 - m_t) x0 - m_t x_low)
        x_s    = mean + sqrt(sigma2) eta noise

        Without `noise` one normal draw shaped like x_t is made after the network ran; none at t = 0.

        Published mistakes, kept. The conditions are in the order (y_low, y_high), opposite to training. Square roots
        take their argument as it is: where timesteps repeat (S > T) rounding makes sigma2 negative and x_s NaN.
        `cosine` steps start at T, outside the schedule: RuntimeError, index out of bounds.
        """
        check_shape("x_t", x_t, (None, None))
        n = x_t.shape[0]
        check_shape("x_low", x_low, x_t.shape)
        check_shape("y_low", y_low, (n,))
        check_shape("y_high", y_high, (n,))
        if check_int("i", i, 0) >= len(self.steps):
            raise ValueError(f"i must be an index into the {len(self.steps)} steps, got {i}")
        if int(self.steps[i]) >= self.num_timesteps:
            raise RuntimeError(
                f"steps: index {int(self.steps[i])} is out of bounds for a schedule of {self.num_timesteps} timesteps; "
                "sample_type 'cosine' cannot be used for sampling"
            )
        w = classifier_free_guidance_weight
        t = torch.full((n,), int(self.steps[i]), device=x_t.device)
        nothing = torch.zeros_like(y_low)
        conditional = self.denoise_fn(x_t, t, y_low, y_high)
        unconditional = self.denoise_fn(x_t, t, nothing, nothing)
        x0 = self._predict_x0(x_t, x_low, t, (1 + w) * conditional - w * unconditional)
        if clip_denoised:
            x0 = x0.clamp(-1.0, 1.0)
        if self.steps[i] == 0:
            return x0, x0
        s = torch.full((n,), int(self.steps[i + 1]), device=x_t.device)
        if noise is None:
            noise = torch.randn_like(x_t)
        check_shape("noise", noise, x_t.shape)
        m_t, m_s = _column(self.m_t, t), _column(self.m_t, s)
        v_t, v_s = _column(self.variance_t, t), _column(self.variance_t, s)
        sigma2 = (v_t - v_s * (1.0 - m_t) ** 2 / (1.0 - m_s) ** 2) * v_s / v_t
        sigma = torch.sqrt(sigma2) * self.eta
        towards = torch.sqrt((v_s - sigma2) / v_t) * (x_t - (1.0 - m_t) * x0 - m_t * x_low)
        mean = (1.0 - m_s) * x0 + m_s * x_low + towards
        return mean + sigma * noise, x0

    @torch.no_grad()
    def sample(
        self,
        x_low: Tensor,
        y_low: Tensor,
        y_high: Tensor,
        clip_denoised: bool = True,
        classifier_free_guidance_weight: float = 0.0,
    ) -> Tensor:
        """The high designs (B, D) at the end of the whole reverse process started at x_low."""
        x_t = x_low
        for i in range(len(self.steps)):
            x_t, _ = self.p_sample(x_t, x_low, y_low, y_high, i, clip_denoised, classifier_free_guidance_weight)
        return x_t

    def _check_t(self, t: Tensor, n: int) -> None:
        check_shape("t", t, (n,))
        if t.is_floating_point():
            raise ValueError(f"t must hold integers, got {t.dtype}")
        if n and not 0 <= int(t.min()) <= int(t.max()) < self.num_timesteps:
            raise ValueError(f"t must lie in 0..{self.num_timesteps - 1}, got {int(t.min())}..{int(t.max())}")


def _column(values: Tensor, t: Tensor) -> Tensor:
    """values[t] as a column (B, 1)."""
    return values.gather(-1, t.long())[:, None]
