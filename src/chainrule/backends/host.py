"""Values in the memory of this machine, as the native and the reference backend keep them."""

from __future__ import annotations

import numpy as np

from chainrule.ir import Array

PLACE = "host"


class _Moves:
    """Tells who remembers addresses that some Variable may be somewhere else, or has to go elsewhere before it is written."""

    last: object = None


class HostVariable:
    """A value in the memory of this machine. See `chainrule.backends.contract.Variable`.

    Its memory is handed out without a copy. What was handed out never changes: an update takes other memory first.

    Attributes:
        place: where it is.
        array: the value, in C order and aligned. Programs may write to what `own` gives.
    """

    __slots__ = ("_lent", "array")
    place = PLACE

    def __init__(self, value: Array) -> None:
        self.array: Array = np.require(value, requirements=("C", "A"))
        self._lent = np.may_share_memory(self.array, value)

    def read(self) -> Array:
        """See `Variable.read`."""
        self._lent = True
        _Moves.last = object()
        return self.array

    def copy(self) -> HostVariable:
        """See `Variable.copy`."""
        return HostVariable(self.array.copy())

    def is_finite(self) -> bool:
        """See `Variable.is_finite`."""
        return bool(np.isfinite(self.array).all())

    def own(self) -> Array:
        """Its memory, to be written: nobody else has it from now on."""
        if self._lent:
            self.put(self.array.copy())
        return self.array

    def put(self, value: Array) -> None:
        """Keep another value, an array in C order that nobody else has."""
        self.array, self._lent = value, False
        _Moves.last = object()


def moves() -> object:
    """Another object whenever an address that `HostVariable.own` gave is not to be used again without asking anew."""
    return _Moves.last
