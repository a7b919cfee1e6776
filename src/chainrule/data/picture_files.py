"""Picture files: which files of a folder are read, and from a file to pixels."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import DataError, missing_dependency
from chainrule.fileio import check_expansion, parsing

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

# Content chooses among these parsers and no others: Pillow has some that run programs.
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
_LISTED = ".png, .jpg, .webp, .bmp, .tif, .gif"
_NO_DATA = frozenset({"__macosx", "thumbs.db", "desktop.ini"})  # what systems leave behind, beside hidden files
_MOST_PIXELS = 89_478_485  # of a picture: a quarter of a gigabyte in colour
_LARGE = 2**24  # pixels from which on a picture must have some bytes for them: small flat pictures are packed very well
_GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N")
_TRANSPOSED = (5, 6, 7, 8)  # values of the EXIF orientation with which height and width change places
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Found:
    """The files of a folder.

    Attributes:
        pictures: those that are read, sorted.
        unread: how many others there are per folder and ending; hidden files and those of the system are not counted.
        links: links to folders, which are not followed.
    """

    pictures: list[Path]
    unread: Counter[tuple[Path, str]]
    links: list[Path]

    def notes(self) -> list[str]:
        """Sentences on what is not read."""
        return unread_notes(self.unread) + [f"{link} is a link to a folder and is not followed." for link in sorted(self.links)]


def together(found: Sequence[Found]) -> Found:
    """The files of several folders."""
    return Found(
        sorted(chain.from_iterable(part.pictures for part in found)),
        sum((part.unread for part in found), Counter()),
        [link for part in found for link in part.links],
    )


def find_pictures(folder: Path, *, below: bool = True) -> Found:
    """The pictures in a folder and, if `below`, in the folders below it, in any depth.

    A picture is known by its ending, in upper or lower case. Hidden files and folders (`.ipynb_checkpoints`, `.DS_Store`) and
    those that systems leave behind (`__MACOSX`, `Thumbs.db`, `desktop.ini`) are passed over.
    """
    pictures: list[Path] = []
    unread: Counter[tuple[Path, str]] = Counter()
    links: list[Path] = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if is_data(name)) if below else []
        links += [path for name in folders if (path := Path(place, name)).is_symlink()]
        for path in (Path(place, name) for name in files if is_data(name)):
            if path.suffix.lower() in SUFFIXES and path.is_file():
                pictures.append(path)
            else:
                unread[Path(place), path.suffix] += 1
    return Found(sorted(pictures), unread, links)


def folders_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """The folders that lie directly in a folder, sorted, and the links among them that lead back into it or to one around it.

    Through those links, the pictures of one class would be read as another. Other links are folders like the rest.
    """
    here = folder.resolve()
    folders = sorted(entry for entry in folder.iterdir() if entry.is_dir() and is_data(entry.name))
    back = [entry for entry in folders if entry.is_symlink() and _one_within_another(entry.resolve(), here)]
    return [entry for entry in folders if entry not in back], back


def _one_within_another(first: Path, second: Path) -> bool:
    return first.is_relative_to(second) or second.is_relative_to(first)


def is_data(name: str) -> bool:
    """Whether a file or folder of this name is looked at."""
    return not name.startswith(".") and name.lower() not in _NO_DATA


def unread_notes(unread: Counter[tuple[Path, str]], why: str = "") -> list[str]:
    """A sentence for each folder and ending: "12 files in p/bird (.xyz) are not read."."""
    return [
        f"{count:,} file{'' if count == 1 else 's'} in {folder} ({suffix or 'no ending'}) "
        f"{'is' if count == 1 else 'are'} not read{why}."
        for (folder, suffix), count in sorted(unread.items())
    ]


def no_pictures(folder: Path, unread: Sequence[str]) -> DataError:
    """The error for a folder without pictures."""
    return DataError(
        f"{folder} holds no pictures",
        f"files with the endings {_LISTED} were expected",
        " ".join([*unread, "Name their folder."]),
    )


def picture_shape(file: Path) -> tuple[int, int, int]:
    """Channels (1 or 3), height and width of a picture, as it is to be seen.

    Raises:
        DataError: it is broken, too large, or has numbers that are no brightness.
    """
    with _opened(file) as image:
        with _parsing(file):
            orientation = image.getexif().get(_ORIENTATION)
        width, height = image.size
        if orientation in _TRANSPOSED and image.format != "TIFF":  # Pillow turns TIFF by itself
            height, width = width, height
        if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
            raise DataError(
                f"{file} has numbers of 32 bits per pixel (mode {image.mode})",
                "brightness has 8 or 16 bits",
                "Convert it, or put the numbers into an .npz file.",
            )
        return 1 if image.mode in _GREY_MODES else 3, height, width


def picture_pixels(file: Path, channels: int, height: int, width: int) -> NDArray[np.uint8]:
    """A picture as it is to be seen, (channels, height, width) uint8.

    It is turned as its EXIF orientation says, transparent parts are laid over white, 16 bits become 8, colours grey or grey
    colours as `channels` says, and it is stretched to the size.
    """
    from PIL import ImageOps  # noqa: PLC0415 - optional

    with _opened(file) as image, _parsing(file):
        ImageOps.exif_transpose(image, in_place=True)  # a copy of a large picture is a quarter of a gigabyte
        picture, mode = _over_white(_in_8_bits(image)), "L" if channels == 1 else "RGB"
        if picture.mode != mode:
            picture = picture.convert(mode)
        if picture.size != (width, height):
            picture = picture.resize((width, height))
        return np.asarray(picture).reshape(height, width, channels).transpose(2, 0, 1)


def _in_8_bits(image: PillowImage) -> PillowImage:
    from PIL import Image  # noqa: PLC0415 - optional

    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8))


def _over_white(image: PillowImage) -> PillowImage:
    from PIL import Image  # noqa: PLC0415 - optional

    if not image.has_transparency_data:
        return image
    picture = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)


@contextmanager
def _opened(file: Path) -> Iterator[PillowImage]:
    try:
        from PIL import Image  # noqa: PLC0415 - optional
    except ModuleNotFoundError as error:
        raise missing_dependency("pillow", "Reading picture files", "app") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what Pillow can read in spite of a fault
        with _parsing(file):
            image = Image.open(file, formats=_FORMATS)
        with image:
            if image.width * image.height > _MOST_PIXELS:
                raise DataError(
                    f"{file} has {image.width:,} × {image.height:,} pixels",
                    f"a picture has at most {_MOST_PIXELS:,}",
                    "Make it smaller, or take it out.",
                )
            if image.width * image.height > _LARGE:
                check_expansion(file, file.stat().st_size, image.width * image.height * len(image.getbands()))
            yield image


def _parsing(file: Path) -> AbstractContextManager[None]:
    return parsing(file, f"a whole picture was expected ({_LISTED})", "Replace or remove it.")
