"""Which tests belong to which difference by design, and on which draws of the two sides they are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from parity.root_ggfm.statistical_tests.orders import loader_orders, order_tests, two_sample_orders
from parity.root_ggfm.statistical_tests.probe import BRIDGE, StepDraws, step_draws, step_losses
from parity.root_ggfm.statistical_tests.process import forward_draws, forward_tests, reverse_noise, reverse_tests
from parity.root_ggfm.statistical_tests.statistics import StatisticalTest, exact, two_samples
from parity.root_ggfm.statistical_tests.steps import runs_independent, step_tests
from parity.side import MissingComponent, Side

__all__ = ["FAMILIES", "Bench", "Placed"]

Tests = Callable[[Side, int], list[StatisticalTest]]

_STEPS = range(1, 251)
_REPEATED = range(1, 33)
_LOSSES = range(1, 321)
_PASSES = 2000
"""Sizes at which the stated alternatives are missed with a probability of about one in a hundred at most."""


@dataclass(frozen=True)
class Placed:
    """A test, and what it is about. `side`: reference, candidate or both."""

    component: str
    side: str
    test: StatisticalTest


@dataclass(frozen=True)
class Bench:
    """Two sides and where they draw. Each has a seed of its own: equal draws on both would be no evidence."""

    reference: Side
    candidate: Side
    seed: int
    device: torch.device

    def each(self, component: str, tests: Tests, of_candidate: Tests | None = None) -> list[Placed]:
        """`tests(side, seed)` of one component on both sides; with `of_candidate`, other ones on the candidate."""

        def both() -> list[Placed]:
            found = [Placed(component, "reference", test) for test in tests(self.reference, self.seed)]
            others = (of_candidate or tests)(self.candidate, self.seed + 1)
            return found + [Placed(component, "candidate", test) for test in others]

        return self.guarded(component, both)

    def guarded(self, component: str, tests: Callable[[], list[Placed]]) -> list[Placed]:
        """What `tests` returns: none where the candidate lacks the component, which has a verdict of its own; where a
        side raises, a failed test that says so."""
        if not hasattr(self.candidate, component):
            return []
        try:
            return tests()
        except MissingComponent:
            return []
        except Exception as error:  # noqa: BLE001 - whatever a side raises, it has not shown the law of its draws
            said = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
            name = f"{component} can be drawn from: {said}"
            failed = exact(name, False, 0, closed_form="neither side raises", alternative="one raises")
            return [Placed(component, "both", failed)]


def _loader(bench: Bench) -> list[Placed]:
    def tests() -> list[Placed]:
        left = loader_orders(bench.reference, _PASSES, bench.seed, bench.device)
        right = loader_orders(bench.candidate, _PASSES, bench.seed + 1, bench.device)
        sides = (("reference", left), ("candidate", right))
        found = [Placed("loader", name, test) for name, orders in sides for test in order_tests(orders)]
        if left.complete and right.complete:
            found.append(Placed("loader", "both", two_sample_orders(left, right)))
        return found

    return bench.guarded("loader", tests)


def _step_seed(bench: Bench) -> list[Placed]:
    count = len(_REPEATED)

    def drawn(side: Side, seed: int) -> tuple[StepDraws, StepDraws, bool]:
        """Two runs, and whether their first steps draw the same."""
        draws = step_draws(side, _STEPS, seed, bench.device)
        again = step_draws(side, _REPEATED, seed + 1000, bench.device)
        same = np.array_equal(draws.noise[:count], again.noise) and np.array_equal(draws.t[:count], again.t)
        return draws, again, bool(same)

    def reseeded(side: Side, seed: int) -> list[StatisticalTest]:
        draws, _, same = drawn(side, seed)
        repeated = exact(
            "draws given by the step's number", same, count,
            closed_form="the draws of step k are the same in every run", alternative="any step that draws otherwise",
        )  # fmt: skip
        return [repeated, *step_tests(draws, BRIDGE.num_timesteps)]

    def running(side: Side, seed: int) -> list[StatisticalTest]:
        draws, again, same = drawn(side, seed)
        differ = exact(
            "draws not given by the step's number", not same, count,
            closed_form="the draws of step k differ from run to run", alternative="the same draws in both runs",
        )  # fmt: skip
        return [differ, *step_tests(draws, BRIDGE.num_timesteps), runs_independent(draws.noise[:count], again.noise)]

    def losses() -> list[Placed]:
        left = step_losses(bench.reference, _LOSSES, bench.seed, bench.device)
        right = step_losses(bench.candidate, _LOSSES, bench.seed + 1, bench.device)
        law = "Smirnov's law: the losses of the steps have one law on both sides"
        test = two_samples("training loss at fixed weights", left, right, shift=0.75, closed_form=law)
        return [Placed("training_loss", "both", test)]

    def forward(side: Side, seed: int) -> list[StatisticalTest]:
        return [
            test
            for k, kind in enumerate(("linear", "sin"))
            for test in forward_tests(forward_draws(side, kind, seed + 2 * k, bench.device), kind)
        ]

    return [
        *bench.each("training_loss", reseeded, running),
        *bench.guarded("training_loss", losses),
        *bench.each("q_sample", forward),
        *bench.each("p_sample", lambda side, seed: reverse_tests(reverse_noise(side, seed, bench.device))),
    ]


FAMILIES: dict[str, Callable[[Bench], list[Placed]]] = {"loader": _loader, "step_seed": _step_seed}
"""The differences for which there are tests."""
