"""Pictures with labels, from a folder of class folders, IDX files (the format of MNIST) or NumPy's .npz."""

from __future__ import annotations

import gzip
import math
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chainrule.data.files import existing_file, open_bytes
from chainrule.errors import DataError, explain, missing_dependency

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

_SUFFIXES = {".png", ".jpg", ".jpeg"}
_NPZ_KEYS = (("X", "y"), ("x", "y"), ("images", "labels"), ("x_train", "y_train"), ("X_train", "y_train"))
_IDX_BYTES = 0x08
_CHANNEL_MODES = {1: "L", 3: "RGB"}


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Pictures of one size.

    Attributes:
        X: (N, C, H, W), C-contiguous; uint8 as stored, 0 to 255, or float32 when an .npz file holds floats.
        y: (N,) int64 positions in `classes`; None when the pictures were read without labels.
        classes: class labels, sorted; empty without labels.
        files: (N,) paths within the folder that the pictures come from; empty for IDX and .npz files.
    """

    X: NDArray[np.uint8] | NDArray[np.float32]
    y: NDArray[np.int64] | None
    classes: list[str]
    files: tuple[str, ...] = ()


def read_images(
    path: str | Path, size: tuple[int, int] | None = None, channels: int | None = None, labelled: bool = True
) -> ImageSet:
    """Read pictures.

    - A folder with one folder of .png, .jpg or .jpeg files per class. Pictures become RGB, or grey when all of them are.
    - An IDX file of pictures, plain or gzip. Its labels lie beside it, under the same name with `labels` for `images` and
      `idx1` for `idx3`.
    - An .npz file with the keys X and y, x and y, images and labels, x_train and y_train, or X_train and y_train; pictures are
      (N, H, W), (N, C, H, W) or (N, H, W, C) with 1, 3 or 4 channels. It is read without pickle, so it cannot run code.

    Args:
        path: the folder or file.
        size: (height, width) that the pictures of a folder are resized to; None for the most frequent size in it.
        channels: 1 (grey) or 3 (RGB) for the pictures of a folder; None to decide from them.
        labelled: false to read pictures alone: all files in a folder and the folders in it, or an IDX or .npz file without its
            labels.

    Raises:
        DataError: nothing there, no pictures or labels, a broken or truncated file (by name), counts that differ, arrays of the
            wrong shape or type, labels of one class only.
        MissingDependency: Pillow is not installed and the path is a folder.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path, size, channels, labelled)
    path = existing_file(path)
    X, labels = _read_npz(path, labelled) if path.suffix == ".npz" else _read_idx(path, labelled)
    if labels is None:
        return ImageSet(X, None, [])
    if len(labels) != len(X):
        raise DataError(explain(f"{path} has {len(X)} pictures and {len(labels)} labels", "one each is needed", "Match them."))
    classes, y = np.unique(labels, return_inverse=True)
    _check_classes(path, len(classes))
    return ImageSet(X, y.astype(np.int64), [str(label) for label in classes.tolist()])


def is_idx(path: Path) -> bool:
    """Whether the file starts like an IDX file of bytes, plain or gzip."""
    try:
        with open_bytes(path) as stream:
            return stream.read(3) == bytes((0, 0, _IDX_BYTES))
    except (OSError, EOFError, zlib.error):
        return False


def _check_classes(path: Path, n_classes: int) -> None:
    if n_classes < 2:
        raise DataError(
            explain(f"{path} has {n_classes} class(es)", "at least two are needed", "Add pictures of another class.")
        )


# Folders


def _read_folder(folder: Path, size: tuple[int, int] | None, channels: int | None, labelled: bool) -> ImageSet:
    files, y, classes = _labelled_files(folder) if labelled else (_pictures(folder.rglob("*")), None, [])
    if not files:
        raise DataError(explain(f"{folder} holds no .png, .jpg or .jpeg file", "pictures were expected", "Name their folder."))
    shapes = [_shape(file) for file in files]
    height, width = size or Counter((height, width) for _, height, width in shapes).most_common(1)[0][0]
    channels = channels or max(shape[0] for shape in shapes)
    X = np.empty((len(files), channels, height, width), np.uint8)
    for position, file in enumerate(files):
        X[position] = _pixels(file, channels, height, width)
    return ImageSet(X, y, classes, tuple(file.relative_to(folder).as_posix() for file in files))


def _labelled_files(folder: Path) -> tuple[list[Path], NDArray[np.int64], list[str]]:
    by_class = {entry.name: _pictures(entry.iterdir()) for entry in sorted(folder.iterdir()) if entry.is_dir()}
    by_class = {name: files for name, files in by_class.items() if files}
    if not by_class:
        raise DataError(
            explain(
                f"{folder} has no folders with .png, .jpg or .jpeg files",
                "one folder per class is expected",
                "Sort the pictures into folders named after their classes.",
            )
        )
    _check_classes(folder, len(by_class))
    y = np.repeat(np.arange(len(by_class)), [len(files) for files in by_class.values()]).astype(np.int64)
    return [file for files in by_class.values() for file in files], y, list(by_class)


def _pictures(entries: Iterable[Path]) -> list[Path]:
    return sorted(entry for entry in entries if entry.suffix.lower() in _SUFFIXES and entry.is_file())


def _shape(file: Path) -> tuple[int, int, int]:
    """Channels (1 or 3), height and width of a picture file."""
    with _opened(file) as image:
        if image.mode[0] in "IF":
            raise DataError(
                explain(
                    f"{file} has more than 8 bits per channel (mode {image.mode})", "8 bits are read", "Convert it to 8 bits."
                )
            )
        return 1 if image.mode in ("1", "L", "LA") else 3, image.height, image.width


def _pixels(file: Path, channels: int, height: int, width: int) -> NDArray[np.uint8]:
    """(channels, height, width) uint8."""
    with _opened(file) as image:
        picture = image.convert(_CHANNEL_MODES[channels])
        if picture.size != (width, height):
            picture = picture.resize((width, height))
        return np.asarray(picture).reshape(height, width, channels).transpose(2, 0, 1)


@contextmanager
def _opened(file: Path) -> Iterator[PillowImage]:
    """The open picture; whatever is wrong with its bytes becomes a DataError that names the file."""
    try:
        from PIL import Image  # noqa: PLC0415 - optional
    except ModuleNotFoundError as error:
        raise missing_dependency("pillow", "Reading picture files", "app") from error
    try:
        with Image.open(file) as image:
            yield image
    except (OSError, SyntaxError, EOFError, zlib.error, Image.DecompressionBombError) as error:
        raise DataError(
            explain(f"{file} is not a whole picture ({error})", "PNG or JPEG was expected", "Replace or remove it.")
        ) from error


# IDX: two zero bytes, the type, the number of axes, each length as a big-endian 32-bit integer, then the items


def _read_idx(path: Path, labelled: bool) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    images = _idx_array(path)
    if images.ndim != 3:
        raise DataError(
            explain(
                f"{path} holds an array with {images.ndim} axes",
                "pictures have 3 (count, height, width)",
                "Name the images file.",
            )
        )
    labels = _idx_array(_idx_labels(path)) if labelled else None
    return images[:, None], labels


def _idx_array(path: Path) -> NDArray[np.uint8]:
    try:
        with open_bytes(path) as stream:
            data = stream.read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            explain(f"{path} is truncated ({error})", "a whole gzip file was expected", "Copy it again.")
        ) from error
    if len(data) < 4 or data[:3] != bytes((0, 0, _IDX_BYTES)):
        raise DataError(
            explain(f"{path} starts with {data[:4].hex(' ')}", "an IDX file of bytes starts with 00 00 08", "Name such a file.")
        )
    start = 4 + 4 * data[3]
    shape = tuple(int.from_bytes(data[at : at + 4], "big") for at in range(4, start, 4))
    if len(data) - start != math.prod(shape):
        raise DataError(
            explain(
                f"{path} holds {max(len(data) - start, 0)} bytes of items",
                f"its header promises {' × '.join(map(str, shape))} = {math.prod(shape)}",
                "Copy it again.",
            )
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _idx_labels(images: Path) -> Path:
    name = images.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    for candidate in (images.with_name(name), images.with_name(f"{name}.gz")):
        if candidate.is_file() and candidate != images:
            return candidate
    raise DataError(explain(f"{images} has no labels beside it", f"{name} or {name}.gz was expected", "Put the labels there."))


# NumPy archives


def _read_npz(path: Path, labelled: bool) -> tuple[Any, Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            x_key, y_key = _npz_keys(path, archive.files, labelled)
            return _as_pictures(path, x_key, archive[x_key]), archive[y_key].reshape(-1) if labelled else None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            explain(
                f"{path} cannot be read ({error})", "an .npz file of plain arrays was expected", "Save it with numpy.savez."
            )
        ) from error


def _npz_keys(path: Path, present: list[str], labelled: bool) -> tuple[str, str]:
    for x_key, y_key in _NPZ_KEYS:
        if x_key in present and (y_key in present or not labelled):
            return x_key, y_key
    known = ", ".join(f"{x_key} and {y_key}" for x_key, y_key in _NPZ_KEYS)
    raise DataError(
        explain(f"{path} has the keys {', '.join(present)}", f"one pair is needed of {known}", "Rename the arrays.")
    )


def _as_pictures(path: Path, key: str, array: NDArray[Any]) -> NDArray[np.uint8] | NDArray[np.float32]:
    """(N, C, H, W), uint8 or float32."""
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
    if array.dtype not in (np.uint8, np.float32) or not np.isfinite(array).all():
        raise DataError(
            explain(
                f"the array {key} of {path} is {array.dtype} or not finite",
                "pictures are uint8 or finite floats",
                "Convert it.",
            )
        )
    if array.ndim == 3:
        array = array[:, None]
    if array.ndim != 4 or 0 in array.shape:
        raise DataError(
            explain(
                f"the array {key} of {path} has shape {array.shape}",
                "pictures are (N, H, W), (N, C, H, W) or (N, H, W, C)",
                "Reshape it; rows of a table are read from CSV or Parquet.",
            )
        )
    if array.shape[1] not in (1, 3, 4) and array.shape[3] in (1, 3, 4):
        array = array.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(array)
