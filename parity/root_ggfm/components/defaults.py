"""The values that ROOT takes where a configuration or a call gives none.

    bridge   max_var = 1, eta = 1
    sample   clip_denoised = True, guidance weight 0
    pairs    50 steps, 5 functions, 10 points, rate 0.001, both deltas 0.1, threshold 0.1

Source: ROOT (arXiv 2509.16300), the configuration of `BrownianBridgeModel`, and the signatures of its `sample` and of
`runners.utils.sampling_data_from_GP`.
"""

from dataclasses import dataclass, fields
from inspect import signature

from hypothesis import strategies as st

import reference_root
from ggfm.bridge import BrownianBridge
from ggfm.pair_sampling import PairSampling
from ggfm.sampling import sample
from parity.root_ggfm.component import Context, Params, StudyComponent, Switches, Tree

__all__ = ["COMPONENT", "Inputs"]


@dataclass(frozen=True)
class Inputs:
    """Nothing is given."""


def build(params: Params, ctx: Context) -> Inputs:
    """Return no input."""
    return Inputs()


def root(i: Inputs) -> Tree:
    """Read ROOT's signatures. Its guidance weight has a longer name."""
    bridge = signature(reference_root.BridgeParams).parameters
    chain = signature(reference_root.BrownianBridgeModel.sample).parameters
    pairs = signature(reference_root.sampling_data_from_GP).parameters
    names = (
        "num_gradient_steps", "num_functions", "num_points", "learning_rate", "delta_lengthscale", "delta_variance",
        "threshold_diff",
    )  # fmt: skip
    return {
        **{f"bridge/{name}": bridge[name].default for name in ("max_var", "eta")},
        "sample/clip_denoised": chain["clip_denoised"].default,
        "sample/guidance_weight": chain["classifier_free_guidance_weight"].default,
        **{f"gp_pairs/{name}": pairs[name].default for name in names},
    }


def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Read GGFM's signatures. Its settings of pair sampling are a class."""
    bridge = signature(BrownianBridge).parameters
    chain = signature(sample).parameters
    return {
        **{f"bridge/{name}": bridge[name].default for name in ("max_var", "eta")},
        **{f"sample/{name}": chain[name].default for name in ("clip_denoised", "guidance_weight")},
        **{f"gp_pairs/{field.name}": field.default for field in fields(PairSampling)},
    }


COMPONENT = StudyComponent(
    name="defaults",
    after="",
    title="What is taken where nothing is given",
    formula="max_var 1, eta 1; clip on, weight 0; 50 steps, 5 functions, 10 points, rate 0.001, deltas 0.1, 0.1",
    inputs=Inputs,
    strategy=lambda: st.just({"seed": 0}),
    build=build,
    root=root,
    ggfm=ggfm,
    examples=[{"seed": 0}],
    cost=0.01,
)
