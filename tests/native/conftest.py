"""Every test compiles anew, and most run at every vector length that this processor has."""

import pytest

pytest.importorskip("llvmlite", reason="the native backend needs llvmlite")

from native_levels import LEVELS


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setenv("CHAINRULE_CACHE", "off")


@pytest.fixture(params=LEVELS)
def level(request, monkeypatch):
    """The processor to make code for."""
    monkeypatch.setenv("CHAINRULE_CPU", request.param)
    return request.param
