"""A checkout of GGFM as a side: `ggfm:PATH`."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from parity.execution import generators_kept
from parity.root_ggfm.checkouts.call_adapter import accepted, default_of
from parity.root_ggfm.checkouts.side import BRIDGE_SETTINGS, CheckoutSide, config_entries
from parity.root_ggfm.contract import Bridge
from parity.root_ggfm.sides.root_config import PUBLISHED, published_config
from parity.side import Tree

__all__ = ["GgfmCheckout", "differing_settings"]


class GgfmCheckout(CheckoutSide):
    """Calls GGFM's modules; its training loop is a script, which cannot be called."""

    layout = "GGFM"
    gp_module, pairs_module, ema_module = "src.generator", "src.generator", "main"
    model_module = "src.brownian_bridge"
    modules = model_module, pairs_module, ema_module
    optional = ("src.config",)
    _takes_columns: bool | None = None

    def __init__(self, specifier: str, folder: Path, notes: tuple[str, ...]) -> None:
        super().__init__(specifier, folder, notes)
        with contextlib.suppress(Exception, SystemExit):  # the header shows them; no verdict depends on them
            self.notes = (*notes, *differing_settings(self.find("src.config", "Config")))

    def new_model(self, bridge: Bridge) -> nn.Module:
        """Make `BrownianBridgeModel` from keyword arguments."""
        make = self.find(self.model_module, "BrownianBridgeModel")
        settings = {name: getattr(bridge, name) for name in BRIDGE_SETTINGS}
        model: nn.Module = make(image_size=bridge.dim, hidden_size=bridge.hidden, **accepted(make, **settings))
        return model

    def model_defaults(self) -> Tree:
        """Read the defaults from the signature."""
        make = self.find(self.model_module, "BrownianBridgeModel")
        return {f"bridge/{name}": default_of(make, name) for name in ("max_var", "eta")}

    def weights_init(self) -> Any:
        """Return `main.weights_init`; commits without it keep PyTorch's own initialisation."""
        if not (self.folder / "main.py").is_file():
            return None
        return getattr(self.module("main"), "weights_init", None)

    def conditions(self, model: Any, x: Tensor, *scores: Tensor) -> tuple[Tensor, ...]:
        """Return the scores as they are, or as columns (B, 1) if the network rejects them otherwise."""
        if self._takes_columns is None:
            tried = [values.new_zeros(2) for values in scores]
            try:
                with torch.no_grad(), generators_kept():
                    model.denoise_fn(x.new_zeros(2, x.shape[1]), torch.zeros(2, dtype=torch.long), *tried)
                self._takes_columns = False
            except (RuntimeError, IndexError):
                self._takes_columns = True
        return tuple(values.unsqueeze(1) for values in scores) if self._takes_columns else scores


def differing_settings(config: Any) -> list[str]:
    """Return one line per class attribute of `config` whose value no published configuration of ROOT has.

    An attribute is compared with the entry that has its name as the last word, in any case of letters; where several
    entries share that word, with none.
    """
    published = _published_values()
    lines = []
    for name in sorted(vars(config)):
        entries, value = published.get(name.lower(), {}), getattr(config, name)
        if name.startswith("_") or len(entries) != 1 or not isinstance(value, (bool, int, float, str)):
            continue
        ((entry, values),) = entries.items()
        if value not in values:
            theirs = " or ".join(str(v) for v in values)
            lines.append(f"setting: Config.{name} is {value}, {entry} of ROOT's configurations {theirs}")
    return lines


def _published_values() -> dict[str, dict[str, list[Any]]]:
    """Map the last word of each entry, to its dotted name, to its values in the published configurations."""
    found: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for task in PUBLISHED:
        for entry, value in config_entries(published_config(task)):
            values = found[entry.rpartition(".")[2].lower()][entry]
            if value not in values:
                values.append(value)
    return found
