"""Data sets: tables, pictures, built-in sets, and the preprocessing that is saved with a model.

table = read_table("titanic.csv")
rows = table["Survived"].present_rows
target = TargetEncoder.fit(table["Survived"])
train, validation = split_rows(len(rows), 0.2, seed=0, stratify=target.encode(table["Survived"], rows))
features = FeatureEncoder.fit(table, "Survived", rows=rows[train])
X, y = features.transform(table, rows[train]), target.encode(table["Survived"], rows[train])
saved = {"features": features.to_dict(), "target": target.to_dict()}

features = FeatureEncoder.from_dict(saved["features"])
X = features.transform(read_table("new.csv", kinds=features.kinds, missing=features.gaps))
"""

from typing import Any

from chainrule import elsewhere
from chainrule.data.builtin_sets import BUILTIN, Dataset, builtin
from chainrule.data.columns import Column
from chainrule.data.features import ColumnReport, FeatureEncoder
from chainrule.data.images import ImageSet, read_images
from chainrule.data.pixels import PixelEncoder
from chainrule.data.sources import load
from chainrule.data.splitting import split_rows
from chainrule.data.tables import Table, read_table
from chainrule.data.targets import TargetEncoder

__all__ = [
    "BUILTIN",
    "Column",
    "ColumnReport",
    "Dataset",
    "FeatureEncoder",
    "ImageSet",
    "PixelEncoder",
    "Table",
    "TargetEncoder",
    "builtin",
    "load",
    "read_images",
    "read_table",
    "split_rows",
]


def __getattr__(name: str) -> Any:
    raise elsewhere.missing("chainrule.data", name, __all__, elsewhere.DATA)
