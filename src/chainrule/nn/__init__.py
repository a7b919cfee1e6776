"""Networks: Modules, layers, losses and initialisers, under PyTorch's names and with its defaults."""

from typing import Any

from chainrule import elsewhere
from chainrule.nn import functional, init
from chainrule.nn.activations import (
    ELU,
    GELU,
    Activation,
    Identity,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Step,
    Tanh,
    activation_layers,
)
from chainrule.nn.containers import ModuleDict, ModuleList, Residual, Sequential
from chainrule.nn.convolution import (
    AvgPool1d,
    AvgPool2d,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool,
    GlobalMaxPool,
    MaxPool1d,
    MaxPool2d,
)
from chainrule.nn.dense import Dropout, Embedding, Flatten, Linear
from chainrule.nn.init import INITIALISERS
from chainrule.nn.losses import (
    LOSSES,
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HalfSquaredError,
    HingeLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    Loss,
    MSELoss,
    NLLLoss,
    loss_from_config,
    losses_for,
    usual_loss,
)
from chainrule.nn.module import Module, observing
from chainrule.nn.normalisation import BatchNorm1d, BatchNorm2d, LayerNorm
from chainrule.nn.summaries import Summary, summary
from chainrule.nn.table import LAYERS, from_config, to_config
from chainrule.tensors import parameter as Parameter


def __getattr__(name: str) -> Any:
    raise elsewhere.missing("chainrule.nn", name, __all__, elsewhere.LAYERS)


__all__ = [
    "ELU",
    "GELU",
    "INITIALISERS",
    "LAYERS",
    "LOSSES",
    "Activation",
    "AvgPool1d",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "HalfSquaredError",
    "HingeLoss",
    "HuberLoss",
    "Identity",
    "KLDivLoss",
    "L1Loss",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "Loss",
    "MSELoss",
    "MaxPool1d",
    "MaxPool2d",
    "Module",
    "ModuleDict",
    "ModuleList",
    "NLLLoss",
    "Parameter",
    "ReLU",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Step",
    "Summary",
    "Tanh",
    "activation_layers",
    "from_config",
    "functional",
    "init",
    "loss_from_config",
    "losses_for",
    "observing",
    "summary",
    "to_config",
    "usual_loss",
]
