"""Products of matrices and tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.ir import Attributes, DType, Node, Shape
from chainrule.ops.elementwise import PRODUCT, where
from chainrule.ops.facts import AffinePart, Facts
from chainrule.ops.primitive import Case, Inputs, Notation, Operand, Primitive, as_node, check_attributes, define
from chainrule.ops.promotion import promote
from chainrule.ops.reduction import sum, sum_to
from chainrule.ops.shape import random_values, reshape, transpose


def _prepare_pair(op: str) -> Any:
    def prepare(operands: tuple[Operand, ...], attributes: dict[str, Any]) -> tuple[Inputs, dict[str, Any]]:
        check_attributes(op, attributes, [])
        if len(operands) != 2:
            raise ArgumentError(f"{op} got {len(operands)} inputs", "it takes two", "Check the call.")
        return promote(operands, "number", op), attributes

    return prepare


def swap_last(x: Node) -> Node:
    """x with its last two axes exchanged: the transposed matrix of every matrix in it."""
    return transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def _as_matrices(a: Shape, b: Shape) -> tuple[Shape, Shape]:
    """Shapes of the factors as (stacks of) matrices: a vector on the left is a row, on the right a column."""
    return ((1, *a) if len(a) == 1 else a), ((*b, 1) if len(b) == 1 else b)


def _infer_matmul(inputs: Inputs, attributes: Attributes) -> tuple[Shape, DType]:
    a, b = inputs
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError(f"matmul got the shapes {a.shape} and {b.shape}", "both need at least one axis", "Use * for scalars.")
    left, right = _as_matrices(a.shape, b.shape)
    try:
        batch = np.broadcast_shapes(left[:-2], right[:-2])
    except ValueError:
        batch = None
    if left[-1] != right[-2] or batch is None:
        raise ShapeError(
            f"matmul got the shapes {a.shape} and {b.shape}",
            f"the last axis of the first, {left[-1]}, must equal the {'last' if b.ndim == 1 else 'second last'} axis of "
            f"the second, {right[-2]}, and leading axes must broadcast",
            "Transpose or reshape one of them.",
        )
    shape = (*batch, left[-2], right[-1])
    if b.ndim == 1:
        shape = shape[:-1]
    if a.ndim == 1:
        shape = (*shape[: len(batch)], *shape[len(batch) + 1 :])
    return shape, a.dtype


def _matmul_pullback(g: Node, node: Node, index: int) -> Node:
    """dA = dY Bᵀ and dB = Aᵀ dY, on every matrix of the stack."""
    a, b = node.inputs
    left, right = _as_matrices(a.shape, b.shape)
    matrices = (reshape(a, left), reshape(b, right))
    batch = np.broadcast_shapes(left[:-2], right[:-2])
    upstream = reshape(g, (*batch, left[-2], right[-1]))
    d = upstream @ swap_last(matrices[1]) if index == 0 else swap_last(matrices[0]) @ upstream
    return reshape(sum_to(d, matrices[index].shape), node.inputs[index].shape)


def _matmul_case(rng: np.random.Generator) -> Case:
    shapes = [((2, 3), (3, 4)), ((3,), (3, 2)), ((2, 3), (3,)), ((3,), (3,)), ((2, 2, 3), (3, 2)), ((2, 1, 1, 3), (4, 3, 2))]
    a, b = shapes[int(rng.integers(len(shapes)))]
    return Case((random_values(rng, a), random_values(rng, b)))


matmul = define(
    Primitive(
        name="matmul",
        summary="Y = A B: y_ij = Σ_k a_ik b_kj, over leading axes as in NumPy; a vector is a row left, a column right",
        notation=Notation("<0> @ <1!>", "<0> <1!>", PRODUCT, "@"),
        prepare=_prepare_pair("matmul"),
        infer=_infer_matmul,
        evaluate=np.matmul,
        pullback=_matmul_pullback,
        facts=Facts(bound="matmul", affine=AffinePart()),
        cases=_matmul_case,
    )
)


outer = define(
    Primitive(
        name="outer",
        summary="y_ij = a_i b_j",
        notation=Notation("<0> ⊗ <1!>", r"<0> \otimes <1!>", PRODUCT),
        prepare=_prepare_pair("outer"),
        infer=lambda inputs, attributes: ((inputs[0].size, inputs[1].size), inputs[0].dtype),
        body=lambda a, b: reshape(a, (a.size, 1)) * reshape(b, (1, b.size)),
        cases=lambda rng: Case((random_values(rng, (3,)), random_values(rng, (2,)))),
    )
)


# ------------------------------------------------------------------------------------------------ einsum
def _parse(equation: str, count: int) -> tuple[list[str], str]:
    """Index letters per operand and of the result; without "->" the result has the letters that come once, in order."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    letters = left.replace(",", "")
    if len(terms) != count or (not (letters + right).isalpha() and letters + right):
        raise ArgumentError(
            f"einsum got the equation {equation!r} for {count} arrays",
            "it takes letters per array, separated by commas, and -> with the letters of the result",
            "For a matrix product: 'ij,jk->ik'.",
        )
    if not arrow:
        right = "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    if len(set(right)) < len(right) or not set(right) <= set(letters):
        raise ArgumentError(
            f"einsum got the result {right!r} in {equation!r}",
            "each of its letters must occur once, and in an input",
            "Check the letters after ->.",
        )
    return terms, right


def _sizes(terms: list[str], inputs: Inputs, equation: str) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for term, node in zip(terms, inputs, strict=True):
        if len(term) != node.ndim or any(sizes.setdefault(c, n) != n for c, n in zip(term, node.shape, strict=True)):
            shapes = " and ".join(str(i.shape) for i in inputs)
            raise ShapeError(
                f"einsum got {equation!r} for the shapes {shapes}",
                "each array needs one letter per axis, and a letter has one size",
                "Check the equation against the shapes.",
            )
    return sizes


def _prepare_einsum(operands: tuple[Operand, ...], attributes: dict[str, Any]) -> tuple[Inputs, dict[str, Any]]:
    equation, *arrays = operands if "equation" not in attributes else (attributes["equation"], *operands)
    terms, result = _parse(str(equation), len(arrays))
    inputs = promote(tuple(arrays), "number", "einsum")
    return inputs, {"equation": f"{','.join(terms)}->{result}"}


def _infer_einsum(inputs: Inputs, attributes: Attributes) -> tuple[Shape, DType]:
    terms, result = _parse(attributes["equation"], len(inputs))
    sizes = _sizes(terms, inputs, attributes["equation"])
    return tuple(sizes[c] for c in result), inputs[0].dtype


def _diagonal(x: Node, term: str) -> tuple[Node, str]:
    """Merge axes that share a letter: keep only the elements where their indices agree."""
    for letter in dict.fromkeys(term):
        while term.count(letter) > 1:
            first, second = term.index(letter), term.rindex(letter)
            size = x.shape[first]
            mask_shape = tuple(size if a in (first, second) else 1 for a in range(x.ndim))
            x = sum(where(as_node(np.eye(size, dtype=bool).reshape(mask_shape)), x, 0.0), axis=second)
            term = term[:second] + term[second + 1 :]
    return x, term


def _sum_out(x: Node, term: str, keep: set[str]) -> tuple[Node, str]:
    """Sum over the letters that nobody else needs."""
    axes = tuple(a for a, c in enumerate(term) if c not in keep)
    return (sum(x, axis=axes), "".join(c for c in term if c in keep)) if axes else (x, term)


def _arrange(x: Node, term: str, order: str) -> Node:
    return transpose(x, tuple(term.index(c) for c in order))


def _contract(a: Node, left: str, b: Node, right: str, keep: set[str]) -> tuple[Node, str]:
    """The product of two arrays, summed over their common letters that are not in `keep`, as one stack of matrix products."""
    batch = "".join(c for c in left if c in right and c in keep)
    inner = "".join(c for c in left if c in right and c not in keep)
    rows = "".join(c for c in left if c not in right)
    columns = "".join(c for c in right if c not in left)
    size = dict(zip(left + right, a.shape + b.shape, strict=True))

    def product(letters: str) -> int:
        return int(np.prod([size[c] for c in letters], dtype=np.int64))

    lead = tuple(size[c] for c in batch)
    a = reshape(_arrange(a, left, batch + rows + inner), (*lead, product(rows), product(inner)))
    b = reshape(_arrange(b, right, batch + inner + columns), (*lead, product(inner), product(columns)))
    result = batch + rows + columns
    return reshape(a @ b, tuple(size[c] for c in result)), result


def _einsum(*inputs: Node, equation: str) -> Node:
    terms, result = _parse(equation, len(inputs))
    parts = [_diagonal(x, term) for x, term in zip(inputs, terms, strict=True)]
    value, term = parts[0]
    for position, (other, other_term) in enumerate(parts[1:], start=1):
        later = set(result).union(*(t for _, t in parts[position + 1 :]))
        value, term = _sum_out(value, term, later | set(other_term))
        other, other_term = _sum_out(other, other_term, later | set(term))  # noqa: PLW2901
        value, term = _contract(value, term, other, other_term, later)
    value, term = _sum_out(value, term, set(result))
    return _arrange(value, term, result)


def _einsum_case(rng: np.random.Generator) -> Case:
    choices = [
        ("ij,jk->ik", ((2, 3), (3, 2))),
        ("bij,bjk->bik", ((2, 2, 3), (2, 3, 2))),
        ("ii->i", ((3, 3),)),
        ("ij->", ((2, 3),)),
        ("i,ij,j->", ((2,), (2, 3), (3,))),
        ("ij,kj", ((2, 3), (4, 3))),
        ("ij,kl->jk", ((2, 3), (2, 2))),
    ]
    equation, shapes = choices[int(rng.integers(len(choices)))]
    return Case(tuple(random_values(rng, s) for s in shapes), {"equation": equation})


einsum = define(
    Primitive(
        name="einsum",
        summary="y = Σ over the letters left out of the result, of the product of the inputs",
        notation=Notation("Σ (#*)", r"\sum \left(#*\right)"),
        prepare=_prepare_einsum,
        infer=_infer_einsum,
        body=_einsum,
        cases=_einsum_case,
    )
)
