"""Train a network for a problem, and write everything about it to a run folder."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from chainrule import nn, optim
from chainrule.errors import ArgumentError, ChainruleError, MissingDependency, NonFiniteLoss, OutputError, message
from chainrule.fileio import remove_leftovers, write_file
from chainrule.job.checkpoint import CHECKPOINT_FILE, RunCheckpoint
from chainrule.job.config import AVERAGE, Config, activations, schedules
from chainrule.job.locking import locked, unusable
from chainrule.job.predictor import MODEL_FILE, Predictor, baseline, measure
from chainrule.job.problem import Problem
from chainrule.tensors import manual_seed
from chainrule.train import (
    BestEpoch,
    Callback,
    CSVLog,
    EarlyStopping,
    History,
    LearningRate,
    Trainer,
    WeightAveraging,
    metrics_for,
)

if TYPE_CHECKING:
    from chainrule.diagnosis import Diagnosis

CONFIG_FILE, HISTORY_FILE, CURVES_FILE, METRICS_FILE = "config.toml", "history.csv", "learning-curves.png", "metrics.json"
REPORT_FILE = "report.html"
RUN_FILES = (MODEL_FILE, CHECKPOINT_FILE, CONFIG_FILE, HISTORY_FILE, CURVES_FILE, METRICS_FILE, REPORT_FILE)

# The reasons for these, with measurements: docs/decisions/0003-training-defaults.md.
_HIDDEN = (128, 128)
_DROPOUT = 0.1
_LEAST_BATCH, _MOST_BATCH = 16, 256  # √rows between these
_LEAST_STEPS, _STEPS_PER_ROOT_ROW = 600, 30
_SHRINKAGE, _MOST_SHRINKAGE = 80.0, 4.0  # see _weight_decay
_OTHER_L2 = 1e-4
_LEAST_EPOCHS_TO_AVERAGE = 20


@dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes:
        predictor: the trained network with its preprocessing.
        history: values per epoch.
        metrics: measures on the held-out data (see `measure`).
        baseline: the same measures, as far as they make sense, of a guess that does not look at the inputs.
        config: every setting, as used.
        optimizer: as training left it.
        interrupted: whether Ctrl-C ended training early.
        best_epoch: the epoch whose weights were taken, as they are clearly better on the held-out rows; None for those at the
            end.
        diagnosis: what is wrong with the network, if anything; None where it was not looked at, or could not be judged.
    """

    predictor: Predictor
    history: History
    metrics: dict[str, float]
    baseline: dict[str, float]
    config: Config
    optimizer: optim.Optimizer
    interrupted: bool
    best_epoch: int | None = None
    diagnosis: Diagnosis | None = None

    @property
    def averaged(self) -> bool:
        """Whether the weights are a mean of those that the history tells of."""
        return (
            self.best_epoch is None
            and self.config.schedule == AVERAGE
            and len(self.history) > _epochs_not_averaged(self.config)
        )


def resolved(config: Config, problem: Problem) -> Config:
    """The configuration with every open setting chosen from the data."""
    rows = len(problem.X)
    batch = config.batch_size or max(_LEAST_BATCH, min(_MOST_BATCH, 2 ** round(math.log2(math.sqrt(rows)))))
    steps_per_epoch = -(-rows // batch)
    steps = max(_LEAST_STEPS, _STEPS_PER_ROOT_ROW * math.sqrt(rows))
    epochs = config.epochs or max(1, round(steps / steps_per_epoch))
    optimizer, _ = optim.commands()[config.optimizer]
    rate = config.learning_rate or optimizer.usual_lr
    decay = _OTHER_L2 if _decays(optimizer) else 0.0
    if optim.RULES[optimizer.__name__].decoupled:
        decay = _weight_decay(problem, rate, epochs * steps_per_epoch)
    enough = epochs >= _LEAST_EPOCHS_TO_AVERAGE and not config.patience
    chosen = {
        "target": problem.target.name if config.target is None and problem.X.ndim == 2 else config.target,
        "image_size": problem.X.shape[2:] if problem.X.ndim == 4 else None,
        "hidden": _HIDDEN if config.hidden is None else config.hidden,
        "dropout": _DROPOUT if config.dropout is None else config.dropout,
        "schedule": config.schedule or (AVERAGE if enough else optim.CosineAnnealingLR.command),
        "loss": config.loss or next(iter(nn.losses_for(problem.target.task))),
        "learning_rate": rate,
        "l2": decay if config.l2 is None else config.l2,
        "batch_size": batch,
        "epochs": epochs,
    }
    return replace(config, **chosen)  # type: ignore[arg-type]


def _decays(optimizer: type[optim.Optimizer]) -> bool:
    """Whether an optimiser has weight decay."""
    return "weight_decay" in optim.RULES[optimizer.__name__].settings


def _weight_decay(problem: Problem, rate: float, steps: int) -> float:
    """The λ of AdamW with which a run pulls weights towards 0 the more, the more inputs there are per row.

    AdamW multiplies weights by 1 − ηλ in each step: what counts is ηλ · steps (Wang, Aitchison 2024, "How to set AdamW's weight
    decay as you scale model and dataset size"). It is 80 · inputs / rows, but at most 4.
    """
    shrinkage = min(_SHRINKAGE * problem.X[0].size / len(problem.X), _MOST_SHRINKAGE)
    # A run of a few steps must not pull so hard that weights change sign.
    return float(f"{shrinkage / (rate * max(steps, _LEAST_STEPS)):.3g}")


def build(config: Config, problem: Problem) -> nn.Module:
    """The network for a resolved configuration: dense layers for tables, convolutions before them for pictures."""
    assert config.hidden is not None and config.dropout is not None
    activation = activations()[config.activation]
    layers: list[nn.Module] = []
    width = problem.X.shape[1]
    if problem.X.ndim == 4:
        convolutions, width = _convolutions(problem.X.shape[1:], activation)
        layers += convolutions
    for units in config.hidden:
        layers += [nn.Linear(width, units), activation()]
        if config.dropout:
            layers.append(nn.Dropout(config.dropout))
        width = units
    return nn.Sequential(*layers, nn.Linear(width, problem.outputs))


def _convolutions(shape: Sequence[int], activation: Callable[[], nn.Module]) -> tuple[list[nn.Module], int]:
    """Two convolutions, each followed by pooling while the picture is large enough; and how many numbers come out."""
    channels, height, width = shape
    layers: list[nn.Module] = []
    for filters in (16, 32):
        layers += [nn.Conv2d(channels, filters, 3, padding="same"), activation()]
        channels = filters
        if min(height, width) >= 4:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
    return [*layers, nn.Flatten()], channels * height * width


def make_trainer(config: Config, problem: Problem) -> Trainer:
    """Model, loss, optimiser and schedule for a resolved configuration."""
    manual_seed(config.seed)
    model = build(config, problem)
    task = problem.target.task
    if config.loss not in nn.losses_for(task):
        raise ArgumentError(
            message(
                f"the loss {config.loss!r} was chosen for {problem.target.name!r}",
                f"its task is {task}, which has the losses {', '.join(nn.losses_for(task))}",
                "Choose one of them, or another --task.",
            )
        )
    if config.class_weight and task == "regression":
        raise ArgumentError(
            message(
                f"class_weight={config.class_weight!r} was given, and {problem.target.name!r} holds numbers",
                "only classes can be weighted",
                "Leave it out, or learn classes with --task classification.",
            )
        )
    return Trainer(
        model, make_loss(config, task), make_optimizer(config, model), metrics=metrics_for(task), backend=config.backend
    )


def make_loss(config: Config, task: str) -> nn.Loss:
    """The loss that a configuration names; the usual one of the task if it names none."""
    return nn.losses_for(task)[config.loss]() if config.loss else nn.usual_loss(task)()


def make_optimizer(config: Config, model: nn.Module) -> optim.Optimizer:
    """L2 acts on weights; biases and normalisation are left alone."""
    decayed = [(name, p) for name, p in model.named_parameters() if p.ndim > 1]
    others = [(name, p) for name, p in model.named_parameters() if p.ndim <= 1]
    cls, settings = optim.commands()[config.optimizer]
    make: Callable[..., optim.Optimizer] = cls
    if not config.l2 and not _decays(cls):
        return make(decayed + others, lr=config.learning_rate, **settings)
    groups = [{"params": decayed, "weight_decay": config.l2}, {"params": others, "weight_decay": 0.0}]
    return make(groups, lr=config.learning_rate, **settings)


def _schedule(config: Config, steps: int) -> optim.Schedule | None:
    """The schedule over all steps of the run."""
    assert config.learning_rate is not None
    kind = schedules()[config.schedule or AVERAGE]
    return None if kind is None else kind.over_run(steps, config.learning_rate)


def train(
    problem: Problem, config: Config, folder: Path | None = None, *, progress: bool = False, callbacks: Sequence[Callback] = ()
) -> Result:
    """Train on the problem's training rows and judge on the held-out ones.

    Args:
        problem: the data.
        config: settings; open ones are chosen.
        folder: an existing, writable folder for the log, the model and the rest (see `run_folder`); None writes nothing.
        progress: see `Trainer.fit`.
        callbacks: see `Trainer.fit`.

    Raises:
        NonFiniteLoss: the loss became NaN or infinite. The network as it was before is in the folder, if it had an epoch.
        ArgumentError: a loss that does not fit the task.
        OutputError: a file could not be written.
    """
    config = resolved(config, problem)
    return train_on(make_trainer(config, problem), problem, config, folder, progress=progress, callbacks=callbacks)


def train_on(
    trainer: Trainer,
    problem: Problem,
    config: Config,
    folder: Path | None = None,
    *,
    progress: bool = False,
    callbacks: Sequence[Callback] = (),
) -> Result:
    """Train the epochs that are left of a run, new or from `load_run`: the same as if it had never stopped. See `train`.

    A schedule is laid out over `config.epochs`: with more than the run began with, the learning rate goes on as in a run of the
    new length.
    """
    own = _callbacks(config, problem, folder)
    checkpoint = None if folder is None else RunCheckpoint(folder, problem, config)
    failure: NonFiniteLoss | None = None
    try:
        trainer.fit(
            problem.X,
            problem.y,
            epochs=(config.epochs or 0) - trainer.epoch,
            batch_size=config.batch_size,
            seed=config.seed,
            class_weight=config.class_weight,
            validation_data=(problem.X_held, problem.y_held) if problem.held_out else None,
            callbacks=[*own, *([] if checkpoint is None else [checkpoint]), *callbacks],
            progress=progress,
        )
    except NonFiniteLoss as error:
        if folder is None or not len(trainer.history):
            raise
        failure = error
    result = _judged(trainer, problem, config, own)
    if folder is not None:
        result = replace(result, diagnosis=_diagnosis(result, problem))
        write_run(result, problem, folder)
    if failure is not None:
        said = f"{failure} The network as it was before that is saved in {folder}."
        raise NonFiniteLoss(said, failure.breakdown) from failure
    if checkpoint is not None and not result.interrupted:  # an epoch that was cut short is trained again
        checkpoint.save(trainer)
    return result


def _callbacks(config: Config, problem: Problem, folder: Path | None) -> list[Callback]:
    assert config.epochs is not None and config.batch_size is not None
    watched = "val_loss" if problem.held_out else "loss"
    schedule = _schedule(config, config.epochs * -(-len(problem.X) // config.batch_size))
    found: list[Callback] = [] if schedule is None else [LearningRate(schedule, watched)]
    if config.schedule == AVERAGE:
        found.append(WeightAveraging(_epochs_not_averaged(config)))
    if config.patience is not None:
        found.append(EarlyStopping(config.patience, watched))
    elif problem.held_out and config.class_weight is None:  # the held-out loss does not weight classes
        found.append(BestEpoch(problem.X_held, problem.y_held))
    if folder is not None:
        found.append(CSVLog(folder / HISTORY_FILE))
    return found


def _epochs_not_averaged(config: Config) -> int:
    return (config.epochs or 0) // 2


def _judged(trainer: Trainer, problem: Problem, config: Config, callbacks: Sequence[Callback]) -> Result:
    """The trained network with what the held-out data says of it."""
    history = trainer.history
    best = next((callback.kept for callback in callbacks if isinstance(callback, BestEpoch)), None)
    facts = {"source": problem.source, "rows": len(problem.X), "epochs": len(history), "stopped": history.stopped}
    facts |= {name: value for name in ("delimiter", "encoding") if (value := getattr(config, name)) is not None}
    predictor = Predictor(trainer.model, problem.features, problem.target, facts)
    metrics = measure(predictor, trainer.predict(problem.X_held), problem.y_held)
    guess = baseline(problem.target, problem.y, problem.y_held)
    predictor = replace(predictor, facts=facts | {"metrics": metrics, "baseline": guess})
    return Result(predictor, history, metrics, guess, config, trainer.optimizer, history.stopped == "interrupted", best)


def _diagnosis(result: Result, problem: Problem) -> Diagnosis | None:
    from chainrule.job.diagnosing import diagnose_run  # noqa: PLC0415 -- loaded only where a run is written about

    with suppress(ChainruleError):
        return diagnose_run(result, problem)
    return None


def write_run(result: Result, problem: Problem, folder: Path) -> None:
    """Write model, configuration, metrics, learning curves and report into a run folder, the model first.

    There are no learning curves without resvg-py and a font, or where no epoch has a finite value.

    Raises:
        OutputError: a file could not be written; those before it are whole.
    """
    result.predictor.save(folder / MODEL_FILE)
    write_file(folder / CONFIG_FILE, result.config.to_toml().encode())
    values = {"held_out": result.metrics, "baseline": result.baseline}
    write_file(folder / METRICS_FILE, (json.dumps(values, indent=2) + "\n").encode())
    from chainrule.drawing import draw  # noqa: PLC0415 -- explanations and drawings are loaded only here
    from chainrule.job.report import write_report  # noqa: PLC0415

    with suppress(MissingDependency, ArgumentError):
        draw(result.history).save(folder / CURVES_FILE)
    write_report(result, problem, folder / REPORT_FILE)


@contextmanager
def run_folder(chosen: str | Path | None, source: str) -> Iterator[Path]:
    """A new folder for a run: the chosen one, or the next free runs/<name>-<number>. Nobody else trains in it meanwhile.

    If the run fails before a model or checkpoint is saved, what it wrote is taken away again, the folder too if it was made
    for the run.

    Raises:
        OutputError: it holds files of a run already, another run is training in it, or it cannot be made or written to.
    """
    folder, made = _made_folder(chosen, Path(source).name.split(".")[0] or "run")
    try:
        with run_lock(folder):
            _refuse_taken(folder)
            try:
                yield folder
            except BaseException:
                if not any((folder / name).exists() for name in (MODEL_FILE, CHECKPOINT_FILE)):
                    _remove_files(folder)
                raise
    except BaseException:
        with suppress(OSError):  # those that hold something stay
            for path in made:
                path.rmdir()
        raise


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Keep other runs out of a run folder, and remove the temporary files of runs that were killed. Raises as `locked`."""
    with locked(folder):
        if folder.is_dir():
            remove_leftovers(folder, RUN_FILES)
        yield


def _made_folder(chosen: str | Path | None, name: str) -> tuple[Path, list[Path]]:
    """The folder, and what was made for it, the innermost first."""
    parent = Path(chosen or "runs")
    made = [path for path in (parent, *parent.parents) if not path.exists()]
    try:
        parent.mkdir(parents=True, exist_ok=True)
        if chosen is not None:
            return parent, made
        folder = _numbered(parent, name)
    except OSError as error:
        raise unusable(parent, error) from None
    return folder, [folder, *made]


def _numbered(parent: Path, name: str) -> Path:
    """The first of <name>-1, <name>-2, … that does not exist, made."""
    for number in itertools.count(1):
        folder = parent / f"{name}-{number}"
        with suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise AssertionError


def _refuse_taken(folder: Path) -> None:
    taken = [name for name in RUN_FILES if (folder / name).exists()]
    if taken:
        raise OutputError(
            message(f"the folder {folder} holds {taken[0]} already", "a run has a folder of its own", "Choose another --out.")
        )


def _remove_files(folder: Path) -> None:
    with suppress(OSError):
        for name in RUN_FILES:
            (folder / name).unlink(missing_ok=True)
