"""Random formulas in every form, language and format: an explanation that is right, or a message, never a traceback."""

from __future__ import annotations

import contextlib
import importlib.util
import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from derivation_checks import formulas_give_the_values, re_evaluated

import chainrule as cr
from chainrule.derivations import Derivation, explain, expression
from chainrule.derivations.expressions import names_in
from chainrule.derivations.forms import Form
from chainrule.derivations.functions import FUNCTIONS, is_value
from chainrule.errors import ChainruleError
from chainrule.ir import topological
from chainrule.language import LANGUAGES
from chainrule.tensors import Tensor

FORMS: tuple[Form, ...] = ("graph", "path", "matrix", "update", "attribution")
SHAPES = [(), (), (1,), (2,), (3,), (2, 2), (2, 3), (3, 2), (1, 3), (2, 1), (1, 1), (1, 1, 3, 3), (2, 1, 2, 2), (2, 2, 2)]
VALUES = {name: sum(map(is_value, f.parameters.values())) for name, f in sorted(FUNCTIONS.items())}
BY_COUNT = {n: [name for name, count in VALUES.items() if count == n] for n in range(1, 6)}
NEEDS_SETTINGS = [n for n in BY_COUNT[1] if n in ("pad", "reshape", "stack", "concatenate") or "pool" in n]
ONE = [n for n in BY_COUNT[1] if n not in NEEDS_SETTINGS] * 3 + NEEDS_SETTINGS
TWO = [*BY_COUNT[2], "max", "min"]
SETTINGS = [""] * 9 + [", axis=0", ", axis=1", ", 2", ", 1", ", keepdims=True", ", stride=2", ", (1, 2)", ", 0, 1"]
NUMBERS = ["0", "1", "2", "-1", "0.5", "1/3", "3", "-2"]


class Formulas:
    """Writes random formulas: mostly of shapes that fit, with values that may leave a domain."""

    def __init__(self, seed: list[int]) -> None:
        self.rng = np.random.default_rng(seed)
        self.names = [f"{letter}{k}" for k, letter in enumerate("wxbcW"[: self.rng.integers(1, 5)])]
        shape = self._one_of(SHAPES)
        shapes = [shape if self.rng.random() < 0.5 else self._one_of(SHAPES) for _ in self.names]
        self.values = {n: self._array(s) for n, s in zip(self.names, shapes, strict=True)}
        self.shapes = dict(zip(self.names, shapes, strict=True))

    def _one_of(self, choices: Sequence[Any]) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def _array(self, shape: tuple[int, ...]) -> Any:
        whole = self.rng.random() < 0.4
        values = self.rng.integers(-2, 4, size=shape) if whole else np.round(self.rng.uniform(-2, 2, size=shape), 3)
        return values.tolist()

    def term(self, depth: int) -> str:
        """An expression in the names so far."""
        kind = self.rng.random()
        if depth <= 0 or kind < 0.15:
            return self._one_of(self.names)
        a = self.term(depth - 1)
        if kind < 0.25:
            return self._element()
        if kind < 0.32:
            return self._one_of(NUMBERS)
        if kind < 0.55:
            return f"{self._one_of(ONE)}({a}{self._one_of(SETTINGS)})"
        b = self.term(depth - 1)
        if kind < 0.62:
            return f"{self._one_of(TWO)}({a}, {b}{self._one_of(SETTINGS)})"
        if kind < 0.63:
            many = BY_COUNT[int(self.rng.integers(3, 6))]
            return (
                f"{self._one_of(many or TWO)}({', '.join(self.term(depth - 1) for _ in range(int(self.rng.integers(2, 6))))})"
            )
        if kind < 0.64:
            return f"{self._one_of(['stack', 'concatenate', 'flip'])}([{a}, {b}])"
        if kind < 0.65:
            return f"[{a}, {b}] @ ({a}).T"
        if kind < 0.67:
            return f"where({a} > {b}, {self.term(depth - 1)}, {b})"
        if kind < 0.69:
            return f"({a})**{self._one_of(['2', '3', '-1', '0.5', b])}"
        if kind < 0.72:
            return f"-({a})"
        return f"({a}) {self._one_of(['+', '-', '*', '*', '/', '@', '>', '<='])} ({b})"

    def _element(self) -> str:
        name = self._one_of(self.names)
        index = ", ".join(str(int(self.rng.integers(-n, n + (self.rng.random() < 0.02)))) for n in self.shapes.get(name) or ())
        return f"{name}[{index}]" if index else name

    def _scaled(self, a: str) -> str:
        """An array with factors that are one number, some of them 0, and contributions that vanish."""
        self.values["k"] = self._array(())
        factor = self._one_of(["k", f"sum({a})", f"(sum({a}) - sum({a}))", f"mean({a})", "0", "1/3"])
        term = self._one_of([a, f"({a} - {a})", f"({a} + {a})", f"({factor}*{a})"])
        return self._one_of([f"{factor}*{term}", f"{term}*{factor}", f"{a} - {term}", f"({a} - {a})*({factor}*{term})"])

    def layers(self) -> str:
        """A network of one to three layers, of vectors or of rows."""
        rows = bool(self.rng.random() < 0.3)
        sizes = [int(n) for n in self.rng.integers(1, 4, size=self.rng.integers(2, 5))]
        self.values = {"x": self._array((2, sizes[0]) if rows else (sizes[0],))}
        lines, a = [], "x"
        for k, (into, out) in enumerate(pairwise(sizes)):
            if self.rng.random() < 0.4:
                lines.append(f"h{k} = {self._scaled(a)}")
                a = f"h{k}"
            self.values[f"W{k}"] = self._array((into, out) if rows else (out, into))
            product = f"{a} @ W{k}" if rows else f"W{k} @ {a}"
            if self.rng.random() < 0.6:
                self.values[f"b{k}"] = self._array((out,))
                product = f"affine({a}, W{k}, b{k})" if rows and self.rng.random() < 0.5 else f"{product} + b{k}"
            function = self._one_of(["sigmoid", "tanh", "relu", "softmax", "", *BY_COUNT[1]])
            if self.rng.random() < 0.5:
                lines += [f"z{k} = {product}", f"a{k} = {function}(z{k})"]
            else:
                lines.append(f"a{k} = {function}({product})")
            a = f"a{k}"
        self.values["t"] = self._array(np.shape(self.values[f"b{k}"]) if f"b{k}" in self.values else ())
        return "; ".join([*lines, self._one_of([f"E = 0.5*sum(({a} - t)**2)", f"mean(({a} - t)**2)", f"E = sum(log({a})*t)"])])

    def written(self) -> str:
        """A whole formula of one to four lines."""
        if self.rng.random() < 0.3:
            return self.layers()
        lines = []
        for k in range(int(self.rng.integers(0, 4))):
            lines.append(f"h{k} = {self.term(2)}")
            self.names.append(f"h{k}")
        last = self.term(2)
        lines.append(f"E = {self._one_of(['sum', 'mean'])}({last})" if self.rng.random() < 0.8 else last)
        return "; ".join(lines)


def built(seed: int) -> tuple[dict[str, Tensor], Tensor | None]:
    """The parameters of a random formula, and its value if it has one; several are tried."""
    given: dict[str, Tensor] = {}
    for attempt in range(4):
        made = Formulas([seed, attempt])
        text = made.written()
        given = {n: cr.parameter(np.asarray(v, np.float64)) for n, v in made.values.items() if n in names_in(text)}
        with contextlib.suppress(ChainruleError):
            return given, expression(text, **given)
    return given, None


def random_optimizer(given: dict[str, Tensor], rng: np.random.Generator) -> Any:
    make = cr.optim.OPTIMIZERS[str(rng.choice(sorted(cr.optim.OPTIMIZERS)))]
    return make(list(given.values()) or [cr.parameter(1.0)], lr=0.1)


def asked_for(given: dict[str, Tensor], form: str, rng: np.random.Generator) -> str | None:
    """A name, one element of it, or nothing in particular."""
    if not given or rng.random() < 0.2:
        return None
    name = str(rng.choice(sorted(given)))
    index = [int(rng.integers(n)) for n in given[name].shape]
    return f"{name}[{', '.join(map(str, index))}]" if index and (form == "path" or rng.random() < 0.4) else name


def derived(seed: int) -> tuple[Derivation | None, Tensor | None, dict[str, Tensor], str]:
    """A random derivation of a random formula, what it derives, by what it could, and what came of it in a word."""
    given, output = built(seed)
    if output is None:
        return None, None, given, "no formula"
    rng = np.random.default_rng(seed + 10**6)
    form = FORMS[int(rng.integers(len(FORMS)))]
    try:
        found = explain(
            output,
            asked_for(given, form, rng),
            form=form,
            language=LANGUAGES[int(rng.integers(2))],
            blocks="expanded" if rng.random() < 0.5 else "whole",
            detail="all" if rng.random() < 0.5 else "auto",
            precision=17,
            optimizer=random_optimizer(given, rng) if form == "update" else None,
        )
    except ChainruleError as error:
        return None, output, given, str(error)[:60]
    return found, output, given, form


def right_or_refused(seed: int) -> str:
    """Check what comes of a seed; returns it in a word."""
    found, output, given, outcome = derived(seed)
    if found is None or output is None:
        return outcome
    assert found.to_text()
    assert found.to_latex()
    assert found.to_markdown()
    json.dumps(found.to_dict(), allow_nan=False)
    if seed % 5 == 0 and importlib.util.find_spec("math_core"):
        assert "<math" in found.to_html()
    if found.form in ("graph", "path", "matrix") and is_finite(output):
        for name, value in found.results.items():
            base, _, index = name.partition("[")
            if base in given:
                (gradient,) = cr.grad(output.sum(), [given[base]])
                expected = gradient.numpy()[tuple(map(int, index[:-1].split(","))) if index else ...]
                np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-9)
        if all(np.all(np.isfinite(v)) for step in found.steps() if (v := step.value) is not None):
            re_evaluated(found, atol=1e-9)
            formulas_give_the_values(found)
    return outcome


def is_finite(output: Tensor) -> bool:
    return all(n.value is None or n.dtype.kind != "f" or np.isfinite(n.value).all() for n in topological([output.node]))


@pytest.mark.parametrize("part", range(3))
def test_random_formulas(part: int) -> None:
    outcomes = [right_or_refused(seed) for seed in range(100 * part, 100 * (part + 1))]
    assert sum(o in FORMS for o in outcomes) > 30  # not all are refused


def test_elements_in_matrix_form() -> None:
    """One element of every parameter of random layers, with factors that are one number and contributions that vanish."""
    derived_at_all = 0
    for seed in (*range(60), 131, 151, 198):  # the last ones: arrays of one element beside numbers
        made = Formulas([seed, 7])
        given = {}
        with contextlib.suppress(ChainruleError):
            text = made.layers()
            given = {n: cr.parameter(np.asarray(v, np.float64)) for n, v in made.values.items() if n in names_in(text)}
            output = expression(text, **given)
            for name, value in given.items():
                element = f"{name}[{', '.join(str(n - 1) for n in value.shape)}]" if value.shape else name
                with contextlib.suppress(ChainruleError):
                    found = explain(output, element, form="matrix", precision=17)
                    derived_at_all += 1
                    if is_finite(output):
                        (gradient,) = cr.grad(output.sum(), [value])
                        expected = gradient.numpy().flat[-1]
                        np.testing.assert_allclose(found.value, expected, rtol=1e-9, atol=1e-9)
                        re_evaluated(found, atol=1e-9)
    assert derived_at_all > 60


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.parametrize("part", range(10))
def test_more_random_formulas(part: int) -> None:
    for seed in range(1000 * (part + 1), 1000 * (part + 2)):
        right_or_refused(seed)
