"""The program `chainrule`. It is not in the package, which takes half a second to import: Ctrl-C is heeded meanwhile, too."""

# ruff: noqa: PLC0415 -- see above
from __future__ import annotations

import os
import signal
from contextlib import suppress
from types import FrameType

INTERRUPTED = 130  # exit code


def main() -> None:
    """Run the command line."""
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # with nohup it is ignored
    if heeded:
        signal.signal(signal.SIGINT, _leave)
    from chainrule.cli import main as run

    if heeded:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run(prog_name="chainrule")


def _leave(number: int, frame: FrameType | None) -> None:
    # An exception within an import may come out as another one: NumPy says that it is not installed properly.
    with suppress(OSError):
        os.write(2, b"Interrupted.\n")
    os._exit(INTERRUPTED)
