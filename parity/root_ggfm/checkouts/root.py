"""A checkout of ROOT as a side: `root:PATH`. Drives its runner for every component that exists only inside it."""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from parity.execution import generators_kept
from parity.root_ggfm.checkouts.patching import patched
from parity.root_ggfm.checkouts.runner import UNREAD, Call, CallLog, Driver, LossRecorder, Replacement, StopRun
from parity.root_ggfm.checkouts.side import BRIDGE_SETTINGS, CheckoutSide, loss_of, without_initial_draws
from parity.root_ggfm.components import (
    candidates,
    encoding,
    evaluation,
    offline_data,
    optimiser,
    pool,
    target,
    training,
    training_loss,
    training_steps,
)
from parity.root_ggfm.contract import Bridge, Pairs, Step
from parity.root_ggfm.sides.root_config import PUBLISHED, published_config, published_range
from parity.root_ggfm.sides.root_pairs import ENDS, nested
from parity.root_ggfm.tasks.task import ArrayTask, Task
from parity.root_ggfm.training_trace import Timeline
from parity.side import MissingComponent, Tree

__all__ = ["RootCheckout", "find_statistic", "set_statistic"]

_CONTINUOUS, _DISCRETE = "DKittyMorphology-Exact-v0", "TFBind10-Exact-v0"
"""One task name of either kind; under both, the Gaussian process is fitted on all designs."""


class RootCheckout(CheckoutSide):
    """Calls ROOT's modules, and runs `BBDMRunner` with everything replaced that a component is not about.

    Seeding, initial weights and other parts of such a run do not belong to the component: they leave the global
    generators as they were.
    """

    layout = "ROOT"
    gp_module, pairs_module, ema_module = "gaussian_process.GP", "runners.utils", "runners.base.EMA"
    model_module = "model.BrownianBridge.BrownianBridgeModel"
    modules = gp_module, model_module, pairs_module, ema_module
    optional = ("runners.DiffusionBasedModelRunners.BBDMRunner",)

    def new_model(self, bridge: Bridge) -> nn.Module:
        """Make `BrownianBridgeModel` from a configuration namespace."""
        return self._make_model(bridge, BRIDGE_SETTINGS)

    def model_defaults(self) -> Tree:
        """Read the defaults from a model whose configuration lacks both entries."""
        with without_initial_draws():
            model = self._make_model(Bridge(), [name for name in BRIDGE_SETTINGS if name not in ("max_var", "eta")])
        return {f"bridge/{name}": float(getattr(model, name)) for name in ("max_var", "eta")}

    def _make_model(self, bridge: Bridge, settings: Sequence[str]) -> nn.Module:
        layers = _Namespace(image_size=bridge.dim, hidden_size=bridge.hidden, condition_key="SpatialRescaler")
        params = _Namespace(**{name: getattr(bridge, name) for name in settings}, MLPParams=layers)
        make = self.find(self.model_module, "BrownianBridgeModel")
        model: nn.Module = make(_Namespace(BB=_Namespace(params=params), **UNREAD))
        return model

    def weights_init(self) -> Any:
        """Return `runners.utils.weights_init`."""
        return self.find("runners.utils", "weights_init")

    def compute_candidates(self, i: candidates.Inputs) -> Tree:
        """Call `sampling_from_offline_data`."""
        choose = self.find("runners.utils", "sampling_from_offline_data")
        named = {name: value for name, value in vars(i).items() if name not in ("x", "y")}
        x, y = choose(i.x, i.y, **named)
        return {"x": x, "y": y}

    def compute_offline_data(self, i: offline_data.Inputs) -> Tree:
        """Return the data that the Gaussian process is fitted on, and the statistics that the runner keeps."""
        with _only_shuffle_draws():
            runner, x, y = self._gp_data(i.task, i.normalize_x, i.normalize_y)
        tree: Tree = {"x": x, "y": y}
        for kind in ("mean", "std"):
            for end, shape in (("x", -1), ("y", ())):
                tree[f"{kind}_{end}"] = find_statistic(self, runner, kind, end).reshape(shape)
        return tree

    def compute_encoding(self, i: encoding.Inputs) -> Tree:
        """Return the data that the Gaussian process is fitted on, neither standardised nor shuffled, and the task."""
        with generators_kept(), patched(np.random, "permutation", np.arange):
            _, x, _ = self._gp_data(i.task, normalize_x=False, normalize_y=False)
        after = np.array(i.task.x)
        return {
            "x": x,
            "task_x_after": torch.from_numpy(after),
            "task_is_mapped": bool(i.task.is_discrete and after.ndim == 3),
        }

    def _gp_data(self, task: Task, normalize_x: bool, normalize_y: bool) -> tuple[Any, Tensor, Tensor]:
        """Return the runner, and the designs and scores that it gives to its Gaussian process."""
        letters = task.num_classes - 1 if task.is_discrete else 1
        config = _tiny_config(_DISCRETE if task.is_discrete else _CONTINUOUS, task.x.shape[1] * letters)
        config["task"] |= {"normalize_x": normalize_x, "normalize_y": normalize_y}
        found: list[Tensor] = []

        def gp(call: Call) -> Any:
            x, y = call.given["x_train"], call.given["y_train"]
            found.extend((x.detach().clone(), y.detach().reshape(-1).clone()))
            call.stop()

        driver = _tiny_run(self, config, task, {"GP": gp})
        x, y = found
        return driver.runner, x, y

    def compute_pool(self, i: pool.Inputs) -> Tree:
        """Return the designs that pair sampling starts from, epoch by epoch."""
        width = i.x.shape[1]
        config = _tiny_config(_CONTINUOUS, width)
        config["GP"] |= {"type_of_initial_points": i.type_of_initial_points, "num_points": i.num_points}
        config["task"] |= {"normalize_x": False, "normalize_y": False}
        config["training"]["n_epochs"] = i.epochs
        designs: list[Tensor] = []
        pools: list[Tensor] = []

        def gp(call: Call) -> Any:
            designs.append(call.given["x_train"])
            return _UNFITTED_GP

        def sampling(call: Call) -> Any:
            pool = call.given["x_train"].detach()
            same = pool.shape == designs[-1].shape and pool.data_ptr() == designs[-1].data_ptr()
            pools.append(i.x if same else pool.clone())  # the input itself: it is all of the run's designs
            if len(pools) == i.epochs:
                call.stop()
            return _zero_pairs(width)

        task = ArrayTask("pool", i.x.numpy(), i.y.reshape(-1, 1).numpy(), _no_scores, dtype=i.x.numpy().dtype)
        with generators_kept(), patched(np.random, "permutation", np.arange):
            _tiny_run(self, config, task, {"GP": gp, "sampling_data_from_GP": sampling, "forward": _zero_loss})
        return {f"epoch{epoch}": pool for epoch, pool in enumerate(pools)}

    def compute_training_loss(self, i: training_loss.Inputs) -> Tree:
        """Train on the batch as number `step`, where the loop first steps its optimiser; earlier ones lose nothing."""
        config = _tiny_config(_CONTINUOUS, i.bridge.dim)
        config["model"]["BB"]["params"] |= {name: getattr(i.bridge, name) for name in BRIDGE_SETTINGS}
        config["model"]["BB"]["params"]["MLPParams"]["hidden_size"] = i.bridge.hidden
        config["training"] |= {"classifier_free_guidance_prob": i.guidance_prob, "accumulate_grad_batches": i.step}
        found: dict[str, Any] = {}
        batches = 0

        def forward(call: Call) -> Any:
            nonlocal batches
            batches += 1
            if batches < i.step:
                return _zero_loss(call)
            model = call.given["self"]
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    parameter.copy_(i.state[name])
            output = call.proceed()
            found.update(loss=loss_of(output).detach().clone(), model=model, generator=torch.get_rng_state())
            return output

        def get_optimizer(call: Call) -> Any:
            optimizer = call.proceed()
            optimizer.register_step_pre_hook(lambda *_: call.stop())
            return optimizer

        batch = (i.x_high, i.y_high), (i.x_low, i.y_low)
        self._train_on(config, batch, i.step, forward=forward, get_optimizer=get_optimizer)
        if not found:
            raise MissingComponent(f"{self.name}: its loop steps the optimiser before accumulate_grad_batches batches")
        torch.set_rng_state(found["generator"])
        gradients = {f"grad/{name}": parameter.grad for name, parameter in found["model"].named_parameters()}
        return {"loss": found["loss"], **gradients}

    def compute_optimiser(self, i: optimiser.Inputs) -> Tree:
        """Train `weights` in the place of the model's, with losses that have the given values and gradients."""
        config = _tiny_config(_CONTINUOUS, 1)
        config["model"]["BB"] |= {"optimizer": dict(i.optimizer), "lr_scheduler": dict(i.lr_scheduler)}
        config["training"]["accumulate_grad_batches"] = i.accumulate_grad_batches
        held = nn.ParameterDict({name: weight.clone() for name, weight in i.weights.items()})
        optimizers: list[Any] = []
        tree: Tree = {}
        batches = 0

        def record() -> None:
            if batches:
                tree.update({f"w{batches - 1}/{name}": value.detach().clone() for name, value in held.items()})
                if not optimizers:
                    raise MissingComponent(f"{self.name}: its runner never called get_optimizer as published")
                tree[f"lr{batches - 1}"] = optimizers[-1].param_groups[0]["lr"]

        def forward(call: Call) -> Any:
            nonlocal batches
            record()
            if batches == len(i.losses):
                call.stop()
            loss = sum(
                (gradient * (held[name] - held[name].detach())).sum() for name, gradient in i.grads[batches].items()
            )
            batches += 1
            return loss + torch.tensor(i.losses[batches - 1], dtype=torch.float64), _NO_LOG

        def get_optimizer(call: Call) -> Any:
            settings = next(iter(call.given.values()))
            result = call.original(settings, list(held.values()))
            if not isinstance(result, torch.optim.Optimizer):
                raise TypeError(f"{type(result).__name__} is not an Optimizer")  # as its scheduler would
            optimizers.append(result)
            return result

        like = next(iter(i.weights.values()))
        end = like.new_zeros(1, 1), like.new_zeros(1)
        self._train_on(config, (end, end), len(i.losses) + 1, forward=forward, get_optimizer=get_optimizer)
        return tree

    def _train_on(
        self, config: Mapping[str, Any], batch: Sequence[Sequence[Tensor]], count: int, **replacements: Replacement
    ) -> None:
        """Run the training loop on `count` times the same batch, until a replacement stops it."""
        x = batch[0][0]
        designs = np.zeros((4, x.shape[1]), dtype=x.numpy().dtype)
        scores = np.arange(4.0).reshape(4, 1)
        task = ArrayTask("batches", designs, scores, lambda designs: designs[:, 0], dtype=designs.dtype)
        pairs = _zero_pairs(x.shape[1])
        replacements["sampling_data_from_GP"] = lambda _: pairs
        replacements["create_train_dataloader"] = lambda _: (_RepeatedBatch(batch, count), pairs["f0"])
        with generators_kept():
            _tiny_run(self, config, task, replacements)

    def compute_target(self, i: target.Inputs) -> Tree:
        """Return the condition that the test samples with. The checkout's own y_max decides under which task."""
        name = self._task_with(y_max=i.y_max)
        discrete = name.startswith("TFBind")
        dtype = i.y.numpy().dtype
        x = np.zeros((len(i.y), 2), dtype=np.int32 if discrete else dtype)
        classes = 3 if discrete else None
        task = ArrayTask(name, x, i.y.reshape(-1, 1).numpy(), _no_scores, num_classes=classes, dtype=dtype)
        config = _tiny_config(name, 4 if discrete else 2, testing={"alpha": i.alpha, "num_candidates": i.n})
        conditions: list[Tensor] = []

        def sample(call: Call) -> Any:
            conditions.append(call.given["y_high"].detach().reshape(-1).clone())
            call.stop()

        with generators_kept():
            _tiny_run(self, config, task, _test_only(2, i.n) | {"sample": sample}, test=_in_test_form(task))
        return {"condition": conditions[0]}

    def compute_evaluation(self, i: evaluation.Inputs) -> Tree:
        """Test with `designs` in the place of sampled ones; return the scores that quantiles are taken of.

        The checkout's own y_min and y_max decide under which task. The offline designs have the given statistics up
        to rounding; the runner's attributes are then set to the exact ones.
        """
        n, width = i.designs.shape
        scores: list[Any] = []
        name = self._task_with(y_min=i.y_min, y_max=i.y_max)
        config = _tiny_config(name, width, testing={"num_candidates": n})

        def sample(_: Call) -> Any:
            scores.clear()  # quantiles that were taken before are not of scores
            set_statistic(self, driver.runner, "mean", "x", i.mean_x)
            set_statistic(self, driver.runner, "std", "x", i.std_x)
            return i.designs.clone()

        instead = _test_only(width, n) | {"GP": lambda _: _UNFITTED_GP, "sample": sample}
        driver = Driver(self, config, _OfflineDesigns(i.task, i.mean_x, i.std_x), 0, **instead)
        with generators_kept(), self.precision(i.designs.dtype), driver.observing():
            paths = driver.train()
            with _quantiles_into(scores):
                percentiles = driver.test(i.task, paths)
            if not scores:
                raise MissingComponent(f"{self.name}: its test takes no quantile of its scores by torch or NumPy")
            values = torch.as_tensor(scores[0]).detach().clone().reshape(-1)
            return {"scores": values, "percentiles": _as_tensor(percentiles)}

    def _task_with(self, **limits: float) -> str:
        """Return the task for which the layout has these limits of scores."""
        for name in PUBLISHED:
            y_min, y_max = published_range(name)
            if limits.items() <= {"y_min": y_min, "y_max": y_max}.items():
                return name
        named = " and ".join(f"{name} {value}" for name, value in limits.items())
        raise MissingComponent(f"{self.name}: the layout has no task with {named}")

    def compute_training_steps(self, i: training_steps.Inputs) -> Tree:
        """Train on given pairs; return the tree of `parity.root_ggfm.training_trace.record_timeline`."""
        with ExitStack() as contexts:
            trace = _StepTrace(i.pairs, contexts)
            driver = Driver(self, i.config, i.task, i.seed, **trace.replacements)
            with self.precision(i.dtype), _python_generator_kept(), driver.observing():
                try:
                    driver.train()
                except MissingComponent:
                    raise
                except Exception as error:  # noqa: BLE001 - the step at which a side stops is compared
                    return trace.raised(error)
                return trace.ended()

    def compute_training(self, i: training.Inputs) -> Tree:
        """Run `BBDMRunner(config).train()`, then `test(task)` of a new runner."""
        losses = LossRecorder()
        sampled_with: dict[str, Tensor] = {}

        def sample(call: Call) -> Any:
            sampled_with.update(_weights(call.given["self"]))
            return call.proceed()

        test_task = _in_test_form(i.task)
        driver = Driver(self, i.config, i.task, i.seed, **losses.replacements, sample=sample)
        with self.precision(i.dtype), _python_generator_kept(), driver.observing():
            log = driver.log
            paths = driver.train()
            weights = _weights(log.models[-1])
            average = {n: w.detach().clone() for n, w in log.averages[-1].shadow.items()} if log.averages else {}
            tree: Tree = {
                "losses": torch.tensor(losses.losses.get(True, []), dtype=torch.float64),
                "lr": torch.tensor(losses.rates, dtype=torch.float64),
                "val_losses": torch.tensor(losses.losses.get(False, []), dtype=torch.float64),
                "global_step": len(losses.losses.get(True, [])),
                "best_x": log.last("sampling_data_from_GP").given["x_train"].detach().clone(),
                **{f"final/state/{name}": weight for name, weight in weights.items()},
                **{f"ema/{name}": weight for name, weight in average.items()},
            }
            percentiles = driver.test(test_task, paths)
            if not all(torch.equal(sampled_with[name], weight) for name, weight in (average or weights).items()):
                raise MissingComponent(
                    "test() sampled with other weights than train() left: config.model.model_load_path names their file"
                )
            chosen, chain = log.last("sampling_from_offline_data"), log.last("sample")
            low, low_scores = chosen.result
            return tree | {
                "offline_x": chosen.given["x"].detach().clone(),
                "offline_y": chosen.given["y"].detach().clone(),
                "test/low": low,
                "test/low_scores": low_scores,
                "test/high_cond": chain.given["y_high"].reshape(-1),
                "test/high": chain.result,
                "percentiles": _as_tensor(percentiles),
            }


class _StepTrace(LossRecorder):
    """Records a run as a timeline, from its calls of published names."""

    def __init__(self, pairs: Sequence[Sequence[Pairs]], contexts: ExitStack) -> None:
        super().__init__(self._after_batch)
        self._pairs, self._contexts = pairs, contexts
        self._timeline: Timeline | None = None
        self._log = CallLog()
        self._epoch, self._step = -1, 0

    @property
    def replacements(self) -> dict[str, Replacement]:
        """Those of losses, and those that start an epoch and a validation."""
        epoch: dict[str, Replacement] = {"GP": lambda _: _UNFITTED_GP, "sampling_data_from_GP": self.start_epoch}
        return super().replacements | epoch | {"eval": self.start_validation}

    def start_epoch(self, call: Call) -> Any:
        """Return the given pairs: an epoch begins, and the one before has ended."""
        self._log = call.log
        if self._timeline is None:
            self._timeline = self._contexts.enter_context(Timeline(dict(call.log.models[-1].named_parameters())))
        else:
            self._end_epoch()
        self._epoch += 1
        self.losses = {}
        self._pool = call.given["x_train"].detach()
        if self._epoch == len(self._pairs):
            raise MissingComponent(f"its runner trains more than the {len(self._pairs)} epochs of its configuration")
        return nested(self._pairs[self._epoch])

    def start_validation(self, call: Call) -> Any:
        """Make the call: a validation begins, which may have no batch."""
        self.losses.setdefault(False, [])
        return call.proceed()

    def ended(self) -> Tree:
        """Return the tree of the whole run."""
        self._end_epoch()
        return self._timeline.tree  # type: ignore[union-attr] # a run without an epoch has raised

    def raised(self, error: Exception) -> Tree:
        """Return the tree of a run that raised. Raises the error itself if no epoch had begun."""
        if self._timeline is None:
            raise error
        return self._timeline.tree | {self._timeline.raised: type(error).__name__}

    def _after_batch(self, batch: Any) -> None:
        (x_high, y_high), (x_low, y_low) = batch
        self._step += 1
        step = Step(
            epoch=self._epoch,
            global_step=self._step,
            batch=dict(zip(ENDS, (x_high, y_high, x_low, y_low), strict=True)),
            loss=self.losses[True][-1],
            lr=self.rates[-1],
        )
        averages = self._log.averages
        weights = averages[-1].shadow if averages else dict(self._log.models[-1].named_parameters())
        self._timeline.after_step(step, self._pool, weights)  # type: ignore[union-attr]

    def _end_epoch(self) -> None:
        if self._timeline is None:
            raise MissingComponent("its runner never called sampling_data_from_GP as published")
        self._timeline.after_epoch(self.losses.get(False))


class _Namespace(SimpleNamespace):
    def __contains__(self, name: str) -> bool:
        return name in vars(self)


class _RepeatedBatch:
    """A loader of one batch, `count` times; each time of new tensors, since published code may write into them."""

    def __init__(self, batch: Sequence[Sequence[Tensor]], count: int) -> None:
        self._batch, self._count = batch, count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        for _ in range(self._count):
            yield [[values.clone() for values in end] for end in self._batch]


class _OfflineDesigns:
    """A task of two designs with the given mean and standard deviation, of the kind and width of another task's."""

    def __init__(self, task: Task, mean_x: Tensor, std_x: Tensor) -> None:
        self._ends = torch.stack([mean_x - std_x, mean_x + std_x]).numpy()
        self.is_discrete = task.is_discrete
        if task.is_discrete:
            self.num_classes = task.num_classes
            self._ends = self._ends.reshape(2, *task.x.shape[1:])
        self.x = np.zeros(self._ends.shape[:2], dtype=np.int32) if task.is_discrete else self._ends
        self.y = np.array([[0.0], [1.0]], dtype=self._ends.dtype)

    def to_logits(self, x: Any) -> Any:  # noqa: ARG002 - as published code calls it
        return self._ends

    def map_to_logits(self) -> None:
        self.x = self._ends


@contextmanager
def _python_generator_kept() -> Iterator[None]:
    """Restore Python's generator: published code seeds it and draws nothing from it, so it is no part of a run."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


@contextmanager
def _only_shuffle_draws() -> Iterator[None]:
    """Let only `np.random.permutation` draw from NumPy's generator as it stands, out of all that a run draws."""
    permutation, state = np.random.permutation, np.random.get_state()

    def shuffle(*given: Any) -> Any:
        nonlocal state
        around = np.random.get_state()
        np.random.set_state(state)
        order = permutation(*given)
        state = np.random.get_state()
        np.random.set_state(around)
        return order

    with generators_kept(), patched(np.random, "permutation", shuffle):
        yield
    np.random.set_state(state)


@contextmanager
def _quantiles_into(values: list[Any]) -> Iterator[None]:
    """Append everything that quantiles are taken of inside the block, in order."""

    def recording(original: Any) -> Any:
        def quantile(taken_of: Any, *args: Any, **kwargs: Any) -> Any:
            values.append(taken_of)
            return original(taken_of, *args, **kwargs)

        return quantile

    with ExitStack() as stack:
        for holder, name in ((torch, "quantile"), (torch.Tensor, "quantile"), (np, "quantile"), (np, "percentile")):
            stack.enter_context(patched(holder, name, recording(getattr(holder, name))))
        yield


def _test_only(width: int, n: int) -> dict[str, Replacement]:
    """Return replacements with which a run trains on nothing and tests n candidates, all the same."""

    def first_designs(call: Call) -> Any:
        first = call.given["x"][:1]
        return first.expand(n, -1), first.new_zeros(n)

    return {
        "sampling_data_from_GP": lambda _: _zero_pairs(width),
        "forward": _zero_loss,
        "sampling_from_offline_data": first_designs,
    }


def _as_tensor(percentiles: Sequence[Any]) -> Tensor:
    """Stack the numbers that a test returns, in the default precision."""
    dtype = torch.get_default_dtype()
    return torch.stack([torch.as_tensor(value, dtype=dtype).detach().reshape(()) for value in percentiles])


def _weights(model: Any) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def _tiny_run(
    side: CheckoutSide,
    config: Mapping[str, Any],
    task: Task,
    replacements: Mapping[str, Replacement],
    test: Task | None = None,
) -> Driver:
    """Train, and test on a task in its test form, until a replacement calls `Call.stop`.

    Raises MissingComponent for a run that never comes to it.
    """
    driver = Driver(side, config, task, 0, **{"GP": lambda _: _UNFITTED_GP, **replacements})
    dtype = torch.float64 if task.y.dtype == np.float64 else torch.float32
    with side.precision(dtype), driver.observing(), suppress(StopRun):
        paths = driver.train()
        if test is not None:
            driver.test(test, paths)
        raise MissingComponent(f"{side.name}: BBDMRunner never called {', '.join(replacements)} as published")
    return driver


def _tiny_config(task: str, width: int, **sections: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's published configuration with one epoch, a small network for designs of this width, no EMA."""
    config = copy.deepcopy(published_config(task))
    config["model"]["BB"]["params"]["MLPParams"] |= {"image_size": width, "hidden_size": 8}
    config["model"]["EMA"]["use_ema"] = False
    config["training"] |= {"n_epochs": 1, "batch_size": 1, "val_frac": 0.5, "accumulate_grad_batches": 1}
    config["training"] |= {"save_interval": 1, "validation_interval": 1}
    for section, entries in sections.items():
        config[section] |= entries
    return config


def _zero_pairs(width: int, count: int = 4) -> dict[str, list[Any]]:
    """Return pairs of zeros in the form of `sampling_data_from_GP`."""
    end = torch.zeros(width), torch.zeros(())
    return {"f0": [(end, end)] * count}


_NO_LOG: dict[str, Any] = {"loss": torch.zeros(()), "x0_recon": torch.zeros(1, 1)}
"""The second output of a forward pass, where nothing reads it."""


def _zero_loss(_: Call) -> Any:
    """Replace a forward pass by a loss of zero that depends on no weight."""
    return torch.zeros((), requires_grad=True) * 1.0, _NO_LOG


def _no_scores(x: Any) -> Any:
    """Score designs in a task whose scores nothing reads."""
    return np.zeros(len(x))


class _UnfittedGP:
    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


_UNFITTED_GP = _UnfittedGP()
"""A Gaussian process whose values nothing reads."""


def _in_test_form(task: Task) -> Task:
    """Return a copy of the task as the test uses it: a discrete one is mapped to logits."""
    task = copy.deepcopy(task)
    if task.is_discrete:
        task.map_to_logits()
    return task


_KINDS = {"mean": "mean|mu|avg|average", "std": "std|sigma|stdev"}
_WORD = "[a-z0-9]+"


def find_statistic(side: CheckoutSide, runner: Any, kind: str, end: str) -> Tensor:
    """Return the `mean` or `std` of the offline data's `x` or `y`, from a runner's attribute whose name says so.

    Raises MissingComponent if there is none, or several that differ.
    """
    names = _statistic_names(runner, kind, end)
    names = [name for name in names if len(re.findall(_WORD, name.lower())) <= 2] or names  # `mean_x` says it best
    values = [torch.as_tensor(getattr(runner, name)).detach().clone() for name in names]
    if not values or not all(torch.equal(value.reshape(-1), values[0].reshape(-1)) for value in values):
        raise MissingComponent(
            f"{side.name}: its runner must keep the {kind} of {end} in an attribute whose name says so, found "
            f"{', '.join(names) or 'none'}"
        )
    return values[0]


def set_statistic(side: CheckoutSide, runner: Any, kind: str, end: str, value: Tensor) -> None:
    """Set that attribute, and others of such names that hold the same; types and shapes stay.

    Raises as `find_statistic` does.
    """
    before = find_statistic(side, runner, kind, end).reshape(-1)
    for name in _statistic_names(runner, kind, end):
        present = getattr(runner, name)
        if not torch.equal(torch.as_tensor(present).detach().reshape(-1), before):
            continue
        shaped = value.reshape(np.shape(present))
        setattr(runner, name, shaped.to(present.dtype) if torch.is_tensor(present) else shaped.numpy())


def _statistic_names(runner: Any, kind: str, end: str) -> list[str]:
    """Return attributes that hold numbers and have both words in their names, joined or apart."""
    numbers = (Tensor, np.ndarray, np.generic, float)
    held = [name for name, value in vars(runner).items() if isinstance(value, numbers)]
    return [name for name in held if _names_statistic(name.lower(), _KINDS[kind], end)]


def _names_statistic(name: str, kinds: str, end: str) -> bool:
    words = re.findall(_WORD, name)
    if end in words and any(re.fullmatch(kinds, word) for word in words):
        return True
    return any(re.fullmatch(f"({kinds}){end}|{end}({kinds})", word) for word in words)
