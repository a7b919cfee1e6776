"""Rules about the network as it is: its parameters, and what one forward and one backward pass show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from chainrule.diagnosis.layer_numbers import LayerNumbers
from chainrule.diagnosis.measuring import Measurements
from chainrule.diagnosis.remedies import Remedy, fitting_initialisers, in_order, remedy
from chainrule.diagnosis.rule import Rule, Sign, Urgency, Value
from chainrule.nn import LAYERS, Activation, ReLU
from chainrule.ops import lookup

_MOST = 0.5  # share of units or values from which a layer counts as dead or saturated
_VANISHED = 1e-3
_EXPLODED = 100.0
_USUAL_STEP = 0.01  # of the usual size of weights
_INFLATED = 10.0  # times their usual size


def _redrawn(m: Measurements, layers: Iterable[LayerNumbers], *before: tuple[str, dict[str, str]]) -> Remedy | None:
    """Draw the parameters of these layers anew, after other changes; None if they are not parameters of the usual names."""
    after = {_function_of(change["old"]): _function_of(change["new"]) for _, change in before}
    wanted = [(n.name, after.get(n.activation, n.activation)) for n in layers]
    parameters = fitting_initialisers(wanted, dict(m.problem.model.named_parameters()))
    return Remedy((*before, ("reinitialise", {"parameters": parameters}))) if parameters else None


def _function_of(layer: str) -> str | None:
    """The primitive that a layer of this name applies, if it is an activation function."""
    cls = LAYERS[layer]
    return cls.function if issubclass(cls, Activation) else None


def _hidden(m: Measurements) -> Sequence[LayerNumbers]:
    return m.layers[:-1]


# -------------------------------------------------------------------------------------------- not finite
def _infected(m: Measurements) -> Iterator[Sign]:
    for name in m.infected:
        layer = name.rpartition(".")[0] or None
        numbers = [n for n in m.layers if n.name == layer]
        yield Sign(layer, {"parameter": name, "of": len(m.infected)}, _redrawn(m, numbers))


def _made_non_finite(m: Measurements) -> Iterator[Sign]:
    found = m.non_finite
    if found is None or m.infected:
        return
    inputs = "; ".join(f"{r.name} ∈ [{r.low:.4g}, {r.high:.4g}]" for r in found.inputs)
    yield Sign(None, {"formula": found.formula, "value": found.value, "inputs": inputs or "-"}, _redrawn(m, m.layers))


# -------------------------------------------------------------------------------------------- equal units
def _all_zero(m: Measurements) -> Iterator[Sign]:
    layers = [n for n in _hidden(m) if n.zero and n.units > 1 and n.distinct == 1]
    for n in layers:
        yield Sign(n.name, {"units": n.units, "gradient": n.gradient}, _redrawn(m, layers))


def _symmetric(m: Measurements) -> Iterator[Sign]:
    layers = [n for n in _hidden(m) if not n.zero and n.units > 1 and n.distinct <= n.units / 2]
    for n in sorted(layers, key=lambda n: n.distinct / n.units):
        yield Sign(n.name, {"units": n.units, "distinct": n.distinct}, _redrawn(m, layers))


# -------------------------------------------------------------------------------------------- signals
def _dead(m: Measurements) -> Iterator[Sign]:
    layers = [n for n in m.layers if n.dead > _MOST]
    change = _redrawn(m, [n for n in m.layers if n in layers or n.weight > _INFLATED * _usual_size(n)])
    change = _with_usual_steps(m, change)
    if layers and m.stands_in_the_way(change):
        for n in sorted(layers, key=lambda n: -n.dead):
            yield Sign(n.name, {"share": n.dead, "z": n.z, "slope": n.slope_factor}, change)


def _usual_size(n: LayerNumbers) -> float:
    """Root mean square of weights that keep the size of a signal."""
    return 1.0 / math.sqrt(n.inputs)


def _with_usual_steps(m: Measurements, change: Remedy | None) -> Remedy | None:
    """The change, and a smaller learning rate where a step would change weights by more than half of their usual size."""
    steps = [n.update * n.weight / _usual_size(n) for n in m.layers if math.isfinite(n.update)]
    rate = m.problem.rate
    if change is None or rate is None or max(steps, default=0.0) <= 0.5:
        return change
    rate *= _USUAL_STEP / max(steps)
    return Remedy((*change.changes, ("set-learning-rate", {"lr": rate})))


def _saturated(m: Measurements) -> Iterator[Sign]:
    layers = [n for n in _hidden(m) if n.saturated > _MOST]
    change = _redrawn(m, layers)
    if layers and not m.stands_in_the_way(change):
        return
    for n in sorted(layers, key=lambda n: -n.saturated):
        evidence: dict[str, Value] = {"share": n.saturated, "activation": n.activation or "", "z": n.z, "slope": n.slope_factor}
        yield Sign(n.name, evidence, change)


def _growth(values: Sequence[float]) -> float:
    """Geometric mean of factors; those that are 0 or not finite are left out."""
    logs = [math.log(v) for v in values if 0.0 < v < math.inf]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan


def _exploding(m: Measurements) -> Iterator[Sign]:
    if len(m.layers) < 3 or not m.layers[0].source:
        return
    first, last = m.layers[0], m.layers[-1]
    total = last.z / first.source
    factor = _growth([n.z / n.source for n in m.layers if n.source])
    back = first.delta / last.delta if last.delta else math.nan
    grows = (total > _EXPLODED and factor > 2.0) or back > 1e3
    if grows and m.stands_in_the_way(_redrawn(m, m.layers)):
        worst = max(m.layers, key=lambda n: n.z / n.source if n.source else 0.0)
        evidence = {"total": total, "factor": factor, "layers": len(m.layers), "back": back}
        yield Sign(worst.name, evidence, _redrawn(m, m.layers))


def _vanishing(m: Measurements) -> Iterator[Sign]:
    if len(m.layers) < 3 or not m.layers[-1].delta:
        return
    ratio = m.layers[0].delta / m.layers[-1].delta
    flattest = math.prod(min(_steepest(n), 1.0) for n in _hidden(m))  # what σ′ leaves in any case: for sigmoid ¼ per layer
    if not 0.0 < ratio < _VANISHED or (flattest > _VANISHED and any(n.saturated > _MOST for n in _hidden(m))):
        return  # it does not vanish, or saturation is the cause
    weights, slopes = _growth([n.weight_factor for n in _hidden(m)]), _growth([n.slope_factor for n in _hidden(m)])
    evidence = {"ratio": ratio, "layers": len(m.layers), "weights": weights, "slopes": slopes}
    old = next((layer for n in _hidden(m) if (layer := _squashing_layer(m, n)) is not None), None)
    steps = [] if old is None else [("replace-activations", {"old": old, "new": ReLU.__name__})]
    change = _redrawn(m, m.layers, *steps)
    if m.stands_in_the_way(change):
        yield Sign(m.layers[0].name, evidence, change)


def _steepest(n: LayerNumbers) -> float:
    known = None if n.activation is None else lookup(n.activation).facts.activation
    return 1.0 if known is None or known.steepest is None else known.steepest


def _squashing_layer(m: Measurements, n: LayerNumbers) -> str | None:
    """The name of the Module that applies a function which is flat on both sides, where the model is built of such."""
    known = None if n.activation is None else lookup(n.activation).facts.activation
    if known is None or not known.saturates:
        return None
    layers = in_order(m.problem.model)
    found = (type(layer) for layer in layers if isinstance(layer, Activation) and layer.function == n.activation)
    return next((cls.__name__ for cls in found), None)


def _collapsed(m: Measurements) -> Iterator[Sign]:
    for n in _hidden(m):
        if n.units >= 4 and 0.0 < n.rank < 1.1 and n.source_rank > 1.5 and n.distinct > 1 and n.dead < 0.9:
            change = _redrawn(m, [n])
            if m.stands_in_the_way(change):
                yield Sign(n.name, {"rank": n.rank, "units": n.units, "before": n.source_rank}, change)


def _missing_bias(m: Measurements) -> Iterator[Sign]:
    vectors = [p for p in m.problem.model.parameters() if p.ndim == 1]
    mean, deviation = float(m.t.mean()), float(m.t.std())
    if m.problem.loss.outputs == "numbers" and m.layers and not vectors and abs(mean) > 0.5 * deviation > 0:
        change = remedy("standardise-targets", mean=mean, scale=deviation)
        yield Sign(m.layers[-1].name, {"mean": mean, "deviation": deviation}, change)


def _bad_start(m: Measurements) -> Iterator[Sign]:
    if m.expected is None or not m.can_learn or m.trained:
        return
    start = m.loss if m.problem.loss.reduction == "mean" else m.given.start
    if start > 3.0 * m.expected.start and start > 3.0 * m.expected.constant:
        evidence: dict[str, Value] = {
            "loss": start,
            "expected": m.expected.start,
            "formula": m.expected.formula,
            "z": m.layers[-1].z,
        }
        yield Sign(None, evidence, _redrawn(m, m.layers))


RULES = (
    Rule(
        "non-finite-parameter",
        Urgency.BROKEN,
        _infected,
        ("The parameter {parameter} holds NaN or infinities.", "参数 {parameter} 含有 NaN 或无穷大。"),
        (
            "NaN + x = NaN · x = NaN: every output that depends on it is NaN, and so are the loss and, through it, all "
            "gradients.",
            "NaN + x = NaN · x = NaN：依赖它的每个输出都是 NaN，损失以及由它得到的所有梯度也是 NaN。",
        ),
        (
            "Load the last good checkpoint or draw the layer anew; then train with a smaller learning rate or clip_norm=1.0.",
            "载入最近一个完好的检查点，或重新初始化该层；再用更小的学习率或 clip_norm=1.0 训练。",
        ),
        (
            "Train again with a smaller --learning-rate.",
            "用更小的 --learning-rate 重新训练。",
        ),
    ),
    Rule(
        "non-finite-value",
        Urgency.BROKEN,
        _made_non_finite,
        ("{formula} is the first to give {value}, from {inputs}.", "{formula} 最先得到 {value}，其输入为 {inputs}。"),
        (
            "Everything before it in the training step is finite; everything that reads it can only be NaN or infinite.",
            "训练步中在它之前的值都有限；读取它的值只能是 NaN 或无穷大。",
        ),
        (
            "Make its inputs smaller (scale the data, draw the weights anew), or keep them out of the range where it is "
            "undefined.",
            "减小它的输入（缩放数据、重新初始化权重），或避开它没有定义的范围。",
        ),
    ),
    Rule(
        "zero-initialisation",
        Urgency.NETWORK,
        _all_zero,
        ("All weights of layer {layer} are 0.", "第 {layer} 层的权重全为 0。"),
        (
            "Its {units} units compute the same a and get the same δ, so ∂C/∂W has equal rows, now and after every step; and "
            "δˡ = (Wˡ⁺¹)ᵀ δˡ⁺¹ ⊙ σ' is 0 where Wˡ⁺¹ is 0.",
            "它的 {units} 个单元算出相同的 a，得到相同的 δ，所以 ∂C/∂W 的各行总是相等；若 Wˡ⁺¹ 为 0，则 δˡ = (Wˡ⁺¹)ᵀ δˡ⁺¹ "
            "⊙ σ' 也为 0。",
        ),
        (
            "Draw the weights at random (leave init= out, or 'he_normal'); only biases may start at 0.",
            "随机初始化权重（不写 init=，或用 'he_normal'）；只有偏置可以从 0 开始。",
        ),
    ),
    Rule(
        "symmetric-units",
        Urgency.NETWORK,
        _symmetric,
        (
            "The {units} units of layer {layer} have only {distinct} different sets of weights.",
            "第 {layer} 层的 {units} 个单元只有 {distinct} 组不同的权重。",
        ),
        (
            "Units with equal weights in and out have equal a and δ, so their gradients a δ are equal and they stay equal: "
            "{units} units do the work of {distinct}.",
            "输入和输出权重都相等的单元有相等的 a 和 δ，梯度 a δ 也相等，因此永远相等：{units} 个单元只起 {distinct} "
            "个的作用。",
        ),
        ("Draw every weight at random.", "随机初始化每个权重。"),
    ),
    Rule(
        "vanishing-gradient",
        Urgency.NETWORK,
        _vanishing,
        (
            "‖δ‖ of the first of {layers} layers is {ratio:.2g} of that of the last.",
            "{layers} 层中第一层的 ‖δ‖ 只有最后一层的 {ratio:.2g}。",
        ),
        (
            "δˡ = (Wˡ⁺¹)ᵀ δˡ⁺¹ ⊙ σ'(zˡ): per layer the weights multiply ‖δ‖ by {weights:.3g} and σ' by {slopes:.3g} on average "
            "(σ' ≤ ¼ for the sigmoid), and {layers} layers multiply these factors.",
            "δˡ = (Wˡ⁺¹)ᵀ δˡ⁺¹ ⊙ σ'(zˡ)：每层的权重平均把 ‖δ‖ 乘以 {weights:.3g}，σ' 乘以 {slopes:.3g}（对 sigmoid，σ' ≤ "
            "¼），{layers} 层连乘。",
        ),
        (
            "Use ReLU with 'he_normal', normalisation, or residual connections; or fewer layers.",
            "改用 ReLU 和 'he_normal'，加归一化或残差连接；或减少层数。",
        ),
        (
            "Train again with --activation relu, or with fewer layers (--hidden 128,128).",
            "用 --activation relu 或更少的层（--hidden 128,128）重新训练。",
        ),
    ),
    Rule(
        "rank-collapse",
        Urgency.NETWORK,
        _collapsed,
        (
            "The {units} units of layer {layer} move together: z spreads in {rank:.2f} directions, its input in {before:.2f}.",
            "第 {layer} 层的 {units} 个单元一起变化：z 只在 {rank:.2f} 个方向上变化，而它的输入有 {before:.2f} 个。",
        ),
        (
            "(Σ s²)² / Σ s⁴ over the singular values s of the centred z is 1 when all rows of W are multiples of one: "
            "whatever tells samples "
            "apart in other directions is lost for all later layers.",
            "对中心化的 z 的奇异值 s，(Σ s²)² / Σ s⁴ = 1 表示 W 的各行都是同一行的倍数：其他方向上区分样本的信息，"
            "后面各层都得不到。",
        ),
        (
            "Draw the weights of this layer anew ('orthogonal' keeps all directions).",
            "重新初始化这一层的权重（'orthogonal' 保留所有方向）。",
        ),
    ),
    Rule(
        "dead-units",
        Urgency.NETWORK,
        _dead,
        (
            "{share:.0%} of the units of layer {layer} are 0 for every sample.",
            "第 {layer} 层有 {share:.0%} 的单元对所有样本的输出都是 0。",
        ),
        (
            "ReLU'(z) = 0 for z < 0, so δ = 0 and nothing moves W and b of such a unit again: the layer passes on "
            "{slope:.2g} of the "
            "gradient (σ' factor). Large negative biases and too long steps do this.",
            "z < 0 时 ReLU'(z) = 0，于是 δ = 0，这些单元的 W 和 b 不再变化：该层只传回 {slope:.2g} 的梯度（σ' 因子）。"
            "过大的负偏置和过大的步长会造成这种情况。",
        ),
        (
            "Draw the layer anew with biases 0, use a smaller learning rate, or LeakyReLU.",
            "重新初始化该层并把偏置设为 0，或减小学习率，或改用 LeakyReLU。",
        ),
        (
            "Train again with a smaller --learning-rate, or --activation leaky-relu.",
            "用更小的 --learning-rate 或 --activation leaky-relu 重新训练。",
        ),
    ),
    Rule(
        "saturated-units",
        Urgency.NETWORK,
        _saturated,
        (
            "In layer {layer}, {share:.0%} of the values lie where {activation} is flat (|z| is {z:.3g} rms).",
            "第 {layer} 层有 {share:.0%} 的值落在 {activation} 的平坦区（|z| 的均方根为 {z:.3g}）。",
        ),
        (
            "σ' = σ(1 − σ) and tanh' = 1 − tanh² go to 0 as |z| grows; δ = ∂C/∂a ⊙ σ'(z) keeps only {slope:.2g} of its "
            "size here.",
            "|z| 增大时 σ' = σ(1 − σ) 和 tanh' = 1 − tanh² 趋于 0；δ = ∂C/∂a ⊙ σ'(z) 在这里只剩 {slope:.2g} 倍。",
        ),
        (
            "Draw smaller weights ('xavier_uniform'), or normalise before the activation.",
            "用更小的初始权重（'xavier_uniform'），或在激活函数前做归一化。",
        ),
        (
            "Train again with a smaller --learning-rate, or --activation relu.",
            "用更小的 --learning-rate 或 --activation relu 重新训练。",
        ),
    ),
    Rule(
        "exploding-signal",
        Urgency.NETWORK,
        _exploding,
        (
            "Each of the {layers} layers multiplies the signal by {factor:.3g} on average, together by {total:.3g}; "
            "‖δ‖ of the first layer is {back:.3g} times that of the last.",
            "{layers} 层中每层平均把信号放大 {factor:.3g} 倍，合计 {total:.3g} 倍；第一层的 ‖δ‖ 是最后一层的 {back:.3g} 倍。",
        ),
        (
            "var(z) = fan_in · var(w) · mean(a²): the size is kept where var(w) = 1 / fan_in (2 / fan_in before ReLU), and "
            "else grows "
            "like a power of the depth, forward and backward.",
            "var(z) = fan_in · var(w) · mean(a²)：当 var(w) = 1 / fan_in（ReLU 前为 2 / fan_in）时大小不变，"
            "否则前向和反向都随深度按幂增长。",
        ),
        (
            "Draw the weights with 'he_normal' before ReLU and 'xavier_uniform' before tanh and σ.",
            "ReLU 前用 'he_normal'，tanh 和 σ 前用 'xavier_uniform' 初始化权重。",
        ),
    ),
    Rule(
        "missing-bias",
        Urgency.NETWORK,
        _missing_bias,
        (
            "No layer has a bias, and the targets have the mean {mean:.4g} (standard deviation {deviation:.4g}).",
            "没有任何一层有偏置，而目标值的均值为 {mean:.4g}（标准差 {deviation:.4g}）。",
        ),
        (
            "Without b, z = W a, so f(0) = 0 for ReLU and tanh, and W must make up the mean out of the features, in each "
            "sample anew.",
            "没有 b 时 z = W a，用 ReLU 和 tanh 时 f(0) = 0，W 只能用每个样本的特征去凑出这个均值。",
        ),
        (
            "Give the layers a bias, the last one at least, or centre the targets.",
            "给各层（至少最后一层）加上偏置，或把目标值居中。",
        ),
    ),
    Rule(
        "loss-at-start",
        Urgency.NETWORK,
        _bad_start,
        (
            "The loss is {loss:.4g}; an uninformed network has {formula} = {expected:.4g}.",
            "损失为 {loss:.4g}；而没有学到任何东西的网络应为 {formula} = {expected:.4g}。",
        ),
        (
            "The outputs are {z:.3g} (rms) before anything is learnt, so predictions are confidently wrong, and the first "
            "steps only undo this.",
            "还没有学到任何东西，输出的均方根就达到 {z:.3g}：预测错误而自信，最初的许多步只是在消除它。",
        ),
        ("Draw smaller weights, above all in the last layer.", "用更小的初始权重，尤其是最后一层。"),
    ),
)
