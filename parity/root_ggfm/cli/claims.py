"""`parity list`: the list of differences between GGFM and ROOT, checked claim by claim."""

from __future__ import annotations

import argparse
import sys
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from textwrap import indent
from typing import Any

from tqdm import tqdm

from parity.root_ggfm.claims.claims import check_claims, exit_code, load
from parity.root_ggfm.claims.i18n import LANGUAGES
from parity.root_ggfm.claims.measurements import Measurements
from parity.root_ggfm.claims.render import view, write_claims
from parity.root_ggfm.runs.comparison import load_results
from parity.session import open_session

__all__ = ["add_parser", "check"]


def add_parser(actions: Any) -> None:
    """Declare the command."""
    parser = actions.add_parser("list", help="check the list of differences between GGFM and ROOT, claim by claim")
    parser.add_argument("--lang", default="en", choices=LANGUAGES, help="language of the table (default en)")
    parser.add_argument("--claim", action="append", default=[], metavar="ID", help="only this claim; with its evidence")
    parser.add_argument("--out", metavar="DIR", help="write the page as HTML and Markdown in both languages, and JSON")
    parser.add_argument("--runs", metavar="DIR", help="whole runs that `parity run --out` wrote: what differences cost")
    parser.add_argument("--task", default="auto", help="task whose designs are used (default TFBind8 if cached)")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch (default 1)")
    parser.set_defaults(run=check)


def check(options: argparse.Namespace) -> int:
    """Measure, print a table, write the files; return 1 if a claim's standing is another than the known one."""
    session = open_session(task=options.task, threads=options.threads)
    measure = Measurements(
        session.context,
        runs=load_results(Path(options.runs)) if options.runs else (),
        runs_folder=options.runs or "",
        options="" if options.task == "auto" else f" --task {options.task}",
    )
    whole = load()
    total = len(options.claim) or len(whole.claims) + len(whole.unlisted)
    versions = session.header()[-1].removeprefix("versions: ")
    try:
        with tqdm(total=total, unit="claim", disable=None, leave=False) as bar:

            def tell(name: str) -> None:
                bar.set_postfix_str(name, refresh=False)
                bar.update()

            document = check_claims(measure, versions=versions, only=options.claim, tell=tell)
    except KeyboardInterrupt:
        print("parity list: stopped before every claim was checked; nothing is written", file=sys.stderr)
        return 130
    _print(view(document, options.lang), evidence=bool(options.claim))
    if options.out:
        for path in write_claims(document, Path(options.out)):
            print(path)
    return exit_code(document)


def _print(shown: Mapping[str, Any], *, evidence: bool) -> None:
    print(shown["conditions"])
    for section in shown["sections"]:
        print(f"\n{section['title']}")
        for claim in section["claims"]:
            print(f"  {claim['id']:5} {_padded(claim['badge'], 13)} {claim['text']}")
            for fact in claim["facts"] if evidence else ():
                print(f"        {fact['mark']} {fact['text']}")
            for command in claim["commands"] if evidence else ():
                print(indent(command, " " * 8))
            for notice in claim["notices"]:
                print(f"        {notice}", file=sys.stderr)
    if shown["unlisted"]:
        print(f"\n{shown['words']['unlisted']}")
    for item in shown["unlisted"]:
        print(f"  {item['name']:13} {_padded(item['badge'], 12)} {item['ggfm']}")
        for notice in item["notices"]:
            print(f"        {notice}", file=sys.stderr)
    print(f"\n{shown['summary']}")


def _padded(text: str, width: int) -> str:
    """Fill up to `width` columns of a terminal, in which a Chinese character takes two."""
    columns = sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
    return text + " " * (width - columns)
