"""`Derivation`: what `explain` returns, as data and in every form that it can be shown in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from chainrule import checks
from chainrule.derivations.render import html, latex, text
from chainrule.derivations.steps import Derived
from chainrule.errors import ArgumentError
from chainrule.fileio import write_file


@dataclass(frozen=True, eq=False, repr=False)
class Derivation(Derived):
    """How a value depends on others, derived step by step.

    `print` shows it as text, a notebook as formulas. Its attributes are those of `Derived`.
    """

    def to_text(self) -> str:
        """For a terminal."""
        return text.to_text(self)

    def to_markdown(self) -> str:
        """Markdown with formulas in $…$."""
        return latex.to_markdown(self)

    def to_latex(self) -> str:
        """LaTeX: sections with aligned equations, to be put into a document that loads amsmath (and ctex for Chinese)."""
        return latex.to_latex(self)

    def to_html(self) -> str:
        """One HTML page that needs nothing else: it works offline and prints.

        Raises:
            MissingDependency: the package math-core, which sets formulas, is not installed.
        """
        return html.to_html(self)

    def save(self, path: str | Path) -> None:
        """Write to a file: .html, .md, .tex, .txt or .json, by its ending.

        Raises:
            ArgumentError: another ending, or something that is no path.
        """
        writers = {
            ".json": lambda: json.dumps(self.to_dict(), ensure_ascii=False, indent=2, allow_nan=False),
            ".txt": self.to_text,
            ".md": self.to_markdown,
            ".tex": self.to_latex,
            ".html": self.to_html,
        }
        ending = Path(checks.path(path, "the file of a derivation")).suffix
        if ending not in writers:
            given, known = f"the file {Path(path).name!r} was named", f"derivations are written as {', '.join(writers)}"
            raise ArgumentError(given, known, "Change the ending.")
        write_file(path, writers[ending]().encode())

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"<Derivation of {self.output} by {', '.join(self.wrt)}, form={self.form!r}>"

    def _repr_markdown_(self) -> str:
        return self.to_markdown()
