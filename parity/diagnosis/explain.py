"""Explain why two sides disagree on one input: their draws side by side, then the operation at which they diverge."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

from parity.component import Component, Context
from parity.diagnosis.locate import locate
from parity.diagnosis.location import SourceLocation, is_own_file, location_at
from parity.diagnosis.rng_compare import compare_draws
from parity.diagnosis.settings import enabled
from parity.diagnosis.symbols import tree_of
from parity.execution import execute
from parity.judge import judge
from parity.search import Candidate
from parity.side import Side, SideDied, SideTimedOut, capabilities
from parity.study import installed
from parity.verdict import Judgement, Verdict

__all__ = ["explain", "explain_known", "explain_modulo_known", "only", "primary_location"]

_CAUSE = {
    Verdict.UNSTABLE: "Rounding: the mathematics agrees in float64, the arithmetic in float32 is worse",
    Verdict.RANDOMNESS: "Randomness: once both draw the same, the values agree",
    Verdict.DIVERGENT: "Mathematics",
    Verdict.MISSING: "Not there",
    Verdict.ERROR: "An error",
}

_NO_WORSE = 1.01
"""Factor by which the error may grow against a reference that has the known differences as well."""


def explain(
    component: Component,
    params: Mapping[str, Any],
    reference: Side,
    candidate: Side,
    ctx: Context,
    *,
    seconds: float = 40.0,
) -> dict[str, Any]:
    """Explain why `candidate` disagrees with `reference` on the input that `params` describe, as plain JSON values.

    `sentence`: rounding, randomness or mathematics, where, and since which line; `draws`: both sequences of draws side
    by side (`parity.diagnosis.rng_compare`); `operations`: where the values diverge (`parity.diagnosis.locate`);
    `look_at`: the one line of the candidate to look at first. Each is None where nothing could be recorded. For
    `seconds`, small changes of the candidate's lines are tried. Never raises: the sentence says what is
    missing.
    """
    sides = (component, params, reference, candidate, ctx)
    found, lost = _attempt("the input could not be judged", judge, *sides)
    if found is None:
        return only(f"{_capitalised(lost)}.")
    if found.verdict is Verdict.MISSING:
        return only(f"{_CAUSE[found.verdict]}: {found.reason}.")
    numbers = next((side.name for side in (reference, candidate) if capabilities(side).code == "none"), None)
    if numbers is not None:
        untraced = f"{numbers} holds numbers, not code: neither its draws nor its operations can be traced"
        return only(f"{_capitalised(_verdict(found, None))}. {untraced}.")
    if capabilities(candidate).code == "elsewhere":
        return _in_host(found, *sides, seconds=seconds)
    draws, draws_lost = _attempt("the draws could not be recorded", compare_draws, *sides, force=not found.agrees)
    operations, operations_lost = None, ""
    if not found.agrees:
        operations, operations_lost = _attempt(
            "the operations could not be traced", locate, *sides, draws_at=_drawn_at(draws), seconds=seconds
        )
    told = [record["sentence"] for record in (draws, operations) if record is not None]
    random = found.verdict is Verdict.RANDOMNESS
    look = primary_location(draws, operations, random=random) if not found.agrees else None
    if look is None and not found.agrees and enabled("default_values"):
        site, _ = _attempt("", _default_value, *sides)
        look = None if site is None else site.plain()
        told += [] if site is None else [f"look at {site}: the value is given there"]
    sentences = [_verdict(found, draws), *told, draws_lost, operations_lost]
    return {
        "sentence": " ".join(f"{_capitalised(text).rstrip('.')}." for text in sentences if text),
        "draws": draws,
        "operations": operations,
        "look_at": look,
    }


def only(sentence: str) -> dict[str, Any]:
    """Return an explanation that is a sentence and nothing else."""
    return {"sentence": sentence, "draws": None, "operations": None, "look_at": None}


def _in_host(
    found: Judgement,
    component: Component,
    params: Mapping[str, Any],
    reference: Side,
    candidate: Side,
    ctx: Context,
    *,
    seconds: float,
) -> dict[str, Any]:
    """Let a candidate whose code runs in another process explain it there: its lines are changed there.

    A reference that runs elsewhere as well sends its traces.
    """
    said = _capitalised(_verdict(found, None))
    if any(f": {kind.__name__}: " in found.reason for kind in (SideDied, SideTimedOut)):
        return only(f"{said}. A component that ended its process is not run once more to be traced.")
    made, lost = _attempt(
        "neither draws nor operations could be traced",
        candidate.explain, f"{__name__}:explain", component.name, params, reference, ctx,
        seconds=seconds,
    )  # fmt: skip
    return dict(made) if made is not None else only(f"{said}. {lost}.")


def _attempt(what: str, step: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, str]:
    """Return the step's result and an empty text; or None, and why."""
    try:
        return step(*args, **kwargs), ""
    except Exception as error:  # noqa: BLE001 - a report is complete without one part of one explanation
        said = " ".join(str(error).split())
        return None, f"{what}: {type(error).__name__}: {said[:200]}"


def _verdict(found: Judgement, draws: Mapping[str, Any] | None) -> str:
    if found.agrees:
        return f"the sides agree ({found.verdict}): {found.reason}"
    if found.verdict is Verdict.RANDOMNESS and draws is not None:
        return _CAUSE[found.verdict]  # the sentence on the draws says where
    untold = draws is not None and draws["parted_at"] is not None and draws["forced"] is None
    if found.verdict is Verdict.DIVERGENT and untold:
        return f"Mathematics or randomness: {found.reason}"
    return f"{_CAUSE[found.verdict]}: {found.reason}"


def _capitalised(text: str) -> str:
    first = text.partition(" ")[0]
    return text if "/" in first or "." in first.rstrip(".") else text[:1].upper() + text[1:]


# The primary location: the one line to look at first.


def primary_location(
    draws: Mapping[str, Any] | None, operations: Mapping[str, Any] | None, *, random: bool
) -> dict[str, Any] | None:
    """Return the candidate's line to look at first, as a plain mapping; None if nothing points at one.

    A change that makes both sides agree decides. Then the draw at which the sides diverge, if it is another one, or one
    more or fewer, or if equal draws make the values agree (`random`): values computed from it differ in consequence.
    Then the line at which the operations diverge.
    """
    point = (operations or {}).get("candidate")
    if operations is not None and point is not None and operations["repaired"]:
        return _plain(point["made_at"])
    drawn = _draw(draws, random=random)
    if drawn is not None:
        return _plain(drawn)
    return _plain(point["made_at"] or point["site"]) if point is not None else None


def _drawn_at(draws: Mapping[str, Any] | None) -> tuple[str, int] | None:
    """Return file and line of the candidate's draw at which the sides diverge."""
    site = _draw(draws, random=True)
    return (site["file"], site["line"]) if site is not None else None


def _draw(draws: Mapping[str, Any] | None, *, random: bool) -> Mapping[str, Any] | None:
    """Return the candidate's line of the first row that differs, or of its next draw, where it leaves something out."""
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


# Default values: no operation makes them, so no trace leads there.


def _default_value(
    component: Component, params: Mapping[str, Any], reference: Side, candidate: Side, ctx: Context
) -> SourceLocation | None:
    """Return the candidate's line of a default value with the name and value of the first differing plain output."""
    inputs = component.build(params, ctx)
    left, right = (execute(component, side, inputs, seed=0).tree for side in (reference, candidate))
    for name, value in right.items():
        if isinstance(value, (bool, int, float, str)) and name in left and left[name] != value:
            return next(_lines_with_default(name.rpartition("/")[2], value, reference), None)
    return None


def _lines_with_default(name: str, value: Any, reference: Side) -> Iterator[SourceLocation]:
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None) or ""
        if not Path(path).is_absolute() or not is_own_file(path):
            continue
        if path.endswith(".py") and module.__name__.partition(".")[0] != reference.name:
            for line, function, default in _defaults(tree_of(path), name):
                if type(default) is type(value) and default == value:
                    yield location_at(path, line, function)


def _defaults(tree: ast.Module, name: str) -> Iterator[tuple[int, str, Any]]:
    """Yield line, function or class, and value of every default of this name that is a literal."""
    for node in ast.walk(tree):
        pairs: list[tuple[str, int, ast.expr | None]] = []
        if isinstance(node, ast.FunctionDef):
            positional = [*node.args.posonlyargs, *node.args.args]
            late = positional[len(positional) - len(node.args.defaults) :]
            given = zip([*late, *node.args.kwonlyargs], [*node.args.defaults, *node.args.kw_defaults], strict=True)
            pairs = [(argument.arg, argument.lineno, default) for argument, default in given]
        elif isinstance(node, ast.ClassDef):
            fields = [s for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)]
            pairs = [(s.target.id, s.lineno, s.value) for s in fields if isinstance(s.target, ast.Name)]
        for found, line, default in pairs:
            if found == name and default is not None:
                try:
                    yield line, node.name, ast.literal_eval(default)  # type: ignore[attr-defined]
                except ValueError:
                    continue


# Known differences.


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
    """Explain a disagreement that the entries `known` of the ledger account for: each difference alone.

    Where several differences act, the first divergence and a change that would help tell nothing of any one of them. So
    each is explained in a candidate that has no other one: the first `most` that act (default: all), in `seconds`
    together. Draws are those of the candidate as it is; operations those of the first difference that has any, as the
    sentence says. A candidate whose differences cannot be turned off is explained as it is, and the sentence says so.
    """
    sides = component, params, reference
    drawn = partial(_attempt, "", compare_draws, component, params, reference, candidate.side, ctx, force=True)
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
        return only(said) | {"draws": drawn()[0]}
    shown = acting[:most]
    found = {name: explain(*sides, alone[name], ctx, seconds=seconds / len(shown)) for name in shown}
    if len(acting) == 1:
        (one,) = found.values()
        covering = ", ".join(name for name in known if name not in acting)
        return one | {"sentence": f"Only {acting[0]} acts on this input, not {covering}. {one['sentence']}"}
    told = [f"{len(acting)} known differences act on this input, each looked at alone."]
    told += [f"{name}: {one['sentence']}" for name, one in found.items()]
    if len(shown) < len(acting):
        told.append(f"{', '.join(acting[len(shown) :])} act as well: `{_command_for_one()}` looks at one.")
    operations = next(
        (
            one["operations"] | {"sentence": f"with {name} alone: {one['operations']['sentence']}", "alone": name}
            for name, one in found.items()
            if one["operations"]
        ),
        None,
    )
    first = next((one["look_at"] for one in found.values() if one["look_at"]), None)
    return {"sentence": " ".join(told), "draws": drawn()[0], "operations": operations, "look_at": first}


def _command_for_one() -> str:
    """Return the command that explains one known difference: in the profile that has none by itself."""
    study = installed()
    ours = study.implementations.get(study.candidate)
    profile = next((name for name in ours.profiles if not ours.switches(name)), None) if ours else None
    return f"parity explain{f' --profile {profile}' if profile else ''} --on NAME"


def explain_modulo_known(
    component: Component,
    params: Mapping[str, Any],
    reference: Side,
    candidate: Candidate,
    known: Sequence[str],
    ctx: Context,
) -> dict[str, Any]:
    """Explain an unexpected difference in code whose known differences cannot be switched off.

    No one change makes code agree that differs in two ways. A candidate that no change repairs is compared with a side
    that has the differences `known` as well, which `candidate.having` gives: of those that leave no larger error than
    the reference does, the one with most differences.
    """
    found = explain(component, params, reference, candidate.side, ctx)
    if candidate.having is None or _is_repaired(found):
        return found
    both = replace(component, refused=lambda params: False)  # noqa: ARG005 - the reference's refusals bind neither
    whole = _error(judge(both, params, reference, candidate.side, ctx))
    for some in (some for size in range(len(known), 0, -1) for some in combinations(known, size)):
        other = candidate.having(some)
        if _error(judge(both, params, other, candidate.side, ctx)) <= _NO_WORSE * whole:
            beside = explain(component, params, other, candidate.side, ctx)
            if _is_repaired(beside):
                return beside | {"sentence": f"Beside a side that has {', '.join(some)}, too: {beside['sentence']}"}
            break
    return found


def _is_repaired(found: Mapping[str, Any]) -> bool:
    """True if an explanation names a change that makes both sides agree."""
    return bool(found["operations"] and found["operations"]["repaired"])


def _error(found: Judgement) -> float:
    """Return the largest float64 error; infinity where something else than values differs."""
    return max((leaf.error64 for leaf in found.leaves), default=float("inf"))
