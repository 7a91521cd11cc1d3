"""Checkouts in processes of their own: their results, and that nothing they do reaches this process."""

import importlib.util
import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
import torch

from parity.cli.main import main
from parity.component import Context
from parity.diagnosis.explain import explain
from parity.execution import execute
from parity.judge import judge
from parity.ledger import load
from parity.loading import load_side
from parity.process.host import Host, HostedSide, Limits
from parity.root_ggfm.components import REGISTRY
from parity.root_ggfm.study import STUDY
from parity.root_ggfm.tasks.catalogue import load_task
from parity.search import Candidate, judge_explained
from parity.session import open_session
from parity.side import MissingComponent, SideDied, SideTimedOut
from parity.study import with_layout
from parity.verdict import Verdict
from tests.parity.checkouts import GGFM_MODEL, ROOT_EMA, ggfm_checkout, published_ggfm, root_checkout, write

TASK, _ = load_task("Synthetic8-v0")
CTX = Context(TASK)
COMPUTED = (
    "schedule", "sample_steps", "q_sample", "predict_x0", "denoiser", "initial_weights", "p_losses", "p_sample",
    "sample", "gp", "gp_pairs", "split", "loader", "ema", "candidates", "defaults",
    "training_loss", "encoding", "offline_data", "pool", "optimiser", "target", "evaluation", "training_steps",
    "training",
)  # fmt: skip
MISCHIEF = {
    "exit": ("import sys; sys.exit(3)", SideDied, "sys.exit"),
    "hard exit": ("import os; os._exit(7)", SideDied, "exit code 7"),
    "segfault": ("import ctypes; ctypes.string_at(0)", SideDied, "SIGSEGV"),
    "hang that ignores SIGTERM": (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)", SideTimedOut, "within",
    ),
    "too much memory": ("bytearray(64 << 30)", MemoryError, ""),
    "too large a tensor": ("import torch; torch.empty(64 << 30)", MemoryError, "allocate"),
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
    before = set(sys.modules)
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
    assert not {"runners", "src", "main", "model"} & (set(sys.modules) - before)


@pytest.mark.parametrize(("body", "error", "says"), MISCHIEF.values(), ids=MISCHIEF)
def test_a_call_that_misbehaves_costs_that_call_only(tmp_path, body, error, says):
    folder = root_checkout(tmp_path, runners__base__EMA=ema_that(body))
    limits = Limits(seconds=3.0 if error is SideTimedOut else 60.0)
    with closing(Host(f"root:{folder}", limits)) as host:
        side = HostedSide(host)
        ema, given = inputs("ema")
        outcome = execute(ema, side, given, seed=0)
        assert isinstance(outcome.error, error)
        assert says in str(outcome.error)
        schedule, given = inputs("schedule")
        assert execute(schedule, side, given, seed=0).error is None


def test_global_settings_of_a_checkout_stay_in_its_call(tmp_path):
    body = (
        "import os, sys, torch, numpy; torch.set_default_dtype(torch.float64); torch.manual_seed(5); "
        "os.environ.clear(); sys.path.clear(); os.chdir('/'); numpy.seterr(all='raise'); torch.set_num_threads(3); "
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


def test_a_component_that_a_checkout_lacks_is_missing_by_name(tmp_path):
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


def test_a_relative_path_is_meant_from_here(tmp_path, monkeypatch):
    write(tmp_path / "here" / "ok", {"src/brownian_bridge.py": GGFM_MODEL.replace("{planted}", "")})
    monkeypatch.chdir(tmp_path / "here")
    for path in ("ok", "../here/ok"):
        with closing(Host(f"ggfm:{path}")) as host:
            assert HostedSide(host).name == f"ggfm:{tmp_path / 'here' / 'ok'}"


@pytest.mark.parametrize("path", ["", "nowhere"])
def test_a_path_that_is_no_folder_is_refused(tmp_path, path):
    with closing(Host(f"ggfm:{path and tmp_path / path}")) as host, pytest.raises(ValueError, match="not a folder"):
        HostedSide(host)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def broken(:\n", "syntax error in .*EMA.py, line 1"),
        ("import a_package_that_is_nowhere\n", "pip install a_package_that_is_nowhere"),
        ("print('last words')\nimport os\nos._exit(4)\n", "exit code 4.* while it was loaded"),
    ],
)
def test_a_checkout_that_cannot_be_imported_is_refused(tmp_path, text, says):
    checkout = root_checkout(tmp_path, runners__base__EMA=text)
    with closing(Host(f"root:{checkout}")) as host, pytest.raises(ValueError, match=says):
        HostedSide(host)


def test_a_module_that_raises_while_it_is_imported_costs_the_components_that_need_it(tmp_path):
    checkout = root_checkout(tmp_path, runners__base__EMA="from runners import not_there\n")
    with closing(Host(f"root:{checkout}")) as host:
        side = HostedSide(host)
        ema, given = inputs("ema")
        assert isinstance(execute(ema, side, given, seed=0).error, ImportError)
        schedule, given = inputs("schedule")
        assert execute(schedule, side, given, seed=0).error is None


def test_a_module_that_imports_one_that_the_checkout_lacks_costs_the_components_that_need_it(tmp_path):
    files = {"src/brownian_bridge.py": GGFM_MODEL.replace("{planted}", ""), "main.py": "from src.generator import GP\n"}
    with closing(Host(f"ggfm:{write(tmp_path, files)}")) as host:
        side = HostedSide(host)
        assert "main imports src.generator, which the checkout does not have" in side.notes
        for name in ("ema", "initial_weights"):
            component, given = inputs(name)
            error = execute(component, side, given, seed=0).error
            assert isinstance(error, MissingComponent)
            assert "main imports src.generator" in str(error)
        schedule, given = inputs("schedule")
        assert execute(schedule, side, given, seed=0).error is None


def test_a_folder_none_of_whose_modules_can_be_imported_is_refused(tmp_path):
    files = dict.fromkeys(("src/brownian_bridge.py", "src/generator.py", "main.py"), "import src.not_there\n")
    with (
        closing(Host(f"ggfm:{write(tmp_path, files)}")) as host,
        pytest.raises(ValueError, match=r"src\.not_there, which"),
    ):
        HostedSide(host)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_processes_that_a_checkout_starts_end_with_its_host(tmp_path):
    body = "import os, subprocess; open(os.environ['SEEN'], 'w').write(str(subprocess.Popen(['sleep', '600']).pid))"
    folder, seen = root_checkout(tmp_path / "c", runners__base__EMA=ema_that(body)), tmp_path / "pid"
    code = (
        "import os; from tests.parity.test_hosts import *;"
        f"execute(inputs('ema')[0], HostedSide(Host('root:{folder}')), inputs('ema')[1], seed=0); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "SEEN": str(seen)}, check=True)
    started = Path(f"/proc/{seen.read_text()}")
    _wait(lambda: not started.exists() or " Z " in (started / "stat").read_text())


def test_missing_imports_are_stubbed_where_the_checkout_asks_and_named(tmp_path):
    text = ROOT_EMA + (
        "import torch, design_bench.datasets.base, wandb\n"
        "from einops import rearrange\n"
        "from omegaconf import DictConfig\n"
        "from torch.utils.tensorboard import SummaryWriter\n"
        "from torch.optim.lr_scheduler import ReduceLROnPlateau\n"
        "class Own(DictConfig): pass\n"
        "def annotated(x: DictConfig | None): pass\n"
        "with wandb.init(project='p', config={}) as run: run.log({'loss': 1.0}); wandb.config.lr = wandb.run.name\n"
        "writer = SummaryWriter('logs')\n"
        "writer.add_scalar('loss', 1.0, 0)\n"
        "writer.close()\n"
        "ReduceLROnPlateau(torch.optim.SGD([torch.ones(1)], 0.1), verbose=True)\n"
        "try:\n    Own()\n"
        "except ModuleNotFoundError as error:\n    assert 'omegaconf.DictConfig was called' in str(error)\n"
        "else:\n    raise SystemExit\n"
    )
    with closing(Host(f"root:{root_checkout(tmp_path, runners__base__EMA=text)}")) as host:
        side = HostedSide(host)
        ema, given = inputs("ema")
        assert execute(ema, side, given, seed=0).error is None
    named = ("einops", "omegaconf", "tensorboard")
    absent = {name for name in named if importlib.util.find_spec(name) is None}
    bridged = {note.split()[1] for note in side.notes}
    assert bridged - {"ReduceLROnPlateau"} == absent | {"design_bench", "wandb"}
    assert not absent & set(sys.modules)


def test_packages_that_fail_to_import_are_stubbed_and_those_that_ask_a_server_are_never_imported(tmp_path, monkeypatch):
    fails = {"einops/__init__.py": "import einops.part\nimport einops.more", "einops/part.py": ""}
    asking = dict.fromkeys(("design_bench.py", "wandb.py"), "raise SystemExit")
    for name, text in {**fails, **asking, "pandas.py": "own = 1"}.items():
        (tmp_path / "site" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "site" / name).write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=os.pathsep)
    text = (
        "import design_bench, pandas, wandb, einops.layers\nassert pandas.own\nclass Own(einops.Layer): pass\n"
        + ROOT_EMA
    )
    with closing(Host(f"root:{root_checkout(tmp_path / 'c', runners__base__EMA=text)}")) as host:
        side = HostedSide(host)
        ema, given = inputs("ema")
        assert execute(ema, side, given, seed=0).error is None
    notes = {note.split()[1]: note for note in side.notes}
    assert "einops cannot be imported (ModuleNotFoundError: No module named 'einops.more')" in notes["einops"]
    assert "design_bench is not imported" in notes["design_bench"]
    assert "wandb is not imported" in notes["wandb"]
    assert "pandas" not in notes


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_a_host_ends_with_the_process_that_asked_for_it_even_amid_a_call(tmp_path):
    body = "import os, time; open(os.environ['SEEN'], 'w').write(str(os.getpid())); time.sleep(600)"
    folder, seen = root_checkout(tmp_path / "c", runners__base__EMA=ema_that(body)), tmp_path / "pid"
    code = (
        "from tests.parity.test_hosts import *;"
        f"execute(inputs('ema')[0], HostedSide(Host('root:{folder}')), inputs('ema')[1], seed=0)"
    )
    asking = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "SEEN": str(seen)})
    try:
        _wait(lambda: seen.exists() and seen.read_text())
    finally:
        asking.kill()
        asking.wait()
    hosted = Path(f"/proc/{seen.read_text()}")
    _wait(lambda: not hosted.exists() or " Z " in (hosted / "stat").read_text())


def _wait(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_known_difference_of_a_ggfm_checkout_is_named_and_another_one_is_not(tmp_path):
    component = REGISTRY["predict_x0"]
    ledger = load(STUDY.ledger, components=REGISTRY)
    params = {**component.examples[0], **ledger["noise_eps"].example}
    reference = load_side("reference_root")
    for folder, planted, names in (("a", "", ("noise_eps",)), ("b", " + 1e-3", ())):
        changed = GGFM_MODEL.replace("Switches.aligned()", "Switches.aligned().having({'noise_eps': True})")
        changed += (
            "    def predict_x0_from_objective(self, *given):\n"
            f"        return super().predict_x0_from_objective(*given){planted}\n"
        )
        path = write(tmp_path / folder, {"src/brownian_bridge.py": changed.replace("{planted}", "")})
        with closing(Host(f"ggfm:{path}")) as host:
            candidate = Candidate(HostedSide(host), ledger, having=lambda on: load_side("ggfm", on=on))
            found, expected = judge_explained(component, params, reference, candidate, CTX)
        assert found.verdict is Verdict.DIVERGENT
        assert (expected, found.known) == (bool(names), names)


def test_every_difference_of_the_published_ggfm_is_named_and_nothing_else(tmp_path, capsys):
    sides = [f"root:{root_checkout(tmp_path / 'root')}", f"ggfm:{published_ggfm(tmp_path / 'ggfm')}"]
    session = open_session(reference=sides[0], candidate=sides[1], task="Synthetic8-v0")
    candidate = session.candidate_in(session.profiles[0])
    known = {}
    for component in session.components:
        for params in component.examples:
            found, expected = judge_explained(component, params, session.reference, candidate, session.context)
            assert expected or found.verdict is Verdict.MISSING, (component.name, found.reason)
            known.setdefault(component.name, set()).update(found.known)
    assert {name: names for name, names in known.items() if names} == {
        "sample_steps": {"steps_buffer"}, "predict_x0": {"noise_eps"}, "initial_weights": {"init"},
        "p_losses": {"logged_x0", "noise_eps"}, "p_sample": {"clamp", "noise_eps"}, "sample": {"clamp", "noise_eps"},
        "gp_pairs": {"trajectory"},
    }  # fmt: skip
    assert "setting: Config.BATCH_SIZE is 256, training.batch_size of ROOT's configurations 64" in session.header()


def test_a_difference_is_located_in_the_lines_of_the_checkout(tmp_path):
    before = set(sys.modules)
    component, reference = REGISTRY["q_sample"], load_side("reference_root")
    with closing(Host(f"ggfm:{ggfm_checkout(tmp_path, planted=' + 1e-3')}")) as host:
        found = explain(component, component.examples[0], reference, HostedSide(host), CTX, seconds=5.0)
    assert "brownian_bridge.py:15" in found["sentence"]
    assert found["operations"] is not None
    assert "src" not in set(sys.modules) - before


def test_a_folder_alone_is_read_by_the_layout_of_its_files(tmp_path):
    root, ggfm, layouts = root_checkout(tmp_path / "a"), ggfm_checkout(tmp_path / "b"), STUDY.layouts
    assert with_layout(str(root), layouts) == f"root:{root}"
    (ggfm / "runners/utils.py").unlink()
    assert with_layout(str(ggfm), layouts) == f"ggfm:{ggfm}"
    assert with_layout(f"ggfm:{root}", layouts) == f"ggfm:{root}"


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "is no checkout: it has none of the files of either layout"),
        ({"runners/utils.py": "", "src/generator.py": ""}, "matches two layouts: say which is meant, root:.* or ggfm:"),
    ],
)
def test_a_folder_alone_that_is_no_checkout_or_two_is_refused(tmp_path, files, says):
    with pytest.raises(ValueError, match=says):
        load_side(str(write(tmp_path, files)))


def test_the_word_before_the_colon_decides_where_a_folder_has_both_layouts(tmp_path):
    write(root_checkout(tmp_path), {"src/brownian_bridge.py": "", "src/generator.py": ""})
    with closing(Host(f"root:{tmp_path}")) as host:
        side = HostedSide(host)
        schedule, given = inputs("schedule")
        assert execute(schedule, side, given, seed=0).error is None
    assert any("has the layout of ggfm: too" in note for note in side.notes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--call-limit", "0"], "call-limit must be a positive number of seconds, got 0"),
        (["--call-limit", "nan"], "call-limit must be a positive number of seconds, got nan"),
        (["--memory-limit", "-1"], "memory-limit must be a positive number of GiB, got -1"),
    ],
)
def test_a_limit_that_is_none_is_refused(options, message, capsys):
    assert main(["check", "--component", "ema", "--task", "Synthetic8-v0", *options]) == 2
    assert message in capsys.readouterr().err


def test_the_limits_of_a_session_are_those_of_its_checkouts(tmp_path, capsys):
    checkout = root_checkout(tmp_path, runners__base__EMA=ema_that("import time; time.sleep(60)"))
    options = ["--component", "ema", "--task", "Synthetic8-v0", "--jobs", "0", "--call-limit", "1.5"]
    assert main(["check", "--reference", "reference_root", "--candidate", f"root:{checkout}", *options]) == 1
    out = capsys.readouterr().out
    assert "did not answer within 1.5 s" in out
    assert "A component that ended its process is not run once more to be traced" in out


def test_a_difference_between_two_checkouts_is_located_in_the_lines_of_the_candidate(tmp_path):
    component = REGISTRY["q_sample"]
    reference = Host(f"root:{root_checkout(tmp_path / 'a')}")
    candidate = Host(f"ggfm:{ggfm_checkout(tmp_path / 'b', planted=' + 1e-3')}")
    with closing(reference), closing(candidate):
        sides = HostedSide(reference), HostedSide(candidate)
        found = explain(component, component.examples[0], *sides, CTX, seconds=5.0)
    assert found["look_at"]["file"] == "brownian_bridge.py"
    assert found["look_at"]["line"] == 15
    assert found["operations"]["candidate"]["operation"] == "add"
