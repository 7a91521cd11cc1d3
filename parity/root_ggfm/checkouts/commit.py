"""The commit of a checkout, read from its files: git itself would run what its configuration names."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["commit_of"]


def commit_of(folder: Path) -> str:
    """The commit that is checked out around `folder`, 40 or 64 hexadecimal digits; empty where none is known.

    Changes since then are not looked for.
    """
    try:
        git = next((above / ".git" for above in (folder, *folder.parents) if (above / ".git").exists()), None)
        if git is None:
            return ""
        if git.is_file():  # of a worktree or a submodule: it says where the folder is
            git = (git.parent / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()).resolve()
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        found = _named(git, head.removeprefix("ref:").strip()) if head.startswith("ref:") else head
    except (OSError, UnicodeDecodeError):
        return ""
    return found if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", found) else ""


def _named(git: Path, name: str) -> str:
    """What a reference stands for: in a file of its own, or in the list of packed ones."""
    common = git / "commondir"
    for place in (git, (git / common.read_text(encoding="utf-8").strip()) if common.exists() else git):
        if (place / name).is_file():
            return (place / name).read_text(encoding="utf-8").strip()
        if (place / "packed-refs").is_file():
            for line in (place / "packed-refs").read_text(encoding="utf-8").splitlines():
                commit, _, packed = line.partition(" ")
                if packed == name:
                    return commit
    return ""
