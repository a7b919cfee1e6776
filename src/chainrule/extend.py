"""What you can add to chainrule: activations, operations, layers, losses, metrics, optimisers and backends of your own.

What is registered here is saved, loaded, explained, diagnosed, drawn and offered by the command line like one of ours, under
its name. Put it into a module, and name the module with `chainrule --extension MODULE …` (or in the environment variable
CHAINRULE_EXTENSIONS). A package that is installed names it as an entry point, and is then found without an option:

    [project.entry-points."chainrule.extensions"]
    mine = "my_package.my_module"
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np

from chainrule import autodiff, ir
from chainrule.backends import register_backend as backend
from chainrule.errors import ArgumentError, message
from chainrule.fitting.metrics import register_metric as metric
from chainrule.ir import Node
from chainrule.nn import Activation
from chainrule.nn.losses import register_loss as loss
from chainrule.nn.table import register_layer as layer
from chainrule.ops import define as op
from chainrule.ops import elementwise
from chainrule.ops.facts import ActivationFacts, Facts
from chainrule.optim import Optimizer, Rule
from chainrule.optim.optimizer import register_optimizer

GROUP = "chainrule.extensions"

__all__ = ["activation", "backend", "layer", "load", "load_installed", "loss", "metric", "op", "optimizer"]


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
        name: in graphs, formulas and on the command line, in small letters: "mish".
        body: y from x, in operations that exist, such as those of `chainrule.ops.elementwise`.
        summary: what it computes, in a sentence with the equation.
        partial: ∂y/∂x as a function of x and, by name, y; derived from the body if left out.
        known: what else is known of it: its range, its steepest slope, whether it saturates.

    Returns:
        The layer, named "Mish" after "mish".

    Raises:
        ArgumentError: the name is taken, or is no name.
    """
    if not name.isidentifier() or name != name.lower():
        raise ArgumentError(
            message(f"an activation named {name!r} was registered", "a name is a word in small letters", "Write 'mish', say.")
        )
    elementwise.elementwise(
        name,
        summary or f"y = {name}(x)",
        elementwise.function(name, rf"\operatorname{{{name}}}"),
        body=body,
        partials=(partial or _derived(body),),
        facts=Facts(activation=known or ActivationFacts()),
    )
    title = "".join(part.capitalize() for part in name.split("_"))
    own = {"__doc__": summary or f"y = {name}(x).", "__module__": body.__module__, "function": name}
    return layer(type(title, (Activation,), own))


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
        ArgumentError: the name is taken, or a setting has no default or one out of its range.
    """
    checked = rule.checked(defaults)

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
            message(
                f"the extension {module!r} could not be imported ({type(error).__name__}: {error})",
                "it is a Python module, by its dotted name",
                "Check the name, and that the module can be imported from here.",
            )
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
