"""Elementwise primitives, with NumPy's broadcasting and promotion.

The basic ones are the scalar instructions that every backend has; the others are blocks of them.

Where a derivative does not exist, `kinks` says what is taken: as a rule what PyTorch takes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Unpack

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.ir import Array, Attributes, DType, Node, Shape
from chainrule.ops.facts import ActivationFacts, Facts
from chainrule.ops.primitive import (
    Case,
    Inputs,
    Meaning,
    Notation,
    Operand,
    Partial,
    Primitive,
    as_node,
    check_attributes,
    check_number,
    define,
)
from chainrule.ops.promotion import Result, broadcast_shape, plain, promote, to_dtype
from chainrule.ops.requirement import Limits

COMPARE, SUM, OPEN, PRODUCT, SIGN, POWER = 10, 20, 28, 30, 35, 50

Domain = tuple[float, float]
REALS: Domain = (-2.0, 2.0)
POSITIVE: Domain = (0.3, 3.0)


def elementwise(  # one call is one record; each setting is one field of it
    name: str,
    summary: str,
    notation: Notation,
    *,
    partials: tuple[Partial, ...],
    result: Result = "float",
    domain: tuple[Domain, ...] = (REALS,),
    settings: Attributes | None = None,
    optional: bool = False,
    kink_distance: Callable[..., Array] | None = None,
    origin: Any = None,
    **meaning: Unpack[Meaning],
) -> Primitive:
    """Define an elementwise primitive.

    Args:
        name, summary, notation, partials, meaning: see `Primitive`.
        result: dtype of the result: "same" as the promoted inputs, "number" (the same, no booleans), "float", or "bool".
        domain: per input, an interval in which it is defined, for tests.
        kink_distance: how far inputs are from the nearest point without a derivative, so that tests can keep away from it.
        settings: the attributes it takes, numbers, with their defaults.
        optional: whether they may be None.
        origin: see `registry.enter`.
    """
    defaults = dict(settings or {})
    arity = len(domain)

    def prepare(operands: tuple[Operand, ...], attributes: dict[str, Any]) -> tuple[Inputs, dict[str, Any]]:
        if len(operands) != arity:
            raise ArgumentError(f"{name} got {len(operands)} inputs", f"it takes {arity}", "Check the call.")
        if not (attributes or defaults):
            return promote(operands, result, name), attributes
        check_attributes(name, attributes, list(defaults))
        attributes = defaults | attributes
        for key, value in attributes.items():
            if not (optional and value is None):
                check_number(name, key, value)
        attributes = {key: None if value is None else plain(value) for key, value in attributes.items()}
        return promote(operands, result, name, [v for v in attributes.values() if v is not None]), attributes

    def infer(inputs: Inputs, attributes: Attributes) -> tuple[Shape, DType]:
        dtype = np.dtype(bool) if result == "bool" else inputs[0].dtype
        return broadcast_shape(name, inputs), dtype

    return define(
        Primitive(
            name=name,
            summary=summary,
            notation=notation,
            prepare=prepare,
            infer=infer,
            partials=partials,
            cases=partial(_random_case, domain, kink_distance),
            **meaning,
        ),
        origin,
    )


def _random_case(domain: tuple[Domain, ...], kink_distance: Callable[..., Array] | None, rng: np.random.Generator) -> Case:
    """Inputs inside the domain and away from kinks, with shapes that broadcast."""
    full = tuple(int(n) for n in rng.integers(1, 4, size=rng.integers(0, 4)))
    shapes = [full, *(_broadcastable(full, rng) for _ in domain[1:])]
    while True:
        inputs = tuple(rng.uniform(low, high, size=shape) for (low, high), shape in zip(domain, shapes, strict=True))
        if kink_distance is None or np.min(np.abs(kink_distance(*inputs))) > 0.02:
            return Case(inputs)


def _broadcastable(full: Shape, rng: np.random.Generator) -> Shape:
    """A shape that broadcasts to `full`: some axes of size 1, some leading ones left out."""
    shape = tuple(1 if rng.random() < 0.25 else n for n in full)
    return shape[int(rng.integers(0, len(shape) + 1)) :] if rng.random() < 0.3 else shape


def function(text: str, latex: str | None = None, sign: str = "") -> Notation:
    """Notation of a function of one value: its name and brackets."""
    return Notation(f"{text}(#0)", rf"{latex or chr(92) + text}\left(#0\right)", sign=sign)


def infix(text: str, latex: str, precedence: int, *, associative: bool = False, sign: str = "") -> Notation:
    """Notation of an operator between two values."""
    right = "<1>" if associative else "<1!>"
    return Notation(f"<0> {text} {right}", f"<0> {latex} {right}", precedence, sign)


def _without(*neutral: float | None) -> Callable[[Node], Node | None]:
    """The other operand, where one is the number that leaves it as it is: `neutral` per operand, None where there is none.

    −0.0 is told from 0.0 where numbers have a sign of 0.
    """

    def other(node: Node) -> Node | None:
        for number, operand, kept in zip(neutral, node.inputs, node.inputs[::-1], strict=True):
            if number is not None and _is_constant(operand, number) and (kept.shape, kept.dtype) == (node.shape, node.dtype):
                return kept
        return None

    return other


def _is_constant(node: Node, number: float) -> bool:
    """Whether every element is a number, with the same sign if it is a floating 0."""
    if node.op != "constant" or node.value is None or not node.size or not bool(np.all(node.value == number)):
        return False
    return node.dtype.kind != "f" or bool(np.all(np.signbit(node.value) == np.signbit(number)))


def _undone(node: Node) -> Node | None:
    """What the same operation before undoes: x of −(−x)."""
    (x,) = node.inputs
    return x.inputs[0] if x.op == node.op else None


def _one(*_: Node, y: Node) -> float:
    return 1.0


def nothing(*_: Node, y: Node) -> float:
    """The partial derivative of what no gradient passes through."""
    return 0.0


def from_zero(x: Array) -> Array:
    """The `kink_distance` of a kink at 0."""
    return x


stop_gradient = elementwise(
    "stop_gradient", "y = x, but no gradient passes back", function("stop", r"\operatorname{stop}"),
    evaluate=lambda x: x, partials=(nothing,), result="same",
    facts=Facts(exact=True, redundant=lambda node: node.inputs[0], cuts=True),
)  # fmt: skip

# ------------------------------------------------------------------------------------------------ arithmetic
add = elementwise(
    "add",
    "y = a + b",
    infix("+", "+", SUM, associative=True, sign="+"),
    evaluate=np.add,
    partials=(_one, _one),
    result="same",
    domain=(REALS, REALS),
    facts=Facts(bound="add", redundant=_without(-0.0, -0.0)),  # −0 + 0 is 0: only x + (−0) is x
)
subtract = elementwise(
    "subtract",
    "y = a − b",
    infix("-", "-", SUM, sign="−"),
    evaluate=np.subtract,
    partials=(_one, lambda a, b, y: -1.0),
    result="number",
    domain=(REALS, REALS),
    facts=Facts(bound="add", redundant=_without(None, 0.0)),
)
multiply = elementwise(
    "multiply",
    "y = a · b",
    infix("·", r"\cdot", PRODUCT, associative=True, sign="×"),
    evaluate=np.multiply,
    partials=(lambda a, b, y: b, lambda a, b, y: a),
    result="same",
    domain=(REALS, REALS),
    facts=Facts(bound="multiply", redundant=_without(1.0, 1.0)),
)


def _failed_division(read: Sequence[float]) -> str:
    if read[1] != 0:
        return "overflow"
    return "zero-by-zero" if read[0] == 0 else "by-zero"


divide = elementwise(
    "divide",
    "y = a / b",
    Notation("<0> / <1!>", r"\frac{#0}{#1}", PRODUCT, "÷"),
    evaluate=np.divide,
    partials=(lambda a, b, y: 1.0 / b, lambda a, b, y: -y / b),
    domain=(REALS, POSITIVE),
    facts=Facts(bound="divide", redundant=_without(None, 1.0), undefined=_failed_division),
)
negative = elementwise(
    "negative",
    "y = −x",
    Notation("-<0!>", "-<0!>", SIGN, "−x"),
    evaluate=np.negative,
    partials=(lambda x, y: -1.0,),
    result="number",
    facts=Facts(bound="abs", exact=True, redundant=_undone),
)


def _power_by_base(a: Node, b: Node, y: Node) -> Node | float:
    if b.op == "constant" and b.size == 1 and b.value is not None:
        exponent = float(b.value.item())
        if exponent in (0.0, 1.0):
            return exponent
        return exponent * a if exponent == 2.0 else exponent * a ** (exponent - 1.0)
    # 0⁰ counts as the number 1, at which nothing infinite is left, in later derivatives either.
    special = logical_and(equal(a, 0.0), equal(b, 0.0))
    return where(special, 0.0, b * where(special, 1.0, a) ** (b - 1.0))


def _power_by_exponent(a: Node, b: Node, y: Node) -> Node:
    at_zero = logical_and(equal(a, 0.0), b >= 0.0)
    return where(at_zero, 0.0, y * log(where(at_zero, 1.0, a)))


EXPONENTS = Limits(
    0,
    2**63 - 1,
    None,
    "power got an integer base and the negative integer exponent {}",
    "the result is no integer",
    "Use a float base.",
)


def _power(a: Array, b: Array) -> Array:
    if b.dtype.kind == "i":
        EXPONENTS.check(b)
    return np.asarray(np.power(a, b))


def _failed_power(read: Sequence[float]) -> str:
    base, exponent = read
    if base == 0 and exponent < 0:
        return "zero-to-negative"
    return "negative-to-fraction" if base < 0 and exponent != math.floor(exponent) else "overflow"


power = elementwise(
    "power",
    "y = aᵇ",
    Notation("<0!>^<1>", "{<0!>}^{#1}", POWER, "xʸ"),
    evaluate=_power,
    partials=(_power_by_base, _power_by_exponent),
    result="number",
    domain=(POSITIVE, REALS),
    kinks="by a where a = b = 0: 0; by b where a = 0 and b ≥ 0: 0",
    facts=Facts(redundant=_without(None, 1.0), undefined=_failed_power),
)

# ------------------------------------------------------------------------------------------------ comparisons and choice
_compare = partial(elementwise, partials=(nothing, nothing), result="bool", domain=(REALS, REALS))
_PIECEWISE = "0 everywhere, at the jumps too"

equal = _compare("equal", "y = (a = b)", infix("=", "=", COMPARE), evaluate=np.equal, kinks=_PIECEWISE)
not_equal = _compare("not_equal", "y = (a ≠ b)", infix("≠", r"\ne", COMPARE), evaluate=np.not_equal, kinks=_PIECEWISE)
less = _compare("less", "y = (a < b)", infix("<", "<", COMPARE), evaluate=np.less, kinks=_PIECEWISE)
less_equal = _compare("less_equal", "y = (a ≤ b)", infix("≤", r"\le", COMPARE), evaluate=np.less_equal, kinks=_PIECEWISE)
greater = _compare("greater", "y = (a > b)", infix(">", ">", COMPARE), evaluate=np.greater, kinks=_PIECEWISE)
greater_equal = _compare(
    "greater_equal", "y = (a ≥ b)", infix("≥", r"\ge", COMPARE), evaluate=np.greater_equal, kinks=_PIECEWISE
)
logical_and = _compare("logical_and", "y = a and b", infix("∧", r"\land", COMPARE - 1), evaluate=np.logical_and)
logical_or = _compare("logical_or", "y = a or b", infix("∨", r"\lor", COMPARE - 2), evaluate=np.logical_or)
logical_not = elementwise(
    "logical_not",
    "y = not x",
    Notation("¬<0!>", r"\lnot <0!>", SIGN),
    evaluate=np.logical_not,
    partials=(nothing,),
    result="bool",
)
exceeds = _compare(
    "exceeds", "y = (a > b), or one of them is NaN", infix(">", ">", COMPARE), body=lambda a, b: logical_not(less_equal(a, b))
)
attains = _compare(
    "attains", "y = (a = b), or a is NaN", infix("=", "=", COMPARE), body=lambda a, b: logical_or(equal(a, b), not_equal(a, a))
)
isfinite = elementwise(
    "isfinite", "y = (x is neither infinite nor NaN)", Notation("|#0| < ∞", r"\left\lvert #0\right\rvert < \infty", COMPARE),
    evaluate=np.isfinite, partials=(nothing,), result="bool",
)  # fmt: skip


def _prepare_where(operands: tuple[Operand, ...], attributes: dict[str, Any]) -> tuple[Inputs, dict[str, Any]]:
    check_attributes("where", attributes, [])
    if len(operands) != 3:
        raise ArgumentError(f"where got {len(operands)} inputs", "it takes a condition and two values", "Check the call.")
    condition = to_dtype(as_node(operands[0]), bool)
    return (condition, *promote(operands[1:], "same", "where")), attributes


where = define(
    Primitive(
        name="where",
        summary="y = a where the condition holds, else b",
        notation=Notation("{#1 if #0, else #2}", r"\begin{cases}#1 & #0\\ #2 & \text{else}\end{cases}"),
        prepare=_prepare_where,
        infer=lambda inputs, attributes: (broadcast_shape("where", inputs), inputs[1].dtype),
        evaluate=np.where,
        partials=(
            lambda c, a, b, y: 0.0,
            lambda c, a, b, y: to_dtype(c, a.dtype),
            lambda c, a, b, y: to_dtype(logical_not(c), a.dtype),
        ),
        facts=Facts(exact=True),
        cases=lambda rng: Case((rng.random((2, 3)) < 0.5, rng.uniform(-2, 2, (2, 3)), rng.uniform(-2, 2, (3,)))),
    )
)


def _prepare_masked(operands: tuple[Operand, ...], attributes: dict[str, Any]) -> tuple[Inputs, dict[str, Any]]:
    check_attributes("masked", attributes, [])
    if len(operands) != 2:
        raise ArgumentError(f"masked got {len(operands)} inputs", "it takes a value and a condition", "Check the call.")
    return (as_node(operands[0]), to_dtype(as_node(operands[1]), bool)), attributes


masked = define(
    Primitive(
        name="masked",
        summary="y = x · [the condition holds]: 0 where it does not, even if x is infinite or NaN",
        notation=Notation("<0> · [#1]", r"<0> \cdot \left[#1\right]", PRODUCT),
        prepare=_prepare_masked,
        infer=lambda inputs, attributes: (broadcast_shape("masked", inputs), inputs[0].dtype),
        body=lambda x, c: where(c, x, as_node(0.0, x.dtype)),
        partials=(lambda x, c, y: to_dtype(c, x.dtype), lambda x, c, y: 0.0),
        cases=lambda rng: Case((rng.uniform(-2, 2, (2, 3)), rng.random((2, 3)) < 0.5)),
    )
)

weighted = elementwise(
    "weighted",
    "y = t · x as a term of a weighted sum: 0 where the weight t is 0, even if x is infinite",
    infix("·", r"\cdot", PRODUCT, associative=True),
    body=lambda t, x: where(equal(t, 0.0), 0.0, t * x),
    partials=(lambda t, x, y: x, lambda t, x, y: t),
    domain=(POSITIVE, REALS),
)

# ------------------------------------------------------------------------------------------------ functions of one value
_EXPONENTIAL = Facts(undefined=lambda read: "exp-overflow")
exp = elementwise(
    "exp", "y = eˣ", Notation("exp(#0)", "e^{#0}", POWER), evaluate=np.exp, partials=(lambda x, y: y,), facts=_EXPONENTIAL
)
expm1 = elementwise(
    "expm1", "y = eˣ − 1, exact near 0", Notation("exp(#0) - 1", "e^{#0} - 1", SUM),
    evaluate=np.expm1, partials=(lambda x, y: y + 1.0,), facts=_EXPONENTIAL,
)  # fmt: skip


def _failed_logarithm(start: float) -> Callable[[Sequence[float]], str]:
    """Of a logarithm that is −∞ at `start` and not defined before."""
    return lambda read: "log-of-zero" if read[0] == start else "log-of-negative"


log = elementwise(
    "log",
    "y = ln x",
    function("log"),
    evaluate=np.log,
    partials=(lambda x, y: 1.0 / x,),
    domain=(POSITIVE,),
    facts=Facts(undefined=_failed_logarithm(0.0), logarithm=True),
)
log1p = elementwise(
    "log1p", "y = ln(1 + x), exact near 0", Notation("log(1 + #0)", r"\log\left(1 + #0\right)"),
    evaluate=np.log1p, partials=(lambda x, y: 1.0 / (1.0 + x),), domain=((-0.6, 2.0),),
    facts=Facts(undefined=_failed_logarithm(-1.0), logarithm=True),
)  # fmt: skip
sqrt = elementwise(
    "sqrt", "y = √x", Notation("sqrt(#0)", r"\sqrt{#0}", sign="√"),
    evaluate=np.sqrt, partials=(lambda x, y: 0.5 / y,), domain=(POSITIVE,), kinks="at 0: infinite",
    facts=Facts(undefined=lambda read: "root-of-negative"),
)  # fmt: skip
sin = elementwise(
    "sin", "y = sin x", function("sin"), evaluate=np.sin, partials=(lambda x, y: cos(x),),
    facts=Facts(activation=ActivationFacts(range=(-1.0, 1.0))),  # of networks for signals (Sitzmann et al. 2020)
)  # fmt: skip
cos: Primitive = elementwise("cos", "y = cos x", function("cos"), evaluate=np.cos, partials=(lambda x, y: -sin(x),))
tanh = elementwise(
    "tanh", "y = tanh x", function("tanh"), evaluate=np.tanh, partials=(lambda x, y: 1.0 - y * y,),
    facts=Facts(activation=ActivationFacts(range=(-1.0, 1.0), saturates=True, classic=True)),
)  # fmt: skip


def _erf(x: Array) -> Array:
    """NumPy has no erf; the standard library's is exact to the last bit or so, if slow."""
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(x), dtype=x.dtype)


erf = elementwise(
    "erf",
    "y = 2/√π ∫₀ˣ e^(−t²) dt",
    function("erf", r"\operatorname{erf}"),
    evaluate=_erf,
    partials=(lambda x, y: (2.0 / math.sqrt(math.pi)) * exp(-(x * x)),),
)
abs = elementwise(
    "abs", "y = |x|", Notation("|#0|", r"\left\lvert #0\right\rvert", sign="|x|"), evaluate=np.abs,
    partials=(lambda x, y: sign(x),), result="number", kinks="at 0: 0", kink_distance=from_zero,
    facts=Facts(exact=True, corner="zero"),
)  # fmt: skip
sign: Primitive = elementwise(
    "sign", "y = −1, 0 or 1: the sign of x", function("sign", r"\operatorname{sign}"), evaluate=np.sign,
    partials=(nothing,), result="number", kinks=_PIECEWISE, kink_distance=from_zero, facts=Facts(jumps=True),
)  # fmt: skip


def _floor(x: Array) -> Array:
    return x if x.dtype.kind in "iu" else np.asarray(np.floor(x))


floor = elementwise(
    "floor", "y = the largest integer ≤ x", Notation("floor(#0)", r"\left\lfloor #0\right\rfloor"), evaluate=_floor,
    partials=(nothing,), result="number", kinks=_PIECEWISE, kink_distance=lambda x: x - np.round(x),
    facts=Facts(jumps=True),
)  # fmt: skip

# ------------------------------------------------------------------------------------------------ larger and smaller
_TIES = "at a tie: ½ to each"
_CHOICE = Facts(exact=True, corner="meeting")


def _share_of_larger(a: Node, b: Node) -> Node:
    """1 for the larger, 0 for the smaller, and ½ each at a tie; 1 for both where one is NaN."""
    return where(equal(a, b), 0.5, to_dtype(exceeds(a, b), a.dtype))


maximum = elementwise(
    "maximum", "y = max(a, b)", Notation("max(#0, #1)", r"\max\left(#0, #1\right)"), evaluate=np.maximum,
    partials=(lambda a, b, y: _share_of_larger(a, b), lambda a, b, y: _share_of_larger(b, a)),
    result="same", domain=(REALS, REALS), kinks=_TIES, kink_distance=np.subtract, facts=_CHOICE,
)  # fmt: skip
minimum = elementwise(
    "minimum", "y = min(a, b)", Notation("min(#0, #1)", r"\min\left(#0, #1\right)"), evaluate=np.minimum,
    partials=(lambda a, b, y: _share_of_larger(b, a), lambda a, b, y: _share_of_larger(a, b)),
    result="same", domain=(REALS, REALS), kinks=_TIES, kink_distance=np.subtract, facts=_CHOICE,
)  # fmt: skip


def _clip(x: Node, low: float | None, high: float | None) -> Node:
    y = x if low is None else maximum(x, low)
    return y if high is None else minimum(y, high)


def _clip_partial(x: Node, y: Node, low: float | None, high: float | None) -> Node | float:
    inside = [x >= low] if low is not None else []
    inside += [x <= high] if high is not None else []
    if not inside:
        return 1.0
    return to_dtype(inside[0] if len(inside) == 1 else logical_and(*inside), x.dtype)


clip = elementwise(
    "clip", "y = min(max(x, low), high)",
    Notation("clip(#0)", r"\operatorname{clip}\left(#0\right)"),
    body=_clip, partials=(_clip_partial,), result="number", settings={"low": -1.0, "high": 1.0}, optional=True,
    kinks="at low and high: 1", kink_distance=lambda x: np.abs(x) - 1.0, facts=Facts(corner="bounds"),
)  # fmt: skip
square = elementwise(
    "square", "y = x²", Notation("<0!>^2", "{<0!>}^{2}", POWER, "x²"), body=lambda x: x * x, partials=(lambda x, y: 2.0 * x,),
    result="number", facts=Facts(bound="square"),
)  # fmt: skip
