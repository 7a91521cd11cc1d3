"""Whether a candidate's scores are the reference's within what rounding allows.

One unit in the last place, anywhere, grows over thousands of updates into another final score. What rounding does is
measured: runs of the reference itself, moved within rounding (`--nudge`). A candidate that differs by rounding only is
one more of these, which `parity.root_ggfm.runs.exchange` tests, seed by seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from parity.root_ggfm.runs.exchange import shift_interval, shift_p_value, smallest_p_value
from parity.root_ggfm.runs.result import PERCENTILES
from parity.root_ggfm.runs.settings import digest, seeds_in_words

__all__ = ["FALSE_ALARMS", "Comparison", "Distance", "Standing", "compare", "conditions_key"]

FALSE_ALARMS = 0.01
"""How often a candidate that differs by rounding only is called different, all percentiles together."""

_LEVEL = FALSE_ALARMS / len(PERCENTILES)

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
    there is none. `p_values` and `intervals` (mean shifts that are not excluded) are those of `exchange`
    over `tested`, the seeds with nudged runs. `sentence` is the judgement in words.
    """

    task: str
    size: str
    label: str
    seeds: tuple[int, ...]
    nudges: tuple[int, ...]
    candidate: dict[str, Distance]
    rounding: dict[str, Distance] | None
    tested: tuple[int, ...]
    p_values: dict[str, float] | None
    intervals: dict[str, tuple[float, float]] | None
    standing: Standing
    sentence: str


def conditions_key(result: Mapping[str, Any]) -> tuple[str, ...]:
    """What two results must share to be compared: task, data, size, configuration, precision, device."""
    return (*(str(result[name]) for name in ("task", "data", "size", "dtype", "device")), digest(result["config"]))


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
    seeds = sorted(s for s, r in candidate.items() if _finished(r) and _finished(reference[s]))
    moved = [r for r in nudged if _finished(r) and _finished(reference[r["seed"]])]
    distances = _distances(reference, [candidate[s] for s in seeds])
    others = {seed: [reference[seed], *(r for r in moved if r["seed"] == seed)] for seed in seeds}
    tested = [seed for seed in seeds if len(others[seed]) > 1]
    scores = {key: [[_score(r, key) for r in (candidate[s], *others[s])] for s in tested] for key in PERCENTILES}
    enough = bool(tested) and smallest_p_value([1 + len(others[s]) for s in tested]) <= _LEVEL
    first = next(iter(candidate.values()))
    comparison = Comparison(
        task=first["task"],
        size=first["size"],
        label=first["label"],
        seeds=tuple(seeds),
        nudges=tuple(sorted({r["nudge"] for r in moved})),
        candidate=distances,
        rounding=_distances(reference, moved) if moved else None,
        tested=tuple(tested),
        p_values={key: shift_p_value(of_seeds) for key, of_seeds in scores.items()} if tested else None,
        intervals={key: shift_interval(of_seeds, _LEVEL) for key, of_seeds in scores.items()} if enough else None,
        standing=Standing.UNKNOWN,
        sentence="",
    )
    standing, sentence = _ended_otherwise(comparison.label, reference, candidate, nudged) or _judged(
        comparison, [s for s in seeds if s not in tested and _differ(candidate[s], reference[s])]
    )
    compared = [r for r in (*reference.values(), *candidate.values(), *nudged) if r["seed"] in candidate]
    machines = {(r["threads"], str(r["versions"].get("torch"))) for r in compared}
    note = " Numbers of threads or versions of PyTorch differ between these runs." if len(machines) > 1 else ""
    return replace(comparison, standing=standing, sentence=sentence + note)


def _ended_otherwise(
    label: str,
    reference: Mapping[int, Mapping[str, Any]],
    candidate: Mapping[int, Mapping[str, Any]],
    nudged: Sequence[Mapping[str, Any]],
) -> tuple[Standing, str] | None:
    """Seeds that only one of both finished: beyond rounding, unless nudged runs end otherwise than root, too."""
    alone = sorted(s for s, r in candidate.items() if _finished(r) != _finished(reference[s]))
    if not alone:
        return None
    moved = {seed: {_finished(r) for r in nudged if r["seed"] == seed} for seed in alone}
    which = f"of {seeds_in_words(alone)}, only one of both finished"
    if all(ends == {_finished(reference[seed])} for seed, ends in moved.items()):
        return Standing.BEYOND, f"{label} differs from root by more than rounding allows: {which}."
    return Standing.UNKNOWN, f"{label} and root: not known, {which}, and rounding may explain that."


def _judged(comparison: Comparison, untested: Sequence[int]) -> tuple[Standing, str]:
    label, candidate, p_values = comparison.label, comparison.candidate, comparison.p_values
    if not candidate:
        return Standing.UNKNOWN, f"{label} and root: not known, no shared seed finished on either side."
    over = f"over {seeds_in_words(comparison.seeds)}"
    if all(distance.largest == 0 for distance in candidate.values()):
        return Standing.EQUAL, f"{label} and root agree within what rounding allows: every percentile is equal {over}."
    if p_values is None or comparison.intervals is None or untested:
        worst = max(PERCENTILES, key=lambda key: candidate[key].mean)
        missing = f"without any for {seeds_in_words(untested)}" if untested and p_values else "with too few"
        return Standing.UNKNOWN, (
            f"{label} and root: not known whether rounding explains it; the {PERCENTILES[worst]} percentile differs by "
            f"{candidate[worst].mean:.4f} on average {over}, {missing} runs of root under --nudge to tell by."
        )
    over, worst = f"over {seeds_in_words(comparison.tested)}", min(PERCENTILES, key=lambda key: p_values[key])
    shown = f"smallest p-value {p_values[worst]:.4f}, {PERCENTILES[worst]} percentile"
    if p_values[worst] <= _LEVEL:
        return Standing.BEYOND, (
            f"{label} differs from root by more than rounding allows: {over} it is shifted further from root than runs "
            f"of root moved within rounding are from each other ({shown})."
        )
    widest, (low, high) = max(comparison.intervals.items(), key=lambda item: item[1][1] - item[1][0])
    return Standing.WITHIN, (
        f"{label} and root agree within what rounding allows: {over} it cannot be told from root moved within rounding "
        f"({shown}). Excluded are mean shifts beyond {low:+.3f} and {high:+.3f} of the {PERCENTILES[widest]} "
        "percentile, the widest range of all."
    )


def _score(result: Mapping[str, Any], key: str) -> float:
    return float(result["scores"][key])


def _differ(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    return any(_score(left, key) != _score(right, key) for key in PERCENTILES)


def _finished(result: Mapping[str, Any]) -> bool:
    return bool(result["status"] == "finished")


def _distances(reference: Mapping[int, Mapping[str, Any]], results: Sequence[Mapping[str, Any]]) -> dict[str, Distance]:
    differences = {
        key: [abs(r["scores"][key] - reference[r["seed"]]["scores"][key]) for r in results] for key in PERCENTILES
    }
    return {key: Distance(sum(d) / len(d), max(d)) for key, d in differences.items() if d}
