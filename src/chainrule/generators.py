"""Streams of random numbers, whose state is a Tensor like any other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from chainrule import checks
from chainrule.errors import ArgumentError
from chainrule.recording import no_grad
from chainrule.tensors import Tensor, apply, tensor


def check_seed(seed: Any) -> None:
    """Raise ArgumentError for what is no integer from 0 to 2⁶³ − 1."""
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**63:
        raise ArgumentError(f"the seed {seed!r} was given", "it must be an integer from 0 to 2⁶³ − 1", "Choose another.")


class Generator:
    """A stream of random numbers, the same for a seed in every backend.

    Its state is a Tensor int64[2] (seed, draw). Every call takes one draw, so that a compiled function that draws moves the
    stream on exactly as if it had run by itself. See `chainrule.ops.random`.
    """

    def __init__(self, seed: int = 0) -> None:
        self._state = tensor(np.array([0, 0], dtype=np.int64), name="random")
        self.seed(seed)

    @property
    def state(self) -> Tensor:
        """int64[2]: seed and draw."""
        return self._state

    def seed(self, seed: int) -> None:
        """Start the stream of `seed` (an integer of up to 63 bits) from its beginning.

        Raises:
            ArgumentError: it is no integer, or outside 0 … 2⁶³ − 1.
        """
        check_seed(seed)
        self.state.assign(np.array([seed, 0], dtype=np.int64))

    def uniform(self, shape: int | Sequence[int] = (), dtype: Any = np.float64) -> Tensor:
        """Numbers from [0, 1)."""
        return apply("uniform", self._next(), shape=shape, dtype=dtype)

    def normal(self, shape: int | Sequence[int] = (), dtype: Any = np.float64) -> Tensor:
        """Numbers from the standard normal distribution (Box and Muller 1958)."""
        return apply("normal", self._next(), shape=shape, dtype=dtype)

    def integers(self, low: int, high: int | None = None, shape: int | Sequence[int] = ()) -> Tensor:
        """Integers from low to high − 1 (from 0 to low − 1 if high is None), int64, all equally likely up to 2⁻⁵³ each.

        Raises:
            ArgumentError: limits that are not integers, that leave none, or are 2⁵³ or more apart.
        """
        first, end = (0, low) if high is None else (low, high)
        whole = all(isinstance(limit, int | np.integer) for limit in (first, end))
        if not whole or not 0 < int(end) - int(first) < 2**53:
            raise ArgumentError(
                f"integers from {first!r} to below {end!r} were asked for",
                "the limits are integers, the second larger by less than 2⁵³",
                "Check the limits: the second one is left out.",
            )
        drawn = self.uniform(shape) * float(int(end) - int(first))
        return apply("floor", drawn).astype(np.int64) + int(first)

    def permutation(self, count: int) -> Tensor:
        """The integers from 0 to count − 1 in random order, int64. Drawn at once, so not in a compiled function."""
        return tensor(np.argsort(self.uniform(checks.whole("permutation", "count", count, 0)).numpy(), kind="stable"))

    def dropout_mask(self, shape: int | Sequence[int], rate: float, dtype: Any = np.float64) -> Tensor:
        """1 / (1 − rate) with probability 1 − rate, else 0, for 0 ≤ rate < 1 (Srivastava et al. 2014)."""
        return apply("dropout_mask", self._next(), shape=shape, dtype=dtype, rate=rate)

    def _next(self) -> Tensor:
        with no_grad():
            key = Tensor(self.state.node)
            self.state.assign(self.state + np.array([0, 1], dtype=np.int64))
        return key


class _Default(Generator):
    """`cr.random`: the process's stream, and within `drawing_from` the one given there."""

    @property
    def state(self) -> Tensor:
        given = _stream.get()
        return self._state if given is None else given.state


_stream: ContextVar[Generator | None] = ContextVar("stream", default=None)
random = _Default()


@contextmanager
def drawing_from(stream: Generator) -> Iterator[None]:
    """Within it, in this thread, `cr.random` draws from `stream`, and `manual_seed` seeds that."""
    token = _stream.set(stream)
    try:
        yield
    finally:
        _stream.reset(token)


def manual_seed(seed: int) -> None:
    """Start the random stream `cr.random` afresh."""
    random.seed(seed)
