"""Processors: which one code is made for, and code for one that cannot be run here."""

import subprocess
import sys

import llvmlite.binding as llvm
import numpy as np
import pytest
from native_levels import LEVELS

import chainrule as cr
from chainrule.backends.native import target
from chainrule.backends.native.code import codegen
from chainrule.backends.native.plan import lower
from chainrule.capture import capture
from chainrule.errors import ArgumentError


def test_the_best_level_is_taken_unless_another_is_asked_for(monkeypatch):
    monkeypatch.delenv("CHAINRULE_CPU", raising=False)
    assert target.host().level == LEVELS[0]
    for level in LEVELS:
        monkeypatch.setenv("CHAINRULE_CPU", level)
        assert target.host().level == level


def test_an_unknown_level(monkeypatch):
    monkeypatch.setenv("CHAINRULE_CPU", "mmx")
    with pytest.raises(ArgumentError, match=r"CHAINRULE_CPU is 'mmx'; this processor can run .*\. Unset it, or set it to one"):
        target.host()


def _assembly(made_for):
    w = cr.parameter(np.zeros((20, 30), np.float32))

    def step(x):
        loss = cr.tanh(x @ w).sum()
        (gradient,) = cr.grad(loss, [w])
        w.assign(w - 0.1 * gradient)
        return loss

    graph = capture(step, [((8, 20), np.float32, "x")]).graph
    module = codegen.module_of(lower.plan_of(graph, made_for, threads=2), made_for)
    parsed = llvm.parse_assembly(str(module))
    machine = made_for.machine()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(parsed, builder)
    return machine.emit_assembly(parsed)


def test_code_for_arm64_multiplies_and_adds_whole_vectors():
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    neon = target.Target("neon", "aarch64-unknown-linux-gnu", "generic", "", 16, 32, False)
    text = _assembly(neon)
    assert ".4s" in text
    assert "fmla" in text
    assert "bl\texp" not in text


@pytest.mark.skipif("avx2" not in LEVELS, reason="only where AVX2 is")
def test_code_for_avx2_uses_its_registers_and_calls_no_library(monkeypatch):
    monkeypatch.setenv("CHAINRULE_CPU", "avx2")
    text = _assembly(target.host())
    assert "vfmadd" in text
    assert "%ymm" in text
    assert "%zmm" not in text
    called = {line.split()[1] for line in text.splitlines() if line.split()[:1] == ["callq"]}
    assert {c for c in called if not c.startswith(("kernel", "gather", "loop", "meet", ".L"))} <= {
        "sched_yield@PLT",
        "memset@PLT",
        "memcpy@PLT",
    }


def test_without_llvmlite_the_error_says_how_to_install_it():
    program = (
        "import sys; sys.modules['llvmlite'] = None\n"
        "import chainrule\n"
        "try:\n    import chainrule.backends.native\n"
        "except chainrule.errors.MissingDependency as error:\n    print(error)\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "the native backend needs the package llvmlite" in found
    assert "pip install llvmlite" in found
