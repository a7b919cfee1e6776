"""What imports what: every module, the imports inside functions included."""

import ast
import graphlib
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import chainrule as cr

SOURCE = Path(cr.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))

# From the top down: a part imports from the parts below it, and from nothing above or beside it.
PARTS = ["cli", "estimators", "job", "drawing", "grading", "extend", "train", "derivations", "diagnosis", "fitting", "data"]
PARTS += ["nn", "optim", "aliases", "numpy_functions", "composites", "functional", "creation", "testing", "conformance"]
PARTS += ["capture", "reads"]
PARTS += ["contents", "weak", "generators", "gradients", "tensors", "learnable", "operands", "conversions", "recording"]
PARTS += ["states", "turns", "backends", "passes", "autodiff", "layers", "ops", "ir"]
PARTS += ["frames", "fileio", "language", "checks", "elsewhere", "registry", "version", "errors"]
LEVEL = {name: level for level, name in enumerate(PARTS)}
HEAVY = ["torch", "sklearn", "pyarrow", "matplotlib", "PIL", "pandas", "scipy", "llvmlite", "rich", "click", "jax", "resvg_py"]


def module_name(path, source=SOURCE):
    """`chainrule.nn.linear` for nn/linear.py, `chainrule.nn` for nn/__init__.py."""
    return ".".join(["chainrule", *path.relative_to(source).with_suffix("").parts]).removesuffix(".__init__")


HOLDS_STATEMENTS = (ast.stmt, ast.excepthandler, ast.match_case)  # expressions import nothing
MODULES = {module_name(path): path for path in FILES}


def part_of(module):
    """The top-level part of the package that a module belongs to: `nn` for chainrule.nn.linear."""
    return module.split(".")[1] if "." in module else ""


def imported(tree, modules=MODULES, *, types=True):
    """The modules of chainrule that parsed source imports anywhere; `types=False` leaves out what only annotations need."""
    found, waiting = set(), [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "import by the full name"
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in modules else str(node.module) for name in full}
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not types:
            waiting += node.orelse
        else:
            waiting += (part for part in ast.iter_child_nodes(node) if isinstance(part, HOLDS_STATEMENTS))
    return {name for name in found if name.split(".")[0] == "chainrule"}


@cache
def imports_of(module):
    """The modules that a module imports, and those of them that not only annotations need."""
    tree = ast.parse(MODULES[module].read_text("utf-8"))
    return imported(tree), imported(tree, types=False)


def circle_in(imports):
    """A circle among modules, or None: `imports` has the modules that each imports."""
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return None


def test_every_part_has_a_place():
    assert {part_of(module) for module in MODULES} - {"", "__main__"} == set(PARTS), "a new part needs a place in PARTS"


@pytest.mark.parametrize("module", [name for name in MODULES if part_of(name) in LEVEL])
def test_imports_point_one_way(module):
    level = LEVEL[part_of(module)]
    parts = {part_of(name) for name in imports_of(module)[0]}
    above = {name for name in parts & set(LEVEL) if LEVEL[name] < level}
    assert not above, f"{module} must not import {', '.join(sorted(above))}"


def test_there_is_no_circle():
    circle = circle_in({name: imports_of(name)[1] - {name} for name in MODULES})
    assert circle is None, " → ".join(circle)


def test_these_tests_can_fail():
    lazy = ast.parse(
        "if TYPE_CHECKING:\n    from chainrule.b import B\ndef f():\n    from chainrule import c\n    import chainrule.d\n"
        "try:\n    pass\nexcept Exception:\n    import chainrule.e\nmatch 1:\n    case 1:\n        import chainrule.f\n"
    )
    modules = {"chainrule.b", "chainrule.c", "chainrule.d", "chainrule.e", "chainrule.f"}
    assert imported(lazy, modules) == modules
    assert imported(lazy, modules, types=False) == modules - {"chainrule.b"}
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}}) is not None
    assert circle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None


def test_importing_chainrule_imports_nothing_heavy():
    script = "import sys, chainrule; print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    assert "numpy" in loaded
    assert not loaded & set(HEAVY)
