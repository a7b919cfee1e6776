"""What `explain` does not take is refused in a sentence, before anything is derived."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from chainrule.derivations import explain, expression
from chainrule.errors import ArgumentError, ChainruleError, DTypeError
from chainrule.grading import check
from chainrule.tensors import Tensor

BLOCKS = "it is 'whole', 'expanded', or a list of blocks: "


def small() -> Tensor:
    return expression("y = sigmoid(w*x); E = 0.5*(y - t)**2", w=0.5, x=2.0, t=1.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"wrt": 3}, 'explain got 3 as its wrt; it takes a Tensor, a name, or a list of these. Write "w13", say.'),
        ({"wrt": {"w": 1}}, "explain got a dict as its wrt; it takes"),
        ({"wrt": np.array(3)}, "explain got a ndarray as its wrt; it takes"),
        ({"wrt": ["w", 3]}, "explain got 3 in its wrt; it takes"),
        ({"wrt": [None]}, "explain got None in its wrt; it takes"),
        ({"at": 3}, "values were given as 3; at is a mapping from names or Tensors to values. Write at={\"w\": 0.5}."),
        ({"at": []}, "values were given as a list; at is a mapping"),
        ({"at": {3: 4}}, "a value was given for 3; values can be given for the leaves of this calculation: w, x, t."),
        ({"form": 3}, "the form 3 was asked for; there are graph, path, matrix, update, attribution. Choose one of them."),
        ({"form": ["graph"]}, "the form ['graph'] was asked for; there are"),
        ({"language": None}, "the language None was given; there are 'en' and 'zh'."),
        ({"precision": "a"}, "the precision 'a' was given; it is from 1 to 17 digits. Try 6."),
        ({"precision": 2.5}, "the precision 2.5 was given; it is from 1 to 17 digits."),
        ({"precision": True}, "the precision True was given; it is from 1 to 17 digits."),
        ({"precision": 18}, "the precision 18 was given; it is from 1 to 17 digits."),
        ({"blocks": None}, f"explain got None as its blocks; {BLOCKS}affine,"),
        ({"blocks": "affine"}, f"explain got 'affine' as its blocks; {BLOCKS}affine,"),
        ({"blocks": ["afine"]}, f"the block 'afine' was named; {BLOCKS}affine,"),
        ({"blocks": [3]}, f"the block 3 was named; {BLOCKS}affine,"),
        ({"detail": "some"}, "the detail 'some' was asked for; there are auto, named, all. Choose one of them."),
        ({"most": -1}, "explain got most=-1; it must be an integer ≥ 1."),
        ({"most": 0}, "explain got most=0; it must be an integer ≥ 1."),
        ({"most": "a"}, "explain got most='a'; it must be an integer ≥ 1."),
        ({"optimizer": 3}, "explain got 3 as its optimizer; it takes an optimizer of chainrule.optim."),
        ({"optimizer": 3, "form": "update"}, "explain got 3 as its optimizer; it takes an optimizer of chainrule.optim."),
    ],
)  # fmt: skip
def test_arguments_that_explain_does_not_take(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError, match=f"^{re.escape(words)}"):
        explain(small(), **arguments)


@pytest.mark.parametrize("value", ["a", None, 1j, {}])
def test_values_that_are_no_numbers(value: Any) -> None:
    with pytest.raises(DTypeError, match="chainrule computes with"):
        explain(small(), at={"w": value})


@pytest.mark.parametrize("given", [3, None, [], b"y = x"])
def test_a_formula_is_text(given: Any) -> None:
    with pytest.raises(ArgumentError, match=r'as its formula; it takes text\. Write "y = sigmoid\(w\*x\)"\.'):
        expression(given)


@pytest.mark.parametrize("given", [3, None, [], "E"])
def test_the_output_is_a_tensor(given: Any) -> None:
    for call in (explain, lambda output: check(output, {"E": 1})):
        with pytest.raises(ArgumentError, match="it takes a Tensor"):
            call(given)


def test_check_takes_an_optimizer() -> None:
    with pytest.raises(ArgumentError, match=r"check got 'SGD' as its optimizer; it takes an optimizer of chainrule\.optim"):
        check(small(), {"w'": 1}, optimizer="SGD")


@pytest.mark.parametrize("path", [3, None, ["a.txt"]])
def test_a_derivation_is_saved_to_a_path(path: Any) -> None:
    with pytest.raises(ChainruleError, match=r"the file of a derivation is .*; it is a path on disk"):
        explain(small()).save(path)
