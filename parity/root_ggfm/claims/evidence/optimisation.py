"""Sections 4 and 5: optimiser, learning rate, clipping, moving average."""

from __future__ import annotations

import math

import torch

from parity.root_ggfm.claims.bench import Bench
from parity.root_ggfm.claims.facts import Fact, Role, claims, notes
from parity.root_ggfm.claims.words import judged
from parity.root_ggfm.components import component
from parity.root_ggfm.training_trace import step_of
from parity.side import Tree
from parity.verdict import Verdict

__all__ = [
    "average_ggfm", "average_root", "clipping_ggfm", "clipping_root", "constant_rate", "optimiser_ggfm",
    "optimiser_root", "plateau", "training_effect",
]  # fmt: skip

_AGREES = [Verdict.IDENTICAL, Verdict.ROUNDING]
_OPTIMISER = "model.BB.optimizer"


def optimiser_root(bench: Bench) -> list[Fact]:
    """What the configurations say, and that it is read."""
    given = bench.config(_OPTIMISER)
    said = {(entry["optimizer"], entry["beta1"], entry["weight_decay"]) for entry in given.values()}
    name, beta1, decay = next(iter(said))
    plain, other = bench.root("optimiser"), bench.root("optimiser", beta1=0.5)
    read = not torch.equal(plain["w3/weight"], other["w3/weight"])
    return [
        claims(
            said == {("Adam", 0.9, 0)},
            f"All four of ROOT's configurations say {name}, beta1 {beta1}, weight decay {decay}.",
            f"ROOT 的四个配置均为 {name}、beta1={beta1}、weight_decay={decay}。",
        ),
        claims(
            read,
            f"That another beta1 in the configuration changes ROOT's weights: {'yes' if read else 'no'}.",
            f"修改配置中的 beta1 是否改变 ROOT 的权重：{'是' if read else '否'}。",
        ),
    ]


def optimiser_ggfm(bench: Bench) -> list[Fact]:
    """Adam with its defaults: only the rate is read."""
    return [
        judged(bench, Role.CLAIM, bench.pinned("optimiser"), [Verdict.DIVERGENT], on=["optimiser"],
               en="asked for beta1 0.5", zh="要求 beta1=0.5"),
        _equal_as_published(bench, Role.NOTE),
    ]  # fmt: skip


def plateau(bench: Bench) -> list[Fact]:
    """The rate falls where the loss stalls, and what patience counts."""
    patience = sorted(set(bench.config("model.BB.lr_scheduler.patience").values()))
    rates = _rates(bench.root("optimiser"))
    fell = [k + 1 for k in range(1, len(rates)) if rates[k] < rates[k - 1]]
    epochs = math.prod((bench.published("GP.num_functions"), bench.published("GP.num_points")))
    kept = epochs * (1 - bench.published("training.val_frac")) / bench.published("training.batch_size")
    updates = kept / bench.published("training.accumulate_grad_batches")
    return [
        claims(
            patience == [200] and len(fell) > 0,
            f"`patience` is {', '.join(map(str, patience))} in ROOT's configurations; on losses that stall ROOT's rate falls "
            f"after batches {', '.join(map(str, fell))} (patience 1).",
            f"ROOT 各配置中 `patience` 为 {'、'.join(map(str, patience))}；损失停滞时，ROOT 的学习率在第 {'、'.join(map(str, fell))} 个 batch 后下降（patience=1）。",
        ),
        notes(
            f"Patience counts optimiser steps on single batches' losses, not epochs: with about {updates:.0f} steps per epoch "
            f"{patience[0]} of them are {patience[0] / updates:.1f} epochs.",
            f"patience 以优化器步（单个 batch 的损失）计，而非 epoch：每个 epoch 约 {updates:.0f} 步，{patience[0]} 步即 {patience[0] / updates:.1f} 个 epoch。",
        ),
    ]  # fmt: skip


def constant_rate(bench: Bench) -> list[Fact]:
    """The rate never moves."""
    rates = set(_rates(bench.ggfm("optimiser", on=["scheduler"])))
    return [
        claims(
            len(rates) == 1,
            f"On the same losses GGFM's rate takes {len(rates)} value(s).",
            f"在相同的损失序列上，GGFM 的学习率只取 {len(rates)} 个值。",
        ),
        judged(bench, Role.CLAIM, bench.pinned("scheduler"), [Verdict.DIVERGENT], on=["scheduler"]),
    ]


def clipping_root(bench: Bench) -> list[Fact]:
    """SGD's first step is as long as the rate times the whole gradient."""
    step, full = _sgd_step(bench, bench.root("optimiser", optimizer="SGD", accumulate=1, batches=1))
    return [
        claims(
            math.isclose(step, full, rel_tol=1e-4),  # float32: 24 bits, a difference of close numbers
            f"ROOT's first step of SGD on a large gradient is {step:.3g} long; unclipped it is {full:.3g}.",
            f"在大梯度上，ROOT 的 SGD 第一步长度为 {step:.3g}；不裁剪时应为 {full:.3g}。",
        )
    ]


def clipping_ggfm(bench: Bench) -> list[Fact]:
    """SGD's first step is as long as the rate times 5."""
    step, full = _sgd_step(bench, bench.ggfm("optimiser", on=["grad_clip"], optimizer="SGD", accumulate=1, batches=1))
    rate = component("optimiser").examples[0]["lr"]
    norms = [float(leaf.norm()) for name, leaf in bench.timeline(()).items() if name.endswith("/gradient")]
    return [
        claims(
            math.isclose(step, 5 * rate, rel_tol=1e-3),  # the norm is divided by itself plus 1e-6
            f"GGFM's first step of SGD on a gradient of norm {full / rate:.0f} is {step / rate:.3g} times the rate long.",
            f"在范数为 {full / rate:.0f} 的梯度上，GGFM 的 SGD 第一步长度为学习率的 {step / rate:.3g} 倍。",
        ),
        judged(bench, Role.CLAIM, bench.pinned("grad_clip"), [Verdict.DIVERGENT], on=["grad_clip"]),
        notes(
            f"In a small run with the published loss the largest gradient has norm {max(norms):.2f}, and Adam hardly "
            "depends on a gradient's length: how often clipping acts in a full run is not measured here.",
            f"在使用已发布损失的小规模训练中，最大梯度范数为 {max(norms):.2f}，而且 Adam 几乎不受梯度长度影响；完整训练中裁剪多久生效一次，此处未测。",
        ),
    ]  # fmt: skip


def training_effect(bench: Bench) -> list[Fact]:
    """Scheduler and clipping differ; the optimiser's settings do not, as published."""
    return [
        judged(bench, Role.CLAIM, bench.pinned("scheduler"), [Verdict.DIVERGENT], on=["scheduler"]),
        judged(bench, Role.CLAIM, bench.pinned("grad_clip"), [Verdict.DIVERGENT], on=["grad_clip"]),
        _equal_as_published(bench, Role.LIMIT),
    ]


def average_root(bench: Bench) -> list[Fact]:
    """Configured, and what evaluation uses lags behind the weights."""
    uses = set(bench.config("model.EMA.use_ema").values())
    start = sorted(set(bench.config("model.EMA.start_ema_step").values()))
    every = sorted(set(bench.config("model.EMA.update_ema_interval").values()))
    lag = _first_lag(bench.timeline(None))
    return [
        claims(
            uses == {True},
            f"`use_ema` in all of ROOT's configurations: {', '.join(str(u).lower() for u in uses)}.",
            f"ROOT 所有配置中的 `use_ema`：{'、'.join(str(u).lower() for u in uses)}。",
        ),
        claims(
            lag is not None,
            f"In a small run what ROOT would test with first differs from its current weights at step {lag}.",
            f"在小规模训练中，ROOT 用于测试的权重从第 {lag} 步起与当前权重不同。",
        ),
        notes(
            f"As published it averages from step {', '.join(map(str, start))} on; before, it is a copy of the weights, renewed every "
            f"{', '.join(map(str, every))} optimiser steps.",
            f"按已发布配置，从第 {'、'.join(map(str, start))} 步起才做平均；此前只是每 {'、'.join(map(str, every))} 个优化器步复制一次当前权重。",
        ),
    ]  # fmt: skip


def average_ggfm(bench: Bench) -> list[Fact]:
    """None is kept: evaluation uses the weights."""
    lag = _first_lag(bench.timeline(("ema",)))
    return [
        judged(bench, Role.CLAIM, bench.pinned("ema"), [Verdict.DIVERGENT], on=["ema"]),
        claims(
            lag is None,
            f"Steps of a small run at which GGFM would test with other weights than its current ones: {lag or 'none'}.",
            f"小规模训练中，GGFM 用于测试的权重与当前权重不同的步：{lag or '无'}。",
        ),
    ]


def _equal_as_published(bench: Bench, role: Role) -> Fact:
    judgement = bench.judged("optimiser", on=["optimiser"], beta1=0.9, weight_decay=0.0)
    return judged(bench, role, judgement, _AGREES, on=["optimiser"],
                  en="with the published beta1 and weight decay", zh="采用已发布的 beta1 与 weight_decay")  # fmt: skip


def _rates(tree: Tree) -> list[float]:
    return [tree[f"lr{k}"] for k in range(sum(name.startswith("lr") for name in tree))]


def _sgd_step(bench: Bench, tree: Tree) -> tuple[float, float]:
    """Length of the first step, and rate times the gradient's norm."""
    owner = component("optimiser")
    params = {**owner.examples[0], "optimizer": "SGD", "accumulate": 1, "batches": 1}
    given = owner.build(params, bench.context)
    moved = sum(
        float((tree[f"w0/{name}"] - weight).double().square().sum()) for name, weight in given["weights"].items()
    )
    norm = sum(float(gradient.double().square().sum()) for gradient in given["grads"][0].values())
    return math.sqrt(moved), params["lr"] * math.sqrt(norm)


def _first_lag(run: Tree) -> int | None:
    """The first step after which evaluation would use other weights than the current ones."""
    for name, used in run.items():
        if name.endswith("/evaluation") and not torch.equal(used, run[name.replace("/evaluation", "/weights")]):
            return int(step_of(name))
    return None
