import copy

import pytest
import torch
from torch import nn

import reference_root as root

ADAM = {"optimizer": "Adam", "lr": 0.001, "beta1": 0.9, "weight_decay": 0.0}
PLATEAU = {"factor": 0.5, "patience": 0, "threshold": 1e-4, "cooldown": 0, "min_lr": 5e-7}


@pytest.fixture
def batch():
    return (torch.randn(6, 4), torch.randn(6)), (torch.randn(6, 4), torch.randn(6))


def test_an_unknown_optimiser_is_returned_as_an_exception_and_fails_later():
    parameter = nn.Parameter(torch.zeros(2))
    returned = root.get_optimizer(ADAM | {"optimizer": "LBFGS"}, [parameter])
    assert isinstance(returned, NotImplementedError)
    with pytest.raises(TypeError, match="is not an Optimizer"):
        root.BatchUpdate(ADAM | {"optimizer": "LBFGS"}, PLATEAU, 1, [parameter])


def test_a_missing_optimiser_setting_is_named():
    with pytest.raises(ValueError, match="setting 'beta1' is missing"):
        root.get_optimizer({"optimizer": "Adam", "lr": 0.001, "weight_decay": 0.0}, [nn.Parameter(torch.zeros(2))])


def test_sgd_needs_no_settings_of_adam():
    optimizer = root.get_optimizer({"optimizer": "SGD", "lr": 0.1}, [nn.Parameter(torch.zeros(2))])
    assert optimizer.defaults["momentum"] == 0.9


def test_accumulated_gradients_are_summed_not_averaged():
    parameter = nn.Parameter(torch.zeros(1))
    update = root.BatchUpdate({"optimizer": "SGD", "lr": 1.0}, PLATEAU, 2, [parameter])
    for step in (1, 2):
        (3.0 * parameter).sum().backward()
        update(1.0, step)
        assert parameter.item() == (0.0 if step == 1 else -6.0)


def test_the_scheduler_sees_only_the_losses_of_optimiser_steps():
    update = root.BatchUpdate({"optimizer": "SGD", "lr": 1.0}, PLATEAU, 2, [nn.Parameter(torch.zeros(1))])
    for step, loss in enumerate([9.0, 1.0, 9.0, 0.5], start=1):
        update(loss, step)
    assert update.lr == 1.0


def test_the_training_loss_depends_on_the_step_and_not_on_the_seed(make_model, batch):
    model = make_model()
    losses = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        losses.append(root.training_loss(model, batch, 5, 0.15))
    assert torch.equal(*losses)
    assert not torch.equal(losses[0], root.training_loss(model, batch, 6, 0.15))


def test_dropped_conditions_are_both_zero_and_the_batch_stays_as_it_was(make_model, batch):
    model, seen = make_model(), []
    model.denoise_fn.register_forward_hook(lambda _, inputs, __: seen.append(inputs[2:]))
    before = copy.deepcopy(batch)
    root.training_loss(model, batch, 1, 0.5)
    dropped = seen[0][0] == 0
    assert 0 < int(dropped.sum()) < 6
    assert torch.equal(dropped, seen[0][1] == 0)
    assert all(torch.equal(p, q) for a, b in zip(before, batch, strict=True) for p, q in zip(a, b, strict=True))


def test_the_average_copies_before_it_decays():
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(1.0)
    ema = root.EMA(0.75)
    ema.register(model)
    model.weight.data.fill_(3.0)
    ema.update(model, with_decay=False)
    assert float(ema.shadow["weight"]) == 3.0
    model.weight.data.fill_(7.0)
    ema.update(model)
    assert float(ema.shadow["weight"]) == 4.0
    ema.apply_shadow(model)
    assert model.weight.item() == 4.0
    ema.restore(model)
    assert model.weight.item() == 7.0


def test_an_average_out_of_order_is_refused():
    model, ema = nn.Linear(1, 1), root.EMA(0.9)
    with pytest.raises(ValueError, match="'weight' is not registered"):
        ema.update(model)
    ema.register(model)
    with pytest.raises(ValueError, match="'weight' has no backup"):
        ema.restore(model)


@pytest.mark.parametrize("decay", [-0.1, 1.1])
def test_a_decay_that_is_no_fraction_is_refused(decay):
    with pytest.raises(ValueError, match=r"ema_decay must lie in \[0, 1\]"):
        root.EMA(decay)


def test_a_run_is_reproducible_and_tested(config, make_task):
    settings, task = root.Config.from_mapping(config), make_task()
    runs = [root.train(settings, task, seed=1) for _ in range(2)]
    assert runs[0].losses == runs[1].losses
    assert len(runs[0].lr) == len(runs[0].losses) == runs[0].global_step
    outcome = root.test(settings, task, task, 1, runs[0].weights, runs[0].shadow)
    assert outcome.high.shape == (6, 4)
    assert outcome.percentiles.isfinite().all()


def test_a_float64_run_is_float64_throughout(config, make_task):
    settings, task = root.Config.from_mapping(config), make_task()
    run = root.train(settings, task, seed=1, dtype=torch.float64)
    outcome = root.test(settings, task, task, 1, run.weights, run.shadow)
    tensors = [run.data.x, run.data.mean_y, run.pool, *run.weights.values(), *run.shadow.values()]
    assert {t.dtype for t in [*tensors, outcome.high, outcome.high_cond, outcome.scores]} == {torch.float64}


def test_validation_pairs_accumulate_over_epochs(config, make_task):
    config["training"] |= {"validation_interval": 1, "val_frac": 0.5, "batch_size": 4}
    run = root.train(root.Config.from_mapping(config), make_task(), seed=0)
    first, second = run.val_losses
    assert len(second) > len(first)
    assert run.val_means == pytest.approx([sum(first) / len(first), sum(second) / len(second)])


def test_no_validation_pair_gives_a_mean_of_nan(config, make_task):
    config["training"]["val_frac"] = 0.0
    run = root.train(root.Config.from_mapping(config), make_task(), seed=0)
    assert run.val_losses == [[]]
    assert run.val_means[0] != run.val_means[0]


@pytest.mark.parametrize("ema", [{}, {"use_ema": False, "ema_decay": 0.9}, None])
def test_without_use_ema_there_is_no_average(config, make_task, ema):
    del config["model"]["EMA"]
    config["model"] |= {} if ema is None else {"EMA": ema}
    assert root.train(root.Config.from_mapping(config), make_task(), seed=0).shadow is None


def test_an_epoch_without_a_surviving_pair_fails(config, make_task):
    config["GP"]["threshold_diff"] = 1e9
    with pytest.raises(ValueError, match="must leave at least one training pair, got"):
        root.train(root.Config.from_mapping(config), make_task(), seed=0)


def test_a_pool_smaller_than_num_points_fails(config, make_task):
    with pytest.raises(RuntimeError, match="num_points must be at most the size of the pool, 12, got 16"):
        root.train(root.Config.from_mapping(config), make_task(12), seed=0)


def test_an_unknown_optimiser_fails_when_the_scheduler_meets_it(config, make_task):
    config["model"]["BB"]["optimizer"]["optimizer"] = "LBFGS"
    with pytest.raises(TypeError, match="is not an Optimizer"):
        root.train(root.Config.from_mapping(config), make_task(), seed=0)


def test_tfbind8_alone_needs_num_fit_samples(config, make_task):
    config["task"]["name"] = "TFBind8-Exact-v0"
    with pytest.raises(ValueError, match="GP lacks num_fit_samples, which TFBind8-Exact-v0 needs"):
        root.train(root.Config.from_mapping(config), make_task(), seed=0)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (("model", "BB"), "section model.BB must be a mapping, got None"),
        (("GP", "noise"), "section GP lacks noise; it has"),
        (("model", "BB", "params", "MLPParams", "hidden_size"), "section model.BB.params.MLPParams lacks hidden_size"),
        (("testing", "alpha"), "section testing lacks alpha"),
    ],
)
def test_what_a_configuration_lacks_is_named(config, path, message):
    section = config
    for key in path[:-1]:
        section = section[key]
    del section[path[-1]]
    with pytest.raises(ValueError, match=message):
        root.Config.from_mapping(config)


@pytest.mark.parametrize("name", ["n_epochs", "batch_size", "accumulate_grad_batches", "validation_interval"])
def test_a_count_below_one_is_refused_by_name(config, name):
    config["training"][name] = 0
    with pytest.raises(ValueError, match=f"training.{name} must be an integer of at least 1, got 0"):
        root.Config.from_mapping(config)


def test_max_var_and_eta_are_one_where_the_configuration_is_silent(config):
    del config["model"]["BB"]["params"]["max_var"], config["model"]["BB"]["params"]["eta"]
    bridge = root.Config.from_mapping(config).bridge
    assert (bridge.max_var, bridge.eta) == (1.0, 1.0)
