import math

import pytest
import torch

import reference_root as root


@pytest.fixture
def gp():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(30, 3, generator=generator)
    return root.GP(x, torch.sin(x.sum(1)), lengthscale=1.0, variance=1.0, noise=0.01)


def test_non_finite_training_designs_are_refused():
    x = torch.randn(6, 3)
    x[4, 1] = math.nan
    with pytest.raises(ValueError, match=r"x_train must be finite, got 1 .* row 4"):
        root.GP(x, torch.randn(6), 1.0, 1.0, 0.01)


def test_non_finite_test_designs_are_refused(gp):
    with pytest.raises(ValueError, match="x must be finite"):
        gp.mean_posterior(torch.full((2, 3), math.inf))


def test_wrong_shapes_are_refused_by_name(gp):
    with pytest.raises(ValueError, match=r"y_train must have shape \(6\), got \(5,\)"):
        root.GP(torch.randn(6, 3), torch.randn(5), 1.0, 1.0, 0.01)
    with pytest.raises(ValueError, match=r"x must have shape \(any, 3\), got \(2, 4\)"):
        gp.mean_posterior(torch.randn(2, 4))
    with pytest.raises(ValueError, match=r"x_train must have shape \(any, 3\)"):
        root.sampling_data_from_GP(torch.randn(20, 4), gp)


def test_a_lengthscale_that_is_not_positive_is_refused(gp):
    with pytest.raises(ValueError, match="lengthscale must be positive, got"):
        gp.set_hyper(0.0, 1.0)


def test_a_pool_smaller_than_num_points_is_a_runtime_error(gp):
    with pytest.raises(RuntimeError, match="num_points must be at most the size of the pool, 9, got 10"):
        root.sampling_data_from_GP(gp.x_train[:9], gp, num_points=10)


@pytest.mark.parametrize("name", ["num_functions", "num_points", "num_gradient_steps"])
def test_a_negative_count_is_refused_by_name(gp, name):
    with pytest.raises(ValueError, match=f"{name} must be an integer of at least"):
        root.sampling_data_from_GP(gp.x_train, gp, **{name: -1})


def test_a_non_finite_pool_is_refused(gp):
    pool = gp.x_train.clone()
    pool[2, 0] = math.nan
    with pytest.raises(ValueError, match=r"x_train must be finite, got 1 .* row 2"):
        root.sampling_data_from_GP(pool, gp)


def test_hyperparameters_are_restored_but_coef_stays_that_of_the_last_function(gp):
    fitted = gp.coef.clone()
    lengthscale, variance = gp.lengthscale.clone(), gp.variance.clone()
    root.sampling_data_from_GP(gp.x_train, gp, num_functions=2, num_gradient_steps=1)
    assert torch.equal(gp.lengthscale, lengthscale)
    assert torch.equal(gp.variance, variance)
    assert not torch.equal(gp.coef, fitted)


def test_every_function_starts_from_the_hyperparameters_that_the_gp_came_with(gp):
    both = root.sampling_data_from_GP(gp.x_train, gp, num_functions=2, delta_lengthscale=0.0, delta_variance=0.0)
    again = root.sampling_data_from_GP(gp.x_train, gp, num_functions=1, delta_lengthscale=0.0, delta_variance=0.0)
    assert len(both["f0"]) == len(again["f0"])
    assert all(torch.equal(p[0][0], q[0][0]) for p, q in zip(both["f0"], again["f0"], strict=True))


def test_no_pair_above_the_threshold_leaves_empty_functions(gp):
    data = root.sampling_data_from_GP(gp.x_train, gp, num_functions=2, num_gradient_steps=1, threshold_diff=1e9)
    assert data == {"f0": [], "f1": []}


def test_gradient_steps_that_diverge_lose_their_pairs_without_an_error(gp):
    data = root.sampling_data_from_GP(gp.x_train, gp, num_functions=1, learning_rate=math.inf)
    assert data == {"f0": []}


def test_the_pool_is_left_as_it_was(gp):
    pool = gp.x_train.clone()
    root.sampling_data_from_GP(pool, gp, learning_rate=0.1)
    assert torch.equal(pool, gp.x_train)


def test_float64_stays_float64_throughout():
    x = torch.randn(12, 3, dtype=torch.float64)
    gp = root.GP(x, x.sum(1), lengthscale=1.3, variance=0.8, noise=0.01)
    assert gp.lengthscale.dtype == gp.coef.dtype == torch.float64
    assert float(gp.lengthscale) == pytest.approx(1.3, rel=1e-14)
    assert float(gp.variance) == 0.8
    ((x_high, y_high), _), *_ = root.sampling_data_from_GP(x, gp, learning_rate=0.1, threshold_diff=-1.0)["f0"]
    assert x_high.dtype == y_high.dtype == torch.float64
