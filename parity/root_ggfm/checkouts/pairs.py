"""What the two published layouts share beside the model: Gaussian process, pairs, loader, average."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from parity.root_ggfm.checkouts.bridge import CheckoutSide
from parity.root_ggfm.checkouts.calls import default_of, those_taken
from parity.root_ggfm.contract import Pairs
from parity.root_ggfm.sides.root_pairs import ENDS, nested, stacked
from parity.side import Tree

__all__ = ["CheckoutPairs"]

_TRAJ_STEPS = 200
"""Steps of a path, as published."""


class CheckoutPairs(CheckoutSide):
    """`model_module`, `gp_module`, `pairs_module`, `ema_module`: where the layout keeps them."""

    model_module: str
    gp_module: str
    pairs_module: str
    ema_module: str

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
        """`GP`; the gradient by autograd."""
        with self.precision(x_train.dtype):
            gp = self._gp(x_train, y_train, lengthscale, variance, noise, mean_prior)
            gp.set_hyper(lengthscale=gp.given[0], variance=gp.given[1])
            x = x_test.clone().requires_grad_(True)
            mean = gp.mean_posterior(x)
            (gradient,) = torch.autograd.grad(mean.sum(), x)
        stored = _stored(gp)
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
        """`sampling_data_from_GP`, its nested tuples stacked; whole paths where it returns them."""
        sampling = self.found(self.pairs_module, "sampling_data_from_GP")
        with self.precision(x_train.dtype):
            gp = self._gp(x_train, y_train, lengthscale, variance, noise, 0.0)
            given = {"x_train": pool, "device": pool.device, "GP_Model": gp, **settings}
            data = sampling(**those_taken(sampling, **given))
        tree: Tree = {"counts": torch.tensor([len(pairs) for pairs in data.values()])}
        for function, pairs in data.items():
            if pairs and torch.is_tensor(pairs[0][0]):
                paths = torch.stack([path for path, *_ in pairs])
                tree[f"{function}/trajectory"] = _resampled(paths)
                pairs = [((path[-1], high), (path[0], low)) for path, (low, high) in map(_with_scores, pairs)]
            tree |= stacked(function, [_as_tensors(pair, pool) for pair in pairs], like=pool)
        after = torch.as_tensor(gp.variance).detach().reshape(())
        return tree | {"lengthscale_after": _stored(gp), "variance_after": after, "coef_after": gp.coef.reshape(-1)}

    def defaults(self) -> Tree:
        """From signatures; of the model, where its configuration says nothing."""
        chain = self.found(self.model_module, "BrownianBridgeModel").sample
        pairs = self.found(self.pairs_module, "sampling_data_from_GP")
        names = (
            "num_gradient_steps", "num_functions", "num_points", "learning_rate", "delta_lengthscale",
            "delta_variance", "threshold_diff",
        )  # fmt: skip
        return {
            **self.model_defaults(),
            "sample/clip_denoised": default_of(chain, "clip_denoised"),
            "sample/guidance_weight": default_of(chain, "classifier_free_guidance_weight", absent=0.0),
            **{f"gp_pairs/{name}": default_of(pairs, name) for name in names},
        }

    def model_defaults(self) -> Tree:
        """`bridge/max_var` and `bridge/eta` where nothing is given."""
        raise NotImplementedError

    def split(self, *, functions: Sequence[Pairs], val_frac: float) -> Tree:
        """`create_train_dataloader`: the data set of its loader and the validation list."""
        create = self.found(self.pairs_module, "create_train_dataloader")
        loader, validation = create(nested(functions), val_frac=val_frac, batch_size=1, shuffle=True)
        like = functions[0]["x_high"]
        training = [loader.dataset[k] for k in range(len(loader.dataset))]
        return stacked("train", training, like=like) | stacked("val", validation, like=like)

    def loader(
        self, *, functions: Sequence[Pairs], val_frac: float, batch_size: int, shuffle: bool, passes: int
    ) -> Tree:
        """`create_train_dataloader`, its loader run `passes` times."""
        create = self.found(self.pairs_module, "create_train_dataloader")
        loader, _ = create(nested(functions), val_frac=val_frac, batch_size=batch_size, shuffle=shuffle)
        tree: Tree = {}
        for epoch in range(passes):
            for number, ((x_high, y_high), (x_low, y_low)) in enumerate(loader):
                for end, values in zip(ENDS, (x_high, y_high, x_low, y_low), strict=True):
                    tree[f"epoch{epoch}/batch{number}/{end}"] = values
        return tree

    def ema(self, *, decay: float, decay_from_step: int, weights: Sequence[Mapping[str, Tensor]]) -> Tree:
        """`EMA`."""
        model = _Weights(weights[0])
        average = self.found(self.ema_module, "EMA")(decay)
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
        gp = self.found(self.gp_module, "GP")(x.device, x, y, *values)
        gp.given = values
        return gp


class _Weights(nn.Module):
    """Parameters under any names, dots included, as a model that has nothing else."""

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._held = {name: nn.Parameter(value.clone()) for name, value in values.items()}

    def named_parameters(self, *_: Any, **__: Any) -> Any:
        return iter(self._held.items())


def _with_scores(pair: Sequence[Any]) -> tuple[Tensor, Sequence[Any]]:
    """A path with (y_low, y_high), which commits keep as two more entries or as one."""
    path, *scores = pair
    return path, scores[0] if len(scores) == 1 else scores


def _as_tensors(pair: Sequence[Any], like: Tensor) -> list[list[Tensor]]:
    """Both ends of a pair, of whatever kind of array and number they are kept as."""
    return [[v if torch.is_tensor(v) else torch.as_tensor(v, dtype=like.dtype) for v in end] for end in pair]


def _resampled(paths: Tensor) -> Tensor:
    """Paths (n, L, D) at the 201 points, at equal distances, that training takes them at; the ends as they are."""
    last = paths.shape[1] - 1
    if last == _TRAJ_STEPS:
        return paths
    position = torch.arange(_TRAJ_STEPS + 1) * last
    before = position // _TRAJ_STEPS
    share = ((position % _TRAJ_STEPS).to(paths.dtype) / _TRAJ_STEPS).unsqueeze(1)
    return torch.lerp(paths[:, before], paths[:, (before + 1).clamp(max=last)], share)


def _stored(gp: Any) -> Tensor:
    holder = getattr(gp, "kernel", None)
    value = getattr(holder, "lengthscale", None)
    return torch.as_tensor(gp.lengthscale if value is None else value).detach().reshape(()).clone()


def _copies(group: str, tensors: Mapping[str, Tensor]) -> Tree:
    return {f"{group}/{name}": tensor.detach().clone() for name, tensor in tensors.items()}
