"""A checkout of ROOT as a side: published module and argument names."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn

from parity.root_ggfm.checkouts.bridge import BRIDGE_NAMES, no_initial_draws
from parity.root_ggfm.checkouts.config import UNREAD
from parity.root_ggfm.checkouts.following import CheckoutFollowing
from parity.root_ggfm.checkouts.pairs import CheckoutPairs
from parity.root_ggfm.checkouts.parts import CheckoutParts
from parity.root_ggfm.checkouts.scoring import CheckoutScoring
from parity.root_ggfm.checkouts.steps import CheckoutSteps
from parity.root_ggfm.checkouts.training import CheckoutTraining
from parity.root_ggfm.contract import Bridge
from parity.side import Tree

__all__ = ["RootCheckout"]


class RootCheckout(CheckoutPairs, CheckoutParts, CheckoutScoring, CheckoutSteps, CheckoutFollowing, CheckoutTraining):
    """`root:PATH`."""

    layout = "ROOT"
    gp_module, pairs_module, ema_module = "gaussian_process.GP", "runners.utils", "runners.base.EMA"
    model_module = "model.BrownianBridge.BrownianBridgeModel"
    modules = gp_module, model_module, pairs_module, ema_module
    optional = ("runners.DiffusionBasedModelRunners.BBDMRunner",)

    def new_model(self, bridge: Bridge) -> nn.Module:
        """`BrownianBridgeModel` from a configuration namespace."""
        return self._made(bridge, {name: getattr(bridge, name) for name in BRIDGE_NAMES})

    def model_defaults(self) -> Tree:
        """Of a model whose configuration names neither."""
        bridge = Bridge()
        given = {name: getattr(bridge, name) for name in BRIDGE_NAMES if name not in ("max_var", "eta")}
        with no_initial_draws():
            model = self._made(bridge, given)
        return {f"bridge/{name}": float(getattr(model, name)) for name in ("max_var", "eta")}

    def _made(self, bridge: Bridge, given: dict[str, Any]) -> nn.Module:
        layers = _Namespace(image_size=bridge.dim, hidden_size=bridge.hidden, condition_key="SpatialRescaler")
        params = _Namespace(**given, MLPParams=layers)
        made = self.found(self.model_module, "BrownianBridgeModel")
        model: nn.Module = made(_Namespace(BB=_Namespace(params=params), **UNREAD))
        return model

    def weights_init(self) -> Any:
        """`runners.utils.weights_init`."""
        return self.found("runners.utils", "weights_init")

    def candidates(
        self, *, x: Tensor, y: Tensor, n_candidates: int, type: str, percentile_sampling: float, seed: int
    ) -> Tree:
        """`sampling_from_offline_data`."""
        choose = self.found("runners.utils", "sampling_from_offline_data")
        chosen_x, chosen_y = choose(
            x, y, n_candidates=n_candidates, type=type, percentile_sampling=percentile_sampling, seed=seed
        )
        return {"x": chosen_x, "y": chosen_y}


class _Namespace(SimpleNamespace):
    def __contains__(self, name: str) -> bool:
        return name in vars(self)
