"""A checkout as a side: the components that both published layouts have as functions and classes."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from parity.root_ggfm.checkouts.call_adapter import accepted, call_by_name, default_of
from parity.root_ggfm.checkouts.patching import patched, precision
from parity.root_ggfm.contract import Bridge, Pairs
from parity.root_ggfm.sides.root_pairs import ENDS, nested, stacked
from parity.side import Capabilities, MissingComponent, Tree

__all__ = [
    "BRIDGE_SETTINGS",
    "CheckoutSide",
    "commit_of",
    "is_of_folder",
    "is_within",
    "loss_of",
    "without_initial_draws",
]

BRIDGE_SETTINGS = tuple(f.name for f in fields(Bridge) if f.name not in ("dim", "hidden", "dtype"))
"""Fields of a bridge that published code has under the same names."""

_PATH_STEPS = 200
"""Steps of a path that training reads."""


class CheckoutSide:
    """Calls the checkout's own classes and functions. A component that it lacks raises MissingComponent.

    `modules`: those of the layout that the adapter uses. `optional`: those without which it is still of use.
    `model_module`, `gp_module`, `pairs_module`, `ema_module`: where the layout keeps each of them.
    """

    capabilities = Capabilities(checks_inputs=False)
    """Published code checks no input, so that any way to fail on one counts as refusing it."""

    layout: str
    modules: tuple[str, ...]
    optional: tuple[str, ...] = ()
    model_module: str
    gp_module: str
    pairs_module: str
    ema_module: str

    def __init__(self, specifier: str, folder: Path, notes: tuple[str, ...]) -> None:
        self.name = specifier
        self.folder = folder
        commit = commit_of(folder)
        self.version = f"{self.layout} checkout {folder.name}" + (f" at {commit[:7]}" if commit else "")
        self.notes = notes

    def find(self, module: str, name: str) -> Any:
        """Return an object of the checkout. Raises MissingComponent naming it; passes on what the import raises."""
        value = getattr(self.module(module), name, None)
        if value is None:
            raise MissingComponent(f"{self.name} has no {module}.{name}")
        return value

    def module(self, name: str) -> ModuleType | None:
        """Return a module of the checkout, None if it has none.

        Raises MissingComponent if the module imports another one that the checkout lacks.
        """
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

    def precision(self, dtype: torch.dtype) -> AbstractContextManager[None]:
        """Run the checkout's code, written for float32, in `dtype` inside the block."""
        return precision(self.folder, dtype)

    def new_model(self, bridge: Bridge) -> nn.Module:
        """Make a model as the checkout does."""
        raise NotImplementedError

    def model_defaults(self) -> Tree:
        """Return `bridge/max_var` and `bridge/eta` of a model that is given neither."""
        raise NotImplementedError

    def weights_init(self) -> Any:
        """Return the function that initialises one module; None if weights stay as the model is made."""
        raise NotImplementedError

    def conditions(self, model: Any, x: Tensor, *scores: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG002
        """Return scores (B,) of designs x in the shape in which the model takes conditions."""
        return scores

    def model(self, bridge: Bridge, state: Mapping[str, Tensor] | None = None) -> Any:
        """Make a model with the weights `state`, without a random draw."""
        with without_initial_draws():
            model = self.new_model(bridge)
        if state is not None:
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    parameter.copy_(state[name])
        return model

    def schedule(self, bridge: Bridge) -> Tree:
        """Return the model's buffers, `steps` aside."""
        with self.precision(bridge.dtype):
            buffers = dict(self.model(bridge).named_buffers())
        return {name: buffer.clone() for name, buffer in buffers.items() if name != "steps"}

    def sample_steps(self, bridge: Bridge) -> Tree:
        """Return `steps` and the names in the state dict."""
        with self.precision(bridge.dtype):
            model = self.model(bridge)
            return {"steps": torch.as_tensor(model.steps).clone(), "state_dict_keys": sorted(model.state_dict())}

    def q_sample(self, bridge: Bridge, *, x_high: Tensor, x_low: Tensor, t: Tensor, noise: Tensor | None) -> Tree:
        """Call `q_sample`."""
        with self.precision(bridge.dtype):
            x_t, objective = self.model(bridge).q_sample(x_high, x_low, t, noise)
        return {"x_t": x_t, "objective": objective}

    def predict_x0(self, bridge: Bridge, *, x_t: Tensor, x_low: Tensor, t: Tensor, objective_recon: Tensor) -> Tree:
        """Call `predict_x0_from_objective`."""
        with self.precision(bridge.dtype):
            return {"x0": self.model(bridge).predict_x0_from_objective(x_t, x_low, t, objective_recon)}

    def denoiser(
        self, bridge: Bridge, *, state: Mapping[str, Tensor], x_t: Tensor, t: Tensor, y_first: Tensor, y_second: Tensor
    ) -> Tree:
        """Call `denoise_fn`."""
        with self.precision(bridge.dtype), torch.no_grad():
            model = self.model(bridge, state)
            y_first, y_second = self.conditions(model, x_t, y_first, y_second)
            return {"output": model.denoise_fn(x_t, t, y_first, y_second)}

    def initial_weights(self, bridge: Bridge) -> Tree:
        """Make the model and apply `weights_init`, if there is one."""
        with self.precision(bridge.dtype):
            model = self.new_model(bridge)
            initial = self.weights_init()
            if initial is not None:
                model.apply(initial)
        return {f"state/{name}": weight.detach().clone() for name, weight in model.named_parameters()}

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
        """Call `p_losses`, or `forward` if t is to be drawn."""
        with self.precision(bridge.dtype):
            model = self.model(bridge, state)
            y_high, y_low = self.conditions(model, x_high, y_high, y_low)
            given = {"x_high": x_high, "y_high": y_high, "x_low": x_low, "y_low": y_low}
            drawn = {} if t is None else {"t": t, "noise": noise}
            found = call_by_name(model.p_losses if drawn else model.forward, given | drawn)
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
        """Call `p_sample`, without a graph, as published code does."""
        with self.precision(bridge.dtype), torch.no_grad():
            model = self.model(bridge, state)
            y_low, y_high = self.conditions(model, x_t, y_low, y_high)
            given = {
                "x_t": x_t, "x_low": x_low, "y_low": y_low, "y_high": y_high, "i": step,
                "clip_denoised": clip_denoised, "classifier_free_guidance_weight": guidance_weight,
            }  # fmt: skip
            x_next, x0 = call_by_name(model.p_sample, given)
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
        """Call `sample`."""
        with self.precision(bridge.dtype), torch.no_grad():
            model = self.model(bridge, state)
            y_low, y_high = self.conditions(model, x_low, y_low, y_high)
            settings = {"clip_denoised": clip_denoised, "classifier_free_guidance_weight": guidance_weight}
            chain = model.sample(x_low, y_low, y_high, **accepted(model.sample, **settings))
        return {"x_high": chain}

    def gp(
        self,
        *,
        x_train: Tensor,
        y_train: Tensor,
        x_test: Tensor,
        lengthscale: float,
        variance: float,
        noise: float,
        mean_prior: float,
    ) -> Tree:
        """Call `GP`; the gradient comes from autograd."""
        with self.precision(x_train.dtype):
            gp = self._gp(x_train, y_train, lengthscale, variance, noise, mean_prior)
            gp.set_hyper(lengthscale=gp.given[0], variance=gp.given[1])
            x = x_test.clone().requires_grad_(True)
            mean = gp.mean_posterior(x)
            (gradient,) = torch.autograd.grad(mean.sum(), x)
        stored = _stored_lengthscale(gp)
        return {
            "coef": gp.coef.reshape(-1),
            "mean": mean.detach().reshape(-1),
            "grad": gradient,
            "lengthscale_stored": stored,
        }

    def gp_pairs(
        self,
        *,
        x_train: Tensor,
        y_train: Tensor,
        pool: Tensor,
        lengthscale: float,
        variance: float,
        noise: float,
        **settings: Any,
    ) -> Tree:
        """Call `sampling_data_from_GP` and stack its nested tuples; keep whole paths if it returns them."""
        sampling = self.find(self.pairs_module, "sampling_data_from_GP")
        with self.precision(x_train.dtype):
            gp = self._gp(x_train, y_train, lengthscale, variance, noise, 0.0)
            given = {"x_train": pool, "device": pool.device, "GP_Model": gp, **settings}
            data = sampling(**accepted(sampling, **given))
        tree: Tree = {"counts": torch.tensor([len(pairs) for pairs in data.values()])}
        for function, pairs in data.items():
            if pairs and torch.is_tensor(pairs[0][0]):
                paths = torch.stack([path for path, *_ in pairs])
                tree[f"{function}/trajectory"] = _resampled(paths)
                pairs = [((path[-1], high), (path[0], low)) for path, (low, high) in map(_with_scores, pairs)]
            tree |= stacked(function, [_as_tensors(pair, pool) for pair in pairs], like=pool)
        after = torch.as_tensor(gp.variance).detach().reshape(())
        return tree | {
            "lengthscale_after": _stored_lengthscale(gp),
            "variance_after": after,
            "coef_after": gp.coef.reshape(-1),
        }

    def defaults(self) -> Tree:
        """Read the defaults from signatures and from a model that is given nothing."""
        chain = self.find(self.model_module, "BrownianBridgeModel").sample
        pairs = self.find(self.pairs_module, "sampling_data_from_GP")
        sampling = "num_gradient_steps num_functions num_points learning_rate delta_lengthscale delta_variance"
        return {
            **self.model_defaults(),
            "sample/clip_denoised": default_of(chain, "clip_denoised"),
            "sample/guidance_weight": default_of(chain, "classifier_free_guidance_weight", absent=0.0),
            **{f"gp_pairs/{name}": default_of(pairs, name) for name in [*sampling.split(), "threshold_diff"]},
        }

    def split(self, *, functions: Sequence[Pairs], val_frac: float) -> Tree:
        """Call `create_train_dataloader`; return its loader's data set and the validation list."""
        create = self.find(self.pairs_module, "create_train_dataloader")
        loader, validation = create(nested(functions), val_frac=val_frac, batch_size=1, shuffle=True)
        like = functions[0]["x_high"]
        training = [loader.dataset[k] for k in range(len(loader.dataset))]
        return stacked("train", training, like=like) | stacked("val", validation, like=like)

    def loader(
        self, *, functions: Sequence[Pairs], val_frac: float, batch_size: int, shuffle: bool, passes: int
    ) -> Tree:
        """Call `create_train_dataloader` and read its loader `passes` times."""
        create = self.find(self.pairs_module, "create_train_dataloader")
        loader, _ = create(nested(functions), val_frac=val_frac, batch_size=batch_size, shuffle=shuffle)
        tree: Tree = {}
        for epoch in range(passes):
            for number, ((x_high, y_high), (x_low, y_low)) in enumerate(loader):
                for end, values in zip(ENDS, (x_high, y_high, x_low, y_low), strict=True):
                    tree[f"epoch{epoch}/batch{number}/{end}"] = values
        return tree

    def ema(self, *, decay: float, decay_from_step: int, weights: Sequence[Mapping[str, Tensor]]) -> Tree:
        """Register, update, apply and restore `EMA` on the given weights."""
        model = _Weights(weights[0])
        average = self.find(self.ema_module, "EMA")(decay)
        average.register(model)
        tree = _copies("shadow0", average.shadow)
        for k, values in enumerate(weights[1:], start=1):
            for name, parameter in model.named_parameters():
                parameter.data = values[name].clone()
            average.update(model, with_decay=k >= decay_from_step)
            tree |= _copies(f"shadow{k}", average.shadow)
        average.apply_shadow(model)
        tree |= _copies("applied", dict(model.named_parameters()))
        average.restore(model)
        return tree | _copies("restored", dict(model.named_parameters()))

    def _gp(self, x: Tensor, y: Tensor, lengthscale: float, variance: float, noise: float, mean: float) -> Any:
        values = [torch.tensor(value, dtype=x.dtype) for value in (lengthscale, variance, noise, mean)]
        gp = self.find(self.gp_module, "GP")(x.device, x, y, *values)
        gp.given = values
        return gp


def commit_of(folder: Path) -> str:
    """Return the commit checked out around `folder`, 40 or 64 hexadecimal digits; empty if none is known.

    Reads files: git itself would run commands from the folder's configuration. Later changes are not looked for.
    """
    try:
        git = next((above / ".git" for above in (folder, *folder.parents) if (above / ".git").exists()), None)
        if git is None:
            return ""
        if git.is_file():  # in a worktree or a submodule, it names the folder
            git = (git.parent / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()).resolve()
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        found = _resolve(git, head.removeprefix("ref:").strip()) if head.startswith("ref:") else head
    except (OSError, UnicodeDecodeError):
        return ""
    return found if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", found) else ""


def _resolve(git: Path, name: str) -> str:
    """Return the commit of a reference, from its own file or from the list of packed ones."""
    common = git / "commondir"
    for place in (git, (git / common.read_text(encoding="utf-8").strip()) if common.exists() else git):
        if (place / name).is_file():
            return (place / name).read_text(encoding="utf-8").strip()
        if (place / "packed-refs").is_file():
            for line in (place / "packed-refs").read_text(encoding="utf-8").splitlines():
                commit, _, packed = line.partition(" ")
                if packed == name:
                    return commit
    return ""


def is_within(module: str, package: str) -> bool:
    """True if a dotted name is the package's or that of a module in it."""
    return f"{module}.".startswith(f"{package}.")


def is_of_folder(module: str, folder: Path) -> bool:
    """True if a module would lie in the checkout, by the first word of its dotted name."""
    top = module.partition(".")[0]
    return bool(top) and ((folder / top).is_dir() or (folder / f"{top}.py").is_file())


def without_initial_draws() -> AbstractContextManager[None]:
    """Leave linear layers uninitialised inside the block: their weights are set at once or never used."""
    return patched(nn.Linear, "reset_parameters", lambda _: None)


def loss_of(output: Any) -> Tensor:
    """Return the loss from the output of a model's forward pass, which may return more beside it."""
    loss: Tensor = output[0] if isinstance(output, (tuple, list)) else output
    return loss


class _Weights(nn.Module):
    """A model of parameters alone, under any names, dots included."""

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._held = {name: nn.Parameter(value.clone()) for name, value in values.items()}

    def named_parameters(self, *_: Any, **__: Any) -> Any:
        return iter(self._held.items())


def _with_scores(pair: Sequence[Any]) -> tuple[Tensor, Sequence[Any]]:
    """Return a path and (y_low, y_high), which commits keep as two more entries or as one."""
    path, *scores = pair
    return path, scores[0] if len(scores) == 1 else scores


def _as_tensors(pair: Sequence[Any], like: Tensor) -> list[list[Tensor]]:
    """Convert both ends of a pair, which commits keep as tensors, arrays or numbers."""
    return [[v if torch.is_tensor(v) else torch.as_tensor(v, dtype=like.dtype) for v in end] for end in pair]


def _resampled(paths: Tensor) -> Tensor:
    """Interpolate paths (n, L, D) at the 201 equidistant points that training reads; the ends stay as they are."""
    last = paths.shape[1] - 1
    if last == _PATH_STEPS:
        return paths
    position = torch.arange(_PATH_STEPS + 1) * last
    before = position // _PATH_STEPS
    share = ((position % _PATH_STEPS).to(paths.dtype) / _PATH_STEPS).unsqueeze(1)
    return torch.lerp(paths[:, before], paths[:, (before + 1).clamp(max=last)], share)


def _stored_lengthscale(gp: Any) -> Tensor:
    kept = getattr(getattr(gp, "kernel", None), "lengthscale", None)
    return torch.as_tensor(gp.lengthscale if kept is None else kept).detach().reshape(()).clone()


def _copies(group: str, tensors: Mapping[str, Tensor]) -> Tree:
    return {f"{group}/{name}": tensor.detach().clone() for name, tensor in tensors.items()}
