"""The reverse process: from a low design to a high one.

Everything that depends on the timestep alone is computed once per run, for all steps at a time, and the network's
layers are packed once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ggfm.bridge import BrownianBridge
from ggfm.checks import require_shape
from ggfm.guidance import Guidance
from ggfm.packed import pack

__all__ = ["ReverseCoefficients", "p_sample", "sample"]


@dataclass(frozen=True)
class ReverseCoefficients:
    """The numbers of each reverse step, (S,) tensors; entry i belongs to the step from steps[i] to steps[i + 1].

    The last step returns x0 and needs none but m and sigma_t; what it holds elsewhere has no meaning.
    """

    t: list[int]
    m: Tensor
    m_next: Tensor
    sigma_t: Tensor
    sigma: Tensor
    spread: Tensor

    @classmethod
    def of(cls, bridge: BrownianBridge) -> ReverseCoefficients:
        """With t = steps[i], s = steps[i + 1]: sigma² = (v_t - v_s (1 - m_t)²/(1 - m_s)²) v_s/v_t eta², and
        spread² = (v_s - sigma²/eta²)/v_t.

        Roots of numbers that rounding made negative are NaN, which happens where timesteps repeat (S > T); the
        switch `clamp` takes 0 for them and adds 1e-10 to the v_t that is divided by.
        Raises RuntimeError if a step lies outside the schedule, as those of `cosine` do.
        """
        steps = bridge.steps.long().to(bridge.m_t.device)
        if int(steps.max()) >= bridge.num_timesteps:
            raise RuntimeError(
                f"steps: index out of bounds, timestep {int(steps.max())} of a schedule of {bridge.num_timesteps}; "
                f"sample_type 'cosine' cannot be sampled with"
            )
        following = torch.cat([steps[1:], steps[-1:]])
        m, m_next = bridge.m_t[steps], bridge.m_t[following]
        v, v_next = bridge.variance_t[steps], bridge.variance_t[following]
        clamp = bridge.switches.clamp
        divisor = v + 1e-10 if clamp else v
        variance = (v - v_next * (1.0 - m) ** 2 / (1.0 - m_next) ** 2) * v_next / divisor
        rest = (v_next - variance) / divisor
        if clamp:
            variance, rest = variance.clamp(min=0.0), rest.clamp(min=0.0)
        return cls(steps.tolist(), m, m_next, v.sqrt(), variance.sqrt() * bridge.eta, rest.sqrt())


def p_sample(
    bridge: BrownianBridge,
    x_t: Tensor,
    x_low: Tensor,
    y_low: Tensor,
    y_high: Tensor,
    i: int,
    *,
    clip_denoised: bool,
    guidance_weight: float,
    coefficients: ReverseCoefficients | None = None,
    network: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """One reverse step, from timestep steps[i] to steps[i + 1]: (x_next, x0), (B, D) each.

    r = (1 + w) f(x_t, t, y_low, y_high) - w f(x_t, t, 0, 0); the conditions stand in the opposite order of training,
    as in ROOT. x0 from r, clamped to [-1, 1] if `clip_denoised`. At t = 0 the result is (x0, x0) and nothing is
    drawn; elsewhere x_next = (1 - m_s) x0 + m_s x_low + spread (x_t - (1 - m_t) x0 - m_t x_low) + sigma noise, with
    one standard normal draw shaped like x_t. `coefficients` and `network` (the denoiser's layers, packed) are made
    once by whoever takes many steps. Raises ValueError for a step or shapes that do not fit.
    """
    c = coefficients or ReverseCoefficients.of(bridge)
    if not 0 <= i < len(c.t):
        raise ValueError(f"step: expected 0 to {len(c.t) - 1}, got {i}")
    require_shape("x_low", x_low, x_t.shape)
    weight = Guidance(bridge.switches).weight(guidance_weight)
    r = bridge.denoise_fn.guided(x_t, c.t[i], y_low, y_high, weight, network)
    m, m_next = c.m[i], c.m_next[i]
    x0 = bridge.x0_at(x_t, x_low, m, c.sigma_t[i], r)
    if clip_denoised:
        x0 = x0.clamp(-1.0, 1.0)
    if c.t[i] == 0:
        return x0, x0
    noise = torch.randn_like(x_t)
    mean = (1.0 - m_next) * x0 + m_next * x_low + c.spread[i] * (x_t - (1.0 - m) * x0 - m * x_low)
    return mean + c.sigma[i] * noise, x0


@torch.no_grad()
def sample(
    bridge: BrownianBridge,
    x_low: Tensor,
    y_low: Tensor,
    y_high: Tensor,
    *,
    clip_denoised: bool = True,
    guidance_weight: float = 0.0,
) -> Tensor:
    """The end of the whole reverse process started at x_low: (B, D)."""
    coefficients, network = ReverseCoefficients.of(bridge), pack(bridge.denoise_fn.main)
    x_t = x_low
    for i in range(len(coefficients.t)):
        x_t, _ = p_sample(
            bridge,
            x_t,
            x_low,
            y_low,
            y_high,
            i,
            clip_denoised=clip_denoised,
            guidance_weight=guidance_weight,
            coefficients=coefficients,
            network=network,
        )
    return x_t
