"""The contract between parity and an implementation: one method per component.

A *side* is an implementation seen through an adapter. Every component is one method that takes plain values and
tensors and returns a flat, named tree (`dict[str, leaf]`), so that the comparator, the golden numbers, the diagnosis
and the report all speak of the same outputs. Names, shapes and meaning below are ROOT's; an adapter translates them
into the calls of the code behind it, and that translation is the only place where conventions meet.

A leaf is a `torch.Tensor`, a `numpy.ndarray` or a plain `int`, `float`, `bool`, `str` or list of those.
Notation: B batch, D design dimension, T `num_timesteps`, S `sample_step`, N designs, F functions, P points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from parity.root_ggfm.tasks.task import Task
from parity.side import Tree

__all__ = ["AfterStep", "Bridge", "Methods", "Pairs", "Step", "Trainable", "Training", "ignore"]

Pairs = Mapping[str, Tensor]
"""One function's pairs: `x_high` (n, D), `y_high` (n,), `x_low` (n, D), `y_low` (n,)."""


@dataclass(frozen=True, kw_only=True)
class Bridge:
    """The plain values that define a Brownian bridge model, under ROOT's configuration names.

    `dtype` is the precision in which buffers are kept and weights are held: float32 as published, float64 to tell
    rounding from mathematics. The schedule is computed in float64 in either case and cast last.
    """

    num_timesteps: int = 1000
    mt_type: str = "linear"
    max_var: float = 1.0
    eta: float = 1.0
    skip_sample: bool = True
    sample_type: str = "linear"
    sample_step: int = 200
    loss_type: str = "l1"
    objective: str = "grad"
    dim: int = 6
    hidden: int = 16
    dtype: torch.dtype = torch.float32

    def astype(self, dtype: str) -> Bridge:
        """Return the same bridge in another precision, named as NumPy names it."""
        return replace(self, dtype=getattr(torch, dtype))


@dataclass(frozen=True, kw_only=True)
class Step:
    """A batch that was just trained on.

    `epoch` counts from 0, `global_step` from 1. `batch` holds `x_high`, `x_low` (B, D) and `y_high`, `y_low` (B,) as
    the loader gave them. `lr`: the rate before the scheduler saw this batch's `loss`.
    """

    epoch: int
    global_step: int
    batch: Pairs
    loss: float
    lr: float


AfterStep = Callable[[Step], None]
"""Called after each batch, when weights, rate and average are what the next batch will find. It may raise: the run
then ends there, and what `save` wrote before stays good."""


def ignore(step: Step) -> None:
    """An `AfterStep` that does nothing."""


class Training(Protocol):
    """A training run in progress. Made by `Trainable.start_training`; nothing is trained yet."""

    @property
    def n_epochs(self) -> int:
        """Epochs in all."""

    @property
    def epochs_done(self) -> int:
        """Epochs finished so far."""

    @property
    def losses(self) -> list[float]:
        """One per batch so far."""

    @property
    def lr(self) -> list[float]:
        """One per batch so far: the rate before that batch's scheduler step."""

    @property
    def val_losses(self) -> list[list[float]]:
        """One list of batch losses per validation so far; a validation reports their mean."""

    @property
    def val_steps(self) -> list[int]:
        """The global step after which each validation was made."""

    @property
    def pool(self) -> Tensor:
        """(P, D), the designs from which the last epoch's pairs start."""

    def epoch(self, after_step: AfterStep = ignore, pairs: Sequence[Pairs] | None = None) -> None:
        """Trains the next epoch, validation included where one is due.

        With `pairs`, one entry per function, it is trained on these: the pool is taken as always, but no Gaussian
        process is fitted and nothing of its sampling is drawn, seeding included.
        """

    def parameters(self) -> Mapping[str, nn.Parameter]:
        """The model's own parameters, by state-dict name; hooks may be put on them."""

    def evaluation_weights(self) -> Mapping[str, Tensor]:
        """What validation and test would use now: the moving average, or the current weights where there is none."""

    def save(self, path: Path) -> None:
        """Writes everything that the rest of the run depends on, generator state included, between two epochs.

        Atomic: a kill leaves the old file or the new one. Plain values and tensors only: `torch.load(path,
        weights_only=True)` reads it.
        """

    def load(self, path: Path) -> None:
        """Goes on where `save` was called: what follows equals the uninterrupted run to the bit.

        Raises ValueError naming the file, and what in it is cut short, missing, or of another name or shape.
        """

    def test(self) -> Tree:
        """The test with the weights as they are, after the last epoch: `test/low`, `test/low_scores`,
        `test/high_cond`, `test/high`, `scores` (n,) normalised, `percentiles` (3,): 100th, 80th, 50th."""


class Trainable(Protocol):
    """The part of a side that runs whole trainings."""

    def check_config(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """Checks a ROOT configuration and returns the dotted names of entries that nothing uses, sorted.

        Raises ValueError naming a missing entry, or one of a wrong type or an impossible value.
        """

    def start_training(
        self,
        *,
        config: Mapping[str, Any],
        task: Task,
        seed: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Training:
        """A run from `seed`, up to but without its first epoch: generators seeded, model and data built."""


class Methods(Trainable, Protocol):
    """An implementation, one method per component. A method it lacks raises `MissingComponent`.

    The component `training_steps` and whole runs drive it through `Trainable`; a side that cannot be driven step by
    step may have a method `training_steps` instead, which returns the tree of `record_timeline`.
    """

    name: str
    version: str

    def defaults(self) -> Tree:
        """What is taken where nothing is given: `bridge/{max_var,eta}`, `sample/{clip_denoised,guidance_weight}`,
        `gp_pairs/{num_gradient_steps,num_functions,num_points,learning_rate,delta_lengthscale,delta_variance,
        threshold_diff}`."""

    def schedule(self, bridge: Bridge) -> Tree:
        """`m_t`, `m_tminus`, `variance_t`, `variance_tminus`, `variance_t_tminus`, `posterior_variance_t`: (T,)."""

    def sample_steps(self, bridge: Bridge) -> Tree:
        """`steps`: the timesteps visited, descending (int64; float64 for `cosine`).
        `state_dict_keys`: sorted names of the whole model's state dict, weights and buffers."""

    def q_sample(self, bridge: Bridge, *, x_high: Tensor, x_low: Tensor, t: Tensor, noise: Tensor | None) -> Tree:
        """`x_t`, `objective`: (B, D). With `noise=None` one standard normal draw shaped like x_high is made."""

    def predict_x0(self, bridge: Bridge, *, x_t: Tensor, x_low: Tensor, t: Tensor, objective_recon: Tensor) -> Tree:
        """`x0`: (B, D)."""

    def initial_weights(self, bridge: Bridge) -> Tree:
        """`state/<name>`: the denoiser's initial parameters, drawn from torch's global generator as it stands."""

    def denoiser(
        self, bridge: Bridge, *, state: Mapping[str, Tensor], x_t: Tensor, t: Tensor, y_first: Tensor, y_second: Tensor
    ) -> Tree:
        """`output`: (B, D). `state` maps `denoise_fn.main.{0,2,4,6}.{weight,bias}` to tensors; conditions are (B,)."""

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
        """`loss` (), `x0_recon` (B, D), `grad/<name>` of the loss. `t=None` goes through `forward`, which draws t;
        `noise=None` draws the noise after it."""

    def training_loss(
        self,
        bridge: Bridge,
        *,
        state: Mapping[str, Tensor],
        x_high: Tensor,
        y_high: Tensor,
        x_low: Tensor,
        y_low: Tensor,
        step: int,
        guidance_prob: float,
    ) -> Tree:
        """The loss of one training step: reseeding, condition masking, then `forward`. `loss`, `grad/<name>`."""

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
        """`x_next`, `x0`: (B, D). `step` is the index i into `steps`; conditions are (B,)."""

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
        """`x_high`: (B, D), the end of the whole reverse process started at x_low."""

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
        """`coef` (N,), `mean` (M,), `grad` (M, D) of the summed posterior mean, `lengthscale_stored` ()."""

    def gp_pairs(
        self,
        *,
        x_train: Tensor,
        y_train: Tensor,
        pool: Tensor,
        lengthscale: float,
        variance: float,
        noise: float,
        num_functions: int,
        num_points: int,
        num_gradient_steps: int,
        learning_rate: float,
        delta_lengthscale: float,
        delta_variance: float,
        seed: int,
        threshold_diff: float,
    ) -> Tree:
        """`counts` (F,) int64, per function `f0/x_high`, `f0/y_high`, `f0/x_low`, `f0/y_low` stacked over the pairs
        kept ((0, D) and (0,) when none is), `lengthscale_after` (), `variance_after` () and `coef_after` (N,) of the GP
        afterwards.
        A side that records whole paths adds `f0/trajectory` (n, traj_steps + 1, D)."""

    def split(self, *, functions: Sequence[Pairs], val_frac: float) -> Tree:
        """`train/x_high`, `train/y_high`, `train/x_low`, `train/y_low` and the same under `val/`, in order."""

    def loader(
        self, *, functions: Sequence[Pairs], val_frac: float, batch_size: int, shuffle: bool, passes: int
    ) -> Tree:
        """`epoch{e}/batch{b}/{x_high,y_high,x_low,y_low}` over `passes` passes of one training loader."""

    def pool(self, *, x: Tensor, y: Tensor, type_of_initial_points: str, num_points: int, epochs: int) -> Tree:
        """`epoch{e}`: (P, D), the designs from which GP sampling starts in epoch e."""

    def offline_data(self, *, task: Task, normalize_x: bool, normalize_y: bool) -> Tree:
        """`x` (N, D), `y` (N,) shuffled (and standardised), `mean_x`, `std_x` (D,), `mean_y`, `std_y` ()."""

    def encoding(self, *, task: Task) -> Tree:
        """`x`: (N, D) designs as the pipeline sees them. `task_x_after`, `task_is_mapped`: the task afterwards."""

    def optimiser(
        self,
        *,
        optimizer: Mapping[str, Any],
        lr_scheduler: Mapping[str, Any],
        accumulate_grad_batches: int,
        weights: Mapping[str, Tensor],
        grads: Sequence[Mapping[str, Tensor]],
        losses: Sequence[float],
    ) -> Tree:
        """One training update per batch on given gradients: batch k's gradient is added, then whatever the side does
        at global step k + 1 (optimiser step, clipping, scheduler). `w{k}/<name>` and `lr{k}` after every batch.
        `optimizer` and `lr_scheduler` are ROOT's configuration sections."""

    def ema(self, *, decay: float, decay_from_step: int, weights: Sequence[Mapping[str, Tensor]]) -> Tree:
        """Registered with `weights[0]`, updated with each later one, decaying from update number `decay_from_step`.
        `shadow{k}/<name>`: what evaluation would use after update k; `applied/<name>`, `restored/<name>`."""

    def candidates(
        self, *, x: Tensor, y: Tensor, n_candidates: int, type: str, percentile_sampling: float, seed: int
    ) -> Tree:
        """`x` (n, D), `y` (n,): the designs from which sampling starts in the test."""

    def target(self, *, y: Tensor, y_max: float, alpha: float, n: int) -> Tree:
        """`condition`: (n,), the score that the test asks for, from the raw offline scores y (N,)."""

    def evaluation(
        self, *, task: Task, designs: Tensor, mean_x: Tensor, std_x: Tensor, y_min: float, y_max: float
    ) -> Tree:
        """`scores` (n,) normalised, `percentiles` (3,): 100th, 80th and 50th. `designs` (n, D) are standardised;
        `task` is in its test form (a discrete one is already mapped to logits)."""

    def training(self, *, config: Mapping[str, Any], task: Task, seed: int, dtype: torch.dtype) -> Tree:
        """A whole run: train, then test. `config` is a ROOT configuration as nested plain values; `task` is unmapped,
        the side makes its own test form (of a copy, unless its encoding changes the task).

        `losses`, `lr` (one per batch; the rate before that batch's scheduler step), `val_losses`, `global_step`,
        `offline_x`, `offline_y`, `best_x` (the pool of the last epoch), `final/state/<name>`, `ema/<name>` (absent
        where there is none), `test/low` (candidates), `test/low_scores`, `test/high_cond`, `test/high` (sampled
        designs, standardised), `percentiles` (3,)."""
