"""How well `check` names slips: a generated corpus of hand calculations, right and wrong.

    python -m bench.grading [--wrong 1000] [--right 10000] [--random 10000] [--seed 0]

Random small networks (one to two hidden layers, one to three units each; sigmoid or tanh; with or without biases; written with
scalars or with matrices) are calculated here in plain NumPy, apart from chainrule. *Wrong* calculations have one planted slip;
counted is how often `check` names its kind. *Right* ones are written by people of different habits (full precision, rounding at
the end, rounding every step to significant digits or to decimals, cutting off); counted is how often one is called wrong.
*Random* wrong numbers with 1 to 8 digits stand in the place of a right one, alone and (a fifth as many) at the end of a right
calculation with as many digits, in the decade of the right number or of all magnitudes; counted is how often one is accepted,
beside how often chance alone would be right, and how often a slip is named for one, which then is a coincidence.

A planted slip whose number happens to be another quantity of the same calculation is expected to be called
"equals-other-quantity", as `check` documents, unless a factor or sign is missing in a gradient. The figures go to
`bench/results/grading.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.small_networks import Network, random_network
from chainrule.grading import check


# -------------------------------------------------------------------------------------------- planted slips
@dataclass(frozen=True)
class Planted:
    """A wrong claim and the kind of its slip."""

    network: Network
    name: str
    true: float
    value: float
    kind: str


Plant = Callable[[np.random.Generator], Planted]


def _weight(net: Network, rng: np.random.Generator, layer: int) -> tuple[int, int, int, str, float]:
    """A weight of a layer: its place, name and gradient."""
    j, i = int(rng.integers(net.sizes[layer])), int(rng.integers(net.sizes[layer - 1]))
    gradient = float(net.deltas()[layer][j] * net.forward()[1][layer - 1][i])
    return layer, j, i, f"dE/d{net.name('W', layer, j, i)}", gradient


def _any_weight(net: Network, rng: np.random.Generator) -> tuple[int, int, int, str, float]:
    return _weight(net, rng, int(rng.integers(1, net.depth + 1)))


def missing_factor(rng: np.random.Generator) -> Planted:
    net = random_network(rng)
    layer, j, i, name, true = _any_weight(net, rng)
    zs, activations = net.forward()
    choice = int(rng.integers(5))
    if choice == 4 and net.rate != 1.0:
        weight = float(net.W[layer - 1][j, i])
        return Planted(net, f"{name.removeprefix('dE/d')}'", weight - net.rate * true, weight - true, "missing-factor")
    if choice == 0:
        value = true / float(net.slope(zs[layer])[j])
    elif choice == 1:
        value = true / float(activations[layer - 1][i])
    elif choice == 2:
        value = float(net.slope(zs[layer])[j] * activations[layer - 1][i])
    else:
        slopes = [np.zeros(0), *(net.slope(z) for z in zs[1:])]
        slopes[-1] = np.ones_like(slopes[-1])
        value = float(net.deltas(slopes=slopes)[layer][j] * activations[layer - 1][i])
    return Planted(net, name, true, value, "missing-factor")


def extra_factor(rng: np.random.Generator) -> Planted:
    net = random_network(rng)
    layer, j, i, name, true = _any_weight(net, rng)
    zs, activations = net.forward()
    extra = [
        float(activations[layer][j]),
        float(net.slope(zs[layer])[j]),
        float(net.W[layer - 1][j, i]),
        float(activations[layer - 1][i]),
    ]
    return Planted(net, name, true, true * extra[int(rng.integers(len(extra)))], "extra-factor")


def sign(rng: np.random.Generator) -> Planted:
    """A gradient with the wrong sign, a step uphill, or an activation of −z."""
    net = random_network(rng)
    layer, j, i, name, true = _any_weight(net, rng)
    choice = int(rng.integers(3))
    if choice == 0:
        return Planted(net, name, true, -true, "sign")
    if choice == 1:
        weight = float(net.W[layer - 1][j, i])
        return Planted(net, f"{name.removeprefix('dE/d')}'", weight - net.rate * true, weight + net.rate * true, "sign")
    z = net.forward()[0][layer]
    return Planted(net, net.name("a", layer, j), float(net.act(z)[j]), float(net.act(-z)[j]), "sign")


def constant_factor(rng: np.random.Generator) -> Planted:
    net = random_network(rng)
    *_, name, true = _any_weight(net, rng)
    return Planted(net, name, true, true * float(rng.choice([2.0, 0.5])), "constant-factor")


def missing_path(rng: np.random.Generator) -> Planted:
    """A path to the output left out of a gradient, or a term left out of a weighted input."""
    return term_left_out(rng) if rng.random() < 0.3 else path_left_out(rng)


def term_left_out(rng: np.random.Generator) -> Planted:
    while True:
        net = random_network(rng, matrix=False)
        layer = int(rng.integers(1, net.depth + 1))
        if net.sizes[layer - 1] > 1:
            break
    j, i = int(rng.integers(net.sizes[layer])), int(rng.integers(net.sizes[layer - 1]))
    zs, activations = net.forward()
    true = float(zs[layer][j])
    return Planted(
        net, net.name("z", layer, j), true, true - float(net.W[layer - 1][j, i] * activations[layer - 1][i]), "missing-path"
    )


def path_left_out(rng: np.random.Generator) -> Planted:
    while True:
        net = random_network(rng)
        layer = int(rng.integers(1, net.depth)) if net.depth > 1 else 0
        if layer and net.sizes[layer + 1] > 1:
            break
    layer, j, i, name, true = _weight(net, rng, layer)
    zs, activations = net.forward()
    kept = rng.permutation(net.sizes[layer + 1])[:-1]
    upstream = net.W[layer][kept, j] @ net.deltas()[layer + 1][kept]
    return Planted(net, name, true, float(upstream * net.slope(zs[layer])[j] * activations[layer - 1][i]), "missing-path")


def stale_weight(rng: np.random.Generator) -> Planted:
    while True:
        net = random_network(rng)
        if net.depth > 1:
            break
    layer, j, i, name, true = _weight(net, rng, int(rng.integers(1, net.depth)))
    zs, activations = net.forward()
    deltas = net.deltas()
    fresh = net.W[layer] - net.rate * np.outer(deltas[layer + 1], activations[layer])
    upstream = fresh[:, j] @ deltas[layer + 1]
    return Planted(net, name, true, float(upstream * net.slope(zs[layer])[j] * activations[layer - 1][i]), "stale-weight")


def derivative_at_output(rng: np.random.Generator) -> Planted:
    net = random_network(rng)
    layer, j, _, name, true = _any_weight(net, rng)
    zs, activations = net.forward()
    value = true / float(net.slope(zs[layer])[j]) * float(net.slope(activations[layer])[j])
    return Planted(net, name, true, value, "derivative-at-output")


def transposed(rng: np.random.Generator) -> Planted:
    n = int(rng.integers(2, 4))
    net = random_network(rng, sizes=(int(rng.integers(1, 4)), n, n), matrix=True)
    _, j, i, name, true = _weight(net, rng, 1)
    zs, activations = net.forward()
    upstream = net.W[1][j, :] @ net.deltas()[2]
    return Planted(net, name, true, float(upstream * net.slope(zs[1])[j] * activations[0][i]), "transposed")


def other_quantity(rng: np.random.Generator) -> Planted:
    net = random_network(rng)
    *_, name, true = _any_weight(net, rng)
    others = [v for n, v in net.quantities().items() if n.startswith("dE/dW") and n != name] or [float(net.forward()[1][-1][0])]
    return Planted(net, name, true, float(rng.choice(others)), "equals-other-quantity")


def unexplained(rng: np.random.Generator) -> Planted:
    net = random_network(rng)
    *_, name, true = _any_weight(net, rng)
    return Planted(net, name, true, true * float(rng.uniform(1.1, 3.0)), "unexplained")


def other_function(rng: np.random.Generator) -> Planted:
    """tanh for σ or the other way: the function itself, or its derivative in terms of the output."""
    net = random_network(rng)
    layer, j, _, name, true = _any_weight(net, rng)
    zs, activations = net.forward()
    z, a = float(zs[layer][j]), float(activations[layer][j])
    if rng.random() < 0.3:
        value = 1.0 / (1.0 + np.exp(-z)) if net.tanh else float(np.tanh(z))
        return Planted(net, net.name("a", layer, j), a, value, "other-function")
    slope = a * (1.0 - a) if net.tanh else 1.0 - a * a
    return Planted(net, name, true, true / float(net.slope(zs[layer])[j]) * slope, "other-function")


def other_error_term(rng: np.random.Generator) -> Planted:
    """The error term of the layer above in the gradient of a weight."""
    while True:
        net = random_network(rng)
        layer, j, i, name, true = _any_weight(net, rng)
        # Where the slope is nearly 1, the same number comes out when only the weight is left out.
        if layer < net.depth and j < net.sizes[layer + 1] and net.slope(net.forward()[0][layer])[j] < 0.95:
            break
    value = float(net.deltas()[layer + 1][j] * net.forward()[1][layer - 1][i])
    return Planted(net, name, true, value, "other-error-term")


def value_for_value(rng: np.random.Generator) -> Planted:
    """z in place of its activation in the gradient of a weight."""
    while True:
        net = random_network(rng)
        if net.depth > 1:
            break
    layer, j, i, name, true = _weight(net, rng, int(rng.integers(2, net.depth + 1)))
    value = float(net.deltas()[layer][j] * net.forward()[0][layer - 1][i])
    return Planted(net, name, true, value, "missing-factor")


PLANTS: tuple[Plant, ...] = (
    missing_factor, extra_factor, sign, constant_factor, missing_path, stale_weight, derivative_at_output, transposed,
    other_quantity, other_function, other_error_term, value_for_value, unexplained,
)  # fmt: skip


def wrong_calculations(count: int, seed: int) -> Iterator[tuple[Planted, str, str]]:
    """Planted slips, the number as it is written, and the kind expected; every kind equally often."""
    rng = np.random.default_rng(seed)
    made = 0
    while made < count:
        found = PLANTS[made % len(PLANTS)](rng)
        text = written(found.value, int(rng.integers(4, 7)))
        tolerance = 10.0 ** (np.floor(np.log10(abs(found.value))) - 2) if found.value else 1.0
        if found.true == 0.0 or found.value == 0.0 or abs(found.value - found.true) < tolerance:
            continue  # no slip to be seen in the first three digits
        made += 1
        yield found, text, expected_kind(found)


def expected_kind(planted: Planted) -> str:
    """The planted kind, or what `check` calls a number that is another quantity of the calculation."""
    if planted.kind in ("sign", "missing-factor") and planted.name[0] not in "za":
        return planted.kind
    others = (v for n, v in planted.network.quantities().items() if n != planted.name)
    same = any(np.isclose(planted.value, v, rtol=1e-9, atol=0.0) for v in others)
    return "equals-other-quantity" if same else planted.kind


def written(value: float, digits: int) -> str:
    """A number with that many significant digits, trailing zeros kept."""
    decimals = max(0, digits - 1 - int(np.floor(np.log10(abs(value))))) if value else digits
    return f"{value:.{decimals}f}"


# -------------------------------------------------------------------------------------------- right calculations
Round = Callable[[float], float]
Habit = Callable[[Network, np.random.Generator], dict[str, str]]


def at_the_end(net: Network, rng: np.random.Generator) -> dict[str, str]:
    """Full precision, rounded when written."""
    digits = int(rng.integers(2, 9))
    return {name: written(value, digits) for name, value in net.quantities().items()}


def decimals_at_the_end(net: Network, rng: np.random.Generator) -> dict[str, str]:
    digits = int(rng.integers(3, 9))
    return {name: f"{value:.{digits}f}" for name, value in net.quantities().items()}


def cut_off(net: Network, rng: np.random.Generator) -> dict[str, str]:
    """Digits cut off instead of rounded."""
    digits = int(rng.integers(4, 9))
    return {name: f"{np.trunc(value * 10**digits) / 10**digits:.{digits}f}" for name, value in net.quantities().items()}


def every_step_digits(net: Network, rng: np.random.Generator) -> dict[str, str]:
    """Every intermediate result rounded to significant digits and carried on rounded."""
    digits = int(rng.integers(3, 8))
    return stepwise(net, lambda v: float(f"{v:.{digits - 1}e}"), lambda v: written(v, digits))


def every_step_decimals(net: Network, rng: np.random.Generator) -> dict[str, str]:
    """Every intermediate result rounded to decimals and carried on rounded."""
    decimals = int(rng.integers(4, 9))
    return stepwise(net, lambda v: round(v, decimals), lambda v: f"{v:.{decimals}f}")


def stepwise(net: Network, r: Round, write: Callable[[float], str]) -> dict[str, str]:
    """The whole calculation with every product, sum and function value rounded."""
    found: dict[str, str] = {}
    activations = [[float(v) for v in net.x]]
    slopes: list[list[float]] = [[]]
    for layer, W in enumerate(net.W, start=1):
        row: list[float] = []
        for j in range(net.sizes[layer]):
            z = r(
                sum(r(W[j, i] * a) for i, a in enumerate(activations[-1])) + (net.b[layer - 1][j] if net.b is not None else 0.0)
            )
            row.append(r(float(net.act(np.asarray(z)))))
            found[net.name("z", layer, j)], found[net.name("a", layer, j)] = write(z), write(row[-1])
        activations.append(row)
        slopes.append([r(1 - r(a * a)) if net.tanh else r(a * r(1 - a)) for a in row])
    errors = [r(a - t) for a, t in zip(activations[-1], net.t, strict=True)]
    found["E"] = write(r(sum(r(0.5 * r(e * e)) for e in errors)))
    upstream = errors
    for layer in range(net.depth, 0, -1):
        deltas = [r(g * s) for g, s in zip(upstream, slopes[layer], strict=True)]
        for j, d in enumerate(deltas):
            found[f"dE/d{net.name('z', layer, j)}"] = write(d)
            for i, a in enumerate(activations[layer - 1]):
                found[f"dE/d{net.name('W', layer, j, i)}"] = write(r(d * a))
        upstream = [r(sum(r(net.W[layer - 1][j, i] * d) for j, d in enumerate(deltas))) for i in range(net.sizes[layer - 1])]
    return found


HABITS: tuple[Habit, ...] = (at_the_end, decimals_at_the_end, cut_off, every_step_digits, every_step_decimals)


# -------------------------------------------------------------------------------------------- measuring
def measure_wrong(count: int, seed: int, verbose: bool) -> dict[str, Any]:
    named: Counter[str] = Counter()
    expected: Counter[str] = Counter()
    confused: Counter[str] = Counter()
    for planted, text, kind in wrong_calculations(count, seed):
        output, optimizer = planted.network.build()
        finding = check(output, {planted.name: text}, optimizer=optimizer)[planted.name]
        expected[kind] += 1
        if finding.kind == kind:
            named[kind] += 1
        else:
            confused[f"{kind} called {finding.kind or finding.verdict}"] += 1
            if verbose:
                print(planted.kind, kind, finding.kind, finding.message, file=sys.stderr)
    kinds = {k: {"planted": n, "named": named[k], "share": round(named[k] / n, 4)} for k, n in sorted(expected.items())}
    return {"share": round(sum(named.values()) / count, 4), "kinds": kinds, "confused": dict(confused.most_common())}


def measure_right(count: int, seed: int, verbose: bool) -> dict[str, Any]:
    rng = np.random.default_rng(seed + 1)
    verdicts: Counter[str] = Counter()
    called_wrong = 0
    for k in range(count):
        net = random_network(rng)
        habit = HABITS[k % len(HABITS)]
        claims = habit(net, rng)
        grading = check(net.build()[0], claims)
        verdicts.update(f.verdict for f in grading.values())
        if not grading.correct:
            called_wrong += 1
            if verbose:
                name = grading.first_wrong
                print(habit.__name__, name, grading[name].message if name else grading, file=sys.stderr)
    return {"calculations": count, "called_wrong": called_wrong, "claims": sum(verdicts.values()), "verdicts": dict(verdicts)}


def random_number(true: float, digits: int, rng: np.random.Generator, *, anywhere: bool = False) -> str:
    """Random digits in the decade and with the sign of a number: nothing but the digits can tell that it is wrong.

    Or `anywhere` from 1e-6 to 1e6.
    """
    decade = int(rng.integers(-6, 6)) if anywhere else int(np.floor(np.log10(abs(true))))
    mantissa = int(rng.integers(10 ** (digits - 1), 10**digits))
    value = float(np.copysign(mantissa * 10.0 ** (decade - digits + 1), true))
    return f"{value:.{digits - 1}e}" if anywhere else written(value, digits)


def is_right(text: str, true: float, digits: int) -> bool:
    """Whether a number with so many digits is the true value rounded."""
    return abs(float(text) - true) <= 0.5000001 * 10.0 ** (np.floor(np.log10(abs(float(text)))) - digits + 1)


def measure_false(count: int, seed: int, verbose: bool, *, sheet: bool, anywhere: bool = False) -> dict[str, Any]:
    """Random wrong numbers with 1 to 8 digits, equally often, and how many of them are accepted, or explained by a slip.

    By chance 1 of 9 · 10^(d - 1) random numbers with d digits is the right one: no more wrong ones may be accepted.

    Args:
        sheet: the number stands at the end of a right calculation with as many digits, not alone.
        anywhere: the numbers are of all magnitudes, not of that of the true value. "1e2" for 0.7 is as wrong as can be.
    """
    rng = np.random.default_rng(seed + 2)
    found = {d: {"numbers": 0, "accepted": 0, "by_chance": 0.0, "named": 0} for d in range(1, 9)}
    made = 0
    while made < count:
        digits = 1 + made % len(found)
        net = random_network(rng)
        values = net.quantities()
        name = str(rng.choice(list(values)))
        if values[name] == 0.0 or is_right(
            text := random_number(values[name], digits, rng, anywhere=anywhere), values[name], digits
        ):
            continue
        before = list(values)[: list(values).index(name)] if sheet else []
        claims = {n: written(values[n], digits) for n in before} | {name: text}
        finding = check(net.build()[0], claims)[name]
        accepted = finding.verdict in ("right", "rounded", "follow-on")
        if accepted and verbose:
            print(digits, finding.message, file=sys.stderr)
        row = found[digits]
        row["numbers"] += 1
        row["accepted"] += accepted
        row["named"] += finding.verdict == "wrong" and finding.kind != "unexplained"
        row["by_chance"] += 1 / (9 * 10 ** (digits - 1))
        made += 1
    total = {key: round(sum(row[key] for row in found.values()), 1) for key in ("numbers", "accepted", "by_chance", "named")}
    return total | {"digits": {d: {k: round(v, 4) for k, v in row.items()} for d, row in found.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wrong", type=int, default=1000)
    parser.add_argument("--right", type=int, default=10000)
    parser.add_argument("--random", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true", help="print every miss")
    options = parser.parse_args()
    start = time.perf_counter()
    result = {
        "seed": options.seed,
        "wrong": measure_wrong(options.wrong, options.seed, options.verbose),
        "right": measure_right(options.right, options.seed, options.verbose),
        "random": {
            "alone": measure_false(options.random, options.seed, options.verbose, sheet=False),
            "in_a_sheet": measure_false(options.random // 5, options.seed, options.verbose, sheet=True),
            "of_all_magnitudes": measure_false(options.random // 5, options.seed, options.verbose, sheet=False, anywhere=True),
            "of_all_magnitudes_in_a_sheet": measure_false(
                options.random // 5, options.seed, options.verbose, sheet=True, anywhere=True
            ),
        },
    }
    result["seconds"] = round(time.perf_counter() - start, 1)
    print(json.dumps(result, indent=2, ensure_ascii=False))
    target = Path(__file__).parent / "results" / "grading.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
