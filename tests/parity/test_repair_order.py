"""What a repair is held to, which changes come first, and which line of a change is named."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from parity.diagnosis.location import SourceLocation, location_at
from parity.diagnosis.mutation_search import in_order
from parity.diagnosis.mutations import parts, telling_constants
from parity.diagnosis.oracle import open_oracle
from parity.diagnosis.symbols import reference_tokens, scope_of, statement_at
from parity.judge import judge
from tests.parity.toys import CONTEXT, Toy, component

_PARAMS = {"n": 30, "seed": 0}


def _root_of_what_cancels(x: torch.Tensor) -> torch.Tensor:
    return (x / 49.0 * 49.0 - x).abs().sqrt()


def test_an_oracle_takes_for_rounding_what_the_judge_takes_for_it() -> None:
    reference = Toy("reference", _root_of_what_cancels)
    for change, agrees in ((lambda x: x * 0.0, True), (lambda x: x * 1e-4, False)):
        candidate = Toy("candidate", change)
        oracle = open_oracle(component(), _PARAMS, reference, candidate, CONTEXT, forced=False)
        assert judge(component(), _PARAMS, reference, candidate, CONTEXT).agrees is agrees
        assert oracle.agrees() is agrees
        assert oracle.differing(oracle.last[0]) == ([] if agrees else ["y"])


def _sites(path: Path, text: str, function: str) -> list[SourceLocation]:
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return [location_at(str(path), line, function) for line in range(2, text.count("\n") + 1)]


def _changes(folder: Path, reference: str, candidate: str) -> list[tuple[int, str, str]]:
    """Line, before and after of the changes in order; every line of the candidate is as suspicious as any."""
    theirs = _sites(folder / "theirs" / "forward.py", reference, "forward")
    mine = _sites(folder / "mine" / "forward.py", candidate, "forward")
    order = in_order([[], mine], reference_tokens(theirs, mine), {}, Counter())
    return [(change.edit.line, change.edit.before, change.edit.after) for change in order]


def test_a_number_near_one_that_only_the_reference_has_is_exchanged_first(tmp_path: Path) -> None:
    right = "def forward(x):\n    y = 2.0 * x + 5.0\n    return y * 340.90985\n"
    changes = _changes(tmp_path, right, right.replace("340.90985", "340.90955"))
    assert changes[0] == (3, "340.90955", "340.90985")
    assert changes[1][0] == 2


def test_a_number_that_only_the_reference_has_is_tried_for_any_other_first(tmp_path: Path) -> None:
    right = "def forward(x):\n    y = 2.0 * x + 5.0\n    z = y * 0.5\n    return z / 5.0\n"
    changes = _changes(tmp_path, right, right.replace("0.5", "2.0"))
    assert [change for change in changes[:4] if change[2] != "0.5"] == []
    assert (3, "2.0", "0.5") in changes[:4]
    many = right.replace("5.0", "5.0 + 6.0 + 7.0 + 8.0 + 9.0 + 10.0 + 11.0", 1)
    assert _changes(tmp_path / "many", many, right.replace("0.5", "2.0"))[0][2] != "0.5"


def test_a_setting_that_nothing_reads_takes_a_constants_place_first(tmp_path: Path) -> None:
    right = 'def forward(x, s):\n    y = 2.0 * x + s["a.shift"]\n    return y * s["a.scale"]\n'
    table = 'DEFAULTS = {"a.shift": 1.0, "a.scale": 2.0}\n'
    wrong = right.replace('s["a.scale"]', "0.8") + table
    changes = _changes(tmp_path, right + table, wrong)
    assert (3, "0.8", "s['a.scale']") in changes[:2]
    assert (2, "2.0", "s['a.scale']") not in _changes(tmp_path / "both", right + table, right + table)


def test_where_nothing_is_written_otherwise_no_change_comes_first(tmp_path: Path) -> None:
    text = "def forward(x):\n    return 2.0 * x + 5.0\n"
    (site,) = _sites(tmp_path / "same" / "forward.py", text, "forward")
    statement = statement_at(site)
    assert statement is not None
    assert not list(telling_constants(statement, scope_of(site, {}, reference_tokens([site], [site]))))


def test_of_a_call_over_several_lines_the_argument_that_changes_is_named() -> None:
    statement = ast.parse("y = sample(\n    bridge,\n    low,\n    high,\n    clip=True,\n)\n").body[0]
    (call,) = (part for part in parts(statement) if isinstance(part.node, ast.Call))
    assert isinstance(call.node, ast.Call)

    def line(*arguments: Any, clip: bool = True) -> int:
        given = [ast.Name(name, ast.Load()) for name in arguments]
        keywords = [ast.keyword("clip", ast.Constant(clip))]
        return call.into(ast.Call(call.node.func, given, keywords)).first_line  # type: ignore[attr-defined]

    assert line("bridge", "high", "low") == 3
    assert line("bridge", "low", "high", clip=False) == 5
    assert line("bridge", "low", "high") == 1
