"""What sets GGFM apart from ROOT: one switch per difference, and the two profiles made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace

__all__ = ["Switches", "profile"]


@dataclass(frozen=True, kw_only=True)
class Switches:
    """One bool per difference between ROOT and GGFM; each acts alone and is read at one place in this package.

    Off is ROOT's behaviour, on is GGFM's.
    """

    pool: bool = False
    """Every epoch a new pool: half from the 2000 best designs, half from all. Off: the fixed best ones."""
    trajectory: bool = False
    """GP sampling records whole paths, resampled linearly. Off: the two end points."""
    split: bool = False
    """All pairs are trained on. Off: the first int(n val_frac) pairs of each function are held out."""
    loader: bool = False
    """One `torch.randperm` over all pairs, sliced. Off: the order and the draws of a shuffling DataLoader."""
    batch_size: bool = False
    """256 pairs per batch whatever the configuration says. Off: the configuration's number."""
    accumulation: bool = False
    """The optimiser steps after every batch. Off: after every accumulate_grad_batches batches."""
    optimiser: bool = False
    """Adam with its defaults and the configuration's rate. Off: the configuration's optimiser."""
    scheduler: bool = False
    """The rate is constant. Off: ReduceLROnPlateau."""
    grad_clip: bool = False
    """The gradient's norm is clipped to 5.0 before each step. Off: it is not."""
    ema: bool = False
    """Validation and test use the current weights. Off: a moving average, where the configuration has one."""
    encoding: bool = False
    """A discrete task is switched to logits. Off: its designs are converted, the task stays as it is."""
    noise_eps: bool = False
    """Objective `noise`: x0 is divided by 1 - m_t + 1e-8. Off: by 1 - m_t."""
    logged_x0: bool = False
    """The x0 that the loss logs comes from x_low. Off: from y_high in its place, as ROOT has it."""
    clamp: bool = False
    """A reverse step clamps what it takes roots of at 0 and divides by v_t + 1e-10. Off: neither, NaN where S > T."""
    step_seed: bool = False
    """The generator runs on from step to step. Off: each training step reseeds it with its number."""
    guidance: bool = False
    """Conditions are never dropped in training, and guidance has weight 0. Off: as configured."""
    init: bool = False
    """PyTorch's default initial weights. Off: weight matrices redrawn from N(0, 0.02)."""
    steps_buffer: bool = False
    """`steps` is a buffer of the model, in its state dict. Off: a plain attribute."""
    empty_epoch: bool = False
    """An epoch without pairs is skipped with a warning. Off: it is a ValueError."""
    target: bool = False
    """The test asks for the 99th percentile of the standardised offline scores. Off: alpha (y_max - mean_y)/std_y."""

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The switches' names, in the order of the pipeline."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def aligned(cls) -> Switches:
        """Every difference off: GGFM computes what ROOT computes."""
        return cls()

    @classmethod
    def described(cls) -> Switches:
        """Every difference on but `target`, which belongs to an earlier GGFM: the user's GGFM."""
        return cls().toggled(*(name for name in cls.names() if name != "target"))

    @property
    def on(self) -> tuple[str, ...]:
        """The names of the switches that are on."""
        return tuple(name for name in self.names() if getattr(self, name))

    def toggled(self, *names: str) -> Switches:
        """A copy with each of `names` turned over. Raises ValueError for a name that is not a switch."""
        self._refuse_unknown(names)
        return replace(self, **{name: not getattr(self, name) for name in names})

    def having(self, settings: Mapping[str, bool]) -> Switches:
        """A copy with the given switches set. Raises ValueError for a name that is not a switch."""
        self._refuse_unknown(settings)
        return replace(self, **settings)

    def __str__(self) -> str:
        """The nearer profile and what differs from it, such as `aligned+pool` or `described-ema`."""
        described = set(self.described().on)
        on = set(self.on)
        if len(on) <= len(described) // 2:
            return "".join(["aligned", *(f"+{name}" for name in self.names() if name in on)])
        signs = {name: "-" if name in described else "+" for name in described ^ on}
        return "".join(["described", *(f"{signs[name]}{name}" for name in self.names() if name in signs)])

    @classmethod
    def _refuse_unknown(cls, names: Iterable[str]) -> None:
        unknown = [name for name in names if name not in cls.names()]
        if unknown:
            raise ValueError(f"switch: got {', '.join(map(repr, unknown))}, allowed are {', '.join(cls.names())}")


def profile(name: str) -> Switches:
    """The switches of the profile `aligned` or `described`. Raises ValueError for any other name."""
    profiles = {"aligned": Switches.aligned, "described": Switches.described}
    if name not in profiles:
        raise ValueError(f"profile: got {name!r}, allowed are {', '.join(profiles)}")
    return profiles[name]()
