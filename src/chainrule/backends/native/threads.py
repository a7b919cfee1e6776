"""Several threads running one program: all execute the same code, each on its share, and meet at barriers.

Which thread computes an element never changes how it is computed, so results do not depend on the number of threads.
"""

from __future__ import annotations

import math
import os
import statistics
import sys
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue

from chainrule.errors import ArgumentError, explain

_MEASUREMENTS = 3  # of each way; the median counts
_TRIAL_SECONDS = 5e-3  # long beside the waking of threads
_SHARE_OF_TRIALS = 0.01  # of the time goes into trying the slower way again
BARRIER_WORDS = 16  # int64: how many have arrived, and, a cache line further, which meeting this is


def available() -> int:
    """How many threads programs may use: `CHAINRULE_THREADS`, or as many as there are processors for this process.

    Raises:
        ArgumentError: `CHAINRULE_THREADS` is not a whole number from 1 on.
    """
    wanted = os.environ.get("CHAINRULE_THREADS", "")
    if not wanted:
        return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    if not wanted.isdigit() or int(wanted) < 1:
        raise ArgumentError(
            explain(f"CHAINRULE_THREADS is {wanted!r}", "it must be a whole number from 1 on", "Unset it, or set it to 1.")
        )
    return int(wanted)


class Crew:
    """Threads that wait for work, for as long as the process lives. They start when first needed."""

    def __init__(self) -> None:
        self._queues: list[SimpleQueue[Callable[[], None]]] = []
        self._busy = threading.Lock()

    def run(self, task: Callable[[int], int], threads: int) -> int:
        """Call task(0) here and task(1), … on other threads, at the same time; gives what task(0) returned."""
        with self._busy:
            while len(self._queues) < threads - 1:
                self._hire()
            finished: SimpleQueue[None] = SimpleQueue()
            for number in range(1, threads):

                def errand(number: int = number) -> None:
                    task(number)
                    finished.put(None)

                self._queues[number - 1].put(errand)
            result = task(0)
            for _ in range(1, threads):
                finished.get()
            return result

    def forget(self) -> None:
        """Start anew: after a fork, the child has none of the threads."""
        self._queues, self._busy = [], threading.Lock()

    def _hire(self) -> None:
        queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._queues.append(queue)
        threading.Thread(target=_work, args=(queue,), daemon=True, name="chainrule").start()


def _work(queue: SimpleQueue[Callable[[], None]]) -> None:
    while True:
        queue.get()()


CREW = Crew()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=CREW.forget)


class Choice:
    """Whether several threads or one run a program: what was faster lately.

    Several are faster while every one has a processor; when other programs take one of them, all wait at every barrier. So both
    ways are measured a few times at first, and the slower one again and again for a small share of the time.
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
