"""Recorded numbers in the place of a side: its outcomes are looked up, nothing of its code is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from parity.component import Component, Context, Params
from parity.draws import Draw
from parity.execution import Outcome
from parity.policy import EPS32
from parity.recording.outcomes import read_outcome, spread_tree
from parity.recording.record import declaration, run_name
from parity.recording.recording import GoldenError, Recording
from parity.recording.values import ValueNotKept, decode, fingerprint
from parity.side import Capabilities, MissingComponent
from parity.study import installed

__all__ = ["RecordedSide"]


class RecordedSide:
    """The recording in the folder `path`, seen as a side. Raises GoldenError for a folder that holds none.

    A file that is absent or altered, and a component whose inputs have another form by now, become errors of that
    component alone, when it is run.
    """

    def __init__(self, path: Path) -> None:
        self._recording = Recording.open(path)
        self._cases: dict[str, list[dict[str, Any]]] = {}
        self._arrays: tuple[str, dict[str, NDArray[Any]]] = "", {}
        self.name = f"golden:{path.name}"
        side = self._recording.about["side"]
        commit = f", commit {side['commit'][:12]}{' with changes' * bool(side['dirty'])}" if side["commit"] else ""
        layouts = tuple(f"{name}:" for name in installed().layouts)
        self.capabilities = Capabilities("none", checks_inputs=not str(side["name"]).startswith(layouts))
        self.version = f"{side['version']} as recorded in {path.name}{commit}"

    @property
    def asked(self) -> tuple[str, ...] | None:
        """The components that were to be recorded; None for every one."""
        asked = self._recording.about["asked"]
        return None if asked is None else tuple(asked)

    @property
    def notes(self) -> tuple[str, ...]:
        """How much there is, in a line."""
        there = self._recording.components
        inputs = sum(entry["cases"] for entry in there.values())
        return (f"{self.name} holds {inputs} inputs of {len(there)} components; only these are judged",)

    def check_conditions(self, ctx: Context) -> None:
        """Raises GoldenError if numbers are to be judged on another precision or device than was recorded."""
        there = self._recording.about["conditions"]
        for name, here in (("dtype", str(ctx.dtype).removeprefix("torch.")), ("device", ctx.device.type)):
            if there[name].split(":")[0] != here:
                raise GoldenError(f"{self.name} was recorded with {name} {there[name]}, this session has {here}")

    def narrowed(self, component: Component) -> Component:
        """The component with the recorded inputs in the place of its own, and no search for others.

        One that was not recorded stays as it is, to be found missing; of one that cannot be read no input can be built.
        """
        if component.name not in self._recording.components:
            return component
        try:
            recorded = {_key(case["params"]): case for case in self._read(component.name)}
        except GoldenError as error:
            return replace(component, build=_raises(error), cost=0.0)

        def build(params: Params, ctx: Context) -> dict[str, Any]:
            self._check_form(component, ctx)
            case = recorded.get(_key(params))
            if case is None:
                raise GoldenError(f"{self.name} holds no such input of {component.name}: {_key(params)}")
            built = component.build(params, ctx) if '"task"' in json.dumps(case["inputs"]) else None
            inputs: dict[str, Any] = decode(case["inputs"], self._arrays_of(component.name), built)
            return inputs

        return replace(component, examples=[case["params"] for case in recorded.values()], build=build, cost=0.0)

    def holds(self, component: str, params: Params) -> bool:
        """Whether this input was recorded."""
        try:
            return any(_key(case["params"]) == _key(params) for case in self._read(component))
        except (GoldenError, MissingComponent):
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
        """The recorded outcome of this run. What was not recorded is an outcome with an error that says so."""
        try:
            cases = self._read(component)
            same = fingerprint(inputs)
            seeds = {c["seed"]: c for c in cases if c["fingerprint"] == same}
            case = seeds.get(seed)
            if case is None:
                other = f" from seed {seed}, but from {sorted(seeds)}" if seeds else ""
                raise GoldenError(f"{self.name} holds no such input of {component}{other}")
            if replay:
                raise GoldenError(f"{self.name} holds numbers, not code: other draws cannot be forced on it")
            arrays = self._arrays_of(component)
            if nudge is None:
                return _on(read_outcome(case["runs"][run_name(dtype, record=record)], arrays), device)
            truth = read_outcome(case["runs"][run_name(torch.float64)], arrays)
            spread = case["spread"]["float32" if unit == EPS32 else "float64"]
            return _on(Outcome(spread_tree(spread, nudge, truth.tree, arrays)), device)
        except (KeyError, TypeError, ValueNotKept) as error:
            return Outcome({}, GoldenError(f"{self._recording.path}: {type(error).__name__}: {error}"))
        except (GoldenError, MissingComponent) as error:
            return Outcome({}, error)

    def _read(self, component: str) -> list[dict[str, Any]]:
        if component not in self._recording.components:
            raise MissingComponent(f"{self.name} has no {component}: it was not recorded")
        if component not in self._cases:
            self._cases[component] = self._recording.cases(component)
        return self._cases[component]

    def _arrays_of(self, component: str) -> dict[str, NDArray[Any]]:
        """Kept for one component: a session goes through one after the other."""
        if self._arrays[0] != component:
            self._arrays = component, self._recording.arrays(component)
        return self._arrays[1]

    def _check_form(self, component: Component, ctx: Context) -> None:
        there, here = self._recording.components[component.name]["declaration"], declaration(component, ctx)
        for what in ("params", "inputs"):
            if there.get(what) != here[what]:
                forms = f"with the {what} {there.get(what)}, now they are {here[what]}"
                raise GoldenError(f"{self.name} recorded {component.name} {forms}")


def _raises(error: Exception) -> Callable[[Params, Context], dict[str, Any]]:
    def build(_: Params, __: Context) -> dict[str, Any]:
        raise error

    return build


def _key(params: Params) -> str:
    return json.dumps(params, sort_keys=True)


def _on(outcome: Outcome, device: torch.device | None) -> Outcome:
    if device is None or device.type == "cpu":
        return outcome
    tree = {n: leaf.to(device) if isinstance(leaf, torch.Tensor) else leaf for n, leaf in outcome.tree.items()}
    return replace(outcome, tree=tree)
