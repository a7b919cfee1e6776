"""From pictures to what a network reads."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule.data.columns import row_positions
from chainrule.data.images import ImageSet
from chainrule.data.records import is_count, is_finite, is_positive, read_record
from chainrule.errors import DataError


@dataclass(frozen=True)
class PixelEncoder:
    """Standardises pixels, (x − mean) / std, with one mean and deviation fitted on the training pictures.

    Attributes:
        channels, height, width: of the pictures that it was fitted on, and of those it takes.
        mean, std: of all their pixels.
    """

    channels: int
    height: int
    width: int
    mean: float
    std: float

    @classmethod
    def fit(cls, pictures: ImageSet, rows: ArrayLike | None = None) -> Self:
        """Measure the training pictures; `rows` are their positions, int (n,), or None for all."""
        chosen = pictures.X[row_positions(rows, len(pictures.X))]
        std = float(chosen.std(dtype=np.float64))
        channels, height, width = (int(n) for n in chosen.shape[1:])
        return cls(channels, height, width, float(chosen.mean(dtype=np.float64)), std or 1.0)

    def transform(self, pictures: ImageSet, rows: ArrayLike | None = None) -> NDArray[np.float32]:
        """The pictures as float32 (n, channels, height, width).

        Raises:
            DataError: pictures of another size.
        """
        X = pictures.X[row_positions(rows, len(pictures.X))]
        if X.shape[1:] != (self.channels, self.height, self.width):
            raise DataError(
                f"the pictures are {X.shape[1]} × {X.shape[2]} × {X.shape[3]} (channels, height, width)",
                f"the model was trained on {self.channels} × {self.height} × {self.width}",
                "Resize them.",
            )
        return ((X.astype(np.float32) - np.float32(self.mean)) * np.float32(1.0 / self.std)).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """The encoder as plain JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """The encoder that `to_dict` wrote; ModelFileError when `data` is anything else."""
        fields = {"channels": is_count, "height": is_count, "width": is_count, "mean": is_finite, "std": is_positive}
        return cls(**cast(dict[str, Any], read_record(data, fields, "pixel encoder")))
