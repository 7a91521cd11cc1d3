"""Watch a script in this process, through functions that every PyTorch training script passes.

Each hook reports an event: a role, a key by which events of two scripts are compared, and the values. The watcher
answers with values to put in place of some, from another run, or with none. Without an answer nothing that the script
computes changes, its random numbers included.
"""

from __future__ import annotations

import contextlib
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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any, Protocol

import numpy as np
import torch
import xxhash
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils.data import DataLoader

from parity.watch.recording import Event, Recorder, Site, leaves

__all__ = ["STOP", "Follower", "Watch", "current"]

STOP = "stop"
"""The name under which a follower answers that the other run's loader ended here."""

_LARGEST_LINES = 4000
"""Printed lines with numbers that are kept."""

_LONGEST_PATH = 4
"""Lines of the script's own code, from the innermost one outwards, that tell one place of a program from another."""

_AROUND = 2
"""Lines of source kept before and after one that an event names."""

_CPU = torch.default_generator
_RANDOM_STATE: Any = np.random.mtrand._rand


class Follower(Protocol):
    """Compare each event with another run as it happens."""

    def meet(self, event: Event, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the values that take the place of the script's own, by name."""

    def more(self, like: Any) -> Any:
        """Return what the other run's loader gave after this one ended, in the form of `like`; None if nothing."""


class _Current(threading.local):
    watch: Watch | None = None


_current = _Current()


def current() -> Watch | None:
    """Return the watch of this thread's script; None in a process or thread that has none."""
    return _current.watch


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
        self._quiet = 0
        self._sites: dict[tuple[CodeType, int], int] = {}
        self._own: dict[str, bool] = {}
        self._depth = 0
        self._forwards: list[int] = []
        self._modules: weakref.WeakKeyDictionary[nn.Module, str] = weakref.WeakKeyDictionary()
        self._seen: dict[int, tuple[int, int]] = {}
        self._of_optimiser: weakref.WeakKeyDictionary[torch.optim.Optimizer, tuple[str, ...]] = (
            weakref.WeakKeyDictionary()
        )
        self._owners: weakref.WeakKeyDictionary[torch.optim.Optimizer, str] = weakref.WeakKeyDictionary()
        self._helping: list[nn.Module] = []
        self._put: list[tuple[Any, str, Any]] = []
        self._handles: list[Any] = []
        self._lines = 0

    # What hooks use

    def event(
        self, role: str, key: str, values: Mapping[str, Any], path: tuple[int, ...] | None = None, **about: Any
    ) -> Mapping[str, Any]:
        """Report an event; return what takes the place of the values, by name."""
        if self._quiet:
            return {}
        with self.quiet():
            path = self.path() if path is None else path
            event = self.recorder.event(role, key, values, path, about)
            return self._follower.meet(event, values) if self._follower is not None else {}

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Report nothing of what happens inside."""
        self._quiet += 1
        try:
            yield
        finally:
            self._quiet -= 1

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

    def site_at(self, code: CodeType, line: int) -> int | None:
        """Return the number of a line of the script's own code; None for one of a library."""
        own = self._own.get(code.co_filename)
        if own is None:
            own = self._own[code.co_filename] = self._is_own(code.co_filename)
        return self._numbered(code, line) if own else None

    def leave(self) -> None:
        """Report nothing more from this process."""
        _current.watch = None

    def _is_own(self, file: str) -> bool:
        if not file.startswith(self.folder):
            return False
        inside = file.removeprefix(self.folder)
        return "site-packages" not in inside and not any(part.startswith(".") for part in inside.split(os.sep))

    def _numbered(self, code: CodeType, line: int) -> int:
        known = (code, line)
        if known not in self._sites:
            text = linecache.getline(code.co_filename, line).strip()
            name = code.co_filename.removeprefix(self.folder)
            # The same in every run of a script: what one run says of its lines is looked up in the next.
            number = xxhash.xxh64_intdigest(f"{name}:{line}:{code.co_qualname}".encode()) >> 16
            self._sites[known] = number
            whole = linecache.getlines(code.co_filename)
            span = range(max(1, line - _AROUND), min(len(whole), line + _AROUND) + 1)
            around = [(k, whole[k - 1].rstrip("\n")[:300]) for k in span]
            self.recorder.site(Site(number, name, line, code.co_qualname, text, around))
        return self._sites[known]

    def _watching(self) -> bool:
        return not self._quiet and _current.watch is self

    # Arming

    @contextlib.contextmanager
    def armed(self) -> Iterator[None]:
        """Watch this thread while the block runs."""
        _current.watch = self
        self._patch()
        try:
            yield
        finally:
            self._unpatch()
            _current.watch = None

    def _patch(self) -> None:
        for name in _TORCH_DRAWS:
            self._replace(torch, name, functools.partial(self._draws, getattr(torch, name), name, False))
        for name in _TENSOR_DRAWS:
            self._replace(Tensor, name, _method(functools.partial(self._draws, getattr(Tensor, name), name, True)))
        for name in ("dropout", "alpha_dropout", "feature_alpha_dropout", "dropout1d", "dropout2d", "dropout3d"):
            functional = nn.functional
            self._replace(functional, name, functools.partial(self._dropout, getattr(functional, name), name))
        for module in (torch, torch.random):
            self._replace(module, "manual_seed", functools.partial(self._seeds, torch.manual_seed, "torch"))
        self._replace(np.random, "seed", functools.partial(self._seeds, np.random.seed, "NumPy"))
        self._replace(random, "seed", functools.partial(self._seeds, random.seed, "random"))
        for name in _NUMPY_DRAWS:
            self._replace(np.random, name, functools.partial(self._numbers, getattr(np.random, name), "NumPy", name))
        self._replace(np.random, "default_rng", functools.partial(self._default_rng, np.random.default_rng))
        self._replace(np.random, "Generator", _heard(np.random.Generator, self))
        self._replace(np.random, "RandomState", _heard(np.random.RandomState, self))
        for name in _PYTHON_DRAWS:
            self._replace(random, name, functools.partial(self._numbers, getattr(random, name), "random", name))
        self._replace(Tensor, "backward", _method(functools.partial(self._backward, Tensor.backward)))
        self._replace(torch.autograd, "grad", functools.partial(self._grad, torch.autograd.grad))
        clip = nn.utils.clip_grad
        for name in ("clip_grad_norm_", "clip_grad_value_"):
            wrapped = functools.partial(self._clip, getattr(clip, name), name)
            self._replace(clip, name, wrapped)
            self._replace(nn.utils, name, wrapped)
        self._replace(torch.optim.Optimizer, "__init__", self._optimiser_made(torch.optim.Optimizer.__init__))
        for kind in {LRScheduler, ReduceLROnPlateau, *_schedulers()}:
            if "__init__" in vars(kind):
                self._replace(kind, "__init__", self._scheduler_made(kind.__init__))
        for holder in (torch.optim.Optimizer, nn.Module):
            self._replace(holder, "zero_grad", self._zeroes(holder.zero_grad))
        self._replace(DataLoader, "__iter__", _method(functools.partial(self._batches, DataLoader.__iter__)))
        self._replace(torch, "save", functools.partial(self._save, torch.save))
        self._replace(nn.Module, "load_state_dict", self._loads(nn.Module.load_state_dict))
        self._handles = [
            register_optimizer_step_pre_hook(self._before_step),
            register_optimizer_step_post_hook(self._after_step),
            register_module_forward_pre_hook(self._before_forward),
            register_module_forward_hook(self._after_forward, always_call=True),
        ]
        sys.stdout = _Lines(sys.stdout, self._printed)
        if self._calls:
            sys.meta_path.insert(0, _CallFinder(self, self._calls))

    def _replace(self, holder: Any, name: str, replacement: Any) -> None:
        self._put.append((holder, name, vars(holder).get(name, _ABSENT)))
        with contextlib.suppress(AttributeError, TypeError):  # a partial takes what a function has
            functools.update_wrapper(replacement, getattr(holder, name))
        setattr(holder, name, replacement)

    def _unpatch(self) -> None:
        for handle in self._handles:
            handle.remove()
        while self._put:
            holder, name, original = self._put.pop()
            if original is _ABSENT:
                delattr(holder, name)
            else:
                setattr(holder, name, original)
        if isinstance(sys.stdout, _Lines):
            sys.stdout = sys.stdout.stream
        sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _CallFinder)]

    # Random numbers

    def _draws(self, original: Callable[..., Any], name: str, in_place: bool, *args: Any, **kwargs: Any) -> Any:
        if not self._watching():
            return original(*args, **kwargs)
        with self.quiet():
            value = original(*args, **kwargs)
        if not isinstance(value, Tensor) or value.is_meta:
            return value
        generator = "own torch" if kwargs.get("generator") not in (None, _CPU) else "torch"
        kind = _KINDS.get(name, name.removesuffix("_")) + _law(name, in_place, args, kwargs)
        given = self.event("draw", f"{kind}{list(value.shape)}", {"value": value}, generator=generator, function=name)
        if "value" not in given:
            return value
        with self.quiet(), torch.no_grad():
            put = given["value"].to(device=value.device, dtype=value.dtype)
            if in_place or kwargs.get("out") is not None:
                return value.copy_(put)
            return put.requires_grad_(value.requires_grad)

    def _dropout(self, original: Callable[..., Any], name: str, *args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(original).bind(*args, **kwargs)
        given.apply_defaults()
        inputs, p = given.arguments["input"], given.arguments["p"]
        if not self._watching() or not given.arguments["training"] or not p:
            return original(*args, **kwargs)
        with self.quiet():
            value = original(*args, **kwargs)
            kept = (value != 0) | (inputs == 0)
        answer = self.event(
            "draw", f"{name}({p:g}){list(value.shape)}", {"value": kept}, generator="torch", function=name
        )
        if "value" in answer and name == "dropout":
            return inputs * answer["value"].to(value) / (1 - p)
        return value

    def _seeds(self, original: Callable[..., Any], generator: str, *args: Any, **kwargs: Any) -> Any:
        if not self._watching():
            return original(*args, **kwargs)
        seed = next(iter((*args, *kwargs.values())), None)
        given = self.event("seed", generator, {"seed": seed if isinstance(seed, int | float | str) else repr(seed)})
        with self.quiet():
            return original(given["seed"]) if "seed" in given else original(*args, **kwargs)

    def _numbers(self, original: Callable[..., Any], generator: str, name: str, *args: Any, **kwargs: Any) -> Any:
        """Report a draw of NumPy or `random`, of the global generators or of one of the script's own."""
        if not self._watching() or (generator == "random" and not self.path(sys._getframe(1))):
            return original(*args, **kwargs)
        with self.quiet():
            result = original(*args, **kwargs)
        drawn = next(iter(args), None) if result is None else result  # what shuffles in place returns nothing
        value = _as_array(drawn)
        kind = _KINDS.get(name, name)
        given = self.event("draw", f"{kind}{list(value.shape)}", {"value": value}, generator=generator, function=name)
        if "value" not in given:
            return result
        put = given["value"]
        put = put.numpy() if isinstance(put, Tensor) else np.asarray(put)
        if result is None:
            for k, item in enumerate(put):
                drawn[k] = item  # type: ignore[index]
            return None
        if isinstance(result, np.ndarray):
            return put.astype(result.dtype).reshape(result.shape)
        return type(result)(put.item()) if put.ndim == 0 else type(result)(put.tolist())

    def _default_rng(self, original: Callable[..., Any], seed: Any = None) -> Any:
        with self.quiet():
            made = original(seed)
            if made is seed:
                return made
            heard = np.random.Generator(made.bit_generator)
        self.event("seed", "own NumPy", {"seed": seed if isinstance(seed, int) else repr(seed)})
        return heard

    # Training

    def _backward(self, original: Callable[..., Any], loss: Tensor, *args: Any, **kwargs: Any) -> Any:
        if self._watching():
            given = self.event("loss", f"loss{list(loss.shape)}", {"loss": loss})
            if "loss" in given:
                loss = _shifted(loss, given["loss"])
        with self.quiet():
            return original(loss, *args, **kwargs)

    def _grad(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with self.quiet():
            result = original(*args, **kwargs)
        if not self._watching():
            return result
        values = {str(k): value for k, value in enumerate(result) if isinstance(value, Tensor)}
        given = self.event("grad", "grad" + _shapes(values), values)
        return tuple(given.get(str(k), value) for k, value in enumerate(result)) if given else result

    def _clip(self, original: Callable[..., Any], name: str, parameters: Any, *args: Any, **kwargs: Any) -> Any:
        bound = inspect.signature(original).bind(parameters, *args, **kwargs)
        with self.quiet():
            result = original(parameters, *args, **kwargs)
        if self._watching():
            plain = {k: v for k, v in bound.arguments.items() if isinstance(v, float | int) and k != "foreach"}
            self.event("clip", name, {k: float(v) for k, v in plain.items()})
        return result

    def _optimiser_made(self, original: Callable[..., None]) -> Callable[..., None]:
        def __init__(optimiser: Any, params: Any, defaults: dict[str, Any]) -> None:
            with self.quiet():
                original(optimiser, params, defaults)
            if not self._watching():
                return
            names = self._names(optimiser)
            for k, group in enumerate(optimiser.param_groups):
                plain = _plain_settings(group)
                given = self.event("optimiser", type(optimiser).__name__, plain, group=k)
                group.update({name: _like(group[name], value) for name, value in given.items() if name in group})
            tensors = [p for group in optimiser.param_groups for p in group["params"]]
            self._report_weights(names, tensors, "initial", self._owners.get(optimiser, ""))

        return __init__

    def _scheduler_made(self, original: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(original)
        def __init__(scheduler: Any, *args: Any, **kwargs: Any) -> None:
            with self.quiet():
                original(scheduler, *args, **kwargs)
            if self._watching():
                bound = inspect.signature(original).bind(scheduler, *args, **kwargs)
                bound.apply_defaults()
                plain = {n: v for n, v in bound.arguments.items() if isinstance(v, float | int | str | bool)}
                plain.pop("verbose", None)
                self.event("scheduler", _public_name(type(scheduler)), plain)

        return __init__

    def _zeroes(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def zero_grad(holder: Any, *args: Any, **kwargs: Any) -> Any:
            if self._watching():
                self.event("zero", "zero_grad", {})
            with self.quiet():
                return original(holder, *args, **kwargs)

        return zero_grad

    def _before_step(self, optimiser: Any, *_: Any) -> None:
        if not self._watching():
            return
        tensors = [p for group in optimiser.param_groups for p in group["params"]]
        names = self._names(optimiser)
        with self.quiet():
            rates = {f"rate.{k}": float(group["lr"]) for k, group in enumerate(optimiser.param_groups) if "lr" in group}
        given = self.event("rate", type(optimiser).__name__, rates)
        for k, group in enumerate(optimiser.param_groups):
            if f"rate.{k}" in given:
                group["lr"] = _like(group["lr"], given[f"rate.{k}"])
        gradients = {n: p.grad for n, p in zip(names, tensors, strict=True) if p.grad is not None}
        given = self.event("gradient", _shapes(gradients), gradients)
        with self.quiet(), torch.no_grad():
            for name, parameter in zip(names, tensors, strict=True):
                if name in given:
                    parameter.grad.copy_(given[name])

    def _after_step(self, optimiser: Any, *_: Any) -> None:
        if not self._watching():
            return
        self.recorder.step += 1
        tensors = [p for group in optimiser.param_groups for p in group["params"]]
        self._report_weights(self._names(optimiser), tensors, "step")
        if self._stop_after is not None and self.recorder.step >= self._stop_after:
            self._stop()

    def _report_weights(self, names: Sequence[str], tensors: Sequence[Tensor], why: str, module: str = "") -> None:
        values = dict(zip(names, tensors, strict=True))
        given = self.event("weights", why + _shapes(values), values, why=why, module=module)
        with self.quiet(), torch.no_grad():
            for name, tensor in values.items():
                if name in given:
                    tensor.data.copy_(given[name])
        self._seen.update((id(tensor), (tensor._version, tensor.data_ptr())) for tensor in tensors)

    def _names(self, optimiser: Any) -> tuple[str, ...]:
        """Return the names of an optimiser's parameters in the smallest module that holds them all."""
        if optimiser not in self._of_optimiser:
            wanted = [id(p) for group in optimiser.param_groups for p in group["params"]]
            best: dict[int, str] = {}
            owner = ""
            for module in [thing for thing in gc.get_objects() if isinstance(thing, nn.Module)]:
                with contextlib.suppress(Exception):
                    named = {id(p): name for name, p in module.named_parameters()}
                    if set(wanted) <= named.keys() and (not best or len(named) < len(best)):
                        best, owner = named, type(module).__name__
            self._owners[optimiser] = owner
            self._of_optimiser[optimiser] = tuple(best.get(each, str(k)) for k, each in enumerate(wanted))
        return self._of_optimiser[optimiser]

    # Batches

    def _batches(self, original: Callable[..., Any], loader: Any) -> Any:
        if not self._watching():
            return original(loader)
        with self.quiet():
            iterator = original(loader)
        return self._reported(iterator, self.path(sys._getframe(1)))

    def _reported(self, iterator: Any, path: tuple[int, ...]) -> Iterator[Any]:
        like = None
        k = 0
        while True:
            batch = next(iterator, _ABSENT)
            if batch is _ABSENT:
                break
            like = batch
            values = {name: value for name, value in leaves(batch) if isinstance(value, Tensor | np.ndarray)}
            given = self.event("batch", f"batch of {len(values)}", values, path, number=k)
            if STOP in given:
                return
            k += 1
            yield _with(batch, given) if given else batch
        while self._follower is not None and like is not None and (batch := self._follower.more(like)):
            yield batch

    # Modules

    def _before_forward(self, module: nn.Module, args: tuple[Any, ...]) -> Any:
        if not self._watching():
            return None
        if self._depth == 0 and self._is_helper(module):
            self._helping.append(module)
            return None
        self._depth += 1
        if self._depth > 1:
            return None
        self._changed_weights(module)
        values = {name: value for name, value in leaves(args) if isinstance(value, Tensor | float | int | bool)}
        values["training"] = module.training
        grad, name = torch.is_grad_enabled(), self._named(module)
        given = self.event("forward", "forward" + _shapes(values), values, grad=grad, module=name)
        self._forwards.append(self.recorder.count - 1)
        if not given:
            return None
        return _with(args, {name: _keeping_graph(values[name], new) for name, new in given.items()})

    def _after_forward(self, module: nn.Module, _: Any, output: Any) -> Any:
        if not self._watching():
            return None
        if self._depth == 0:
            if self._helping and self._helping[-1] is module:
                self._helping.pop()
            return None
        self._depth -= 1
        if self._depth or not self._forwards:
            return None
        of = self._forwards.pop()
        values = {name: value for name, value in leaves(output) if isinstance(value, Tensor)}
        given = self.event("output", "output" + _shapes(values), values, of=of, module=self._named(module))
        if not given:
            return None
        return _with(output, {name: _keeping_graph(values[name], new) for name, new in given.items()})

    def _is_helper(self, module: nn.Module) -> bool:
        """True for a module without weights that a library beside PyTorch calls, to transform its own numbers."""
        if next(module.parameters(), None) is not None:
            return False
        frame: FrameType | None = sys._getframe(2)
        while frame is not None and f"{os.sep}torch{os.sep}" in frame.f_code.co_filename:
            frame = frame.f_back
        return frame is not None and not self._is_own(frame.f_code.co_filename)

    def _changed_weights(self, module: nn.Module) -> None:
        """Report the weights of a module that changed since they were last reported, and those of a new one."""
        named = list(module.named_parameters())
        changed = [(n, p) for n, p in named if self._seen.get(id(p)) != (p._version, p.data_ptr())]
        if not changed:
            return
        known = any(id(p) in self._seen for _, p in named)
        names, tensors = zip(*named, strict=True)
        self._report_weights(names, tensors, "changed" if known else "initial", self._named(module))

    def _named(self, module: nn.Module) -> str:
        if module not in self._modules:
            self._modules[module] = type(module).__name__
        return self._modules[module]

    # Files and lines

    def _save(self, original: Callable[..., Any], thing: Any, file: Any, *args: Any, **kwargs: Any) -> Any:
        if self._watching():
            values = {n: v for n, v in leaves(thing) if isinstance(v, Tensor)}
            name = Path(file).name if isinstance(file, str | os.PathLike) else type(file).__name__
            self.event("save", f"save of {len(values)}", values, file=name)
        with self.quiet():
            return original(thing, file, *args, **kwargs)

    def _loads(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def load_state_dict(module: nn.Module, state: Any, *args: Any, **kwargs: Any) -> Any:
            if self._watching():
                values = {n: v for n, v in state.items() if isinstance(v, Tensor)}
                self.event("load", "load" + _shapes(values), values)
            with self.quiet():
                return original(module, state, *args, **kwargs)

        return load_state_dict

    def _printed(self, line: str) -> None:
        numbers = _FLOAT.findall(line)
        if not numbers or not self._watching() or self._lines >= _LARGEST_LINES:
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
            if not self._watching():
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
    "multinomial", "poisson",
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
_PYTHON_DRAWS = tuple(n for n in random.__all__ if n[0].islower() and n not in {"seed", "getstate", "setstate"})

_FLOAT = re.compile(r"(?<![\w.])[-+]?\d+\.\d+(?:[eE][-+]?\d+)?(?![\w.])|(?<![\w.])(?:nan|inf)(?![\w.])")


def _method(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function: a partial in a class would not be bound to its object."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return call(self, *args, **kwargs)

    return method


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


def _heard(real: Any, watch: Watch) -> Any:
    """Return a subclass of a NumPy generator whose draws are reported. Every `real` counts as an instance of it."""

    def drawing(name: str) -> Callable[..., Any]:
        method = getattr(real, name)

        def draw(self: Any, *args: Any, **kwargs: Any) -> Any:
            return watch._numbers(functools.partial(method, self), "own NumPy", name, *args, **kwargs)

        return draw

    public = [n for n in vars(real) if not n.startswith("_") and n not in _NO_DRAWS and n not in ("spawn",)]
    body = {n: drawing(n) for n in public if callable(getattr(real, n)) and n != "bit_generator"}
    checks = {"__instancecheck__": lambda _, thing: isinstance(thing, real)}
    kind: Any = type(f"_{real.__name__}Type", (type(real),), checks)
    made: Any = kind(real.__name__, (real,), {"__module__": real.__module__, "__doc__": real.__doc__, **body})
    return made


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
    """Return nested lists, tuples and mappings with some leaves replaced."""
    if isinstance(value, Mapping):
        kept = {k: _with(v, given, f"{name}.{k}" if name else str(k)) for k, v in value.items()}
        return kept if type(value) is dict else value
    if isinstance(value, list | tuple):
        items = [_with(v, given, f"{name}.{k}" if name else str(k)) for k, v in enumerate(value)]
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*items)
        return type(value)(items) if type(value) in (list, tuple) else items
    return given.get(name, value)


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
