"""Damaged tables, the same ones for the same seed."""

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

ROWS = 30
CELLS = {
    "n": lambda k: f"{k * 1.5:.2f}",
    "money": lambda k: f'"${k * 1234.5:,.2f}"',
    "when": lambda k: f"2024-03-{k % 28 + 1:02} {k % 24:02}:30",
    "town": lambda k: ["Oslo", "東京", '"a, ""b"""'][k % 3],
    "gap": lambda k: "None" if k % 5 == 0 else str(k),
    "y": lambda k: ["a", "b"][k % 2],
}
PIECES = [
    *(
        b"\0",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xe9",
        b'"',
        b'""',
        b"\r",
        b"\n",
        b"\r\n",
        b",",
        b";",
        b"\t",
        b"|",
        b"\x1a",
        b"\x1f\x8b",
    ),
    *(
        b"inf",
        b"nan",
        b"1e999",
        b"-",
        b"(",
        b")",
        b"%",
        b"1,234",
        b"1.234,5",
        b"00",
        b"9" * 400,
        b"2024-02-30",
        b"24:61",
        b"PAR1",
    ),
    *(
        "无".encode(),
        "１２".encode(),
        "\u2028".encode(),
        "\u202e".encode(),
        b"[red]",
        b"\x1b[31m",
        b"=1+1",
        b" " * 50,
        b"a" * 70_000,
    ),
]


def text_table(delimiter: str) -> bytes:
    """A table with a column of every kind."""
    lines = [delimiter.join(CELLS)]
    lines += [delimiter.join(cell(k) for cell in CELLS.values()) for k in range(ROWS)]
    return ("\n".join(lines) + "\n").encode()


def parquet_table(folder: Path) -> bytes:
    """A Parquet file with a column of many types."""
    moments = np.datetime64("2024-03-01T00:30") + np.arange(ROWS).astype("timedelta64[h]")
    columns = {
        "n": np.arange(ROWS) * 1.5,
        "big": np.arange(ROWS) + 2**60,
        "town": pa.array(["Oslo", "Rome"] * (ROWS // 2)).dictionary_encode(),
        "money": [f"${k:,}" for k in range(1000, 1000 + ROWS)],
        "when": pa.array(moments.astype("datetime64[us]"), pa.timestamp("us", tz="UTC")),
        "flag": [True, None] * (ROWS // 2),
        "y": ["a", "b"] * (ROWS // 2),
    }
    path = folder / "whole.parquet"
    pa.parquet.write_table(pa.table(columns), path)
    return path.read_bytes()


def damaged(content: bytes, seed: int) -> bytes:
    """The content with one to eight changes: bytes changed, cut out, repeated or put in, or the end cut off."""
    source, data = random.Random(seed), bytearray(content)
    for _ in range(source.choice([1, 1, 2, 3, 8])):
        at = source.randrange(len(data) + 1)
        until = min(len(data), at + source.choice([1, 1, 4, 30, 200]))
        change = source.randrange(6)
        if change == 0 and at < len(data):
            data[at] ^= 1 << source.randrange(8)
        elif change == 1:
            del data[at:until]
        elif change == 2:
            data[at:at] = data[at:until] * source.choice([1, 2, 50])
        elif change == 3:
            data[at:at] = source.choice(PIECES)
        elif change == 4:
            data[at:until] = source.randbytes(until - at)
        elif source.random() < 0.3:
            del data[at:]
    return bytes(data)
