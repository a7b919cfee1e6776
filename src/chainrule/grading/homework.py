"""A hand calculation in a file, to be graded or explained.

The file is TOML, or JSON of the same structure: a formula or network, the given numbers, an optimiser if a step is taken, and
the claims in the order in which they were worked out. `TEMPLATE` is one to start from. The digits of a claim count as they are
written.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

from chainrule.derivations.expressions import expression
from chainrule.errors import ArgumentError, ChainruleError
from chainrule.fileio import parsing
from chainrule.grading.grader import check
from chainrule.grading.result import Grading
from chainrule.language import Language
from chainrule.tensors import Tensor, parameter

TEMPLATE = '''\
# A hand calculation to be graded:  chainrule check homework.toml
title = "Two hidden sigmoid units"
language = "en"                      # or "zh": the language of the answers

# The calculation, one step a line. Names on the left can be claimed below. Known functions: sigmoid, tanh, relu, exp, log, …;
# with arrays: h = sigmoid(W1 @ x + b1).
formula = """
x3 = x1*w13 + x2*w23
x4 = x1*w14 + x2*w24
O3 = sigmoid(x3)
O4 = sigmoid(x4)
x5 = w35*O3 + w45*O4
O5 = sigmoid(x5)
E = 0.5*(O5 - t5)**2
"""

# In place of the formula, a layered network may be described; it reads W1, b1, W2, b2, …, x and t from [given]:
#   z1 = W1 @ x + b1, a1 = sigmoid(z1), z2 = W2 @ a1 + b2, …, E = the loss of the last a and t.
# [network]
# activations = ["sigmoid", "sigmoid"]      # one per layer; "identity" for none
# loss = "half_squared_error"               # or squared_error, mean_squared_error, cross_entropy, binary_cross_entropy

[given]
x1 = 0.35
x2 = 0.9
w13 = 0.1
w14 = 0.4
w23 = 0.8
w24 = 0.6
w35 = 0.3
w45 = 0.9
t5 = 0.5

[optimizer]                          # only if a step is claimed: SGD, Adam, … with its settings (weight_decay is L2)
name = "SGD"
lr = 1.0
parameters = ["w13", "w14", "w23", "w24", "w35", "w45"]

[claims]                             # a number with the digits you wrote (2.0 is not 2.4), or a formula as text
O3 = 0.680
O5 = 0.690
"dE/dx5" = 0.0407
"dE/dw35" = "(O5 - t5)*O5*(1 - O5)*O3"
"dE/dw13" = 0.000929
"w13'" = 0.09907
'''


LOSSES = {
    "half_squared_error": "0.5*sum(({a} - t)**2)",
    "squared_error": "sum(({a} - t)**2)",
    "mean_squared_error": "mean(({a} - t)**2)",
    "cross_entropy": "-sum(t*log({a}))",
    "binary_cross_entropy": "-sum(t*log({a}) + (1 - t)*log(1 - {a}))",
}


@dataclass(frozen=True)
class Homework:
    """A calculation and what is claimed of it.

    Attributes:
        formula: see `expression`; that of a network is written by `network_formula`.
        given: number or array per name.
        claims: see `check`.
        optimizer: {"name", "lr", …, "parameters"}, or empty.
        title, language: for the answer.
    """

    formula: str
    given: Mapping[str, Any]
    claims: Mapping[str, Any] = field(default_factory=dict)
    optimizer: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    language: Language = "en"

    def build(self) -> tuple[Tensor, Any]:
        """The end of the calculation, and the optimiser (None if there is none).

        Raises:
            ArgumentError: the formula, a given number or the optimiser cannot be read.
        """
        leaves = {name: _leaf(name, value) for name, value in self.given.items()}
        return expression(self.formula, **leaves), self._optimizer(leaves)

    def grade(self, language: Language | None = None) -> Grading:
        """Grade the claims; see `check`."""
        # Not in a variable of its own: the answers would call the end of the calculation by that name.
        built = self.build()
        return check(built[0], self.claims, optimizer=built[1], language=language or self.language)

    def _optimizer(self, leaves: Mapping[str, Tensor]) -> Any:
        if not self.optimizer:
            return None
        from chainrule.optim import OPTIMIZERS  # noqa: PLC0415 -- only for calculations that take a step

        settings = dict(self.optimizer)
        name = settings.pop("name", "SGD")
        names = settings.pop("parameters", [n for n in leaves if n[0] in "wWb"] or list(leaves))
        names = names if isinstance(names, list) else [names]
        missing = [n for n in names if n not in list(leaves)]
        if name not in list(OPTIMIZERS) or missing:
            given = f"the parameter {missing[0]!r}" if missing else f"the optimizer {name!r}"
            known = ", ".join(leaves) if missing else ", ".join(OPTIMIZERS)
            raise ArgumentError(f"[optimizer] names {given}", f"there are {known}", "Check the spelling.")
        possible = [s for s in signature(OPTIMIZERS[name]).parameters if s != "params"]
        strange = [s for s in settings if s not in possible]
        if strange:
            raise ArgumentError(f"[optimizer] has {strange[0]!r}", f"{name} has {', '.join(possible)}", "Check the spelling.")
        return OPTIMIZERS[name]([leaves[n] for n in names], **settings)


def _leaf(name: str, value: Any) -> Tensor:
    try:
        return parameter(value, name=name)
    except ChainruleError:
        raise ArgumentError(
            f"{name} = {value!r} was given", "it is a number, or numbers in rows of one length", "Change it."
        ) from None


def read_homework(path: str | Path) -> Homework:
    """Read a file such as `TEMPLATE`, or the same as JSON if its name ends in .json. Numbers keep the digits that were written.

    Raises:
        ArgumentError: it is missing or no TOML, or a part of it is missing or of the wrong kind; the message says which.
    """
    file = Path(path)
    if not file.exists():
        raise ArgumentError(
            f"the file {file} was named",
            "there is no such file",
            "Check the path, or start with: chainrule check --new > homework.toml",
        )
    kind = "JSON" if _is_json(file) else "TOML"
    with parsing(file, f"it must be {kind}, like the template", "Correct that line.", ArgumentError):
        data = _data(file.read_text(encoding="utf-8"), file)
    return _homework(data, file)


def _is_json(file: Path) -> bool:
    return file.suffix.lower() == ".json"


def _data(text: str, file: Path) -> Any:
    """The contents, with numbers that have a point or an exponent as text: their digits count."""
    if not _is_json(file):
        return tomllib.loads(text, parse_float=str)
    return json.loads(text, parse_float=str, parse_constant=str, object_pairs_hook=partial(_named_once, file))


def _named_once(file: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A part of a JSON file. Of a name that comes twice, the reader would drop the first value without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for k, (name, _) in enumerate(pairs) if name in [n for n, _ in pairs[:k]])
        raise ArgumentError(f"{file} has {twice!r} twice", "a name comes once", "Leave one of them out.")
    return found


def _homework(data: Any, file: Path) -> Homework:
    if not isinstance(data, dict):
        raise ArgumentError(f"{file} holds {data!r:.60}", "it holds named parts", "Compare it with the template.")
    kinds = {
        "formula": str, "network": dict, "given": dict, "claims": dict, "optimizer": dict, "title": str, "language": str,
    }  # fmt: skip
    for key, value in data.items():
        if key not in kinds or not isinstance(value, kinds[key]):
            expected = kinds[key].__name__ if key in kinds else f"one of {', '.join(kinds)}"
            raise ArgumentError(f"{file} has {key!r}", f"expected {expected}", "Compare it with the template.")
    if "given" not in data:
        raise ArgumentError(f"{file} has no 'given'", "it needs the given numbers, in [given]", "Add it.")
    if ("formula" in data) == ("network" in data):
        both = "both 'formula' and 'network'" if "formula" in data else "neither 'formula' nor 'network'"
        raise ArgumentError(f"{file} has {both}", "only one of them is allowed", "Compare it with the template.")
    return Homework(
        data["formula"] if "formula" in data else network_formula(data["network"], data["given"]),
        {name: _numbers(value, name, file) for name, value in data["given"].items()},
        data.get("claims", {}),
        {k: _plain(v) for k, v in data.get("optimizer", {}).items()},
        data.get("title", ""),
        data.get("language", "en"),
    )


def network_formula(network: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """The formula of a layered network: z1 = W1 @ x + b1, a1 = σ(z1), …, E. Biases that are not given are left out.

    Args:
        network: {"activations": [name per layer], "loss": one of `LOSSES`}.
        given: the names of the given numbers: x, t, W1, b1, ….

    Raises:
        ArgumentError: no activations, a loss that is not known, or something else beside them.
    """
    activations, loss = network.get("activations"), network.get("loss", "half_squared_error")
    is_known = not set(network) - {"activations", "loss"} and loss in list(LOSSES)
    if not is_known or not isinstance(activations, list) or not activations or not all(isinstance(a, str) for a in activations):
        raise ArgumentError(
            f"[network] has {dict(network)}",
            f"it has activations, a list with one name per layer, and a loss: {', '.join(LOSSES)}",
            "Compare it with the template.",
        )
    lines, a = [], "x"
    for k, activation in enumerate(activations, start=1):
        lines.append(f"z{k} = W{k} @ {a}{f' + b{k}' if f'b{k}' in given else ''}")
        a = f"a{k}"
        lines.append(f"{a} = z{k}" if activation == "identity" else f"{a} = {activation}(z{k})")
    return "\n".join([*lines, f"E = {LOSSES[loss].format(a=a)}"])


def _numbers(value: Any, name: str, file: Path) -> Any:
    """TOML floats were kept as text, for their digits; here they become numbers."""
    if isinstance(value, list) and value:
        return [_numbers(v, name, file) for v in value]
    try:
        number = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ArgumentError(
            f"{file} gives {name} = {value!r}", "a given value is a finite number or a list of these", "Change it."
        )
    return number


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
