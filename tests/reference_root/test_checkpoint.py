import copy

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
    config = copy.deepcopy(config)
    for path, value in changes.items():
        section = config
        *parents, name = path.split("__")
        for parent in parents:
            section = section[parent]
        section[name] = value
    return root.Training(root.Config.from_mapping(config), make_task(), 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model__BB__params__MLPParams__hidden_size": 9}, r"weights denoise_fn.main.0.weight is \(8, 7\).*\(9, 7\)"),
        ({"model__EMA__use_ema": False}, "shadow: holds a moving average, model.EMA.use_ema asks for none"),
    ],
)
def test_a_checkpoint_of_another_shape_is_refused_and_nothing_changes(saved, config, make_task, changes, message):
    training = other(config, make_task, **changes)
    before = {name: p.detach().clone() for name, p in training.model.named_parameters()}
    with pytest.raises(ValueError, match=f"run.pt: {message}"):
        root.load_training(saved, training)
    assert same(before, {name: p.detach() for name, p in training.model.named_parameters()})
    assert training.epochs_done == 0


@pytest.mark.parametrize("length", [0, 10, 1000, -1])
def test_a_checkpoint_cut_short_is_refused(saved, config, make_task, length):
    data = saved.read_bytes()
    saved.write_bytes(data[:length])
    with pytest.raises(ValueError, match=r"run\.pt: cut short, or no checkpoint"):
        root.load_training(saved, other(config, make_task))


def test_what_a_checkpoint_lacks_is_named(saved, config, make_task):
    state = torch.load(saved, weights_only=True)
    del state["generator"]
    torch.save(state, saved)
    with pytest.raises(ValueError, match=r"run\.pt: lacks generator"):
        root.load_training(saved, other(config, make_task))


def test_another_kind_of_file_is_refused(saved, config, make_task, tmp_path):
    training = other(config, make_task)
    root.save_final(tmp_path / "final.pt", training.finish())
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


def test_final_weights_come_back_as_they_were(config, make_task, tmp_path):
    run = root.train(root.Config.from_mapping(config), make_task(), seed=0)
    root.save_final(tmp_path / "final.pt", run)
    weights, shadow = root.load_final(tmp_path / "final.pt", run.weights)
    assert same(weights, run.weights)
    assert same(shadow, run.shadow)


def test_all_seeds_are_run_once_and_summarised(config, make_task, tmp_path, monkeypatch):
    settings, task = root.Config.from_mapping(config), make_task()
    full = root.full_run(settings, task, seeds=(0, 1), folder=tmp_path)
    assert full.percentiles.shape == (2, 3)
    best = full.percentiles[:, 0]
    assert full.mean == pytest.approx(float(best.sum()) / 2)
    assert full.std == pytest.approx(abs(float(best[0] - best[1])) / 2)
    monkeypatch.setattr("reference_root.experiment.train", lambda *_, **__: pytest.fail("trained again"))
    assert torch.equal(root.full_run(settings, task, seeds=(0, 1), folder=tmp_path).percentiles, full.percentiles)
    with pytest.raises(ValueError, match="seeds must name at least one seed"):
        root.full_run(settings, task, seeds=())
