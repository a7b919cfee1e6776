"""Where answers may be written: not over a model, a run, or what they were made from."""

from __future__ import annotations

from pathlib import Path

from chainrule.errors import OutputError
from chainrule.job.folders import CHECKPOINT_FILE, CURVES_FILE, MODEL_FILE, RUN_FILES
from chainrule.job.inputs import ENCODERS

_OF_A_RUN = frozenset(RUN_FILES) - {CURVES_FILE}  # which is drawn again, if need be in another language or theme


def refuse_overwriting(out: str | Path, *inputs: str | Path | None) -> None:
    """Refuse to write answers over a file that is needed.

    Args:
        out: where answers are to be written.
        inputs: files and folders that were read.

    Raises:
        OutputError: it is one of the inputs, a picture in one of them, a model, or a file of a run.
    """
    path = Path(out)
    if not path.is_file():
        return
    what = _needed(path.resolve(), [Path(given).resolve() for given in inputs if given is not None and Path(given).exists()])
    if what:
        raise OutputError(f"{out} is {what}", "the output must not overwrite it", "Choose another name.")


def _needed(path: Path, inputs: list[Path]) -> str:
    """What the file is needed for; "" if nothing."""
    if any(path.samefile(given) for given in inputs if given.is_file()):
        return "what is read"
    for encoder in ENCODERS.values():
        if path.suffix.lower() in encoder.suffixes and any(given in path.parents for given in inputs):
            return f"one of the {encoder.noun} that are read"
    if path.suffix == ".safetensors":
        return "a model"
    of_run = any((path.parent / name).exists() for name in (MODEL_FILE, CHECKPOINT_FILE))
    return "a file of a run" if of_run and path.name in _OF_A_RUN else ""
