"""Checkouts in processes of their own: what they compute, and that nothing they do reaches this process."""

import os
import sys
from contextlib import closing

import pytest
import torch

from parity.components import REGISTRY, Context
from parity.hosts import Host, HostedSide, Limits, SideDied, SideTimedOut
from parity.judge import judge
from parity.outcome import execute
from parity.sides import MissingComponent, load_side
from parity.tasks import load_task
from parity.verdict import Verdict
from tests.parity.checkouts import ggfm_checkout, root_checkout, write

TASK, _ = load_task("Synthetic8-v0")
CTX = Context(TASK)
COMPUTED = (
    "schedule", "sample_steps", "q_sample", "predict_x0", "denoiser", "initial_weights", "p_losses", "p_sample",
    "sample", "gp", "gp_pairs", "split", "loader", "ema", "candidates",
)  # fmt: skip
MISCHIEF = {
    "exit": ("import sys; sys.exit(3)", SideDied, "sys.exit"),
    "hard exit": ("import os; os._exit(7)", SideDied, "exit code 7"),
    "segfault": ("import ctypes; ctypes.string_at(0)", SideDied, "SIGSEGV"),
    "hang that ignores SIGTERM": (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)", SideTimedOut, "within",
    ),
    "too much memory": ("bytearray(64 << 30)", MemoryError, ""),
}  # fmt: skip


def ema_that(body):
    return f"class EMA:\n    def __init__(self, decay):\n        {body}\n"


def inputs(name):
    component = REGISTRY[name]
    return component, component.build(component.examples[0], CTX)


def test_the_reference_equals_a_checkout_of_itself(tmp_path):
    with closing(Host(f"root:{root_checkout(tmp_path)}")) as host:
        side, reference = HostedSide(host), load_side("reference_root")
        found = {}
        for name in COMPUTED:
            component = REGISTRY[name]
            found[name] = judge(component, component.examples[0], side, reference, CTX)
    wrong = {
        name: f.reason
        for name, f in found.items()
        if f.verdict not in (Verdict.IDENTICAL, Verdict.ROUNDING, Verdict.REFUSED)
    }
    assert not wrong


def test_two_checkouts_with_one_module_name_never_meet_and_a_planted_difference_is_found(tmp_path):
    root = Host(f"root:{root_checkout(tmp_path / 'a')}")
    ggfm = Host(f"ggfm:{ggfm_checkout(tmp_path / 'b', planted=' + 1e-3')}")
    with closing(root), closing(ggfm):
        sides = HostedSide(root), HostedSide(ggfm)
        verdicts = {
            n: judge(REGISTRY[n], REGISTRY[n].examples[0], *sides, CTX).verdict for n in ("q_sample", "ema", "gp")
        }
    assert verdicts["q_sample"] is Verdict.DIVERGENT
    assert verdicts["ema"].agrees
    assert verdicts["gp"] is Verdict.MISSING
    assert not {"runners", "src", "main", "model"} & set(sys.modules)


@pytest.mark.parametrize(("body", "error", "says"), MISCHIEF.values(), ids=MISCHIEF)
def test_what_a_call_does_costs_that_call_only(tmp_path, body, error, says):
    folder = root_checkout(tmp_path, runners__base__EMA=ema_that(body))
    seconds = 3.0 if error is SideTimedOut else 60.0
    with closing(Host(f"root:{folder}")) as host:
        side = HostedSide(host)
        host._running._limits = Limits(seconds=seconds)
        ema, given = inputs("ema")
        outcome = execute(ema, side, given, seed=0)
        assert isinstance(outcome.error, error)
        assert says in str(outcome.error)
        schedule, given = inputs("schedule")
        assert execute(schedule, side, given, seed=0).error is None


def test_global_settings_of_a_checkout_stay_in_its_call(tmp_path):
    body = (
        "import os, sys, torch, numpy; torch.set_default_dtype(torch.float64); torch.manual_seed(5); "
        "os.environ.clear(); sys.path.clear(); numpy.seterr(all='raise'); torch.set_num_threads(3); "
        "raise KeyError('own')"
    )
    before = torch.get_default_dtype(), dict(os.environ), list(sys.path), torch.get_num_threads()
    with closing(Host(f"root:{root_checkout(tmp_path, runners__base__EMA=ema_that(body))}")) as host:
        side = HostedSide(host)
        schedule, given = inputs("schedule")
        first = execute(schedule, side, given, seed=0)
        ema, other = inputs("ema")
        assert isinstance(execute(ema, side, other, seed=0).error, KeyError)
        again = execute(schedule, side, given, seed=0)
    assert all(torch.equal(first.tree[n], again.tree[n]) for n in first.tree)
    assert before == (torch.get_default_dtype(), dict(os.environ), list(sys.path), torch.get_num_threads())


def test_much_output_neither_shows_nor_fills_memory(tmp_path, capfd):
    body = "print('x' * (64 << 20)); import os; os._exit(1)"
    with closing(Host(f"root:{root_checkout(tmp_path, runners__base__EMA=ema_that(body))}")) as host:
        side = HostedSide(host)
        ema, given = inputs("ema")
        assert isinstance(execute(ema, side, given, seed=0).error, SideDied)
    assert capfd.readouterr().out == ""


def test_what_a_checkout_lacks_is_missing_by_name(tmp_path):
    with closing(Host(f"ggfm:{ggfm_checkout(tmp_path)}")) as host:
        side = HostedSide(host)
        for name, says in (("gp", "src.generator.GP"), ("pool", "pool"), ("training", "training")):
            component, given = inputs(name)
            error = execute(component, side, given, seed=0).error
            assert isinstance(error, MissingComponent)
            assert says in str(error)


@pytest.mark.parametrize(
    ("layout", "files", "says"),
    [
        ("root", {}, "runners/utils.py"),
        ("root", {"src/brownian_bridge.py": "", "src/generator.py": ""}, "looks like ggfm:"),
    ],
)
def test_a_path_that_is_no_checkout_is_refused(tmp_path, layout, files, says):
    write(tmp_path, files)
    with closing(Host(f"{layout}:{tmp_path}")) as host, pytest.raises(ValueError, match=says):
        HostedSide(host)


def test_a_path_that_is_no_folder_is_refused(tmp_path):
    with closing(Host(f"ggfm:{tmp_path / 'nowhere'}")) as host, pytest.raises(ValueError, match="not a folder"):
        HostedSide(host)
