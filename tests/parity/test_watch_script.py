"""A script runs in a process of its own; whatever it does there is recorded or said, and its folder stays as it is."""

import json
import os
import sys
import time

import pytest

from parity.watch.pair import compare_scripts
from parity.watch.recording import Recording
from parity.watch.script import Script, Watched, watch_script
from tests.parity.watching import written

TRAIN = """
import torch
from torch import nn
model = nn.Linear(3, 1)
optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
x = torch.randn(8, 3)
def step(k=0):
    optimiser.zero_grad()
    loss = model(x).square().mean()
    loss.backward()
    optimiser.step()
    print(f"step {k}: {loss.item():.4f}")
"""


def watched(tmp_path, text, *arguments, follow=None, others=(), name="script", **how):
    file = written(tmp_path, name, text)
    for other, content in others:
        (file.parent / other).parent.mkdir(parents=True, exist_ok=True)
        (file.parent / other).write_text(content)
    out = tmp_path / f"out-{name}{'-led' if follow else ''}"
    script = Script.of([str(file), *arguments])
    return watch_script(script, out, Watched(store=0.1, **{"seconds": 60, **how}), follow=follow)


def steps(recording):
    return sum(event.role == "gradient" for event in recording.events)


def notes(recording):
    return [event.values["note"] for event in recording.events if event.role == "note"]


def test_a_script_runs_as_it_does_by_itself(tmp_path):
    text = (
        TRAIN
        + """
import argparse, os, sys, pathlib, atexit, multiprocessing
import src.model, utils, msgspec, filelock, tools
import parity
parser = argparse.ArgumentParser(); parser.add_argument("--steps", type=int, required=True)
atexit.register(lambda: open("late.txt", "w").write("late"))
if __name__ == "__main__":
    assert sys.argv[0] == __file__ and pathlib.Path("data/x.txt").read_text() == "5"
    assert (src.model.OWN, utils.OWN, msgspec.OWN, filelock.OWN, tools.OWN, parity.OWN) == (1, 2, 3, 4, 5, 6)
    assert os.getcwd() == os.path.dirname(__file__) and os.listdir("data") == ["x.txt"]
    os.remove("data/x.txt"); open("utils.py", "w").write("gone"); open("left.txt", "w").write("x")
    torch.save(model.state_dict(), "kept.pt")
    import threading
    thread = threading.Thread(target=step); thread.start()
    for k in range(parser.parse_args().steps):
        pass
"""
    )
    own = ["src/model.py", "utils.py", "msgspec/__init__.py", "filelock.py", "tools/__init__.py", "parity/__init__.py"]
    others = [(name, f"OWN = {k}") for k, name in enumerate(own, start=1)] + [("data/x.txt", "5")]
    recording = watched(tmp_path, text, "--steps", "2", others=others)
    assert (recording.end.how, recording.end.why) == ("finished", "")
    assert steps(recording) == 1
    left = {str(p.relative_to(tmp_path / "script")) for p in (tmp_path / "script").rglob("*") if p.is_file()}
    assert left == {"main.py", *(name for name, _ in others)}
    assert (tmp_path / "script" / "utils.py").read_text() == "OWN = 2"


ENDS = {
    "raises": ("step(); raise KeyError('lost')", "raised", "KeyError: 'lost'", 12),
    "os._exit": ("import os; step(); os._exit(3)", "exited", "os._exit(3)", 12),
    "sys.exit": ("import sys; step(); sys.exit('no data')", "exited", "sys.exit('no data')", 12),
    "killed": ("import os; step(); os.kill(os.getpid(), 9)", "killed", "it was killed by SIGKILL", None),
    "hangs": ("import time; step()\nwhile True: time.sleep(0.01)", "killed", "it did not end within 8 s", 13),
    "catches": (
        "import os\ntry:\n    step(); raise SystemExit\nexcept BaseException: pass\nstep()", "finished", "", None,
    ),
    "forks": (
        "import os\nstep()\nif os.fork() == 0:\n    step(); os._exit(5)\nos.wait()\n"
        "if os.fork() == 0: step(); raise OSError\nos.wait(); step()", "finished", "", None,
    ),
    "starts another": (
        "import os, sys; step(); os.execv(sys.executable, [sys.executable, '-c', ''])", "exited",
        f"os.execv({sys.executable}), which starts another program", 12,
    ),
    "memory": ("step(); torch.empty(2**40)", "raised", "can't allocate memory", 12),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
def test_every_end_is_recorded_with_what_came_before(name, tmp_path):
    text, how, why, line = ENDS[name]
    recording = watched(tmp_path, TRAIN.lstrip() + text, seconds=8 if name == "hangs" else 60)
    assert steps(recording) == (2 if name in ("catches", "forks") else 1)
    assert recording.end.how == how
    assert why in recording.end.why
    assert "\n" not in recording.end.why
    site = recording.site(recording.end)
    assert (site.line if site else None) == line


def test_a_led_script_that_is_killed_leaves_its_differences(tmp_path):
    watched(tmp_path, TRAIN + "step(); step()")
    led = watched(tmp_path, TRAIN.replace("lr=0.1", "lr=0.2") + "step(); import os; os.kill(os.getpid(), 9)",
                  name="other", follow=tmp_path / "out-script")  # fmt: skip
    found = json.loads((tmp_path / "out-other-led" / "differences.json").read_text())["differences"]
    assert led.end.how == "killed"
    assert ["SGD" in found[0]["what"], "killed: it was killed by SIGKILL" in found[-1]["what"]] == [True, True]


def test_global_settings_and_gigabytes_of_prints_are_the_script_s_own(tmp_path):
    text = (
        TRAIN
        + """
import os, random, signal, sys, threading, warnings
os.chdir("/"); sys.path.clear(); sys.modules.pop("json", None); warnings.simplefilter("error")
signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGCHLD, signal.SIG_IGN)
torch.set_default_dtype(torch.float64); torch.use_deterministic_algorithms(True); torch.set_num_threads(2)
line = "x" * 100 + "\\n"
for _ in range(200): sys.stdout.write(line * 10000)
model.double(); x = x.double(); sys.stdout.close(); sys.stdout = None
def quiet(): optimiser.zero_grad(); model(x).sum().backward(); optimiser.step()
quiet()
"""
    )
    recording = watched(tmp_path, text)
    assert (recording.end.how, recording.end.why) == ("finished", "")
    assert steps(recording) == 1


def test_what_is_not_watched_is_said(tmp_path):
    text = (
        TRAIN
        + """
import subprocess, sys
subprocess.run([sys.executable, "-c", "print(1)", "train"], check=True)
device = torch.device("cuda")
model = model.cuda().to(device); x = x.cuda(non_blocking=True).to("cuda:0"); torch.cuda.synchronize()
y = torch.zeros(2, device="cuda") + torch.rand(2, device=device, generator=torch.Generator(device="cuda"))
torch.save({"y": y}, "y.pt"); torch.load("y.pt", map_location="cuda"); torch.compile(model)(x)
step()
"""
    )
    recording = watched(tmp_path, text)
    assert (recording.end.how, recording.end.why) == ("finished", "")
    said = notes(recording)
    assert said[0] == "adapted: no GPU here: what asks for cuda gets the CPU"
    assert said[1].startswith("not watched: the process ")
    assert said[2].startswith("adapted: torch.compile compiles nothing")
    assert steps(recording) == 1


WRONG = {
    "needs an option": (
        "import argparse; p = argparse.ArgumentParser(); p.add_argument('--data', required=True); p.parse_args()",
        r"script/main.py ended before it trained anything: sys.exit\(2\): main.py: error: the following arguments are"
        r" required: --data \(main.py:1\)",
    ),
    "syntax": ("x = 1\ndef f(:\n", r"SyntaxError: invalid syntax .*\(main.py:2\)"),
    "import": ("import nothing_like_this", r"ModuleNotFoundError: No module named 'nothing_like_this' \(main.py:1\)"),
    "trains nothing": ("print('hello')", r"script/main.py trains nothing: no loss, no gradient, no model's pass"),
    "trains elsewhere": (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', ''])",
        r"script/main.py trains nothing: .*; not watched: the process ",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_script_that_trains_nothing_is_one_clear_line(name, tmp_path):
    text, message = WRONG[name]
    script = Script.of([str(written(tmp_path, "script", text))])
    with pytest.raises(ValueError, match=message) as raised:
        compare_scripts(script, script, tmp_path / "out", Watched())
    assert "\n" not in str(raised.value)


def test_links_lead_where_they_led_and_large_files_are_copied_before_they_are_written(tmp_path):
    folder = written(
        tmp_path,
        "script",
        TRAIN
        + """
import os
assert open("outside/data.txt").read() == "outside" and open("big.bin", "rb").read(1) == b"b"
open("big.bin", "r+b").write(b"X"); torch.save({}, "weights.bin"); step()
""",
    ).parent
    for name in ("big.bin", "weights.bin"):
        with (folder / name).open("wb") as file:
            file.write(b"b")
            file.truncate(40 << 20)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "data.txt").write_text("outside")
    (folder / "outside").symlink_to(tmp_path / "outside")
    (folder / "circle").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    recording = watch_script(Script.of([str(folder / "main.py")]), tmp_path / "out", Watched())
    assert (recording.end.how, recording.end.why) == ("finished", "")
    assert all((folder / n).stat().st_size == 40 << 20 for n in ("big.bin", "weights.bin"))
    assert (folder / "big.bin").read_bytes()[:1] == b"b"


def test_a_folder_with_too_much_to_copy_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("parity.watch.copying._MOST_FILES", 3)
    file = written(tmp_path, "script", TRAIN)
    for k in range(4):
        (file.parent / f"{k}.txt").write_text("")
    with pytest.raises(ValueError, match="holds more than 3 files, too much to copy for a run"):
        watch_script(Script.of([str(file)]), tmp_path / "out", Watched())


def test_a_recording_is_readable_while_it_is_written(tmp_path):
    file = written(tmp_path, "script", TRAIN + "import time\nfor k in range(200): step(k); time.sleep(0.01)")
    seen = []

    def look():
        if (tmp_path / "out" / "recording.json").exists():
            seen.append(len(Recording(tmp_path / "out", partial=True).events))
        if seen and seen[-1] > 50:
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        watch_script(Script.of([str(file)]), tmp_path / "out", Watched(), tick=look)
    assert len(Recording(tmp_path / "out", partial=True).events) >= seen[-1]
    assert time.monotonic() - started < 60
