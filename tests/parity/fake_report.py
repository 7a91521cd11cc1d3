"""A report's document of every kind of result, in the shapes in which they are stored."""

from typing import Any

from parity.results import FORMAT
from parity.version import __version__

__all__ = ["document", "explanation", "plot", "result", "sources"]

SITE = {"file": "ggfm/bridge.py", "line": 12, "function": "predict", "text": "return x / (1 - m + 1e-8)"}
REFERENCE_SITE = SITE | {"file": "reference_root/bridge.py", "line": 31, "text": "return x / (1 - m)"}


def event(index: int, **more: Any) -> dict[str, Any]:
    return {
        "index": index, "what": "draw", "operation": "aten.randn", "kind": "normal", "shape": [4, 2],
        "dtype": "float32", "generator": "global", "digest": f"d{index}", "seed": None, "site": SITE, **more,
    }  # fmt: skip


def point(site: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "operation": "aten.div.Tensor", "site": site, "source": [[site["line"], site["text"]]],
        "chain": [site | {"line": 40}], "result": "[2](1.0, 2.0)", "other": "[2](3.0, 4.0)", "made_at": None, **more,
    }  # fmt: skip


def explanation() -> dict[str, Any]:
    rows = [
        {"mark": "same", "reference": event(0, site=REFERENCE_SITE), "candidate": event(0)},
        {"mark": "value", "reference": event(1), "candidate": event(1, digest="else")},
        {"mark": "reference only", "reference": event(2, what="reseed", seed=7), "candidate": None},
        {"mark": "candidate only", "reference": None, "candidate": event(2)},
    ]
    return {
        "sentence": "Mathematics: the candidate parts at `return x / (1 - m + 1e-8)`.",
        "draws": {"sentence": "the draws part at number 1", "parted_at": 1, "forced": "differ", "omitted": 3,
                  "rows": rows},
        "operations": {
            "sentence": "they part in a division",
            "reference": point(REFERENCE_SITE),
            "candidate": point(SITE, made_at=SITE | {"line": 11, "why": "look at the <guard>"}),
        },
    }  # fmt: skip


def result(
    component: str = "predict_x0", profile: str = "aligned", verdict: str = "identical", **more: Any
) -> dict[str, Any]:
    row = {
        "name": "x0", "verdict": verdict, "scale": 2.0, "error32": 1e-3, "relative32": 5e-4, "ulps32": 4194.304,
        "reference_error32": 1e-7, "error64": 2e-3, "relative64": 1e-3, "ulps64": 4503599627370.496, "used": 1e4,
    }  # fmt: skip
    return {
        "component": component, "title": "The high design", "formula": "x0 = x_t - r", "profile": profile,
        "candidate": "ggfm", "verdict": verdict, "ok": True, "known": [], "counts": {verdict: 3}, "seconds": 0.5,
        "used": [1e4], "errors": [row], "stale": [], "reproduce": f"parity check --component {component} --case '{{}}'",
        "judgement": {
            "component": component, "candidate": "ggfm", "params": {"seed": 3, "objective": "grad"}, "verdict": verdict,
            "reason": f"why it is {verdict}", "leaves": [], "draws_reference": "", "draws_candidate": "", "known": [],
            "notes": [],
        },
        **more,
    }  # fmt: skip


def plot(profile: str = "aligned", component: str = "predict_x0", kind: str = "errors", **more: Any) -> dict[str, Any]:
    line = {"label": "reference", "role": "reference", "mark": "line", "x": [0.0, 1.0], "y": [1.0, None]}
    bars = line | {"role": "candidate", "mark": "errors", "x": [0.0], "y": [1.0], "low": [0.5], "high": [2.0]}
    panel = {
        "title": "a panel", "x": "t", "y": "v", "series": [line, bars], "scales": ["linear", "log"],
        "across": [[1.0, ""]], "ticks": [], "descending": True, "top": None,
    }  # fmt: skip
    return {"kind": kind, "component": component, "profile": profile, "title": "A picture", "caption": "What is seen.",
            "panels": [panel], **more}  # fmt: skip


def sources(component: str = "predict_x0", profile: str = "described") -> dict[str, Any]:
    return {
        "functions": {
            "c": {"file": SITE["file"], "function": "predict", "line": 10,
                  "text": ["    def predict(x, m):", "        m = m + 0", "        return x / (1 - m + 1e-8)"]},
            "r": {"file": REFERENCE_SITE["file"], "function": "x0", "line": 30,
                  "text": ["    def x0(x, m):", "        return x / (1 - m)"]},
        },
        "executed": [{"component": component, "profile": profile, "reference": [{"key": "r", "ran": [31]}],
                      "candidate": [{"key": "c", "ran": [12]}]}],
    }  # fmt: skip


def document(*results: dict[str, Any], **more: Any) -> dict[str, Any]:
    ledger = [{"name": "noise_eps", "section": "7", "component": "predict_x0", "verdict": "divergent",
               "reference": "1 - m", "candidate": "1 - m + 1e-8", "cause": "a guard | against nothing"}]  # fmt: skip
    return {"format": FORMAT, "parity": __version__, "header": ["parity: ROOT against GGFM", "task: toy"],
            "labels": ["ROOT", "GGFM"], "plain_profile": "aligned", "components": ["schedule", "predict_x0", "ema"],
            "ledger": ledger, "results": list(results), **more}  # fmt: skip


STAGES = [
    {"profile": "described", "stage": stage, "title": f"the {stage}", "own": "divergent", "forced": forced,
     "standing": standing, "reason_own": f"own {stage}", "reason_forced": f"forced {stage}",
     "reproduce": f"again {stage}"}
    for stage, forced, standing in (("pool", "divergent", "causes"), ("pairs", "identical", "inherits"))
]  # fmt: skip

DISTRIBUTIONS = [
    {"profile": "described", "component": "loader", "difference": "loader", "test": "chi-squared", "statistic": 3.2,
     "p_value": 0.4, "threshold": 1e-3, "passed": True, "sample_size": 900, "false_alarm": 1e-3, "miss": 1e-4,
     "alternative": "twice as often", "closed_form": "uniform over permutations"},
]  # fmt: skip
