"""A plan as text: its kernels with their loops, tiles, operations and bytes, and, from a profile, the time of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.backends.native.plan.kernels import (
    SCRATCH,
    Check,
    Contraction,
    Draw,
    Kernel,
    Load,
    Nest,
    Staged,
    cycles,
    traffic,
    work,
)
from chainrule.backends.native.plan.plans import KernelCall, Plan
from chainrule.backends.native.plan.schedule import schedule
from chainrule.backends.native.target import Target

_LONGEST_LABEL = 60


@dataclass(frozen=True)
class Measured:
    """What a profile found.

    Attributes:
        seconds: of each kernel in a step.
        peak: operations per second that the processor can do at most, on as many threads as the plan.
    """

    seconds: Sequence[float]
    peak: float


def describe(plan: Plan, target: Target, measured: Measured | None = None) -> str:
    """The plan as text, one line a kernel; with the time that each took and its share of the peak, if they were measured."""
    operations = sum(work(s.kernel) for s in plan.calls)
    lines = [
        f"{len(plan.calls)} kernels for {target.level} ({target.cpu}) on {plan.threads} thread{'s' * (plan.threads > 1)}; "
        f"{operations:,} operations a step; {plan.arena_bytes:,} bytes of intermediate results"
    ]
    if measured is not None:
        total = sum(measured.seconds)
        lines.append(
            f"{total * 1e6:,.1f} µs a step, {operations / total / 1e9:,.1f} GFLOP/s; "
            f"multiply-adds on registers reach {measured.peak / 1e9:,.1f} GFLOP/s"
        )
    heading = f"{'cycles':>9}" if measured is None else f"{'µs':>9} {'of peak':>7}"
    lines.append(f"{'':>4} {heading} {'operations':>13} {'bytes':>12}  kernel")
    for number, call in enumerate(plan.calls):
        if number == plan.first_writer:
            lines.append("     ---- all outputs are known: from here on, state is written ----")
        kernel = call.kernel
        time = f"{cycles(kernel, target.vector_bytes // 4):9,.0f}" if measured is None else _time(number, kernel, measured)
        lines.append(f"{number:>4} {time} {work(kernel):>13,} {traffic(kernel):>12,}  {_kernel(kernel, target)}{_rest(call)}")
    return "\n".join([*lines, *(_by_kind(plan, measured) if measured is not None else [])])


def _by_kind(plan: Plan, measured: Measured) -> list[str]:
    """The time of each kind of kernels, and its share of the whole and of the peak."""
    seconds: dict[str, float] = {}
    operations: dict[str, int] = {}
    for call, taken in zip(plan.calls, measured.seconds, strict=True):
        kind = _kind(call)
        seconds[kind] = seconds.get(kind, 0.0) + taken
        operations[kind] = operations.get(kind, 0) + work(call.kernel)
    total = sum(seconds.values())
    return [
        f"{seconds[kind] * 1e6:14,.2f} {operations[kind] / max(seconds[kind], 1e-9) / measured.peak:7.0%} "
        f"{operations[kind]:>13,} {seconds[kind] / total:>11.0%}  {kind}"
        for kind in sorted(seconds, key=lambda kind: -seconds[kind])
    ]


def _kind(call: KernelCall) -> str:
    if isinstance(call.kernel, Staged):
        return "of the time in convolutions in stages"
    if not isinstance(call.kernel, Contraction):
        return "of the time in everything else"
    written = call.kernel.epilogue.stores if call.kernel.epilogue is not None else ()
    updates = any(call.buffers[s.access.buffer].storage == "state" for s in written if s.access.buffer != SCRATCH)
    return "of the time in products that update state" if updates else "of the time in products"


def _time(number: int, kernel: Kernel, measured: Measured) -> str:
    seconds = measured.seconds[number]
    share = work(kernel) / max(seconds, 1e-9) / measured.peak
    return f"{seconds * 1e6:9.2f} {share:7.0%}"


def _rest(call: KernelCall) -> str:
    label = call.label if len(call.label) <= _LONGEST_LABEL else call.label[: _LONGEST_LABEL - 1] + "…"
    return f"{' shared by threads' if call.parallel else ''}: {label}"


def _kernel(kernel: Kernel, target: Target) -> str:
    if isinstance(kernel, Nest):
        return _nest(kernel, target)
    if isinstance(kernel, Contraction):
        return _contraction(kernel)
    if isinstance(kernel, Staged):
        return f"in {_sizes(kernel.sizes)} stages: " + "; ".join(_kernel(inner, target) for inner in kernel.kernels)
    if isinstance(kernel, Draw):
        return f"draw {kernel.count} random {kernel.dtype}"
    assert isinstance(kernel, Check)
    beside = "" if kernel.limits.also is None else f" or are {kernel.limits.also:g}"
    return f"check that {_sizes(kernel.sizes)} values lie within {kernel.limits.low:g} … {kernel.limits.high:g}{beside}"


def _nest(nest: Nest, target: Target) -> str:
    plan = schedule(nest, target)
    axes = [f"{n}{'↓' * r}" for n, r in zip(nest.sizes, nest.reduced, strict=True)]
    if plan.axis is not None:
        axes[plan.axis] += f"/{plan.lanes}"
    loads = sum(isinstance(v, Load) for v in nest.values)
    kinds = sorted({r.kind for r in nest.reductions})
    reduced = f", {' and '.join(kinds)}" if kinds else ""
    return f"loop [{' × '.join(axes) or '1'}] {loads} loads, {len(nest.stores)} stores{reduced}"


def _contraction(kernel: Contraction) -> str:
    tiling = kernel.tiling
    batch = f"{_sizes(kernel.batch)} × " if kernel.batch else ""
    parts = [f"product {batch}[{kernel.rows} × {kernel.columns}] over {_sizes(kernel.inner)}"]
    parts.append(f"tile {tiling.rows} × {tiling.vectors} vectors of {tiling.lanes}")
    if tiling.skipping:
        parts.append("zeros skipped")
    if tiling.packing != "none":
        parts.append(f"{tiling.packing} panels")
    if kernel.accumulate:
        parts.append("added up slab by slab")
    if kernel.split != "none":
        parts.append(f"{kernel.split} split")
    if kernel.epilogue is not None:
        parts.append(f"then {len(kernel.epilogue.stores)} stores per element")
    return ", ".join(parts)


def _sizes(sizes: Sequence[int]) -> str:
    return " × ".join(map(str, sizes)) or "1"
