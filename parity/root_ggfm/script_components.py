"""Judge the components of this study that two watched scripts perform, from what was recorded of them.

Each component has evidence: calls of published functions with what they return, or events that are its own. Evidence
that is equal to the bit is equal; what differs only because something before it does is no evidence. A component with
no evidence at all is `missing`, never a pass.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from parity.policy import EPS32
from parity.results import plain_result
from parity.root_ggfm.components import REGISTRY
from parity.search import ComponentResult
from parity.verdict import Judgement, Verdict
from parity.watch.follow import Difference
from parity.watch.pair import Pair
from parity.watch.recording import Event, Numbers, Recording, Value

__all__ = ["component_of", "judge_scripts"]

_ROUNDING = 256
"""Units in the last place of the largest number that sums of some hundred products may differ by."""

_RETURNS: Mapping[str, tuple[str, ...]] = {
    "q_sample": ("q_sample",),
    "predict_x0": ("predict_x0_from_objective",),
    "p_losses": ("p_losses",),
    "p_sample": ("p_sample",),
    "sample": ("sample",),
    "gp_pairs": ("sampling_data_from_GP",),
    "split": ("create_train_dataloader",),
    "candidates": ("sampling_from_offline_data",),
}
"""Published functions whose results are the component."""

_OTHER_NAMES: Mapping[str, str] = {"predict_x0_from_objective": "_predict_x0"}
"""Names in `reference_root` of published functions that its own methods do not call."""

_ARGUMENTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "offline_data": ("GP", ("x_train", "y_train")),
    "gp": ("GP", ("lengthscale", "variance", "noise", "mean_prior")),
    "pool": ("sampling_data_from_GP", ("x_train",)),
    "candidates": ("sample", ("x_low", "y_low")),
    "target": ("sample", ("y_high",)),
}
"""Published functions whose arguments are what the component computed."""

_OBSERVED: Mapping[str, tuple[str, ...]] = {
    "schedule": ("m_t", "m_tminus", "variance_t", "variance_tminus", "variance_t_tminus", "posterior_variance_t"),
    "encoding": ("task.to_logits() returns", "task.x"),
    "evaluation": ("task.predict()", "task.predict() returns"),
    "defaults": ("defaults of sample", "defaults of sampling_data_from_GP"),
}
"""Observed values by their keys."""

_EVENTS: Mapping[str, tuple[str, ...]] = {
    "initial_weights": ("weights initial",),
    "optimiser": ("optimiser", "scheduler", "clip", "rate", "weights step"),
    "loader": ("batch",),
    "training_loss": ("output in training", "loss", "gradient"),
    "training_steps": ("loss", "gradient", "rate", "weights step", "weights changed"),
    "ema": ("weights changed",),
    "gp": ("grad",),
    "denoiser": ("output in sampling",),
    "sample_steps": ("forward in sampling",),
    "training": ("batch in validation", "output in validation"),
}
"""Kinds of events that are the component's."""

_ALSO: Mapping[str, tuple[str, ...]] = {"training_steps": ("training_loss", "optimiser", "ema", "loader")}
"""Components whose differences are another one's as well."""

_VERDICTS: Mapping[str, Verdict] = {
    "rounding": Verdict.ROUNDING,
    "randomness": Verdict.RANDOMNESS,
    "configuration": Verdict.DIVERGENT,
    "mathematics": Verdict.DIVERGENT,
    "order": Verdict.DIVERGENT,
    "missing": Verdict.DIVERGENT,
    "extra": Verdict.DIVERGENT,
}


@dataclass
class _Seen:
    """What was seen of one component: how often what was compared, and what is said of it."""

    compared: int = 0
    equal: int = 0
    inherited: int = 0
    what: list[str] = field(default_factory=list)
    found: list[tuple[Verdict, str]] = field(default_factory=list)

    def add(self, other: _Seen) -> None:
        self.compared += other.compared
        self.equal += other.equal
        self.inherited += other.inherited
        self.what += other.what
        self.found += other.found


def judge_scripts(pair: Pair, names: Sequence[str] = (), profile: str = "itself") -> list[dict[str, Any]]:
    """Return a row for each component, in the order of the pipeline, in the form of `parity.results.plain_result`.

    `names`: those components alone. Verdicts: `identical`, `rounding`, `divergent`, `randomness`; `error` where the
    candidate raised before it; `missing` where nothing could be compared.
    """
    evidence = _Evidence(pair)
    return [_row(pair, name, *evidence.judge(name), profile) for name in names or REGISTRY]


def _row(pair: Pair, name: str, verdict: Verdict, reason: str, profile: str) -> dict[str, Any]:
    candidate = _command(pair.led)
    judged = Judgement(name, candidate, {}, verdict, reason)
    result = ComponentResult(
        component=name, candidate=candidate, worst=judged, counts={verdict.value: 1}, known=(),
        unexpected=None if verdict.agrees else judged, seconds=0.0, judgements=(judged,),
    )  # fmt: skip
    command = f"parity check --reference {shlex.quote(_command(pair.reference))} --candidate {shlex.quote(candidate)}"
    return plain_result(result, profile, REGISTRY[name]) | {"stale": [], "reproduce": command}


def _command(recording: Recording) -> str:
    about = recording.about
    return f"script:{shlex.join([str(about.get('script')), *map(str, about.get('arguments', ()))])}"


class _Evidence:
    """Find what two recordings say of each component."""

    def __init__(self, pair: Pair) -> None:
        self._pair, self._reference, self._led = pair, pair.reference, pair.led
        self._kinds = {False: list(_kinds(pair.reference)), True: list(_kinds(pair.led))}
        ends = [d.of for d in pair.differences if d.role == "end" and d.of is not None]
        self._cut = min(ends, default=len(pair.reference.events))
        self._matched = {mine: theirs for mine, theirs in pair.pairs if mine >= 0}
        self._other = next((d for d in pair.differences if d.role == "weights" and "in the place of" in d.what), None)
        self._by_component: dict[str, list[Difference]] = defaultdict(list)
        for difference in pair.differences:
            for name in self._components(difference):
                self._by_component[name].append(difference)

    def judge(self, name: str) -> tuple[Verdict, str]:
        """Return the verdict and why."""
        seen = _Seen()
        if name == "defaults":
            seen.add(self._observed(name))
        elif name == "sample_steps":
            seen.add(self._steps())
        else:
            for function in _RETURNS.get(name, ()):
                seen.add(self._returned(function))
            if name in _ARGUMENTS:
                seen.add(self._given(*_ARGUMENTS[name]))
            seen.add(self._observed(name))
            seen.add(self._events(name))
        if name == "encoding":
            seen.add(self._mapped())
        if name == "evaluation":
            seen.add(self._percentiles())
        for other in (name, *_ALSO.get(name, ())):
            for difference in self._by_component[other]:
                seen.found.append((_VERDICTS[difference.kind], _said(difference)))
        return self._verdict(name, seen)

    def _verdict(self, name: str, seen: _Seen) -> tuple[Verdict, str]:
        what = "; ".join(seen.what)
        if seen.found:
            worst = max(seen.found, key=lambda f: f[0].severity)[0]
            graver = sorted(seen.found, key=lambda f: -f[0].severity)
            texts = list(dict.fromkeys(text for _, text in graver))
            more = f"; and {len(texts) - 4} more" if len(texts) > 4 else ""
            compared = f" ({what})" if what else ""
            if worst is not Verdict.ROUNDING or seen.compared > seen.inherited:
                return worst, "; ".join(texts[:4]) + more + compared
        if seen.equal and self._whole(name):
            rest = f"; {seen.inherited} differ only as a consequence of what differs before" if seen.inherited else ""
            return Verdict.IDENTICAL, f"equal to the bit: {what}{rest}"
        if seen.compared and self._whole(name):
            return Verdict.MISSING, f"not judged: all that was compared ({what}) differs by what differs before"
        return self._nothing(name)

    @property
    def _samples_equal(self) -> bool:
        seen = self._returned("sample")
        return bool(seen.compared) and seen.compared == seen.equal

    def _whole(self, name: str) -> bool:
        """True unless the candidate ended in the midst of it: no designs were scored."""
        return name != "evaluation" or bool(self._both("observe", "task.predict() returns")[0])

    def _nothing(self, name: str) -> tuple[Verdict, str]:
        if self._other is not None:
            place = f", {self._other.candidate}" if self._other.candidate else ""
            return Verdict.MISSING, f"{self._other.what.partition(':')[0]}{place}"
        if not self._performed(name, candidate=False):
            return Verdict.MISSING, "the reference's script does not perform it"
        end = self._led.end
        if end is not None and end.how in ("raised", "killed", "exited"):
            site = self._led.site(end)
            return Verdict.ERROR, f"the candidate's script {end.how} before it: {end.why}{f', {site}' if site else ''}"
        return Verdict.MISSING, "the candidate's script does nothing that could be compared with it"

    def _performed(self, name: str, *, candidate: bool) -> bool:
        events = (self._led if candidate else self._reference).events
        keys = {*_RETURNS.get(name, ()), *_OBSERVED.get(name, ()), *_ARGUMENTS.get(name, ("",))[:1]}
        kinds = _EVENTS.get(name, ())
        return any(
            (event.role in ("call", "observe") and event.key in keys) or kind in kinds
            for event, kind in zip(events, self._kinds[candidate], strict=True)
        )

    # Evidence

    def _calls(self, function: str) -> list[tuple[Event, Event]]:
        mine, theirs = self._both("call", function)
        return list(zip(mine, theirs, strict=False))

    def _both(self, role: str, key: str) -> tuple[list[Event], list[Event]]:
        """Return the events of both sides, the candidate's first; of the reference's only up to where it goes on."""
        keys = (key, _OTHER_NAMES.get(key, key))
        mine = [e for e in self._led.events if e.role == role and e.key in keys]
        theirs = [e for e in self._reference.events[: self._cut] if e.role == role and e.key in keys]
        return mine, theirs

    def _returned(self, function: str) -> _Seen:
        seen, results = _Seen(), [_results(self._led), _results(self._reference)]
        for mine, theirs in self._calls(function):
            returned = [found.get(event.index) for found, event in zip(results, (mine, theirs), strict=True)]
            if returned[0] is None or returned[1] is None:
                continue
            same_given = all(
                _same(value, theirs.values[name]) for name, value in mine.values.items() if name in theirs.values
            )
            self._values(seen, returned[0], returned[1], f"what {function} returns", inherits=not same_given)
        if seen.compared:
            seen.what.append(f"{seen.compared} calls of {function} and what they return")
        return seen

    def _given(self, function: str, names: Sequence[str]) -> _Seen:
        seen = _Seen()
        for mine, theirs in self._calls(function):
            shared = [n for n in names if n in mine.values and n in theirs.values]
            if shared:
                self._values(seen, mine, theirs, f"what {function} is called with", names=shared)
        if seen.compared:
            seen.what.append(f"{', '.join(names)} of {seen.compared} calls of {function}")
        return seen

    def _observed(self, name: str) -> _Seen:
        seen = _Seen()
        for key in _OBSERVED.get(name, ()):
            pairs = list(zip(*self._both("observe", key), strict=False))
            inherits = name == "evaluation" and not self._samples_equal
            for a, b in pairs:
                shared = tuple(n for n in a.values if n in b.values) if name == "defaults" else ()
                self._values(seen, a, b, key, names=shared, inherits=inherits)
            if pairs:
                seen.what.append(f"{len(pairs)} x {key}")
        return seen

    def _events(self, name: str) -> _Seen:
        seen, counts = _Seen(), defaultdict[str, int](int)
        for mine, theirs in self._matched.items():
            kind = self._kinds[False][theirs]
            if kind not in _EVENTS.get(name, ()):
                continue
            counts[kind] += 1
            a, b = self._led.events[mine], self._reference.events[theirs]
            seen.compared += 1
            if _all_same(a, b):
                seen.equal += 1
            else:
                seen.inherited += 1  # what differs by itself is in the list of differences
        seen.what += [f"{count} x {kind}" for kind, count in counts.items()]
        return seen

    def _steps(self) -> _Seen:
        """Compare the timesteps at which the network is asked while sampling, and the names in the state dict."""
        seen = _Seen()
        mine, theirs = (
            [
                next((v for n, v in e.values.items() if n == "1"), None)
                for e, kind in zip(recording.events, self._kinds[recording is self._led], strict=True)
                if kind == "forward in sampling"
            ]
            for recording in (self._led, self._reference)
        )
        seen.compared = min(len(mine), len(theirs))
        seen.equal = sum(_same(a, b) for a, b in zip(mine, theirs, strict=False))
        if not seen.compared:
            return seen
        seen.what.append(f"timesteps of {seen.compared} evaluations in sampling")
        if seen.equal < seen.compared:
            seen.found.append((Verdict.DIVERGENT, "the timesteps that sampling visits differ"))
        registered = [
            {e.key for e in recording.events if e.role == "observe" and "buffer" in e.about}
            for recording in (self._led, self._reference)
        ]
        more = registered[0] - registered[1]
        if registered[0] != registered[1]:
            event = next((e for e in self._led.events if e.role == "observe" and e.key in more), None)
            names = f"{', '.join(sorted(more))} besides, {self._led.site(event)}" if more else "fewer names"
            seen.found.append((Verdict.DIVERGENT, f"equal timesteps; the state dict has {names}"))
        return seen

    def _percentiles(self) -> _Seen:
        """Compare what quantiles are taken of, and all of them: of one sample they may be taken one by one."""
        seen = _Seen()
        for (mine, a), (theirs, b) in zip(*self._samples(), strict=False):
            self._values(seen, mine, theirs, "what quantiles are taken of", inherits=not self._samples_equal)
            seen.compared += 1
            if a == b:
                seen.equal += 1
            elif _all_same(mine, theirs):
                places = f"(reference {self._reference.site(theirs)}, candidate {self._led.site(mine)})"
                seen.found.append((Verdict.DIVERGENT, f"quantiles {a} for {b} {places}"))
            else:
                seen.inherited += 1
        if seen.compared:
            seen.what.append("quantiles and what they are taken of")
        return seen

    def _samples(self) -> list[list[tuple[Event, list[float]]]]:
        sides: list[list[tuple[Event, list[float]]]] = []
        for recording, end in ((self._led, len(self._led.events)), (self._reference, self._cut)):
            found: list[tuple[Event, list[float]]] = []
            for event in (e for e in recording.events[:end] if e.role == "observe"):
                if event.key == "quantile" and not (found and _all_same(found[-1][0], event)):
                    found.append((event, []))
                elif event.key == "quantile returns" and found:
                    for value in event.values.values():
                        tensor = self._tensor(value) if isinstance(value, Numbers) else torch.tensor(value)
                        found[-1][1].extend([] if tensor is None else tensor.reshape(-1).tolist())
            sides.append(found)
        return sides

    def _mapped(self) -> _Seen:
        """Say whether one side alone maps its task to logits before it reads the designs."""
        seen = _Seen()
        mapped = [
            next((e for e in _before_fit(recording) if e.role == "observe" and e.key == "task.map_to_logits()"), None)
            for recording in (self._led, self._reference)
        ]
        reads = [
            any(e.role == "observe" and e.key == "task.to_logits()" for e in _before_fit(recording))
            for recording in (self._led, self._reference)
        ]
        if mapped[0] is not None and reads[1] and not reads[0]:
            says = f"map_to_logits() in the place of to_logits(): the task is changed, {self._led.site(mapped[0])}"
            seen.found.append((Verdict.DIVERGENT, says))
        return seen

    def _values(
        self, seen: _Seen, mine: Event, theirs: Event, what: str, *, names: Sequence[str] = (), inherits: bool = False
    ) -> None:
        """Compare the values of two events, and note it."""
        seen.compared += 1
        a = {n: v for n, v in mine.values.items() if not names or n in names}
        b = {n: v for n, v in theirs.values.items() if not names or n in names}
        if len(a) == len(b) and all(self._equal(x, y) for x, y in zip(a.values(), b.values(), strict=True)):
            seen.equal += 1
            return
        limit = None if self._other is None else self._other.event
        if inherits or (limit is not None and mine.index > limit):
            seen.inherited += 1
            return
        places = self._reference.site(theirs), self._led.site(mine)
        lines = f" (reference {places[0]}, candidate {places[1]})" if all(places) else ""
        if len(a) != len(b):
            seen.found.append((Verdict.DIVERGENT, f"{what}: {len(a)} values for {len(b)}{lines}"))
            return
        size, which = max(
            ((self._gap(x, y), n) for n, x, y in zip(a, a.values(), b.values(), strict=True) if not self._equal(x, y)),
        )
        verdict = Verdict.ROUNDING if size <= _ROUNDING * EPS32 else Verdict.DIVERGENT
        gap = f"differs by {size:.2g} of its largest number" if np.isfinite(size) else "differs"
        seen.found.append((verdict, f"{what}: {which} {gap}{lines}"))

    def _equal(self, mine: Value, theirs: Value) -> bool:
        """True for equal values; a number is equal to the tensor of one entry that holds it."""
        if _same(mine, theirs):
            return True
        numbers, plain = (mine, theirs) if isinstance(mine, Numbers) else (theirs, mine)
        if not isinstance(numbers, Numbers) or not isinstance(plain, int | float):
            return False
        tensor = self._tensor(numbers)
        return (
            tensor is not None and tensor.numel() == 1 and bool(tensor.reshape(()) == torch.as_tensor(plain).to(tensor))
        )

    def _tensor(self, numbers: Numbers) -> torch.Tensor | None:
        found = self._led.tensor(numbers)
        return self._reference.tensor(numbers) if found is None else found

    def _gap(self, mine: Value, theirs: Value) -> float:
        if not isinstance(mine, Numbers) or not isinstance(theirs, Numbers):
            plain = all(isinstance(v, int | float) for v in (mine, theirs))
            return abs(float(mine) - float(theirs)) / (abs(float(theirs)) or 1.0) if plain else float("inf")  # type: ignore[arg-type]
        a, b = self._tensor(mine), self._tensor(theirs)
        if a is None or b is None or a.numel() != b.numel():
            return float("inf")
        a, b = a.double().reshape(-1), b.double().reshape(-1)
        gap, scale = float((a - b).abs().max()), float(b.abs().max())
        return float("inf") if not np.isfinite(gap) or not scale else gap / scale

    # Differences

    def _components(self, difference: Difference) -> Iterator[str]:
        if difference.role == "call":
            function, _, names = difference.what.removeprefix("arguments of ").partition(": ")
            for called, arguments in _ARGUMENTS.values():
                if called == function and any(argument in names for argument in arguments):
                    return  # said of what the function is called with
            yield {"update": "ema", "predict_x0_from_objective": "p_losses"}.get(function, "training")
            return
        if difference is self._other or difference.role == "end":
            return
        candidate = difference.of is None
        index = difference.event if candidate else difference.of
        kinds = self._kinds[candidate]
        if difference.what.startswith("gradients of "):
            yield "optimiser"
        elif index is not None and index < len(kinds):
            yield component_of(kinds[index])


def _said(difference: Difference) -> str:
    sides = (("reference", difference.reference), ("candidate", difference.candidate))
    places = ", ".join(f"{side} {place}" for side, place in sides if place is not None)
    return f"{difference.what} ({places})" if places else difference.what


def component_of(kind: str) -> str:
    """Return the component that an event of a kind belongs to."""
    return _OWNERS.get(kind, "training")


_OWNERS: Mapping[str, str] = {
    "weights initial": "initial_weights", "draw of initial weights": "initial_weights",
    "optimiser": "optimiser", "scheduler": "optimiser", "clip": "optimiser", "rate": "optimiser",
    "weights step": "optimiser", "weights changed": "ema", "draw of the data": "offline_data",
    "draw of the fit": "gp", "grad": "gp", "forward of the GP": "gp", "output of the GP": "gp",
    "draw of pairs": "gp_pairs", "seed of pairs": "gp_pairs",
    "draw of the loader": "loader", "seed of the loader": "loader", "batch": "loader",
    "draw of the loss": "training_loss", "seed of the loss": "training_loss", "forward in training": "training_loss",
    "output in training": "training_loss", "loss": "training_loss", "gradient": "training_loss",
    "draw of candidates": "candidates", "seed of candidates": "candidates", "draw of sampling": "p_sample",
    "forward in sampling": "sample", "output in sampling": "denoiser",
}  # fmt: skip


def _kinds(recording: Recording) -> Iterator[str]:
    """Yield, for each event, its role and what it is for: told by the calls around it and by what comes next."""
    events = recording.events
    inside: list[Event] = []
    trained = False
    around: list[tuple[str, ...]] = []
    for event in events:
        if event.role == "return" and inside and event.about.get("of") == inside[-1].index:
            inside.pop()
        around.append(tuple(e.key for e in inside))
        if event.role == "call":
            inside.append(event)
    trains = {e.index: bool(e.about.get("grad", True)) for e in events if e.role == "forward"}
    trains |= {e.index: trains.get(int(e.about.get("of", -1)), True) for e in events if e.role == "output"}
    idle = _idle(events)
    for event, calls, then in zip(events, around, list(_ahead(events)), strict=True):
        if event.index in idle:
            yield f"{event.role} of the test"
            continue
        trained = trained or event.role == "loss"
        shown = then if event.role in ("batch", "draw", "seed") and then is not None else event
        where = trains.get(shown.index, True)
        yield _kind(event, calls, then, trained=trained, grad=where)


_BESIDE = ("draw", "seed", "note", "printed", "call", "return", "save", "load", "setting", "observe", "zero")


def _idle(events: Sequence[Event]) -> set[int]:
    """Return the optimisers and schedulers that are made and never step."""
    idle: set[int] = set()
    made: list[int] = []
    for event in events:
        if event.role == "optimiser":
            idle.update(made)
            made = [event.index]
        elif event.role == "scheduler":
            made.append(event.index)
        elif event.role == "rate":
            made = []
    return idle | set(made)


def _ahead(events: Sequence[Event]) -> Iterator[Event | None]:
    """Yield, for each event, the next one that is neither a draw nor a seed nor something besides the computation."""
    found: list[Event | None] = []
    then: Event | None = None
    for event in reversed(events):
        found.append(then)
        named = event.role == "call" and event.key in ("GP", "sampling_from_offline_data", "sample")
        if named or event.role not in _BESIDE:
            then = event
    yield from reversed(found)


def _kind(event: Event, calls: Sequence[str], then: Event | None, *, trained: bool, grad: bool) -> str:
    role = event.role
    if role == "weights":
        why = event.about.get("why")
        return "weights again" if trained and why == "initial" else f"weights {why}"
    if role in ("forward", "output"):
        if "sampling_data_from_GP" in calls or "GP" in calls:
            return f"{role} of the GP"
        if "sample" in calls:
            return f"{role} in sampling"
        return f"{role} in {'training' if grad else 'validation'}"
    if role == "batch":
        return "batch" if grad else "batch in validation"
    if role not in ("draw", "seed"):
        return role
    return f"{role} of {_purpose(event, calls, then, trained=trained, grad=grad)}"


def _purpose(event: Event, calls: Sequence[str], then: Event | None, *, trained: bool, grad: bool) -> str:
    """Return what a draw or a seed is for."""
    for call, purpose in (
        ("sampling_data_from_GP", "pairs"), ("sampling_from_offline_data", "candidates"), ("sample", "sampling"),
    ):  # fmt: skip
        if call in calls:
            return purpose
    numpy = "NumPy" in str(event.about.get("generator", event.key))
    if numpy and event.role == "draw":
        return "the data" if not trained else "candidates" if event.about.get("function") == "choice" else "the test"
    if then is None:
        return "the test"
    if then.role == "call" and then.key == "GP":
        return "the fit" if event.role == "draw" else "the run"
    if then.role == "batch":
        return "the loader"
    if then.role in ("output", "loss", "forward"):
        return "the loss" if grad else "validation"
    if then.role in ("weights", "optimiser", "scheduler") and not trained:
        return "initial weights" if event.role == "draw" else "the run"
    return "the run"


def _results(recording: Recording) -> dict[int, Event]:
    return {int(e.about["of"]): e for e in recording.events if e.role == "return" and "of" in e.about}


def _before_fit(recording: Recording) -> Iterator[Event]:
    for event in recording.events:
        if event.role == "call" and event.key == "GP":
            return
        yield event


def _all_same(mine: Event, theirs: Event) -> bool:
    """True if all values are equal: by name where names agree, else by place; none at all is no evidence of it."""
    a, b = mine.values, theirs.values
    if a.keys() == b.keys():
        return all(_same(value, b[name]) for name, value in a.items())
    if mine.role in ("optimiser", "scheduler", "clip"):
        return mine.key == theirs.key and all(_same(a[n], b[n]) for n in a.keys() & b.keys())
    return len(a) == len(b) and all(_same(x, y) for x, y in zip(a.values(), b.values(), strict=True))


def _same(mine: Value, theirs: Value) -> bool:
    """True for equal values; dimensions of one entry aside."""
    if isinstance(mine, Numbers) and isinstance(theirs, Numbers):
        shapes = [[n for n in v.shape if n != 1] for v in (mine, theirs)]
        return bool(mine.digest) and (mine.digest, shapes[0]) == (theirs.digest, shapes[1])
    if isinstance(mine, Numbers) or isinstance(theirs, Numbers):
        return False
    return bool(mine == theirs) or (mine != mine and theirs != theirs)
