"""Published code changes from commit to commit: arguments that are not there, other tuples, no initialisation."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from parity.component import Context
from parity.loading import load_side
from parity.root_ggfm.checkouts.call_adapter import accepted, call_by_name, default_of, leading_arguments
from parity.root_ggfm.checkouts.ggfm import GgfmCheckout, differing_settings
from parity.root_ggfm.checkouts.loading import restore_numpy_names
from parity.root_ggfm.checkouts.patching import is_own, precision
from parity.root_ggfm.checkouts.root import find_statistic, set_statistic
from parity.root_ggfm.checkouts.runner import runner_config
from parity.root_ggfm.checkouts.side import commit_of
from parity.root_ggfm.components import REGISTRY
from parity.root_ggfm.contract import Bridge
from parity.root_ggfm.tasks.catalogue import load_task
from parity.side import MissingComponent
from tests.parity.checkouts import write


def test_arguments_that_a_commit_lacks_are_left_out():
    def older(x, step, clip=True):
        return x, step, clip

    def any_names(**settings):
        return settings

    assert leading_arguments(older, 1, 2, False, 0.5) == (1, 2, False)
    assert leading_arguments(older, 1, 2) == (1, 2)
    assert leading_arguments(lambda *given: given, 1, 2, 3) == (1, 2, 3)
    assert accepted(older, clip=False, weight=0.5) == {"clip": False}
    assert accepted(any_names, clip=False) == {"clip": False}
    assert default_of(older, "clip") is True
    assert default_of(older, "x") == "no default"
    assert default_of(older, "weight") == "no such argument"
    assert default_of(older, "weight", absent=0.0) == 0.0


def test_arguments_are_given_by_name_where_a_commit_orders_them_otherwise():
    given = {"x": 1, "step": 2, "clip": False, "weight": 0.5}
    assert call_by_name(lambda step, x: (x, step), given) == (1, 2)
    assert call_by_name(lambda x, step, *, clip: (x, step, clip), given) == (1, 2, False)
    assert call_by_name(lambda a, b, *, weight=0.0: (a, b, weight), given) == (1, 2, 0.5)
    assert call_by_name(lambda a, b, clip=True: (a, b, clip), given) == (1, 2, False)
    assert call_by_name(lambda *everything: everything, given) == (1, 2, False, 0.5)


def test_arguments_besides_the_published_ones_keep_their_defaults_wherever_they_stand():
    given = {"x": 1, "step": 2, "clip": False, "weight": 0.5}
    assert call_by_name(lambda x, step, mid=True, clip=True, weight=0.0: (mid, clip, weight), given) == (
        True,
        False,
        0.5,
    )
    assert call_by_name(lambda step, x, clip, verbose=False: (x, step, clip, verbose), given) == (1, 2, False, False)
    assert call_by_name(lambda x, **others: (x, sorted(others)), given) == (1, ["clip", "step", "weight"])
    assert call_by_name(lambda x, step, clip_it=True, w=0.0: (x, step, clip_it, w), given) == (1, 2, False, 0.5)


def test_code_in_an_environment_inside_the_checkout_is_not_its_own(tmp_path):
    assert is_own(str(tmp_path / "src" / "a.py"), tmp_path)
    for other in (".venv/lib/a.py", "env/lib/site-packages/a.py", f"../{tmp_path.name}2/a.py"):
        assert not is_own(os.path.normpath(tmp_path / other), tmp_path)


def test_names_that_numpy_lost_are_put_back_where_the_checkout_mentions_them(tmp_path, monkeypatch):
    monkeypatch.setitem(vars(np), "PINF", None)  # so that it is gone again afterwards
    monkeypatch.delitem(vars(np), "PINF")
    write(tmp_path, {".venv/a.py": "np.NINF", "src/b.py": "worst = -np.PINF"})
    assert restore_numpy_names(tmp_path) == ("bridged: NumPy no longer has PINF: put back",)
    assert getattr(np, "PINF") == np.inf  # noqa: B009 - a name that NumPy does not have
    assert not hasattr(np, "NINF")


def test_settings_that_a_runner_asks_for_with_a_default_are_absent_and_others_are_none():
    config, asked = runner_config({"training": {"lr": 0.1}, "model": {}}, seed=3)
    assert getattr(config.training, "every", 10) == 10
    assert not hasattr(config.model, "model_load_path")
    assert (config.training.lr, config["training"]["lr"], config.args.seed) == (0.1, 0.1, 3)
    assert (config.model.model_load_path, config.training["every"], config.args.exp_name) == (None, None, "run")
    assert asked["args.exp_name"] == "run"


@pytest.mark.parametrize("name", ["mean_x", "offline_x_mean", "meanX", "x_mu", "avg_x"])
def test_statistics_are_found_by_what_their_names_say(name):
    runner = SimpleNamespace(**{name: torch.ones(2)}, std_x=torch.ones(2), max_x=torch.ones(2), y_mean=torch.zeros(()))
    assert torch.equal(find_statistic(None, runner, "mean", "x"), torch.ones(2))
    set_statistic(None, runner, "mean", "x", torch.full((2,), 3.0))
    assert torch.equal(getattr(runner, name), torch.full((2,), 3.0))
    assert torch.equal(runner.std_x, torch.ones(2))


def test_statistics_under_two_names_must_be_equal_unless_one_says_it_best():
    side, runner = SimpleNamespace(name="root:x"), SimpleNamespace(mean_x=np.ones(2), mean_offline_x=np.ones(2))
    assert torch.equal(find_statistic(side, runner, "mean", "x"), torch.ones(2, dtype=torch.float64))
    runner.mean_x = np.zeros(2)
    assert torch.equal(find_statistic(side, runner, "mean", "x"), torch.zeros(2, dtype=torch.float64))
    runner.mu_x = np.ones(2)
    with pytest.raises(MissingComponent, match="mean_x, mu_x"):
        find_statistic(side, runner, "mean", "x")


def test_conditions_are_columns_where_the_network_takes_no_others():
    class Model:
        def denoise_fn(self, x, t, first, second):
            return torch.cat([x, t[:, None], first, second], dim=1)

    side = object.__new__(GgfmCheckout)
    first, second = side.conditions(Model(), torch.zeros(3, 2), torch.ones(3), torch.ones(3))
    assert first.shape == second.shape == (3, 1)


@pytest.mark.parametrize("given", [{"step": -999 / 198}, {"step": -999 / 198, "dtype": torch.float32}])
def test_timesteps_of_a_float64_run_are_those_of_float32(given, tmp_path):
    expected = torch.arange(999, 1, **given).long()
    with precision(tmp_path, torch.float64):
        assert torch.equal(torch.arange(999, 1, **given).long(), expected)


def test_settings_that_no_published_configuration_has_are_told():
    class Config:
        BATCH_SIZE = 256
        val_frac = 0.1
        lr = 0.001
        use_ema = False
        SEEDS = (1, 2)
        initial_lengthscale = 6.25
        own = 3
        _hidden_size = 3

    assert differing_settings(Config) == [
        "setting: Config.BATCH_SIZE is 256, training.batch_size of ROOT's configurations 64",
        "setting: Config.use_ema is False, model.EMA.use_ema of ROOT's configurations True",
    ]


class _Checkout(GgfmCheckout):
    """An adapter whose modules are given."""

    def __init__(self, **modules: Any) -> None:
        self._modules = modules
        super().__init__("ggfm:here", Path("/"), ())

    def find(self, module: str, name: str) -> Any:
        if name not in self._modules:
            return super().find(module, name)
        return self._modules[name]


@pytest.mark.parametrize("nested", [True, False])
def test_whole_paths_are_read_with_scores_beside_them_or_in_a_pair(nested):
    component = REGISTRY["gp_pairs"]
    given = component.build(component.examples[0], Context(load_task("Synthetic8-v0")[0]))
    path = torch.arange(12.0).reshape(6, 2)
    low, high = torch.tensor(1.0), torch.tensor(2.0)
    pair = (path, (low, high)) if nested else (path, low, high)
    kernel = SimpleNamespace(lengthscale=torch.tensor(1.0))
    gp = SimpleNamespace(variance=torch.tensor(1.0), coef=torch.zeros(3), kernel=kernel)
    side = _Checkout(sampling_data_from_GP=lambda x_train, device, GP_Model, seed: {"f0": [pair]}, GP=lambda *_: gp)
    tree = side.gp_pairs(**given)
    assert torch.equal(tree["f0/x_low"], path[:1])
    assert torch.equal(tree["f0/x_high"], path[-1:])
    assert (float(tree["f0/y_low"]), float(tree["f0/y_high"])) == (1.0, 2.0)
    assert tree["f0/trajectory"].shape == (1, 201, 2)
    assert torch.equal(tree["f0/trajectory"][0, [0, 40, -1]], path[[0, 1, -1]])


def test_without_an_initialisation_the_model_is_as_it_is_made():
    class Model(torch.nn.Module):
        def __init__(self, image_size, hidden_size, max_var=1.0, eta=1.0):
            super().__init__()
            self.layer = torch.nn.Linear(image_size, hidden_size)

        def sample(self, x_low, clip_denoised=True):
            return x_low

    def pairs(threshold_diff=0.1):
        return threshold_diff

    side = _Checkout(BrownianBridgeModel=Model, weights_init=None, sampling_data_from_GP=pairs)
    torch.manual_seed(0)
    expected = torch.nn.Linear(6, 16).weight
    torch.manual_seed(0)
    assert torch.equal(side.initial_weights(Bridge())["state/layer.weight"], expected)
    defaults = side.defaults()
    assert (defaults["bridge/eta"], defaults["sample/guidance_weight"], defaults["gp_pairs/threshold_diff"]) == (
        1.0,
        0.0,
        0.1,
    )
    assert defaults["gp_pairs/num_points"] == "no such argument"


def test_the_commit_is_read_from_files_whether_packed_detached_or_in_a_worktree(tmp_path):
    def git(*arguments: str, folder: Path = tmp_path / "code") -> str:
        settings = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(
            ["git", *settings, *arguments], cwd=folder, check=True, capture_output=True, text=True
        ).stdout.strip()

    code = tmp_path / "code"
    assert commit_of(tmp_path) == ""
    code.mkdir()
    git("init", "-q")
    assert commit_of(code) == ""
    git("commit", "-q", "--allow-empty", "-m", "first")
    head = git("rev-parse", "HEAD")
    (code / "src").mkdir()
    assert commit_of(code) == commit_of(code / "src") == head
    git("pack-refs", "--all")
    assert commit_of(code) == head
    git("worktree", "add", "-q", "-b", "other", str(tmp_path / "tree"))
    assert commit_of(tmp_path / "tree") == head
    git("checkout", "-q", "--detach")
    assert commit_of(code) == head
    (code / ".git" / "HEAD").write_text("ref: refs/heads/absent")
    assert commit_of(code) == ""


def test_the_sides_of_this_tree_state_the_same_defaults():
    assert load_side("reference_root").defaults() == load_side("ggfm").defaults()
