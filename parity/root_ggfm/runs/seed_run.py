"""One seed, trained and tested, or taken up where it was stopped."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from typing import Any, Protocol, cast

import torch
from tqdm import tqdm

from parity.atomic_write import write_atomic
from parity.root_ggfm.contract import Step, Training
from parity.root_ggfm.runs.folder import PROGRESS, REMEDY, RESULT, SeedFolder, read_document, write_document
from parity.root_ggfm.runs.request import Request
from parity.root_ggfm.runs.result import progress_of, read_result, result_of, val_means
from parity.root_ggfm.tasks.task import NonFinite
from parity.side import Tree

__all__ = ["run_seed"]


class _Nudgeable(Protocol):
    def nudge(self, seed: int) -> None: ...


class _DivergedError(Exception):
    """The loss, or what came out of the test, is not a finite number any more."""


def run_seed(request: Request, seed: int, *, fresh: bool = False, say: Callable[[str], None] = print) -> dict[str, Any]:
    """The result of one seed: read if it is there, else trained and tested, from the last finished epoch on.

    After every epoch the run is on disk: after a kill at any point the same call goes on, and its result equals that
    of a run that was not interrupted, timings apart. `fresh` forgets what there is. A run whose loss, or whose
    sampled designs, are not finite ends with the status `diverged`.

    Raises ValueError where the folder belongs to another process or to a run under other conditions, or where a file
    in it was cut short or changed.
    """
    folder = SeedFolder(request.folder / f"seed{seed}")
    with folder.locked():
        if fresh:
            folder.clear()
        folder.begin(request.conditions(seed))
        if folder.result.exists():
            return read_result(folder.result)
        torch.set_num_threads(request.threads)
        training = request.side.start_training(
            config=copy.deepcopy(dict(request.config)),
            task=copy.deepcopy(request.task),
            seed=seed,
            dtype=request.torch_dtype,
            device=request.device,
        )
        if request.nudge is not None:  # before going on, too: a checkpoint holds weights, not data and pool
            cast(_Nudgeable, training).nudge(request.nudge)
        rest = _Run(folder, training, seed)
        if rest.resumed:
            say(f"seed {seed}: goes on, {training.epochs_done} of {training.n_epochs} epochs are done")
        result = rest.to_the_end(request)
        _write_curve(folder, result, say)
        write_document(folder.result, RESULT, result)
        return read_result(folder.result)


class _Run:
    """The epochs that are left, then the test."""

    def __init__(self, folder: SeedFolder, training: Training, seed: int) -> None:
        self.folder, self.training, self.seed = folder, training, seed
        self.resumed, self.epochs_s = _take_up(folder, training)
        self._keep_progress()

    def to_the_end(self, request: Request) -> dict[str, Any]:
        test, reason, test_s = None, None, 0.0
        try:
            self._epochs()
            start = time.perf_counter()
            test = self._test()
            test_s = time.perf_counter() - start
        except _DivergedError as error:
            reason = str(error)
        timings = {
            "train_s": sum(seconds for seconds in self.epochs_s if seconds is not None),
            "epochs_s": self.epochs_s,
            "test_s": test_s,
            "resumed": self.resumed,
        }
        return result_of(request, self.seed, self.training, test=test, reason=reason, timings=timings)

    def _epochs(self) -> None:
        training = self.training
        bar = tqdm(
            desc=f"seed {self.seed}", total=training.n_epochs, initial=training.epochs_done, unit="epoch",
            disable=None, leave=False,
        )  # fmt: skip
        with bar:

            def after_step(step: Step) -> None:
                if not math.isfinite(step.loss):
                    where = f"global step {step.global_step}, epoch {step.epoch}"
                    raise _DivergedError(f"the loss is {step.loss} at {where}")
                bar.set_postfix(loss=f"{step.loss:.4f}", step=step.global_step, refresh=False)
                bar.update(0)

            while training.epochs_done < training.n_epochs:
                start = time.perf_counter()
                try:
                    training.epoch(after_step)
                except (ValueError, RuntimeError) as error:
                    raise RuntimeError(f"epoch {training.epochs_done}: {error}; what was finished is kept") from error
                self._check_validation()
                self.epochs_s.append(time.perf_counter() - start)
                training.save(self.folder.checkpoint)
                self._keep_progress()
                bar.update()

    def _check_validation(self) -> None:
        means = val_means(self.training.val_losses)
        if means and means[-1] is not None and not math.isfinite(means[-1]):
            step = self.training.val_steps[-1]
            epoch = self.training.epochs_done - 1
            raise _DivergedError(f"the validation loss is {means[-1]} at global step {step}, epoch {epoch}")

    def _test(self) -> Tree:
        try:
            test = self.training.test()
        except NonFinite as error:
            raise _DivergedError(f"the test after the last epoch: {error}") from error
        bad = int((~torch.isfinite(test["scores"])).sum())
        if bad:
            raise _DivergedError(f"the test after the last epoch: {bad} of {len(test['scores'])} scores are not finite")
        return test

    def _keep_progress(self) -> None:
        write_document(self.folder.progress, PROGRESS, progress_of(self.training, self.epochs_s, self.resumed))


def _take_up(folder: SeedFolder, training: Training) -> tuple[int, list[float | None]]:
    """How often the run was resumed, and the seconds of each finished epoch; the training stands after the last one.

    Between checkpoint and progress there may have been a kill: then the seconds of one epoch are not known.
    """
    if not folder.progress.exists():
        progress: dict[str, Any] = {"epochs_done": 0, "epochs_s": [], "resumed": -1}
    else:
        progress = read_document(folder.progress, PROGRESS)
    seen, seconds, resumed = (progress.get(key) for key in ("epochs_done", "epochs_s", "resumed"))
    if not (
        isinstance(seen, int)
        and isinstance(resumed, int)
        and isinstance(seconds, list)
        and all(isinstance(s, float | int | None) for s in seconds)
    ):
        raise ValueError(f"{folder.progress} lacks what a run writes; {REMEDY}")
    if folder.checkpoint.exists():
        try:
            training.load(folder.checkpoint)
        except ValueError as error:
            raise ValueError(f"{error}; {REMEDY}") from error
    done = training.epochs_done
    if folder.progress.exists() and done - seen not in (0, 1):
        raise ValueError(
            f"{folder.checkpoint} {f'ends after epoch {done - 1}' if done else 'is not there'}, but {folder.progress} "
            f"counts {seen} finished epochs: they are not of one run; start this seed over with --fresh"
        )
    return resumed + 1, [*seconds, *[None] * (done - len(seconds))]


def _write_curve(folder: SeedFolder, result: dict[str, Any], say: Callable[[str], None]) -> None:
    try:
        from parity.root_ggfm.runs.curve import loss_curve
    except ModuleNotFoundError as error:
        say(f"no {folder.curve}: it needs {error.name}: pip install 'parity-suite[report]'")
        return
    write_atomic(folder.curve, loss_curve(result))
