"""Why a candidate disagrees where the ledger explains it: each of the known differences alone, as far as it acts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from parity.diagnosis.draws_apart import compare_draws
from parity.diagnosis.explain import explain, only
from parity.judge import judge
from parity.search import Candidate
from parity.side import Side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from parity.component import Component, Context

__all__ = ["explain_known"]


def explain_known(
    component: Component,
    params: Mapping[str, Any],
    reference: Side,
    candidate: Candidate,
    known: Sequence[str],
    ctx: Context,
    *,
    seconds: float = 40.0,
    most: int | None = None,
) -> dict[str, Any]:
    """As `explain`, for a disagreement that the entries `known` of the ledger explain.

    Where several differences act, what parts first and what would help tell nothing of any one of them. So each is
    looked at in a candidate that has no other one: the first `most` that act (default: all), in `seconds` together.
    Draws are those of the candidate as it is; operations those of the first difference that has any, as the sentence
    says. Code whose differences cannot be turned off is explained as it is, and that is said.
    """
    sides = component, params, reference
    if len(known) < 2:
        return explain(*sides, candidate.side, ctx, seconds=seconds)
    without = candidate.without
    if without is None:
        whole = explain(*sides, candidate.side, ctx, seconds=seconds)
        said = f"Several known differences may act here ({', '.join(known)}); this code cannot be asked for one alone."
        return whole | {"sentence": f"{said} {whole['sentence']}"}
    alone = {name: without(tuple(other for other in known if other != name)) for name in known}
    acting = [name for name, side in alone.items() if not judge(*sides, side, ctx).agrees]
    if not acting:
        said = f"No one of the known differences {', '.join(known)} is enough: they act here only together."
        return only(said) | {"draws": _draws(*sides, candidate.side, ctx)}
    shown = acting[:most]
    found = {name: explain(*sides, alone[name], ctx, seconds=seconds / len(shown)) for name in shown}
    if len(acting) == 1:
        (one,) = found.values()
        covering = ", ".join(name for name in known if name not in acting)
        return one | {"sentence": f"Only {acting[0]} acts on this input, not {covering}. {one['sentence']}"}
    told = [f"{len(acting)} known differences act on this input, each looked at alone."]
    told += [f"{name}: {one['sentence']}" for name, one in found.items()]
    if len(shown) < len(acting):
        rest = ", ".join(acting[len(shown) :])
        told.append(f"{rest} act as well: `parity explain --profile aligned --on NAME` looks at one.")
    located = next(((name, one["operations"]) for name, one in found.items() if one["operations"]), None)
    if located is not None:
        name, found_there = located
        operations = found_there | {"sentence": f"with {name} alone: {found_there['sentence']}", "alone": name}
    else:
        operations = None
    first = next((one["look_at"] for one in found.values() if one["look_at"]), None)
    drawn = _draws(*sides, candidate.side, ctx)
    return {"sentence": " ".join(told), "draws": drawn, "operations": operations, "look_at": first}


def _draws(
    component: Component, params: Mapping[str, Any], reference: Side, candidate: Side, ctx: Context
) -> dict[str, Any] | None:
    try:
        return compare_draws(component, params, reference, candidate, ctx, force=True)
    except Exception:  # noqa: BLE001 - an explanation is complete without its table of draws
        return None
