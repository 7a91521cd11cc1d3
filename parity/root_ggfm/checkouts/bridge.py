"""What the two published layouts share: a bridge model with one set of method names."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from parity.root_ggfm.checkouts.calls import called, those_taken
from parity.root_ggfm.checkouts.commit import commit_of
from parity.root_ggfm.checkouts.precision import precision
from parity.root_ggfm.checkouts.watch import loss_of
from parity.root_ggfm.contract import Bridge
from parity.side import Capabilities, MissingComponent, Tree

__all__ = ["BRIDGE_NAMES", "CheckoutSide", "is_of_folder", "is_within", "no_initial_draws"]


BRIDGE_NAMES = (
    "num_timesteps", "mt_type", "max_var", "eta", "skip_sample", "sample_type", "sample_step", "loss_type",
    "objective",
)  # fmt: skip
"""Of a bridge, under which published code knows its settings too."""


class CheckoutSide:
    """The components of the model, from the checkout's own class. What it lacks raises MissingComponent.

    `modules`: those of the layout that the adapter uses; without the `optional` ones it has a use, too.
    """

    capabilities = Capabilities(checks_inputs=False)
    """Published code checks no input: how it fails on one says nothing."""

    layout: str
    modules: tuple[str, ...]
    optional: tuple[str, ...] = ()

    def __init__(self, specifier: str, folder: Path, notes: tuple[str, ...]) -> None:
        self.name = specifier
        self.folder = folder
        commit = commit_of(folder)
        self.version = f"{self.layout} checkout {folder.name}" + (f" at {commit[:7]}" if commit else "")
        self.notes = notes

    def found(self, module: str, name: str) -> Any:
        """The checkout's object, or MissingComponent naming it; what importing the module raises passes through."""
        value = getattr(self.module(module), name, None)
        if value is None:
            raise MissingComponent(f"{self.name} has no {module}.{name}")
        return value

    def module(self, name: str) -> ModuleType | None:
        """The checkout's module; None where it has none. MissingComponent where that imports what is not there."""
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            absent = error.name or ""
            if is_within(name, absent):
                return None
            if is_of_folder(absent, self.folder):
                text = f"{name} imports {absent}, which the checkout does not have"
                raise MissingComponent(f"{self.name}: {text}") from error
            raise

    def precision(self, dtype: torch.dtype) -> contextlib.AbstractContextManager[None]:
        """Inside, the checkout's code, written for float32, runs in `dtype`."""
        return precision(self.folder, dtype)

    def new_model(self, bridge: Bridge) -> nn.Module:
        """A model as the checkout makes it."""
        raise NotImplementedError

    def model(self, bridge: Bridge, state: Mapping[str, Tensor] | None = None) -> Any:
        """A model with the weights `state`, made without a random draw."""
        with no_initial_draws():
            model = self.new_model(bridge)
        if state is not None:
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    parameter.copy_(state[name])
        return model

    def conditions(self, model: Any, x: Tensor, *scores: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG002 - of designs x
        """Scores (B,) in the form in which the model takes them as conditions."""
        return scores

    def schedule(self, bridge: Bridge) -> Tree:
        """The model's buffers of that name."""
        with self.precision(bridge.dtype):
            buffers = dict(self.model(bridge).named_buffers())
        return {name: buffer.clone() for name, buffer in buffers.items() if name != "steps"}

    def sample_steps(self, bridge: Bridge) -> Tree:
        """`steps`, and the names in the state dict."""
        with self.precision(bridge.dtype):
            model = self.model(bridge)
            return {"steps": torch.as_tensor(model.steps).clone(), "state_dict_keys": sorted(model.state_dict())}

    def q_sample(self, bridge: Bridge, *, x_high: Tensor, x_low: Tensor, t: Tensor, noise: Tensor | None) -> Tree:
        """`q_sample`."""
        with self.precision(bridge.dtype):
            x_t, objective = self.model(bridge).q_sample(x_high, x_low, t, noise)
        return {"x_t": x_t, "objective": objective}

    def predict_x0(self, bridge: Bridge, *, x_t: Tensor, x_low: Tensor, t: Tensor, objective_recon: Tensor) -> Tree:
        """`predict_x0_from_objective`."""
        with self.precision(bridge.dtype):
            return {"x0": self.model(bridge).predict_x0_from_objective(x_t, x_low, t, objective_recon)}

    def denoiser(
        self, bridge: Bridge, *, state: Mapping[str, Tensor], x_t: Tensor, t: Tensor, y_first: Tensor, y_second: Tensor
    ) -> Tree:
        """`denoise_fn`."""
        with self.precision(bridge.dtype), torch.no_grad():
            model = self.model(bridge, state)
            y_first, y_second = self.conditions(model, x_t, y_first, y_second)
            return {"output": model.denoise_fn(x_t, t, y_first, y_second)}

    def initial_weights(self, bridge: Bridge) -> Tree:
        """The model as it is made, then `weights_init` applied, where there is one."""
        with self.precision(bridge.dtype):
            model = self.new_model(bridge)
            initial = self.weights_init()
            if initial is not None:
                model.apply(initial)
        return {f"state/{name}": weight.detach().clone() for name, weight in model.named_parameters()}

    def weights_init(self) -> Any:
        """The checkout's initialisation of one module; None where it keeps what the model is made with."""
        raise NotImplementedError

    def p_losses(
        self,
        bridge: Bridge,
        *,
        state: Mapping[str, Tensor],
        x_high: Tensor,
        y_high: Tensor,
        x_low: Tensor,
        y_low: Tensor,
        t: Tensor | None,
        noise: Tensor | None,
    ) -> Tree:
        """`p_losses`, or `forward` where t is to be drawn."""
        with self.precision(bridge.dtype):
            model = self.model(bridge, state)
            y_high, y_low = self.conditions(model, x_high, y_high, y_low)
            given = {"x_high": x_high, "y_high": y_high, "x_low": x_low, "y_low": y_low}
            drawn = {} if t is None else {"t": t, "noise": noise}
            found = called(model.p_losses if drawn else model.forward, given | drawn)
            loss, log = loss_of(found), found[1] if isinstance(found, (tuple, list)) else {}
            loss.backward()  # type: ignore[no-untyped-call]
        gradients = {f"grad/{name}": parameter.grad for name, parameter in model.named_parameters()}
        logged = {"x0_recon": log["x0_recon"].detach()} if "x0_recon" in log else {}
        return {"loss": loss.detach(), **logged, **gradients}

    def p_sample(
        self,
        bridge: Bridge,
        *,
        state: Mapping[str, Tensor],
        x_t: Tensor,
        x_low: Tensor,
        y_low: Tensor,
        y_high: Tensor,
        step: int,
        clip_denoised: bool,
        guidance_weight: float,
    ) -> Tree:
        """`p_sample`, without a graph as published code samples."""
        with self.precision(bridge.dtype), torch.no_grad():
            model = self.model(bridge, state)
            y_low, y_high = self.conditions(model, x_t, y_low, y_high)
            given = {
                "x_t": x_t, "x_low": x_low, "y_low": y_low, "y_high": y_high, "i": step,
                "clip_denoised": clip_denoised, "classifier_free_guidance_weight": guidance_weight,
            }  # fmt: skip
            x_next, x0 = called(model.p_sample, given)
        return {"x_next": x_next, "x0": x0}

    def sample(
        self,
        bridge: Bridge,
        *,
        state: Mapping[str, Tensor],
        x_low: Tensor,
        y_low: Tensor,
        y_high: Tensor,
        clip_denoised: bool,
        guidance_weight: float,
    ) -> Tree:
        """`sample`."""
        with self.precision(bridge.dtype), torch.no_grad():
            model = self.model(bridge, state)
            y_low, y_high = self.conditions(model, x_low, y_low, y_high)
            settings = {"clip_denoised": clip_denoised, "classifier_free_guidance_weight": guidance_weight}
            chain = model.sample(x_low, y_low, y_high, **those_taken(model.sample, **settings))
        return {"x_high": chain}


def is_within(module: str, package: str) -> bool:
    """Whether the module is the package or lies in it, by their dotted names."""
    return f"{module}.".startswith(f"{package}.")


def is_of_folder(module: str, folder: Path) -> bool:
    """Whether a module would lie in the checkout, by the first word of its dotted name."""
    top = module.partition(".")[0]
    return bool(top) and ((folder / top).is_dir() or (folder / f"{top}.py").is_file())


@contextlib.contextmanager
def no_initial_draws() -> Iterator[None]:
    """Linear layers are made without values, for weights that are set at once or never used."""
    drawing = nn.Linear.reset_parameters
    nn.Linear.reset_parameters = lambda self: None  # type: ignore[method-assign] # noqa: ARG005
    try:
        yield
    finally:
        nn.Linear.reset_parameters = drawing  # type: ignore[method-assign]
