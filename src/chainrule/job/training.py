"""Train a network on prepared data, and judge it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from chainrule.errors import NonFiniteLoss
from chainrule.job.building import epochs_not_averaged, make_schedule, make_trainer, resolved
from chainrule.job.checkpoint import RunCheckpoint
from chainrule.job.config import Config
from chainrule.job.folders import HISTORY_FILE
from chainrule.job.measures import baseline, measure
from chainrule.job.predictor import Predictor
from chainrule.job.prepared import PreparedData, Samples
from chainrule.job.results import Result
from chainrule.optim.schedules import AVERAGE
from chainrule.train import BestEpoch, Callback, CSVLog, EarlyStopping, LearningRate, Trainer, WeightAveraging


def train(
    prepared: PreparedData,
    config: Config,
    folder: Path | None = None,
    *,
    progress: bool = False,
    callbacks: Sequence[Callback] = (),
) -> Result:
    """Train on the training rows and judge on the held-out ones.

    Args:
        prepared: the data.
        config: settings; open ones are chosen.
        folder: an existing, writable folder for the log, the model and the rest (see `run_folder`); None writes nothing.
        progress: see `Trainer.fit`.
        callbacks: see `Trainer.fit`.

    Raises:
        NonFiniteLoss: the loss became NaN or infinite. The network as it was before is in the folder, if it had an epoch.
        ArgumentError: a loss that does not fit the task.
        OutputError: a file could not be written.
    """
    config = resolved(config, prepared)
    return train_on(make_trainer(config, prepared), prepared, config, folder, progress=progress, callbacks=callbacks)


def train_on(
    trainer: Trainer,
    prepared: PreparedData,
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
    own = own_callbacks(config, prepared)
    files: list[Callback] = []
    checkpoint = None
    if folder is not None:
        checkpoint = RunCheckpoint(folder, prepared, config)
        files = [CSVLog(folder / HISTORY_FILE), checkpoint]
    failure: NonFiniteLoss | None = None
    try:
        fit(trainer, prepared, config, [*own, *files, *callbacks], progress=progress)
    except NonFiniteLoss as error:
        if folder is None or not len(trainer.history):
            raise
        failure = error
    result = _judged(trainer, prepared, config, own)
    if folder is not None:
        # Rules, drawings and the report take a while to load, and nothing else needs them.
        from chainrule.job.writing import write_run  # noqa: PLC0415

        result = write_run(result, prepared, folder)
    if failure is not None:
        said = f"{failure} The network as it was before that is saved in {folder}."
        raise NonFiniteLoss(said, breakdown=failure.breakdown) from failure
    if checkpoint is not None and not result.interrupted:  # an epoch that was cut short is trained again
        checkpoint.save(trainer)
    return result


def own_callbacks(config: Config, samples: Samples) -> list[Callback]:
    """The schedule of a resolved configuration, and what chooses the weights at the end."""
    assert config.epochs is not None and config.batch_size is not None
    watched = "val_loss" if samples.held_out else "loss"
    schedule = make_schedule(config, config.epochs * -(-len(samples.X) // config.batch_size))
    found: list[Callback] = [] if schedule is None else [LearningRate(schedule, watched)]
    if config.schedule == AVERAGE:
        found.append(WeightAveraging(epochs_not_averaged(config)))
    if config.patience is not None:
        found.append(EarlyStopping(config.patience, watched))
    elif samples.held_out and config.class_weight is None:  # the held-out loss does not weight classes
        found.append(BestEpoch(samples.X_held, samples.y_held, sample_weight=samples.weights_held))
    return found


def fit(trainer: Trainer, samples: Samples, config: Config, callbacks: Sequence[Callback], *, progress: bool = False) -> None:
    """Train the epochs that are left of a run with a resolved configuration.

    Raises:
        NonFiniteLoss: see `Trainer.fit`.
    """
    trainer.fit(
        samples.X,
        samples.y,
        epochs=(config.epochs or 0) - trainer.epoch,
        batch_size=config.batch_size,
        seed=config.seed,
        sample_weight=samples.weights,
        class_weight=config.class_weight,
        validation_data=(samples.X_held, samples.y_held, samples.weights_held) if samples.held_out else None,
        callbacks=callbacks,
        progress=progress,
    )


def _judged(trainer: Trainer, prepared: PreparedData, config: Config, callbacks: Sequence[Callback]) -> Result:
    """The trained network with what the held-out data says of it."""
    history = trainer.history
    best = next((callback.kept for callback in callbacks if isinstance(callback, BestEpoch)), None)
    facts = {"source": prepared.source, "rows": len(prepared.X), "epochs": len(history), "stopped": history.stopped}
    facts |= {name: value for name in ("delimiter", "encoding") if (value := getattr(config, name)) is not None}
    predictor = Predictor(trainer.model, prepared.features, prepared.target, facts)
    metrics = measure(prepared.target, trainer.predict(prepared.X_held), prepared.y_held)
    guess = baseline(prepared.target, prepared.y, prepared.y_held)
    predictor = replace(predictor, facts=facts | {"metrics": metrics, "baseline": guess})
    return Result(predictor, history, metrics, guess, config, trainer.optimizer, history.stopped == "interrupted", best)
