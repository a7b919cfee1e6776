"""Kinds of input. A new one is a class in a file of its own, and an entry in ENCODERS (docs/contributing/add-an-input-kind.md).

encoder     what the job asks of a kind
tables      columns of a table
pictures    pixels
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chainrule.data import BUILTIN
from chainrule.data.files import existing_file
from chainrule.errors import DataError, ModelFileError
from chainrule.frames import DataSource, Frame, source_name
from chainrule.job.config import Config
from chainrule.job.inputs.encoder import Encoder, LabelledEncoder, Listing, Sample
from chainrule.job.inputs.pictures import PictureEncoder
from chainrule.job.inputs.tables import TableEncoder

__all__ = [
    "ENCODERS",
    "Encoder",
    "LabelledEncoder",
    "Listing",
    "Sample",
    "check_kind_of",
    "encoder_for",
    "encoder_of",
    "other_kind",
    "read_encoder",
]

# Those that come last are asked first whether a source is theirs; a table is what is nothing else.
ENCODERS: dict[str, type[Encoder[Any]]] = {encoder.kind: encoder for encoder in (TableEncoder, PictureEncoder)}


def encoder_for(source: DataSource) -> type[Encoder[Any]]:
    """The kind of input that a source is: a file, a folder, the name of a built-in data set, or a table in memory."""
    if isinstance(source, Frame):
        return TableEncoder
    path = Path(source)
    asked = reversed(ENCODERS.values()) if path.exists() else ()
    return next((encoder for encoder in asked if encoder.recognises(path)), TableEncoder)


def encoder_of(data: object) -> type[Encoder[Any]]:
    """The kind of input that was read. Raises DataError for anything else."""
    found = next((encoder for encoder in ENCODERS.values() if isinstance(data, encoder.data)), None)
    if found is None:
        kinds = ", ".join(encoder.data.__name__ for encoder in ENCODERS.values())
        raise DataError(f"the data is of the type {type(data).__name__}", f"it must be one of {kinds}", "Read it first.")
    return found


def check_kind_of(source: DataSource, wanted: type[Encoder[Any]]) -> None:
    """DataError unless the source is of the kind that a model was trained on."""
    found = encoder_for(source)
    if found is wanted:
        return
    if found is not TableEncoder:
        found.read(source, Config())  # a folder may hold nothing of this kind
    elif not isinstance(source, Frame) and str(source) not in BUILTIN:
        existing_file(source)
    raise other_kind(source_name(source), found, wanted)


def other_kind(what: str, found: type[Encoder[Any]], wanted: type[Encoder[Any]]) -> DataError:
    """The error for data of one kind given to a model of another."""
    is_known = found is not TableEncoder  # what is nothing else may be no table either
    said = f"{what} holds {found.noun}" if is_known else f"{what} does not hold {wanted.noun}"
    return DataError(said, f"the model was trained on {wanted.noun}", f"Give it {wanted.examples}.")


def read_encoder(saved: object) -> Encoder[Any]:
    """The encoder in a model file. Raises ModelFileError where it is broken, or of no known kind."""
    encoder = ENCODERS.get(str(saved.get("kind"))) if isinstance(saved, Mapping) else None
    if encoder is None:
        kinds = " or ".join(encoder.noun for encoder in ENCODERS.values())
        raise ModelFileError("the preprocessing in the model file is of an unknown kind", f"it is for {kinds}", "Train again.")
    assert isinstance(saved, Mapping)
    return encoder.from_dict(saved.get("encoder"))
