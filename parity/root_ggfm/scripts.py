"""Prepare a published training script for a watched run: its task, its settings, names that newer libraries lack.

What only such scripts have is reported here: the buffers of the bridge, quantiles of scores, the average that the
script itself defines, settings as they are read.
"""

from __future__ import annotations

import argparse
import ast
import atexit
import builtins
import contextlib
import copy
import functools
import importlib.util
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import yaml
from torch import nn
from torch.nn.modules.module import register_module_buffer_registration_hook

from parity.root_ggfm.checkouts.loading import ImportStubs, restore_numpy_names, restore_verbose_argument
from parity.root_ggfm.script_components import judge_scripts
from parity.root_ggfm.script_settings import changed_config, differing, effective, find, small, table
from parity.root_ggfm.sides.root_config import PUBLISHED
from parity.root_ggfm.tasks.catalogue import NAMES, load_task
from parity.watch.hooks import Watch, wrap
from parity.watch.pair import Pair
from parity.watch.recording import Numbers, Recording, leaves
from parity.watch.script import PREFIX, Script

__all__ = ["CALLS", "judge_scripts", "prepare", "script_of", "settings_rows"]

_METHODS = ("q_sample", "predict_x0_from_objective", "p_losses", "p_sample", "sample")
_PAIRS = ("sampling_data_from_GP", "create_train_dataloader", "create_val_dataloader", "sampling_from_offline_data")
_MODEL = "BrownianBridgeModel"

_REFERENCE = (
    "pair_sampling:sampling_data_from_GP", "dataloader:create_train_dataloader", "dataloader:create_val_dataloader",
    "candidates:sampling_from_offline_data", "gp:GP.__init__",
)  # fmt: skip
_AVERAGE = ("EMA.update", "EMA.apply_shadow", "EMA.restore")

CALLS: tuple[str, ...] = (
    *(f"model.BrownianBridge.{_MODEL}:{_MODEL}.{name}" for name in _METHODS),
    *(f"src.brownian_bridge:{_MODEL}.{name}" for name in _METHODS),
    *(f"{module}:{name}" for module in ("runners.utils", "src.generator") for name in _PAIRS),
    *(f"{module}:GP.__init__" for module in ("gaussian_process.GP", "src.generator")),
    *(f"runners.base.EMA:{name}" for name in _AVERAGE),
    *(f"reference_root.bridge:{_MODEL}.{name}" for name in (*_METHODS, "_predict_x0")),
    *(f"reference_root.{module}" for module in _REFERENCE),
    *(f"reference_root.ema:{name}" for name in _AVERAGE),
)
"""Published functions of both layouts, under the names that both use."""


def script_of(side: str) -> str:
    """Return `script:PATH ARGS` of `reference_root` or of a checkout, `LAYOUT:PATH`; empty for any other side."""
    layout, _, path = side.partition(":")
    folder = Path(path).expanduser().resolve()
    if side == "reference_root":
        main = _reference_folder() / "main.py"
        return f"{PREFIX}{main} --config {main.with_name('DKittyMorphology-Exact-v0.yaml')}"
    if layout not in _CONFIGS or not (folder / "main.py").is_file():
        return ""
    configs = [*(f for pattern in _CONFIGS[layout] for f in sorted(folder.glob(f"configs/{pattern}")))]
    if not configs:
        return ""
    arguments = f"--config {configs[0].relative_to(folder)}"
    return f"{PREFIX}{shlex.quote(str(folder / 'main.py'))} {arguments}{' --save_top' if layout == 'root' else ''}"


_CONFIGS = {
    "root": ("Dkitty*.yaml", "*.yaml"),
    "ggfm": ("Dkitty_BB*.yaml", "*_BB*.yaml", "Dkitty*.yaml", "*.yaml"),
}
"""Configurations of a checkout, by its layout, the one to take first."""


@functools.cache
def _reference_folder() -> Path:
    """Return a folder of this process with a copy of `reference_root` and of the script that trains it."""
    scratch = Path(tempfile.mkdtemp(prefix="parity-reference-"))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    folder = scratch / "reference_root"
    (package,) = (Path(place) for place in importlib.util.find_spec("reference_root").submodule_search_locations)  # type: ignore[union-attr]
    shutil.copytree(package, folder / "reference_root", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(Path(__file__).parent / "sides" / "reference_script.py", folder / "main.py")
    shutil.copy(package / "configs" / "DKittyMorphology-Exact-v0.yaml", folder)
    return folder


def prepare(folder: Path, arguments: list[str], setting: Mapping[str, Any], watch: Watch) -> list[str]:
    """Give the script its task in the place of design-bench, and a changed copy of its configuration; return notes.

    `setting`: `task`, the name of the task, and `set`, settings by their names (`script_settings.toml`). All others are
    those of a small run; `small` false in `set` leaves them as the configuration has them.
    """
    sys.path.insert(0, str(folder))
    if (folder / "reference_root").is_dir():  # the script's own copy, not the one that the study has imported
        for name in [n for n in sys.modules if n.partition(".")[0] == "reference_root"]:
            del sys.modules[name]
    stubs = ImportStubs(folder)
    sys.meta_path.insert(0, stubs)
    restored = (*restore_verbose_argument(), *restore_numpy_names(folder))
    torch.load = functools.partial(torch.load, weights_only=False)
    _report_buffers(watch)
    _report_quantiles(watch)
    _report_settings(folder, watch)
    _report_defaults(folder, watch)
    bench = _Bench(setting.get("task", "auto"), watch)
    module = ModuleType("design_bench")
    module.make = bench.make  # type: ignore[attr-defined]
    sys.modules["design_bench"] = module
    notes = _set(folder, arguments, dict(setting.get("set") or {}), bench)
    return [*notes, *restored, *bench.notes]


def _set(folder: Path, arguments: Sequence[str], given: dict[str, Any], bench: _Bench) -> list[str]:
    """Change the configuration files that the arguments name; return what was set."""
    layout = _layout(folder)
    notes: list[str] = []
    sizes: dict[str, Any] = {}
    if given.pop("small", True):
        try:
            sizes = small(layout, folder, ["main.py", *arguments])
        except ValueError as error:
            notes.append(f"not made small: {error}")
    for argument in arguments:
        if not argument.endswith((".yaml", ".yml")):
            continue
        file = Path(argument) if Path(argument).exists() else folder / argument
        if not file.exists():
            continue
        before = yaml.safe_load(file.read_text("utf-8")) or {}
        name = bench.published or (before.get("task") or {}).get("name")
        asked = dict(zip(find(given), given.values(), strict=True))
        settings = {**sizes, **bench.settings(name, layout), **asked}
        file.write_text(changed_config(layout, file, settings), "utf-8")
        after = yaml.safe_load(file.read_text("utf-8"))
        notes += _changes(before, after)
    return notes


def _layout(folder: Path) -> str:
    """Return `ggfm` for a folder of that layout, `root` for any other: the reference reads ROOT's configurations."""
    return "ggfm" if (folder / "src").is_dir() and not (folder / "runners").is_dir() else "root"


def _changes(before: Any, after: Any, name: str = "") -> list[str]:
    if isinstance(after, dict):
        held = before if isinstance(before, dict) else {}
        return [line for k, v in after.items() for line in _changes(held.get(k), v, f"{name}.{k}" if name else str(k))]
    return [] if before == after else [f"set: {name} is {after} in the place of {before}"]


def settings_rows(reference: Script, candidate: Script, pair: Pair | None = None) -> list[dict[str, Any]]:
    """Return a row for each setting of both scripts, as their files state it, and one for each condition of the runs.

    `name`, `reference`, `candidate`, both places, `differs`; `reach`, of one that differs: whether a script read it
    before the first difference.
    """
    sides = []
    for script in (reference, candidate):
        layout = _layout(script.folder)
        argv = [script.path.relative_to(script.folder).as_posix(), *script.arguments]
        try:
            sides.append((layout, effective(layout, script.folder, argv)))
        except ValueError as error:
            return [_row("settings", str(error), "", ("", ""), differs=False)]
    found = {row["name"]: row for row in differing(*sides)}
    rows = []
    for name in table():
        one, other = (side[1].get(name) for side in sides)
        if one is None and other is None:
            continue
        shown = found.get(name) or {}
        row = _row(
            name,
            shown.get("reference", one.value if one else "not set"),
            shown.get("candidate", other.value if other else "not set"),
            (one.where if one else "", other.where if other else ""),
            differs=name in found,
        )
        rows.append(row | {"reach": _reach(name, [side[0] for side in sides], pair) if name in found else ""})
    return rows + (_conditions(pair) if pair is not None else [])


def _row(name: str, reference: Any, candidate: Any, places: tuple[str, str], *, differs: bool) -> dict[str, Any]:
    plain = [list(v) if isinstance(v, tuple) else v for v in (reference, candidate)]
    return {
        "name": name, "reference": plain[0], "candidate": plain[1], "reference_place": places[0],
        "candidate_place": places[1], "differs": differs, "reach": "",
    }  # fmt: skip


def _reach(name: str, layouts: Sequence[str], pair: Pair | None) -> str:
    """Say whether a script read a setting, and whether it did so before the first difference."""
    if pair is None:
        return "not known before the scripts run"
    first = next((d for d in pair.differences if d.counts), None)
    texts, before = [], False
    sides = (
        (pair.reference, None if first is None else first.of),
        (pair.led, None if first is None else first.event),
    )
    for side, layout, (recording, limit) in zip(("reference", "candidate"), layouts, sides, strict=True):
        keys = _read_as(name, layout)
        event = next((e for e in recording.events if e.role == "setting" and e.key in keys), None)
        if event is None:
            texts.append(f"never read by the {side}")
        else:
            before = before or limit is None or event.index < limit
            texts.append(f"read by the {side}, {recording.site(event)}")
    reaches = "reaches the computation" if before else "read after the first difference"
    if all("never" in text for text in texts):
        reaches = "does not reach the computation"
    return f"{reaches}: {'; '.join(texts)}"


def _read_as(name: str, layout: str) -> tuple[str, ...]:
    setting = table()[name]
    if layout == "root":
        return {"seed": ("args.seed",), "device": ("args.gpu_ids",)}.get(name, (setting.root,))
    return (f"Config.{setting.attribute or name.upper()}",)


def _digest(recording: Recording, key: str) -> str:
    value = next((e.values["value"] for e in recording.events if e.role == "observe" and e.key == key), None)
    return f"{value}, {value.digest[:12]}" if isinstance(value, Numbers) else "not read"


def _conditions(pair: Pair) -> list[dict[str, Any]]:
    """Return rows of package versions, threads and the data."""
    rows = []
    sides = (pair.reference, pair.first)
    for name in ("python", "torch", "threads"):
        one, other = (str(r.about.get(name, "")) for r in sides)
        rows.append(_row(name, one, other, ("", ""), differs=one != other))
    for key in ("task.x", "task.y"):
        one, other = (_digest(recording, key) for recording in sides)
        rows.append(_row(f"data {key}", one, other, ("", ""), differs=one != other))
    for row in rows:
        row["reach"] = "reaches the computation" if row["differs"] else ""
    return rows


_BUFFERS = (
    "m_t", "m_tminus", "variance_t", "variance_tminus", "variance_t_tminus", "posterior_variance_t", "steps",
)  # fmt: skip


def _report_buffers(watch: Watch) -> None:
    """Report the buffers of a bridge as they are registered."""

    def registered(_: nn.Module, name: str, buffer: Any) -> None:
        if name in _BUFFERS:
            watch.event("observe", name, {"value": buffer}, buffer=True)

    register_module_buffer_registration_hook(registered)


def _report_quantiles(watch: Watch) -> None:
    """Report what quantiles are taken of, and what they are."""

    def reporting(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def quantile(values: Any, *args: Any, **kwargs: Any) -> Any:
            watch.event("observe", "quantile", dict(leaves(values, "values")))
            with watch.quiet():
                result = original(values, *args, **kwargs)
            watch.event("observe", "quantile returns", dict(leaves(result, "value")))
            return result

        return quantile

    for holder, name in ((torch, "quantile"), (np, "quantile"), (np, "percentile")):
        setattr(holder, name, reporting(getattr(holder, name)))


def _report_defaults(folder: Path, watch: Watch) -> None:
    """Report the literal defaults of published functions, as their files state them."""
    for call in CALLS:
        module, _, name = call.partition(":")
        file = folder / f"{module.replace('.', '/')}.py"
        if name.rpartition(".")[2] not in ("sample", "sampling_data_from_GP") or not file.is_file():
            continue
        with contextlib.suppress(SyntaxError, ValueError):
            for node in ast.walk(ast.parse(file.read_text("utf-8", errors="replace"))):
                if isinstance(node, ast.FunctionDef) and node.name == name.rpartition(".")[2]:
                    named = [a.arg for a in node.args.args][len(node.args.args) - len(node.args.defaults) :]
                    values = [d.value for d in node.args.defaults if isinstance(d, ast.Constant)]
                    if len(values) == len(named):
                        watch.event("observe", f"defaults of {node.name}", dict(zip(named, values, strict=True)))


def _report_settings(folder: Path, watch: Watch) -> None:
    """Report each setting when the script's own code first reads it; and an average that the script defines itself.

    Settings are attributes of an argparse namespace, however deep, and upper-case attributes of a class.
    """
    seen: set[str] = set()
    inside = f"{folder}/"

    def report(name: str, value: Any, frame: Any) -> None:
        if name in seen or not frame.f_code.co_filename.startswith(inside):
            return
        seen.add(name)
        plain = isinstance(value, int | float | str | bool) or value is None
        watch.event("setting", name, {"value": value if plain else repr(value)[:200]}, watch.path(frame))

    _hear_namespaces(report)
    make = builtins.__build_class__

    def build_class(body: Any, name: str, *bases: Any, **given: Any) -> Any:
        made = make(body, name, *bases, **given)
        if not body.__code__.co_filename.startswith(inside):
            return made
        if name == "EMA" and made.__module__ == "__main__":
            holder = ModuleType("__main__")
            setattr(holder, name, made)
            wrap(watch, holder, _AVERAGE)
        if type(made) is type and _holds_settings(made):
            held = {n: v for n, v in vars(made).items() if n not in ("__dict__", "__weakref__")}
            return _heard_class(report)(name, bases, held)
        return made

    builtins.__build_class__ = build_class  # type: ignore[assignment]


def _holds_settings(kind: type) -> bool:
    names = [n for n in vars(kind) if not n.startswith("_")]
    return len(names) >= 3 and all(n.isupper() for n in names)


def _heard_class(report: Callable[[str, Any, Any], None]) -> type:
    class Heard(type):
        def __getattribute__(cls, name: str) -> Any:
            try:
                value = super().__getattribute__(name)
            except AttributeError:
                if name.isupper():
                    report(f"{cls.__name__}.{name}", None, sys._getframe(1))
                raise
            if name.isupper():
                report(f"{cls.__name__}.{name}", value, sys._getframe(1))
            return value

    return Heard


def _hear_namespaces(report: Callable[[str, Any, Any], None]) -> None:
    """Report reads of the entries of nested argparse namespaces under dotted names.

    `vars` of a section reads all its entries, unless a function asks every section for them: that copies or saves them.
    """
    kind, get = argparse.Namespace, object.__getattribute__
    places: dict[int, tuple[str, Any]] = {}
    copying: set[Any] = set()

    def read(namespace: Any, name: str) -> Any:
        value = get(namespace, name)
        frame = sys._getframe(1)
        place = places.get(id(namespace), ("", None))[0]
        if name == "__dict__":
            if not place or any(isinstance(v, kind) for v in value.values()):
                copying.add(frame.f_code)
            elif frame.f_code not in copying:
                for entry, held in value.items():
                    report(f"{place}{entry}", held, frame)
        elif isinstance(value, kind):
            places.setdefault(id(value), (f"{place}{name}.", value))
        elif not name.startswith("_"):
            report(f"{place}{name}", value, frame)
        return value

    kind.__getattribute__ = read  # type: ignore[method-assign]


class _Bench:
    """Make tasks in the place of design-bench."""

    def __init__(self, task: str, watch: Watch) -> None:
        self._name, self._watch = task, watch
        self._loaded: dict[str, Any] = {}
        self.notes = [f"bridged: design-bench makes the task {task}"]

    def make(self, name: str, **_: Any) -> Any:
        """Return a task that reports what it is asked for."""
        return _Observed(copy.deepcopy(self._task(name)), self._watch)

    @property
    def published(self) -> str | None:
        """The task's name where the published scripts know it: they look up its scores, and treat TFBind8 apart."""
        return self._name if self._name in PUBLISHED else None

    def settings(self, name: Any, layout: str) -> Mapping[str, Any]:
        """Return the settings that the task asks for; of sequences all pairs are kept, since a few small steps hardly
        move their scores."""
        if not isinstance(name, str):
            return {}
        task = self._task(name)
        x = task.to_logits(task.x[:1]) if task.is_discrete else task.x[:1]
        found: dict[str, Any] = {"image_size": int(np.prod(x.shape[1:]))} if layout == "root" else {}
        found |= {"threshold_diff": -1e9} if task.is_discrete else {}
        return found | ({"task": self.published} if self.published is not None else {})

    def _task(self, name: str) -> Any:
        if name not in self._loaded:
            discrete = name.startswith("TFBind")
            usual = (name if name in NAMES else "auto") if discrete else "SyntheticContinuous-v0"
            with self._watch.quiet():
                self._loaded[name] = load_task(usual if self._name == "auto" else self._name)[0]
        return self._loaded[name]


class _Observed:
    """A task whose arrays and calls are events."""

    def __init__(self, task: Any, watch: Watch) -> None:
        self._task, self._watch = task, watch

    def __deepcopy__(self, memo: dict[int, Any]) -> _Observed:
        return _Observed(copy.deepcopy(self._task, memo), self._watch)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        value = getattr(self._task, name)
        if isinstance(value, np.ndarray):
            self._watch.event("observe", f"task.{name}", {"value": value})
            return value
        if not callable(value):
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            given = {str(k): v for k, v in enumerate(args) if isinstance(v, np.ndarray)}
            self._watch.event("observe", f"task.{name}()", given)
            result = value(*args, **kwargs)
            if isinstance(result, np.ndarray):
                self._watch.event("observe", f"task.{name}() returns", {"value": result})
            return result

        return call
