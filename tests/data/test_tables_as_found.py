"""Tables as people have them: gaps, numbers, dates, encodings and codes, each read by one rule per column."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from chainrule.data import FeatureEncoder, Table, TargetEncoder, encodings, read_table
from chainrule.errors import ArgumentError, DataError


def table_of(path, **columns):
    """Write columns of texts as CSV or Parquet, whatever the path says, and read them."""
    write(path, **columns)
    return read_table(path)


def write(path, **columns):
    if path.suffix == ".parquet":
        pa.parquet.write_table(pa.table({name: list(cells) for name, cells in columns.items()}), path)
        return path
    quoted = [['"' + str(cell).replace('"', '""') + '"' for cell in cells] for cells in columns.values()]
    lines = [",".join(columns), *map(",".join, zip(*quoted, strict=True))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(params=["t.csv", pytest.param("t.parquet", marks=pytest.mark.slow)])
def path(tmp_path, request):
    return tmp_path / request.param


NUMBERS = [f"{k * 0.7:.1f}" for k in range(60)]


# ---------------------------------------------------------------------------------------- gaps
@pytest.mark.parametrize(
    "word",
    [
        "None",
        "na",
        "N/A",
        "#N/A",
        "<NA>",
        "NULL",
        "NaN",
        "nil",
        "\\N",
        ".",
        "-",
        "--",
        "?",
        "missing",
        "NA ",
        "无",
        "空",
        "#DIV/0!",
    ],
)
def test_a_word_for_gaps_is_learnt_from_the_column(path, word):
    cells = [word if k % 6 == 0 else NUMBERS[k] for k in range(60)]
    column = table_of(path, v=cells, y=NUMBERS)["v"]
    assert (column.kind, int(column.missing.sum())) == ("numeric", 10)
    assert column.gaps == {word.strip(): 10}
    assert column.remark == f"10 cells say '{word.strip()}'"
    np.testing.assert_array_equal(column.values[1::6], [float(NUMBERS[k]) for k in range(1, 60, 6)])


def test_gaps_in_dates_are_learnt_too(path):
    cells = ["None" if k % 6 == 0 else f"2024-03-{k % 28 + 1:02}" for k in range(60)]
    column = table_of(path, d=cells)["d"]
    assert (column.kind, column.gaps) == ("date", {"None": 10})


def test_a_word_that_nobody_knows_is_a_gap_where_it_is_the_only_one(path):
    column = table_of(path, v=["keine" if k % 6 == 0 else NUMBERS[k] for k in range(60)])["v"]
    assert (column.kind, column.gaps) == ("numeric", {"keine": 10})
    with pytest.raises(DataError, match=r"'nix' is not a number; 57 of the 60 .*\('nada', 'nix' are not\).*--missing 'nix'"):
        table_of(path, v=["nix", "nada", "nada", *NUMBERS[3:]])
    assert read_table(path, missing=["nix", "nada"])["v"].gaps == {"nix": 1, "nada": 2}
    assert read_table(path, missing={"v": ["nix", "nada"], "w": ["x"]})["v"].missing.sum() == 3


def test_a_letter_beside_few_different_numbers_is_a_category(path):
    column = table_of(path, v=["1", "2", "3", "A", "A"] * 12)["v"]
    assert (column.kind, column.categories) == ("categorical", ("1", "2", "3", "A"))


@pytest.mark.parametrize("word", ["-", "None", "?", "missing", "na", "."])
def test_such_a_word_is_a_class_of_a_column_of_words(path, word):
    table = table_of(path, v=["a", word, "b"] * 5, y=[word, "x", word] * 5)
    assert table["v"].categories == tuple(sorted(["a", word, "b"]))
    assert TargetEncoder.fit(table["y"]).classes == tuple(sorted([word, "x"]))


def test_na_among_other_codes_of_two_capitals_is_one_of_them(path):
    assert table_of(path, v=["NA", "EU", "AS"] * 5)["v"].categories == ("AS", "EU", "NA")
    column = table_of(path, v=["NA", "Europe", "Asia"] * 5)["v"]
    assert (column.categories, column.gaps) == (("Asia", "Europe"), {"NA": 5})


def test_a_number_can_stand_for_gaps(path):
    column = table_of(path, v=["-999", *NUMBERS[1:]])["v"]
    assert not column.missing.any()
    assert read_table(path, missing=["-999"])["v"].gaps == {"-999": 1}


def test_gaps_are_the_same_in_a_table_to_predict(path, tmp_path):
    cells = ["keine" if k % 6 == 0 else NUMBERS[k] for k in range(60)]
    encoder = FeatureEncoder.fit(table_of(path, v=cells, w=NUMBERS), "w")
    assert encoder.describe()[0].note == "10 cells say 'keine'"
    encoder = FeatureEncoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    new = write(tmp_path / "new.csv", v=["keine", "-", "2.5"])
    X = encoder.transform(read_table(new, kinds=encoder.kinds, missing=encoder.gaps))
    assert X[:, 1].tolist() == [1, 1, 0]
    with pytest.raises(DataError, match="'keine' is not a number"):
        read_table(new, kinds=encoder.kinds)


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32(), pa.float16()])
def test_nan_of_parquet_is_a_gap_and_infinity_is_refused(tmp_path, kind):
    def read(cells):
        pa.parquet.write_table(pa.table({"v": pa.array(np.array(cells, kind.to_pandas_dtype()))}), tmp_path / "t.parquet")
        return read_table(tmp_path / "t.parquet")["v"]

    column = read([np.nan, *range(60)] * 2)
    assert (column.kind, column.remark, int(column.missing.sum())) == ("numeric", "", 2)
    for infinite in (np.inf, -np.inf):
        with pytest.raises(DataError, match=r"row 2, column 'v': the number is infinite \(-?inf\)"):
            read([np.nan, infinite, *range(60)] * 2)
        with pytest.raises(DataError, match=r"row 1, column 'v': the number is infinite \(-?inf\)"):
            read([infinite, np.nan, *range(60)] * 2)


# ---------------------------------------------------------------------------------------- numbers
@pytest.mark.parametrize(
    ("cells", "numbers", "unit"),
    [
        (["1,234", "999", "12,345,678"], [1234, 999, 12345678], ""),
        (["1,234.5", "7.25"], [1234.5, 7.25], ""),
        (["1.234,5", "7,25"], [1234.5, 7.25], ""),
        (["1.234.567", "1.234"], [1234567, 1234], ""),
        (["0,350", "1,250"], [0.35, 1.25], ""),
        (["12,34,567", "1,000"], [1234567, 1000], ""),
        (["1 234", "1\u00a0235", "1\u2009236", "1\u202f237"], [1234, 1235, 1236, 1237], ""),
        (["1'234.5", "1’235.5"], [1234.5, 1235.5], ""),
        (["45%", "7 %", "12.5%", "５０％"], [45, 7, 12.5, 50], "%"),
        (["$1,200", "-$3", "$ 7.50", "($8)", "$(9)"], [1200, -3, 7.5, -8, -9], "$"),
        (["¥1,200", "￥7"], [1200, 7], "¥"),
        (["1.234,50 €", "7 €"], [1234.5, 7], "€"),
        (["1e3", "-2.5E-3", "+4"], [1000, -0.0025, 4], ""),
        (["(12)", "7", "5-", "−3"], [-12, 7, -5, -3], ""),
        (["10.0 kg", "7kg", "1,000 kg"], [10, 7, 1000], "kg"),
        (["1.2万", "3万"], [1.2, 3], "万"),
        (["１２３", " 4 "], [123, 4], ""),
        (["–3.5", "‒4", "-5", "6"], [-3.5, -4, -5, 6], ""),
        (['="843.73"', '="-2"', "7"], [843.73, -2, 7], ""),
        (["'843.73", "'12", "7"], [843.73, 12, 7], ""),
        (["84_373", "1_234_567.5"], [84373, 1234567.5], ""),
        (["٨٤٣.٧٣", "१२३", "۷"], [843.73, 123, 7], ""),
        (["1 month", "60 months", "0"], [1, 60, 0], "month"),
        (["Rs. 1,23,456", "Rs 500"], [123456, 500], "Rs"),
    ],
)
def test_numbers_as_people_write_them(path, cells, numbers, unit):
    column = table_of(path, v=cells)["v"]
    assert column.kind == "numeric"
    np.testing.assert_allclose(column.values, numbers, rtol=1e-12)
    assert column.unit == unit


@pytest.mark.parametrize(
    "cells",
    [
        ["12A", "3B", "7C"],
        ["z123", "z77"],
        ["A/5 21171", "PC 17599"],
        ["--5", "(5"],
        ["1,2,3", "4,5"],
        ["1 yard", "2 miles"],
        ['="007"', '="012"'],
        ["'007", "'012"],
    ],
)
def test_words_that_hold_digits_are_words(path, cells):
    assert table_of(path, v=cells * 5)["v"].categories == tuple(sorted(cells))


def many(form):
    return [form.format(a=k, b=k % 60, c=k % 12 + 1, d=k % 28 + 1) for k in range(150)]


@pytest.mark.parametrize(
    ("form", "what"),
    [
        ("<{a}.7", "numbers"),
        ("~{a}.7", "numbers"),
        ("> {a} mg/L", "numbers"),
        ("{a}.7±0.5", "numbers"),
        ("{a}-{c}", "numbers"),
        ("{a}/{c}", "numbers"),
        ("{a} {c}/{b}", "numbers"),
        ("0x{a:x}b", "numbers"),
        ("{a}.4×10^3", "numbers"),
        ("{a}:{b:02}", "numbers"),
        ("2021-{c:02}-{d:02} 13:{b:02}:00 CET", "dates"),
        ("{a}-dec-21", "dates"),
        ("Dec-21 {a}", "dates"),
        ("week {a} street", ""),
        ("No {a}", ""),
    ],
)
def test_words_that_look_like_numbers_or_dates_are_told(path, form, what):
    table = table_of(path, v=many(form), y=NUMBERS + NUMBERS + NUMBERS[:30])
    remark = f"cells such as '{many(form)[0]}' are not read as {what}" if what else ""
    assert (table["v"].kind, table["v"].remark) == ("text", remark)
    [report] = [report for report in FeatureEncoder.fit(table, None).describe() if report.name == "v"]
    assert report.told == f"left out: {remark or 'it has too many different values'}"


def test_few_words_that_look_like_dates_are_told_and_few_ranges_are_categories(path):
    table = table_of(path, d=["Dec-21", "Jan-22"] * 20, age=["20-30", "30-40"] * 20)
    assert table["d"].remark == "cells such as 'Dec-21' are not read as dates"
    assert (table["age"].kind, table["age"].remark) == ("categorical", "")


def test_mixed_units_are_refused_by_cell(path):
    cells = [f"{k} kg" for k in range(60)]
    with pytest.raises(
        DataError, match=r"(line 5|row 4), column 'v': '500 g' is a number in 'g'; others, such as '0 kg', are in 'kg'"
    ):
        table_of(path, v=[*cells[:3], "500 g", *cells[4:]])
    with pytest.raises(DataError, match=r"'500' is a number without a unit; others.*--kind 'v=categorical'"):
        table_of(path, v=[*cells[:3], "500", *cells[4:]])
    assert read_table(path, kinds={"v": "text"})["v"].kind == "text"


def test_one_comma_may_be_of_either_kind(tmp_path):
    def read(delimiter, *lines):
        file = tmp_path / "t.txt"
        file.write_text("\n".join(["v" + delimiter + "w", *lines]) + "\n")
        return read_table(file, delimiter)["v"].values.tolist()

    assert read(",", '"1,234",1', '"2,500",2') == [1234, 2500]
    assert read(";", "1,234;1", "2,500;2") == [1.234, 2.5]
    assert read("\t", "1,234\t0.5", "2,500\t0.7") == [1234, 2500], "another column has decimal points"
    assert read("\t", "1,234\t0,5", "2,500\t0,7") == [1.234, 2.5], "another column has decimal commas"
    with pytest.raises(
        DataError, match=r"column 'v': '1,234' is 1234 if the point .* and 1.234 if the comma is.*--kind 'v=numeric:1,234.5'"
    ):
        read("\t", "1,234\t1", "2,500\t2")
    assert read_table(tmp_path / "t.txt", "\t", {"v": "numeric:1.234,5"})["v"].values.tolist() == [1.234, 2.5]


def test_units_are_the_same_in_a_table_to_predict(tmp_path):
    encoder = FeatureEncoder.fit(table_of(tmp_path / "t.csv", v=[f"{k}%" for k in range(60)]), None)
    again = FeatureEncoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    same = write(tmp_path / "same.csv", v=["7%", "70 %"])
    assert again.transform(read_table(same, kinds=again.kinds)).shape == (2, 1)
    other = write(tmp_path / "other.csv", v=["0.07", "0.70"])
    with pytest.raises(DataError, match="column 'v' holds numbers without a unit; the encoder was fitted on numbers in '%'"):
        again.transform(read_table(other, kinds=again.kinds))


def test_targets_with_units_are_learnt_and_answered_as_numbers(path):
    column = table_of(path, v=[f"${k * 1000:,}.50" for k in range(1, 61)])["v"]
    encoder = TargetEncoder.fit(column)
    assert (encoder.task, encoder.unit) == ("regression", "$")
    np.testing.assert_allclose(encoder.decode(encoder.encode(column))[:2], [1000.5, 2000.5], rtol=1e-4)
    with pytest.raises(DataError, match=r"the target 'v' is without a unit; the model learnt it in '\$'"):
        encoder.encode(table_of(path, v=NUMBERS)["v"])


# ---------------------------------------------------------------------------------------- dates
@pytest.mark.parametrize(
    ("cells", "order", "moment"),
    [
        (["2024-03-01T14:30:00Z", "2024-03-01T16:30:00+02:00"], "year-month-day", "2024-03-01T14:30"),
        (["2024-03-01 14:30:00.000", "2024/3/1 2:30 PM", "2024-03-01T09:30-0500"], "year-month-day", "2024-03-01T14:30"),
        (["2024年3月1日", "2024年03月01日", "2024.3.1"], "year-month-day", "2024-03-01"),
        (["2024年3月1日 下午2:30", "2024年3月1日 14时30分"], "year-month-day", "2024-03-01T14:30"),
        (["2021年12月13日星期一", "2021年12月13日 周一", "2021-12-12 24:00"], "year-month-day", "2021-12-13"),
        (["2021-12-13 13", "2021-12-13T13"], "year-month-day", "2021-12-13T13:00"),
        (["13/12/2021 13.27", "13/12/2021 13:27"], "day/month/year", "2021-12-13T13:27"),
        (["13. 12. 2021", "13.12. 2021"], "day.month.year", "2021-12-13"),
        (["13/Dec/2021:13:27:00 +0000", "13/Dec/2021:14:27:00 +0100"], "day month year", "2021-12-13T13:27"),
        (["Mon Dec 13 13:27:00 2021", "Mon Dec 13 13:27:00 UTC 2021"], "month day year", "2021-12-13T13:27"),
        (["99/12/31", "99-12-31"], "year/month/day", "1999-12-31"),
        (["12/2021", "12-2021"], "month year", "2021-12-01"),
        (["1.3.2024", "01.03.24"], "day.month.year", "2024-03-01"),
        (["3/31/2024 2:30 PM", "03/31/24 14:30"], "month/day/year", "2024-03-31T14:30"),
        (["31/3/2024", "31-03-24"], "day/month/year", "2024-03-31"),
        (["1 Mar 2024", "01-Mar-24", "1st March 2024", "Fri, 1 Mar 2024"], "day month year", "2024-03-01"),
        (["March 1, 2024", "Mar 1 2024", "Friday, March 1st, 2024"], "month day year", "2024-03-01"),
        (["2024-03", "2024年3月"], "year-month", "2024-03-01"),
        (["Mar 2024", "March 2024"], "month year", "2024-03-01"),
        (["20240301T143000Z", "20240301T1430"], "yearmonthday", "2024-03-01T14:30"),
        (["14:30", "2:30 pm", "14:30:00"], "hour:minute", "1970-01-01T14:30"),
    ],
)
def test_dates_as_people_write_them(path, cells, order, moment):
    column = table_of(path, d=cells)["d"]
    assert (column.date_order, column.kind) == (order, "constant" if len(cells) > 1 else "date")
    expected = np.datetime64(moment, "s").astype(int) / 86_400
    np.testing.assert_allclose(column.values, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "cell", ["2024-02-30", "31.4.2024", "24:00", "14:60", "13:30 pm", "0/1/2024", "30 Feb 2024", "2024-13"]
)
def test_what_is_no_date(tmp_path, cell):
    assert table_of(tmp_path / "t.csv", d=[cell, "x"])["d"].date_order == ""


def test_two_digit_years_are_of_1969_to_2068(tmp_path):
    dates = read_table(write(tmp_path / "t.csv", d=["31/12/68", "31/12/69"]))["d"].texts()
    assert dates == ["2068-12-31", "1969-12-31"]


def test_numbers_are_dates_where_that_is_said(path):
    write(path, a=["45352", "45352.5"], b=["1709296200", "1709296200000"], c=["20240301", "20240302"])
    assert "may be dates: --kind 'c=date:yearmonthday'" in read_table(path)["c"].note
    table = read_table(path, kinds={"a": "date:excel", "b": "date:unix", "c": "date:yearmonthday"})
    assert table["a"].texts() == ["2024-03-01", "2024-03-01T12:00:00"]
    assert table["b"].texts() == ["2024-03-01T12:30:00"] * 2
    assert table["c"].texts() == ["2024-03-01", "2024-03-02"]


def test_an_order_in_doubt_is_named(path):
    write(path, d=["01/02/2024", "03/04/2024"])
    assert "--kind 'd=date:day/month/year'" in read_table(path)["d"].note
    with pytest.raises(DataError, match="could be day/month/year or month/day/year; no cell says which"):
        read_table(path, kinds={"d": "date"})


def test_days_months_and_years_between_dots_come_in_that_order(path):
    write(path, d=["16.05.21", "17.05.21"])
    assert read_table(path)["d"].date_order == "day.month.year"


@pytest.mark.parametrize(
    ("cells", "orders", "said", "day"),
    [
        (["01/05/05", "01/05/06"], "day/month/year or month/day/year or year/month/day", "year/month/day", "2001-05-05"),
        (["21-05-16", "21-05-17"], "day/month/year or year/month/day", "year/month/day", "2021-05-16"),
    ],
)
def test_a_year_of_two_digits_may_come_first(path, cells, orders, said, day):
    write(path, d=cells)
    column = read_table(path)["d"]
    assert (column.date_order, column.note.partition(":")[0]) == ("", f"dates that could be {orders}")
    with pytest.raises(DataError, match=f"could be {orders}; no cell says which"):
        read_table(path, kinds={"d": "date"})
    assert read_table(path, kinds={"d": f"date:{said}"})["d"].texts()[0] == day


def test_a_moment_gives_hour_weekday_and_month_beside_the_time_elapsed(path):
    hours = np.datetime64("2023-01-01T00:30") + np.arange(0, 24 * 500, 7).astype("timedelta64[h]")
    table = table_of(path, when=[str(hour) for hour in hours])
    encoder = FeatureEncoder.from_dict(json.loads(json.dumps(FeatureEncoder.fit(table, None).to_dict())))
    names = encoder.feature_names
    assert encoder.describe()[0].treatment == "days since 1970-01-01, standardised; beside it hour, weekday, month"
    assert names[:4] == ["when", "when: sin hour", "when: cos hour", "when: sin 2 hour"]
    X = encoder.transform(table)
    assert X.shape == (len(hours), 1 + 6 + 7 + 2)
    assert (np.diff(X[:, 0]) > 0).all()
    angle = np.arctan2(X[:, 1], X[:, 2]) % (2 * np.pi) * 24 / (2 * np.pi)
    np.testing.assert_allclose(angle, (np.arange(len(hours)) * 7 + 0.5) % 24, atol=1e-4)
    day = [names.index(f"when: {day}") for day in ("Mon", "Sun")]
    assert X[0, day].tolist() == [0, 1], "the first of January 2023 was a Sunday"


def test_parts_that_do_not_vary_and_missing_moments_give_nothing(path):
    table = table_of(path, d=["2024-03-04", "2024-03-11", "", "2024-03-18"])
    encoder = FeatureEncoder.fit(table, None)
    assert encoder.feature_names == ["d", "d: missing"], "Mondays in March"
    months = FeatureEncoder.fit(table_of(path, d=["2024-03", "2024-04", "2024-05"]), None)
    assert months.feature_names == ["d", "d: sin month", "d: cos month"]
    times = FeatureEncoder.fit(table_of(path, d=["14:30", "", "9:00"]), None)
    assert times.describe()[0].treatment.startswith("time of day, standardised")
    assert times.transform(read_table(path))[1, 2:].tolist() == [0] * 6


def test_timestamps_of_parquet(tmp_path):
    moments = np.array(["2024-03-01T14:30", "2024-03-02T15:45"], "datetime64[us]")
    columns = {
        "a": pa.array(moments),
        "b": pa.array(moments, pa.timestamp("us", tz="UTC")),
        "c": pa.array([52_200, 56_700], pa.time32("s")),
    }
    pa.parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert [column.date_order for column in table] == ["year-month-day", "year-month-day", "hour:minute"]
    assert table["a"].values.tolist() == table["b"].values.tolist()
    assert table["a"].texts() == ["2024-03-01T14:30:00", "2024-03-02T15:45:00"]
    assert table["c"].texts() == ["14:30:00", "15:45:00"]


# ---------------------------------------------------------------------------------------- codes and labels
@pytest.mark.parametrize(
    ("cells", "remark"),
    [
        (["01234", "00501"] * 20, "'01234' may be a code: --kind 'v=categorical' reads words"),
        (["10115", "80331", "50667"] * 20, "few different large numbers, which may be codes: --kind 'v=categorical'"),
        ([str(2**60 + k * 10**15) for k in range(60)], "numbers of so many digits are rounded"),
        ([str(1990 + k % 30) for k in range(60)], ""),
        ([str(k) for k in range(60)], ""),
    ],
)
def test_codes_that_look_like_numbers_are_pointed_out(tmp_path, cells, remark):
    note = table_of(tmp_path / "t.csv", v=cells)["v"].note
    assert note.startswith(remark) and bool(note) == bool(remark)


LONG = ["1234567890123456789", "1234567890123456790", "9234567890123456999"]


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (LONG, tuple(LONG)),
        (LONG[:2], tuple(LONG[:2])),
        (["True", "False"], ("False", "True")),
        (["007", "010", "011"], ("007", "010", "011")),
        (["1.0", "2.0"], ("1.0", "2.0")),
        (["$5", "$7"], ("$5", "$7")),
        ([" a", "b "], ("a", "b")),
        (["YES", "NO"], ("NO", "YES")),
    ],
)
def test_labels_come_back_as_they_were_written(path, cells, classes):
    table = write(path, y=cells * 10)
    column = read_table(table, verbatim=["y"])["y"]
    encoder = TargetEncoder.from_dict(json.loads(json.dumps(TargetEncoder.fit(column).to_dict())))
    assert encoder.classes == classes
    again = read_table(table, kinds={"y": encoder.reading}, verbatim=["y"])["y"]
    named = np.array(encoder.classes)[encoder.encode(again)]
    assert named.tolist() == [cell.strip() for cell in cells] * 10


def test_a_class_is_known_however_it_is_written(tmp_path):
    encoder = TargetEncoder.fit(table_of(tmp_path / "t.csv", y=["1.0", "1", "2.0", "2.0"])["y"])
    assert encoder.classes == ("1", "2"), "the cells were not kept"
    column = read_table(write(tmp_path / "t.csv", y=["1.0", "1", "1.0", "2.0"]), verbatim=["y"])["y"]
    encoder = TargetEncoder.fit(column)
    assert encoder.classes == ("1.0", "2.0")
    assert encoder.encode(table_of(tmp_path / "u.csv", y=["2", "1"])["y"]).tolist() == [1, 0]


NEAR_EXACT = [2**53, 2**53 + 1, -(2**53), -(2**53) - 1]


@pytest.mark.parametrize("labels", [NEAR_EXACT, NEAR_EXACT[:2], [NEAR_EXACT[1], NEAR_EXACT[0], 5]])
def test_integers_just_above_what_a_float_holds_are_told_apart(tmp_path, labels):
    pa.parquet.write_table(pa.table({"y": pa.array(labels * 10, pa.int64())}), tmp_path / "t.parquet")
    for file in (write(tmp_path / "t.csv", y=labels * 10), tmp_path / "t.parquet"):
        encoder = TargetEncoder.fit(read_table(file, verbatim=["y"])["y"], "classification")
        assert sorted(encoder.classes) == sorted(map(str, labels))


def test_integers_that_are_rounded_to_one_number_are_not_constant(tmp_path):
    values = pa.array([2**64 - 1 - k for k in range(20)], pa.uint64())
    pa.parquet.write_table(pa.table({"v": values, "c": [3] * 20}), tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert (table["v"].kind, table["c"].kind) == ("identifier", "constant")


def test_long_integers_in_arrays_are_told_apart():
    numbers = np.array([int(label) for label in LONG] * 4, np.uint64)
    encoder = TargetEncoder.fit(Table.from_columns({"y": numbers})["y"])
    assert encoder.classes == tuple(LONG)


def test_cells_are_kept_verbatim(tmp_path):
    (tmp_path / "k.csv").write_text('store,day,v,w\n0000,01.03.2024,0.00," a"\n0001,02.03.2024,NA,NULL\n')
    table = read_table(tmp_path / "k.csv", kinds={"store": "numeric"}, verbatim=["store", "day", "v", "w"])
    assert [column.texts() for column in table] == [
        ["0000", "0001"],
        ["01.03.2024", "02.03.2024"],
        ["0.00", "NA"],
        [" a", "NULL"],
    ]
    assert table["store"].values.tolist() == [0, 1]


# ---------------------------------------------------------------------------------------- encodings
TEXTS = {
    "gb18030": ["城市,v\n上海,1\n北京,2\n", "姓名,年龄\n张伟,3\n王芳,5\n", "评论\n很快，好吃，味道足\n"],
    "big5": ["城市,v\n臺北,1\n高雄,2\n", "姓名,年齡\n陳怡君,3\n林志明,5\n"],
    "cp932": ["都市,v\n東京,1\n大阪,2\n", "名前,年齢\nさくら,3\nタロウ,5\n"],
    "cp949": ["도시,v\n서울,1\n부산,2\n"],
    "euc_jp": ["都市,v\nさくらの東京,1\n大阪,2\n"],
    "windows-1252": ["name,v\ncafé,1\nMünchen,2\n", "ciudad,año\nMálaga,1\n"],
    "windows-1250": ["miasto,v\nŁódź,1\nKraków,2\n"],
    "windows-1251": ["город,v\nМосква,1\n"],
    "windows-1253": ["πόλη,v\nΑθήνα,1\nΠάτρα,2\n"],
    "windows-1255": ["עיר,v\nירושלים,1\nחיפה,2\n"],
    "koi8_r": ["город,v\nМосква,1\n"],
}


@pytest.mark.parametrize(("encoding", "text"), [(name, text) for name, texts in TEXTS.items() for text in texts])
def test_another_encoding_is_named_and_read(tmp_path, encoding, text):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(DataError, match=f"is not UTF-8; tables are read as UTF-8; as .*--encoding {encoding}") as caught:
        read_table(path)
    assert any(repr(line) in str(caught.value) for line in text.split("\n")[:2]), "how it reads"
    table = read_table(path, encoding=encoding)
    assert table.names == tuple(text.split("\n")[0].split(","))


def test_japanese_in_bytes_of_ascii_is_named_and_read(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("都市,v\n東京,1\n大阪,2\n".encode("iso2022_jp"))
    with pytest.raises(DataError, match=r"ISO-2022-JP it reads '都市,v'\. Name the encoding with --encoding iso2022_jp"):
        read_table(path)
    assert read_table(path, encoding="iso2022_jp")["都市"].categories == ("大阪", "東京")


def test_chinese_is_never_taken_for_western_text(tmp_path):
    for text in TEXTS["gb18030"] + TEXTS["big5"]:
        for encoding in ("gb18030", "big5"):
            if encoding == "gb18030" or text in TEXTS["big5"]:
                assert not [name for name in encodings.plausible([text.encode(encoding)]) if name.startswith("windows")]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_unicode_in_other_forms_is_recognised(tmp_path, encoding):
    path = tmp_path / "t.csv"
    path.write_bytes("name,v\nÅsa,1\n東京,2\n".encode(encoding))
    assert read_table(path)["v"].values.tolist() == [1, 2]
    assert read_table(path, encoding="utf-16" if encoding == "utf-16" else None)["name"].texts() == ["Åsa", "東京"]


def test_wrong_encodings_are_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("城市,v\n上海,1\n".encode("gb18030"))
    with pytest.raises(ArgumentError, match="the encoding is 'gbx'; it must be one that Python knows"):
        read_table(path, encoding="gbx")
    with pytest.raises(DataError, match="after line 0: there are bytes that are not ascii"):
        read_table(path, encoding="ascii")


# ---------------------------------------------------------------------------------------- robustness
@pytest.mark.parametrize(
    "cell",
    [
        "x" * (5 << 20),
        pytest.param("x" * (8 << 20), marks=pytest.mark.slow),
        pytest.param('"' + ("x" * 1000 + "\n") * (8 << 10) + '"', marks=pytest.mark.slow),
    ],
    ids=["5 MB", "8 MB", "8 MB in lines"],
)
def test_a_cell_that_is_larger_than_a_block(tmp_path, cell):
    path = tmp_path / "t.csv"
    path.write_text(f"a,b\n1,{cell}\n2,y\n")
    assert read_table(path)["a"].values.tolist() == [1, 2]


@pytest.mark.parametrize("change", ["7\n", "oops\n", "\n"])
def test_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch, change):
    from chainrule.data import reading

    path = write(tmp_path / "t.csv", v=NUMBERS)
    decide = reading.decide

    def meanwhile(surveys, source):
        with path.open("a") as file:
            file.write(change)
        return decide(surveys, source)

    monkeypatch.setattr(reading, "decide", meanwhile)
    with pytest.raises(DataError, match=r"t\.csv changed while it was read"):
        read_table(path)


def test_many_columns(tmp_path):
    path = tmp_path / "t.csv"
    names = [f"c{k}" for k in range(500)]
    path.write_text(",".join(names) + "\n" + ",".join("1" * len(names)) + "\n" + ",".join("2" * len(names)) + "\n")
    assert read_table(path).names == tuple(names)


def test_few_numbers_in_several_units_are_words_and_that_is_told(path):
    column = table_of(path, v=["(1,234.50)", "$ 2,000.00", "$3"])["v"]
    assert (column.kind, column.note) == ("text", "numbers without a unit and in '$'")


def test_a_wrong_cell_is_found_behind_odd_quotes(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('w,v\n"a"b"c",1\n' + "x,2\n" * 19 + "x,oops\n")
    with pytest.raises(DataError, match="line 22, column 'v': 'oops' is not a number"):
        read_table(path)


# ---------------------------------------------------------------------------------------- durations
@pytest.mark.parametrize(
    ("cells", "hours"),
    [
        (["36:15:00", "0:45:00", "120:00:30.5"], [36.25, 0.75, 120 + 30.5 / 3600]),
        (["1 day, 02:03:04", "2:00:00", "-1 day, 23:00:00"], [26 + 184 / 3600, 2.0, -1.0]),
        (["0 days 00:30:00", "-2 days +12:00:00", "3 days"], [0.5, -36.0, 72.0]),
        (["P1DT2H", "PT90M", "-PT36S"], [26.0, 1.5, -0.01]),
        (["P2W", "PT0,5H", "P1D"], [336.0, 0.5, 24.0]),
        (["1h30m", "45m", "2d 1h"], [1.5, 0.75, 49.0]),
        (["1天2小时", "3小时", "30分钟"], [26.0, 3.0, 0.5]),
    ],
    ids=lambda value: str(value[0]),
)
def test_durations_are_hours(path, cells, hours):
    column = table_of(path, v=cells * 10, y=NUMBERS[:30])["v"]
    assert (column.kind, column.unit, column.reading) == ("numeric", "h", "numeric:duration")
    np.testing.assert_allclose(column.values, hours * 10, rtol=1e-12)
    assert column.remark == "in 'h'"


def test_zero_is_a_duration_among_others(path):
    cells = ["0", "0:45:00", "1h30m", "120:00:30", "0.0"] * 12
    column = table_of(path, v=cells)["v"]
    assert (column.reading, column.unit, column.values[:3].tolist()) == ("numeric:duration", "h", [0, 0.75, 1.5])
    assert column.values[4] == 0
    write(path, v=["0", "0"])
    assert read_table(path, kinds={"v": "numeric:duration"})["v"].values.tolist() == [0, 0]


@pytest.mark.parametrize(("cell", "unit", "value"), [("1h30m", "h", 1.5), ("5 kg", "kg", 5)])
@pytest.mark.parametrize("kind", [None, "numeric"])
def test_a_block_of_zeros_is_in_every_unit(path, monkeypatch, cell, unit, value, kind):
    monkeypatch.setattr("chainrule.data.blocks._BLOCK_BYTES", 64)
    monkeypatch.setattr("chainrule.data.blocks._ROWS", 16)
    write(path, v=["0"] * 40 + [cell] * 40)
    column = read_table(path, kinds={} if kind is None else {"v": kind})["v"]
    assert (column.unit, column.values[0], column.values[-1]) == (unit, 0, value)


def test_times_of_day_are_durations_only_where_one_is_longer_than_a_day_or_they_are_said_to_be(path):
    cells = [f"{k % 24}:15:00" for k in range(60)]
    assert table_of(path, v=cells)["v"].date_order == "hour:minute"
    assert read_table(path, kinds={"v": "numeric:duration"})["v"].values[7] == 7.25
    column = table_of(path, v=[*cells[1:], "24:15:00"])["v"]
    assert (column.reading, column.values[-1]) == ("numeric:duration", 24.25)


def test_a_cell_that_is_no_duration_is_named(path):
    cells = [f"{k}:15:00" for k in range(60)]
    with pytest.raises(DataError, match=r"column 'v': '61:15' is not a duration such as 36:15:00 \(hours, minutes, seconds\)"):
        table_of(path, v=[*cells, "61:15", "99:75:00"])


@pytest.mark.parametrize("cells", [["2D", "3D"], ["2d", "3d"], ["P1Y", "P2Y"], ["36:15", "57:22"], ["P", "PT"]], ids=str)
def test_what_may_be_something_else_is_no_duration(path, cells):
    assert table_of(path, v=cells * 30)["v"].kind == "categorical"


def test_an_answer_in_hours_is_learnt_and_given(path):
    table = table_of(path, v=[f"{k}:30:00" for k in range(60)], y=NUMBERS)
    features = FeatureEncoder.fit(table, "y")
    again = read_table(path, kinds=features.kinds)
    np.testing.assert_array_equal(features.transform(again), features.transform(table))
    assert (TargetEncoder.fit(table["v"]).unit, TargetEncoder.fit(table["v"]).reading) == ("h", "numeric:duration")


# ---------------------------------------------------------------------------------------- kinds that were said
@pytest.mark.parametrize(
    ("kind", "cell", "expected"),
    [
        ("numeric", "heavy", "a number"),
        ("boolean", "maybe", "false or true"),
        ("date:year-month-day", "31.12.2024", "a date written year-month-day"),
        ("numeric:duration", "25:00", "a duration such as 36:15:00 (hours, minutes, seconds)"),
    ],
)
def test_a_cell_that_does_not_fit_the_kind_is_to_be_corrected(path, kind, cell, expected):
    """A model reads columns in the kinds that it learnt: whoever predicts cannot choose another."""
    write(path, v=[cell], w=["1"])
    with pytest.raises(DataError) as caught:
        read_table(path, kinds={"v": kind})
    assert f"column 'v': '{cell}' is not {expected}; 0 of the 1 cells with a value are. " in str(caught.value)
    assert str(caught.value).endswith("Correct the cell, or empty it if its value is not known.")
