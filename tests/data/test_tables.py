"""Reading tables: kinds, missing values, delimiters, and one clear error per kind of broken file."""

import gzip
import io
import string
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.data import Table, read_table
from chainrule.errors import ArgumentError, DataError

TITANIC = Path(__file__).resolve().parents[2] / "../shared/data/titanic/titanic.csv"


@pytest.fixture
def write(tmp_path):
    def write(content: bytes | str, name: str = "t.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def column_text(values) -> str:
    return "v,row\n" + "".join(f"{value},{row}.5\n" for row, value in enumerate(values))


@pytest.mark.parametrize(
    ("values", "kind", "first"),
    [
        (["1", "2", "3"], "numeric", 1.0),
        (["1.5", "-2e3", "+.5"], "numeric", 1.5),
        ([" 7", "8 ", " ? "], "numeric", 7.0),
        (["0", "1", "0"], "numeric", 0.0),
        (["true", "FALSE", "True"], "boolean", 1),
        (["no", "Yes", "-"], "boolean", 0),
        (["red", "blue", "red", "blue"], "categorical", 1),
        (["2020-01-01", "2020/02/29", ""], "date", 18262.0),
        (["1970-01-02T12:00:00Z", "1970-01-01 00:00", "NA"], "date", 1.5),
        (["31.12.1969", "1.1.1970", "2.1.1970"], "date", -1.0),
        (["01/31/1970", "01/02/1970", "NA"], "date", 30.0),
        (["31/01/1970", "01/02/1970", "NA"], "date", 30.0),
        (["one", "two", "three"], "text", 0),
        (["5", "5", "5"], "constant", 5.0),
        (["x", "x", "x"], "constant", 0),
        (["yes", "yes", "yes"], "constant", 1),
        (["", "NA", "null"], "empty", np.nan),
    ],
)
def test_kinds_are_recognised(write, values, kind, first):
    column = read_table(write(column_text(values)))["v"]
    assert column.kind == kind
    np.testing.assert_equal(column.values[0], first)


@pytest.mark.parametrize("word", ["", "NA", "N/A", "NaN", "null", "#N/A", "<NA>", " NA "])
def test_missing_words(write, word):
    table = read_table(write(f"number,word\n1,a\n{word},{word}\n3,a\n"))
    for column in table:
        assert column.missing.tolist() == [False, True, False]
        assert column.present_rows.tolist() == [0, 2]


def test_leap_days_and_impossible_dates(write):
    path = write("d\n2020-02-29\n2020-02-30\n")
    assert read_table(path)["d"].kind == "text"
    with pytest.raises(DataError, match=r"line 3, column 'd': '2020-02-30' is not a date; 1 of the 2 cells"):
        read_table(path, kinds={"d": "date"})


def test_ambiguous_dates_are_not_guessed(write):
    path = write("d\n01/02/2020\n03/04/2020\n05/06/2020\n")
    column = read_table(path)["d"]
    assert column.kind == "text"
    assert "could be day/month/year or month/day/year" in column.note
    chosen = read_table(path, kinds={"d": "date:day/month/year"})["d"]
    assert chosen.reading == "date:day/month/year"
    assert chosen.values[0] == np.datetime64("2020-02-01").astype(int)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_found(write, delimiter):
    path = write(f"a{delimiter}b\n1{delimiter}x\n2{delimiter}y\n")
    assert read_table(path).names == ("a", "b")
    assert read_table(path, delimiter).names == ("a", "b")


def test_an_unusual_delimiter_is_named(write):
    assert read_table(write("a:b\n1:2\n"), ":")["b"].values.tolist() == [2.0]


@pytest.mark.parametrize(
    "content",
    [
        "sep=;\na;b\n1;2\n3;4\n",
        'sep=|\r\na|b\r\n1|2\r\n3|"4"\r\n',
        '\ufeff"sep=,"\na,b\n1,2\n3,4\n',
        "a,b\n1,2\n3,4\n,\n",
        "a,b\n1,2\n3,4\n,\n,\n\n",
        "a,b\n1,2\n3,4\n\x1a",
        "a,b\n1,2\n3,4\n\x1a\n",
    ],
)
def test_what_spreadsheets_write_around_a_table_is_no_row(write, content):
    table = read_table(write(content))
    assert [(column.name, column.values.tolist()) for column in table] == [("a", [1, 3]), ("b", [2, 4])]


def test_empty_rows_within_a_table_are_rows(write):
    rows = read_table(write("a,b\n1,2\n,\n,\n3,4\n,\n"))["a"].values
    np.testing.assert_array_equal(rows, [1, np.nan, np.nan, 3])
    assert read_table(write("a\n1\n3\n\x1a"))["a"].values.tolist() == [1, 3]


@pytest.mark.parametrize(
    "content",
    ["v\n1\n\n\n3\n\n\n", "\n\nv\n1\n\n\n3", "sep=;\r\n\r\nv\r\n1\r\n\r\n\r\n3\r\n\x1a", '"v"\n"1"\n\n""\n"3"\n\n'],
)
def test_a_blank_line_of_a_table_of_one_column_is_an_empty_cell(write, content):
    path = write(content)
    np.testing.assert_array_equal(read_table(path)["v"].values, [1, np.nan, np.nan, 3])
    line = 1 + content[: content.index("3")].count("\n")
    path.write_text(content.replace("3", "x"), newline="")
    with pytest.raises(DataError, match=f"line {line}, column 'v': 'x' is not a number"):
        read_table(path, kinds={"v": "numeric"})


def test_blank_lines_of_a_wider_table_are_no_rows(write):
    assert read_table(write("\n\na,b\n1,2\n\n3,4\n"))["a"].values.tolist() == [1, 3]


def test_decimal_commas_in_semicolon_files(write):
    table = read_table(write("a;b\n1,5;3\n-2,25;4\n"))
    assert table["a"].values.tolist() == [1.5, -2.25]
    assert table["b"].values.tolist() == [3.0, 4.0]


def test_two_decimal_marks_are_refused(write):
    with pytest.raises(DataError, match=r"column 'b': '1.234' is 1.234 if the point.*1234 if the comma is; other columns"):
        read_table(write("a;b\n1,5;1.234\n2,5;5.678\n"))


def test_byte_order_mark_quotes_blank_lines_and_line_ends(write):
    table = read_table(write(b'\xef\xbb\xbfid, note\r\n1,"a ""b"", c"\r\n\r\n2,"d\ne"\r\n'))
    assert table.names == ("id", "note")
    assert table["note"].categories == ('a "b", c', "d\ne")


def test_gzip(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n1,2\n"))
    assert read_table(path)["b"].values.tolist() == [2.0]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="a whole file was expected"):
        read_table(path)


def test_parquet_gives_the_same_as_csv(tmp_path):
    data = pa.table(
        {
            "n": pa.array([1, None, 3]),
            "f": pa.array([1.5, float("nan"), 2.5]),
            "big": pa.array([2**60, 1, 2]),
            "b": pa.array([True, False, None]),
            "d": pa.array([np.datetime64("2020-01-01T06:00:00"), None, np.datetime64("2020-01-02T00:00:00")]),
            "w": pa.array(["x", "x", None]).dictionary_encode(),
        }
    )
    path = tmp_path / "t.parquet"
    pa.parquet.write_table(data, path)
    table = read_table(path)
    assert [column.kind for column in table] == ["numeric", "numeric", "numeric", "boolean", "date", "categorical"]
    np.testing.assert_equal(table["n"].values, [1, np.nan, 3])
    np.testing.assert_equal(table["d"].values, [18262.25, np.nan, 18263.0])
    assert table["b"].values.tolist() == [1, 0, -1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"is empty \(0 bytes\)"),
        ("a,b\n", "has a header and no rows"),
        ("\n\n", "has no columns"),
        (b"\x00\x01\x02", r"is not a text file \(a zero byte on line 1\)"),
        (b"PK\x03\x04rest", "it starts like an Excel workbook"),
        (b"a,b\n1,x\n2,caf\xe9\n", r"line 3, byte 6: 0xe9 is not UTF-8.*reads '2,café' .--encoding windows-1252"),
        ("a,b\n1,2\n3\n", r"line 3: 1 fields \('3'\); the header has 2"),
        ('a,b\n1,"x\ny"\n\n3,4,5\n', r"line 5: 3 fields \('3', '4', '5'\); the header has 2"),
        ('a,b\n1,2\n1,"2\n3,4\n', r"in a record after line 2: a quote \(\"\) is not closed properly"),
        ('a,b\n1,"2\n3,"4\n5,6\n', r"in a record after line 1: a quote"),
        ('a,"b\n1,2\n', "line 1: the header cannot be read"),
        ("a,b,a\n1,2,3\n", "columns 1 and 3 are both called 'a'"),
        (",b\n1,2\n", "column 1 of 2 has no name.*index=False"),
        ("a,\n1,2\n", r"column 2 of 2 has no name; every column needs one. Name it in the first line\.$"),
        ('[{"a": 1}]', "holds JSON, not a table"),
        ('\ufeff{\n "a": [1]}', "holds JSON, not a table"),
        ("<!DOCTYPE html>\n<html></html>", "holds HTML or XML, not a table"),
        ("sep=;\na;b\n1;2\n3\n", r"line 4: 1 fields \('3'\); the header has 2"),
        ("a,b\n,\n,\n", "has a header and no rows"),
        ("5.1,3.5\n4.9,3.0\n", r"every name is a number \(5.1, 3.5\).*Add a first line with names"),
        ("v\n" + "1\n" * 30 + "inf\n", r"line 32, column 'v': the number is infinite \(inf\)"),
        ("v\n1\n1e999\n", r"line 3, column 'v': the number is infinite \(1e999\)"),
        ("v,w\n" + "1,2\n" * 19 + "1x,2\n", r"line 21, column 'v': '1x' is not a number; 19 of the 20 cells"),
        ('w,v\n"a\nb",1\n' + "c,2\n" * 19 + "\nd,oops\n", r"line 24, column 'v': 'oops' is not a number"),
        ("d\n" + "2020-01-05\n" * 19 + "soon\n", r"line 21, column 'd': 'soon' is not a date"),
        (b"PAR1 and no more", "could not be read .*; a whole Parquet file was expected"),
    ],
)
def test_broken_files(write, content, message):
    path = write(content)
    with pytest.raises(DataError, match=f"(?s){message}") as caught:
        read_table(path)
    assert str(path) in str(caught.value)


def test_missing_file_names_the_nearest(tmp_path, write):
    write("a\n1\n", "titanic.csv")
    with pytest.raises(DataError, match=r"titanc\.csv does not exist.*Did you mean 'titanic.csv'\?"):
        read_table(tmp_path / "titanc.csv")
    with pytest.raises(DataError, match="is a folder"):
        read_table(tmp_path)


def test_unreadable_parquet_type_is_named(tmp_path):
    path = tmp_path / "t.parquet"
    pa.parquet.write_table(pa.table({"l": [[1], [2]]}), path)
    with pytest.raises(DataError, match="column 'l' has the type list"):
        read_table(path)


def test_kinds_override_recognition(write):
    path = write("code,user_id,v\n007,1,3\n008,2,x\n")
    table = read_table(path, kinds={"code": "categorical", "user_id": "numeric", "v": "text", "absent": "text"})
    assert table["code"].categories == ("007", "008")
    assert [column.kind for column in table] == ["categorical", "numeric", "text"]
    with pytest.raises(DataError, match="line 3, column 'v': 'x' is not a number; 1 of the 2 cells"):
        read_table(path, kinds={"v": "numeric"})
    with pytest.raises(DataError, match="line 2, column 'v': '3' is not false or true"):
        read_table(path, kinds={"v": "boolean"})
    with pytest.raises(
        ArgumentError, match=r"kind of the column 'v' is 'number'; the kinds are numeric.*Did you mean 'numeric'"
    ):
        read_table(path, kinds={"v": "number"})
    with pytest.raises(ArgumentError, match="the delimiter is ', '"):
        read_table(path, ", ")


@pytest.mark.parametrize("name", ["PassengerId", "user_id", "ID", "Unnamed: 0", "index"])
def test_identifiers(write, name):
    assert read_table(write(f"{name},v\n" + "".join(f"{row},{row}\n" for row in range(9))))[name].kind == "identifier"


@pytest.mark.parametrize("name", ["width", "humidity", "idea", "grid"])
def test_distinct_integers_alone_are_no_identifier(write, name):
    assert read_table(write(f"{name}\n" + "".join(f"{row}\n" for row in range(9))))[name].kind == "numeric"


def test_several_blocks_agree_with_one(write):
    n = 300_000
    path = write("n,w,late\n" + "".join(f"{row},w{row % 7},{row if row < n - 1 else 'end'}\n" for row in range(n)))
    with pytest.raises(DataError, match=f"line {n + 1}, column 'late': 'end' is not a number"):
        read_table(path)
    table = read_table(path, kinds={"late": "text"})
    np.testing.assert_array_equal(table["n"].values, np.arange(n))
    np.testing.assert_array_equal(table["w"].values, np.arange(n) % 7)


cells = st.text(string.ascii_letters + ' ,;|"\n\té€', max_size=8).map(str.strip)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(cells, cells), min_size=1, max_size=8).filter(lambda rows: any(rows[-1])))
def test_quoted_cells_survive(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("quoting") / "t.csv"
    quoted = ["".join(('"', cell.replace('"', '""'), '"')) for row in rows for cell in row]
    lines = [f"{left},{right}\n" for left, right in zip(quoted[::2], quoted[1::2], strict=True)]
    path.write_text("a,b\n" + "".join(lines), encoding="utf-8", newline="")
    table = read_table(path, ",", kinds={"a": "text", "b": "text"})
    for position, column in enumerate(table):
        read = ["" if code < 0 else column.categories[code] for code in column.values]
        missing = {"NA", "NaN", "nan", "NAN", "null", "NULL", "Null"}
        assert read == ["" if row[position] in missing else row[position] for row in rows]


class TestFromColumns:
    def test_kinds(self):
        table = Table.from_columns(
            {
                "f": [1, None, 2.5],
                "b": np.array([True, False, True]),
                "some": [True, None, False],
                "d": np.array(["1970-01-02", "NaT", "1970-01-03"], "datetime64[D]"),
                "w": ["a", "", None],
                "r": np.arange(3, dtype=np.float32),
            }
        )
        assert [column.kind for column in table] == ["numeric", "boolean", "boolean", "date", "categorical", "numeric"]
        np.testing.assert_equal(table["d"].values, [1, np.nan, 2])
        assert table["w"].missing.tolist() == [False, True, True]
        assert table.n_rows == 3

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            ({}, "the table is empty"),
            ({"a": []}, "the table is empty"),
            ({"a": [1], "b": [1, 2]}, r"columns of lengths \{'a': 1, 'b': 2\}"),
            ({"a": [[1, 2]]}, r"column 'a' of the table has shape \(1, 2\)"),
            ({"a": [1.0, np.inf]}, "column 'a' of the table holds inf at row 1"),
            ({"a": np.array(["x", 3], object)}, r"holds 3 \(int\) among other values"),
        ],
    )
    def test_errors(self, columns, message):
        with pytest.raises(DataError, match=message):
            Table.from_columns(columns)


def test_unknown_column_names_the_nearest():
    with pytest.raises(
        DataError, match=r"the table has no column 'survived'; its columns are Survived, Age\. Did you mean 'Survived'"
    ):
        Table.from_columns({"Survived": [0], "Age": [1]})["survived"]


@pytest.mark.skipif(not TITANIC.exists(), reason="the Titanic table is not there")
def test_titanic():
    kinds = {column.name: column.kind for column in read_table(TITANIC)}
    assert {name for name, kind in kinds.items() if kind == "identifier"} == {"PassengerId"}
    assert {name for name, kind in kinds.items() if kind == "text"} == {"Name", "Ticket", "Cabin"}
    assert {name for name, kind in kinds.items() if kind == "categorical"} == {"Sex", "Embarked"}


_MEASURE = """
import sys, time
from bench.memory import peak_bytes
from chainrule.data import FeatureEncoder, read_table
start = time.perf_counter()
table = read_table(sys.argv[1])
read = time.perf_counter()
X = FeatureEncoder.fit(table, "y").transform(table)
end = time.perf_counter()
print(peak_bytes() / 2**20, read - start, end - read, *X.shape)
"""


@pytest.mark.slow
def test_a_million_rows_of_thirty_columns_stay_below_one_gigabyte(tmp_path):
    n, random = 1_000_000, np.random.default_rng(0)
    columns = {f"x{position}": random.normal(size=n).round(6 if position < 20 else 17) for position in range(25)}
    columns["n"] = random.integers(0, 1000, n)
    columns["town"] = np.array(["Oslo", "Rome", "Lima", "Pune"])[random.integers(0, 4, n)]
    columns["ok"] = np.array(["yes", "no"])[random.integers(0, 2, n)]
    columns["day"] = (np.datetime64("2020-01-01") + random.integers(0, 900, n)).astype(str)
    columns["y"] = random.integers(0, 2, n)
    path = tmp_path / "big.csv"
    pa.csv.write_csv(pa.table(columns), path)
    command = [sys.executable, "-c", _MEASURE, str(path)]
    root = Path(__file__).parents[2]  # where bench is
    output = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root).stdout.split()
    print("peak MB, seconds to read, seconds to encode, shape:", *output)
    assert float(output[0]) < 1000
    assert output[3:] == ["1000000", "41"]  # the date gives its hour, weekday and month beside the time elapsed


@pytest.mark.parametrize("name", [b"\xff.csv", "\u00e9.csv".encode()], ids=["no UTF-8", "UTF-8"])
@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_names_that_are_not_utf_8_are_names(tmp_path, name, kind):
    file = tmp_path / name.decode("ascii", "surrogateescape")  # as in a locale that knows ASCII alone
    table = pa.table({"label": ["na\u00efve", "\u0451\u0436"], "x": [1, 2]})
    content = io.BytesIO()
    pyarrow.parquet.write_table(table, content) if kind == "parquet" else pyarrow.csv.write_csv(table, content)
    try:
        file.write_bytes(gzip.compress(content.getvalue()) if kind == "csv.gz" else content.getvalue())
    except OSError:
        pytest.skip("this file system has names in UTF-8 alone")
    assert read_table(file)["label"].categories == ("na\u00efve", "\u0451\u0436")
