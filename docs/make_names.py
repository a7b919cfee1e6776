"""Write docs/names.md: which names of PyTorch and NumPy are names here. `python docs/make_names.py` needs PyTorch."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import chainrule as cr
from chainrule import elsewhere, nn, optim

PAGE = Path(__file__).with_name("names.md")

INTRODUCTION = """\
# Names of PyTorch and NumPy

`python docs/make_names.py` writes this page from the tables of the package, and a test says when it is out of date. ✓ means
that the library has the name for the same thing; *differs* is explained [below](#what-differs). Another name of one thing is
one entry in `src/chainrule/aliases.py`, and `tests/core/test_aliases.py` compares each with PyTorch and NumPy.

Keywords of both libraries are taken, too: `dim=` is `axis=`, `keepdim=` is `keepdims=`, and so on for {keywords}.
Where no dtype is given, numbers are float64, as in NumPy. Tensors of data are copies of it.
A name that is not here gives an error that says [what to write](#what-to-write-for-other-names).
"""

# Names that mean something else in one of the libraries: the library and the reason.
DIFFERS: Mapping[tuple[str, str], str] = {
    ("torch", "batch_norm"): "takes the statistics as arguments, and does not update them; `nn.BatchNorm2d` does",
    ("torch", "binary_cross_entropy_with_logits"): "gives the loss of every element; `nn.functional` has PyTorch's",
    ("torch", "equal"): "compares elementwise, as `np.equal`; PyTorch's gives one truth value",
    (
        "torch",
        "gather",
    ): "takes index arrays for the first axes; PyTorch's `gather(x, dim, index)` is `take_along_axis(x, index, dim)`",
    ("torch", "layer_norm"): "takes weight and bias, and no shape",
    ("torch", "max"): "gives the values alone; `argmax` gives the positions. `max(dim=…)` is refused",
    ("torch", "min"): "gives the values alone; `argmin` gives the positions. `min(dim=…)` is refused",
    ("torch", "meshgrid"): 'has indexing="xy" unless told otherwise, as in NumPy; PyTorch "ij"',
    ("torch", "scatter_add"): "starts from zeros of a given shape",
    ("torch", "split"): "takes the number of parts, as in NumPy; PyTorch the size of one. `chunk` is as in PyTorch",
    ("torch", "squeeze"): "refuses an axis whose size is not 1, as in NumPy",
    ("torch", "std"): "divides by n, as in NumPy; PyTorch by n − 1, which `correction=1` does",
    ("torch", "transpose"): "takes an order of all axes, as in NumPy; the method also exchanges two of more than two axes",
    ("torch", "var"): "divides by n, as in NumPy; PyTorch by n − 1, which `correction=1` does",
    ("torch", "size"): "is a number, as in NumPy; `x.shape` has the lengths of the axes",
    ("torch.nn.Module", "children"): "gives a dict; `named_children` is as in PyTorch",
    ("torch.nn.Module", "parameters"): "gives a list, and `buffers` does",
    ("torch.nn", "Parameter"): "is the function `cr.parameter`, and no class: write `x.is_parameter` for `isinstance`",
    ("np", "any"): "gives a Tensor; `np.any(x)` of a Tensor reads the values",
    ("np", "all"): "gives a Tensor; `np.all(x)` of a Tensor reads the values",
    ("np", "pad"): "pads with a number only",
    ("np", "split"): "takes equal parts or positions, and gives a tuple",
}


def _public(owner: object) -> list[str]:
    return [name for name in dir(owner) if not name.startswith("_") and not isinstance(_held(owner, name), ModuleType)]


def _held(owner: object, name: str) -> Any:
    return inspect.getattr_static(owner, name, None)


def _table(prefix: str, owner: object, names: Iterable[str], others: Mapping[str, object]) -> Iterator[str]:
    """A row for every name of ours that another library has."""
    yield f"| | {' | '.join(others)} | the same as |"
    yield "|---|" + "---|" * (len(others) + 1)
    for name in names:
        marks = [_mark(library, other, name) for library, other in others.items()]
        if any(marks):
            yield f"| `{prefix}{name}` | {' | '.join(marks)} | {_other_name(owner, name)} |"


def _mark(library: str, other: object, name: str) -> str:
    if not hasattr(other, name) or isinstance(_held(other, name), ModuleType):
        return ""
    return "differs" if (library.removesuffix(".Tensor").removesuffix(".ndarray"), name) in DIFFERS else "✓"


def _other_name(owner: object, name: str) -> str:
    """Under which name the package has the same thing."""
    own = getattr(_held(owner, name), "__name__", name)
    return f"`{own}`" if own != name and (own in dir(owner) or own in dir(cr)) else ""


def _instead(prefix: str, table: Mapping[str, str]) -> Iterator[str]:
    yield "| | |"
    yield "|---|---|"
    for name, text in sorted(table.items()):
        code = re.sub(
            r"\b((?:cr|nn|np|optim|x|model|optimizer|loss)\.[\w.]+(?:\([^()]*(?:\([^()]*\)[^()]*)*\))?)", r"`\1`", text
        )
        yield f"| `{prefix}{name}` | {code} |"


def page() -> str:
    """The text of docs/names.md."""
    import torch  # noqa: PLC0415 -- for this page alone

    initialisers = [name for name in _public(nn.init) if name.endswith("_")]
    tables: dict[str, tuple[str, object, Iterable[str], Mapping[str, object]]] = {
        "Functions": ("cr.", cr, _public(cr), {"torch": torch, "np": np}),
        "Methods of Tensors": ("x.", cr.Tensor, _public(cr.Tensor), {"torch.Tensor": torch.Tensor, "np.ndarray": np.ndarray}),
        "nn": ("nn.", nn, _public(nn), {"torch.nn": torch.nn}),
        "nn.functional": (
            "nn.functional.",
            nn.functional,
            _public(nn.functional),
            {"torch.nn.functional": torch.nn.functional},
        ),
        "nn.init": ("nn.init.", nn.init, initialisers, {"torch.nn.init": torch.nn.init}),
        "Methods of Modules": ("model.", nn.Module, _public(nn.Module), {"torch.nn.Module": torch.nn.Module}),
        "optim": ("optim.", optim, _public(optim), {"torch.optim": torch.optim}),
        "optim.lr_scheduler": (
            "optim.lr_scheduler.",
            optim.lr_scheduler,
            _public(optim.lr_scheduler),
            {"torch.optim.lr_scheduler": torch.optim.lr_scheduler},
        ),
    }
    keywords = ", ".join(f"`{theirs}`" for theirs in elsewhere.SAME if theirs not in ("dim", "keepdim"))
    lines = [INTRODUCTION.format(keywords=keywords)]
    for title, table in tables.items():
        lines += [f"## {title}", "", *_table(*table), ""]
    lines += ["## What differs", ""]
    lines += [f"- `{name}` ({library}): {reason}." for (library, name), reason in DIFFERS.items()]
    lines += ["", "## What to write for other names", ""]
    for title, prefix, instead in (
        ("Functions", "cr.", elsewhere.FUNCTIONS),
        ("Methods of Tensors", "x.", elsewhere.TENSOR),
        ("Layers", "nn.", elsewhere.LAYERS),
        ("Methods of Modules", "model.", elsewhere.MODULE),
        ("Optimisers", "optim.", elsewhere.OPTIMIZERS),
        ("Attributes of optimisers", "optimizer.", elsewhere.OPTIMIZER),
    ):
        lines += [f"### {title}: what to write", "", *_instead(prefix, instead), ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
