"""Which published layout a folder has, and its adapter: `root:PATH`, `ggfm:PATH`. Run in a host only."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

from parity.root_ggfm.checkouts.bridge import CheckoutSide, is_of_folder, is_within
from parity.root_ggfm.checkouts.ggfm import GgfmCheckout
from parity.root_ggfm.checkouts.imports import StandIns
from parity.root_ggfm.checkouts.retired import bridge_numpy, bridge_plateau
from parity.root_ggfm.checkouts.root import RootCheckout
from parity.study import NoCheckout

__all__ = ["LAYOUTS", "NoCheckout", "check_folder", "load_checkout", "with_layout"]

LAYOUTS = {
    "root": ("gaussian_process/GP.py", "model/BrownianBridge/BrownianBridgeModel.py", "runners/utils.py"),
    "ggfm": ("src/brownian_bridge.py", "src/generator.py"),
}
"""Of each layout the files by which it is known: one of them is enough, since a commit may lack some."""

_ADAPTERS: dict[str, type[CheckoutSide]] = {"root": RootCheckout, "ggfm": GgfmCheckout}


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
    the layout can be imported. One that imports what the checkout lacks, or fails in another way, costs only the
    components that need it; so does, for whatever reason, an optional one.
    """
    layout, folder = check_folder(specifier)
    sys.path.insert(0, str(folder))
    stand_ins = StandIns(folder)
    sys.meta_path.insert(0, stand_ins)
    retired = (*bridge_plateau(), *bridge_numpy(folder))
    _lay_out_settings(folder)
    adapter = _ADAPTERS[layout]
    failed = {module: _why_not(specifier, folder, module, stand_ins) for module in adapter.modules}
    if not any(why is None for why in failed.values()):
        reasons = "; ".join(why for why in failed.values() if why)
        raise NoCheckout(f"{specifier}: none of its modules can be imported: {reasons}")
    for module in adapter.optional:
        failed[module] = _why_not(specifier, folder, module, stand_ins, optional=True)
    notes = [why for why in failed.values() if why]
    return adapter(specifier, folder, (*_other_layouts(layout, folder), *notes, *stand_ins.notes, *retired))


def _why_not(specifier: str, folder: Path, module: str, stand_ins: StandIns, *, optional: bool = False) -> str | None:
    """Why a module cannot be imported, in a line, empty where there is none; None once it is. Raises as it says above.

    What importing it raises is raised again by the components that need it.
    """
    try:
        _bridged(module, stand_ins)
    except SyntaxError as error:
        where = f"syntax error in {error.filename}, line {error.lineno}: {error.msg}"
        if not optional:
            raise NoCheckout(f"{specifier}: {where}") from error
        return f"{module} cannot be imported: {where}"
    except ModuleNotFoundError as error:
        absent = error.name or str(error)
        if is_within(module, absent):
            return ""
        if is_of_folder(absent, folder):
            return f"{module} imports {absent}, which the checkout does not have"
        why = f"{module} imports {absent!r}, which is not installed: pip install {absent.partition('.')[0]}"
        if not optional:
            raise NoCheckout(f"{specifier}: {why}") from error
        return why
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever importing it raises
        return f"{module} cannot be imported: {type(error).__name__}: {error}"
    return None


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
