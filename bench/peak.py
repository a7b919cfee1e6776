"""How many float32 operations per second this machine can do at most: multiply-adds on registers, without any memory access.

    python -m bench.peak

`chainrule.backends.native.code.peak_loop` is the loop; `CHAINRULE_CPU` restricts the vectors.
"""

from __future__ import annotations

import os

from chainrule.backends.native.run import peak, threads
from chainrule.backends.native.target import host


def flops_per_second(count: int) -> float:
    """Operations per second of `count` threads at once; a multiply-add counts as two."""
    return peak.flops_per_second(host(), count)


def describe(flops: dict[int, float]) -> str:
    """One line about the machine and its peak, by number of threads."""
    target = host()
    rates = "; ".join(f"{count} thread{'s' * (count > 1)}: {rate / 1e9:,.0f} GFLOP/s" for count, rate in flops.items())
    return f"{target.cpu}, {8 * target.vector_bytes}-bit vectors ({target.level}), {os.cpu_count()} processors; {rates}"


def main() -> None:
    counts = sorted({1, threads.available()})
    print(describe({count: max(flops_per_second(count) for _ in range(5)) for count in counts}))


if __name__ == "__main__":
    main()
