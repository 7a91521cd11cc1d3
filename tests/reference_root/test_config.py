import copy
import json
import math
from pathlib import Path

import pytest

import reference_root as root
from reference_root.config_values import ENTRIES, entries_of

GOLDEN = Path(__file__).parents[1] / "golden" / "root" / "index.json"


def changed(config, path, value):
    config = copy.deepcopy(config)
    section = config
    *parents, name = path.split(".")
    for parent in parents:
        section = section[parent]
    section[name] = value
    return config


@pytest.mark.parametrize(
    ("path", "value", "allowed"),
    [
        ("GP.num_gradient_steps", -1, "an integer of at least 0"),
        ("GP.num_points", 2.0, "an integer of at least 1"),
        ("GP.num_functions", True, "an integer of at least 1"),
        ("GP.initial_lengthscale", 0, "a number above 0"),
        ("GP.noise", math.nan, "a number of at least 0"),
        ("GP.threshold_diff", math.inf, "a finite number"),
        ("GP.noise", 10**400, "a number of at least 0"),
        ("model.BB.params.mt_type", "cosine", "one of 'linear', 'sin'"),
        ("model.BB.params.skip_sample", 1, "true or false"),
        ("model.BB.params.num_timesteps", 0, "an integer of at least 1"),
        ("model.BB.optimizer.beta1", 1.0, "a number from 0 to below 1"),
        ("model.BB.lr_scheduler.factor", 1.0, "a number above 0 and below 1"),
        ("model.BB.lr_scheduler.patience", -1, "an integer of at least 0"),
        ("model.EMA.ema_decay", 1.1, "a number from 0 to 1"),
        ("model.EMA.update_ema_interval", 0, "an integer of at least 1"),
        ("training.batch_size", 0, "an integer of at least 1"),
        ("training.val_frac", 1, "a number from 0 to below 1"),
        ("training.val_frac", "0.1", "a number from 0 to below 1"),
        ("testing.percentile_sampling", 0, "a number above 0, at most 1"),
        ("testing.type_sampling", "best", "one of 'highest', 'lowest', 'high', 'low', 'random'"),
        ("testing.alpha", None, "a finite number"),
        ("task.name", 8, "a text"),
    ],
)
def test_a_wrong_type_or_an_impossible_value_is_refused_by_name(config, path, value, allowed):
    with pytest.raises(ValueError, match=f"config: {path} must be {allowed}, got {value!r}"):
        root.Config.from_mapping(changed(config, path, value))


@pytest.mark.parametrize(("written", "better"), [("5e-7", "5.0e-07"), ("1e-3", "0.001")])
def test_a_number_that_yaml_takes_for_a_text_is_explained(config, written, better):
    with pytest.raises(ValueError, match=f"got '{written}', a text to YAML; as a number it is written {better}"):
        root.Config.from_mapping(changed(config, "model.BB.lr_scheduler.min_lr", written))


def test_unknown_entries_are_named_and_change_nothing(config):
    more = changed(changed(config, "training.warmup", 3), "wandb", {"project": {"name": "x"}})
    read = root.Config.from_mapping(more)
    assert read.unknown == ("training.warmup", "wandb.project.name")
    assert root.Config.from_mapping(config).unknown == ()


def test_what_an_optimiser_does_not_use_may_be_absent(config):
    section = config["model"]["BB"]["optimizer"]
    del section["beta1"]
    with pytest.raises(ValueError, match=r"section model\.BB\.optimizer lacks beta1"):
        root.Config.from_mapping(config)
    section["optimizer"] = "RMSProp"
    root.Config.from_mapping(config)


def test_a_scheduler_setting_that_is_missing_is_named(config):
    del config["model"]["BB"]["lr_scheduler"]["cooldown"]
    with pytest.raises(ValueError, match=r"section model\.BB\.lr_scheduler lacks cooldown"):
        root.Config.from_mapping(config)


@pytest.mark.parametrize("task", root.PUBLISHED)
def test_published_configurations_are_read_whole(task):
    config = root.published_config(task)
    read = root.Config.from_mapping(config)
    assert read.unknown == ()
    assert read.task.name == task
    has = {path for path, _ in entries_of(config)}
    absent = {"GP.num_fit_samples"} if task != "TFBind8-Exact-v0" else set()
    assert set(ENTRIES) - has == absent


def test_there_are_four_published_configurations():
    assert root.PUBLISHED == (
        "AntMorphology-Exact-v0", "DKittyMorphology-Exact-v0", "TFBind10-Exact-v0", "TFBind8-Exact-v0",
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"task must be one of 'AntMorphology-Exact-v0', .*, got 'Hopper'"):
        root.published_config("Hopper")


def test_configurations_that_the_published_code_ran_with_hold_nothing_unknown():
    for case in json.loads(GOLDEN.read_text())["components"]["runner"]:
        assert root.Config.from_mapping(case["params"]["config"]).unknown == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("GP: [1, 2", "no valid YAML"),
        ("- a\n- b", "expected the sections of a ROOT configuration, got list"),
        ("", "expected the sections of a ROOT configuration, got NoneType"),
        ("a: !!python/object/apply:os.getcwd []", "no valid YAML"),
        ("a: &x {b: *x}", "a section refers to itself"),
        ("a: {1: 2}", "no valid YAML: a name that is no text"),
        ("a: 1\na: 2", "no valid YAML: a is there twice"),
        ("a: " + "{a: " * 2000 + "1" + "}" * 2000, "its sections are nested too deeply"),
        ("? [1]\n: 2", "no valid YAML: a name that is no text .* line 1"),
        ("2020-01-01: 3", "no valid YAML: a name that is no text"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"mine.yaml: {message}"):
        root.read_config_file(path)


def test_anchors_and_merged_sections_are_read(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("base: &q {z: 1}\nb:\n  <<: *q\n  y: 2\n")
    assert root.read_config_file(path) == {"base": {"z": 1}, "b": {"z": 1, "y": 2}}


def test_what_a_section_merges_may_be_named_again(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("a: &a {x: 1}\ndeep: {deeper: &b {<<: *a, x: 2}}\nc: {<<: *b}\n")
    assert root.read_config_file(path) == {"a": {"x": 1}, "deep": {"deeper": {"x": 2}}, "c": {"x": 2}}


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"absent\.yaml: cannot be read"):
        root.read_config_file(tmp_path / "absent.yaml")


def test_a_model_of_another_width_than_the_designs_is_refused(config, make_task):
    config["model"]["BB"]["params"]["MLPParams"]["image_size"] = 7
    with pytest.raises(ValueError, match=r"MLPParams\.image_size must be the width of the task's designs, 4, got 7"):
        root.train(root.Config.from_mapping(config), make_task(), seed=0)
