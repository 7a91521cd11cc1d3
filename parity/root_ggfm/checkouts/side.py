"""A checkout as a side: the components that both published layouts have as functions and classes."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from parity.root_ggfm.checkouts.call_adapter import accepted, call_by_name, default_of
from parity.root_ggfm.checkouts.patching import patched, precision
from parity.root_ggfm.components import (
    REGISTRY,
    defaults,
    denoiser,
    ema,
    gp,
    gp_pairs,
    initial_weights,
    loader,
    p_losses,
    p_sample,
    predict_x0,
    q_sample,
    sample,
    sample_steps,
    schedule,
    split,
)
from parity.root_ggfm.contract import Bridge
from parity.root_ggfm.sides.models import prefixed as copies
from parity.root_ggfm.sides.root_pairs import ENDS, nested, stacked
from parity.side import Capabilities, MissingComponent, Tree

__all__ = [
    "BRIDGE_SETTINGS", "CheckoutSide", "commit_of", "config_entries", "loss_of", "missing_import",
    "without_initial_draws",
]  # fmt: skip

BRIDGE_SETTINGS = tuple(f.name for f in fields(Bridge) if f.name not in ("dim", "hidden", "dtype"))
"""Fields of a bridge that published code has under the same names."""

_PAIR_SETTINGS = (
    "num_gradient_steps", "num_functions", "num_points", "learning_rate", "delta_lengthscale", "delta_variance",
    "threshold_diff",
)  # fmt: skip
"""Settings of pair sampling that have a default."""

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
            why = missing_import(error, name, self.folder)
            if why:
                raise MissingComponent(f"{self.name}: {why}") from error
            if why is None:
                raise
            return None

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

    def __getattr__(self, name: str) -> Callable[..., Tree]:
        """Return the callable of a component: it builds the component's inputs and gives them to `compute_NAME`."""
        compute = getattr(type(self), f"compute_{name}", None)
        if compute is None:
            raise AttributeError(f"{type(self).__name__} has no {name}")
        return lambda *given, **named: compute(self, REGISTRY[name].inputs(*given, **named))

    def compute_defaults(self, i: defaults.Inputs) -> Tree:  # noqa: ARG002 - as for every component
        """Read the defaults from signatures and from a model that is given nothing."""
        chain = self.find(self.model_module, "BrownianBridgeModel").sample
        pairs = self.find(self.pairs_module, "sampling_data_from_GP")
        return {
            **self.model_defaults(),
            "sample/clip_denoised": default_of(chain, "clip_denoised"),
            "sample/guidance_weight": default_of(chain, "classifier_free_guidance_weight", absent=0.0),
            **{f"gp_pairs/{name}": default_of(pairs, name) for name in _PAIR_SETTINGS},
        }

    def compute_schedule(self, i: schedule.Inputs) -> Tree:
        """Return the model's buffers, `steps` aside."""
        with self.precision(i.bridge.dtype):
            buffers = dict(self.model(i.bridge).named_buffers())
        return {name: buffer.clone() for name, buffer in buffers.items() if name != "steps"}

    def compute_sample_steps(self, i: sample_steps.Inputs) -> Tree:
        """Return `steps` and the names in the state dict."""
        with self.precision(i.bridge.dtype):
            model = self.model(i.bridge)
            return {"steps": torch.as_tensor(model.steps).clone(), "state_dict_keys": sorted(model.state_dict())}

    def compute_q_sample(self, i: q_sample.Inputs) -> Tree:
        """Call `q_sample`."""
        with self.precision(i.bridge.dtype):
            x_t, objective = self.model(i.bridge).q_sample(i.x_high, i.x_low, i.t, i.noise)
        return {"x_t": x_t, "objective": objective}

    def compute_predict_x0(self, i: predict_x0.Inputs) -> Tree:
        """Call `predict_x0_from_objective`."""
        with self.precision(i.bridge.dtype):
            return {"x0": self.model(i.bridge).predict_x0_from_objective(i.x_t, i.x_low, i.t, i.objective_recon)}

    def compute_denoiser(self, i: denoiser.Inputs) -> Tree:
        """Call `denoise_fn`."""
        with self.precision(i.bridge.dtype), torch.no_grad():
            model = self.model(i.bridge, i.state)
            return {"output": model.denoise_fn(i.x_t, i.t, *self.conditions(model, i.x_t, i.y_first, i.y_second))}

    def compute_initial_weights(self, i: initial_weights.Inputs) -> Tree:
        """Make the model and apply `weights_init`, if there is one."""
        with self.precision(i.bridge.dtype):
            model = self.new_model(i.bridge)
            initial = self.weights_init()
            if initial is not None:
                model.apply(initial)
        return copies("state", dict(model.named_parameters()))

    def compute_p_losses(self, i: p_losses.Inputs) -> Tree:
        """Call `p_losses`, or `forward` if t is to be drawn."""
        with self.precision(i.bridge.dtype):
            model = self.model(i.bridge, i.state)
            y_high, y_low = self.conditions(model, i.x_high, i.y_high, i.y_low)
            given = {"x_high": i.x_high, "y_high": y_high, "x_low": i.x_low, "y_low": y_low}
            drawn = {} if i.t is None else {"t": i.t, "noise": i.noise}
            output = call_by_name(model.p_losses if drawn else model.forward, given | drawn)
            loss, log = loss_of(output), output[1] if isinstance(output, (tuple, list)) else {}
            loss.backward()  # type: ignore[no-untyped-call]
        gradients = {f"grad/{name}": parameter.grad for name, parameter in model.named_parameters()}
        logged = {"x0_recon": log["x0_recon"].detach()} if "x0_recon" in log else {}
        return {"loss": loss.detach(), **logged, **gradients}

    def compute_p_sample(self, i: p_sample.Inputs) -> Tree:
        """Call `p_sample`, without a graph, as published code does."""
        with self.precision(i.bridge.dtype), torch.no_grad():
            model = self.model(i.bridge, i.state)
            y_low, y_high = self.conditions(model, i.x_t, i.y_low, i.y_high)
            given = {"x_t": i.x_t, "x_low": i.x_low, "y_low": y_low, "y_high": y_high, "i": i.step}
            settings = {"clip_denoised": i.clip_denoised, "classifier_free_guidance_weight": i.guidance_weight}
            x_next, x0 = call_by_name(model.p_sample, given | settings)
        return {"x_next": x_next, "x0": x0}

    def compute_sample(self, i: sample.Inputs) -> Tree:
        """Call `sample`, without a graph."""
        with self.precision(i.bridge.dtype), torch.no_grad():
            model = self.model(i.bridge, i.state)
            conditions = self.conditions(model, i.x_low, i.y_low, i.y_high)
            settings = {"clip_denoised": i.clip_denoised, "classifier_free_guidance_weight": i.guidance_weight}
            return {"x_high": model.sample(i.x_low, *conditions, **accepted(model.sample, **settings))}

    def compute_gp(self, i: gp.Inputs) -> Tree:
        """Call `GP`; the gradient comes from autograd."""
        with self.precision(i.x_train.dtype):
            process, given = self._fit_gp(i, i.mean_prior)
            process.set_hyper(lengthscale=given[0], variance=given[1])
            x = i.x_test.clone().requires_grad_(True)
            mean = process.mean_posterior(x)
            (gradient,) = torch.autograd.grad(mean.sum(), x)
        tree = {"coef": process.coef.reshape(-1), "mean": mean.detach().reshape(-1), "grad": gradient}
        return tree | {"lengthscale_stored": _stored_lengthscale(process)}

    def compute_gp_pairs(self, i: gp_pairs.Inputs) -> Tree:
        """Call `sampling_data_from_GP` and stack its nested tuples; keep whole paths if it returns them."""
        sampling = self.find(self.pairs_module, "sampling_data_from_GP")
        with self.precision(i.x_train.dtype):
            process, _ = self._fit_gp(i, 0.0)
            settings = {name: getattr(i, name) for name in (*_PAIR_SETTINGS, "seed")}
            given = {"x_train": i.pool, "device": i.pool.device, "GP_Model": process, **settings}
            data = sampling(**accepted(sampling, **given))
        tree: Tree = {"counts": torch.tensor([len(pairs) for pairs in data.values()])}
        for function, pairs in data.items():
            if pairs and torch.is_tensor(pairs[0][0]):
                paths = torch.stack([path for path, *_ in pairs])
                tree[f"{function}/trajectory"] = _resampled(paths)
                pairs = [((path[-1], high), (path[0], low)) for path, (low, high) in map(_with_scores, pairs)]
            tree |= stacked(function, [_as_tensors(pair, i.pool) for pair in pairs], like=i.pool)
        return tree | {
            "lengthscale_after": _stored_lengthscale(process),
            "variance_after": torch.as_tensor(process.variance).detach().reshape(()),
            "coef_after": process.coef.reshape(-1),
        }

    def _fit_gp(self, i: gp.Inputs | gp_pairs.Inputs, mean_prior: float) -> tuple[Any, list[Tensor]]:
        """Return a Gaussian process, and the hyperparameters that it was given."""
        values = [torch.tensor(v, dtype=i.x_train.dtype) for v in (i.lengthscale, i.variance, i.noise, mean_prior)]
        return self.find(self.gp_module, "GP")(i.x_train.device, i.x_train, i.y_train, *values), values

    def compute_split(self, i: split.Inputs) -> Tree:
        """Call `create_train_dataloader`; return its loader's data set and the validation list."""
        create = self.find(self.pairs_module, "create_train_dataloader")
        batches, validation = create(nested(i.functions), val_frac=i.val_frac, batch_size=1, shuffle=True)
        like = i.functions[0]["x_high"]
        training = [batches.dataset[k] for k in range(len(batches.dataset))]
        return stacked("train", training, like=like) | stacked("val", validation, like=like)

    def compute_loader(self, i: loader.Inputs) -> Tree:
        """Call `create_train_dataloader` and read its loader `passes` times."""
        create = self.find(self.pairs_module, "create_train_dataloader")
        batches, _ = create(nested(i.functions), val_frac=i.val_frac, batch_size=i.batch_size, shuffle=i.shuffle)
        tree: Tree = {}
        for epoch in range(i.passes):
            for number, ((x_high, y_high), (x_low, y_low)) in enumerate(batches):
                for end, values in zip(ENDS, (x_high, y_high, x_low, y_low), strict=True):
                    tree[f"epoch{epoch}/batch{number}/{end}"] = values
        return tree

    def compute_ema(self, i: ema.Inputs) -> Tree:
        """Register, update, apply and restore `EMA` on the given weights."""
        model = _Weights(i.weights[0])
        average = self.find(self.ema_module, "EMA")(i.decay)
        average.register(model)
        tree = copies("shadow0", average.shadow)
        for k, values in enumerate(i.weights[1:], start=1):
            for name, parameter in model.named_parameters():
                parameter.data = values[name].clone()
            average.update(model, with_decay=k >= i.decay_from_step)
            tree |= copies(f"shadow{k}", average.shadow)
        average.apply_shadow(model)
        tree |= copies("applied", dict(model.named_parameters()))
        average.restore(model)
        return tree | copies("restored", dict(model.named_parameters()))


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


def missing_import(error: ModuleNotFoundError, module: str, folder: Path) -> str | None:
    """Say which module of the checkout is missing: empty if it is `module`; None if it would lie elsewhere."""
    absent = error.name or str(error)
    if f"{module}.".startswith(f"{absent}."):
        return ""
    top = absent.partition(".")[0]
    of_folder = bool(top) and ((folder / top).is_dir() or (folder / f"{top}.py").is_file())
    return f"{module} imports {absent}, which the checkout does not have" if of_folder else None


def without_initial_draws() -> AbstractContextManager[None]:
    """Leave linear layers uninitialised inside the block: their weights are set at once or never used."""
    return patched(nn.Linear, "reset_parameters", lambda _: None)


def loss_of(output: Any) -> Tensor:
    """Return the loss from the output of a model's forward pass, which may return more beside it."""
    loss: Tensor = output[0] if isinstance(output, (tuple, list)) else output
    return loss


def config_entries(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each entry of nested sections, with its dotted name."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from config_entries(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


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
