"""The bridge: what is refused, and what its switches change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from ggfm.bridge import BrownianBridge
from ggfm.guidance import Guidance
from ggfm.losses import training_loss
from ggfm.network import draw_initial_weights
from ggfm.pairs import Pairs
from ggfm.sampling import ReverseCoefficients, p_sample, sample
from ggfm.schedule import bridge_schedule, reverse_steps
from ggfm.switches import Switches

Make = Callable[..., Any]


def _inputs(batch: int = 5) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    shapes = {"x_high": (batch, 3), "y_high": (batch,), "x_low": (batch, 3), "y_low": (batch,)}
    return {name: torch.randn(shape, generator=g) for name, shape in shapes.items()}


def test_making_a_bridge_draws_nothing() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    BrownianBridge(3, 8)
    assert torch.equal(torch.rand(1), expected)


def test_schedules_are_cast_last() -> None:
    single = bridge_schedule(50, "sin", 1.0, torch.float32)
    double = bridge_schedule(50, "sin", 1.0, torch.float64)
    assert all(torch.equal(double[name].float(), single[name]) for name in single)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mt_type": "cubic"}, "mt_type: got 'cubic', allowed are 'linear', 'sin'"),
        ({"num_timesteps": 0}, "num_timesteps: got 0"),
        ({"sample_type": "quadratic"}, "sample_type: got 'quadratic'"),
        ({"sample_step": 2}, "sample_step"),
        ({"num_timesteps": 1}, "num_timesteps above 1"),
    ],
)
def test_a_bridge_that_cannot_be_is_refused(make_bridge: Make, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_bridge(**options)


@pytest.mark.parametrize(("dim", "hidden", "name"), [(0, 8, "image_size"), (3, 0, "hidden_size")])
def test_sizes_below_one_are_refused(dim: int, hidden: int, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: got 0"):
        BrownianBridge(dim, hidden)


@pytest.mark.parametrize("t", [[0, 20], [-1, 0]])
def test_timesteps_outside_the_schedule_are_refused(make_bridge: Make, t: list[int]) -> None:
    x = torch.zeros(2, 3)
    with pytest.raises(ValueError, match="t: expected 0 to 19"):
        make_bridge().q_sample(x, x, torch.tensor(t))
    with pytest.raises(ValueError, match="t: expected 0 to 19"):
        make_bridge().predict_x0_from_objective(x, x, torch.tensor(t), x)


def test_shapes_that_do_not_fit_are_refused(make_bridge: Make) -> None:
    bridge, x, t = make_bridge(), torch.zeros(2, 3), torch.zeros(2, dtype=torch.long)
    y = torch.zeros(2)
    with pytest.raises(ValueError, match="x_low"):
        bridge.q_sample(x, x[:1], t)
    with pytest.raises(ValueError, match="noise"):
        bridge.q_sample(x, x, t, x[:, :1])
    with pytest.raises(ValueError, match=r"t: expected shape \(2,\)"):
        bridge.q_sample(x, x, t[:1])
    with pytest.raises(ValueError, match="t: expected integers"):
        bridge.q_sample(x, x, t.float())
    with pytest.raises(ValueError, match="y_high"):
        bridge.p_losses(x, y[:1], x, y, t)
    with pytest.raises(ValueError, match="y_second"):
        bridge.denoise_fn(x, t, y, torch.zeros(2, 2))
    with pytest.raises(ValueError, match="x_t"):
        bridge.denoise_fn(x[:, :2], t, y, y)
    with pytest.raises(ValueError, match="x_low"):
        p_sample(bridge, x, x[:1], y, y, 0, clip_denoised=False, guidance_weight=0.0)
    with pytest.raises(ValueError, match="step: expected 0 to 7, got 8"):
        p_sample(bridge, x, x, y, y, 8, clip_denoised=False, guidance_weight=0.0)


def test_unknown_objective_and_loss_are_refused(make_bridge: Make) -> None:
    with pytest.raises(ValueError, match="objective: got 'score'"):
        make_bridge(objective="score")(**_inputs())
    with pytest.raises(ValueError, match="loss_type: got 'huber'"):
        make_bridge(loss_type="huber")(**_inputs())


def test_conditions_may_be_columns(make_bridge: Make) -> None:
    bridge, given = make_bridge("logged_x0"), _inputs()
    columns = given | {"y_high": given["y_high"][:, None], "y_low": given["y_low"][:, None]}
    torch.manual_seed(0)
    expected = bridge(**given)
    torch.manual_seed(0)
    got = bridge(**columns)
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


def test_cosine_steps_cannot_be_sampled_with(make_bridge: Make) -> None:
    bridge = make_bridge(sample_type="cosine")
    assert float(reverse_steps(20, True, "cosine", 8)[0]) == 20.0
    with pytest.raises(RuntimeError, match="index out of bounds"):
        sample(bridge, torch.zeros(2, 3), torch.zeros(2), torch.zeros(2))


def test_guided_networks_in_one_batch(make_bridge: Make) -> None:
    bridge, given = make_bridge(), _inputs()
    x, first, second, zero = given["x_high"], given["y_low"], given["y_high"], torch.zeros(5)
    t = torch.full((5,), 9)
    expected = -0.5 * bridge.denoise_fn(x, t, first, second) + 1.5 * bridge.denoise_fn(x, t, zero, zero)
    torch.testing.assert_close(bridge.denoise_fn.guided(x, 9, first, second, -1.5), expected)
    plain = bridge.denoise_fn.guided(x, 9, first, second, 0.0)
    torch.testing.assert_close(plain, bridge.denoise_fn(x, t, first, second))


def test_noise_eps(make_bridge: Make) -> None:
    x, t = torch.ones(1, 3), torch.tensor([19])
    plain, shifted = (
        make_bridge(*on, objective="noise", dtype=torch.float64).predict_x0_from_objective(x, 0 * x, t, 0 * x)
        for on in [(), ("noise_eps",)]
    )
    assert not torch.equal(plain, shifted)
    torch.testing.assert_close(1 / shifted - 1 / plain, torch.full((1, 3), 1e-8, dtype=torch.float64))


def test_logged_x0(make_bridge: Make) -> None:
    with pytest.raises(RuntimeError):
        make_bridge(objective="ysubx")(**_inputs())
    bridge, given = make_bridge("logged_x0", objective="ysubx"), _inputs()
    _, logged = bridge.p_losses(**given, t=torch.zeros(5, dtype=torch.long))
    assert logged.shape == (5, 3)


def test_clamp_makes_repeated_timesteps_finite(make_bridge: Make) -> None:
    options = {"num_timesteps": 100, "sample_step": 150}
    x, y = torch.randn(4, 3), torch.zeros(4)
    assert bool(sample(make_bridge(**options), x, y, y).isnan().any())
    assert bool(sample(make_bridge("clamp", **options), x, y, y).isfinite().all())
    assert bool(ReverseCoefficients.of(make_bridge(**options)).sigma[:-1].isnan().any())


def test_step_seed(make_bridge: Make, make_pairs: Callable[..., Pairs]) -> None:
    def losses(bridge: BrownianBridge) -> list[float]:
        found = []
        for seed in (0, 1):
            torch.manual_seed(seed)
            found.append(training_loss(bridge, make_pairs(6), 5, 0.5).item())
        return found

    first, second = losses(make_bridge())
    assert first == second
    first, second = losses(make_bridge("step_seed"))
    assert first != second


def test_guidance_off_draws_no_mask_and_has_no_weight() -> None:
    y = torch.ones(50)
    on, off = Guidance(Switches.aligned()), Guidance(Switches.aligned().toggled("guidance"))
    high, low = on.conditions(y, y, 0.5)
    assert torch.equal(high, low)
    assert 0 < int((high == 0).sum()) < 50
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(off.conditions(y, y, 0.5)[0], y)
    assert torch.equal(torch.rand(1), expected)
    assert (on.weight(-1.5), off.weight(-1.5)) == (-1.5, 0.0)


def test_init_redraws_weights_and_keeps_biases(make_bridge: Make) -> None:
    states = []
    for switches in (Switches.aligned(), Switches.aligned().toggled("init")):
        bridge = make_bridge()
        torch.manual_seed(2)
        draw_initial_weights(bridge.denoise_fn, switches)
        states.append(bridge.denoise_fn.state_dict())
    for name in states[0]:
        assert torch.equal(states[0][name], states[1][name]) == name.endswith("bias")


def test_steps_buffer(make_bridge: Make) -> None:
    assert "steps" not in make_bridge().state_dict()
    assert "steps" in make_bridge("steps_buffer").state_dict()
