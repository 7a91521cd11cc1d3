"""Pairs, their paths and the resampling of these."""

from __future__ import annotations

import pytest
import torch

from ggfm.gaussian_process import GaussianProcess
from ggfm.pair_sampling import PairSampling, sample_pairs
from ggfm.pool import Pool
from ggfm.switches import Switches
from ggfm.trajectory import TRAJ_STEPS, resample

ALIGNED = Switches.aligned()
SETTINGS = PairSampling(num_gradient_steps=7, num_functions=2, num_points=6, learning_rate=0.05, threshold_diff=0.01)


def _process() -> tuple[torch.Tensor, GaussianProcess]:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(30, 3, generator=g)
    return x[:9], GaussianProcess(x, x.sum(1).sin(), lengthscale=1.0, variance=1.0, noise=0.01)


def test_paths_have_the_ends_of_the_pairs() -> None:
    pool, gp = _process()
    plain = sample_pairs(pool, gp, SETTINGS, seed=3, switches=ALIGNED)
    after = torch.rand(2)
    recorded = sample_pairs(pool, gp, SETTINGS, seed=3, switches=ALIGNED.toggled("trajectory"))
    assert torch.equal(torch.rand(2), after)
    for ends, whole in zip(plain, recorded, strict=True):
        assert ends.path is None
        assert whole.path is not None
        assert whole.path.shape == (len(ends), TRAJ_STEPS + 1, 3)
        assert torch.equal(whole.path[:, 0], ends.x_low)
        assert torch.equal(whole.path[:, -1], ends.x_high)
        assert torch.equal(whole.y_high, ends.y_high)


def test_the_process_has_its_hyperparameters_back_but_not_its_coefficients() -> None:
    pool, gp = _process()
    lengthscale, coef = gp.lengthscale, gp.coef
    sample_pairs(pool, gp, SETTINGS, seed=0, switches=ALIGNED)
    assert float(gp.lengthscale) == pytest.approx(float(lengthscale), abs=1e-6)
    assert float(gp.variance) == 1.0
    assert not torch.equal(gp.coef, coef)


def test_low_descends_and_high_ascends() -> None:
    pool, gp = _process()
    for pairs in sample_pairs(pool, gp, SETTINGS, seed=1, switches=ALIGNED):
        assert len(pairs) > 0
        assert bool((pairs.y_high - pairs.y_low > SETTINGS.threshold_diff).all())


def test_a_threshold_out_of_reach_keeps_nothing() -> None:
    pool, gp = _process()
    settings = PairSampling(num_points=4, num_functions=1, threshold_diff=1e9)
    (pairs,) = sample_pairs(pool, gp, settings, seed=0, switches=ALIGNED.toggled("trajectory"))
    assert pairs.x_high.shape == (0, 3)
    assert pairs.path is not None
    assert pairs.path.shape == (0, TRAJ_STEPS + 1, 3)


def test_resampling_keeps_ends_and_known_points() -> None:
    path = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    fine = resample(path, 8)
    assert fine.shape == (2, 9, 3)
    assert torch.equal(fine[:, ::2], path)
    torch.testing.assert_close(fine[:, 1], (path[:, 0] + path[:, 1]) / 2)
    assert torch.equal(resample(path, 4), path)
    coarse = resample(path, 3)
    assert torch.equal(coarse[:, [0, -1]], path[:, [0, -1]])
    torch.testing.assert_close(coarse[:, 1], path[:, 1] + (path[:, 2] - path[:, 1]) / 3)
    assert torch.equal(resample(path[:, :1], 4), path[:, :1].expand(2, 5, 3))
    with pytest.raises(ValueError, match="steps: got 0"):
        resample(path, 0)


def test_bad_input_is_refused() -> None:
    pool, gp = _process()
    with pytest.raises(RuntimeError, match="expected at least num_points 10"):
        sample_pairs(pool, gp, PairSampling(), seed=0, switches=ALIGNED)
    with pytest.raises(ValueError, match="pool"):
        sample_pairs(pool[:, :2].T[0], gp, SETTINGS, seed=0, switches=ALIGNED)
    with pytest.raises(ValueError, match="NaN"):
        sample_pairs(pool * float("nan"), gp, SETTINGS, seed=0, switches=ALIGNED)
    with pytest.raises(ValueError, match="num_functions"):
        PairSampling(num_functions=0)
    with pytest.raises(ValueError, match="num_gradient_steps"):
        PairSampling(num_gradient_steps=-1)


def test_fixed_pools_are_the_ends_of_the_sorted_scores() -> None:
    x = torch.arange(1500.0)[:, None]
    y = -x[:, 0]
    assert torch.equal(Pool(x, y, "highest", 64, ALIGNED).epoch(), x[torch.argsort(y)[-1024:]])
    assert torch.equal(Pool(x, y, "lowest", 64, ALIGNED).epoch(), x[torch.argsort(y)[:1024]])
    assert torch.equal(Pool(x, y, "all", 64, ALIGNED).epoch(), x)


def test_a_renewed_pool_is_half_of_the_best_and_half_of_all() -> None:
    x = torch.arange(5000.0)[:, None]
    pool = Pool(x, x[:, 0], "highest", 1025, ALIGNED.toggled("pool"))
    torch.manual_seed(4)
    first, second = pool.epoch(), pool.epoch()
    torch.manual_seed(4)
    best = x.flip(0)[:2000][torch.randperm(2000)[:512]]
    assert torch.equal(first, torch.cat([best, x[torch.randperm(5000)[:513]]]))
    assert not torch.equal(first, second)


def test_a_pool_refuses_scores_of_another_length() -> None:
    with pytest.raises(ValueError, match=r"y: expected shape \(3,\), got \(2,\)"):
        Pool(torch.zeros(3, 1), torch.zeros(2), "all", 1, ALIGNED)
