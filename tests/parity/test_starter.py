"""Processes forked by one that has imported everything: as new ones would be, and gone with the one that asked."""

import os
import random
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from parity.process.child import end
from parity.process.starter import start


def prepare():
    """Nothing but this module is to be imported beforehand."""


def tell(parent, words):
    found = random.random(), np.random.rand(), torch.initial_seed(), os.getcwd(), os.environ.get("SAID")
    sys.stdout.write(" ".join(map(str, [*words, *found])))


def show_path(parent):
    sys.stdout.write(repr(sys.path))


def leave(parent, code):
    os._exit(code)


def hang(parent, folder):
    Path(folder, "pid").write_text(str(os.getpid()))
    time.sleep(600)


@contextmanager
def started(function, *arguments, folder):
    read, write = os.pipe()
    process = start(f"{__name__}:{function.__name__}", arguments, [write], str(folder))
    os.close(write)
    with os.fdopen(read) as output:
        try:
            yield process, output
        finally:
            end(process)


def said(folder):
    with started(tell, ("one", "two"), folder=folder) as (process, output):
        words = output.read().split()
        assert process.wait(60) == 0
    return words


def test_each_has_its_own_generators_and_the_folder_and_environment_of_the_moment(tmp_path, monkeypatch):
    monkeypatch.setenv("SAID", "before")
    first = said(tmp_path)
    monkeypatch.setenv("SAID", "after")
    second = said(tmp_path)
    assert first[:2] == second[:2] == ["one", "two"]
    assert first[2] != second[2]
    assert first[3] != second[3]
    assert first[4] == second[4]  # what a new interpreter has: PyTorch's generator starts at one seed
    assert (first[5:], second[5:]) == ([str(tmp_path), "before"], [str(tmp_path), "after"])


@pytest.mark.parametrize("code", [0, 7])
def test_the_exit_code_is_that_of_the_process(code, tmp_path):
    with started(leave, code, folder=tmp_path) as (process, _):
        assert process.wait(60) == code


def test_one_that_hangs_is_waited_for_in_vain_and_ended(tmp_path):
    with started(hang, str(tmp_path), folder=tmp_path) as (process, _):
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.05)
        process.kill()
        assert process.wait(60) == -9


def test_a_variable_that_an_interpreter_reads_at_its_start_is_heeded(tmp_path, monkeypatch):
    said(tmp_path)
    (tmp_path / "site").mkdir()

    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=os.pathsep)
    with started(show_path, folder=tmp_path) as (_, output):
        assert str(tmp_path / "site") in output.read()


def test_what_cannot_be_imported_is_said(tmp_path):
    with pytest.raises(RuntimeError, match=r"no process can be started.*no_such_module"):
        start("no_such_module:serve", (), [1], str(tmp_path))
