"""Whether a candidate's scores are the reference's within what rounding allows.

One unit in the last place, anywhere, grows over thousands of updates into another final score. What rounding does is
measured: runs of the reference itself, moved within rounding (`--nudge`). A candidate that differs by rounding only is
one more of these, which `parity.runs.exchange` tests, seed by seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from parity.runs.exchange import shift_p_value, smallest_p_value
from parity.runs.result import PERCENTILES
from parity.runs.settings import digest

__all__ = ["FALSE_ALARMS", "Comparison", "Distance", "Standing", "compare", "conditions_key"]

FALSE_ALARMS = 0.01
"""How often a candidate that differs by rounding only is called different, all percentiles together."""

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
    there is none; `p_values` are those of `parity.runs.exchange`, over seeds with nudged runs. `sentence` is the
    judgement in words.
    """

    task: str
    size: str
    label: str
    seeds: tuple[int, ...]
    nudges: tuple[int, ...]
    candidate: dict[str, Distance]
    rounding: dict[str, Distance] | None
    p_values: dict[str, float] | None
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
    p_values, smallest = _tested(reference, candidate, seeds, moved)
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
        standing, sentence = _judged(label, seeds, distances, p_values, smallest)
    return Comparison(
        task=any_result["task"],
        size=any_result["size"],
        label=label,
        seeds=tuple(seeds),
        nudges=tuple(sorted({r["nudge"] for r in moved})),
        candidate=distances,
        rounding=rounding,
        p_values=p_values,
        standing=standing,
        sentence=sentence,
    )


def _tested(
    reference: Mapping[int, Mapping[str, Any]],
    candidate: Mapping[int, Mapping[str, Any]],
    seeds: Sequence[int],
    moved: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, float] | None, float]:
    """The p-value of each percentile, and the smallest that so many runs can give. Only seeds with a nudge count."""
    others = {seed: [reference[seed], *(r for r in moved if r["seed"] == seed)] for seed in seeds}
    runs = [[candidate[seed], *rest] for seed, rest in others.items() if len(rest) > 1]
    if not runs:
        return None, 1.0
    tested = {key: shift_p_value([[r["scores"][key] for r in of_seed] for of_seed in runs]) for key in PERCENTILES}
    return tested, smallest_p_value([len(of_seed) for of_seed in runs])


def _judged(
    label: str,
    seeds: Sequence[int],
    candidate: Mapping[str, Distance],
    p_values: Mapping[str, float] | None,
    smallest: float,
) -> tuple[Standing, str]:
    over, level = f"over {_listed(seeds)}", FALSE_ALARMS / len(PERCENTILES)
    if all(distance.largest == 0 for distance in candidate.values()):
        return Standing.EQUAL, f"{label} and root agree within what rounding allows: every percentile is equal {over}."
    if p_values is None or smallest > level:
        worst = max(PERCENTILES, key=lambda key: candidate[key].mean)
        return Standing.UNKNOWN, (
            f"{label} and root: not known whether rounding explains it; the {PERCENTILES[worst]} percentile differs by "
            f"{candidate[worst].mean:.4f} on average {over}, with too few runs of root under --nudge to tell by."
        )
    worst = min(PERCENTILES, key=lambda key: p_values[key])
    shown = f"smallest p-value {p_values[worst]:.4f}, {PERCENTILES[worst]} percentile"
    if p_values[worst] > level:
        return Standing.WITHIN, (
            f"{label} and root agree within what rounding allows: {over} it cannot be told from root moved within "
            f"rounding ({shown})."
        )
    return Standing.BEYOND, (
        f"{label} differs from root by more than rounding allows: {over} it is shifted further from root than runs of "
        f"root moved within rounding are from each other ({shown})."
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
