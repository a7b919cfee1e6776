"""Which encoding a text file is written in: from its first bytes, or, for advice, from how plausible its text is.

Bytes that are not UTF-8 rarely say which encoding they are in: most encodings read most bytes. The right one gives common
characters of one script, a wrong one rare characters or letters that never stand together. `plausible` tries the usual
encodings and keeps those that give such text.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from chainrule.data.files import open_bytes
from chainrule.errors import ArgumentError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What people call those whose names in Python say little.
CALLED = {
    "gb18030": "GB18030 (GBK)",
    "big5": "Big5",
    "cp932": "Shift-JIS",
    "cp949": "EUC-KR",
    "euc_jp": "EUC-JP",
    "koi8_r": "KOI8-R",
}

_PLAUSIBLE = 0.6  # share of the characters beyond ASCII that must be common ones
_NEAR = 0.25  # an encoding is named when its share is within this of the best one's
_SAMPLE = 1 << 16


def checked(encoding: str) -> str:
    """Python's name of an encoding of text; ArgumentError when there is none."""
    try:
        if "a".encode(encoding).decode(encoding) == "a":
            return codecs.lookup(encoding).name
    except (LookupError, ValueError, TypeError):  # codecs that are not of text raise all of these
        pass
    raise ArgumentError(
        f"the encoding is {encoding!r}",
        "it must be one that Python knows, such as utf-8, gb18030, big5, shift_jis, utf-16 or windows-1252",
        "Check the spelling.",
    )


def marked(start: bytes) -> str | None:
    """The encoding that a byte order mark at the start of a file tells."""
    return next((encoding for mark, encoding in _MARKS if start.startswith(mark)), None)


def unmarked_utf16(start: bytes) -> str | None:
    """UTF-16 without a byte order mark, known by the zero bytes in every second place of text that is mostly ASCII."""
    even, odd, half = start[::2].count(0), start[1::2].count(0), len(start) // 2
    if half < 2 or max(even, odd) < 0.6 * half or min(even, odd) > 0.1 * half:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def is_utf8(source: str | Path) -> bool:
    """Whether the source is a file whose bytes are all UTF-8."""
    path = Path(source)
    if not path.is_file():
        return False
    with open_bytes(path) as stream:
        try:
            for line in stream:
                line.decode()
        except UnicodeDecodeError:
            return False
    return True


def plausible(lines: Iterable[bytes]) -> list[str]:
    """Encodings in which these lines, not all of them ASCII, read as text that people write; the most plausible first."""
    sample = b"".join(line for line in lines if not line.isascii())[:_SAMPLE]
    shares = {name: _share(sample, name, common) for name, common in _COMMON.items()}
    least = max(_PLAUSIBLE, max(shares.values()) - _NEAR)
    read: dict[str, str] = {}  # what encodings that read the same are called by
    for name in sorted(shares, key=lambda name: -shares[name]):
        if shares[name] >= least:
            read.setdefault(sample.decode(name, "ignore"), name)
    return list(read.values())


def _share(sample: bytes, encoding: str, common: Callable[[str], float]) -> float:
    """The share of the characters beyond ASCII that are common; 0 when the bytes are no text in this encoding."""
    text = ""
    for cut in range(4):  # the sample may end within a character
        try:
            text = sample[: len(sample) - cut].decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    beyond = sum(not character.isascii() for character in text)
    if not beyond or any((character < " " and character not in "\t\r\n") or "\x7f" <= character < "\xa0" for character in text):
        return 0.0
    return common(text) / beyond


def _counted(pattern: str) -> Callable[[str], float]:
    expression = re.compile(pattern)
    return lambda text: float(sum(len(found) for found in expression.findall(text)))


_PUNCTUATION = r"\u3000-\u3002\u3008-\u3011\uff01-\uff5e“”‘’—…·"


def _leading(encoding: str, low: int, high: int, second: int = 0x40) -> Callable[[str], float]:
    """Counts characters whose first byte is in the range where an East Asian encoding keeps its common ones."""
    other = re.compile(f"[{_PUNCTUATION}]")

    def count(text: str) -> float:
        found = 0
        for character in text:
            if character.isascii():
                continue
            data = character.encode(encoding)
            found += (len(data) == 2 and low <= data[0] <= high and data[1] >= second) or bool(other.match(character))
        return float(found)

    return count


_LATIN = r"(?<![^\x00-\x7f])(?:[\u00c0-\u024f]{1,2}|[’‘“”–—€°§µ©®«»·²³½£])(?![^\x00-\x7f])"
_COMMON: dict[str, Callable[[str], float]] = {
    "gb18030": _leading("gb18030", 0xB0, 0xD7, 0xA1),
    "big5": _leading("big5", 0xA4, 0xC6),
    "cp932": _leading("cp932", 0x82, 0x97),
    "cp949": _leading("cp949", 0xB0, 0xC8),
    "euc_jp": lambda text: _counted("[\u3041-\u30ff]")(text) and _leading("euc_jp", 0xA4, 0xCF)(text),
    "windows-1252": _counted(_LATIN),
    "windows-1250": _counted(_LATIN),
    "windows-1251": _counted(r"(?<![A-Za-z\u0400-\u04ff])[\u0410-\u042f]?[\u0430-\u0451]+|№"),
    "windows-1253": _counted(r"(?<![A-Za-z\u0370-\u03ff])[\u0386-\u03ab]?[\u03ac-\u03ce]+"),
    "windows-1255": _counted(r"(?<![A-Za-z\u0590-\u05ff])[\u05b0-\u05ea]+"),
    "koi8_r": _counted(r"(?<![A-Za-z\u0400-\u04ff])[\u0410-\u042f]?[\u0430-\u0451]+"),
}
