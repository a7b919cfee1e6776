"""Every member of every table is named in one source file: its own. Whoever has to know more about it asks its record.

A file names a member if it takes the class of that name, or holds a string that is its name; for operations, if it looks at
operations at all. Words in prose do not count, nor do the faces, which list members for users, and the exceptions below, each
with its reason.
"""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import chainrule as cr
from chainrule import backends, nn, ops, optim
from chainrule.train import METRICS

SOURCE = Path(cr.__file__).parent

# Where users find functions, methods and operators by name, and where the names of other libraries are explained.
FACES = {
    "functional.py",
    "creation.py",
    "tensors.py",
    "generators.py",
    "numpy_functions/__init__.py",
    "numpy_functions/products.py",
    "numpy_functions/shapes.py",
    "ir.py",
    "aliases.py",
    "nn/functional.py",
    "derivations/functions.py",
    "elsewhere.py",
}

CLASSES = {"layer": nn.LAYERS, "loss": nn.LOSSES, "optimiser": optim.OPTIMIZERS, "schedule": optim.SCHEDULES}
NAMES = {"op": ops.SHIPPED, "metric": METRICS, "initialiser": nn.INITIALISERS, "backend": backends.BACKENDS}

# Files that name members of others, with the reason and the members.
EXCEPTIONS: dict[str, tuple[str, set[str]]] = {
    "job/building.py": (
        "the network that `chainrule train` builds, and its usual schedule: a choice stands where it is made",
        {"Linear", "Dropout", "Sequential", "CosineAnnealingLR"},
    ),
    "job/inputs/encoder.py": ("how networks begin for inputs of any shape", {"Flatten"}),
    "job/inputs/pictures.py": ("how networks begin for pictures", {"Conv2d", "MaxPool2d", "Flatten"}),
    "job/measures.py": ("which measures a run reports, and those of the best constant answer", {"accuracy", "mae", "rmse"}),
    "grading/homework.py": ("a default", {"SGD"}),
    "diagnosis/measuring.py": ("the optimiser of short runs where the user has none", {"Adam"}),
    "diagnosis/network_rules.py": ("a remedy names what it puts in", {"ReLU"}),
    "diagnosis/remedies.py": ("where a layer stands is known in a Sequential", {"Sequential"}),
    # The algebra of graphs: what is written in the basic operations knows them.
    "autodiff.py": ("gradients of choices", {"where"}),
    "layers.py": ("z = W a + b", {"add"}),
    "derivations/formulas.py": (
        "how formulas are simplified",
        {
            "add", "subtract", "multiply", "divide", "negative", "power", "where", "masked", "equal", "logical_and", "cast",
            "sum", "matmul", "transpose", "reshape", "broadcast_to", "flip", "exp", "stop_gradient",
        },
    ),
    "derivations/elements.py": (
        "what one element of a result is made of",
        {"add", "multiply", "sum", "prod", "matmul", "where", "slice", "reshape", "pad"},
    ),
    "derivations/calculations.py": ("1 · x is x, and −1 · x is −x", {"cast", "multiply", "negative"}),
    "derivations/closing.py": ("0⁰", {"power"}),
    "derivations/lines.py": ("the matrix of classes is given, not computed", {"one_hot"}),
    "grading/forward_slips.py": ("terms and factors that are left out", {"add", "subtract", "multiply", "matmul"}),
    "grading/gradient_slips.py": ("f′(f(x)) is no slip for a square", {"square"}),
    "grading/rounding.py": ("what a hand calculation rounds", {"multiply", "matmul", "sum", "where"}),
    "ops/notation.py": (
        "how operations within one another are written",
        {
            "add", "subtract", "multiply", "divide", "negative", "power", "square", "cast", "clip", "masked", "matmul", "max",
            "min", "convolution", "conv_transpose", "dropout_mask",
        },
    ),
    "ops/array_notation.py": (
        "how moves of elements are written",
        {
            "argmax", "broadcast_to", "cast", "concatenate", "einsum", "embedding", "equal", "expand_dims", "flip", "gather",
            "masked", "mean", "multiply", "pad", "prod", "reshape", "scatter_add", "slice", "squeeze", "stack", "sum",
            "transpose", "where", "windows", "windows_sum",
        },
    ),
}  # fmt: skip

# The same word for another thing.
HOMONYMS: dict[str, set[str]] = {
    "derivations/lines.py": {"sum"},
    "derivations/paths.py": {"sum"},
    "derivations/update.py": {"step", "sum"},
    "diagnosis/breakdown.py": {"step"},
    "diagnosis/data_rules.py": {"mean"},
    "diagnosis/layer_numbers.py": {"step"},
    "diagnosis/network_rules.py": {"mean"},
    "grading/forward_slips.py": {"sign"},
    "grading/gradient_slips.py": {"sign"},
    "grading/result.py": {"normal"},
    "nn/losses/classes.py": {"mean", "sum"},
    "nn/losses/regression.py": {"mse"},
    "ops/activations.py": {"LeakyReLU", "ReLU"},  # how they are written
    "ops/array_notation.py": {"step"},
    "ops/random.py": {"normal"},
    "ops/shape.py": {"step"},
}


def _is_face(file: str) -> bool:
    """A package face, one of `FACES`, or the native backend, which has code for every basic operation."""
    return file in FACES or file.endswith("__init__.py") or file.startswith("backends/native/")


@dataclass(frozen=True)
class Words:
    """What a source file says.

    Attributes:
        strings: its string constants.
        classes: the names of classes that it defines, or takes from `chainrule.nn` and `chainrule.optim`.
        operations: whether it looks at operations at all: only there a word such as "sum" can be one.
    """

    strings: frozenset[str]
    classes: frozenset[str]
    operations: bool


@cache
def _words() -> dict[str, Words]:
    """Of every source file that is no face."""
    files = {path.relative_to(SOURCE).as_posix(): path for path in sorted(SOURCE.rglob("*.py"))}
    return {file: _words_of(path.read_text("utf-8"), file) for file, path in files.items() if not _is_face(file)}


def _words_of(source: str, file: str) -> Words:
    strings, classes, identifiers = set(), set(), set()
    home = file.startswith(("nn/", "optim/"))
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=str(text)):
                strings.add(text)
            case ast.Attribute(value=ast.Name(id="nn" | "optim"), attr=name):
                classes.add(name)
            case ast.Name(id=name) | ast.Attribute(attr=name):
                identifiers.add(name)
            case ast.ClassDef(name=name) if home:
                classes.add(name)
            case ast.ImportFrom(module=str(module)) if module.startswith(("chainrule.nn", "chainrule.optim")):
                classes |= {alias.name for alias in node.names}
    return Words(frozenset(strings), frozenset(classes), bool(identifiers & {"op", "lookup", "apply", "define"}))


def _names(words: Words, member: str, kind: str) -> bool:
    if kind in CLASSES and member in words.classes:
        return True
    return member in words.strings and (kind != "op" or words.operations)


def _naming(member: str, kind: str) -> set[str]:
    """The files that name a member, without exceptions and homonyms."""
    return {
        file
        for file, words in _words().items()
        if _names(words, member, kind) and member not in EXCEPTIONS.get(file, ("", set()))[1] | HOMONYMS.get(file, set())
    }


MEMBERS = [(kind, name) for kind, table in {**CLASSES, **NAMES}.items() for name in table]
# An activation function is an operation and a layer: its record, and the layer that applies it.
APPLIED = {layer.function for layer in nn.LAYERS.values() if issubclass(layer, nn.Activation)}


@pytest.mark.parametrize(("kind", "name"), MEMBERS, ids=[f"{kind}-{name}" for kind, name in MEMBERS])
def test_a_member_is_named_in_one_file(kind, name):
    files = _naming(name, kind)
    if kind == "op" and name in APPLIED:
        files -= {"nn/activations.py"}
    assert len(files) <= 1, f"{kind} {name} is named in {', '.join(sorted(files))}"


@pytest.mark.parametrize("file", EXCEPTIONS)
def test_every_exception_is_needed(file):
    names = EXCEPTIONS[file][1]
    found = {name for kind, name in MEMBERS if _names(_words()[file], name, kind)}
    assert names <= found, f"{file} no longer names {', '.join(sorted(names - found))}"


def test_a_second_file_is_found(monkeypatch):
    source = "from chainrule import nn\nif node.op in ('gelu', 'silu'):\n    x = nn.HingeLoss()"
    monkeypatch.setitem(_words(), "diagnosis/new.py", _words_of(source, "diagnosis/new.py"))
    assert "diagnosis/new.py" in _naming("gelu", "op") & _naming("HingeLoss", "loss")
