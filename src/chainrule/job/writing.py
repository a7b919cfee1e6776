"""Diagnosing a run, and writing everything about it into its folder."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from chainrule.drawing import draw
from chainrule.errors import ArgumentError, ChainruleError, MissingDependency
from chainrule.fileio import write_file
from chainrule.job.diagnosing import diagnose_run
from chainrule.job.folders import CONFIG_FILE, CURVES_FILE, METRICS_FILE, MODEL_FILE, REPORT_FILE
from chainrule.job.prepared import PreparedData
from chainrule.job.report import write_report
from chainrule.job.results import Result


def diagnosed(result: Result, prepared: PreparedData) -> Result:
    """The result with its diagnosis; without one where the network cannot be diagnosed."""
    with suppress(ChainruleError):
        return replace(result, diagnosis=diagnose_run(result, prepared))
    return result


def write_run(result: Result, prepared: PreparedData, folder: Path) -> None:
    """Write model, configuration, metrics, learning curves and report into a run folder, the model first.

    There are no learning curves without resvg-py and a font, or where no epoch has a finite value.

    Raises:
        OutputError: a file could not be written; those before it are whole.
    """
    result.predictor.save(folder / MODEL_FILE)
    write_file(folder / CONFIG_FILE, result.config.to_toml().encode())
    values = {"held_out": result.metrics, "baseline": result.baseline}
    write_file(folder / METRICS_FILE, (json.dumps(values, indent=2) + "\n").encode())
    with suppress(MissingDependency, ArgumentError):
        draw(result.history).save(folder / CURVES_FILE)
    write_report(result, prepared, folder / REPORT_FILE)
