"""Components that a checkout has only inside its runner: found, compared, and missing if it cannot be driven."""

from contextlib import closing

import pytest

from parity.component import Context
from parity.judge import judge
from parity.loading import load_side
from parity.process.host import Host, HostedSide
from parity.root_ggfm.components import REGISTRY
from parity.root_ggfm.tasks.catalogue import load_task
from parity.verdict import Verdict
from tests.parity.checkouts import ROOT_RUNNER, root_checkout, write

CTX = Context(load_task("Synthetic8-v0")[0])
PARTS = (
    "training_loss", "encoding", "offline_data", "pool", "optimiser", "target", "evaluation", "training_steps",
    "training",
)  # fmt: skip


def verdicts(folder, names=PARTS, old="{planted}", new="", examples=slice(1)):
    """Of every named component its first judgement that is no agreement, or the last one."""
    assert old in ROOT_RUNNER
    text = ROOT_RUNNER.replace(old, new).replace("{planted}", "")
    checkout = root_checkout(folder, runners__DiffusionBasedModelRunners__BBDMRunner=text)
    found = {}
    with closing(Host(f"root:{checkout}")) as host:
        sides = load_side("reference_root"), HostedSide(host)
        for name in names:
            for params in REGISTRY[name].examples[examples]:
                found[name] = judge(REGISTRY[name], params, *sides, CTX)
                if not (found[name].verdict.agrees or found[name].verdict is Verdict.REFUSED):
                    break
    return found


def test_every_part_of_a_run_is_found_and_equal_on_all_examples(tmp_path):
    found = verdicts(tmp_path, examples=slice(None))
    assert {name: judged.verdict for name, judged in found.items() if judged.verdict is not Verdict.IDENTICAL} == {
        "optimiser": Verdict.REFUSED
    }


@pytest.mark.parametrize(
    ("old", "new", "seen_by"),
    [
        ("{planted}", " / 2.0", {"training_loss", "optimiser", "training_steps", "training"}),
        ("torch.manual_seed(step)\n", "torch.manual_seed(step + 1)\n", {"training_loss", "training_steps", "training"}),
        ("order[-1024:]", "order[-1000:]", {"pool"}),
        ("self.scheduler.step(loss)", "pass", {"optimiser", "training"}),
        ("with_decay=step >=", "with_decay=step >", {"training_steps", "training"}),
        ("self._validate(create", "0 and self._validate(create", {"training_steps", "training"}),
        ('interpolation="higher"', 'interpolation="lower"', {"evaluation", "training"}),
        ("* self.std_x + self.mean_x", "* self.std_x + 2.0", {"evaluation", "training"}),
        ("np.std(y, axis=0)", "np.std(y, axis=0, ddof=1)", {"offline_data", "target", "training"}),
        (
            "x = task.to_logits(task.x) if task.is_discrete else task.x",
            "task.is_discrete and task.map_to_logits()\n        x = task.x",
            {"encoding", "offline_data"},
        ),
        ("* t.alpha", "", {"target", "training"}),
    ],
)
def test_a_difference_in_the_runner_is_seen_by_the_components_that_it_is_about(tmp_path, old, new, seen_by):
    found = verdicts(tmp_path, old=old, new=new)
    assert {name for name, judged in found.items() if not judged.verdict.agrees} == seen_by
    assert not [judged.reason for judged in found.values() if judged.verdict is Verdict.MISSING]


def test_a_runner_that_catches_everything_is_driven_too(tmp_path):
    found = verdicts(tmp_path, old="except Exception as error:", new="except BaseException as error:")
    assert {judged.verdict for judged in found.values()} == {Verdict.IDENTICAL}


def test_a_runner_that_needs_unknown_settings_is_missing_and_the_reason_lists_them(tmp_path):
    found = verdicts(tmp_path, ("training", "pool"), "self.config = config\n", "self.config = config.args.extra.more\n")
    for judged in found.values():
        assert judged.verdict is Verdict.MISSING
        assert "does not run from a published configuration" in judged.reason
        assert "args.extra = None" in judged.reason


def test_a_runner_that_reads_its_seed_elsewhere_is_driven_too(tmp_path):
    found = verdicts(tmp_path, ("training", "offline_data"), "config.args.seed", "config.seed")
    assert {judged.verdict for judged in found.values()} == {Verdict.IDENTICAL}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x, y = x.reshape(len(x), -1), ", "x, y = x.reshape(len(x), -1).astype(np.float32), "),
        ("self.x, self.y = torch.from_numpy(x).to(self.device)", "self.x, self.y = torch.FloatTensor(x)"),
    ],
)
def test_a_runner_that_names_float32_has_a_float64_run_too(tmp_path, old, new):
    found = verdicts(tmp_path, ("training", "offline_data"), old, new, examples=slice(2))
    assert {name: judged.reason for name, judged in found.items() if judged.verdict is not Verdict.IDENTICAL} == {}


WRITTEN_OTHERWISE = {
    # What happens to a batch that was handed out is the runner's own business.
    "batches written into": [
        (
            "return self.net(x_high, y_high.masked_fill(masked, 0.0), x_low, y_low.masked_fill(masked, 0.0))[0]",
            "y_high[masked] = y_low[masked] = 0.0\n        return self.net(x_high, y_high, x_low, y_low)[0]",
        )
    ],
    "imports": [
        ("import design_bench\n", "from design_bench import make\nimport json\n"),
        ("design_bench.make(", "make("),
        ("LIMITS = {", "MORE = json.load(open('configs/more.json'))\nLOWEST = np.NINF\nLIMITS = {"),
    ],
    "settings": [
        ("self.config = config\n", "self.config = config\n        assert getattr(config.training, 'log', 10) == 10\n"),
        ("if config.model.model_load_path is not None:", "if hasattr(config.model, 'model_load_path'):"),
        ('"last_model.pth"', "config.args.exp_name + '.pth'"),
    ],
    "validation": [
        ("            self.net.train()\n", ""),
        ("        self.net.eval()\n        print(sum", "        print(sum"),
        ("self.std_x = np.where", "self.best = np.percentile(y, 90)\n        self.std_x = np.where"),
    ],
    "names and types": [
        ("x, y = x.reshape(len(x), -1), ", "x, y = x.reshape(len(x), -1).astype('float32'), "),
        ("mean_x", "mu_x"), ("std_x", "offline_x_std"),
        ("self.mean_y, ", "self.meany = self.mean_y, "),
    ],
}  # fmt: skip


@pytest.mark.parametrize("replaced", WRITTEN_OTHERWISE.values(), ids=WRITTEN_OTHERWISE)
def test_a_runner_written_otherwise_is_driven_too(tmp_path, replaced):
    text = ROOT_RUNNER.replace("{planted}", "")
    for old, new in replaced:
        assert old in text
        text = text.replace(old, new)
    checkout = root_checkout(tmp_path, runners__DiffusionBasedModelRunners__BBDMRunner=text)
    write(checkout, {"configs/more.json": "[1]"})
    names = ("training_loss", "offline_data", "evaluation", "training_steps", "training")
    with closing(Host(f"root:{checkout}")) as host:
        side = HostedSide(host)
        for name in names:
            judged = judge(REGISTRY[name], REGISTRY[name].examples[0], load_side("reference_root"), side, CTX)
            assert judged.verdict is Verdict.IDENTICAL, (name, judged.reason)
    assert not (checkout / "results").exists()
    assert any("NINF" in note for note in side.notes) is any("NINF" in new for _, new in replaced)


def test_a_checkout_without_a_runner_lacks_its_parts_by_name(tmp_path):
    text = "raise ImportError('cannot import name X')\n"
    checkout = root_checkout(tmp_path, runners__DiffusionBasedModelRunners__BBDMRunner=text)
    with closing(Host(f"root:{checkout}")) as host:
        judged = judge(
            REGISTRY["pool"], REGISTRY["pool"].examples[0], load_side("reference_root"), HostedSide(host), CTX
        )
    assert judged.verdict is Verdict.MISSING
    assert "BBDMRunner cannot be imported: cannot import name X" in judged.reason
