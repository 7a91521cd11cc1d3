"""Data in the likeness of the published TFBind8 file, and a cache folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from parity.root_ggfm.tasks import tfbind8
from parity.root_ggfm.tasks.tfbind8 import npy_bytes, sha256


@pytest.fixture(scope="session")
def lookalike() -> bytes:
    """A text of the published form (32,896 rows, every 8-mer beside its reverse complement) with made-up scores."""
    every = np.stack(np.unravel_index(np.arange(4**8), (4,) * 8), axis=1)
    reverse = (3 - every[:, ::-1]) @ (4 ** np.arange(7, -1, -1))
    first = np.flatnonzero(np.arange(4**8) <= reverse)
    words = np.array(list("ACGT"))[every]
    scores = np.random.RandomState(0).randint(-40_000, 50_000, size=len(first)) / 1e5
    lines = [
        f"{''.join(words[row])}\t{''.join(words[reverse[row]])}\t{score:.5f}\t1.0\t0.5"
        for row, score in zip(first, scores, strict=True)
    ]
    return "\n".join(["8-mer\t8-mer\tE-score\tMedian\tZ-score", *lines, ""]).encode()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("PARITY_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def pinned(lookalike: bytes, cache: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The lookalike, taken for the published file: its checksums and statistics are the pinned ones."""
    x, y = tfbind8.parse(lookalike)
    shown = tfbind8.table_task(x, y).y
    statistics = {"rows": len(shown), "max": shown.max(), "mean": shown.mean(), "std": shown.std()}
    monkeypatch.setattr(tfbind8, "TEXT_SHA256", sha256(lookalike))
    monkeypatch.setattr(tfbind8, "FILES", {"x.npy": sha256(npy_bytes(x)), "y.npy": sha256(npy_bytes(y))})
    monkeypatch.setattr(tfbind8, "VISIBLE", {key: float(value) for key, value in statistics.items()})
    return lookalike
