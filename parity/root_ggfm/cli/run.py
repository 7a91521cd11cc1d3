"""`parity run` and `parity runs`: whole runs, and the table of them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from parity.root_ggfm.profiles import PROFILES
from parity.root_ggfm.runs.comparison import compare, load_results, rows, text
from parity.root_ggfm.runs.run_spec import SIDES, SIZES, parse_seeds, prepare
from parity.root_ggfm.runs.seed_run import run_seeds, summary_line, summary_of
from parity.torch_options import DTYPES

__all__ = ["add_parsers", "run", "runs"]

_SPEC = (
    *("side", "task", "profile", "on", "off", "size", "config", "settings", "out", "device", "threads", "dtype"),
    "nudge",
)
"""Options that `prepare` takes."""


def add_parsers(actions: Any) -> None:
    """Declare both commands."""
    parser = actions.add_parser("run", help="train and test a side from a ROOT configuration, seed by seed; resumable")
    add = parser.add_argument
    add("--side", required=True, choices=SIDES, help="root (the reference) or ggfm")
    add("--task", default="auto", help="task to run on (default TFBind8 if cached)")
    add("--profile", choices=PROFILES, help="profile of ggfm (default aligned)")
    add("--on", action="append", default=[], metavar="SWITCH", help="turn a switch of ggfm on")
    add("--off", action="append", default=[], metavar="SWITCH", help="turn a switch of ggfm off")
    add("--size", choices=SIZES, help="desk (default): a minute or two a seed; published: ROOT's own")
    add("--config", metavar="FILE", help="a ROOT configuration of your own (YAML) instead of a size")
    entry = "another value for one entry, such as training.n_epochs=3; may be repeated"
    add("--set", action="append", default=[], dest="settings", metavar="NAME=VALUE", help=entry)
    add("--seeds", default="0", help="such as 0-7 or 0,3 (default 0)")
    add("--out", default="runs", metavar="DIR", help="folder of all runs (default runs)")
    add("--device", default="cpu", help="such as cpu, cuda, cuda:1 (default cpu)")
    add("--threads", type=int, default=1, help="threads of PyTorch (default 1); part of the conditions")
    add("--dtype", default="float32", choices=DTYPES, help="precision (default float32)")
    add("--fresh", action="store_true", help="start these seeds over, forgetting what there is of them")
    nudge = "side root: move the start within rounding, by a generator seeded with K"
    add("--nudge", type=int, metavar="K", help=nudge)
    parser.set_defaults(run=run)

    table = actions.add_parser("runs", help="the table of all runs in a folder, and how far from root they are")
    table.add_argument("folder", metavar="DIR", help="what `parity run --out` wrote")
    table.set_defaults(run=runs)


def run(options: argparse.Namespace) -> int:
    """Train and test every seed; return 2 if one diverged."""
    seeds = parse_seeds(options.seeds)
    spec = prepare(**{name: getattr(options, name) for name in _SPEC})
    print(f"{spec.label}: {spec.side.version} on {spec.task_note}")
    print(f"size {spec.size}, {spec.dtype}, {spec.device}, {spec.threads} thread(s); into {spec.folder}")
    for entry in spec.unknown_entries:
        print(f"warning: nothing uses {entry} of the configuration", file=sys.stderr)
    try:
        results = run_seeds(spec, seeds, fresh=options.fresh, say=tqdm.write)
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
    print("\n".join(text(rows(results), compare(results))))
    return 0
