"""The tables of what can be chosen by name, put back as they were after a test that registers something."""

from collections.abc import Iterator
from contextlib import contextmanager

from chainrule import backends, nn, ops, optim, registry
from chainrule.job.inputs import ENCODERS
from chainrule.train import METRICS

TABLES = (
    ops.PRIMITIVES,
    nn.LAYERS,
    nn.LOSSES,
    nn.INITIALISERS,
    METRICS,
    optim.OPTIMIZERS,
    optim.RULES,
    optim.SCHEDULES,
    backends.OTHERS,
    ENCODERS,
    registry.ORIGINS,
)


@contextmanager
def kept_tables() -> Iterator[None]:
    before = [dict(table) for table in TABLES]
    try:
        yield
    finally:
        for table, entries in zip(TABLES, before, strict=True):
            table.clear()
            table.update(entries)
