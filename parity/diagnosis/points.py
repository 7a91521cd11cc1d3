"""What a located difference looks like in a report: plain values, one point on each side and a sentence."""

from __future__ import annotations

import linecache
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from parity.diagnosis.repair.search import Search
from parity.diagnosis.site import Site, call_chain, site_at, surrounding
from parity.diagnosis.suspect import Blame
from parity.diagnosis.trace import Event
from parity.execution import Outcome

__all__ = ["located", "plain_site", "raised_at", "raised_through"]


def located(
    ref: Outcome,
    cand: Outcome,
    here: Event | None,
    facing: Event | None,
    blame: Blame | None,
    search: Search,
    *,
    cut: bool,
) -> dict[str, Any]:
    """The `operations` part of an explanation: a sentence, and for each side the point where it parts.

    `here` and `facing`: the candidate's operation and the reference's. `blame`: the line to look at, if it is another
    one. A change that makes both sides agree decides over what the traces blame; where it stands in another function,
    the reference's operation that the traces held against theirs is not shown. `cut`: a trace was too long to keep.
    """
    repair = search.repair
    if repair is not None:
        accused = [*(here.chain if here else ()), *([blame.site] if blame else [])]
        if all((site.path, site.function) != (repair.site.path, repair.site.function) for site in accused):
            facing = None
        blame = Blame(repair.site, str(repair))
    points = {
        "reference": _raised(ref) if ref.error else _parted(facing, None),
        "candidate": _raised(cand) if cand.error else _parted(here, blame),
    }
    if blame is not None and points["candidate"] is None:
        points["candidate"] = _point(blame.site, "", (), "", "", None)
    if blame is not None and points["candidate"] is not None:
        points["candidate"]["made_at"] = plain_site(blame.site) | {"why": blame.why}
        points["candidate"]["source"] = _source(blame.site)
    said = [_sentence(ref, cand, points, blame, cut=cut), str(search)]
    if cut:
        said.append("a trace was cut, as it has too many operations: where the values part is not said")
    return {"sentence": "; ".join(text for text in said if text), **points, "repaired": repair is not None}


def raised_at(outcome: Outcome) -> Site | None:
    """The innermost line of a side's own code on the way to the exception that ended a run."""
    return next(iter(raised_through(outcome)), None)


def raised_through(outcome: Outcome) -> list[Site]:
    """All such lines, innermost first."""
    found = []
    step = outcome.error.__traceback__ if outcome.error else None
    while step is not None:
        code = step.tb_frame.f_code
        innermost = next(iter(call_chain(step.tb_frame, limit=1)), None)
        if innermost is not None and innermost.path == code.co_filename and not innermost.of_adapter:
            found.append(site_at(code.co_filename, step.tb_lineno, code.co_qualname))
        step = step.tb_next
    return found[::-1]


def _sentence(ref: Outcome, cand: Outcome, points: Mapping[str, Any], blame: Blame | None, *, cut: bool) -> str:
    said = []
    if blame is not None:
        said.append(f"look at {blame.site}: {blame.why}")
    for who, outcome, other in (("candidate", cand, "reference"), ("reference", ref, "candidate")):
        point = points[who]
        if outcome.error:
            said.append(f"the {who} raises {type(outcome.error).__name__}" + (f" at {_where(point)}" if point else ""))
        elif point is not None and point["operation"]:
            said.append(f"{_where(point)} makes what the {other} lacks")
    return "; ".join(said) or ("" if cut else "no operation was seen that one side has and the other lacks")


def _where(point: Mapping[str, Any]) -> str:
    site = point["site"]
    return f"{site['file']}:{site['line']} in {site['function']} (`{site['text']}`)"


def _raised(outcome: Outcome) -> dict[str, Any] | None:
    site = raised_at(outcome)
    return _point(site, "raise", (), str(outcome.error), "", None) if site else None


def _parted(event: Event | None, blame: Blame | None) -> dict[str, Any] | None:
    if event is None or not event.chain:
        return None
    taken = ", ".join(str(value) for value in event.inputs[:4])
    return _point(event.chain[0], event.operation, event.chain[1:], str(event.outputs[0]), taken, blame)


def _point(
    site: Site, operation: str, chain: tuple[Site, ...], result: str, taken: str, blame: Blame | None
) -> dict[str, Any]:
    return {
        "operation": operation,
        "site": plain_site(site),
        "source": _source(blame.site if blame else site),
        "chain": [plain_site(step) for step in chain],
        "result": result,
        "other": taken,
        "made_at": None,
    }


def _source(site: Site) -> list[list[Any]]:
    linecache.checkcache(site.path)
    return [[number, text] for number, text in surrounding(site)]


def plain_site(site: Site) -> dict[str, Any]:
    """The site as JSON values."""
    return {name: value for name, value in asdict(site).items() if name != "path"}
