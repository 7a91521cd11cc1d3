"""Fixed words in both languages: verdicts, standings, labels of the page."""

from __future__ import annotations

from collections.abc import Sequence

from parity.root_ggfm.claims.bench import Bench
from parity.root_ggfm.claims.facts import Fact, Role, Standing
from parity.verdict import Judgement, Verdict

__all__ = ["KINDS", "LABELS", "LANGUAGES", "STANDINGS", "SYMBOLS", "VERDICTS_ZH", "judged", "listed"]

LANGUAGES = {"en": "English", "zh": "中文"}

VERDICTS_ZH: dict[str, str] = {
    Verdict.REFUSED: "双方都拒绝",
    Verdict.IDENTICAL: "逐位一致",
    Verdict.ROUNDING: "仅舍入误差",
    Verdict.DISTRIBUTION: "分布一致",
    Verdict.DISTRIBUTION: "分布一致",
    Verdict.UNSTABLE: "数值精度更差",
    Verdict.RANDOMNESS: "仅随机数不同",
    Verdict.DIVERGENT: "计算不同",
    Verdict.MISSING: "缺失",
    Verdict.ERROR: "一方出错",
}

STANDINGS: dict[str, dict[str, str]] = {
    "en": {standing: standing.value for standing in Standing},
    "zh": {
        Standing.CONFIRMED: "证实",
        Standing.REFINED: "需修正",
        Standing.REFUTED: "不成立",
        Standing.UNMEASURED: "未测量",
    },
}

KINDS: dict[str, dict[str, str]] = {
    "judgement": {"en": "verdict of a component", "zh": "组件判定"},
    "count": {"en": "count or statistic", "zh": "计数或统计"},
    "configuration": {"en": "published configuration", "zh": "已发布配置"},
    "signature": {"en": "signature of a function", "zh": "函数签名"},
    "timeline": {"en": "a run, step by step", "zh": "逐步对比训练过程"},
    "runs": {"en": "whole runs", "zh": "完整训练与测试"},
    "none": {"en": "nothing that can be measured here", "zh": "此处无法测量"},
}

SYMBOLS = {"bears out": "✓", "speaks against": "✗", "narrows down": "↳", "adds": "·"}
"""What a fact does to its claim, as a mark before it."""

LABELS: dict[str, dict[str, str]] = {
    "en": {
        "title": "The list of differences, checked",
        "intro": "What the list of differences between GGFM and ROOT says, claim by claim, and what measuring it shows. "
        "Every standing is computed from the measurements below it when this page is made.",
        "reproduce": "reproduce", "measured": "evidence: ",
        "unlisted": "What the list does not mention", "section": "Section {}: {}",
        "unlisted_intro": "Differences between ROOT and GGFM that no section of the list names, each turned on alone.",
        "alone": "With only `{name}` on, at the input where the ledger pins it, the verdict on `{component}` is: {verdict}.",
        "seen": "First seen in a small run: {}.", "step": "step {}", "test": "the test", "initial": "the initial weights",
        "leaf": "{} (`{}`)", "never": "never; it acts elsewhere", "cause": "Cause", "colon": ": ",
        "conditions": "{root} against {ggfm}, on {task}; {versions}", "other": "中文",
        "marks": "✓ bears the claim out · ✗ speaks against it · ↳ narrows it down",
        "failure": "failed",
        "changed": "The standing is not the expected one ({}).",
        "failed": "Could not be measured: {}",
        "legend": "confirmed: the measurement bears it out. refined: true as far as it goes; the measurement adds a limit. "
        "refuted: the measurement says otherwise. not measured: no measurement here can decide it, and why.",
    },
    "zh": {
        "title": "差异清单逐条核对",
        "intro": "逐条核对 GGFM 与 ROOT 的差异清单，并给出实测结果。每条结论都在生成本页时由其下方的测量计算得出。",
        "reproduce": "复现命令", "measured": "证据类型：",
        "unlisted": "清单未提及的差异", "section": "第 {} 节：{}",
        "unlisted_intro": "ROOT 与 GGFM 之间、清单各节均未列出的差异，每项单独打开后测量。",
        "alone": "仅打开 `{name}` 时，在差异登记表所固定的输入上，组件 `{component}` 判定为“{verdict}”。",
        "seen": "在小规模训练中首次出现于：{}。", "step": "第 {} 步", "test": "测试阶段", "initial": "初始权重",
        "leaf": "{}（`{}`）", "never": "从不出现，只影响别处", "cause": "原因", "colon": "：",
        "conditions": "{root} 与 {ggfm} 对比，任务 {task}；{versions}", "other": "English",
        "marks": "✓ 支持论断 · ✗ 与论断相反 · ↳ 对论断的限定",
        "failure": "失败",
        "changed": "结论与预期（{}）不同。",
        "failed": "无法测量：{}",
        "legend": "证实：测量结果支持该论断。需修正：论断大体成立，但测量给出了限定。"
        "不成立：测量结果与之相反。未测量：此处的任何测量都无法判定，并说明原因。",
    },
}  # fmt: skip


def judged(
    bench: Bench,
    role: Role,
    judgement: Judgement,
    expected: Sequence[Verdict],
    *,
    on: Sequence[str] = (),
    en: str = "",
    zh: str = "",
) -> Fact:
    """A fact made of a judgement: it holds where the verdict is one of `expected`. `en`, `zh`: the input, in words."""
    verdict, name = judgement.verdict, judgement.component
    with_en = f"with only {listed(on, 'en')} on" if on else "with every difference off"
    with_zh = f"仅打开 {listed(on, 'zh')} 时" if on else "关闭全部差异时"
    return Fact(
        role,
        verdict in expected,
        f"`{name}`{en and ' ' + en}, {with_en}: {verdict}.",
        f"组件 `{name}`{zh and '（' + zh + '）'}，{with_zh}，判定为“{VERDICTS_ZH[verdict]}”（{verdict}）。",
        bench.command(judgement, on),
    )


def listed(names: Sequence[str], language: str) -> str:
    """Names as code, joined."""
    return ("、" if language == "zh" else ", ").join(f"`{name}`" for name in names)
