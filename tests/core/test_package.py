"""The package as a whole: what it exports, and under which names."""

import ast
import importlib
import inspect
import operator
import pickle
import pkgutil
from pathlib import Path

import pytest

import chainrule as cr
from chainrule import errors

SOURCE = Path(cr.__file__).parent


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


ERRORS = [kind for kind in vars(errors).values() if inspect.isclass(kind) and kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_is_made_of_what_was_given_what_was_expected_and_what_to_do(kind):
    error = kind("f got 1", "it takes 2", "Write f(2).")
    assert str(error) == "f got 1; it takes 2. Write f(2)."
    assert str(kind("f failed.")) == "f failed."
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (kind, str(error))
