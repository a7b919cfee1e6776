"""Which samples each step takes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chainrule import checks
from chainrule.ir import Array


class Batches:
    """The steps of an epoch: every sample once, in batches; the last one may be smaller.

    Args:
        samples: size of the data set.
        batch_size: samples per step; None for all.
        shuffle: whether every epoch has an order of its own, which depends on seed and epoch only.
        seed: of the orders.

    Raises:
        ArgumentError: a batch size below 1.
    """

    def __init__(self, samples: int, batch_size: int | None, *, shuffle: bool, seed: int) -> None:
        if batch_size is not None:
            checks.whole("fit", "batch_size", batch_size, 1, "Try 32, or None for all samples.")
        self._samples = samples
        self._size = min(samples, batch_size or samples)
        # Within one batch the order means nothing but rounding.
        self._shuffle = shuffle and self._size < samples
        self._seed = seed
        self.steps = -(-samples // self._size)

    @property
    def uniform(self) -> bool:
        """Whether all steps take equally many samples."""
        return self._samples % self._size == 0

    def rows(self, epoch: int, count: int) -> Iterator[Array]:
        """Row numbers (steps, batch) of `count` epochs from `epoch`, as few arrays as the sizes of their steps allow."""
        orders = [self._order(e) for e in range(epoch, epoch + count)]
        if self.uniform:
            yield np.concatenate(orders).reshape(-1, self._size)
            return
        for order in orders:
            whole = self._samples - self._samples % self._size
            if whole:
                yield order[:whole].reshape(-1, self._size)
            yield order[whole:].reshape(1, -1)

    def _order(self, epoch: int) -> Array:
        if not self._shuffle:
            return np.arange(self._samples)
        return np.random.default_rng([self._seed, epoch]).permutation(self._samples)
