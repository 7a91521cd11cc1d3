"""What recording costs: a component run plain and under each recorder, in turn, with ratios and memory.

Run `python -m benchmarks.recorders`. Each case is the reference side on a component's first example. Memory is what
the recorder itself keeps and makes in Python, at its peak.
"""

from __future__ import annotations

import argparse
import statistics
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from parity.component import Context
from parity.diagnosis.rng_trace import RngTrace, recorded
from parity.diagnosis.trace import Trace, traced
from parity.execution import run
from parity.loading import load_side
from parity.root_ggfm.components import component
from parity.root_ggfm.tasks.catalogue import load_task

__all__ = ["calls", "measure"]

COMPONENTS = ("training_loss", "loader", "gp_pairs", "sample", "training")

Call = Callable[[], object]


def calls(name: str) -> dict[str, Call]:
    """The component's first example: plain, with its draws kept (as in every float64 run), recorded with source lines,
    and with every operation traced."""
    task, _ = load_task("SyntheticContinuous-v0")
    declared = component(name)
    example = declared.examples[0]
    inputs = declared.build(example, Context(task))
    call = declared.bind(load_side("reference_root"))
    execute = partial(run, inputs=inputs, seed=0)
    return {
        "plain": lambda: execute(call),
        "draws": lambda: execute(call, record=True),
        "draws with lines": lambda: execute(recorded(call, RngTrace()), record=True),
        "operations": lambda: execute(traced(call, Trace()), record=True),
    }


def measure(name: str, repeat: int) -> str:
    """A row of the table: the plain run's median, then each recorder's median ratio to the plain run beside it."""
    ways = calls(name)
    for call in ways.values():
        call()
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(repeat):
        for way, call in ways.items():
            start = time.perf_counter()
            call()
            seconds[way].append(time.perf_counter() - start)
    memory = {way: _peak_mib(call) for way, call in ways.items()}
    cells = [f"{1e3 * statistics.median(seconds['plain']):.1f} ms, {memory['plain']:.1f} MiB"]
    for way in list(ways)[1:]:
        ratio = statistics.median(a / b for a, b in zip(seconds[way], seconds["plain"], strict=True))
        cells.append(f"{ratio:.2f}, {memory[way]:.1f} MiB")
    return f"| {name} | " + " | ".join(cells) + " |"


def _peak_mib(call: Call) -> float:
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recorders", description=__doc__)
    parser.add_argument("--component", action="append", choices=COMPONENTS, help="default: all")
    parser.add_argument("--repeat", type=int, default=7, help="runs of each (default 7)")
    parser.add_argument("--threads", type=int, default=1)
    options: Any = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} thread(s), median of {options.repeat} runs\n")
    print("| component | plain | draws | draws with lines | operations |")
    print("|---|---:|---:|---:|---:|")
    for name in options.component or COMPONENTS:
        print(measure(name, options.repeat), flush=True)


if __name__ == "__main__":
    _main()
