"""Train and test seeds: each in a folder of its own, resumable, with its result as a JSON document."""

from __future__ import annotations

import copy
import itertools
import json
import math
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from filelock import FileLock, Timeout
from tqdm import tqdm

from parity.atomic_write import write_atomic
from parity.root_ggfm.contract import Step, Training
from parity.root_ggfm.runs import plots
from parity.root_ggfm.runs.run_spec import PERCENTILES, RunSpec, conditions_key, entries
from parity.root_ggfm.tasks.task import NonFinite, constants
from parity.side import Tree
from parity.version import __version__

__all__ = [
    "RESULT",
    "SeedFolder",
    "read_result",
    "run_seed",
    "run_seeds",
    "seed_line",
    "summary_line",
    "summary_of",
    "write_document",
]

CONDITIONS = "parity-run-conditions/1"
PROGRESS = "parity-run-progress/1"
RESULT = "parity-run/1"
SUMMARY = "parity-run-summary/1"

_REMEDY = "move it away, or start this seed over with --fresh"

_KEYS = {
    "side", "version", "label", "switches", "task", "data", "task_note", "size", "config", "unknown_entries",
    "seed", "dtype", "device", "threads", "nudge", "versions", "status", "reason", "losses", "lr", "val_losses",
    "val_steps", "global_step", "scores", "best_offline", "timings",
}  # fmt: skip

Say = Callable[[str], None]


class SeedFolder:
    """The files of one seed. A result that is there is whole: it is written last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.conditions = path / "run.json"
        self.checkpoint = path / "checkpoint.pt"
        self.progress = path / "progress.json"
        self.curve = path / "loss.png"
        self.result = path / "result.json"
        # The order of `clear`: the conditions last, so that a run half cleared is still one.
        self._files = self.result, self.curve, self.progress, self.checkpoint, self.conditions

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder until the block or the process ends. Raises ValueError where another process holds it."""
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.path / ".lock", timeout=0):
                for left_over in (part for path in self._files for part in self.path.glob(f".{path.name}*")):
                    left_over.unlink()  # half written by a process that was killed
                yield
        except Timeout as error:
            raise ValueError(f"{self.path} is in use by another process; wait, or choose another --out") from error

    def check(self, conditions: Mapping[str, Any]) -> None:
        """Raise ValueError if the folder holds a run under other conditions, or under unknown ones."""
        if self.conditions.exists():
            _check_same(self.conditions, _read_document(self.conditions, CONDITIONS), conditions)
            return
        foreign = [p.name for p in (self.checkpoint, self.progress, self.result) if p.exists()]
        if foreign:
            raise ValueError(
                f"{self.path} holds {', '.join(foreign)} but no run.json that says of which run; {_REMEDY}"
            )

    def begin(self, conditions: Mapping[str, Any]) -> None:
        """Check the conditions, and write them if the folder is new."""
        self.check(conditions)
        if not self.conditions.exists():
            write_document(self.conditions, CONDITIONS, conditions)

    def clear(self) -> None:
        """Delete the run."""
        for path in self._files:
            path.unlink(missing_ok=True)


def write_document(path: Path, kind: str, document: Mapping[str, Any]) -> None:
    """Write a JSON document atomically. Raises ValueError for NaN and infinity."""
    write_atomic(path, json.dumps({"format": kind, **document}, indent=1, allow_nan=False) + "\n")


def _read_document(path: Path, kind: str) -> dict[str, Any]:
    """Read a JSON document of a kind. Raises ValueError naming the file, what is wrong, and what to do."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read, or was cut short or changed: {error}; {_REMEDY}") from error
    found = document.get("format") if isinstance(document, dict) else type(document).__name__
    if found != kind:
        raise ValueError(f"{path}: expected format {kind!r}, got {found!r}; {_REMEDY}")
    return dict(document)


def _check_same(path: Path, kept: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    before, now = ({name: value for name, value in entries(tree) if name != "format"} for tree in (kept, asked))
    differing = [
        f"{name} was {before.get(name, 'absent')!r}, is now {now.get(name, 'absent')!r}"
        for name in dict.fromkeys([*before, *now])
        if before.get(name, "absent") != now.get(name, "absent")
    ]
    if differing:
        raise ValueError(
            f"{path} keeps a run under other conditions: {'; '.join(differing)}. Ask for the same, choose another "
            "--out, or start over with --fresh"
        )


class _Nudgeable(Protocol):
    def nudge(self, seed: int) -> None: ...


class _DivergedError(Exception):
    """The loss, or a result of the test, is no longer a finite number."""


def run_seed(spec: RunSpec, seed: int, *, fresh: bool = False, say: Say = print) -> dict[str, Any]:
    """Return the result of one seed: read it if it is there, else train from the last finished epoch on, and test.

    The run is saved after every epoch: after a kill at any point the same call goes on, and its result equals that
    of an uninterrupted run, timings apart. `fresh` deletes the run first. A run whose loss or sampled designs are not
    finite ends with the status `diverged`.

    Raises ValueError where the folder belongs to another process or to a run under other conditions, or where a file
    in it was cut short or changed.
    """
    folder = SeedFolder(spec.folder / f"seed{seed}")
    with folder.locked():
        if fresh:
            folder.clear()
        folder.begin(spec.conditions(seed))
        if folder.result.exists():
            return read_result(folder.result)
        torch.set_num_threads(spec.threads)
        training = spec.side.start_training(
            config=copy.deepcopy(dict(spec.config)),
            task=copy.deepcopy(spec.task),
            seed=seed,
            dtype=spec.torch_dtype,
            device=spec.device,
        )
        if spec.nudge is not None:  # before resuming as well: a checkpoint holds weights, not data and pool
            cast(_Nudgeable, training).nudge(spec.nudge)
        run = _Run(folder, training, seed)
        if run.resumed:
            say(f"seed {seed}: goes on, {training.epochs_done} of {training.n_epochs} epochs are done")
        result = run.to_the_end(spec)
        try:
            write_atomic(folder.curve, plots.loss_curve(result))
        except ModuleNotFoundError as error:
            say(f"no {folder.curve}: it needs {error.name}: pip install 'parity-suite[report]'")
        write_document(folder.result, RESULT, result)
        return read_result(folder.result)


class _Run:
    """The remaining epochs of a seed, and its test."""

    def __init__(self, folder: SeedFolder, training: Training, seed: int) -> None:
        self.folder, self.training, self.seed = folder, training, seed
        self.resumed, self.epochs_s = _resume(folder, training)
        self._write_progress()

    def to_the_end(self, spec: RunSpec) -> dict[str, Any]:
        """Train, test, and return the result document. Without a test the run diverged; only finite losses are kept."""
        test, reason, test_s = None, None, 0.0
        try:
            self._train()
            start = time.perf_counter()
            test = self._test()
            test_s = time.perf_counter() - start
        except _DivergedError as error:
            reason = str(error)
        training = self.training
        losses = list(itertools.takewhile(math.isfinite, training.losses))
        means = _validation_means(training)
        kept = len(list(itertools.takewhile(lambda mean: mean is None or math.isfinite(mean), means)))
        conditions = spec.conditions(self.seed)
        return {
            **{name: value for name, value in conditions.items() if name != "torch"},
            "task_note": spec.task_note,
            "unknown_entries": list(spec.unknown_entries),
            "versions": {
                "torch": conditions["torch"],
                "numpy": np.__version__,
                "python": platform.python_version(),
                "parity": __version__,
            },
            "status": "finished" if test is not None else "diverged",
            "reason": reason,
            "losses": losses,
            "lr": list(training.lr)[: len(losses)],
            "val_losses": means[:kept],
            "val_steps": list(training.val_steps)[:kept],
            "global_step": len(losses),
            "scores": None if test is None else _scores(test),
            "best_offline": _best_offline(spec),
            "timings": {
                "train_s": sum(seconds for seconds in self.epochs_s if seconds is not None),
                "epochs_s": self.epochs_s,
                "test_s": test_s,
                "resumed": self.resumed,
            },
        }

    def _train(self) -> None:
        training = self.training
        done, total = training.epochs_done, training.n_epochs
        bar = tqdm(desc=f"seed {self.seed}", total=total, initial=done, unit="epoch", disable=None, leave=False)
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
                self._write_progress()
                bar.update()

    def _check_validation(self) -> None:
        means = _validation_means(self.training)
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

    def _write_progress(self) -> None:
        training, means = self.training, _validation_means(self.training)
        progress = {
            "epochs_done": training.epochs_done,
            "n_epochs": training.n_epochs,
            "global_step": len(training.losses),
            "loss": training.losses[-1] if training.losses else None,
            "val_loss": means[-1] if means else None,
            "epochs_s": list(self.epochs_s),
            "resumed": self.resumed,
        }
        write_document(self.folder.progress, PROGRESS, progress)


def _resume(folder: SeedFolder, training: Training) -> tuple[int, list[float | None]]:
    """Load the checkpoint; return how often the run was resumed, and the seconds of each finished epoch.

    A kill between checkpoint and progress leaves the seconds of one epoch unknown (None).
    """
    if not folder.progress.exists():
        progress: dict[str, Any] = {"epochs_done": 0, "epochs_s": [], "resumed": -1}
    else:
        progress = _read_document(folder.progress, PROGRESS)
    seen, seconds, resumed = (progress.get(key) for key in ("epochs_done", "epochs_s", "resumed"))
    if not (
        isinstance(seen, int)
        and isinstance(resumed, int)
        and isinstance(seconds, list)
        and all(isinstance(s, float | int | None) for s in seconds)
    ):
        raise ValueError(f"{folder.progress} lacks what a run writes; {_REMEDY}")
    if folder.checkpoint.exists():
        try:
            training.load(folder.checkpoint)
        except ValueError as error:
            raise ValueError(f"{error}; {_REMEDY}") from error
    done = training.epochs_done
    if folder.progress.exists() and done - seen not in (0, 1):
        raise ValueError(
            f"{folder.checkpoint} {f'ends after epoch {done - 1}' if done else 'is not there'}, but {folder.progress} "
            f"counts {seen} finished epochs: they are not of one run; start this seed over with --fresh"
        )
    return resumed + 1, [*seconds, *[None] * (done - len(seconds))]


def _validation_means(training: Training) -> list[float | None]:
    """Return the mean that each validation reports; None where there was no validation pair."""
    return [sum(losses) / len(losses) if losses else None for losses in training.val_losses]


def _scores(test: Tree) -> dict[str, Any]:
    percentiles = [float(value) for value in test["percentiles"]]
    return {**dict(zip(PERCENTILES, percentiles, strict=True)), "all": [float(score) for score in test["scores"]]}


def _best_offline(spec: RunSpec) -> float:
    """Return the best offline score on the scale of the results: (max y - y_min)/(y_max - y_min)."""
    known = constants(str(spec.config["task"]["name"]))
    return (float(spec.task.y.max()) - known.y_min) / (known.y_max - known.y_min)


def read_result(path: Path) -> dict[str, Any]:
    """Read a result file. Raises ValueError naming the file if it was cut short or is something else."""
    document = _read_document(path, RESULT)
    missing = _KEYS - set(document)
    if missing:
        raise ValueError(f"{path} lacks {', '.join(sorted(missing))}; {_REMEDY}")
    scores, timings, nudge = document["scores"], document["timings"], document["nudge"]
    means, steps, losses, rates = (document[key] for key in ("val_losses", "val_steps", "losses", "lr"))
    percentiles = [scores.get(key) for key in PERCENTILES] if isinstance(scores, dict) else None
    sound = {
        "label, task, size": all(isinstance(document[key], str) for key in ("label", "task", "size")),
        "seed, threads, nudge": _whole([document["seed"], document["threads"], *[nudge] * (nudge is not None)]),
        "status": document["status"] in ("finished", "diverged"),
        "scores": _finite(percentiles) if document["status"] == "finished" else scores is None,
        "timings": isinstance(timings, dict) and _finite([timings.get(name) for name in ("train_s", "test_s")]),
        "losses, lr": _finite(losses) and _finite(rates) and len(losses) == len(rates),
        "val_losses, val_steps": isinstance(means, list)
        and _finite([mean for mean in means if mean is not None])
        and _whole(steps)
        and len(means) == len(steps),
        "best_offline": _finite([document["best_offline"]]),
        "config, versions": isinstance(document["config"], dict) and isinstance(document["versions"], dict),
    }
    wrong = [name for name, holds in sound.items() if not holds]
    if wrong:
        raise ValueError(f"{path}: {', '.join(wrong)} hold something else than a run writes; {_REMEDY}")
    return document


def _finite(values: Any) -> bool:
    """True for a list of finite numbers (of Python's, an integer may be larger than any float)."""
    return isinstance(values, list) and all(type(v) in (int, float) and abs(v) <= sys.float_info.max for v in values)


def _whole(values: Any) -> bool:
    return isinstance(values, list) and all(type(v) is int for v in values)


def run_seeds(spec: RunSpec, seeds: Sequence[int], *, fresh: bool = False, say: Say = print) -> list[dict[str, Any]]:
    """Return the result of every seed, in order, and write `summary.json` beside their folders. `say` prints a line.

    A seed that diverges or fails does not stop the others; failures are raised at the end as one ValueError that names
    the seeds. Folders of other runs are detected before anything is trained. The summary is over all seeds in the
    folder, whichever command ran them.
    """
    if not fresh:
        for seed in seeds:
            SeedFolder(spec.folder / f"seed{seed}").check(spec.conditions(seed))
    results, failures = [], {}
    for seed in seeds:
        try:
            results.append(run_seed(spec, seed, fresh=fresh, say=say))
        except (ValueError, RuntimeError, OSError) as error:
            failures[seed] = error
            say(f"seed {seed}: FAILED: {error}")
        else:
            say(seed_line(results[-1]))
    if results:
        by_seed = {result["seed"]: result for result in results}
        for other in map(read_result, spec.folder.glob("seed*/result.json")):
            if conditions_key(other) == conditions_key(results[0]):
                by_seed.setdefault(other["seed"], other)
        summary = summary_of([by_seed[seed] for seed in sorted(by_seed)])
        write_document(spec.folder / "summary.json", SUMMARY, summary)
    if failures:
        said = "; ".join(f"seed {seed}: {error}" for seed, error in failures.items())
        raise ValueError(said) from next(iter(failures.values()))
    return results


def summary_of(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return scores by seed, and mean and population standard deviation of each percentile over finished seeds."""
    first = results[0]
    finished = [result for result in results if result["status"] == "finished"]
    columns = {key: [result["scores"][key] for result in finished] for key in PERCENTILES}
    return {
        **{key: first[key] for key in ("label", "task", "size", "best_offline")},
        "seeds": [result["seed"] for result in finished],
        "diverged": {str(result["seed"]): result["reason"] for result in results if result["status"] != "finished"},
        "by_seed": columns,
        "mean": {key: float(np.mean(values)) for key, values in columns.items() if values},
        "std": {key: float(np.std(values)) for key, values in columns.items() if values},
    }


def seed_line(result: Mapping[str, Any]) -> str:
    """Describe one seed in one line."""
    if result["status"] != "finished":
        return f"seed {result['seed']}: DIVERGED: {result['reason']}"
    scores, timings = result["scores"], result["timings"]
    shown = "  ".join(f"{name} {scores[key]:.4f}" for key, name in PERCENTILES.items())
    return f"seed {result['seed']}: {shown}  ({timings['train_s'] + timings['test_s']:.0f} s)"


def summary_line(summary: Mapping[str, Any]) -> str:
    """Describe mean and standard deviation in one line."""
    seeds, mean, std = summary["seeds"], summary["mean"], summary["std"]
    if not seeds:
        return "no seed finished"
    shown = "  ".join(f"{name} {mean[key]:.4f} ± {std[key]:.4f}" for key, name in PERCENTILES.items())
    over = f"{len(seeds)} seed{'s' * (len(seeds) > 1)}"
    return f"mean ± std of {over}: {shown}  (best offline {summary['best_offline']:.4f})"
