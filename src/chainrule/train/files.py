"""Model and checkpoint files: one safetensors file with the arrays, and everything else as JSON in its metadata.

Nothing in a file is ever run. A file is written beside its final place and moved there when it is whole, so that what was there
before survives a crash at any moment, and a digest over arrays and metadata tells altered files.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.errors import ModelFileError, OutputError, explain
from chainrule.ir import Array

FORMAT = 1


def write(path: str | Path, arrays: Mapping[str, Array], description: Mapping[str, Any]) -> None:
    """Write a file, whole or not at all.

    Args:
        path: where; its folder must exist.
        arrays: by name; any shape, dtype bool, integer or float.
        description: JSON-able.

    Raises:
        OutputError: the folder is missing or not writable, or the disk is full; what was at `path` is still there.
    """
    from safetensors.numpy import save  # noqa: PLC0415 -- only who saves needs it

    # safetensors writes strided arrays wrongly without a word.
    whole = {name: np.ascontiguousarray(a).reshape(np.shape(a)) for name, a in arrays.items()}
    text = json.dumps({"format": FORMAT, **description}, ensure_ascii=False)
    content = save(whole, {"chainrule": text, "digest": _digest(whole, text)})
    replace(path, content)


def replace(path: str | Path, content: bytes) -> None:
    """Put a file with this content in place, in one move.

    Raises:
        OutputError: as in `write`.
    """
    target = Path(path)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private; a model is as readable as any other file of the user.
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(target)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
        raise OutputError(
            explain(
                f"{target} could not be written ({error.strerror or error})",
                "its folder must exist, be writable and have room",
                "Choose another place, or make room; an earlier file of that name is unharmed.",
            )
        ) from None


def read(path: str | Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays and the description in a file.

    Raises:
        ModelFileError: there is no such file, or it is truncated, altered, of another kind, or of a later format.
    """
    source = Path(path)
    try:
        content = source.read_bytes()
    except OSError as error:
        raise ModelFileError(
            explain(
                f"the model file {source} could not be read ({error.strerror or error})",
                "a model is a .safetensors file, written by `chainrule train` or save_model",
                "Check the path; `chainrule train` names the file that it writes.",
            )
        ) from None
    arrays, metadata = _parse(source, content)
    text = metadata.get("chainrule")
    if text is None:
        raise ModelFileError(
            explain(
                f"{source} is a safetensors file, but not one of chainrule's",
                "its metadata must describe the model",
                "Load its arrays with safetensors, and give them to model.load_state_dict.",
            )
        )
    description = json.loads(text) if metadata.get("digest") == _digest(arrays, text) else None
    if not isinstance(description, dict):
        raise ModelFileError(
            explain(f"{source} was altered after it was written", "its digest must match its content", "Use the original file.")
        )
    if description.get("format") != FORMAT:
        raise ModelFileError(
            explain(
                f"{source} has format {description.get('format')}, written by chainrule {description.get('version', '?')}",
                f"this version reads format {FORMAT}",
                "Use the version that wrote it, or train again.",
            )
        )
    return arrays, description


def _parse(source: Path, content: bytes) -> tuple[dict[str, Array], dict[str, str]]:
    from safetensors import SafetensorError  # noqa: PLC0415
    from safetensors.numpy import load  # noqa: PLC0415

    try:
        arrays = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    except (SafetensorError, ValueError) as error:
        raise ModelFileError(
            explain(
                f"{source} is not a whole safetensors file ({error})",
                "it may have been cut short, or be something else",
                "Use the original file, or train again.",
            )
        ) from None
    return arrays, header.get("__metadata__", {})


def _digest(arrays: Mapping[str, Array], text: str) -> str:
    found = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        a = arrays[name]
        found.update(f"{name}:{a.dtype.str}:{a.shape}:".encode())
        found.update(np.ascontiguousarray(a).tobytes())
    return found.hexdigest()
