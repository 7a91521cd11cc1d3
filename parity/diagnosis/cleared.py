"""Lines that components further up the pipeline run as well: what is wrong there shows there already, and smaller.

Components take the part that tests have in spectrum-based fault localisation: a line that only the failing one runs is
more suspicious than one that others run, too. It only orders what to look at.
"""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import suppress
from functools import partial
from itertools import takewhile
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch

from parity.component import start_seed
from parity.diagnosis.site import is_own
from parity.execution import run
from parity.side import Side

if TYPE_CHECKING:
    from parity.component import Component, Context

__all__ = ["lines_before"]


def lines_before(component: Component, candidate: Side, ctx: Context) -> Counter[tuple[str, int]]:
    """Of the candidate's lines, by path and number, how many components before this one in the pipeline run them.

    That is seen on the first example of each. Empty for a component that is not among them.
    """
    from parity.root_ggfm.components import REGISTRY

    if component.name not in REGISTRY:
        return Counter()
    runs: Counter[tuple[str, int]] = Counter()
    for earlier in takewhile(lambda one: one.name != component.name, REGISTRY.values()):
        seen: set[tuple[str, int]] = set()
        for params in earlier.examples[:1]:
            with suppress(Exception):  # an example that this task or this side has no use for says nothing
                inputs, seed = earlier.build(params, ctx), start_seed(params)
                call = partial(_watched, earlier.bind(candidate), seen)
                run(call, inputs, seed=seed, dtype=torch.float64, device=ctx.device)
        runs.update(seen)
    return runs


def _watched(call: Any, seen: set[tuple[str, int]], **given: Any) -> dict[str, Any]:
    def inside(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            seen.add((frame.f_code.co_filename, frame.f_lineno))
        return inside

    def entered(frame: FrameType, event: str, _: Any) -> Any:
        return inside if event == "call" and is_own(frame.f_code) else None

    previous = sys.gettrace()
    sys.settrace(entered)
    try:
        tree: dict[str, Any] = call(**given)
    finally:
        sys.settrace(previous)
    return tree
