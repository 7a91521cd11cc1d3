"""The one line to look at first, out of all that a diagnosis has found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["drawn_at", "look_at"]


def look_at(
    draws: Mapping[str, Any] | None, operations: Mapping[str, Any] | None, *, random: bool
) -> dict[str, Any] | None:
    """The site of the candidate's line, as a plain mapping; None if nothing points at one.

    A change that makes both sides agree decides. Then the draw at which the sides part, if it is another one, or one
    more or fewer, or if equal draws make the values agree (`random`): what is computed from it differs in consequence.
    Then the line at which the operations part.
    """
    point = (operations or {}).get("candidate")
    if operations is not None and point is not None and operations["repaired"]:
        return _plain(point["made_at"])
    drawn = _draw(draws, random=random)
    if drawn is not None:
        return _plain(drawn)
    return _plain(point["made_at"] or point["site"]) if point is not None else None


def drawn_at(draws: Mapping[str, Any] | None) -> tuple[str, int] | None:
    """File and line of the candidate's draw at which the sides part."""
    site = _draw(draws, random=True)
    return (site["file"], site["line"]) if site is not None else None


def _draw(draws: Mapping[str, Any] | None, *, random: bool) -> Mapping[str, Any] | None:
    """The candidate's line of the first row that parts, or of what it draws next, where it leaves something out."""
    if draws is None or draws["parted_at"] is None or draws["aside"]:
        return None
    rows = draws["rows"]
    start = next((k for k, row in enumerate(rows) if row["mark"] != "same"), len(rows))
    if start == len(rows) or (rows[start]["mark"] == "value" and not random):
        return None
    sites = (row["candidate"]["site"] for row in rows[start:] if row["candidate"] is not None)
    return next((site for site in sites if site is not None), None)


def _plain(site: Mapping[str, Any]) -> dict[str, Any]:
    return {name: site[name] for name in ("file", "line", "function", "text")}
