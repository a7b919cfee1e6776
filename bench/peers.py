"""Training steps of the same network, on the same rows of the same data, in every system that is installed.

All use float32, Adam with its usual settings, and all processors of this process, each in its best form: PyTorch with its fused
Adam, JAX once as one compiled step called from Python and once with the loop over steps compiled as well.

    python -m bench.peers SYSTEM JOB

measures one system in a process of its own, so that the thread pools and the memory of others are not in its way. It first
prints the memory that the system's own packages take. Then it reads numbers of steps, one a line, and prints for each the
seconds, the steps really done (some systems do whole epochs only) and the most memory used so far.
"""

# ruff: noqa: PLC0415 -- a process imports only the system that it measures

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.jobs import CLASSES, JOBS, KERNEL, Job
from bench.memory import peak_bytes

if TYPE_CHECKING:
    from chainrule import Trainer

Timed = Callable[[int], tuple[float, int]]  # about so many steps ↦ seconds, and steps done


# ------------------------------------------------------------------------------------------------ chainrule
def chainrule(job: Job) -> Timed:
    """`Trainer.fit(progress=False)`, which is what users call, start and all."""
    trainer = chainrule_trainer(job)
    x, target = chainrule_data(job)

    def steps(count: int) -> tuple[float, int]:
        epochs = max(1, count // job.batches)
        start = time.perf_counter()
        trainer.fit(x, target, epochs=epochs, batch_size=job.batch, progress=False)
        return time.perf_counter() - start, job.batches * epochs

    return steps


def chainrule_data(job: Job) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets as the loss of `chainrule_trainer` takes them."""
    x, y = job.data()
    return x, y.astype(np.float32)[:, None] if job.binary else y


def chainrule_trainer(job: Job) -> Trainer:
    """The network of a job with its loss and Adam, on the native backend."""
    import chainrule as cr
    from chainrule import nn

    cr.manual_seed(0)
    activation = {"relu": nn.ReLU, "tanh": nn.Tanh}[job.activation]
    layers: list[nn.Module] = []
    if job.image:
        for k, (a, b) in enumerate(pairwise(job.sizes)):
            layers += [nn.Conv2d(a, b, KERNEL, padding=1), activation()]
            if k in job.pool_after:
                layers.append(nn.MaxPool2d(2))
        layers += [nn.Flatten(), nn.Linear(job.flat, CLASSES)]
    else:
        for k, (a, b) in enumerate(pairwise(job.sizes)):
            layers += [nn.Linear(a, b)] + ([activation()] if k < len(job.sizes) - 2 else [])
    model = nn.Sequential(*layers)
    loss = nn.BCEWithLogitsLoss() if job.binary else nn.CrossEntropyLoss()
    return cr.Trainer(model, loss, cr.optim.Adam(model.parameters()), backend="native")


# ------------------------------------------------------------------------------------------------ PyTorch
def torch_eager(job: Job) -> Timed:
    """PyTorch, as it is usually written; pictures with their channels last, which its convolutions like best."""
    return _torch(job, compiled=False)


def torch_compiled(job: Job) -> Timed:
    """PyTorch with the model and its loss under torch.compile."""
    return _torch(job, compiled=True)


def _torch(job: Job, *, compiled: bool) -> Timed:
    import torch
    from torch import nn

    torch.manual_seed(0)
    activation = {"relu": nn.ReLU, "tanh": nn.Tanh}[job.activation]
    layers: list[nn.Module] = []
    pairs = list(pairwise(job.sizes))
    for k, (a, b) in enumerate(pairs):
        layers.append(nn.Conv2d(a, b, KERNEL, padding=1) if job.image else nn.Linear(a, b))
        if job.image or k < len(pairs) - 1:
            layers.append(activation())
        if k in job.pool_after and job.image:
            layers.append(nn.MaxPool2d(2))
    if job.image:
        layers += [nn.Flatten(), nn.Linear(job.flat, CLASSES)]
    model = nn.Sequential(*layers)
    criterion = nn.BCEWithLogitsLoss() if job.binary else nn.CrossEntropyLoss()
    x, y = job.data()
    inputs = torch.from_numpy(x)
    if job.image and not compiled:
        model = model.to(memory_format=torch.channels_last)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    targets = torch.from_numpy(y.astype(np.float32)[:, None] if job.binary else y)

    optimizer = torch.optim.Adam(model.parameters(), fused=True)

    def value(a: torch.Tensor, t: torch.Tensor) -> Any:
        return criterion(model(a), t)

    forward = torch.compile(value) if compiled else value

    def steps(count: int) -> tuple[float, int]:
        rows = torch.from_numpy(job.rows(count))
        start = time.perf_counter()
        for chosen in rows:
            optimizer.zero_grad()
            forward(inputs[chosen], targets[chosen]).backward()
            optimizer.step()
        return time.perf_counter() - start, count

    return steps


# ------------------------------------------------------------------------------------------------ scikit-learn
def scikit_learn(job: Job) -> Timed | None:
    """scikit-learn's MLP; it has no convolutions."""
    if job.image:
        return None
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    x, y = job.data()
    y = np.concatenate([np.arange(job.classes), y])[: len(y)] % job.classes  # every class must occur

    def steps(count: int) -> tuple[float, int]:
        epochs = max(1, count // job.batches)
        model = MLPClassifier(
            job.sizes[1:-1],
            activation=job.activation,
            batch_size=job.batch,
            max_iter=epochs,
            tol=0.0,
            n_iter_no_change=10**9,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            start = time.perf_counter()
            model.fit(x, y)
            return time.perf_counter() - start, job.batches * epochs

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
    activation = {"relu": jax.nn.relu, "tanh": jnp.tanh}[job.activation]
    pairs = list(pairwise(job.sizes))
    shapes = [(b, a, KERNEL, KERNEL) if job.image else (a, b) for a, b in pairs] + ([(job.flat, CLASSES)] if job.image else [])
    weights = [jnp.asarray(rng.normal(size=s).astype(np.float32) * (2.0 / np.prod(s[:-1])) ** 0.5) for s in shapes]
    biases = [jnp.zeros(s[0] if len(s) == 4 else s[1], jnp.float32) for s in shapes]
    parameters = (weights, biases)
    moments = [jax.tree_util.tree_map(jnp.zeros_like, parameters) for _ in range(2)]
    x, y = (jnp.asarray(a) for a in job.data())

    def loss(parameters: Any, a: Any, t: Any) -> Any:
        weights, biases = parameters
        h = a
        for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
            if w.ndim == 4:
                h = jax.lax.conv_general_dilated(h, w, (1, 1), "SAME") + b[:, None, None]
            else:
                h = h.reshape(h.shape[0], -1) @ w + b
            if k < len(weights) - 1:
                h = activation(h)
            if job.image and k in job.pool_after:
                h = jax.lax.reduce_window(h, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
        if job.binary:
            z = h[:, 0]
            return jnp.mean(jnp.maximum(z, 0) - z * t + jnp.log1p(jnp.exp(-jnp.abs(z))))
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(h), t[:, None], 1))

    def step(carry: Any, chosen: Any, x: Any, y: Any) -> Any:
        parameters, m, v, count = carry
        value, g = jax.value_and_grad(loss)(parameters, x[chosen], y[chosen])
        count = count + 1
        m = jax.tree_util.tree_map(lambda old, new: 0.9 * old + 0.1 * new, m, g)
        v = jax.tree_util.tree_map(lambda old, new: 0.999 * old + 0.001 * new * new, v, g)
        rate, scale = 1e-3 / (1 - 0.9**count), 1 / jnp.sqrt(1 - 0.999**count)
        parameters = jax.tree_util.tree_map(lambda p, a, b: p - rate * a / (jnp.sqrt(b) * scale + 1e-8), parameters, m, v)
        return (parameters, m, v, count), value

    def loop(carry: Any, rows: Any, x: Any, y: Any) -> Any:
        return jax.lax.scan(lambda carry, chosen: step(carry, chosen, x, y), carry, rows)

    # The old state is given away: its memory is used for the new one.
    one, many = jax.jit(step, donate_argnums=0), jax.jit(loop, donate_argnums=0)
    carry = (parameters, *moments, jnp.float32(0))
    warm: set[int] = set()

    def steps(count: int) -> tuple[float, int]:
        nonlocal carry
        rows = job.rows(count).astype(np.int32)
        if scanned and count not in warm:  # another number of steps is another compilation
            warm.add(count)
            carry, _ = many(carry, rows, x, y)
        jax.block_until_ready(carry)
        start = time.perf_counter()
        if scanned:
            carry, _ = many(carry, rows, x, y)
        else:
            for chosen in rows:
                carry, _ = one(carry, chosen, x, y)
        jax.block_until_ready(carry)
        return time.perf_counter() - start, count

    return steps


# ------------------------------------------------------------------------------------------------ the table, and one of them
@dataclass(frozen=True)
class Peer:
    """A system that can be measured.

    Attributes:
        modules: what it needs; imported first, to see how much memory that takes.
        start: gives the function to time, or None if the system cannot do the job.
    """

    modules: tuple[str, ...]
    start: Callable[[Job], Timed | None]


PEERS = {
    "chainrule": Peer(("chainrule", "llvmlite.binding"), chainrule),
    "PyTorch": Peer(("torch",), torch_eager),
    "torch.compile": Peer(("torch",), torch_compiled),
    "scikit-learn": Peer(("sklearn.neural_network",), scikit_learn),
    "JAX jit": Peer(("jax.numpy",), jax_step),
    "JAX scan": Peer(("jax.numpy",), jax_scan),
}


def installed() -> list[str]:
    """The systems that can be measured here."""
    packages = {name: [module.partition(".")[0] for module in peer.modules] for name, peer in PEERS.items()}
    return [name for name, needed in packages.items() if all(importlib.util.find_spec(package) for package in needed)]


def main() -> None:
    """Measure one system on one job, as told on the input."""
    name, number = sys.argv[1:]
    peer = PEERS[name]
    for module in peer.modules:
        importlib.import_module(module)
    print(json.dumps({"imported_bytes": peak_bytes()}), flush=True)
    timed = peer.start(JOBS[int(number)])
    for line in sys.stdin:
        if timed is None:
            print("null", flush=True)
            continue
        seconds, steps = timed(int(line))
        print(json.dumps({"seconds": seconds, "steps": steps, "peak_bytes": peak_bytes()}), flush=True)


if __name__ == "__main__":
    main()
