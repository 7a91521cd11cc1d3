"""Run small training scripts in this process, unwatched, watched, and led along another's recording."""

import contextlib
import io
import random
import runpy
import sys
import textwrap
from pathlib import Path

import numpy as np
import torch

from parity.watch.follow import PASS_BEFORE, Following, aligned, read_differences
from parity.watch.hooks import Watch
from parity.watch.locate import Operations, last_events, locate, read_operations
from parity.watch.recording import End, Recorder, Recording, digest_of, leaves


def written(folder: Path, name: str, text: str) -> Path:
    """A script in a folder of its own."""
    file = folder / name / "main.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text).lstrip())
    return file


def run(file: Path, watch: Watch | None = None) -> tuple[str, dict[str, str]]:
    """What a script prints, and digests of all that it leaves: tensors, weights, states of generators."""
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    printed, modules, argv, dtype = io.StringIO(), set(sys.modules), sys.argv, torch.get_default_dtype()
    sys.argv = [str(file)]
    sys.path.insert(0, str(file.parent))
    try:
        armed = watch.armed if watch is not None else contextlib.nullcontext
        with contextlib.redirect_stdout(printed), contextlib.chdir(file.parent), armed():
            left = runpy.run_path(str(file), run_name="__main__")
    finally:
        sys.path.remove(str(file.parent))
        sys.argv = argv
        torch.set_default_dtype(dtype)
        for module in set(sys.modules) - modules:
            if str(file.parent) in str(getattr(sys.modules[module], "__file__", "")):
                del sys.modules[module]
    return printed.getvalue(), digests(left)


def digests(left: dict[str, object]) -> dict[str, str]:
    found = {
        "state of torch": digest_of(torch.get_rng_state()),
        "state of NumPy": digest_of(np.random.get_state()[1]) + str(np.random.get_state()[2]),
        "state of random": str(hash(random.getstate())),
    }
    for name, value in left.items():
        if isinstance(value, torch.nn.Module | torch.optim.Optimizer):
            value = value.state_dict()
        for inner, leaf in leaves(value, name):
            if isinstance(leaf, torch.Tensor | np.ndarray) and str(leaf.dtype) != "object":
                found[inner] = digest_of(leaf)
    return found


def recorded(file, out, *, follow=None, digests=True, operations=None, **options) -> Recording:
    """The recording of a script that runs in this process; `follow`: led along that recording."""
    recorder = Recorder(out, {}, digests=digests, store=0.0 if follow else 1.0)
    follower = Following(Recording(follow)) if follow else None
    watch = Watch(recorder, file.parent, follower=follower, **options)
    traced = contextlib.nullcontext() if operations is None else Operations(watch, operations)
    with traced:
        run(file, watch)
    if operations is not None:
        traced.write(out)
    recorder.end(End("finished"))
    if follower is not None:
        follower.write(out)
    return Recording(out)


def differences(folder: Path, reference: str, candidate: str):
    """What differs between two scripts."""
    out = folder / "out"
    for name, text in (("reference", reference), ("candidate", candidate)):
        recorded(written(folder, name, text), out / name)
    led = recorded(folder / "candidate" / "main.py", out / "led", follow=out / "reference")
    if (
        aligned(Recording(out / "reference"), led)[0]
        != aligned(*(Recording(out / n) for n in ("reference", "candidate")))[0]
    ):
        (out / "led").rename(out / PASS_BEFORE)
        recorded(folder / "candidate" / "main.py", out / "led", follow=out / "reference")
    last = last_events(read_differences(out / "led")["differences"])
    if last is not None:
        sides = []
        for name, place, until in (("reference", "ops", last[0]), ("candidate", "led ops", last[1])):
            follow = out / "reference" if name == "candidate" else None
            made = recorded(folder / name / "main.py", out / place, follow=follow, operations=until)
            sides.append((made, read_operations(out / place)))
        locate(out / "led", *sides)
    return read_differences(out / "led")["differences"]
