"""Tables of other libraries in memory: DataFrames of pandas and polars, tables of pyarrow, and whatever speaks Arrow."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable


@runtime_checkable
class Frame(Protocol):
    """A table in memory that hands out its columns through Arrow's PyCapsule interface.

    So do DataFrames of pandas ≥ 2.2 and of polars, tables of pyarrow, and results of DuckDB.
    """

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The columns, as a capsule that holds a stream of record batches."""


DataSource = str | Path | Frame  # a file, a folder, the name of a built-in data set, or a table in memory


def source_name(source: DataSource) -> str:
    """What messages call it."""
    return f"the {type(source).__name__}" if isinstance(source, Frame) else str(source)
