"""Rules about learning, judged by short runs on copies, by held-out data, and by what happened so far."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from chainrule.diagnosis.measuring import Measurements
from chainrule.diagnosis.problem import rebuilt
from chainrule.diagnosis.rule import Rule, Sign, Urgency
from chainrule.nn.dense import dropouts

_MODERATE_DECAY, _MODERATE_DROPOUT = 1e-4, 0.3
_LITTLE_SHRINKAGE = 0.05
_PERMUTATIONS = 3
_DIFFERENCE = 0.15  # of what can be learnt; less can be luck, as the best rate is chosen on the labels as they are
_LAST_EPOCHS = 3
_FEW = 30  # samples below which permuted labels prove nothing


def _strong_decay(m: Measurements) -> Iterator[Sign]:
    optimizer = m.problem.optimizer
    if optimizer is None or not m.can_learn:
        return
    decay = max(float(group.settings.get("weight_decay", 0.0)) for group in optimizer.groups)
    if decay <= 10 * _MODERATE_DECAY:
        return
    if optimizer.rule.decoupled and decay * m.trials.rate * m.trials.steps < _LITTLE_SHRINKAGE:
        return  # W (1 − ηλ) in each step is all that it does, and in a short run that makes no difference
    free = m.trials.with_optimizer(rebuilt(optimizer, weight_decay=0.0), m.fresh_start)
    if free.end < m.as_trained.end - 0.2 * m.scale:
        penalty = decay * float(np.mean([n.weight for n in m.layers]))
        gradient = float(np.mean([n.gradient for n in m.layers]))
        evidence = {
            "weight_decay": decay,
            "penalty": penalty,
            "gradient": gradient,
            "loss": m.as_trained.end,
            "without": free.end,
        }
        yield Sign(None, evidence | {"steps": free.steps}, m.begun_again("set-weight-decay", weight_decay=_MODERATE_DECAY))


def _strong_dropout(m: Measurements) -> Iterator[Sign]:
    p = max((layer.p for layer in dropouts(m.problem.model)), default=0.0)
    if p <= 0.75 or not m.can_learn:
        return
    free = m.trials.without_dropout(m.fresh_start)
    if free.end < m.as_trained.end - 0.1 * m.scale:
        evidence = {"p": p, "noise": p / (1.0 - p), "loss": m.as_trained.end, "without": free.end, "steps": free.steps}
        yield Sign(None, evidence, m.begun_again("set-dropout", p=_MODERATE_DROPOUT))


def _rate_evidence(m: Measurements) -> dict[str, float]:
    assert m.problem.rate is not None
    epochs = m.problem.epochs
    seen = {"epochs": len(epochs), "first_epoch": epochs[0]["loss"], "last_epoch": epochs[-1]["loss"]} if epochs else {}
    return seen | {
        "rate": m.problem.rate,
        "steps": m.given.steps,
        "start": m.given.start,
        "loss": m.given.end,
        "best_rate": m.best.rate,
        "best_loss": m.best.end,
        "update": m.longest_update,
    }


def _rate_counts(m: Measurements) -> bool:
    """Whether there is a rate to judge, and something to gain by a good one."""
    if m.problem.optimizer is None or not m.can_learn or m.trials.start < 0.1 * m.scale:
        return False
    return m.given.start - m.best.end > 0.1 * m.scale


def _rate_too_high(m: Measurements) -> Iterator[Sign]:
    lost = (0.3 if m.longest_update <= 1.0 else 0.05) * m.scale  # steps longer than the weights need less of a proof
    if _rate_counts(m) and m.best.rate < 0.5 * m.given.rate and m.given.end > m.best.end + lost:
        yield Sign(None, _rate_evidence(m), m.begun_again("set-learning-rate", lr=m.best.rate))


def _rate_too_low(m: Measurements) -> Iterator[Sign]:
    if not _rate_counts(m) or m.best.rate < 50.0 * m.given.rate:
        return
    if m.given.start - m.given.end < 0.03 * (m.given.start - m.best.end):
        yield Sign(None, _rate_evidence(m), m.begun_again("set-learning-rate", lr=m.best.rate))


def _overfitted_since(m: Measurements) -> Iterator[Sign]:
    """The held-out loss has risen since an earlier epoch."""
    rows = [row for row in m.problem.epochs if "val_loss" in row]
    lowest = min(rows, key=lambda row: row["val_loss"], default=None)
    if m.can_learn and lowest is not None:
        now = m.held_out_loss
        # One bad epoch is noise, and early stopping may have gone back: all of the last epochs, and the network as it is now,
        # must be worse than the best epoch, and by more than a little.
        last = rows[-max(_LAST_EPOCHS, len(rows) // 10) :]
        least = min([row["val_loss"] for row in last] + ([] if now is None else [now]))
        if (
            least > max(1.15 * lowest["val_loss"], lowest["val_loss"] + 0.1 * m.scale)
            and last[-1]["loss"] < 0.9 * lowest["loss"]
        ):
            evidence = {"loss": last[-1]["loss"], "held_out": last[-1]["val_loss"]}
            yield Sign(None, evidence | {"lowest": lowest["val_loss"], "epoch": int(lowest["epoch"])})


def _overfitted(m: Measurements) -> Iterator[Sign]:
    """The held-out loss is far above that of the training data, and was at every epoch that is known of."""
    now = m.held_out_loss
    if not m.can_learn or now is None or any(_overfitted_since(m)):
        return
    training = m.trials.start
    if training < 0.5 * m.scale and now > 2.0 * training and now - training > 0.3 * m.scale:
        yield Sign(None, {"loss": training, "held_out": now})


def _other_data(m: Measurements) -> Iterator[Sign]:
    """The loss is that of a network that is wrong on purpose, though training brought it low."""
    if not m.trained or not m.can_learn or m.expected is None:
        return
    last = m.problem.epochs[-1] if m.problem.epochs else {}
    # A network that was as bad on the rows held out in training is overfitted: this may well be data of the same kind.
    reached = max(last.get("loss", math.nan), last.get("val_loss", -math.inf))
    if m.trials.start > 1.2 * m.expected.constant > 0 and not reached > 0.7 * m.expected.constant:
        yield Sign(evidence={"loss": m.trials.start, "constant": m.expected.constant, "reached": reached})


def _unrelated(m: Measurements) -> Iterator[Sign]:
    if not m.can_learn or len(m.x) < _FEW or m.relation.shows:
        return
    # What a network has learnt by heart it unlearns slowly: from its weights as they are, all labels but its own look hard.
    drawn = m.drawn_anew() if m.trained else None
    learnt = m.trials.with_weights(drawn) if drawn else m.best
    if not math.isfinite(learnt.end):
        return
    permuted = [t.end for t in m.trials.with_permuted_labels(learnt.rate / m.trials.rate, _PERMUTATIONS, drawn)]
    mean, deviation = float(np.mean(permuted)), float(np.std(permuted))
    if mean < 0.5 * m.scale:
        return  # few samples and many weights: any labels are soon learnt by heart, so that says nothing
    if math.isfinite(mean) and learnt.end > mean - max(3.0 * deviation, _DIFFERENCE * m.scale):
        evidence = {"loss": learnt.end, "permuted": mean, "deviation": deviation, "steps": learnt.steps, "constant": m.scale}
        near, chance, _ = m.relation.neighbours
        yield Sign(None, evidence | {"neighbours": near, "chance": chance})


_NOISE_LEARNT = (
    "Gradients follow the training samples, noise included; what lowers their loss further no longer lowers that "
    "of other samples.",
    "梯度只来自训练样本，包括其中的噪声；继续降低它们的损失，已不再降低其他样本的损失。",
)
_LESS_FREEDOM = (
    "Stop at the lowest held-out loss (cr.EarlyStopping); more data, weight_decay, dropout, or a smaller network.",
    "在留出损失最低时停止（cr.EarlyStopping）；增加数据、使用 weight_decay 或 dropout，或改用更小的网络。",
)
_LESS_FREEDOM_COMMAND = (
    "Stop at the lowest held-out loss (--patience 10); more rows, a larger --l2 or --dropout, or a smaller network "
    "(--hidden 32).",
    "在留出损失最低时停止（--patience 10）；增加数据，加大 --l2 或 --dropout，或用更小的网络（--hidden 32）。",
)

RULES = (
    Rule(
        "weight-decay-too-strong",
        Urgency.SETTINGS,
        _strong_decay,
        (
            "With weight_decay={weight_decay:g} the loss is {loss:.4g} after {steps} steps, without it {without:.4g}.",
            "weight_decay={weight_decay:g} 时，{steps} 步后损失为 {loss:.4g}；不加时为 {without:.4g}。",
        ),
        (
            "dW + reg W: the penalty's gradient is {penalty:.3g} (rms) where that of the loss is {gradient:.3g}, so the "
            "steps mainly shrink W.",
            "dW + reg W：正则化项的梯度均方根为 {penalty:.3g}，损失的梯度为 {gradient:.3g}，所以每步主要是在缩小 W。",
        ),
        ("Use 1e-4, and more only if the network overfits.", "改用 1e-4，只在过拟合时再加大。"),
        (
            "Try --l2 1e-4, and more only if the network overfits.",
            "试试 --l2 1e-4，只在过拟合时再加大。",
        ),
    ),
    Rule(
        "dropout-too-strong",
        Urgency.SETTINGS,
        _strong_dropout,
        (
            "With p={p:g} the loss is {loss:.4g} after {steps} steps, without dropout {without:.4g}.",
            "p={p:g} 时，{steps} 步后损失为 {loss:.4g}；不用 dropout 时为 {without:.4g}。",
        ),
        (
            "a·mask/(1 − p) has the mean a and the variance a² p / (1 − p): noise of {noise:.3g} times the signal's square "
            "in every step.",
            "a·mask/(1 − p) 的均值为 a，方差为 a² p / (1 − p)：每一步的噪声是信号平方的 {noise:.3g} 倍。",
        ),
        ("Use p from 0.1 to 0.5.", "p 取 0.1 到 0.5。"),
        ("Try --dropout 0.1, at most 0.5.", "试试 --dropout 0.1，最多 0.5。"),
    ),
    Rule(
        "learning-rate-too-high",
        Urgency.SETTINGS,
        _rate_too_high,
        (
            "At lr={rate:.3g} the loss goes from {start:.4g} to {loss:.4g} in {steps} steps, at {best_rate:.3g} to "
            "{best_loss:.4g}.",
            "lr={rate:.3g} 时，损失在 {steps} 步内从 {start:.4g} 变到 {loss:.4g}；lr={best_rate:.3g} 时变到 {best_loss:.4g}。",
        ),
        (
            "C(W − η dW) ≈ C − η ‖dW‖² + ½ η² dWᵀ H dW: above η = 2 / λ_max(H) the second term wins and steps climb. "
            "A step changes a weight matrix by {update:.2g} of its size; 0.001 to 0.01 is usual.",
            "C(W − η dW) ≈ C − η ‖dW‖² + ½ η² dWᵀ H dW：当 η > 2 / λ_max(H) 时二次项占优，损失上升。"
            "一步使权重矩阵改变其大小的 {update:.2g}；通常为 0.001 到 0.01。",
        ),
        ("Set the learning rate to about {best_rate:.2g}.", "把学习率设为约 {best_rate:.2g}。"),
        ("Try --learning-rate {best_rate:.2g}.", "试试 --learning-rate {best_rate:.2g}。"),
        alone=True,
    ),
    Rule(
        "learning-rate-too-low",
        Urgency.SETTINGS,
        _rate_too_low,
        (
            "At lr={rate:.3g} the loss goes from {start:.4g} to {loss:.4g} in {steps} steps, at {best_rate:.3g} to "
            "{best_loss:.4g}.",
            "lr={rate:.3g} 时，损失在 {steps} 步内从 {start:.4g} 变到 {loss:.4g}；lr={best_rate:.3g} 时变到 {best_loss:.4g}。",
        ),
        (
            "C(W − η dW) ≈ C − η ‖dW‖²: the gain of a step is proportional to η. "
            "A step changes a weight matrix by {update:.2g} of its size; 0.001 to 0.01 is usual.",
            "C(W − η dW) ≈ C − η ‖dW‖²：每步的下降与 η 成正比。一步使权重矩阵改变其大小的 {update:.2g}；通常为 0.001 到 0.01。",
        ),
        ("Set the learning rate to about {best_rate:.2g}.", "把学习率设为约 {best_rate:.2g}。"),
        ("Try --learning-rate {best_rate:.2g}.", "试试 --learning-rate {best_rate:.2g}。"),
        alone=True,
    ),
    Rule(
        "unrelated-labels",
        Urgency.OUTCOME,
        _unrelated,
        (
            "After {steps} steps the loss is {loss:.4g} with the labels as they are and {permuted:.4g} ± {deviation:.2g} "
            "with labels dealt out at random; nearest neighbours differ by {neighbours:.3g}, random pairs by {chance:.3g}: "
            "there is no difference.",
            "{steps} 步后，用原标签时损失为 {loss:.4g}，把标签随机打乱后为 {permuted:.4g} ± {deviation:.2g}；"
            "最近邻的目标值相差 {neighbours:.3g}，随机配对相差 {chance:.3g}：没有差别。",
        ),
        (
            "If x says something of y, learning from pairs (x, y) is faster than from pairs that do not belong together; "
            "the loss then "
            "falls below that of the best constant prediction, {constant:.4g}.",
            "如果 x 含有 y 的信息，从配对的 (x, y) 学习就会比从错配的快；损失会降到最优常数预测的 {constant:.4g} 以下。",
        ),
        (
            "Check that rows of X and y belong together (sorting, joining, shuffling one of them), and that the features "
            "can tell.",
            "检查 X 和 y 的行是否对应（排序、连接，或只打乱了其中之一），以及特征是否含有所需信息。",
        ),
        alone=True,
    ),
    Rule(
        "overfitting",
        Urgency.OUTCOME,
        _overfitted_since,
        (
            "The loss is {loss:.4g} on the training data and {held_out:.4g} on held-out data (lowest {lowest:.4g}, epoch "
            "{epoch}).",
            "训练数据上的损失为 {loss:.4g}，留出数据上为 {held_out:.4g}（最低 {lowest:.4g}，第 {epoch} 轮）。",
        ),
        _NOISE_LEARNT,
        _LESS_FREEDOM,
        _LESS_FREEDOM_COMMAND,
    ),
    Rule(
        "overfitting",
        Urgency.OUTCOME,
        _overfitted,
        (
            "The loss is {loss:.4g} on the training data and {held_out:.4g} on held-out data.",
            "训练数据上的损失为 {loss:.4g}，留出数据上为 {held_out:.4g}。",
        ),
        _NOISE_LEARNT,
        _LESS_FREEDOM,
        _LESS_FREEDOM_COMMAND,
    ),
    Rule(
        "other-data",
        Urgency.AIMLESS,
        _other_data,
        (
            "The trained network has the loss {loss:.4g} on this data, where the best constant prediction has {constant:.4g}; "
            "training ended at {reached:.4g}.",
            "训练过的网络在这份数据上的损失为 {loss:.4g}，而最优常数预测为 {constant:.4g}；训练结束时为 {reached:.4g}。",
        ),
        (
            "What is below {constant:.4g} was learnt from x. Above it the network is confidently wrong: f was learnt for other "
            "pairs (x, y), with other columns, another scale, or classes numbered otherwise.",
            "低于 {constant:.4g} 的部分是从 x 学到的。高于它说明网络错得很自信：f 是从另一种 (x, y) 学来的，"
            "列、尺度或类别编号不同。",
        ),
        (
            "Compare how the data was read and encoded with how it was in training: columns, scaling, numbering of classes.",
            "对比这份数据与训练数据的读取和编码方式：列、缩放、类别编号。",
        ),
    ),
)
