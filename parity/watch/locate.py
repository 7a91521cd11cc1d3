"""Name the operation at which two scripts part, where events alone say only by when.

Both scripts run once more and each operation is recorded: its line, and digests of what it was given and returned. From
the value that differs its operations are followed backwards, to the first one that was given only what the other script
has as well. The candidate is led as before, so what earlier differences caused is not met again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from msgspec import Struct
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from parity.watch.follow import DIFFERENCES, Difference, Place, plain_difference, read_differences
from parity.watch.hooks import Watch
from parity.watch.recording import Event, Numbers, Recording, digest_of, leaves

__all__ = ["Operation", "Operations", "last_events", "locate", "read_operations"]

_FILE = "operations.json"

_MOST = 400_000
"""Operations that are recorded."""

_EMPTY = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "resize_"}
"""Operations that return memory with whatever was in it."""

_ROLES = {"forward", "output", "loss", "weights", "batch", "gradient", "grad"}


class Operation(Struct, frozen=True, array_like=True):
    """`at`: events before it. `given` and `returned`: digests. `plain`: its numbers and words, as text."""

    at: int
    name: str
    line: int | None
    given: tuple[str, ...]
    returned: tuple[str, ...]
    plain: str


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Record operations until the event `last`."""

    def __init__(self, watch: Watch, last: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._watch, self._last = watch, last
        self.found: list[Operation] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        watch, kwargs = self._watch, kwargs or {}
        if not watch.computing() or watch.recorder.count > self._last or len(self.found) >= _MOST:
            return func(*args, **kwargs)
        name = str(func).removeprefix("aten.").partition(".")[0]
        if name in _EMPTY:
            return func(*args, **kwargs)
        given = [*leaves(args), *leaves(kwargs)]
        whole = [args[0]._base] if name.endswith("_") and args and isinstance(args[0], Tensor) else []
        digests = _digests((*(value for _, value in given), *whole))
        plain = ", ".join(str(value) for _, value in given if isinstance(value, float | int | str))
        returned = func(*args, **kwargs)
        with watch.quiet():
            results = _digests((*(value for _, value in leaves(returned)), *whole))
            self.found.append(Operation(watch.recorder.count, name, watch.line(), digests, results, plain[:200]))
        return returned

    def write(self, out: Path) -> None:
        """Write them beside the recording."""
        (out / _FILE).write_bytes(msgspec.json.encode(self.found))


def read_operations(out: Path) -> list[Operation]:
    """Return what `Operations.write` wrote."""
    return msgspec.json.decode((out / _FILE).read_bytes(), type=list[Operation])


def _digests(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(digest_of(value) for value in values if isinstance(value, Tensor) and _has_numbers(value))


def _has_numbers(value: Tensor) -> bool:
    return value.layout is torch.strided and not value.is_meta and value.numel() > 0


def last_events(differences: Sequence[Difference]) -> tuple[int, int] | None:
    """Return the last events of the reference and of the candidate that are looked for; None if there is none."""
    wanted = [(d.of, d.event) for d in differences if _is_wanted(d) and d.of is not None and d.event is not None]
    return (max(of for of, _ in wanted), max(event for _, event in wanted)) if wanted else None


def _is_wanted(difference: Difference) -> bool:
    return difference.counts and difference.role in _ROLES and difference.kind in ("mathematics", "order")


def locate(
    led: Path, reference: tuple[Recording, Sequence[Operation]], mine: tuple[Recording, Sequence[Operation]]
) -> None:
    """Write into the differences of a led run at which operations both sides part."""
    document = json.loads((led / DIFFERENCES).read_text())
    here, there = _Side(*mine), _Side(*reference)
    mixes: dict[str, Difference] = {}
    located = [_located(d, here, there, mixes) for d in read_differences(led)["differences"]]
    found = _merged([d for d in located if d is not None])
    document["differences"] = [plain_difference(d) for d in found]
    (led / DIFFERENCES).write_text(json.dumps(document, allow_nan=False) + "\n")


class _Side:
    def __init__(self, recording: Recording, operations: Sequence[Operation]) -> None:
        self.recording, self.operations = recording, operations
        self.known = {digest for one in operations for digest in (*one.given, *one.returned)}
        for event in recording.events:
            self.known |= {v.digest for v in event.values.values() if isinstance(v, Numbers)}
        self.made: dict[str, list[int]] = {}
        for k, one in enumerate(operations):
            for digest in one.returned:
                if digest not in one.given:
                    self.made.setdefault(digest, []).append(k)

    def maker(self, digest: str, before: int) -> int | None:
        """Return the last operation before another one that made a value."""
        return next((k for k in reversed(self.made.get(digest, ())) if k < before), None)

    def until(self, event: int) -> int:
        """Return the number of operations before an event."""
        return next((k for k, one in enumerate(self.operations) if one.at > event), len(self.operations))

    def origin(self, digest: str, event: int, other: _Side) -> Operation | None:
        """Return the first operation on the way to a value that was given only what the other side has as well."""
        k = self.maker(digest, self.until(event))
        while k is not None:
            unknown = [d for d in self.operations[k].given if d not in other.known]
            further = next((m for d in unknown if (m := self.maker(d, k)) is not None), None)
            if further is None:
                return self.operations[k]
            k = further
        return None

    def place(self, operation: Operation | None) -> Place | None:
        """Return the line of an operation."""
        site = None if operation is None or operation.line is None else self.recording.sites.get(operation.line)
        return None if site is None else Place(site.file, site.line, site.function, site.text, site.around)


def _located(difference: Difference, mine: _Side, theirs: _Side, mixes: dict[str, Difference]) -> Difference | None:
    """Return the difference with the lines of its cause; None if it comes from one of `mixes`, by what differs there.

    The module was given the reference's value; what else is computed of the candidate's own is a mixture of both.
    """
    if not _is_wanted(difference) or difference.event is None or difference.of is None:
        return difference
    event, partner = mine.recording.events[difference.event], theirs.recording.events[difference.of]
    if difference.role == "gradient" and not difference.what.startswith("gradients:"):
        return difference  # what was done to them says why
    if difference.role == "gradient":
        return _graph(difference, mine, theirs)
    digests = _first_apart(event, partner)
    if digests is None:
        return difference
    ours, others = digests
    if ours in theirs.known and others in mine.known:
        found = [side.maker(d, side.until(at)) for side, d, at in
                 ((mine, ours, event.index), (theirs, others, partner.index))]  # fmt: skip
        makers = [None if k is None else side.operations[k] for side, k in zip((mine, theirs), found, strict=True)]
        mixes[ours] = difference
        return _at(difference, mine, theirs, makers[0], makers[1], "order")
    here, there = mine.origin(ours, event.index, theirs), theirs.origin(others, partner.index, mine)
    if (
        here is not None
        and (mixed := next((before for d, before in mixes.items() if d in here.given), None)) is not None
    ):
        mixed.follows.append(
            f"{difference.what.partition(':')[0]}, computed of it: what else differs there is not told"
        )
        return None
    if difference.role in ("forward", "batch"):
        mixes[ours] = difference
    return _at(difference, mine, theirs, here, there, difference.kind)


def _at(
    difference: Difference, mine: _Side, theirs: _Side, here: Operation | None, there: Operation | None, kind: str
) -> Difference:
    difference.kind = kind
    difference.candidate = mine.place(here) or difference.candidate
    difference.reference = theirs.place(there) or difference.reference
    if here is not None and there is not None and kind != "order":
        difference.operations = [_said(there), _said(here)]
    return difference


def _said(operation: Operation) -> str:
    return f"{operation.name}({operation.plain})"


def _graph(difference: Difference, mine: _Side, theirs: _Side) -> Difference:
    """Locate gradients that differ though losses are equal: an operation is part of the graph on one side only."""
    spans = [_since_step(side, event) for side, event in ((mine, difference.event), (theirs, difference.of))]
    ours, others = (Counter(map(_content, span)) for span in spans)
    here = next((one for one in spans[0] if others[_content(one)] < ours[_content(one)]), None)
    there = next((one for one in spans[1] if ours[_content(one)] < others[_content(one)]), None)
    if here is None and there is None:
        return difference
    here = here or _user(there, spans[1], spans[0])
    there = there or _user(here, spans[0], spans[1])
    return _at(difference, mine, theirs, here, there, difference.kind)


def _since_step(side: _Side, event: int | None) -> Sequence[Operation]:
    """Return the operations from the optimiser's step before an event of gradients on."""
    last = event or 0
    before = next((e.index for e in reversed(side.recording.events[:last]) if e.role == "gradient"), -1)
    return side.operations[side.until(before) : side.until(last)]


def _content(operation: Operation) -> Any:
    return operation.name, operation.given, operation.returned, operation.plain


def _user(operation: Operation | None, span: Sequence[Operation], other: Sequence[Operation]) -> Operation | None:
    """Return the operation of the other side that does what comes after this one."""
    if operation is None:
        return None
    k = next(k for k, one in enumerate(span) if one is operation)
    users = [one for one in span[k + 1 :] if set(operation.returned) & set(one.given)]
    return next((one for user in users for one in other if _content(one) == _content(user)), None)


def _first_apart(event: Event, partner: Event) -> tuple[str, str] | None:
    mine, theirs = event.values, partner.values
    named = mine.keys() == theirs.keys()
    for a, b in ((mine[n], theirs[n]) for n in mine) if named else zip(mine.values(), theirs.values(), strict=False):
        if isinstance(a, Numbers) and isinstance(b, Numbers) and a.digest != b.digest:
            return a.digest, b.digest
    return None


def _merged(differences: Sequence[Difference]) -> list[Difference]:
    """Return the differences, those that part at the same lines as one."""
    kept: dict[Any, Difference] = {}
    for difference in differences:
        sign: Any = id(difference)
        if difference.operations:
            sign = tuple(difference.operations) if difference.role == "output" else (
                difference.operations[1], str(difference.candidate))  # fmt: skip
        first = kept.setdefault(sign, difference)
        if first is not difference and first.role == "loss" != difference.role:
            kept[sign], first, difference = difference, difference, first
        if first is not difference:
            first.follows.append(difference.what.partition(":")[0])
    return list(kept.values())
