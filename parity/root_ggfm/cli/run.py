"""`parity run` and `parity runs`: whole runs, and the table of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from parity.root_ggfm.profiles import PROFILES
from parity.root_ggfm.runs.comparison import compare
from parity.root_ggfm.runs.request import SIDES, prepare
from parity.root_ggfm.runs.run import run_seeds, summary_line, summary_of
from parity.root_ggfm.runs.settings import parse_seeds
from parity.root_ggfm.runs.sizes import SIZES
from parity.root_ggfm.runs.table import load_results, rows, text
from parity.torch_options import DTYPES

__all__ = ["add_parsers", "run", "runs"]


def add_parsers(actions: Any) -> None:
    """Declare both commands."""
    parser = actions.add_parser("run", help="train and test a side from a ROOT configuration, seed by seed; resumable")
    parser.add_argument("--side", required=True, choices=SIDES, help="root (the reference) or ggfm")
    parser.add_argument("--task", default="auto", help="task to run on (default TFBind8 if cached)")
    parser.add_argument("--profile", choices=PROFILES, help="profile of ggfm (default aligned)")
    parser.add_argument("--on", action="append", default=[], metavar="SWITCH", help="turn a switch of ggfm on")
    parser.add_argument("--off", action="append", default=[], metavar="SWITCH", help="turn a switch of ggfm off")
    parser.add_argument("--size", choices=SIZES, help="desk (default): a minute or two a seed; published: ROOT's own")
    parser.add_argument("--config", metavar="FILE", help="a ROOT configuration of your own (YAML) instead of a size")
    parser.add_argument(
        "--set", action="append", default=[], dest="settings", metavar="NAME=VALUE",
        help="another value for one entry, such as training.n_epochs=3; may be repeated",
    )  # fmt: skip
    parser.add_argument("--seeds", default="0", help="such as 0-7 or 0,3 (default 0)")
    parser.add_argument("--out", default="runs", metavar="DIR", help="folder of all runs (default runs)")
    parser.add_argument("--device", default="cpu", help="such as cpu, cuda, cuda:1 (default cpu)")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch (default 1); part of the conditions")
    parser.add_argument("--dtype", default="float32", choices=DTYPES, help="precision (default float32)")
    parser.add_argument("--fresh", action="store_true", help="start these seeds over, forgetting what there is of them")
    parser.add_argument(
        "--nudge", type=int, metavar="K", help="side root: move the start within rounding, by a generator seeded with K"
    )
    parser.set_defaults(run=run)

    table = actions.add_parser("runs", help="the table of all runs in a folder, and how far from root they are")
    table.add_argument("folder", metavar="DIR", help="what `parity run --out` wrote")
    table.set_defaults(run=runs)


def run(options: argparse.Namespace) -> int:
    """Train and test every seed; 2 if one diverged."""
    seeds = parse_seeds(options.seeds)
    request = prepare(
        side=options.side,
        task=options.task,
        profile=options.profile,
        on=options.on,
        off=options.off,
        size=options.size,
        config=options.config,
        settings=options.settings,
        out=options.out,
        device=options.device,
        threads=options.threads,
        dtype=options.dtype,
        nudge=options.nudge,
    )
    print(f"{request.label}: {request.side.version} on {request.task_note}")
    print(f"size {request.size}, {request.dtype}, {request.device}, {request.threads} thread(s); into {request.folder}")
    for entry in request.unknown_entries:
        print(f"warning: nothing uses {entry} of the configuration", file=sys.stderr)
    say: Callable[[str], None] = tqdm.write
    try:
        results = run_seeds(request, seeds, fresh=options.fresh, say=say)
    except KeyboardInterrupt:
        print("parity run: stopped; the same command goes on after the last finished epoch", file=sys.stderr)
        return 130
    print(summary_line(summary_of(results)))
    diverged = [result for result in results if result["status"] != "finished"]
    for result in diverged:
        print(f"parity run: seed {result['seed']} diverged: {result['reason']}", file=sys.stderr)
    return 2 if diverged else 0


def runs(options: argparse.Namespace) -> int:
    """Print the table and the judgements."""
    results = load_results(Path(options.folder))
    for line in text(rows(results), compare(results)):
        print(line)
    return 0
