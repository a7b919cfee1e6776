"""What the measured systems run in: environment variables, and a description of the machine for the results."""

from __future__ import annotations

import importlib.util
import os
import platform
from importlib import metadata
from typing import Any

# Set on some machines for old builds of OpenBLAS; they slow down the ones in use today.
_BLAS_OVERRIDES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
_SETTINGS = ("CHAINRULE_", "OMP_", "MKL_", "OPENBLAS_", "XLA_", "TORCH")  # variables that change how systems work
_PACKAGES = ("numpy", "llvmlite", "scikit-learn", "torch", "jax", "jaxlib")
_MODULES = {"scikit-learn": "sklearn"}


def variables(**more: str) -> dict[str, str]:
    """The environment for a measured process: this one's, without settings of OpenBLAS for old builds, and with `more`."""
    return {name: value for name, value in os.environ.items() if name not in _BLAS_OVERRIDES} | more


def machine() -> dict[str, Any]:
    """Processors, versions, and the variables that change how systems work."""
    versions = {name: metadata.version(name) for name in _PACKAGES if importlib.util.find_spec(_MODULES.get(name, name))}
    return {
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "packages": versions,
        "variables": {name: value for name, value in variables().items() if name.startswith(_SETTINGS)},
    }
