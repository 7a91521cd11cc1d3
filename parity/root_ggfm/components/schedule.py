"""Mean and variance of the Brownian bridge at each timestep, computed in float64 and cast last.

    linear: m_t is evenly spaced from 0.001 to 0.999
    sin:    m_t is 1.0075 to the power of T evenly spaced values from 0 to T, over its last value, and ends in 0.999
    v_t   = 2 (m_t - m_t²) max_var
    v_t|s = v_t - v_s ((1 - m_t)/(1 - m_s))²,  s = t - 1
    posterior variance = v_t|s v_s / v_t

Source: ROOT (arXiv 2509.16300, section on the Brownian bridge), `BrownianBridgeModel.register_schedule`.
"""

from dataclasses import dataclass

from ggfm.schedule import bridge_schedule
from parity.root_ggfm.component import Context, Params, Policy, StudyComponent, Switches, Tree
from parity.root_ggfm.contract import Bridge
from parity.root_ggfm.inputs import PUBLISHED, bridges, make_bridge
from parity.root_ggfm.sides.models import root_model

__all__ = ["COMPONENT", "Inputs"]


@dataclass(frozen=True)
class Inputs:
    """A bridge; of it only `num_timesteps`, `mt_type`, `max_var` and `dtype` matter here."""

    bridge: Bridge


def build(params: Params, ctx: Context) -> Inputs:
    """Return the bridge."""
    return Inputs(make_bridge(params))


def root(i: Inputs) -> Tree:
    """Return the buffers of the model, (T,) each: ROOT has no schedule of its own."""
    return {name: buffer.clone() for name, buffer in root_model(i.bridge).named_buffers()}


def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Return the schedule, under the names of ROOT's buffers."""
    return dict(bridge_schedule(i.bridge.num_timesteps, i.bridge.mt_type, i.bridge.max_var, i.bridge.dtype))


COMPONENT = StudyComponent(
    name="schedule",
    after="defaults",
    title="Mean and variance schedule of the bridge",
    formula="m_t; v_t = 2 (m_t - m_t²) max_var; v_t|s = v_t - v_s ((1 - m_t)/(1 - m_s))²; v_t|s v_s / v_t",
    inputs=Inputs,
    strategy=bridges,
    build=build,
    root=root,
    ggfm=ggfm,
    policy=Policy(shared_scale=True),
    examples=[
        PUBLISHED,
        PUBLISHED | {"mt_type": "sin"},
        PUBLISHED | {"num_timesteps": 2, "sample_step": 3},
        PUBLISHED | {"mt_type": "cosine"},
    ],
    refused=lambda p: p["mt_type"] not in ("linear", "sin"),
)
