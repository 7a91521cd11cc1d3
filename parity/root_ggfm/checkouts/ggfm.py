"""A checkout of GGFM as a side: published module and argument names."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from parity.root_ggfm.checkouts.bridge import BRIDGE_NAMES
from parity.root_ggfm.checkouts.calls import default_of, those_taken
from parity.root_ggfm.checkouts.pairs import CheckoutPairs
from parity.root_ggfm.checkouts.settings import other_settings
from parity.root_ggfm.checkouts.watch import generators_kept
from parity.root_ggfm.contract import Bridge
from parity.side import Tree

__all__ = ["GgfmCheckout"]


class GgfmCheckout(CheckoutPairs):
    """`ggfm:PATH`."""

    layout = "GGFM"
    gp_module, pairs_module, ema_module = "src.generator", "src.generator", "main"
    model_module = "src.brownian_bridge"
    modules = model_module, pairs_module, ema_module
    optional = ("src.config",)
    _takes_columns: bool | None = None

    def __init__(self, specifier: str, folder: Path, notes: tuple[str, ...]) -> None:
        super().__init__(specifier, folder, notes)
        with contextlib.suppress(Exception, SystemExit):  # told, never judged: nothing is lost without
            self.notes = (*notes, *other_settings(self.found("src.config", "Config")))

    def new_model(self, bridge: Bridge) -> nn.Module:
        """`BrownianBridgeModel` from keyword arguments."""
        made = self.found(self.model_module, "BrownianBridgeModel")
        settings = {name: getattr(bridge, name) for name in BRIDGE_NAMES}
        model: nn.Module = made(image_size=bridge.dim, hidden_size=bridge.hidden, **those_taken(made, **settings))
        return model

    def conditions(self, model: Any, x: Tensor, *scores: Tensor) -> tuple[Tensor, ...]:
        """As they are, or as columns (B, 1) where the network takes no others, which is found out once."""
        if self._takes_columns is None:
            tried = [values.new_zeros(2) for values in scores]
            try:
                with torch.no_grad(), generators_kept():
                    model.denoise_fn(x.new_zeros(2, x.shape[1]), torch.zeros(2, dtype=torch.long), *tried)
                self._takes_columns = False
            except (RuntimeError, IndexError):
                self._takes_columns = True
        return tuple(values.unsqueeze(1) for values in scores) if self._takes_columns else scores

    def weights_init(self) -> Any:
        """`main.weights_init`; commits without it keep PyTorch's own initialisation."""
        if not (self.folder / "main.py").is_file():
            return None
        return getattr(self.module("main"), "weights_init", None)

    def model_defaults(self) -> Tree:
        """From the signature."""
        made = self.found(self.model_module, "BrownianBridgeModel")
        return {f"bridge/{name}": default_of(made, name) for name in ("max_var", "eta")}
