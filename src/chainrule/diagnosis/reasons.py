"""Why an operation gives NaN or infinity, and what helps: told from the operation and what it read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.ir import DType
from chainrule.ops import lookup

Text = tuple[str, str]  # English, Chinese


@dataclass(frozen=True)
class Reason:
    """One way to become NaN or infinite.

    Attributes:
        text: what happened; {largest} is filled with the largest number of the dtype.
        fix: what to do about it.
    """

    text: Text
    fix: Text


_KEEP_AWAY = (
    "Keep that value away from 0: add a small constant, or use a loss on scores, which needs no logarithm of its own.",
    "让该值远离 0：加一个小常数，或改用直接作用于得分的损失。",
)
_MAKE_SMALLER = (
    "Scale the data, draw smaller weights, or limit the gradients with clip_norm=1.0.",
    "缩放数据，减小初始权重，或用 clip_norm=1.0 限制梯度。",
)
_CHECK_SIGN = ("Check the sign of that value, or take its absolute value or square.", "检查该值的符号，或取其绝对值或平方。")

REASONS: Mapping[str, Reason] = {
    "log-of-zero": Reason(("the logarithm of 0 is −∞", "0 的对数是 −∞"), _KEEP_AWAY),
    "log-of-negative": Reason(
        ("the logarithm of a negative number is not defined", "负数的对数没有定义"),
        ("Keep that value above 0, by a softplus or an exp, say.", "让该值大于 0，例如用 softplus 或 exp。"),
    ),
    "root-of-negative": Reason(("the root of a negative number is not defined", "负数的平方根没有定义"), _CHECK_SIGN),
    "zero-by-zero": Reason(
        ("0 / 0 is not defined", "0 / 0 没有定义"),
        ("Add a small constant to the denominator.", "给分母加一个小常数。"),
    ),
    "by-zero": Reason(
        ("division by 0", "除以 0"), ("Add a small constant to the denominator.", "给分母加一个小常数。")
    ),
    "zero-to-negative": Reason(("0 to a negative power is a division by 0", "0 的负数次幂就是除以 0"), _KEEP_AWAY),
    "negative-to-fraction": Reason(
        ("a negative number to a power that is not whole is not defined", "负数的非整数次幂没有定义"), _CHECK_SIGN
    ),
    "exp-overflow": Reason(
        ("e^x is larger than {largest} from x = {limit} on", "x 从 {limit} 起，e^x 就超过 {largest}"),
        (
            "Make its argument smaller, or subtract the largest value first, as softmax and logsumexp do.",
            "减小它的自变量，或先减去最大值（softmax 和 logsumexp 就是这样做的）。",
        ),
    ),
    "overflow": Reason(
        ("larger than {largest}, the largest number of this dtype", "超过了该类型的最大数 {largest}"), _MAKE_SMALLER
    ),
    "undefined": Reason(("not defined for these values", "对这些值没有定义"), _MAKE_SMALLER),
    "handed-in": Reason(
        ("nothing in this step made it", "并非由这一步产生"),
        ("Check where this value comes from.", "检查这个值的来源。"),
    ),
    "blown-up": Reason(
        (
            "the weights have blown up: the largest is {weight} now",
            "权重已经发散：最大的为 {weight}",
        ),
        (
            "The learning rate {rate} is too high: use a smaller one, or limit the gradients with clip_norm=1.0.",
            "学习率 {rate} 太大：请减小学习率，或用 clip_norm=1.0 限制梯度。",
        ),
    ),
}  # fmt: skip


def reason_for(op: str, value: float, read: Sequence[float] | None) -> str:
    """The key in `REASONS` for a result that is NaN or infinite.

    Args:
        op: the primitive.
        value: what it gave.
        read: what an elementwise one read at that place; None for others.
    """
    undefined = lookup(op).facts.undefined
    if read is not None and undefined is not None and all(map(math.isfinite, read)):
        return undefined(read)
    return "undefined" if math.isnan(value) else "overflow"


def limits(dtype: DType) -> dict[str, str]:
    """What fills the texts: the largest number of a dtype, and from where on eˣ exceeds it."""
    largest = float(np.finfo(dtype).max) if dtype.kind == "f" else math.inf
    return {"largest": f"{largest:.3g}", "limit": f"{math.log(largest):.4g}" if math.isfinite(largest) else "∞"}
