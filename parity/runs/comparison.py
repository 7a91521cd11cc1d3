"""Whether a candidate's scores are the reference's within what rounding allows.

One unit in the last place, anywhere, grows over thousands of updates into another final score. How far is measured:
runs of the reference itself, moved within rounding (`--nudge`), against the reference. A candidate that is as near to
the reference as those, seed by seed, cannot be told from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from parity.runs.result import PERCENTILES
from parity.runs.settings import digest

__all__ = ["FACTOR", "Comparison", "Distance", "Standing", "compare", "conditions_key"]

FACTOR = 2.0
"""A candidate's mean difference may be this many times the nudged reference's: both are means over few seeds."""

_REFERENCE = "root"


class Standing(StrEnum):
    """What a comparison says."""

    EQUAL = "equal"
    WITHIN = "within rounding"
    BEYOND = "beyond rounding"
    UNKNOWN = "not known"


@dataclass(frozen=True)
class Distance:
    """Absolute differences from the reference, over seeds: mean and largest."""

    mean: float
    largest: float


@dataclass(frozen=True)
class Comparison:
    """A candidate against the reference over the seeds that both finished.

    `candidate` and `rounding` hold a `Distance` per percentile; `rounding` is that of the nudged reference, None where
    there is none. `sentence` is the judgement in words.
    """

    task: str
    size: str
    label: str
    seeds: tuple[int, ...]
    nudges: tuple[int, ...]
    candidate: dict[str, Distance]
    rounding: dict[str, Distance] | None
    standing: Standing
    sentence: str


def conditions_key(result: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    """What two results must share for their scores to be comparable: task, size, configuration, precision, device."""
    return result["task"], result["size"], digest(result["config"]), result["dtype"], result["device"]


def compare(results: Iterable[Mapping[str, Any]]) -> list[Comparison]:
    """Every label against `root` where both share conditions and at least one seed.

    `results`: documents of the format `parity-run/1`. Runs of `root` with a nudge say what rounding does.
    """
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for result in results:
        groups.setdefault(conditions_key(result), []).append(result)
    comparisons = []
    for members in groups.values():
        reference = {r["seed"]: r for r in members if r["label"] == _REFERENCE}
        nudged = [r for r in members if r["nudge"] is not None and r["seed"] in reference]
        labels = dict.fromkeys(r["label"] for r in members if r["label"] != _REFERENCE and r["nudge"] is None)
        for label in labels:
            shared = {r["seed"]: r for r in members if r["label"] == label and r["seed"] in reference}
            if shared:
                comparisons.append(_compared(reference, shared, nudged))
    return comparisons


def _compared(
    reference: Mapping[int, Mapping[str, Any]],
    candidate: Mapping[int, Mapping[str, Any]],
    nudged: Sequence[Mapping[str, Any]],
) -> Comparison:
    alone = sorted(s for s, r in candidate.items() if (r["status"] == "finished") != (_finished(reference[s])))
    seeds = sorted(s for s, r in candidate.items() if _finished(r) and _finished(reference[s]))
    moved = [r for r in nudged if _finished(r) and _finished(reference[r["seed"]])]
    distances = _distances(reference, [candidate[s] for s in seeds])
    rounding = _distances(reference, moved) if moved else None
    any_result = next(iter(candidate.values()))
    label = any_result["label"]
    if alone:
        standing, sentence = (
            Standing.BEYOND,
            f"{label} differs from root by more than rounding allows: of {_listed(alone)}, only one of both finished.",
        )
    elif not seeds:
        standing, sentence = Standing.UNKNOWN, f"{label} and root: not known, no shared seed finished on either side."
    else:
        standing, sentence = _judged(label, seeds, distances, rounding)
    return Comparison(
        task=any_result["task"],
        size=any_result["size"],
        label=label,
        seeds=tuple(seeds),
        nudges=tuple(sorted({r["nudge"] for r in moved})),
        candidate=distances,
        rounding=rounding,
        standing=standing,
        sentence=sentence,
    )


def _judged(
    label: str, seeds: Sequence[int], candidate: Mapping[str, Distance], rounding: Mapping[str, Distance] | None
) -> tuple[Standing, str]:
    over = f"over {_listed(seeds)}"
    if all(distance.largest == 0 for distance in candidate.values()):
        return Standing.EQUAL, f"{label} and root agree within what rounding allows: every percentile is equal {over}."
    if rounding is None:
        worst = max(PERCENTILES, key=lambda key: candidate[key].mean)
        return Standing.UNKNOWN, (
            f"{label} and root: not known whether rounding explains it; the {PERCENTILES[worst]} percentile differs by "
            f"{candidate[worst].mean:.4f} on average {over}, with no run of root under --nudge to tell by."
        )
    beyond = [key for key in PERCENTILES if candidate[key].mean > FACTOR * rounding[key].mean]
    if not beyond:
        return Standing.WITHIN, (
            f"{label} and root agree within what rounding allows: {over}, no percentile differs by more than "
            f"{FACTOR:g} times what moving root within rounding does."
        )
    worst = max(beyond, key=lambda key: candidate[key].mean - FACTOR * rounding[key].mean)
    return Standing.BEYOND, (
        f"{label} differs from root by more than rounding allows: {over}, the {PERCENTILES[worst]} percentile "
        f"differs by {candidate[worst].mean:.4f} on average, root moved within rounding by {rounding[worst].mean:.4f}."
    )


def _finished(result: Mapping[str, Any]) -> bool:
    return bool(result["status"] == "finished")


def _distances(reference: Mapping[int, Mapping[str, Any]], results: Sequence[Mapping[str, Any]]) -> dict[str, Distance]:
    differences = {
        key: [abs(r["scores"][key] - reference[r["seed"]]["scores"][key]) for r in results] for key in PERCENTILES
    }
    return {key: Distance(sum(d) / len(d), max(d)) for key, d in differences.items() if d}


def _listed(seeds: Sequence[int]) -> str:
    """`seeds 0-3, 7`: runs of consecutive seeds in short."""
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    short = ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
    return f"seed{'s' * (len(seeds) > 1)} {short}"
