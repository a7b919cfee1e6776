"""How operations that move elements are written: transposes, slices, arrays put together, zeros put around."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from chainrule.ir import Node
from chainrule.ops.elementwise import OPEN, POWER, PRODUCT
from chainrule.ops.written import (
    ATOM,
    MATMUL,
    ONES,
    Special,
    Style,
    Written,
    axis_letters,
    bare,
    below,
    brackets,
    called,
    matrix,
    sizes,
    transposed,
)

_MOST_LISTED = 8  # elements of a vector that are written one by one


# -------------------------------------------------------------------------------------------- order and shape
def _write_transpose(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    """xᵀ of the last two axes; else x with the new order of its axes. Among the first axes those of size 1 have no order."""
    source, axes = node.inputs[0], node.attributes["axes"]
    if _product_of_others(source):
        return written[source]  # its indices are those of the array
    pictures = node.ndim > 2 and axes[-1] == node.ndim - 1
    order = [a for a in axes if source.shape[a] != 1 or not pictures]
    if order == sorted(order):
        return written[source]
    if source.op == "reshape" and source.inputs[0].ndim == 1 and source.shape[0] == 1 and source.name is None:
        return written[source.inputs[0]]  # a row turned back into the column that it was made from
    plain = [*range(node.ndim - 2), node.ndim - 1, node.ndim - 2]
    return transposed(written[source], style, "" if order == plain else axis_letters(order)), POWER + 1


def _write_reshape(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    """A vector is a column; as a row it is transposed. Axes of size 1 are not worth a word otherwise."""
    source = node.inputs[0]
    inner = written[source]
    if _product_of_others(source if source.op != "transpose" or source.name else source.inputs[0]):
        return inner
    if (source.ndim, node.ndim) in ((1, 2), (2, 1)) and source.size > 1:
        wide = node if node.ndim == 2 else source
        number = source.op == "broadcast_to" and source.inputs[0].size == 1
        if wide.shape[1] == 1 or ((source.op == "sum" or number) and source.name is None):
            return inner
        if wide.shape[0] == 1:
            return transposed(inner, style), POWER + 1
    if [n for n in source.shape if n != 1] == [n for n in node.shape if n != 1]:
        return inner
    name, sub = ("vec", "") if node.ndim == 1 else ("reshape", below(sizes(node.shape), style))
    return called(name, sub, inner[0], style)


def _write_broadcast(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    """A number stands for itself in every element; another array is repeated by a factor of ones."""
    source = node.inputs[0]
    text, level = written[source]
    if source.size == 1 or source.shape == node.shape:
        return text, level
    ones = ONES[style] + below(sizes(node.shape), style)
    factor = text if level >= PRODUCT else brackets(text, style)
    return f"{factor} {'⊙' if style == 'text' else chr(92) + 'odot'} {ones}", PRODUCT


def _write_flip(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    """A kernel turned by 180° is rot₁₈₀; otherwise the axes are named that run the other way."""
    text = written[node.inputs[0]][0]
    axes = [a for a in node.attributes["axis"] if node.shape[a] != 1]
    if not axes:
        return written[node.inputs[0]]
    turned = node.ndim >= 3 and tuple(node.attributes["axis"]) == tuple(range(2, node.ndim))
    name = "rot" if turned else "flip"
    sub = below("180" if turned else axis_letters(axes) if node.ndim > 1 else "", style)
    return called(name, sub, text, style)


# -------------------------------------------------------------------------------------------- parts
def _indexed(base: Written, keys: Sequence[str], style: Style) -> Written:
    return f"{bare(base, style)}[{', '.join(keys)}]", ATOM


def _write_slice(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    """x[1, 0:2], as in Python."""
    if node.inputs[0].name is None and node.inputs[0].op == "windows_sum":
        return written[node.inputs[0]]  # the padding of a pooled picture is cut off again
    keys = [
        str(a) if b - a == 1 else ":" if (a, b, s) == (0, n, 1) else f"{a}:{b}" + (f":{s}" if s != 1 else "")
        for a, b, s, n in zip(*(node.attributes[k] for k in ("start", "stop", "step")), node.inputs[0].shape, strict=True)
    ]
    return _indexed(written[node.inputs[0]], keys, style)


def _write_gather(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    """x[i, :, j], with arrays of indices."""
    source, *indices = node.inputs
    keys = dict(zip(node.attributes["axes"], (written[i][0] for i in indices), strict=True))
    return _indexed(written[source], [keys.get(a, ":") for a in range(max(keys, default=-1) + 1)], style)


def _write_embedding(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    indices, table = node.inputs
    return _indexed(written[table], [written[indices][0]], style)


def _write_scatter(node: Node, written: Mapping[Node, Written], style: Style) -> Written | None:
    """The adjoint of x[i], by the matrix of ones that has a column per index."""
    if node.attributes["axes"] != (0,):
        return None
    values, indices = node.inputs
    columns = called("onehot", "", written[indices][0], style)
    rows = transposed(columns, style)
    text, level = written[values]
    right = text if level > PRODUCT else brackets(text, style)
    return f"{rows}{' @ ' if style == 'text' else ' ' + chr(92) + ', '}{right}", MATMUL


# -------------------------------------------------------------------------------------------- arrays of formulas
def _write_pad(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    """The array among zeros: [0, x, 0], or a matrix of blocks."""
    (source,) = node.inputs
    fill = f"{node.attributes['value']:g}"
    fill = fill if style == "text" else fill.replace("inf", r"\infty")
    if node.ndim == 1 and any(node.attributes["interior"]) and node.size <= _MOST_LISTED:
        step = node.attributes["interior"][0] + 1
        items = [_indexed(written[source], [str(k)], style)[0] for k in range(source.size)]
        between = [each for item in items for each in (item, *[fill] * (step - 1))][: 1 + step * (source.size - 1)]
        before, after = node.attributes["widths"][0]
        return matrix([[*[fill] * before, *between, *[fill] * after]], style), ATOM
    if node.ndim in (1, 2) and source.size and not any(node.attributes["interior"]):
        return matrix(_blocks(node, written[source][0], fill, style), style), ATOM
    apart = (f" by {n + 1}" if n else "" for n in node.attributes["interior"])
    widths = ", ".join(f"{a}+{b}{n}" for (a, b), n in zip(node.attributes["widths"], apart, strict=True))
    text = written[source][0]
    if style == "text":
        return f"pad({text}; {widths})", ATOM
    return called("pad", f"_{{{widths.replace('by', chr(92) + 'times')}}}", text, style)


def _blocks(node: Node, text: str, fill: str, style: Style) -> list[list[str]]:
    """Rows of blocks: `text` where the array is, `fill` around it. Around one number every element is written, if few."""
    (source,) = node.inputs
    every = source.size == 1 and node.size <= 2 * _MOST_LISTED
    counts = [[n if every else min(n, 1) for n in widths] for widths in node.attributes["widths"]]
    if node.ndim == 1 and not every:
        dots = "…" if style == "text" else r"\cdots"
        many = [[fill] * n if n <= 3 else [fill, dots, fill] for n in node.attributes["widths"][0]]
        return [[*many[0], text, *many[1]]]
    left, right = counts[-1]
    row = [*[fill] * left, text, *[fill] * right]
    if node.ndim == 1:
        return [row]
    above, under = counts[0]
    zeros = [fill] * len(row)
    return [*[zeros] * above, row, *[zeros] * under]


def _write_concatenate(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    """Blocks beside or above each other."""
    texts = [written[i][0] for i in node.inputs]
    axis = node.attributes["axis"] % node.ndim
    return matrix([texts] if axis == node.ndim - 1 else [[t] for t in texts], style), ATOM


def _write_stack(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    """Numbers as a vector, vectors as the rows or columns of a matrix."""
    axis = node.attributes["axis"] % node.ndim
    if node.ndim == 2 and axis == 0:
        return matrix([[transposed(written[i], style)] for i in node.inputs], style), ATOM
    texts = [written[i][0] for i in node.inputs]
    if node.ndim <= 2:
        return matrix([texts], style), ATOM
    inner, sub = ", ".join(texts), below(axis_letters([axis]), style)
    return called("stack", sub, inner, style)


# -------------------------------------------------------------------------------------------- sums
def _write_mean(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    """(1/n) Σ x."""
    (source,) = node.inputs
    axes = node.attributes["axis"]
    text, level = written[source]
    inner = text if level >= PRODUCT or level == OPEN else brackets(text, style)
    sub = "" if len(axes) == source.ndim else below(axis_letters(axes), style)
    count = source.size // node.size if node.size else 0
    return (f"1/{count} Σ{sub} {inner}" if style == "text" else rf"\frac{{1}}{{{count}}} \sum{sub} {inner}"), OPEN


def _write_einsum(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    """Σ[j] a[i, j] · b[j, k]."""
    terms, _, result = node.attributes["equation"].partition("->")
    letters = terms.split(",")
    summed = list(dict.fromkeys(c for c in terms if c.isalpha() and c not in result))
    texts = []
    for each, term in zip(node.inputs, letters, strict=True):
        index = f"[{', '.join(term)}]" if style == "text" else f"_{{{term}}}"
        base = bare(written[each], style)
        texts.append((base if style == "text" else f"{{{base}}}") + (index if term else ""))
    if style == "text":
        return (f"Σ[{', '.join(summed)}] " if summed else "") + " · ".join(texts), OPEN
    return (rf"\sum_{{{','.join(summed)}}} " if summed else "") + r" \, ".join(texts), OPEN


# -------------------------------------------------------------------------------------------- products
def _product_of_others(node: Node) -> bool:
    """Whether a node multiplies, for every element, all others: the gradient of a product."""
    if node.op != "prod" or node.name is not None or node.inputs[0].op != "where":
        return False
    condition, one, _ = node.inputs[0].inputs
    return (condition.op, condition.ndim, one.op) == ("constant", 2, "constant") and node.attributes["axis"] == (node.ndim,)


def _write_prod(node: Node, written: Mapping[Node, Written], style: Style) -> Written | None:
    """Π[j≠i] v[j], where all elements but one are multiplied."""
    if not _product_of_others(node):
        return None
    source = _unmoved(node.inputs[0].inputs[2])
    kept = list(range(node.ndim - 1))
    order = next((n.attributes["axes"] for n in _moves(node.inputs[0].inputs[2]) if n.op == "transpose"), range(source.ndim))
    axes = [a for k, a in enumerate(order) if k not in kept]
    own, others = axis_letters(axes), axis_letters([source.ndim + k for k in range(len(axes))])
    index = [axis_letters([a]) for a in range(source.ndim)]
    for a, other in zip(axes, others, strict=True):
        index[a] = other
    several = len(axes) > 1
    unequal = " ≠ " if several else "≠"
    pair = [f"({', '.join(letters)})" if several else letters for letters in (others, own)]
    base = bare(written[source], style)
    if style == "text":
        return f"Π[{unequal.join(pair)}] {base}[{', '.join(index)}]", OPEN
    return rf"\prod_{{{pair[0]} \ne {pair[1]}}} {{{base}}}_{{{','.join(index)}}}", OPEN


def _moves(node: Node) -> Iterator[Node]:
    """The node and those below it that only hand elements on, in another order or shape."""
    yield node
    while node.name is None and node.op in ("reshape", "transpose", "expand_dims", "squeeze", "broadcast_to", "pad", "cast"):
        node = node.inputs[0]
        yield node


def _unmoved(node: Node) -> Node:
    return list(_moves(node))[-1]


# -------------------------------------------------------------------------------------------- pooling
def _write_windows_sum(node: Node, written: Mapping[Node, Written], style: Style) -> Written | None:
    """What goes back through pooling: to all places of a window, or to that of its largest element."""
    (source,) = node.inputs
    window = below(sizes(source.shape[source.ndim - len(node.attributes["shape"]) :]), style)
    spread = next((n for n in _moves(source) if n.op == "broadcast_to" and n.name is None), None)
    if spread is not None:
        return called("Unpool", window, written[_unmoved(spread)][0], style)
    shares = _unmoved(source)
    found = _largest_of(shares) if shares.op in ("multiply", "masked", "equal") and shares.name is None else None
    if found is None:
        return None
    pooled = written[found][0]
    gradient = "1" if shares.op == "equal" else written[shares.inputs[0]][0]
    largest = f"argmax {pooled}" if style == "text" else rf"\operatorname{{argmax}} {pooled}"
    return called("MaxUnpool", window, f"{gradient}, {largest}", style)


def _largest_of(shares: Node) -> Node | None:
    """The array of which the largest element of each window is marked."""
    marks = shares if shares.op == "equal" else _unmoved(shares.inputs[1])
    first = _unmoved(marks.inputs[0]) if marks.op == "equal" else marks
    view = _unmoved(first.inputs[0]) if first.op == "argmax" else first
    return _unmoved(view.inputs[0]) if view.op == "windows" else None


SPECIAL: dict[str, Special] = {
    "transpose": _write_transpose,
    "reshape": _write_reshape,
    "squeeze": _write_reshape,
    "expand_dims": _write_reshape,
    "broadcast_to": _write_broadcast,
    "flip": _write_flip,
    "slice": _write_slice,
    "gather": _write_gather,
    "embedding": _write_embedding,
    "scatter_add": _write_scatter,
    "pad": _write_pad,
    "concatenate": _write_concatenate,
    "stack": _write_stack,
    "mean": _write_mean,
    "prod": _write_prod,
    "windows_sum": _write_windows_sum,
    "einsum": _write_einsum,
}
