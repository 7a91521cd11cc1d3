"""Lead one side through a whole run, stage by stage, and record every call that its stages can be judged from.

The order is ROOT's; both sides are led through it with their own components. The stage `training` compares a side's
own run with the chain of its components, so that nothing of a run is left out.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from parity.comparator import same_bits
from parity.draws import Draw
from parity.execution import GeneratorState, Outcome, cast, generators_kept, run, seed_generators
from parity.policy import EPS32
from parity.root_ggfm.components import component
from parity.root_ggfm.contract import Bridge, Pairs
from parity.root_ggfm.stages.stage_graph import STAGES
from parity.root_ggfm.tasks.task import Task, constants
from parity.side import Side, Tree

__all__ = ["Call", "Replay", "TracedRun", "comparable_calls", "repeat", "same_inputs", "trace_run"]

Replay = Callable[[str, str], Sequence[Draw]]
"""The draws to replay in the call of a stage, by its label."""

Perform = Callable[..., Tree]
"""`perform(stage, label, **inputs)`: calls the component of a stage and returns its outputs."""

_FITTED_ON_PART = "TFBind8-Exact-v0"
"""The task whose process is fitted on designs that the run draws, in every epoch anew."""


@dataclass(frozen=True)
class Call:
    """One call of a stage: its inputs, the state of the generators included, and its outcome."""

    stage: str
    label: str
    inputs: Mapping[str, Any]
    generators: GeneratorState
    outcome: Outcome

    @property
    def tree(self) -> Tree:
        """The outputs that the run goes on with, named by the call."""
        return _labelled(self.label, STAGES[self.stage].read(self.outcome.tree))


@dataclass
class TracedRun:
    """A run: its calls in order, and `result`, what `Side.training` would have returned, if it came to its end.

    A call with the label of an earlier one of its stage replaces it: it saw all that the earlier one saw, and more.
    """

    calls: dict[tuple[str, str], Call] = field(default_factory=dict)
    result: Tree | None = None
    raised: Call | None = None

    def of(self, stage: str) -> list[Call]:
        """Return the calls of a stage, in order."""
        return [call for call in self.calls.values() if call.stage == stage]

    def raised_in(self, stage: str) -> list[Call]:
        """Return the call that raised if it is of this stage, in a list, else an empty one."""
        return [self.raised] if self.raised is not None and self.raised.stage == stage else []

    def tree(self, stage: str) -> Tree:
        """Return all outputs of a stage."""
        return {name: leaf for call in self.of(stage) for name, leaf in call.tree.items()}


class _Stopped(Exception):
    """A stage raised; the run cannot go on."""


def trace_run(
    side: Side,
    given: Mapping[str, Any],
    *,
    dtype: torch.dtype,
    device: torch.device,
    record: bool = False,
    replay: Replay | None = None,
    nudge: int | None = None,
    unit: float = EPS32,
) -> TracedRun:
    """Lead `side` through the run that `given` describes (the inputs of `Side.training`), in `dtype` on `device`.

    `record`, `replay`, `nudge` and `unit` are those of `parity.execution.run`, for every call. Only stages that compute
    are nudged: perturbing scores by which designs are only chosen would choose others among equals.
    Restores the caller's generators at the end.
    """
    traced = TracedRun()

    def perform(stage: str, label: str, **inputs: Any) -> Tree:
        before = GeneratorState.now()
        after = before

        def call(**arguments: Any) -> Tree:
            nonlocal after
            before.restore()
            try:
                return component(STAGES[stage].component).bind(side)(**arguments)
            finally:
                after = GeneratorState.now()

        outcome = run(
            call,
            inputs,
            seed=0,
            dtype=dtype,
            device=device,
            record=record,
            replay=replay(stage, label) if replay else (),
            nudge=nudge if STAGES[stage].rounds else None,
            unit=unit,
        )
        after.restore()
        made = Call(stage, label, inputs, before, outcome)
        if outcome.error is not None:
            traced.raised = made
            raise _Stopped
        traced.calls[stage, label] = made
        return outcome.tree

    with generators_kept(), contextlib.suppress(_Stopped):
        traced.result = _Pipeline(perform, given["config"], given["task"], int(given["seed"])).whole()
    return traced


def repeat(stage: str, calls: Sequence[Call]) -> tuple[Callable[[Side], Callable[..., Tree]], dict[str, Any]]:
    """Return the calls of a stage as one: a function that binds a side, and the inputs of what it returns.

    Each call starts from its own generator states. The generators end in a state that depends on the state that every
    single call left, since the stage is judged once.
    """

    def bind(side: Side) -> Callable[..., Tree]:
        method = component(STAGES[stage].component).bind(side)

        def together(calls_inputs: list[dict[str, Any]]) -> Tree:
            tree: Tree = {}
            states = ""
            for call, inputs in zip(calls, calls_inputs, strict=True):
                call.generators.restore()
                tree |= _labelled(call.label, STAGES[stage].read(method(**inputs)))
                states += GeneratorState.now().digest
            folded = hashlib.sha256(states.encode()).digest()
            torch.default_generator.manual_seed(int.from_bytes(folded[:7], "big"))
            return tree

        return together

    return bind, {"calls_inputs": [cast(call.inputs) for call in calls]}


def same_inputs(reference: TracedRun, candidate: TracedRun, stage: str) -> bool:
    """True if a stage has the same inputs in both runs, to the bit, generators included."""
    left = [*reference.of(stage), *reference.raised_in(stage)]
    right = [*comparable_calls(reference, candidate, stage), *candidate.raised_in(stage)]
    return [call.label for call in left] == [call.label for call in right] and all(
        a.generators.digest == b.generators.digest and _same(a.inputs, b.inputs)
        for a, b in zip(left, right, strict=True)
    )


def comparable_calls(reference: TracedRun, candidate: TracedRun, stage: str) -> list[Call]:
    """Return the candidate's calls of a stage; where the reference's run broke off, only those that it made as well."""
    if reference.raised is None:
        return candidate.of(stage)
    return [call for call in candidate.of(stage) if (stage, call.label) in reference.calls]


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, Tensor):
        alike = isinstance(right, Tensor) and left.shape == right.shape and left.dtype == right.dtype
        return alike and same_bits(left, right)
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(_same(value, right[name]) for name, value in left.items())
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(_same, left, right))
    if hasattr(left, "predict"):  # the task: given to both, never made by a stage
        return True
    return bool(left == right)


def _labelled(label: str, tree: Tree) -> Tree:
    return {f"{label}/{name}": leaf for name, leaf in tree.items()} if label else dict(tree)


class _Pipeline:
    """A whole run as a chain of components, with the state between them."""

    def __init__(self, perform: Perform, config: Mapping[str, Any], task: Task, seed: int) -> None:
        self.perform, self.config, self.task, self.seed = perform, config, task, seed
        params = config["model"]["BB"]["params"]
        network = params["MLPParams"]
        fields = {name: value for name, value in params.items() if name in Bridge.__dataclass_fields__}
        self.bridge = Bridge(dim=network["image_size"], hidden=network["hidden_size"], **fields)
        self.training = config["training"]
        self.guidance = self.training["classifier_free_guidance_prob"]
        self.uses_average = bool(config["model"].get("EMA", {}).get("use_ema"))
        self.held_out: list[Pairs] = []
        self.losses: list[float] = []
        self.rates: list[float] = []
        self.validations: list[Tensor] = []
        self.gradients: list[dict[str, Tensor]] = []
        self.weights: list[dict[str, Tensor]] = []

    def whole(self) -> Tree:
        """Lead a side through the run and return what `Side.training` would have returned."""
        seed_generators(self.seed)
        self.weights.append(_group(self.perform("initial_weights", "training", bridge=self.bridge), "state"))
        self.perform("encoding", "", task=self.task)
        data = self._offline_data("training")
        pool = data["x"][:0]
        for epoch in range(self.training["n_epochs"]):
            pool = self._epoch(epoch, data)
        result = {
            "losses": torch.tensor(self.losses, dtype=torch.float64),
            "lr": torch.tensor(self.rates, dtype=torch.float64),
            "val_losses": torch.cat([torch.empty(0, dtype=torch.float64), *self.validations]),
            "global_step": len(self.losses),
            "offline_x": data["x"],
            "offline_y": data["y"],
            "best_x": pool,
            **{f"final/state/{name}": weight for name, weight in self.weights[-1].items()},
        }
        if self.uses_average:
            result |= {f"ema/{name}": weight for name, weight in self._evaluation_weights().items()}
        return result | self._test()

    def _offline_data(self, label: str) -> Tree:
        choices = {name: self.config["task"][name] for name in ("normalize_x", "normalize_y")}
        return self.perform("offline_data", label, task=self.task, **choices)

    def _epoch(self, epoch: int, data: Tree) -> Tensor:
        gp, training, label = self.config["GP"], self.training, f"epoch{epoch}"
        x, y = data["x"], data["y"]
        if self.config["task"]["name"] == _FITTED_ON_PART:
            rows = torch.randperm(len(x))[: gp["num_fit_samples"]]
            x, y = x[rows], y[rows]
        start = {name: gp[name] for name in ("type_of_initial_points", "num_points")}
        pool: Tensor = self.perform("pool", label, x=data["x"], y=data["y"], epochs=1, **start)["epoch0"]
        names = ("num_functions", "num_points", "num_gradient_steps", "delta_lengthscale", "delta_variance")
        sampled = self.perform(
            "gp_pairs",
            label,
            x_train=x,
            y_train=y,
            pool=pool,
            lengthscale=gp["initial_lengthscale"],
            variance=gp["initial_outputscale"],
            noise=gp["noise"],
            learning_rate=gp["sampling_from_GP_lr"],
            threshold_diff=gp["threshold_diff"],
            seed=epoch,
            **{name: gp[name] for name in names},
        )
        functions = [_group(sampled, f"f{k}") for k in range(gp["num_functions"])]
        parts = self.perform("split", label, functions=functions, val_frac=training["val_frac"])
        self.held_out.append(_group(parts, "val"))
        for batch in self._batches(label, [_group(parts, "train")], shuffle=True):
            self._step(batch)
        if (epoch + 1) % training["validation_interval"] == 0 or epoch + 1 == training["n_epochs"]:
            self._validate(label)
        return pool

    def _batches(self, label: str, functions: Sequence[Pairs], *, shuffle: bool) -> list[Pairs]:
        size = self.training["batch_size"]
        given = {"functions": list(functions), "val_frac": 0.0, "batch_size": size, "shuffle": shuffle, "passes": 1}
        tree = self.perform("loader", label, **given)
        count = len({name.split("/")[1] for name in tree})
        return [_group(tree, f"epoch0/batch{b}") for b in range(count)]

    def _loss(self, stage: str, label: str, weights: Mapping[str, Tensor], batch: Pairs, step: int) -> Tree:
        given = {"bridge": self.bridge, "state": weights, "step": step, "guidance_prob": self.guidance}
        return self.perform(stage, label, **given, **batch)

    def _step(self, batch: Pairs) -> None:
        step = len(self.losses) + 1
        tree = self._loss("training_loss", f"step{step:03d}", self.weights[-1], batch, step)
        self.losses.append(float(tree["loss"]))
        self.gradients.append(_group(tree, "grad"))
        section = self.config["model"]["BB"]
        updated = self.perform(
            "optimiser",
            "",
            optimizer=section["optimizer"],
            lr_scheduler=section["lr_scheduler"],
            accumulate_grad_batches=self.training["accumulate_grad_batches"],
            weights=self.weights[0],
            grads=self.gradients,
            losses=self.losses,
        )
        # The rate of a batch is the one that it found, not the one that it left.
        self.rates.append(updated[f"lr{step - 2}"] if step > 1 else float(section["optimizer"]["lr"]))
        self.weights.append(_group(updated, f"w{step - 1}"))

    def _evaluation_weights(self) -> dict[str, Tensor]:
        """Return the weights that validation and test use."""
        if not self.uses_average:
            return self.weights[-1]
        section = self.config["model"]["EMA"]
        interval = section["update_ema_interval"] * self.training["accumulate_grad_batches"]
        # The average takes parameters of any names, but names of a module's parameters hold no dots.
        plain = {name.replace(".", "_"): name for name in self.weights[0]}
        seen = [
            {name: weights[dotted] for name, dotted in plain.items()}
            for weights in (self.weights[0], *self.weights[interval::interval])
        ]
        start = -(-section["start_ema_step"] // interval)
        tree = self.perform("ema", "", decay=section["ema_decay"], decay_from_step=start, weights=seen)
        return {plain[name]: weight for name, weight in _group(tree, f"shadow{len(seen) - 1}").items()}

    def _validate(self, label: str) -> None:
        weights = self._evaluation_weights()
        batches = self._batches(f"{label}/validation", self.held_out, shuffle=False)
        losses = [
            float(self._loss("validation", f"{label}/batch{k}", weights, batch, k)["loss"])
            for k, batch in enumerate(batches)
        ]
        self.validations.append(torch.tensor(losses, dtype=torch.float64))

    def _test(self) -> Tree:
        testing, limits = self.config["testing"], constants(self.config["task"]["name"])
        weights = self._evaluation_weights()
        seed_generators(self.seed)
        self.perform("initial_weights", "test", bridge=self.bridge)
        data = self._offline_data("test")
        low = self.perform(
            "candidates",
            "",
            x=data["x"],
            y=data["y"],
            n_candidates=testing["num_candidates"],
            type=testing["type_sampling"],
            percentile_sampling=testing["percentile_sampling"],
            seed=self.seed,
        )
        raw = torch.from_numpy(np.ascontiguousarray(self.task.y[:, 0])).to(data["y"])
        asked = self.perform("target", "", y=raw, y_max=limits.y_max, alpha=testing["alpha"], n=len(low["x"]))
        sampled = self.perform(
            "sample",
            "",
            bridge=self.bridge,
            state=weights,
            x_low=low["x"],
            y_low=low["y"],
            y_high=asked["condition"],
            clip_denoised=testing["clip_denoised"],
            guidance_weight=testing["classifier_free_guidance_weight"],
        )
        mapped = copy.deepcopy(self.task)
        if mapped.is_discrete:
            mapped.map_to_logits()
        scored = self.perform(
            "evaluation",
            "",
            task=mapped,
            designs=sampled["x_high"],
            mean_x=data["mean_x"],
            std_x=data["std_x"],
            y_min=limits.y_min,
            y_max=limits.y_max,
        )
        return {
            "test/low": low["x"],
            "test/low_scores": low["y"],
            "test/high_cond": asked["condition"],
            "test/high": sampled["x_high"],
            "percentiles": scored["percentiles"],
        }


def _group(tree: Tree, group: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{group}/"): leaf for name, leaf in tree.items() if name.startswith(f"{group}/")}
