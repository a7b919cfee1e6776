"""The phrases in pictures, in English and Chinese."""

from __future__ import annotations

from chainrule.language import Catalogue, Language, Phrase

PHRASES: dict[str, Phrase] = {
    # titles
    "graph-of": ("Graph of {output}", "{output} 的计算图"),
    "network": ("Network", "网络"),
    "curves": ("Learning curves", "学习曲线"),
    "regions": ("Decision regions", "决策区域"),
    "predictions": ("Predictions", "预测值"),
    "flow": ("Gradient flow", "梯度流动"),
    # graphs and networks
    "value": ("above a line: value, or shape", "线上方：值或形状"),
    "gradient": ("below: ∂{output}/∂value", "线下方：∂{output}/∂值"),
    "gradient-norm": ("below: ∂{output}/∂value, ‖·‖ its norm", "线下方：∂{output}/∂值，‖·‖ 为其范数"),
    "data": ("data", "数据"),
    "theta": ("θ: the parameters in a box", "θ：框中的参数"),
    "operations": ("{count} operations", "{count} 个运算"),
    "layers": ("{count} layers", "{count} 层"),
    "layer-path": ("layer {path}", "第 {path} 层"),
    "parameters": ("{count} parameters", "{count} 个参数"),
    "one-parameter": ("1 parameter", "1 个参数"),
    "positive-weight": ("— positive weight", "— 正权重"),
    "negative-weight": ("— negative weight", "— 负权重"),
    "width": ("the thicker, the larger within its layer", "越粗，在该层中越大"),
    "bias": ("b below a unit: its bias", "单元下方的 b：偏置"),
    "input": ("input", "输入"),
    "output": ("output {shape}", "输出 {shape}"),
    # decision regions
    "class": ("class {number}", "类别 {number}"),
    "misclassified": ("wrong: {count}", "错误：{count}"),
    # learning curves
    "training": ("training", "训练"),
    "validation": ("validation", "验证"),
    "epoch": ("epoch", "轮次"),
    "best": ("best: epoch {epoch}", "最佳：第 {epoch} 轮"),
    "loss": ("Loss", "损失"),
    "lr": ("Learning rate", "学习率"),
    "stopped-early": (
        "Stopped early: {monitor} did not improve for {patience} epochs.",
        "提前停止：{monitor} 连续 {patience} 轮没有改善。",
    ),
    "interrupted": ("Interrupted.", "训练被中断。"),
    "stopped": ("Stopped: {reason}.", "已停止：{reason}。"),
    # gradient flow
    "layer": ("layer", "层"),
    "rms-weight": ("weights", "权重"),
    "rms-gradient": ("gradient of the loss by them", "损失对权重的梯度"),
    "rms": ("root mean square, logarithmic", "均方根，对数刻度"),
    "factor": ("‖δˡ‖ / ‖δˡ⁺¹‖ = weight factor × σ′ factor", "‖δˡ‖ / ‖δˡ⁺¹‖ = 权重因子 × σ′ 因子"),
}

phrase = Catalogue(PHRASES).phrase


def parameters(count: int, language: Language) -> str:
    """How many parameters."""
    return phrase("one-parameter", language) if count == 1 else phrase("parameters", language, count=f"{count:,}")
