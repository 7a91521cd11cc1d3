"""A run that is killed and taken up again equals one that was not, to the bit."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

import ggfm.pair_source
import ggfm.training
from ggfm.gaussian_process import through_softplus
from ggfm.run import full_run, run
from ggfm.run import test as run_test
from ggfm.settings import Settings
from ggfm.switches import Switches
from ggfm.training import Trainer
from ggfm.weights import load_weights, save_weights

ALIGNED = Switches.aligned()


class Case:
    """One configuration and task, from which the same run is started again and again."""

    def __init__(self, config: dict[str, Any], task: Any) -> None:
        self.config, self.task = config, task

    def start(self, switches: Switches = ALIGNED, **options: Any) -> Trainer:
        return Trainer(Settings(self.config), copy.deepcopy(self.task), 1, switches, **options)

    def finish(self, trainer: Trainer) -> dict[str, torch.Tensor]:
        """All that a run leaves, its test and the generator included."""
        while not trainer.done:
            trainer.epoch()
        record = trainer.record
        validated = [loss for losses in record.val_losses for loss in losses]
        left = {
            "losses": torch.tensor([*record.losses, *validated, *record.lr], dtype=torch.float64),
            "steps": torch.tensor([record.global_step, record.epochs_done, *record.val_steps]),
            "pool": record.pool,
            "generator": torch.get_rng_state(),
            **{name: weight.detach().clone() for name, weight in trainer.bridge.named_parameters()},
        }
        if record.average is not None:
            left |= {f"average/{name}": shadow.clone() for name, shadow in record.average.shadow.items()}
        tested = run_test(trainer.settings, record, copy.deepcopy(self.task), 1, trainer.switches)
        return left | {"high": tested.high, "scores": tested.evaluation.scores}

    def interrupted(self, folder: Path, switches: Switches = ALIGNED, **options: Any) -> dict[str, torch.Tensor]:
        """Saved, forgotten and loaded after every epoch, the one before the first included."""
        path = folder / "run.pt"
        trainer = self.start(switches, **options)
        trainer.save(path)
        while not trainer.done:
            torch.manual_seed(99)
            trainer = self.start(switches, **options)
            trainer.load(path)
            trainer.epoch()
            trainer.save(path)
        torch.manual_seed(99)
        trainer = self.start(switches, **options)
        trainer.load(path)
        return self.finish(trainer)

    def require_resumable(self, folder: Path, switches: Switches = ALIGNED, **options: Any) -> dict[str, torch.Tensor]:
        expected = self.finish(self.start(switches, **options))
        got = self.interrupted(folder, switches, **options)
        assert got.keys() == expected.keys()
        for name, tensor in expected.items():
            assert torch.equal(got[name], tensor), name
        return expected


@pytest.fixture
def case(config: dict[str, Any], continuous_task: Any) -> Case:
    """3 epochs of 5 batches, an odd number: gradients are pending between epochs."""
    config["training"] |= {"n_epochs": 3, "batch_size": 7, "validation_interval": 2}
    config["model"]["EMA"]["start_ema_step"] = 6
    return Case(config, continuous_task)


@pytest.fixture
def discrete_case(config: dict[str, Any], discrete_task: Any) -> Case:
    config["training"] |= {"n_epochs": 3, "batch_size": 7, "validation_interval": 2}
    config["model"]["BB"]["params"]["MLPParams"]["image_size"] = 9
    config["task"]["name"] = "TFBind8-Exact-v0"
    config["GP"]["num_fit_samples"] = 30
    return Case(config, discrete_task)


@pytest.mark.parametrize("name", Switches.names())
def test_with_each_switch(case: Case, tmp_path: Path, name: str) -> None:
    case.require_resumable(tmp_path, ALIGNED.toggled(name))


@pytest.mark.parametrize("optimizer", ["Adam", "RMSProp", "SGD"])
@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_with_each_optimiser(case: Case, tmp_path: Path, optimizer: str, accumulate: int) -> None:
    case.config["model"]["BB"]["optimizer"]["optimizer"] = optimizer
    case.config["training"]["accumulate_grad_batches"] = accumulate
    case.require_resumable(tmp_path)


@pytest.mark.parametrize("switches", [ALIGNED, Switches.described()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_where_the_process_is_fitted_anew(
    discrete_case: Case, tmp_path: Path, switches: Switches, dtype: torch.dtype
) -> None:
    discrete_case.require_resumable(tmp_path, switches, dtype=dtype)


@pytest.mark.parametrize("switches", [ALIGNED, Switches.described().toggled("encoding")])
def test_in_double_precision_without_validation_pairs(case: Case, tmp_path: Path, switches: Switches) -> None:
    case.config["training"]["val_frac"] = 0.0
    case.require_resumable(tmp_path, switches, dtype=torch.float64)


@pytest.mark.parametrize("empty", [{0}, {1}, {2}, {0, 1, 2}])
@pytest.mark.filterwarnings("ignore:no pair is left")
def test_with_empty_epochs(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty: set[int]) -> None:
    sample = ggfm.pair_source.sample_pairs

    def sample_nothing_sometimes(*given: Any, seed: int, **named: Any) -> Any:
        functions = sample(*given, seed=seed, **named)
        return [pairs[:0] for pairs in functions] if seed in empty else functions

    monkeypatch.setattr(ggfm.pair_source, "sample_pairs", sample_nothing_sometimes)
    left = case.require_resumable(tmp_path, ALIGNED.toggled("empty_epoch"))
    assert left["steps"][:2].tolist() == [5 * (3 - len(empty)), 3]


def test_a_lengthscale_that_moves_with_every_epoch(case: Case, tmp_path: Path) -> None:
    lengthscale = torch.tensor(9.941482543945312)
    once = through_softplus(lengthscale)
    assert len({float(lengthscale), float(once), float(through_softplus(once))}) == 3
    case.config["GP"] |= {"initial_lengthscale": float(lengthscale), "sampling_from_GP_lr": 5.0}
    case.require_resumable(tmp_path)


def test_a_broken_epoch_is_neither_saved_nor_gone_on_with(case: Case, tmp_path: Path) -> None:
    expected = case.finish(case.start())
    trainer = case.start()
    trainer.epoch()
    trainer.save(tmp_path / "run.pt")

    def stop(trained: Any) -> None:
        if trained.global_step == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.epoch(stop)
    for forbidden in (trainer.epoch, lambda: trainer.save(tmp_path / "other.pt")):
        with pytest.raises(RuntimeError, match="epoch 1 was broken off"):
            forbidden()
    trainer.load(tmp_path / "run.pt")
    got = case.finish(trainer)
    assert all(torch.equal(got[name], tensor) for name, tensor in expected.items())
    with pytest.raises(RuntimeError, match="all 3 epochs are done"):
        trainer.epoch()


def test_what_is_held_out_is_all_that_is_kept_of_an_epoch(case: Case) -> None:
    trainer = case.start()
    trainer.epoch()
    held_out = trainer.held_out[-1]
    assert len(held_out) == 8
    assert held_out.x_high.untyped_storage().nbytes() == 8 * 4 * 4
    trainer.epoch()
    trainer.epoch()
    assert [len(pairs) for pairs in trainer.held_out] == [0]


def test_callbacks_see_every_batch_after_its_update(case: Case) -> None:
    trainer = case.start()
    seen: list[Any] = []
    weights = []

    def watch(trained: Any) -> None:
        seen.append(trained)
        weights.append(trainer.bridge.denoise_fn.main[0].weight.detach().clone())

    while not trainer.done:
        trainer.epoch(watch)
    record = trainer.record
    assert [t.global_step for t in seen] == list(range(1, 16))
    assert [t.epoch for t in seen] == [0] * 5 + [1] * 5 + [2] * 5
    assert [t.loss for t in seen] == record.losses
    assert [t.lr for t in seen] == record.lr
    assert [len(t.batch.x_high) for t in seen[:5]] == [7, 7, 7, 7, 4]
    assert torch.equal(weights[1], weights[2])
    assert not torch.equal(weights[2], weights[3])
    assert record.val_steps == [10, 15]
    assert [len(losses) for losses in record.val_losses] == [3, 4]


def test_a_run_in_a_folder_goes_on(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, tested = run(case.config, case.task, seed=0, switches=ALIGNED)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "save", _save_and_die_after(2))
        with pytest.raises(KeyboardInterrupt):
            run(case.config, case.task, seed=0, switches=ALIGNED, folder=tmp_path)
    for _ in range(2):
        got, retested = run(case.config, case.task, seed=0, switches=ALIGNED, folder=tmp_path)
        assert got.losses == expected.losses
        assert got.val_losses == expected.val_losses
        assert torch.equal(retested.high, tested.high)
    trainer = case.start()
    load_weights(tmp_path / "final.pt", trainer.bridge, trainer.record.average)
    assert trainer.record.average is not None
    assert expected.average is not None
    for name, weight in expected.bridge.named_parameters():
        assert torch.equal(dict(trainer.bridge.named_parameters())[name], weight)
        assert torch.equal(trainer.record.average.shadow[name], expected.average.shadow[name])


def _save_and_die_after(epochs: int) -> Any:
    save = Trainer.save

    def saved(trainer: Trainer, path: Path) -> None:
        save(trainer, path)
        if trainer.record.epochs_done == epochs:
            raise KeyboardInterrupt

    return saved


def test_a_full_run_goes_on(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = full_run(case.config, case.task, seeds=(0, 1), switches=ALIGNED)
    full_run(case.config, case.task, seeds=(0,), switches=ALIGNED, folder=tmp_path)
    trained: list[int] = []
    epoch = Trainer.epoch

    def counted(trainer: Trainer, *given: Any) -> None:
        trained.append(trainer.seed)
        epoch(trainer, *given)

    monkeypatch.setattr(Trainer, "epoch", counted)
    got = full_run(case.config, case.task, seeds=(0, 1), switches=ALIGNED, folder=tmp_path)
    assert trained == [1, 1, 1]
    assert torch.equal(got.percentiles, expected.percentiles)
    assert (got.mean, got.std) == (expected.mean, expected.std)


def test_weights_of_another_model_are_refused(case: Case, tmp_path: Path) -> None:
    trainer = case.start()
    save_weights(tmp_path / "final.pt", trainer.bridge, None)
    with pytest.raises(ValueError, match=r"final\.pt: entry average: got None, expected the names denoise_fn"):
        load_weights(tmp_path / "final.pt", trainer.bridge, trainer.record.average)


def test_a_loss_that_is_not_finite_ends_a_run_and_keeps_what_was_saved(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = ggfm.training.training_loss

    def broken(bridge: Any, batch: Any, step: int, probability: float) -> torch.Tensor:
        return loss(bridge, batch, step, probability) * (float("nan") if step == 8 else 1.0)

    monkeypatch.setattr(ggfm.training, "training_loss", broken)
    with pytest.raises(FloatingPointError, match=r"loss: got nan at step 8 \(epoch 1, counted from 0\)"):
        run(case.config, case.task, seed=0, switches=ALIGNED, folder=tmp_path)
    trainer = Trainer(Settings(case.config), case.task, 0, ALIGNED)
    trainer.load(tmp_path / "training.pt")
    assert trainer.record.epochs_done == 1
