"""The Trainer: what users call. `loop` runs the steps, `going_back` keeps the values from before a bad one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import backends, checks, elsewhere, optim
from chainrule.errors import ArgumentError
from chainrule.fitting import inputs
from chainrule.fitting.batches import Batches
from chainrule.fitting.history import History
from chainrule.fitting.metrics import Metric, resolve
from chainrule.fitting.steps import Clipping, Steps
from chainrule.generators import Generator, drawing_from
from chainrule.ir import Array
from chainrule.nn import Loss, Module
from chainrule.nn.forward import inputs_array, model_dtype, numbers
from chainrule.nn.function_loss import as_loss
from chainrule.states import Values
from chainrule.tensors import Tensor, tensor
from chainrule.train.callbacks import Callback, check_callbacks
from chainrule.train.interrupt import Interrupt
from chainrule.train.loop import Job, Loop, Pace
from chainrule.train.progress import choose
from chainrule.turns import Lock

if TYPE_CHECKING:
    from chainrule.diagnosis.findings import Diagnosis


class Trainer:
    """Trains a model: one graph holds forward pass, loss, gradients and update, and a backend runs it step after step.

    Args:
        model: the network.
        loss: from `chainrule.nn`.
        optimizer: from `chainrule.optim`, over the model's parameters.
        metrics: names ("accuracy", "mae", "mse", "rmse") or `Metric`s to report beside the loss.
        backend: "auto", or the name of one.
        threads: how many may run a step; None: as many as there are processors, or as `CHAINRULE_THREADS` says. Results do not
            depend on it.
        clip_norm: largest total norm of the gradients; None for no limit.
        clip_value: largest size of an element of the gradients; None for no limit.
        diagnose: whether `fit` diagnoses the network before its first step and after its last (see `chainrule.diagnose`), and
            says what it found where it shows progress. Each takes up to a second or two; steps are not slowed down.

    Attributes:
        diagnoses: what was found, by the number of epochs behind us (0: before training); where a step failed, by its epoch.
        history: what happened so far, over all calls of `fit`.
        epoch: number of epochs behind us.
        schedule: sets the learning rates; None: they stay as the optimiser has them.
        base_rates: the learning rate per group that schedules start from.
        random_state: of the random stream, where training left it; None before.
        resumed_callbacks: class name and state of each callback that the next fit must have, and that takes this state over.

    Raises:
        ArgumentError: an unknown metric or backend, a number of threads below 1, or an optimiser
            that learns something else than this model's parameters.
    """

    def __init__(
        self,
        model: Module,
        loss: Loss | Callable[[Tensor, Tensor], Tensor],
        optimizer: optim.Optimizer,
        *,
        metrics: Sequence[str | Metric | Callable[[Tensor, Tensor], Tensor]] = (),
        backend: str = "auto",
        threads: int | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        diagnose: bool = False,
    ) -> None:
        self.model = checks.kind(
            model, Module, "Trainer got {} as its model", "it trains a Module", "Write nn.Sequential(nn.Linear(3, 1)), say."
        )
        self.loss = as_loss(loss)
        self.optimizer = checks.kind(
            optimizer,
            optim.Optimizer,
            "Trainer got {} as its optimizer",
            "it takes an optimiser of chainrule.optim",
            "Write optim.Adam(model.parameters()).",
        )
        self.metrics = resolve(metrics)
        self._backend = backend
        self.clipping = Clipping(clip_norm, clip_value)
        self.diagnose = diagnose
        self.diagnoses: dict[int, Diagnosis] = {}
        self.schedule: optim.Schedule | None = None
        self.history = History()
        self.epoch = 0
        self.base_rates = [float(group.lr) for group in optimizer.groups]
        self.random_state: Array | None = None
        self.resumed_callbacks: list[tuple[str, dict[str, Any]]] = []
        self._parameters = _learnt(model, optimizer)
        self._callbacks: list[Callback] = []
        self._steps = Steps(
            model,
            Values(backends.get(backend)),
            loss=self.loss,
            optimizer=optimizer,
            metrics=self.metrics,
            clipping=self.clipping,
            threads=backends.check_threads(threads),
        )
        self._stream = Generator()
        self._pace = Pace()
        self._fitting = Lock()

    def __reduce__(self) -> Any:
        raise ArgumentError(
            "a Trainer cannot be copied or pickled",
            "its programs belong to this process",
            "Use cr.save_trainer and cr.load_trainer, or copy trainer.model.",
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise elsewhere.missing("a Trainer", name, dir(self), elsewhere.TRAINER)

    @property
    def backend(self) -> str:
        """The name that was given: "auto", or that of a backend. It stays."""
        return self._backend

    @backend.setter
    def backend(self, name: str) -> None:
        raise ArgumentError(
            f"the backend of a Trainer was set to {name!r}",
            f"its programs are compiled for {self._backend!r}",
            f"Make a Trainer with backend={name!r}; with the same model and optimizer it continues from their values.",
        )

    # ---------------------------------------------------------------------------------------- what users call
    def fit(
        self,
        X: Any,
        y: Any,
        *,
        epochs: int = 10,
        batch_size: int | None = 32,
        shuffle: bool = True,
        seed: int = 0,
        validation_data: tuple[Any, ...] | None = None,
        validation_split: float = 0.0,
        sample_weight: Any = None,
        class_weight: inputs.ClassWeight = None,
        sampler: str = "all",
        until_loss: float | None = None,
        callbacks: Sequence[Callback] = (),
        progress: bool = True,
    ) -> History:
        """Train for some epochs more.

        Ctrl-C ends training after the steps at hand and keeps what was learnt (a second one stops at once). A second call goes
        on with the weights, the moments, the count of epochs and the random stream; callbacks begin afresh. What was changed in
        between counts: frozen parameters, modes, settings of layers, loss and optimiser.

        Every trainer has a random stream of its own, so that what it draws does not depend on others; within a fit, `cr.random`
        is that stream.

        Args:
            X: inputs (samples, …), numbers: an array, or a DataFrame of numbers; converted to the model's dtype.
            y: targets (samples,) or (samples, …), as the loss takes them.
            epochs: how often to go through the data in this call.
            batch_size: samples per step: None for all of them (batch gradient descent), 1 for stochastic.
            shuffle: whether each epoch takes the samples in a new random order.
            seed: of that order, of the validation split, and, in the first call, of dropout.
            validation_data: (X, y) or (X, y, sample_weight) to evaluate after each epoch.
            validation_split: share of the samples to set aside at random for that instead.
            sample_weight: (samples,), how much each sample counts.
            class_weight: weight per class number, or "balanced" for n / (classes · count).
            sampler: "all", or "misclassified": each step takes one sample at random from those that are still misclassified,
                until none is left; an epoch is then as many steps as there are samples.
            until_loss: stop before the update of the first step whose loss is at most this.
            callbacks: see `chainrule.train.callbacks`.
            progress: whether to show a bar (on a terminal) or lines (elsewhere).

        Returns:
            The history of the trainer.

        Raises:
            NonFiniteLoss: the loss or a parameter became NaN or infinite. It names the step, the operation that made the first
                of them, what that read, and why; the model and the optimiser are as they were before that step.
            DataError, ShapeError, ArgumentError: data or settings that do not fit, or another thread is fitting with this
                Trainer; before anything is changed.
        """
        inputs.check_settings(epochs, seed, sampler, until_loss)
        callbacks = check_callbacks(callbacks)
        if validation_split:
            if validation_data is not None:
                raise ArgumentError(
                    "validation_data and validation_split were both given", "one of them is enough", "Leave one out."
                )
            X, y = numbers(X, "X"), numbers(y, "y")
            kept, held = inputs.split_off(validation_split, len(np.atleast_1d(X)), seed)
            validation_data = tuple(inputs.take([X, y, sample_weight], held))
            X, y, sample_weight = inputs.take([X, y, sample_weight], kept)
        self._parameters = _learnt(self.model, self.optimizer)
        data = self._data(X, y, sample_weight, class_weight)
        held_out = None if validation_data is None else self._data(*inputs.validation_pair(validation_data))
        if sampler == "misclassified":
            inputs.check_classes(data[1])
        batches = Batches(len(data[0]), 1 if sampler == "misclassified" else batch_size, shuffle=shuffle, seed=seed)
        counting = inputs.counting_samples(self.loss, data)
        shown = choose(progress)
        with self._alone(), drawing_from(self._stream):
            self._begin(callbacks, seed)
            with self._diagnosed(data, held_out, batch_size, seed, progress):
                shown.start(self.epoch + 1, self.epoch + epochs, batches.steps)
                try:
                    with Interrupt() as interrupt:
                        job = Job(data, counting, held_out, batches, epochs, sampler, seed, until_loss, shown, interrupt)
                        self._loop(job).run()
                finally:
                    shown.stop()
                    self._end()
        return self.history

    @property
    def diagnosis(self) -> Diagnosis | None:
        """What was found last, with `diagnose=True`; None before the first fit."""
        return self.diagnoses[max(self.diagnoses)] if self.diagnoses else None

    def evaluate(self, X: Any, y: Any, sample_weight: Any = None) -> dict[str, float]:
        """The loss and metrics on data, in evaluation mode (no dropout, running statistics).

        Raises:
            DataError, ShapeError, ArgumentError: data that does not fit.
        """
        with drawing_from(self._stream):
            data = self._data(X, y, sample_weight)
            self._refresh()
            return self._steps.measures(data)

    def predict(self, X: Any) -> Array:
        """The model's outputs (samples, …), in evaluation mode.

        Raises:
            DataError, ShapeError: data that does not fit.
        """
        with drawing_from(self._stream):
            self._refresh()
            return self._steps.predict(inputs_array(self.model, X))

    def losses(self, X: Any, y: Any) -> Array:
        """The loss of every sample (samples,), in evaluation mode: which samples the model gets wrong, and by how much.

        Raises:
            DataError, ShapeError, ArgumentError: data that does not fit.
        """
        x, t, _ = self._data(X, y)
        return self.loss.terms(tensor(self._steps.predict(x)), tensor(t))[0].numpy()

    def profile(self, X: Any, y: Any, *, batch_size: int = 32, steps: int = 20) -> str:
        """Where the time of a training step goes: the kernels of its program in order, with the time that each takes.

        Nothing is trained: the model and the optimiser stay as they are.

        Args:
            X, y: see `fit`; the first batch is used.
            batch_size: samples in a step.
            steps: how many are timed.

        Returns:
            A line per kernel with its microseconds a step and its share of the processor's peak; then one per sort of kernels.
            Where zeros are skipped they count as multiplied, so a share may pass 100 %.

        Raises:
            ArgumentError: the backend has no kernels to time; a number below 1.
            DataError, ShapeError: data that does not fit.
        """
        checks.whole("profile", "batch_size", batch_size, 1)
        checks.whole("profile", "steps", steps, 1)
        data = self._data(X, y)
        batch = [a[:batch_size] for a in data]
        rates = np.array([float(group.lr) for group in self.optimizer.groups])
        with drawing_from(self._stream):
            self._refresh()
            text = self._steps.step_program(data, len(batch[0]), len(rates)).profile([*batch, rates], steps)
        if text is None:
            raise ArgumentError(
                f"a profile was asked for on the backend {self.backend!r}",
                "only the native backend has kernels to time",
                'Give Trainer backend="native".',
            )
        return text

    def stop(self, reason: str) -> None:
        """End training after this epoch; for callbacks."""
        self.history.stopped = reason

    def callback_states(self) -> list[tuple[str, dict[str, Any]]]:
        """Class name and state of each callback of the running or last fit, for checkpoints."""
        return self.resumed_callbacks or [(type(callback).__name__, callback.state()) for callback in self._callbacks]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Within it no other thread fits; a callback in this one may."""
        lock = self._fitting.lock
        if not lock.acquire(blocking=False):
            raise ArgumentError(
                "this Trainer is fitting already, in another thread",
                "a Trainer can run one fit at a time",
                "Wait for the other thread, or give each thread a Trainer with a model of its own.",
            )
        try:
            yield
        finally:
            lock.release()

    def _diagnosed(
        self, data: list[Array], held_out: list[Array] | None, batch_size: int | None, seed: int, show: bool
    ) -> AbstractContextManager[None]:
        """Diagnoses before and after what is done within it, if that was asked for."""
        if not self.diagnose:
            return nullcontext()
        from chainrule.train.diagnosing import diagnosed  # noqa: PLC0415 -- loaded where it was asked for

        return diagnosed(self, data, held_out, batch_size=batch_size, seed=seed, show=show)

    # ---------------------------------------------------------------------------------------- the loop
    def _data(self, X: Any, y: Any, sample_weight: Any = None, class_weight: inputs.ClassWeight = None) -> list[Array]:
        """Inputs, targets and weights as the programs read them."""
        x = inputs_array(self.model, X)
        output = self._steps.output_shape(x[:1])
        t = inputs.targets_array(self.model, self.loss, (len(x), *output[1:]), y, len(x))
        s = inputs.weights_array(sample_weight, class_weight, t, self.loss, model_dtype(self.model))
        data = [x, t, s]
        inputs.check_weights(self.loss, data, output)
        return data

    def _begin(self, callbacks: Sequence[Callback], seed: int) -> None:
        self._callbacks = sorted(callbacks, key=lambda callback: callback.saves)
        given = [type(callback).__name__ for callback in self._callbacks]
        states = self.resumed_callbacks or [(name, {}) for name in given]
        if [name for name, _ in states] != given:
            raise ArgumentError(
                f"fit got the callbacks {', '.join(given) or 'none'}",
                f"the checkpoint was written with {', '.join(name for name, _ in states)}",
                "Give the same ones, or set trainer.resumed_callbacks = [] to begin with new ones.",
            )
        if self.random_state is None:
            self._stream.seed(seed)
        else:
            self._stream.state.assign(self.random_state)
        self.history.stopped = ""
        for callback in self._callbacks:
            callback.on_start(self)
        if self.resumed_callbacks:  # the last to change the weights at the end is the first to put them back
            for callback, (_, state) in reversed([*zip(self._callbacks, states, strict=True)]):
                callback.load_state(self, state)
        self.resumed_callbacks = []
        self._refresh()

    def _refresh(self) -> None:
        """Let the programs take over what has been changed since they last ran."""
        self._steps.model, self._steps.loss, self._steps.optimizer = self.model, self.loss, self.optimizer
        self._steps.metrics, self._steps.clipping = self.metrics, self.clipping
        self._steps.refresh()

    def _end(self) -> None:
        self._steps.values.forget()
        self._note_random_state()
        for callback in self._callbacks:
            callback.on_end(self)

    def _note_random_state(self) -> None:
        self.random_state = np.array(self._stream.state.numpy())

    def _loop(self, job: Job) -> Loop:
        return Loop(
            self, self._steps, job, self._parameters, pace=self._pace, call_back=self._call_back if self._callbacks else None
        )

    def _call_back(self, row: dict[str, float]) -> None:
        """Show the callbacks an epoch, and take over what they have changed."""
        self._note_random_state()
        for callback in self._callbacks:
            callback.on_epoch(self, row)
        self._refresh()


elsewhere.explain_calls_of_methods(Trainer)


def _learnt(model: Module, optimizer: optim.Optimizer) -> list[Tensor]:
    """The parameters that the optimiser learns, which are the model's."""
    own = {id(parameter) for parameter in model.parameters()}
    found = [parameter for group in optimizer.groups for parameter in group.params]
    strangers = [p for p in found if id(p) not in own]
    if strangers:
        raise ArgumentError(
            f"the optimiser learns {len(strangers)} parameters that the model does not have",
            "a trainer learns its own model",
            "Make the optimiser from model.parameters(), after the last change of the model.",
        )
    return found
