import pytest
import torch

from parity.component import Context
from parity.judge import judge
from parity.loading import load_side
from parity.root_ggfm.components import component
from parity.root_ggfm.components.training_steps import LONG
from parity.root_ggfm.tasks.catalogue import load_task
from parity.root_ggfm.training_trace import record_timeline, seen_at, step_of
from parity.verdict import Verdict


@pytest.fixture(scope="module")
def context():
    return Context(load_task("Synthetic8-v0")[0])


@pytest.fixture(scope="module")
def long_run(context):
    steps = component("training_steps")
    return steps.bind(load_side("reference_root"))(**steps.build(LONG, context))


def leaves(run, name):
    return {step_of(k): v for k, v in run.items() if k.endswith(f"/{name}")}


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_aligned_follows_root_to_the_bit_over_more_than_200_steps(context):
    found = judge(component("training_steps"), LONG, load_side("reference_root"), load_side("ggfm"), context)
    assert found.verdict is Verdict.IDENTICAL, found.reason


def test_the_long_run_crosses_what_can_part_two_runs(long_run):
    losses, rates, weights = (leaves(long_run, name) for name in ("loss", "lr", "weights"))
    assert len(losses) == 210
    per_epoch = len(losses) // LONG["epochs"]
    assert per_epoch % LONG["accumulate"] == 1, "gradients accumulate across epochs"
    updated = [k for k in losses if not torch.equal(weights[k], weights[k - 1])]
    assert updated == [k for k in losses if k % LONG["accumulate"] == 0]
    assert len(set(rates.values())) >= 3, "the rate falls at least twice"
    assert len(leaves(long_run, "validation/loss")) == 5
    average = leaves(long_run, "evaluation")
    moved = [k for k in losses if k > 1 and not torch.equal(average[k], average[k - 1])]
    assert moved == [k for k in losses if k % 4 == 0]
    copied = [k for k in moved if torch.equal(average[k], weights[k])]
    assert copied == [k for k in moved if k < LONG["start_ema_step"]]


def test_a_step_is_recorded_with_its_own_draws(long_run):
    at = {name.split("/", 1)[1]: leaf for name, leaf in long_run.items() if step_of(name) == 7}
    assert [name for name in at if name.startswith("draw")] == [
        "draw000/uniform", "draw001/integer", "draw002/normal",
    ]  # fmt: skip
    torch.manual_seed(7)
    assert torch.equal(at["draw000/uniform"], torch.rand(8))
    assert torch.equal(at["draw001/integer"], torch.randint(0, 20, (8,)))
    assert torch.equal(at["draw002/normal"], torch.randn(8, 4))


def test_a_gradient_is_recorded_as_accumulated(long_run):
    gradients, weights = leaves(long_run, "gradient"), leaves(long_run, "weights")
    assert gradients[1].shape == weights[1].shape
    assert not torch.equal(gradients[1], gradients[2])
    assert float(gradients[2].norm()) > 0


def test_timelines_part_at_their_earliest_difference():
    run = {"step000001/loss": torch.tensor(1.0), "step000002/lr": 0.1, "test/high": torch.zeros(2)}
    assert seen_at(run, dict(run)) is None
    assert seen_at(run, run | {"test/high": torch.ones(2)}) == ("test", "test/high")
    assert seen_at(run, run | {"test/high": torch.ones(2), "step000002/lr": 0.2}) == (2, "step000002/lr")
    more = {"step000001/loss": torch.tensor(1.0), "step000001/validation/loss": torch.zeros(1)} | run
    assert seen_at(run, more) == (1, "step000001/validation/loss")
    assert seen_at({k: v for k, v in run.items() if "test" not in k}, run) == ("test", "test/high")
    assert seen_at({k: v for k, v in run.items() if "lr" not in k}, run) == (2, "step000002/lr")
    assert seen_at(run, run | {"step000001/loss": torch.tensor(1.0, dtype=torch.float64)})[0] == 1


class Raising:
    n_epochs, val_losses, pool = 2, [], torch.zeros(1, 1)

    def parameters(self):
        return {"w": torch.nn.Parameter(torch.zeros(1))}

    def epoch(self, after_step, pairs):
        raise RuntimeError("no")


def test_where_training_raises_is_the_end_of_the_timeline():
    assert record_timeline(Raising())["step000001/raised"] == "RuntimeError"
