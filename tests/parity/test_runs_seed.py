"""One seed: its files, what ends it early, and what lies in its folder that should not."""

import json
import sys

import pytest
import torch
from filelock import FileLock

from parity.root_ggfm.runs import plots
from parity.root_ggfm.runs.seed_run import read_result, run_seed, run_seeds
from tests.parity import fake_runs
from tests.parity.fake_runs import BATCHES, FakeTraining, config

asked = fake_runs.request


def ran(folder, **changes):
    return run_seed(asked(folder, **changes), 3, say=print)


def seed_folder(folder):
    return asked(folder).folder / "seed3"


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def quick_curve(request, monkeypatch):
    """Drawing takes longer than all the rest: one test draws."""
    if "curve" not in request.node.name:
        monkeypatch.setattr(plots, "loss_curve", lambda result: b"a picture")


def test_a_seed_leaves_conditions_checkpoint_progress_curve_and_result(tmp_path):
    result = ran(tmp_path)
    folder = seed_folder(tmp_path)
    assert {path.name for path in folder.iterdir()} == {
        ".lock", "run.json", "checkpoint.pt", "progress.json", "result.json", "loss.png",
    }  # fmt: skip
    assert json.loads((folder / "result.json").read_text()) == result == read_result(folder / "result.json")
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert torch.load(folder / "checkpoint.pt", weights_only=True)["epochs_done"] == 4
    progress = json.loads((folder / "progress.json").read_text())
    assert (progress["epochs_done"], progress["n_epochs"], progress["global_step"]) == (4, 4, 4 * BATCHES)


def test_the_result_holds_everything_that_was_asked_and_found(tmp_path):
    result = ran(tmp_path, unknown_entries=("training.colour",))
    assert result["format"] == "parity-run/1"
    assert result["status"] == "finished"
    assert result["reason"] is None
    assert result["config"] == config()
    assert result["unknown_entries"] == ["training.colour"]
    assert (result["side"], result["version"], result["label"], result["seed"]) == ("fake", "fake 1", "fake", 3)
    assert (result["dtype"], result["device"], result["threads"], result["nudge"]) == ("float32", "cpu", 1, None)
    assert set(result["versions"]) == {"torch", "numpy", "python", "parity"}
    assert len(result["losses"]) == len(result["lr"]) == result["global_step"] == 4 * BATCHES
    assert result["val_losses"][0] is None  # that validation had no pairs
    assert result["val_steps"] == [3, 6, 9, 12]
    assert result["scores"]["p100"] == max(result["scores"]["all"])
    assert result["best_offline"] == pytest.approx(0.731987)
    assert len(result["timings"]["epochs_s"]) == 4
    assert result["timings"]["train_s"] == pytest.approx(sum(result["timings"]["epochs_s"]))
    assert result["timings"]["resumed"] == 0


def test_a_finished_seed_is_read_not_run(tmp_path, monkeypatch):
    first = ran(tmp_path)
    monkeypatch.setattr(FakeTraining, "epoch", lambda *_: pytest.fail("it was trained again"))
    assert ran(tmp_path) == first


def test_fresh_runs_it_again(tmp_path):
    ran(tmp_path, threads=1)
    with pytest.raises(ValueError, match="--fresh"):
        ran(tmp_path, threads=2)
    again = run_seed(asked(tmp_path, threads=2), 3, fresh=True)
    assert again["threads"] == 2


def test_an_interrupted_run_says_how_often_it_was_resumed(tmp_path):
    whole = ran(tmp_path / "whole")
    for _ in range(2):
        interrupted(tmp_path / "parts")
    lines = []
    result = run_seed(asked(tmp_path / "parts"), 3, say=lines.append)
    assert lines == ["seed 3: goes on, 2 of 4 epochs are done"]
    assert result["timings"].pop("resumed") == 2
    assert len(result["timings"]["epochs_s"]) == 4
    for run in (whole, result):
        del run["timings"]
    assert result == whole


class Interrupted(FakeTraining):
    """Stops by Ctrl-C in its third epoch."""

    def epoch(self, after_step):
        if self.epochs_done == 2:
            raise KeyboardInterrupt
        super().epoch(after_step)

    @staticmethod
    def start(side, *, config, task, seed, dtype, device):
        return Interrupted(config["fake"], task, seed)


def interrupted(folder, **changes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.parity.fake_runs.FakeSide.start_training", Interrupted.start)
        with pytest.raises(KeyboardInterrupt):
            ran(folder, **changes)


@pytest.mark.parametrize("loss", ["nan", "inf", "-inf"])
def test_a_loss_that_is_not_finite_ends_the_seed_and_keeps_what_was_finished(tmp_path, loss):
    result = ran(tmp_path, config=config(loss_at={"8": loss}))
    assert result["status"] == "diverged"
    assert result["reason"] == f"the loss is {loss} at global step 8, epoch 2"
    assert len(result["losses"]) == len(result["lr"]) == result["global_step"] == 7
    assert result["val_steps"] == [3, 6]
    assert result["scores"] is None
    folder = seed_folder(tmp_path)
    assert torch.load(folder / "checkpoint.pt", weights_only=True)["epochs_done"] == 2
    assert (folder / "loss.png").exists()
    json.loads((folder / "result.json").read_text(), parse_constant=lambda name: pytest.fail(name))


def test_a_diverged_seed_is_read_not_run_again(tmp_path):
    first = ran(tmp_path, config=config(loss_at={"1": "nan"}))
    assert first["losses"] == []
    assert ran(tmp_path, config=config(loss_at={"1": "nan"})) == first


def test_a_validation_loss_that_is_not_finite_ends_the_seed(tmp_path):
    result = ran(tmp_path, config=config(val_at={"1": "nan"}))
    assert result["reason"] == "the validation loss is nan at global step 6, epoch 1"
    assert result["val_losses"] == [None]
    assert len(result["losses"]) == 6


@pytest.mark.parametrize(
    ("how", "message"),
    [({"refuse": True}, "designs hold NaN or infinity"), ({"infinite": True}, "5 of 5 scores are not finite")],
)
def test_designs_or_scores_that_are_not_finite_end_the_seed(tmp_path, how, message):
    result = ran(tmp_path, config=config(**how))
    assert result["status"] == "diverged"
    assert result["reason"].startswith("the test after the last epoch: ")
    assert message in result["reason"]
    assert len(result["losses"]) == 4 * BATCHES


def test_another_error_in_the_test_is_an_error(tmp_path, monkeypatch):
    def broken(self):
        raise ValueError("percentiles: out of luck")

    monkeypatch.setattr(FakeTraining, "test", broken)
    with pytest.raises(ValueError, match="out of luck"):
        ran(tmp_path)
    assert not (seed_folder(tmp_path) / "result.json").exists()


def test_other_seeds_go_on_when_one_diverges(tmp_path, monkeypatch):
    epoch = FakeTraining.epoch

    def diverging(self, after_step):
        if self.seed_is == 1:
            self.fake = {**self.fake, "loss_at": {"2": "nan"}}
        epoch(self, after_step)

    def start(side, *, config, task, seed, dtype, device):
        training = FakeTraining(config["fake"], task, seed)
        training.seed_is = seed
        return training

    monkeypatch.setattr(FakeTraining, "epoch", diverging)
    monkeypatch.setattr("tests.parity.fake_runs.FakeSide.start_training", start)
    lines = []
    results = run_seeds(asked(tmp_path), [0, 1, 2], say=lines.append)
    assert [result["status"] for result in results] == ["finished", "diverged", "finished"]
    assert lines[1] == "seed 1: DIVERGED: the loss is nan at global step 2, epoch 0"
    summary = json.loads((asked(tmp_path).folder / "summary.json").read_text())
    assert summary["seeds"] == [0, 2]
    assert summary["diverged"] == {"1": "the loss is nan at global step 2, epoch 0"}
    best = [results[0]["scores"]["p100"], results[2]["scores"]["p100"]]
    assert summary["mean"]["p100"] == pytest.approx(sum(best) / 2)
    assert summary["std"]["p100"] == pytest.approx(abs(best[0] - best[1]) / 2)  # of the population


def test_other_conditions_are_refused_with_both_values(tmp_path):
    ran(tmp_path)
    changes = {"config": config(epochs=9), "threads": 2, "dtype": "float64", "device": "cuda", "switches": ("pool",)}
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the message is looked at below
        ran(tmp_path, **changes)
    message = str(refused.value)
    for part in (
        "run.json", "config.fake.epochs was 4, is now 9", "threads was 1, is now 2", "'float32', is now 'float64'",
        "device was 'cpu', is now 'cuda'", "switches was [], is now ['pool']", "--fresh",
    ):  # fmt: skip
        assert part in message


def test_conditions_of_every_seed_are_looked_at_before_any_is_trained(tmp_path):
    run_seeds(asked(tmp_path), [1])
    with pytest.raises(ValueError, match="seed1"):
        run_seeds(asked(tmp_path, threads=2), [0, 1])
    assert not (asked(tmp_path).folder / "seed0").exists()


def test_another_torch_is_refused(tmp_path, monkeypatch):
    ran(tmp_path)
    monkeypatch.setattr(torch, "__version__", "9.9")
    with pytest.raises(ValueError, match=r"torch was '.*', is now '9\.9'"):
        ran(tmp_path)


def test_a_folder_that_another_process_holds_is_refused(tmp_path):
    folder = seed_folder(tmp_path)
    folder.mkdir(parents=True)
    with FileLock(folder / ".lock"), pytest.raises(ValueError, match="is in use by another process"):
        ran(tmp_path)
    ran(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("result.json", b'{"format": "parity-run/1", "seed'),
        ("result.json", b"\xff\xfe"),
        ("result.json", b'{"format": "parity-report/1"}'),
        ("result.json", b'{"format": "parity-run/1"}'),
        ("result.json", b"[]"),
        ("run.json", b"{"),
        ("progress.json", b""),
        ("progress.json", b'{"format": "parity-run-progress/1"}'),
        ("checkpoint.pt", b"PK"),
    ],
)
def test_a_damaged_file_is_named_and_stays(tmp_path, name, content):
    ran(tmp_path)
    folder = seed_folder(tmp_path)
    if name in ("progress.json", "checkpoint.pt"):
        (folder / "result.json").unlink()
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}.*--fresh"):
        ran(tmp_path)
    assert (folder / name).read_bytes() == content
    assert run_seed(asked(tmp_path), 3, fresh=True)["status"] == "finished"


def test_files_of_nobody_knows_which_run_are_refused(tmp_path):
    ran(tmp_path)
    (seed_folder(tmp_path) / "run.json").unlink()
    with pytest.raises(ValueError, match=r"holds checkpoint.pt, progress.json, result.json but no run.json"):
        ran(tmp_path)


def test_a_checkpoint_that_is_gone_is_missed(tmp_path):
    ran(tmp_path)
    folder = seed_folder(tmp_path)
    (folder / "result.json").unlink()
    (folder / "checkpoint.pt").unlink()
    with pytest.raises(ValueError, match=r"checkpoint.pt is not there, but .*progress.json counts 4 finished epochs"):
        ran(tmp_path)


def test_without_matplotlib_there_is_no_curve_and_a_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    lines = []
    assert run_seed(asked(tmp_path), 3, say=lines.append)["status"] == "finished"
    assert "loss.png: it needs matplotlib.figure" in lines[0]


def test_a_nudge_moves_the_run_before_it_goes_on_as_well(tmp_path):
    plain = ran(tmp_path / "plain")
    nudged = ran(tmp_path / "nudged", nudge=1)
    assert nudged["nudge"] == 1
    assert nudged["losses"] != plain["losses"]
    interrupted(tmp_path / "parts", nudge=1)
    assert ran(tmp_path / "parts", nudge=1)["losses"] == nudged["losses"]


def test_an_epoch_that_fails_is_named_and_what_was_finished_is_kept(tmp_path, monkeypatch):
    epoch = FakeTraining.epoch

    def fails(training, after_step):
        if training.epochs_done == 2:
            raise torch.linalg.LinAlgError("the factorization could not be completed")
        epoch(training, after_step)

    monkeypatch.setattr(FakeTraining, "epoch", fails)
    with pytest.raises(RuntimeError, match=r"epoch 2: the factorization could not be completed; what .* is kept"):
        ran(tmp_path)
    assert torch.load(seed_folder(tmp_path) / "checkpoint.pt", weights_only=True)["epochs_done"] == 2
    monkeypatch.setattr(FakeTraining, "epoch", epoch)
    assert ran(tmp_path)["timings"]["resumed"] == 1


def test_other_seeds_go_on_when_one_fails_and_the_summary_holds_all_that_are_there(tmp_path, monkeypatch):
    run_seeds(asked(tmp_path), [5], say=print)
    start = FakeTraining.__init__

    def fails(training, fake, task, seed):
        if seed == 1:
            raise ValueError("no such luck")
        start(training, fake, task, seed)

    monkeypatch.setattr(FakeTraining, "__init__", fails)
    with pytest.raises(ValueError, match="seed 1: no such luck"):
        run_seeds(asked(tmp_path), [0, 1, 2], say=print)
    summary = json.loads((asked(tmp_path).folder / "summary.json").read_text())
    assert summary["seeds"] == [0, 2, 5]


def test_the_summary_leaves_out_results_under_other_conditions(tmp_path):
    run_seeds(asked(tmp_path), [0, 5], say=print)
    path = asked(tmp_path).folder / "seed5" / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data": "of another day"}))
    run_seeds(asked(tmp_path), [0], say=print)
    assert json.loads((asked(tmp_path).folder / "summary.json").read_text())["seeds"] == [0]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"scores": {"p100": "x"}}, "scores"),
        ({"status": "lost"}, "status, scores"),
        ({"losses": [1.0, "a"]}, "losses, lr"),
        ({"timings": None}, "timings"),
        ({"config": []}, "config, versions"),
        ({"losses": []}, "losses, lr"),
        ({"lr": 3}, "losses, lr"),
        ({"val_losses": 3}, "val_losses, val_steps"),
        ({"val_steps": []}, "val_losses, val_steps"),
        ({"best_offline": float("nan")}, "best_offline"),
        ({"best_offline": 10**400}, "best_offline"),
        ({"scores": {"p100": 1e400, "p80": 0.1, "p50": 0.1}}, "scores"),
        ({"seed": True}, "seed, threads, nudge"),
        ({"threads": [1]}, "seed, threads, nudge"),
        ({"label": 3, "nudge": "x"}, "label, task, size, seed, threads, nudge"),
    ],
)
def test_a_result_of_other_types_is_named(tmp_path, change, named):
    ran(tmp_path)
    path = seed_folder(tmp_path) / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=rf"result\.json: {named} hold something else than a run writes"):
        ran(tmp_path)


def test_progress_of_other_types_is_named(tmp_path):
    ran(tmp_path)
    folder = seed_folder(tmp_path)
    (folder / "result.json").unlink()
    path = folder / "progress.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"epochs_s": ["a", 1]}))
    with pytest.raises(ValueError, match=r"progress\.json lacks what a run writes"):
        ran(tmp_path)
