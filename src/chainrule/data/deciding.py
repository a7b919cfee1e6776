"""By which rule each column of a table file is read, decided from a survey of all its cells.

Only `reading` imports this module: pyarrow is optional.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from chainrule.data.blocks import Source
from chainrule.data.columns import in_unit
from chainrule.data.gaps import BESIDE_FLAGS, EVERYWHERE
from chainrule.data.parsing import BOOLEANS, COMMA, DURATIONS, FORMATS, PARSERS, PLAIN, POINT
from chainrule.data.surveying import FEW_NUMBERS, MOSTLY, Seen, Survey, Trial
from chainrule.errors import DataError

_MOST_UNITS = 3  # that a column of numbers in mixed units may have; one with more holds words such as 12A
_SHOWN = 4  # words that a message lists
_WORD_KINDS = ("categorical", "text", "identifier")
# Orders that the same cells may fit, such as 01/02/03.
_ORDERS = ("date:day/month/year", "date:month/day/year", "date:day.month.year", "date:year/month/day")


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


def decide(surveys: Sequence[Survey], file: Source) -> list[Rule]:
    """The rule of every column; DataError where a column must be refused."""
    marks = {_mark(survey) for survey in surveys} - {None}  # a column that has one is not in doubt about it
    return [_decided(survey, file, marks) for survey in surveys]


def _decided(survey: Survey, file: Source, marks: Collection[str | None]) -> Rule:
    """How to read the column.

    Args:
        file: the source, for messages and its delimiter.
        marks: the formats, of FORMATS, that other columns of the file are certainly in.

    Raises:
        DataError: a few of its cells, or any of a column that must parse, do not.
    """
    if survey.kind in _WORD_KINDS:
        return Rule(survey.name, None, missing=survey.said)
    if not survey.present:
        return _nothing(survey)
    word = None
    fitting = [name for name, trial in survey.trials.items() if trial.complete]
    if not fitting and (word := _single_word(survey)):
        fitting = [name for name, trial in survey.trials.items() if trial.fails_only(word.word)]
    orders = [name for name in _ORDERS if name in fitting]
    if len(orders) > 1:
        return _ambiguous_order(survey, file, orders)
    if fitting:
        return _rule(survey, _chosen(survey, fitting, file, marks), word)
    suspects = {name: trial for name, trial in survey.trials.items() if survey.kind or name not in BOOLEANS}
    suspects = {name: trial for name, trial in suspects.items() if survey.kind or trial.read >= MOSTLY * survey.present}
    for trial in suspects.values():
        # Words such as "1 year" and "2 years" are categories where there are few of them.
        if not trial.failed and (survey.kind or (len(trial.units) <= _MOST_UNITS and len(survey.numbers) > FEW_NUMBERS)):
            raise _mixed_units(survey, file, trial)
    suspects = {name: trial for name, trial in suspects.items() if trial.failed}
    if suspects:
        raise _wrong_cell(survey, file, *max(suspects.items(), key=lambda item: item[1].read))
    said = {what: f"cells such as '{_shortened(like)}' are not read as {what}" for what, like in survey.alike.items()}
    note = _half_numbers(survey) or said.get("dates", "")
    return Rule(survey.name, None, missing=survey.said, note=note, doubt=said.get("numbers", ""))


def _mark(survey: Survey) -> str | None:
    """The format that the numbers of the column must be in; None where both fit, or there are no numbers."""
    fits = [name for name in FORMATS if name in survey.trials and survey.trials[name].complete]
    return fits[0] if len(fits) == 1 and survey.present else None


def _nothing(survey: Survey) -> Rule:
    """The rule for a column that holds nothing but gaps: numbers, unless its gaps may be words."""
    known = all(word in EVERYWHERE or word in survey.said for word in survey.gaps)
    return _rule(survey, next(iter(survey.trials))) if known or survey.kind else Rule(survey.name, None, missing=survey.said)


def _rule(survey: Survey, parser: str, learnt: Seen | None = None) -> Rule:
    allowed = (*BESIDE_FLAGS, *survey.said) if parser in BOOLEANS else tuple(survey.gaps)
    gaps = {word: count for word, count in survey.gaps.items() if word in allowed}
    missing = survey.said
    if learnt is not None:
        missing, gaps = (*missing, learnt.word), {**gaps, learnt.word: learnt.count}
    return Rule(survey.name, parser, survey.trials[parser].unit, missing, gaps, _remarks(survey, parser))


def _remarks(survey: Survey, parser: str) -> str:
    """How the numbers are written, where that was decided and may be wrong."""
    said = [in_unit(unit) for unit in (survey.trials[parser].unit,) if unit]
    if parser in FORMATS and survey.two_ways:
        said.append(f"'{survey.two_ways}' is {PARSERS[parser](pa.array([survey.two_ways])).values[0]:.10g}")
    if parser == PLAIN and survey.leading_zero:
        said.append(f"'{survey.leading_zero}' may be a code: --kind '{survey.name}=categorical' reads words")
    return "; ".join(said)


def _chosen(survey: Survey, complete: list[str], file: Source, marks: Collection[str | None]) -> str:
    """The first parser that reads all; of two formats of numbers, the one of the other columns, or of the kind of file."""
    both = COMMA in complete and (POINT in complete or PLAIN in complete) and survey.two_ways
    if not both:
        return complete[0]
    usual = {";": COMMA, ",": POINT, "": POINT}.get(file.delimiter)  # Parquet, which has no delimiter, is of programs
    if PLAIN in complete:
        if marks == {COMMA}:
            raise _two_readings(survey, file, "other columns of the file have decimal commas")
        return PLAIN
    found = next(iter(marks)) if len(marks) == 1 else None if marks else usual
    if found is None:
        raise _two_readings(survey, file, "no other cell of the column says which")
    return found


def _two_readings(survey: Survey, file: Source, why: str) -> DataError:
    point, comma = (PARSERS[name](pa.array([survey.two_ways])).values[0] for name in FORMATS)
    return DataError(
        f"{file.path}, column '{survey.name}': '{survey.two_ways}' is {point:.10g} if the point is the decimal mark, and "
        f"{comma:.10g} if the comma is",
        why,
        f"Say which with --kind '{survey.name}={POINT}' or --kind '{survey.name}={COMMA}' (in Python kinds=…).",
    )


def _ambiguous_order(survey: Survey, file: Source, orders: list[str]) -> Rule:
    how = f"--kind '{survey.name}={orders[0]}'"
    could = f"could be {' or '.join(order.removeprefix('date:') for order in orders)}"
    if survey.kind == "date":
        raise DataError(
            f"{file.path}: the dates of column '{survey.name}' {could}",
            "no cell says which",
            f"Name the order, for example {how} (in Python kinds=…).",
        )
    note = f"dates that {could}: name the order with {how}"
    return Rule(survey.name, None, missing=survey.said, note=note)


def _single_word(survey: Survey) -> Seen | None:
    """The one word, repeated and without digits, beside many different numbers or dates: it stands for gaps."""
    if survey.kind is not None or len(survey.numbers) <= FEW_NUMBERS:
        return None
    for name, trial in survey.trials.items():
        if name not in BOOLEANS and len(trial.failed) == 1:
            seen = next(iter(trial.failed.values()))
            if seen.count > 1 and trial.fails_only(seen.word) and not any(map(_is_numeral, seen.word)):
                return seen
    return None


def _is_numeral(character: str) -> bool:
    return unicodedata.category(character).startswith("N")  # also ¹ and ½


def _half_numbers(survey: Survey) -> str:
    """A remark on a column of words of which more than half of the cells are numbers."""
    trials = [trial for name, trial in survey.trials.items() if name not in BOOLEANS]
    trial = max(trials, key=lambda trial: trial.read, default=None)
    if trial is None or trial.read <= survey.present / 2:
        return ""
    if len(trial.units) > 1:
        return f"numbers {' and '.join(map(in_unit, list(trial.units)[:_SHOWN]))}{', …' * (len(trial.units) > _SHOWN)}"
    return f"{trial.read:,} of {survey.present:,} cells are numbers, and {_listed(trial.failed)} are not"


def _mixed_units(survey: Survey, file: Source, trial: Trial) -> DataError:
    common, *others = sorted(trial.units.items(), key=lambda item: -item[1].count)
    unit, seen = others[0]
    return DataError(
        f"{file.path}, {file.place(seen.row)}, column '{survey.name}': '{seen.word}' is a number {in_unit(unit)}",
        f"others, such as '{common[1].word}', are {in_unit(common[0])}",
        f"Write all in one unit; or read words with --kind '{survey.name}=categorical' (in Python kinds=…).",
    )


def _wrong_cell(survey: Survey, file: Source, parser: str, trial: Trial) -> DataError:
    seen = min(trial.failed.values(), key=lambda seen: seen.row)
    word = _shortened(seen.word)
    more = f" ({_listed(trial.failed)} are not)" if len(trial.failed) > 1 else ""
    if survey.kind:  # by a user, or by a model, which takes no other
        fix = "Correct the cell, or empty it if its value is not known."
    else:
        fix = (
            f"Correct the cell; or, if it stands for a missing value, add --missing '{word}'; or, if the column holds words, "
            f"--kind '{survey.name}=categorical' or '{survey.name}=text' (in Python missing=…, kinds=…)."
        )
    return DataError(
        f"{file.path}, {file.place(seen.row)}, column '{survey.name}': '{word}' is not {_expected(survey.kind, parser)}",
        f"{trial.read} of the {survey.present} cells with a value are{more}",
        fix,
    )


def _expected(kind: str | None, parser: str) -> str:
    if parser.startswith("date:"):
        return f"a date written {parser.removeprefix('date:')}" if kind == parser else "a date"
    known = {DURATIONS: "a duration such as 36:15:00 (hours, minutes, seconds)"}
    return known.get(parser) or " or ".join(BOOLEANS.get(parser, ("a number",)))


def _listed(failed: Mapping[str, Seen]) -> str:
    shown = sorted(failed.values(), key=lambda seen: -seen.count)[:_SHOWN]
    return ", ".join(f"'{_shortened(seen.word)}'" for seen in shown) + (", …" if len(failed) > len(shown) else "")


def _shortened(word: str) -> str:
    return word if len(word) <= 40 else f"{word[:40]}…"
