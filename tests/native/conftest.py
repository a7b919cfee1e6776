"""Every test compiles anew, and most run at every vector length that this processor has, at once or with -m slow.

At the length that is used here, programs are made as users' are, where nothing else is said. At the others, which take two
thirds of the time, they are made with LLVM's few passes: what is emitted for a length is tried, not once more what LLVM's
passes do with it.
"""

from collections import defaultdict

import pytest

pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")

from native_levels import LEVELS

from chainrule.backends.native.code import object_code

# Of these, each case of a test runs at one level, case after case at another one, and with -m slow at the others.
IN_TURN = {"test_accuracy.py", "test_bounds.py", "test_contractions.py", "test_skipping.py", "test_steps.py"}
IN_TURN |= {"test_strided_convolutions.py", "test_winograd.py"}
IN_TURN |= {"test_casts", "test_integers", "test_reductions_along_any_axes"}  # in test_primitives.py


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    if any("[" in argument for argument in config.args):
        return  # cases that are asked for by name run
    numbers = defaultdict(dict)  # of the cases of each test
    for item in items:
        if {item.path.name, getattr(item, "originalname", "")} & IN_TURN and "level" in getattr(item, "fixturenames", ()):
            cases = numbers[item.path, item.originalname]
            case = str({name: value for name, value in item.callspec.params.items() if name != "level"})
            if item.callspec.params["level"] != LEVELS[cases.setdefault(case, len(cases)) % len(LEVELS)]:
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
