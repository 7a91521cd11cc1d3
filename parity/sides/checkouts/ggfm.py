"""A checkout of GGFM as a side: published module and argument names."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from parity.sides.checkouts.calls import default_of, those_taken
from parity.sides.checkouts.pairs import CheckoutPairs
from parity.sides.checkouts.settings import other_settings
from parity.sides.interface import Bridge, Tree

__all__ = ["GgfmCheckout"]


class GgfmCheckout(CheckoutPairs):
    """`ggfm:PATH`."""

    layout = "GGFM"
    gp_module, pairs_module, ema_module = "src.generator", "src.generator", "main"
    model_module = "src.brownian_bridge"
    modules = model_module, pairs_module, ema_module
    optional = ("src.config",)

    def __init__(self, specifier: str, folder: Path, notes: tuple[str, ...]) -> None:
        super().__init__(specifier, folder, notes)
        with contextlib.suppress(Exception, SystemExit):  # told, never judged: nothing is lost without
            self.notes = (*notes, *other_settings(self.found("src.config", "Config")))

    def new_model(self, bridge: Bridge) -> nn.Module:
        """`BrownianBridgeModel` from keyword arguments."""
        names = (
            "num_timesteps", "mt_type", "max_var", "eta", "loss_type", "objective", "skip_sample", "sample_type",
            "sample_step",
        )  # fmt: skip
        made = self.found(self.model_module, "BrownianBridgeModel")
        settings = {name: getattr(bridge, name) for name in names}
        model: nn.Module = made(image_size=bridge.dim, hidden_size=bridge.hidden, **those_taken(made, **settings))
        return model

    def conditions(self, model: Any, x: Tensor, *scores: Tensor) -> tuple[Tensor, ...]:
        """As they are, or as columns (B, 1) where the network takes no others."""
        try:
            with torch.no_grad():
                model.denoise_fn(x, torch.zeros(len(x), dtype=torch.long), *scores)
        except (RuntimeError, IndexError):
            return tuple(values.unsqueeze(1) for values in scores)
        return scores

    def weights_init(self) -> Any:
        """`main.weights_init`; commits without it keep PyTorch's own initialisation."""
        if not (self.folder / "main.py").is_file():
            return None
        return getattr(self.module("main"), "weights_init", None)

    def model_defaults(self) -> Tree:
        """From the signature."""
        made = self.found(self.model_module, "BrownianBridgeModel")
        return {f"bridge/{name}": default_of(made, name) for name in ("max_var", "eta")}
