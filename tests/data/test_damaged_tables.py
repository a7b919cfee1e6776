"""Whatever is in a file that should be a table: it is read, or refused with a message of ours."""

import resource

import numpy as np
import pytest
from damaged import damaged, parquet_table, text_table

from chainrule.data import FeatureEncoder, TargetEncoder, read_table
from chainrule.errors import ChainruleError


def read_and_encode(path) -> str:
    """Everything that training does with a table but the training; what came of it, in a word."""
    try:
        table = read_table(path, verbatim=("y", "town"))
        for column in table:
            assert len(column.texts()) == table.n_rows
            assert isinstance(column.remark, str)
        target = table.names[-1]
        rows = table[target].present_rows
        encoder = TargetEncoder.fit(table[target])
        encoder.encode(table[target], rows)
        X = FeatureEncoder.fit(table, target).transform(table)
    except ChainruleError as error:
        assert str(error)
        return "refused"
    assert np.isfinite(X).all()
    assert np.abs(X).max() <= 10
    return "read"


def counts(folder, seeds) -> dict[str, int]:
    whole = {"a.csv": text_table(","), "b.tsv": text_table("\t"), "c.parquet": parquet_table(folder)}
    found = dict.fromkeys(("read", "refused"), 0)
    for seed in seeds:
        name = list(whole)[seed % len(whole)]
        path = folder / name
        path.write_bytes(damaged(whole[name], seed))
        try:
            found[read_and_encode(path)] += 1
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
    return found


def test_damaged_tables_are_read_or_refused(tmp_path):
    found = counts(tmp_path, range(300))
    assert min(found.values()) > 10, found


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.timeout(1800)
def test_many_damaged_tables_are_read_or_refused(tmp_path):
    counts(tmp_path, range(300, 10_300))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2**20, "a gigabyte"
