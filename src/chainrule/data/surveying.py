"""The first pass over a table file: what is seen of each column, from which `deciding` finds the rule to read it by.

A survey counts how many cells of a column each parser reads, remembers the first few words that it does not read, and those
that may stand for gaps.

Only `reading` imports this module: pyarrow is optional.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chainrule.data import parsing
from chainrule.data.blocks import Array
from chainrule.data.gaps import BESIDE_FLAGS
from chainrule.data.parsing import BOOLEANS, COMMA, DURATIONS, FORMATS, PARSERS, PLAIN, POINT

# A column of which at least this share, but not all, reads as numbers or dates is taken for a column with wrong cells.
MOSTLY = 0.9

_MOST_STRANGE = 20  # words that a parser may fail on before it is given up, unless it reads most cells
FEW_NUMBERS = 20  # so few different numbers may be codes, of which a letter is one more
_LONGEST = 100  # characters: no number or date is longer
_SAMPLE = 256  # words that are tried first
_ENOUGH = 1000  # cells after which a parser that has read none of them is given up
_PLAIN_KINDS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)

_MONTHS = "jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec"
# Words that people may take for dates or numbers, although no parser reads them.
_ALIKE = {
    "dates": rf"^\d{{1,4}}[-/.年]\s*\d{{1,2}}[-/.月]\s*\d{{1,4}}(?:\D|$)|(?i)(?:^|[^a-z])(?:{_MONTHS})[a-z]{{0,6}}[^a-z]*\d"
    rf"|\d[^a-z]*(?:{_MONTHS})[a-z]{{0,6}}(?:[^a-z]|$)",
    "numbers": r"^[^\pL\d]{1,3}\d|^[^\pL]*\d[^\pL]*$|^0[xX][0-9a-fA-F]+$",
}


@dataclass
class Seen:
    """How often something was seen, and where first."""

    count: int
    row: int
    word: str


@dataclass
class Trial:
    """What one parser made of a column: cells that it reads, words that it does not, and units beside its numbers."""

    read: int = 0
    failed: dict[str, Seen] = field(default_factory=dict)
    units: dict[str, Seen] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether the parser reads every cell, in one unit."""
        return not self.failed and len(self.units) <= 1

    def fails_only(self, word: str) -> bool:
        """Whether it reads every cell but those that hold `word`."""
        return list(self.failed) == [word] and len(self.units) <= 1

    @property
    def unit(self) -> str:
        """The unit beside the numbers; "" where there is none."""
        return next(iter(self.units), "")


@dataclass
class Survey:
    """What is known of one column while the first pass goes on.

    Attributes:
        name: the column.
        kind: that it must have; None if it may have any.
        said: words that were said to stand for gaps.
        present: cells that are no gap.
        gaps: words that may stand for gaps, and how often.
        trials: how each parser that may read the column has fared.
        leading_zero: the first number in plain digits that begins with 0.
        numbers: different ones; a few more than FEW_NUMBERS at most.
        two_ways: the first word that is another number in the other format.
        alike: keys of _ALIKE that most words look like, and the first such word.
    """

    name: str
    kind: str | None
    said: tuple[str, ...]
    present: int = 0
    gaps: dict[str, int] = field(default_factory=dict)
    trials: dict[str, Trial] = field(default_factory=dict)
    leading_zero: str = ""
    numbers: set[float] = field(default_factory=set)
    two_ways: str = ""
    alike: dict[str, str] = field(default_factory=dict)
    _row: int = 0  # the first of the block
    _places: dict[str, int] = field(default_factory=dict)  # rows where words of the block stand first

    def observe(self, first_row: int, cells: Array) -> None:
        """Take one block of the column into account."""
        if first_row == 0 and not self.trials:  # not earlier: a table may have 100,000 columns
            self.trials = {parser: Trial() for parser in parsing.candidates(self.kind)}
        if not self.trials:
            return
        self._row, self._places = first_row, {}
        numbers = parsing.as_plain_numbers(cells) if PLAIN in self.trials and not self._has_said(cells) else None
        if numbers is not None:
            self._observe_numbers(cells, numbers)
        else:
            self._observe_words(parsing.trimmed(cells))
        if self.kind is None:
            self.trials = {name: trial for name, trial in self.trials.items() if self._is_hopeful(trial)}

    def _has_said(self, cells: Array) -> bool:
        return bool(self.said) and bool(pc.any(pc.is_in(parsing.trimmed(cells), value_set=pa.array(self.said))).as_py())

    def _is_hopeful(self, trial: Trial) -> bool:
        if not trial.read and self.present >= _ENOUGH:
            return False
        return len(trial.failed) <= _MOST_STRANGE or trial.read >= MOSTLY * self.present

    def _observe_numbers(self, cells: Array, numbers: NDArray[np.float64]) -> None:
        """A block of plain numbers: every parser of numbers but that with decimal commas reads them; that of durations, 0."""
        count = len(cells) - cells.null_count
        if not count:
            return
        zero = not np.nan_to_num(numbers).any()  # the same in every unit
        self.present += count
        if len(self.numbers) <= FEW_NUMBERS:
            self.numbers.update(numbers[~np.isnan(numbers)][:1000].tolist())
        words = None if any(test(cells.type) for test in _PLAIN_KINDS) else cells
        if self._row == 0 and words is not None:
            zero = pc.index(pc.match_substring_regex(words, r"^\s*0\d"), True).as_py()
            self.leading_zero = "" if zero < 0 else words[zero].as_py().strip()
        for name, trial in self.trials.items():
            if name == PLAIN or (words is not None and (name in FORMATS or (name == DURATIONS and zero))):
                trial.read += count
                if not zero:
                    trial.units.setdefault("", Seen(0, 0, ""))
            else:
                self._fail(trial, cells, cells.is_valid(), count)
        if COMMA in self.trials and words is not None:
            self._observe_points(words)
        if self.kind is None:
            numeric = {PLAIN, *FORMATS, *([DURATIONS] if zero else [])}
            self.trials = {name: trial for name, trial in self.trials.items() if name in numeric}

    def _observe_points(self, words: Array) -> None:
        """Plain numbers as ones with decimal commas: a point must be a thousands separator."""
        pointed = pc.match_substring(words, ".")
        if not pc.any(pointed).as_py():
            return
        grouped = pc.match_substring_regex(words, r"^\s*[+-]?[1-9]\d{0,2}(\.\d{3})+\s*$")
        wrong = pc.and_not(pointed, grouped)
        count = pc.sum(wrong).as_py()
        if count:
            trial = self.trials[COMMA]
            trial.read -= count
            self._fail(trial, words, wrong, count)
            if self.kind is None:
                del self.trials[COMMA]
        elif not self.two_ways:
            self.two_ways = words[pc.index(pointed, True).as_py()].as_py().strip()

    def _fail(self, trial: Trial, cells: Array, where: Array, count: int) -> None:
        """Note that a parser cannot read the cells `where`; only the first of them is remembered."""
        first = pc.index(where, True).as_py()
        word = str(cells[first])
        trial.failed.setdefault(word, Seen(0, self._row + first, word)).count += count

    def _observe_words(self, words: Array) -> None:
        gap = parsing.beside_numbers(words, self.said)
        distinct, counts = _counted(pc.if_else(gap, words, None))
        for word, count in zip(distinct.to_pylist(), counts.tolist(), strict=True):
            self._observe_gap(word, count, words)
        rest = pc.if_else(gap, None, words)
        numbers = parsing.as_plain_numbers(rest) if PLAIN in self.trials else None
        if numbers is not None:
            self._observe_numbers(rest, numbers)
            return
        distinct, counts = _counted(rest)
        if not self.present and self.kind is None:
            self.alike = _alike(distinct[:_SAMPLE])
        self.present += int(counts.sum())
        read = {name: self._try(name, trial, distinct, counts, rest) for name, trial in self.trials.items()}
        if POINT in read and COMMA in read:
            self._compare(distinct, read[POINT], read[COMMA])

    def _compare(self, words: Array, one: NDArray[np.float64], other: NDArray[np.float64]) -> None:
        n = min(len(one), len(other))
        differ = (one[:n] != other[:n]) & ~np.isnan(one[:n]) & ~np.isnan(other[:n])
        if differ.any() and not self.two_ways:
            self.two_ways = words[int(np.argmax(differ))].as_py()

    def _observe_gap(self, word: str, count: int, words: Array) -> None:
        if word:
            self.gaps[word] = self.gaps.get(word, 0) + count
        if word in BESIDE_FLAGS or word in self.said:
            return
        for name in BOOLEANS.keys() & self.trials.keys():
            row = self._row + pc.index(words, word).as_py()
            self.trials[name].failed.setdefault(word, Seen(0, row, word)).count += count

    def _try(self, name: str, trial: Trial, distinct: Array, counts: NDArray[Any], words: Array) -> NDArray[np.float64]:
        """Count what one parser reads of a block of distinct words; the numbers, NaN where there is none."""
        if self.kind is None and len(distinct) > _SAMPLE:
            sample = PARSERS[name](distinct[:_SAMPLE]).values
            if np.count_nonzero(np.isnan(sample)) > _SAMPLE // 2:  # hopeless: it is not worth while to try the others
                distinct = distinct[:_SAMPLE]
        numbers, units = PARSERS[name](pc.if_else(pc.less(pc.utf8_length(distinct), _LONGEST), distinct, ""))
        failed = np.isnan(numbers)
        trial.read += int(counts[: len(failed)][~failed].sum())
        strange = np.flatnonzero(failed)
        for k in strange[: _MOST_STRANGE + 1].tolist():
            self._see(trial.failed, distinct[k].as_py(), distinct[k], int(counts[k]), words)
        if not failed.all():
            none = pa.repeat("", len(failed)) if units is None else units
            anyway = failed | (numbers == 0) & np.asarray(pc.equal(none, ""))  # 0 is the same in every unit
            self._see_units(trial, distinct, counts, words, pc.if_else(pa.array(anyway), None, none))
            if len(self.numbers) <= FEW_NUMBERS and name not in BOOLEANS:
                self.numbers.update(numbers[~failed][:1000].tolist())
        return numbers

    def _see(self, known: dict[str, Seen], key: str, word: Array, count: int, words: Array) -> None:
        """Count a word under a key; where it stands is looked up once."""
        if key not in known and len(known) <= _MOST_STRANGE:
            text = word.as_py()
            if text not in self._places:
                self._places[text] = self._row + pc.index(words, word).as_py()
            known[key] = Seen(0, self._places[text], text)
        if key in known:
            known[key].count += count

    def _see_units(self, trial: Trial, distinct: Array, counts: NDArray[Any], words: Array, units: Array) -> None:
        """Take the units of these words into account; null where a word is no number."""
        encoded = units.dictionary_encode()
        positions = np.asarray(pc.fill_null(encoded.indices, -1))
        for k, unit in enumerate(encoded.dictionary.to_pylist()):
            count = int(counts[: len(positions)][positions == k].sum())
            self._see(trial.units, unit, distinct[int(np.argmax(positions == k))], count, words)


def _counted(words: Array) -> tuple[Array, NDArray[np.int64]]:
    """Distinct words, and how often each occurs."""
    found = pc.value_counts(words.drop_null())
    return found.field("values"), np.asarray(found.field("counts"))


def _alike(words: Array) -> dict[str, str]:
    """Which of _ALIKE these distinct words mostly look like, if any, and the first of them."""
    for what, pattern in _ALIKE.items():
        fits = pc.match_substring_regex(words, pattern)
        if (pc.sum(fits).as_py() or 0) >= max(1, MOSTLY * len(words)):
            return {what: words[pc.index(fits, True).as_py()].as_py()}
    return {}
