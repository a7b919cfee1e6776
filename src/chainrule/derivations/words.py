"""The phrases of derivations and gradings, in English and Chinese. docs/explain.md has the terms in its table of notation."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.derivations.symbols import Formula
from chainrule.language import Catalogue, Language, Phrase

PHRASES: dict[str, Phrase] = {
    # headings
    "title": ("How {output} depends on {wrt}", "{output} 如何依赖于 {wrt}"),
    "title-step": ("One step of {optimizer} for {wrt}", "{wrt} 的一步 {optimizer} 更新"),
    "title-attribution": ("Distributing the error {output}", "误差 {output} 的分摊"),
    "given": ("Given", "已知"),
    "forward": ("Forward pass", "前向传播"),
    "backward": ("Backward pass (chain rule)", "反向传播（链式法则）"),
    "paths": ("{symbol}: one product per path", "{symbol}：每条路径一个乘积"),
    "layers": ("Layers", "各层"),
    "element": ("{symbol} by itself", "单独看 {symbol}"),
    "update": ("Update of {symbol}", "更新 {symbol}"),
    "attribution": ("Error attribution", "误差归因"),
    "comma": (", ", "、"),  # in a list
    "and": ("{first} and {last}", "{first} 和 {last}"),
    "aside": ("({note})", "（{note}）"),
    "with-route": ("{note}: {route}", "{note}：{route}"),
    # notes
    "seed": (
        "the backward pass starts here: the derivative of {output} with respect to itself is 1",
        "反向传播从这里开始：{output} 对自身的导数为 1",
    ),
    "product": (
        "Each gradient is the upstream gradient × the local derivative. Where a value is used several times, the contributions "
        "are added up.",
        "每个梯度 = 上游梯度 × 局部导数。一个值被多次使用时，各项贡献相加。",
    ),
    "several": (
        "{symbol} acts on {output} through {parents}: the contributions are added up",
        "{symbol} 通过 {parents} 影响 {output}：各项贡献相加",
    ),
    "sums-to-one": ("since {sum} = 1", "因为 {sum} = 1"),
    "route": ("path {number}", "路径 {number}"),
    "paths-sum": ("the sum of the {count} paths", "{count} 条路径之和"),
    "paths-rest": ("the other {count} paths together", "其余 {count} 条路径之和"),
    "largest": (
        "the {shown} largest of {count} terms; the other {rest} terms together",
        "{count} 项中最大的 {shown} 项；其余 {rest} 项之和",
    ),
    "rest": ("rest", "其余"),
    "no-flow": ("no gradient flows back: the derivative is 0 on every path", "没有梯度传回：每条路径上的导数都为 0"),
    "weighted-input": ("weighted input of layer {layer}", "第 {layer} 层的加权输入"),
    "activation": ("activation of layer {layer}", "第 {layer} 层的激活值"),
    "error-terms": (
        "Each error term {delta} comes from the one above it: {above} goes back through the weights, then is multiplied by "
        "{slope} element by element. The gradient of a weight is {delta} times the activation that the weight multiplies, the "
        "gradient of a bias {delta} itself; over several samples they are summed.",
        "误差项逐层向下计算：{above} 经权重传回，再逐元素乘以 {slope}。权重的梯度是 {delta} 乘以该权重所乘的激活值，"
        "偏置的梯度就是 {delta} 本身；有多个样本时求和。",
    ),
    "error-term": ("error term of layer {layer}", "第 {layer} 层的误差项"),
    "error-term-with": ("error term of layer {layer}, with {slope}", "第 {layer} 层的误差项，其中 {slope}"),
    "shape": ("shape {shape}", "形状 {shape}"),
    "weight-gradient": ("gradient of the weight of layer {layer}", "第 {layer} 层权重的梯度"),
    "bias-gradient": ("gradient of the bias of layer {layer}", "第 {layer} 层偏置的梯度"),
    "eta": ("learning rate", "学习率"),
    "t": ("number of this step", "当前步数"),
    "momentum_buffer": ("velocity", "速度（动量）"),
    "exp_avg": ("moving mean of the gradient", "梯度的滑动平均"),
    "exp_avg_sq": ("moving mean of its square", "梯度平方的滑动平均"),
    "max_exp_avg_sq": ("largest of these means so far", "迄今最大的滑动平均"),
    "square_avg": ("moving mean of the squared gradient", "梯度平方的滑动平均"),
    "grad_avg": ("moving mean of the gradient", "梯度的滑动平均"),
    "sum": ("sum of the squared gradients", "梯度平方之和"),
    "acc_delta": ("moving mean of the squared steps", "更新量平方的滑动平均"),
    "chosen": ("the element that was asked for", "所求的元素"),
    "heuristic": (
        "A heuristic, not the gradient: it distributes an error by the size of the weights and leaves out the derivative of "
        "the activation. The gradient {delta} beside it is what training uses.",
        "这是一种启发式方法，不是梯度：它按权重大小分摊误差，没有考虑激活函数的导数。训练所用的是旁边的梯度 {delta}。",
    ),
    "normalised": ("in proportion to the weights", "按权重比例分摊"),
    "unnormalised": ("with the transposed weights", "用转置的权重分摊"),
    "true-gradient": ("the error term: the true gradient", "误差项：真正的梯度"),
    # at the end
    "kinks": ("At a kink", "不可导的点"),
    "kink": (
        "{function} has no derivative at {place}: by convention the derivative there is taken to be {slope}.",
        "{function} 在 {place} 处不可导：按约定，此处的导数取 {slope}。",
    ),
    "tie-shared": (
        "Several elements reach {place} = {value} at once, where {function} has no derivative: by convention they share the "
        "gradient equally.",
        "多个元素同时取到 {place} = {value}，此处 {function} 不可导：按约定，这些元素平分梯度。",
    ),
    "tie-first": (
        "Several elements of a window reach {place} = {value} at once, where {function} has no derivative: by convention the "
        "first of them gets the whole gradient.",
        "窗口中多个元素同时取到 {place} = {value}，此处 {function} 不可导：按约定，梯度全部归第一个。",
    ),
    "not-finite": ("Not a finite number", "结果不是有限数"),
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
    "verdict-wrong": ("{symbol} is {true}, not {given}.", "{symbol} 应为 {true}，而不是 {given}。"),
    "verdict-unexplained": (
        "{symbol} is {true}, not {given}; no single slip explains it.",
        "{symbol} 应为 {true}，而不是 {given}；找不到能解释它的单一错误。",
    ),
    "verdict-unknown": ("There is no {name} in this calculation.", "这个计算中没有 {name}。"),
    "verdict-not-graded": (
        "It was not graded. The names here are {names}, and gradients such as {gradient}.",
        "因此没有评分。可用的名称有 {names}，以及 {gradient} 这样的梯度。",
    ),
    "verdict-formula-right": (
        "{symbol} = {given} is right: equal at every point tried.",
        "{symbol} = {given} 正确：在所有试验点上相等。",
    ),
    "verdict-formula-circular": (
        "{symbol} = {given} was not graded: {other} is {symbol} itself or is calculated from it. "
        "Write it with what comes before it.",
        "{symbol} = {given} 没有评分：{other} 就是 {symbol} 本身，或者由它算出。请用它之前的量来表示。",
    ),
    "verdict-formula-wrong": ("{symbol} is not {given}.", "{symbol} 不等于 {given}。"),
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
    "slip-statistics": (
        "The mean and the variance are taken as constants; they depend on the inputs, too.",
        "把均值和方差当成了常数；它们也依赖于输入。",
    ),
    "slip-statistic": (
        "{value} is taken as a constant; it depends on {target}, too.",
        "把 {value} 当成了常数；它也依赖于 {target}。",
    ),
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
    "slip-other": ("That is {other} = {value}.", "那是 {other} = {value}。"),
    "slip-other-extra": ("That is {other} = {value}: a factor {factor} too many.", "那是 {other} = {value}：多乘了 {factor}。"),
    "slip-other-missing": (
        "That is {other} = {value}: the factor {factor} is missing.",
        "那是 {other} = {value}：漏掉了因子 {factor}。",
    ),
    "slip-other-formula": ("That is {other}.", "那是 {other}。"),
    "slip-unknown-is": ("The number {given} is {other} = {value}.", "数 {given} 是 {other} = {value}。"),
    # pages
    "walk": ("Walk through it in {count} steps", "分 {count} 步逐步查看"),
    "walk-step": ("step {number} of {count}", "第 {number} 步，共 {count} 步"),
    "walk-back": ("‹ Back", "‹ 上一步"),
    "walk-next": ("Next ›", "下一步 ›"),
    "walk-all": ("Show all", "显示全部"),
    # tables
    "symbol": ("symbol", "符号"),
    "formula": ("formula", "公式"),
    "value": ("value", "值"),
    "numbers-in-array": ("array {shape}, from {low} to {high}", "数组 {shape}，从 {low} 到 {high}"),
}

phrase = Catalogue(PHRASES).phrase


def sentence(key: str, language: Language, /, **values: object) -> Formula:
    """A phrase whose blanks are filled with formulas, or lists of them; in its `latex` they stand between $.

    Raises:
        ArgumentError: a language other than "en" and "zh".
    """

    def filled(value: object, latex: bool) -> object:
        if isinstance(value, Formula):
            return f"${value.latex}$" if latex else value.text
        if isinstance(value, Sequence) and not isinstance(value, str):
            *firsts, last = (str(filled(v, latex)) for v in value)
            return phrase("and", language, first=phrase("comma", language).join(firsts), last=last) if firsts else last
        return value

    text, latex = (phrase(key, language, **{k: filled(v, style) for k, v in values.items()}) for style in (False, True))
    return Formula(text, latex)
