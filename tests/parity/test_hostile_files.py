"""Adapter files that exit, crash, hang, cheat or leave something behind: no command ends well without a verdict."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from parity.cli.main import main
from parity.compare import compare
from parity.loading import load_side

FAST = ["--task", "SyntheticContinuous-v0", "--examples", "2", "--jobs", "1"]
GOOD = "import torch\ninputs = {'x': torch.ones(3)}\ndef one(x): return x + 1\n"
DECLARED = """
import os, sys, torch
from hypothesis.strategies import just
from parity import Component
MINE = Component(name="mine", title="t", formula="f", examples=[{"n": 3}], strategy=lambda: just({"n": 3}),
                 build=lambda p, _: {"x": torch.ones(p["n"])})
class Good:
    def mine(self, x): return {"y": x + 1}
class Bad:
    """


@pytest.fixture(autouse=True)
def modules_of_files_forgotten(tmp_path):
    """A file's modules stay importable for its next call; here there is none."""
    yield
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(f"{tmp_path}{os.sep}"):
            del sys.modules[name]


def written(folder, text, name="own.py"):
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(text)
    return str(file)


def check(candidate, *options, reference=None):
    reference = reference or candidate.replace(":two", ":one").replace(":Bad", ":Good")
    return main(["check", "--reference", reference, "--candidate", candidate, *FAST, *options])


def gone(pid):
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or ") Z " in stat.read_text()


# A file that cannot be loaded

AT_IMPORT = {
    "exits": ("import os\nos._exit(0)", "the process ended itself (exit code 0)"),
    "exits in a class": ("class A:\n    import sys\n    sys.exit()", "SystemExit: "),
    "crashes": ("import ctypes\nctypes.string_at(0)", "signal 11: segmentation fault) (line 5)"),
    "hangs": ("import time\nwhile True: time.sleep(1)", "did not finish within 3 s (line 5)"),
    "interrupts": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "raises what has no text": (
        "class Odd(Exception):\n    def __str__(self): raise ValueError\nraise Odd",
        "Odd: its text cannot be made: ValueError",
    ),
    "replaces torch.equal": ("torch.equal = lambda *_: True", "replaces torch.equal, on which the comparison rests"),
    "replaces a part of the comparator": (
        "import parity.comparator\nparity.comparator.same_bits = lambda *_: True",
        "replaces parity.comparator.same_bits, on which the comparison rests",
    ),
    "hides a builtin of the comparator": (
        "import parity.comparator\nparity.comparator.max = min",
        "replaces parity.comparator.max, on which",
    ),
}


@pytest.mark.parametrize(("text", "said"), AT_IMPORT.values(), ids=AT_IMPORT)
def test_a_file_that_ends_or_cheats_when_it_is_loaded_is_one_line_and_exit_code_2(text, said, tmp_path, capsys):
    file = written(tmp_path, f"{GOOD}{text}\ndef two(x): return x + 1\n")
    assert check(f"{file}:two", "--call-limit", "3") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("parity check: ")
    assert file in line
    assert said in line


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("def __init__(self): os._exit(0)", "the process ended itself (exit code 0)"),
        ("def __init__(self): sys.exit()", "Bad() cannot be made: SystemExit"),
        ("def __init__(self):\n        while True: pass", "did not finish within 3 s"),
        ("def __init__(self): torch.equal = lambda *_: True", "replaces torch.equal"),
        ("name = property(lambda self: sys.exit())", "cannot be made: SystemExit"),
    ],
)
def test_a_class_that_ends_or_cheats_when_it_is_made_is_one_line_and_exit_code_2(body, said, tmp_path, capsys):
    file = written(tmp_path, f"{DECLARED}{body}\n    def mine(self, x): return {{'y': x + 1}}\n")
    assert check(f"{file}:Bad", "--call-limit", "3") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


# A method

IN_A_METHOD = {
    "exits": ("os._exit(0)", "the process ended itself (exit code 0)"),
    "calls sys.exit": ("sys.exit()", "the process ended itself (exit code 0)"),
    "crashes": ("import ctypes; ctypes.string_at(0)", "segmentation fault"),
    "interrupts": ("raise KeyboardInterrupt('now')", "KeyboardInterrupt: now"),
    "replaces torch.equal": (
        "torch.equal = lambda *_: True; return {'y': x + 2}",
        "only the candidate raises: ReplacedFunction: replaces torch.equal",
    ),
    "returns a sparse tensor": ("return {'y': (x + 1).to_sparse()}", "output 'y' is not a dense tensor"),
    "returns terabytes": ("return {'y': x[:1].expand(10**15)}", "is larger than 16 GiB"),
    "returns no memory": ("return {'y': torch.ones(3, device='meta')}", "output 'y' is not a dense tensor"),
    "returns a nested tensor": ("return {'y': torch.nested.nested_tensor([x])}", "output 'y' is not a dense tensor"),
    "raises what has no text": (
        "raise type('Odd', (Exception,), {'__str__': lambda _: 1})",
        "Odd: its text cannot be made: TypeError",
    ),
}


@pytest.mark.parametrize(("body", "said"), IN_A_METHOD.values(), ids=IN_A_METHOD)
def test_a_method_that_ends_its_process_or_returns_what_cannot_be_compared_is_an_error(body, said, tmp_path, capsys):
    file = written(tmp_path, f"{DECLARED}def mine(self, x): {body}\n")
    assert check(f"{file}:Bad") == 1
    out = capsys.readouterr()
    assert "mine             error       " in out.out
    assert said in out.out
    assert "Traceback" not in out.out + out.err.replace(said, "") or "the process" in said or "now" in said


def test_payloads_of_nan_are_no_difference(tmp_path):
    body = "y = x.clone(); y.view(torch.int32)[0] = 0x7fc00001 if x.dtype == torch.float32 else 0; y[0] = float('nan')"
    good = DECLARED.replace('{"y": x + 1}', '{"y": torch.cat([x[:1] * float("nan"), x[1:]])}')
    file = written(tmp_path, f"{good}def mine(self, x): {body}; return {{'y': y}}\n")
    assert check(f"{file}:Bad") == 0


def test_explain_outlives_a_method_that_exits_and_shows_nothing_that_it_prints(tmp_path, capsys):
    file = written(tmp_path, f"{DECLARED}def mine(self, x): print('lo' + 'ud'); return {{'y': x + 2}}\n")
    sides = ["--reference", f"{file}:Good", "--candidate", f"{file}:Bad", "--component", "mine", *FAST[:4]]
    assert main(["explain", *sides]) == 0
    out = capsys.readouterr().out
    assert "itself mine: divergent" in out
    assert "loud" not in out
    written(tmp_path, f"{DECLARED}def mine(self, x): os._exit(0)\n")
    assert main(["explain", *sides]) == 2
    assert "itself mine: the process ended itself (exit code 0)" in capsys.readouterr().err


def test_without_workers_an_exit_is_still_no_agreement(tmp_path, capsys):
    file = written(tmp_path, f"{DECLARED}def mine(self, x): sys.exit()\n")
    assert check(f"{file}:Bad", "--jobs", "0") == 2
    assert "the code of a side called sys.exit(None)" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_no_process_that_a_file_starts_survives_the_command_nor_does_a_thread_end_it(tmp_path):
    """One in a session of its own, one forked twice; a thread and an exit handler that would end the command well."""
    text = f"""
import atexit, os, pathlib, subprocess, threading, time
here = pathlib.Path({str(tmp_path)!r})
first = subprocess.Popen(["sleep", "600"], start_new_session=True)
there, here_too = os.pipe()
if os.fork() == 0:
    second = os.fork()
    if second: os._exit(0)
    os.setsid()
    (here / f"pid{{os.getpid()}}").touch()
    os.write(here_too, b"1")
    time.sleep(600)
os.read(there, 1)
(here / f"pid{{first.pid}}").touch()
threading.Thread(target=lambda: (time.sleep(2), os._exit(0)), daemon=True).start()
atexit.register(os._exit, 0)
"""
    file = written(tmp_path, f"{GOOD}{text}\ndef two(x): return x + 2\n")
    command = [sys.executable, "-m", "parity", "check", "--reference", f"{file}:one", "--candidate", f"{file}:two"]
    done = subprocess.run([*command, *FAST[2:]], capture_output=True, text=True, check=False)
    assert done.returncode != 0, done.stdout + done.stderr
    started = [path.name.removeprefix("pid") for path in tmp_path.glob("pid*")]
    assert len(started) >= 4
    end = time.monotonic() + 20
    while not all(gone(pid) for pid in started):
        assert time.monotonic() < end
        time.sleep(0.1)


# Modules beside a file

HELPER = {"model.py": "VALUE = {0}\n", "parts/__init__.py": "", "parts/inner.py": "from model import VALUE\n"}
USES = {
    "at the top": "from model import VALUE\ndef one(x): return x + VALUE\n",
    "in the function": "def one(x):\n    import model\n    return x + model.VALUE\n",
    "by name": "import importlib\ndef one(x): return x + importlib.import_module('model').VALUE\n",
    "in a package": "def one(x):\n    from parts.inner import VALUE\n    return x + VALUE\n",
}


def two_folders(tmp_path, text):
    for folder, value in (("a", 1.0), ("b", 2.0)):
        for name, content in HELPER.items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content.format(value))
        written(tmp_path / folder, "import torch\ninputs = {'x': torch.ones(3)}\n" + text)
    return [f"{tmp_path / folder / 'own.py'}:one" for folder in "ab"]


@pytest.mark.parametrize("text", USES.values(), ids=USES)
def test_two_files_import_the_modules_of_their_own_folders(text, tmp_path):
    a, b = two_folders(tmp_path, text)
    assert not compare(a, b).agrees
    assert compare(a, a).agrees
    assert [float(load_side(side).one(x=0)["output"]) for side in (b, a, b)] == [2.0, 1.0, 2.0]


def test_a_module_beside_the_file_that_has_changed_is_imported_anew(tmp_path):
    a, _ = two_folders(tmp_path, USES["at the top"])
    before = load_side(a)
    assert before.one(x=0)["output"] == 1.0
    (tmp_path / "a" / "model.py").write_text("VALUE = 3.0\n")
    assert load_side(a).one(x=0)["output"] == 3.0


def test_a_module_of_that_name_from_elsewhere_is_neither_found_nor_lost(tmp_path, monkeypatch):
    a, b = two_folders(tmp_path, USES["in the function"])
    (tmp_path / "model.py").write_text("VALUE = 9.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "model", raising=False)
    import model  # the module of a program that compares: only tests have one

    assert [float(load_side(side).one(x=0)["output"]) for side in (a, b)] == [1.0, 2.0]
    assert sys.modules["model"] is model
    del sys.modules["model"]


def test_a_component_may_import_a_module_beside_its_file(tmp_path):
    (tmp_path / "shape.py").write_text("N = 4\n")
    text = DECLARED.replace('torch.ones(p["n"])', '__import__("importlib").import_module("shape").N * torch.ones(2)')
    side = load_side(written(tmp_path, f"{text}pass\n") + ":Good")
    assert side.declared["mine"].build({"n": 1}, None)["x"].tolist() == [4.0, 4.0]
    assert str(tmp_path) not in sys.path
    assert os.fspath(tmp_path) not in os.environ
