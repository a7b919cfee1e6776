"""Loading data by name or path: built-in sets, tables, pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chainrule.data.builtin_sets import BUILTIN, TARGET, Dataset, builtin
from chainrule.data.files import did_you_mean, existing_file
from chainrule.data.images import ImageSet, holds_pictures, read_images
from chainrule.data.tables import Table, read_table
from chainrule.errors import DataError
from chainrule.frames import DataSource, Frame


def load(
    source: DataSource,
    target: str | None = None,
    delimiter: str | None = None,
    kinds: Mapping[str, str] | None = None,
    seed: int = 0,
    *,
    image_size: tuple[int, int] | None = None,
    **reading: Any,
) -> Table | ImageSet | Dataset:
    """Load a data set.

    Args:
        source: a key of BUILTIN; a table (CSV, TSV, Parquet, or a DataFrame as in `read_table`); or pictures (a folder of class
            folders, IDX, .npz). A path that exists comes before a built-in data set of the same name.
        target: the column to predict, which a table must then have.
        delimiter: see `read_table`.
        kinds: see `read_table`.
        seed: for built-in data sets that are drawn at random.
        image_size: height and width that the pictures of a folder are to have; see `read_images`.
        reading: more arguments of `read_table`.

    Raises:
        DataError: neither a name nor a path, a target that is not there, or what the reader of the source finds wrong.
        MissingDependency: the optional package that reads the source is not installed.
    """
    if isinstance(source, Frame):
        return _with_target(read_table(source, delimiter, kinds, **reading), target)
    path = Path(source)
    if not path.exists() and str(source) in BUILTIN:
        return _checked_target(builtin(str(source), seed), target)
    if not path.exists() and path.parent == Path() and not path.suffix:
        near = did_you_mean(str(source), BUILTIN)
        raise DataError(
            f"'{source}' is neither a file or folder here nor a built-in data set",
            f"the built-in data sets are {', '.join(BUILTIN)}",
            near if near.startswith("Did") else "Check the spelling.",
        )
    if not path.is_dir():
        existing_file(path)
    if holds_pictures(path):
        if target is not None:
            raise DataError(f"the target is '{target}'", "pictures have labels, not columns", "Leave the target out.")
        return read_images(path, image_size)
    return _with_target(read_table(path, delimiter, kinds, **reading), target)


def _with_target(table: Table, target: str | None) -> Table:
    if target is not None:
        table[target]
    return table


def _checked_target(data: Dataset, target: str | None) -> Dataset:
    if target not in (None, TARGET):
        raise DataError(f"the target is '{target}'", f"a built-in data set has the target '{TARGET}'", "Leave the target out.")
    return data
