"""Tables as inputs: every column by its plan, dense layers from the start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from chainrule.data import Column, Dataset, FeatureEncoder, Table, TargetEncoder, load
from chainrule.data.encodings import is_utf8
from chainrule.data.targets import Target
from chainrule.errors import ArgumentError, DataError
from chainrule.frames import DataSource, Frame
from chainrule.ir import Array
from chainrule.job.config import Config
from chainrule.job.inputs.encoder import Encoder, Listing


@dataclass(frozen=True)
class TableEncoder(FeatureEncoder, Encoder[Table]):
    """The columns of a table: a file, a built-in data set, or a DataFrame."""

    kind: ClassVar[str] = "table"
    data: ClassVar[type] = Table
    noun: ClassVar[str] = "a table"
    examples: ClassVar[str] = "a table"
    settings: ClassVar[frozenset[str]] = frozenset(
        {"target", "include", "exclude", "kinds", "missing", "delimiter", "encoding"}
    )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A table is what is nothing else."""
        return True

    @classmethod
    def read(cls, source: DataSource, config: Config) -> Table:
        """See `Encoder`."""
        said = config.kind_of_columns()
        data = load(
            source,
            config.target,
            config.delimiter,
            dict.fromkeys(config.exclude, "text") | said,
            config.seed,
            missing=config.missing,
            encoding=config.encoding,
            verbatim=() if config.target is None else (config.target,),
        )
        if isinstance(data, Dataset):
            return data.to_table()
        assert isinstance(data, Table)
        for name in said:
            data[name]
        return data

    @classmethod
    def summary(cls, data: Table) -> list[str | Listing]:
        """See `Encoder`."""
        rows = [(c.name, c.kind, f"{c.missing.sum():,}" if c.missing.any() else "", _example(c), c.remark) for c in data]
        listing = Listing(("column", "kind", "missing", "first value", "note"), rows, ("kind", "note"))
        described = [data.description] if data.description else []
        return [*described, listing, f"{data.n_rows:,} rows, {len(data.names)} columns."]

    @classmethod
    def called(cls, data: Table) -> str:
        """See `Encoder`."""
        return "a built-in data set" if data.target else cls.noun

    @classmethod
    def used(cls, data: Table) -> frozenset[str]:
        """See `Encoder`."""
        return cls.settings - {"kinds", "missing", "delimiter", "encoding"} if data.target else cls.settings

    @classmethod
    def fit_target(cls, data: Table, config: Config, source: str, rows: Array | None = None) -> TargetEncoder:
        """See `Encoder`."""
        name = config.target or data.target
        if name is None:
            raise ArgumentError(
                f"{source} is a table, and no column to predict was chosen",
                f"its columns are {', '.join(data.names[:30])}{', …' if len(data.names) > 30 else ''}",
                f"Add --target, for example --target {data.names[-1]!r}.",
            )
        return TargetEncoder.fit(data[name], config.task, rows)

    @classmethod
    def truth(cls, data: Table, target: TargetEncoder) -> tuple[Array, Array]:
        """See `Encoder`."""
        column = data[target.name]
        rows = column.present_rows
        if not len(rows):
            raise DataError(
                f"the target '{column.name}' has no values in {data.source}",
                "answers are compared with it",
                "Use rows with known answers, or `chainrule predict`.",
            )
        return rows, target.encode(column, rows)

    @classmethod
    def count(cls, data: Table) -> int:
        """See `Encoder`."""
        return data.n_rows

    @classmethod
    def fit_inputs(cls, data: Table, target: TargetEncoder, rows: Array, config: Config) -> Self:
        """See `Encoder`."""
        return cls.fit(data, target.name, rows, config.include, config.exclude)

    def read_again(
        self,
        source: DataSource,
        target: TargetEncoder | None,
        keep: Sequence[str],
        said: Mapping[str, str],
        facts: Mapping[str, Any],
    ) -> Table:
        """See `Encoder`. A file that is UTF-8 is read as such even where the training data was not."""
        names = [*self.identifiers, *keep]
        kinds, missing = dict.fromkeys(names, "text") | self.kinds, self.gaps
        if target is not None:
            names.append(target.name)
            kinds[target.name], missing[target.name] = target.reading, target.gaps
        delimiter, encoding = said.get("delimiter"), said.get("encoding")
        if not isinstance(source, Frame):
            delimiter = delimiter or facts.get("delimiter")
            if encoding is None and "encoding" in facts and not is_utf8(source):
                encoding = facts["encoding"]
        data = load(source, delimiter=delimiter, kinds=kinds, missing=missing, encoding=encoding, verbatim=names)
        table = data.to_table() if isinstance(data, Dataset) else data
        assert isinstance(table, Table)
        if target is not None:
            table.needed(table.target or target.name)
        return table

    def row_names(self, data: Table, keep: Sequence[str] = ()) -> dict[str, list[str]]:
        """See `Encoder`: identifiers as they were in training, where `data` has them."""
        return {name: data[name].texts() for name in [*(name for name in self.identifiers if name in data), *keep]}

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Encoder`."""
        return (len(self.feature_names),)

    def used_settings(self, target: Target) -> dict[str, Any]:
        """See `Encoder`."""
        return {"target": target.name}

    def description(self) -> Listing:
        """See `Encoder`."""
        rows = [
            (r.name, r.kind, f"{r.missing:,}" if r.missing else "", str(r.n_features) if r.n_features else "–", r.told)
            for r in self.describe()
        ]
        return Listing(("column", "kind", "missing", "inputs", "treatment"), rows, ("kind", "treatment"))


def _example(column: Column) -> str:
    """The first value that is there."""
    return column.first or next((text for text in column.texts() if text), "")
