"""The phrases of a report, in English and Chinese."""

from __future__ import annotations

import html
import re

from chainrule.fitting.metrics import METRICS
from chainrule.language import Phrase

_TAGS = ("en", "zh-Hans")

PHRASES: dict[str, Phrase] = {
    "title": ("Learning to predict “{target}” from {source}", "从 {source} 学习预测“{target}”"),
    # sections
    "data": ("Data", "数据"),
    "settings": ("Settings", "设置"),
    "curves": ("Learning curves", "学习曲线"),
    "quality": ("How good it is", "效果"),
    "network": ("Network", "网络"),
    "flow": ("Gradient flow", "梯度流动"),
    "diagnosis": ("Diagnosis", "诊断"),
    "sample": ("Backward pass of one sample", "一个样本的反向传播"),
    # data
    "rows": ("{train} rows to train on, {held} held out.", "{train} 行用于训练，留出 {held} 行用于评估。"),
    "rows-all": (
        "{train} rows: too few to hold any out, so the network is judged on the rows that it was trained on.",
        "共 {train} 行：太少，无法留出数据，因此在训练数据上评估网络。",
    ),
    "dropped": ("Rows without a target, which are left out: {count}.", "{count} 行缺少目标值，未使用。"),
    "classes": ("“{target}” is one of {count} classes: {classes}.", "“{target}”是 {count} 个类别之一：{classes}。"),
    "number": (
        "“{target}” is a number; over the training rows its mean is {mean} and its standard deviation {std}.",
        "“{target}”是数值；在训练数据上均值为 {mean}，标准差为 {std}。",
    ),
    "number-of": ("number", "数量"),
    "columns": ("columns", "列"),
    "column": ("column", "列"),
    "kind": ("kind", "类型"),
    "missing": ("missing", "缺失"),
    "inputs": ("inputs", "输入数"),
    "treatment": ("treatment", "处理方式"),
    # settings
    "none": ("none", "无"),
    # curves
    "standardised": (
        "Loss and root mean squared error are those of the standardised target.",
        "损失和均方根误差均针对标准化后的目标值。",
    ),
    "epochs": ("{count} epochs in {seconds} s.", "{count} 轮，用时 {seconds} 秒。"),
    "one-epoch": ("1 epoch in {seconds} s.", "1 轮，用时 {seconds} 秒。"),
    "stopped": ("Training stopped early:", "训练提前结束："),
    # quality
    "judged": ("On the {count} held-out rows:", "在 {count} 行留出数据上："),
    "judged-training": ("On the {count} training rows:", "在 {count} 行训练数据上："),
    "chose": (
        "These rows also chose the epoch at which training ended, so the measures are a little optimistic.",
        "这些数据也决定了训练在哪一轮结束，因此指标略偏乐观。",
    ),
    "averaged": (
        "The weights were averaged at the end, over the epochs of the second half; the learning curves show them before.",
        "训练结束时对后半程各轮的权重取了平均；学习曲线显示的是平均之前的权重。",
    ),
    "measure": ("measure", "指标"),
    "of-network": ("network", "网络"),
    "baseline": ("baseline", "基线"),
    "baseline-class": (
        "The baseline is the best constant answer: the most frequent class of the training rows, and for the log loss the "
        "share of each class.",
        "基线是最好的常数预测：训练数据中最常见的类别；对数损失则用各类别所占的比例。",
    ),
    "baseline-mean": (
        "The baseline is the best constant answer: the mean of the training rows, and for the absolute error their median.",
        "基线是最好的常数预测：训练数据的均值；绝对误差则用中位数。",
    ),
    "worse": (
        "A constant answer beats this network (the diagnosis below may say why) in:",
        "以下指标上，常数预测胜过这个网络（原因见下面的诊断）：",
    ),
    "best-epoch": (
        "The weights are those of epoch {epoch}: on these rows they are better than those at the end, by more than the "
        "standard error. The rows chose the epoch, so the measures are a little optimistic.",
        "权重取自第 {epoch} 轮：在这些数据上，它们比训练结束时的权重好，且差距大于标准误差。这一轮由这些数据选出，"
        "因此指标略偏乐观。",
    ),
    "balanced_accuracy": ("balanced accuracy", "平衡准确率"),
    "log_loss": ("log loss", "对数损失"),
    "r2": ("R²", "R²"),
    "regions": ("The answers all over the plane", "整个平面上的预测"),
    "regions-what": (
        "Both columns in their own units; the points are the rows that were judged.",
        "两列都用各自的单位；点是上面用于评估的行。",
    ),
    "confusion": (
        "Confusion matrix: one row per true class, one column per answer",
        "混淆矩阵：每行一个真实类别，每列一个预测类别",
    ),
    "confused": ("The classes that are most often taken for another", "最常被混淆的类别"),
    "no-mistake": ("No row was taken for another class.", "没有一行被分错类别。"),
    "truth": ("truth", "真实"),
    "answer": ("answer", "预测"),
    "count": ("rows", "行数"),
    "answers-plot": (
        "Answer (upwards) by true value; the dashed line is a perfect answer",
        "纵轴：预测值，横轴：真实值；虚线处预测完全正确",
    ),
    "residuals-plot": ("Residual, truth − answer (upwards), by answer", "纵轴：残差（真实值 − 预测值），横轴：预测值"),
    "thinned": ("{shown} of {count} rows are drawn.", "图中画出 {count} 行中的 {shown} 行。"),
    # network
    "layer": ("layer", "层"),
    "shape": ("output of one sample", "单个样本的输出形状"),
    "parameters": ("parameters", "参数数"),
    "all-parameters": ("{count} parameters.", "共 {count} 个参数。"),
    "drawing-network": (
        "Small networks are drawn with every weight, and every unit with its value for the sample below; large ones layer by "
        "layer, with the shape of one sample between them.",
        "小网络画出每个权重以及每个单元对下文样本的取值；大网络逐层画出，层与层之间是单个样本的形状。",
    ),
    # flow
    "flow-what": (
        "Root mean square of the weights, and of the gradient of the loss by them, over {count} training rows at the end of "
        "training (dropout off). Gradients that get much smaller from the last layer to the first vanish; ones that get much "
        "larger explode. On the right, what happens to the error term δ = ∂L/∂z on its way back through a layer.",
        "训练结束时，在 {count} 行训练数据上（不使用 dropout），各层权重的均方根以及损失对权重的梯度的均方根。"
        "从最后一层到第一层，梯度若大幅变小则为梯度消失，大幅变大则为梯度爆炸。"
        "右侧是误差项 δ = ∂L/∂z 反向经过一层时的变化。",
    ),
    # diagnosis
    "diagnosis-healthy": (
        "Nothing found; {count} things were checked in the data, the network, and the history of this run.",
        "没有发现问题：根据数据、网络和训练历史，共检查了 {count} 项。",
    ),
    "diagnosis-found": (
        "{found} of {count} checks of the data, the network, and the history of this run found something wrong; the first is "
        "to be put right first.",
        "根据数据、网络和训练历史检查了 {count} 项，发现 {found} 个问题；应先解决排在最前的问题。",
    ),
    "in-layer": ("layer {layer}", "第 {layer} 层"),
    "why": ("Why", "原因"),
    "change": ("What to change", "建议"),
    "evidence": ("Evidence", "证据"),
    "layer-numbers": ("The layers in one forward and one backward pass", "一次前向和反向传播中的各层"),
    "activation": ("activation", "激活函数"),
    "rms-z": ("rms z", "z 的均方根"),
    "rms-dw": ("rms ∂C/∂W", "∂C/∂W 的均方根"),
    "update": ("ΔW / W", "ΔW / W"),
    "delta": ("‖δ‖", "‖δ‖"),
    "weight-factor": ("weight factor", "权重因子"),
    "slope-factor": ("σ′ factor", "σ′ 因子"),
    "dead": ("dead units", "失活单元"),
    "saturated": ("saturated", "饱和"),
    "rank": ("directions", "方向数"),
    "layer-numbers-what": (
        "In training mode, over up to 256 training rows. ΔW / W: what a step at the largest learning rate of the run changes, "
        "by the size of the weights. ‖δˡ‖ / ‖δˡ⁺¹‖ is the weight factor times the σ′ factor: many factors well below 1 make "
        "the gradient vanish, many above 1 make it explode. Dead units are 0 for every row; directions is "
        "the number in which z spreads.",
        "在训练模式下，最多 256 行训练数据。ΔW / W：以训练中最大的学习率走一步，权重相对自身大小的变化。"
        "‖δˡ‖ / ‖δˡ⁺¹‖ 等于权重因子乘以 σ′ 因子：许多因子远小于 1 时梯度消失，大于 1 时梯度爆炸。"
        "失活单元对每一行的输出都是 0；方向数是 z 变化的有效维数。",
    ),
    # sample
    "which": (
        "Held-out row {row} of {count}, the one with the largest error.",
        "留出数据的第 {row} 行（共 {count} 行），即误差最大的一行。",
    ),
    "which-training": (
        "Training row {row} of {count}, the one with the largest error.",
        "训练数据的第 {row} 行（共 {count} 行），即误差最大的一行。",
    ),
    "said-class": (
        "Truth: “{truth}”; the network answers “{answer}”, with probability {p}.",
        "真实类别：“{truth}”；网络预测为“{answer}”，概率为 {p}。",
    ),
    "said-number": ("Truth: {truth}; the network answers {answer}.", "真实值：{truth}；网络预测为 {answer}。"),
    "network-reads": ("What the network reads", "网络的输入"),
    "network-reads-some": (
        "What the network reads: the {shown} largest of {count} inputs",
        "网络的输入：{count} 个中最大的 {shown} 个",
    ),
    "too-deep": (
        "The network has {layers} layers: its derivation would fill a book, and is left out.",
        "网络有 {layers} 层，完整推导过长，这里略去。",
    ),
    "all-layers": (
        "L is the loss of this row (dropout off). Every step is read off the graph that ran; matrices too large to be written "
        "out are given by their shape and range.",
        "L 是这一行的损失（不使用 dropout）。每一步都取自实际运行的计算图；太大的矩阵只给出形状和取值范围。",
    ),
    "one-weight": ("One weight", "一个权重"),
    "weight-of-table": (
        "The weight of the first layer with the largest gradient: from input {column} (“{name}”) to unit {unit}, counted "
        "from 0.",
        "第一层中梯度最大的权重：从输入 {column}（“{name}”）到单元 {unit}，从 0 开始编号。",
    ),
    "weight-of-head": (
        "The weight with the largest gradient in the first dense layer: from number {column} of the flattened feature maps f "
        "to unit {unit}, counted from 0. f is taken as given here, and the dense layers after it are counted from 1.",
        "第一个全连接层中梯度最大的权重：从展平的特征图 f 的第 {column} 个数到单元 {unit}，从 0 开始编号。"
        "这里把 f 看作已知，其后的全连接层从 1 开始编号。",
    ),
    # parts that are not there
    "missing-package": (
        'This part needs the package {package}, which is not installed. It comes with: pip install "chainrule[app]"',
        '这一部分需要未安装的软件包 {package}。安装方法：pip install "chainrule[app]"',
    ),
    "not-made": ("This part could not be made: {error}", "无法生成这一部分：{error}"),
}

SETTINGS: dict[str, Phrase] = {
    "target": ("target", "目标列"),
    "task": ("task", "任务"),
    "include": ("columns included", "额外使用的列"),
    "exclude": ("columns excluded", "排除的列"),
    "kinds": ("kinds of columns", "指定的列类型"),
    "missing": ("words for missing values", "表示缺失值的词"),
    "delimiter": ("delimiter", "分隔符"),
    "image_size": ("height and width of pictures", "图片的高和宽"),
    "encoding": ("encoding", "文字编码"),
    "hidden": ("units of the hidden layers", "隐藏层单元数"),
    "activation": ("activation", "激活函数"),
    "dropout": ("dropout", "随机失活（dropout）"),
    "loss": ("loss", "损失函数"),
    "optimizer": ("optimiser", "优化器"),
    "learning_rate": ("learning rate", "学习率"),
    "schedule": ("schedule of the learning rate", "学习率调度"),
    "l2": ("L2 penalty", "L2 惩罚"),
    "batch_size": ("batch size", "批大小"),
    "epochs": ("epochs", "轮数"),
    "validation": ("share held out", "留出比例"),
    "class_weight": ("weights of classes", "类别权重"),
    "patience": ("patience", "早停耐心轮数"),
    "seed": ("seed", "随机种子"),
    "backend": ("backend", "后端"),
}

KINDS: dict[str, str] = {
    "numeric": "数值", "boolean": "布尔", "categorical": "类别", "text": "文本", "date": "日期", "identifier": "标识符",
    "constant": "常量", "empty": "空",
}  # fmt: skip

# What `FeatureEncoder.describe` says of a column, and a history of why training stopped, piece by piece.
_SENTENCES: tuple[tuple[str, str], ...] = (
    (r"days since 1970-01-01, standardised", "自 1970-01-01 起的天数，标准化"),
    (r"time of day, standardised", "一天中的时刻，标准化"),
    (r"; beside it hour", "；另有小时"),
    (r"; beside it weekday", "；另有星期"),
    (r"; beside it month", "；另有月份"),
    (r", weekday", "、星期"),
    (r", month", "、月份"),
    (r"([\d,]+) cells? says? '(.*?)'", r"\1 个单元格写着“\2”"),
    (r"(\d+) more words mean missing", r"另有 \1 个词表示缺失"),
    (r"; in '(.*?)'", r"；单位“\1”"),
    (r"; '(.*?)' is ([-\d.e+]+)", r"；“\1”读作 \2"),
    (r"'(.*?)' may be a code: --kind '(.*?)' reads words", r"“\1”可能是代码：--kind '\2' 按文字读取"),
    (
        r"few different large numbers, which may be codes: --kind '(.*?)' reads words",
        r"只有几个不同的大数，可能是代码：--kind '\1' 按文字读取",
    ),
    (
        r"numbers of so many digits are rounded, and may be codes: --kind '(.*?)' leaves them out",
        r"位数这么多的数会被舍入，可能是代码：--kind '\1' 不使用它们",
    ),
    (r"numbers (in '.*'|without a unit)$", r"单位不同的数值：\1"),
    (r"(?: and )?without a unit", "、无单位"),
    (r"：、", "："),
    (r" and in '(.*?)'", r"、“\1”"),
    (r"(：|、)in '(.*?)'", r"\1“\2”"),
    (r"these may be dates: --kind '(.*?)' reads them", r"这些可能是日期：用 --kind '\1' 读取"),
    (
        r"([\d,]+) of ([\d,]+) cells are numbers, and (.*) are not",
        r"\2 个单元格中有 \1 个是数值，\3 不是",
    ),
    (r"cells such as '(.*?)' are not read as numbers", r"像“\1”这样的单元格不是数值"),
    (r"cells such as '(.*?)' are not read as dates", r"像“\1”这样的单元格不能读作日期"),
    (r"0 or 1, standardised", "0 或 1，标准化"),
    (r"standardised", "标准化"),
    (r" after arsinh \(heavy tails\)", "（重尾，先取 arsinh）"),
    (r"; missing filled with the median and marked", "；缺失值用中位数填补并标记"),
    (r"one-hot, (\d+) categories", r"独热编码，\1 个类别"),
    (r", (\d+) rare ones pooled", r"，另有 \1 个罕见类别合并"),
    (r"; missing is a category", "；缺失值作为一个类别"),
    (r"left out: ", "未使用："),
    (r"it identifies rows", "只标识各行"),
    (r"it has too many different values", "不同的值太多"),
    (r"it has one value only", "只有一个值"),
    (r"it has no values in the training rows", "在训练数据中没有值"),
    (r"it has no values", "没有值"),
    (r"excluded", "被排除"),
    (
        r"dates that could be (.*?): name the order with --kind '(.*?)'",
        r"日期的顺序可能是 \1：请用 --kind '\2' 指明顺序",
    ),
    (r"(?<=year|/day) or (?=day|month|year)", " 或 "),
    (
        r"(\w+) did not improve for (\d+) epochs; the best was epoch (\d+)",
        r"\1 连续 \2 轮没有改善；最好的是第 \3 轮",
    ),
    (r"interrupted", "被中断"),
)


def both(english: str, chinese: str) -> str:
    """HTML of one thing in both languages, of which the page shows one."""
    if english == chinese:
        return english
    return f'<span lang="{_TAGS[0]}">{english}</span><span lang="{_TAGS[1]}">{chinese}</span>'


def divided(bodies: Phrase) -> str:
    """Blocks of HTML in both languages."""
    return "".join(f'<div lang="{tag}">{body}</div>' for tag, body in zip(_TAGS, bodies, strict=True))


def say(key: str, **values: object) -> str:
    """HTML of a phrase in both languages, its blanks filled with text (which is escaped)."""
    escaped = {name: html.escape(str(value)) for name, value in values.items()}
    english, chinese = (html.escape(text).format(**escaped) for text in _texts(key))
    return both(english, chinese)


def _texts(key: str) -> tuple[str, str]:
    """A phrase, or what a metric is called."""
    metric = METRICS.get(key)
    return PHRASES[key] if metric is None or metric.title is None else metric.title


def setting(name: str) -> str:
    """The name of a setting of `Config`."""
    return both(*SETTINGS[name])


def kind(name: str) -> str:
    """The kind of a column."""
    return both(name, KINDS[name])


def translated(text: str) -> str:
    """A sentence that other parts of chainrule made in English, in both languages."""
    chinese = text
    for english, translation in _SENTENCES:
        chinese = re.sub(english, translation, chinese)
    return both(html.escape(text), html.escape(chinese))
