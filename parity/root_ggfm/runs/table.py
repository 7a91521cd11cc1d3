"""All results below a folder, and the table of them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from parity.root_ggfm.runs.comparison import Comparison, conditions_key
from parity.root_ggfm.runs.result import PERCENTILES, read_result

__all__ = ["Row", "load_results", "rows", "text"]

_WIDTH = 100


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
    """Every result below `folder`, sorted by task, size, label and seed.

    Raises ValueError where there is none, where a file is damaged, and where two results stand for the same run.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; `parity run --out` writes one")
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
    return sorted(results, key=lambda r: (r["task"], r["size"], _rank(r), r["label"], r["seed"]))


def rows(results: Iterable[Mapping[str, Any]]) -> list[Row]:
    """A row per task, size, conditions and label, in the order of `results`."""
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for result in results:
        groups.setdefault((*conditions_key(result), result["label"]), []).append(result)
    return [_row(members) for members in groups.values()]


def text(table: Sequence[Row], comparisons: Sequence[Comparison]) -> list[str]:
    """The table, then every comparison with its judgement, as lines."""
    head: tuple[str, ...] = ("task", "size", "label", "seeds", "100th mean", "std", "80th", "50th", "train s")
    body: list[tuple[str, ...]] = [
        (
            row.task, row.size, row.label, _seeds(row),
            _number(row.p100_mean), _number(row.p100_std), _number(row.p80_mean), _number(row.p50_mean),
            f"{row.train_s:.0f}",
        )
        for row in table
    ]  # fmt: skip
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


def _row(results: Sequence[Mapping[str, Any]]) -> Row:
    finished = [r for r in results if r["status"] == "finished"]
    scores = {key: [r["scores"][key] for r in finished] for key in PERCENTILES}
    mean = {key: float(np.mean(values)) if values else None for key, values in scores.items()}
    return Row(
        task=results[0]["task"],
        size=results[0]["size"],
        label=results[0]["label"],
        seeds=tuple(r["seed"] for r in finished),
        diverged=tuple(r["seed"] for r in results if r["status"] != "finished"),
        p100_mean=mean["p100"],
        p100_std=float(np.std(scores["p100"])) if finished else None,
        p80_mean=mean["p80"],
        p50_mean=mean["p50"],
        train_s=float(np.mean([r["timings"]["train_s"] for r in results])),
    )


def _rank(result: Mapping[str, Any]) -> int:
    """The reference first, its nudged runs next."""
    return 0 if result["label"] == "root" else 1 if result["nudge"] is not None else 2


def _seeds(row: Row) -> str:
    return f"{len(row.seeds)}" + f" + {len(row.diverged)} diverged" * bool(row.diverged)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _aligned(cells: Sequence[Sequence[str]], *, words: int) -> list[str]:
    """Lines of equal columns: the first `words` columns to the left, the others to the right."""
    widths = [max(len(row[k]) for row in cells) for k in range(len(cells[0]))]
    return [
        "  ".join(
            cell.ljust(width) if k < words else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
