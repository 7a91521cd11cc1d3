"""Arguments of the `parity` command, and its exit codes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from parity.cli import check, explain, listing, record, report, scripts
from parity.study import installed
from parity.version import __version__

__all__ = ["main", "parser"]

_EPILOG = """exit codes:
  0  as expected: agreement, or differences that the ledger names and explains
  1  an unexpected difference, or a ledger entry that is stale: its difference is not seen any more
  2  could not run: a wrong option, absent data, a folder that is not what it should be; a training that diverged
130  interrupted; what was judged by then is shown, and kept in the report
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the value is the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["faults"]:
        print("parity faults: moved to python -m tools.fault_injection", file=sys.stderr)
        return 2
    options = parser().parse_args(given)
    try:
        code: int = options.run(options)
    except SystemExit as error:  # the code of a side, where it runs in this process: no end of the command's own
        print(f"parity {options.command}: the code of a side called sys.exit({error.code!r})", file=sys.stderr)
        return 2
    except (ValueError, OSError, RuntimeError) as error:
        print(f"parity {options.command}: {error}", file=sys.stderr)
        return 2
    except Exception as error:  # noqa: BLE001 - whatever stops the run, 1 would mean that a difference was found
        print(f"parity {options.command}: could not run: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    return code


def parser() -> argparse.ArgumentParser:
    """Return all commands with their options: the engine's, then those of the installed study."""
    parser = argparse.ArgumentParser(
        prog="parity",
        description="Say where two implementations of one paper differ, and whether the difference is rounding, "
        "randomness or mathematics.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"parity {__version__}")
    actions = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (check, report, explain, record):
        command.add_parser(actions)
    listing.add_parsers(actions)
    scripts.add_parsers(actions)
    installed().commands(actions)
    return parser
