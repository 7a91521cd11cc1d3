"""A side that can be run whole in milliseconds: a few weights fitted to noise, with everything a run depends on."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from parity.atomic_write import write_atomic
from parity.root_ggfm.contract import Step, ignore
from parity.root_ggfm.runs.run_spec import RunSpec
from parity.root_ggfm.tasks.synthetic import synthetic_continuous

BATCHES = 3


def config(**fake: Any) -> dict[str, Any]:
    """`epochs`; `loss_at` {step: loss}, `val_at` {epoch: loss}, as texts, since JSON has no NaN; `refuse`, `infinite`:
    what the test does."""
    return {"task": {"name": "TFBind8-Exact-v0"}, "fake": {"epochs": 4, **fake}}


def request(folder: Path, *, label: str = "fake", **changes: Any) -> RunSpec:
    plain: dict[str, Any] = {
        "side": FakeSide(), "label": label, "switches": (), "task": synthetic_continuous(), "task_note": "built in",
        "size": "desk", "config": config(), "unknown_entries": (), "dtype": "float32", "device": "cpu", "threads": 1,
        "nudge": None, "out": folder,
    }  # fmt: skip
    return RunSpec(**(plain | changes))


class FakeSide:
    name, version = "fake", "fake 1"

    def check_config(self, config):
        return ()

    def start_training(self, *, config, task, seed, dtype=torch.float32, device="cpu"):
        return FakeTraining(config["fake"], task, seed)


class FakeTraining:
    """Follows `parity.root_ggfm.contract.Training`; its state is weights, records and torch's generator."""

    def __init__(self, fake, task, seed):
        torch.manual_seed(seed)
        self.fake, self.task = fake, task
        self.weights = torch.randn(5)
        self.moved = 0
        self.epochs_done, self.losses, self.lr, self.val_losses, self.val_steps = 0, [], [], [], []

    @property
    def n_epochs(self):
        return self.fake["epochs"]

    def nudge(self, seed):
        self.moved = seed + 1

    def epoch(self, after_step=ignore):
        for _ in range(BATCHES):
            noise = torch.randn(5)
            self.weights = self.weights * 0.9 + 0.1 * noise + 1e-3 * self.moved
            step = len(self.losses) + 1
            self.losses.append(float(self.fake.get("loss_at", {}).get(str(step), self.weights.abs().mean())))
            self.lr.append(0.1 / step)
            after_step(Step(epoch=self.epochs_done, global_step=step, batch={}, loss=self.losses[-1], lr=self.lr[-1]))
        validation = float(self.fake.get("val_at", {}).get(str(self.epochs_done), self.weights.std()))
        self.val_losses.append([validation] if self.epochs_done else [])
        self.val_steps.append(len(self.losses))
        self.epochs_done += 1

    def save(self, path):
        buffer = io.BytesIO()
        records = {name: getattr(self, name) for name in ("epochs_done", "losses", "lr", "val_losses", "val_steps")}
        torch.save({"weights": self.weights, "generator": torch.get_rng_state(), **records}, buffer)
        write_atomic(path, buffer.getvalue())

    def load(self, path):
        try:
            state = torch.load(path, weights_only=True)
        except Exception as error:
            raise ValueError(f"{path}: cut short, or no checkpoint") from error
        torch.set_rng_state(state.pop("generator"))
        for name, value in state.items():
            setattr(self, name, value)

    def test(self):
        if self.fake.get("refuse"):
            self.task.predict(torch.full((2, 10), float("nan")).numpy())
        scores = self.weights.abs().sort().values * (float("inf") if self.fake.get("infinite") else 1)
        return {"scores": scores, "percentiles": scores[[4, 3, 2]]}
