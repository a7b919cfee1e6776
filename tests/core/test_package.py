"""The package as a whole: what it exports, what it imports, and in which direction."""

import ast
import importlib
import inspect
import operator
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import chainrule as cr

SOURCE = Path(cr.__file__).parent

# From the top down: a part imports from the parts below it, and from nothing above or beside it.
PARTS = ["cli", "job", "drawing", "grading", "train", "derivations", "diagnosis", "fitting", "data", "nn", "optim"]
PARTS += ["numpy_functions", "functional", "testing", "conformance", "capture", "reads", "tensors", "states", "turns"]
PARTS += ["backends", "passes", "autodiff", "ops", "ir", "fileio", "language", "checks", "elsewhere", "version", "errors"]
LEVEL = {name: level for level, name in enumerate(PARTS)}
HEAVY = ["torch", "sklearn", "pyarrow", "matplotlib", "PIL", "pandas", "scipy", "llvmlite", "rich", "click", "jax", "resvg_py"]


def _part(path):
    """The top-level part of the package that a file belongs to: `nn` for nn/linear.py, `` for the package itself."""
    first = path.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def _imported_parts(path):
    """Parts of chainrule that a file imports anywhere, functions and TYPE_CHECKING blocks included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; write the full name"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("chainrule.")}
    return found


FILES = sorted(SOURCE.rglob("*.py"))


def test_every_part_has_a_layer():
    parts = {_part(p) for p in FILES} - {"__init__", "__main__"}
    assert parts == set(PARTS), "a new part needs a place in PARTS"


@pytest.mark.parametrize(
    "path", [p for p in FILES if _part(p) not in {"__init__", "__main__"}], ids=lambda p: str(p.relative_to(SOURCE))
)
def test_imports_point_one_way(path):
    level = LEVEL[_part(path)]
    above = {name for name in _imported_parts(path) & set(LEVEL) if LEVEL[name] < level}
    assert not above, f"{path.name} must not import {', '.join(sorted(above))}"


def test_the_direction_test_can_fail(tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text("def f():\n    from chainrule.nn import Linear\n    import chainrule.tensors\n", "utf-8")
    assert _imported_parts(wrong) == {"nn", "tensors"}


def test_importing_chainrule_imports_nothing_heavy():
    script = "import sys, chainrule; print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    assert "numpy" in loaded
    assert not loaded & set(HEAVY)


def test_all_names_what_is_exported():
    tree = ast.walk(ast.parse((SOURCE / "__init__.py").read_text("utf-8")))
    imports = [n for n in tree if isinstance(n, ast.ImportFrom) and (n.module or "").startswith("chainrule")]
    assert set(cr.__all__) == {alias.asname or alias.name for node in imports for alias in node.names}
    assert len(cr.__all__) == len(set(cr.__all__))


@pytest.mark.parametrize("name", cr.__all__)
def test_every_public_name_has_a_docstring(name):
    value = getattr(cr, name)
    documented = value if callable(value) or inspect.ismodule(value) else type(value)
    assert inspect.getdoc(documented)
    if inspect.isclass(documented) and documented.__module__.startswith("chainrule"):
        for attribute, member in vars(documented).items():
            if callable(member) and not attribute.startswith("_"):
                assert inspect.getdoc(member), f"{name}.{attribute}"


def test_every_primitive_that_users_may_want_has_a_function():
    internal = {"cast", "windows", "windows_sum", "convolution", "conv_transpose", "slice", "uniform", "normal", "dropout_mask"}
    internal |= {"weighted", "masked", "exceeds", "attains"}  # the term of a loss, and of a gradient, with its conditions
    internal |= {"require"}  # what refuses values
    missing = set(cr.ops.PRIMITIVES) - internal - set(dir(cr.functional))
    assert not missing


def test_no_module_is_hidden_behind_a_function_of_its_name():
    modules = {
        module.name for module in pkgutil.walk_packages(cr.__path__, "chainrule.") if not module.name.endswith("__main__")
    }
    for name in sorted(modules):
        importlib.import_module(name)
    hidden = [name for name in sorted(modules) if not inspect.ismodule(operator.attrgetter(name.partition(".")[2])(cr))]
    assert not hidden


def test_the_version_is_a_version():
    assert cr.__version__.count(".") == 2
