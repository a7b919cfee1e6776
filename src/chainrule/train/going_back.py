"""Going back to the values from before a step that failed."""

from __future__ import annotations

import time
from collections.abc import Sequence

from chainrule.fitting.steps import FailedStep, Steps
from chainrule.ir import Array
from chainrule.tensors import Tensor

_SHARE = 0.01  # of the time goes into looking at the parameters and keeping values


class Savepoint:
    """The values of all that steps change as they were now and then, and the steps taken since.

    A program stops before the update of a step whose loss is not finite. A parameter that is not finite is only noticed when
    somebody looks; the steps since the last look are then taken again, one by one, to the one that failed.

    Args:
        steps: the programs.
        parameters: what must stay finite.
        data: inputs, targets and sample weights of the whole data set.
        counting: see `Steps.train`.
    """

    def __init__(self, steps: Steps, parameters: Sequence[Tensor], data: Sequence[Array], counting: Array | None) -> None:
        self._steps = steps
        self._parameters = parameters
        self._data = data
        self._counting = counting
        self._looked_at, self._seconds = time.perf_counter(), 0.0
        self.keep()

    def keep(self) -> None:
        """Keep the present values."""
        self._since: list[tuple[Array, Array]] = []
        self._steps.values.keep()

    def note(self, rows: Array, rates: Array) -> None:
        """Note steps that were taken: their rows (steps, batch) and learning rates (steps, groups)."""
        self._since.append((rows, rates))

    def is_finite(self) -> bool:
        """Whether the parameters hold neither NaN nor infinities."""
        return self._steps.values.is_finite(self._parameters)

    def look(self) -> bool:
        """Look at the parameters and keep the values, if that was not done for long compared with the time that it takes.

        Returns:
            False if they are not finite.
        """
        start = time.perf_counter()
        if start - self._looked_at <= self._seconds / _SHARE:
            return True
        if not self.is_finite():
            return False
        self.keep()
        self._looked_at = time.perf_counter()
        self._seconds = self._looked_at - start
        return True

    def go_back(self, loss: float) -> tuple[FailedStep, int]:
        """Go back to the values from before the step that failed, where the last one noted had this loss.

        Returns:
            The step, and how many were taken after it.
        """
        rows, rates = self._since[-1]
        last = FailedStep(len(rows) - 1, rows[-1], rates[-1], loss), 0
        if self.is_finite():
            return last
        self._steps.values.go_back()
        return self._first_failed() or last

    def _first_failed(self) -> tuple[FailedStep, int] | None:
        later = sum(len(rows) for rows, _ in self._since)
        for rows, rates in self._since:
            failed = self._steps.first_failed(self._data, rows, rates, self._parameters, self._counting)
            if failed is not None:
                return failed, later - failed.index - 1
            later -= len(rows)
        return None
