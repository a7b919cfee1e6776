"""What `check` found."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from chainrule.derivations.steps import plain_value
from chainrule.ir import Array

Verdict = Literal["right", "rounded", "follow-on", "wrong", "not-graded"]
KINDS = (
    "equals-other-quantity",
    "missing-factor",
    "extra-factor",
    "sign",
    "constant-factor",
    "missing-path",
    "no-path",
    "stale-weight",
    "derivative-at-output",
    "other-function",
    "other-error-term",
    "no-bias-correction",
    "transposed",
    "unexplained",
)
_MARKS = {"right": "✓", "rounded": "≈", "follow-on": "↪", "wrong": "✗", "not-graded": "?"}
# Each can be read on white and on black. Notebooks that are not trusted drop style sheets, so the styles stand in the elements.
_COLOURS = {"right": "#2ea043", "rounded": "#b58900", "follow-on": "#3b82f6", "wrong": "#e5534b", "not-graded": "#808080"}
_CELL = "text-align: left; vertical-align: baseline; padding: .2em .8em .2em 0; white-space: "


@dataclass(frozen=True)
class Finding:
    """The verdict on one claim.

    Attributes:
        verdict: "right"; "rounded" (right but for rounding carried forward); "follow-on" (right, given an earlier wrong value);
            "wrong"; or "not-graded" (its name is not in the calculation, it is neither a number nor a formula that can be read,
            its formula is circular, or the gradient does not exist).
        kind: of a wrong claim, the slip that explains it, one of `KINDS`; of one that was not graded, "equals-other-quantity"
            if it is that; else None.
        given: as it was written.
        true: the true value, in full; None if the claim names nothing of the calculation, or is a formula.
        message: all of it in a sentence.
    """

    verdict: Verdict
    kind: str | None
    given: str
    true: Array | None
    message: str

    def to_dict(self) -> dict[str, Any]:
        """As data that JSON can hold."""
        return {
            "verdict": self.verdict,
            "kind": self.kind,
            "given": self.given,
            "true": None if self.true is None else plain_value(self.true),
            "message": self.message,
        }


class Grading(Mapping[str, Finding]):
    """From every claim to its `Finding`, in the order of the claims."""

    def __init__(self, findings: Mapping[str, Finding]) -> None:
        self._findings = dict(findings)

    def __getitem__(self, claim: str) -> Finding:
        return self._findings[claim]

    def __iter__(self) -> Iterator[str]:
        return iter(self._findings)

    def __len__(self) -> int:
        return len(self._findings)

    @property
    def correct(self) -> bool:
        """Whether every claim is right: none is wrong, follows from a wrong one, or could not be graded."""
        return all(f.verdict in ("right", "rounded") for f in self.values())

    @property
    def first_wrong(self) -> str | None:
        """The first wrong claim, if any."""
        return next((name for name, f in self.items() if f.verdict == "wrong"), None)

    def to_dict(self) -> dict[str, Any]:
        """As data that JSON can hold: {"schema", "correct", "first_wrong", "counts", "claims": {name: finding}}."""
        verdicts = [f.verdict for f in self.values()]
        return {
            "schema": "chainrule/grading/1",
            "correct": self.correct,
            "first_wrong": self.first_wrong,
            "counts": {v: sum(found == v for found in verdicts) for v in _MARKS},
            "claims": {name: f.to_dict() for name, f in self.items()},
        }

    def __str__(self) -> str:
        width = max((len(name) for name in self), default=0)
        return "\n".join(f"{_MARKS[f.verdict]} {name.ljust(width)}  {f.message}" for name, f in self.items())

    def _repr_html_(self) -> str:
        """For a notebook: a line per claim, with its mark."""
        rows = "".join(_row(name, finding) for name, finding in self.items())
        return f'<table style="border-collapse: collapse; background: none; color: inherit">{rows}</table>'

    def __repr__(self) -> str:
        return f"<Grading: {', '.join(f'{name} {f.verdict}' for name, f in self.items())}>"


def _row(name: str, finding: Finding) -> str:
    what = html.escape(finding.verdict if finding.kind is None else f"{finding.verdict}: {finding.kind}")
    mark = f'<b style="color: {_COLOURS[finding.verdict]}" title="{what}" aria-label="{what}">{_MARKS[finding.verdict]}</b>'
    cells = ((mark, "nowrap"), (f"<code>{html.escape(name)}</code>", "nowrap"), (html.escape(finding.message), "normal"))
    joined = "".join(f'<td style="{_CELL}{wrap}">{text}</td>' for text, wrap in cells)
    return f'<tr style="background: none">{joined}</tr>'
