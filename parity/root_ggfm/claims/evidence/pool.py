"""Section 1: where training data comes from."""

from __future__ import annotations

import torch
from torch import Tensor

from parity.root_ggfm.claims.bench import POOL_SIZE, Bench
from parity.root_ggfm.claims.facts import Fact, Role, claims, limits, notes
from parity.root_ggfm.claims.words import judged
from parity.root_ggfm.inputs import designs
from parity.side import Tree
from parity.verdict import Verdict

__all__ = ["distribution_shift", "far_pairs", "ggfm_pool", "ggfm_starts", "high_region", "root_pool", "root_starts"]

_TOP = 2000
_EPOCHS = 20
_FARTHER = 1.1
"""Pairs count as farther apart if their median distance grows by a tenth: seeds alone move it by about one percent."""


def root_pool(bench: Bench) -> list[Fact]:
    """Fixed, the 1024 best."""
    _, y, where_en, where_zh = bench.offline()
    first, second = bench.pools(None, _EPOCHS)[:2]
    best = y.sort(descending=True).values[:POOL_SIZE]
    ranked = torch.equal(y[first].sort(descending=True).values, best)
    config = set(bench.config("GP.type_of_initial_points").values())
    return [
        claims(
            ranked and len(first) == POOL_SIZE,
            f"Of {where_en}, ROOT's pool holds {len(first)}; that their scores are the {POOL_SIZE} highest: {_yes(ranked)}.",
            f"在 {where_zh}中，ROOT 的池含 {len(first)} 个；其分数正是最高的 {POOL_SIZE} 个：{_yes_zh(ranked)}。",
        ),
        claims(
            torch.equal(first, second),
            f"In the next epoch {int((first != second).sum())} of them are others.",
            f"下一个 epoch 中有 {int((first != second).sum())} 个与之不同。",
        ),
        claims(
            config == {"highest"},
            f"`GP.type_of_initial_points` in ROOT's configurations: {', '.join(sorted(config))}.",
            f"ROOT 各配置中的 `GP.type_of_initial_points`：{'、'.join(sorted(config))}。",
        ),
        judged(bench, Role.NOTE, bench.judged("pool"), [Verdict.IDENTICAL]),
    ]  # fmt: skip


def ggfm_pool(bench: Bench) -> list[Fact]:
    """New in every epoch: half of the 2000 best, half of all."""
    _, y, where_en, where_zh = bench.offline()
    first, second = bench.pools(("pool",), _EPOCHS)[:2]
    threshold = y.sort(descending=True).values[_TOP - 1]
    half = POOL_SIZE // 2
    best, anywhere = (int((y[rows] >= threshold).sum()) for rows in (first[:half], first[half:]))
    expected = float((y >= threshold).float().mean())
    shared = len(set(first.tolist()) & set(second.tolist()))
    distinct = len(set(first.tolist()))
    return [
        claims(
            len(first) == POOL_SIZE and best == half,
            f"Of {where_en}, an epoch's pool of GGFM holds {len(first)}; among its first {half}, {best} are of the {_TOP} best.",
            f"在 {where_zh}中，GGFM 一个 epoch 的池含 {len(first)} 个；前 {half} 个中有 {best} 个属于最好的 {_TOP} 个。",
        ),
        claims(
            abs(anywhere / half - expected) < 0.1,  # five standard deviations of a share of 512
            f"Among its other {half}, {anywhere} are ({expected * half:.0f} are expected of a draw from all).",
            f"其余 {half} 个中有 {anywhere} 个属于最好的 {_TOP} 个（从全量随机抽取的期望为 {expected * half:.0f} 个）。",
        ),
        claims(
            shared < POOL_SIZE,
            f"The next epoch's pool shares {shared} designs with it.",
            f"下一个 epoch 的池与它有 {shared} 个设计相同。",
        ),
        notes(
            f"Both halves are drawn apart from each other, so that the pool holds {distinct} different designs.",
            f"两半相互独立抽取，因此该池实际含 {distinct} 个不同的设计。",
        ),
        judged(bench, Role.CLAIM, bench.pinned("pool"), [Verdict.DIVERGENT], on=["pool"]),
    ]  # fmt: skip


def root_starts(bench: Bench) -> list[Fact]:
    """All of ROOT's pairs start from the best."""
    points, functions = (set(bench.config(f"GP.{name}").values()) for name in ("num_points", "num_functions"))
    below = _share_below_median(bench, None)
    return [
        claims(
            points == {POOL_SIZE},
            f"`GP.num_points` is {_numbers(points)}, the size of the pool: each of the {_numbers(functions)} functions of "
            "an epoch starts once from every design of it.",
            f"`GP.num_points` 为 {_numbers(points)}，等于池的大小：每个 epoch 的 {_numbers(functions)} 个函数各从池中每个设计出发一次。",
        ),
        claims(
            below == 0,
            f"Share of starts that score below the median of all designs: {below:.0%}.",
            f"起点分数低于全体中位数的比例：{below:.0%}。",
        ),
    ]  # fmt: skip


def ggfm_starts(bench: Bench) -> list[Fact]:
    """About half of GGFM's come from everywhere, so that about a quarter lies below the median."""
    below = _share_below_median(bench, ("pool",))
    return [
        claims(
            below > 0.1,
            f"Share of starts over {_EPOCHS} epochs that score below the median of all designs: {below:.0%}.",
            f"{_EPOCHS} 个 epoch 内，起点分数低于全体中位数的比例：{below:.0%}。",
        ),
        notes(
            "Half of the starts come from the 2000 best, and half of the others lie above the median, too.",
            "一半起点来自最好的 2000 个；另一半中也约有一半高于中位数。",
        ),
    ]


def high_region(bench: Bench) -> list[Fact]:
    """What the process that made the pairs says of both ends, against the scores of all designs."""
    tree, task = _pairs(bench, ()), bench.context.task.name
    y = _standardised(bench)[1]
    middle, worst = float(y.median()), float(y.min())
    low, high = _ends(tree, "y_low"), _ends(tree, "y_high")
    above = {name: float((ends > middle).float().mean()) for name, ends in (("low", low), ("high", high))}
    return [
        claims(
            above["high"] > 0.5,
            f"On {task}, share of x_high that the process scores above the median of all designs: {above['high']:.0%}.",
            f"在 {task} 上，x_high 的 GP 分数高于全体中位数的比例：{above['high']:.0%}。",
        ),
        claims(
            above["low"] > 0.5,
            f"Of x_low: {above['low']:.0%}; {float((low < worst).float().mean()):.0%} are scored below the worst design of all.",
            f"x_low 的相应比例：{above['low']:.0%}；其中 {float((low < worst).float().mean()):.0%} 的 GP 分数低于全体中最差的设计。",
        ),
        notes(
            f"Median standardised score: {float(low.median()):.1f} for x_low, {float(high.median()):.1f} for x_high; all designs "
            f"lie between {worst:.1f} and {float(y.max()):.1f}. Pairs start in the region of high scores and end far outside of it.",
            f"标准化分数的中位数：x_low 为 {float(low.median()):.1f}，x_high 为 {float(high.median()):.1f}；全体设计介于 {worst:.1f} 与 "
            f"{float(y.max()):.1f} 之间。训练对从高分区域出发，但端点远离该区域。",
        ),
    ]  # fmt: skip


def far_pairs(bench: Bench) -> list[Fact]:
    """How far the ends of a pair lie apart, from either pool, by the same Gaussian processes."""
    root, ggfm = (_pairs(bench, on) for on in ((), ("pool",)))
    apart = {name: float(_distance(tree).median()) for name, tree in (("root", root), ("ggfm", ggfm))}
    rise = {name: float(_rise(tree).median()) for name, tree in (("root", root), ("ggfm", ggfm))}
    ratio = apart["ggfm"] / apart["root"]
    steps = bench.published("GP.num_gradient_steps")
    task = bench.context.task.name
    return [
        claims(
            ratio > _FARTHER,
            f"On {task}, median distance of x_low from x_high: {apart['root']:.2f} from ROOT's pool, {apart['ggfm']:.2f} "
            f"from GGFM's (ratio {ratio:.2f}; {_FARTHER} and more would count as farther).",
            f"在 {task} 上，x_low 与 x_high 距离的中位数：ROOT 的池为 {apart['root']:.2f}，GGFM 的池为 {apart['ggfm']:.2f}"
            f"（比值 {ratio:.2f}；不低于 {_FARTHER} 才算更远）。",
        ),
        notes(
            f"Median rise from y_low to y_high: {rise['root']:.1f} and {rise['ggfm']:.1f}.",
            f"由 y_low 到 y_high 的上升幅度中位数：{rise['root']:.1f} 与 {rise['ggfm']:.1f}。",
        ),
        notes(
            f"Both ends of a pair come from one start, by {steps} gradient steps down and {steps} up. Where the start lies "
            "changes which region a pair covers; its length is set by the steps and the slope.",
            f"每对的两端来自同一个起点：各做 {steps} 步梯度下降与上升。起点位置决定这一对覆盖哪个区域；其长度取决于步数和梯度大小。",
        ),
    ]  # fmt: skip


def distribution_shift(bench: Bench) -> list[Fact]:
    """How many of the designs that the test starts from are starts of training as well."""
    _, y, *_ = bench.offline()
    count = int(bench.published("testing.num_candidates"))
    start = set(torch.argsort(y)[-count:].tolist())
    root, ggfm = bench.pools(None, _EPOCHS), bench.pools(("pool",), _EPOCHS)
    met = [len(start & set(rows.tolist())) for rows in (root[0], ggfm[0])]
    ever = len(start & {row for rows in ggfm for row in rows.tolist()})
    return [
        claims(
            met[0] > met[1],
            f"Of the {count} designs that the test starts from, an epoch of ROOT trains from {met[0]}, one of GGFM from {met[1]}.",
            f"测试所用的 {count} 个起点中，ROOT 每个 epoch 的训练起点包含 {met[0]} 个，GGFM 的一个 epoch 包含 {met[1]} 个。",
        ),
        limits(
            ever > 0.9 * count,
            f"Within {_EPOCHS} epochs GGFM trains from {ever} of them: they are met less often, not left out.",
            f"{_EPOCHS} 个 epoch 内 GGFM 会覆盖其中 {ever} 个：这些起点只是出现得较少，并非从未出现。",
        ),
        notes(
            "What that costs in the final score takes whole runs: see section 9.",
            "这对最终得分的影响需要完整训练才能测量，见第 9 节。",
        ),
    ]  # fmt: skip


def _share_below_median(bench: Bench, on: tuple[str, ...] | None) -> float:
    y = bench.offline()[1]
    return float((y[torch.cat(bench.pools(on, _EPOCHS))] < y.median()).float().mean())


def _standardised(bench: Bench) -> tuple[Tensor, Tensor]:
    """All designs of the task and their scores as the process sees them."""
    return designs(
        {"source": "task", "rows": len(bench.context.task.x)}, bench.context, torch.Generator().manual_seed(0)
    )


def _pairs(bench: Bench, on: tuple[str, ...]) -> Tree:
    """Pairs of 2 functions from 256 starts of the pool, by a process fitted on 500 designs, settings as published."""

    def make() -> Tree:
        x, y = _standardised(bench)
        fit = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:500]
        inputs = {"x": x, "y": y, "type_of_initial_points": "highest", "num_points": POOL_SIZE, "epochs": 1}
        pool = bench.ggfm("pool", on=on, inputs=inputs)["epoch0"]
        given = {
            name: bench.published(f"GP.{name}")
            for name in ("noise", "num_gradient_steps", "delta_lengthscale", "delta_variance", "threshold_diff")
        }
        given |= {
            "lengthscale": bench.published("GP.initial_lengthscale"),
            "variance": bench.published("GP.initial_outputscale"),
            "learning_rate": bench.published("GP.sampling_from_GP_lr"),
        }
        sampled = {"x_train": x[fit], "y_train": y[fit], "pool": pool, "num_functions": 2, "num_points": 256, "seed": 0}
        return bench.ggfm("gp_pairs", on=on, inputs=sampled | given)

    return bench.once(f"pairs {on}", make)


def _ends(tree: Tree, name: str) -> Tensor:
    return torch.cat([tree[f"f{f}/{name}"] for f in range(len(tree["counts"]))])


def _distance(tree: Tree) -> Tensor:
    apart: Tensor = torch.linalg.vector_norm(_ends(tree, "x_high") - _ends(tree, "x_low"), dim=1)
    return apart


def _rise(tree: Tree) -> Tensor:
    return _ends(tree, "y_high") - _ends(tree, "y_low")


def _numbers(values: set[int]) -> str:
    return ", ".join(map(str, sorted(values)))


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def _yes_zh(holds: bool) -> str:
    return "是" if holds else "否"
