"""Tables of other libraries in memory: DataFrames of pandas and polars, tables of pyarrow, and whatever speaks Arrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import DataError, missing_dependency
from chainrule.fileio import parsing


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


def arrow_table(frame: Frame) -> Any:
    """The columns as a pyarrow Table, without the index of a pandas DataFrame.

    Raises:
        DataError: it holds no table. MissingDependency: pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 -- optional
    except ModuleNotFoundError as error:
        raise missing_dependency("pyarrow", "Reading tables", "app") from error
    fix = "Give a table, each column of which holds one kind of thing."
    with parsing(source_name(frame), "a table of named columns was expected", fix):
        table = pa.table(frame)
        described = (table.schema.pandas_metadata or {}).get("index_columns", ())
        return table.drop_columns([name for name in described if name in table.schema.names])  # a range is described otherwise


def matrix(frame: Frame) -> NDArray[Any]:
    """Columns of numbers and booleans side by side (rows, columns), NaN for gaps.

    Raises:
        DataError: a column that holds something else, or no column. MissingDependency: pyarrow is not installed.
    """
    table = arrow_table(frame)
    columns = [_numbers(name, column, frame) for name, column in zip(table.column_names, table.columns, strict=True)]
    if not columns:
        raise DataError(f"{source_name(frame)} has no columns", "a table was expected", "Add columns of numbers.")
    return np.stack(columns, axis=1)


def _numbers(name: str, column: Any, frame: Frame) -> NDArray[Any]:
    found: NDArray[Any] = column.to_numpy()
    if found.dtype == object and all(value is None or isinstance(value, bool | int) for value in found.tolist()):
        found = found.astype(np.float64)  # None becomes NaN
    if found.dtype.kind not in "biuf":
        raise DataError(
            f"the column '{name}' of {source_name(frame)} has the type {column.type}",
            "a model reads numbers",
            "Encode words and dates with chainrule.data.FeatureEncoder, or use chainrule.estimators, which do.",
        )
    return found
