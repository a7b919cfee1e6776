"""One or more cases for every layer and every loss in the tables, with their PyTorch counterparts.

A layer or loss that is in a table but neither here with a counterpart nor in NO_COUNTERPART fails `test_every_*_has_a_case`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule import nn


@dataclass(frozen=True)
class LayerCase:
    """A layer in float64, an input, and PyTorch's module with the same parameter names (a function of `torch`)."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    torch: Callable[[Any], Any] | None = None
    integers: int | None = None  # inputs are integers below this number
    id: str = field(default="")

    @property
    def name(self) -> str:
        return type(self.make()).__name__

    def input(self) -> np.ndarray:
        """Distinct numbers, none within 0.005 of 0 or of another, so that no kink is near."""
        rng = np.random.default_rng(7)
        if self.integers is not None:
            return rng.integers(0, self.integers, size=self.shape)
        count = int(np.prod(self.shape))
        return rng.permutation(np.linspace(-2.0, 2.0, count + count % 2)[:count]).reshape(self.shape)


F64 = {"dtype": "float64"}


def _torch_f64(name: str, *args: Any, **settings: Any) -> Callable[[Any], Any]:
    return lambda torch: getattr(torch.nn, name)(*args, **settings).double()


def _torch_global(name: str) -> Callable[[Any], Any]:
    return lambda torch: torch.nn.Sequential(getattr(torch.nn, name)(1), torch.nn.Flatten())


def _torch_residual(shortcut: bool) -> Callable[[Any], Any]:
    def make(torch: Any) -> Any:
        class Residual(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.inner = torch.nn.Sequential(torch.nn.Linear(4, 3 if shortcut else 4), torch.nn.Tanh())
                self.shortcut = torch.nn.Linear(4, 3, bias=False) if shortcut else torch.nn.Identity()

            def forward(self, x: Any) -> Any:
                return self.shortcut(x) + self.inner(x)

        return Residual().double()

    return make


def _elementwise(name: str, *args: Any) -> LayerCase:
    return LayerCase(lambda: getattr(nn, name)(*args), (4, 5), lambda torch: getattr(torch.nn, name)(*args))


def _pool(name: str, shape: tuple[int, ...], **settings: Any) -> LayerCase:
    return LayerCase(lambda: getattr(nn, name)(**settings), shape, lambda torch: getattr(torch.nn, name)(**settings))


def _layer(name: str, shape: tuple[int, ...], *args: Any, **settings: Any) -> LayerCase:
    return LayerCase(lambda: getattr(nn, name)(*args, **settings, **F64), shape, _torch_f64(name, *args, **settings))


LAYER_CASES = [
    _elementwise("Identity"),
    _elementwise("ReLU"),
    _elementwise("LeakyReLU"),
    _elementwise("LeakyReLU", 0.2),
    _elementwise("ELU"),
    _elementwise("ELU", 0.7),
    _elementwise("GELU"),
    _elementwise("SiLU"),
    _elementwise("Sigmoid"),
    _elementwise("Tanh"),
    _elementwise("Softplus"),
    _elementwise("Softmax", -1),
    _elementwise("Softmax", 0),
    _elementwise("LogSoftmax", -1),
    LayerCase(nn.Step, (4, 5)),
    LayerCase(nn.Dropout, (4, 5)),
    _layer("Linear", (3, 4), 4, 2),
    _layer("Linear", (2, 3, 4), 4, 5, bias=False),
    _layer("Conv1d", (2, 3, 8), 3, 4, 3),
    _layer("Conv1d", (2, 4, 9), 4, 2, 2, stride=2, padding=1, dilation=2, groups=2, bias=False),
    _layer("Conv2d", (2, 2, 5, 6), 2, 3, 3),
    _layer("Conv2d", (2, 2, 5, 6), 2, 3, 2, padding="same"),
    _layer("Conv2d", (2, 2, 5, 6), 2, 3, (2, 3), padding="valid"),
    _layer("Conv2d", (2, 4, 6, 7), 4, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2, bias=False),
    _layer("ConvTranspose2d", (2, 3, 3, 4), 3, 2, 3),
    _layer("ConvTranspose2d", (2, 4, 3, 4), 4, 6, (3, 2), stride=2, padding=1, output_padding=1, groups=2, dilation=2),
    _pool("MaxPool1d", (2, 3, 7), kernel_size=2),
    _pool("MaxPool1d", (2, 3, 9), kernel_size=3, stride=2, padding=1, dilation=2),
    _pool("MaxPool2d", (2, 2, 5, 6), kernel_size=2),
    _pool("MaxPool2d", (2, 2, 5, 6), kernel_size=(3, 2), stride=(2, 1), padding=1),
    _pool("AvgPool1d", (2, 3, 7), kernel_size=3, stride=2, padding=1),
    _pool("AvgPool2d", (2, 2, 5, 6), kernel_size=2),
    _pool("AvgPool2d", (2, 2, 5, 6), kernel_size=(2, 3), stride=1, padding=1),
    LayerCase(nn.GlobalMaxPool, (2, 3, 4, 4), _torch_global("AdaptiveMaxPool2d")),
    LayerCase(nn.GlobalAvgPool, (2, 3, 5), _torch_global("AdaptiveAvgPool1d")),
    LayerCase(nn.Flatten, (2, 3, 4), _torch_f64("Flatten")),
    LayerCase(lambda: nn.Flatten(0, 1), (2, 3, 4), _torch_f64("Flatten", 0, 1)),
    _layer("BatchNorm1d", (6, 3), 3),
    _layer("BatchNorm1d", (3, 2, 5), 2, eps=1e-3, momentum=0.3),
    _layer("BatchNorm2d", (2, 3, 2, 4), 3),
    _layer("LayerNorm", (3, 5), 5),
    _layer("LayerNorm", (2, 3, 4), (3, 4), eps=1e-3),
    LayerCase(lambda: nn.Embedding(6, 3, **F64), (2, 4), _torch_f64("Embedding", 6, 3), integers=6),
    LayerCase(
        lambda: nn.Sequential(nn.Linear(4, 3, **F64), nn.Tanh(), nn.Sequential(nn.Linear(3, 2, **F64))),
        (5, 4),
        lambda torch: torch.nn.Sequential(
            torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Sequential(torch.nn.Linear(3, 2))
        ).double(),
    ),
    LayerCase(lambda: nn.Residual(nn.Sequential(nn.Linear(4, 4, **F64), nn.Tanh())), (3, 4), _torch_residual(False)),
    LayerCase(
        lambda: nn.Residual(nn.Sequential(nn.Linear(4, 3, **F64), nn.Tanh()), nn.Linear(4, 3, bias=False, **F64)),
        (3, 4),
        _torch_residual(True),
    ),
]

NO_LAYER_COUNTERPART = {
    "Step": "PyTorch has no step layer; its value is compared with torch.heaviside, and its gradient is refused",
    "Dropout": "both draw from streams of their own; its statistics are tested instead",
}

RNG = np.random.default_rng(11)
REAL = RNG.normal(size=(4, 3))
REAL_TARGET = REAL + RNG.permutation(np.linspace(-3, 3, 12)).reshape(4, 3)  # differences away from 0 and ±1 by 0.09
PROBABILITY = RNG.uniform(0.1, 0.9, size=(4, 3))
LABELS = np.array([2, 0, 1, 2])
PIXELS = RNG.normal(size=(2, 3, 2, 2))
PIXEL_LABELS = RNG.integers(0, 3, size=(2, 2, 2))
DISTRIBUTION = RNG.dirichlet(np.ones(3), size=4)
SIGNS = np.array([[1, -1, 1], [-1, -1, 1], [1, 1, -1], [-1, 1, 1]])
HINGE_OUTPUT = RNG.permutation(np.linspace(-2.9, 2.9, 12)).reshape(4, 3)


def log_softmax(a: np.ndarray) -> np.ndarray:
    return a - np.log(np.exp(a).sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class LossCase:
    """A loss's settings (without reduction), output, target, and PyTorch's function (torch, output, target, reduction)."""

    name: str
    output: np.ndarray
    target: np.ndarray
    torch: Callable[..., Any] | None
    settings: dict[str, Any] = field(default_factory=dict)

    def make(self, **settings: Any) -> nn.Loss:
        return nn.LOSSES[self.name](**self.settings, **settings)

    def __str__(self) -> str:
        return f"{self.name}-{self.settings}-{self.target.shape}"


def _torch_loss(name: str, **settings: Any) -> Callable[..., Any]:
    def call(torch: Any, output: Any, target: Any, reduction: str) -> Any:
        given = {k: torch.tensor(v, dtype=torch.float64) if k in ("weight", "pos_weight") else v for k, v in settings.items()}
        if target.dtype not in (torch.int64, torch.float64):
            target = target.double()
        return getattr(torch.nn, name)(**given, reduction=reduction)(output, target)

    return call


def _loss(name: str, output: np.ndarray, target: np.ndarray, **settings: Any) -> LossCase:
    return LossCase(name, output, target, _torch_loss(name, **settings), settings)


def _half_squared(torch: Any, output: Any, target: Any, reduction: str) -> Any:
    elements = 0.5 * torch.nn.functional.mse_loss(output, target, reduction="none")
    return {"none": elements, "sum": elements.sum(), "mean": elements.sum() / len(elements)}[reduction]


def _hinge(torch: Any, output: Any, target: Any, reduction: str, margin: float = 1.0) -> Any:
    loss = torch.nn.MarginRankingLoss(margin, reduction=reduction)
    return loss(output, torch.zeros_like(output), target)


WEIGHT = [0.5, 2.0, 1.25]

LOSS_CASES = [
    LossCase("HalfSquaredError", REAL, REAL_TARGET, _half_squared),
    _loss("MSELoss", REAL, REAL_TARGET),
    _loss("L1Loss", REAL, REAL_TARGET),
    _loss("HuberLoss", REAL, REAL_TARGET),
    _loss("HuberLoss", REAL, REAL_TARGET, delta=0.5),
    _loss("BCELoss", PROBABILITY, (LABELS[:, None] == np.arange(3)).astype(float)),
    _loss("BCELoss", PROBABILITY, DISTRIBUTION),
    _loss("BCEWithLogitsLoss", REAL, DISTRIBUTION),
    _loss("BCEWithLogitsLoss", REAL, DISTRIBUTION, pos_weight=3.0),
    _loss("BCEWithLogitsLoss", REAL, DISTRIBUTION, pos_weight=WEIGHT),
    _loss("CrossEntropyLoss", REAL, LABELS),
    _loss("CrossEntropyLoss", REAL, LABELS, weight=WEIGHT),
    _loss("CrossEntropyLoss", REAL, LABELS, ignore_index=2),
    _loss("CrossEntropyLoss", REAL, np.array([2, -100, 1, 0]), ignore_index=-100, weight=WEIGHT, label_smoothing=0.2),
    _loss("CrossEntropyLoss", REAL, LABELS, label_smoothing=0.1),
    _loss("CrossEntropyLoss", REAL, DISTRIBUTION),
    _loss("CrossEntropyLoss", REAL, DISTRIBUTION, weight=WEIGHT, label_smoothing=0.1),
    _loss("CrossEntropyLoss", PIXELS, PIXEL_LABELS),
    _loss("CrossEntropyLoss", PIXELS, PIXEL_LABELS, weight=WEIGHT, ignore_index=1, label_smoothing=0.3),
    _loss("NLLLoss", log_softmax(REAL), LABELS),
    _loss("NLLLoss", log_softmax(REAL), LABELS, weight=WEIGHT, ignore_index=0),
    _loss("NLLLoss", log_softmax(PIXELS), PIXEL_LABELS, weight=WEIGHT),
    _loss("KLDivLoss", log_softmax(REAL), DISTRIBUTION),
    _loss("KLDivLoss", log_softmax(REAL), np.eye(3)[LABELS]),
    _loss("KLDivLoss", log_softmax(REAL), np.log(DISTRIBUTION), log_target=True),
    LossCase("HingeLoss", HINGE_OUTPUT, SIGNS, _hinge),
    LossCase("HingeLoss", HINGE_OUTPUT, SIGNS, lambda *a: _hinge(*a, margin=0.5), {"margin": 0.5}),
]

NO_LOSS_COUNTERPART: dict[str, str] = {}
