"""The benchmarks' own arithmetic: what is counted, measured and printed."""

import json
import time
from types import SimpleNamespace

import pytest
from bench import calls, compiling, peak, spread, training, wall, zeros
from bench.jobs import JOBS, Job, numbers
from bench.scripts import table


def test_the_arithmetic_of_a_dense_step_is_counted():
    # Per sample: 2 · 8 forward in each layer, as much for each gradient by weights, and 2 · 8 for the one by the hidden layer.
    assert Job("2-4-2, 4", (2, 4, 2), 4).flops == 4 * 16 * 5


def test_the_arithmetic_of_a_convolutional_step_is_counted():
    job = Job("CNN", (1, 2, 3), 5, (4, 4), (0,))
    first, second, dense = 9 * 1 * 2 * 16, 9 * 2 * 3 * 4, (3 * 4) * 10
    assert job.flat == 12
    assert job.flops == 2 * 5 * (2 * first + 3 * second + 3 * dense)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_jobs_have_whole_batches_of_data(job):
    if job.flops > 1e9:
        pytest.skip("its data takes too long to draw")
    x, y = job.data()
    assert len(x) == len(y) == job.batch * job.batches
    assert 0 <= y.min() <= y.max() < job.classes
    assert job.rows(3).shape == (3, job.batch)


def test_numbers_of_jobs():
    assert numbers("0-2,5") == [0, 1, 2, 5]


def test_the_peak_is_beyond_what_python_reaches():
    pytest.importorskip("llvmlite")
    assert peak.flops_per_second(1) > 1e8


def test_zeros_are_measured_beside_the_whole_product():
    pytest.importorskip("llvmlite")
    found = zeros.measure(0.5, 4)
    assert {name: len(seconds) for name, seconds in found.items()} == {"skipping": 4, "whole": 4}


def test_a_call_is_measured_beside_its_program():
    pytest.importorskip("llvmlite")
    found = {"read": calls.reading(64), "one row, 64-64-10": {"Module.predict": 1e-4}}
    assert all(seconds > 0 for seconds in found["read"].values())
    assert calls.table(found).splitlines()[-1] == "| Module.predict | 100 |"


def test_spread():
    assert spread.text([3.0, 1.0, 2.0], 1) == "2.0 (1.5–2.5)"
    assert spread.text([7.0], 0) == "7 (7–7)"


def _result():
    systems = {
        "chainrule": {"seconds_per_step": [1e-6, 2e-6], "median": 1.5e-6, "quartiles": [1e-6, 2e-6]},
        "PyTorch": {"seconds_per_step": [4e-6, 6e-6], "median": 5e-6, "quartiles": [4e-6, 6e-6]},
        "JAX scan": {"seconds_per_step": [3e-6, 4e-6], "median": 3.5e-6, "quartiles": [3e-6, 4e-6]},
    }
    for number, found in enumerate(systems.values()):
        found |= {"imported_bytes": 10**8, "peak_bytes": 10**8 * (number + 2)}
    return {"job": "tiny", "flops": 3000, "data_bytes": 5 * 10**6, "peak_flops": {1: [1e10]}, "systems": systems}


def test_results_of_networks_that_are_not_measured_again_are_kept(tmp_path):
    results = [_result() | {"job": job.name} for job in JOBS[:3]]
    path = tmp_path / "training.json"
    path.write_text(json.dumps({"jobs": results}), encoding="utf-8")
    found = training.kept(path, [1])
    assert [r["job"] for r in found] == [JOBS[0].name, JOBS[2].name]
    assert found[0]["peak_flops"] == {1: [1e10]}


def test_ratios_are_taken_round_by_round_to_the_best_other_system():
    result = _result()
    training.compare(result, 1e10)
    assert result["best_other"] == "JAX scan"
    assert result["ratios"] == pytest.approx([3.0, 2.0])
    assert result["ratio"] == pytest.approx(2.5)
    assert result["share_of_peak"]["chainrule"] == pytest.approx(0.2)


def test_tables_and_picture(tmp_path):
    pytest.importorskip("matplotlib")
    from bench.picture import draw

    result = _result()
    training.compare(result, 1e10)
    speed = training.speed_table([result], ["chainrule", "PyTorch", "scikit-learn"]).splitlines()[-1]
    assert speed == "| tiny | 1.50 (1.25–1.75) | 5.00 (4.50–5.50) | – | 2.50 (2.25–2.75), JAX scan | 20.0% |"
    memory = training.memory_table([result], ["chainrule", "PyTorch", "scikit-learn"]).splitlines()[-1]
    assert memory == "| tiny | 5 | 200 (100) | 300 (200) | – |"
    draw({"machine": {"processor": "none"}, "peak_flops": {1: 1e10}, "jobs": [result]}, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_a_stage_is_counted_without_the_stages_in_it():
    inner = SimpleNamespace(work=lambda: time.sleep(0.05))
    outer = SimpleNamespace(work=lambda: (time.sleep(0.01), inner.work()))
    stopwatch = compiling.Stopwatch()
    stopwatch.watch(inner, "work", "emit")
    stopwatch.watch(outer, "work", "lower")
    start = time.perf_counter()
    outer.work()
    whole = time.perf_counter() - start
    assert stopwatch.seconds["emit"] >= 0.05
    assert stopwatch.seconds["lower"] >= 0.01
    assert stopwatch.seconds["lower"] + stopwatch.seconds["emit"] <= whole


def test_the_scripts_read_tables_as_chainrule_does(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,size,sex,name,y\n1,2.5,f,Ann,no\n2,,m,Bob,yes\n3,1,,Cid,no\n")
    X, words, y = table.read(str(path), "y")
    assert words == [1, 2]  # a name in three rows could be a class as well
    assert X[:, 0].tolist()[::2] == [2.5, 1.0]
    assert y.tolist() == [0, 1, 0]


def test_a_system_that_fails_says_why():
    import os
    import sys

    with pytest.raises(RuntimeError, match="no such thing"):
        wall.timed([sys.executable, "-c", "raise SystemExit('no such thing')"], dict(os.environ), float)
    run = wall.timed([sys.executable, "-c", "print(0.5)"], dict(os.environ), json.loads)
    assert run.accuracy == 0.5
    assert run.seconds > 0
    assert run.peak_bytes > 10**6


def test_accuracy_is_compared_fold_by_fold_with_each_variant():
    accuracy = pytest.importorskip("bench.accuracy", exc_type=ImportError)
    runs = {
        "chainrule": [{"score": 0.9, "seconds": 1.0}, {"score": 0.7, "seconds": 3.0}],
        "sklearn": [{"score": 0.8, "seconds": 1.0}, {"score": 0.5, "seconds": 1.0}],
        "sklearn max_iter=1000": [{"score": 0.9, "seconds": 1.0}, {"score": 0.8, "seconds": 1.0}],
    }
    found = accuracy.summary(runs)
    assert found["chainrule"] == {"score": (0.8, 0.1), "seconds": (2.0, 1.0)}
    assert found["sklearn"]["ours − this, score"] == (0.15, 0.05)
    assert found["sklearn max_iter=1000"]["ours − this, score"] == (-0.05, 0.05)
    line = accuracy.as_table({"tiny": found}).splitlines()[2]
    assert line.split() == ["tiny", "sklearn", "0.6500", "±", "0.1500", "+0.1500", "±", "0.0500", "1.00"]
