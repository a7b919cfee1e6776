"""Diagnosing a run, and writing everything about it into its folder."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from chainrule.drawing import draw
from chainrule.errors import ArgumentError, DataError, GradientError, MissingDependency, ShapeError
from chainrule.fileio import write_file
from chainrule.job.diagnosing import diagnose_run
from chainrule.job.folders import CONFIG_FILE, CURVES_FILE, METRICS_FILE, MODEL_FILE, REPORT_FILE
from chainrule.job.prepared import PreparedData
from chainrule.job.report import write_report
from chainrule.job.results import Result


def diagnosed(result: Result, prepared: PreparedData) -> Result:
    """The result with its diagnosis, or with the reason why this network and data cannot be diagnosed."""
    try:
        return replace(result, diagnosis=diagnose_run(result, prepared))
    except (ArgumentError, DataError, GradientError, ShapeError) as error:  # what `diagnose` raises; others are defects
        return replace(result, not_diagnosed=error)


def write_run(result: Result, prepared: PreparedData, folder: Path) -> Result:
    """Write model, configuration, metrics, learning curves and report into a run folder, the model first.

    There are no learning curves without resvg-py and a font, or where no epoch has a finite value.

    Returns:
        The result with its diagnosis.

    Raises:
        OutputError: a file could not be written; those before it are whole.
    """
    result.predictor.save(folder / MODEL_FILE)
    write_file(folder / CONFIG_FILE, result.config.to_toml().encode())
    values = {"held_out": result.metrics, "baseline": result.baseline}
    write_file(folder / METRICS_FILE, (json.dumps(values, indent=2) + "\n").encode())
    with suppress(MissingDependency, ArgumentError):
        draw(result.history).save(folder / CURVES_FILE)
    result = diagnosed(result, prepared)
    write_report(result, prepared, folder / REPORT_FILE)
    return result
