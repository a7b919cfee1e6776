"""The languages of chainrule's explanations, and catalogues of phrases.

Every part of the package keeps its own phrases, in a catalogue in its module `words` or in its records. What they share
is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from chainrule.errors import ArgumentError

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")

Phrase = tuple[str, str]  # one thing in each of LANGUAGES, blanks in braces

COMMA: Phrase = (", ", "，")
SEMICOLON: Phrase = ("; ", "；")
COLON: Phrase = (": ", "：")


def index_of(language: Language) -> int:
    """Where a language stands in a `Phrase`.

    Raises:
        ArgumentError: a language other than "en" and "zh".
    """
    if language not in LANGUAGES:
        raise ArgumentError(f"the language {language!r} was given", "there are 'en' and 'zh'", "Choose one of them.")
    return LANGUAGES.index(language)


class Catalogue:
    """Phrases by key."""

    def __init__(self, phrases: Mapping[str, Phrase]) -> None:
        self._phrases = phrases

    def phrase(self, key: str, language: Language, /, **values: object) -> str:
        """A phrase in a language, with its blanks filled.

        Raises:
            ArgumentError: a language other than "en" and "zh".
        """
        return self._phrases[key][index_of(language)].format(**values)
