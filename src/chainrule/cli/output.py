"""Printing on the command line: control characters in names are escaped, and a closed pipe is not an error."""

from __future__ import annotations

import codecs
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import click

# What a terminal obeys, and the marks that turn the direction of writing, with which one text can pass for another; and
# halves of characters, which no encoding has, but for those that stand for the bytes of a name that is not UTF-8.
_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udc7f\udd00-\udfff]")


def shown(text: str) -> str:
    r"""The text with control characters written out as `\u001b`, which JSON reads, too. Line ends and tabs stay."""
    return _OBEYED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a text in which names that others chose may stand; every command prints through this."""
    click.echo(shown(text), err=err, nl=nl)


def show_notes(notes: Iterable[str]) -> None:
    """What was not read, or read in another way than it stands there; on standard error, as standard output has the answers."""
    for note in notes:
        echo(f"Note: {note}", err=True)


@contextmanager
def messages_shown() -> Iterator[None]:
    """Messages of click on wrong use repeat what was typed, or what a script read from somewhere: show it, too."""
    try:
        yield
    except click.ClickException as error:
        vars(error)["message"] = shown(error.message)
        raise


def use_utf8() -> None:
    """Start again in Python's UTF-8 mode where the locale is ASCII: arguments and file names are bytes that are UTF-8."""
    if sys.flags.utf8_mode or codecs.lookup(sys.getfilesystemencoding()).name != "ascii":
        return
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def open_standard_streams() -> None:
    """Make standard output and error UTF-8. Where one is closed, nothing is written: the next file would take its place."""
    for handle, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        try:
            os.fstat(handle)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), handle)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(handle, "r" if handle == 0 else "w", closefd=False))
    for stream in (sys.stdout, sys.stderr):  # an answer is the same whatever the locale, and a file has its own name
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")


@contextmanager
def read_or_not(stream: TextIO) -> Iterator[None]:
    """Print what is printed within, and go on if nobody reads it, or nothing can be written: a run is not lost for that."""
    try:
        yield
        stream.flush()
    except OSError:
        discard(stream)


def discard(stream: TextIO | Any) -> None:
    """Drop what is left of the output, when its reader (head, less) has ended."""
    try:
        handle = stream.fileno()
    except (OSError, ValueError):  # no file of the system
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), handle)
