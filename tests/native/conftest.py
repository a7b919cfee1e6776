"""Every test compiles anew, and most run at every vector length that this processor has.

At the length that is used here, programs are made as users' are. At the others, which take two thirds of the time, they are
made with LLVM's few passes: what is emitted for a length is tried, not once more what LLVM's passes do with it.
"""

import zlib

import pytest

pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")

from native_levels import LEVELS

from chainrule.backends.native.code import object_code

# Of these, each test runs at one level, which its parameters choose, and with -m slow at the others.
IN_TURN = {"test_accuracy.py", "test_skipping.py", "test_winograd.py"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.name in IN_TURN and "level" in getattr(item, "fixturenames", ()):
            others = {name: value for name, value in item.callspec.params.items() if name != "level"}
            turn = LEVELS[zlib.crc32(f"{item.originalname} {others}".encode()) % len(LEVELS)]
            if item.callspec.params["level"] != turn:
                item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True, scope="module")
def few_passes():
    """The same passes as where no test runs."""


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setenv("CHAINRULE_CACHE", "off")


@pytest.fixture(params=LEVELS)
def level(request, monkeypatch):
    """The processor to make code for."""
    monkeypatch.setenv("CHAINRULE_CPU", request.param)
    if request.param != LEVELS[0]:
        monkeypatch.setattr(object_code, "_SMALL", 0)
    return request.param
