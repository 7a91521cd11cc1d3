import copy
import os

import pytest
import torch

import reference_root as root


@pytest.fixture(params=["Adam on designs", "TFBind8", "RMSProp without EMA", "SGD"])
def case(request, config, make_task):
    """Configurations whose state differs in kind."""
    config["training"] |= {"n_epochs": 3, "validation_interval": 1, "val_frac": 0.3}
    task = make_task()
    if request.param == "TFBind8":
        config["task"]["name"] = "TFBind8-Exact-v0"
        config["GP"] |= {"num_fit_samples": 30, "threshold_diff": -1.0}
        config["model"]["BB"]["params"]["MLPParams"]["image_size"] = 12
        task = make_task(discrete=True)
    if request.param == "RMSProp without EMA":
        config["model"]["BB"]["optimizer"]["optimizer"] = "RMSProp"
        config["model"]["EMA"]["use_ema"] = False
    if request.param == "SGD":
        config["model"]["BB"]["optimizer"]["optimizer"] = "SGD"
    return root.Config.from_mapping(config), task


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("epochs_before", [0, 1, 2, 3])
def test_a_run_taken_up_again_equals_one_that_was_never_stopped(case, tmp_path, epochs_before):
    settings, task = case
    whole = root.train(settings, task, seed=3)
    first = root.Training(settings, task, 3)
    for _ in range(epochs_before):
        first.epoch()
    root.save_training(tmp_path / "run.pt", first)

    torch.manual_seed(99)
    again = root.Training(settings, task, 3)
    root.load_training(tmp_path / "run.pt", again)
    for _ in range(epochs_before, 3):
        again.epoch()
    resumed = again.finish()
    for name in ("losses", "lr", "val_losses", "val_steps", "global_step"):
        assert getattr(resumed, name) == getattr(whole, name), name
    assert same(resumed.weights, whole.weights)
    assert (resumed.shadow is None) == (whole.shadow is None)
    assert same(resumed.shadow or {}, whole.shadow or {})


@pytest.fixture
def saved(config, make_task, tmp_path):
    training = root.Training(root.Config.from_mapping(config), make_task(), 0)
    training.epoch()
    path = tmp_path / "run.pt"
    root.save_training(path, training)
    return path


def test_a_checkpoint_is_read_without_executing_anything(saved):
    state = torch.load(saved, weights_only=True)
    assert state["epochs_done"] == 1


def other(config, make_task, **changes):
    config, seed = copy.deepcopy(config), changes.pop("seed", 0)
    for path, value in changes.items():
        section = config
        *parents, name = path.split("__")
        for parent in parents:
            section = section[parent]
        section[name] = value
    return root.Training(root.Config.from_mapping(config), make_task(), seed)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model__BB__params__MLPParams__hidden_size": 9}, r"a run with bridge\.MLPParams\.hidden_size 8, this .* 9"),
        ({"model__EMA__use_ema": False}, "a run with ema 'absent', this one has None"),
        ({"model__BB__optimizer__optimizer": "SGD"}, "a run with optimizer.optimizer 'Adam', this one has 'SGD'"),
        ({"training__batch_size": 4}, "a run with training.batch_size 8, this one has 4"),
        ({"seed": 1}, "a run with seed 0, this one has 1"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_and_nothing_changes(saved, config, make_task, changes, message):
    training = other(config, make_task, **changes)
    before = {name: p.detach().clone() for name, p in training.model.named_parameters()}
    with pytest.raises(ValueError, match=f"run.pt: is of {message}"):
        root.load_training(saved, training)
    assert same(before, {name: p.detach() for name, p in training.model.named_parameters()})
    assert training.epochs_done == 0


@pytest.mark.parametrize("length", [0, 10, 1000, -1])
def test_a_checkpoint_cut_short_is_refused(saved, config, make_task, length):
    data = saved.read_bytes()
    saved.write_bytes(data[:length])
    with pytest.raises(ValueError, match=r"run\.pt: cut short, damaged, or no checkpoint"):
        root.load_training(saved, other(config, make_task))


def test_what_a_checkpoint_lacks_is_named(saved, config, make_task):
    state = torch.load(saved, weights_only=True)
    del state["generator"]
    torch.save(state, saved)
    with pytest.raises(ValueError, match=r"run\.pt: lacks generator"):
        root.load_training(saved, other(config, make_task))


def test_another_kind_of_file_is_refused(saved, config, make_task, tmp_path):
    training = other(config, make_task)
    root.save_final(tmp_path / "final.pt", training)
    with pytest.raises(ValueError, match="expected 'ROOT training, format 1', got 'ROOT final weights, format 1'"):
        root.load_training(tmp_path / "final.pt", training)
    torch.save([1], tmp_path / "list.pt")
    with pytest.raises(ValueError, match="got 'list'"):
        root.load_training(tmp_path / "list.pt", training)
    with pytest.raises(ValueError, match=r"nowhere\.pt: there is no such checkpoint"):
        root.load_training(tmp_path / "nowhere.pt", training)


def test_a_write_that_fails_leaves_the_old_checkpoint(saved, config, make_task, monkeypatch):
    before = saved.read_bytes()

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="no space left"):
        root.save_training(saved, other(config, make_task))
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["run.pt"]


def test_the_new_name_is_on_the_disk_before_a_save_returns(saved, config, make_task, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    root.save_training(saved, other(config, make_task))
    assert synced == [saved.stat().st_ino, saved.parent.stat().st_ino]


def test_one_flipped_bit_is_noticed(saved, config, make_task):
    data = bytearray(saved.read_bytes())
    data[len(data) // 2] ^= 1
    saved.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=r"run\.pt: cut short, damaged, or no checkpoint"):
        root.load_training(saved, other(config, make_task))


RECORD = {"losses": [0.5, 0.5], "lr": [0.1, 0.1], "val_losses": [], "val_steps": [], "global_step": 2}


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("record", {"losses": []}, "record lacks lr, expected list"),
        ("record", 3, "record lacks losses, expected list"),
        ("generator", torch.zeros(3), "does not fit this run"),
        ("record", {**RECORD, "losses": [0.5]}, "record has 1 losses, expected 2"),
        ("record", {**RECORD, "lr": [0.1, "x"]}, "record holds losses or rates that are no numbers"),
        ("optimizer", 3, "optimizer is no state of Adam"),
        ("optimizer", {"state": {}, "param_groups": []}, "optimizer is no state of Adam"),
        ("scheduler", 5, "scheduler is no state of a ReduceLROnPlateau"),
        ("scheduler", {}, "scheduler is no state of a ReduceLROnPlateau"),
        ("generator_cuda", torch.zeros(16, dtype=torch.uint8), "generator_cuda is of a run on another kind of device"),
        ("epochs_done", "x", "epochs_done is 'x', expected 0 to n_epochs"),
        ("epochs_done", 9, "epochs_done is 9, expected 0 to n_epochs"),
        (
            "val_pairs",
            [torch.zeros(2, 7), torch.zeros(2)] * 2,
            "val_pairs have shapes .* expected pairs of 4",
        ),
        ("weights", {}, "weights holds other names than"),
        ("shadow", None, "shadow holds other names than"),
    ],
)
def test_an_entry_that_does_not_fit_is_named_and_nothing_changes(saved, config, make_task, entry, value, message):
    torch.save(torch.load(saved, weights_only=True) | {entry: value}, saved)
    training = other(config, make_task)
    before = {name: p.detach().clone() for name, p in training.model.named_parameters()}
    generator = torch.get_rng_state()
    with pytest.raises(ValueError, match=f"run.pt: {message}"):
        root.load_training(saved, training)
    assert same(before, {name: p.detach() for name, p in training.model.named_parameters()})
    assert torch.equal(generator, torch.get_rng_state())
    assert (training.epochs_done, training.run.losses, training.val_pairs) == (0, [], [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda memory: memory.clear(), "optimizer remembers other parameters"),
        (lambda memory: memory[0].pop("exp_avg"), "optimizer 0 holds other names than"),
        (lambda memory: memory[0].update(exp_avg=torch.zeros(2)), r"optimizer 0 exp_avg is \(2,\) torch\.float32"),
        (lambda memory: memory[0].update(step="x"), "optimizer 0 step is 'x'"),
    ],
)
def test_what_an_optimiser_must_remember_is_checked(saved, config, make_task, change, message):
    state = torch.load(saved, weights_only=True)
    change(state["optimizer"]["state"])
    torch.save(state, saved)
    training = other(config, make_task)
    with pytest.raises(ValueError, match=f"run.pt: {message}"):
        root.load_training(saved, training)
    assert training.update.optimizer.state_dict()["state"] == {}


def test_final_weights_come_back_as_they_were(config, make_task, tmp_path):
    training = other(config, make_task)
    training.epoch()
    root.save_final(tmp_path / "final.pt", training)
    weights, shadow = root.load_final(tmp_path / "final.pt", other(config, make_task))
    assert same(weights, training.finish().weights)
    assert same(shadow, training.finish().shadow)


def test_all_seeds_are_run_once_and_summarised(config, make_task, tmp_path, monkeypatch):
    settings, task = root.Config.from_mapping(config), make_task()
    full = root.full_run(settings, task, seeds=(0, 1), folder=tmp_path)
    assert full.percentiles.shape == (2, 3)
    best = full.percentiles[:, 0]
    assert full.mean == pytest.approx(float(best.sum()) / 2)
    assert full.std == pytest.approx(abs(float(best[0] - best[1])) / 2)
    monkeypatch.setattr(root.Training, "epoch", lambda *_, **__: pytest.fail("trained again"))
    assert torch.equal(root.full_run(settings, task, seeds=(0, 1), folder=tmp_path).percentiles, full.percentiles)
    with pytest.raises(ValueError, match="seeds must name at least one seed"):
        root.full_run(settings, task, seeds=())


def test_final_weights_of_another_configuration_are_refused(config, make_task, tmp_path):
    root.full_run(root.Config.from_mapping(config), make_task(), seeds=(0,), folder=tmp_path)
    config["model"]["BB"]["optimizer"]["lr"] = 0.5
    with pytest.raises(ValueError, match=r"seed0\.pt: is of a run with optimizer\.lr 0\.001, this one has 0\.5"):
        root.full_run(root.Config.from_mapping(config), make_task(), seeds=(0,), folder=tmp_path)


def test_a_loss_that_is_not_finite_stops_the_run_and_leaves_no_final_weights(config, make_task, tmp_path):
    config["model"]["BB"]["optimizer"]["lr"] = 1e30
    with pytest.raises(FloatingPointError, match=r"seed 0: the loss is (nan|inf) at global step \d+, epoch \d"):
        root.full_run(root.Config.from_mapping(config), make_task(), seeds=(0,), folder=tmp_path)
    assert list(tmp_path.iterdir()) == []
