"""Changes of the order and number of statements, and where lines that others run come in the search."""

from __future__ import annotations

import ast
import itertools
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import strategies as st

from parity.component import Component, Context
from parity.diagnosis.locate import earlier_coverage, locate
from parity.diagnosis.location import location_at
from parity.diagnosis.mutation_search import in_order
from parity.diagnosis.symbols import named_alike, reference_tokens
from parity.loading import load_side
from parity.root_ggfm.components import REGISTRY
from tests.parity.toys import module_from

_REFERENCE = """
import torch

class Total:
    def __init__(self):
        self.sum = torch.zeros(3, dtype=torch.float64)
        self.count = 0

    def add(self, x):
        self.sum = self.sum + x.sum(0)
        self.count += len(x)

    def mean(self):
        return self.sum / self.count

def forward(x, seed, steps):
    torch.manual_seed(seed)
    noise = torch.randn(3, dtype=torch.float64)
    total = Total()
    total.add(x)
    doubled = 2.0 * total.mean()
    total.add(x[:1] * 3.0)
    every = [k for k in range(steps) if (k + 1) % 2 == 0]
    return {"mean": total.mean() + doubled, "noise": noise, "every": torch.tensor(every, dtype=torch.float64)}
"""

_CANDIDATE = """
import torch

class Running:
    def __init__(self):
        self.total, self.rows = torch.zeros(3, dtype=torch.float64), 0

    def put(self, x):
        self.total = self.total + x.sum(0)
        rows = len(x)
        self.rows = self.rows + rows

    def both(self, x):
        self.put(x)
        return self.total / self.rows

def forward(x, seed, steps):
    torch.manual_seed(seed)
    noise = torch.randn_like(x[0])
    running = Running()
    twice = 2.0 * running.both(x)
    last = running.both(x[:1] * 3.0)
    when = [k for k in range(steps) if (k + 1) % 2 == 0]
    return {"mean": last + twice, "noise": noise, "every": torch.tensor(when).to(x.dtype)}
"""

_FAULTS = {
    "a reseeding left out, an empty body in its place": ("    torch.manual_seed(seed)\n", "    pass\n"),
    "a reseeding left out": ("    torch.manual_seed(seed)\n    noise", "    noise"),
    "two statements exchanged": (
        "    twice = 2.0 * running.both(x)\n    last = running.both(x[:1] * 3.0)\n",
        "    last = running.both(x[:1] * 3.0)\n    twice = 2.0 * running.both(x)\n",
    ),
    "counted from 0": ("(k + 1) % 2", "k % 2"),
}


def _build(params: Any, _: Context) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(params["seed"])
    x = torch.randn(params["rows"], 3, generator=generator, dtype=torch.float64)
    return {"x": x, "seed": params["seed"], "steps": params["steps"]}


_PARAMS = {"rows": 5, "seed": 3, "steps": 7}
_COMPONENT = Component(
    name="running",
    title="a running mean",
    formula="",
    strategy=lambda: st.just(dict(_PARAMS)),
    build=_build,
    examples=({**_PARAMS, "seed": 8}, {**_PARAMS, "rows": 9, "steps": 4}),
)
_CONTEXT = Context(task=None)  # type: ignore[arg-type]
_COUNT = itertools.count()


def _side(folder: Path, text: str, component: Component = _COMPONENT) -> Any:
    module = module_from(folder / f"statements_{next(_COUNT)}.py", text)
    return SimpleNamespace(name=module.__name__, **{component.name: module.forward})


def _located(folder: Path, candidate: str, component: Component = _COMPONENT) -> dict[str, Any] | None:
    sides = _side(folder, _REFERENCE, component), _side(folder, candidate, component)
    return locate(component, _PARAMS, *sides, _CONTEXT)


def test_the_candidate_as_it_is_agrees(tmp_path: Path) -> None:
    assert _located(tmp_path, _CANDIDATE) is None


@pytest.mark.parametrize("fault", _FAULTS)
def test_a_statement_that_is_lacking_or_elsewhere_is_found(tmp_path: Path, fault: str) -> None:
    right, wrong = _FAULTS[fault]
    assert _CANDIDATE.count(right) == 1
    text = _CANDIDATE.replace(right, wrong)
    found = _located(tmp_path, text)
    assert found is not None
    point = found["candidate"]["made_at"]
    planted = text[: text.index(wrong)].count("\n") + 1
    assert abs(point["line"] - planted) <= 1, found["sentence"]
    assert "both sides agree on all of 3 inputs" in point["why"]


@pytest.mark.parametrize("name", ["main", "test_forward", "tests"])
def test_what_tools_and_people_start_is_not_called(tmp_path: Path, name: str) -> None:
    entry = f"\nCALLS = []\n\ndef {name}():\n    CALLS.append(forward)\n"
    wrong = _CANDIDATE.replace("(k + 1) % 2", "(k + 5) % 3") + entry
    side = _side(tmp_path, wrong)
    locate(_COMPONENT, _PARAMS, _side(tmp_path, _REFERENCE), side, _CONTEXT, seconds=5)
    assert side.running.__globals__["CALLS"] == []


def test_a_change_is_held_to_an_input_that_takes_far_longer_than_the_failing_one(tmp_path: Path) -> None:
    slow = "    import time\n    time.sleep(1.5 if len(x) == 9 else 0.0)\n    when ="
    text = _CANDIDATE.replace("    when =", slow).replace("(k + 1) % 2", "k % 2")
    started = time.monotonic()
    found = _located(tmp_path, text)
    assert time.monotonic() - started > 1.5
    assert found is not None
    assert "both sides agree on all of 3 inputs" in found["sentence"]


def test_lines_that_other_components_run_come_later(tmp_path: Path) -> None:
    path = tmp_path / "two_lines.py"
    path.write_text("def forward(x):\n    one = x + 2.0\n    two = one * 3.0\n    return two\n", encoding="utf-8")
    near, far = (location_at(str(path), line, "forward") for line in (2, 3))
    tokens = reference_tokens([near, far], [near, far])

    def first(others: Counter[tuple[str, int]]) -> int:
        tiers: list[list[Any]] = [[], [near], [], [far]]
        return next(in_order(tiers, tokens, {}, others)).edit.line

    assert first(Counter()) == near.line
    assert first(Counter({(near.path, near.line): 3})) == far.line


def test_lines_before_a_component_are_those_of_components_further_up_the_pipeline() -> None:
    side, context = load_side("ggfm", "aligned"), Context(task=None)  # type: ignore[arg-type]
    runs = earlier_coverage(REGISTRY["q_sample"], side, context)
    files = {Path(path).name for path, _ in runs}
    assert "schedule.py" in files
    assert "cholesky.py" not in files
    assert max(runs.values()) <= [*REGISTRY].index("q_sample")
    assert not earlier_coverage(replace(REGISTRY["q_sample"], name="one of one's own"), side, context)


def test_what_a_change_is_shown_as_has_no_more_than_the_first_line_of_a_block(tmp_path: Path) -> None:
    path = tmp_path / "block.py"
    path.write_text(
        "import torch\ndef forward(seed):\n    for k in range(3):\n        torch.rand(k)\n", encoding="utf-8"
    )
    seeding = tmp_path / "seeding.py"
    seeding.write_text("import torch\ndef other(seed):\n    torch.manual_seed(seed)\n", encoding="utf-8")
    tokens = reference_tokens([location_at(str(seeding), 3, "other")], [location_at(str(path), 3, "forward")])
    kinds = {(str(path), "forward"): {"seed": "int"}}
    changes = [*in_order([[location_at(str(path), 3, "forward")]], tokens, kinds, Counter())]
    shown = {(change.edit.before, change.edit.after) for change in changes}
    assert ("for k in range(3): ...", "torch.manual_seed(seed); for k in range(3): ...") in shown
    assert all(ast.parse(f"{before}\n") for before, after in shown if ";" not in before + after)


def test_functions_of_a_module_with_a_name_like_theirs_are_found(tmp_path):
    path = tmp_path / "losses.py"
    path.write_text("import torch\nfrom torch.nn import functional as F\n")
    assert "l1_loss" in named_alike(str(path), "F", "smooth_l1_loss")
    assert "sort" in named_alike(str(path), "torch", "argsort")
    assert named_alike(str(path), "self", "smooth_l1_loss") == ()
