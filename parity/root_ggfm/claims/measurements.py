"""Measurements of both implementations: judgements, calls and small runs, each made once for all claims."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from parity.component import Context, start_seed
from parity.execution import Outcome, cast, execute, generators_kept
from parity.judge import judge
from parity.ledger import Entry, load
from parity.loading import load_side
from parity.root_ggfm.claims.i18n import Text, say
from parity.root_ggfm.components import component
from parity.root_ggfm.inputs import designs
from parity.root_ggfm.profiles import LEDGER
from parity.root_ggfm.sides.root_config import PUBLISHED, published_config
from parity.root_ggfm.tasks.tfbind8 import NAME as TFBIND8
from parity.root_ggfm.training_trace import record_timeline, seen_at
from parity.search import reproduce_line
from parity.side import Side, Tree
from parity.verdict import Judgement

__all__ = ["POOL_SIZE", "Measurements", "Offline", "Switches"]

T = TypeVar("T")

Switches = Sequence[str] | None
"""Those of ggfm's switches that are on, all others off; None stands for the reference."""

POOL_SIZE = 1024
"""Designs in ROOT's pool of the best, and in GGFM's pool of an epoch."""

_FEW = 4000
"""A task with fewer designs says little about a pool that takes the best 2000 apart from all."""


class Offline(NamedTuple):
    """(N, D) designs, (N,) scores, and their name."""

    x: Tensor
    y: Tensor
    name: Text


class Measurements:
    """Both implementations under one task. Everything is seeded: equal measurements give equal numbers.

    `runs`: results of whole runs as `parity.root_ggfm.runs.comparison.load_results` reads them. `options` stand at the
    end of every command that is shown, such as ` --task Synthetic8-v0`.
    """

    def __init__(
        self, context: Context, *, runs: Sequence[Mapping[str, Any]] = (), options: str = "", runs_folder: str = ""
    ) -> None:
        self.context = context
        self.runs = runs
        self.runs_folder = runs_folder
        self.options = options
        self.reference = self.side(None)
        self.ledger: dict[str, Entry] = load(LEDGER)
        self._made: dict[str, Any] = {}

    def side(self, on: Switches) -> Side:
        """Return the reference, or ggfm with the switches `on`."""
        return load_side("reference_root") if on is None else load_side("ggfm", on=on)

    def once(self, key: str, make: Callable[[], T]) -> T:
        """Return the result of `make`, which is called the first time only."""
        if key not in self._made:
            self._made[key] = make()
        value: T = self._made[key]
        return value

    def judged(self, name: str, *, on: Sequence[str] = (), example: int = 0, **changes: Any) -> Judgement:
        """Judge ggfm on one of a component's examples with changes."""
        owner = component(name)
        params = {**owner.examples[example], **changes}
        key = f"judge {name} {sorted(on)} {json.dumps(params, sort_keys=True)}"
        return self.once(key, lambda: judge(owner, params, self.reference, self.side(on), self.context))

    def pinned(self, switch: str) -> Judgement:
        """Judge a known difference alone, at the input where the ledger pins it."""
        entry = self.ledger[switch]
        return self.judged(entry.component, on=[switch], **entry.example)

    def command(self, judgement: Judgement, on: Sequence[str] = ()) -> str:
        """Return the line that makes this judgement again."""
        return reproduce_line(judgement, "--profile aligned" + "".join(f" --on {n}" for n in on) + self.options)

    def root(self, name: str, *, inputs: Mapping[str, Any] | None = None, **changes: Any) -> Tree:
        """Return the reference's outputs on the first example of a component with changes, or on `inputs`."""
        return self._call(None, name, inputs, changes)

    def ggfm(
        self, name: str, *, on: Sequence[str] = (), inputs: Mapping[str, Any] | None = None, **changes: Any
    ) -> Tree:
        """Return ggfm's outputs, as `root` does."""
        return self._call(on, name, inputs, changes)

    def outcome(self, name: str, *, on: Switches = None, **changes: Any) -> Outcome:
        """Run the first example of a component with changes; errors and recorded draws are in the outcome."""
        return self._run(on, name, None, changes, record=True)

    def _call(self, on: Switches, name: str, inputs: Mapping[str, Any] | None, changes: Mapping[str, Any]) -> Tree:
        made = self._run(on, name, inputs, changes)
        if made.error is not None:
            raise made.error
        return made.tree

    def _run(
        self, on: Switches, name: str, inputs: Mapping[str, Any] | None, changes: Mapping[str, Any], **settings: Any
    ) -> Outcome:
        owner = component(name)
        params = {**owner.examples[0], **changes}
        given = owner.build(params, self.context) if inputs is None else inputs
        return execute(owner, self.side(on), given, seed=start_seed(params), **settings)

    def config(self, path: str) -> dict[str, Any]:
        """Return the entry at a dotted path in each of ROOT's four published configurations, by task."""
        values = {}
        for task in PUBLISHED:
            value: Any = published_config(task)
            for key in path.split("."):
                value = value[key]
            values[task] = value
        return values

    def configured(self, path: str) -> list[Any]:
        """Return the distinct entries at that path, sorted."""
        return sorted(set(self.config(path).values()))

    def published(self, path: str) -> Any:
        """Return the entry for the task here, or for TFBind8 where ROOT has no configuration of the task."""
        values = self.config(path)
        return values.get(self.context.task.name, values.get(TFBIND8))

    def timeline(self, on: Switches, *, empty: int | None = None, **changes: Any) -> Tree:
        """Return a small run step by step, on given pairs. `empty`: the epoch without pairs."""
        owner = component("training_steps")
        params = {**owner.examples[0], **changes}

        def make() -> Tree:
            given = cast(owner.build(params, self.context))
            pairs = given.pop("pairs")
            if empty is not None:
                pairs[empty] = [{end: v[:0] for end, v in function.items()} for function in pairs[empty]]
            with warnings.catch_warnings(), generators_kept():
                warnings.simplefilter("ignore")  # a warning says that an epoch is skipped
                training: Any = self.side(on).start_training(**given)
                return record_timeline(training, pairs)

        return self.once(f"timeline {on} {empty} {json.dumps(params, sort_keys=True)}", make)

    def first_seen(self, *on: str, empty: int | None = None, **changes: Any) -> tuple[int | str, str] | None:
        """Return step and leaf at which a run with the switches `on` parts from one with all off; None if never."""
        return seen_at(self.timeline((), empty=empty, **changes), self.timeline(on, empty=empty, **changes))

    def offline(self) -> Offline:
        """Return the task's designs, or made-up ones if it has few."""

        def make() -> Offline:
            task, generator = self.context.task, torch.Generator().manual_seed(0)
            count = len(task.x)
            if count >= _FEW:
                name = say("offline.task", count=count, task=task.name)
                return Offline(*designs({"source": "task", "rows": count}, self.context, generator), name)
            made_up = designs({"source": "gaussian", "rows": 10_000, "dim": 8}, self.context, generator)
            return Offline(*made_up, say("offline.made_up", count=10_000))

        return self.once("offline", make)

    def pools(self, on: Switches, epochs: int) -> list[Tensor]:
        """Return per epoch the rows of `offline` that are in the pool, (1024,), by number."""

        def make() -> list[Tensor]:
            x, y, _ = self.offline()
            numbered = torch.arange(len(x), dtype=torch.float32)[:, None]  # the pool is rows of this: their numbers
            settings = {"type_of_initial_points": "highest", "num_points": POOL_SIZE, "epochs": epochs}
            tree = self._call(on, "pool", {"x": numbered, "y": y, **settings}, {})
            return [tree[f"epoch{epoch}"][:, 0].long() for epoch in range(epochs)]

        return self.once(f"pools {on} {epochs}", make)
