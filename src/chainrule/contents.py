"""The content of containers that a function reads: copied when it is captured, and compared later."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, ItemsView, KeysView, Mapping, ValuesView
from operator import is_
from typing import Any

import numpy as np

from chainrule.tensors import Tensor

PLAIN = (bool, int, float, complex, str, bytes)
_MAPPINGS = (Mapping, KeysView, ValuesView, ItemsView)
CONTAINERS = (list, tuple, dict, set, frozenset, deque, bytearray, memoryview, array, np.ndarray, *_MAPPINGS)
MOST_ELEMENTS = 1000  # of a container whose content is compared; a larger one is known by its identity
_UNKNOWN = object()


def is_large_array(value: Any) -> bool:
    """Whether it is an array that is known by its identity."""
    return isinstance(value, np.ndarray) and value.size > MOST_ELEMENTS


def flat(container: Any) -> list[Any]:
    """The elements of a container, of a mapping the keys and the values."""
    return [*container, *container.values()] if isinstance(container, Mapping) else [*container]


def has_content(container: Any, read: Callable[[Any], Any], copy: Any, elements: list[Any]) -> bool:
    """Whether a container holds what it held when it was copied."""
    if elements:
        now = flat(container)
        if len(now) == len(elements) and all(map(is_, now, elements)):
            return True
    return _same_copy(read(container), copy)


def alike(a: Any, b: Any) -> bool:
    """Whether two plain values are the same; 0 and −0, 1 and True are not."""
    return type(a) is type(b) and isinstance(a, PLAIN) and repr(a) == repr(b)


def copied(value: Any, outer: tuple[int, ...] = ()) -> Any:
    """Containers, and what they contain, as they are now; one that contains itself is known by its identity there."""
    if isinstance(value, Tensor) and not value.is_known:
        return _UNKNOWN  # put there while a function ran
    if isinstance(value, np.ndarray) and value.size <= MOST_ELEMENTS:
        return [value.dtype.str, value.shape, value.tobytes()]
    if isinstance(value, np.ndarray) or not isinstance(value, CONTAINERS) or id(value) in outer:
        return value
    outer = (*outer, id(value))
    if isinstance(value, Mapping):
        return tuple((key, copied(v, outer)) for key, v in value.items())
    return [*value] if isinstance(value, set | frozenset) else [copied(v, outer) for v in value]


def elements_of(container: Any) -> list[Any]:
    """What is in it, if it is plain: the same elements are the same container then. Else nothing."""
    if isinstance(container, set | frozenset | np.ndarray):
        return []
    found = flat(container)
    return [] if any(isinstance(v, CONTAINERS) for v in found) else found


def _same_copy(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_same_copy, a, b))
    return alike(a, b)


def holds(value: Any, copy: Any) -> bool:
    """Whether a container still holds what it held when it was copied; it may hold more."""
    if value is copy:
        return True
    if isinstance(value, Mapping):
        return isinstance(copy, tuple) and all(key in value and holds(value[key], c) for key, c in copy)
    if isinstance(value, set):
        return isinstance(copy, list) and value.issuperset(copy)
    if isinstance(value, list | deque | bytearray):
        return isinstance(copy, list) and len(copy) <= len(value) and all(map(holds, value, copy))
    return _same_copy(copied(value), copy)
