"""Exceptions and forks at any moment, memory that runs out, and programs that are dropped: each in a process of its own."""

import subprocess
import sys

import numpy as np
import pytest
from comparing import compiled, held_by, values
from test_threads import DENSE, training_step

from chainrule import ir
from chainrule.backends.native import NativeBackend
from chainrule.backends.native.code import object_code
from chainrule.backends.native.plan import lower
from chainrule.backends.native.run import address_space, program, thread_pool

BEGINNING = """
import faulthandler, itertools, os, signal, sys, threading
import numpy as np
import chainrule as cr
from chainrule.backends.native.code import object_code
from chainrule.backends.native.plan import lower
from chainrule.backends.native.run import program, thread_pool

faulthandler.dump_traceback_later(500, exit=True)
lower._WORTH_SHARING = lower._WORTH_THREADS = 0
x, w = np.ones((64, 32), np.float32), np.full((32, 32), 0.01, np.float32)


def compiled(threads, factor=1.0):
    function = cr.compile(lambda x, w: (cr.tanh(x @ w) @ w * factor).sum(), threads=threads)
    function(x, w)
    return function
"""

FEW_PASSES = "object_code._SMALL = 0\n"  # of LLVM's, which take less time

# The exceptions of a real timer, a handler that calls what it interrupts, and then an exception before every instruction of the
# code that hands work to threads. (That comes last: where Python leaves a `with`, no handler runs, and locks would stay taken.)
INTERRUPTED = """
f = compiled(threads=2)
right = float(f(x, w))

signal.signal(signal.SIGALRM, signal.default_int_handler)
for delay in np.random.default_rng(0).uniform(1e-5, 1e-3, 100):
    try:
        signal.setitimer(signal.ITIMER_REAL, delay)
        while True:
            f(x, w)
    except KeyboardInterrupt:
        pass
    assert float(f(x, w)) == right

calls = []


def call(*_):  # it sets the next alarm itself: on a busy machine, one that repeats would interrupt handlers without end
    calls.append(float(f(x, w)))
    if len(calls) < 20:
        signal.setitimer(signal.ITIMER_REAL, 1e-3)


signal.signal(signal.SIGALRM, call)
signal.setitimer(signal.ITIMER_REAL, 1e-4)
while len(calls) < 20:
    f(x, w)
print("handlers", set(calls) == {right})
worker = threading.Thread(target=f, args=(x, w))  # no lock was left taken
worker.start()
worker.join()

files, left = (thread_pool.__file__, program.__file__), 0


def trace(frame, event, argument):
    global left
    if frame.f_code.co_filename not in files:
        return None
    frame.f_trace_opcodes = True
    if event == "opcode":
        left -= 1
        if left == 0:
            raise KeyboardInterrupt
    return trace


for count in itertools.count(1):
    left = count
    try:
        sys.settrace(trace)
        f(x, w)
        break
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(None)
    assert float(f(x, w)) == right
print("instructions", count > 100)
"""

FORKED = """
one, two = compiled(threads=1), compiled(threads=2)
right, stop = [float(one(x, w)), float(two(x, w))], threading.Event()
factors = itertools.count(2)


def always(work):
    while not stop.is_set():
        work()


work = [lambda: one(x, w), lambda: two(x, w), lambda: compiled(1, float(next(factors))), lambda: two.program(x, w).plan]
threads = [threading.Thread(target=always, args=(some,)) for some in work]
for thread in threads:
    thread.start()
codes = []
for number in range(int(os.environ["CHILDREN"])):
    child = os.fork()
    if child == 0:
        signal.alarm(300)
        compiled(2, -float(number))
        os._exit(0 if [float(one(x, w)), float(two(x, w))] == right else 1)
    codes.append(os.waitpid(child, 0)[1])
stop.set()
for thread in threads:
    thread.join()
print(codes)
"""

DROPPED = """
import ctypes, gc
from chainrule import ir
from chainrule.backends.native import NATIVE


def megabytes():
    gc.collect()
    getattr(ctypes.CDLL(None), "malloc_trim", int)(0)  # glibc's: what is free goes back to the system
    _, resident, shared, *_ = map(int, open("/proc/self/statm").read().split())  # shared: above all the code of LLVM
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE") / 1e6


def one(number):
    a = ir.placeholder("input", (number, 7), np.float32)
    b = ir.placeholder("input", (7, 9), np.float32)
    made = NATIVE.compile(ir.Graph((a, b), (a @ b * 2.0,)), 1)
    made.run([np.ones((number, 7), np.float32), np.ones((7, 9), np.float32)], [])


for _ in range(2):  # compiled, then found on the disk
    for number in range(3, 18):
        one(number)
    before = megabytes()
    for number in range(18, 18 + int(os.environ["PROGRAMS"])):
        one(number)
    print(megabytes() - before)
"""

LIMITED = """
import resource, warnings


def used():
    return int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


compiled(1)
warnings.simplefilter("ignore")
for spare in (1, 15, 40, 60, 400):
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_AS, (used() + spare * 2**20,) * 2)
        function = cr.compile(lambda x: cr.tanh(x * 2.0).sum() + cr.log1p(x), threads=2)
        value, name = function(np.ones(5, np.float32)), type(function.program(np.ones(5, np.float32))).__name__
        right = np.allclose(value.numpy(), 5 * np.tanh(2.0) + np.log(2.0))
        print(spare, right, name, flush=True)
        os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
"""

LIMITED_FROM_THE_START = """
import os, resource
import chainrule as cr

size = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
resource.setrlimit(resource.RLIMIT_AS, (size + 30 * 2**20,) * 2)
try:
    cr.compile(cr.exp)
except cr.errors.MissingDependency as error:
    print(error)
"""


def run(script, tmp_path, **settings):
    """What a script prints."""
    environment = {"CHAINRULE_CACHE": str(tmp_path / "code"), "OPENBLAS_NUM_THREADS": "1", **settings}
    found = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="timers with signals are there on POSIX systems only")
def test_an_exception_at_any_moment_leaves_programs_usable(tmp_path):
    assert run(BEGINNING + FEW_PASSES + INTERRUPTED, tmp_path) == "handlers True\ninstructions True\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@pytest.mark.parametrize("children", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_child_can_run_and_compile_whatever_the_threads_of_its_parent_did(children, tmp_path):
    assert run(BEGINNING + FEW_PASSES + FORKED, tmp_path, CHILDREN=str(children)) == f"{[0] * children}\n"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("programs", "most"), [(16, 2.2), *(pytest.param(*p, marks=pytest.mark.slow) for p in ((35, 8), (100, 16)))]
)
def test_programs_that_are_dropped_are_freed(programs, most, tmp_path):
    made, kept = map(float, run(BEGINNING + DROPPED, tmp_path, PROGRAMS=str(programs)).split())
    assert made < most
    assert kept < most / 2


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_cannot_be_compiled_for_want_of_memory_runs_on_the_reference_backend(tmp_path):
    lines = run(BEGINNING + FEW_PASSES + LIMITED, tmp_path, CHAINRULE_CACHE="off").splitlines()
    little = [line for spare in (1, 15, 40, 60) for line in (f"{spare} True ReferenceProgram", "0")]
    assert lines == [*little, "400 True NativeProgram", "0"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_too_little_memory_to_load_llvm_is_an_error_that_says_so(tmp_path):
    found = run(LIMITED_FROM_THE_START, tmp_path)
    assert "the native backend cannot load llvmlite" in found
    assert "it needs about 200 MB of address space for it. Raise the limit (ulimit -v)" in found


def test_a_warning_says_that_memory_was_missing(monkeypatch):
    def refuse(size):
        raise address_space.OutOfAddressSpace

    monkeypatch.setattr(address_space, "require", refuse)
    backend = NativeBackend()
    x = ir.placeholder("input", (3,), np.float64)
    with pytest.warns(UserWarning, match=r"too little memory to compile .* graphs run on the slow reference backend") as said:
        for _ in range(2):
            (found,) = backend.compile(ir.Graph((x,), (x * 2.0,))).run([np.ones(3)], [])
    assert len(said) == 1
    np.testing.assert_array_equal(found, [2.0] * 3)


def test_threads_that_cannot_be_started_are_done_without(monkeypatch):
    def refuse(*arguments):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(lower, "_WORTH_SHARING", 0)
    monkeypatch.setattr(lower, "_WORTH_THREADS", 0)
    monkeypatch.setattr(object_code, "_SMALL", 0)  # LLVM's few passes, which take less time
    monkeypatch.setenv("CHAINRULE_THREADS", "3")
    found = training_step(DENSE, (70,))
    made = compiled(found.graph)
    arrays = [np.ones((13, 70), np.float32), np.zeros(13, np.int64)]
    results = []
    for start in (thread_pool._thread.start_new_thread, refuse):
        monkeypatch.setattr(program, "POOL", thread_pool.ThreadPool())
        monkeypatch.setattr(thread_pool._thread, "start_new_thread", start)
        state = held_by(found)
        results.append([*made.run(arrays, state), *values(state)])
    assert made.plan.threads == 3
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)
