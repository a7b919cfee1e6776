"""The folder of a run: its files, and one run at a time in it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from chainrule.errors import OutputError
from chainrule.fileio import remove_leftovers
from chainrule.job.locking import locked, unusable

MODEL_FILE, CHECKPOINT_FILE = "model.safetensors", "checkpoint.safetensors"
CONFIG_FILE, HISTORY_FILE, CURVES_FILE, METRICS_FILE = "config.toml", "history.csv", "learning-curves.png", "metrics.json"
REPORT_FILE = "report.html"
RUN_FILES = (MODEL_FILE, CHECKPOINT_FILE, CONFIG_FILE, HISTORY_FILE, CURVES_FILE, METRICS_FILE, REPORT_FILE)


@contextmanager
def run_folder(chosen: str | Path | None, source: str) -> Iterator[Path]:
    """A new folder for a run: the chosen one, or the next free runs/<name>-<number>. Nobody else trains in it meanwhile.

    If the run fails before a model or checkpoint is saved, what it wrote is taken away again, the folder too if it was made
    for the run.

    Raises:
        OutputError: it holds files of a run already, another run is training in it, or it cannot be made or written to.
    """
    folder, made = _made_folder(chosen, Path(source).name.split(".")[0] or "run")
    try:
        with run_lock(folder):
            _refuse_taken(folder)
            try:
                yield folder
            except BaseException:
                if not any((folder / name).exists() for name in (MODEL_FILE, CHECKPOINT_FILE)):
                    _remove_files(folder)
                raise
    except BaseException:
        with suppress(OSError):  # those that hold something stay
            for path in made:
                path.rmdir()
        raise


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Keep other runs out of a run folder, and remove the temporary files of runs that were killed. Raises as `locked`."""
    with locked(folder):
        if folder.is_dir():
            remove_leftovers(folder, RUN_FILES)
        yield


def _made_folder(chosen: str | Path | None, name: str) -> tuple[Path, list[Path]]:
    """The folder, and what was made for it, the innermost first."""
    parent = Path("runs" if chosen is None else chosen)
    made = [path for path in (parent, *parent.parents) if not path.exists()]
    try:
        parent.mkdir(parents=True, exist_ok=True)
        if chosen is not None:
            return parent, made
        folder = _numbered(parent, name)
    except OSError as error:
        raise unusable(parent, error) from None
    return folder, [folder, *made]


def _numbered(parent: Path, name: str) -> Path:
    """The first of <name>-1, <name>-2, … that does not exist, made."""
    for number in itertools.count(1):
        folder = parent / f"{name}-{number}"
        with suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise AssertionError


def _refuse_taken(folder: Path) -> None:
    taken = [name for name in RUN_FILES if (folder / name).exists()]
    if taken:
        raise OutputError(
            f"the folder {folder} holds {taken[0]} already", "a run has a folder of its own", "Choose another --out."
        )


def _remove_files(folder: Path) -> None:
    with suppress(OSError):
        for name in RUN_FILES:
            (folder / name).unlink(missing_ok=True)
