"""Record what a side makes of a component's inputs, and look the numbers up later in the place of the side."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from parity.comparator import Runs, compare_trees
from parity.component import Component, Context, Params, start_seed
from parity.draws import Draw
from parity.execution import Outcome, execute
from parity.judge import SPREAD_RUNS
from parity.policy import EPS32, EPS64, Policy
from parity.recording.recording import Case, Declaration, Entry, Recording, run_name
from parity.recording.values import (
    Arrays,
    RecordedOutcome,
    RecordedSpread,
    RecordingError,
    decode,
    encode,
    fingerprint,
)
from parity.side import Capabilities, MissingComponent, Side
from parity.verdict import Verdict

__all__ = ["RecordedSide", "record_component"]


class RecordedSide:
    """Stand for a side by the recording in the folder `path`: its outcomes are looked up, its code is not there.

    `unchecked`: layouts of checkouts (`LAYOUT:PATH`), whose code validates no input. Raises RecordingError for a folder
    that holds no recording.
    """

    def __init__(self, path: Path, unchecked: Sequence[str] = ()) -> None:
        self._recording = Recording.open(path)
        self._cases: dict[str, list[Case]] = {}
        self._arrays: tuple[str, dict[str, NDArray[Any]]] = "", {}
        self._same_form: set[str] = set()
        self.name = f"golden:{path.name}"
        side = self._recording.about.side
        commit = f", commit {side.commit[:12]}{' with changes' * bool(side.dirty)}" if side.commit else ""
        self.version = f"{side.version} as recorded in {path.name}{commit}"
        self.capabilities = Capabilities(
            code="none", checks_inputs=not side.name.startswith(tuple(f"{layout}:" for layout in unchecked))
        )

    @property
    def asked(self) -> tuple[str, ...] | None:
        """The components that were to be recorded; None for every one."""
        asked = self._recording.about.asked
        return None if asked is None else tuple(asked)

    @property
    def notes(self) -> tuple[str, ...]:
        """One line: how many inputs there are."""
        there = self._recording.components
        inputs = sum(entry.cases for entry in there.values())
        return (f"{self.name} holds {inputs} inputs of {len(there)} components; only these are judged",)

    def check_conditions(self, ctx: Context) -> None:
        """Raise RecordingError if numbers are to be judged on another precision or device than was recorded."""
        there = self._recording.about.conditions
        dtype = str(ctx.dtype).removeprefix("torch.")
        for name, recorded, here in (("dtype", there.dtype, dtype), ("device", there.device, ctx.device.type)):
            if recorded.split(":")[0] != here:
                raise RecordingError(f"{self.name} was recorded with {name} {recorded}, this session has {here}")

    def narrowed(self, component: Component) -> Component:
        """Return the component with the recorded inputs in the place of its own, and no search for others.

        One that was not recorded stays as it is, to be found missing. Raises RecordingError if its files are damaged.
        """
        if component.name not in self._recording.components:
            return component
        self._recording.check(component.name)
        recorded = {_key(case.params): case for case in self._read(component.name)}

        def build(params: Params, ctx: Context) -> dict[str, Any]:
            self._check_form(component, ctx)
            case = recorded.get(_key(params))
            if case is None:
                raise RecordingError(f"{self.name} holds no such input of {component.name}: {_key(params)}")
            here = component.build(params, ctx)
            inputs: dict[str, Any] = decode(case.inputs, self._arrays_of(component.name), here)
            return inputs

        return replace(component, examples=[case.params for case in recorded.values()], build=build, cost=0.0)

    def holds(self, component: str, params: Params) -> bool:
        """Return True if this input was recorded."""
        try:
            return any(_key(case.params) == _key(params) for case in self._read(component))
        except (RecordingError, MissingComponent):
            return False

    def execute(
        self,
        component: str,
        inputs: Mapping[str, Any],
        *,
        seed: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
        record: bool = False,
        replay: Sequence[Draw] = (),
        nudge: int | None = None,
        unit: float = EPS32,
    ) -> Outcome:
        """Return the recorded outcome of this run. A run that was not recorded is an outcome with an error."""
        try:
            same = fingerprint(inputs)
            seeds = {case.seed: case for case in self._read(component) if case.fingerprint == same}
            if seed not in seeds:
                other = f" from seed {seed}, but from {sorted(seeds)}" if seeds else ""
                raise RecordingError(f"{self.name} holds no such input of {component}{other}")
            if replay:
                raise RecordingError(f"{self.name} holds numbers, not code: other draws cannot be forced on it")
            case, arrays = seeds[seed], self._arrays_of(component)
            if nudge is None:
                return _on(case.runs[run_name(dtype, record=record)].outcome(arrays), device)
            truth = case.runs[run_name(torch.float64)].outcome(arrays)
            spread = case.spread["float32" if unit == EPS32 else "float64"]
            return _on(Outcome(spread.tree(nudge, truth.tree, arrays)), device)
        except KeyError as error:
            return Outcome({}, RecordingError(f"{self._recording.path} lacks the run {error}"))
        except (RecordingError, MissingComponent) as error:
            return Outcome({}, error)

    def _read(self, component: str) -> list[Case]:
        if component not in self._recording.components:
            raise MissingComponent(f"{self.name} has no {component}: it was not recorded")
        if component not in self._cases:
            self._cases[component] = self._recording.cases(component)
        return self._cases[component]

    def _arrays_of(self, component: str) -> dict[str, NDArray[Any]]:
        """Return the arrays of one component, kept until another one is asked for: a session takes one by one."""
        if self._arrays[0] != component:
            self._arrays = component, self._recording.arrays(component)
        return self._arrays[1]

    def _check_form(self, component: Component, ctx: Context) -> None:
        if component.name in self._same_form:
            return
        there, here = self._recording.components[component.name].declaration, _declaration(component, ctx)
        for what in ("params", "inputs"):
            if getattr(there, what) != getattr(here, what):
                forms = f"with the {what} {getattr(there, what)}, now they are {getattr(here, what)}"
                raise RecordingError(f"{self.name} recorded {component.name} {forms}")
        self._same_form.add(component.name)


def record_component(
    component: Component, side: Side, ctx: Context, inputs: Sequence[Params], recording: Recording
) -> tuple[Entry, str]:
    """Run `side` on each of `inputs` (params of the component) and write the outcomes into the recording's folder.

    Per input: a run in the session's precision, one with its draws, the same in float64, and, unless it raises, the
    runs on inputs that rounding cannot tell apart, from which its own error is learnt. Returns the entry for the
    manifest, and a remark, if any: the side lacks the component, or raises where no refusal is declared, or gives
    different numbers in equal runs.

    Raises RecordingError for inputs or outputs that have no form in a recording.
    """
    arrays = Arrays()
    cases = []
    remarks: list[str] = []
    for k, params in enumerate({_key(params): params for params in inputs}.values()):
        built = component.build(params, ctx)
        kept = encode(built, arrays.keep, f"{k}/inputs")
        given = decode(kept, arrays.held, built)  # the side gets what a later candidate will get, strides included
        seed = start_seed(params)
        runs = dict(_runs(component, side, ctx, given, seed))
        low, truth = runs[run_name(ctx.dtype)], runs[run_name(torch.float64)]
        spread = {}
        for name, dtype, unit in (("float32", ctx.dtype, EPS32), ("float64", torch.float64, EPS64)):
            trees = [
                execute(component, side, given, seed=seed, dtype=dtype, device=ctx.device, nudge=n, unit=unit).tree
                for n in range(0 if low.error or truth.error else SPREAD_RUNS)
            ]
            spread[name] = RecordedSpread.of(trees, truth.tree, arrays.keep, f"{k}/spread/{name}")
        outcomes = {name: RecordedOutcome.of(run, arrays.keep, f"{k}/{name}") for name, run in runs.items()}
        cases.append(Case(dict(params), seed, fingerprint(given), kept, outcomes, spread))
        remarks += _remarks(runs, ctx, component.refused(params))
    entry = recording.write(component.name, _declaration(component, ctx), cases, arrays.held)
    return entry, remarks[0] if remarks else ""


def _declaration(component: Component, ctx: Context) -> Declaration:
    params = component.examples[0]
    return Declaration(sorted(params), sorted(component.build(params, ctx)))


def _runs(
    component: Component, side: Side, ctx: Context, given: Mapping[str, Any], seed: int
) -> Iterator[tuple[str, Outcome]]:
    for dtype in dict.fromkeys((ctx.dtype, torch.float64)):
        for record in (False, True):
            outcome = execute(component, side, given, seed=seed, dtype=dtype, device=ctx.device, record=record)
            yield run_name(dtype, record=record), outcome


def _remarks(runs: Mapping[str, Outcome], ctx: Context, refused: bool) -> Iterator[str]:
    first, again = runs[run_name(ctx.dtype)], runs[run_name(ctx.dtype, record=True)]
    if isinstance(first.error, MissingComponent):
        yield "missing: recorded as such"
    elif first.error and not refused:
        yield f"raises, recorded as such: {type(first.error).__name__}: {first.error}"
    leaves = compare_trees(Runs(first.tree, again.tree, first.tree, again.tree), Policy())
    if any(leaf.verdict is not Verdict.IDENTICAL for leaf in leaves):
        yield "not deterministic: two runs of one input gave different numbers, the first is recorded"


def _key(params: Params) -> str:
    return json.dumps(params, sort_keys=True)


def _on(outcome: Outcome, device: torch.device | None) -> Outcome:
    if device is None or device.type == "cpu":
        return outcome
    tree = {n: leaf.to(device) if isinstance(leaf, torch.Tensor) else leaf for n, leaf in outcome.tree.items()}
    return replace(outcome, tree=tree)
