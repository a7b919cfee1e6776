"""Every program in examples/ runs, prints, and finds the numbers that it promises."""

import importlib.util
import math
from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples"
MNIST = FOLDER.parents[1] / "shared" / "data" / "mnist-10k" / "t10k-images-idx3-ubyte.gz"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))
Numbers = dict[str, float]


def main_of(name: str) -> Callable[..., Numbers]:
    spec = importlib.util.spec_from_file_location(f"examples_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    main: Callable[..., Numbers] = module.main
    return main


# What must come out exactly, to the digits given (the numbers of the tutorials; the others by mathematics).
EXACT: dict[str, Numbers] = {
    "the_car": {
        "total": 44,
        "by total": 1,
        "by subtotal": 1.1,
        "by price": 2.2,
        "other total": 44,
        "other by price": 2.2,
    },
    "hand_worked_network": {
        "x3": 0.755,
        "x4": 0.68,
        "O3": 0.6802671967,
        "O4": 0.6637386974,
        "x5": 0.8014449867,
        "O5": 0.6902834929,
        "E": 0.0181039038,
        "δ5": 0.0406811251,
        "δ3": 0.0026544890,
        "δ4": 0.0081716451,
        "∂E/∂w35": 0.0276740349,
        "∂E/∂w45": 0.0270016370,
        "∂E/∂w13": 0.0009290712,
        "∂E/∂w23": 0.0023890401,
        "∂E/∂w14": 0.0028600758,
        "∂E/∂w24": 0.0073544806,
        "new w13": 0.0990709288,
        "new w14": 0.3971399242,
        "new w23": 0.7976109599,
        "new w24": 0.5926455194,
        "new w35": 0.2723259651,
        "new w45": 0.8729983630,
        "new O5": 0.6820185833,
        "new E": 0.0165653823,
        "total": 0.000438567724,
    },
    "matrix_form": {"largest difference": 0},
    "bce_by_hand": {"largest difference": 0},
    "second_derivatives": {"determinant": 2, "x": 1, "y": 1, "fourth derivative": math.sin(0.7)},
    "gates_given": {
        "AND 00": 9.4e-14,
        "AND 11": 0.9999546021,
        "NOR 00": 0.9999546021,
        "NOR 11": 9.4e-14,
        "OR 00": 0.0000453979,
        "OR 11": 1,
    },
    "misclassified": {"setosa errors": 0, "moons errors": 0},
    "l2": {"step": -1.2},
}


def learnt_gates(found: Numbers) -> bool:
    learnt = all(found[f"{gate} loss"] <= 0.01 and found[f"{gate} accuracy"] == 1 for gate in ("xor", "xnor"))
    stuck = all(
        found[f"{gate} one-layer loss"] > math.log(2) - 1e-6 and found[f"{gate} one-layer accuracy"] <= 0.75
        for gate in ("xor", "xnor")
    )
    return learnt and stuck


def compared_batches(found: Numbers) -> bool:
    more_steps_learn_more = found["all loss"] > found["32 loss"] > 0 and found["all loss"] > found["1 loss"]
    smaller_is_rougher = found["1 largest"] > 2 * found["32 largest"] > 2 * found["all largest"]
    return more_steps_learn_more and smaller_is_rougher and found["1 steps"] == 442 * found["all steps"]


def compared_optimisers(found: Numbers) -> bool:
    before = {value for name, value in found.items() if name.endswith("before")}
    after = {name: value for name, value in found.items() if name.endswith("after")}
    return len(before) == 1 and max(after.values()) < min(before) and after["Adam after"] < 0.1 * after["SGD after"]


# What must hold for the others, where numbers depend on rounding and random weights.
HOLDS: dict[str, Callable[[Numbers], bool]] = {
    "hand_worked_network": lambda f: math.isclose(f["first output"] + f["second output"], f["total"], rel_tol=1e-12),
    "gates_given": lambda f: (
        [round(f[f"XNOR {x}"], 5) for x in ("00", "01", "10", "11")] == [0.99995, 0.00005, 0.00005, 0.99995]
    ),
    "gates_learnt": learnt_gates,
    "quadrants": lambda f: f["accuracy"] >= 0.97,
    "regression": lambda f: f["error"] < 0.8 * f["baseline"],
    "classification": lambda f: f["binary accuracy"] > 0.95 and f["accuracy"] > 0.95 and f["largest slope of σ"] == 0.25,
    "batch_sizes": compared_batches,
    "optimisers": compared_optimisers,
    "l2": lambda f: (
        f["norm 0.0"] > f["norm 0.001"] > f["norm 0.01"]
        and f["training loss 0.0"] < f["training loss 0.01"]
        and f["held-out loss 0.0"] > f["held-out loss 0.01"]
    ),
    "digits_cnn": lambda f: f["accuracy"] >= 0.97,
}


PICTURES = {"quadrants": "regions.png"}  # what the example draws, if it is told to


def is_in_four_regions(path: str) -> bool:
    """Four pale regions, besides the white around them, cover most of the picture; they fade where two meet."""
    image = pytest.importorskip("PIL.Image", reason="Pillow reads the picture")
    with image.open(path) as picture:
        colours = picture.convert("RGB").getcolors(1 << 20)
    largest = sorted((count for count, colour in colours if colour != (255, 255, 255)), reverse=True)[:4]
    return bool(min(largest) > 0.6 * max(largest))


@pytest.mark.parametrize("name", NAMES)
def test_example(name: str, tmp_path: Path, request, monkeypatch, capsys) -> None:
    if name in PICTURES:
        request.getfixturevalue("needs_png")
    monkeypatch.chdir(tmp_path)
    found = main_of(name)(*([PICTURES[name]] if name in PICTURES else []))
    assert capsys.readouterr().out
    assert all(math.isfinite(value) for value in found.values())
    assert name in EXACT or name in HOLDS, "say here what the new example must find"
    expected = EXACT.get(name, {})
    assert {key: found[key] for key in expected} == pytest.approx(expected, rel=0, abs=6e-11)
    assert HOLDS.get(name, lambda _: True)(found), found
    assert name not in PICTURES or is_in_four_regions(PICTURES[name])


@pytest.mark.slow
@pytest.mark.skipif(not MNIST.exists(), reason="the MNIST pictures are not beside the checkout, in shared/data/mnist-10k")
def test_digits_cnn_reads_mnist() -> None:
    assert main_of("digits_cnn")(str(MNIST))["accuracy"] >= 0.97


def test_the_readme_lists_every_example() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"| [{name}.py]({name}.py) |" not in text] == []


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_short(name: str) -> None:
    assert len((FOLDER / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 80
