"""Every word that a grading says, in English and Chinese. The terms are those of the notation table in docs/explain.md."""

from __future__ import annotations

from chainrule.language import Catalogue, Phrase

PHRASES: dict[str, Phrase] = {
    # verdicts
    "verdict-right": ("{symbol} = {given} is right.", "{symbol} = {given} 正确。"),
    "verdict-rounded-last": (
        "{symbol} = {given} is right but for rounding in the last digit: it is {true}.",
        "{symbol} = {given} 基本正确，仅末位舍入不同：准确值为 {true}。",
    ),
    "verdict-rounded": (
        "{symbol} = {given} is right but for rounding carried forward: it is {true}.",
        "{symbol} = {given} 基本正确，差别来自前面步骤的舍入：准确值为 {true}。",
    ),
    "verdict-follow-on": (
        "{symbol} = {given} follows correctly from an earlier wrong value ({causes}); it is {true}.",
        "{symbol} = {given} 由前面的错误值（{causes}）正确推出；准确值为 {true}。",
    ),
    "verdict-wrong": ("{symbol} is {true}, not {given}. {reason}", "{symbol} 应为 {true}，而不是 {given}。{reason}"),
    "verdict-possible": (
        "{symbol} is {true}, not {given}. With so few digits it may be chance, but one slip gives this number: {reason}",
        "{symbol} 应为 {true}，而不是 {given}。位数太少，也可能是巧合，但有一种错误会得到这个数：{reason}",
    ),
    "verdict-unexplained": (
        "{symbol} is {true}, not {given}; no single slip explains it.",
        "{symbol} 应为 {true}，而不是 {given}；找不到能解释它的单一错误。",
    ),
    "verdict-unknown": ("There is no {name} in this calculation.", "这个计算中没有 {name}。"),
    "verdict-not-graded": (
        "It was not graded. The names here are {names}, and gradients such as {gradient}.",
        "因此没有评分。可用的名称有 {names}，以及 {gradient} 这样的梯度。",
    ),
    "verdict-refused": ("{name} was not graded: {reason}", "{name} 没有评分：{reason}"),
    "verdict-formula-right": (
        "{symbol} = {given} is right: equal at every point tried.",
        "{symbol} = {given} 正确：在所有试验点上相等。",
    ),
    "verdict-formula-circular": (
        "{symbol} = {given} was not graded: {other} is {symbol} itself or is calculated from it. "
        "Write it with what comes before it.",
        "{symbol} = {given} 没有评分：{other} 就是 {symbol} 本身，或者由它算出。请用它之前的量来表示。",
    ),
    "verdict-formula-wrong": ("{symbol} is not {given}. {reason}", "{symbol} 不等于 {given}。{reason}"),
    "verdict-formula-unexplained": (
        "{symbol} is not {given}; no single slip explains it.",
        "{symbol} 不等于 {given}；找不到能解释它的单一错误。",
    ),
    # slips
    "slip-sign": ("The sign is wrong.", "符号错了。"),
    "slip-sign-inside": ("The sign of {factor} is wrong.", "{factor} 的符号错了。"),
    "slip-sign-term": ("{term} has the wrong sign.", "{term} 的符号错了。"),
    "slip-sign-argument": ("{term} has the wrong sign.", "{term} 的符号错了。"),
    "slip-uphill": (
        "The step goes the wrong way: the gradient is subtracted, not added.",
        "更新方向反了：应减去梯度，而不是加上。",
    ),
    "slip-no-rate": ("The learning rate is missing.", "漏掉了学习率。"),
    "slip-missing": ("The factor {factor} is missing.", "漏掉了因子 {factor}。"),
    "slip-missing-part": ("The factor {factor} of {whole} is missing.", "{whole} 中漏掉了因子 {factor}。"),
    "slip-missing-everywhere": ("The factor {factor} is missing everywhere.", "各处都漏掉了因子 {factor}。"),
    "slip-no-upstream": ("The upstream gradient {factor} is left out.", "漏掉了上游梯度 {factor}。"),
    "slip-function": ("{function} was not applied to {argument}.", "没有对 {argument} 作用 {function}。"),
    "slip-extra": ("There is a factor {factor} too many.", "多乘了因子 {factor}。"),
    "slip-replaced": ("{given} stands in the place of {right}.", "应为 {right} 之处用了 {given}。"),
    "slip-constant": ("It is off by the constant factor {factor}.", "差了常数因子 {factor}。"),
    "slip-constant-left": ("The constant factor {factor} is missing.", "漏掉了常数因子 {factor}。"),
    "slip-path": ("The path over {path} is forgotten.", "漏掉了经过 {path} 的路径。"),
    "slip-no-path": (
        "No path leads from {target} to {output}, so the derivative is 0.",
        "没有从 {target} 到 {output} 的路径，所以导数为 0。",
    ),
    "slip-only-path": (
        "Only the path over {path} is counted; the others are forgotten.",
        "只算了经过 {path} 的路径，漏掉了其他路径。",
    ),
    "slip-direct-path": (
        "The path on which {target} acts directly on {output} is forgotten.",
        "漏掉了 {target} 直接作用于 {output} 的路径。",
    ),
    "slip-only-direct-path": (
        "Only the path on which {target} acts directly on {output} is counted; the others are forgotten.",
        "只算了 {target} 直接作用于 {output} 的路径，漏掉了其他路径。",
    ),
    "slip-only-output": (
        "Only the output {output} is counted; the others are forgotten.",
        "只算了输出 {output}，漏掉了其他输出。",
    ),
    "slip-diagonal": (
        "Only the diagonal of the Jacobian of {function} is counted; every output depends on every input.",
        "只算了 {function} 的雅可比矩阵的对角线；每个输出都依赖于所有输入。",
    ),
    "slip-statistic": (
        "{statistics} is taken as a constant; it depends on {target}, too.",
        "把 {statistics} 当成了常数；它也依赖于 {target}。",
    ),
    "slip-statistics": (
        "{statistics} are taken as constants; they depend on {target}, too.",
        "把 {statistics} 当成了常数；它们也依赖于 {target}。",
    ),
    "slip-statistic-inside": (
        "{statistics} inside {block} is taken as a constant; it depends on {target}, too.",
        "把 {block} 中的{statistics}当成了常数；它也依赖于 {target}。",
    ),
    "slip-statistics-inside": (
        "{statistics} inside {block} are taken as constants; they depend on {target}, too.",
        "把 {block} 中的{statistics}当成了常数；它们也依赖于 {target}。",
    ),
    "statistic-and": ("{first} and {last}", "{first}和{last}"),
    "statistic-mean": ("the mean", "均值"),
    "statistic-var": ("the variance", "方差"),
    "statistic-sum": ("the sum", "总和"),
    "statistic-prod": ("the product", "乘积"),
    "statistic-max": ("the largest element", "最大元素"),
    "statistic-min": ("the smallest element", "最小元素"),
    "statistic-logsumexp": ("the logarithm of the sum", "总和的对数"),
    "statistic-other": ("what is taken over all elements", "对全部元素求得的值"),
    "slip-other-derivative": (
        "The derivative of {given} was taken in place of that of {right}.",
        "应求 {right} 的导数，却用了 {given} 的导数。",
    ),
    "slip-other-function": ("{given} was applied in place of {right}.", "应作用 {right}，却用了 {given}。"),
    "slip-logarithm": ("{given} was taken in place of ln.", "应取自然对数 ln，却用了 {given}。"),
    "slip-no-bias-correction": (
        "The bias correction of {optimizer} is missing: its moving means begin at 0.",
        "漏掉了 {optimizer} 的偏差修正：它的滑动平均从 0 开始。",
    ),
    "graded-at-kink": (
        "{function} is at its kink there: its derivative is a convention, and chainrule's gives {true}.",
        "{function} 恰好在折点处：那里的导数只是一种约定，按 chainrule 的约定得 {true}。",
    ),
    "slip-term": ("The term {term} is left out.", "漏掉了一项 {term}。"),
    "slip-stale": (
        "The already updated {weight} was used in place of the old one.",
        "误用了更新后的 {weight}，应使用更新前的值。",
    ),
    "slip-stale-all": (
        "Already updated parameters were used in place of the old ones.",
        "误用了更新后的参数，应使用更新前的值。",
    ),
    "slip-stale-step": (
        "{weight} were updated before the other gradients were taken; all gradients belong to the old values.",
        "在计算其他梯度之前就更新了 {weight}；所有梯度都应按旧值计算。",
    ),
    "slip-at-output": (
        "The derivative of {function} was taken at its output {output} instead of its input.",
        "{function} 的导数取在输出 {output} 处，而应取在输入处。",
    ),
    "slip-at-output-everywhere": (
        "The derivative of {function} was taken at its output instead of its input, everywhere.",
        "{function} 的导数处处取在输出处，而应取在输入处。",
    ),
    "slip-transposed": (
        "{given} was used in place of {right}: the matrix is transposed.",
        "应为 {right} 之处用了 {given}：矩阵转置错了。",
    ),
    "slip-transposed-whole": ("{matrix} is transposed.", "{matrix} 的转置错了。"),
    "slip-array-transposed": ("It is the transpose of the right matrix.", "它是正确矩阵的转置。"),
    "slip-shape": ("Its shape is {given}, and must be {right}.", "它的形状是 {given}，应为 {right}。"),
    "shape-of-number": ("that of a single number", "单个数"),
    "slip-not-finite": (
        "The number given is infinite, undefined or too large for float64.",
        "给出的数是无穷大、未定义，或超出 float64 的范围。",
    ),
    "slip-other": ("That is {other} = {value}.", "那是 {other} = {value}。"),
    "slip-other-extra": ("That is {other} = {value}: a factor {factor} too many.", "那是 {other} = {value}：多乘了 {factor}。"),
    "slip-other-missing": (
        "That is {other} = {value}: the factor {factor} is missing.",
        "那是 {other} = {value}：漏掉了因子 {factor}。",
    ),
    "slip-other-formula": ("That is {other}.", "那是 {other}。"),
    "slip-unknown-is": ("The number {given} is {other} = {value}.", "数 {given} 是 {other} = {value}。"),
}

phrase = Catalogue(PHRASES).phrase
