"""Model and checkpoint files: one safetensors file with the arrays, and everything else as JSON in its metadata.

Nothing in a file is ever run. A digest over every byte of the file tells altered ones.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from chainrule import checks
from chainrule.errors import ArgumentError, ModelFileError
from chainrule.fileio import parsing, write_file
from chainrule.ir import Array

File = str | Path | io.BytesIO  # what can be written to and read from

FORMAT = 1
_KEY = "chainrule"  # the only one in the metadata: safetensors writes several in an order that changes
_BLANK = "0" * 64
# The digest comes first in the text of that key. Within JSON an unescaped quote ends a text, so the mark stands in one place.
_MARK = f'"{_KEY}":"'.encode()


def write(path: File, arrays: Mapping[str, Array], description: Mapping[str, Any]) -> None:
    """Write a file, whole or not at all.

    Args:
        path: where; its folder must exist. An io.BytesIO takes the content instead.
        arrays: by name; any shape, dtype bool, integer or float.
        description: JSON-able.

    Raises:
        OutputError: the folder is missing or not writable, or the disk is full; what was at `path` is still there.
        ArgumentError: JSON does not have a value in the description.
    """
    path = path if isinstance(path, io.BytesIO) else checks.path(path, "the file to write")
    from safetensors.numpy import save  # noqa: PLC0415 -- only who saves needs it

    # safetensors writes strided arrays wrongly without a word.
    whole = {name: np.ascontiguousarray(a).reshape(np.shape(a)) for name, a in arrays.items()}
    try:
        # Names of files that are not UTF-8 hold halves of characters, for which JSON has this way of writing, too.
        text = json.dumps({"format": FORMAT, **description}, ensure_ascii=False).encode(errors="backslashreplace").decode()
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"a value to save in {called(path)} is not JSON ({error})",
            "extras and the states of callbacks are numbers, texts, booleans, None, and lists and dicts of them",
            "Convert it; callbacks may also hold NumPy arrays.",
        ) from None
    content = bytearray(save(whole, {_KEY: _BLANK + text}))
    place = _digest_place(content)
    content[place] = hashlib.sha256(content).hexdigest().encode()
    if isinstance(path, io.BytesIO):
        path.write(content)
    else:
        write_file(path, content)


def read(path: File) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays and the description in a file.

    Raises:
        ModelFileError: there is no such file, or it is truncated, altered, of another kind, or of another format.
    """
    source, content = called(path), _content(path)
    arrays, metadata = _parse(source, content)
    if _KEY not in metadata:
        raise ModelFileError(
            f"{source} is a safetensors file, but not one of chainrule's",
            "its metadata must describe the model",
            "Load its arrays with safetensors, and give them to model.load_state_dict.",
        )
    if not _is_unaltered(content):
        raise ModelFileError(
            f"{source} was altered after it was written", "its digest must match its content", "Use the original file."
        )
    with parsing(f"the description in {source}", "it must be a JSON object", "Use the original file.", ModelFileError):
        description = dict(json.loads(metadata[_KEY][len(_BLANK) :]))
    if description.get("format") != FORMAT:
        raise ModelFileError(
            f"{source} has format {description.get('format')}, written by chainrule {description.get('version', '?')}",
            f"this version reads format {FORMAT}",
            "Use the version that wrote it, or train again.",
        )
    return arrays, description


def called(path: File) -> str:
    """What messages call a file."""
    return "the buffer" if isinstance(path, io.BytesIO) else str(path)


def _content(path: File) -> bytearray:
    if isinstance(path, io.BytesIO):
        return bytearray(path.getvalue())
    source = Path(checks.path(path, "the file to read"))
    try:
        with source.open("rb") as file:
            content = bytearray(os.fstat(file.fileno()).st_size)
            del content[file.readinto(content) :]
    except OSError as error:
        raise ModelFileError(
            f"the model file {source} could not be read ({error.strerror or error})",
            "a model is a .safetensors file, written by `chainrule train` or save_model",
            "Check the path; `chainrule train` names the file that it writes.",
        ) from None
    return content


def _parse(source: str, content: bytearray) -> tuple[dict[str, Array], dict[str, str]]:
    expected = "a whole safetensors file was expected, and this one may have been cut short or altered"
    with parsing(source, expected, "Use the original file, or train again.", ModelFileError):
        header = json.loads(_header(content))
        metadata = header.pop("__metadata__", {})
        arrays = _arrays(content, header) if _KEY in metadata else {}
    return arrays, metadata


def _header(content: bytearray) -> bytearray:
    """A safetensors file starts with the length of its JSON header, 8 bytes, little-endian."""
    return content[8 : _data_start(content)]


def _data_start(content: bytearray) -> int:
    return 8 + int.from_bytes(content[:8], "little")


_DTYPES = {"BOOL": "bool"} | {f"{kind[0].upper()}{n}": f"{kind}{n}" for kind in ("int", "uint") for n in (8, 16, 32, 64)}
_DTYPES |= {f"F{n}": f"float{n}" for n in (16, 32, 64)}


def _arrays(content: bytearray, header: Mapping[str, Any]) -> dict[str, Array]:
    """The arrays of a safetensors file as views of its content: the package would copy them, and again for every check.

    Raises:
        ValueError, KeyError, TypeError: they do not lie one after another from the start of the data to its end, or an entry
            is not as the format has it.
    """
    start = place = _data_start(content)
    found = {}
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        first, last = entry["data_offsets"]
        dtype, shape = np.dtype(_DTYPES[entry["dtype"]]), tuple(entry["shape"])
        if start + first != place or min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != last - first:
            raise ValueError(f"the entry {name!r} does not fit its place")
        view = np.frombuffer(content, dtype.newbyteorder("<"), math.prod(shape), place).reshape(shape)
        found[name] = np.require(view.astype(dtype, copy=False), requirements="A")
        place = start + last
    if place != len(content):
        raise ValueError(f"it has {len(content)} bytes where its entries end at {place}")
    return found


def _digest_place(content: bytearray) -> slice:
    """Where the digest stands; an empty place if there is none."""
    mark = content.find(_MARK)
    start = mark + len(_MARK)
    return slice(start, start + len(_BLANK)) if mark >= 0 else slice(0, 0)


def _is_unaltered(content: bytearray) -> bool:
    """Whether the digest is that of the file with the digest blanked out."""
    place = _digest_place(content)
    parts = memoryview(content)
    digest = hashlib.sha256(parts[: place.start])
    digest.update(_BLANK.encode())
    digest.update(parts[place.stop :])
    return bytes(parts[place]) == digest.hexdigest().encode()
