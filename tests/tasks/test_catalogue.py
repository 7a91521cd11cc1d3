"""Tasks are found by name, and a substitution is never silent."""

from __future__ import annotations

from pathlib import Path

import pytest

from parity.root_ggfm.tasks import tfbind8
from parity.root_ggfm.tasks.catalogue import load_task
from parity.root_ggfm.tasks.design_bench import design_bench_task, installed
from parity.root_ggfm.tasks.tfbind8 import DataCorrupt, DataUnavailable


@pytest.mark.parametrize("name", ["Synthetic8-v0", "SyntheticContinuous-v0"])
def test_built_in(name: str) -> None:
    task, note = load_task(name)
    assert task.name == name
    assert note == f"{name}, built in"


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match=r"unknown task 'TFBind9'; allowed: auto, TFBind8.*design-bench:NAME"):
        load_task("TFBind9")


@pytest.mark.usefixtures("cache")
def test_auto_without_data_says_so() -> None:
    task, note = load_task()
    assert task.name == "Synthetic8-v0"
    assert "run `parity data fetch`; the built-in synthetic task Synthetic8-v0 takes its place" in note
    with pytest.raises(DataUnavailable, match="`parity data fetch`"):
        load_task("TFBind8-Exact-v0")


def test_auto_with_data(pinned: bytes, tmp_path: Path) -> None:
    source = tmp_path / "text"
    source.write_bytes(pinned)
    folder = tfbind8.fetch(source)
    for name in ("auto", "TFBind8-Exact-v0"):
        task, note = load_task(name)
        assert task.name == "TFBind8-Exact-v0"
        assert note.endswith("measured designs")
    (folder / "x.npy").write_bytes(b"")
    with pytest.raises(DataCorrupt, match="cut short"):
        load_task()


def test_auto_fetches_when_allowed(pinned: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "text"
    source.write_bytes(pinned)
    fetch = tfbind8.fetch
    monkeypatch.setattr(tfbind8, "fetch", lambda: fetch(source))
    assert load_task(fetch=True)[0].name == "TFBind8-Exact-v0"


@pytest.mark.usefixtures("cache")
def test_auto_when_fetching_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise DataUnavailable("no network")

    monkeypatch.setattr(tfbind8, "fetch", fail)
    assert load_task(fetch=True)[1].startswith("no network; the built-in synthetic task")


@pytest.mark.skipif(installed(), reason="design-bench is installed")
def test_design_bench_not_installed(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match=r"not installed: `pip install --no-deps design-bench==2\.0\.20`"):
        load_task("design-bench:TFBind8-Exact-v0")
    with pytest.raises(DataUnavailable, match=r"^design-bench is not installed"):
        design_bench_task("TFBind8-Exact-v0", data=tmp_path)
