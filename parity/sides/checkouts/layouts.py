"""Which published layout a folder has, and its adapter: `root:PATH`, `ggfm:PATH`. Run in a host only."""

from __future__ import annotations

import contextlib
import importlib
import shutil
import sys
from pathlib import Path

from parity.sides.checkouts.bridge import CheckoutSide, is_of_folder, is_within
from parity.sides.checkouts.ggfm import GgfmCheckout
from parity.sides.checkouts.imports import StandIns
from parity.sides.checkouts.retired import bridge_numpy, bridge_plateau
from parity.sides.checkouts.root import RootCheckout

__all__ = ["LAYOUTS", "NoCheckout", "check_folder", "load_checkout", "with_layout"]

LAYOUTS = {
    "root": ("gaussian_process/GP.py", "model/BrownianBridge/BrownianBridgeModel.py", "runners/utils.py"),
    "ggfm": ("src/brownian_bridge.py", "src/generator.py"),
}
"""Of each layout the files by which it is known: one of them is enough, since a commit may lack some."""

_ADAPTERS: dict[str, type[CheckoutSide]] = {"root": RootCheckout, "ggfm": GgfmCheckout}


class NoCheckout(ValueError):
    """A path that holds no such checkout, or one that Python cannot read."""


def check_folder(specifier: str) -> tuple[str, Path]:
    """The layout and the folder that `LAYOUT:PATH` names. Raises NoCheckout for what is none, naming what it lacks."""
    layout, _, path = specifier.partition(":")
    folder = Path(path).expanduser().resolve()
    if not path or not folder.is_dir():
        raise NoCheckout(f"{specifier}: {path or 'an empty path'} is not a folder")
    if not any((folder / file).is_file() for file in LAYOUTS[layout]):
        other = [name for name, files in LAYOUTS.items() if all((folder / file).is_file() for file in files)]
        hint = f"; it looks like {other[0]}:{path}" if other else ""
        raise NoCheckout(
            f"{specifier} is no checkout of that layout: it has none of {', '.join(LAYOUTS[layout])}{hint}"
        )
    return layout, folder


def with_layout(path: str) -> str:
    """`LAYOUT:PATH` of a folder, by its files; what names a layout already is given back.

    Raises NoCheckout for a folder that has neither layout, and for one that has both.
    """
    if path.partition(":")[0] in LAYOUTS:
        return path
    folder = Path(path)
    found = [name for name, files in LAYOUTS.items() if any((folder / file).is_file() for file in files)]
    if not found:
        layouts = "; ".join(f"{name}: {', '.join(files)}" for name, files in LAYOUTS.items())
        raise NoCheckout(f"{path} is no checkout: it has none of the files of either layout ({layouts})")
    if len(found) > 1:
        raise NoCheckout(f"{path} matches two layouts: say which is meant, {' or '.join(f'{n}:{path}' for n in found)}")
    return f"{found[0]}:{path}"


def load_checkout(specifier: str) -> CheckoutSide:
    """The side, its modules imported from the folder before any other place.

    Raises NoCheckout for a syntax error, for an import that is neither installed nor bridged, and where no module of
    the layout can be imported. A module that imports what the checkout lacks, or fails in another way, costs only the
    components that need it.
    """
    layout, folder = check_folder(specifier)
    sys.path.insert(0, str(folder))
    stand_ins = StandIns(folder)
    sys.meta_path.insert(0, stand_ins)
    retired = (*bridge_plateau(), *bridge_numpy(folder))
    _lay_out_settings(folder)
    adapter = _ADAPTERS[layout]
    lacking = [text for module in adapter.modules if (text := _import(specifier, folder, module, stand_ins))]
    if len(lacking) == len(adapter.modules):
        raise NoCheckout(f"{specifier}: {lacking[0]}")
    for module in adapter.optional:
        with contextlib.suppress(Exception, SystemExit):  # raised again by the components that need the module
            _bridged(module, stand_ins)
    return adapter(specifier, folder, (*_other_layouts(layout, folder), *lacking, *stand_ins.notes, *retired))


def _import(specifier: str, folder: Path, module: str, stand_ins: StandIns) -> str:
    """Imports it, if it is there. What it imports that the checkout lacks, in a line; empty if nothing."""
    try:
        _bridged(module, stand_ins)
    except SyntaxError as error:
        raise NoCheckout(f"{specifier}: syntax error in {error.filename}, line {error.lineno}: {error.msg}") from error
    except ModuleNotFoundError as error:
        absent = error.name or str(error)
        if is_within(module, absent):
            return ""
        if is_of_folder(absent, folder):
            return f"{module} imports {absent}, which the checkout does not have"
        raise NoCheckout(
            f"{specifier}: {module} imports {absent!r}, which is not installed: pip install {absent.partition('.')[0]}"
        ) from error
    except (Exception, SystemExit):  # noqa: BLE001 - raised again by the components that need the module
        return ""
    return ""


def _lay_out_settings(folder: Path) -> None:
    """Copies configuration files to where the process works: code may read them by relative paths when imported."""
    places = [folder, *(path for path in folder.glob("config*") if path.is_dir())]
    for file in (file for place in places for file in (place.glob if place == folder else place.rglob)("*.*")):
        if file.suffix in (".yaml", ".yml", ".json", ".toml") and file.is_file():
            copy = Path(file.relative_to(folder))
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)


def _bridged(module: str, stand_ins: StandIns) -> None:
    while True:
        try:
            importlib.import_module(module)
            return
        except Exception as error:
            if not stand_ins.failed(error):
                raise


def _other_layouts(layout: str, folder: Path) -> list[str]:
    others = [n for n, files in LAYOUTS.items() if n != layout and all((folder / file).is_file() for file in files)]
    return [f"{folder.name} has the layout of {name}: too; it is read as {layout}:" for name in others]
