"""Sections 2 and 3: what a pair is, and which batches are made of pairs."""

from __future__ import annotations

from typing import Any

import torch

from parity.execution import cast
from parity.judge import judge
from parity.loading import load_side
from parity.root_ggfm.claims.bench import POOL_SIZE, Bench
from parity.root_ggfm.claims.facts import Fact, Role, claims, limits, notes
from parity.root_ggfm.claims.words import VERDICTS_ZH, judged
from parity.root_ggfm.components import component
from parity.root_ggfm.sides.root_config import loader_defaults
from parity.root_ggfm.stated_differences import ReferenceWithDifferences
from parity.side import Tree
from parity.verdict import Verdict

__all__ = [
    "accumulation_ggfm", "accumulation_root", "all_pairs", "batch_size_ggfm", "batch_size_root", "end_points",
    "ends_only", "first_and_last", "held_out", "loader_ggfm", "loader_root", "pairs_as_they_are", "training_dynamics", "trajectories",
    "val_frac",
]  # fmt: skip

_FIRST_BATCH = "step000001/batch"

_PUBLISHED_COUNTS: dict[str, Any] = {"counts": [POOL_SIZE] * 8, "dim": 1}
"""What an epoch yields at most: 8 functions with all their pairs kept."""


def ends_only(bench: Bench) -> list[Fact]:
    """The reference returns ends and scores, no path."""
    names = sorted({name.split("/")[1] for name in bench.root("gp_pairs") if "/" in name})
    return [
        claims(
            names == ["x_high", "x_low", "y_high", "y_low"],
            f"ROOT returns per function: {', '.join(f'`{name}`' for name in names)}.",
            f"ROOT 每个函数返回：{'、'.join(f'`{name}`' for name in names)}。",
        ),
        judged(bench, Role.NOTE, bench.judged("gp_pairs"), [Verdict.IDENTICAL, Verdict.ROUNDING]),
    ]


def trajectories(bench: Bench) -> list[Fact]:
    """The path's shape, and that it is ROOT's own way, point by point."""
    taken = 8
    path = bench.ggfm("gp_pairs", on=["trajectory"], num_gradient_steps=taken)["f0/trajectory"]
    points, owner = path.shape[1], component("gp_pairs")
    stated = judge(
        owner,
        owner.examples[0],
        ReferenceWithDifferences(bench.reference, ["trajectory"]),
        load_side("ggfm", on=["trajectory"]),
        bench.context,
    )  # fmt: skip
    return [
        judged(bench, Role.CLAIM, bench.pinned("trajectory"), [Verdict.DIVERGENT], on=["trajectory"]),
        claims(
            stated.agrees,
            f"The path is ROOT's own way down and up from the start, written out from ROOT: {stated.verdict}.",
            f"该轨迹就是 ROOT 从起点下降与上升所经过的路径；用 ROOT 逐点写出后比较，判定为“{VERDICTS_ZH[stated.verdict]}”（{stated.verdict}）。",
        ),
        limits(
            points != taken + 1,
            f"With {taken} gradient steps each way, a path of {2 * taken + 1} points, it has {points} points: it is "
            "resampled to a fixed length; (steps+1) is not the number of gradient steps plus one.",
            f"两个方向各 {taken} 步（原始路径 {2 * taken + 1} 个点）时，轨迹有 {points} 个点：它被重采样到固定长度，"
            "(steps+1) 并不是梯度步数加一。",
        ),
    ]


def pairs_as_they_are(bench: Bench) -> list[Fact]:
    """Every row of a run's first batch is a pair that was given, both ends together."""
    owner = component("training_steps")
    given = cast(owner.build(dict(owner.examples[0]), bench.context))["pairs"][0]
    batch = bench.timeline(None)
    rows = torch.cat([batch[f"{_FIRST_BATCH}/x_high"], batch[f"{_FIRST_BATCH}/x_low"]], dim=1)
    pairs = torch.cat([torch.cat([function["x_high"], function["x_low"]], dim=1) for function in given])
    found = int((rows[:, None] == pairs).all(dim=2).any(dim=1).sum())
    return [
        claims(
            found == len(rows),
            f"Of the {len(rows)} pairs in a run's first batch, {found} are equal to the bit to a pair that GP sampling returned.",
            f"一次训练的首个 batch 中共 {len(rows)} 对，其中 {found} 对与 GP 采样返回的某一对逐位相同。",
        )
    ]


def first_and_last(bench: Bench) -> list[Fact]:
    """The ends of the path are the pair."""
    tree = bench.ggfm("gp_pairs", on=["trajectory"])
    low, high = (
        torch.equal(tree["f0/trajectory"][:, k], tree[f"f0/{end}"]) for k, end in ((0, "x_low"), (-1, "x_high"))
    )
    seen = bench.first_seen("trajectory")
    return [
        claims(
            low and high,
            f"Bits that differ between the path's first and last points and the pair: {'none' if low and high else 'some'}.",
            f"轨迹首末点与训练对之间不同的位：{'无' if low and high else '有'}。",
        ),
        _run_fact(Role.CLAIM, seen, "trajectory"),
    ]  # fmt: skip


def end_points(bench: Bench) -> list[Fact]:
    """With and without paths the ends are equal to the bit, and so is the run."""
    plain, path = bench.ggfm("gp_pairs"), bench.ggfm("gp_pairs", on=["trajectory"])
    ends = [name for name in plain if "/" in name]
    same = sum(torch.equal(plain[name], path[name]) for name in ends)
    return [
        claims(
            same == len(ends),
            f"Recording paths leaves {same} of {len(ends)} end points and scores equal to the bit.",
            f"记录轨迹后，{len(ends)} 组端点与分数中有 {same} 组逐位一致。",
        ),
        judged(bench, Role.CLAIM, bench.judged("gp_pairs"), [Verdict.IDENTICAL, Verdict.ROUNDING],
               en="against ROOT", zh="与 ROOT 相比"),
        _run_fact(Role.CLAIM, bench.first_seen("trajectory"), "trajectory"),
    ]  # fmt: skip


def loader_root(bench: Bench) -> list[Fact]:
    """A DataLoader that shuffles, with a sampler of its own."""
    drawn = bench.outcome("loader").draws
    own = [draw for draw in drawn if draw.own_generator]
    return [
        claims(
            bool(loader_defaults()["shuffle"]) and bool(own),
            f"`shuffle` is {loader_defaults()['shuffle']} by default, and each pass of the loader draws one {drawn[0].kind} from "
            "torch's generator to seed one of its own.",
            f"`shuffle` 默认为 {loader_defaults()['shuffle']}；每次遍历先从 torch 全局生成器取一个整数（{drawn[0].kind}），用作其自身生成器的种子。",
        ),
        judged(bench, Role.NOTE, bench.judged("loader"), [Verdict.IDENTICAL]),
    ]  # fmt: skip


def loader_ggfm(bench: Bench) -> list[Fact]:
    """One permutation from torch's generator; given ROOT's permutations the batches are ROOT's."""
    drawn = bench.outcome("loader", on=["loader"]).draws
    return [
        judged(bench, Role.CLAIM, bench.pinned("loader"), [Verdict.RANDOMNESS], on=["loader"]),
        claims(
            all(draw.kind == "permutation" and not draw.own_generator for draw in drawn) and len(drawn) > 0,
            f"Per pass GGFM draws {drawn[0]} from torch's generator, and nothing else.",
            f"GGFM 每次遍历只从 torch 全局生成器取 {drawn[0]}，别无其他。",
        ),
        notes(
            "Given equal permutations the batches are equal: the batches are another sample, not another method.",
            "给定相同的排列时，各 batch 完全相同：不同的只是抽样结果，而非方法。",
        ),
    ]


def val_frac(bench: Bench) -> list[Fact]:
    """The default of the function, and what a run passes."""
    default, config = loader_defaults()["val_frac"], bench.config("training.val_frac")
    passed = sorted(set(config.values()))
    values = ", ".join(map(str, passed))
    return [
        claims(
            default == 0.2,
            f"`create_train_dataloader` takes val_frac={default} where it is given none.",
            f"`create_train_dataloader` 在未指定时取 val_frac={default}。",
        ),
        limits(
            passed != [0.2],
            f"A run passes `training.val_frac`, which is {values} in ROOT's configurations, D'Kitty's included.",
            f"实际训练传入的是 `training.val_frac`，ROOT 各配置（包括 D'Kitty）中均为 {values}。",
        ),
    ]


def held_out(bench: Bench) -> list[Fact]:
    """Which pairs are left out, and how many."""
    fraction = bench.config("training.val_frac")["DKittyMorphology-Exact-v0"]
    tree = bench.root("split", val_frac=fraction, counts=[100], dim=1)
    train, kept = tree["train/x_high"], tree["val/x_high"]
    given = component("split").build({"counts": [100], "dim": 1, "seed": 0, "val_frac": fraction}, bench.context)
    first = torch.equal(kept, given["functions"][0]["x_high"][: len(kept)])
    return [
        claims(
            first and len(kept) > 0,
            f"Of 100 pairs of a function the first {len(kept)} are held out: {'yes' if first else 'no, others are'}.",
            f"每个函数的 100 对中，留出的是前 {len(kept)} 对：{'是' if first else '否'}。",
        ),
        limits(
            len(train) != 80,
            f"With D'Kitty's val_frac of {fraction}, {len(train)} of 100 are trained on, not 80.",
            f"按 D'Kitty 的 val_frac={fraction}，100 对中有 {len(train)} 对用于训练，而不是 80 对。",
        ),
        judged(bench, Role.NOTE, bench.judged("split"), [Verdict.IDENTICAL]),
    ]


def all_pairs(bench: Bench) -> list[Fact]:
    """Nothing is held out."""
    tree = bench.ggfm("split", on=["split"], counts=[100], dim=1)
    return [
        claims(
            len(tree["train/x_high"]) == 100 and len(tree["val/x_high"]) == 0,
            f"Of 100 pairs GGFM trains on {len(tree['train/x_high'])} and holds {len(tree['val/x_high'])} out.",
            f"100 对中，GGFM 用于训练的有 {len(tree['train/x_high'])} 对，留出 {len(tree['val/x_high'])} 对。",
        ),
        judged(bench, Role.CLAIM, bench.pinned("split"), [Verdict.DIVERGENT], on=["split"]),
    ]


def batch_size_root(bench: Bench) -> list[Fact]:
    """The configuration's number; the function's default is another."""
    sizes, default = sorted(set(bench.config("training.batch_size").values())), loader_defaults()["batch_size"]
    first = len(bench.root("loader", **_PUBLISHED_COUNTS, batch_size=sizes[0])["epoch0/batch0/y_high"])
    return [
        claims(
            sizes == [64] and first == 64,
            f"`training.batch_size` in all of ROOT's configurations: {', '.join(map(str, sizes))}; batches have {first} pairs.",
            f"ROOT 所有配置中的 `training.batch_size`：{'、'.join(map(str, sizes))}；每个 batch 有 {first} 对。",
        ),
        notes(
            f"Where it is given none the function takes {default}.",
            f"未指定时，该函数取 {default}。",
        ),
    ]  # fmt: skip


def batch_size_ggfm(bench: Bench) -> list[Fact]:
    """256, whatever the configuration says."""
    first = len(bench.ggfm("loader", on=["batch_size"], **_PUBLISHED_COUNTS, batch_size=64)["epoch0/batch0/y_high"])
    return [
        claims(
            first == 256,
            f"Asked for batches of 64, GGFM makes batches of {first}.",
            f"要求 batch 为 64 时，GGFM 的 batch 为 {first}。",
        ),
        judged(bench, Role.CLAIM, bench.pinned("batch_size"), [Verdict.DIVERGENT], on=["batch_size"]),
    ]


def accumulation_root(bench: Bench) -> list[Fact]:
    """After which batches the weights move, and what a step is taken on."""
    config = sorted(set(bench.config("training.accumulate_grad_batches").values()))
    moved = _moves(bench, bench.root("optimiser", accumulate=2))
    return [
        claims(
            config == [2] and moved[:3] == [2, 4, 6],
            f"`accumulate_grad_batches` is {', '.join(map(str, config))} in ROOT's configurations; with 2, weights move after "
            f"batches {', '.join(map(str, moved[:3]))}, ...",
            f"ROOT 各配置中 `accumulate_grad_batches` 为 {'、'.join(map(str, config))}；取 2 时，权重在第 {'、'.join(map(str, moved[:3]))}…… 个 batch 后更新。",
        ),
        notes(
            "Gradients are summed, not averaged: the loss is not divided by their number.",
            "梯度是求和而非平均：损失没有除以累积次数。",
        ),
    ]  # fmt: skip


def accumulation_ggfm(bench: Bench) -> list[Fact]:
    """After every batch."""
    moved = _moves(bench, bench.ggfm("optimiser", on=["accumulation"], accumulate=2))
    return [
        claims(
            moved[:3] == [1, 2, 3],
            f"Asked to accumulate 2 batches, GGFM moves its weights after batches {', '.join(map(str, moved[:3]))}, ...",
            f"要求累积 2 个 batch 时，GGFM 在第 {'、'.join(map(str, moved[:3]))}…… 个 batch 后就更新权重。",
        ),
        judged(bench, Role.CLAIM, bench.pinned("accumulation"), [Verdict.DIVERGENT], on=["accumulation"]),
    ]


def training_dynamics(bench: Bench) -> list[Fact]:
    """Batches and updates per epoch, by counting the loader's batches."""
    fraction, size = bench.published("training.val_frac"), bench.published("training.batch_size")
    every = bench.published("training.accumulate_grad_batches")
    given = {**_PUBLISHED_COUNTS, "val_frac": fraction, "batch_size": size}
    root = _batches(bench.root("loader", **given))
    on = ["split", "loader", "batch_size"]
    ggfm = _batches(bench.ggfm("loader", on=on, **given))
    seen = {name: bench.first_seen(name) for name in ("split", "batch_size", "accumulation")}
    return [
        claims(
            ggfm < root / every,
            f"With all pairs kept, an epoch of ROOT has {root} batches and {root // every} updates of up to {every * size} "
            f"pairs; one of GGFM has {ggfm} of each, of up to 256 pairs.",
            f"若所有对都保留，ROOT 每个 epoch 有 {root} 个 batch、{root // every} 次更新，每次最多 {every * size} 对；"
            f"GGFM 则有 {ggfm} 个 batch 和同样多的更新，每次最多 256 对。",
        ),
        *(_run_fact(Role.CLAIM, at, name, parts=True) for name, at in seen.items()),
    ]


def _run_fact(role: Role, seen: tuple[int | str, str] | None, switch: str, *, parts: bool = False) -> Fact:
    """A small run with the switch on against one with it off: whether and where it parts."""
    if seen is None:
        en, zh = "a small run is equal to the bit throughout, test included", "小规模训练（含测试）全程逐位一致"
    else:
        en, zh = f"a small run parts at `{seen[1]}`", f"小规模训练从 `{seen[1]}` 起出现差异"
    return Fact(role, (seen is not None) == parts, f"With only `{switch}` on, {en}.", f"仅打开 `{switch}` 时，{zh}。")


def _moves(bench: Bench, tree: Tree) -> list[int]:
    """The batches, from 1, after which the weights are other than before."""
    owner = component("optimiser")
    weights = [owner.build(owner.examples[0], bench.context)["weights"]["weight"]]
    while f"w{len(weights) - 1}/weight" in tree:
        weights.append(tree[f"w{len(weights) - 1}/weight"])
    return [k for k in range(1, len(weights)) if not torch.equal(weights[k], weights[k - 1])]


def _batches(tree: Tree) -> int:
    return sum(name.startswith("epoch0/") and name.endswith("/y_high") for name in tree)
