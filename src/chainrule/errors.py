"""All errors that chainrule raises on purpose.

    ChainruleError
    ├── ShapeError            shapes that do not fit an operation            (also a ValueError)
    ├── DTypeError            an element type an operation does not take     (also a TypeError)
    ├── ArgumentError         any other wrong argument                       (also a ValueError)
    ├── CallError             arguments that a function does not have        (also a TypeError)
    ├── MissingName           an attribute that is not there                 (also an AttributeError)
    ├── GradientError         a derivative that does not exist or was not recorded
    ├── CaptureError          Python code that a compiled graph cannot hold
    ├── GraphError            a graph that breaks the rules of the IR: a defect in chainrule or in an extension
    ├── DataError             a table, image folder or array that cannot be learnt from   (also a ValueError)
    ├── ModelFileError        a model or checkpoint file that is broken or from elsewhere
    ├── OutputError           a file that cannot be written
    ├── MissingDependency     an optional package that is not installed      (also an ImportError)
    └── TrainingError         training that cannot go on
        └── NonFiniteLoss     the loss became NaN or infinite

An error is made of what was given, what was expected, and what to do: `ShapeError(given, expected, fix)`.
"""

from __future__ import annotations

from typing import Any


class ChainruleError(Exception):
    """Base of every error that chainrule raises on purpose.

    Args:
        given: what was found, as a clause that can start a sentence ("matmul got shapes (2, 3) and (4, 5)"); alone, all there
            is to say.
        expected: what would have been right ("the last axis of the first must equal …").
        fix: what the reader can do about it, as an instruction.
    """

    def __init__(self, given: str, expected: str = "", fix: str = "") -> None:
        super().__init__(f"{given}; {expected}. {fix}" if expected else given)


class ShapeError(ChainruleError, ValueError):
    """Shapes that do not fit an operation."""


class DTypeError(ChainruleError, TypeError):
    """An element type that an operation does not take."""


class ArgumentError(ChainruleError, ValueError):
    """A wrong argument that is neither a shape nor an element type."""


class CallError(ChainruleError, TypeError):
    """Arguments that a function does not have, or too many or too few of them."""


class MissingName(ChainruleError, AttributeError):
    """An attribute or function that is not there."""


class GradientError(ChainruleError):
    """A derivative that does not exist, or of something that was not recorded."""


class CaptureError(ChainruleError):
    """Python code that cannot become a compiled graph."""


class GraphError(ChainruleError):
    """A graph that breaks the rules of the IR."""


class DataError(ChainruleError, ValueError):
    """A data set that cannot be learnt from as it is."""


class ModelFileError(ChainruleError):
    """A model or checkpoint file that is broken, altered, or from elsewhere."""


class OutputError(ChainruleError):
    """A file that cannot be written."""


class MissingDependency(ChainruleError, ImportError):
    """An optional package that is not installed."""


class TrainingError(ChainruleError):
    """Training that cannot go on."""


class NonFiniteLoss(TrainingError):
    """The loss became NaN or infinite.

    Attributes:
        breakdown: the step, the node and the reason as data, a `chainrule.diagnosis.Breakdown`.
    """

    def __init__(self, given: str, expected: str = "", fix: str = "", *, breakdown: Any = None) -> None:
        super().__init__(given, expected, fix)
        self.breakdown = breakdown


def missing_dependency(package: str, purpose: str, extra: str) -> MissingDependency:
    """The error for an optional package that `purpose` needs and that comes with `extra`."""
    return MissingDependency(
        f"{purpose} needs the package {package}, which is not installed",
        f"it comes with the extra '{extra}'",
        f'Install it with: pip install "chainrule[{extra}]"',
    )
