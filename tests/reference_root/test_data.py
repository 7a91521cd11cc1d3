import math

import numpy as np
import pytest
import torch

import reference_root as root


def pairs(*counts):
    data = {}
    for f, n in enumerate(counts):
        data[f"f{f}"] = [
            ((torch.full((2,), 10.0 * f + k), torch.tensor(1.0)), (torch.zeros(2), torch.tensor(0.0))) for k in range(n)
        ]
    return data


def firsts(chosen):
    return [float(x_high[0]) for (x_high, _), _ in chosen]


def test_the_first_pairs_of_each_function_are_held_out():
    loader, validation = root.create_train_dataloader(pairs(10, 5), 0.2, batch_size=4, shuffle=False)
    assert firsts(validation) == [0, 1, 10]
    assert firsts(loader.dataset.pairs) == [*range(2, 10), 11, 12, 13, 14]


def test_the_last_partial_batch_is_kept():
    loader, _ = root.create_train_dataloader(pairs(10), 0.0, batch_size=4)
    assert [x_high.shape for (x_high, _), _ in loader] == [(4, 2), (4, 2), (2, 2)]


@pytest.mark.parametrize(("counts", "val_frac"), [((0, 0), 0.1), ((), 0.1), ((3, 2), 1.0)])
def test_an_empty_training_set_is_refused(counts, val_frac):
    with pytest.raises(ValueError, match="data_from_GP must leave at least one training pair, got"):
        root.create_train_dataloader(pairs(*counts), val_frac)


@pytest.mark.parametrize("val_frac", [-0.1, 1.5, math.nan])
def test_a_val_frac_that_is_no_fraction_is_refused(val_frac):
    with pytest.raises(ValueError, match=r"val_frac must lie in \[0, 1\], got"):
        root.create_train_dataloader(pairs(3), val_frac)


def test_a_batch_size_below_one_is_refused():
    with pytest.raises(ValueError, match="batch_size must be an integer of at least 1, got 0"):
        root.create_train_dataloader(pairs(3), 0.0, batch_size=0)


@pytest.mark.parametrize("name", ["x", "y"])
def test_non_finite_offline_data_are_refused_by_name(make_task, name):
    task = make_task()
    getattr(task, name)[7, 0] = np.nan
    with pytest.raises(ValueError, match=f"task.{name} must be finite, got 1 .* row 7"):
        root.get_offline_data(task, True, True)


def test_scores_of_a_wrong_shape_are_refused(make_task):
    task = make_task()
    task.y = task.y[:, 0]
    with pytest.raises(ValueError, match=r"task.y must have shape \(40, 1\), got \(40,\)"):
        root.get_offline_data(task, True, True)


def test_a_constant_column_is_divided_by_one_but_constant_scores_by_zero(make_task):
    task = make_task()
    task.x[:, 1] = 2.5
    task.y[:] = 3.0
    data = root.get_offline_data(task, True, True)
    assert data.std_x[1] == 1.0
    assert not data.x[:, 1].any()
    assert data.y.isnan().all()


def test_encoding_leaves_a_discrete_task_untouched(make_task):
    task = make_task(discrete=True)
    before = task.x.copy()
    data = root.get_offline_data(task, False, False)
    assert data.x.shape == (40, 12)
    assert np.array_equal(task.x, before)


def test_offline_data_are_shuffled_by_numpy_alone(make_task):
    task, torch_before = make_task(), torch.get_rng_state()
    np.random.seed(3)
    data = root.get_offline_data(task, False, False)
    np.random.seed(3)
    assert np.array_equal(data.x.numpy(), task.x[np.random.permutation(40)])
    assert torch.equal(torch_before, torch.get_rng_state())


def test_the_pool_is_the_end_of_the_ascending_order_and_not_reversed():
    x, y = torch.arange(1500.0)[:, None], torch.arange(1500.0)
    assert torch.equal(root.select_pool(x, y, "highest"), x[476:])
    assert torch.equal(root.select_pool(x, y, "lowest"), x[:1024])
    assert torch.equal(root.select_pool(x, y, "anything else"), x)


def test_an_unknown_kind_of_candidates_is_refused():
    with pytest.raises(ValueError, match=r"type must be one of .* got 'best'"):
        root.sampling_from_offline_data(torch.zeros(4, 1), torch.zeros(4), 2, "best", 0.5, 0)


@pytest.mark.parametrize(("kind", "most"), [("low", 2), ("high", 2), ("random", 10)])
def test_more_candidates_than_there_are_to_draw_from_are_refused(kind, most):
    x, y = torch.randn(10, 1), torch.randn(10)
    assert len(root.sampling_from_offline_data(x, y, most, kind, 0.2, 0)[0]) == most
    with pytest.raises(ValueError, match=f"n_candidates must be at most the {most} designs .* got {most + 1}"):
        root.sampling_from_offline_data(x, y, most + 1, kind, 0.2, 0)


def test_highest_candidates_are_all_designs_where_there_are_fewer():
    assert len(root.sampling_from_offline_data(torch.zeros(4, 1), torch.zeros(4), 9, "highest", 0.5, 0)[0]) == 4


def test_an_unknown_task_has_no_score_range():
    with pytest.raises(ValueError, match=r"task\.name must be one of 'TFBind8-Exact-v0'.* got 'Hopper'"):
        root.score_range("Hopper")


def test_designs_of_another_width_are_refused(make_task):
    with pytest.raises(ValueError, match=r"designs must have shape \(any, 4\), got \(2, 3\)"):
        root.evaluate_designs(make_task(), torch.zeros(2, 3), torch.zeros(4), torch.ones(4), 0.0, 1.0)


def test_percentiles_are_scores_that_occur(make_task):
    scores, percentiles = root.evaluate_designs(make_task(), torch.randn(7, 4), torch.zeros(4), torch.ones(4), 0.0, 1.0)
    assert set(percentiles.tolist()) <= set(scores.tolist())
    assert percentiles[0] == scores.max()
