"""What `explain` and `check` take, checked before anything is derived."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np

from chainrule import checks
from chainrule.derivations.calculations import Blocks, Detail
from chainrule.derivations.forms import Form
from chainrule.errors import ArgumentError, GradientError
from chainrule.language import index_of
from chainrule.ops import PRIMITIVES
from chainrule.optim import Optimizer
from chainrule.tensors import Tensor

Wrt = Tensor | str | Sequence["Tensor | str"] | None

_MOST_DIGITS = 17  # that float64 has


def check_output(output: object) -> None:
    """Refuse what cannot be differentiated.

    Raises:
        ArgumentError: it is no Tensor.
        GradientError: it is not floating.
    """
    checks.kind(output, Tensor, "explain got {}", "it takes a Tensor", "Pass the Tensor that was computed, E say.")
    if isinstance(output, Tensor) and output.dtype.kind != "f":
        raise GradientError(
            f"an explanation of a Tensor of dtype {output.dtype} was asked for", "it must be floating", "Use astype."
        )


def check_options(*, form: Any, language: Any, precision: Any, blocks: Any, detail: Any, most: Any) -> None:
    """Refuse options that `explain` does not have.

    Raises:
        ArgumentError: naming the first of them.
    """
    _check_choice("form", form, get_args(Form))
    index_of(language)
    is_whole = isinstance(precision, int | np.integer) and not isinstance(precision, bool)
    if not is_whole or not 1 <= precision <= _MOST_DIGITS:
        raise ArgumentError(f"the precision {precision!r} was given", f"it is from 1 to {_MOST_DIGITS} digits", "Try 6.")
    _check_blocks(blocks)
    _check_choice("detail", detail, get_args(Detail))
    checks.whole("explain", "most", most, 1)


def _check_choice(what: str, given: Any, known: tuple[str, ...]) -> None:
    if not isinstance(given, str) or given not in known:
        raise ArgumentError(f"the {what} {given!r} was asked for", f"there are {', '.join(known)}", "Choose one of them.")


def _check_blocks(blocks: Any) -> None:
    if isinstance(blocks, str) and blocks in get_args(get_args(Blocks)[0]):
        return
    known = sorted(name for name, primitive in PRIMITIVES.items() if primitive.body is not None)
    expected = f"it is 'whole', 'expanded', or a list of blocks: {', '.join(known)}"
    for name in checks.listed(blocks, "explain got {} as its blocks", expected, 'Write blocks=["affine"], say.'):
        if name not in known:
            raise ArgumentError(f"the block {name!r} was named", expected, "Check the spelling.")


def listed_wrt(wrt: Wrt) -> list[Tensor | str]:
    """What to differentiate by, as a list; empty if nothing was chosen.

    Raises:
        ArgumentError: something else than Tensors and names.
    """
    if wrt is None:
        return []
    expected, fix = "it takes a Tensor, a name, or a list of these", 'Write "w13", say.'
    parts = [wrt] if isinstance(wrt, Tensor | str) else checks.listed(wrt, "explain got {} as its wrt", expected, fix)
    for part in parts:
        checks.kind(part, (Tensor, str), "explain got {} in its wrt", expected, fix)
    return parts


def check_optimizer(optimizer: Any, who: str) -> None:
    """Refuse what is no optimiser; there may be none.

    Args:
        optimizer: what was given.
        who: got it.

    Raises:
        ArgumentError: it is something else.
    """
    if optimizer is not None:
        fix = "Pass SGD(parameters, lr=0.1), say."
        checks.kind(optimizer, Optimizer, f"{who} got {{}} as its optimizer", "it takes an optimizer of chainrule.optim", fix)
