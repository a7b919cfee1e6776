"""A graph from a typed formula. The text is parsed with Python's grammar and never run as Python."""

from __future__ import annotations

import ast
import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from chainrule import checks, functional
from chainrule.derivations.functions import FUNCTIONS, Function, function_named, is_many, is_value, meant
from chainrule.derivations.printed import as_typed
from chainrule.errors import ArgumentError
from chainrule.tensors import Tensor, TensorLike, parameter, tensor

_Operation = Callable[..., Tensor]
_OPERATORS: dict[type[ast.AST], _Operation] = {
    ast.Add: functional.add,
    ast.Sub: functional.subtract,
    ast.Mult: functional.multiply,
    ast.Div: functional.divide,
    ast.Pow: functional.power,
    ast.MatMult: functional.matmul,
    ast.Gt: functional.greater,
    ast.GtE: functional.greater_equal,
    ast.Lt: functional.less,
    ast.LtE: functional.less_equal,
    ast.Eq: functional.equal,
    ast.NotEq: functional.not_equal,
    ast.And: functional.logical_and,
    ast.Or: functional.logical_or,
}
_NUMBER_OPERATORS: dict[type[ast.AST], Callable[[np.float64, np.float64], np.float64]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}
_DEFINED = re.compile(r"(?:^|[\n;])\s*([^\W\d]\w*)\s*=(?!=)")
# Numbers that have a name, unless a value of that name is given.
CONSTANTS = {"π": np.pi, "e": np.e}
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_LARGEST_SETTING = 1000  # of an axis, a window, a shape
_LONGEST = 100_000
_DEEPEST = 100


class FormulaError(ArgumentError):
    """A formula that cannot be read, or uses a name that has no value."""


def expression(formula: str, /, **values: TensorLike) -> Tensor:
    """Build a graph from a formula.

    Args:
        formula: Python's arithmetic (+ - * / ** @, comparisons, brackets, lists of numbers) and functions of chainrule by name
            (sigmoid, exp, maximum, …). Several lines, or parts separated by ";", may give names to intermediate results:
            "O3 = sigmoid(x1*w13 + x2*w23); E = 0.5*(O3 - t)**2". Formulas may be written as they are printed:
            1/√(2π) · x², a(1 - a), |x|, Σ x ⊙ y, [x > 0], {x if x > 0, else 0}.
        values: a number or array for every name that the formula does not define itself; π and e (Euler's number) need none.

    Returns:
        The value of the last line. Every name becomes the name of a Tensor.

    Raises:
        FormulaError: something that is not such a formula, or a name without value.
        ArgumentError: a value that is not used.

    >>> expression("y = sigmoid(w*x)", w=0.5, x=2.0).item()
    0.7310585786300049
    """
    text = checks.kind(formula, str, "expression got {} as its formula", "it takes text", 'Write "y = sigmoid(w*x)".')
    reader = _Reader({name: _leaf(name, value) for name, value in values.items()}, text)
    result = reader.read()
    unused = sorted(set(values) - reader.used)
    if unused:
        raise ArgumentError(f"a value was given for {unused[0]!r}", "the formula does not use that name", "Check the spelling.")
    return result


def names_in(formula: str) -> set[str]:
    """The names that a formula reads or defines; known functions that it calls are not among them.

    Raises:
        FormulaError: it cannot be read.
    """
    tree = _Reader({}, formula).parsed()
    called = {id(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and not (id(n) in called and function_named(n.id))}


def _leaf(name: str, value: TensorLike) -> Tensor:
    made = value if isinstance(value, Tensor) else parameter(value)
    return made if made.name == name else (made if made.name else made.named(name))


class _Reader:
    """Reads one formula, name by name."""

    def __init__(self, names: Mapping[str, Tensor], formula: str) -> None:
        self._names = dict(names)
        self._formula = formula
        self.used: set[str] = set()

    def read(self) -> Tensor:
        statements = self.parsed().body
        if not statements:
            raise self._error("nothing in it", "it must be arithmetic such as sigmoid(w*x)", "Write one.")
        result: Tensor | None = None
        for statement in statements:
            result = self._statement(statement)
        assert result is not None
        return result

    def parsed(self) -> ast.Module:
        """The formula by Python's grammar."""
        lines = (line.strip() for line in self._formula.splitlines())
        text = "\n".join(line for line in lines if line)
        text = as_typed(text, {*self._names, *_DEFINED.findall(text.translate(_LOWERED))})
        if len(text) > _LONGEST:
            raise self._error(f"{len(text)} characters", f"it may have {_LONGEST}", "Write less.")
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            where = f"{getattr(error, 'text', None) or text}".strip()
            raise FormulaError(
                f"the formula could not be read near {where[:60]!r}",
                "it must be arithmetic such as 0.5*(sigmoid(w*x) - t)**2",
                "Check brackets and operators; multiplication is written *.",
            ) from None

    def _statement(self, statement: ast.stmt) -> Tensor:
        if isinstance(statement, ast.Expr):
            return self._value(statement.value, 0)
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            if name in self._names:
                raise self._error(f"a second value for {name!r}", "a name stands for one value", "Choose another name.")
            value = self._value(statement.value, 0)
            # A second name for the same value would rename it everywhere, so it gets a node of its own.
            named = functional.reshape(value, value.shape) if value.name else value
            self._names[name] = named.named(name)
            return named
        raise self._error(f"{_source(statement)!r}", "each line is a formula, or name = formula")

    def _value(self, node: ast.expr, depth: int) -> Tensor:
        found = self._operand(node, depth)
        # A number is a float, so that 2**-1 and 9**30 are what they are on paper.
        return found if isinstance(found, Tensor) else tensor(found)

    def _operand(self, node: ast.expr, depth: int) -> Tensor | float:
        """A value; plain numbers stay numbers, so that a power knows its exponent and a product its constant."""
        if depth > _DEEPEST:
            raise self._error(
                f"more than {_DEEPEST} nested operations",
                f"it may have {_DEEPEST}",
                "Give names to intermediate results: h = …; y = … h ….",
            )
        number = _number(node)
        if number is not None:
            return number if isinstance(number, float) else self._array(node, number)
        if isinstance(node, ast.BinOp):
            exponent = self._exponent_of_e(node)
            return self._chain(node, depth) if exponent is None else functional.exp(self._operand(exponent, depth + 1))
        found: Tensor | float | None = None
        match node:
            case ast.Name(id=name):
                found = self._named(name)
            case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
                found = self._condition(node, depth)
            case ast.List(elts=[ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()) as condition]):
                found = self._value(condition, depth + 1).astype(np.float64)  # Iverson's bracket: 1 where it holds, else 0
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                found = -self._operand(inner, depth + 1)
            case ast.UnaryOp(op=ast.UAdd(), operand=inner):
                found = self._operand(inner, depth + 1)
            case ast.Call(func=ast.Name(id=name)):
                found = self._call(name, node, depth)
            case ast.List():
                found = functional.stack(self._list(node, depth))
            case ast.Subscript() | ast.Attribute(attr="T"):
                found = self._part(node, depth)
        if found is None:
            raise self._unknown(node)
        return found

    def _array(self, node: ast.expr, numbers: list[object]) -> Tensor:
        try:
            return tensor(np.asarray(numbers, np.float64))
        except ValueError:
            raise self._error(f"{_source(node)!r}", "rows must be equally long lists of numbers") from None

    def _condition(self, node: ast.expr, depth: int) -> Tensor | None:
        match node:
            case ast.Compare(left=a, ops=[operator], comparators=[b]) if type(operator) in _OPERATORS:
                return self._operation(_OPERATORS[type(operator)], [a, b], depth)
            case ast.BoolOp(op=operator, values=conditions):
                return functools.reduce(_OPERATORS[type(operator)], [self._value(c, depth + 1) for c in conditions])
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                return functional.logical_not(self._value(inner, depth + 1))
        return None

    def _chain(self, node: ast.BinOp, depth: int) -> Tensor | float:
        """a + b + c + …, from the left, so that a sum of any length is fine."""
        links: list[ast.BinOp] = []
        first: ast.expr = node
        while isinstance(first, ast.BinOp) and self._exponent_of_e(first) is None:
            links.append(first)
            first = first.left
        value = self._operand(first, depth + 1)
        for link in reversed(links):
            if type(link.op) not in _OPERATORS:
                raise self._unknown(link)
            value = self._combined(link, value, self._operand(link.right, depth + 1))
        return value

    def _exponent_of_e(self, node: ast.BinOp) -> ast.expr | None:
        """The exponent of a power of Euler's number, which is exp of it; None of anything else."""
        match node:
            case ast.BinOp(left=ast.Name(id="e"), op=ast.Pow(), right=exponent) if "e" not in self._names:
                return exponent
        return None

    def _combined(self, link: ast.BinOp, a: Tensor | float, b: Tensor | float) -> Tensor | float:
        """Two values put together; plain numbers give a plain number, 1/2 say."""
        if isinstance(a, Tensor) or isinstance(b, Tensor):
            return _OPERATORS[type(link.op)](a, b)
        if isinstance(link.op, ast.MatMult):
            raise self._error(f"{_source(link)!r}", "@ multiplies arrays", "Write * between numbers.")
        with np.errstate(all="ignore"):
            number = float(_NUMBER_OPERATORS[type(link.op)](np.float64(a), np.float64(b)))
        if not np.isfinite(number):
            raise self._error(f"{_source(link)!r}, which is {number}", "its numbers must be finite")
        return number

    def _named(self, name: str) -> Tensor:
        if name in CONSTANTS and name not in self._names:
            return tensor(CONSTANTS[name])
        if name not in self._names:
            known = ", ".join(self._names) or "none"
            raise FormulaError(
                f"the formula uses {name!r}, which has no value", f"known names: {known}", f"Give it: {name}=0.5, say."
            )
        self.used.add(name)
        return self._names[name]

    def _operation(self, operation: _Operation, operands: list[ast.expr], depth: int) -> Tensor:
        return operation(*(self._operand(o, depth + 1) for o in operands))

    def _call(self, name: str, node: ast.Call, depth: int) -> Tensor:
        function = function_named(name)
        if function is None:
            near = meant(name)
            raise self._error(
                f"the function {name!r}",
                f"there is none of that name{f' (did you mean {near}?)' if near else ''}",
                f"There are {', '.join(sorted(FUNCTIONS))}; multiplication is written *.",
            )
        if function.of_two is not None and len(node.args) == 2 and not node.keywords:
            return self._operation(function.of_two, node.args, depth)
        return function.call(**self._bound(name, function, node, depth))

    def _bound(self, name: str, function: Function, node: ast.Call, depth: int) -> dict[str, Any]:
        """The arguments of a call by name: values are calculated, settings are written out."""
        places = [n for n, p in function.parameters.items() if p.kind is not p.KEYWORD_ONLY]
        written = [*zip(places, node.args, strict=False), *((k.arg or "**", k.value) for k in node.keywords)]
        given = dict(written)
        needed = {n for n, p in function.parameters.items() if p.default is p.empty}
        if len(node.args) > len(places) or len(given) < len(written) or not needed <= set(given) <= set(function.parameters):
            raise self._error(f"{_source(node)!r}", f"{name} takes {function.takes()}")
        return {n: self._argument(function.parameters[n], a, depth) for n, a in given.items()}

    def _argument(self, parameter: inspect.Parameter, node: ast.expr, depth: int) -> Any:
        if is_many(parameter):
            if isinstance(node, ast.List | ast.Tuple):
                return self._list(node, depth)
            raise self._error(f"{_source(node)!r}", f"{parameter.name} is a list, such as [a, b]")
        return self._operand(node, depth + 1) if is_value(parameter) else self._setting(parameter.name, node)

    def _list(self, node: ast.List | ast.Tuple, depth: int) -> list[Tensor]:
        return [self._value(each, depth + 1) for each in node.elts]

    def _setting(self, name: str, node: ast.expr) -> Any:
        """A setting that is written out: a number, a word, or several."""
        try:
            value = ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            value = np.inf
        if not _is_setting(value):
            raise self._error(
                f"{name}={_source(node)}", f"{name} is a number up to {_LARGEST_SETTING} or several, such as 2 or (1, 2)"
            )
        return value

    def _part(self, node: ast.Subscript | ast.Attribute, depth: int) -> Tensor:
        """An element, or the transpose."""
        if isinstance(node, ast.Attribute):
            return functional.transpose(self._value(node.value, depth + 1))
        items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        index = [_number(i) for i in items]
        if not all(isinstance(i, float) and i.is_integer() for i in index):
            raise self._error(f"{_source(node)!r}", "indices are whole numbers")
        return self._value(node.value, depth + 1)[tuple(int(i) for i in index if isinstance(i, float))]

    def _unknown(self, node: ast.expr) -> FormulaError:
        return self._error(
            f"{_source(node)!r}", "it may have numbers, names, + - * / ** @, comparisons, indices, and functions by name"
        )

    def _error(self, given: str, expected: str, action: str = "Change that part.") -> FormulaError:
        return FormulaError(f"the formula has {given}", expected, action)


def _number(node: ast.expr) -> float | list[object] | None:
    """A number, or nested lists of numbers, that is written out; else None."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return float(node.value) if abs(node.value) < 1e300 else None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _number(node.operand)
        return -inner if isinstance(inner, float) else None
    if isinstance(node, ast.List):
        parts = [_number(e) for e in node.elts]
        return None if any(p is None for p in parts) else list(parts)
    return None


def _is_setting(value: object) -> bool:
    if isinstance(value, int | float):
        return abs(value) <= _LARGEST_SETTING
    return value is None or isinstance(value, str) or (isinstance(value, list | tuple) and all(map(_is_setting, value)))


def _source(node: ast.AST) -> str:
    return ast.unparse(node)[:60]
