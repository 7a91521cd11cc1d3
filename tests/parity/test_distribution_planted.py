"""Planted deviations of the draws fail the test that is named after them; harmless changes fail none."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from parity.root_ggfm.statistical_tests.apply import FALSE_ALARMS, holm
from parity.root_ggfm.statistical_tests.probe import BRIDGE, forward_draws, loader_orders, reverse_noise, step_draws
from parity.root_ggfm.statistical_tests.tests import forward_tests, order_tests, reverse_tests, step_tests
from tests.parity.drawing import Drawing

CPU = torch.device("cpu")
TIMESTEPS = BRIDGE.num_timesteps


def failed(tests):
    thresholds = holm([test.p_value for test in tests if not test.exact], FALSE_ALARMS)
    chance = [test for test in tests if not test.exact]
    found = {test.name for test, threshold in zip(chance, thresholds, strict=True) if test.p_value <= threshold}
    return found | {test.name for test in tests if test.exact and test.p_value == 0}


def steps_of(side, seed=11):
    return failed(step_tests(step_draws(side, range(1, 65), seed, CPU), TIMESTEPS))


def passes_of(side, passes=400, seed=12):
    return failed(order_tests(loader_orders(side, passes, seed, CPU)))


def forward_of(side, seed=13):
    return failed(forward_tests(forward_draws(side, "linear", seed, CPU), "linear"))


def heavy_tails(shape, v):
    return torch.from_numpy(np.random.standard_t(4, shape) / np.sqrt(2.0))


def one_per_column(shape, v):
    return torch.randn(shape[0], 1).expand(shape)


def one_per_row(shape, v):
    return torch.randn(1, shape[1]).expand(shape)


def same_every_step(shape, v):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def dropped_from_above(rows, p):
    return torch.rand(rows) >= 1 - p


@pytest.mark.parametrize(
    ("side", "named"),
    [
        (Drawing(noise=lambda shape, v: torch.randn(shape) * v.sqrt()), "variance at each timestep"),
        (Drawing(noise=lambda shape, v: torch.randn(shape) * v**-0.25), "variance"),
        (Drawing(noise=lambda shape, v: torch.randn(shape) + 0.1), "mean at each timestep"),
        (Drawing(noise=heavy_tails), "normal shape"),
        (Drawing(noise=one_per_row), "rows independent"),
        (Drawing(noise=one_per_column), "dimensions independent"),
        (Drawing(noise=same_every_step), "steps independent"),
        (Drawing(timesteps=lambda rows, T: torch.randint(T - 1, (rows,))), "timesteps uniform"),
        (Drawing(timesteps=lambda rows, T: torch.randint(T, (1,)).expand(rows)), "timesteps uniform"),
        (Drawing(dropped=lambda rows, p: torch.rand(rows) <= 0.3), "conditions dropped"),
        (Drawing(dropped=lambda rows, p: torch.rand(rows) > p), "conditions dropped"),
    ],
    ids=["variance for its root", "fourth root", "mean", "tails", "rows", "dimensions", "steps", "no last timestep",
         "one timestep per batch", "dropped 0.3", "dropped and kept swapped"],
)  # fmt: skip
def test_a_deviation_of_the_training_step_fails_its_test(side, named):
    assert named in steps_of(side)


def test_dropping_that_depends_on_the_timestep_fails_its_test():
    drawn = []

    def timesteps(rows, num_timesteps):
        drawn[:] = [torch.randint(num_timesteps, (rows,))]
        return drawn[0]

    def dropped(rows, p):
        return torch.rand(rows) <= torch.where(drawn[0] < TIMESTEPS // 2, 0.05, 0.25)

    assert "dropping independent of the timestep" in steps_of(Drawing(timesteps=timesteps, dropped=dropped))


def test_conditions_dropped_one_by_one_are_not_whole():
    class OneOnly(Drawing):
        def training_loss(self, bridge, *, y_low, **given):
            return super().training_loss(bridge, y_low=y_low.masked_fill(torch.rand(len(y_low)) <= 0.15, 0.0), **given)

    assert "one timestep and whole conditions per row" in steps_of(OneOnly())


def test_another_place_on_the_bridge_fails_its_test():
    class Shifted(Drawing):
        def training_loss(self, bridge, *, x_high, x_low, **given):
            return super().training_loss(bridge, x_high=x_high + 0.02 * (x_low - x_high), x_low=x_low, **given)

    assert "position between the ends" in steps_of(Shifted())


@pytest.mark.parametrize(
    "side",
    [
        Drawing(),
        Drawing(noise_first=True),
        Drawing(noise=lambda shape, v: torch.from_numpy(np.random.normal(size=shape))),
        Drawing(timesteps=lambda rows, T: (torch.rand(rows) * T).long(), dropped=dropped_from_above),
        Drawing(dropped=lambda rows, p: torch.from_numpy(np.random.random(rows) < p)),
    ],
    ids=["plain", "another order", "another generator", "other operations", "two generators"],
)  # fmt: skip
def test_a_step_that_draws_otherwise_from_the_same_law_fails_nothing(side):
    assert steps_of(side) == set()
    assert forward_of(side) == set()


@pytest.mark.parametrize("seed", [1, 2])
def test_another_seed_fails_nothing(seed):
    assert steps_of(Drawing(), seed) | passes_of(Drawing(), seed=seed) | forward_of(Drawing(), seed) == set()


@pytest.mark.parametrize(
    ("noise", "named"),
    [
        (lambda shape, v: torch.randn(shape) * v.sqrt(), "variance"),
        (lambda shape, v: torch.randn(shape) + 0.1, "mean"),
        (heavy_tails, "normal shape"),
    ],
    ids=["variance for its root", "mean", "tails"],
)
def test_a_deviation_of_the_forward_process_fails_its_test(noise, named):
    assert f"{named} along the linear schedule" in forward_of(Drawing(noise=noise))


def test_a_forward_process_at_another_place_fails_its_test():
    class Shifted(Drawing):
        def q_sample(self, bridge, *, x_high, x_low, **given):
            return super().q_sample(bridge, x_high=x_high + 0.05 * (x_low - x_high), x_low=x_low, **given)

    assert "position along the linear schedule" in forward_of(Shifted())


class ShiftedSteps(Drawing):
    def p_sample(self, bridge, **given):
        return {"x_next": super().p_sample(bridge, **given)["x_next"] + 0.02}


class OneNoiseForAllRows(Drawing):
    def p_sample(self, bridge, **given):
        mean = super().p_sample(replace(bridge, eta=0.0), **given)["x_next"]
        return {"x_next": mean + (super().p_sample(bridge, **given)["x_next"] - mean)[:1]}


@pytest.mark.parametrize(
    ("side", "named"),
    [
        (Drawing(eta=1.1), "variance along the reverse steps"),
        (ShiftedSteps(), "mean along the reverse steps"),
        (OneNoiseForAllRows(), "rows independent along the reverse steps"),
        (Drawing(eta=3.0), "normal shape along the reverse steps"),
    ],
    ids=["variance", "mean", "rows", "shape"],
)
def test_a_deviation_of_the_reverse_process_fails_its_test(side, named):
    assert named in failed(reverse_tests(reverse_noise(side, 14, CPU)))


def test_a_reverse_process_as_published_fails_nothing():
    assert failed(reverse_tests(reverse_noise(Drawing(), 14, CPU))) == set()


def in_halves(n):
    return torch.cat([torch.randperm(n // 2), n // 2 + torch.randperm(n - n // 2)])


def never_first(n):
    order = torch.randperm(n)
    return order.roll(1) if order[0] == 3 else order


def partly_sorted(n):
    order = torch.randperm(n)
    return torch.cat([order[:2].sort().values, order[2:]])


class OneSwap:
    """Each pass is the one before with two pairs swapped."""

    def __init__(self):
        self.order = torch.arange(12)

    def __call__(self, n):
        i, j = torch.randperm(n)[:2].tolist()
        self.order = self.order.clone()
        self.order[[i, j]] = self.order[[j, i]]
        return self.order


@pytest.mark.parametrize(
    ("order", "named"),
    [
        (in_halves, {"places uniform"}),
        (never_first, {"first pair uniform"}),
        (partly_sorted, {"ascents"}),
        (OneSwap(), {"passes independent: places kept", "passes independent: rank correlation"}),
        (lambda n: torch.randint(n, (n,)), {"each pass is a permutation"}),
        (lambda n: torch.randperm(n)[:-1], {"each pass is a permutation", "batches partition the pairs"}),
    ],
    ids=["within halves", "never first", "partly sorted", "one swap", "with replacement", "one left out"],
)
def test_a_deviation_of_the_loader_fails_its_test(order, named):
    assert named <= passes_of(Drawing(order=order))


def test_pairs_that_are_torn_apart_do_not_partition():
    class Torn(Drawing):
        def loader(self, **given):
            return {
                name: values.roll(1, 0) if name.endswith("x_high") else values
                for name, values in super().loader(**given).items()
            }

    assert passes_of(Torn()) == {"batches partition the pairs"}


@pytest.mark.parametrize(
    "order",
    [
        lambda n: torch.rand(n).argsort(),
        lambda n: torch.from_numpy(np.random.permutation(n)),
        lambda n: torch.randperm(n).flip(0),
        lambda n: torch.randperm(n, generator=torch.Generator().manual_seed(int(torch.randint(2**31, ())))),
    ],
    ids=["sorted noise", "another generator", "backwards", "a generator of its own"],
)
def test_a_loader_that_shuffles_otherwise_fails_nothing(order):
    assert passes_of(Drawing(order=order)) == set()
