"""Inside the native backend, imports point one way: each stage knows the stages before it, and no later one."""

import ast
from pathlib import Path

import pytest

import chainrule.backends.native

HERE = Path(chainrule.backends.native.__file__).parent
NAME = "chainrule.backends.native"
LAYERS = ["__init__", "compiler", "run", "code", "plan", "graph", "costs", "target"]  # from the top down
FILES = sorted(HERE.rglob("*.py"))


def module_of(path):
    """The parts of a file's module below `native`: ("graph", "views"); () for the package itself."""
    parts = path.relative_to(HERE).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


MODULES = {module_of(path): path for path in FILES}


def layer(module):
    """The place in LAYERS of a module, given by its parts."""
    return LAYERS.index(module[0] if module else "__init__")


def imported(text):
    """Modules of the backend that a source text imports anywhere, functions and TYPE_CHECKING blocks included."""
    names = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    found = [tuple(name.removeprefix(NAME).split(".")[1:]) for name in names if f"{name}.".startswith(f"{NAME}.")]
    return {parts if parts in MODULES else parts[:-1] for parts in found}  # the last part may be a name in a module


@pytest.mark.parametrize("module", MODULES, ids=lambda module: ".".join(module) or "native")
def test_imports_point_one_way(module):
    above = {".".join(m) for m in imported(MODULES[module].read_text("utf-8")) if layer(m) < layer(module)}
    assert not above, f"{'.'.join(module)} must not import {', '.join(sorted(above))}"


def test_no_module_imports_itself_by_way_of_others():
    edges = {module: sorted(imported(path.read_text("utf-8"))) for module, path in MODULES.items()}
    done = set()

    def visit(module, way):
        assert module not in way, " → ".join(".".join(m) for m in (*way, module))
        if module not in done:
            for other in edges[module]:
                visit(other, (*way, module))
            done.add(module)

    for module in edges:
        visit(module, ())


def test_imports_in_functions_are_seen():
    text = f"def f():\n    from {NAME}.run import engine\n    import {NAME}.plan.lower\n    from {NAME}.target import host\n"
    assert imported(text) == {("run", "engine"), ("plan", "lower"), ("target",)}
    assert layer(("run", "engine")) < layer(("graph", "views"))
