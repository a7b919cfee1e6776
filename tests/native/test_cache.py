"""Machine code kept on disk."""

import threading

import numpy as np
import pytest
from native_levels import LEVELS

from chainrule import ir, ops
from chainrule.backends.native import NATIVE, cache, engine


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "code"))
    return tmp_path / "code"


def _graph(number=2.0, size=5):
    x = ir.placeholder("input", (size,), np.float64)
    return ir.Graph((x,), (ops.lookup("exp")(x) * number,))


def _run(number=2.0, size=5):
    x = np.linspace(0, 1, size)
    (found,) = NATIVE.compile(_graph(number, size)).run([x], [])
    np.testing.assert_allclose(found, np.exp(x) * number, rtol=1e-14)


@pytest.fixture
def compilations(monkeypatch):
    """How often something was really compiled."""
    made = []
    original = engine._compiled
    monkeypatch.setattr(engine, "_compiled", lambda *arguments: made.append(1) or original(*arguments))
    return made


def test_the_same_program_is_compiled_once(folder, compilations):
    for _ in range(3):
        _run()
    assert len(compilations) == len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("other", [{"number": 3.0}, {"size": 6}])
def test_another_program_is_another_file(other, folder, compilations):
    _run()
    _run(**other)
    assert len(compilations) == len(list(folder.iterdir())) == 2


def test_another_processor_is_another_file(folder, compilations, monkeypatch):
    monkeypatch.setenv("CHAINRULE_CPU", "")
    _run()
    monkeypatch.setenv("CHAINRULE_CPU", LEVELS[-1])
    _run()
    assert len(compilations) == len(list(folder.iterdir())) == 2


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-1], lambda d: d[:50], lambda d: b"", lambda d: d[:-9] + b"x" + d[-8:], lambda d: d + b"x"]
)
def test_a_damaged_file_is_replaced(damage, folder, compilations):
    _run()
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    _run()
    assert len(compilations) == 2
    assert cache.load(path.name) is not None


def test_nothing_is_kept_when_it_is_off(folder, monkeypatch):
    monkeypatch.setenv("CHAINRULE_CACHE", "off")
    _run()
    assert not folder.exists()


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "file" / "folder"))
    _run()


def test_many_writers_at_once(folder):
    code = bytes(range(256)) * 2000
    writers = [threading.Thread(target=cache.save, args=("name", code)) for _ in range(8)]
    for writer in writers:
        writer.start()
    while any(w.is_alive() for w in writers):
        assert cache.load("name") in (None, code)
    assert cache.load("name") == code
    assert [p.name for p in folder.iterdir()] == ["name"]


def test_the_oldest_files_go(folder, monkeypatch):
    monkeypatch.setattr(cache, "_MOST_FILES", 3)
    for k in range(6):
        cache.save(f"file {k}", b"code")
    assert len(list(folder.iterdir())) == 3
    assert cache.load("file 5") == b"code"
