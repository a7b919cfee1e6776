"""The report of a run: one HTML page that needs nothing else, in English and Chinese.

page        the page, its style, tables; parts that could not be made
words       every word, in both languages
data        what was learnt from, and with which settings
quality     learning curves, measures, confusion matrix, residuals
network     layers, drawing, gradient flow
findings    what is wrong with the network, if anything, and the numbers of its layers
sample      the backward pass of one sample, derived step by step
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from chainrule.fileio import write_file
from chainrule.job.problem import Problem
from chainrule.job.report import data, findings, network, quality, sample
from chainrule.job.report.pages import page

if TYPE_CHECKING:
    from chainrule.job.training import Result

__all__ = ["report_html", "write_report"]


def report_html(result: Result, problem: Problem) -> str:
    """The report of a run: data, settings, learning curves, measures, network, gradient flow, diagnosis, one derivation.

    The page asks for nothing from outside, follows the reader's light or dark setting, prints, and holds both languages with a
    switch between them. What needs an optional package that is not installed says so in its place.

    Args:
        result: the finished run; its network is not changed.
        problem: the data that it was trained and judged on.
    """
    outputs = result.predictor.model.predict(problem.X_held, backend=result.config.backend)
    parts = [
        data.data_section(problem),
        data.settings_section(result.config),
        quality.curves_section(result.history),
        quality.quality_section(result, problem, outputs),
        network.network_section(result, problem, outputs),
        network.flow_section(result, problem),
        findings.diagnosis_section(result, problem),
        sample.sample_section(result, problem, outputs),
    ]
    return page(problem.target.name, Path(problem.source).name, parts)


def write_report(result: Result, problem: Problem, path: str | Path) -> None:
    """Write `report_html` to a file.

    Raises:
        OutputError: the file could not be written.
    """
    write_file(path, report_html(result, problem).encode(errors="backslashreplace"))
