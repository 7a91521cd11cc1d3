"""The timesteps that the reverse process visits, in descending order, and the names in the model's state dict.

    linear     torch.arange(T-1, 1, -(T-1)/(S-2)) in float32, truncated, then 1, 0
    no skips   T-1, T-2, ..., 0
    cosine     (cos(u pi/T) + 1)/2 T for S+1 evenly spaced u in [0, T], left as float64

Source: ROOT (arXiv 2509.16300, section on the Brownian bridge), `BrownianBridgeModel.register_schedule`.
"""

from dataclasses import dataclass

from parity.root_ggfm.component import Context, Params, Policy, Side, StudyComponent, Switches, Tree
from parity.root_ggfm.contract import Bridge
from parity.root_ggfm.inputs import PUBLISHED, bridges, make_bridge
from parity.root_ggfm.sides.models import ggfm_model, root_model

__all__ = ["COMPONENT", "Inputs"]


@dataclass(frozen=True)
class Inputs:
    """A bridge."""

    bridge: Bridge


def build(params: Params, ctx: Context) -> Inputs:
    """Return the bridge."""
    return Inputs(make_bridge(params))


def root(i: Inputs) -> Tree:
    """Read the model's attribute `steps`: int64, float64 for `cosine`."""
    model = root_model(i.bridge)
    return {"steps": model.steps, "state_dict_keys": sorted(model.state_dict())}


def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Read the same of GGFM's model."""
    model = ggfm_model(i.bridge, switches)
    return {"steps": model.steps, "state_dict_keys": sorted(model.state_dict())}


def stated(i: Inputs, on: frozenset[str], reference: Side) -> Tree:
    """`steps_buffer`: one more name in the state dict."""
    tree: Tree = reference.sample_steps(i.bridge)
    if "steps_buffer" in on:
        tree["state_dict_keys"] = sorted([*tree["state_dict_keys"], "steps"])
    return tree


def refused(params: Params) -> bool:
    """True for skipped steps of a type that ROOT does not know, and for too few steps or timesteps to skip any."""
    if not params["skip_sample"]:
        return False
    if params["sample_type"] == "linear":
        return bool(params["sample_step"] <= 2 or params["num_timesteps"] <= 1)
    return bool(params["sample_type"] != "cosine")


COMPONENT = StudyComponent(
    name="sample_steps",
    after="schedule",
    title="Timesteps that the reverse process visits, and the model's state dict",
    formula="torch.arange(T-1, 1, -(T-1)/(S-2)) in float32, truncated, then 1, 0; or T-1, ..., 0",
    inputs=Inputs,
    strategy=bridges,
    build=build,
    root=root,
    ggfm=ggfm,
    stated=stated,
    policy=Policy(exact=("steps",)),
    examples=[
        PUBLISHED,
        PUBLISHED | {"sample_step": 1010},
        PUBLISHED | {"skip_sample": False, "num_timesteps": 7},
        PUBLISHED | {"sample_type": "cosine", "num_timesteps": 100, "sample_step": 20},
        PUBLISHED | {"sample_step": 2},
        PUBLISHED | {"sample_step": 3},
        PUBLISHED | {"num_timesteps": 1},
        PUBLISHED | {"sample_type": "quadratic"},
    ],
    refused=refused,
)
