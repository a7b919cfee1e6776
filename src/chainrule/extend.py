"""Adding your own: activations, operations, layers, initialisers, losses, metrics, optimisers, schedules and backends.

What is registered here is saved, loaded, explained, diagnosed, drawn and offered by the command line like one of ours, under
its name. Put it into a module, and name the module with `chainrule --extension MODULE …` (or in the environment variable
CHAINRULE_EXTENSIONS). A package that is installed names it as an entry point, and is then found without an option:

    [project.entry-points."chainrule.extensions"]
    mine = "my_package.my_module"
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from chainrule import autodiff, checks, ir, registry
from chainrule.backends import register_backend as backend
from chainrule.errors import ArgumentError
from chainrule.fitting.metrics import register_metric as metric
from chainrule.ir import Node
from chainrule.nn import Activation
from chainrule.nn.init import Initialiser, initial, register_initialiser
from chainrule.nn.losses import register_loss as loss
from chainrule.nn.table import LAYERS
from chainrule.nn.table import register_layer as layer
from chainrule.ops import Primitive, define, elementwise, promotion
from chainrule.ops.facts import ActivationFacts, Facts
from chainrule.optim import Optimizer, Rule
from chainrule.optim.optimizer import register_optimizer
from chainrule.optim.schedules import Schedule, register_schedule
from chainrule.tensors import parameter, tensor

GROUP = "chainrule.extensions"
F = TypeVar("F", bound=Initialiser)
S = TypeVar("S", bound=type[Schedule])

__all__ = [
    "activation",
    "backend",
    "initialiser",
    "layer",
    "load",
    "load_installed",
    "loss",
    "metric",
    "op",
    "optimizer",
    "schedule",
]


def activation(
    name: str,
    body: Callable[[Node], Node],
    *,
    summary: str = "",
    partial: Callable[..., Node | float] | None = None,
    known: ActivationFacts | None = None,
) -> type[Activation]:
    """Register an activation function of one value: a primitive of this name, and a layer that applies it.

    Args:
        name: in graphs, formulas and on the command line, in lower case: "mish".
        body: y from x, in operations that exist, such as those of `chainrule.ops.elementwise`.
        summary: what it computes, in a sentence with the equation.
        partial: ∂y/∂x as a function of x and, by name, y; derived from the body if left out.
        known: what else is known of it: its range, its steepest slope, whether it saturates.

    Returns:
        The layer, named "Mish" after "mish".

    Raises:
        ArgumentError: the name is taken, or is no name; or the body, or partial, does not give a number per number.
    """
    if not isinstance(name, str) or not name.isidentifier() or name != name.lower():
        raise ArgumentError(
            f"an activation named {name!r} was registered", "a name is a word in lower case", "Write 'mish', say."
        )
    checks.function(body, f"extend.activation({name!r}) as its body", _FORMULA)
    computed = _elementwise(name, body)
    derivative = _derived(computed) if partial is None else partial
    _try(name, computed, derivative)
    title = "".join(part.capitalize() for part in name.split("_"))
    own = {"__doc__": summary or f"y = {name}(x).", "__module__": body.__module__, "function": name}
    made = type(title, (Activation,), own)
    registry.check(LAYERS, "layer", title, made, made)
    elementwise.elementwise(
        name,
        summary or f"y = {name}(x)",
        elementwise.function(name, rf"\operatorname{{{name}}}"),
        body=computed,
        partials=(derivative,),
        facts=Facts(activation=known or ActivationFacts()),
        origin=body,
    )
    return layer(made)


_FORMULA = "Write it in operators and operations of chainrule.ops.elementwise, such as lambda x: where(x > 0.0, tanh(x), x)."
_DERIVATIVE = "∂y/∂x is a number, or a node of the shape of x"
_PARTIAL = "Give it as partial=lambda x, y: …, in operators and operations of chainrule.ops.elementwise."
_TRIED = tuple((dtype, shape) for dtype in (np.float32, np.float64) for shape in ((), (3,), (3, 2), (0, 2)))


def _elementwise(name: str, body: Callable[[Node], Node]) -> Callable[[Node], Node]:
    """The body, with its result in the dtype of x; arrays of NumPy in it may have made it float64."""

    def computed(x: Node) -> Node:
        y = body(x)
        if not isinstance(y, Node) or y.shape != x.shape or y.dtype.kind != "f":
            given = ir.type_text(y) if isinstance(y, Node) else checks.described(y)
            raise ArgumentError(
                f"the body of the activation {name} gave {given} for {ir.type_text(x)}",
                "it gives a floating number for each number, in a node of the same shape",
                _FORMULA,
            )
        return promotion.to_dtype(y, x.dtype)

    return computed


def _try(name: str, body: Callable[[Node], Node], partial: Callable[..., Node | float]) -> None:
    """Apply a body and its derivative to inputs without values, as a compiled function does."""
    for dtype, shape in _TRIED:
        x = ir.placeholder("input", shape, dtype, "x")
        given = ir.type_text(x)
        with (
            _explained(f"the activation {name} cannot be applied to {given}", "its body is a formula of x", _FORMULA),
            ir.formula(),
        ):
            y = body(x)
        with _explained(f"the activation {name} cannot be differentiated for {given}", _DERIVATIVE, _PARTIAL), ir.formula():
            slope = partial(x, y=y)
        if isinstance(slope, Node) and slope.shape in ((), shape):
            continue
        if not isinstance(slope, int | float):
            found = ir.type_text(slope) if isinstance(slope, Node) else checks.described(slope)
            raise ArgumentError(f"the partial of the activation {name} gave {found} for {given}", _DERIVATIVE, _PARTIAL)


@contextmanager
def _explained(given: str, expected: str, fix: str) -> Iterator[None]:
    """Turn what fails in code of a user into an ArgumentError; an ArgumentError says enough by itself."""
    try:
        yield
    except ArgumentError:
        raise
    except Exception as error:
        raise ArgumentError(f"{given} ({type(error).__name__}: {error})", expected, fix) from error


def op(primitive: Primitive) -> Primitive:
    """Register an operation: see `chainrule.ops.Primitive`.

    Raises:
        ArgumentError: it is no Primitive, the name is taken, or the record does not have exactly one meaning, or no rule for
            its gradient.
    """
    checks.kind(primitive, Primitive, "extend.op got {}", "it takes the record of one", "Write ops.Primitive(name=…, …).")
    return define(primitive, origin=primitive.evaluate or primitive.body)


def _derived(body: Callable[[Node], Node]) -> Callable[..., Node | float]:
    """∂y/∂x of a body, element by element: the gradient of its sum."""

    def partial(x: Node, y: Node) -> Node | float:
        top = body(x)
        (found,) = autodiff.gradient(top, [x], ir.constant(np.ones(top.shape), top.dtype))
        return 0.0 if found is None else found

    return partial


def optimizer(rule: Rule, *, usual_lr: float = 0.05, **defaults: Any) -> type[Optimizer]:
    """Register an optimiser that follows a rule.

    Args:
        rule: see `chainrule.optim.Rule`.
        usual_lr: the learning rate that `chainrule train` begins with.
        defaults: of every setting, `lr` among them.

    Returns:
        The optimiser's class: `Lion(model.parameters(), lr=0.01)`.

    Raises:
        ArgumentError: the name is taken, a setting has no default or one out of its range, or the rule cannot take a step.
    """
    checks.kind(rule, Rule, "extend.optimizer got {}", "it takes a rule", "Write optim.Rule(name, settings, init, update).")
    checked = rule.checked(defaults)
    if "lr" not in checked:
        raise ArgumentError(
            f"the rule {rule.name} has no setting lr", "every rule has a learning rate", "Add 'lr' to its settings."
        )
    _take_a_step(rule, checked)

    def begin(self: Optimizer, params: Any, lr: float = checked["lr"], **settings: Any) -> None:
        Optimizer.__init__(self, params, rule, **{**checked, "lr": lr, **settings})

    kind = inspect.Parameter.KEYWORD_ONLY
    own = {
        "__doc__": f"{rule.name}; see `chainrule.optim.Optimizer`.",
        "__module__": rule.update.__module__,
        "__init__": begin,
        "__signature__": inspect.Signature(
            [
                inspect.Parameter("params", inspect.Parameter.POSITIONAL_OR_KEYWORD),
                inspect.Parameter("lr", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=checked["lr"]),
                *(inspect.Parameter(name, kind, default=value) for name, value in checked.items() if name != "lr"),
            ]
        ),
        "usual_lr": usual_lr,
    }
    return register_optimizer(rule)(type(rule.name, (Optimizer,), own))


def _take_a_step(rule: Rule, settings: Mapping[str, Any]) -> None:
    """Update a matrix once."""
    W = parameter(np.ones((3, 2), np.float32), name="W")
    W.grad = tensor(np.full((3, 2), 0.5, np.float32))
    fix = "Write it in operations of chainrule on Tensors; the docs build one in add-an-optimiser.md."
    with _explained(
        f"the rule {rule.name} failed on a parameter float32[3, 2]", "it updates a parameter of any shape and dtype", fix
    ):
        Optimizer([W], rule, **settings).step()


def initialiser(function: F) -> F:
    """Register an initialiser under the name of the function, for the argument `init` of layers. Use it as a decorator.

    Args:
        function: (shape, rng, dtype) ↦ an array of this shape; weights are laid out (out, in, *kernel). As `nn.init.normal` and
            the others it takes for rng a `cr.Generator`, a seed, or None for `cr.random`.

    Raises:
        ArgumentError: the name is taken, or the function gives no numbers of this shape.
    """
    checks.function(function, "extend.initialiser", _INITIALISER)
    given = f"the initialiser {getattr(function, '__name__', '')} failed for a weight float32[3, 2]"
    with _explained(given, "it gives an array of that shape", _INITIALISER):
        initial(function(_SHAPE, 0, np.dtype(np.float32)), function, _SHAPE, np.dtype(np.float32))
    return register_initialiser(function)


def schedule(cls: S) -> S:
    """Register a schedule, a dataclass. Use it as a decorator, above `@dataclass(frozen=True)`.

    With a `command` it is offered by the command line under that name, laid out over a run as its `over_run` says.

    Raises:
        ArgumentError: its name, also that on the command line, is taken, or it gives no learning rate.
    """
    checks.subclass(cls, Schedule, "extend.schedule")
    if cls.command:
        with _explained(f"the schedule {cls.__name__} failed for a run of 100 steps", "it gives learning rates", _SCHEDULE):
            checks.real(cls.__name__, "value(0, 0.1)", cls.over_run(100, 0.1).value(0, 0.1))
    return register_schedule(cls)


_INITIALISER = "Write def mine(shape, rng=None, dtype=np.float32): return …, an array."
_SHAPE = (3, 2)
_SCHEDULE = "Give its settings defaults, or write over_run(steps, rate) as in chainrule.optim.schedules."


def load(module: str) -> None:
    """Import a module that registers things; one in the current folder, too.

    Raises:
        ArgumentError: there is no such module, or it fails.
    """
    here = str(Path.cwd())
    try:
        sys.path.insert(0, here)
        import_module(module)
    except Exception as error:
        raise ArgumentError(
            f"the extension {module!r} could not be imported ({type(error).__name__}: {error})",
            "it is a Python module, by its dotted name",
            "Check the name, and that the module can be imported from here.",
        ) from error
    finally:
        sys.path.remove(here)


def load_installed() -> Sequence[str]:
    """Load the extensions of installed packages: their entry points in the group "chainrule.extensions".

    Returns:
        Their names.

    Raises:
        ArgumentError: one of them fails.
    """
    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    for entry in found:
        load(entry.value)
    return [entry.name for entry in found]
