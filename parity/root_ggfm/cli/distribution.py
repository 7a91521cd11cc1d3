"""`parity distribution`: the statistical tests where draws differ by design."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from parity.cli.options import add_options
from parity.root_ggfm.statistical_tests.apply import FALSE_ALARMS, judge_distributions
from parity.session import open_session

__all__ = ["add_parser", "distribution"]


def add_parser(actions: Any) -> None:
    """Declare the command."""
    parser = actions.add_parser(
        "distribution", help="where draws differ by design: statistical tests against closed forms, with error rates"
    )
    names = ("profile", "on", "seed", "device", "threads")
    add_options(parser.add_argument, names, seed={"help": "seed of the draws (default 0)"})
    parser.set_defaults(run=distribution)


def distribution(options: argparse.Namespace) -> int:
    """Test, print a table; return 1 if a test fails."""
    session = open_session(
        profiles=tuple(options.profile or ()), seed=options.seed, device=options.device, threads=options.threads
    )
    rows = judge_distributions(session, on=options.on)
    for profile in session.profiles:
        _print_profile(profile, [row for row in rows if row["profile"] == profile])
    failed = [row for row in rows if not row["passed"]]
    for row in failed:
        print(f"FAILED {row['profile']} {row['difference']}: {row['test']}")
        print(f"  expected {row['closed_form']}; p = {row['p_value']:.2g}, threshold {row['threshold']:.2g}")
    if rows:
        passed = f"{len(rows) - len(failed)} of {len(rows)} tests pass"
        print(f"{passed}; false alarms at most {FALSE_ALARMS:.0%}, all together")
    return 1 if failed else 0


def _print_profile(profile: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        print(f"{profile}: no draw differs by design; everything is compared value by value")
        return
    width = max(len(row["test"]) for row in rows)
    for difference, component in dict.fromkeys((row["difference"], row["component"]) for row in rows):
        print(f"{profile} {difference}, {component}")
        for row in rows:
            if (row["difference"], row["component"]) == (difference, component):
                missed = f"missed {max(row['miss'], 1e-9):.0e}" if row["false_alarm"] else "never missed"
                print(
                    f"  {'ok' if row['passed'] else 'FAILED':6} {row['test']:{width}}  p {row['p_value']:6.4f}  "
                    f"n {row['sample_size']:6}  {missed:13} {row['alternative']}"
                )
