"""Why two sides disagree on one input: their draws side by side, then the operation at which they part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from parity.diagnosis.default import default_site
from parity.diagnosis.draws_apart import compare_draws
from parity.diagnosis.operations import locate
from parity.diagnosis.pointer import drawn_at, look_at
from parity.diagnosis.points import plain_site
from parity.judge import judge
from parity.process.host import SideDied, SideTimedOut
from parity.process.hosted_side import HostedSide
from parity.recording.side import RecordedSide
from parity.root_ggfm.profiles import SIDES
from parity.side import Side
from parity.verdict import Judgement, Verdict

if TYPE_CHECKING:
    from parity.component import Component, Context

__all__ = ["explain", "only"]

_CAUSE = {
    Verdict.UNSTABLE: "Rounding: the mathematics agrees in float64, the arithmetic in float32 is worse",
    Verdict.RANDOMNESS: "Randomness: once both draw the same, the values agree",
    Verdict.DIVERGENT: "Mathematics",
    Verdict.MISSING: "Not there",
    Verdict.ERROR: "An error",
}


def explain(
    component: Component,
    params: Mapping[str, Any],
    reference: Side,
    candidate: Side,
    ctx: Context,
    *,
    seconds: float = 40.0,
) -> dict[str, Any]:
    """Why `candidate` disagrees with `reference` on the input that `params` describe, as plain JSON values.

    `sentence`: rounding, randomness or mathematics, where, and since which line; `draws`: both sequences of draws side
    by side (`parity.diagnosis.draws_apart`); `operations`: where the values part (`parity.diagnosis.operations`);
    `look_at`: the one line of the candidate to look at first. Each is None where nothing could be recorded. For
    `seconds`, small changes of the candidate's lines are tried. Never raises: what could not be traced is said in the
    sentence.
    """
    sides = (component, params, reference, candidate, ctx)
    found, lost = _attempt("the input could not be judged", judge, *sides)
    if found is None:
        return only(f"{_capitalised(lost)}.")
    if found.verdict is Verdict.MISSING:
        return only(f"{_CAUSE[found.verdict]}: {found.reason}.")
    numbers = next((side.name for side in (reference, candidate) if isinstance(side, RecordedSide)), None)
    if numbers is not None:
        untraced = f"{numbers} holds numbers, not code: neither its draws nor its operations can be traced"
        return only(f"{_capitalised(_verdict(found, None))}. {untraced}.")
    if isinstance(reference, HostedSide) or isinstance(candidate, HostedSide):
        return _in_host(found, *sides, seconds=seconds)
    draws, draws_lost = _attempt("the draws could not be recorded", compare_draws, *sides, force=not found.agrees)
    operations, operations_lost = None, ""
    if not found.agrees:
        operations, operations_lost = _attempt(
            "the operations could not be traced", locate, *sides, draws_at=drawn_at(draws), seconds=seconds
        )
    told = [record["sentence"] for record in (draws, operations) if record is not None]
    look = look_at(draws, operations, random=found.verdict is Verdict.RANDOMNESS) if not found.agrees else None
    if look is None and not found.agrees:
        site, _ = _attempt("", default_site, *sides)
        look = None if site is None else plain_site(site)
        told += [] if site is None else [f"look at {site}: the value is given there"]
    sentences = [_verdict(found, draws), *told, draws_lost, operations_lost]
    return {
        "sentence": " ".join(f"{_capitalised(text).rstrip('.')}." for text in sentences if text),
        "draws": draws,
        "operations": operations,
        "look_at": look,
    }


def only(sentence: str) -> dict[str, Any]:
    """An explanation that is a sentence and nothing else."""
    return {"sentence": sentence, "draws": None, "operations": None, "look_at": None}


def _in_host(
    found: Judgement,
    component: Component,
    params: Mapping[str, Any],
    reference: Side,
    candidate: Side,
    ctx: Context,
    *,
    seconds: float,
) -> dict[str, Any]:
    """The explanation made in the process of the one hosted side; two traces from two processes are not aligned."""
    if any(f": {kind.__name__}: " in found.reason for kind in (SideDied, SideTimedOut)):
        return only(f"{_capitalised(_verdict(found, None))}. What ended its process is not run once more to be traced.")
    hosted, other = (reference, candidate) if isinstance(reference, HostedSide) else (candidate, reference)
    in_tree = other.name.partition("[")[0] in SIDES
    if in_tree and isinstance(hosted, HostedSide):
        made, lost = _attempt(
            "neither draws nor operations could be traced",
            hosted.explain, component.name, params, other, ctx, is_reference=hosted is reference, seconds=seconds,
        )  # fmt: skip
        if made is not None:
            return dict(made)
    else:
        lost = f"{hosted.name} runs in a process of its own, where neither its draws nor its operations are traced"
        lost += " beside those of code from elsewhere"
    return only(f"{_capitalised(_verdict(found, None))}. {lost}.")


def _attempt(what: str, step: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, str]:
    """The step's result and nothing to say; or None, and why."""
    try:
        return step(*args, **kwargs), ""
    except Exception as error:  # noqa: BLE001 - a report is complete without one part of one explanation
        said = " ".join(str(error).split())
        return None, f"{what}: {type(error).__name__}: {said[:200]}"


def _verdict(found: Judgement, draws: Mapping[str, Any] | None) -> str:
    if found.agrees:
        return f"the sides agree ({found.verdict}): {found.reason}"
    if found.verdict is Verdict.RANDOMNESS and draws is not None:
        return _CAUSE[found.verdict]  # where the draws part is said with the draws
    untold = draws is not None and draws["parted_at"] is not None and draws["forced"] is None
    if found.verdict is Verdict.DIVERGENT and untold:
        return f"Mathematics or randomness: {found.reason}"
    return f"{_CAUSE[found.verdict]}: {found.reason}"


def _capitalised(text: str) -> str:
    first = text.partition(" ")[0]
    return text if "/" in first or "." in first.rstrip(".") else text[:1].upper() + text[1:]
