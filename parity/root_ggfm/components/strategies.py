"""The value ranges that every component is tried on, in one place."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from parity.root_ggfm.contract import Bridge

__all__ = ["BRIDGE_FIELDS", "batch", "bridges", "dims", "make_bridge", "max_vars", "seeds"]

seeds = st.integers(0, 2**16)
batch = st.integers(1, 9)
dims = st.integers(1, 8)
max_vars = st.sampled_from([1.0, 0.5, 2.0, 0.0, 0.013])
"""max_var 0 makes the bridge deterministic and its variances 0/0 in places: both sides must then agree on the NaN."""

BRIDGE_FIELDS = (
    "num_timesteps", "mt_type", "max_var", "eta", "skip_sample", "sample_type", "sample_step", "loss_type", "objective",
    "dim", "hidden",
)  # fmt: skip


@st.composite
def bridges(draw: st.DrawFn, /, **fixed: Any) -> dict[str, Any]:
    """Plain values of a bridge: T from 2, S from 3 to beyond T, both schedules, three objectives, both losses.

    Skipped steps only exist for T > 1 and S > 2; other values are refused by the `sample_steps` component's examples.
    """
    num_timesteps = draw(st.one_of(st.integers(2, 40), st.sampled_from([100, 999, 1000])), label="T")
    drawn = {
        "num_timesteps": num_timesteps,
        "mt_type": draw(st.sampled_from(["linear", "sin"]), label="mt_type"),
        "max_var": draw(max_vars, label="max_var"),
        "eta": draw(st.sampled_from([1.0, 0.2, 0.0]), label="eta"),
        "skip_sample": draw(st.booleans(), label="skip_sample"),
        "sample_type": "linear",
        "sample_step": draw(st.integers(3, min(num_timesteps, 60) + 8), label="S"),
        "loss_type": draw(st.sampled_from(["l1", "l2"]), label="loss"),
        "objective": draw(st.sampled_from(["grad", "noise", "ysubx"]), label="objective"),
        "dim": draw(dims, label="D"),
        "hidden": draw(st.sampled_from([4, 16, 1]), label="hidden"),
    }
    return drawn | fixed


def make_bridge(params: Any) -> Bridge:
    """The bridge that the plain values describe."""
    return Bridge(**{name: params[name] for name in BRIDGE_FIELDS if name in params})
