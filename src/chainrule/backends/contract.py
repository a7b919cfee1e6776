"""What a backend promises: a graph in, a program out.

A program does not own any state. The arrays of a graph's state are handed in by the caller and changed in place, so that
several programs (for a full batch and for the last, smaller one) can work on the same parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from chainrule.ir import Array, Graph


class Program(Protocol):
    """A graph made ready to run."""

    def run(self, inputs: Sequence[Array], state: Sequence[Array]) -> list[Array]:
        """Run once.

        Args:
            inputs: one array per graph input, of exactly its shape and dtype.
            state: one array per state leaf; afterwards holds the updates.

        Returns:
            One new array per graph output.
        """
        ...

    def run_steps(
        self,
        tables: Sequence[Array],
        rows: Array,
        per_step: Sequence[Array],
        state: Sequence[Array],
        until: float | None = None,
    ) -> list[Array]:
        """Run many steps, each on other rows of the same tables.

        The graph's first inputs are batches, gathered as `table[rows[k]]` in step k; its other inputs take `values[k]` of each
        array in `per_step`. The first output is watched: a step in which it is not finite, or not above `until`, is the last,
        and leaves the state as it found it.

        Args:
            tables: arrays of shape (samples, …), one per gathered input.
            rows: int64 (steps, batch), row numbers.
            per_step: arrays of shape (steps, …), one per remaining input.
            state: as in `run`.
            until: the value of the first output at which to stop; None: never.

        Returns:
            Per output an array (steps run, …), the last step included.
        """
        ...


@runtime_checkable
class Profiled(Program, Protocol):
    """A program of kernels, which can be listed and timed."""

    def explain(self) -> str:
        """The kernels in the order in which they run."""
        ...

    def profile(self, inputs: Sequence[Array], state: Sequence[Array], steps: int = 20) -> str:
        """The same with the time that each takes on average over so many steps. Arguments as in `run`; state stays as it is."""
        ...


class Backend(Protocol):
    """Something that can run graphs."""

    @property
    def name(self) -> str:
        """How it is asked for."""
        ...

    def compile(self, graph: Graph, threads: int | None = None) -> Program:
        """Make a graph ready to run.

        Args:
            graph: what to run.
            threads: how many may work on it, at least 1; None: as many as there are. Results do not depend on it.

        Raises:
            GraphError: the graph breaks the rules of the IR.
        """
        ...
