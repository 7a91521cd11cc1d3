"""A process of its own that runs a seed in forked children, kills each with SIGKILL, and takes the run up again.

For each `KIND:MOMENTS:TRIALS` a line of JSON is printed: how many children were killed, and where a resumed result was
another than the whole one.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import torch
from tqdm import tqdm

from parity.root_ggfm.runs import plots
from parity.root_ggfm.runs.run_spec import prepare
from parity.root_ggfm.runs.seed_run import run_seed
from tests.parity import fake_runs

SEED = 3


def without_timings(result):
    return {key: value for key, value in result.items() if key != "timings"}


class Killer:
    """Kills this process at the k-th moment: before or after a file is put in its place, or after a file is synced."""

    def __init__(self, moment):
        self.left = moment
        for name in ("replace", "fsync"):
            setattr(os, name, self.watched(getattr(os, name)))

    def tick(self):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(self, function):
        def call(*arguments):
            self.tick()
            result = function(*arguments)
            self.tick()
            return result

        return call


def in_child(request, moment=None, after=None):
    """Whether the child was killed: at a moment of `Killer`, or `after` seconds."""
    child = os.fork()
    if child == 0:
        if moment is not None:
            Killer(moment)
        try:
            run_seed(request, SEED, say=lambda line: None)
        except ValueError as error:
            sys.stderr.write(f"{error}\n")
            os._exit(1)
        os._exit(0)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def requests(kind, folder):
    if kind == "fake":
        return lambda name: fake_runs.request(folder / name)
    tiny = [
        "training.n_epochs=3", "training.validation_interval=2", "GP.num_functions=2", "GP.num_points=24",
        "GP.num_gradient_steps=3", "GP.num_fit_samples=60", "model.BB.params.MLPParams.hidden_size=8",
        "model.BB.params.sample_step=10", "testing.num_candidates=8", "model.EMA.start_ema_step=2",
        "training.batch_size=16",
    ]  # fmt: skip
    options = {"side": "root", "nudge": 1} if kind == "root" else {"side": "ggfm", "profile": kind}
    return lambda name: prepare(task="SyntheticContinuous-v0", settings=tiny, threads=1, out=folder / name, **options)


def main(kind, folder, moments, trials):
    torch.set_num_threads(1)
    make = requests(kind, folder)
    whole = without_timings(run_seed(make("whole"), SEED, say=lambda line: None))
    start = time.perf_counter()
    in_child(make("again"))
    seconds = time.perf_counter() - start
    killed, differing = 0, []

    def resumed(name):
        result = run_seed(make(name), SEED, say=lambda line: None)
        if without_timings(result) != whole:
            differing.append(name)

    for moment in moments or range(1, 1000):
        name = f"moment{moment}"
        if not in_child(make(name), moment=moment):
            break
        killed += 1
        resumed(name)
    chance = random.Random()
    for trial in range(trials):
        name = f"random{trial}"
        for _ in range(2):
            killed += in_child(make(name), after=chance.uniform(0, seconds))
        resumed(name)
    return {"killed": killed, "differing": differing, "losses": len(whole["losses"])}


if __name__ == "__main__":
    tqdm.set_lock(threading.RLock())  # its own one is shared with forked children, and a killed one would keep it
    tqdm.monitor_interval = 0
    plots.loss_curve = lambda result: b"a picture"  # it takes longer than all the rest
    asked = [argument.split(":") for argument in sys.argv[2:]]
    for kind, moments, trials in asked:
        where = Path(sys.argv[1]) / kind
        outcome = main(kind, where, [int(moment) for moment in moments.split(",") if moment], int(trials))
        sys.stdout.write(json.dumps({"kind": kind, **outcome}) + "\n")
