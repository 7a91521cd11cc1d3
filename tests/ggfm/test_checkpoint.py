"""Checkpoints: whole or not at all, and nothing is made of one that does not fit."""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ggfm.checkpoint import Exactly, OrNone, Rows, read, write
from ggfm.settings import Settings
from ggfm.switches import Switches
from ggfm.training import Trainer

ALIGNED = Switches.aligned()


@pytest.fixture
def start(config: dict[str, Any], continuous_task: Any) -> Callable[..., Trainer]:
    def start(changes: dict[str, Any] | None = None, seed: int = 0, switches: Switches = ALIGNED) -> Trainer:
        changed = copy.deepcopy(config)
        for path, value in (changes or {}).items():
            *sections, name = path.split(".")
            section = changed
            for part in sections:
                section = section[part]
            section[name] = value
        return Trainer(Settings(changed), continuous_task, seed, switches)

    return start


@pytest.fixture
def saved(start: Callable[..., Trainer], tmp_path: Path) -> Path:
    trainer = start()
    trainer.epoch()
    trainer.save(tmp_path / "run.pt")
    return tmp_path / "run.pt"


def _state(trainer: Trainer, path: Path) -> bytes:
    """Everything a run consists of, as bytes."""
    trainer.save(path)
    return path.read_bytes()


def test_only_plain_values_and_tensors_are_written(saved: Path) -> None:
    def plain(value: Any) -> bool:
        if isinstance(value, dict):
            return all(isinstance(name, str) and plain(v) for name, v in value.items())
        if isinstance(value, list):
            return all(map(plain, value))
        return value is None or isinstance(value, torch.Tensor | str | int | float | bool)

    assert plain(torch.load(saved, weights_only=True))


@pytest.mark.parametrize("left", [0, 1, 3, 100, 1000, 0.5, 0.9, 0.99, -1])
def test_a_file_that_is_cut_short_is_refused(start: Callable[..., Trainer], saved: Path, left: float) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(left * len(whole)) if isinstance(left, float) else left])
    trainer = start()
    before = _state(trainer, saved.with_name("before.pt"))
    with pytest.raises(ValueError, match=r"run\.pt: expected a checkpoint, got a file that is cut short"):
        trainer.load(saved)
    assert _state(trainer, saved.with_name("before.pt")) == before


def test_a_file_and_its_name_are_on_the_disk_when_it_is_written(
    start: Callable[..., Trainer], saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    start().save(saved)
    assert synced == [saved.stat().st_ino, saved.parent.stat().st_ino]


def test_a_file_with_a_wrong_bit_is_refused(start: Callable[..., Trainer], saved: Path) -> None:
    damaged = bytearray(saved.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    saved.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"run\.pt: expected a checkpoint"):
        start().load(saved)


@pytest.mark.parametrize(
    "content",
    [b"hello", b"[1, 2]", b"\x80\x02.", pickle.dumps({"epochs_done": 1}), pickle.dumps(Path("x")), bytes(2000)],
)
def test_what_is_no_checkpoint_is_refused(start: Callable[..., Trainer], tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"run\.pt: "):
        start().load(tmp_path / "run.pt")


def test_a_file_that_is_not_there_is_missing(start: Callable[..., Trainer], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        start().load(tmp_path / "run.pt")


def _without(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        for name in path[:-1]:
            values = values[name]
        del values[path[-1]]

    return change


def _having(value: Any, *path: str) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        for name in path[:-1]:
            values = values[name]
        values[path[-1]] = value

    return change


WEIGHT = "denoise_fn.main.0.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("weights"), "the file: 'weights' is missing, got 'average', 'updater'"),
        (_without("weights", WEIGHT), f"entry weights: '{WEIGHT}' is missing"),
        (_having(1, "weights", "other"), "entry weights: got 'other', expected 'denoise_fn"),
        (_having(None, "weights"), "entry weights: got None, expected the names"),
        (
            _having(torch.zeros(8, 6), "weights", WEIGHT),
            rf"entry weights/{WEIGHT}: got torch.float32 of shape \(8, 6\), expected torch.float32 of shape \(8, 7\)",
        ),
        (_having(torch.zeros(8, 7).double(), "weights", WEIGHT), "got torch.float64 of shape"),
        (_having(None, "average"), "entry average: got None"),
        (_without("updater", "memory", "exp_avg"), "entry updater/memory: 'exp_avg' is missing"),
        (_having(torch.zeros(2), "updater", "memory", "step", WEIGHT), rf"entry updater/memory/step/{WEIGHT}: got"),
        (_without("updater", "plateau", "best"), "entry updater/plateau: 'best' is missing"),
        (_having("0.1", "updater", "lr"), "entry updater/lr: got '0.1', expected float"),
        (_having(3, "run", "seed"), "entry run/seed: got 3, expected 0"),
        (_having(64, "run", "config", "training.batch_size"), "run/config/training.batch_size: got 64, expected 8"),
        (_having([0.5, 1], "record", "losses"), "entry record/losses: got a list of 2, expected a list of float"),
        (_having([0.5], "record", "losses"), "entry record/losses: got 1 of them, expected 4"),
        (_having([[0.5]] * 3, "record", "val_losses"), "entry record/val_steps: got 1 of them, expected 3"),
        (_having(3, "epochs_done"), "entry epochs_done: got 3, expected 0 to 2"),
        (_having(True, "epochs_done"), "entry epochs_done: got True, expected int"),
        (_having(torch.zeros(4, 5), "pool"), r"entry pool: got .* expected torch.float32 of shape \(n, 4\)"),
        (_having(torch.zeros(3), "held_out", "y_low"), "entry held_out/y_low: got 3 of them, expected 8"),
        (_having(torch.zeros(4), "generators", "cpu"), "entry generators/cpu: got"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_changed(
    start: Callable[..., Trainer], saved: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    values = torch.load(saved, weights_only=True)
    change(values)
    torch.save(values, saved)
    trainer = start()
    trainer.epoch()
    before = _state(trainer, saved.with_name("before.pt"))
    with pytest.raises(ValueError, match=rf"run\.pt: .*{message}"):
        trainer.load(saved)
    assert _state(trainer, saved.with_name("before.pt")) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"changes": {"model.BB.params.MLPParams.hidden_size": 9}}, r"entry weights/.*\(8, 7\), expected .*\(9, 7\)"),
        ({"changes": {"model.EMA.use_ema": False}}, "entry average: got a dict of 8, expected None"),
        ({"changes": {"model.BB.optimizer.optimizer": "SGD"}}, "entry updater/memory: 'momentum_buffer' is missing"),
        ({"changes": {"training.batch_size": 9}}, r"entry run/config/training\.batch_size: got 8, expected 9"),
        ({"seed": 1}, "entry run/seed: got 0, expected 1"),
        ({"switches": ALIGNED.toggled("pool")}, r"entry run/switches: got 'aligned', expected 'aligned\+pool'"),
        ({"switches": ALIGNED.toggled("scheduler")}, "entry updater/plateau: got a dict of .*, expected None"),
    ],
)
def test_another_run_is_refused(
    start: Callable[..., Trainer], saved: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        start(**options).load(saved)


def test_the_test_may_be_configured_anew(start: Callable[..., Trainer], saved: Path) -> None:
    trainer = start({"testing.alpha": 0.5})
    trainer.load(saved)
    assert trainer.record.epochs_done == 1


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    path = tmp_path / "run.pt"
    write(path, {"a": 1})

    def fail(*given: Any) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(os, fails, fail)
        with pytest.raises(OSError, match="disk full"):
            write(path, {"a": 2})
    assert read(path, {"a": int}) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]
    write(path, {"a": 2})
    assert read(path, {"a": int}) == {"a": 2}


def test_what_a_kill_left_behind_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "run.pt.part").write_bytes(b"half")
    write(tmp_path / "run.pt", {"a": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]


def test_forms(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    write(path, {"n": 1, "rows": torch.zeros(5, 2), "maybe": None, "is": "x", "many": [[1.0], []]})
    form: dict[str, Any] = {
        "n": int,
        "rows": Rows(torch.zeros(1, 2)),
        "maybe": OrNone(torch.zeros(1)),
        "is": Exactly("x"),
        "many": [[float]],
    }
    assert read(path, form)["rows"].shape == (5, 2)
    for name, other in [("n", float), ("rows", Rows(torch.zeros(1, 3))), ("maybe", str), ("is", Exactly("y"))]:
        with pytest.raises(ValueError, match=f"entry {name}: got .*, expected"):
            read(path, form | {name: other})
