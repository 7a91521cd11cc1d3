"""Compare two watched scripts event by event: align them, name each difference, and lead the candidate along.

First the two recordings are aligned, stream by stream (draws of one generator, batches, forward passes, ...), by what
the events are and, where equal, by their values. That tells which lines of the two scripts do the same thing. Then the
candidate runs once more beside the reference's recording. At each event the values are compared; where they differ the
difference is kept, and the reference's values are put in their place. So whatever differs later differs by itself.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from msgspec import Struct
from torch import Tensor

from parity.atomic_write import write_atomic
from parity.policy import EPS32
from parity.watch.hooks import STOP
from parity.watch.recording import End, Event, Numbers, Recording, Site

__all__ = [
    "DIFFERENCES", "PASS_BEFORE", "Difference", "Following", "Place", "aligned", "compare_recordings", "led_again",
    "plain_difference", "read_differences",
]  # fmt: skip

DIFFERENCES = "differences.json"
"""The file beside a led run's recording."""

PASS_BEFORE = "led before"
"""The folder of the pass before, where the candidate is led more than once."""

_ROUNDING = 256
"""Units in the last place of the largest number: between two events lie sums of some hundred products."""

_WINDOW = 600
"""Events of one stream that are searched for the partner of an event."""

_ALIGNED = 3000
"""Events of one stream that are aligned: later ones repeat the lines of these."""

_DRAWN = {"seed", "draw"}
_BESIDE = {"note", "printed", "call", "return", "save", "load", "observe", "setting", "zero"}
"""Roles that are compared for what they say, and are no difference of the computation by themselves."""

_LOOSE = {"batch", "optimiser", "scheduler", "clip", "weights", "gradient", "loss", "rate", "output", "forward"}
"""Roles whose events are partners even where their shapes differ."""

_SETTINGS = {"optimiser", "scheduler", "clip"}
"""Roles whose events say which of several things is made, and with what."""

_CAUSED = {"forward", "weights", "batch", "grad", "output", "loss"}
"""Roles whose numbers may come from a draw just before."""

_NUMERIC = {"seed", "draw", "batch", "forward", "output", "loss", "grad", "gradient", "weights"}

KINDS = ("configuration", "randomness", "mathematics", "order", "missing", "extra", "rounding")


class Place(Struct, frozen=True):
    """A line of one script. `around`: the lines before and after it, as numbers and texts."""

    file: str
    line: int
    function: str
    text: str
    around: list[tuple[int, str]] = []

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Difference(Struct, kw_only=True):
    """A difference between two scripts.

    `kind`: one of `KINDS`. `what`: the quantity and both its values. `step`: optimiser steps before it was first seen.
    `count`: times it was seen. `reference`, `candidate`: both lines. `neutralised`: what was put in its place.
    `follows`: what differs because of it. `operations`: those at which both sides part, the
    reference's first. `event`: the candidate's event, `of`: the reference's.
    """

    kind: str
    role: str
    what: str
    step: int
    count: int = 1
    size: float | None = None
    reference: Place | None = None
    candidate: Place | None = None
    neutralised: str = ""
    follows: list[str] = []
    lines: list[str] = []
    operations: list[str] = []
    event: int | None = None
    of: int | None = None

    @property
    def counts(self) -> bool:
        """True if it is more than rounding."""
        return self.kind != "rounding"


@dataclass
class _Found:
    """What a pair of events says: the differing names, and the largest relative error of their numbers."""

    names: list[str] = field(default_factory=list)
    put: dict[str, Any] = field(default_factory=dict)
    size: float = 0.0
    kind: str = "rounding"
    says: list[str] = field(default_factory=list)


class Following:
    """Compare events of a candidate with a recording of the reference, in the order in which they come."""

    def __init__(self, reference: Recording, candidate: Recording | None = None, *, lead: bool = True) -> None:
        self._reference, self._lead = reference, lead
        plan = candidate or _beside(reference)
        self._partners, self._known = aligned(reference, plan) if plan is not None else ({}, set())
        self._plan = plan
        self._streams: dict[str, list[int]] = defaultdict(list)
        for event in reference.events:
            if event.role not in _BESIDE:
                self._streams[_stream(event)].append(event.index)
        self._calls: dict[str, deque[Event]] = defaultdict(deque)
        for event in reference.events:
            if event.role == "call":
                self._calls[event.key].append(event)
        self._at: Counter[str] = Counter()
        self._passed: dict[str, list[int]] = defaultdict(list)
        self.pairs: dict[int, int] = {}
        self._extra: list[Event] = []
        self._differences: dict[Any, Difference] = {}
        self._because: dict[tuple[str, int], list[str]] = defaultdict(list)
        self._apart: dict[str, tuple[str, int] | Difference | None] = {}
        self._open: list[tuple[str, int]] = []
        self._this_step: list[Difference] = []
        self._events: list[Event] = []
        self._sites: dict[int, Site] = {}
        self._other_model: Difference | None = None
        self._zero_of: dict[int, Event] = {}
        self._lines_of: dict[int, int] = {}
        self._pending: Difference | None = None
        self._synced = -1
        self._led_to = {path for paths in self._partners.values() for path in paths}
        self._dtypes: set[tuple[str, str]] = set()
        self._results = {digest for event in reference.events if event.role == "output" for digest in _digests(event)}
        self._other_class: Difference | None = None
        self._changed: tuple[int, Difference] | None = None
        self._round: tuple[str, int] | None = None
        self._latest: dict[str, int] = defaultdict(lambda: -1)
        self._reported: set[tuple[str, str]] = set()
        self.compared: Counter[str] = Counter()
        self.equal: Counter[str] = Counter()

    # What the hooks call

    def meet(self, event: Event, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the reference's values for those that differ, by name."""
        self._events.append(event)
        if self._other_model is not None or event.role in _BESIDE - {"call"}:
            return {}
        if event.role == "call":
            return self._call(event, values)
        stream = _stream(event)
        if event.role == "batch" and self._lead and self._ended(stream, event):
            of = self._streams[stream][: self._at[stream]]
            last = self._reference.events[of[-1]] if of else None
            self._add_plain("configuration", event, last, "more batches than the reference's loader has")
            return {STOP: True}
        partner = self._partner(stream, event)
        if partner is None:
            self._extra.append(event)
            if event.role in _DRAWN:
                self._open.append(("extra", event.index))
                self._apart.setdefault(stream, ("extra", event.index))
            return {}
        self.compared[event.role] += 1
        put = self._compare(stream, event, partner, values)
        self.pairs[event.index] = partner.index
        self._latest[event.role] = partner.index
        if event.role not in _DRAWN:
            self._synced = max(self._synced, partner.index)
        return put

    def more(self, like: Any) -> Any:
        """Return the batch that the reference's loader gave next in the same round; None if it ended as well."""
        listed = self._streams["batch"]
        at = self._at["batch"]
        if not self._lead or at >= len(listed):
            return None
        event = self._reference.events[listed[at]]
        if not event.about.get("number") or self._apart.get("batch", 0) != 0:
            return None
        tensors = [self._reference.tensor(value) for value in event.values.values()]
        if any(tensor is None for tensor in tensors):
            return None
        self._at["batch"] += 1
        self.pairs[-event.index - 1] = event.index
        queue = iter(tensors)
        return _filled(like, queue)

    def _call(self, event: Event, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Compare the arguments of a published function with those of its next call in the reference.

        What is inside a list or a mapping was compared where it was made.
        """
        calls = self._calls[event.key]
        if not calls:
            return {}
        partner = calls.popleft()
        plain, numbers = _Found(), _Found()
        for name, mine in event.values.items():
            other = partner.values.get(name)
            if "." in name or name not in partner.values or _same(mine, other):
                continue
            if isinstance(mine, Numbers) and isinstance(other, Numbers):
                self._differing_argument(numbers, name, mine, other, values.get(name))
            elif not isinstance(mine, Numbers) and not isinstance(other, Numbers):
                plain.names.append(name)
                plain.put[name] = other
                plain.says.append(f"{name} {_number(mine)} for {_number(other)}")
        for found in (plain, numbers):
            if found.names:
                kind = "configuration" if found is plain else _kind_of(found.kind)
                self._add(kind, event, partner, f"arguments of {event.key}: {'; '.join(found.says)}", found)
        return {**plain.put, **numbers.put} if self._lead else {}

    def _differing_argument(self, found: _Found, name: str, mine: Numbers, other: Numbers, value: Any) -> None:
        tensor = self._reference.tensor(other)
        if _shape(mine) != _shape(other):
            found.says.append(f"{name} {mine}, {other} in the reference")
            found.kind, found.size = "shape", float("inf")
            found.names.append(name)
            return
        if tensor is not None:
            found.put[name] = tensor.reshape(mine.shape)
        self._reported.add((mine.digest, other.digest))
        size, kind, says = _apart(value, tensor)
        if tensor is not None and tensor.numel() == 1 and isinstance(value, Tensor):
            says = f"{_number(value.item())} for {_number(tensor.item())}"
        found.names.append(name)
        found.says.append(f"{name} {says}")
        found.size, found.kind = max(found.size, size), _graver(found.kind, kind)

    # Partners

    def _ended(self, stream: str, event: Event) -> bool:
        """True if the reference's loader had no further batch in this round."""
        listed, at = self._streams[stream], self._at[stream]
        number = event.about.get("number") or 0
        if not number:
            return False
        if at >= len(listed):
            return True
        return int(self._reference.events[listed[at]].about.get("number") or 0) < number

    def _partner(self, stream: str, event: Event) -> Event | None:
        events, listed = self._reference.events, self._streams[stream]
        at = self._at[stream]
        if event.role == "output":
            of = self.pairs.get(int(event.about.get("of", -1)))
            while at < len(listed) and of is not None and events[listed[at]].about.get("of") != of:
                at += 1
            if of is None or at >= len(listed):
                return None
            return self._take(stream, at)
        wanted = self._partners.get(event.path)
        if event.role in _DRAWN and (late := self._late(stream, event, wanted)) is not None:
            return late
        window = range(at, min(at + _WINDOW, len(listed)))
        lines = event.path[:1]
        for loose in (False, True):
            if loose and event.role not in _LOOSE:
                break
            for k in window:
                found = events[listed[k]]
                if not loose and found.key != event.key:
                    continue
                if wanted is None and lines and event.path in self._known:
                    continue
                if wanted is not None and found.path not in wanted:
                    continue
                return self._take(stream, k)
        for k, passed in enumerate(self._passed[stream]):
            found = events[passed]
            if wanted is not None and found.path in wanted and found.key == event.key and _equal(event, found):
                del self._passed[stream][k]
                if event.role in _DRAWN:
                    self._add_plain("order", event, found, f"{_named(event)} comes later than in the reference")
                return found
        return self._substituted(stream, event, wanted)

    def _late(self, stream: str, event: Event, wanted: Any) -> Event | None:
        """Return a draw that the reference made since both were last together, in the place of which another came."""
        for k, passed in enumerate(self._passed[stream]):
            found = self._reference.events[passed]
            if passed > self._synced and found.key == event.key and (wanted is None or found.path in wanted):
                del self._passed[stream][k]
                self._add_plain("order", event, found, f"{_named(event)} comes later than in the reference")
                kept = self._differences["order", event.role, event.path[:1], found.path[:1]]
                kept.follows += self._because.pop(("missing", passed), [])
                return found
        return None

    def _substituted(self, stream: str, event: Event, wanted: Any) -> Event | None:
        """Return a draw that has no partner and stands where this one stands, which has none either."""
        listed, at = self._streams[stream], self._at[stream]
        if event.role != "draw" or wanted is not None or at >= len(listed):
            return None
        found = self._reference.events[listed[at]]
        between = self._reference.events[self._synced + 1 : found.index]
        if found.role != "draw" or found.path in self._led_to or any(e.role not in _DRAWN | _BESIDE for e in between):
            return None
        return self._take(stream, at)

    def _take(self, stream: str, k: int) -> Event:
        listed = self._streams[stream]
        for passed in listed[self._at[stream] : k]:
            self._passed[stream].append(passed)
            if self._reference.events[passed].role in _DRAWN:
                self._open.append(("missing", passed))
                self._apart.setdefault(stream, ("missing", passed))
        self._at[stream] = k + 1
        return self._reference.events[listed[k]]

    # Values

    def _compare(self, stream: str, event: Event, partner: Event, values: Mapping[str, Any]) -> Mapping[str, Any]:
        found = self._differing(event, partner, values)
        if not found.names:
            self.equal[event.role] += 1
            if event.role in _DRAWN:
                self._apart.pop(stream, None)
        else:
            self._keep(stream, event, partner, found)
        if event.role == "gradient":
            self._this_step = []
        if event.role not in _DRAWN and event.role not in ("optimiser", "scheduler"):
            self._open, self._pending = [], None
        return found.put if self._lead else {}

    def _differing(self, event: Event, partner: Event, values: Mapping[str, Any]) -> _Found:
        found = _Found()
        if event.role in _SETTINGS and event.key != partner.key:
            found.names, found.kind, found.says = ["class"], "plain", [f"{event.key} for {partner.key}"]
        named = _paired(event, partner)
        if named is None and self._another_pass(event):
            return found
        if named is None:
            found.names, found.kind, found.size = list(event.values) or ["form"], "shape", float("inf")
            found.says = [f"{_form(event)}, {_form(partner)} in the reference"]
            if event.role == "gradient" and not event.values:
                found.says = ["there are none"]
                found.put = {name: self._reference.tensor(value) for name, value in partner.values.items()}
            if event.role == "batch" and len(event.values) == len(partner.values):
                named = list(zip(event.values, partner.values, strict=True))
            else:
                return found
        for name, theirs in named:
            mine, other = event.values[name], partner.values[theirs]
            if _same(mine, other):
                continue
            seen = (mine.digest, other.digest) if isinstance(mine, Numbers) and isinstance(other, Numbers) else None
            if seen in self._reported and event.role == "forward":
                tensor = self._reference.tensor(other)
                if tensor is not None and isinstance(mine, Numbers):
                    found.put[name] = tensor.reshape(mine.shape)
                continue
            if seen is not None:
                self._reported.add(seen)
            if name not in found.names:
                found.names.append(name)
            if isinstance(other, Numbers):
                tensor = self._reference.tensor(other)
                if isinstance(mine, Numbers) and self._another_dtype(
                    found, name, mine, other, values.get(name), tensor
                ):
                    continue
                if tensor is not None:
                    found.put[name] = tensor
                if isinstance(mine, Numbers) and _shape(mine) == _shape(other):
                    found.put |= {} if tensor is None else {name: tensor.reshape(mine.shape)}
                    size, kind, says = _apart(values.get(name), tensor)
                    found.says.append(f"{name} {says}" if len(event.values) > 1 else says)
                    found.size = max(found.size, size)
                    found.kind = _graver(found.kind, kind)
            else:
                found.put[name] = other
                found.kind = _graver(found.kind, "plain")
                found.says.append(f"{name} {_number(mine)} for {_number(other)}")
        return found

    def _another_pass(self, event: Event) -> bool:
        """True for a module's pass that is divided otherwise: gradients, or results, tell whether it differs."""
        if event.role == "forward":
            return True
        if event.role != "output":
            return False
        of = self._by_index(int(event.about.get("of", -1)))
        return of is None or bool(of.about.get("grad", True)) or bool(self._results & set(_digests(event)))

    def _another_dtype(
        self, found: _Found, name: str, mine: Numbers, other: Numbers, value: Any, tensor: Tensor | None
    ) -> bool:
        """Say once that numbers have another precision; True where they are the same but for that."""
        if mine.dtype == other.dtype or not (mine.dtype.startswith("float") and other.dtype.startswith("float")):
            return False
        if _shape(mine) != _shape(other) or value is None or tensor is None:
            return False
        if (mine.dtype, other.dtype) not in self._dtypes:
            self._dtypes.add((mine.dtype, other.dtype))
            found.kind = _graver(found.kind, "plain")
            found.says.append(f"{name} is {mine.dtype}, {other.dtype} in the reference")
            return _apart(value, tensor)[1] == "rounding"
        found.names.remove(name)
        if _apart(value, tensor)[1] == "rounding":
            return True
        found.names.append(name)
        return False

    def _keep(self, stream: str, event: Event, partner: Event, found: _Found) -> None:
        """Keep a difference, or say of which other one it is a consequence."""
        says = f"{_named(event)}: {'; '.join(found.says[:4])}" + (" ..." if len(found.says) > 4 else "")
        if self._follows_unled(event, found):
            return
        if event.role == "weights" and found.kind == "shape":
            mine, theirs = (str(e.about.get("module") or "a model") for e in (event, partner))
            what = f"trains {mine} in the place of {theirs}: {_sizes(event)} for {_sizes(partner)}"
            self._other_model = self._add("mathematics", event, partner, f"{what}; nothing after it is compared", found)
            return
        if event.role == "draw" and event.key != partner.key:
            self._keep_law(stream, event, partner, found)
            return
        if event.role == "draw":
            cause = self._apart.get(stream)
            if isinstance(cause, Difference):
                cause.follows.append(f"{_named(event)} {self._where(event)}")
                return
            if cause is not None:
                self._because[cause].append(f"{_named(event)} {self._where(event)}")
                return
            self._apart[stream] = None
            self._add("randomness", event, partner, f"{_named(event)} gives other numbers", found)
            return
        if event.role == "seed":
            self._add(
                "configuration", event, partner, f"seed of {event.key}: {found.says[0].removeprefix('seed ')}", found
            )
            return
        cause = self._cause(event, partner) if found.kind != "rounding" else None
        if self._pending is not None and cause is None and event.role in _CAUSED and found.kind != "rounding":
            self._pending.follows.append(f"{_named(event)} {self._where(event)}")
            self._this_step.append(self._pending)
            return
        if cause is None and event.role == "batch" and event.about.get("number"):
            cause = self._round
        if event.role == "batch":
            self._round = cause
        if cause is not None:
            self._because[cause].append(f"{_named(event)} {self._where(event)}")
            return
        if event.role == "gradient" and self._handled_otherwise(event, partner, found):
            return
        if event.role == "gradient" and (zeroed := self._zeroed(event, partner)) is not None:
            kept = self._add("mathematics", event, partner, zeroed[0], found)
            kept.candidate = self._place(zeroed[1]) or kept.candidate
            self._zero_of[kept.event or 0] = zeroed[1]
            return
        if event.role == "gradient" and self._this_step:
            self._this_step[-1].follows.append(f"gradients, step {event.step}")
            return
        if event.role in ("rate",) and (made := self._made("scheduler")) is not None:
            made.follows.append(f"{says}, step {event.step}")
            return
        if event.role == "weights" and event.about.get("why") == "step" and self._other_class is not None:
            self._other_class.follows.append(f"{_named(event)} {self._where(event)}")
            return
        if event.role == "loss" and self._changed is not None and self._changed[0] == event.index - 1:
            self._changed[1].follows.append(f"{_named(event)} {self._where(event)}")
            self._this_step.append(self._changed[1])
            return
        kind = _CLASS.get((event.role, found.kind)) or _CLASS.get((event.role, "")) or _kind_of(found.kind)
        kept = self._add(kind, event, partner, says, found)
        if event.role == "optimiser" and event.key != partner.key:
            self._other_class = kept
        if event.role == "weights" and event.about.get("why") == "changed":
            self._changed = event.index, kept
        if event.role in ("forward", "output", "loss", "batch") and kept.counts:
            self._this_step.append(kept)

    def _keep_law(self, stream: str, event: Event, partner: Event, found: _Found) -> None:
        """Keep a draw of another law or size, in the place of the reference's."""
        what = f"{_named(event)}, {partner.key} in the reference"
        law, theirs = event.key.partition("[")[0], partner.key.partition("[")[0]
        sized = next((d for d in self._differences.values() if d.size == float("inf")), None)
        if law == theirs and sized is not None:
            sized.follows.append(f"{_named(event)} {self._where(event)}")
            return
        setting = event.about.get("function") == partner.about.get("function") and "dropout" in law
        sign = "law", event.path[:1], partner.path[:1], event.about.get("function")
        if sign not in self._differences:
            kind = "configuration" if setting or law == theirs else "randomness"
            self._differences[sign] = self._made_difference(kind, event, partner, what, found)
        else:
            self._differences[sign].count += 1
        self._pending = self._apart[stream] = self._differences[sign]

    def _handled_otherwise(self, event: Event, partner: Event, found: _Found) -> bool:
        """True where what was done to the gradients since the last step tells why they differ."""
        mine, theirs = ([list(e) for e in side.about.get("since") or ()] for side in (event, partner))
        batches = _accumulated(self._events, event)[0], _accumulated(self._reference.events, partner)[0]
        for what, name in (("clip", "clip"), ("zero_grad", "zero_grad")):
            ours, others = ([line for did, line in side if did == what] for side in (mine, theirs))
            if len(ours) == len(others) and [e[0] for e in mine] == [e[0] for e in theirs]:
                continue
            if what == "clip" and len(ours) != len(others):
                self._because["clip", -1].append(f"gradients {self._where(event)}")
                return True
            if what == "clip" or batches[0] == batches[1] or (len(ours) > len(others) and len(ours) > 1):
                continue
            kind = "missing" if len(ours) < len(others) else "order" if len(ours) == len(others) else "extra"
            if kind == "order" and sorted(e[0] for e in mine) != sorted(e[0] for e in theirs):
                continue
            says = {
                "missing": f"{name} is missing",
                "extra": f"{name} only in the candidate",
                "order": f"{name} at another place",
            }
            sign = "since", what, kind, event.path[:1], partner.path[:1]
            if sign in self._differences:
                self._differences[sign].count += 1
                return True
            made = self._made_difference(
                kind, event, partner, f"{says[kind]}: {_named(event)}: {'; '.join(found.says[:2])}", found
            )
            at, of = (next((line for line in lines if line is not None), None) for lines in (ours, others))
            made.reference = _place(self._reference.sites.get(of)) if of is not None else made.reference
            if at is not None:
                self._lines_of[event.index] = at
            self._differences[sign] = made
            return True
        return False

    def _zeroed(self, event: Event, partner: Event) -> tuple[str, Event] | None:
        """Return what is said of gradients of other batches than the reference's, and where they were set to zero."""
        (mine, last), (theirs, _) = _accumulated(self._events, event), _accumulated(self._reference.events, partner)
        if mine == theirs or last is None:
            return None
        batches = "batch" if mine == 1 else "batches"
        return f"gradients of {mine} {batches}, of {theirs} in the reference: set to zero in between", last

    def _follows_unled(self, event: Event, found: _Found) -> bool:
        """Without neutralising, what differs after the first difference in numbers may come from it: say that."""
        if self._lead or event.role == "seed":
            return False
        made = self._made("optimiser") if event.role == "rate" else None
        if made is not None:
            made.follows.append(f"{_named(event)} {self._where(event)}")
            return True
        if found.kind == "plain" and event.role != "forward":
            return False
        first = next((d for d in self._differences.values() if d.role in _NUMERIC and d.counts), None)
        if first is None or (event.role == "batch" and found.kind == "shape"):
            return False
        first.follows.append(f"{_named(event)} {self._where(event)}")
        return True

    def _cause(self, event: Event, partner: Event) -> tuple[str, int] | None:
        """Return the draw that one side alone made just before, from which the difference may come."""
        if event.role not in _CAUSED:
            return None
        if self._open:
            return self._open[-1]
        if event.role in ("output", "loss"):
            return None
        taken = set(self.pairs.values())
        for index in range(partner.index - 1, self._latest[event.role], -1):
            found = self._reference.events[index]
            if found.role in _DRAWN and index not in taken:
                return "missing", index
        return None

    def _made(self, role: str) -> Difference | None:
        made = next((d for d in self._differences.values() if d.role == role), None)
        if made is not None:
            return made
        return None

    def _add(self, kind: str, event: Event, partner: Event, what: str, found: _Found) -> Difference:
        sign = self._sign(kind, event, partner, found)
        kept = self._differences.get(sign)
        if kept is not None:
            kept.count += 1
            kept.size = max(kept.size or 0.0, found.size)
            return kept
        made = self._differences[sign] = self._made_difference(kind, event, partner, what, found)
        return made

    def _made_difference(self, kind: str, event: Event, partner: Event, what: str, found: _Found) -> Difference:
        put = _NEUTRALISED.get(event.role, "the reference's values are put there") if found.put and self._lead else ""
        mine, theirs = (_line(side, names) for side, names in ((event, found.names), (partner, found.names)))
        if mine is not None:
            self._lines_of[event.index] = mine
        place = self._reference.sites.get(theirs) if theirs is not None else self._reference.site(partner)
        return Difference(
            kind=kind, role=event.role, what=what, step=event.step, size=found.size, event=event.index,
            of=partner.index, reference=_place(place), candidate=self._place(event), neutralised=put,
        )  # fmt: skip

    def _sign(self, kind: str, event: Event, partner: Event, found: _Found) -> Any:
        """Return what two findings of one difference share. Inputs of forward passes came from somewhere before."""
        if event.role == "forward":
            functions = [self._function(event), getattr(self._reference.site(partner), "function", "")]
            return kind, event.role, *functions
        return kind, event.role, event.path[:1], partner.path[:1], tuple(sorted(found.names))

    def _function(self, event: Event) -> str:
        site = self._plan.site(event) if self._plan is not None else None
        return site.function if site is not None else str(event.path[:1])

    def _add_plain(self, kind: str, event: Event, partner: Event | None, what: str) -> None:
        sign = kind, event.role, event.path[:1], partner.path[:1] if partner else ()
        if sign in self._differences:
            self._differences[sign].count += 1
            return
        self._differences[sign] = Difference(
            kind=kind, role=event.role, what=what, step=event.step, event=event.index,
            reference=None if partner is None else _place(self._reference.site(partner)), candidate=self._place(event),
        )  # fmt: skip

    # The end

    def finish(self, end: End | None, sites: Mapping[int, Site]) -> list[Difference]:
        """Return all differences in the order in which they come; `end`: how the candidate ended."""
        self._sites = dict(sites)
        events = self._reference.events
        taken = set(self.pairs.values())
        last = max(taken, default=-1)
        whole = end is not None and end.how == "finished"
        for kept in self._differences.values():
            if kept.event is not None:
                line = self._lines_of.get(kept.event)
                kept.candidate = (
                    self._place(self._zero_of.get(kept.event) or self._by_index(kept.event))
                    if line is None
                    else _place(self._sites.get(line))
                )
        found = list(self._differences.values())
        if self._other_model is not None:
            events, whole = events[: self._other_model.of], False
        unmatched = [e for e in events if e.index not in taken and e.role not in _BESIDE]
        unmatched = _without_divided(unmatched, events, self._events)
        before = [e for e in unmatched if e.index < last]
        blocks = _blocks(before, taken, {e.index for e in events if e.role in _BESIDE})
        found += self._grouped("missing", blocks, self._reference.sites)
        mine = {e.index for e in self._events if e.role in _BESIDE}
        matched = {index for index in self.pairs if index >= 0}
        extra = _without_divided(self._extra, self._events, events)
        found += self._grouped("extra", _blocks(extra, matched, mine), self._sites)
        rest = [e for e in unmatched if e.index > last]
        lines = {line for d in found if d.kind == "randomness" and d.reference for line in d.lines}
        if all(e.role == "draw" and str(self._reference.site(e)) in lines for e in rest):
            rest = []
        if rest and whole:
            found.append(self._goes_on(rest, end))
        if end is not None and end.how not in ("finished", "stopped") and self._other_model is None:
            site = None if end.site is None else self._sites.get(end.site)
            found.append(
                Difference(
                    kind="missing", role="end", what=f"{end.how}: {end.why}; nothing after it is compared",
                    step=self._events[-1].step if self._events else 0, candidate=_place(site),
                    event=len(self._events),
                )
            )  # fmt: skip
        theirs_end = self._reference.end
        if theirs_end is not None and theirs_end.how not in ("finished", "stopped"):
            found.append(
                Difference(
                    kind="extra", role="end", step=events[-1].step if events else 0, of=len(self._reference.events),
                    what=f"the reference {theirs_end.how}: {theirs_end.why}; what follows is compared with nothing",
                    reference=_place(self._reference.site(theirs_end)),
                )
            )  # fmt: skip
        back = {theirs: mine for mine, theirs in self.pairs.items() if mine >= 0}
        for made in found:
            made.follows = _counted(made.follows)
        return sorted(found, key=lambda d: _when(d, back))

    def write(self, out: Path) -> None:
        """Write the differences beside the candidate's recording."""
        recording = Recording(out, partial=True)
        found = self.finish(recording.end, recording.sites)
        document = {
            "differences": [plain_difference(d) for d in found],
            "compared": dict(self.compared),
            "equal": dict(self.equal),
            "pairs": [[mine, theirs] for mine, theirs in sorted(self.pairs.items())],
        }
        write_atomic(out / DIFFERENCES, json.dumps(document, allow_nan=False) + "\n")

    def _goes_on(self, rest: Sequence[Event], end: End | None) -> Difference:
        del end
        counts = Counter(e.role for e in rest)
        says = ", ".join(f"{n} x {role}" for role, n in counts.most_common(4))
        return Difference(
            kind="missing", role="end", what=f"the candidate ends here; the reference goes on ({says})",
            step=rest[0].step, reference=_place(self._reference.site(rest[0])), of=rest[0].index,
        )  # fmt: skip

    def _grouped(self, kind: str, blocks: Iterable[list[Event]], sites: Mapping[int, Site]) -> Iterator[Difference]:
        groups: dict[Any, Difference] = {}
        for block in blocks:
            evaluates = self._evaluates(kind, block)
            drawn = {e.role for e in block} <= _DRAWN
            sign = (evaluates, *dict.fromkeys(("draw" if drawn else e.role, e.path[:1]) for e in block))
            because = [text for e in block for text in self._because.get((kind, e.index), ())]
            if any(e.role == "clip" for e in block):
                because += self._because.pop(("clip", -1), [])
            if sign in groups:
                groups[sign].count += 1
                groups[sign].follows += because
                continue
            first = next((e for e in block if e.path), block[0])
            place = _place(sites.get(first.path[0])) if first.path else None
            other = self._other_place(kind, block)
            names = list(dict.fromkeys(_named(e) for e in block))
            roles = {e.role for e in block}
            groups[sign] = Difference(
                kind="randomness" if roles <= _DRAWN else kind,
                role=first.role,
                what=f"{kind} in the candidate: " if kind == "missing" else "only in the candidate: ",
                step=first.step,
                reference=place if kind == "missing" else other,
                candidate=place if kind == "extra" else other,
                follows=because,
                lines=[str(sites[e.path[0]]) for e in block if e.path and e.path[0] in sites],
                of=first.index if kind == "missing" else None,
                event=first.index if kind == "extra" else None,
            )
            groups[sign].what += ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
            groups[sign].what += ", before a forward pass without gradients" if evaluates else ""
        for made in groups.values():
            made.lines = list(dict.fromkeys(made.lines))[:12]
            yield made

    def _evaluates(self, kind: str, block: Sequence[Event]) -> bool:
        """True if a block of draws comes before a forward pass without gradients."""
        events = self._reference.events if kind == "missing" else self._events
        if not {e.role for e in block} <= _DRAWN:
            return False
        after = (e for e in events[block[-1].index + 1 :] if e.role not in _BESIDE | _DRAWN | {"weights"})
        then = next(after, None)
        return then is not None and then.role == "forward" and not then.about.get("grad", True)

    def _other_place(self, kind: str, block: Sequence[Event]) -> Place | None:
        """Return the line of the other script at what comes next on both sides."""
        last = block[-1].index
        if kind == "missing":
            after = min((theirs for theirs in self.pairs.values() if theirs > last), default=None)
            mine = next((m for m, theirs in self.pairs.items() if theirs == after and m >= 0), None)
            return None if mine is None else self._place(self._by_index(mine))
        mine = min((m for m in self.pairs if m > last), default=None)
        return None if mine is None else _place(self._reference.site(self._reference.events[self.pairs[mine]]))

    def _where(self, event: Event) -> str:
        return f"at step {event.step}"

    def _by_index(self, index: int) -> Event | None:
        return (
            self._events[index]
            if index < len(self._events) and self._events[index].index == index
            else next((e for e in self._events if e.index == index), None)
        )

    def _place(self, event: Event | None) -> Place | None:
        return None if event is None or not event.path else _place(self._sites.get(event.path[0]))


def compare_recordings(reference: Recording, candidate: Recording) -> tuple[list[Difference], Following]:
    """Return the differences of two recordings, none neutralised: what follows from the first one is not told apart."""
    following = Following(reference, candidate, lead=False)
    for event in candidate.events:
        values = {
            name: candidate.tensor(value) if isinstance(value, Numbers) else value
            for name, value in event.values.items()
        }
        following.meet(event, values)
    return following.finish(candidate.end, candidate.sites), following


def led_again(reference: Recording, led: Recording) -> Following:
    """Return what was followed in a led run that could not write it itself. Its numbers were not stored."""
    following = Following(reference)
    for event in led.events:
        following.meet(event, {n: None if isinstance(v, Numbers) else v for n, v in event.values.items()})
    return following


def read_differences(out: Path) -> dict[str, Any]:
    """Return what `Following.write` wrote."""
    document: dict[str, Any] = json.loads((out / DIFFERENCES).read_text())
    document["differences"] = [
        Difference(
            **{
                **entry,
                **{side: Place(**entry[side]) if entry[side] else None for side in ("reference", "candidate")},
            }
        )
        for entry in document["differences"]
    ]
    return document


def aligned(
    reference: Recording, candidate: Recording
) -> tuple[dict[tuple[int, ...], set[tuple[int, ...]]], set[tuple[int, ...]]]:
    """Return which places of the reference do what each place of the candidate does, and all places of the candidate.

    A place is a path of lines. Streams are aligned each by itself, globally, with gaps.
    """
    votes: dict[tuple[int, ...], Counter[tuple[int, ...]]] = defaultdict(Counter)
    mine, theirs = _by_stream(candidate.events), _by_stream(reference.events)
    for stream in mine.keys() & theirs.keys():
        for i, j in _alignment(mine[stream][:_ALIGNED], theirs[stream][:_ALIGNED]):
            votes[i.path][j.path] += 1
    partners = {
        path: {other for other, count in counts.items() if count >= 0.1 * counts.total()}
        for path, counts in votes.items()
    }
    return partners, {e.path for e in candidate.events}


def _by_stream(events: Iterable[Event]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.role not in _BESIDE and event.role != "output":
            found[_stream(event)].append(event)
    return found


def _alignment(mine: Sequence[Event], theirs: Sequence[Event]) -> list[tuple[Event, Event]]:
    """Align two sequences globally: equal keys count, equal values count more, a gap costs a little."""
    keys: dict[str, int] = {}
    digests: dict[Any, int] = {}

    def numbered(events: Sequence[Event]) -> tuple[Any, Any, Any]:
        k = [keys.setdefault(e.key, len(keys)) for e in events]
        d = [digests.setdefault(_content(e), len(digests)) for e in events]
        loose = [e.role in _LOOSE for e in events]
        return np.array(k), np.array(d), np.array(loose)

    (ka, da, la), (kb, db, _) = numbered(mine), numbered(theirs)
    gap = -0.4
    n, m = len(mine), len(theirs)
    best = np.arange(m + 1) * gap
    came = np.zeros((n, m + 1), dtype=np.int8)
    ramp = np.arange(m + 1) * gap
    early = np.arange(m) * 1e-6  # of equal alignments, the earliest
    for i in range(n):
        score = np.where(kb == ka[i], 1.0, 0.2 if la[i] else -2.0) + np.where(db == da[i], 1.0, 0.0) - early
        diagonal = np.concatenate(([-np.inf], best[:-1] + score))
        up = best + gap
        new = np.maximum(diagonal, up)
        whole = np.maximum.accumulate(new - ramp) + ramp
        came[i] = np.where(whole > new + 1e-12, 2, np.where(diagonal >= up, 0, 1))
        best = whole
    pairs = []
    i, j = n - 1, m
    while i >= 0 and j >= 0:
        if came[i, j] == 0 and j > 0:
            if ka[i] == kb[j - 1] or la[i]:
                pairs.append((mine[i], theirs[j - 1]))
            i, j = i - 1, j - 1
        elif came[i, j] == 2 and j > 0:
            j -= 1
        else:
            i -= 1
    return pairs[::-1]


def _digests(event: Event) -> list[str]:
    """Return the digests of the numbers that are more than a few: these are the same by chance as well."""
    return [v.digest for v in event.values.values() if isinstance(v, Numbers) and v.digest and np.prod(v.shape) > 1]


def _line(event: Event, names: Sequence[str]) -> int | None:
    """Return the line that set what an event reports, where it is known to be another one than the event's."""
    if event.role == "rate":
        return event.about.get("set_at")
    lines = event.about.get("lines") or {}
    return next((lines[name] for name in names if name in lines), None)


def _without_divided(unmatched: Sequence[Event], events: Sequence[Event], others: Sequence[Event]) -> list[Event]:
    """Return the events without passes of modules that the other script divides otherwise, to the same result.

    With gradients, losses and gradients tell whether a pass differs.
    """
    results = {digest for event in others if event.role == "output" for digest in _digests(event)}
    of = {e.about.get("of"): e for e in events if e.role == "output"}
    known = {e.index: e for e in events if e.role == "forward"}

    def divided(event: Event) -> bool:
        if event.role not in ("forward", "output"):
            return False
        forward = event if event.role == "forward" else known.get(int(event.about.get("of", -1)))
        output = of.get(event.index) if event.role == "forward" else event
        graded = forward is None or bool(forward.about.get("grad", True))
        return graded or (output is not None and bool(results & set(_digests(output))))

    return [event for event in unmatched if not divided(event)]


def _content(event: Event) -> Any:
    return event.key, tuple(v.digest if isinstance(v, Numbers) else v for v in event.values.values())


def _stream(event: Event) -> str:
    if event.role == "draw":
        return f"draws of {event.about.get('generator')}"
    if event.role == "seed":
        return f"draws of {event.key}"
    return event.role


def _beside(reference: Recording) -> Recording | None:
    """Return the candidate's recording of the pass before, which lies beside the reference's."""
    folders = [reference.folder.parent / name for name in (PASS_BEFORE, "candidate")]
    found = next((folder for folder in folders if folder.is_dir()), None)
    return Recording(found, partial=True) if found is not None else None


def _blocks(events: Sequence[Event], taken: set[int], beside: set[int]) -> Iterator[list[Event]]:
    """Yield runs of events with nothing between them that the other side has as well."""
    block: list[Event] = []
    for event in events:
        if block and any(k in taken for k in range(block[-1].index + 1, event.index) if k not in beside):
            yield block
            block = []
        block.append(event)
    if block:
        yield block


def _paired(event: Event, partner: Event) -> list[tuple[str, str]] | None:
    """Return names that belong together: by place, or else by name; None where the forms differ."""
    mine, theirs = event.values, partner.values
    if mine.keys() == theirs.keys():
        pairs = [(n, n) for n in mine]
    elif event.role in ("optimiser", "scheduler", "clip"):
        return [(n, n) for n in mine if n in theirs] if event.key == partner.key else None
    elif len(mine) == len(theirs):
        pairs = list(zip(mine, theirs, strict=True))
    else:
        return None
    return pairs if all(_shape(mine[a]) == _shape(theirs[b]) for a, b in pairs) else None


def _shape(value: Any) -> Any:
    """Return the dimensions that hold more than one entry: (B, 1) and (B,) hold the same numbers."""
    return tuple(n for n in value.shape if n != 1) if isinstance(value, Numbers) else None


def _same(mine: Any, other: Any) -> bool:
    if isinstance(mine, Numbers) and isinstance(other, Numbers):
        return (mine.digest, _shape(mine)) == (other.digest, _shape(other))
    if isinstance(mine, Numbers) or isinstance(other, Numbers):
        return False
    return bool(mine == other) or (mine != mine and other != other)


def _equal(event: Event, partner: Event) -> bool:
    return bool(_content(event) == _content(partner))


def _accumulated(events: Sequence[Event], gradient: Event) -> tuple[int, Event | None]:
    """Return the number of losses since gradients were last set to zero, and the event that did so."""
    losses = 0
    for k in range(min(gradient.index, len(events)) - 1, -1, -1):
        if events[k].role == "zero":
            return losses, events[k]
        losses += events[k].role == "loss"
    return losses, None


def _apart(mine: Any, theirs: Tensor | None) -> tuple[float, str, str]:
    """Return the largest error relative to the largest number, its kind, and a sentence."""
    if theirs is None or mine is None:
        return float("nan"), "values", "differs (its numbers were not stored)"
    a = mine.detach().cpu() if isinstance(mine, Tensor) else torch.as_tensor(np.asarray(mine))
    b = theirs.reshape(a.shape) if a.numel() == theirs.numel() else theirs
    if not a.is_floating_point() or not b.is_floating_point():
        share = float((a != b).double().mean()) if a.shape == b.shape else 1.0
        if a.shape == b.shape and a.ndim >= 1 and torch.equal(a.flatten().sort()[0], b.flatten().sort()[0]):
            return 1.0, "order", "has the same entries in another order"
        return 1.0, "values", f"differs in {share:.0%} of its entries"
    a, b = a.double(), b.double()
    if a.ndim >= 1 and len(a) > 1 and _permuted(a, b):
        return 1.0, "order", "has the same rows in another order"
    scale = float(b.abs().max()) if b.numel() else 0.0
    gap = float((a - b).abs().max()) if b.numel() else 0.0
    if not np.isfinite(gap):
        return float("inf"), "values", "is not finite on one side only"
    size = gap / scale if scale else float("inf") if gap else 0.0
    kind = "rounding" if size <= _ROUNDING * EPS32 else "values"
    return size, kind, f"differs by {size:.2g} of its largest number"


def _permuted(a: Tensor, b: Tensor) -> bool:
    rows = [tuple(r.flatten()[:8].tolist()) for r in a[:512]]
    others = [tuple(r.flatten()[:8].tolist()) for r in b[:512]]
    return bool(rows != others and sorted(rows) == sorted(others))


_ORDER = ("rounding", "order", "plain", "values", "shape")


def _graver(a: str, b: str) -> str:
    return max(a, b, key=_ORDER.index)


def _kind_of(found: str) -> str:
    return {"rounding": "rounding", "order": "order", "plain": "configuration"}.get(found, "mathematics")


_CLASS: Mapping[tuple[str, str], str] = {
    ("optimiser", ""): "configuration",
    ("scheduler", ""): "configuration",
    ("clip", ""): "configuration",
    ("rate", ""): "configuration",
    ("batch", "shape"): "configuration",
    ("forward", "plain"): "configuration",
}
"""Classes of differences by role and by what differs, where the numbers alone do not say it."""

_NEUTRALISED: Mapping[str, str] = {
    "seed": "seeded with the reference's",
    "draw": "the reference's numbers are drawn",
    "optimiser": "given the reference's settings",
    "weights": "the reference's weights are copied in",
    "batch": "the reference's batch is given",
    "forward": "the reference's inputs are given",
    "output": "the reference's output is given, with its own gradient",
    "loss": "the reference's loss is given, with its own gradient",
    "gradient": "the reference's gradients are copied in",
    "rate": "the reference's rate is set",
    "grad": "the reference's gradient is returned",
    "call": "called with the reference's",
}

_ROLES: Mapping[str, str] = {
    "optimiser": "the optimiser", "scheduler": "the scheduler", "forward": "inputs of the forward pass",
    "output": "output of the forward pass", "gradient": "gradients", "rate": "learning rate", "grad": "autograd.grad",
    "batch": "batch", "loss": "loss",
}  # fmt: skip


def _named(event: Event) -> str:
    if event.role == "draw":
        return f"draw {event.key} of {event.about.get('generator')}"
    if event.role == "seed":
        return f"seed of {event.key}"
    if event.role == "weights":
        why = {"initial": "initial weights", "step": "weights after the optimiser's step"}
        return why.get(event.about.get("why", ""), "weights changed outside of the optimiser")
    if event.role in ("optimiser", "scheduler", "clip"):
        return f"{_ROLES.get(event.role, event.role)} {event.key}"
    return _ROLES.get(event.role, event.role)


def _form(event: Event) -> str:
    if event.role in ("optimiser", "scheduler", "clip"):
        return f"{event.key}({', '.join(f'{n}={_number(v)}' for n, v in event.values.items())})"
    return ", ".join(str(v) if isinstance(v, Numbers) else _number(v) for v in event.values.values())[:200]


def _sizes(event: Event) -> str:
    weights = [value for value in event.values.values() if isinstance(value, Numbers)]
    return f"{len(weights)} parameters, the first {list(weights[0].shape)}" if weights else "none"


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _place(site: Site | None) -> Place | None:
    return None if site is None else Place(site.file, site.line, site.function, site.text, site.around)


def _when(difference: Difference, back: Mapping[int, int]) -> float:
    if difference.event is not None:
        return float(difference.event)
    of = difference.of if difference.of is not None else 0
    return max((mine + 0.5 for theirs, mine in back.items() if theirs < of), default=-1.0)


def plain_difference(difference: Difference) -> dict[str, Any]:
    """Return a difference as it is written."""
    plain = {name: getattr(difference, name) for name in difference.__struct_fields__}
    size = plain["size"]
    plain["size"] = None if size is None or not np.isfinite(size) else float(size)
    for side in ("reference", "candidate"):
        place = plain[side]
        plain[side] = None if place is None else {n: getattr(place, n) for n in place.__struct_fields__}
    return plain


def _counted(texts: Sequence[str]) -> list[str]:
    """Return texts that differ in the step alone once, with the first step and how many there are."""
    groups: dict[str, list[str]] = defaultdict(list)
    for text in texts:
        head, _, step = text.rpartition(" step ")
        groups[head or text].append(step)
    return [
        f"{head.rstrip(', ').removesuffix(' at')}" + (f", {len(steps)} times" if len(steps) > 1 else "")
        for head, steps in groups.items()
    ]


def _filled(like: Any, tensors: Iterator[Any]) -> Any:
    if isinstance(like, Mapping):
        return {k: _filled(v, tensors) for k, v in like.items()}
    if isinstance(like, list | tuple):
        items = [_filled(v, tensors) for v in like]
        return items if isinstance(like, list) else tuple(items)
    if isinstance(like, Tensor):
        return next(tensors).to(like.device)
    return next(tensors).numpy() if isinstance(like, np.ndarray) else like
