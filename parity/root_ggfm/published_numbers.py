"""Numbers that the published codes computed, and how a side is judged against them (`parity golden`).

The published codes ran once, in float32: there are inputs and outputs, but neither float64 results, nor draws, nor runs
on moved inputs. A recording of `parity record` needs these, and only those codes could make them. So these files keep a
format of their own, and the error of a side that runs here is the measure of rounding.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from parity.comparator import Runs, compare_leaf
from parity.execution import Outcome, run
from parity.judge import SPREAD_RUNS
from parity.policy import Policy
from parity.recording import RecordingError
from parity.root_ggfm.contract import Bridge
from parity.root_ggfm.tasks.task import ArrayTask
from parity.side import MissingComponent, Side, Tree
from parity.verdict import Judgement, LeafResult, Verdict

__all__ = ["GoldenCase", "GoldenFolder", "judge_case"]

Call = tuple[Callable[..., Tree], dict[str, Any]]
"""A function of a side and its inputs."""

_EXACT = ("counts", "next_rand", "steps", "n_val", "val/*", "epoch*", "global_step", "lr")
"""Outputs that are equal on every processor: indices, splits, batches and draws. Candidates are gathered rows, too."""


@dataclass(frozen=True)
class GoldenCase:
    """One recorded call: plain parameters, input and output arrays."""

    component: str
    key: str
    params: Mapping[str, Any]
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]

    def nested(self, prefix: str) -> dict[str, Tensor]:
        """Return the inputs below `prefix/`, without it: `state/denoise_fn.main.0.bias` -> `denoise_fn.main.0.bias`."""
        start = f"{prefix}/"
        return {name.removeprefix(start): array for name, array in self.inputs.items() if name.startswith(start)}


class GoldenFolder:
    """A folder of recorded numbers, read without executing anything.

    `index.json` holds `components[NAME]`, a list of cases with `key`, `params`, `inputs` and `outputs` (array names).
    An array lies in `NAME.npz` under `KEY/in/INPUT` or `KEY/out/OUTPUT`.

    Raises RecordingError for a folder without an index, an index that is no valid JSON, an archive that is absent or
    cut short, and an array that the index names and the archive lacks.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        index = path / "index.json"
        if not index.is_file():
            raise RecordingError(f"{path} holds no recorded numbers: {index.name} is not there")
        try:
            content = json.loads(index.read_text(encoding="utf-8"))
            self._components: dict[str, list[dict[str, Any]]] = content["components"]
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise RecordingError(f"{index} cannot be read: {type(error).__name__}: {error}") from error
        self.about = {key: value for key, value in content.items() if key != "components"}
        self._arrays: dict[str, dict[str, Tensor]] = {}

    @property
    def components(self) -> tuple[str, ...]:
        """Names of the recorded components."""
        return tuple(self._components)

    def keys(self, component: str) -> tuple[str, ...]:
        """Return the keys of a component's cases, in order."""
        return tuple(case["key"] for case in self._components[component])

    def cases(self, component: str) -> Iterator[GoldenCase]:
        """Yield the cases of a component, in order."""
        for case in self._components[component]:
            yield self._case(component, case)

    def case(self, key: str) -> GoldenCase:
        """Return the case with that key, such as `gp_pairs/0`."""
        for component, cases in self._components.items():
            for case in cases:
                if case["key"] == key:
                    return self._case(component, case)
        raise RecordingError(f"{self.path} has no case {key!r}")

    def _case(self, component: str, case: Mapping[str, Any]) -> GoldenCase:
        arrays = self._load(component) if case["inputs"] or case["outputs"] else {}

        def pick(names: list[str], kind: str) -> dict[str, Tensor]:
            paths = {name: f"{case['key']}/{kind}/{name}" for name in names}
            missing = [p for p in paths.values() if p not in arrays]
            if missing:
                raise RecordingError(f"{self.path / component}.npz lacks {missing[0]}, which index.json names")
            return {name: arrays[p] for name, p in paths.items()}

        inputs, outputs = pick(case["inputs"], "in"), pick(case["outputs"], "out")
        return GoldenCase(component, case["key"], case["params"], inputs, outputs)

    def _load(self, component: str) -> dict[str, Tensor]:
        if component not in self._arrays:
            file = self.path / f"{component}.npz"
            try:
                # Opened here: NumPy leaves a file open that turns out to be no archive.
                with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
                    loaded = {name: torch.from_numpy(np.array(archive[name])) for name in archive.files}
            except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
                raise RecordingError(f"{file} cannot be read (absent or cut short?): {error}") from error
            self._arrays[component] = loaded
        return self._arrays[component]


def judge_case(case: GoldenCase, folder: GoldenFolder, side: Side, yardstick: Side | None = None) -> Judgement:
    """Repeat a recorded call and compare every recorded output.

    `identical`: equal to the bit. `rounding`: the recorded float32 numbers lie as close to this side's float64 result
    as the float32 numbers of `yardstick` do on inputs that rounding cannot tell apart (factor 2), which is what another
    processor's matrix products give. The yardstick computes as the recorded code did (default: `side` itself); a side
    with better arithmetic than that would not know the error of the recorded numbers.
    Anything else is `divergent`, `error` or `missing`.
    """

    def verdict(kind: Verdict, reason: str, leaves: tuple[LeafResult, ...] = ()) -> Judgement:
        return Judgement(case.component, side.name, {"key": case.key}, kind, reason, leaves)

    if case.component not in _CALLS:
        return verdict(Verdict.MISSING, f"component {case.component!r} is unknown; known are {', '.join(_CALLS)}")
    prepare = _CALLS[case.component]
    try:
        call, inputs = prepare(case, folder, side)
    except (KeyError, TypeError) as error:
        return verdict(Verdict.ERROR, f"the case cannot be repeated, it lacks or misnames {error}")
    seed = int(case.params.get("seed", 0))
    single = run(call, inputs, seed=seed)
    if isinstance(single.error, MissingComponent):
        return verdict(Verdict.MISSING, f"{side.name} has no {case.component}")
    if "error" in case.params:
        return verdict(*_judge_error(single, case.params["error"]))
    if single.error:
        return verdict(Verdict.ERROR, f"raises {type(single.error).__name__}: {single.error}")
    if not case.outputs:
        return verdict(Verdict.ERROR, "nothing was recorded to compare with")

    @cache
    def double() -> Tree:
        """Return the float64 result."""
        return run(call, inputs, seed=seed, dtype=torch.float64).tree

    @cache
    def spread() -> list[Tree]:
        """Return the yardstick's results on inputs and draws that rounding cannot tell from the recorded ones."""
        again, _ = prepare(case, folder, yardstick or side)
        return [run(again, inputs, seed=seed, nudge=k).tree for k in range(SPREAD_RUNS)]

    # Candidates are gathered rows: no processor changes them.
    policy = Policy(exact=("*",) if case.component == "candidates" else _EXACT)
    leaves = [_judge_leaf(*item, single.tree, double, spread, policy) for item in case.outputs.items()]
    worst = max(leaves, key=lambda leaf: (leaf.verdict.severity, leaf.used))
    identical = worst.verdict is Verdict.IDENTICAL
    reason = f"{len(leaves)} outputs equal to the bit" if identical else f"{worst.name}: {worst.reason}"
    return verdict(worst.verdict, reason, tuple(leaves))


def _judge_leaf(
    name: str,
    recorded: Tensor,
    tree: Tree,
    double: Callable[[], Tree],
    spread: Callable[[], list[Tree]],
    policy: Policy,
) -> LeafResult:
    """Judge one output; only where its bits differ are the float64 result, and then the spread, computed."""
    if name not in tree:
        return LeafResult(name, Verdict.DIVERGENT, "recorded, but not returned")
    mine = _as_recorded(tree[name], recorded)
    leaf = compare_leaf(name, Runs({name: recorded}, {name: mine}, {name: recorded}, {name: mine}), Policy())
    if leaf.verdict is Verdict.IDENTICAL or not recorded.is_floating_point() or mine.shape != recorded.shape:
        return leaf
    truth = double().get(name)
    if not isinstance(truth, Tensor) or truth.numel() != recorded.numel():
        return LeafResult(name, Verdict.DIVERGENT, "differs, and the float64 run gives nothing to judge it by")
    # Both float32 results are judged against one float64 result; there is no recorded float64 to compare it with.
    truth = truth.double().reshape(recorded.shape)
    runs = Runs({name: mine}, {name: recorded}, {name: truth}, {name: truth})
    leaf = compare_leaf(name, runs, policy)
    if leaf.verdict is Verdict.UNSTABLE:
        nudged = ({name: _as_recorded(tree[name], recorded)} for tree in spread() if name in tree)
        leaf = compare_leaf(name, replace(runs, spread32=tuple(nudged)), policy)
    if leaf.verdict is Verdict.UNSTABLE:
        reason = f"off by {leaf.error32:.3g} where rounding explains {2 * leaf.reference_error32:.3g}"
        return replace(leaf, verdict=Verdict.DIVERGENT, reason=reason)
    return leaf


def _as_recorded(leaf: object, recorded: Tensor) -> Tensor:
    """Return a leaf in the recorded precision.

    Plain numbers and lists were stored as arrays; a single number, and nothing at all, in any shape.
    """
    mine = leaf if isinstance(leaf, Tensor) else torch.as_tensor(leaf)
    mine = mine.reshape(recorded.shape) if mine.numel() == recorded.numel() <= 1 else mine
    same_kind = mine.is_floating_point() == recorded.is_floating_point()
    return mine.to(recorded.dtype) if same_kind else mine


def _judge_error(outcome: Outcome, kind: str) -> tuple[Verdict, str]:
    if outcome.error is None:
        return Verdict.ERROR, f"returns a result where {kind} was recorded"
    if kind in {base.__name__ for base in type(outcome.error).__mro__}:
        return Verdict.IDENTICAL, f"fails as recorded, with {kind}"
    return Verdict.ERROR, f"fails with {type(outcome.error).__name__} where {kind} was recorded"


# The call that repeats a case on a side: recorded names are translated explicitly. Each raises KeyError or TypeError
# for a case that lacks or misnames something.


def _bridge(case: GoldenCase) -> Bridge:
    fields = {n: case.params[n] for n in Bridge.__dataclass_fields__ if n in case.params and n != "dtype"}
    for name, array in case.inputs.items():
        if name.startswith("state/") and name.endswith("main.0.weight"):
            hidden, columns = array.shape
            fields |= {"dim": columns - 3, "hidden": hidden}
    return Bridge(**fields)


def _of_bridge(component: str, *names: str, state: bool = True, **fixed: Any) -> Callable[..., Call]:
    """Return the translation of a call on a bridge: inputs as recorded, with the weights as `state`.

    `names`: recorded parameters that are passed on; `cfg_weight` is the guidance weight.
    """

    def call(case: GoldenCase, _: GoldenFolder, side: Side) -> Call:
        inputs = {name: array for name, array in case.inputs.items() if not name.startswith("state/")}
        given = {"guidance_weight" if n == "cfg_weight" else n: case.params[n] for n in names}
        weights = {"state": case.nested("state")} if state else {}
        return getattr(side, component), {"bridge": _bridge(case), **inputs, **weights, **fixed, **given}

    return call


def _as_it_is(component: str) -> Callable[..., Call]:
    """Return the translation of a call whose inputs and parameters have the side's names."""
    return lambda case, _, side: (getattr(side, component), {**case.inputs, **case.params})


def _gp_pairs(case: GoldenCase, _: GoldenFolder, side: Side) -> Call:
    def call(**given: Any) -> Tree:
        return side.gp_pairs(**given) | {"next_rand": torch.rand(4)}

    return call, {**case.inputs, **case.params}


def _too_few_points(case: GoldenCase, _: GoldenFolder, side: Side) -> Call:
    defaults = {
        "lengthscale": 1.0, "variance": 1.0, "noise": 0.01, "num_gradient_steps": 50, "learning_rate": 0.001,
        "delta_lengthscale": 0.1, "delta_variance": 0.1, "threshold_diff": 0.1,
    }  # fmt: skip
    pool = case.inputs["pool"]
    params = {name: value for name, value in case.params.items() if name != "error"}
    return side.gp_pairs, {"x_train": pool, "y_train": pool.sum(1), "pool": pool, **defaults, **params}


def _dataloader(case: GoldenCase, folder: GoldenFolder, side: Side) -> Call:
    pairs = folder.case(case.params["pairs"])
    # A function without a pair may have been recorded as nothing at all.
    no_rows = pairs.inputs["pool"][:0]
    nothing = {"x_high": no_rows, "y_high": no_rows[:, 0], "x_low": no_rows, "y_low": no_rows[:, 0]}
    functions = [
        {name: pairs.outputs.get(f"f{f}/{name}", empty) for name, empty in nothing.items()}
        for f in range(len(pairs.outputs["counts"]))
    ]

    def call(functions: list[Mapping[str, Tensor]], val_frac: float, batch_size: int) -> Tree:
        tree = side.loader(functions=functions, val_frac=val_frac, batch_size=batch_size, shuffle=True, passes=2)
        tree |= {"next_rand": torch.rand(4)}
        held_out = side.split(functions=functions, val_frac=val_frac)
        kept = {name: held_out[name] for name in ("val/x_low", "val/y_high")}
        return tree | {"n_val": torch.tensor(len(held_out["val/x_low"])), **kept}

    return call, {"functions": functions, "val_frac": case.params["val_frac"], "batch_size": case.params["batch_size"]}


def _ema(case: GoldenCase, _: GoldenFolder, side: Side) -> Call:
    count = len({name.split("/")[0] for name in case.inputs})
    settings = {name: case.params[name] for name in ("decay", "decay_from_step")}
    return side.ema, {**settings, "weights": [case.nested(f"w{k}") for k in range(count)]}


def _runner(case: GoldenCase, _: GoldenFolder, side: Side) -> Call:
    x, y = case.inputs["x"].numpy(), case.inputs["y"].numpy()
    goal = case.inputs["goal"].numpy() if "goal" in case.inputs else None

    def oracle(designs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.asarray(-(designs**2).sum(axis=1) if goal is None else (designs == goal).mean(axis=1))

    task = ArrayTask(case.params["task"], x, y.reshape(len(y), 1), oracle, num_classes=None if goal is None else 4)
    seed = case.params["run"]["seed"]
    return side.training, {"config": case.params["config"], "task": task, "seed": seed, "dtype": torch.float32}


_CALLS: dict[str, Callable[[GoldenCase, GoldenFolder, Side], Call]] = {
    "schedule": _of_bridge("schedule", state=False),
    "sample_steps": _of_bridge("sample_steps", state=False),
    "q_sample": _of_bridge("q_sample", state=False),
    "predict_x0": _of_bridge("predict_x0", state=False),
    "initial_weights": _of_bridge("initial_weights", state=False),
    "denoiser": _of_bridge("denoiser"),
    "p_losses": _of_bridge("p_losses"),
    "forward_seeded": _of_bridge("p_losses", t=None, noise=None),
    "p_sample": _of_bridge("p_sample", "clip_denoised", "cfg_weight", "step"),
    "sample": _of_bridge("sample", "clip_denoised", "cfg_weight"),
    "gp": _as_it_is("gp"),
    "gp_pairs": _gp_pairs,
    "gp_pairs_too_few_points": _too_few_points,
    "dataloader": _dataloader,
    "candidates": _as_it_is("candidates"),
    "ema": _ema,
    "runner": _runner,
}
