"""Watch a script in this process, through functions that every PyTorch training script passes.

Each hook reports an event: a role, a key by which events of two scripts are compared, and the values. The watcher
answers with values to put in place of some, from another run, or with none. Without an answer nothing that the script
computes changes, its random numbers included.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import gc
import importlib.abc
import importlib.machinery
import inspect
import linecache
import os
import random
import re
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any, Protocol

import numpy as np
import torch
import torch._dynamo  # the first optimiser imports it: its tables name PyTorch's own functions, none that is put there
import xxhash
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils.data import DataLoader

from parity.watch.recording import Event, Numbers, Recorder, Site, digest_of, leaves

__all__ = ["STOP", "Follower", "Watch", "current"]

STOP = "stop"
"""The name under which a follower answers that the other run's loader ended here."""

_LARGEST_LINES = 4000
"""Printed lines with numbers that are kept."""

_HISTORY = 256
"""What happened to gradients, remembered until an optimiser's step: an accumulation over more is not told apart."""

_MOST_SEEN = 20_000
"""Tensors whose last reported state is kept before those that are gone are dropped."""

_LONGEST_PATH = 4
"""Lines of the script's own code, from the innermost one outwards, that tell one place of a program from another."""

_AROUND = 2
"""Lines of source kept before and after one that an event names."""

_CPU = torch.default_generator


class Follower(Protocol):
    """Compare each event with another run as it happens."""

    def meet(self, event: Event, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the values that take the place of the script's own, by name."""

    def more(self, like: Any) -> Any:
        """Return what the other run's loader gave after this one ended, in the form of `like`; None if nothing."""


class _Current:
    watch: Watch | None = None


class _Thread(threading.local):
    """What one thread is in: blocks that report nothing, and a module's forward pass."""

    quiet = 0
    inside = False


def current() -> Watch | None:
    """Return the watch of this process's script; None in a process that has none, a forked child too."""
    return _Current.watch


class _Seen:
    """Weights as they were last reported."""

    __slots__ = ("digest", "of", "place", "version")

    def __init__(self, tensor: Tensor, digest: str) -> None:
        self.of, self.version, self.place, self.digest = (
            weakref.ref(tensor), tensor._version, tensor.data_ptr(), digest,
        )  # fmt: skip


class Watch:
    """Report to a recorder, and follow another run where there is a follower.

    `folder`: the script's own code. `calls`: functions to report, `module:function` or `module:Class.method`.
    `stop_after`: optimiser steps after which the process ends.
    """

    def __init__(
        self,
        recorder: Recorder,
        folder: Path,
        *,
        follower: Follower | None = None,
        calls: Sequence[str] = (),
        stop_after: int | None = None,
        stop: Callable[[], None] = lambda: None,
    ) -> None:
        self.recorder, self.folder = recorder, f"{folder}{os.sep}"
        self._follower, self._calls = follower, calls
        self._stop_after, self._stop = stop_after, stop
        self._thread = _Thread()
        self.lock = threading.RLock()
        self._sites: dict[Any, int] = {}
        self._written: set[int] = set()
        self._own: dict[str, str | None] = {}
        self._seen: dict[int, _Seen] = {}
        self._changed_at: dict[int, int] = {}
        self._read: set[int] = set()
        self._of_optimiser: weakref.WeakKeyDictionary[torch.optim.Optimizer, tuple[str, ...]] = (
            weakref.WeakKeyDictionary()
        )
        self._owners: weakref.WeakKeyDictionary[torch.optim.Optimizer, str] = weakref.WeakKeyDictionary()
        self._stepping = False
        self._rate_site: int | None = None
        self._history: deque[tuple[str, int | None]] = deque(maxlen=_HISTORY)
        self._put: list[tuple[Any, str, Any, Any]] = []
        self._handles: list[Any] = []
        self._lines = 0
        self._left = False

    # What hooks use

    def event(
        self, role: str, key: str, values: Mapping[str, Any], path: tuple[int, ...] | None = None, **about: Any
    ) -> Mapping[str, Any]:
        """Report an event; return what takes the place of the values, by name."""
        return self._event(role, key, values, path, about)[1]

    def _event(
        self, role: str, key: str, values: Mapping[str, Any], path: tuple[int, ...] | None, about: Mapping[str, Any]
    ) -> tuple[Event | None, Mapping[str, Any]]:
        if self._thread.quiet or self._left:
            return None, {}
        with self.quiet(), self.lock:
            path = self.path() if path is None else path
            event = self.recorder.event(role, key, values, path, about)
            return event, self._follower.meet(event, values) if self._follower is not None else {}

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Report nothing of what this thread does inside."""
        self._thread.quiet += 1
        try:
            yield
        finally:
            self._thread.quiet -= 1

    def path(self, frame: FrameType | None = None) -> tuple[int, ...]:
        """Return the numbers of the script's own lines on the stack, innermost first."""
        frame = frame or sys._getframe(1)
        found: list[int] = []
        while frame is not None and len(found) < _LONGEST_PATH:
            number = self.site_at(frame.f_code, frame.f_lineno)
            if number is not None:
                found.append(number)
            frame = frame.f_back
        return tuple(found)

    def line(self) -> int | None:
        """Return the number of the script's own line that is being executed."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            number = self.site_at(frame.f_code, frame.f_lineno)
            if number is not None:
                return number
            frame = frame.f_back
        return None

    def site_at(self, code: CodeType, line: int) -> int | None:
        """Return the number of a line of the script's own code; None for one of a library."""
        file = code.co_filename
        try:
            name = self._own[file]
        except KeyError:
            name = self._own[file] = self._own_name(file)
        return None if name is None else self._numbered(code, line, name)

    def leave(self) -> None:
        """Report nothing more from this process."""
        self._left = True
        if _Current.watch is self:
            _Current.watch = None

    def _own_name(self, file: str) -> str | None:
        plain = os.path.normpath(file)
        if not plain.startswith(self.folder):
            return None
        inside = plain.removeprefix(self.folder)
        foreign = "site-packages" in inside or any(part.startswith(".") for part in inside.split(os.sep))
        return None if foreign else inside

    def _numbered(self, code: CodeType, line: int, name: str) -> int:
        known = (code, line)
        number = self._sites.get(known)
        if number is None:
            with self.lock:
                number = self._sites[known] = _site_number(name, line, code.co_qualname)
                if number not in self._written:
                    self._written.add(number)
                    whole = linecache.getlines(code.co_filename)
                    self.recorder.site(_site(number, name, line, code.co_qualname, whole))
        return number

    def site_of(self, file: str, line: int) -> int:
        """Return the number of a line that was never executed."""
        with self.lock:
            name = os.path.normpath(file).removeprefix(self.folder)
            number = self._sites[file, line] = _site_number(name, line, "<module>")
            self.recorder.site(_site(number, name, line, "<module>", linecache.getlines(file)))
        return number

    def watching(self) -> bool:
        """True where this thread's events are reported."""
        return not self._thread.quiet and _Current.watch is self

    def computing(self) -> bool:
        """True where the script itself computes: not an optimiser's step, nor what hooks do."""
        return self.watching() and not self._stepping

    # Arming

    @contextlib.contextmanager
    def armed(self) -> Iterator[None]:
        """Watch this process while the block runs, children that it forks aside."""
        left = weakref.WeakMethod(self.leave)

        def forked() -> None:
            leave = left()
            if leave is not None:
                leave()

        os.register_at_fork(after_in_child=forked)
        _Current.watch = self
        self._patch()
        try:
            yield
        finally:
            self._unpatch()
            _Current.watch = None

    def _patch(self) -> None:
        for name in _TORCH_DRAWS:
            self._replace(torch, name, functools.partial(self._draws, getattr(torch, name), name, False))
        for name in _TENSOR_DRAWS:
            self._replace(Tensor, name, functools.partial(self._draws, getattr(Tensor, name), name, True))
        for name in ("dropout", "alpha_dropout", "feature_alpha_dropout", "dropout1d", "dropout2d", "dropout3d"):
            original = getattr(nn.functional, name)
            dropping = functools.partial(self._dropout, original, inspect.signature(original), name)
            self._replace(nn.functional, name, dropping)
        for module in (torch, torch.random):
            self._replace(module, "manual_seed", functools.partial(self._seeds, torch.manual_seed, "torch"))
        self._replace(np.random, "seed", functools.partial(self._seeds, np.random.seed, "NumPy"))
        self._replace(random, "seed", functools.partial(self._seeds, random.seed, "random"))
        for name in _NUMPY_DRAWS:
            self._replace(np.random, name, functools.partial(self._numbers, getattr(np.random, name), "NumPy", name))
        self._replace(np.random, "default_rng", functools.partial(self._default_rng, np.random.default_rng))
        self._replace(np.random, "Generator", _heard(np.random.Generator, self, "own NumPy", _NUMPY_OWN, False))
        self._replace(np.random, "RandomState", _heard(np.random.RandomState, self, "own NumPy", _NUMPY_DRAWS, True))
        self._replace(random, "Random", _heard(random.Random, self, "own random", _PYTHON_DRAWS, True))
        self._replace(torch, "Generator", _heard_torch(torch.Generator, self))
        for name in _PYTHON_DRAWS:
            self._replace(random, name, functools.partial(self._numbers, getattr(random, name), "random", name))
        backward = torch.autograd.backward
        self._replace(Tensor, "backward", functools.partial(self._backward, Tensor.backward, "backward"))
        self._replace(torch.autograd, "backward", functools.partial(self._backward, backward, "autograd.backward"))
        self._replace(torch.autograd, "grad", functools.partial(self._grad, torch.autograd.grad))
        clip = nn.utils.clip_grad
        for name in ("clip_grad_norm_", "clip_grad_value_"):
            wrapped = functools.partial(self._clip, getattr(clip, name), inspect.signature(getattr(clip, name)), name)
            self._replace(clip, name, wrapped)
            self._replace(nn.utils, name, wrapped)
        self._replace(torch.optim.Optimizer, "__init__", self._optimiser_made(torch.optim.Optimizer.__init__))
        for holder in (torch.optim.Optimizer, nn.Module):
            self._replace(holder, "zero_grad", functools.partial(self._noted, holder.zero_grad, "zero_grad"))
        for kind in {LRScheduler, ReduceLROnPlateau, *_schedulers()}:
            if "__init__" in vars(kind):
                self._replace(kind, "__init__", self._scheduler_made(kind.__init__))
            if "step" in vars(kind):
                self._replace(kind, "step", functools.partial(self._scheduled, kind.step))
        self._replace(DataLoader, "__iter__", functools.partial(self._batches, DataLoader.__iter__))
        self._replace(torch, "save", functools.partial(self._save, torch.save))
        self._replace(nn.Module, "load_state_dict", functools.partial(self._loads, nn.Module.load_state_dict))
        self._replace(nn.Module, "__call__", self._forward(nn.Module.__call__))
        self._replace(torch.jit, "script", functools.partial(self._unwatched, torch.jit.script))
        self._replace(torch, "compile", functools.partial(self._compiled, torch.compile))
        self._patch_writes()
        self._handles = [
            register_optimizer_step_pre_hook(self._before_step),
            register_optimizer_step_post_hook(self._after_step),
        ]
        sys.stdout = _Lines(sys.stdout, self._printed)
        if self._calls:
            sys.meta_path.insert(0, _CallFinder(self, self._calls))

    def _patch_writes(self) -> None:
        """Note the lines that write into weights. `.data` shares memory without a version: its reads are noted."""
        plain: Any = Tensor.data

        def read(tensor: Any) -> Any:
            if type(tensor) is nn.Parameter or tensor.requires_grad:
                self._noted_write(tensor, shared=True)
            return plain.__get__(tensor)

        def write(tensor: Any, value: Any) -> None:
            if type(tensor) is nn.Parameter or tensor.requires_grad:
                self._noted_write(tensor)
            plain.__set__(tensor, value)

        self._put_there(Tensor, "data", property(read, write))
        for name in _WRITES:
            self._replace(Tensor, name, functools.partial(self._writes, getattr(Tensor, name)))
        for name in _FOREACH_WRITES:
            self._replace(torch, name, functools.partial(self._all_write, getattr(torch, name)))

    def _replace(self, holder: Any, name: str, call: Callable[..., Any]) -> None:
        """Put a function there that looks like the one that it calls: it binds, it is pickled by its name."""
        original = getattr(holder, name)
        if isinstance(call, type):
            replacement: Any = call
        else:

            def replacement(*args: Any, **kwargs: Any) -> Any:
                return call(*args, **kwargs)

            functools.update_wrapper(replacement, original)
            if not isinstance(holder, type):
                replacement.__module__, replacement.__qualname__ = holder.__name__, name
        self._put_there(holder, name, replacement)

    def _put_there(self, holder: Any, name: str, replacement: Any) -> None:
        self._put.append((holder, name, vars(holder).get(name, _ABSENT), replacement))
        setattr(holder, name, replacement)

    def _unpatch(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._restore()
        self._put.clear()
        if isinstance(sys.stdout, _Lines):
            sys.stdout = sys.stdout.stream
        sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _CallFinder)]

    def _restore(self) -> None:
        for holder, name, original, _ in reversed(self._put):
            if original is _ABSENT:
                delattr(holder, name)
            else:
                setattr(holder, name, original)

    def _unwatched(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call with PyTorch's own functions in their places: its compiler of scripts knows only these."""
        if not self.watching():
            return original(*args, **kwargs)
        self._restore()
        try:
            return original(*args, **kwargs)
        finally:
            for holder, name, _, replacement in self._put:
                setattr(holder, name, replacement)

    def _compiled(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.watching():
            torch.compiler.set_stance("force_eager")
            self.event("note", "note", {"note": "adapted: torch.compile compiles nothing: what it calls runs as it is"})
        return original(*args, **kwargs)

    # Random numbers

    def _draws(self, original: Callable[..., Any], name: str, in_place: bool, *args: Any, **kwargs: Any) -> Any:
        if not self.watching():
            return original(*args, **kwargs)
        with self.quiet():
            value = original(*args, **kwargs)
        if not isinstance(value, Tensor) or value.is_meta:
            return value
        if in_place and type(value) is nn.Parameter:
            self._noted_write(value)
        generator = "own torch" if kwargs.get("generator") not in (None, _CPU) else "torch"
        kind = _KINDS.get(name, name.removesuffix("_")) + _law(name, in_place, args, kwargs)
        given = self.event("draw", f"{kind}{list(value.shape)}", {"value": value}, generator=generator, function=name)
        if "value" not in given:
            return value
        with self.quiet(), torch.no_grad():
            put = given["value"].to(device=value.device, dtype=value.dtype).reshape(value.shape)
            if in_place or kwargs.get("out") is not None:
                return value.copy_(put)
            return put.requires_grad_(value.requires_grad)

    def _dropout(
        self, original: Callable[..., Any], signature: inspect.Signature, name: str, *args: Any, **kwargs: Any
    ) -> Any:
        if not self.watching():
            return original(*args, **kwargs)
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        inputs, p = given.arguments["input"], given.arguments["p"]
        if not given.arguments["training"] or not p:
            return original(*args, **kwargs)
        seen = self.recorder.digests
        with self.quiet(), torch.no_grad():
            zero = inputs == 0 if seen else None
        with self.quiet():
            value = original(*args, **kwargs)
        with self.quiet(), torch.no_grad():
            kept = (value != 0) | zero if seen else value
        answer = self.event(
            "draw", f"{name}({p:g}){list(value.shape)}", {"value": kept}, generator="torch", function=name
        )
        if "value" in answer and name == "dropout" and not given.arguments["inplace"] and p < 1:
            return inputs * (answer["value"].to(value).reshape(value.shape) / (1 - p))
        return value

    def _seeds(self, original: Callable[..., Any], generator: str, *args: Any, **kwargs: Any) -> Any:
        if not self.watching():
            return original(*args, **kwargs)
        given = self._seed(generator, next(iter((*args, *kwargs.values())), None))
        with self.quiet():
            return original(given["seed"]) if "seed" in given else original(*args, **kwargs)

    def _seed(self, generator: str, seed: Any) -> Mapping[str, Any]:
        known = isinstance(seed, int | float | str | np.integer)
        return self.event("seed", generator, {"seed": seed if known else repr(seed)[:200]})

    def _numbers(self, original: Callable[..., Any], generator: str, name: str, *args: Any, **kwargs: Any) -> Any:
        """Report a draw of NumPy or `random`, of the global generators or of one of the script's own."""
        if not self.watching() or (generator.endswith("random") and not self.path(sys._getframe(1))):
            return original(*args, **kwargs)
        with self.quiet():
            result = original(*args, **kwargs)
        drawn = next(iter((*args, *kwargs.values())), None) if result is None else result  # what shuffles in place
        value = _as_array(drawn)
        kind = _KINDS.get(name, name)
        given = self.event("draw", f"{kind}{list(value.shape)}", {"value": value}, generator=generator, function=name)
        if "value" not in given:
            return result
        put = given["value"]
        put = put.numpy() if isinstance(put, Tensor) else np.asarray(put)
        if result is None:
            for k, item in enumerate(put.reshape(value.shape)):
                drawn[k] = item if isinstance(drawn, np.ndarray) else item.item()  # type: ignore[index]
            return None
        if isinstance(result, np.ndarray):
            return put.astype(result.dtype).reshape(result.shape)
        return type(result)(put.item()) if put.ndim == 0 else type(result)(put.tolist())

    def _default_rng(self, original: Callable[..., Any], seed: Any = None) -> Any:
        if not self.watching():
            return original(seed)
        with self.quiet():
            made = original(seed)
            if made is seed:
                return made
        given = self._seed("own NumPy", seed)
        with self.quiet():
            made = original(given["seed"]) if "seed" in given else made
            return np.random.Generator(made.bit_generator)

    # Training

    def _backward(self, original: Callable[..., Any], name: str, loss: Any, *args: Any, **kwargs: Any) -> Any:
        if not self.watching():
            return original(loss, *args, **kwargs)
        leaves_of = [] if self._of_optimiser else _leaves_of(loss)
        if leaves_of:
            self._changed_weights(leaves_of, "")
        several = {} if isinstance(loss, Tensor) else {str(k): one for k, one in enumerate(loss)}
        given = self.event("loss", f"loss{_shapes(several or {'': loss})}", several or {"loss": loss})
        if given:
            loss = tuple(
                _shifted(one, given[n]) if n in given else one for n, one in several.items()
            ) if several else _shifted(loss, given["loss"])  # fmt: skip
        self._history.append((name, self.line()))
        with self.quiet():
            result = original(loss, *args, **kwargs)
        if leaves_of:
            self._own_step(leaves_of)
        return result

    def _own_step(self, tensors: Sequence[tuple[str, Tensor]]) -> None:
        """Report the gradients of a script that has no optimiser: it changes its weights by itself."""
        gradients = {name: tensor.grad for name, tensor in tensors if tensor.grad is not None}
        given = self.event("gradient", _shapes(gradients), gradients, since=self._since("none"))
        with self.quiet(), torch.no_grad():
            for name, gradient in gradients.items():
                if name in given:
                    gradient.copy_(given[name])
        self.recorder.step += 1
        self._ended_step("none")

    def _grad(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if not self.watching() or _untouchable():
            return original(*args, **kwargs)
        with self.quiet():
            result = original(*args, **kwargs)
        values = {str(k): value for k, value in enumerate(result) if isinstance(value, Tensor)}
        given = self.event("grad", "grad" + _shapes(values), values)
        if not given:
            return result
        return tuple(
            _keeping_graph(value, given[str(k)]) if str(k) in given else value for k, value in enumerate(result)
        )

    def _clip(
        self, original: Callable[..., Any], signature: inspect.Signature, name: str, *args: Any, **kwargs: Any
    ) -> Any:
        if not self.watching():
            return original(*args, **kwargs)
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        plain = {k: float(v) for k, v in bound.arguments.items() if k in ("max_norm", "norm_type", "clip_value")}
        given = self.event("clip", name, plain)
        bound.arguments.update({k: v for k, v in given.items() if k in bound.arguments})
        self._history.append(("clip", self.line()))
        with self.quiet():
            return original(*bound.args, **bound.kwargs)

    def _noted(self, original: Callable[..., Any], what: str, owner: Any, *args: Any, **kwargs: Any) -> Any:
        if self.watching():
            self._history.append((what, self.line()))
            self.event("zero", what, {})
        with self.quiet():
            return original(owner, *args, **kwargs)

    def _optimiser_made(self, original: Callable[..., None]) -> Callable[..., None]:
        def __init__(optimiser: Any, *args: Any, **kwargs: Any) -> None:
            with self.quiet():
                original(optimiser, *args, **kwargs)
            if not self.watching():
                return
            names = self._names(optimiser)
            for k, group in enumerate(optimiser.param_groups):
                given = self.event("optimiser", type(optimiser).__name__, _plain_settings(group), group=k)
                group.update(_with({n: v for n, v in group.items() if n != "params"}, given))
            tensors = [p for group in optimiser.param_groups for p in group["params"]]
            if any(is_lazy(tensor) for tensor in tensors):
                return
            self._report_weights(names, tensors, "initial", self._owners.get(optimiser, ""))

        return __init__

    def _scheduler_made(self, original: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(original)

        def __init__(scheduler: Any, *args: Any, **kwargs: Any) -> None:
            with self.quiet():
                original(scheduler, *args, **kwargs)
            if self.watching():
                self._rate_site = self.line()
                bound = signature.bind(scheduler, *args, **kwargs)
                bound.apply_defaults()
                plain = dict(leaves({n: v for n, v in bound.arguments.items() if n in signature.parameters}))
                kept = {n: v for n, v in plain.items() if isinstance(v, float | int | str | bool) and n != "verbose"}
                self.event("scheduler", _public_name(type(scheduler)), kept)

        return __init__

    def _scheduled(self, original: Callable[..., Any], scheduler: Any, *args: Any, **kwargs: Any) -> Any:
        if self.watching():
            self._rate_site = self.line()
        with self.quiet():
            return original(scheduler, *args, **kwargs)

    def _before_step(self, optimiser: Any, *_: Any) -> None:
        if not self.watching():
            return
        tensors = [p for group in optimiser.param_groups for p in group["params"]]
        names = self._names(optimiser)
        with self.quiet():
            rates = {f"rate.{k}": float(group["lr"]) for k, group in enumerate(optimiser.param_groups) if "lr" in group}
        given = self.event("rate", type(optimiser).__name__, rates, set_at=self._rate_site)
        for k, group in enumerate(optimiser.param_groups):
            if f"rate.{k}" in given:
                group["lr"] = _like(group["lr"], given[f"rate.{k}"])
        gradients = {n: p.grad for n, p in zip(names, tensors, strict=True) if p.grad is not None}
        given = self.event("gradient", _shapes(gradients), gradients, since=self._since(str(id(optimiser))))
        with self.quiet(), torch.no_grad():
            for name, parameter in zip(names, tensors, strict=True):
                if name in given and parameter.grad is not None:
                    parameter.grad.copy_(given[name])
                elif name in given:
                    parameter.grad = given[name].to(parameter).clone()
        self._stepping = True

    def _after_step(self, optimiser: Any, *_: Any) -> None:
        self._stepping = False
        if not self.watching():
            return
        self.recorder.step += 1
        self._ended_step(str(id(optimiser)))
        tensors = [p for group in optimiser.param_groups for p in group["params"]]
        self._report_weights(self._names(optimiser), tensors, "step")
        if self._stop_after is not None and self.recorder.step >= self._stop_after:
            self._stop()

    def _since(self, optimiser: str) -> list[list[Any]]:
        """Return what happened to the gradients since this optimiser's last step, each with its line."""
        found: list[list[Any]] = []
        for what, line in reversed(self._history):
            if what == f"step {optimiser}":
                break
            if not what.startswith("step "):
                found.append([what, line])
        return found[::-1]

    def _ended_step(self, optimiser: str) -> None:
        self._history.append((f"step {optimiser}", None))

    # Weights

    def _report_weights(self, names: Sequence[str], tensors: Sequence[Tensor], why: str, module: str = "") -> None:
        values = dict(zip(names, tensors, strict=True))
        about: dict[str, Any] = {"why": why, "module": module}
        if why != "step":
            lines = {name: self._changed_at.get(id(tensor)) for name, tensor in values.items()}
            about["lines"] = {name: line for name, line in lines.items() if line is not None}
        event, given = self._event("weights", why + _shapes(values), values, None, about)
        with self.quiet(), torch.no_grad():
            for name, tensor in values.items():
                if name in given:
                    tensor.data.copy_(given[name].reshape(tensor.shape))
        if event is None:
            return
        if len(self._seen) > _MOST_SEEN:
            self._seen = {key: seen for key, seen in self._seen.items() if seen.of() is not None}
        for name, tensor in values.items():
            key = id(tensor)
            said = event.values[name]
            digest = "" if name in given or not isinstance(said, Numbers) else said.digest
            self._seen[key] = _Seen(tensor, digest or self._digest(tensor))
            self._read.discard(key)
            self._changed_at.pop(key, None)

    def _digest(self, tensor: Tensor) -> str:
        return digest_of(tensor) if self.recorder.digests else ""

    def _changed_weights(self, named: Sequence[tuple[str, Tensor]], module: str) -> None:
        """Report weights that changed since they were last reported, and new ones."""
        known = changed = False
        for _, tensor in named:
            seen = self._seen.get(id(tensor))
            if seen is None or seen.of() is not tensor:
                changed = True
                continue
            known = True
            if seen.version != tensor._version or seen.place != tensor.data_ptr():
                changed = True
            elif id(tensor) in self._read:
                changed |= self._digest(tensor) != seen.digest
                self._read.discard(id(tensor))
        if changed:
            names, tensors = zip(*named, strict=True)
            self._report_weights(names, tensors, "changed" if known else "initial", module)

    def _noted_write(self, tensor: Any, *, shared: bool = False) -> None:
        if self._thread.quiet or _Current.watch is not self or self._stepping:
            return
        line = self.line()
        if line is not None:
            self._changed_at[id(tensor)] = line
            if shared:
                self._read.add(id(tensor))

    def _writes(self, original: Callable[..., Any], tensor: Any, *args: Any, **kwargs: Any) -> Any:
        if type(tensor) is nn.Parameter or (tensor.requires_grad and tensor.is_leaf):
            self._noted_write(tensor)
        return original(tensor, *args, **kwargs)

    def _all_write(self, original: Callable[..., Any], tensors: Any, *args: Any, **kwargs: Any) -> Any:
        for tensor in tensors if isinstance(tensors, list | tuple) and not self._stepping else ():
            if type(tensor) is nn.Parameter:
                self._noted_write(tensor)
        return original(tensors, *args, **kwargs)

    def _names(self, optimiser: Any) -> tuple[str, ...]:
        """Return the names of an optimiser's parameters in the smallest module that holds them all."""
        wanted = [id(p) for group in optimiser.param_groups for p in group["params"]]
        known = self._of_optimiser.get(optimiser)
        if known is None or len(known) != len(wanted):
            best: dict[int, str] = {}
            owner = ""
            for module in [thing for thing in gc.get_objects() if issubclass(type(thing), nn.Module)]:
                with contextlib.suppress(Exception):
                    named = {id(p): name for name, p in module.named_parameters()}
                    if set(wanted) <= named.keys() and (not best or len(named) < len(best)):
                        best, owner = named, type(module).__name__
            self._owners[optimiser] = owner
            known = self._of_optimiser[optimiser] = tuple(best.get(each, str(k)) for k, each in enumerate(wanted))
        return known

    # Batches

    def _batches(self, original: Callable[..., Any], loader: Any) -> Any:
        iterator = original(loader)
        return _Batches(self, iterator, self.path(sys._getframe(1))) if self.watching() else iterator

    def next_batch(self, batches: _Batches) -> Any:
        """Return what the loader gives next, or what the other run's gave."""
        if not batches.ended:
            batch = next(batches.iterator, _ABSENT)
            if batch is not _ABSENT:
                return self._given_batch(batches, batch)
            batches.ended = True
        like = batches.like
        if self.watching() and self._follower is not None and like is not None:
            with self.quiet():
                batch = self._follower.more(like)
            if batch is not None:
                return batch
        raise StopIteration

    def _given_batch(self, batches: _Batches, batch: Any) -> Any:
        if not self.watching():
            return batch
        values = {name: value for name, value in leaves(batch, objects=True) if isinstance(value, Tensor | np.ndarray)}
        given = self.event("batch", f"batch of {len(values)}", values, batches.path, number=batches.count)
        if self._follower is not None:
            batches.like = batch
        batches.count += 1
        if STOP in given:
            batches.ended, batches.like = True, None
            raise StopIteration
        return _with(batch, given) if given else batch

    # Modules

    def _forward(self, original: Callable[..., Any]) -> Callable[..., Any]:
        thread = self._thread

        def __call__(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            if thread.inside or thread.quiet or _Current.watch is not self or _untouchable():
                return original(module, *args, **kwargs)
            named = list(module.named_parameters())
            if not named or any(is_lazy(tensor) for _, tensor in named):
                return original(module, *args, **kwargs)
            thread.inside = True
            try:
                return self._whole_forward(original, module, named, args, kwargs)
            finally:
                thread.inside = False

        return __call__

    def _whole_forward(
        self,
        original: Callable[..., Any],
        module: nn.Module,
        named: Sequence[tuple[str, Tensor]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        name = type(module).__name__
        self._changed_weights(named, name)
        found = (*leaves(args, objects=True), *leaves(kwargs, objects=True))
        values: dict[str, Any] = {n: value for n, value in found if isinstance(value, Tensor | float | int | bool)}
        key = "forward" + _shapes(values)
        values["training"] = _mode(module)
        of = self.recorder.count
        given = dict(self.event("forward", key, values, grad=torch.is_grad_enabled(), module=name))
        modes: dict[nn.Module, bool] = {}
        if isinstance(mode := given.pop("training", None), str) and mode != "mixed":
            modes = {each: each.training for each in module.modules()}
            module.train(mode == "on")
        if given:
            put = {n: _keeping_graph(values[n], new) for n, new in given.items()}
            args, kwargs = _with(args, put), _with(kwargs, put)
        try:
            output = original(module, *args, **kwargs)
        finally:
            for each, was in modes.items():
                each.training = was
        values = {n: value for n, value in leaves(output, objects=True) if isinstance(value, Tensor)}
        answer = self.event("output", "output" + _shapes(values), values, of=of, module=name)
        if not answer:
            return output
        return _with(output, {n: _keeping_graph(values[n], new) for n, new in answer.items()})

    # Files and lines

    def _save(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.watching():
            thing, file = (*args, *kwargs.values(), None, None)[:2]
            if isinstance(file, str | os.PathLike):
                sys.audit("open", os.fspath(file), "w", os.O_WRONLY)  # PyTorch writes without Python's open
            values = {n: v for n, v in leaves(thing) if isinstance(v, Tensor)}
            name = Path(file).name if isinstance(file, str | os.PathLike) else type(file).__name__
            self.event("save", f"save of {len(values)}", values, file=name)
        with self.quiet():
            return original(*args, **kwargs)

    def _loads(self, original: Callable[..., Any], module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if not self.watching():
            return original(module, *args, **kwargs)
        values = {n: v for n, v in leaves((*args, *kwargs.values())[:1]) if isinstance(v, Tensor)}
        self.event("load", "load" + _shapes(values), {n.removeprefix("0."): v for n, v in values.items()})
        for parameter in module.parameters():
            self._noted_write(parameter)
        with self.quiet():
            return original(module, *args, **kwargs)

    def _printed(self, line: str) -> None:
        if self._lines >= _LARGEST_LINES or not self.watching():
            return
        numbers = _FLOAT.findall(line)
        if not numbers:
            return
        self._lines += 1
        words = _FLOAT.sub("#", line.strip())[:200]
        self.event("printed", words, {str(k): float(number) for k, number in enumerate(numbers)})

    # Published functions

    def called(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function`, whose calls are reported under `name`: its arguments, then what it returns."""
        signature, short = inspect.signature(function), name.removesuffix(".__init__").rpartition(".")[2]

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if not self.watching():
                return function(*args, **kwargs)
            try:
                bound = signature.bind(*args, **kwargs)
                bound.apply_defaults()
                arguments = {n: v for n, v in bound.arguments.items() if n != "self"}
            except TypeError:
                arguments = {}
            given = self.event("call", short, dict(leaves(arguments)))
            of = self.recorder.count - 1
            if given:
                held = bound.arguments
                held.update({n: _keeping_graph(held[n], v) for n, v in given.items() if n in held})
                args, kwargs = bound.args, bound.kwargs
            result = function(*args, **kwargs)
            self.event("return", short, dict(leaves(result)), of=of)
            return result

        return call


_ABSENT: Any = object()

_TORCH_DRAWS = (
    "rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "normal", "bernoulli",
    "multinomial", "poisson", "binomial", "_standard_gamma", "_sample_dirichlet",
)  # fmt: skip
_TENSOR_DRAWS = (
    "normal_", "uniform_", "random_", "bernoulli_", "exponential_", "geometric_", "cauchy_", "log_normal_",
    "bernoulli", "multinomial",
)  # fmt: skip
_KINDS = {
    "randn": "normal", "randn_like": "normal", "standard_normal": "normal", "gauss": "normal",
    "normalvariate": "normal", "rand": "uniform", "rand_like": "uniform", "random_sample": "uniform",
    "random": "uniform", "randint": "integer", "randint_like": "integer", "random_": "integer", "integers": "integer",
    "randrange": "integer", "randperm": "permutation",
}  # fmt: skip
_NO_DRAWS = {"seed", "get_state", "set_state", "default_rng", "get_bit_generator", "set_bit_generator"}
_NUMPY_DRAWS = tuple(n for n in np.random.__all__ if n[0].islower() and n not in _NO_DRAWS)
_NUMPY_OWN = tuple(n for n in dir(np.random.Generator) if n[0].islower() and n not in {"bit_generator", "spawn"})
_PYTHON_DRAWS = tuple(n for n in random.__all__ if n[0].islower() and n not in {"seed", "getstate", "setstate"})
_WRITES = (
    "copy_", "mul_", "add_", "sub_", "div_", "lerp_", "zero_", "fill_", "clamp_", "addcmul_", "addcdiv_", "set_",
    "__imul__", "__iadd__", "__isub__", "__itruediv__", "__setitem__",
)  # fmt: skip
_FOREACH_WRITES = ("_foreach_mul_", "_foreach_add_", "_foreach_sub_", "_foreach_lerp_", "_foreach_copy_")

_FLOAT = re.compile(r"(?<![\w.])[-+]?\d+\.\d+(?:[eE][-+]?\d+)?(?![\w.])|(?<![\w.])(?:nan|inf)(?![\w.])")


def _law(name: str, in_place: bool, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return the parameters of the law, where they are not the usual ones: ` (0, 0.02)`."""
    plain = [a for a in args[1 if in_place else 0 :] if isinstance(a, int | float) and not isinstance(a, bool)]
    named = [v for n, v in kwargs.items() if n in _PARAMETERS and isinstance(v, int | float)]
    if name in ("randint", "randint_like"):
        given = [a for a in args if isinstance(a, int)]
        bounds = [kwargs.get("low", 0), kwargs.get("high")] if not given else [0, *given] if len(given) == 1 else given
        return f"({', '.join(str(v) for v in bounds[:2])})"
    if name in ("normal_", "uniform_"):
        law = (*plain, *named)
        usual = (0, 1)
        return "" if tuple(law) in ((), usual) else f"({', '.join(f'{v:.10g}' for v in law)})"
    if in_place and (plain or named):
        return f"({', '.join(f'{v:.10g}' for v in (*plain, *named))})"
    return ""


_PARAMETERS = {"mean", "std", "a", "b", "from", "to", "p", "low", "high", "lambd", "median", "sigma"}


def _heard(real: Any, watch: Watch, generator: str, names: Iterable[str], seeded: bool) -> Any:
    """Return a subclass of a generator whose draws are reported. Every `real` counts as an instance of it.

    `seeded`: it is made from a seed.
    """

    def drawing(name: str) -> Callable[..., Any]:
        method = getattr(real, name)

        @functools.wraps(method)
        def draw(self: Any, *args: Any, **kwargs: Any) -> Any:
            return watch._numbers(functools.partial(method, self), generator, name, *args, **kwargs)

        return draw

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        if watch.watching() and watch.line() is not None:
            watch._seed(generator, next(iter((*args, *kwargs.values())), None))
        with watch.quiet():
            real.__init__(self, *args, **kwargs)

    made = _subclass(real)
    for name in names:  # not in the body: `random.Random` looks there how to make whole numbers
        if callable(getattr(real, name, None)):
            setattr(made, name, drawing(name))
    if seeded:
        made.__init__ = __init__
    return made


def _heard_torch(real: Any, watch: Watch) -> Any:
    """Return a subclass of PyTorch's generator whose seeds are reported."""

    def manual_seed(self: Any, seed: Any) -> Any:
        given = watch._seed("own torch", seed) if watch.watching() else {}
        return real.manual_seed(self, given.get("seed", seed))

    made = _subclass(real)
    made.manual_seed = manual_seed
    return made


def _subclass(real: Any) -> Any:
    checks = {"__instancecheck__": lambda _, thing: isinstance(thing, real)}
    kind: Any = type(f"_{real.__name__}Type", (type(real),), checks)
    return kind(real.__name__, (real,), {"__module__": real.__module__, "__doc__": real.__doc__})


class _Batches:
    """What a loader gives, each batch reported; otherwise the loader's own iterator."""

    def __init__(self, watch: Watch, iterator: Any, path: tuple[int, ...]) -> None:
        self._watch, self.iterator, self.path = watch, iterator, path
        self.count, self.like, self.ended = 0, None, False

    def __iter__(self) -> _Batches:
        return self

    def __next__(self) -> Any:
        return self._watch.next_batch(self)

    def __len__(self) -> int:
        return len(self.iterator)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.iterator, name)


def _site_number(name: str, line: int, function: str) -> int:
    """Return the same in every run of a script: what one run says of its lines is looked up in the next."""
    return xxhash.xxh64_intdigest(f"{name}:{line}:{function}".encode(errors="replace")) >> 16


def _site(number: int, name: str, line: int, function: str, whole: Sequence[str]) -> Site:
    span = range(max(1, line - _AROUND), min(len(whole), line + _AROUND) + 1)
    around = [(k, whole[k - 1].rstrip("\n")[:300]) for k in span]
    text = whole[line - 1].strip() if 0 < line <= len(whole) else ""
    return Site(number, name, line, function, text, around)


def _untouchable() -> bool:
    """True inside transforms of `torch.func` and where modules are traced: tensors have no numbers there."""
    return torch._C._functorch.peek_interpreter_stack() is not None or torch._C._get_tracing_state() is not None


def _mode(module: nn.Module) -> str:
    """Return `on` or `off`, or `mixed` where some modules inside are in the other mode."""
    modes = {each.training for each in module.modules()}
    return "mixed" if len(modes) > 1 else "on" if module.training else "off"


def _leaves_of(loss: Any) -> list[tuple[str, Tensor]]:
    """Return the tensors for which a loss has gradients, in the order of the graph, each with a name."""
    waiting = [one.grad_fn for one in ([loss] if isinstance(loss, Tensor) else loss) if isinstance(one, Tensor)]
    found: dict[int, Tensor] = {}
    passed = set()
    while waiting:
        node: Any = waiting.pop()
        if node is None or node in passed:
            continue
        passed.add(node)
        if (variable := getattr(node, "variable", None)) is not None:
            found[id(variable)] = variable
        waiting += [following for following, _ in reversed(node.next_functions)]
    return [(str(k), tensor) for k, tensor in enumerate(found.values())]


def _as_array(value: Any) -> np.ndarray[Any, Any]:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        return np.empty(0)
    return array if array.dtype != object else np.empty(0)


def _shapes(values: Mapping[str, Any]) -> str:
    shapes = [list(v.shape) if isinstance(v, Tensor | np.ndarray) else type(v).__name__ for v in values.values()]
    return " ".join(str(shape).replace(" ", "") for shape in shapes)


def _plain_settings(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a parameter group that change what it computes."""
    skipped = {"params", "foreach", "fused", "capturable", "differentiable", "initial_lr", "decoupled_weight_decay"}
    found: dict[str, Any] = {}
    for name, value in group.items():
        if name not in skipped:
            found.update({n: v for n, v in leaves(value, name) if not isinstance(v, Tensor) or v.numel() == 1})
    return {n: float(v) if isinstance(v, Tensor) else v for n, v in found.items()}


def _like(old: Any, new: Any) -> Any:
    return torch.full_like(old, new) if isinstance(old, Tensor) else new


def _shifted(value: Tensor, target: Any) -> Tensor:
    """Return a tensor with the numbers of `target` and the gradient of `value`."""
    there = torch.as_tensor(target, dtype=value.dtype, device=value.device).reshape(value.shape)
    shifted: Tensor = value + (there - value).detach()
    return shifted


def _keeping_graph(old: Any, new: Any) -> Any:
    if isinstance(old, np.ndarray) and isinstance(new, Tensor):
        return new.numpy().astype(old.dtype).reshape(old.shape)
    if not isinstance(old, Tensor) or not isinstance(new, Tensor) or old.shape != new.shape:
        return new
    if old.is_floating_point() and old.requires_grad:
        exact = _shifted(old, new)
        exact.data.copy_(new)  # the sum rounds
        return exact
    return new.to(device=old.device, dtype=old.dtype)


def _with(value: Any, given: Mapping[str, Any], name: str = "") -> Any:
    """Return nested lists, tuples, mappings and objects with some leaves replaced."""
    if name in given:
        return given[name]
    inside = [n for n in given if n.startswith(f"{name}." if name else "")]
    if not inside or isinstance(value, Tensor | np.ndarray):
        return value
    if isinstance(value, Mapping):
        kept = {k: _with(v, given, f"{name}.{k}" if name else str(k)) for k, v in value.items()}
        if type(value) is dict:
            return kept
        copied: Any = copy.copy(value)
        for key, item in kept.items():
            copied[key] = item
        return copied
    if isinstance(value, list | tuple):
        items = [_with(v, given, f"{name}.{k}" if name else str(k)) for k, v in enumerate(value)]
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*items)
        return type(value)(items) if type(value) in (list, tuple) else items
    copied = copy.copy(value)
    for key, item in getattr(value, "__dict__", {}).items():
        object.__setattr__(copied, key, _with(item, given, f"{name}.{key}" if name else key))
    return copied


def _schedulers() -> list[Any]:
    return [kind for kind in vars(torch.optim.lr_scheduler).values() if _is_scheduler(kind)]


def _is_scheduler(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, LRScheduler)


def _public_name(kind: type) -> str:
    return kind.__name__.lstrip("_")


class _Lines:
    """Pass on what is printed, and report each line."""

    def __init__(self, stream: Any, report: Callable[[str], None]) -> None:
        self.stream, self._report, self._rest = stream, report, ""

    def write(self, text: str) -> int:
        written: int = self.stream.write(text)
        *lines, self._rest = (self._rest + text)[-10_000:].split("\n")
        for line in lines:
            self._report(line)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class _CallFinder(importlib.abc.MetaPathFinder):
    """Report calls of published functions from the time at which their module is imported."""

    def __init__(self, watch: Watch, calls: Sequence[str]) -> None:
        self._watch = watch
        self._wanted: dict[str, list[str]] = {}
        for call in calls:
            module, _, name = call.partition(":")
            self._wanted.setdefault(module, []).append(name)

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        """Return the spec that the other finders give, with a loader that wraps the functions."""
        if fullname not in self._wanted:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None and isinstance(spec.loader, importlib.abc.Loader):
            executed = spec.loader.exec_module
            names, watch = self._wanted[fullname], self._watch

            def exec_module(module: ModuleType) -> None:
                executed(module)
                wrap(watch, module, names)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def wrap(watch: Watch, module: ModuleType, names: Iterable[str]) -> None:
    """Report calls of functions and methods of a module; one that it lacks is left out."""
    for name in names:
        owner_name, _, function = name.rpartition(".")
        owner = getattr(module, owner_name, None) if owner_name else module
        found = vars(owner).get(function) if owner is not None else None
        if inspect.isfunction(found):
            setattr(owner, function, watch.called(name, found))
