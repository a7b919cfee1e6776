"""The processor that code is made for: its name, features, vector length and number of vector registers.

`CHAINRULE_CPU` restricts the features, so that one machine can make, and test, what smaller ones would get:

    avx512    64-byte vectors, 32 registers, masks
    avx2      32-byte vectors, 16 registers, fused multiply-add
    sse2      16-byte vectors, 16 registers: every x86-64
    neon      16-byte vectors, 32 registers: every arm64
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

import llvmlite.binding as llvm

from chainrule.errors import ArgumentError
from chainrule.ir import DType

CACHE_LINE = 64  # bytes; every buffer begins at one


@dataclass(frozen=True)
class Target:
    """What the code generator needs to know of a processor.

    Attributes:
        level: "avx512", "avx2", "sse2" or "neon".
        triple: the platform, as LLVM names it.
        cpu: the processor, as LLVM names it.
        features: LLVM's feature string, "" for those of `cpu`.
        vector_bytes: bytes in a vector register.
        registers: number of vector registers.
        masks: whether vector loads and stores can leave out lanes at no cost.
        rate: multiply-adds of whole vectors, or loads of them, that start per cycle.
    """

    level: str
    triple: str
    cpu: str
    features: str
    vector_bytes: int
    registers: int
    masks: bool
    rate: int = 2

    def lanes(self, dtype: DType) -> int:
        """Elements of `dtype` in a vector register."""
        return self.vector_bytes // dtype.itemsize

    def machine(self) -> llvm.TargetMachine:
        """LLVM's code generator for this processor."""
        return llvm.Target.from_triple(self.triple).create_target_machine(
            cpu=self.cpu, features=self.features, opt=3, reloc="pic", codemodel="default", jit=True
        )


_LEVELS = {"avx512": (64, 32, True), "avx2": (32, 16, False), "sse2": (16, 16, False), "neon": (16, 32, False)}
# What each restricted level is compiled for: a processor model that has exactly these features, and no tuning by chance.
_MODELS = {"avx512": "x86-64-v4", "avx2": "x86-64-v3", "sse2": "x86-64", "neon": "generic"}

_HALF_WIDTH = ("znver4",)  # they work on vectors of 64 bytes one half after the other


@cache
def _initialised() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


def host() -> Target:
    """The processor that this runs on, restricted by `CHAINRULE_CPU`.

    Raises:
        ArgumentError: `CHAINRULE_CPU` names no level, or one that this processor does not have.
    """
    return _host(os.environ.get("CHAINRULE_CPU", ""))


@cache
def _host(wanted: str) -> Target:
    _initialised()
    triple = llvm.get_process_triple()
    levels = _available(triple)
    if wanted not in ("", *levels):
        raise ArgumentError(
            f"CHAINRULE_CPU is {wanted!r}",
            f"this processor can run {', '.join(levels)}",
            "Unset it, or set it to one of these.",
        )
    if wanted:
        return Target(wanted, triple, _MODELS[wanted], "-prefer-256-bit" if wanted == "avx512" else "", *_LEVELS[wanted])
    features = llvm.get_host_cpu_features().flatten()
    if levels[0] == "avx512":
        features += ",-prefer-256-bit"
    name = llvm.get_host_cpu_name()
    return Target(levels[0], triple, name, features, *_LEVELS[levels[0]], rate=1 if name in _HALF_WIDTH else 2)


def _available(triple: str) -> list[str]:
    """The levels that this processor has, best first."""
    if triple.startswith(("aarch64", "arm64")):
        return ["neon"]
    features = llvm.get_host_cpu_features()
    found = ["sse2"]
    if features.get("avx2") and features.get("fma"):
        found.insert(0, "avx2")
        if all(features.get(f"avx512{part}") for part in ("f", "bw", "dq", "vl", "cd")):
            found.insert(0, "avx512")
    return found
