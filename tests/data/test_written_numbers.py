"""What is a digit and what is a minus in the cells of a table."""

import numpy as np
import pytest

from chainrule.data import TargetEncoder, read_table
from chainrule.errors import DataError

NUMBERS = [f"{k * 0.7:.1f}" for k in range(60)]


def column_of(folder, cells):
    """A column of these cells of a CSV file."""
    quoted = (f'"{cell}","x"\n' for cell in cells)
    path = folder / "t.csv"
    path.write_text('"v","w"\n' + "".join(quoted), encoding="utf-8")
    return read_table(path, verbatim=["v"])["v"]


@pytest.mark.parametrize(
    ("cells", "what"),
    [
        (["45.3¹", *NUMBERS], "number"),
        (["10²", *NUMBERS], "number"),
        (["⑴", *NUMBERS], "number"),
        (["①", "①", *NUMBERS], "number"),  # no word for a gap
        (["½", "½", *NUMBERS], "number"),
        (["5½", *NUMBERS], "number"),
        (["5 ½", *NUMBERS], "number"),
        (["5 ¹", *NUMBERS], "number"),
        (["5⁻¹", *NUMBERS], "number"),
        (["㏩", *(f"{k}日" for k in range(1, 60))], "number"),
        (["5¹ h", *(f"{k} h 5 min" for k in range(60))], "duration"),
        (["5 h²", *(f"{k} h 5 min" for k in range(60))], "duration"),
        (["2024-03-1²", *(f"2024-03-{k}" for k in range(10, 30))], "date"),
        (["2024年³月1日", *(f"2024年3月{k}日" for k in range(10, 30))], "date"),
    ],
)
def test_raised_and_circled_digits_are_no_digits(tmp_path, cells, what):
    with pytest.raises(DataError, match=f"line 2, column 'v': '{cells[0]}' is not a {what}"):
        column_of(tmp_path, cells)


def test_raised_and_circled_digits_stay_text_in_classes(tmp_path):
    column = column_of(tmp_path, ["¹", "1", "①"] * 5)
    assert (column.kind, column.categories) == ("categorical", ("1", "¹", "①"))
    assert TargetEncoder.fit(column).classes == ("1", "¹", "①")


@pytest.mark.parametrize(
    ("cells", "unit"),
    [(["5 m²", "7 m2", "9m²", "3㎡"], "m2"), (["5 kg/m³", "7 kg/m³"], "kg/m3"), (["5 m s⁻¹", "7 m s⁻¹"], "m s−1")],
)
def test_raised_digits_may_stand_in_a_unit(tmp_path, cells, unit):
    column = column_of(tmp_path, cells)
    assert (column.values[:2].tolist(), column.unit) == ([5, 7], unit)


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["5,-", "1.234,-", "6,50"], [5, 1234, 6.5]),
        (["5.-", "1'234.-", "6.50"], [5, 1234, 6.5]),
        (["5,--", "5,—", "5,–", "-5,-"], [5, 5, 5, -5]),
        (["5,- €", "7,-€", "€ 9,-"], [5, 7, 9]),
        (["5-", "5,000.00-", "1.5e3-"], [-5, -5000, -1500]),
        (["5-", "5.000,00-"], [-5, -5000]),
    ],
)
def test_a_dash_for_decimals_is_no_minus(tmp_path, cells, numbers):
    np.testing.assert_array_equal(column_of(tmp_path, cells).values, numbers)


@pytest.mark.parametrize("cell", ["5 -", "5,50,-", "5.5.-", "5.---", "(5-)", "(5)-", "5--"])
def test_other_dashes_behind_a_number_are_refused(tmp_path, cell):
    with pytest.raises(DataError, match=r"line 2, column 'v': .* is not a number"):
        column_of(tmp_path, [cell, *NUMBERS])
