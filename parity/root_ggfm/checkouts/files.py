"""Which files are a checkout's own."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

__all__ = ["is_own"]


@lru_cache(maxsize=4096)
def is_own(file: str, folder: Path) -> bool:
    """Whether a file lies in the checkout and is code of it: an environment that somebody keeps in there is none."""
    path = Path(file)
    if not path.is_relative_to(folder):
        return False
    parts = path.relative_to(folder).parts
    return "site-packages" not in parts and not any(part.startswith(".") for part in parts)
