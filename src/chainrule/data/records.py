"""Reading back plain JSON data that an encoder was saved as, without trusting it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from chainrule.errors import ModelFileError

Check = Callable[[object], bool]


def is_text(value: object) -> bool:
    """Whether the value is a string."""
    return isinstance(value, str)


def is_flag(value: object) -> bool:
    """Whether the value is a boolean."""
    return isinstance(value, bool)


def is_count(value: object) -> bool:
    """Whether the value is an integer that is not negative."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_finite(value: object) -> bool:
    """Whether the value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_positive(value: object) -> bool:
    """Whether the value is a finite number above zero."""
    return is_finite(value) and float(value) > 0  # type: ignore[arg-type]


def is_distinct_texts(value: object) -> bool:
    """Whether the value is a list of strings that all differ."""
    return isinstance(value, list) and all(map(is_text, value)) and len(set(value)) == len(value)


def one_of(*allowed: str) -> Check:
    """A check that the value is one of these words."""
    return lambda value: isinstance(value, str) and value in allowed


def read_record(data: object, fields: Mapping[str, Check], what: str) -> dict[str, object]:
    """`data` as a dict with exactly these fields, each of which passes its check; ModelFileError otherwise."""
    if not isinstance(data, dict):
        raise broken(what, f"is {type(data).__name__}, not a record")
    if set(data) != set(fields):
        raise broken(what, f"has the fields {sorted(map(str, data))}, not {sorted(fields)}")
    for name, check in fields.items():
        if not check(data[name]):
            raise broken(what, f"has {name} = {data[name]!r}")
    return data


def broken(what: str, fault: str) -> ModelFileError:
    """The error for saved data that no encoder can have written."""
    return ModelFileError(f"the saved {what} {fault}", "that was not written by chainrule", "Save the model again.")
