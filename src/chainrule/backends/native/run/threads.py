"""How many threads run a program.

How an element is computed does not depend on the thread that does it, so results do not depend on the number of threads.
"""

from __future__ import annotations

import math
import os
import statistics
import sys
from collections import deque

from chainrule.errors import ArgumentError

_MEASUREMENTS = 3  # of each way; the median counts
_TRIAL_SECONDS = 5e-3  # long beside the waking of threads
_SHARE_OF_TRIALS = 0.01  # of the time goes into trying the slower way again


def available() -> int:
    """How many threads programs may use: `CHAINRULE_THREADS`, or as many as there are processors for this process.

    Raises:
        ArgumentError: `CHAINRULE_THREADS` is not a whole number from 1 on.
    """
    wanted = os.environ.get("CHAINRULE_THREADS", "")
    if not wanted:
        return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    if not wanted.isdigit() or int(wanted) < 1:
        raise ArgumentError(f"CHAINRULE_THREADS is {wanted!r}", "it must be a whole number ≥ 1", "Unset it, or set it to 1.")
    return int(wanted)


class Choice:
    """Whether several threads or one run a program: what was faster lately.

    Several are faster as long as each has a processor of its own. If another program takes one, all wait for it at every
    barrier. So both ways are timed a few times at first, and later the slower one is tried again for a small share of the
    time.
    """

    def __init__(self, threads: int) -> None:
        ways = dict.fromkeys((threads, 1))
        self._paces: dict[int, deque[float]] = {n: deque(maxlen=_MEASUREMENTS) for n in ways}  # seconds per step
        self._spent = dict.fromkeys(ways, 0.0)
        self._best = threads

    def next(self, steps: int) -> tuple[int, int]:
        """How many threads to use now, and for how many of so many steps."""
        if len(self._paces) == 1:
            return self._best, steps
        unsure = min(self._paces, key=lambda n: len(self._paces[n]))
        if len(self._paces[unsure]) < _MEASUREMENTS:
            return unsure, self._trial(unsure, steps)
        best, other = sorted(self._paces, key=lambda n: statistics.median(self._paces[n]))
        if best != self._best:
            self._best, self._spent = best, dict.fromkeys(self._spent, 0.0)
        if self._spent[other] <= _SHARE_OF_TRIALS * self._spent[best]:
            return other, self._trial(other, steps)
        return best, steps

    def _trial(self, threads: int, steps: int) -> int:
        """Steps that take long enough to be timed; the very first one finds cold caches and says little."""
        paces = self._paces[threads]
        return min(steps, math.ceil(_TRIAL_SECONDS / paces[-1])) if paces else 1

    def note(self, threads: int, steps: int, seconds: float) -> None:
        """Take down how long so many steps took."""
        self._paces[threads].append(max(seconds, 1e-9) / steps)
        self._spent[threads] += seconds
