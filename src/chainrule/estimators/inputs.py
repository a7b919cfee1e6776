"""From what scikit-learn's users give as X to a table, as `chainrule train` reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from chainrule.data import Table, read_table
from chainrule.errors import DTypeError
from chainrule.frames import Frame, arrow_table
from chainrule.job.inputs.tables import TableEncoder

_CELLS = (str, bool, int, float, np.datetime64, type(None))


def read_inputs(estimator: Any, X: Any, features: TableEncoder | None = None, names: Sequence[str] = ()) -> Table:
    """The columns of X; scikit-learn's own checks of names and of their number are made.

    Args:
        estimator: whose `n_features_in_` and `feature_names_in_` are set, or compared with.
        X: a DataFrame or anything that hands out Arrow's columns, or (rows, columns) numbers, words and gaps.
        features: the encoder that is to read the columns; None while fitting.
        names: of the columns that it was fitted on, in order.

    Raises:
        DTypeError: a sparse matrix, or cells that are no data. DataError: infinities, or columns that differ in kind.
        ValueError: what scikit-learn refuses: not two-dimensional, without rows or columns, other columns than in fit.
    """
    fitting = features is None
    _refuse_sparse(X)
    if isinstance(X, Frame):
        X = X if hasattr(X, "shape") else arrow_table(X)
        validate_data(estimator, X, skip_check_array=True, reset=fitting)
        table = read_table(X) if features is None else read_table(X, kinds=features.kinds, missing=features.gaps)
    else:
        dtype = None if hasattr(X, "dtype") else object  # NumPy makes words of the numbers in a list that has both
        array = validate_data(estimator, X, dtype=dtype, ensure_all_finite=False, reset=fitting)
        columns = array.T if array.dtype != object else [_cells(column) for column in array.T]
        own = getattr(estimator, "feature_names_in_", [f"x{n}" for n in range(array.shape[1])])
        table = Table.from_columns(dict(zip(own, columns, strict=True)), "X")
    if fitting or table.names == tuple(names):
        return table
    # scikit-learn has warned that names are missing on one side; columns then go by their places.
    return Table({new: replace(column, name=new) for new, column in zip(names, table, strict=True)}, table.source)


def _refuse_sparse(X: Any) -> None:
    if hasattr(X, "toarray") and hasattr(X, "nnz"):
        raise DTypeError(
            f"X is sparse ({type(X).__name__})",
            "a network reads every column of every row",
            "Give X.toarray(), or fewer columns: TruncatedSVD takes sparse ones.",
        )


def _cells(column: Any) -> Any:
    """A column of objects with Python's own numbers. Raises DTypeError for cells that are no data."""
    cells = [cell.item() if isinstance(cell, np.generic) and not isinstance(cell, np.datetime64) else cell for cell in column]
    for cell in cells:
        if not isinstance(cell, _CELLS):
            raise DTypeError(
                f"X holds {cell!r} ({type(cell).__name__})",
                "each cell of an argument must be a string, a boolean, a date or a number",
                "Convert that column.",
            )
    return np.array(cells, object)
