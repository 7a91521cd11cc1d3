"""Configurations: what is read, what is refused and what is not known."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from ggfm.run import run
from ggfm.settings import Settings
from ggfm.switches import Switches

ABSENT = object()


def _set(config: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(config)
    *sections, name = path.split(".")
    section = changed
    for part in sections:
        section = section.setdefault(part, {})
    if value is ABSENT:
        del section[name]
    else:
        section[name] = value
    return changed


def _leaves(section: dict[str, Any], path: str = "") -> list[str]:
    below = [(f"{path}.{name}" if path else name, value) for name, value in section.items()]
    return [leaf for name, v in below for leaf in (_leaves(v, name) if isinstance(v, dict) else [name])]


COUNTS = [
    "GP.num_functions",
    "GP.num_points",
    "model.BB.params.num_timesteps",
    "model.BB.params.sample_step",
    "model.BB.params.MLPParams.image_size",
    "model.BB.params.MLPParams.hidden_size",
    "model.EMA.update_ema_interval",
    "training.n_epochs",
    "training.batch_size",
    "training.accumulate_grad_batches",
    "training.validation_interval",
    "testing.num_candidates",
]
COUNTS_FROM_0 = [
    "GP.num_gradient_steps",
    "model.BB.lr_scheduler.patience",
    "model.BB.lr_scheduler.cooldown",
    "model.EMA.start_ema_step",
]
FLAGS = [
    "model.BB.params.skip_sample",
    "model.EMA.use_ema",
    "task.normalize_x",
    "task.normalize_y",
    "testing.clip_denoised",
]
CHOICES = [
    "model.BB.params.mt_type",
    "model.BB.params.objective",
    "model.BB.params.loss_type",
    "model.BB.params.sample_type",
    "model.BB.optimizer.optimizer",
    "task.name",
    "testing.type_sampling",
]
# path: (allowed, refused) at the edges
NUMBERS: dict[str, tuple[list[Any], list[Any]]] = {
    "GP.initial_lengthscale": ([1e-3, 5], [0, -1.0]),
    "GP.initial_outputscale": ([1e-3, 5], [0, -1.0]),
    "GP.noise": ([0, 0.01], [-1e-9]),
    "GP.sampling_from_GP_lr": ([0, 1e-9], [-0.1]),
    "GP.delta_lengthscale": ([0, 0.25], []),
    "GP.delta_variance": ([0, 0.25], []),
    "GP.threshold_diff": ([-1, 0, 1e9], []),
    "model.BB.params.max_var": ([0.5], [0, -1]),
    "model.BB.params.eta": ([0, 1], [-0.1]),
    "model.BB.optimizer.lr": ([1e-9, 1], [0, -0.1]),
    "model.BB.optimizer.beta1": ([0, 0.999], [1, 1.0, -0.1]),
    "model.BB.optimizer.weight_decay": ([0, 0.1], [-0.1]),
    "model.BB.lr_scheduler.factor": ([0.1, 0.999], [0, 1, 1.5]),
    "model.BB.lr_scheduler.threshold": ([0, 1e-4], [-1e-4]),
    "model.BB.lr_scheduler.min_lr": ([0, 5e-7], [-5e-7]),
    "model.EMA.ema_decay": ([0, 1, 0.995], [-0.1, 1.1]),
    "training.classifier_free_guidance_prob": ([0, 1, 0.15], [-0.1, 1.1]),
    "training.val_frac": ([0, 0.99], [1, 1.0, -0.1]),
    "testing.percentile_sampling": ([1, 1e-9], [0, 0.0, 1.1]),
    "testing.classifier_free_guidance_weight": ([-1.5, 0, 3], []),
    "testing.alpha": ([0.8, -2], []),
}


@pytest.mark.parametrize("path", COUNTS + COUNTS_FROM_0)
@pytest.mark.parametrize("value", [-1, True, 2.0, "3", None, [1], {"a": 1}])
def test_counts(config: dict[str, Any], path: str, value: Any) -> None:
    least = 0 if path in COUNTS_FROM_0 else 1
    with pytest.raises(ValueError, match=rf"^{path}: got .*allowed is an integer of at least {least}$"):
        Settings(_set(config, path, value))
    Settings(_set(config, path, 3))
    if least == 1:
        with pytest.raises(ValueError, match=f"^{path}: got 0, allowed is"):
            Settings(_set(config, path, 0))
    else:
        assert Settings(_set(config, path, 0))[path] == 0


@pytest.mark.parametrize("path", NUMBERS)
def test_numbers(config: dict[str, Any], path: str) -> None:
    allowed, refused = NUMBERS[path]
    for value in allowed:
        got = Settings(_set(config, path, value))[path]
        assert got == value
        assert type(got) is float
    for value in [*refused, True, "0.5", None, float("nan"), float("inf"), -float("inf"), 10**400, [0.5]]:
        with pytest.raises(ValueError, match=rf"^{path}: got .*allowed is a finite number"):
            Settings(_set(config, path, value))


@pytest.mark.parametrize("path", FLAGS)
def test_flags(config: dict[str, Any], path: str) -> None:
    for value in (0, 1, "true", None):
        with pytest.raises(ValueError, match=f"^{path}: got .*allowed is true or false"):
            Settings(_set(config, path, value))


@pytest.mark.parametrize("path", CHOICES)
def test_choices(config: dict[str, Any], path: str) -> None:
    for value in ("other", None, 1, ["linear"]):
        with pytest.raises(ValueError, match=rf"^{path}: got .*allowed is '.+', '.+'"):
            Settings(_set(config, path, value))


def test_start_designs_are_any_text(config: dict[str, Any]) -> None:
    assert Settings(_set(config, "GP.type_of_initial_points", "whatever"))["GP.type_of_initial_points"] == "whatever"
    with pytest.raises(ValueError, match=r"GP\.type_of_initial_points: got 5, allowed is text"):
        Settings(_set(config, "GP.type_of_initial_points", 5))


def test_every_entry_is_checked(config: dict[str, Any]) -> None:
    checked = {*COUNTS, *COUNTS_FROM_0, *FLAGS, *CHOICES, *NUMBERS, "GP.type_of_initial_points"}
    assert set(_leaves(config)) | {"model.BB.params.max_var"} == checked


def test_a_missing_entry_is_named(config: dict[str, Any]) -> None:
    for path in _leaves(config):
        without = _set(config, path, ABSENT)
        if path in ("model.BB.params.eta", "model.EMA.use_ema"):
            Settings(without)
        else:
            with pytest.raises(ValueError, match=f"^config: {path} is missing"):
                Settings(without)
    del config["training"]
    with pytest.raises(ValueError, match=r"config: training\.n_epochs is missing"):
        Settings(config)


@pytest.mark.parametrize("value", [None, 3, "text", [1]])
def test_a_section_that_is_none_is_named(config: dict[str, Any], value: Any) -> None:
    with pytest.raises(ValueError, match=r"^training: got .*, expected a section that holds training\."):
        Settings(config | {"training": value})
    with pytest.raises(ValueError, match=r"^config: got .*, expected a section that holds"):
        Settings(value)


def test_what_root_has_defaults_for(config: dict[str, Any]) -> None:
    del config["model"]["EMA"], config["model"]["BB"]["params"]["eta"]
    settings = Settings(config)
    assert settings["model.BB.params.max_var"] == settings["model.BB.params.eta"] == 1.0
    assert settings["model.EMA.use_ema"] is False


def test_what_is_needed_only_sometimes(config: dict[str, Any]) -> None:
    config["task"]["name"] = "TFBind8-Exact-v0"
    with pytest.raises(ValueError, match=r"GP\.num_fit_samples is missing"):
        Settings(config)
    with pytest.raises(ValueError, match=r"GP\.num_fit_samples: got 0"):
        Settings(_set(config, "GP.num_fit_samples", 0))
    assert Settings(_set(config, "GP.num_fit_samples", 15000)).num_fit_samples == 15000
    config["task"]["name"] = "AntMorphology-Exact-v0"
    assert Settings(_set(config, "GP.num_fit_samples", 15000)).num_fit_samples is None
    config["model"]["BB"]["optimizer"] = {"optimizer": "RMSProp", "lr": 0.1, "weight_decay": 0.0}
    Settings(config)
    config["model"]["BB"]["optimizer"] = {"optimizer": "SGD", "lr": 0.1}
    Settings(config)
    config["model"]["EMA"] = {"use_ema": False}
    assert Settings(config).unused == ()


@pytest.mark.parametrize(("name", "value"), [("sample_step", 2), ("num_timesteps", 1)])
def test_skipping_needs_steps_to_skip(config: dict[str, Any], name: str, value: int) -> None:
    path = f"model.BB.params.{name}"
    with pytest.raises(ValueError, match=rf"{path}: got {value}, allowed is an integer of at least {value + 1} with"):
        Settings(_set(config, path, value))
    Settings(_set(_set(config, path, value), "model.BB.params.skip_sample", False))


@pytest.mark.parametrize(
    ("text", "instead"),
    [("5e-7", "5.0e-7"), ("1e5", "1.0e+5"), ("2.5E3", "2.5e+3"), ("-1e-3", "-1.0e-3"), ("5.e-07", "5.0e-07")],
)
def test_a_number_that_yaml_reads_as_text(config: dict[str, Any], text: str, instead: str) -> None:
    path = "model.BB.lr_scheduler.min_lr"
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared as a whole
        Settings(_set(config, path, text))
    hint = f"which YAML 1.1 reads as text (write {instead})"
    assert str(caught.value) == f"{path}: got '{text}', {hint}, allowed is a finite number of at least 0"


def test_a_number_in_quotes(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"training\.batch_size: got '64', which is text \(write it without quotes\)"):
        Settings(_set(config, "training.batch_size", "64"))


def test_entries_that_nothing_uses_are_named(config: dict[str, Any]) -> None:
    for path in [
        "model.BB.params.MLPParams.condition_key",
        "model.CondStageParams.n_stages",
        "model.latent_before_quant_conv",
        "model.model_name",
        "model.model_type",
        "model.normalize_latent",
        "model.only_load_latent_mean_std",
        "runner",
    ]:
        config = _set(config, path, "x")
    config = _set(_set(config, "GP.num_fit_samples", 5), "training.save_interval", 2)
    assert Settings(config).unused == ()
    for path in ["training.batchsize", "model.BB.optimiser.lr", "data.root", "model.CondStage", "seed"]:
        config = _set(config, path, 1)
    config["empty"] = {}
    assert Settings(config).unused == (
        "data.root",
        "empty",
        "model.BB.optimiser.lr",
        "model.CondStage",
        "seed",
        "training.batchsize",
    )


def test_a_model_of_another_size_than_the_designs(config: dict[str, Any], continuous_task: Any) -> None:
    changed = _set(config, "model.BB.params.MLPParams.image_size", 5)
    with pytest.raises(ValueError, match=r"MLPParams\.image_size: got 5, the task's designs have size 4"):
        run(changed, continuous_task, seed=0, switches=Switches.aligned())


@pytest.mark.parametrize("device", ["tpu", "mps", "cuda:99", 3.5])
def test_a_device_that_is_not_there(config: dict[str, Any], continuous_task: Any, device: Any) -> None:
    with pytest.raises(ValueError, match=r"device: got .*, allowed are 'cpu'"):
        run(config, continuous_task, seed=0, switches=Switches.aligned(), device=device)
    run(config, continuous_task, seed=0, switches=Switches.aligned(), device=torch.device("cpu"))
