"""The public interface: two functions, two objects, or two named sides, compared in one call."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

import parity
from parity import Component, Verdict


def inputs(seed):
    generator = torch.Generator().manual_seed(seed)
    return {"x": torch.randn(6, 4, generator=generator), "scale": 0.5}


def softmax(x, scale):
    return torch.softmax(x * scale, dim=1)


def by_hand(x, scale):
    weights = (x * scale).exp()
    return weights / weights.sum(1, keepdim=True)


def wrong_axis(x, scale):
    weights = (x * scale).exp()
    return weights / weights.sum(0, keepdim=True)


FAST = {"examples": 3}


def test_everything_that_is_public_is_there_and_documented():
    for name in parity.__all__:
        assert hasattr(parity, name)
    for name in ("Comparison", "Component", "Explanation", "Policy", "Verdict", "compare", "explain", "load_side"):
        assert getattr(parity, name).__doc__


def test_two_functions_agree_up_to_rounding():
    found = parity.compare(softmax, by_hand, inputs=inputs, **FAST)
    assert found.agrees
    assert found.as_expected
    assert found["by_hand"]["verdict"] == Verdict.ROUNDING
    assert [row["component"] for row in found] == ["by_hand"]
    assert "1 rounding" in found.summary()
    assert str(found) == found.summary()


def test_two_functions_differ_and_the_line_is_named():
    found = parity.compare(softmax, wrong_axis, inputs=inputs, **FAST)
    assert not found.agrees
    assert found["wrong_axis"]["verdict"] == Verdict.DIVERGENT
    why = parity.explain(softmax, wrong_axis, inputs=inputs, **FAST)
    assert "wrong_axis" in why.look_at
    assert why.sentence.startswith("Mathematics")
    assert "weights / weights.sum(0" in why.summary()
    assert why.to_dict()["look_at"]["line"] == wrong_axis.__code__.co_firstlineno + 2


def test_results_are_plain_values_and_show_in_a_notebook():
    found = parity.compare(softmax, wrong_axis, inputs=inputs(0), **FAST)
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["results"][0]["verdict"] == "divergent"
    assert "<b>divergent</b>" in found._repr_html_()
    assert "<p>" in parity.explain(softmax, wrong_axis, inputs=inputs(0), seconds=1)._repr_html_()


@pytest.mark.parametrize("given", [inputs(3), [inputs(3), inputs(4)], inputs])
def test_inputs_are_a_mapping_a_list_or_a_function_of_a_seed(given):
    assert parity.compare(softmax, softmax, inputs=given, **FAST)["softmax"]["verdict"] == Verdict.IDENTICAL


def test_one_input_is_judged_again():
    found = parity.compare(softmax, by_hand, inputs=inputs, params={"seed": 7}, **FAST)
    assert found["by_hand"]["judgement"]["params"] == {"seed": 7}
    assert sum(found["by_hand"]["counts"].values()) == 1


def test_functions_of_numpy_and_numbers_are_compared():
    def total(values):
        return {"sum": np.sum(values), "parts": (values.max(), len(values)), "mean": float(values.mean())}

    given = {"values": np.linspace(0.0, 1.0, 11)}
    assert parity.compare(total, total, inputs=given)["total"]["verdict"] == Verdict.IDENTICAL


class Torch:
    def ema(self, decay, weights):
        return {"average": torch.lerp(weights, weights.flip(0), decay)}


class Swapped:
    def ema(self, decay, weights):
        return {"average": torch.lerp(weights.flip(0), weights, decay)}


OWN = Component(
    name="ema",
    title="Average of weights",
    formula="(1 - d) w + d w'",
    examples=[{"decay": 0.9}],
    strategy=lambda: st.fixed_dictionaries({"decay": st.floats(0, 1)}),
    build=lambda p, _: {"decay": p["decay"], "weights": torch.arange(6.0)},
)


def test_two_objects_are_compared_on_a_component_of_ones_own():
    assert parity.compare(Torch(), Torch, component=OWN, **FAST)["ema"]["verdict"] == Verdict.IDENTICAL
    assert parity.compare(Torch(), Swapped(), component=OWN, **FAST)["ema"]["verdict"] == Verdict.DIVERGENT


def test_named_sides_are_those_of_the_command_line():
    found = parity.compare("reference_root", "ggfm", component="schedule", profile="aligned", task="Synthetic8-v0")
    assert found["schedule"]["verdict"] == Verdict.IDENTICAL


@pytest.mark.parametrize(
    ("sides", "given", "message"),
    [
        ((softmax, by_hand), {}, "inputs are needed"),
        ((softmax, by_hand), {"inputs": {"y": 1}}, "softmax does not take the inputs y"),
        ((softmax, by_hand), {"inputs": []}, "a list of at least one mapping"),
        ((softmax, by_hand), {"inputs": 5}, "got int"),
        ((softmax, Torch()), {"component": OWN}, "is a function"),
        ((Torch(), Torch()), {"inputs": inputs}, "inputs go with two functions"),
        (("nowhere", "ggfm"), {}, "side 'nowhere' is unknown"),
    ],
)
def test_a_wrong_argument_is_named(sides, given, message):
    with pytest.raises(ValueError, match=message):
        parity.compare(*sides, **given)


def test_an_output_that_cannot_be_compared_is_an_error_of_both_sides():
    found = parity.compare(lambda x: object(), lambda x: object(), inputs={"x": 1})
    (row,) = found
    assert row["verdict"] == Verdict.ERROR
    assert "allowed are tensors" in row["judgement"]["reason"]


def test_old_import_paths_of_adapter_files_work_and_say_where_the_names_are_now():
    old = textwrap.dedent("""
        from parity.components import Component, Context, gaussian
        from parity.sides.interface import Tree
        import parity
        assert Component is parity.Component and Context is parity.Context and gaussian is parity.gaussian
    """)
    done = subprocess.run([sys.executable, "-c", old], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "parity.components has moved" in done.stderr
    assert "gone in the next release" in done.stderr
