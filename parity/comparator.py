"""One comparator. Metadata first: names, type, shape, dtype, device; only then values. It never broadcasts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from parity.policy import EPS32, Policy
from parity.side import Tree
from parity.verdict import LeafResult, Verdict

__all__ = ["Runs", "compare_leaf", "compare_trees", "metadata_difference", "same_bits"]


@dataclass(frozen=True)
class Runs:
    """The trees of one comparison: both sides in float32 and in float64.

    `spread32`: float32 trees of the reference on inputs that rounding cannot tell from the given ones. They show how
    far rounding alone carries the reference; empty until a comparison needs them. `spread64`: the same in float64.
    """

    reference32: Tree
    candidate32: Tree
    reference64: Tree
    candidate64: Tree
    spread32: tuple[Tree, ...] = ()
    spread64: tuple[Tree, ...] = ()


def same_bits(left: Tensor, right: Tensor) -> bool:
    """Equal to the bit; NaN equals NaN, whatever its payload; -0.0 differs from 0.0."""
    if torch.equal(left, right) and not (left.is_floating_point() and (left == 0).any()):
        return True
    if not left.is_floating_point():
        return torch.equal(left, right)
    agree = (left == right) & (torch.signbit(left) == torch.signbit(right))
    return bool((agree | (left.isnan() & right.isnan())).all())


def metadata_difference(reference: Any, candidate: Any) -> str:
    """In what the two leaves differ before any value is looked at; empty if in nothing."""
    if type(reference) is not type(candidate):
        return f"type {type(reference).__name__} became {type(candidate).__name__}"
    if isinstance(reference, Tensor):
        for what in ("shape", "dtype", "device"):
            left, right = getattr(reference, what), getattr(candidate, what)
            if left != right:
                return f"{what} {_plain(left)} became {_plain(right)}"
    return ""


def compare_trees(runs: Runs, policy: Policy) -> list[LeafResult]:
    """Every output of both sides, the reference's order first; an output on one side only is `divergent`."""
    results = []
    for name in [*runs.reference32, *(n for n in runs.candidate32 if n not in runs.reference32)]:
        if name not in runs.candidate32:
            results.append(LeafResult(name, Verdict.DIVERGENT, "the candidate does not return it"))
        elif name not in runs.reference32:
            results.append(LeafResult(name, Verdict.DIVERGENT, "only the candidate returns it"))
        else:
            results.append(compare_leaf(name, runs, policy))
    return results


def compare_leaf(name: str, runs: Runs, policy: Policy) -> LeafResult:
    """Judge one output from its four values."""
    r32, c32 = runs.reference32[name], runs.candidate32[name]
    missing = object()
    r64, c64 = runs.reference64.get(name, missing), runs.candidate64.get(name, missing)
    for left, right, precision in ((r32, c32, "float32"), (r64, c64, "float64")):
        difference = metadata_difference(left, right)
        if difference:
            return LeafResult(name, Verdict.DIVERGENT, f"{difference} ({precision} run)")
    if not isinstance(r32, Tensor):
        same = r32 == c32 and r64 == c64
        reason = "" if same else f"{_short(r32)} became {_short(c32)}"
        return LeafResult(name, Verdict.IDENTICAL if same else Verdict.DIVERGENT, reason)
    if same_bits(r32, c32) and same_bits(r64, c64):
        return LeafResult(name, Verdict.IDENTICAL, reference_error32=_error(r32, r64), scale=_scale(r64))
    if not r32.is_floating_point() or policy.is_exact(name):
        return LeafResult(name, Verdict.DIVERGENT, f"must be equal to the bit; {_first_difference(r32, c32, r64, c64)}")
    return _compare_floats(name, r32, c32, r64, c64, runs, policy)


def _compare_floats(
    name: str, r32: Tensor, c32: Tensor, r64: Tensor, c64: Tensor, runs: Runs, policy: Policy
) -> LeafResult:
    for left, right, precision in ((r32, c32, "float32"), (r64, c64, "float64")):
        if not torch.equal(left.isfinite(), right.isfinite()):
            here = int((left.isfinite() != right.isfinite()).sum())
            who = "the candidate" if bool((left.isfinite() & ~right.isfinite()).any()) else "the reference"
            return LeafResult(
                name, Verdict.ERROR, f"only {who} is NaN or infinite, at {here} of {left.numel()} places ({precision})"
            )
        infinite = left.isinf()
        if bool(infinite.any()) and not torch.equal(left[infinite], right[infinite]):
            return LeafResult(name, Verdict.ERROR, f"infinities of different sign ({precision})")
    trees = runs.reference64.values() if policy.shared_scale else [r64]
    scale = max(_scale(tree) for tree in trees if isinstance(tree, Tensor))
    own = max([_error(r32, r64), *(_error(tree[name], r64) for tree in runs.spread32 if name in tree)])
    error32, error64 = _error(c32, r64), _error(c64, r64)
    allowed32, allowed64 = policy.allowed32(own, scale), policy.allowed64(max(own, error32), scale)
    own64 = max((_error(tree[name], r64) for tree in runs.spread64 if name in tree), default=0.0)
    allowed64 = max(allowed64, policy.factor * own64)
    used64 = _ratio(error64, allowed64)
    used = max(used64, _ratio(error32, allowed32))
    if used64 > 1:
        verdict, reason = Verdict.DIVERGENT, f"float64 differs by {error64:.3g}, rounding explains {allowed64:.3g}"
    elif used > 1:
        verdict = Verdict.UNSTABLE
        reason = f"float64 agrees; float32 error {error32:.3g} where the reference's own is {own:.3g}"
    else:
        verdict, reason = Verdict.ROUNDING, f"float32 error {error32:.3g}, the reference's own {own:.3g}"
    ulps32 = error32 / (EPS32 * scale) if scale else 0.0
    return LeafResult(name, verdict, reason, error32, own, error64, scale, ulps32, used)


def _error(value: Tensor, truth: Tensor) -> float:
    """Largest absolute difference over the places where both are finite; infinite if the shapes differ."""
    if value.shape != truth.shape:
        return math.inf
    finite = value.isfinite() & truth.isfinite()
    difference = (value.double() - truth.double()).abs()[finite]
    return float(difference.max()) if difference.numel() else 0.0


def _scale(value: Tensor) -> float:
    finite = value[value.isfinite()] if value.is_floating_point() else value.double()
    return float(finite.abs().max()) if finite.numel() else 0.0


def _ratio(error: float, allowed: float) -> float:
    if error == 0:
        return 0.0
    return error / allowed if allowed else math.inf


def _first_difference(r32: Tensor, c32: Tensor, r64: Tensor, c64: Tensor) -> str:
    left, right = (r32, c32) if not same_bits(r32, c32) else (r64, c64)
    differs = ~((left == right) | ((left != left) & (right != right)))
    if not bool(differs.any()):
        return "zeros of different sign"
    index = tuple(int(i) for i in differs.nonzero()[0])
    where = str(list(index)) if index else "the value"
    return f"{int(differs.sum())} of {left.numel()} differ, first at {where}: {left[index]} became {right[index]}"


def _plain(value: Any) -> str:
    return str(tuple(value)) if isinstance(value, torch.Size) else str(value).removeprefix("torch.")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
