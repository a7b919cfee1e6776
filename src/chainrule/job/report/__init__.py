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

from chainrule.fileio import write_file
from chainrule.job.prepared import PreparedData
from chainrule.job.report import data, findings, network, quality, sample
from chainrule.job.report.pages import page
from chainrule.job.results import Result

__all__ = ["report_html", "write_report"]


def report_html(result: Result, prepared: PreparedData) -> str:
    """The report of a run: data, settings, learning curves, measures, network, gradient flow, diagnosis, one derivation.

    The page asks for nothing from outside, follows the reader's light or dark setting, prints, and holds both languages with a
    switch between them. What needs an optional package that is not installed says so in its place.

    Args:
        result: the finished run; its network is not changed.
        prepared: the data that it was trained and judged on.
    """
    outputs = result.predictor.model.predict(prepared.X_held, backend=result.config.backend)
    parts = [
        data.data_section(prepared),
        data.settings_section(result.config),
        quality.curves_section(result.history),
        quality.quality_section(result, prepared, outputs),
        network.network_section(result, prepared, outputs),
        network.flow_section(result, prepared),
        findings.diagnosis_section(result, prepared),
        sample.sample_section(result, prepared, outputs),
    ]
    return page(prepared.target.name, Path(prepared.source).name, parts)


def write_report(result: Result, prepared: PreparedData, path: str | Path) -> None:
    """Write `report_html` to a file.

    Raises:
        OutputError: the file could not be written.
    """
    write_file(path, report_html(result, prepared).encode(errors="backslashreplace"))
