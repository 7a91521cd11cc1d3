"""Sections 6 and 7: encoding of discrete designs; the bridge's formulas."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from parity.root_ggfm.claims.bench import Bench
from parity.root_ggfm.claims.facts import Fact, Role, claims, limits, notes
from parity.root_ggfm.claims.words import judged
from parity.root_ggfm.components import component
from parity.verdict import Verdict

__all__ = [
    "continuous_unaffected",
    "discrete_affected",
    "encoding_ggfm",
    "encoding_root",
    "formulas_equal",
    "forward_equal",
    "logged_only",
    "logged_without_effect",
    "noise_denominator",
    "only_tiny",
    "schedule_equal",
    "step_variance",
    "x_low_as_it_should",
    "y_high_for_x_low",
]  # fmt: skip

_AGREES = [Verdict.IDENTICAL, Verdict.ROUNDING]
_LETTERS: dict[str, Any] = {"source": "discrete", "rows": 30, "dim": 5}
"""A small discrete task."""

_BROADCASTS: dict[str, Any] = {"objective": "ysubx", "batch": 6}
"""Objective and batch size (that of D) at which ROOT's logged value exists although it is made from y_high."""


def encoding_root(bench: Bench) -> list[Fact]:
    """Logits, and a task that stays as it is."""
    tree = bench.root("encoding", **_LETTERS)
    mapped = bool(tree["task_is_mapped"])
    return [
        claims(
            not mapped,
            f"That the task is in logits afterwards: {'yes' if mapped else 'no'}.",
            f"调用后 task 是否处于 logits 状态：{'是' if mapped else '否'}。",
        ),
        judged(bench, Role.NOTE, bench.judged("encoding", example=1), [Verdict.IDENTICAL]),
    ]


def encoding_ggfm(bench: Bench) -> list[Fact]:
    """The task itself is changed."""
    mapped = bool(bench.ggfm("encoding", on=["encoding"], **_LETTERS)["task_is_mapped"])
    return [
        claims(
            mapped,
            f"That the task is in logits afterwards: {'yes' if mapped else 'no'}.",
            f"调用后 task 是否处于 logits 状态：{'是' if mapped else '否'}。",
        ),
        judged(bench, Role.CLAIM, bench.judged("encoding", on=["encoding"], example=1), [Verdict.DIVERGENT],
               on=["encoding"]),
    ]  # fmt: skip


def continuous_unaffected(bench: Bench) -> list[Fact]:
    """A continuous task has nothing to encode."""
    judgement = bench.judged("encoding", on=["encoding"], example=2)
    return [judged(bench, Role.CLAIM, judgement, [Verdict.IDENTICAL], on=["encoding"],
                   en="on continuous designs", zh="连续设计")]  # fmt: skip


def discrete_affected(bench: Bench) -> list[Fact]:
    """The designs are equal to the bit, and a whole run never notices."""
    root, ggfm = bench.root("encoding", **_LETTERS)["x"], bench.ggfm("encoding", on=["encoding"], **_LETTERS)["x"]
    seen = bench.first_seen("encoding", source="discrete", task_name="TFBind10-Exact-v0")
    return [
        judged(bench, Role.CLAIM, bench.judged("encoding", on=["encoding"], example=1), [Verdict.DIVERGENT],
               on=["encoding"]),
        limits(
            torch.equal(root, ggfm),
            f"Numbers of the encoded designs that differ: {int((root != ggfm).sum())} of {root.numel()}. What differs is the "
            "task's own state.",
            f"编码后的设计中不同的数：{root.numel()} 个中有 {int((root != ggfm).sum())} 个。不同的只是 task 自身的状态。",
        ),
        limits(
            seen is None,
            f"A small run on a discrete task, test included, parts: {'never' if seen is None else f'at `{seen[1]}`'}.",
            f"离散任务上的小规模训练（含测试）出现差异：{'从未' if seen is None else f'从 `{seen[1]}` 起'}。",
        ),
    ]  # fmt: skip


def schedule_equal(bench: Bench) -> list[Fact]:
    """Schedule, variances and visited timesteps."""
    return [
        judged(bench, Role.CLAIM, bench.judged("schedule"), _AGREES),
        judged(bench, Role.CLAIM, bench.judged("sample_steps"), [Verdict.IDENTICAL]),
        claims(
            _steps_equal(bench),
            f"That the timesteps are equal with `steps_buffer` on as well: {'yes' if _steps_equal(bench) else 'no'}.",
            f"打开 `steps_buffer` 后时间步是否仍然相同：{'是' if _steps_equal(bench) else '否'}。",
        ),
        notes(
            "As a buffer `steps` adds a key to the state dict, which the list does not mention.",
            "`steps` 作为 buffer 会使 state dict 多出一个键，清单未提及。",
        ),
    ]


def forward_equal(bench: Bench) -> list[Fact]:
    """For `grad`."""
    return [
        judged(bench, Role.CLAIM, bench.judged("q_sample"), _AGREES, en="with objective `grad`", zh="objective 为 `grad`"),
        judged(bench, Role.CLAIM, bench.judged("predict_x0", on=["noise_eps"]), _AGREES, on=["noise_eps"],
               en="with objective `grad`", zh="objective 为 `grad`"),
    ]  # fmt: skip


def noise_denominator(bench: Bench) -> list[Fact]:
    """Seen, and how much it can matter."""
    smallest = float((1 - bench.root("schedule")["m_t"].double()).min())
    return [
        judged(bench, Role.CLAIM, bench.pinned("noise_eps"), [Verdict.DIVERGENT], on=["noise_eps"],
               en="with objective `noise`", zh="objective 为 `noise`"),
        judged(bench, Role.CLAIM, bench.judged("predict_x0", objective="noise"), _AGREES,
               en="with objective `noise`", zh="objective 为 `noise`"),
        notes(
            f"1 - m_t is at least {smallest:.3g}, so nothing is ever divided by zero; 1e-8 changes x0 by at most {1e-8 / smallest:.0e} of itself.",
            f"1 - m_t 最小为 {smallest:.3g}，因此不会除零；1e-8 对 x0 的相对影响至多为 {1e-8 / smallest:.0e}。",
        ),
    ]  # fmt: skip


def step_variance(bench: Bench) -> list[Fact]:
    """At published settings the guards change a step by next to nothing, yet by more than float64 rounding."""
    guarded = bench.judged("p_sample", on=["clamp"], where="middle")
    worst = max((leaf.error64 / leaf.scale for leaf in guarded.leaves if leaf.scale), default=0.0)
    return [
        judged(bench, Role.CLAIM, bench.judged("p_sample", where="middle"), _AGREES),
        judged(bench, Role.LIMIT, guarded, [Verdict.DIVERGENT], on=["clamp"]),
        notes(
            f"There the largest difference in float64 is {worst:.0e} of the values.",
            f"此时 float64 下的最大差异约为数值的 {worst:.0e}。",
        ),
    ]


def only_tiny(bench: Bench) -> list[Fact]:
    """Where rounding makes a variance negative, ROOT returns NaN and GGFM does not: roots are clamped, too."""
    owner = component("sample")
    params: dict[str, Any] = dict(bench.ledger["clamp"].example)
    root = int(bench.root("sample", **params)["x_high"].isnan().sum())
    ggfm = bench.ggfm("sample", on=["clamp"], **params)["x_high"]
    published = int(bench.root("sample", num_timesteps=1000, sample_step=200)["x_high"].isnan().sum())
    given = {**owner.examples[0], **params}
    where = f"T = {given['num_timesteps']}, S = {given['sample_step']}"
    return [
        claims(
            not (root and bool(ggfm.isfinite().all())),
            f"With {where}, {root} of ROOT's {ggfm.numel()} numbers are NaN and {int(ggfm.isnan().sum())} of GGFM's. 1e-10 in "
            "a denominator keeps no root's argument from being negative: GGFM clamps these at 0 as well.",
            f"{where} 时，{ggfm.numel()} 个数中 ROOT 有 {root} 个 NaN，GGFM 有 {int(ggfm.isnan().sum())} 个。分母加 1e-10 "
            "并不能避免根号内出现负数：GGFM 还把根号内的值截断到 0 以上。",
        ),
        judged(bench, Role.NOTE, bench.pinned("clamp"), [Verdict.ERROR], on=["clamp"]),
        notes(
            f"As published (T = 1000, S = 200) {published} of ROOT's {ggfm.numel()} numbers are NaN.",
            f"按已发布配置（T = 1000、S = 200），ROOT 的 {ggfm.numel()} 个数中有 {published} 个 NaN。",
        ),
    ]  # fmt: skip


def y_high_for_x_low(bench: Bench) -> list[Fact]:
    """ROOT's logged value, against the two ways to compute it."""
    root, wrong, right = _logged(bench, None)
    return [
        claims(
            _near(root, wrong) and not _near(root, right),
            f"With objective `ysubx`, ROOT's logged x0 is {_off(root, wrong):.1e} from the value made of y_high and {_off(root, right):.2g} "
            "from that made of x_low (largest difference).",
            f"objective 为 `ysubx` 时，ROOT 记录的 x0 与用 y_high 算出的值最多相差 {_off(root, wrong):.1e}，与用 x_low 算出的值最多相差 {_off(root, right):.2g}。",
        )
    ]  # fmt: skip


def x_low_as_it_should(bench: Bench) -> list[Fact]:
    """GGFM's logged value."""
    ggfm, wrong, right = _logged(bench, ["logged_x0"])
    return [
        claims(
            _near(ggfm, right) and not _near(ggfm, wrong),
            f"With objective `ysubx`, GGFM's logged x0 is {_off(ggfm, right):.1e} from the value made of x_low and {_off(ggfm, wrong):.2g} "
            "from that made of y_high (largest difference).",
            f"objective 为 `ysubx` 时，GGFM 记录的 x0 与用 x_low 算出的值最多相差 {_off(ggfm, right):.1e}，与用 y_high 算出的值最多相差 {_off(ggfm, wrong):.2g}。",
        ),
        judged(bench, Role.CLAIM, bench.pinned("logged_x0"), [Verdict.DIVERGENT], on=["logged_x0"]),
    ]  # fmt: skip


def logged_only(bench: Bench) -> list[Fact]:
    """No effect on loss or gradient; but other objectives than `grad` fail in ROOT."""
    judgement = bench.judged("p_losses", on=["logged_x0"])
    raised = bench.outcome("p_losses", objective="noise", batch=5).error
    kind = type(raised).__name__ if raised else ("none", "无")
    en, zh = (kind, kind) if isinstance(kind, str) else kind
    return [
        judged(bench, Role.CLAIM, judgement, _AGREES, on=["logged_x0"], en="(loss, gradient, logged x0) with objective `grad`",
               zh="损失、梯度与记录的 x0，objective 为 `grad`"),
        limits(
            raised is not None,
            f"With objective `noise`, 5 pairs of 6 numbers each, ROOT raises: {en}. (B,) scores do not fit (B, D) designs: "
            "`noise` and `ysubx` train only where B is D or 1.",
            f"objective 为 `noise`、5 对 6 维设计时，ROOT 报错：{zh}。形状 (B,) 的分数无法与 (B, D) 的设计相加减："
            "`noise` 与 `ysubx` 只有在 B 等于 D 或 1 时才能训练。",
        ),
    ]  # fmt: skip


def logged_without_effect(bench: Bench) -> list[Fact]:
    """A run never notices."""
    seen = bench.first_seen("logged_x0")
    return [
        claims(
            seen is None,
            f"A small run with objective `grad`, test included, parts: {'never' if seen is None else f'at `{seen[1]}`'}.",
            f"objective 为 `grad` 的小规模训练（含测试）出现差异：{'从未' if seen is None else f'从 `{seen[1]}` 起'}。",
        ),
        judged(bench, Role.CLAIM, bench.judged("p_losses", on=["logged_x0"]), _AGREES, on=["logged_x0"]),
    ]


def formulas_equal(bench: Bench) -> list[Fact]:
    """Forward yes; in sampling the guidance is missing."""
    weight = sorted(set(bench.config("testing.classifier_free_guidance_weight").values()))
    return [
        judged(bench, Role.CLAIM, bench.judged("q_sample"), _AGREES),
        judged(bench, Role.CLAIM, bench.judged("sample"), _AGREES),
        judged(bench, Role.LIMIT, bench.judged("p_sample", on=["guidance"]), [Verdict.DIVERGENT], on=["guidance"]),
        notes(
            f"ROOT samples with a guidance weight of {', '.join(map(str, weight))}, GGFM with 0: sampling as described is another "
            "computation. The list does not mention it.",
            f"ROOT 采样时引导权重为 {'、'.join(map(str, weight))}，GGFM 为 0：按清单所述的 GGFM，其采样计算与 ROOT 不同。清单未提及这一点。",
        ),
    ]  # fmt: skip


def _steps_equal(bench: Bench) -> bool:
    return torch.equal(bench.root("sample_steps")["steps"], bench.ggfm("sample_steps", on=["steps_buffer"])["steps"])


def _logged(bench: Bench, on: list[str] | None) -> tuple[Tensor, Tensor, Tensor]:
    """The logged x0, and what x0 = start - r gives with y_high and with x_low as start."""
    owner = component("p_losses")
    given = owner.build({**owner.examples[0], **_BROADCASTS}, bench.context)
    logged = (bench.root("p_losses", **_BROADCASTS) if on is None else bench.ggfm("p_losses", on=on, **_BROADCASTS))[
        "x0_recon"
    ]
    bridge = given["bridge"]
    x_t = bench.reference.q_sample(
        bridge, x_high=given["x_high"], x_low=given["x_low"], t=given["t"], noise=given["noise"]
    )["x_t"]
    r = bench.reference.denoiser(
        bridge, state=given["state"], x_t=x_t, t=given["t"], y_first=given["y_high"], y_second=given["y_low"]
    )["output"].detach()
    return logged, given["y_high"] - r, given["x_low"] - r


def _off(left: Tensor, right: Tensor) -> float:
    return float((left - right).abs().max())


def _near(left: Tensor, right: Tensor) -> bool:
    return _off(left, right) < 1e-5  # float32 values of order 1, computed in another order
