"""The measuring bench: judgements, single calls and timelines, each made once however many claims ask for it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from parity.component import Context, start_seed
from parity.execution import Outcome, cast, run
from parity.judge import judge
from parity.ledger import Entry, load
from parity.loading import load_side
from parity.root_ggfm.components import component
from parity.root_ggfm.inputs import designs
from parity.root_ggfm.profiles import LEDGER
from parity.root_ggfm.sides.root_config import PUBLISHED, published_config
from parity.root_ggfm.tasks.tfbind8 import NAME as TFBIND8
from parity.root_ggfm.training_trace import record_timeline, seen_at
from parity.search import reproduce_line
from parity.side import Side, Tree
from parity.verdict import Judgement

__all__ = ["POOL_SIZE", "Bench"]

T = TypeVar("T")

POOL_SIZE = 1024
"""Designs in ROOT's pool of the best, and in GGFM's pool of an epoch."""

_ENOUGH = 4000
"""A task with fewer designs says little about a pool that takes the best 2000 apart from all."""


class Bench:
    """Both implementations under one task. Everything is seeded: the same bench gives the same numbers.

    `runs`: results of whole runs as `parity.root_ggfm.runs.comparison.load_results` reads them. `options` are put at the end of every
    command that is shown, such as ` --task Synthetic8-v0`.
    """

    def __init__(
        self, context: Context, *, runs: Sequence[Mapping[str, Any]] = (), options: str = "", runs_folder: str = ""
    ) -> None:
        self.context = context
        self.runs = runs
        self.runs_folder = runs_folder
        self.reference: Side = load_side("reference_root")
        self.ledger: dict[str, Entry] = load(LEDGER)
        self.options = options
        self._made: dict[str, Any] = {}

    def once(self, key: str, make: Callable[[], T]) -> T:
        """What `make` returned the first time."""
        if key not in self._made:
            self._made[key] = make()
        value: T = self._made[key]
        return value

    def judged(self, name: str, *, on: Sequence[str] = (), example: int = 0, **changes: Any) -> Judgement:
        """`component` judged on one of its examples with changes, ggfm's switches `on` and all others off."""
        owner = component(name)
        params = {**owner.examples[example], **changes}

        def make() -> Judgement:
            return judge(owner, params, self.reference, load_side("ggfm", on=on), self.context)

        return self.once(f"judge {name} {sorted(on)} {json.dumps(params, sort_keys=True)}", make)

    def command(self, judgement: Judgement, on: Sequence[str] = ()) -> str:
        """The line that makes this judgement again."""
        options = "--profile aligned" + "".join(f" --on {name}" for name in on) + self.options
        return reproduce_line(judgement, options)

    def pinned(self, switch: str) -> Judgement:
        """A known difference alone, at the input where the ledger pins it."""
        entry = self.ledger[switch]
        return self.judged(entry.component, on=[switch], **entry.example)

    def root(self, name: str, *, inputs: Mapping[str, Any] | None = None, record: bool = False, **changes: Any) -> Tree:
        """What the reference returns for an example of a component with changes, or for `inputs`."""
        return self._run(self.reference, name, inputs, record, changes).tree

    def ggfm(
        self, name: str, *, on: Sequence[str] = (), inputs: Mapping[str, Any] | None = None, **changes: Any
    ) -> Tree:
        """The same of ggfm with the switches `on` and all others off."""
        return self._run(load_side("ggfm", on=on), name, inputs, False, changes).tree

    def outcome(self, name: str, *, on: Sequence[str] | None = None, **changes: Any) -> Outcome:
        """Errors and recorded draws as well; `on=None` is the reference."""
        side = self.reference if on is None else load_side("ggfm", on=on)
        return self._run(side, name, None, True, changes)

    def _run(
        self, side: Side, name: str, inputs: Mapping[str, Any] | None, record: bool, changes: Mapping[str, Any]
    ) -> Outcome:
        owner = component(name)
        params = {**owner.examples[0], **changes}
        given = owner.build(params, self.context) if inputs is None else inputs
        made = run(owner.bind(side), given, seed=start_seed(params), record=record)
        if made.error is not None and not record:
            raise made.error
        return made

    def config(self, path: str) -> dict[str, Any]:
        """The entry at a dotted path in each of ROOT's four published configurations, by task."""
        values = {}
        for task in PUBLISHED:
            value: Any = published_config(task)
            for key in path.split("."):
                value = value[key]
            values[task] = value
        return values

    def published(self, path: str) -> Any:
        """The same for the task of this bench, or for TFBind8 where ROOT has no configuration of it."""
        values = self.config(path)
        return values.get(self.context.task.name, values.get(TFBIND8))

    def timeline(self, on: Sequence[str] | None, *, empty: int | None = None, **changes: Any) -> Tree:
        """A small run step by step, on given pairs; `on=None` is the reference. `empty`: the epoch without pairs."""
        owner = component("training_steps")
        params = {**owner.examples[0], **changes}

        def make() -> Tree:
            given = cast(owner.build(params, self.context))
            pairs = given.pop("pairs")
            if empty is not None:
                pairs[empty] = [{end: v[:0] for end, v in function.items()} for function in pairs[empty]]
            side = self.reference if on is None else load_side("ggfm", on=on)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that an epoch is skipped is said in a warning
                return _isolated(lambda: record_timeline(side.start_training(**given), pairs))

        return self.once(f"timeline {on} {empty} {json.dumps(params, sort_keys=True)}", make)

    def first_seen(self, *on: str, empty: int | None = None, **changes: Any) -> tuple[int | str, str] | None:
        """Step and leaf at which a run with the switches `on` parts from one with all off; None if it never does."""
        return seen_at(self.timeline((), empty=empty, **changes), self.timeline(on, empty=empty, **changes))

    def offline(self) -> tuple[Tensor, Tensor, str, str]:
        """(N, D) designs, (N,) scores and their name in both languages: the task's, or made-up ones if it has few."""

        def make() -> tuple[Tensor, Tensor, str, str]:
            generator = torch.Generator().manual_seed(0)
            count = len(self.context.task.x)
            if count >= _ENOUGH:
                x, y = designs({"source": "task", "rows": count}, self.context, generator)
                return (
                    x,
                    y,
                    f"the {count} designs of {self.context.task.name}",
                    f"{self.context.task.name} 的 {count} 个设计",
                )
            x, y = designs({"source": "gaussian", "rows": 10_000, "dim": 8}, self.context, generator)
            return x, y, "10000 made-up designs", "10000 个人造设计"

        return self.once("offline", make)

    def pools(self, on: Sequence[str] | None, epochs: int) -> list[Tensor]:
        """Per epoch the rows of `offline` that are in the pool, (1024,), by number."""

        def make() -> list[Tensor]:
            x, y, *_ = self.offline()
            numbered = torch.arange(len(x), dtype=torch.float32)[:, None]  # the pool is rows of this: their numbers
            inputs = {
                "x": numbered, "y": y, "type_of_initial_points": "highest", "num_points": POOL_SIZE, "epochs": epochs,
            }  # fmt: skip
            tree = self.root("pool", inputs=inputs) if on is None else self.ggfm("pool", on=on, inputs=inputs)
            return [tree[f"epoch{epoch}"][:, 0].long() for epoch in range(epochs)]

        return self.once(f"pools {on} {epochs}", make)


def _isolated(make: Callable[[], T]) -> T:
    """The caller's generators are left as they were."""
    import random

    import numpy as np

    python, legacy, state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        return make()
    finally:
        random.setstate(python)
        np.random.set_state(legacy)
        torch.set_rng_state(state)
