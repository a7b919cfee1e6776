"""The debug mode that watches every access: `CHAINRULE_CHECK_BOUNDS=1`.

The tests prove that the accesses of a plan stay inside their buffers (`tests/native/checked_plans.py`). This mode also tries
the code made from it, with all its vectors, masks and remainders: before each load and store the address is compared with the
buffer that it was made from. An access outside is noted, and redirected to memory where it does no harm. Programs are several
times slower.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llvmlite import ir

from chainrule.errors import ArgumentError

FOUND = "outside"  # the global that holds 1 + the number of the kernel call that reached outside last, or 0
_NOWHERE = "nowhere"
_LARGEST = 256  # bytes of an access
_INDEX = ir.IntType(64)
Write = Callable[["Builder", Sequence[ir.Value]], None]


def wanted() -> bool:
    """Whether `CHAINRULE_CHECK_BOUNDS` asks for checks.

    Raises:
        ArgumentError: it is neither 0 nor 1.
    """
    given = os.environ.get("CHAINRULE_CHECK_BOUNDS", "0")
    if given not in ("0", "1"):
        raise ArgumentError(f"CHAINRULE_CHECK_BOUNDS is {given!r}", "it is 0 or 1", "Unset it, or set it to 1.")
    return given == "1"


class Builder(ir.IRBuilder):  # type: ignore[misc]  # llvmlite has no types
    """Writes the code of kernels. What `guarded` does to a pointer is decided by the subclass."""

    def guarded(self, pointer: ir.Value, size: int) -> ir.Value:
        """The pointer to use for an access of so many bytes."""
        return pointer

    def shared(self, name: str, write: Write, arguments: Sequence[ir.Value]) -> None:
        """Do what `write` writes, in a function that all share who give the same name.

        Args:
            name: says all that the code depends on beside the arguments.
            write: takes a builder and the arguments.
            arguments: the memory that different pointers lead to does not overlap.
        """
        function = self.module.globals.get(name)
        if function is None:
            types = [argument.type for argument in arguments]
            function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), types), name)
            function.linkage = "internal"
            function.attributes.add("nounwind")
            for argument in function.args:
                if isinstance(argument.type, ir.PointerType):
                    argument.add_attribute("noalias")
            b = Builder(function.append_basic_block("entry"))
            write(b, function.args)
            b.ret_void()
        self.call(function, arguments)


class CheckedBuilder(Builder):
    """A builder that compares every address with the buffer it belongs to.

    Args:
        block: where to write.
        sizes: bytes per pointer to a buffer.
        number: of the kernel call, to be noted if it reaches outside.
    """

    def __init__(self, block: ir.Block, sizes: Mapping[ir.Value, int], number: int) -> None:
        super().__init__(block)
        self._sizes = dict(sizes)
        self._number = number
        self._buffers: dict[ir.Value, ir.Value] = {pointer: pointer for pointer in sizes}

    def gep(self, ptr: ir.Value, indices: Any, *arguments: Any, **settings: Any) -> ir.Value:
        """An address that belongs to the buffer of the one it is made from."""
        made = super().gep(ptr, indices, *arguments, **settings)
        if ptr in self._buffers:
            self._buffers[made] = self._buffers[ptr]
        return made

    def load(self, ptr: ir.Value, name: str = "", align: int | None = None, typ: ir.Type | None = None) -> ir.Value:
        """A checked load."""
        return super().load(self.guarded(ptr, _bytes(typ)), name, align, typ)

    def store(self, value: ir.Value, ptr: ir.Value, align: int | None = None) -> ir.Value:
        """A checked store."""
        return super().store(value, self.guarded(ptr, _bytes(value.type)), align)

    def shared(self, name: str, write: Write, arguments: Sequence[ir.Value]) -> None:
        """Written in place: only here it is known which buffers the pointers belong to."""
        write(self, arguments)

    def guarded(self, pointer: ir.Value, size: int) -> ir.Value:
        """The pointer itself, or, if it is outside, one to memory that is used for nothing else."""
        buffer = self._buffers.get(pointer)
        if buffer is None:
            return pointer
        start, address = (self.ptrtoint(p, _INDEX) for p in (buffer, pointer))
        offset = self.sub(address, start)
        low = self.icmp_signed(">=", offset, _INDEX(0))
        inside = self.and_(low, self.icmp_signed("<=", offset, _INDEX(self._sizes[buffer] - size)))
        found = _global(self.module, FOUND, _INDEX)
        noted = self.select(inside, super().load(found, typ=_INDEX, align=8), _INDEX(self._number + 1))
        super().store(noted, found, align=8)
        return self.select(inside, pointer, _global(self.module, _NOWHERE, ir.ArrayType(ir.IntType(8), _LARGEST)))


def _bytes(type: ir.Type) -> int:
    count, element = (type.count, type.element) if isinstance(type, ir.VectorType) else (1, type)
    widths = {ir.FloatType: 4, ir.DoubleType: 8, ir.PointerType: 8}
    return count * (widths.get(element.__class__) or element.width // 8)


def _global(module: ir.Module, name: str, type: ir.Type) -> ir.GlobalVariable:
    if name not in module.globals:
        variable = ir.GlobalVariable(module, type, name)
        variable.initializer = ir.Constant(type, None if isinstance(type, ir.ArrayType) else 0)
        variable.align = 64
    return module.globals[name]
