"""The tests of laws, tested: p-values are uniform where the law holds, and miss what they say they miss."""

import numpy as np
import pytest
from scipy import stats

from parity.root_ggfm.statistical_tests import tests as laws
from parity.root_ggfm.statistical_tests.apply import holm
from parity.root_ggfm.statistical_tests.closed_forms import bridge_law
from parity.root_ggfm.statistical_tests.probe import ForwardDraws, Orders, StepDraws
from parity.root_ggfm.statistical_tests.tests import (
    forward_tests,
    order_tests,
    reverse_tests,
    runs_independent,
    step_tests,
    two_sample_orders,
)

REPETITIONS = 200
SLACK = 1e-4
"""Of the Kolmogorov-Smirnov tests on p-values: forty of them fail by chance less than once in two hundred seeds."""


def drawn_steps(g, steps=40, rows=16, dim=4):
    shape = steps, rows
    noise, slope = g.standard_normal((*shape, dim)), g.standard_normal((*shape, dim))
    return StepDraws(g.integers(0, 5, shape), g.random(shape) < 0.15, noise, slope, True)


def drawn_orders(g, passes=250, n=7):
    return Orders(g.permuted(np.tile(np.arange(n), (passes, 1)), axis=1))


def drawn_tests(g):
    steps = drawn_steps(g)
    forward = ForwardDraws(g.standard_normal((60, 4)), g.standard_normal((60, 4)))
    left, right = drawn_orders(g), drawn_orders(g)
    return [
        *step_tests(steps, 5),
        runs_independent(steps.noise, drawn_steps(g).noise),
        *forward_tests(forward, "linear"),
        *reverse_tests(g.standard_normal((7, 16, 3))),
        *order_tests(left),
        two_sample_orders(left, right),
        laws.two_samples("losses", g.exponential(size=80), g.exponential(size=70), shift=1.0, closed_form=""),
    ]


@pytest.fixture(scope="module")
def p_values():
    found = {}
    for seed in range(REPETITIONS):
        for test in drawn_tests(np.random.default_rng(seed)):
            if not test.exact:
                found.setdefault(test.name, []).append(test.p_value)
    return found


DISCRETE = {"conditions dropped", "passes independent: places kept", "losses"}


def test_p_values_are_not_too_small_where_the_law_holds(p_values):
    for name, values in p_values.items():
        assert len(values) == REPETITIONS
        assert stats.kstest(values, "uniform", alternative="greater").pvalue > SLACK, name


def test_p_values_are_uniform_where_the_law_holds(p_values):
    for name in p_values.keys() - DISCRETE:
        assert stats.kstest(p_values[name], "uniform").pvalue > SLACK, name


LEVEL = 0.05


def normal(g, n=400):
    return g.standard_normal(n)


@pytest.mark.parametrize(
    "deviating",
    [
        lambda g: laws.spread(
            "", float(np.sum(1.15 * normal(g) ** 2)), 400, scale=1.15, closed_form="", alternative=""
        ),
        lambda g: laws.binomial(
            "", int(g.binomial(400, 0.19)), 400, 0.15, other=0.19, closed_form="", alternative=""
        ),
        lambda g: laws.gaussian_mean(
            "", float(normal(g).sum() / 20 + 2), 400, shift=2.0, closed_form="", alternative=""
        ),
        lambda g: laws.chi_squared(
            "", float(np.sum((normal(g, 9) + 1) ** 2)), 9, 9, noncentrality=9.0, closed_form="", alternative=""
        ),
        lambda g: laws.position("", normal(g) + 0.1, np.ones(400), off=0.1),
        lambda g: laws.spread_by_group(
            "", [float(np.sum(normal(g) ** 2)), float(np.sum(1.25 * normal(g, 300) ** 2))], [400, 300], scale=1.25,
            closed_form="", alternative="",
        ),
    ],
    ids=["spread", "binomial", "mean", "chi squared", "position", "spread by group"],
)  # fmt: skip
def test_the_stated_deviation_is_missed_as_often_as_stated(deviating):
    tests = [deviating(np.random.default_rng(seed)) for seed in range(300)]
    stated = tests[0].miss(LEVEL)
    missed = np.mean([test.p_value > LEVEL for test in tests])
    assert 0.1 < stated < 0.9
    # Four standard deviations of the share; `spread by group` counts on the one group alone, which is 1% too careful.
    assert abs(missed - stated) < 4 * np.sqrt(stated * (1 - stated) / 300) + 0.01


@pytest.mark.parametrize(
    "deviating",
    [
        lambda g: laws.normal_shape("", g.standard_t(8, 3000) * np.sqrt(6 / 8), closed_form=""),
        lambda g: laws.two_samples("", normal(g, 60), normal(g, 60) + 0.6, shift=0.6, closed_form=""),
    ],
    ids=["shape", "two samples"],
)
def test_the_stated_deviation_is_missed_at_most_as_often_as_stated(deviating):
    tests = [deviating(np.random.default_rng(seed)) for seed in range(200)]
    stated = tests[0].miss(LEVEL)
    assert 0.1 < stated < 0.95
    assert np.mean([test.p_value > LEVEL for test in tests]) < stated + 4 * np.sqrt(stated * (1 - stated) / 200)


def test_stated_deviations_of_steps_and_passes_are_missed_as_often_as_stated():
    def last_half_as_often(g):
        draws = drawn_steps(g)
        t = np.where((draws.t == 4) & (g.random(draws.t.shape) < 0.5), g.integers(0, 4, draws.t.shape), draws.t)
        return StepDraws(t, draws.dropped, draws.noise, draws.slope, True)

    def never_first(g):
        passes = drawn_orders(g, passes=80).passes.copy()
        passes[passes[:, 0] == 0] = np.roll(passes[passes[:, 0] == 0], 1, axis=1)
        return Orders(passes)

    def one_left(g):
        passes = drawn_orders(g, passes=100).passes.copy()
        stuck = g.random(len(passes)) < 0.12
        at = np.argwhere(passes[stuck] == 2)[:, 1]
        rows = np.flatnonzero(stuck)
        passes[rows, at], passes[rows, 2] = passes[rows, 2], 2
        return Orders(passes)

    def repeated(g):
        passes = drawn_orders(g, passes=400).passes.copy()
        for k in np.flatnonzero(g.random(len(passes)) < 1 / 40):
            passes[k] = passes[k - 1]
        return Orders(passes)

    def followed(g):
        passes = drawn_orders(g, passes=120).passes.copy()
        for k in np.flatnonzero(g.random(len(passes)) < 0.25):
            at = int(np.argwhere(passes[k] == (passes[k, 0] + 1) % 7)[0, 0])
            passes[k, [1, at]] = passes[k, [at, 1]]
        return [two_sample_orders(drawn_orders(g, passes=120), Orders(passes))]

    def dropped_by_timestep(g):
        draws = drawn_steps(g)
        t = g.integers(0, 4, draws.t.shape)
        dropped = g.random(t.shape) < np.where(t < 2, 0.10, 0.20)
        return step_tests(StepDraws(t, dropped, draws.noise, draws.slope, True), 4)

    cases = {
        "passes independent: places kept": (1e-3, lambda g: order_tests(repeated(g))),
        "order of both sides": (LEVEL, followed),
        "dropping independent of the timestep": (LEVEL, dropped_by_timestep),
        "timesteps uniform": (1e-9, lambda g: step_tests(last_half_as_often(g), 5)),
        "first pair uniform": (1e-3, lambda g: order_tests(never_first(g))),
        "places uniform": (LEVEL, lambda g: order_tests(one_left(g))),
    }
    for name, (level, tests) in cases.items():
        found = [next(test for test in tests(np.random.default_rng(seed)) if test.name == name) for seed in range(150)]
        stated = np.mean([test.miss(level) for test in found])
        missed = np.mean([test.p_value > level for test in found])
        assert 0.05 < stated < 0.95, (name, stated)
        assert abs(missed - stated) < 4 * np.sqrt(stated * (1 - stated) / 150) + 0.02, (name, stated, missed)


def test_holm_descends_until_the_first_that_passes():
    p_values = [0.5, 0.001, 0.02, 0.004]
    assert holm(p_values, 0.01) == pytest.approx([0.01 / 3, 0.01 / 4, 0.01 / 3, 0.01 / 3])
    assert holm([], 0.01) == []
    # The second smallest passes, so all larger ones do, whatever their own place would have allowed.
    assert holm([0.001, 0.006, 0.0061], 0.01) == pytest.approx([0.01 / 3, 0.005, 0.005])


def test_holm_keeps_the_rate_of_false_alarms_of_all_tests_together():
    g = np.random.default_rng(0)
    alarms = [any(p <= limit for p, limit in zip(ps, holm(ps, 0.1), strict=True)) for ps in g.random((2000, 12))]
    assert 0.08 < np.mean(alarms) < 0.12


def test_closed_forms_are_refused_for_a_schedule_that_has_none():
    with pytest.raises(ValueError, match="mt_type 'cosine' has no closed form here; allowed are linear, sin"):
        bridge_law(10, "cosine", 1.0)
