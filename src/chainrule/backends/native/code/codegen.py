"""From a plan to one LLVM module: a function per different kernel, and `run`, which loops over training steps.

    run(job):
        for each step:
            point the slots of inputs and outputs to what belongs to the step; gather the rows of the batch
            call the kernels that come before any state is written
            stop if the first output says so
            call the kernels that write state

`abi` says what a job is. `run` gives the number of steps run, or −1 after a failed check.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir

from chainrule.backends.native.code import barrier, contraction, instructions, nest, philox, scalar, skipping, staged
from chainrule.backends.native.code.abi import ENTRY, slot_numbers
from chainrule.backends.native.code.bounds import Builder, CheckedBuilder
from chainrule.backends.native.code.loops import INDEX, Chunk, Share, chunks_of, load_vector, repeat, share_of, store_vector
from chainrule.backends.native.plan.kernels import Check, Contraction, Draw, Kernel, Nest, Staged
from chainrule.backends.native.plan.plans import Buffer, KernelCall, Plan
from chainrule.backends.native.target import Target
from chainrule.ir import DType, Node
from chainrule.ops.requirement import Limits

POINTER = ir.PointerType()
_DOUBLE = ir.DoubleType()
_BIT = ir.IntType(1)
_WORDS = [*[POINTER] * 4, INDEX, _DOUBLE, POINTER, POINTER, INDEX, INDEX, POINTER]  # of a job


def module_of(plan: Plan, target: Target, *, profile: bool = False, checked: bool = False) -> ir.Module:
    """The LLVM module of a plan.

    With `profile` it takes the time of every kernel; if `checked`, it watches every access (see `bounds`).
    """
    module = ir.Module("program")
    module.triple = target.triple
    _Program(module, plan, target, profile=profile, checked=checked).build()
    return module


class _Program:
    def __init__(self, module: ir.Module, plan: Plan, target: Target, *, profile: bool, checked: bool) -> None:
        self.profile = profile
        self.checked = checked
        self.module = module
        self.plan = plan
        self.target = target
        self.slots = slot_numbers(plan.graph, len(plan.constants))
        self.functions: dict[Any, ir.Function] = {}
        self.unsynchronised = False  # whether one thread may be ahead of, or behind, the others

    # ---------------------------------------------------------------------------------------- kernels
    def _function(self, call: KernelCall, number: int) -> ir.Function:
        """The function of a kernel; equal kernels share one, unless the sizes of their buffers are watched."""
        if self.checked:
            return self._new_function(call.kernel, call.parallel, [b.bytes for b in call.buffers], number)
        return self._shared_function(call.kernel, call.parallel, len(call.buffers))

    def _shared_function(self, kernel: Kernel, parallel: bool, buffers: int) -> ir.Function:
        key = kernel, parallel
        if key not in self.functions:
            self.functions[key] = self._new_function(kernel, parallel, [0] * buffers, None)
        return self.functions[key]

    def _new_function(self, kernel: Kernel, parallel: bool, sizes: Sequence[int], watched: int | None) -> ir.Function:
        """A function of pointers to buffers of so many bytes; `watched` is the call's number if its accesses are checked."""
        checks = isinstance(kernel, Check)
        types = [*[POINTER] * len(sizes), *([POINTER] if checks else []), *([INDEX, INDEX] if parallel else [])]
        name = self.module.get_unique_name("kernel")
        function = ir.Function(self.module, ir.FunctionType(_BIT if checks else ir.VoidType(), types), name)
        function.linkage = "internal"
        function.attributes.add("nounwind")
        pointers = function.args[: len(sizes)]
        for argument in pointers:
            argument.add_attribute("noalias")
        block = function.append_basic_block("entry")
        known = dict(zip(pointers, sizes, strict=True))
        builder = Builder(block) if watched is None else CheckedBuilder(block, known, watched)
        if isinstance(kernel, Check):
            _emit_check(builder, kernel, function.args)
        else:
            share = Share(function.args[-2], function.args[-1], self.plan.threads) if parallel else None
            self._emit(builder, kernel, pointers, share)
            builder.ret_void()
        return function

    def _emit(self, b: Builder, kernel: Kernel, pointers: Sequence[ir.Value], share: Share | None) -> None:
        if isinstance(kernel, Nest):
            nest.emit(b, kernel, pointers, self.target, share)
        elif isinstance(kernel, Contraction):
            emit = skipping.emit if kernel.tiling.skipping else contraction.emit
            emit(b, kernel, pointers, self.target, share)
        elif isinstance(kernel, Staged):
            staged.emit(b, kernel, pointers, lambda inner, pointers: self._emit_inner(b, inner, pointers), share)
        else:
            assert isinstance(kernel, Draw)
            philox.emit(b, kernel, pointers, self.target)

    def _emit_inner(self, b: Builder, inner: Kernel, pointers: Sequence[ir.Value]) -> None:
        """Run a kernel of a stage: by a function that equal kernels share, unless its accesses are watched."""
        if self.checked:
            self._emit(b, inner, pointers, None)
        else:
            b.call(self._shared_function(inner, False, len(pointers)), pointers)

    def _pointer(self, b: ir.IRBuilder, slots: ir.Value, buffer: Buffer) -> ir.Value:
        if buffer.storage == "arena":
            arena = _load_pointer(b, slots, INDEX(self.slots["arena"]))
            return b.gep(arena, [INDEX(buffer.number)], source_etype=ir.IntType(8))
        return _load_pointer(b, slots, INDEX(self.slots[buffer.storage] + buffer.number))

    # ---------------------------------------------------------------------------------------- the loop over steps
    def build(self) -> None:
        function = ir.Function(self.module, ir.FunctionType(INDEX, _WORDS), "loop")
        function.linkage = "internal"
        function.attributes.add("noinline")
        self._entry(function)
        slots, bases, gathered, rows, steps, until, status, clocks, self.thread, self.count, self.barrier = function.args
        for argument in function.args[:4]:
            argument.add_attribute("noalias")
        b = ir.IRBuilder(function.append_basic_block("entry"))
        failed, stopped = function.append_basic_block("failed"), function.append_basic_block("stopped")
        head, after = function.append_basic_block("step"), function.append_basic_block("finished")
        start = b.block
        b.branch(head)
        b.position_at_end(head)
        k = b.phi(INDEX)
        k.add_incoming(INDEX(0), start)
        self._move_on(b, k, slots, bases=bases, gathered=gathered, rows=rows)
        for number, call in enumerate(self.plan.calls):
            if number == self.plan.first_writer:
                self._stop_if_done(b, slots, until, stopped)
            arguments = [self._pointer(b, slots, buffer) for buffer in call.buffers]
            before = self._ticks(b)
            if isinstance(call.kernel, Check):
                self._synchronise(b)
                b.store(INDEX(number), status)
                passed = function.append_basic_block("passed")
                b.cbranch(b.call(self._function(call, number), [*arguments, status]), failed, passed)
                b.position_at_end(passed)
            elif call.parallel:
                self._synchronise(b)
                b.call(self._function(call, number), [*arguments, self.thread, self.count])
                self._wait_at_barrier(b)
            else:
                self._on_one_thread(b, self._function(call, number), arguments)
            self._add_ticks(b, before, clocks, number)
        if self.plan.first_writer == len(self.plan.calls):
            self._stop_if_done(b, slots, until, stopped)
        self._synchronise(b)
        following = b.add(k, INDEX(1))
        k.add_incoming(following, b.block)
        b.cbranch(b.icmp_signed("<", following, steps), head, after)
        b.position_at_end(after)
        b.ret(steps)
        b.position_at_end(stopped)
        b.ret(b.add(k, INDEX(1)))
        b.position_at_end(failed)
        b.ret(INDEX(-1))

    def _entry(self, loop: ir.Function) -> None:
        """The function that is called: it takes the words of a job from memory."""
        function = ir.Function(self.module, ir.FunctionType(INDEX, [POINTER]), ENTRY)
        b = ir.IRBuilder(function.append_basic_block("entry"))
        pointers = [b.gep(function.args[0], [INDEX(k)], source_etype=INDEX) for k in range(len(loop.args))]
        words = [b.load(pointer, typ=word.type, align=8) for pointer, word in zip(pointers, loop.args, strict=True)]
        b.ret(b.call(loop, words))

    # ---------------------------------------------------------------------------------------- threads
    def _on_one_thread(self, b: ir.IRBuilder, function: ir.Function, arguments: Sequence[ir.Value]) -> None:
        """Have one thread call a kernel. The others go on, to where all have to be together."""
        if self.plan.threads == 1:
            b.call(function, arguments)
            return
        with b.if_then(b.icmp_signed("==", self.thread, INDEX(0))):
            b.call(function, arguments)
        self.unsynchronised = True

    def _synchronise(self, b: ir.IRBuilder) -> None:
        """Wait until what one thread did alone is done."""
        if self.unsynchronised:
            self._wait_at_barrier(b)

    def _wait_at_barrier(self, b: ir.IRBuilder) -> None:
        if self.plan.threads > 1:
            b.call(barrier.function_of(self.module, self.target), [self.barrier, self.count])
        self.unsynchronised = False

    def _ticks(self, b: ir.IRBuilder) -> ir.Value | None:
        if not self.profile:
            return None
        name = "llvm.readcyclecounter"
        counter = self.module.globals.get(name) or ir.Function(self.module, ir.FunctionType(INDEX, []), name)
        return b.call(counter, [])

    def _add_ticks(self, b: ir.IRBuilder, before: ir.Value | None, clocks: ir.Value, number: int) -> None:
        after = self._ticks(b)
        if before is None or after is None:
            return
        clock = b.gep(clocks, [INDEX(number)], source_etype=INDEX)
        b.store(b.add(b.load(clock, typ=INDEX, align=8), b.sub(after, before)), clock, align=8)

    def _stop_if_done(self, b: ir.IRBuilder, slots: ir.Value, until: ir.Value, stopped: ir.Block) -> None:
        """Leave before state is written if the first output is not finite, or not above `until`."""
        if not self.plan.graph.outputs or self.plan.graph.outputs[0].size != 1:
            return
        self._synchronise(b)
        dtype = self.plan.graph.outputs[0].dtype
        pointer = _load_pointer(b, slots, INDEX(self.slots["output"]))
        value = b.load(pointer, typ=scalar.memory_type(dtype), align=dtype.itemsize)
        value = instructions.convert(b, value, np.dtype(np.float64))
        goes_on = b.and_(instructions.apply(b, "isfinite", [value], {}), b.fcmp_ordered(">", value, until))
        unwatched = b.fcmp_unordered("uno", until, until)
        onwards = b.append_basic_block("commit")
        b.cbranch(b.or_(goes_on, unwatched), onwards, stopped)
        b.position_at_end(onwards)

    def _move_on(
        self, b: ir.IRBuilder, k: ir.Value, slots: ir.Value, *, bases: ir.Value, gathered: ir.Value, rows: ir.Value
    ) -> None:
        """Point the slots of inputs and outputs to what belongs to step k; gather the rows of tables."""
        inputs = self.plan.graph.inputs
        for number, node in enumerate(inputs):
            base = _load_pointer(b, bases, INDEX(number))
            flag = b.load(b.gep(gathered, [INDEX(number)], source_etype=INDEX), typ=INDEX, align=8)
            if node.ndim == 0:
                self._set_slot(b, slots, "input", number, _stepped(b, base, k, node))
                continue
            with b.if_else(b.icmp_signed("!=", flag, INDEX(0))) as (then, otherwise):
                with then:
                    staging = _load_pointer(b, slots, INDEX(self.slots["staging"] + number))
                    if node.size:
                        b.call(self._gather_rows(node), [base, rows, k, staging, self.thread, self.count])
                    self._set_slot(b, slots, "input", number, staging)
                with otherwise:
                    self._set_slot(b, slots, "input", number, _stepped(b, base, k, node))
        if any(node.ndim for node in inputs):
            self._wait_at_barrier(b)
        for number, node in enumerate(self.plan.graph.outputs):
            base = _load_pointer(b, bases, INDEX(len(inputs) + number))
            self._set_slot(b, slots, "output", number, _stepped(b, base, k, node))

    def _set_slot(self, b: ir.IRBuilder, slots: ir.Value, storage: str, number: int, pointer: ir.Value) -> None:
        b.store(pointer, b.gep(slots, [INDEX(self.slots[storage] + number)], source_etype=POINTER), align=8)

    def _gather_rows(self, node: Node) -> ir.Function:
        """A function that copies `table[rows[step]]`, or this thread's share of it, to out."""
        width = node.size // node.shape[0]
        name = f"gather_{node.shape[0]}_{width}_{node.dtype}"
        if name in self.module.globals:
            return self.module.globals[name]
        function = ir.Function(
            self.module, ir.FunctionType(ir.VoidType(), [POINTER, POINTER, INDEX, POINTER, INDEX, INDEX]), name
        )
        function.linkage = "internal"
        table, rows, step, out, thread, count = function.args
        for argument in (table, rows, out):
            argument.add_attribute("noalias")
        b = Builder(function.append_basic_block("entry"))
        element = scalar.memory_type(node.dtype)
        lanes = self.target.lanes(node.dtype)

        def row(i: ir.Value) -> None:
            position = b.add(b.mul(step, INDEX(node.shape[0])), i)
            number = b.load(b.gep(rows, [position], source_etype=INDEX), typ=INDEX, align=8)
            source = b.gep(table, [b.mul(number, INDEX(width))], source_etype=element)
            destination = b.gep(out, [b.mul(i, INDEX(width))], source_etype=element)

            def move(at: ir.Value, chunk: Chunk) -> None:
                position = b.add(at, INDEX(chunk.offset))
                vector = load_vector(b, b.gep(source, [position], source_etype=element), node.dtype, chunk.lanes, chunk.active)
                store_vector(b, vector, b.gep(destination, [position], source_etype=element), node.dtype, chunk.active)

            main = width // lanes * lanes
            if main:
                repeat(b, (INDEX(0), INDEX(main), lanes), lambda at: move(at, Chunk(0, lanes, lanes)))
            for chunk in chunks_of(width - main, lanes, False):
                move(INDEX(main), chunk)

        first, last = share_of(b, node.shape[0], Share(thread, count, self.plan.threads))
        with b.if_then(b.icmp_signed("<", first, last)):
            repeat(b, (first, last, 1), row)
        b.ret_void()
        return function


def _emit_check(b: Builder, check: Check, arguments: Sequence[ir.Value]) -> None:
    """Return whether a value is outside; the first such one is left in the second number of `status`."""
    *pointers, status = arguments
    dtype = check.values.dtype
    compared = np.dtype(np.float64 if dtype.kind == "f" else np.int64)

    def over(axes: Sequence[int], place: ir.Value) -> None:
        if not axes:
            loaded = b.load(
                b.gep(pointers[check.values.buffer], [place], source_etype=scalar.memory_type(dtype)),
                typ=scalar.memory_type(dtype),
                align=dtype.itemsize,
            )
            value = instructions.convert(b, loaded, compared)
            with b.if_then(_is_outside(b, value, check.limits, dtype), likely=False):
                b.store(value, b.gep(status, [INDEX(1)], source_etype=INDEX), align=8)
                b.ret(_BIT(1))
            return

        step = check.values.strides[axes[0]]
        repeat(b, (INDEX(0), INDEX(check.sizes[axes[0]]), 1), lambda i: over(axes[1:], b.add(place, b.mul(i, INDEX(step)))))

    if all(check.sizes):
        over(range(len(check.sizes)), INDEX(check.values.offset))
    b.ret(_BIT(0))


def _is_outside(b: Builder, value: ir.Value, limits: Limits, dtype: DType) -> ir.Value:
    """Whether a value, which was a `dtype` and is an int64 or a double now, is not within the limits. NaN is not."""
    compare = b.fcmp_ordered if dtype.kind == "f" else b.icmp_signed

    def number(end: float) -> ir.Constant:
        return ir.Constant(value.type, dtype.type(end).item() if dtype.kind == "f" else end)

    inside = b.and_(compare(">=", value, number(limits.low)), compare("<=", value, number(limits.high)))
    if limits.also is not None:
        inside = b.or_(inside, compare("==", value, number(limits.also)))
    return b.not_(inside)


def _load_pointer(b: ir.IRBuilder, table: ir.Value, number: ir.Value) -> ir.Value:
    return b.load(b.gep(table, [number], source_etype=POINTER), typ=POINTER, align=8)


def _stepped(b: ir.IRBuilder, base: ir.Value, k: ir.Value, node: Node) -> ir.Value:
    """Where the value of step k begins in an array (steps, …)."""
    return b.gep(base, [b.mul(k, INDEX(node.size * node.dtype.itemsize))], source_etype=ir.IntType(8))
