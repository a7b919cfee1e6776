"""A derivation as data: steps with symbols and numbers, which the renderers turn into text, Markdown, LaTeX and HTML."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.derivations.symbols import Formula, symbol
from chainrule.errors import ArgumentError
from chainrule.ir import Array
from chainrule.language import Language

SCHEMA = "chainrule/derivation/1"
_LARGEST_LISTED = 10_000


@dataclass(frozen=True, eq=False)
class Factor:
    """One factor or term of a calculation: what it is called, its formula, and its value in full.

    Attributes:
        symbol: how it is written.
        value: the number, or the array.
    """

    symbol: Formula
    value: Array

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {**_formula_dict(self.symbol), "value": plain_value(self.value)}


@dataclass(frozen=True, eq=False)
class Part:
    """One term of a step that adds up several.

    Attributes:
        rule: "product" (the factors, multiplied element by element, give the value), "pullback" (the upstream gradient taken
            through an operation on arrays), or "rest" (many small terms together).
        via: name of the node that it comes from, or the names along a path.
        factors: upstream gradient and local derivative, or the factors along a path.
        value: of the term, in full.
    """

    rule: str
    via: tuple[str, ...]
    factors: tuple[Factor, ...]
    formula: Formula
    value: Array

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "rule": self.rule,
            "via": list(self.via),
            "factors": [f.to_dict() for f in self.factors],
            "formula": _formula_dict(self.formula),
            "value": plain_value(self.value),
        }


@dataclass(frozen=True, eq=False)
class Step:
    """One line of a derivation: symbol = formula = formula with numbers = value.

    Attributes:
        kind: "given", "value", "seed", "gradient", "path", "sum", "element", "note".
        name: what is calculated, as it can be named in `check` ("O5", "dE/dw13").
        symbol: how it is written.
        equations: right-hand sides, in order: the formula, then with numbers.
        value: the result, in full.
        digits: significant digits to show of the result, so that it follows from the numbers shown before it.
        note: what happens here, in the language of the derivation; formulas in its `latex` stand between $.
        parts: the terms that were added up (gradients and sums).
    """

    kind: str
    name: str
    symbol: Formula
    equations: tuple[Formula, ...]
    value: Array | None
    digits: int
    note: Formula | None = None
    parts: tuple[Part, ...] = ()

    @property
    def route(self) -> Formula | None:
        """Of a path, the names along it, joined by arrows."""
        if self.kind != "path":
            return None
        symbols = [symbol(n) for n in self.parts[0].via]
        return Formula(" → ".join(s.text for s in symbols), r" \to ".join(s.latex for s in symbols))

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "kind": self.kind,
            "name": self.name,
            "symbol": _formula_dict(self.symbol),
            "equations": [_formula_dict(e) for e in self.equations],
            "value": None if self.value is None else plain_value(self.value),
            "shape": None if self.value is None else list(self.value.shape),
            "note": self.note.text if self.note else "",
            "parts": [p.to_dict() for p in self.parts],
        }


@dataclass(frozen=True, eq=False)
class Section:
    """Steps under a heading."""

    kind: str
    heading: Formula
    steps: tuple[Step, ...]
    remark: Formula | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "kind": self.kind,
            "heading": self.heading.text,
            "remark": self.remark.text if self.remark else "",
            "steps": [s.to_dict() for s in self.steps],
        }


@dataclass(frozen=True, eq=False)
class Derived:
    """How a value depends on others, step by step: what the renderers read. Users hold a `Derivation`, which can also be shown.

    Attributes:
        title: in the derivation's language.
        form: "graph", "path", "matrix", "update" or "attribution".
        language: "en" or "zh".
        precision: significant digits shown.
        output: name of what was explained.
        wrt: names of what it was explained by.
        sections: the steps.
        results: per name of `wrt`, the gradient (or the new value), in full.
    """

    title: Formula
    form: str
    language: Language
    precision: int
    output: str
    wrt: tuple[str, ...]
    sections: tuple[Section, ...]
    results: dict[str, Array] = field(default_factory=dict)

    def steps(self) -> Iterator[Step]:
        """All steps, in order."""
        return (step for section in self.sections for step in section.steps)

    @property
    def value(self) -> Array:
        """The result, where one was asked for.

        Raises:
            ArgumentError: there are several; see `results`.
        """
        if len(self.results) != 1:
            raise ArgumentError(f"this derivation has {len(self.results)} results; look at .results, which has them by name.")
        return next(iter(self.results.values()))

    def to_dict(self) -> dict[str, Any]:
        """As data that JSON can hold; the schema is described in docs/explain.md and named in "schema"."""
        return {
            "schema": SCHEMA,
            "form": self.form,
            "language": self.language,
            "title": _formula_dict(self.title),
            "output": self.output,
            "wrt": list(self.wrt),
            "results": {name: plain_value(value) for name, value in self.results.items()},
            "sections": [s.to_dict() for s in self.sections],
        }


def _formula_dict(formula: Formula) -> dict[str, str]:
    return {"text": formula.text, "latex": formula.latex}


def plain_value(value: Array) -> Any:
    """Numbers as nested lists; of large arrays shape and extremes.

    JSON has no infinities and no NaN: they become the text "inf", "-inf" or "nan", which Python's `float` reads.
    """
    if value.size > _LARGEST_LISTED:
        return {"shape": list(value.shape), "min": plain_value(value.min()), "max": plain_value(value.max())}
    if value.dtype.kind == "f" and not np.all(np.isfinite(value)):
        return _with_words(value.tolist())
    return value.tolist()


def _with_words(values: Any) -> Any:
    """Nested lists in which "inf", "-inf" and "nan" stand for numbers that JSON does not have."""
    if isinstance(values, list):
        return [_with_words(v) for v in values]
    return values if math.isfinite(values) else str(values)
