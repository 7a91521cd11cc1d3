"""What `parity run` is asked for: seeds, settings, sizes, configurations of one's own."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from parity.loading import load_side
from parity.root_ggfm.runs.run_spec import (
    DESK,
    check_feasible,
    check_task_name,
    entries,
    merged,
    parse_seeds,
    parse_settings,
    plain,
    prepare,
    preset_config,
    seeds_in_words,
)
from parity.root_ggfm.sides.root_config import PUBLISHED, published_config
from parity.root_ggfm.tasks.catalogue import load_task
from parity.root_ggfm.tasks.synthetic import CONTINUOUS, DISCRETE, synthetic8, synthetic_continuous


class Named:
    """A task of which only the name is asked."""

    def __init__(self, name):
        self.name = name


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("0", (0,)), ("0-7", tuple(range(8))), ("0,3", (0, 3)), ("5, 1-2,5", (5, 1, 2)), ("7-7", (7,))],
)
def test_seeds_are_numbers_and_ranges_each_once(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "3-1", "-1", "1-", "0,,1", "1.5", "4294967296", "0-9-12"])
def test_other_seeds_are_refused(text):
    with pytest.raises(ValueError, match=f"--seeds {text!r}: "):
        parse_seeds(text)


@pytest.mark.parametrize(
    ("seeds", "words"), [([4], "seed 4"), ([0, 1, 2, 3, 7], "seeds 0-3, 7"), ([0, 2, 3], "seeds 0, 2-3")]
)
def test_seeds_are_put_in_words(seeds, words):
    assert seeds_in_words(seeds) == words


def test_settings_are_yaml_values_under_dotted_names():
    assert parse_settings(["a.b=3", "c=true", "d.e=x=y", "f=1.0e-3"]) == {"a.b": 3, "c": True, "d.e": "x=y", "f": 1e-3}


@pytest.mark.parametrize("text", ["a", "=3", "a..b=1", "a=[1, 2]", "a=", "a={b: 1}", "a=.nan", "a=[", "a=2020-01-01"])
def test_other_settings_are_refused(text):
    with pytest.raises(ValueError, match="--set "):
        parse_settings([text])


def test_merged_leaves_the_configuration_alone_and_refuses_to_turn_a_section_into_a_value():
    config = {"a": {"b": 1}, "c": 2}
    assert merged(config, {"a.b": 5, "a.d": 6}) == {"a": {"b": 5, "d": 6}, "c": 2}
    assert config == {"a": {"b": 1}, "c": 2}
    with pytest.raises(ValueError, match="a is a section in this configuration; it holds b"):
        merged(config, {"a": 3})
    with pytest.raises(ValueError, match="c is a value in this configuration, not a section"):
        merged(config, {"c.d": 3})


def test_a_configuration_with_nan_is_refused_and_dates_become_text():
    assert plain(yaml.safe_load("a: 2020-01-01"), "here") == {"a": "2020-01-01"}
    with pytest.raises(ValueError, match="here: an entry is NaN or infinite"):
        plain({"a": float("nan")}, "here")


@pytest.mark.parametrize("task", PUBLISHED)
def test_published_is_roots_configuration_and_desk_changes_what_it_says(task):
    published = preset_config("published", Named(task))
    assert published == published_config(task)
    before, now = dict(entries(published)), dict(entries(preset_config("desk", Named(task))))
    changed = {name: now[name] for name in before if now[name] != before[name]}
    assert before.keys() == now.keys()
    assert changed == {name: override.value for name, override in DESK.items() if name in before}
    assert all(override.reason for override in DESK.values())


@pytest.mark.parametrize(("task", "dimension"), [(synthetic8(), 24), (synthetic_continuous(), 10)])
@pytest.mark.parametrize("side", ["reference_root", "ggfm"])
def test_desk_fits_the_built_in_tasks_and_both_sides_take_it(task, dimension, side):
    config = preset_config("desk", task)
    assert config["model"]["BB"]["params"]["MLPParams"]["image_size"] == dimension
    assert load_side(side).check_config(config) == ()
    check_task_name(config, task.name)


def test_a_size_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(ValueError, match="size 'huge' is unknown; allowed are desk, published"):
        preset_config("huge", Named("TFBind8-Exact-v0"))
    with pytest.raises(ValueError, match=f"size 'published' does not exist for task {DISCRETE}; it does for Ant"):
        preset_config("published", synthetic8())
    with pytest.raises(ValueError, match="--config takes a configuration of your own"):
        preset_config("desk", Named("HopperController-Exact-v0"))


def test_scores_must_be_normalised_by_the_range_of_the_task_that_is_run():
    with pytest.raises(ValueError, match=r"task\.name is DKitty.*from -880\.458 to 340\.91; those of --task TFBind8"):
        check_task_name(published_config("DKittyMorphology-Exact-v0"), "TFBind8-Exact-v0")


def test_a_request_names_its_folder_by_task_size_and_label(tmp_path):
    plain_run = prepare(side="root", task=CONTINUOUS, out=tmp_path)
    assert plain_run.folder == tmp_path / CONTINUOUS / "desk" / "root"
    set_run = prepare(side="ggfm", task=CONTINUOUS, on=["pool"], settings=["training.n_epochs=3"], out=tmp_path)
    assert set_run.folder.parent.name.startswith("desk-")
    assert set_run.folder.name == "ggfm-aligned+pool"
    assert set_run.switches == ("pool",)
    assert set_run.config["training"]["n_epochs"] == 3
    other = prepare(side="ggfm", task=CONTINUOUS, on=["pool"], settings=["training.n_epochs=4"], out=tmp_path)
    assert other.folder != set_run.folder
    assert prepare(side="ggfm", profile="described", task=CONTINUOUS).label == "ggfm-described"
    assert prepare(side="root", task=CONTINUOUS, nudge=2).label == "root-nudge2"


def test_a_configuration_of_ones_own_is_taken_as_it_is_and_unused_entries_are_named(tmp_path):
    config = preset_config("desk", synthetic_continuous())
    config["training"]["colour"] = "blue"
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
    request = prepare(side="root", task=CONTINUOUS, config=tmp_path / "mine.yaml")
    assert request.size == "mine"
    assert request.config == config
    assert request.unknown_entries == ("training.colour",)


@pytest.mark.parametrize("side", ["root", "ggfm"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.n_epochs=0", "n_epochs"),
        ("training.batch_size=0", "batch_size"),
        ("training.val_frac=1", "val_frac"),
        ("testing.percentile_sampling=0", "percentile_sampling"),
        ("GP.num_gradient_steps=-1", "num_gradient_steps"),
        ("model.BB.params.num_timesteps=many", "num_timesteps"),
        ("training.n_epochz=3", "--set training.n_epochz: nothing uses an entry of that name"),
    ],
)
def test_an_impossible_configuration_is_refused_by_name(side, change, message):
    with pytest.raises(ValueError, match=message):
        prepare(side=side, task=CONTINUOUS, settings=[change])


def test_a_configuration_that_lacks_something_is_refused_with_its_file(tmp_path):
    config = preset_config("desk", synthetic_continuous())
    del config["training"]["batch_size"]
    (tmp_path / "short.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ValueError, match=r"short.yaml.*batch_size"):
        prepare(side="root", task=CONTINUOUS, config=tmp_path / "short.yaml")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"side": "rot"}, "--side 'rot' is unknown; allowed are root, ggfm"),
        ({"side": "root", "profile": "aligned"}, "--side root has no switches"),
        ({"side": "root", "on": ["pool"]}, "--side root has no switches"),
        ({"side": "ggfm", "nudge": 1}, "it needs --side root, got ggfm"),
        ({"side": "root", "nudge": -1}, "--nudge must be 0 or more"),
        ({"side": "ggfm", "profile": "odd"}, "--profile 'odd' is unknown; allowed are aligned, described"),
        ({"side": "ggfm", "on": ["colour"]}, "colour"),
        ({"side": "ggfm", "on": ["pool"], "off": ["pool"]}, "--on and --off both name pool"),
        ({"side": "root", "size": "desk", "config": "a.yaml"}, "--size and --config both name a configuration"),
        ({"side": "root", "size": "huge"}, "size 'huge' is unknown; allowed are desk, published"),
        ({"side": "root", "config": "/nowhere/a.yaml"}, "/nowhere/a.yaml"),
        ({"side": "root", "dtype": "float16"}, "--dtype 'float16' is unknown; allowed are float32, float64"),
        ({"side": "root", "threads": 0}, "--threads must be at least 1, got 0"),
        ({"side": "root", "device": "abacus"}, "--device 'abacus' cannot be used here"),
        ({"side": "root", "device": "meta"}, "--device 'meta' cannot be used here"),
        ({"side": "root", "task": "TFBind9"}, "TFBind9"),
    ],
)
def test_an_option_that_does_not_fit_is_refused_by_name(options, message):
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the message is looked at below
        prepare(**({"task": CONTINUOUS} | options))
    assert message in str(refused.value)


def test_the_conditions_tell_other_data_apart():
    one, _ = load_task(CONTINUOUS)
    request = prepare(side="root", task=CONTINUOUS, out=Path("x"))
    other = prepare(side="root", task=DISCRETE, out=Path("x"))
    assert request.conditions(0)["data"] != other.conditions(0)["data"]
    assert request.conditions(0) == prepare(side="root", task=one.name, out=Path("y")).conditions(0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.BB.params.sample_type": "cosine"}, "sample_type 'cosine' cannot be sampled with"),
        ({"testing.type_sampling": "low", "testing.percentile_sampling": 0.0001},
         "num_candidates must be at most the 3 designs that type_sampling 'low' draws from"),
        ({"testing.type_sampling": "random", "testing.num_candidates": 50_000}, "at most the 32898 designs"),
        ({"GP.num_points": 1025}, "GP.num_points must be at most the 1024 designs of the pool 'highest', got 1025"),
    ],
)  # fmt: skip
def test_what_would_fail_after_training_is_said_before(changes, message):
    task = SimpleNamespace(y=range(32_898))
    config = published_config("TFBind8-Exact-v0")
    check_feasible(config, task)
    with pytest.raises(ValueError, match=message):
        check_feasible(merged(config, changes), task)


def test_the_switch_pool_draws_its_own_start_points():
    config = merged(published_config("TFBind8-Exact-v0"), {"GP.num_points": 1025})
    check_feasible(config, SimpleNamespace(y=range(32_898)), ["pool"])


@pytest.mark.parametrize(("designs", "most"), [(1500, 3000), (2000, 4000), (2001, 4001), (9000, 4001)])
def test_the_switch_pool_draws_half_of_them_from_the_best(designs, most):
    task, gp = SimpleNamespace(y=range(designs)), "GP.num_points"
    config = merged(published_config("TFBind8-Exact-v0"), {gp: most})
    check_feasible(config, task, ["pool"])
    with pytest.raises(ValueError, match=rf"GP.num_points must be at most {most} with the switch pool, got {most + 1}"):
        check_feasible(merged(config, {gp: most + 1}), task, ["pool"])
