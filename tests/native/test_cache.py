"""Executables kept on disk, and the names that they are kept under."""

import ast
import dataclasses
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from comparing import assert_same_run, held_by, in_groups, of_primitives, values
from native_levels import LEVELS
from test_threads import CONVOLUTIONAL, DENSE, training_step

import chainrule as cr
from chainrule import ir, ops
from chainrule.backends.native import NATIVE, compiler, host
from chainrule.backends.native.code import object_code
from chainrule.backends.native.plan.lower import plan_of
from chainrule.backends.native.run import cache, digest, thread_pool
from chainrule.backends.native.run.executable import Executable
from chainrule.errors import ArgumentError, GraphError
from chainrule.ops.requirement import Limits, positions


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "code"))
    monkeypatch.setattr(object_code, "_SMALL", 0)  # LLVM's few passes, which take less time
    return tmp_path / "code"


def test_what_hands_work_to_threads_is_kept(folder, monkeypatch):
    thread_pool._dispatcher.__wrapped__()
    monkeypatch.setattr(thread_pool.dispatch, "module_of", None)
    run, work, _ = thread_pool._dispatcher.__wrapped__()
    assert run and work and len(list(folder.iterdir())) == 1


def _graph(number=2.0, size=5):
    x = ir.placeholder("input", (size,), np.float64)
    return ir.Graph((x,), (ops.lookup("exp")(x) * number,))


def _run(number=2.0, size=5):
    x = np.linspace(0, 1, size)
    (found,) = NATIVE.compile(_graph(number, size)).run([x], [])
    np.testing.assert_allclose(found, np.exp(x) * number, rtol=1e-14)


@pytest.fixture
def compilations(monkeypatch):
    """How often a graph was planned, and so compiled."""
    made = []
    original = compiler.lower
    monkeypatch.setattr(compiler, "lower", lambda *arguments: made.append(1) or original(*arguments))
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
    "damage",
    [
        lambda d: d[:-1],
        lambda d: d[:50],
        lambda d: b"",
        lambda d: d[:-9] + b"x" + d[-8:],
        lambda d: d + b"x",
        lambda d: d.replace(b"arena_bytes", b"arena_bites"),
        lambda d: b"chainrule executable 0" + d[22:],
    ],
)
def test_a_damaged_file_is_replaced(damage, folder, compilations):
    _run()
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    _run()
    assert len(compilations) == 2
    assert cache.load(path.stem) is not None


def test_nothing_is_kept_when_it_is_off(folder, monkeypatch):
    monkeypatch.setenv("CHAINRULE_CACHE", "off")
    _run()
    assert not folder.exists()


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "file" / "folder"))
    _run()


def test_a_file_under_another_name_is_none(folder):
    cache.save("one", b"code")
    (folder / "one.chainrule").rename(folder / "two.chainrule")
    assert cache.load("two") is None


def test_many_writers_at_once(folder):
    code = bytes(range(256)) * 2000
    writers = [threading.Thread(target=cache.save, args=("name", code)) for _ in range(8)]
    for writer in writers:
        writer.start()
    while any(w.is_alive() for w in writers):
        found = cache.load("name")
        assert found is None or found == code
    assert cache.load("name") == code
    assert [p.name for p in folder.iterdir()] == ["name.chainrule"]


SCRIPT = (
    "import sys; import numpy as np; from chainrule import ir; from chainrule.backends.native import NATIVE\n"
    "x = ir.placeholder('input', (5,), np.float64)\n"
    "print(NATIVE.compile(ir.Graph((x,), (x * 2.0,))).run([np.ones(5)], [])[0].sum())\n"
    "parts = {name.split('.')[3] for name in sys.modules if name.startswith('chainrule.backends.native.')}\n"
    "print(bool(parts & {'compiler', 'graph', 'plan'}))"
)


def _started():
    return subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True)


def test_two_processes_at_once_and_a_third_that_does_not_even_import_what_compiles(folder):
    found = [process.communicate()[0].split() for process in [_started() for _ in range(2)]]
    assert [value for value, _ in found] == ["10.0", "10.0"]
    assert "True" in [imported for _, imported in found]
    assert len(list(folder.iterdir())) == 1
    assert _started().communicate()[0].split() == ["10.0", "False"]


NAMES = [f"{number:064x}" for number in range(6)]  # as those of `digest`
CODE = b"code"


def test_the_oldest_files_go_and_no_others(folder, monkeypatch):
    monkeypatch.setattr(cache, "_MOST_FILES", 3)
    folder.mkdir(mode=0o700)
    others = ["thesis.txt", "thesis.chainrule", NAMES[0], ".new-idea", f"{NAMES[0]}.txt"]
    for name in others:
        (folder / name).write_text("of the user")
        os.utime(folder / name, (0, 0))
    for number, name in enumerate(NAMES):
        cache.save(name, CODE)
        os.utime(folder / f"{name}.chainrule", (number, number))
    cache.save(NAMES[-1], CODE)
    assert {p.name for p in folder.iterdir()} == {*others, *(f"{name}.chainrule" for name in NAMES[-3:])}
    assert cache.load(NAMES[-1]) == CODE


def test_what_processes_left_that_were_killed_goes(folder):
    folder.mkdir(mode=0o700)
    old, young = folder / ".new-old.chainrule", folder / ".new-young.chainrule"
    for path in (old, young):
        path.touch()
    os.utime(old, (0, 0))
    cache.save(NAMES[0], CODE)
    assert young.exists()
    assert not old.exists()


# ------------------------------------------------------------------------------------------------ where it is kept
posix = pytest.mark.skipif(os.name != "posix", reason="owners and permissions of POSIX")


@posix
@pytest.mark.parametrize("umask", [0, 0o777])
def test_folders_and_files_are_for_the_user_alone(umask, tmp_path, monkeypatch):
    place = tmp_path / "new" / "folder"
    monkeypatch.setenv("CHAINRULE_CACHE", str(place))
    before = os.umask(umask)
    try:
        cache.save(NAMES[0], CODE)
    finally:
        os.umask(before)
    (file,) = place.iterdir()
    assert [p.stat().st_mode & 0o777 for p in (place.parent, place, file)] == [0o700, 0o700, 0o600]
    assert cache.load(NAMES[0]) is not None


@posix
@pytest.mark.parametrize("what", ["folder", "file"])
@pytest.mark.parametrize("mode", [0o020, 0o002])
def test_what_others_may_write_is_not_used(what, mode, folder, compilations):
    _run()
    (file,) = folder.iterdir()
    path = {"folder": folder, "file": file}[what]
    path.chmod(path.stat().st_mode | mode)
    with pytest.warns(
        UserWarning, match=r"may be written by other users, so the compiled code in it is not used\. Make it your"
    ) as said:
        for _ in range(2):
            _run()
    assert len(said) == 1
    assert str(path) in str(said[0].message)
    assert len(compilations) == (3 if what == "folder" else 2)  # a file is written anew, and then it is the user's own


@posix
def test_what_belongs_to_another_user_is_not_used(folder, compilations, monkeypatch):
    _run()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.warns(UserWarning, match="belongs to another user, so the compiled code in it is not used"):
        _run()
    assert len(compilations) == 2


@posix
def test_links_are_not_followed_and_pipes_not_waited_for(folder, tmp_path, compilations):
    _run()
    (file,) = folder.iterdir()
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    _run()
    assert not file.is_symlink()
    file.unlink()
    os.mkfifo(file, 0o600)
    _run()
    assert len(compilations) == 3
    assert file.is_file()


@posix
def test_a_link_to_a_folder_of_the_users_own_is_followed(folder, tmp_path, compilations):
    (tmp_path / "large disk").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "large disk")
    for _ in range(2):
        _run()
    assert len(compilations) == 1


def _no_home():
    raise RuntimeError("Could not determine home directory.")


@posix
@pytest.mark.parametrize("home", [None, "home"])
@pytest.mark.parametrize("given", [None, "", "cache-folder", "~/cache", "/absolute"])
def test_the_users_cache_folder(given, home, tmp_path, monkeypatch):
    """A relative XDG_CACHE_HOME does not count, as the XDG specification says; a user without a home keeps nothing."""
    monkeypatch.delenv("CHAINRULE_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    if given is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", given)
    monkeypatch.setattr(Path, "home", staticmethod((lambda: tmp_path / home) if home else _no_home))
    below = Path("/absolute") if given == "/absolute" else tmp_path / "home" / ".cache" if home else None
    assert cache.folder() == (below and below / "chainrule" / "native")


@posix
def test_a_home_that_begins_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CHAINRULE_CACHE", "~/code")
    assert cache.folder() == tmp_path / "code"


@pytest.mark.parametrize("given", ["code", "./code", "~nobody-of-that-name/code"])
def test_a_folder_below_the_working_folder_is_not_used(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHAINRULE_CACHE", given)
    monkeypatch.setattr(cache, "_warned", set())
    with pytest.warns(UserWarning, match="which is not an absolute path, so compiled code is not kept") as said:
        _run()
    assert len(said) == 1
    assert not list(tmp_path.iterdir())


def test_a_file_in_place_of_the_folder_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "file"))
    _run()
    assert (tmp_path / "file").read_text() == "in the way"


# ------------------------------------------------------------------------------------------------ what is kept
def test_an_executable_comes_back_as_it_was():
    constants = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array([True, False]), np.array(7), np.zeros((0, 2))]
    checks = {2: positions("take", 3), 5: Limits(-np.inf, 0.5, 7.0, "{} was given", "less", "Fix.")}
    one = Executable(b"\ncode\n", 3, 17, 4096, constants, checks)
    other = Executable.from_bytes(one.to_bytes())
    assert (other.code, other.threads, other.calls, other.arena_bytes, other.checks, other.checked) == (
        *(one.code, one.threads, one.calls, one.arena_bytes, one.checks, one.checked),
    )
    for a, b in zip(one.constants, other.constants, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
        assert b.flags.aligned


ALL_PASSES = object_code._SMALL
ALONE = [[name] for name in ops.PRIMITIVES]


@pytest.mark.parametrize(
    "names", [*in_groups(ops.PRIMITIVES, 4), *(pytest.param(n, marks=pytest.mark.slow) for n in ALONE)], ids=", ".join
)
def test_every_primitive_from_the_disk(names, folder, monkeypatch):
    """Among them those with constants and with positions to check; `assert_same_run` compares with the reference backend."""
    if len(names) == 1:
        monkeypatch.setattr(object_code, "_SMALL", ALL_PASSES)
    for _ in range(2):
        assert_same_run(*of_primitives(names, [1]))
    assert len(list(folder.iterdir())) <= 1


@pytest.mark.parametrize(
    ("layers", "features"),
    [
        pytest.param(DENSE, (70,), id="dense", marks=pytest.mark.slow),
        pytest.param(CONVOLUTIONAL, (3, 10, 10), id="convolutional"),
    ],
)
def test_a_training_step_from_the_disk(layers, features, compilations):
    rng = np.random.default_rng(0)
    tables = [rng.normal(size=(40, *features)).astype(np.float32), rng.integers(0, 4, 40)]
    rows = rng.integers(0, 40, (4, 13))
    runs = []
    for _ in range(2):
        cr.random.seed(0)
        found = training_step(layers, features)
        state = held_by(found)
        runs.append([*NATIVE.compile(found.graph).run_steps(tables, rows, [], state), *values(state)])
    assert len(compilations) == 1
    for a, b in zip(*runs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_position_outside_is_refused_by_what_is_on_the_disk(compilations):
    for _ in range(2):
        x, t = ir.placeholder("input", (4, 2), np.float64), ir.placeholder("input", (3,), np.int64)
        program = NATIVE.compile(ir.Graph((x, t), (ops.lookup("gather")(x, t),)))
        with pytest.raises(ArgumentError, match="gather got the index 4 for an axis of size 4"):
            program.run([np.zeros((4, 2)), np.array([0, 4, 1])], [])
    assert len(compilations) == 1


def test_broken_graphs_are_refused_and_never_kept(folder):
    x, stray = _leaf(), _leaf()
    empty = ir.Node("constant", (), {}, (4, 4), x.dtype)
    for graph, what in (
        (ir.Graph((x,), (x + stray,)), "is read but is neither"),
        (ir.Graph((x,), (x + empty,)), "has no value"),
    ):
        for _ in range(2):
            with pytest.raises(GraphError, match=what):
                NATIVE.compile(graph)
    assert not folder.exists()


def test_explaining_plans_only_when_asked(compilations):
    made = NATIVE.compile(_graph())
    kept = NATIVE.compile(_graph())
    assert (made.memory, len(compilations)) == (kept.memory, 1)
    assert made.explain() == kept.explain()
    assert "exp" in kept.profile([np.zeros(5)], [], steps=2)


# ------------------------------------------------------------------------------------------------ names
def _key(graph, threads=1):
    return digest.key(graph, host(), threads)


def _leaf(dtype=np.float32, shape=(4, 4), name=None):
    return ir.placeholder("input", shape, dtype, name)


def _exp_of(number=2.0, **leaf):
    x = _leaf(**leaf)
    return ir.Graph((x,), (ops.lookup("exp")(x * number),))


def _sum_over(**attributes):
    x = _leaf()
    return ir.Graph((x,), (ops.lookup("sum")(x, **attributes),))


def _difference(*, swapped=False, shared=True, as_state=False, written=True):
    """f(x) − f(y), in variants that differ in their wiring alone."""
    x, y = (ir.placeholder("variable" if as_state else "input", (4,), np.float32) for _ in range(2))
    e = ops.lookup("exp")(x)
    d = e - y
    outputs = (y - e if swapped else d, (e if shared else ops.lookup("exp")(x)) * 3.0)
    return ir.Graph((), outputs, (x, y), (d if written else x, y)) if as_state else ir.Graph((x, y), outputs)


def test_graphs_that_differ_have_names_that_differ():
    graphs = [
        _exp_of(),
        _exp_of(number=2.5),
        _exp_of(number=np.arange(4, dtype=np.float32)),
        _exp_of(number=np.arange(1, 5, dtype=np.float32)),
        _exp_of(dtype=np.float64),
        _exp_of(shape=(2, 8)),
        _sum_over(axis=0),
        _sum_over(axis=1),
        _sum_over(axis=0, keepdims=True),
        *(_difference(swapped=swapped, shared=shared) for swapped in (False, True) for shared in (False, True)),
        *(_difference(as_state=True, written=written) for written in (False, True)),
    ]
    x, y = _leaf(), _leaf()
    graphs += [
        ir.Graph((x, y), (x - y,)),
        ir.Graph((y, x), (x - y,)),
        ir.Graph((x, y), (x - y, x)),
        ir.Graph((x, y), (x, x - y)),
    ]
    keys = [_key(graph) for graph in graphs]
    assert len(set(keys)) == len(keys)
    assert _key(graphs[0], threads=2) != keys[0]


def test_the_same_graph_has_the_same_name_whatever_its_nodes_are_called():
    assert _key(_exp_of(name="x")) == _key(_exp_of(name="y")) == _key(_exp_of())


def test_a_change_of_any_source_file_changes_the_name(tmp_path, monkeypatch):
    """One byte, in each file of a copy: nothing may be found on disk that older code made."""
    package = Path(cr.__file__).parent
    for path in digest.sources():
        copy = tmp_path / path.relative_to(package)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    native = {path.relative_to(package) for path in (package / "backends" / "native").rglob("*.py")}
    x, target = _leaf(), host()
    graph = ir.Graph((x,), (x * 2.0,))

    def name():
        digest._source.cache_clear()
        return digest.key(graph, target, 1)

    original = name()
    monkeypatch.setattr(digest, "_PACKAGE", tmp_path)
    copies = digest.sources()
    assert native <= {path.relative_to(tmp_path) for path in copies}
    assert name() == original
    names = []
    for path in copies:
        before = path.read_bytes()
        path.write_bytes(bytes([before[0] ^ 1]) + before[1:])
        names.append(name())
        path.write_bytes(before)
    digest._source.cache_clear()
    assert len({original, *names}) == 1 + len(copies)


@pytest.mark.parametrize("names", [("p", "q"), ("q", "p")])
def test_plans_do_not_depend_on_names(names):
    """Not even where two buffers lie that are alike: so what is on the disk fits a graph whose nodes are called otherwise."""

    def plan(names):
        x = _leaf()
        factors = [ops.lookup(op)(x) for op in ("exp", "tanh")]
        for node, name in zip(factors, names, strict=True):
            node.name = name
        made = plan_of(ir.Graph((x,), (factors[0] @ factors[1],)), host(), 1)
        return [(s.kernel, s.parallel, [(b.storage, b.number) for b in s.buffers]) for s in made.calls], made.arena_bytes

    assert plan(names) == plan((None, None))


@pytest.mark.parametrize("name", ops.PRIMITIVES)
def test_every_primitive_has_a_name(name):
    case = ops.PRIMITIVES[name].cases(np.random.default_rng(0))

    def graph():
        leaves = tuple(ir.placeholder("input", a.shape, a.dtype) for a in case.inputs)
        return ir.Graph(leaves, (ops.PRIMITIVES[name](*leaves, **case.attributes),))

    assert _key(graph()) == _key(graph()) is not None


@pytest.mark.parametrize("pair", [(1, True), (1, 1.0), (0.0, -0.0), (1.0, np.float64(1.0)), (np.float32(1), np.float64(1))])
def test_attributes_are_told_apart(pair):
    x = _leaf()
    first, second = (_key(ir.Graph((x,), (ir.Node("exp", (x,), {"a": value}, x.shape, x.dtype),))) for value in pair)
    assert first != second


def test_what_is_no_plain_data_is_compiled_every_time(folder, compilations, monkeypatch):
    x = _leaf()
    assert _key(ir.Graph((x,), (ir.Node("exp", (x,), {"a": print}, x.shape, x.dtype),))) is None
    monkeypatch.setattr(digest, "key", lambda *arguments: None)
    for _ in range(2):
        _run()
    assert len(compilations) == 2
    assert not folder.exists()


def test_a_graph_with_an_operation_of_the_users_own_has_no_name(monkeypatch):
    """The body of such a block may be another one tomorrow."""
    x = _leaf()
    assert _key(ir.Graph((x,), (ops.lookup("silu")(x),))) is not None
    own = dataclasses.replace(ops.PRIMITIVES["silu"], name="own")
    monkeypatch.setitem(ops.PRIMITIVES, "own", own)
    assert _key(ir.Graph((x,), (own(x),))) is None
    monkeypatch.setitem(ops.PRIMITIVES, "silu", dataclasses.replace(own, name="silu"))
    assert _key(ir.Graph((x,), (ops.lookup("silu")(x),))) is None


def test_the_name_depends_on_all_source_that_lowers():
    """From this package along its imports; left out is what says errors, defines protocols, holds values, or interprets."""
    package = Path(cr.__file__).parent
    left_out = {package / "errors.py", package / "checks.py"} | {
        package / "backends" / name for name in ("contract.py", "host.py", "reference.py")
    }
    waiting, reached = list((package / "backends" / "native").rglob("*.py")), set()
    while waiting:
        path = waiting.pop()
        if path in reached | left_out:
            continue
        reached.add(path)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("chainrule"):
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                places = [package.parent.joinpath(*name.split(".")) for name in names if name != "chainrule"]
                waiting += [p for place in places for p in (place.with_suffix(".py"), place / "__init__.py") if p.exists()]
    reached.discard(package / "backends" / "__init__.py")
    assert package / "ops" / "blocks.py" in reached
    assert reached <= set(digest.sources())
