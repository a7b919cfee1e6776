"""Rules about labels, features, and whether loss and output go together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from chainrule.diagnosis.measuring import Measurements
from chainrule.diagnosis.remedies import Remedy, in_order, remedy
from chainrule.diagnosis.rule import Rule, Sign, Urgency, Value
from chainrule.ir import Array
from chainrule.nn.losses import usual_loss
from chainrule.ops import lookup
from chainrule.ops.facts import REAL_LINE

_LARGE, _SMALL, _APART = 20.0, 0.01, 50.0


def _loss_name(m: Measurements) -> str:
    return type(m.problem.loss).__name__


def _range(m: Measurements) -> tuple[float, float]:
    """Between which the outputs lie in any case, as what they come out of gives no others."""
    known = None if m.ending is None else lookup(m.ending).facts.activation
    return REAL_LINE if known is None else known.range


def _squashed(m: Measurements) -> bool:
    """Whether the outputs have a lower bound, so that they can be no scores."""
    return _range(m)[0] > -np.inf


def _of_several_units(m: Measurements) -> bool:
    """Whether the outputs come out of a function that shares 1 out among all of them, so that a single one is 1."""
    known = None if m.ending is None else lookup(m.ending).facts.activation
    return known is not None and known.steepest is None and known.gives_probabilities


def _without_last(m: Measurements, *more: tuple[str, dict[str, Any]]) -> Remedy | None:
    """Leave out the activation at the end, where the model is built so that this can be done."""
    layers = in_order(m.problem.model)
    plain = len(layers) > 1 and not list(layers[-1].named_parameters())
    return Remedy((("drop-last-layer", {}), *more)) if plain else None


# -------------------------------------------------------------------------------------------- labels
def _constant_labels(m: Measurements) -> Iterator[Sign]:
    if len(m.t) > 1 and bool((m.t == m.t[:1]).all()):
        yield Sign(evidence={"samples": len(m.t), "label": float(m.t.flat[0])})


def _class_shares(m: Measurements) -> Array | None:
    """Share of each class, where targets are classes."""
    t = m.t
    if t.dtype.kind == "f":
        if not m.problem.loss.per_label or t.size != len(t):
            return None
        t = (t > 0.5).astype(np.int64)
    return np.bincount(t.ravel()) / t.size


def _imbalanced(m: Measurements) -> Iterator[Sign]:
    shares = _class_shares(m)
    if shares is not None and 0.9 <= shares.max() < 1.0:
        yield Sign(evidence={"share": float(shares.max()), "label": _class_name(m, int(shares.argmax()))})


def _class_name(m: Measurements, number: int) -> str | int:
    names = m.problem.class_names
    return names[number] if number < len(names) else number


def _classes_as_numbers(m: Measurements) -> Iterator[Sign]:
    if m.problem.loss.outputs != "numbers" or m.t.ndim != 2:
        return
    t = m.t
    # Least squares on one-hot targets with linear outputs learns well; with squashed ones σ' takes the gradient away.
    one_hot = _squashed(m) and t.shape[1] > 1 and bool(np.isin(t, (0, 1)).all() and (t.sum(axis=1) == 1).all())
    values = np.unique(t)
    counting = t.shape[1] == 1 and len(values) > 1 and np.array_equal(values, np.arange(len(values)))
    classes = t.shape[1] if one_hot else len(values)
    if not (one_hot or counting) or classes > 20 or len(t) < 10 * classes:
        return
    many, two = usual_loss("multiclass").__name__, usual_loss("binary").__name__
    fitting = many if one_hot else two if classes == 2 else ""
    change = None
    if fitting and m.ending is None:
        change = remedy("replace-loss", loss=fitting)
    elif fitting and _range(m) == (0.0, 1.0):
        change = _without_last(m, ("replace-loss", {"loss": fitting}))
    yield Sign(evidence={"classes": classes, "loss": _loss_name(m), "fitting": fitting or many}, remedy=change)


# -------------------------------------------------------------------------------------------- loss and output
def _mismatch(m: Measurements) -> Iterator[Sign]:
    loss, ending, output = m.problem.loss, m.ending, m.output
    evidence: dict[str, Value] = {
        "loss": _loss_name(m),
        "output": ending or "linear",
        "low": float(output.min()),
        "high": float(output.max()),
    }
    replaced = [] if loss.on_scores is None else [("replace-loss", {"loss": loss.on_scores.__name__})]
    if loss.outputs == "scores" and _squashed(m):
        yield Sign(evidence=evidence | {"wants": "scores (−∞, ∞)"}, remedy=_without_last(m))
    elif loss.outputs == "probabilities" and (output.min() < 0 or output.max() > 1):
        change = Remedy(tuple(replaced)) if ending is None and replaced else None
        yield Sign(evidence=evidence | {"wants": "probabilities [0, 1]"}, remedy=change)
    elif loss.outputs == "log-probabilities" and not _is_distribution(output):
        change = Remedy(tuple(replaced)) if ending is None and replaced else _without_last(m, *replaced)
        yield Sign(evidence=evidence | {"wants": "log-probabilities, Σ eᵒ = 1"}, remedy=change)
    elif _of_several_units(m) and output.shape[-1] == 1:
        more = replaced if loss.outputs == "probabilities" else []
        yield Sign(evidence=evidence | {"wants": "an output that can change"}, remedy=_without_last(m, *more))


def _is_distribution(output: Array) -> bool:
    """Whether outputs (n, classes, …) are logarithms of probabilities that add up to 1 over the classes."""
    return output.ndim < 2 or np.allclose(np.exp(output.astype(np.float64)).sum(axis=1), 1.0, atol=1e-3)


def _out_of_reach(m: Measurements) -> Iterator[Sign]:
    if m.problem.loss.outputs != "numbers" or m.ending is None:
        return
    low, high = _range(m)
    outside = float(((m.t < low - 1e-6) | (m.t > high + 1e-6)).mean())
    if outside > 0.01:
        evidence: dict[str, Value] = {"output": m.ending, "low": low, "high": high, "share": outside}
        yield Sign(evidence=evidence | {"smallest": float(m.t.min()), "largest": float(m.t.max())}, remedy=_without_last(m))


# -------------------------------------------------------------------------------------------- scales
def _unscaled_targets(m: Measurements) -> Iterator[Sign]:
    if m.problem.loss.outputs != "numbers":
        return
    mean, deviation = float(m.t.mean()), float(m.t.std())
    if max(abs(mean), deviation) > 10.0 and deviation > 0:
        change = remedy("standardise-targets", mean=mean, scale=deviation)
        yield Sign(evidence={"mean": mean, "deviation": deviation}, remedy=change)


def _standardised(m: Measurements) -> Remedy:
    columns = m.features
    mean, scale = columns.mean(axis=0), columns.std(axis=0)
    scale[scale < 1e-12 * np.maximum(np.abs(mean), 1.0)] = 1.0
    if m.x.ndim != 2:
        return remedy("standardise-inputs", mean=float(mean[0]), scale=float(scale[0]))
    return remedy("standardise-inputs", mean=mean.tolist(), scale=scale.tolist())


def _called(m: Measurements, column: int) -> int | str:
    names = m.problem.feature_names
    return f"“{names[column]}”" if column < len(names) else column


def _unscaled_inputs(m: Measurements) -> Iterator[Sign]:
    if m.x.dtype.kind != "f" or len(m.x) < 2:
        return
    columns = m.features
    sizes, deviations = np.sqrt((columns**2).mean(axis=0)), columns.std(axis=0)
    varying = deviations > 0
    worst, usual = int(np.where(varying, sizes, 0.0).argmax()), float(np.median(deviations))
    large = bool(varying.any()) and (sizes[worst] > _LARGE or (usual > 0 and deviations.max() > _APART * usual))
    if large or sizes.max() < _SMALL:
        evidence = {
            "feature": _called(m, worst),
            "size": float(sizes[worst]),
            "deviation": float(deviations[worst]),
            "usual": usual,
        }
        yield Sign(evidence=evidence, remedy=_standardised(m))


def _constant_features(m: Measurements) -> Iterator[Sign]:
    if m.x.dtype.kind != "f" or m.x.ndim != 2 or len(m.x) < 2:
        return
    first = m.x[0]
    constant = np.flatnonzero((m.x == first).all(axis=0) & (first != 0))
    if constant.size:
        column = int(constant[np.abs(first[constant]).argmax()])
        evidence = {"count": len(constant), "feature": _called(m, column), "value": float(first[column])}
        yield Sign(evidence=evidence, remedy=_standardised(m))


RULES = (
    Rule(
        "constant-labels",
        Urgency.AIMLESS,
        _constant_labels,
        ("All {samples} targets are {label:g}.", "全部 {samples} 个目标值都是 {label:g}。"),
        (
            "The best prediction is this constant, whatever x is: ∂C/∂W vanishes as soon as the bias has learnt it.",
            "无论 x 是什么，最优预测都是这个常数：偏置一旦学会它，∂C/∂W 就为 0。",
        ),
        ("Check how the targets were read: which column, which filter.", "检查目标值的来源：读了哪一列，用了什么筛选。"),
    ),
    Rule(
        "loss-output-mismatch",
        Urgency.AIMLESS,
        _mismatch,
        (
            "{loss} wants {wants}, but the output is {output} and lies in [{low:.3g}, {high:.3g}].",
            "{loss} 需要 {wants}，而输出层是 {output}，输出在 [{low:.3g}, {high:.3g}] 之间。",
        ),
        (
            "With p = softmax(a) (or σ(a)) and a loss on scores, ∂L/∂a = p − t. If a is squashed first, p cannot come near "
            "t, and "
            "the gradient gets the derivative of the squashing as a further factor, at most ¼ for σ; if a loss on "
            "(log-)probabilities "
            "gets anything else, it can be made small without being right.",
            "对得分 a 的损失，令 p = softmax(a)（或 σ(a)），则 ∂L/∂a = p − t。若先压缩 a，p 无法接近 t，"
            "梯度还要再乘上压缩函数的导数 "
            "（σ 至多 ¼）；若要求（对数）概率的损失得到的不是概率，即使预测错误，损失也能变小。",
        ),
        (
            "Let the last layer end in what the loss wants: leave out the activation for CrossEntropyLoss and "
            "BCEWithLogitsLoss, end in "
            "LogSoftmax for NLLLoss, in Sigmoid for BCELoss.",
            "让最后一层给出损失所需的量：CrossEntropyLoss 和 BCEWithLogitsLoss 不加激活函数，NLLLoss 用 LogSoftmax，"
            "BCELoss 用 Sigmoid。",
        ),
    ),
    Rule(
        "targets-out-of-reach",
        Urgency.AIMLESS,
        _out_of_reach,
        (
            "{share:.0%} of the targets lie outside what the output ({output}) can be: they go from {smallest:.3g} to "
            "{largest:.3g}, "
            "it from {low:g} to {high:g}.",
            "{share:.0%} 的目标值超出输出层（{output}）的取值范围：目标值从 {smallest:.3g} 到 {largest:.3g}，输出从 {low:g} "
            "到 {high:g}。",
        ),
        (
            "δ = (a − t) σ'(z) with |a − t| bounded away from 0: z runs to where σ' = 0, and learning stops with an error "
            "left.",
            "δ = (a − t) σ'(z)，而 |a − t| 不可能为 0：z 跑到 σ' = 0 处，误差还在，学习却停止了。",
        ),
        (
            "Leave out the activation at the end, or scale the targets into its range.",
            "去掉末尾的激活函数，或把目标值缩放到它的范围内。",
        ),
    ),
    Rule(
        "classes-as-numbers",
        Urgency.AIMLESS,
        _classes_as_numbers,
        (
            "The targets are {classes} classes, but {loss} treats them as numbers.",
            "目标值是 {classes} 个类别，但 {loss} 把它们当作数值。",
        ),
        (
            "(O − t)² ranks classes by number and its gradient (O − t) σ' is small where the output is confidently wrong; "
            "cross-entropy has the gradient y − t, largest exactly there.",
            "(O − t)² 给类别排了大小，而且输出错得最自信时梯度 (O − t) σ' 反而小；交叉熵的梯度是 y − t，此时恰好最大。",
        ),
        (
            "Use {fitting}, with one output per class (one output for two classes). If they are quantities, keep the loss.",
            "改用 {fitting}，每个类别一个输出（两类时一个）。若它们确实是数量，则保留现在的损失。",
        ),
    ),
    Rule(
        "unscaled-targets",
        Urgency.DATA,
        _unscaled_targets,
        (
            "The targets have the mean {mean:.4g} and the standard deviation {deviation:.4g}.",
            "目标值的均值为 {mean:.4g}，标准差为 {deviation:.4g}。",
        ),
        (
            "Outputs start near 0, so O − t, and with it every gradient, starts as large as the targets: steps are as many "
            "times too long.",
            "输出从 0 附近开始，所以 O − t 以及所有梯度一开始就和目标值一样大：步长也大了同样的倍数。",
        ),
        (
            "Learn (y − {mean:.4g}) / {deviation:.4g} instead, and undo it on predictions.",
            "改为学习 (y − {mean:.4g}) / {deviation:.4g}，预测后再还原。",
        ),
    ),
    Rule(
        "unscaled-inputs",
        Urgency.DATA,
        _unscaled_inputs,
        (
            "Feature {feature} has the size {size:.4g} (rms) and varies by {deviation:.4g}; the median feature varies by "
            "{usual:.4g}.",
            "特征 {feature} 的大小（均方根）为 {size:.4g}，标准差为 {deviation:.4g}；各特征标准差的中位数为 {usual:.4g}。",
        ),
        (
            "∂C/∂w_i = Σ δ x_i: the gradient of a weight is as large as its feature, and the curvature as its square. No "
            "single learning "
            "rate suits all weights, and z = Σ w x is decided by the largest feature.",
            "∂C/∂w_i = Σ δ x_i：权重的梯度与其特征成正比，曲率与其平方成正比。没有一个学习率适合所有权重，而 z = Σ w x "
            "由最大的特征决定。",
        ),
        (
            "Standardise every feature: (x − mean) / standard deviation (chainrule.data.FeatureEncoder does).",
            "把每个特征标准化：(x − 均值) / 标准差（chainrule.data.FeatureEncoder 会做）。",
        ),
        (
            "Check the column: chainrule train standardises every column of numbers, so this data differs from what it learnt.",
            "检查这一列：chainrule train 会把每个数值列标准化，所以这份数据与训练数据不同。",
        ),
    ),
    Rule(
        "constant-feature",
        Urgency.DATA,
        _constant_features,
        (
            "{count} features are the same for every sample; feature {feature} is always {value:g}.",
            "有 {count} 个特征对所有样本都相同；特征 {feature} 恒为 {value:g}。",
        ),
        (
            "∂C/∂w_i = Σ δ · {value:g} = {value:g} · ∂C/∂b: its weight is a second bias that takes {value:g}² times the steps, "
            "and it tells nothing of the targets.",
            "∂C/∂w_i = Σ δ · {value:g} = {value:g} · ∂C/∂b：它的权重只是第二个偏置，步长却是 {value:g}² 倍，"
            "并且不含目标值的任何信息。",
        ),
        ("Leave the feature out, or centre it at 0.", "去掉这个特征，或把它居中到 0。"),
    ),
    Rule(
        "imbalanced-labels",
        Urgency.OUTCOME,
        _imbalanced,
        ("{share:.1%} of the samples are of class {label}.", "{share:.1%} 的样本属于类别 {label}。"),
        (
            "The gradient is a mean over samples, so the rare classes have {share:.1%} against them: always saying {label} "
            "has an accuracy "
            "of {share:.1%} and leaves little gradient.",
            "梯度是对样本取的平均，多数类占了 {share:.1%}：总是预测 {label} 的准确率已有 {share:.1%}，几乎不剩梯度。",
        ),
        (
            "Weight the classes (fit(..., class_weight='balanced')), and judge by more than accuracy.",
            "给类别加权（fit(..., class_weight='balanced')），并且不要只看准确率。",
        ),
        (
            "Judge by more than accuracy. If the rare classes matter most, try --class-weight balanced.",
            "不要只看准确率。若稀有类别最重要，试试 --class-weight balanced。",
        ),
    ),
)
