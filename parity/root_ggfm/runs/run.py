"""Several seeds under one request: trained one after the other, summed up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from parity.root_ggfm.runs.comparison import conditions_key
from parity.root_ggfm.runs.folder import SeedFolder, write_document
from parity.root_ggfm.runs.request import Request
from parity.root_ggfm.runs.result import PERCENTILES, read_result
from parity.root_ggfm.runs.seed_run import run_seed

__all__ = ["SUMMARY", "run_seeds", "seed_line", "summary_line", "summary_of"]

SUMMARY = "parity-run-summary/1"


def run_seeds(
    request: Request, seeds: Sequence[int], *, fresh: bool = False, say: Callable[[str], None] = print
) -> list[dict[str, Any]]:
    """The result of every seed, in order, and `summary.json` beside their folders. `say` takes what is to be printed.

    A seed that diverges or fails does not keep the others from running; failures are raised at the end as one
    ValueError that names the seeds. Folders that belong to other runs are found before anything is trained. The summary
    is over all seeds in the folder, whichever command ran them.
    """
    if not fresh:
        for seed in seeds:
            SeedFolder(request.folder / f"seed{seed}").check(request.conditions(seed))
    results, failures = [], {}
    for seed in seeds:
        try:
            results.append(run_seed(request, seed, fresh=fresh, say=say))
        except (ValueError, RuntimeError, OSError) as error:
            failures[seed] = error
            say(f"seed {seed}: FAILED: {error}")
        else:
            say(seed_line(results[-1]))
    if results:
        write_document(request.folder / "summary.json", SUMMARY, summary_of(_in_folder(request, results)))
    if failures:
        said = "; ".join(f"seed {seed}: {error}" for seed, error in failures.items())
        raise ValueError(said) from next(iter(failures.values()))
    return results


def _in_folder(request: Request, results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """These results and those that other commands left under the same conditions, by seed."""
    known = {result["seed"]: result for result in results}
    for path in request.folder.glob("seed*/result.json"):
        other = read_result(path)
        if conditions_key(other) == conditions_key(results[0]):
            known.setdefault(other["seed"], other)
    return [known[seed] for seed in sorted(known)]


def summary_of(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Scores by seed, and mean and population standard deviation of each percentile over the seeds that finished."""
    first = results[0]
    finished = [result for result in results if result["status"] == "finished"]
    columns = {key: [result["scores"][key] for result in finished] for key in PERCENTILES}
    return {
        **{key: first[key] for key in ("label", "task", "size", "best_offline")},
        "seeds": [result["seed"] for result in finished],
        "diverged": {str(result["seed"]): result["reason"] for result in results if result["status"] != "finished"},
        "by_seed": columns,
        "mean": {key: float(np.mean(values)) for key, values in columns.items() if values},
        "std": {key: float(np.std(values)) for key, values in columns.items() if values},
    }


def seed_line(result: Mapping[str, Any]) -> str:
    """One seed in one line."""
    if result["status"] != "finished":
        return f"seed {result['seed']}: DIVERGED: {result['reason']}"
    scores, timings = result["scores"], result["timings"]
    seconds = timings["train_s"] + timings["test_s"]
    return f"seed {result['seed']}: {_percentiles(scores)}  ({seconds:.0f} s)"


def summary_line(summary: Mapping[str, Any]) -> str:
    """Mean and standard deviation in one line."""
    seeds = summary["seeds"]
    if not seeds:
        return "no seed finished"
    spread = "  ".join(
        f"{name} {summary['mean'][key]:.4f} ± {summary['std'][key]:.4f}" for key, name in PERCENTILES.items()
    )
    over = f"{len(seeds)} seed{'s' * (len(seeds) > 1)}"
    return f"mean ± std of {over}: {spread}  (best offline {summary['best_offline']:.4f})"


def _percentiles(scores: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {scores[key]:.4f}" for key, name in PERCENTILES.items())
