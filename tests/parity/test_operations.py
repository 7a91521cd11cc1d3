"""Locating a difference: a planted fault is pointed at, nothing is pointed at where nothing differs."""

from __future__ import annotations

import itertools
import os
import pathlib
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import strategies as st

from parity.component import Component, Context
from parity.diagnosis import mutation_search as search
from parity.diagnosis import trace as tracing
from parity.diagnosis.hot_patch import guarded
from parity.diagnosis.locate import locate
from parity.diagnosis.oracle import smallest_failing
from tests.parity.toys import module_from

REFERENCE = """
import torch

def schedule(steps, max_var):
    m = torch.linspace(0.001, 0.999, steps, dtype=torch.float64)
    return m, 2.0 * (m - m * m) * max_var

def q_sample(x_high, x_low, t, m_t, v_t, noise):
    m = m_t[t].unsqueeze(1)
    sigma = torch.sqrt(v_t[t]).unsqueeze(1)
    return (1.0 - m) * x_high + m * x_low + sigma * noise

def predict(x_t, x_low, t, m_t, out):
    m = m_t[t].unsqueeze(1)
    return (x_t - m * x_low - out) / (1.0 - m)

def forward(x_high, x_low, t, noise, out, steps, max_var):
    m_t, v_t = (s.to(x_high.dtype) for s in schedule(steps, max_var))
    x_t = q_sample(x_high, x_low, t, m_t, v_t, noise)
    x0 = predict(x_t, x_low, t, m_t, out)
    return {"x_t": x_t, "x0": x0, "loss": (x0 - x_high).abs().mean()}
"""

CANDIDATE = """
import numpy as np
import torch

def tables(steps, max_var):
    mean = np.linspace(0.001, 0.999, steps)
    spread = mean * (1.0 - mean)
    variance = 2.0 * max_var * spread
    return torch.tensor(mean), torch.tensor(variance)

def noised(x_high, x_low, where, mean, variance, noise):
    at = mean.index_select(0, where).view(-1, 1)
    away = torch.lerp(x_high, x_low, at)
    deviation = variance.index_select(0, where).sqrt().view(-1, 1)
    return torch.addcmul(away, deviation, noise)

def start(x_t, x_low, where, mean, out):
    at = mean.index_select(0, where).view(-1, 1)
    rest = 1.0 - at
    without = x_t - at * x_low
    return (without - out) / rest

def forward(x_high, x_low, t, noise, out, steps, max_var):
    mean, variance = (table.to(x_high.dtype) for table in tables(steps, max_var))
    x_t = noised(x_high, x_low, t, mean, variance, noise)
    x0 = start(x_t, x_low, t, mean, out)
    distance = (x0 - x_high).abs()
    return {"x_t": x_t, "x0": x0, "loss": distance.sum() / distance.numel()}
"""

FAULTS = {
    "an extra term in a denominator": ("(without - out) / rest", "(without - out) / (rest + 1e-8)"),
    "swapped arguments": ("noised(x_high, x_low, t, mean", "noised(x_low, x_high, t, mean"),
    "a missing factor 2": ("variance = 2.0 * max_var * spread", "variance = max_var * spread"),
    "a clamp": ("without = x_t - at * x_low", "without = (x_t - at * x_low).clamp(-1.0, 1.0)"),
    "variance for standard deviation": (".sqrt().view(-1, 1)\n", ".view(-1, 1)\n"),
    "an index off by one": ("variance.index_select(0, where)", "variance.index_select(0, where - 1)"),
    "another constant": ("np.linspace(0.001, 0.999, steps)", "np.linspace(0.001, 0.998, steps)"),
    "a square left out": ("distance.sum() / distance.numel()", "distance.pow(2).sum() / distance.numel()"),
}  # fmt: skip

_HALVED = """
def halved(x, *, really=False):
    return x / 2.0 if really else x

def noised("""

LARGER = {
    "a module's variable": (
        [("import torch\n", "import torch\n\n_SCALE = 2.0\n"), ("2.0 * max_var", "_SCALE * max_var")],
        ("_SCALE = 2.0", "_SCALE = 3.0"),
    ),
    "swapped targets": ([], ("mean, variance = (", "variance, mean = (")),
    "a condition": (
        [("    rest = 1.0 - at\n", "    rest = 1.0 - at\n    if len(x_t) > 300:\n        rest = rest * 2.0\n")],
        ("len(x_t) > 300", "len(x_t) > 3"),
    ),
    "a switch left out": (
        [("\ndef noised(", _HALVED), ("deviation, noise)", "halved(2.0 * deviation, really=True), noise)")],
        (", really=True", ""),
    ),
    "a step of a chain in place": (
        [("    without = x_t", "    scale = 1.0 + 0.5 * at\n    rest.mul_(scale).div_(scale)\n    without = x_t")],
        ("rest.mul_(scale).div_(scale)", "rest.mul_(scale)"),
    ),
    "rows left in their order": (
        [
            ("    distance = (x0", "    order = torch.arange(len(x0)).flip(0)\n    distance = (x0"),
            ("(x0 - x_high).abs()", "torch.sub(*(x0[order], x_high[order])).abs()"),
        ],
        ("x_high[order]", "x_high"),
    ),
    "single precision": (
        [("    without = x_t", "    if x_t.dtype == torch.float32:\n        out = out * 1.0\n    without = x_t")],
        ("out * 1.0", "out * 1.01"),
    ),
}  # fmt: skip
"""Faults in a candidate that has something more than the plain one."""

_COUNT = itertools.count()


def _module(folder: Path, text: str) -> ModuleType:
    return module_from(folder / f"side_{next(_COUNT)}.py", text)


def _side(module: ModuleType) -> Any:
    return SimpleNamespace(name=module.__name__, forward=module.forward, path=Path(str(module.__file__)))


def _build(params: Any, _: Context) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(params["seed"])
    rows, dim, steps = params["rows"], params["dim"], params["steps"]
    made = {name: torch.randn(rows, dim, generator=generator) for name in ("x_high", "x_low", "noise", "out")}
    t = torch.randint(1, steps, (rows,), generator=generator)
    return made | {"t": t, "steps": steps, "max_var": 1.3}


PARAMS = {"rows": 4, "dim": 3, "steps": 50, "seed": 1}

FORWARD = Component(
    name="forward",
    title="a small bridge",
    formula="",
    strategy=lambda: st.just(dict(PARAMS)),
    build=_build,
    examples=({**PARAMS, "seed": 2}, {**PARAMS, "rows": 7}),
)
CONTEXT = Context(task=None)  # type: ignore[arg-type]


def _pointed(point: dict[str, Any]) -> int:
    return int((point["made_at"] or point["site"])["line"])


def _line(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


def _locate(folder: Path, candidate: str, seconds: float = 60.0) -> dict[str, Any] | None:
    reference, other = (_side(_module(folder, text)) for text in (REFERENCE, candidate))
    return locate(FORWARD, PARAMS, reference, other, CONTEXT, seconds=seconds)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_pointed_at_within_one_line(tmp_path: Path, fault: str) -> None:
    right, wrong = FAULTS[fault]
    assert CANDIDATE.count(right) == 1
    found = _locate(tmp_path, CANDIDATE.replace(right, wrong))
    assert found is not None
    assert abs(_pointed(found["candidate"]) - _line(CANDIDATE, right)) <= 1, found["sentence"]
    assert "both sides agree on all of 3 inputs" in found["candidate"]["made_at"]["why"]


@pytest.mark.parametrize("fault", LARGER)
def test_what_stands_around_a_line_is_changed_as_well(tmp_path: Path, fault: str) -> None:
    more, (right, wrong) = LARGER[fault]
    text = CANDIDATE
    for part, larger in more:
        assert text.count(part) == 1
        text = text.replace(part, larger)
    assert text.count(right) == 1
    assert _locate(tmp_path, text) is None
    found = _locate(tmp_path, text.replace(right, wrong))
    assert found is not None
    assert abs(_pointed(found["candidate"]) - _line(text, right)) <= 1, found["sentence"]
    assert "both sides agree on all of 3 inputs" in found["candidate"]["made_at"]["why"]


@pytest.mark.parametrize("fault", ["an extra term in a denominator", "a missing factor 2", "another constant"])
def test_the_traces_alone_point_at_a_fault_and_at_the_reference_line_against_it(tmp_path: Path, fault: str) -> None:
    right, wrong = FAULTS[fault]
    found = _locate(tmp_path, CANDIDATE.replace(right, wrong), seconds=0)
    assert found is not None
    assert abs(_pointed(found["candidate"]) - _line(CANDIDATE, right)) <= 1, found["sentence"]
    assert found["reference"]["site"]["file"] != found["candidate"]["site"]["file"]


def test_a_formula_written_another_way_is_not_pointed_at(tmp_path: Path) -> None:
    assert _locate(tmp_path, CANDIDATE) is None


def test_a_side_that_raises_is_pointed_at_where_it_raises_and_what_would_help_is_named(tmp_path: Path) -> None:
    wrong = CANDIDATE.replace("index_select(0, where).sqrt()", "index_select(0, where + 50).sqrt()")
    found = _locate(tmp_path, wrong)
    assert found is not None
    assert "the candidate raises IndexError" in found["sentence"]
    assert _pointed(found["candidate"]) == _line(wrong, "where + 50")


def test_nothing_is_claimed_to_help_where_no_small_change_does(tmp_path: Path) -> None:
    wrong = CANDIDATE.replace("return torch.addcmul(away, deviation, noise)", "return torch.sin(noise) * 3.7")
    found = _locate(tmp_path, wrong)
    assert found is not None
    assert "in place of" not in found["sentence"]
    reason = r"of \d+ small changes of the candidate none makes both sides agree \((all|enough) tried\)"
    assert re.search(reason, found["sentence"])


@pytest.mark.parametrize(
    ("ticks", "said"),
    [(0, "no small change of the candidate was tried"), (3, "of 3 small changes of the candidate none makes")],
)
def test_a_search_that_time_ends_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ticks: int, said: str
) -> None:
    clock = itertools.count()  # one tick when the search starts, then one before each change
    monkeypatch.setattr(search, "time", SimpleNamespace(thread_time=lambda: next(clock), monotonic=lambda: 0.0))
    changed = CANDIDATE.replace("return torch.addcmul(away, deviation, noise)", "return torch.sin(noise) * 3.7")
    found = _locate(tmp_path, changed, seconds=ticks + 0.5)
    assert found is not None
    assert "in place of" not in found["sentence"]
    assert said in found["sentence"]
    assert "(the time for it ended)" in found["sentence"]


def test_nothing_is_claimed_of_a_trace_that_was_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_MOST", 5)
    right, wrong = FAULTS["a missing factor 2"]
    found = _locate(tmp_path, CANDIDATE.replace(right, wrong), seconds=0)
    assert found is not None
    assert found["sentence"] == "a trace was cut, as it has too many operations: where the values part is not said"
    assert found["reference"] is found["candidate"] is None


def test_tracing_leaves_no_change_in_the_code_of_either_side(tmp_path: Path) -> None:
    right, wrong = FAULTS["a missing factor 2"]
    module = _module(tmp_path, CANDIDATE.replace(right, wrong))
    codes = {name: thing.__code__ for name, thing in vars(module).items() if isinstance(thing, FunctionType)}
    locate(FORWARD, PARAMS, _side(_module(tmp_path, REFERENCE)), _side(module), CONTEXT)
    assert codes
    assert all(vars(module)[name].__code__ is code for name, code in codes.items())


def test_a_changed_line_can_neither_write_files_nor_run_forever(tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_text("precious", encoding="utf-8")
    loop = "\n    k = 1\n    while k < 4:\n        k += 1\n"
    write = f'    open({str(kept)!r}, "r" if k > 3 else "w").close()\n'
    right, wrong = FAULTS["a missing factor 2"]
    body = CANDIDATE.replace(right, wrong).replace("    spread = mean", f"{loop}{write}    spread = mean")
    found = _locate(tmp_path, body)
    assert found is not None
    assert kept.read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize("touch", ["pathlib.Path(PATH).touch()", "os.open(PATH, os.O_WRONLY | os.O_CREAT)"])
def test_a_changed_line_makes_no_file_by_any_way_of_opening_one(tmp_path: Path, touch: str) -> None:
    made = tmp_path / "made"
    with guarded(5.0), pytest.raises(PermissionError, match="a changed line may not do this: open"):
        exec(touch, {"pathlib": pathlib, "os": os, "PATH": str(made)})
    assert not made.exists()
    with guarded(5.0):
        assert Path(__file__).read_text(encoding="utf-8")


def test_an_alarm_that_was_set_before_still_comes_at_its_time() -> None:
    came: list[float] = []
    before = signal.signal(signal.SIGALRM, lambda *_: came.append(time.monotonic()))
    try:
        due = time.monotonic() + 0.6
        signal.setitimer(signal.ITIMER_REAL, 0.6)
        with guarded(5.0):
            time.sleep(0.3)
        assert signal.getitimer(signal.ITIMER_REAL)[0] <= max(due - time.monotonic(), 0.0) + 0.05
        while not came and time.monotonic() < due + 30.0:
            time.sleep(0.01)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(came) == 1
    assert came[0] >= due - 0.05


def test_outside_the_main_thread_the_traces_decide_alone(tmp_path: Path) -> None:
    right, wrong = FAULTS["a missing factor 2"]
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(_locate(tmp_path, CANDIDATE.replace(right, wrong))))
    thread.start()
    thread.join()
    assert found[0] is not None
    assert "in place of" not in found[0]["sentence"]


def test_a_changed_line_that_would_end_the_program_ends_no_search(tmp_path: Path) -> None:
    ends = "    if len(x_t) > 300:\n        raise SystemExit(3)\n    without = x_t"
    right, wrong = "return torch.addcmul(away, deviation, noise)", "return torch.sin(noise) * 3.7"
    found = _locate(tmp_path, CANDIDATE.replace("    without = x_t", ends).replace(right, wrong))
    assert found is not None
    assert re.search(r"of \d+ small changes .* \((all|enough) tried\)", found["sentence"])


def test_a_change_that_is_tried_starts_no_search_of_its_own(tmp_path: Path) -> None:
    right, wrong = FAULTS["a missing factor 2"]
    sides = [_side(_module(tmp_path, text)) for text in (REFERENCE, CANDIDATE.replace(right, wrong))]
    with guarded(60.0), guarded(60.0):
        within = locate(FORWARD, PARAMS, *sides, CONTEXT)
    after = locate(FORWARD, PARAMS, *sides, CONTEXT)
    assert within is not None
    assert after is not None
    assert "in place of" not in within["sentence"]
    assert "in place of" in after["sentence"]


def test_the_input_is_made_as_small_as_it_still_fails(tmp_path: Path) -> None:
    right, wrong = FAULTS["a missing factor 2"]
    sides: Callable[[str], Any] = lambda text: _side(_module(tmp_path, text))  # noqa: E731
    smallest = smallest_failing(FORWARD, PARAMS, sides(REFERENCE), sides(CANDIDATE.replace(right, wrong)), CONTEXT)
    assert smallest == {"rows": 4, "dim": 3, "steps": 4, "seed": 1}
    assert smallest_failing(FORWARD, PARAMS, sides(REFERENCE), sides(CANDIDATE), CONTEXT) == PARAMS


def test_an_input_with_a_nan_is_not_made_into_one_without(tmp_path: Path) -> None:
    line = "    x_t = noised(x_high, x_low, t, mean, variance, noise)\n"
    nan = line + "    x_t = x_t / 0.0 * 0.0 if len(x_t) > 5 else x_t * 1.5\n"
    sides: Callable[[str], Any] = lambda text: _side(_module(tmp_path, text))  # noqa: E731
    params = PARAMS | {"rows": 12}
    smallest = smallest_failing(FORWARD, params, sides(REFERENCE), sides(CANDIDATE.replace(line, nan)), CONTEXT)
    assert smallest["rows"] == 8
