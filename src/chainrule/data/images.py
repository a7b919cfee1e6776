"""Pictures with labels, from a folder of class folders, IDX files (the format of MNIST) or NumPy's .npz."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.data.files import existing_file, is_gzip, open_bytes
from chainrule.data.picture_files import (
    Found,
    find_pictures,
    folders_in,
    no_pictures,
    picture_pixels,
    picture_shape,
    together,
    unread_notes,
)
from chainrule.errors import DataError
from chainrule.fileio import check_expansion, parsing

_NPZ_KEYS = (("X", "y"), ("x", "y"), ("images", "labels"), ("x_train", "y_train"), ("X_train", "y_train"))
_IDX_BYTES = 0x08
_SPLITS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})
_LARGEST_SIDE = 256  # of pictures whose size is ours to choose
_MOST_BYTES = 2**32  # of all pictures together, a byte per pixel and channel


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Pictures of one size.

    Attributes:
        X: (N, C, H, W), C-contiguous; uint8 as stored, 0 to 255, or float32 when an .npz file holds floats.
        y: (N,) int64 positions in `classes`; None when the pictures were read without labels.
        classes: class labels, sorted; empty without labels.
        files: (N,) paths within the folder that the pictures come from; empty for IDX and .npz files.
        notes: sentences on files that were not read, and on what was done to the others.
    """

    X: NDArray[np.uint8] | NDArray[np.float32]
    y: NDArray[np.int64] | None
    classes: list[str]
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_images(
    path: str | Path, size: tuple[int, int] | None = None, channels: int | None = None, labelled: bool = True
) -> ImageSet:
    """Read pictures.

    - A folder with one folder per class, which holds pictures (PNG, JPEG, WebP, BMP, TIFF, or GIF, of which the first frame
      counts), in folders of its own if need be. The folder of a class may be a link to one elsewhere; no other links to folders
      are followed. Pictures are turned as their EXIF orientation says, transparent parts are laid over white, and all become
      RGB, or grey when all of them are. Hidden files and what systems leave behind are passed over; what else is not read is
      counted in `notes`.
    - An IDX file of pictures, plain or gzip. Its labels lie beside it, under the same name with `labels` for `images` and
      `idx1` for `idx3`.
    - An .npz file with the keys X and y, x and y, images and labels, x_train and y_train, or X_train and y_train; pictures are
      (N, H, W), (N, C, H, W) or (N, H, W, C) with 1, 3 or 4 channels. It is read without pickle, so it cannot run code.

    Args:
        path: the folder or file.
        size: (height, width) that the pictures of a folder are stretched to. None for the size that more than half of them
            have, else for their median height and width, made smaller in proportion where a side has more than 256 pixels.
        channels: 1 (grey) or 3 (RGB) for the pictures of a folder; None to decide from them.
        labelled: false to read pictures alone: all files in a folder and the folders in it, or an IDX or .npz file without its
            labels.

    Raises:
        DataError: nothing there, no pictures or labels, a broken or truncated file (by name), counts that differ, arrays of the
            wrong shape or type, another size than an IDX or .npz file has.
        MissingDependency: Pillow is not installed and the path is a folder.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path, size, channels, labelled)
    path = existing_file(path)
    X, labels = _read_npz(path, labelled) if path.suffix == ".npz" else _read_idx(path, labelled)
    if size is not None and size != X.shape[2:]:
        raise DataError(
            f"pictures of {size[0]} × {size[1]} pixels are wanted",
            f"those in {path} have {X.shape[2]} × {X.shape[3]}, and only those of a folder are resized",
            "Leave the size out, or resize them.",
        )
    if 0 in X.shape:
        raise DataError(f"{path} holds no pictures", f"its array has the shape {X.shape}", "Name another file.")
    if labels is None:
        return ImageSet(X, None, [])
    if len(labels) != len(X):
        raise DataError(
            f"{path} has {len(X)} pictures and {len(labels)} labels", "each picture needs one label", "Make the counts equal."
        )
    classes, y = np.unique(labels, return_inverse=True)
    return ImageSet(X, y.astype(np.int64), [str(label) for label in classes.tolist()])


def holds_pictures(path: Path) -> bool:
    """Whether a path is what `read_images` reads: a folder, an .npz file, or an IDX file."""
    return path.is_dir() or path.suffix == ".npz" or _is_idx(path)


def _is_idx(path: Path) -> bool:
    """Whether the file starts like an IDX file of bytes, plain or gzip."""
    if not path.is_file():  # what is read from a pipe is gone
        return False
    try:
        with open_bytes(path) as stream:
            return stream.read(3) == bytes((0, 0, _IDX_BYTES))
    except (OSError, EOFError, zlib.error):
        return False


# Folders


def _read_folder(folder: Path, size: tuple[int, int] | None, channels: int | None, labelled: bool) -> ImageSet:
    if labelled:
        files, y, classes, notes = _labelled_files(folder)
    else:
        folders, back = folders_in(folder)
        found = together([_loose(folder, back), *map(find_pictures, folders)])
        files, y, classes, notes = found.pictures, None, [], found.notes()
        if not files:
            raise no_pictures(folder, notes)
    shapes = [picture_shape(file) for file in files]
    height, width = size or _common_size([shape[1:] for shape in shapes])
    channels = channels or max(shape[0] for shape in shapes)
    taken = len(files) * channels * height * width
    if taken > _MOST_BYTES:
        raise DataError(
            f"{len(files):,} pictures of {height} × {width} pixels would take {taken:,} bytes",
            f"at most {_MOST_BYTES:,} are read",
            "Choose a smaller size, for example --image-size 64x64.",
        )
    X = np.empty((len(files), channels, height, width), np.uint8)
    for position, file in enumerate(files):
        X[position] = picture_pixels(file, channels, height, width)
    notes = [*notes, *_changes(shapes, channels, height, width)]
    return ImageSet(X, y, classes, tuple(file.relative_to(folder).as_posix() for file in files), tuple(notes))


def _loose(folder: Path, back: list[Path]) -> Found:
    """What lies in the folder itself, with the links that are not followed."""
    return replace(find_pictures(folder, below=False), links=back)


def _common_size(sizes: Sequence[tuple[int, ...]]) -> tuple[int, int]:
    """The size of more than half of the pictures, else the median; see `read_images`."""
    (most, count), *_ = Counter(sizes).most_common(1)
    height, width = (int(n) for n in (most if 2 * count > len(sizes) else np.median(np.array(sizes), axis=0)))
    scale = min(1.0, _LARGEST_SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _changes(shapes: Sequence[tuple[int, int, int]], channels: int, height: int, width: int) -> list[str]:
    """What became of the pictures, where they were not all as they are now."""
    resized = sum(shape[1:] != (height, width) for shape in shapes)
    other = sum(shape[0] != channels for shape in shapes)
    found = []
    if resized:
        found.append(f"{resized:,} of {len(shapes):,} pictures have another size and are stretched to {height} × {width}.")
    if other:
        found.append(
            f"{other:,} of {len(shapes):,} pictures are read as {'grey' if channels == 1 else 'colour'} like the others."
        )
    return found


def _labelled_files(folder: Path) -> tuple[list[Path], NDArray[np.int64], list[str], list[str]]:
    """Pictures, their classes as numbers and names, and notes."""
    folders, back = folders_in(folder)
    by_class = {entry.name: find_pictures(entry) for entry in folders}
    loose = _loose(folder, back)
    notes = together([loose, *by_class.values()]).notes()
    notes += unread_notes(Counter((folder, file.suffix) for file in loose.pictures), ": they lie in no folder of a class")
    notes += [f"{folder / name} holds no pictures and is no class." for name, found in by_class.items() if not found.pictures]
    by_class = {name: found for name, found in by_class.items() if found.pictures}
    if not by_class:
        raise no_pictures(
            folder, [*notes, "One folder per class is expected: sort the pictures into folders named after them."]
        )
    if {name.lower() for name in by_class} <= _SPLITS and len(by_class) > 1:
        first = next(iter(by_class))
        raise DataError(
            f"{folder} has the folders {', '.join(by_class)}",
            "one folder per class is expected, and these look like parts of one data set",
            f"Name one of them, for example {folder / first}.",
        )
    y = np.repeat(np.arange(len(by_class)), [len(found.pictures) for found in by_class.values()]).astype(np.int64)
    return [file for found in by_class.values() for file in found.pictures], y, list(by_class), notes


# IDX: two zero bytes, the type, the number of axes, each length as a big-endian 32-bit integer, then the items


def _read_idx(path: Path, labelled: bool) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    images = _idx_array(path)
    if images.ndim != 3:
        raise DataError(
            f"{path} holds an array with {images.ndim} axes", "pictures have 3 (count, height, width)", "Name the images file."
        )
    labels = _idx_array(_idx_labels(path)) if labelled else None
    return images[:, None], labels


def _idx_array(path: Path) -> NDArray[np.uint8]:
    readable = parsing(path, "a whole IDX file, plain or gzip, was expected", "Copy it again.")
    with readable, open_bytes(path) as stream:
        head = stream.read(4)
        axes = stream.read(4 * head[3]) if len(head) == 4 else b""
    if len(head) < 4 or head[:3] != bytes((0, 0, _IDX_BYTES)):
        raise DataError(f"{path} starts with {head.hex(' ')}", "an IDX file of bytes starts with 00 00 08", "Name such a file.")
    if len(axes) < 4 * head[3]:
        raise DataError(f"{path} ends within its header", "a whole IDX file was expected", "Copy it again.")
    shape = tuple(np.frombuffer(axes, ">u4").tolist())
    start, promised = 4 + 4 * len(shape), math.prod(shape)
    if is_gzip(path):
        check_expansion(path, path.stat().st_size, promised)
        with parsing(path, "a whole IDX file, plain or gzip, was expected", "Copy it again."), open_bytes(path) as stream:
            data = stream.read(start + promised + 1)  # one more tells that there is too much, and has the checksum compared
        held = len(data) - start
    else:
        held = path.stat().st_size - start
        data = path.read_bytes() if held == promised else b""
    if held != promised:
        raise DataError(
            f"{path} holds {'more' if held > promised else f'{max(held, 0)} bytes of items'}",
            f"its header promises {' × '.join(map(str, shape))} = {promised}",
            "Copy it again.",
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _idx_labels(images: Path) -> Path:
    name = images.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    for candidate in (images.with_name(name), images.with_name(f"{name}.gz")):
        if candidate.is_file() and candidate != images:
            return candidate
    raise DataError(f"{images} has no labels beside it", f"{name} or {name}.gz was expected", "Put the labels there.")


# NumPy archives


def _read_npz(path: Path, labelled: bool) -> tuple[Any, Any]:
    with _of_npz(path), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
    x_key, y_key = _npz_keys(path, names, labelled)
    X = _as_pictures(path, x_key, _npz_array(path, x_key))
    if not labelled:
        return X, None
    labels = _npz_array(path, y_key).reshape(-1)
    if labels.dtype.kind not in "biufSU":
        raise DataError(f"the array {y_key} of {path} is {labels.dtype}", "labels are numbers or texts", "Convert it.")
    return X, labels


def _npz_array(path: Path, key: str) -> NDArray[Any]:
    """One array, whose header may not promise more than the archive holds."""
    with _of_npz(path), zipfile.ZipFile(path) as archive:
        info = archive.getinfo(f"{key}.npy")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("a way of compressing that NumPy does not use")
        check_expansion(path, min(info.compress_size, path.stat().st_size), info.file_size)
        with archive.open(info) as stream:
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(stream)
        if math.prod(shape) * dtype.itemsize > info.file_size or min(shape, default=0) < 0:
            raise ValueError(f"its header promises the shape {shape}, the file holds {info.file_size} bytes")
        with archive.open(info) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)


def _of_npz(path: Path) -> AbstractContextManager[None]:
    return parsing(path, "an .npz file of plain arrays was expected", "Save it with numpy.savez.")


def _npz_keys(path: Path, present: list[str], labelled: bool) -> tuple[str, str]:
    for x_key, y_key in _NPZ_KEYS:
        if x_key in present and (y_key in present or not labelled):
            return x_key, y_key
    known = ", ".join(f"{x_key} and {y_key}" for x_key, y_key in _NPZ_KEYS)
    raise DataError(f"{path} has the keys {', '.join(present)}", f"one pair is needed of {known}", "Rename the arrays.")


def _as_pictures(path: Path, key: str, array: NDArray[Any]) -> NDArray[np.uint8] | NDArray[np.float32]:
    """(N, C, H, W), uint8 or float32."""
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
    if array.dtype not in (np.uint8, np.float32) or not np.isfinite(array).all():
        raise DataError(
            f"the array {key} of {path} is {array.dtype} or not finite", "pictures are uint8 or finite floats", "Convert it."
        )
    if array.ndim == 3:
        array = array[:, None]
    if array.ndim != 4 or 0 in array.shape:
        raise DataError(
            f"the array {key} of {path} has shape {array.shape}",
            "pictures are (N, H, W), (N, C, H, W) or (N, H, W, C)",
            "Reshape it; rows of a table are read from CSV or Parquet.",
        )
    if array.shape[1] not in (1, 3, 4) and array.shape[3] in (1, 3, 4):
        array = array.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(array)
