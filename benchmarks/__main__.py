"""Time both sides in turn, each repetition in a process of its own, and print medians, ratios and peak memory.

A process of its own gives an honest peak of resident memory; taking turns lets a slow spell of the machine hit both.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch
from tqdm import tqdm

from benchmarks.cases import CASES, build
from parity.loading import load_side

__all__: list[str] = []

SIDES = ("reference_root", "ggfm")

CALLS = {"pairs-1": 1, "pairs-8": 1, "loader": 100, "epoch": 3, "sampling": 5}
"""Calls per process, of which the median counts: enough that a case takes seconds."""


def _once(case: str, side: str, inner: int) -> dict[str, float]:
    """One warm-up of the cheap cases, then the median of `inner` calls, and the process's peak memory."""
    call = build(case, load_side(side))
    before = _peak_mib()
    if inner > 1:
        call()
    times = []
    for _ in range(inner):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return {"seconds": statistics.median(times), "peak": _peak_mib(), "idle": before}


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--case", action="append", choices=list(CASES), help="default: all")
    parser.add_argument("--repeat", type=int, default=3, help="processes per side and case (default 3)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--once", nargs=2, metavar=("CASE", "SIDE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.once:
        case, side = options.once
        print(json.dumps(_once(case, side, CALLS[case])))
        return
    cases = options.case or list(CASES)
    print(f"torch {torch.__version__}, {options.threads} thread(s), median of {options.repeat} processes per side\n")
    print("| case | reference_root | ggfm | times faster | peak memory | of the reference's |")
    print("|---|---:|---:|---:|---:|---:|")
    with tqdm(total=len(cases) * options.repeat * 2, unit="run", disable=None, leave=False) as bar:
        for case in cases:
            runs: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
            for _ in range(options.repeat):
                for side in SIDES:
                    bar.set_description(f"{case} {side}")
                    command = [sys.executable, "-m", "benchmarks", "--once", case, side]
                    command += ["--threads", str(options.threads)]
                    done = subprocess.run(command, check=True, capture_output=True, text=True)
                    runs[side].append(json.loads(done.stdout))
                    bar.update()
            print(_row(case, runs), flush=True)


def _row(case: str, runs: dict[str, list[dict[str, float]]]) -> str:
    seconds = {side: statistics.median(run["seconds"] for run in runs[side]) for side in SIDES}
    peak = {side: statistics.median(run["peak"] for run in runs[side]) for side in SIDES}
    ratios = [a["seconds"] / b["seconds"] for a, b in zip(*runs.values(), strict=True)]
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    return (
        f"| {CASES[case][0]} | {seconds['reference_root']:.4g} s | {seconds['ggfm']:.4g} s | {spread} "
        f"| {peak['reference_root']:.0f} / {peak['ggfm']:.0f} MiB | {peak['ggfm'] / peak['reference_root']:.2f} |"
    )


if __name__ == "__main__":
    _main()
