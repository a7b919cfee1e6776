"""What the code of every kernel is made of: counted loops, shares of them for threads, and vectors in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llvmlite import ir

from chainrule.backends.native.code import scalar
from chainrule.backends.native.code.bounds import Builder
from chainrule.ir import DType

INDEX = ir.IntType(64)
Range = tuple[ir.Value, ir.Value, int]  # start, stop, step


@dataclass(frozen=True)
class Chunk:
    """One vector of a strip of the vector axis: `lanes` elements from `offset`, of which the first `active` count."""

    offset: int
    lanes: int
    active: int


def chunks_of(size: int, lanes: int, masks: bool, offset: int = 0) -> list[Chunk]:
    """Cut `size` elements into vectors: whole ones, then one masked vector, or ever shorter ones where there are no masks."""
    found = [Chunk(offset + k, lanes, lanes) for k in range(0, size - lanes + 1, lanes)]
    done = len(found) * lanes
    while done < size:
        if masks:
            found.append(Chunk(offset + done, lanes, size - done))
            break
        width = 1 << ((size - done).bit_length() - 1)
        found.append(Chunk(offset + done, width, width))
        done += width
    return found


@dataclass(frozen=True)
class Share:
    """Which thread's share of a kernel is computed.

    Attributes:
        number, count: of this thread, and how many there are.
        most: how many there can be.
    """

    number: ir.Value
    count: ir.Value
    most: int


def _phis(b: Builder, carried: Sequence[ir.Value], before: ir.Block) -> list[ir.Value]:
    """At the head of a loop, the values that are carried along, as they come from before it."""
    phis = [b.phi(value.type) for value in carried]
    for phi, value in zip(phis, carried, strict=True):
        phi.add_incoming(value, before)
    return phis


def loop(
    b: Builder,
    over: Range,
    carried: Sequence[ir.Value],
    body: Callable[[ir.Value, list[ir.Value]], list[ir.Value]],
) -> list[ir.Value]:
    """A counted loop that runs at least once; `body` takes the counter and the carried values and gives the next ones."""
    start, stop, step = over
    before = b.block
    head = b.append_basic_block("loop")
    b.branch(head)
    b.position_at_end(head)
    counter = b.phi(INDEX)
    counter.add_incoming(start, before)
    phis = _phis(b, carried, before)
    results = body(counter, list(phis))
    following = b.add(counter, INDEX(step), flags=("nuw", "nsw"))
    counter.add_incoming(following, b.block)
    for phi, value in zip(phis, results, strict=True):
        phi.add_incoming(value, b.block)
    after = b.append_basic_block("done")
    b.cbranch(b.icmp_signed("<", following, stop), head, after)
    b.position_at_end(after)
    return results


def repeat(b: Builder, over: Range, body: Callable[[ir.Value], None]) -> None:
    """A counted loop that carries nothing along, and runs at least once."""

    def each(i: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
        body(i)
        return []

    loop(b, over, [], each)


def over_bits(
    b: Builder,
    bits: ir.Value,
    carried: Sequence[ir.Value],
    body: Callable[[ir.Value, list[ir.Value]], list[ir.Value]],
) -> list[ir.Value]:
    """A loop over the numbers of the bits that are set in an integer, from the lowest on; it may not run at all."""
    before, inside, after = b.block, b.append_basic_block("bit"), b.append_basic_block("done")
    b.cbranch(b.icmp_signed("!=", bits, INDEX(0)), inside, after)
    b.position_at_end(inside)
    left = b.phi(INDEX)
    left.add_incoming(bits, before)
    phis = _phis(b, carried, before)
    lowest = scalar.declared(b, "llvm.cttz.i64", ir.FunctionType(INDEX, [INDEX, ir.IntType(1)]))
    results = body(b.call(lowest, [left, ir.IntType(1)(1)]), list(phis))
    rest = b.and_(left, b.sub(left, INDEX(1)))
    left.add_incoming(rest, b.block)
    for phi, value in zip(phis, results, strict=True):
        phi.add_incoming(value, b.block)
    last = b.block
    b.cbranch(b.icmp_signed("!=", rest, INDEX(0)), inside, after)
    b.position_at_end(after)
    found = []
    for start, value in zip(carried, results, strict=True):
        merged = b.phi(value.type)
        merged.add_incoming(start, before)
        merged.add_incoming(value, last)
        found.append(merged)
    return found


def share_of(b: Builder, units: int, share: Share | None) -> tuple[ir.Value, ir.Value]:
    """The first unit of a thread's share, and the one after its last; all units if nothing is shared."""
    if share is None:
        return INDEX(0), INDEX(units)
    following = b.add(share.number, INDEX(1))
    first, after = (b.sdiv(b.mul(n, INDEX(units)), share.count) for n in (share.number, following))
    return first, after


def element_at(b: Builder, offset: int, index: Sequence[ir.Value], strides: Sequence[int]) -> ir.Value:
    """offset + Σ index · stride, with all that is known now added up now: it saves the compiler most of its work."""
    total: ir.Value | None = None
    for i, stride in zip(index, strides, strict=False):
        if isinstance(i, ir.Constant):
            offset += i.constant * stride
        elif stride:
            term = b.mul(i, INDEX(stride)) if stride != 1 else i
            total = term if total is None else b.add(total, term)
    if total is None:
        return INDEX(offset)
    return b.add(total, INDEX(offset)) if offset else total


def sum_of(b: Builder, i: ir.Value, j: ir.Value) -> ir.Value:
    """i + j."""
    return element_at(b, 0, [i, j], [1, 1])


def load_vector(b: Builder, pointer: ir.Value, dtype: DType, lanes: int, active: int) -> ir.Value:
    """Neighbouring elements; lanes from `active` on are 0 and their memory is not touched."""
    type = scalar.widened(scalar.memory_type(dtype), lanes)
    if active == lanes:
        return b.load(pointer, typ=type, align=dtype.itemsize)
    pointer = b.guarded(pointer, active * dtype.itemsize)
    name = f"llvm.masked.load.{_type_name(type)}.p0"
    mask = _mask(lanes, active)
    signature = ir.FunctionType(type, [pointer.type, ir.IntType(32), mask.type, type])
    return b.call(scalar.declared(b, name, signature), [pointer, ir.IntType(32)(dtype.itemsize), mask, scalar.fill(type, 0)])


def store_vector(b: Builder, value: ir.Value, pointer: ir.Value, dtype: DType, active: int) -> None:
    """Neighbouring elements; memory of lanes from `active` on is not touched."""
    lanes = scalar.lanes_of(value)
    if active == 1 < lanes:
        # LLVM makes a masked store of one lane a plain one, and of numbers that it cut to a byte before, stores all bytes.
        value, lanes = b.extract_element(value, ir.IntType(32)(0)), 1
    if active == lanes:
        b.store(value, pointer, align=dtype.itemsize)
        return
    pointer = b.guarded(pointer, active * dtype.itemsize)
    name = f"llvm.masked.store.{_type_name(value.type)}.p0"
    mask = _mask(lanes, active)
    signature = ir.FunctionType(ir.VoidType(), [value.type, pointer.type, ir.IntType(32), mask.type])
    b.call(scalar.declared(b, name, signature), [value, pointer, ir.IntType(32)(dtype.itemsize), mask])


def load_every_second(b: Builder, pointer: ir.Value, dtype: DType, lanes: int, active: int) -> ir.Value:
    """`active` elements, two apart: two vectors of neighbours, of which every second one is taken. Touches nothing beyond."""
    element = scalar.memory_type(dtype)
    span = 2 * active - 1
    if active == lanes:  # the second vector overlaps the first by one
        second = load_vector(b, b.gep(pointer, [INDEX(lanes - 1)], source_etype=element), dtype, lanes, lanes)
        order = [2 * k if 2 * k < lanes else 2 * k + 1 for k in range(lanes)]
    else:
        rest = span - lanes
        second = load_vector(b, b.gep(pointer, [INDEX(lanes)], source_etype=element), dtype, lanes, rest) if rest > 0 else None
        order = [2 * k for k in range(lanes)]
    first = load_vector(b, pointer, dtype, lanes, min(span, lanes))
    return b.shuffle_vector(first, first if second is None else second, _order(order))


def store_alternating(b: Builder, values: tuple[ir.Value, ir.Value], pointer: ir.Value, dtype: DType, active: int) -> None:
    """x₀ y₀ x₁ y₁ …: `active` elements of each of two vectors."""
    lanes = scalar.lanes_of(values[0])
    half = lanes // 2
    for start in (0, half):
        count = min(2 * active - 2 * start, lanes)
        if count <= 0:
            break
        mixed = b.shuffle_vector(*values, _order([start + k // 2 + (k % 2) * lanes for k in range(lanes)]))
        target = b.gep(pointer, [INDEX(2 * start)], source_etype=scalar.memory_type(dtype))
        store_vector(b, mixed, target, dtype, count)


def _order(lanes: Sequence[int]) -> ir.Constant:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes))


def _mask(lanes: int, active: int) -> ir.Constant:
    bit = ir.IntType(1)
    return ir.Constant(ir.VectorType(bit, lanes), [bit(int(k < active)) for k in range(lanes)])


def _type_name(type: ir.VectorType) -> str:
    element = {ir.FloatType: "f32", ir.DoubleType: "f64"}.get(type.element.__class__) or f"i{type.element.width}"
    return f"v{type.count}{element}"
