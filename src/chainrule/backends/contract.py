"""What a backend promises: it keeps values, and makes programs of graphs that run on them.

A `Variable` is a value that a backend keeps between runs, wherever that backend computes: a parameter, a moment, the random
stream. `Backend.hold` makes one of an array. The state of a program is a sequence of Variables, one per leaf of `graph.state`;
a run reads them and leaves its updates in them. Several programs (for a full batch, for the last, smaller one, for prediction)
run on the same Variables, so nothing is copied between them. A value comes to Python when somebody reads it.

`chainrule.testing.check_backend` checks all that is said here; docs/contributing/add-a-backend.md builds a backend.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from chainrule.ir import Array, Graph


class Variable(Protocol):
    """A value that a backend keeps between runs."""

    @property
    def place(self) -> str:
        """Where it is kept, such as "host" or "cuda:0"; see `Backend.place`."""
        ...

    def read(self) -> Array:
        """The value now, in C order. The array stays as it is, whatever later runs do; the caller does not write into it.

        A backend that hands out its own memory takes other memory for this Variable before the next update.
        """
        ...

    def copy(self) -> Variable:
        """A Variable of its own with the value as it is now, in the same place."""
        ...

    def is_finite(self) -> bool:
        """Whether it holds neither NaN nor infinities."""
        ...


class Program(Protocol):
    """A graph made ready to run.

    The caller sees to it that no other thread reads or runs on the same Variables meanwhile. A run that raises leaves them as
    they were; in `run_steps`, as they were before the step that raised. State that the graph does not update is not written.
    """

    def run(self, inputs: Sequence[Array], state: Sequence[Variable]) -> list[Array]:
        """Run once.

        Args:
            inputs: one array per graph input, of exactly its shape and dtype; they are not written.
            state: one Variable per state leaf, in the backend's place; afterwards they hold the updates, all computed from the
                values before. Callers with the same state pass the same tuple, so a program may remember what it found out.

        Returns:
            One new array per graph output, computed from the state before the updates.

        Raises:
            ArgumentError: a value outside of what an operation allows, such as a position outside an axis.
        """
        ...

    def run_steps(
        self,
        tables: Sequence[Array],
        rows: Array,
        per_step: Sequence[Array],
        state: Sequence[Variable],
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

    def profile(self, inputs: Sequence[Array], state: Sequence[Variable], steps: int = 20) -> str:
        """The same with the time that each takes on average over so many steps. Arguments as in `run`; state stays as it is."""
        ...


class Backend(Protocol):
    """Something that can run graphs."""

    @property
    def name(self) -> str:
        """How it is asked for."""
        ...

    @property
    def place(self) -> str:
        """Where its Variables are. Backends of one place work on each other's; between places, values go through arrays."""
        ...

    def hold(self, value: Array) -> Variable:
        """Keep a value: a Variable of this shape and dtype.

        Args:
            value: any strides, maybe read-only. Others may read it as long as they like, so it is never written.
        """
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
