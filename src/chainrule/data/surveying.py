"""The first pass over a table file: by which rule each column is to be read.

A survey counts how many cells of a column each parser reads, remembers the first few words that it does not read, and those
that may stand for gaps. From the counts of the whole column it decides.

Only `reading` imports this module: pyarrow is optional.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chainrule.data import parsing
from chainrule.data.gaps import BESIDE_FLAGS, EVERYWHERE
from chainrule.data.parsing import BOOLEANS, FORMATS, PARSERS, PLAIN, Array
from chainrule.data.tables import in_unit
from chainrule.errors import DataError, message

# A column of which at least this share, but not all, reads as numbers or dates is taken for a column with wrong cells.
MOSTLY = 0.9

_MOST_STRANGE = 20  # words that a parser may fail on before it is given up, unless it reads most cells
_FEW_NUMBERS = 20  # so few different numbers may be codes, of which a letter is one more
_LONGEST = 100  # characters: no number or date is longer
_SAMPLE = 256  # words that are tried first
_ENOUGH = 1000  # cells after which a parser that has read none of them is given up
_MOST_UNITS = 3  # that a column of numbers in mixed units may have; one with more holds words such as 12A
_SHOWN = 4  # words that a message lists
_POINT, _COMMA = FORMATS
_WORD_KINDS = ("categorical", "text", "identifier")
# Orders that the same cells may fit, such as 01/02/03.
_ORDERS = ("date:day/month/year", "date:month/day/year", "date:day.month.year", "date:year/month/day")
_PLAIN_KINDS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)

_MONTHS = "jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec"
# Words that people may take for dates or numbers, although no parser reads them.
_ALIKE = {
    "dates": rf"^\d{{1,4}}[-/.年]\s*\d{{1,2}}[-/.月]\s*\d{{1,4}}(?:\D|$)|(?i)(?:^|[^a-z])(?:{_MONTHS})[a-z]{{0,6}}[^a-z]*\d"
    rf"|\d[^a-z]*(?:{_MONTHS})[a-z]{{0,6}}(?:[^a-z]|$)",
    "numbers": r"^[^\pL\d]{1,3}\d|^[^\pL]*\d[^\pL]*$|^0[xX][0-9a-fA-F]+$",
}

Place = Callable[[int], str]  # from a row to what a message calls it


class Rule(NamedTuple):
    """How the second pass reads a column.

    Attributes:
        name: the column.
        parser: a key of PARSERS; None keeps words.
        unit: that stands beside every number.
        missing: words that stand for gaps, beside those that always do in such a column.
        gaps: words that stood for gaps, and how often.
        note: a remark.
        doubt: a remark for words that are too many to be categories.
    """

    name: str
    parser: str | None
    unit: str = ""
    missing: tuple[str, ...] = ()
    gaps: Mapping[str, int] = {}
    note: str = ""
    doubt: str = ""


@dataclass
class _Seen:
    """How often something was seen, and where first."""

    count: int
    row: int
    word: str


@dataclass
class _Trial:
    """How one parser fares: cells that it reads, words that it does not, and units beside its numbers."""

    read: int = 0
    failed: dict[str, _Seen] = field(default_factory=dict)
    units: dict[str, _Seen] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return not self.failed and len(self.units) <= 1

    def fails_only(self, word: str) -> bool:
        return list(self.failed) == [word] and len(self.units) <= 1

    @property
    def unit(self) -> str:
        return next(iter(self.units), "")


@dataclass
class Survey:
    """What is known of one column while the first pass goes on.

    Attributes:
        name: the column.
        kind: that it must have; None if it may have any.
        said: words that were said to stand for gaps.
    """

    name: str
    kind: str | None
    said: tuple[str, ...]
    present: int = 0
    gaps: dict[str, int] = field(default_factory=dict)
    trials: dict[str, _Trial] = field(default_factory=dict)
    leading_zero: str = ""
    _numbers: set[float] = field(default_factory=set)
    _two_ways: str = ""  # the first word that is another number in the other format
    _alike: dict[str, str] = field(default_factory=dict)  # keys of _ALIKE that most words look like; the first word
    _row: int = 0  # the first of the block
    _places: dict[str, int] = field(default_factory=dict)  # rows where words of the block stand first

    def observe(self, first_row: int, cells: Array) -> None:
        """Take one block of the column into account."""
        if first_row == 0 and not self.trials:  # not earlier: a table may have 100,000 columns
            self.trials = {parser: _Trial() for parser in parsing.candidates(self.kind)}
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

    def _is_hopeful(self, trial: _Trial) -> bool:
        if not trial.read and self.present >= _ENOUGH:
            return False
        return len(trial.failed) <= _MOST_STRANGE or trial.read >= MOSTLY * self.present

    def _observe_numbers(self, cells: Array, numbers: NDArray[np.float64]) -> None:
        """A block of plain numbers: every parser of numbers but that with decimal commas reads them."""
        count = len(cells) - cells.null_count
        if not count:
            return
        self.present += count
        if len(self._numbers) <= _FEW_NUMBERS:
            self._numbers.update(numbers[~np.isnan(numbers)][:1000].tolist())
        words = None if any(test(cells.type) for test in _PLAIN_KINDS) else cells
        if self._row == 0 and words is not None:
            zero = pc.index(pc.match_substring_regex(words, r"^\s*0\d"), True).as_py()
            self.leading_zero = "" if zero < 0 else words[zero].as_py().strip()
        for name, trial in self.trials.items():
            if name == PLAIN or (name in FORMATS and words is not None):
                trial.read += count
                trial.units.setdefault("", _Seen(0, 0, ""))
            else:
                self._fail(trial, cells, cells.is_valid(), count)
        if _COMMA in self.trials and words is not None:
            self._observe_points(words)
        if self.kind is None:
            numeric = {PLAIN, *FORMATS}
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
            trial = self.trials[_COMMA]
            trial.read -= count
            self._fail(trial, words, wrong, count)
            if self.kind is None:
                del self.trials[_COMMA]
        elif not self._two_ways:
            self._two_ways = words[pc.index(pointed, True).as_py()].as_py().strip()

    def _fail(self, trial: _Trial, cells: Array, where: Array, count: int) -> None:
        """Note that a parser cannot read the cells `where`; only the first of them is remembered."""
        first = pc.index(where, True).as_py()
        word = str(cells[first])
        trial.failed.setdefault(word, _Seen(0, self._row + first, word)).count += count

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
            self._alike = _alike(distinct[:_SAMPLE])
        self.present += int(counts.sum())
        read = {name: self._try(name, trial, distinct, counts, rest) for name, trial in self.trials.items()}
        if _POINT in read and _COMMA in read:
            self._compare(distinct, read[_POINT], read[_COMMA])

    def _compare(self, words: Array, one: NDArray[np.float64], other: NDArray[np.float64]) -> None:
        n = min(len(one), len(other))
        differ = (one[:n] != other[:n]) & ~np.isnan(one[:n]) & ~np.isnan(other[:n])
        if differ.any() and not self._two_ways:
            self._two_ways = words[int(np.argmax(differ))].as_py()

    def _observe_gap(self, word: str, count: int, words: Array) -> None:
        if word:
            self.gaps[word] = self.gaps.get(word, 0) + count
        if word in BESIDE_FLAGS or word in self.said:
            return
        for name in BOOLEANS.keys() & self.trials.keys():
            row = self._row + pc.index(words, word).as_py()
            self.trials[name].failed.setdefault(word, _Seen(0, row, word)).count += count

    def _try(self, name: str, trial: _Trial, distinct: Array, counts: NDArray[Any], words: Array) -> NDArray[np.float64]:
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
            if len(self._numbers) <= _FEW_NUMBERS and name not in BOOLEANS:
                self._numbers.update(numbers[~failed][:1000].tolist())
        return numbers

    def _see(self, known: dict[str, _Seen], key: str, word: Array, count: int, words: Array) -> None:
        """Count a word under a key; where it stands is looked up once."""
        if key not in known and len(known) <= _MOST_STRANGE:
            text = word.as_py()
            if text not in self._places:
                self._places[text] = self._row + pc.index(words, word).as_py()
            known[key] = _Seen(0, self._places[text], text)
        if key in known:
            known[key].count += count

    def _see_units(self, trial: _Trial, distinct: Array, counts: NDArray[Any], words: Array, units: Array) -> None:
        """Take the units of these words into account; null where a word is no number."""
        encoded = units.dictionary_encode()
        positions = np.asarray(pc.fill_null(encoded.indices, -1))
        for k, unit in enumerate(encoded.dictionary.to_pylist()):
            count = int(counts[: len(positions)][positions == k].sum())
            self._see(trial.units, unit, distinct[int(np.argmax(positions == k))], count, words)

    # The decision

    def decide(self, file: Any, marks: Collection[str | None]) -> Rule:
        """How to read the column.

        Args:
            file: the source, for messages and its delimiter.
            marks: the formats, of FORMATS, that other columns of the file are certainly in.

        Raises:
            DataError: a few of its cells, or any of a column that must parse, do not.
        """
        if self.kind in _WORD_KINDS:
            return Rule(self.name, None, missing=self.said)
        if not self.present:
            return self._nothing()
        word = None
        fitting = [name for name, trial in self.trials.items() if trial.complete]
        if not fitting and (word := self._single_word()):
            fitting = [name for name, trial in self.trials.items() if trial.fails_only(word.word)]
        orders = [name for name in _ORDERS if name in fitting]
        if len(orders) > 1:
            return self._ambiguous_order(file, orders)
        if fitting:
            return self._rule(self._chosen(fitting, file, marks), word)
        suspects = {name: trial for name, trial in self.trials.items() if self.kind or name not in BOOLEANS}
        suspects = {name: trial for name, trial in suspects.items() if self.kind or trial.read >= MOSTLY * self.present}
        for trial in suspects.values():
            # Words such as "1 year" and "2 years" are categories where there are few of them.
            if not trial.failed and (self.kind or (len(trial.units) <= _MOST_UNITS and len(self._numbers) > _FEW_NUMBERS)):
                raise self._mixed_units(file, trial)
        suspects = {name: trial for name, trial in suspects.items() if trial.failed}
        if suspects:
            raise self._wrong_cell(file, *max(suspects.items(), key=lambda item: item[1].read))
        said = {what: f"cells such as '{_shortened(like)}' are not read as {what}" for what, like in self._alike.items()}
        note = self._half_numbers() or said.get("dates", "")
        return Rule(self.name, None, missing=self.said, note=note, doubt=said.get("numbers", ""))

    @property
    def mark(self) -> str | None:
        """The format that numbers of the column are certainly in; None where they fit both, or are none."""
        fits = [name for name in FORMATS if name in self.trials and self.trials[name].complete]
        return fits[0] if len(fits) == 1 and self.present else None

    def _nothing(self) -> Rule:
        """The rule for a column that holds nothing but gaps: numbers, unless its gaps may be words."""
        known = all(word in EVERYWHERE or word in self.said for word in self.gaps)
        return self._rule(next(iter(self.trials))) if known or self.kind else Rule(self.name, None, missing=self.said)

    def _rule(self, parser: str, learnt: _Seen | None = None) -> Rule:
        allowed = (*BESIDE_FLAGS, *self.said) if parser in BOOLEANS else tuple(self.gaps)
        gaps = {word: count for word, count in self.gaps.items() if word in allowed}
        missing = self.said
        if learnt is not None:
            missing, gaps = (*missing, learnt.word), {**gaps, learnt.word: learnt.count}
        return Rule(self.name, parser, self.trials[parser].unit, missing, gaps, self._remarks(parser))

    def _remarks(self, parser: str) -> str:
        """How the numbers are written, where that was decided and may be wrong."""
        said = [in_unit(unit) for unit in (self.trials[parser].unit,) if unit]
        if parser in FORMATS and self._two_ways:
            said.append(f"'{self._two_ways}' is {PARSERS[parser](pa.array([self._two_ways])).values[0]:.10g}")
        if parser == PLAIN and self.leading_zero:
            said.append(f"'{self.leading_zero}' may be a code: --kind '{self.name}=categorical' reads words")
        return "; ".join(said)

    def _chosen(self, complete: list[str], file: Any, marks: Collection[str | None]) -> str:
        """The first parser that reads all; of two formats of numbers, the one of the other columns, or of the kind of file."""
        both = _COMMA in complete and (_POINT in complete or PLAIN in complete) and self._two_ways
        if not both:
            return complete[0]
        usual = {";": _COMMA, ",": _POINT, "": _POINT}.get(file.delimiter)  # Parquet, which has no delimiter, is of programs
        if PLAIN in complete:
            if marks == {_COMMA}:
                raise self._two_readings(file, "other columns of the file have decimal commas")
            return PLAIN
        found = next(iter(marks)) if len(marks) == 1 else None if marks else usual
        if found is None:
            raise self._two_readings(file, "no other cell of the column says which")
        return found

    def _two_readings(self, file: Any, why: str) -> DataError:
        point, comma = (PARSERS[name](pa.array([self._two_ways])).values[0] for name in FORMATS)
        return DataError(
            message(
                f"{file.path}, column '{self.name}': '{self._two_ways}' is {point:.10g} if the point is the decimal mark, and "
                f"{comma:.10g} if the comma is",
                why,
                f"Say which with --kind '{self.name}={_POINT}' or --kind '{self.name}={_COMMA}' (in Python kinds=…).",
            )
        )

    def _ambiguous_order(self, file: Any, orders: list[str]) -> Rule:
        how = f"--kind '{self.name}={orders[0]}'"
        could = f"could be {' or '.join(order.removeprefix('date:') for order in orders)}"
        if self.kind == "date":
            raise DataError(
                message(
                    f"{file.path}: the dates of column '{self.name}' {could}",
                    "no cell says which",
                    f"Name the order, for example {how} (in Python kinds=…).",
                )
            )
        note = f"dates that {could}: name the order with {how}"
        return Rule(self.name, None, missing=self.said, note=note)

    def _single_word(self) -> _Seen | None:
        """The one word, repeated and without digits, beside many different numbers or dates: it stands for gaps."""
        if self.kind is not None or len(self._numbers) <= _FEW_NUMBERS:
            return None
        for name, trial in self.trials.items():
            if name not in BOOLEANS and len(trial.failed) == 1:
                seen = next(iter(trial.failed.values()))
                if seen.count > 1 and trial.fails_only(seen.word) and not any(c.isdigit() for c in seen.word):
                    return seen
        return None

    def _half_numbers(self) -> str:
        """A remark on a column of words of which more than half of the cells are numbers."""
        trials = [trial for name, trial in self.trials.items() if name not in BOOLEANS]
        trial = max(trials, key=lambda trial: trial.read, default=None)
        if trial is None or trial.read <= self.present / 2:
            return ""
        if len(trial.units) > 1:
            return f"numbers {' and '.join(map(in_unit, list(trial.units)[:_SHOWN]))}{', …' * (len(trial.units) > _SHOWN)}"
        return f"{trial.read:,} of {self.present:,} cells are numbers, and {_listed(trial.failed)} are not"

    def _mixed_units(self, file: Any, trial: _Trial) -> DataError:
        common, *others = sorted(trial.units.items(), key=lambda item: -item[1].count)
        unit, seen = others[0]
        return DataError(
            message(
                f"{file.path}, {file.place(seen.row)}, column '{self.name}': '{seen.word}' is a number {in_unit(unit)}",
                f"others, such as '{common[1].word}', are {in_unit(common[0])}",
                f"Write all in one unit; or read words with --kind '{self.name}=categorical' (in Python kinds=…).",
            )
        )

    def _wrong_cell(self, file: Any, parser: str, trial: _Trial) -> DataError:
        seen = min(trial.failed.values(), key=lambda seen: seen.row)
        expected = "a date" if parser.startswith("date") else " or ".join(BOOLEANS.get(parser, ("a number",)))
        more = f" ({_listed(trial.failed)} are not)" if len(trial.failed) > 1 else ""
        return DataError(
            message(
                f"{file.path}, {file.place(seen.row)}, column '{self.name}': '{_shortened(seen.word)}' is not {expected}",
                f"{trial.read} of the {self.present} cells with a value are{more}",
                f"Correct the cell; or say that it is a gap with --missing '{_shortened(seen.word)}', or that the column holds "
                f"words with --kind '{self.name}=categorical' or '{self.name}=text' (in Python missing=…, kinds=…).",
            )
        )


def decide(surveys: Sequence[Survey], file: Any) -> list[Rule]:
    """The rule of every column; DataError where a column must be refused."""
    marks = {survey.mark for survey in surveys} - {None}  # a column that has one is not in doubt about it
    return [survey.decide(file, marks) for survey in surveys]


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


def _listed(failed: Mapping[str, _Seen]) -> str:
    shown = sorted(failed.values(), key=lambda seen: -seen.count)[:_SHOWN]
    return ", ".join(f"'{_shortened(seen.word)}'" for seen in shown) + (", …" if len(failed) > len(shown) else "")


def _shortened(word: str) -> str:
    return word if len(word) <= 40 else f"{word[:40]}…"
