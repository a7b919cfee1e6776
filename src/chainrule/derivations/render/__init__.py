"""Derivations as text, Markdown, LaTeX and HTML."""

from __future__ import annotations

import json
from pathlib import Path

from chainrule.derivations.derivation import Derivation
from chainrule.errors import ArgumentError, message
from chainrule.fileio import write_file as write_bytes


def write_file(derivation: Derivation, path: Path) -> None:
    """Write a derivation in the format that the ending of `path` names.

    Raises:
        ArgumentError: an ending that is not known.
    """

    def as_json() -> str:
        return json.dumps(derivation.to_dict(), ensure_ascii=False, indent=2, allow_nan=False)

    writers = {
        ".json": as_json,
        ".txt": derivation.to_text,
        ".md": derivation.to_markdown,
        ".tex": derivation.to_latex,
        ".html": derivation.to_html,
    }
    if path.suffix not in writers:
        raise ArgumentError(
            message(
                f"the file {path.name!r} was named", f"derivations are written as {', '.join(writers)}", "Change the ending."
            )
        )
    write_bytes(path, writers[path.suffix]().encode())


__all__ = ["write_file"]
