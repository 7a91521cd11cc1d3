"""GGFM's whole runs through the adapter: the contract of `parity.root_ggfm.contract`."""

import json
from pathlib import Path

import pytest
import torch

from parity.component import Context
from parity.loading import load_side
from parity.root_ggfm.components import component
from parity.root_ggfm.contract import Step
from parity.root_ggfm.profiles import switches
from parity.root_ggfm.tasks.catalogue import load_task

GOLDEN = Path(__file__).parents[1] / "golden" / "root" / "index.json"


@pytest.fixture
def inputs():
    training = component("training")
    params = training.examples[0] | {"epochs": 3, "rows": 50}
    return training.build(params, Context(load_task("SyntheticContinuous-v0")[0]))


def finished(training, after_step=None):
    while training.epochs_done < training.n_epochs:
        training.epoch(after_step) if after_step else training.epoch()
    return training


def same(left, right):
    assert left.keys() == right.keys()
    for name, leaf in left.items():
        assert torch.equal(leaf, right[name]), name


def test_a_run_has_the_numbers_of_the_component(inputs):
    side = load_side("ggfm")
    expected = side.training(**inputs)
    training = side.start_training(**inputs)
    assert (training.n_epochs, training.epochs_done, training.losses) == (3, 0, [])
    steps: list[Step] = []
    finished(training, steps.append)
    assert training.losses == expected["losses"].tolist() == [step.loss for step in steps]
    assert training.lr == expected["lr"].tolist() == [step.lr for step in steps]
    assert [loss for losses in training.val_losses for loss in losses] == expected["val_losses"].tolist()
    assert len(training.val_losses) == len(training.val_steps) == 2
    assert training.val_steps[-1] == steps[-1].global_step == expected["global_step"] == len(steps)
    assert {step.epoch for step in steps} == {0, 1, 2}
    assert steps[0].batch.keys() == {"x_high", "y_high", "x_low", "y_low"}
    same({n: w.detach() for n, w in training.parameters().items()}, _under("final/state/", expected))
    same(dict(training.evaluation_weights()), _under("ema/", expected))
    assert torch.equal(training.pool, expected["best_x"])
    tested = training.test()
    assert torch.equal(tested["percentiles"][0], tested["scores"].max())
    same(_under("test/", tested), _under("test/", expected))


def _under(prefix, tree):
    return {name.removeprefix(prefix): leaf for name, leaf in tree.items() if name.startswith(prefix)}


@pytest.mark.parametrize("on", [[], ["pool", "step_seed"], [*switches("described")]])
def test_a_run_is_taken_up_again(inputs, tmp_path, on):
    side = load_side("ggfm", on=on)
    expected = finished(side.start_training(**inputs))
    training = side.start_training(**inputs)
    training.epoch()
    training.save(tmp_path / "run.pt")
    torch.manual_seed(5)
    again = side.start_training(**inputs)
    again.load(tmp_path / "run.pt")
    assert again.epochs_done == 1
    finished(again)
    assert (again.losses, again.lr, again.val_losses) == (expected.losses, expected.lr, expected.val_losses)
    same(again.evaluation_weights(), expected.evaluation_weights())
    same(again.test(), expected.test())


def test_given_pairs_take_the_place_of_sampled_ones(inputs):
    g = torch.Generator().manual_seed(0)
    pairs = [
        {"x_high": torch.randn(n, 4, generator=g), "y_high": torch.ones(n), "x_low": torch.zeros(n, 4),
         "y_low": torch.zeros(n)} for n in (10, 5)
    ]  # fmt: skip
    steps: list[Step] = []
    training = load_side("ggfm").start_training(**inputs)
    before = torch.get_rng_state()
    training.epoch(steps.append, pairs)
    assert sum(len(step.batch["y_high"]) for step in steps) == 14
    assert training.pool.shape == (50, 4)
    torch.set_rng_state(before)
    _, seed = (int(torch.empty((), dtype=torch.int64).random_()) for _ in range(2))
    order = torch.randperm(14, generator=torch.Generator().manual_seed(seed))
    trained = torch.cat([pairs[0]["x_high"][1:], pairs[1]["x_high"]])[order]
    assert torch.equal(torch.cat([step.batch["x_high"] for step in steps]), trained)


def test_a_step_that_raises_ends_the_run(inputs, tmp_path):
    training = load_side("ggfm").start_training(**inputs)
    training.save(tmp_path / "run.pt")

    def stop(step):
        raise FloatingPointError(step.global_step)

    with pytest.raises(FloatingPointError):
        training.epoch(stop)
    with pytest.raises(RuntimeError, match="broken off"):
        training.epoch()
    training.load(tmp_path / "run.pt")
    training.epoch()


def test_recorded_configurations_hold_nothing_unknown():
    cases = json.loads(GOLDEN.read_text())["components"]["runner"]
    assert len(cases) > 3
    for case in cases:
        assert load_side("ggfm").check_config(case["params"]["config"]) == ()


def test_configurations_are_checked(inputs):
    side, config = load_side("ggfm"), inputs["config"]
    assert side.check_config(config | {"seed": 1}) == ("seed",)
    with pytest.raises(ValueError, match=r"training\.batch_size: got 0, allowed is an integer of at least 1"):
        side.check_config(config | {"training": config["training"] | {"batch_size": 0}})
    with pytest.raises(ValueError, match=r"device: got 'tpu'"):
        side.start_training(**inputs, device="tpu")
