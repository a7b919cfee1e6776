"""What a diagnosis says: findings, worst first, as text and as data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, overload
from unicodedata import east_asian_width

from chainrule.diagnosis.remedies import Remedy
from chainrule.diagnosis.rule import Interface, Rule, Sign, Value
from chainrule.language import COLON, COMMA, Language, index_of
from chainrule.nn.losses import Untrained

_HEALTHY = ("Nothing found; {count} things were checked.", "没有发现问题，共检查了 {count} 项。")
_LOSS = ("The loss is {value}", "损失为 {value}")
_BESIDE = (
    "; an uninformed network has {formula} = {start}, and the best constant answer {constant}.",
    "；没有学到任何东西的网络应为 {formula} = {start}，最好的常数预测为 {constant}。",
)
_LAYER = (" (layer {layer})", "（第 {layer} 层）")
_COLUMNS = {  # heading to the number in `LayerNumbers`
    ("layer", "层"): "name",
    ("activation", "激活函数"): "activation",
    ("units", "单元"): "units",
    ("rms z", "rms z"): "z",
    ("rms a", "rms a"): "a",
    ("rms ∂C/∂W", "rms ∂C/∂W"): "gradient",
    ("ΔW/W", "ΔW/W"): "update",
    ("‖δ‖", "‖δ‖"): "delta",
    ("weight factor", "权重因子"): "weight_factor",
    ("σ′ factor", "σ′ 因子"): "slope_factor",
    ("dead", "失活"): "dead",
    ("saturated", "饱和"): "saturated",
    ("rank", "秩"): "rank",
}
_LABELS = (("evidence", "证据"), ("why", "原因"), ("change", "建议"))


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: slug, stable.
        layer: name of the layer, or None.
        what: what is wrong, in a sentence with numbers.
        evidence: the numbers.
        why: the derivation behind it.
        change: what to do.
        remedy: the change as data that can be applied, or None.
    """

    kind: str
    layer: str | None
    what: str
    evidence: dict[str, Value]
    why: str
    change: str
    remedy: Remedy | None

    def brief(self) -> str:
        """Kind, what is wrong, and what to change, in a line."""
        return f"{self.kind}: {self.what} {self.change}"

    def to_dict(self) -> dict[str, Any]:
        """As data that JSON can hold; numbers that are not finite become words."""
        return {
            "kind": self.kind,
            "layer": self.layer,
            "what": self.what,
            "evidence": {key: _jsonable(value) for key, value in self.evidence.items()},
            "why": self.why,
            "change": self.change,
            "remedy": None if self.remedy is None else self.remedy.to_dict(),
        }


@dataclass(frozen=True)
class Measured:
    """What a diagnosis was made from, as data.

    Attributes:
        layers: the numbers per layer.
        loss: of the sample.
        expected: what the loss is where nothing was learnt; None if that is not known.
        rules: how many things were looked at.
    """

    layers: tuple[dict[str, Any], ...]
    loss: float
    expected: Untrained | None
    rules: int


class Diagnosis(Sequence[Finding]):
    """Findings, worst first; empty if nothing was found.

    Args:
        signs: what the rules found, in order.
        measured: from what; an attribute, too.
        language: in which the findings speak.
        interface: whose words the advice uses.
    """

    def __init__(
        self,
        signs: Sequence[tuple[Rule, Sign]],
        measured: Measured,
        language: Language,
        interface: Interface = "python",
    ) -> None:
        self._signs = tuple(signs)
        self.measured = measured
        self.language = language
        self.interface = interface
        self._findings = tuple(_finding(rule, sign, language, interface) for rule, sign in signs)

    @overload
    def __getitem__(self, index: int) -> Finding: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Finding]: ...
    def __getitem__(self, index: int | slice) -> Finding | Sequence[Finding]:
        return self._findings[index]

    def __len__(self) -> int:
        return len(self._findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._findings)

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return not self._findings

    def in_language(self, language: Language) -> Diagnosis:
        """The same diagnosis in "en" or "zh"."""
        return Diagnosis(self._signs, self.measured, language, self.interface)

    def for_interface(self, interface: Interface) -> Diagnosis:
        """The same diagnosis with advice for "python" or for the "command line"."""
        return Diagnosis(self._signs, self.measured, self.language, interface)

    @property
    def layers(self) -> tuple[dict[str, Any], ...]:
        """The measured numbers per layer."""
        return self.measured.layers

    def loss_line(self) -> str:
        """The loss beside what it is where nothing was learnt, as far as that is known."""
        column, expected = index_of(self.language), self.measured.expected
        said = _LOSS[column].format(value=_shown(self.measured.loss))
        if expected is None:
            return said + (".", "。")[column]
        numbers = {"start": f"{expected.start:.4g}", "constant": f"{expected.constant:.4g}"}
        return said + _BESIDE[column].format(formula=expected.formula, **numbers)

    def layer_table(self) -> str:
        """The loss beside what it is where nothing was learnt, and what was measured at each layer, as lines of a table.

        Factors are those of ‖δˡ‖ / ‖δˡ⁺¹‖.
        """
        column = index_of(self.language)
        cells = [[heading[column] for heading in _COLUMNS]]
        cells += [[_shown(layer[key]) for key in _COLUMNS.values()] for layer in self.layers]
        widths = [max(_width(row[k]) for row in cells) for k in range(len(_COLUMNS))]
        lines = ("  ".join(c + " " * (w - _width(c)) for c, w in zip(r, widths, strict=True)).rstrip() for r in cells)
        return "\n".join([self.loss_line(), "", *lines])

    def to_dict(self) -> dict[str, Any]:
        """As data that JSON can hold: {"schema", "language", "healthy", "findings", "loss", "layers"}."""
        expected = self.measured.expected
        loss: dict[str, Value] = {"value": self.measured.loss, **({} if expected is None else asdict(expected))}
        return {
            "schema": "chainrule/diagnosis/1",
            "language": self.language,
            "healthy": self.healthy,
            "findings": [finding.to_dict() for finding in self],
            "loss": {key: _jsonable(value) for key, value in loss.items()},
            "layers": [{key: _jsonable(value) for key, value in layer.items()} for layer in self.layers],
        }

    def __str__(self) -> str:
        column = index_of(self.language)
        if self.healthy:
            return _HEALTHY[column].format(count=self.measured.rules)
        return "\n\n".join(_paragraph(number, finding, column) for number, finding in enumerate(self, 1))

    def __repr__(self) -> str:
        return f"<Diagnosis: {', '.join(f.kind + (f' ({f.layer})' if f.layer else '') for f in self) or 'healthy'}>"


def _finding(rule: Rule, sign: Sign, language: Language, interface: Interface) -> Finding:
    column = index_of(language)
    texts = (rule.what, rule.why, rule.change_for(interface))
    what, why, change = (text[column].format(layer=sign.layer, **sign.evidence) for text in texts)
    return Finding(rule.kind, sign.layer, what, dict(sign.evidence), why, change, sign.remedy)


def _paragraph(number: int, finding: Finding, column: int) -> str:
    layer = _LAYER[column].format(layer=finding.layer) if finding.layer else ""
    evidence = COMMA[column].join(f"{key} = {_shown(value)}" for key, value in finding.evidence.items())
    lines = [f"{number}. {finding.kind}{layer}{COLON[column]}{finding.what}"]
    lines += [
        f"   {label[column]}{COLON[column]}{text}"
        for label, text in zip(_LABELS, (evidence, finding.why, finding.change), strict=True)
        if text
    ]
    return "\n".join(lines)


def _shown(value: Value | None) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _width(text: str) -> int:
    """Columns on a terminal, where Chinese characters take two."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def _jsonable(value: Value | None) -> Value | None:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
