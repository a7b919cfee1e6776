"""Settings for all tests."""

import contextlib
import gc
import os
import signal
from pathlib import Path

# Small matrix products are slower on several threads, and far slower where other work takes the cores. Read by NumPy's import.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# What one test compiles the next one finds, in any process, and so does the next run. It lies with pytest's own cache, not at
# home, and every user has a folder of their own: that of another user is not used.
_CACHE = Path(__file__).parents[1] / ".pytest_cache"
with contextlib.suppress(OSError):
    _CACHE.mkdir(exist_ok=True)
os.environ.setdefault("CHAINRULE_CACHE", str(_CACHE / f"code-{getattr(os, 'getuid', int)()}"))

# A shell that starts a job in the background has it, and the processes that it starts, ignore what tests send: Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest
from hypothesis import HealthCheck, settings

from chainrule.errors import MissingDependency

# Machines that run tests are shared, so how long one example takes, or is drawn, says nothing.
# The same examples in every run: a test fails for who broke it, not by chance for who comes later.
# Many properties are parametrised over a table, so 60 examples of each entry are thousands of the code that entries share.
settings.register_profile(
    "chainrule",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    database=None,
    max_examples=60,
)
settings.load_profile("chainrule")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Keep the garbage collector from looking, time and again, through all that is imported and collected, which stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(10_000)  # what was made anew since the last time, before it looks again
        gc.enable()


@pytest.fixture(autouse=True, scope="module")
def few_passes():
    """Small programs are made with LLVM's few passes, as large ones are: in half the time. Those of tests/native are not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chainrule.backends.native.code.object_code._SMALL", 0)
        yield


@pytest.fixture
def in_short(monkeypatch):
    """Of runs, what takes longer than a small network learns is left out: the short runs of a diagnosis, and a picture."""

    def no_picture(history):
        raise MissingDependency("left out here")

    monkeypatch.setattr("chainrule.diagnosis.diagnosing._judged", lambda measured: [])
    monkeypatch.setattr("chainrule.job.writing.draw", no_picture)


@pytest.fixture
def needs_png():
    """Skips, with the reason, where no PNG can be rendered: without resvg-py, or without a font that has the letters."""

    from chainrule.drawing.picture import _check_fonts

    def check(*, chinese=False):
        try:
            _check_fonts(chinese=chinese)
        except MissingDependency as error:
            pytest.skip(str(error))

    check()
    return check
