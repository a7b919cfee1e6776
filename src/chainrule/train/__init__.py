"""Training: the loop, what happens between epochs, what is measured, and saving."""

from chainrule.fitting.history import History
from chainrule.fitting.metrics import METRICS, Metric, metrics_for
from chainrule.train.callbacks import BestEpoch, Callback, Checkpoint, CSVLog, EarlyStopping, LearningRate, WeightAveraging
from chainrule.train.resuming import load_trainer
from chainrule.train.saving import load_model, save_model, save_trainer
from chainrule.train.trainer import Trainer

__all__ = [
    "METRICS",
    "BestEpoch",
    "CSVLog",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "History",
    "LearningRate",
    "Metric",
    "Trainer",
    "WeightAveraging",
    "load_model",
    "load_trainer",
    "metrics_for",
    "save_model",
    "save_trainer",
]
