"""Compare the scores of whole runs: test whether rounding explains how far a candidate is from the reference.

One unit in the last place, anywhere, grows over thousands of updates into another final score. Runs of the reference
itself, moved within rounding (`--nudge`), measure by how much. A candidate that differs by rounding only is
exchangeable with these runs, seed by seed; an exact permutation test rejects that.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parity.root_ggfm.runs.run_spec import PERCENTILES, conditions_key, grouped, seeds_in_words
from parity.root_ggfm.runs.seed_run import read_result, summary_of

__all__ = [
    "FALSE_ALARMS",
    "Comparison",
    "Distance",
    "Row",
    "Standing",
    "compare",
    "load_results",
    "rows",
    "shift_interval",
    "shift_p_value",
    "smallest_p_value",
    "text",
]

FALSE_ALARMS = 0.01
"""Rate at which a candidate that differs by rounding only is called different, all percentiles together."""

_LEVEL = FALSE_ALARMS / len(PERCENTILES)
_REFERENCE = "root"
_WIDTH = 100

Result = Mapping[str, Any]
"""A document of the format `parity-run/1`."""


def shift_p_value(seeds: Sequence[Sequence[float]], *, exact_up_to: int = 2**18) -> float:
    """Return the p-value of the exact permutation test that the first score of each seed is one of the others.

    Each seed holds the candidate's score, then those of runs that differ by rounding only. If the candidate does so
    too, any of them might as well have been the candidate. T = |sum over seeds of (score - mean of the others)|; the
    p-value is the share of relabellings, one run of each seed taken for the candidate, with a T as large. Of more than
    `exact_up_to` relabellings as many are drawn.
    """
    shifts = [_shifts(np.asarray(scores, dtype=np.float64)) for scores in seeds]
    observed = abs(sum(float(s[0]) for s in shifts)) - 1e-12  # sums of the same numbers in another order are equal
    if math.prod(map(len, shifts)) <= exact_up_to:
        sums = np.zeros(1)
        for s in shifts:
            sums = np.add.outer(sums, s).ravel()
        return float(np.mean(np.abs(sums) >= observed))
    generator = np.random.default_rng(0)
    sums = np.sum([generator.choice(s, exact_up_to) for s in shifts], axis=0)
    return float((1 + (np.abs(sums) >= observed).sum()) / (1 + exact_up_to))


def shift_interval(seeds: Sequence[Sequence[float]], level: float) -> tuple[float, float]:
    """Return the lowest and the highest mean shift of the candidate that the test does not exclude at `level`.

    A shift d is excluded if the candidate's scores less d have a p-value of `level` or less. Raises ValueError if so
    few runs exclude no shift at all.
    """
    if smallest_p_value([len(scores) for scores in seeds]) > level:
        raise ValueError(f"seeds: {len(seeds)} of them have too few runs to exclude any shift at level {level}")
    centre = float(np.mean([_shifts(np.asarray(scores, dtype=np.float64))[0] for scores in seeds]))
    reach = max(max(scores) - min(scores) for scores in seeds) or 1e-9

    def excluded(d: float) -> bool:
        return shift_p_value([[scores[0] - d, *scores[1:]] for scores in seeds]) <= level

    def edge(direction: int) -> float:
        inside, outside = 0.0, reach
        while not excluded(centre + direction * outside):
            inside, outside = outside, 2 * outside
        for _ in range(12):
            middle = (inside + outside) / 2
            inside, outside = (inside, middle) if excluded(centre + direction * middle) else (middle, outside)
        return centre + direction * outside

    return edge(-1), edge(1)


def smallest_p_value(counts: Sequence[int]) -> float:
    """Return the smallest p-value that seeds with so many runs each can give: one relabelling shifts furthest."""
    return 1.0 / math.prod(counts)


def _shifts(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Subtract from each score the mean of the others."""
    return np.asarray(scores - (scores.sum() - scores) / (len(scores) - 1))


class Standing(StrEnum):
    """The judgement of a comparison."""

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
    there is none. `p_values` and `intervals` (mean shifts that are not excluded) are over `tested`, the seeds with
    nudged runs. `sentence` is the judgement in words.
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


def compare(results: Iterable[Result]) -> list[Comparison]:
    """Compare every label with `root` where both share conditions and at least one seed.

    Runs of `root` with a nudge measure rounding.
    """
    comparisons = []
    for members in grouped(results):
        reference = {r["seed"]: r for r in members if r["label"] == _REFERENCE}
        nudged = [r for r in members if r["nudge"] is not None and r["seed"] in reference]
        labels = dict.fromkeys(r["label"] for r in members if r["label"] != _REFERENCE and r["nudge"] is None)
        for label in labels:
            shared = {r["seed"]: r for r in members if r["label"] == label and r["seed"] in reference}
            if shared:
                comparisons.append(_compared(reference, shared, nudged))
    return comparisons


def _compared(reference: Mapping[int, Result], candidate: Mapping[int, Result], nudged: Sequence[Result]) -> Comparison:
    seeds = sorted(s for s, r in candidate.items() if _finished(r) and _finished(reference[s]))
    perturbed = [r for r in nudged if _finished(r) and _finished(reference[r["seed"]])]
    others = {seed: [reference[seed], *(r for r in perturbed if r["seed"] == seed)] for seed in seeds}
    tested = [seed for seed in seeds if len(others[seed]) > 1]
    scores = {key: [[_score(r, key) for r in (candidate[s], *others[s])] for s in tested] for key in PERCENTILES}
    enough = bool(tested) and smallest_p_value([1 + len(others[s]) for s in tested]) <= _LEVEL
    first = next(iter(candidate.values()))
    comparison = Comparison(
        task=first["task"],
        size=first["size"],
        label=first["label"],
        seeds=tuple(seeds),
        nudges=tuple(sorted({r["nudge"] for r in perturbed})),
        candidate=_distances(reference, [candidate[s] for s in seeds]),
        rounding=_distances(reference, perturbed) if perturbed else None,
        tested=tuple(tested),
        p_values={key: shift_p_value(of_seeds) for key, of_seeds in scores.items()} if tested else None,
        intervals={key: shift_interval(of_seeds, _LEVEL) for key, of_seeds in scores.items()} if enough else None,
        standing=Standing.UNKNOWN,
        sentence="",
    )
    untested = [
        s
        for s in seeds
        if s not in tested and any(_score(candidate[s], key) != _score(reference[s], key) for key in PERCENTILES)
    ]
    ended = _ended_differently(comparison.label, reference, candidate, nudged)
    standing, sentence = ended or _judged(comparison, untested)
    compared = [r for r in (*reference.values(), *candidate.values(), *nudged) if r["seed"] in candidate]
    machines = {(r["threads"], str(r["versions"].get("torch"))) for r in compared}
    note = " Numbers of threads or versions of PyTorch differ between these runs." if len(machines) > 1 else ""
    return replace(comparison, standing=standing, sentence=sentence + note)


def _ended_differently(
    label: str, reference: Mapping[int, Result], candidate: Mapping[int, Result], nudged: Sequence[Result]
) -> tuple[Standing, str] | None:
    """Judge seeds that only one of both finished: beyond rounding, unless nudged runs end differently as well."""
    alone = sorted(s for s, r in candidate.items() if _finished(r) != _finished(reference[s]))
    if not alone:
        return None
    which = f"of {seeds_in_words(alone)}, only one of both finished"
    ends = {seed: {_finished(r) for r in nudged if r["seed"] == seed} for seed in alone}
    if all(ends[seed] == {_finished(reference[seed])} for seed in alone):
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


def _score(result: Result, key: str) -> float:
    return float(result["scores"][key])


def _finished(result: Result) -> bool:
    return bool(result["status"] == "finished")


def _distances(reference: Mapping[int, Result], results: Sequence[Result]) -> dict[str, Distance]:
    differences = {
        key: [abs(_score(r, key) - _score(reference[r["seed"]], key)) for r in results] for key in PERCENTILES
    }
    return {key: Distance(sum(d) / len(d), max(d)) for key, d in differences.items() if d}


@dataclass(frozen=True)
class Row:
    """One label on one task and size: scores over the seeds that finished, None where none did. `train_s`: mean."""

    task: str
    size: str
    label: str
    seeds: tuple[int, ...]
    diverged: tuple[int, ...]
    p100_mean: float | None
    p100_std: float | None
    p80_mean: float | None
    p50_mean: float | None
    train_s: float


def load_results(folder: Path) -> list[dict[str, Any]]:
    """Read every result below `folder`, sorted by task, size, label (root first) and seed.

    Raises ValueError where there is none, where a file is damaged, and where two results stand for the same run.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; `parity run --out` writes one")
    paths = sorted(folder.rglob("result.json"))
    if not paths:
        raise ValueError(f"{folder} holds no result.json; `parity run --out {folder}` writes them")
    seen: dict[tuple[Any, ...], Path] = {}
    results = []
    for path in paths:
        result = read_result(path)
        key = (*conditions_key(result), result["label"], result["seed"])
        if key in seen:
            raise ValueError(f"{seen[key]} and {path} are results of the same run; give a folder with one of them")
        seen[key] = path
        results.append(result)

    def rank(result: Result) -> int:
        return 0 if result["label"] == _REFERENCE else 1 if result["nudge"] is not None else 2

    return sorted(results, key=lambda r: (r["task"], r["size"], rank(r), r["label"], r["seed"]))


def rows(results: Iterable[Result]) -> list[Row]:
    """Return a row per task, size, conditions and label, in the order of `results`."""
    return [_row(members) for members in grouped(results, lambda r: (*conditions_key(r), r["label"]))]


def _row(results: Sequence[Result]) -> Row:
    summary = summary_of(results)
    mean, std = summary["mean"], summary["std"]
    return Row(
        task=summary["task"],
        size=summary["size"],
        label=summary["label"],
        seeds=tuple(summary["seeds"]),
        diverged=tuple(map(int, summary["diverged"])),
        p100_mean=mean.get("p100"),
        p100_std=std.get("p100"),
        p80_mean=mean.get("p80"),
        p50_mean=mean.get("p50"),
        train_s=float(np.mean([r["timings"]["train_s"] for r in results])),
    )


def text(table: Sequence[Row], comparisons: Sequence[Comparison]) -> list[str]:
    """Return the table, then every comparison with its judgement, as lines."""
    head: tuple[str, ...] = ("task", "size", "label", "seeds", "100th mean", "std", "80th", "50th", "train s")
    body: list[tuple[str, ...]] = []
    for row in table:
        seeds = f"{len(row.seeds)}" + f" + {len(row.diverged)} diverged" * bool(row.diverged)
        numbers = (row.p100_mean, row.p100_std, row.p80_mean, row.p50_mean)
        shown = ("-" if value is None else f"{value:.4f}" for value in numbers)
        body.append((row.task, row.size, row.label, seeds, *shown, f"{row.train_s:.0f}"))
    lines = _aligned([head, *body], words=4)
    for comparison in comparisons:
        judgement = f"{comparison.task} {comparison.size}: {comparison.sentence}"
        lines += ["", *textwrap.wrap(judgement, _WIDTH, break_long_words=False, break_on_hyphens=False)]
        if not comparison.candidate:
            continue
        nudged = f"root, nudged ({len(comparison.nudges)})"
        head = ("mean (largest) difference from root", *PERCENTILES.values())
        pairs = [(comparison.label, comparison.candidate), (nudged, comparison.rounding)]
        body = [(name, *(f"{d[key].mean:.4f} ({d[key].largest:.4f})" for key in PERCENTILES)) for name, d in pairs if d]
        if comparison.p_values:
            body.append(("p-value", *(f"{comparison.p_values[key]:.4f}" for key in PERCENTILES)))
        if comparison.intervals:
            spans = (comparison.intervals[key] for key in PERCENTILES)
            body.append(("mean shifts not excluded", *(f"{low:+.3f} to {high:+.3f}" for low, high in spans)))
        lines += [f"  {line}" for line in _aligned([head, *body], words=1)]
    return lines


def _aligned(cells: Sequence[Sequence[str]], *, words: int) -> list[str]:
    """Return lines of equal columns: the first `words` columns aligned left, the others right."""
    widths = [max(len(row[k]) for row in cells) for k in range(len(cells[0]))]
    return [
        "  ".join(
            cell.ljust(width) if k < words else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
