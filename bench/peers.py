"""One training step of the same network, on the same rows of the same data, in every system that is installed.

Each system gives a function `steps(count) -> seconds per step`. All use float32, Adam with its usual settings, and all
processors of this process, each in its best form: PyTorch with its fused Adam, JAX once as one compiled step called from Python
and once with the loop over steps compiled as well.

    python -m bench.peers SYSTEM JOB

measures one system in a process of its own, so that the thread pools of others are not in its way: it reads numbers of steps
from its input, one a line, and prints the seconds per step.
"""

# ruff: noqa: PLC0415 -- a process imports only the system that it measures

from __future__ import annotations

import importlib.util
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Array = np.ndarray
Timed = Callable[[int], float]


@dataclass(frozen=True)
class Job:
    """A network and a batch size.

    Attributes:
        name: for the table.
        sizes: of a dense network's layers, or of a convolutional one's channels.
        batch: samples per step.
        image: height and width if the network is convolutional; () if it is dense.
        pool_after: the convolutions that are followed by a 2×2 max pooling.
    """

    name: str
    sizes: tuple[int, ...]
    batch: int
    image: tuple[int, ...] = ()
    pool_after: tuple[int, ...] = ()

    @property
    def binary(self) -> bool:
        """Whether it has one output, trained with binary cross-entropy."""
        return not self.image and self.sizes[-1] == 1

    @property
    def batches(self) -> int:
        """Batches in the data set: 8 megabytes of inputs, but no less than 8 and no more than 4096 batches."""
        size = 4 * self.batch * self.sizes[0] * int(np.prod(self.image))
        return min(max(2**23 // size, 8), 4096)

    def data(self) -> tuple[Array, Array]:
        """Random inputs and targets."""
        rng = np.random.default_rng(0)
        count = self.batches * self.batch
        x = rng.normal(size=(count, self.sizes[0], *self.image)).astype(np.float32)
        return x, rng.integers(0, 2 if self.binary else 10 if self.image else self.sizes[-1], count)

    def rows(self, steps: int) -> Array:
        """Row numbers (steps, batch)."""
        return np.random.default_rng(1).integers(0, self.batches * self.batch, (steps, self.batch))


JOBS = [
    Job("2-4-2, 4", (2, 4, 2), 4),
    Job("2-8-8-1, 32", (2, 8, 8, 1), 32),
    Job("64-64-10, 32", (64, 64, 10), 32),
    Job("784-128-10, 64", (784, 128, 10), 64),
    Job("784-256-128-10, 128", (784, 256, 128, 10), 128),
    Job("1024×4, 256", (1024,) * 5, 256),
    Job("2048×4, 1024", (2048,) * 5, 1024),
    Job("CNN 1→16→32, 28×28, 64", (1, 16, 32), 64, (28, 28), (0, 1)),
    Job("CNN 3→32→32→64→64→128→128, 32×32, 64", (3, 32, 32, 64, 64, 128, 128), 64, (32, 32), (1, 3, 5)),
]


# ------------------------------------------------------------------------------------------------ chainrule
def chainrule(job: Job) -> Timed:
    """`Trainer.fit(progress=False)`, which is what users call, start and all."""
    import chainrule as cr
    from chainrule import nn

    cr.manual_seed(0)
    layers: list[nn.Module] = []
    if job.image:
        for k, (a, b) in enumerate(pairwise(job.sizes)):
            layers += [nn.Conv2d(a, b, 3, padding=1), nn.ReLU()]
            if k in job.pool_after:
                layers.append(nn.MaxPool2d(2))
        layers += [nn.Flatten(), nn.Linear(_flat(job), 10)]
    else:
        for k, (a, b) in enumerate(pairwise(job.sizes)):
            layers += [nn.Linear(a, b)] + ([nn.ReLU()] if k < len(job.sizes) - 2 else [])
    model = nn.Sequential(*layers)
    loss = nn.BCEWithLogitsLoss() if job.binary else nn.CrossEntropyLoss()
    trainer = cr.Trainer(model, loss, cr.optim.Adam(model.parameters()), backend="native")
    x, y = job.data()
    target = y.astype(np.float32)[:, None] if job.binary else y

    def steps(count: int) -> float:
        epochs = max(1, count // job.batches)
        start = time.perf_counter()
        trainer.fit(x, target, epochs=epochs, batch_size=job.batch, progress=False)
        return (time.perf_counter() - start) / (job.batches * epochs)

    return steps


def _flat(job: Job) -> int:
    return job.sizes[-1] * int(np.prod([n // 2 ** len(job.pool_after) for n in job.image]))


# ------------------------------------------------------------------------------------------------ PyTorch
def torch_eager(job: Job) -> Timed:
    """PyTorch, as it is usually written."""
    return _torch(job, compiled=False)


def torch_compiled(job: Job) -> Timed:
    """PyTorch with the model and its loss under torch.compile."""
    return _torch(job, compiled=True)


def _torch(job: Job, *, compiled: bool) -> Timed:
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers: list[nn.Module] = []
    pairs = list(pairwise(job.sizes))
    for k, (a, b) in enumerate(pairs):
        layers.append(nn.Conv2d(a, b, 3, padding=1) if job.image else nn.Linear(a, b))
        if job.image or k < len(pairs) - 1:
            layers.append(nn.ReLU())
        if k in job.pool_after and job.image:
            layers.append(nn.MaxPool2d(2))
    if job.image:
        layers += [nn.Flatten(), nn.Linear(_flat(job), 10)]
    model = nn.Sequential(*layers)
    criterion = nn.BCEWithLogitsLoss() if job.binary else nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    x, y = job.data()
    inputs = torch.from_numpy(x)
    targets = torch.from_numpy(y.astype(np.float32)[:, None] if job.binary else y)

    def value(a: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return criterion(model(a), t)

    forward = torch.compile(value) if compiled else value

    def steps(count: int) -> float:
        rows = torch.from_numpy(job.rows(count))
        start = time.perf_counter()
        for chosen in rows:
            optimizer.zero_grad()
            forward(inputs[chosen], targets[chosen]).backward()
            optimizer.step()
        return (time.perf_counter() - start) / count

    return steps


# ------------------------------------------------------------------------------------------------ scikit-learn
def scikit_learn(job: Job) -> Timed | None:
    """scikit-learn's MLP; it has no convolutions."""
    if job.image:
        return None
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    x, y = job.data()
    classes = 2 if job.binary else job.sizes[-1]
    y = np.concatenate([np.arange(classes), y])[: len(y)] % classes  # every class must occur

    def steps(count: int) -> float:
        epochs = max(1, count // job.batches)
        model = MLPClassifier(job.sizes[1:-1], batch_size=job.batch, max_iter=epochs, tol=0.0, n_iter_no_change=10**9)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            start = time.perf_counter()
            model.fit(x, y)
            return (time.perf_counter() - start) / (job.batches * epochs)

    return steps


# ------------------------------------------------------------------------------------------------ JAX
def jax_step(job: Job) -> Timed:
    """JAX: one compiled step, called from Python."""
    return _jax(job, scanned=False)


def jax_scan(job: Job) -> Timed:
    """JAX: many steps in one compiled loop."""
    return _jax(job, scanned=True)


def _jax(job: Job, *, scanned: bool) -> Timed:
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(0)
    pairs = list(pairwise(job.sizes))
    shapes = [(b, a, 3, 3) if job.image else (a, b) for a, b in pairs] + ([(_flat(job), 10)] if job.image else [])
    weights = [jnp.asarray(rng.normal(size=s).astype(np.float32) * (2.0 / np.prod(s[:-1])) ** 0.5) for s in shapes]
    biases = [jnp.zeros(s[0] if len(s) == 4 else s[1], jnp.float32) for s in shapes]
    parameters = (weights, biases)
    zeros = jax.tree_util.tree_map(jnp.zeros_like, parameters)
    x, y = (jnp.asarray(a) for a in job.data())

    def loss(parameters, a, t):
        weights, biases = parameters
        h = a
        for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
            if w.ndim == 4:
                h = jax.lax.conv_general_dilated(h, w, (1, 1), "SAME") + b[:, None, None]
            else:
                h = h.reshape(h.shape[0], -1) @ w + b
            if k < len(weights) - 1:
                h = jnp.maximum(h, 0.0)
            if job.image and k in job.pool_after:
                h = jax.lax.reduce_window(h, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
        if job.binary:
            z = h[:, 0]
            return jnp.mean(jnp.maximum(z, 0) - z * t + jnp.log1p(jnp.exp(-jnp.abs(z))))
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(h), t[:, None], 1))

    def step(carry, chosen):
        parameters, m, v, count = carry
        value, g = jax.value_and_grad(loss)(parameters, x[chosen], y[chosen])
        count = count + 1
        m = jax.tree_util.tree_map(lambda old, new: 0.9 * old + 0.1 * new, m, g)
        v = jax.tree_util.tree_map(lambda old, new: 0.999 * old + 0.001 * new * new, v, g)
        rate, scale = 1e-3 / (1 - 0.9**count), 1 / jnp.sqrt(1 - 0.999**count)
        parameters = jax.tree_util.tree_map(lambda p, a, b: p - rate * a / (jnp.sqrt(b) * scale + 1e-8), parameters, m, v)
        return (parameters, m, v, count), value

    many = jax.jit(lambda carry, rows: jax.lax.scan(step, carry, rows))
    one = jax.jit(step)
    state = (parameters, zeros, zeros, jnp.float32(0))

    def steps(count: int) -> float:
        rows = jnp.asarray(job.rows(count))
        if scanned:
            jax.block_until_ready(many(state, rows))  # another number of steps is another compilation
        start = time.perf_counter()
        carry = state
        if scanned:
            carry, _ = many(carry, rows)
        else:
            for chosen in rows:
                carry, _ = one(carry, chosen)
        jax.block_until_ready(carry)
        return (time.perf_counter() - start) / count

    return steps


# name: package that must be installed, what makes the timed function
PEERS: dict[str, tuple[str, Callable[[Job], Timed | None]]] = {
    "chainrule": ("llvmlite", chainrule),
    "PyTorch": ("torch", torch_eager),
    "torch.compile": ("torch", torch_compiled),
    "scikit-learn": ("sklearn", scikit_learn),
    "JAX jit": ("jax", jax_step),
    "JAX scan": ("jax", jax_scan),
}


def installed() -> list[str]:
    """The systems that can be measured here."""
    return [name for name, (package, _) in PEERS.items() if importlib.util.find_spec(package)]


def main() -> None:
    """Measure one system on one job, as told on the input."""
    system, number = sys.argv[1:]
    timed = PEERS[system][1](JOBS[int(number)])
    for line in sys.stdin:
        print(timed(int(line)) if timed is not None else "none", flush=True)


if __name__ == "__main__":
    main()
