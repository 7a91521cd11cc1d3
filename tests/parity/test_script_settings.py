"""Settings of training scripts in both layouts: their names, changed configurations, what a script would read."""

from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from parity.root_ggfm.script_settings import (
    SMALL,
    changed_arguments,
    changed_config,
    differing,
    effective,
    find,
    small,
    table,
)
from parity.root_ggfm.script_source import UNKNOWN

ROOT_MAIN = """
import argparse

def parse_args_and_config():
    parser = argparse.ArgumentParser()
    parser.add_argument('-c', '--config', type=str, default='BB_base.yml', help='a file')
    parser.add_argument('-s', '--seed', type=int, default=1234)
    parser.add_argument('--save_top', action='store_true', default=False)
    parser.add_argument('--gpu_ids', type=str, default='0')
    parser.add_argument('--max_epoch', type=int, default=None)
    args = parser.parse_args()
    config = read(args.config)
    if args.max_epoch is not None:
        config.training.n_epochs = args.max_epoch
    gpu_ids = args.gpu_ids
    return config

def main():
    config = parse_args_and_config()
    seeds = range(3)
    for seed in seeds:
        config.args.seed = seed
        train(config)

raise SystemExit("this file must not be executed")
"""

ROOT_MODEL = """
def build(params, model):
    eta = params.eta if params.__contains__("eta") else 1
    use_ema = False if not model.__contains__('EMA') else model.EMA.use_ema
"""

ROOT_YAML = {
    "GP": {"num_points": 1024, "num_functions": 8, "sampling_from_GP_lr": 0.001},
    "model": {
        "model_type": "BBDM",
        "BB": {
            "optimizer": {"optimizer": "Adam", "lr": 0.001},
            "params": {"MLPParams": {"hidden_size": 1024, "image_size": 56}, "sample_step": 200},
        },
    },
    "task": {"name": "DKittyMorphology-Exact-v0", "normalize_x": True},
    "testing": {"alpha": 0.8},
    "training": {"n_epochs": 100, "batch_size": 64},
}

EPOCHS = next(
    k for k, line in enumerate(yaml.safe_dump(ROOT_YAML, sort_keys=False).splitlines(), 1) if "epochs" in line
)

GGFM_MAIN = """
import argparse
from src.config import Config, load_config

def parse_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("-c", "--config", type=str, default="configs/small.yaml")
    parser.add_argument("-s", "--seed", type=int, default=None)
    parser.add_argument("--device", type=str, default=None)
    return parser.parse_args()

def main():
    args = parse_args()
    load_config(args.config)
    if args.seed is not None:
        Config.SEED = args.seed
    if args.device is not None:
        Config.DEVICE = args.device
    val_frac = getattr(Config, "VAL_FRAC", 0.1)

raise SystemExit("this file must not be executed")
"""

GGFM_CONFIG = """
import os
import yaml


class Config:
    TASK_NAME = 'TFBind8-Exact-v0'
    SEED = 42
    DEVICE = 'cuda'
    GP_NUM_POINTS = 512
    GP_NUM_FUNCTIONS = 8
    GP_LEARNING_RATE = 0.05
    MODEL_TYPE = 'FM'
    HIDDEN_DIM = 512
    FM_EPOCHS = 150
    FM_BATCH_SIZE = 256
    FM_LR = 1e-3
    BB_SAMPLE_STEP = 200
    TEST_ALPHA = 0.8
    K_TRAJ = GP_NUM_FUNCTIONS
    WIDTHS = compute()


def _read_yaml(path):
    with open(path) as f:
        data = yaml.safe_load(f)
    return data or {}


def _apply_if_present(value, attr_name):
    if value is not None:
        setattr(Config, attr_name, value)


def _apply_gp(gp):
    _apply_if_present(gp.get('num_points'), 'GP_NUM_POINTS')
    _apply_if_present(gp.get('num_functions'), 'GP_NUM_FUNCTIONS')
    if 'k_traj' not in gp:
        Config.K_TRAJ = Config.GP_NUM_FUNCTIONS
    if 'sampling_from_GP_lr' in gp:
        _apply_if_present(gp.get('sampling_from_GP_lr'), 'GP_LEARNING_RATE')
    elif 'learning_rate' in gp:
        _apply_if_present(gp.get('learning_rate'), 'GP_LEARNING_RATE')


def load_config(path):
    if not os.path.exists(path):
        raise FileNotFoundError(path)
    cfg = _read_yaml(path)
    _apply_if_present(cfg.get('seed'), 'SEED')
    _apply_if_present(cfg.get('task', {}).get('name'), 'TASK_NAME')
    _apply_gp(cfg.get('GP', {}))
    model = cfg.get('model', {})
    kind = model.get('model_type')
    if kind is not None:
        s = str(kind).upper()
        if s in ('BBDM', 'BROWNIANBRIDGE'):
            setattr(Config, 'MODEL_TYPE', 'BB')
        else:
            setattr(Config, 'MODEL_TYPE', s)
    flow = model.get('FM', {}).get('params', {})
    _apply_if_present(flow.get('hidden_dim'), 'HIDDEN_DIM')
    params = model.get('BB', {}).get('params', {})
    if params:
        mlp = params.get('MLPParams', {})
        _apply_if_present(mlp.get('hidden_size') or params.get('hidden_size'), 'HIDDEN_DIM')
        _apply_if_present(params.get('sample_step'), 'BB_SAMPLE_STEP')
    training = cfg.get('training', {})
    _apply_if_present(training.get('n_epochs'), 'FM_EPOCHS')
    _apply_if_present(training.get('batch_size'), 'FM_BATCH_SIZE')
    _apply_if_present(training.get('val_frac'), 'VAL_FRAC')
    _apply_if_present(training.get('use_classifier_free_guidance'), 'USE_CFG_TRAINING')
    return Config
"""

GGFM_YAML = {
    "seed": 7,
    "task": {"name": "DKittyMorphology-Exact-v0"},
    "GP": {"num_points": 1024, "learning_rate": 0.02},
    "model": {"model_type": "BBDM", "BB": {"params": {"MLPParams": {"hidden_size": 1024}}}},
    "training": {"n_epochs": 100, "use_classifier_free_guidance": False},
}


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        text = dedent(content) if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def root(tmp_path):
    files = {"main.py": ROOT_MAIN, "model/bridge.py": ROOT_MODEL, "configs/small.yaml": ROOT_YAML}
    return write(tmp_path / "root", files)


@pytest.fixture
def ggfm(tmp_path):
    files = {"main.py": GGFM_MAIN, "src/config.py": GGFM_CONFIG, "configs/small.yaml": GGFM_YAML}
    return write(tmp_path / "ggfm", files)


OF_ROOT = ["main.py", "--config", "configs/small.yaml"]
OF_GGFM = ["main.py"]


def test_each_setting_has_one_place_or_says_why_it_has_none():
    for setting in table().values():
        for layout in ("root", "ggfm"):
            assert bool(setting.entries(layout)) is not (layout in setting.cannot), (setting.name, layout)
        assert bool(setting.ggfm) is bool(setting.attribute), setting.name


def test_no_two_settings_share_a_place():
    for places in (
        [s.root for s in table().values() if s.root],
        [s.attribute for s in table().values() if s.attribute],
        [entry for s in table().values() for entry in s.ggfm],
    ):
        assert len(places) == len(set(places))


def test_a_setting_is_found_by_its_name_and_by_the_entry_of_either_layout():
    assert [*find(["n_epochs", "GP.num_points", "model.FM.params.hidden_dim"])] == [
        "n_epochs",
        "num_points",
        "hidden_size",
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["n_epoch"], r"setting 'n_epoch' is unknown \(did you mean n_epochs"),
        (["qqq"], "setting 'qqq' is unknown; there are delta_lengthscale, "),
        (["n_epochs", "training.n_epochs"], "setting n_epochs is given twice, the second time as 'training.n_epochs'"),
    ],
)
def test_an_unknown_or_repeated_name_is_refused(names, message):
    with pytest.raises(ValueError, match=message):
        find(names)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("n_epochs", 0, "n_epochs must be an integer at least 1, got 0"),
        ("n_epochs", 2.5, "n_epochs must be an integer at least 1, got 2.5"),
        ("n_epochs", True, "n_epochs must be an integer at least 1, got True"),
        ("num_points", 2048, "num_points must be an integer at least 1 and at most 1024, got 2048"),
        ("val_frac", 1.0, "val_frac must be a number above 0 and below 1, got 1.0"),
        ("lr", "fast", "lr must be a number above 0, got 'fast'"),
        ("eta", float("nan"), "eta must be a number at least 0, got nan"),
        ("skip_sample", 1, "skip_sample must be true or false, got 1"),
        ("loss_type", "l3", "loss_type must be one of l1, l2, got 'l3'"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(root, name, value, message):
    with pytest.raises(ValueError, match=message):
        changed_config("root", root / "configs/small.yaml", {name: value})


@pytest.mark.parametrize(
    ("layout", "name", "value", "why"),
    [
        ("root", "seed", 3, "seed cannot be set in ROOT's configuration: its main.py names its seeds itself"),
        ("ggfm", "n_seeds", 2, "n_seeds cannot be set in GGFM's configuration: one run of its main.py is one seed"),
        ("ggfm", "optimizer", "SGD", "optimizer cannot be set in GGFM's configuration: its main.py always makes Adam"),
    ],
)
def test_what_a_layout_cannot_set_is_refused_with_the_reason(root, layout, name, value, why):
    with pytest.raises(ValueError, match=why):
        changed_config(layout, root / "configs/small.yaml", {name: value})


def test_a_changed_configuration_differs_in_the_settings_alone(root, ggfm):
    changed = yaml.safe_load(changed_config("root", root / "configs/small.yaml", {"n_epochs": 2, "eta": 0.5}))
    expected = yaml.safe_load(yaml.safe_dump(ROOT_YAML))
    expected["training"]["n_epochs"] = 2
    expected["model"]["BB"]["params"]["eta"] = 0.5
    assert changed == expected

    changed = yaml.safe_load(changed_config("ggfm", ggfm / "configs/small.yaml", {"n_epochs": 2, "seed": 0}))
    assert changed == GGFM_YAML | {"seed": 0, "training": GGFM_YAML["training"] | {"n_epochs": 2}}


def test_of_several_places_the_one_that_the_file_has_is_changed(ggfm):
    path = ggfm / "configs/small.yaml"
    changed = yaml.safe_load(changed_config("ggfm", path, {"sampling_from_GP_lr": 0.5, "hidden_size": 16}))
    assert changed["GP"] == {"num_points": 1024, "learning_rate": 0.5}
    assert changed["model"] == {"model_type": "BBDM", "BB": {"params": {"MLPParams": {"hidden_size": 16}}}}

    path.write_text(yaml.safe_dump({"model": {"FM": {"params": {"dropout": 0.1}}}}))
    changed = yaml.safe_load(changed_config("ggfm", path, {"hidden_size": 16}))
    assert changed == {"model": {"FM": {"params": {"dropout": 0.1, "hidden_dim": 16}}}}


def test_small_numbers_stay_numbers_in_a_changed_configuration(root):
    text = changed_config("root", root / "configs/small.yaml", {"threshold_diff": 1e-6})
    assert yaml.safe_load(text)["GP"]["threshold_diff"] == 1e-6


def test_root_settings_come_from_its_file_its_arguments_and_its_code(root):
    found = effective("root", root, [*OF_ROOT, "--gpu_ids", "-1"])
    assert (found["num_points"].value, found["num_points"].where) == (1024, "configs/small.yaml:2")
    assert (found["n_epochs"].value, found["n_epochs"].where) == (100, f"configs/small.yaml:{EPOCHS}")
    assert (found["seed"].value, found["n_seeds"].value) == ((0, 1, 2), 3)
    assert found["seed"].where == f"main.py:{ROOT_MAIN.splitlines().index('    seeds = range(3)') + 1}"
    assert (found["eta"].value, found["eta"].where) == (1, "model/bridge.py:3")
    assert (found["use_ema"].value, found["use_ema"].where) == (False, "model/bridge.py:4")
    assert (found["device"].value, found["device"].where) == ("cpu", "--gpu_ids of its arguments")
    assert found["args.seed"].value == 1234
    assert "num_fit_samples" not in found

    overridden = effective("root", root, [*OF_ROOT, "--max_epoch", "5"])["n_epochs"]
    assert (overridden.value, overridden.where) == (5, "--max_epoch of its arguments")


def test_ggfm_settings_come_from_its_class_what_load_config_applies_and_its_arguments(ggfm):
    found = effective("ggfm", ggfm, OF_GGFM)
    assert (found["num_points"].value, found["num_points"].where) == (1024, "configs/small.yaml:5")
    assert (found["sampling_from_GP_lr"].value, found["sampling_from_GP_lr"].where) == (0.02, "configs/small.yaml:6")
    assert found["num_functions"].value == 8
    assert found["num_functions"].where == f"src/config.py:{_line(GGFM_CONFIG, 'GP_NUM_FUNCTIONS = 8')}"
    assert (found["model_type"].value, found["hidden_size"].value) == ("BB", 1024)
    assert (found["val_frac"].value, found["val_frac"].where) == (0.1, f"main.py:{_line(GGFM_MAIN, 'VAL_FRAC')}")
    assert found["use_classifier_free_guidance_in_training"].value is False
    assert (found["seed"].value, found["n_seeds"].value, found["Config.K_TRAJ"].value) == (7, 1, 8)
    assert found["Config.WIDTHS"].value == UNKNOWN

    given = effective("ggfm", ggfm, ["main.py", "-s", "3", "--device=cpu"])
    assert (given["seed"].value, given["seed"].where) == (3, "--seed of its arguments")
    assert given["device"].value == "cpu"


def test_changes_show_in_the_effective_settings_as_set(root, ggfm):
    settings = {"n_epochs": 2, "hidden_size": 16}
    for layout, folder, argv in (("root", root, OF_ROOT), ("ggfm", ggfm, OF_GGFM)):
        found = effective(layout, folder, argv, settings)
        assert [found[name].value for name in settings] == [2, 16]
        assert all(found[name].where.startswith("set, ") for name in settings)


def test_a_change_that_the_script_would_not_read_is_refused(root, ggfm):
    with pytest.raises(ValueError, match=r"eta cannot be set to 0.5: main.py reads no such setting"):
        effective("ggfm", ggfm, OF_GGFM, {"eta": 0.5})
    with pytest.raises(
        ValueError, match=r"n_epochs cannot be set to 2: main.py reads 5 \(--max_epoch of its arguments"
    ):
        effective("root", root, [*OF_ROOT, "--max_epoch", "5"], {"n_epochs": 2})


def test_the_command_line_names_the_changed_copy(root, ggfm, tmp_path):
    given = changed_arguments("root", root, [*OF_ROOT, "--save_top"], {"n_epochs": 2}, tmp_path)
    assert given == ["main.py", "--config", str(tmp_path / "small.yaml"), "--save_top"]
    assert effective("root", root, given)["n_epochs"].value == 2
    assert yaml.safe_load((root / "configs/small.yaml").read_text()) == ROOT_YAML

    given = changed_arguments("ggfm", ggfm, OF_GGFM, {"n_epochs": 2}, tmp_path)
    assert effective("ggfm", ggfm, given)["n_epochs"].value == 2


def test_both_layouts_read_the_same_values_of_the_small_run(root, ggfm, tmp_path):
    for layout, folder, argv in (("root", root, OF_ROOT), ("ggfm", ggfm, OF_GGFM)):
        chosen = small(layout, folder, argv)
        assert {"n_epochs", "num_points", "batch_size", "hidden_size"} <= chosen.keys() <= SMALL.keys()
        found = effective(layout, folder, changed_arguments(layout, folder, argv, chosen, tmp_path))
        assert {name: found[name].value for name in chosen} == chosen


def test_only_settings_that_differ_are_listed_with_both_places(root, ggfm):
    sides = [("root", effective("root", root, OF_ROOT)), ("ggfm", effective("ggfm", ggfm, OF_GGFM))]
    rows = {row["name"]: row for row in differing(*sides)}
    assert {"sampling_from_GP_lr", "batch_size", "seed", "n_seeds", "use_classifier_free_guidance_in_training"} <= {
        *rows
    }
    assert not {"num_points", "n_epochs", "model_type", "hidden_size", "lr", "optimizer", "image_size"} & {*rows}
    assert rows["batch_size"] == {
        "name": "batch_size", "reference": 64, "candidate": 256, "reference_place": f"configs/small.yaml:{EPOCHS + 1}",
        "candidate_place": f"src/config.py:{_line(GGFM_CONFIG, 'FM_BATCH_SIZE = 256')}",
    }  # fmt: skip
    assert (rows["seed"]["reference"], rows["seed"]["candidate"]) == ([0, 1, 2], 7)
    assert rows["normalize_x"]["candidate"] == "not set"
    assert differing(sides[0], sides[0]) == []


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["main.py", "--epochs", "3"], "main.py: unrecognized arguments: --epochs 3"),
        (["main.py", "--seed", "x"], "main.py: argument -s/--seed: invalid int value: 'x'"),
        (["main.py", "-c", "configs/none.yaml"], "--config: there is no file 'configs/none.yaml'"),
        (["train.py"], r"train.py cannot be read: No such file"),
        (
            ["main.py", "-c", "main.py"],
            "the configuration main.py must hold a mapping|the configuration main.py is no YAML",
        ),
    ],
)
@pytest.mark.parametrize("layout", ["root", "ggfm"])
def test_what_the_script_cannot_read_is_one_clear_error(request, layout, argv, message):
    with pytest.raises(ValueError, match=message):
        effective(layout, request.getfixturevalue(layout), argv)


def test_a_class_without_a_configuration_file_is_read_and_cannot_be_set(tmp_path):
    early = write(
        tmp_path, {"main.py": "from src.config import Config", "src/config.py": "class Config:\n    SEED = 42\n"}
    )
    assert effective("ggfm", early, ["main.py"])["seed"].value == 42
    with pytest.raises(ValueError, match=r"main.py reads no configuration file: its settings cannot be set"):
        changed_arguments("ggfm", early, ["main.py"], {"seed": 1}, tmp_path)


def _line(source, text):
    return next(k for k, line in enumerate(dedent(source).splitlines(), 1) if text in line)


def test_configurations_that_the_code_refuses_and_values_only_running_it_would_tell(ggfm):
    config = ggfm / "src/config.py"
    code = dedent(GGFM_CONFIG)
    config.write_text(code.replace("    return Config\n", "    Config.SEED = secret()\n    return Config\n"))
    found = effective("ggfm", ggfm, OF_GGFM)
    assert (found["seed"].value, found["seed"].where) == (
        UNKNOWN,
        f"src/config.py:{_line(config.read_text(), 'secret')}",
    )
    assert "seed" not in {row["name"] for row in differing(("one", found), ("other", found | {"seed": found["lr"]}))}

    line = "    if cfg.get('seed') == 7:\n        raise ValueError\n    return Config\n"
    config.write_text(code.replace("    return Config\n", line))
    with pytest.raises(ValueError, match=r"src/config.py:\d+ refuses the configuration configs/small.yaml"):
        effective("ggfm", ggfm, OF_GGFM)


@pytest.mark.parametrize(
    "statement",
    [
        "    while more():\n        _apply_if_present(cfg.get('seed'), 'SEED')\n",
        "    if chance():\n        Config.SEED = 3\n",
        "    Config.SEED += 1\n",
        "    _apply_if_present(secret(), 'SEED')\n",
        "    try:\n        setattr(Config, 'SEED', 3)\n    except ValueError:\n        pass\n",
    ],
)
def test_a_setting_that_a_statement_may_set_is_unknown(ggfm, statement):
    code = dedent(GGFM_CONFIG)
    (ggfm / "src/config.py").write_text(code.replace("    return Config\n", statement + "    return Config\n"))
    found = effective("ggfm", ggfm, OF_GGFM)
    assert found["seed"].value == UNKNOWN
    assert found["n_epochs"].value == 100


def test_places_outside_of_the_folder_are_shown_in_full(root, tmp_path):
    elsewhere = Path(tmp_path / "elsewhere.yaml")
    elsewhere.write_text(yaml.safe_dump(ROOT_YAML, sort_keys=False))
    found = effective("root", root, ["main.py", "--config", str(elsewhere)])
    assert found["n_epochs"].where == f"{elsewhere}:{EPOCHS}"
