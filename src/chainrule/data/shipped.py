"""The tables that come with scikit-learn, read from its files: importing it would take longer than most training runs."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import MissingDependency, missing_dependency

_CELLS = [
    *("radius", "texture", "perimeter", "area", "smoothness"),
    *("compactness", "concavity", "concave points", "symmetry", "fractal dimension"),
]


@dataclass(frozen=True)
class ShippedTable:
    """A table in scikit-learn's folder of data: a row of numbers per sample.

    Attributes:
        description: one sentence.
        names: of the features.
        classes: names of the target's values 0, 1, …; None for regression.
        file: its name; the last column is the target, unless that has a file of its own.
        targets: the file of the target, or "".
        delimiter: between the numbers of a row; None for spaces.
        header: how many lines come before the numbers.
    """

    description: str
    names: list[str]
    classes: list[str] | None
    file: str
    targets: str = ""
    delimiter: str | None = ","
    header: int = 0

    def read(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Features (n, d) and targets (n,).

        Raises:
            MissingDependency: scikit-learn is not installed, or keeps its files elsewhere.
        """
        numbers = self._numbers(self.file)
        return (numbers, self._numbers(self.targets)) if self.targets else (numbers[:, :-1], numbers[:, -1])

    def _numbers(self, file: str) -> NDArray[np.float64]:
        return np.loadtxt(_path(file), delimiter=self.delimiter, skiprows=self.header)


def _path(file: str) -> Path:
    spec = find_spec("sklearn")  # finds the package without running it
    if spec is None or not spec.submodule_search_locations:
        raise missing_dependency("scikit-learn", f"The data set in {file}", "app")
    path = Path(spec.submodule_search_locations[0], "datasets", "data", file)
    if not path.is_file():
        raise MissingDependency(
            f"{path} is not there",
            "the scikit-learn that is installed should hold this data set",
            "Install another one with: pip install 'scikit-learn>=1.5,<1.10'",
        )
    return path


SHIPPED = {
    "iris": ShippedTable(
        "150 iris flowers of three species: lengths and widths of sepals and petals.",
        [f"{part} {size} (cm)" for part in ("sepal", "petal") for size in ("length", "width")],
        ["setosa", "versicolor", "virginica"],
        "iris.csv",
        header=1,
    ),
    "wine": ShippedTable(
        "178 wines from three growers: 13 chemical measurements.",
        [
            *("alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids"),
            *("nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue", "od280/od315_of_diluted_wines", "proline"),
        ],
        ["class_0", "class_1", "class_2"],
        "wine_data.csv",
        header=1,
    ),
    "digits": ShippedTable(
        "1797 handwritten digits of 8 × 8 pixels between 0 and 1.",
        [f"pixel_{row}_{column}" for row in range(8) for column in range(8)],
        [str(digit) for digit in range(10)],
        "digits.csv.gz",
    ),
    "breast_cancer": ShippedTable(
        "569 tumours, malignant or benign: 30 measurements of cell nuclei.",
        [pattern.format(name) for pattern in ("mean {}", "{} error", "worst {}") for name in _CELLS],
        ["malignant", "benign"],
        "breast_cancer.csv",
        header=1,
    ),
    "diabetes": ShippedTable(
        "442 patients: ten measurements and how far the disease went in a year (regression).",
        ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"],
        None,
        "diabetes_data_raw.csv.gz",
        targets="diabetes_target.csv.gz",
        delimiter=None,
    ),
}
