"""Machine code for nests: loops around vectors.

One axis becomes vectors of L lanes (`plan.schedule` chooses it). It is either kept in the results, or one of those that
reductions run over:

    kept: every lane has its own result                 reduced: lanes hold partial results

    for each index of the other kept axes:              for each index of the kept axes:
        for each strip of the vector axis:                  for each index of the other reduced axes:
            for each index of the reduced axes:                 for each strip of the vector axis:
                load, compute, store, combine                       load, compute, store, combine
            store the reductions                            combine the lanes, store the reductions

A strip is one vector; up to four side by side where something is reduced, whose sums do not wait for each other:

    vector axis   │ L │ L │ L │ L ││ L │ L │ L │ L ││ L │ L │ l │
                  └──── strip ────┘└──── strip ────┘└─ rest ────┘   l: masked, or ever shorter vectors (`loops.chunks_of`)

A value that does not change in an inner loop is computed outside of it, and one that does not change along the vector axis is
computed as a single number.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from llvmlite import ir

from chainrule.backends.native.code import instructions, reductions, scalar, transposing
from chainrule.backends.native.code.bounds import Builder
from chainrule.backends.native.code.loops import (
    INDEX,
    Chunk,
    Share,
    chunks_of,
    element_at,
    load_every_second,
    load_vector,
    loop,
    share_of,
    store_alternating,
    store_vector,
)
from chainrule.backends.native.plan.kernels import Access, Apply, Immediate, Load, Nest, Reduction, Store
from chainrule.backends.native.plan.schedule import ACCUMULATORS, alternates, schedule, split_axis
from chainrule.backends.native.plan.transposing import transposed_copy_of
from chainrule.backends.native.target import Target
from chainrule.ir import DType


def emit(builder: Builder, nest: Nest, pointers: Sequence[ir.Value], target: Target, share: Share | None = None) -> None:
    """Write the code of a nest at the builder's position.

    Args:
        builder: where to.
        nest: what.
        pointers: its buffers by number.
        target: the processor.
        share: if given, only this thread's share of the indices of `split_axis` is computed.
    """
    copy = transposed_copy_of(nest)
    if copy is not None:
        transposing.emit(builder, copy, pointers, target, share)
    elif all(nest.sizes):
        _Emitter(builder, nest, pointers, target, share).run()


class _Emitter:
    def __init__(self, builder: Builder, nest: Nest, pointers: Sequence[ir.Value], target: Target, share: Share | None) -> None:
        self.share = share
        self.shared_axis = None if share is None else split_axis(nest, target, share.most)
        self.b = builder
        self.nest = nest
        self.pointers = pointers
        self.target = target
        plan = schedule(nest, target)
        self.axis, self.lanes = plan.axis, plan.lanes
        self._index: dict[int, ir.Value] = {}  # of the loops that are open, by axis
        self._chunks: list[Chunk] = []
        # What has been computed, a dictionary for every open loop: a value may be used only inside the loop that computed it.
        self._scopes: list[dict[Any, ir.Value]] = [{}]
        self._pairs = {} if self.axis is None else _pairs(nest.stores, self.axis)
        self._axes: list[
            frozenset[int]
        ] = []  # per value, the axes on which it depends: it is computed when these loops are open
        for value in nest.values:
            self._axes.append(self._axes_of(value))

    def _axes_of(self, value: Load | Immediate | Apply) -> frozenset[int]:
        if isinstance(value, Load):
            return value.access.axes
        return frozenset().union(*(self._axes[k] for k in value.arguments)) if isinstance(value, Apply) else frozenset()

    # ---------------------------------------------------------------------------------------- loops
    def run(self) -> None:
        kept = [a for a, reduced in enumerate(self.nest.reduced) if not reduced and a != self.axis]
        # The axis that threads share out goes outermost: each thread runs one loop over its share, and all others inside.
        if self.shared_axis in kept:
            kept.remove(self.shared_axis)
            kept.insert(0, self.shared_axis)
        self._over_kept(kept)

    def _over_kept(self, axes: Sequence[int]) -> None:
        self._hoist(None)
        if axes and axes[0] == self.shared_axis:
            self._shared_loop(self.nest.sizes[axes[0]], 1, lambda i: self._kept_body(axes, i))
        elif axes:
            self._loop(self.nest.sizes[axes[0]], 1, [], lambda i, _: self._kept_body(axes, i))
        elif self.axis is not None and self.nest.reduced[self.axis]:
            self._reduce_along_vector()
        else:
            self._strips()

    def _kept_body(self, axes: Sequence[int], i: ir.Value) -> list[ir.Value]:
        self._index[axes[0]] = i
        self._over_kept(axes[1:])
        del self._index[axes[0]]
        return []

    def _shared_loop(self, size: int, step: int, body: Callable[[ir.Value], Any]) -> None:
        """This thread's share of a loop over whole steps."""
        assert self.share is not None
        first, last = share_of(self.b, size // step, self.share)
        with self.b.if_then(self.b.icmp_signed("<", first, last)):
            start, stop = (self.b.mul(n, INDEX(step)) for n in (first, last))
            loop(self.b, (start, stop, step), [], self._scoped(lambda i, _: body(i) or []))

    def _loop(
        self,
        size: int,
        step: int,
        carried: Sequence[ir.Value],
        body: Callable[[ir.Value, list[ir.Value]], list[ir.Value]],
    ) -> list[ir.Value]:
        """for i in range(0, size, step): carried = body(i, carried)."""
        if size <= step:  # no loop: the index is a constant, which is folded into addresses
            with self._scope():
                return body(INDEX(0), list(carried))
        return loop(self.b, (INDEX(0), INDEX(size), step), carried, self._scoped(body))

    def _adding_loop(
        self,
        trips: tuple[int, int],
        chain: int,
        carried: list[ir.Value],
        body: Callable[[ir.Value, list[ir.Value]], list[ir.Value]],
    ) -> list[ir.Value]:
        """`_loop` for reductions, over so many trips of a step, in each of which `chain` numbers are added one after the other.

        A sum of n numbers one after the other is off by up to n roundings. So sums of more than `_PLAIN` numbers are cut into
        runs of about `_RUN`, whose sums are added up in the same way.
        """
        count, step = trips
        if count * chain <= _PLAIN or not self._rounds():
            return self._loop(count * step, step, carried, body)
        group = max(1, _RUN // chain)

        def run(start: ir.Value, length: int, totals: list[ir.Value]) -> list[ir.Value]:
            # Runs begin with fresh accumulators, so that small numbers are not added to a sum that is large already.
            fresh = self._neutral_like(totals)
            if length == 1:
                found = self._scoped(body)(start, fresh)
            else:
                stop = element_at(self.b, length * step, [start], [1])
                found = loop(self.b, (start, stop, step), fresh, self._scoped(body))
            return self._merged(totals, found)

        # The sums of the runs are numbers to add up in turn, in runs of runs if there are many.
        whole = count // group
        totals = self._adding_loop((whole, group * step), 1, carried, lambda i, found: run(i, group, found))
        return run(INDEX(whole * group * step), count % group, totals) if count % group else totals

    def _rounds(self) -> bool:
        """Whether a sum is rounded at every addition."""
        return any(r.kind == "sum" and self.nest.values[r.value].dtype.kind == "f" for r in self.nest.reductions)

    def _neutral_like(self, totals: Sequence[ir.Value]) -> list[ir.Value]:
        """What reductions begin with, for as many chunks as these totals are of."""
        lanes = [scalar.lanes_of(total) for total in totals[:: len(self.nest.reductions)]]
        return [value for n in lanes for r in self.nest.reductions for value in self._identity(r, n)]

    def _merged(self, totals: Sequence[ir.Value], found: Sequence[ir.Value]) -> list[ir.Value]:
        """The totals with what was found in addition."""
        kinds = itertools.cycle(r.kind for r in self.nest.reductions)
        pairs = zip(totals, found, kinds, strict=False)
        return [reductions.combined(self.b, kind, total, new) for total, new, kind in pairs]

    def _scoped(self, body: Callable[..., list[ir.Value]]) -> Callable[..., list[ir.Value]]:
        def inside(i: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            with self._scope():
                return body(i, carried)

        return inside

    @contextmanager
    def _scope(self) -> Iterator[None]:
        self._scopes.append({})
        yield
        self._scopes.pop()

    def _strips(self) -> None:
        """The vector axis is kept (or there is none): piece by piece, all reduced axes inside."""
        size = 1 if self.axis is None else self.nest.sizes[self.axis]
        whole = size // self.lanes
        # An addition takes some four cycles: sums that do not depend on each other fill the time. Without reductions nothing
        # waits.
        together = min(ACCUMULATORS, whole) if self.nest.reductions else 1
        width = max(together, 1) * self.lanes
        main = size // width * width
        chunks = chunks_of(width, self.lanes, self.target.masks)
        if self.axis is not None and self.axis == self.shared_axis:
            assert self.share is not None
            self._shared_loop(main, width, lambda i: self._strip(i, chunks))
            # The rest of the axis is no whole strip, and belongs to the last thread.
            with self.b.if_then(self.b.icmp_signed("==", self.share.number, self.b.sub(self.share.count, INDEX(1)))):
                self._rest(main, size)
            return
        if main:
            self._loop(main, width, [], lambda i, _: self._strip(i, chunks))
        self._rest(main, size)

    def _rest(self, main: int, size: int) -> None:
        if size > main:
            with self._scope():
                self._strip(INDEX(main), chunks_of(size - main, self.lanes, self.target.masks))

    def _strip(self, start: ir.Value, chunks: list[Chunk]) -> list[ir.Value]:
        self._enter(start, chunks)
        accumulators = [self._identity(r, p.lanes) for p in chunks for r in self.nest.reductions]
        flat = [v for group in accumulators for v in group]
        axes = [a for a, reduced in enumerate(self.nest.reduced) if reduced]
        results = iter(self._over_reduced(axes, flat, self._accumulate))
        for k, chunk in enumerate(chunks):
            for reduction in self.nest.reductions:
                total = [next(results) for _ in range(reductions.width(reduction.kind))]
                self._store(reduction.access, total[-1], k, chunk.lanes)
        return []

    def _enter(self, start: ir.Value, chunks: list[Chunk]) -> None:
        if self.axis is not None:
            self._index[self.axis] = start
        self._chunks = chunks
        for k in range(len(chunks)):
            self._hoist(k)

    def _over_reduced(
        self, axes: Sequence[int], carried: list[ir.Value], body: Callable[[list[ir.Value]], list[ir.Value]], chain: int = 1
    ) -> list[ir.Value]:
        """The loops over reduced axes, around a body that adds up `chain` numbers one after the other."""
        if not axes:
            return body(carried)

        def inside(i: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            self._index[axes[0]] = i
            self._hoist(None)
            for k in range(len(self._chunks)):
                self._hoist(k)
            found = self._over_reduced(axes[1:], carried, body, chain)
            del self._index[axes[0]]
            return found

        rest = math.prod(self.nest.sizes[a] for a in axes[1:])
        return self._adding_loop((self.nest.sizes[axes[0]], 1), rest * chain, carried, inside)

    def _accumulate(self, carried: list[ir.Value]) -> list[ir.Value]:
        """At one index, for every chunk: compute, store, and combine."""
        # All chunks are loaded and computed before any is stored: state is updated in place, and no value may be loaded again
        # after its memory was written.
        found: list[ir.Value] = []
        old = iter(carried)
        stored = []
        for k, chunk in enumerate(self._chunks):
            for reduction in self.nest.reductions:
                total = [next(old) for _ in range(reductions.width(reduction.kind))]
                found += self._combine(reduction, total, self._value(reduction.value, k, chunk.lanes), chunk)
            stored.append([self._value(s.value, k, chunk.lanes) for s in self.nest.stores])
        for k, values in enumerate(stored):
            self._write_all(values, k)
        return found

    def _write_all(self, values: Sequence[ir.Value], chunk: int) -> None:
        """Store what was computed for a chunk; what goes to alternating elements goes there together."""
        lanes = self._chunks[chunk].lanes
        pairs = self._pairs if lanes > 1 else {}
        for n, store in enumerate(self.nest.stores):
            if n in pairs:
                self._store_pair(store.access, (values[n], values[pairs[n]]), chunk)
            elif n not in pairs.values():
                self._write(store, values[n], chunk, lanes)

    def _reduce_along_vector(self) -> None:
        """The vector axis is reduced: partial results per lane, combined across lanes at the end."""
        assert self.axis is not None
        size = self.nest.sizes[self.axis]
        whole = size // self.lanes
        together = min(ACCUMULATORS, whole)
        width = together * self.lanes
        main = size // width * width if width else 0
        bulk = chunks_of(width, self.lanes, self.target.masks)
        rest = chunks_of(size - main, self.lanes, self.target.masks)
        start = [v for p in (*bulk, *rest) for r in self.nest.reductions for v in self._identity(r, p.lanes)]
        count = len(bulk) * len(self.nest.reductions)  # the rest, with shorter or masked vectors, has accumulators of its own

        def along(carried: list[ir.Value]) -> list[ir.Value]:
            first, last = carried[:count], carried[count:]
            if main:

                def block(i: ir.Value, found: list[ir.Value]) -> list[ir.Value]:
                    self._enter(i, bulk)
                    return self._accumulate(found)

                first = self._adding_loop((main // width, width), 1, first, block)
            if rest:
                with self._scope():
                    self._enter(INDEX(main), rest)
                    last = self._accumulate(last)
            self._chunks = []  # the loops around may be written again, and are outside of the vector axis
            self._index = {axis: i for axis, i in self._index.items() if axis != self.axis}
            return [*first, *last]

        self._chunks = []
        axes = [a for a, reduced in enumerate(self.nest.reduced) if reduced and a != self.axis]
        totals = self._over_reduced(axes, start, along, max(main // width, 1) if width else 1)
        # The loops are done, and results are single numbers. Every accumulator is combined across its own lanes first, since
        # those of the rest may have fewer.
        self._index[self.axis] = INDEX(0)
        self._chunks = [Chunk(0, 1, 1)]
        for k, reduction in enumerate(self.nest.reductions):
            partial = [reductions.across(self.b, reduction.kind, v) for v in totals[k :: len(self.nest.reductions)]]
            total = partial[0]
            for other in partial[1:]:
                total = reductions.combined(self.b, reduction.kind, total, other)
            self._store(reduction.access, total, 0, 1)

    # ---------------------------------------------------------------------------------------- values
    def _hoist(self, chunk: int | None) -> None:
        """Compute what the loops entered so far decide: single numbers (chunk None), or the vectors of a chunk."""
        for k, value in enumerate(self.nest.values):
            # Immediates are constants wherever they are used, and a value whose loops are not all open yet has to wait.
            if isinstance(value, Immediate) or not self._axes[k] <= self._index.keys():
                continue
            if self._uniform(k) == (chunk is None):
                self._value(k, chunk, None)

    def _uniform(self, k: int) -> bool:
        return self.axis not in self._axes[k]

    def _value(self, k: int, chunk: int | None, lanes: int | None) -> ir.Value:
        """Value k of the nest, for a chunk of the vector axis; spread over `lanes` if a number of lanes is given."""
        key = (k, None if self._uniform(k) else chunk)
        found = self._known(key)
        if found is None:
            found = self._scopes[-1][key] = self._compute(k, chunk)
        return found if lanes is None else scalar.splat(self.b, found, lanes)

    def _known(self, key: Any) -> ir.Value | None:
        return next((scope[key] for scope in reversed(self._scopes) if key in scope), None)

    def _compute(self, k: int, chunk: int | None) -> ir.Value:
        value = self.nest.values[k]
        if isinstance(value, Immediate):
            return scalar.fill(scalar.element_type(value.dtype), value.number)
        lanes = 1 if self._uniform(k) or chunk is None else self._chunks[chunk].lanes
        if isinstance(value, Load):
            return self._load(value.access, chunk, lanes)
        arguments = [self._value(a, chunk, lanes) for a in value.arguments]
        return instructions.apply(self.b, value.op, arguments, dict(value.attributes))

    # ---------------------------------------------------------------------------------------- memory
    def _position(self, access: Access, lane: int) -> ir.Value:
        """Element number of an access, `lane` elements into the current place on the vector axis."""
        b = self.b
        shift = 0 if self.axis is None else lane * access.strides[self.axis]
        axes = [a for a, stride in enumerate(access.strides) if stride]
        index = [self._index[a] for a in axes]
        total = element_at(b, access.offset + shift, index, [access.strides[a] for a in axes])
        for dynamic in access.dynamic:
            # The position was checked to be within the axis before this kernel runs (`Check`); negative ones count from the
            # end.
            index = instructions.convert(b, self._load_one(dynamic.position, lane), np.dtype(np.int64))
            index = b.select(b.icmp_signed("<", index, INDEX(0)), b.add(index, INDEX(dynamic.size)), index)
            total = b.add(total, b.mul(index, INDEX(dynamic.stride)))
        return total

    def _pointer(self, access: Access, lane: int) -> ir.Value:
        element = scalar.memory_type(access.dtype)
        return self.b.gep(self.pointers[access.buffer], [self._position(access, lane)], source_etype=element)

    def _load_one(self, access: Access, lane: int) -> ir.Value:
        element = scalar.memory_type(access.dtype)
        loaded = self.b.load(self._pointer(access, lane), typ=element, align=access.dtype.itemsize)
        return _from_memory(self.b, loaded, access.dtype)

    def _load(self, access: Access, chunk: int | None, lanes: int) -> ir.Value:
        if chunk is None or self.axis not in access.axes:
            return self._load_one(access, 0)
        span = self._chunks[chunk]
        if lanes == 1:
            return self._load_one(access, span.offset)
        if self._in_one_piece(access):
            vector = load_vector(self.b, self._pointer(access, span.offset), access.dtype, lanes, span.active)
            return _from_memory(self.b, vector, access.dtype)
        if self.axis is not None and alternates(access, self.axis):
            return self._load_alternating(access, span, lanes)
        # Lanes that lie scattered are loaded one by one: SSE2 and Neon have no gather instruction.
        vector = ir.Constant(ir.VectorType(scalar.element_type(access.dtype), lanes), ir.Undefined)
        for lane in range(span.active):
            number = self._load_one(access, span.offset + lane)
            vector = self.b.insert_element(vector, number, ir.IntType(32)(lane))
        return vector

    def _load_alternating(self, access: Access, span: Chunk, lanes: int) -> ir.Value:
        vector = load_every_second(self.b, self._pointer(access, span.offset), access.dtype, lanes, span.active)
        return _from_memory(self.b, vector, access.dtype)

    def _in_one_piece(self, access: Access) -> bool:
        """Whether neighbouring lanes are neighbours in memory."""
        assert self.axis is not None
        return access.strides[self.axis] == 1 and not any(self.axis in d.position.axes for d in access.dynamic)

    def _write(self, store: Store, value: ir.Value, chunk: int, lanes: int) -> None:
        if store.add:
            old = self._load(store.access, chunk, lanes)
            value = instructions.apply(self.b, "add", (scalar.splat(self.b, old, lanes), value), {})
        self._store(store.access, value, chunk, lanes)

    def _store_pair(self, access: Access, values: tuple[ir.Value, ir.Value], chunk: int) -> None:
        span = self._chunks[chunk]
        first, second = (_to_memory(self.b, v, access.dtype) for v in values)
        store_alternating(self.b, (first, second), self._pointer(access, span.offset), access.dtype, span.active)

    def _store(self, access: Access, value: ir.Value, chunk: int, lanes: int) -> None:
        span = self._chunks[chunk]
        value = _to_memory(self.b, value, access.dtype)
        if lanes == 1:
            self.b.store(value, self._pointer(access, span.offset), align=access.dtype.itemsize)
        elif self._in_one_piece(access):
            store_vector(self.b, value, self._pointer(access, span.offset), access.dtype, span.active)
        else:
            for lane in range(span.active):
                number = self.b.extract_element(value, ir.IntType(32)(lane))
                self.b.store(number, self._pointer(access, span.offset + lane), align=access.dtype.itemsize)

    # ---------------------------------------------------------------------------------------- reductions
    def _identity(self, reduction: Reduction, lanes: int) -> list[ir.Value]:
        return reductions.identity(reduction.kind, self.nest.values[reduction.value].dtype, lanes)

    def _combine(self, reduction: Reduction, total: list[ir.Value], value: ir.Value, chunk: Chunk) -> list[ir.Value]:
        if reductions.width(reduction.kind) == 2:
            (axis,) = (a for a, reduced in enumerate(self.nest.reduced) if reduced)
            return reductions.with_position(self.b, reduction.kind, total, value, self._index[axis])
        new = reductions.combined(self.b, reduction.kind, total[0], value)
        # Lanes beyond the end were loaded as zeros, and may have become anything: they keep what they have.
        if chunk.active < chunk.lanes and self.axis is not None and self.nest.reduced[self.axis]:
            active = ir.Constant(
                ir.VectorType(ir.IntType(1), chunk.lanes), [ir.IntType(1)(k < chunk.active) for k in range(chunk.lanes)]
            )
            new = self.b.select(active, new, total[0])
        return [new]


# A sum of n numbers one after the other is off by up to n roundings; in runs, by up to 32 for each level of runs. 32 additions
# take long beside the few instructions that a run costs.
_PLAIN = 128  # numbers that may be added one after the other in a lane
_RUN = 32  # numbers in a run of a longer sum


def _from_memory(b: Builder, value: ir.Value, dtype: DType) -> ir.Value:
    return b.icmp_unsigned("!=", value, scalar.fill(value.type, 0)) if dtype == np.bool_ else value


def _to_memory(b: Builder, value: ir.Value, dtype: DType) -> ir.Value:
    if dtype != np.bool_:
        return value
    return b.zext(value, scalar.widened(ir.IntType(8), scalar.lanes_of(value)))


def _pairs(stores: Sequence[Store], axis: int) -> dict[int, int]:
    """Stores to every second element, and those to the elements between, by their numbers."""
    numbers = {s.access: n for n, s in enumerate(stores) if alternates(s.access, axis) and not s.add}
    found: dict[int, int] = {}
    for access, n in numbers.items():
        other = numbers.get(replace(access, offset=access.offset + 1))
        if other is not None and n not in found.values():
            found[n] = other
    return found
