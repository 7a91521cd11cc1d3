"""Record what a side makes of one component's inputs: all that a comparison asks of a reference."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from parity.comparator import Runs, compare_trees
from parity.component import Component, Context, start_seed
from parity.execution import Outcome, execute
from parity.judge import SPREAD_RUNS
from parity.policy import EPS32, EPS64, Policy
from parity.recording.outcomes import plain_outcome, plain_spread
from parity.recording.recording import Recording
from parity.recording.values import Arrays, decode, encode, fingerprint
from parity.side import MissingComponent, Side
from parity.verdict import Verdict

__all__ = ["declaration", "record_component", "run_name"]


def declaration(component: Component, ctx: Context) -> dict[str, list[str]]:
    """The form of a component's inputs: names of the parameters and of the arguments made of them."""
    params = component.examples[0]
    return {"params": sorted(params), "inputs": sorted(component.build(params, ctx))}


def run_name(dtype: torch.dtype, *, record: bool = False) -> str:
    """What a run is called in a recording: `float32`, `float64`, `float32/draws`."""
    return str(dtype).removeprefix("torch.") + "/draws" * record


def record_component(
    component: Component, side: Side, ctx: Context, inputs: Sequence[Mapping[str, Any]], recording: Recording
) -> tuple[dict[str, Any], str]:
    """Run `side` on each of `inputs` (params of the component) and write the outcomes into the recording's folder.

    Per input: a run in the session's precision, one with its draws, the same in float64, and, unless it raises, the
    runs on inputs that rounding cannot tell apart, from which its own error is learnt. Returns the entry for the
    manifest, and what is to be said, if anything: that the side lacks the component, or raises where no refusal is
    declared, or gave different numbers in equal runs.

    Raises ValueNotKept for inputs or outputs that have no form in a recording.
    """
    arrays = Arrays()
    cases = []
    remarks: list[str] = []
    for k, params in enumerate(_distinct(inputs)):
        built = component.build(params, ctx)
        kept = encode(built, arrays.keep, f"{k}/inputs")
        given = decode(kept, arrays.held, built)  # the side gets what a later candidate will get, strides included
        seed = start_seed(params)
        runs = dict(_runs(component, side, ctx, given, seed))
        low, truth = runs[run_name(ctx.dtype)], runs[run_name(torch.float64)]
        spread = {}
        for name, dtype, unit in (("float32", ctx.dtype, EPS32), ("float64", torch.float64, EPS64)):
            moved = [
                execute(component, side, given, seed=seed, dtype=dtype, device=ctx.device, nudge=n, unit=unit).tree
                for n in range(0 if low.error or truth.error else SPREAD_RUNS)
            ]
            spread[name] = plain_spread(moved, truth.tree, arrays.keep, f"{k}/spread/{name}")
        cases.append(
            {
                "params": dict(params), "seed": seed, "fingerprint": fingerprint(given), "inputs": kept,
                "runs": {name: plain_outcome(o, arrays.keep, f"{k}/{name}") for name, o in runs.items()},
                "spread": spread,
            }
        )  # fmt: skip
        remarks += _remarks(runs, ctx, component.refused(params))
    entry = recording.write(component.name, declaration(component, ctx), cases, arrays.held)
    return entry, remarks[0] if remarks else ""


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


def _distinct(inputs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return list({json.dumps(params, sort_keys=True): params for params in inputs}.values())
