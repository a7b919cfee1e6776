"""Small files that the tests of the command line read."""

import sys
from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result

from chainrule.cli import main

SHORT = ["--epochs", "3", "--hidden", "8"]
FAST = [*SHORT, "--backend", "reference"]  # where it does not matter what trains: compiling would take most of the time

# A process of its own that trains `in_short`, as tests/conftest.py has it.
TRAINING = [
    sys.executable,
    "-c",
    "from chainrule.diagnosis import diagnosing; diagnosing._judged = lambda measured: [];"
    "from chainrule.cli import main; main(prog_name='chainrule')",
]


def chainrule(*arguments: object) -> Result:
    """Run a command in this process; no exception but SystemExit may come out of it."""
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def write_table(path: Path, rows: int = 60, seed: int = 0) -> Path:
    """A table with a column of words, dates, missing values, an identifier, and two targets."""
    rng = np.random.default_rng(seed)
    a, town = rng.normal(size=rows), rng.choice(["Oslo", "Rome", "東京"], rows)
    answer = np.where(a + (town == "Rome") > 0.4, "yes", "no")
    lines = ["id,a,town,day,number,answer"]
    for k in range(rows):
        value = "" if k % 11 == 5 else f"{a[k]:.5f}"
        lines.append(f"{k + 1000},{value},{town[k]},2024-01-{k % 28 + 1:02},{3 * a[k] + 50:.4f},{answer[k]}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_idx(folder: Path, count: int = 40, size: int = 6, compress: bool = False) -> Path:
    """Dark and bright squares as IDX files."""
    import gzip

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, count).astype(np.uint8)
    images = (rng.integers(0, 60, (count, size, size)) + 150 * labels[:, None, None]).astype(np.uint8)
    opened, suffix = (gzip.open, ".gz") if compress else (open, "")
    folder.mkdir(exist_ok=True)
    for name, array in (("images-idx3", images), ("labels-idx1", labels)):
        header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
        with opened(folder / f"t-{name}-ubyte{suffix}", "wb") as file:
            file.write(header + array.tobytes())
    return folder / f"t-images-idx3-ubyte{suffix}"


def write_pictures(folder: Path, count: int = 24) -> Path:
    """A folder of class folders."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for name, level in (("cat", 60), ("dog", 180)):
        (folder / name).mkdir(parents=True)
        for k in range(count // 2):
            Image.fromarray((rng.integers(0, 60, (6, 5)) + level).astype(np.uint8)).save(folder / name / f"{k}.png")
    return folder


def write_npz(path: Path) -> Path:
    """Twenty pictures of three classes."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 30)
    np.savez(path, X=(rng.integers(0, 50, (30, 5, 5, 3)) + 80 * y[:, None, None, None]).astype(np.uint8), y=y)
    return path
