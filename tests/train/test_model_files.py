"""Model files and checkpoints: whole or not there, and never trusted."""

import errno
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save as save_tensors

import chainrule as cr
from chainrule import nn
from chainrule.errors import ArgumentError, ModelFileError, OutputError
from chainrule.fitting import files


def small_model():
    cr.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 1))


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    cr.save_model(small_model(), path, {"classes": ["no", "ja – 是"]})
    return path.read_bytes()


def refused(path, content):
    path.write_bytes(content)
    with pytest.raises(ModelFileError) as error:
        cr.load_model(path)
    return str(error.value)


# ---------------------------------------------------------------------------------------- what comes back
def test_a_model_comes_back_bit_for_bit(tmp_path):
    model = small_model()
    cr.save_model(model, tmp_path / "m.safetensors", {"classes": ["no", "ja – 是"], "n": 3})
    loaded, extras = cr.load_model(tmp_path / "m.safetensors")
    assert extras == {"classes": ["no", "ja – 是"], "n": 3}
    assert repr(loaded) == repr(model)
    assert not loaded.training
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(loaded.state_dict()[name], array)
        assert loaded.state_dict()[name].dtype == array.dtype


def test_models_and_trainings_in_memory(content):
    buffer = io.BytesIO()
    cr.save_model(small_model(), buffer, {"classes": ["no", "ja – 是"]})
    assert buffer.getvalue() == content
    assert cr.load_model(buffer)[1] == cr.load_model(io.BytesIO(content))[1] == {"classes": ["no", "ja – 是"]}
    with pytest.raises(ModelFileError, match="the buffer holds a model only"):
        cr.load_trainer(buffer)
    with pytest.raises(ModelFileError, match="the buffer could not be read"):
        cr.load_model(io.BytesIO(content[:-1]))
    with pytest.raises(ArgumentError, match="a value to save in the buffer is not JSON"):
        cr.save_model(small_model(), io.BytesIO(), {"classes": {1, 2}})


def test_the_same_model_gives_the_same_bytes(tmp_path):
    for name in "abcdefgh":
        cr.save_model(small_model(), tmp_path / name)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_other_tools_can_read_the_arrays(tmp_path):
    from safetensors.numpy import load_file

    cr.save_model(small_model(), tmp_path / "m.safetensors")
    assert load_file(tmp_path / "m.safetensors")["model/0.weight"].shape == (3, 2)


@pytest.mark.parametrize(
    "array",
    [
        np.float64(2.5),
        np.zeros((0, 3)),
        np.arange(6.0).reshape(2, 3).T,
        np.arange(8)[::2],
        np.array([True, False]),
        np.float32([np.nan, np.inf]),
    ],
    ids=["scalar", "empty", "transposed", "strided", "bool", "not finite"],
)
def test_arrays_of_any_kind(array, tmp_path):
    files.write(tmp_path / "f", {"a": array}, {"kind": "test"})
    arrays, description = files.read(tmp_path / "f")
    np.testing.assert_array_equal(arrays["a"], array)
    assert (arrays["a"].dtype, arrays["a"].shape) == (np.asarray(array).dtype, np.shape(array))
    assert description["kind"] == "test"


def test_extras_that_look_like_the_digest(tmp_path):
    extras = {"a": '"chainrule":"' + "0" * 64, "chainrule": "0" * 64}
    cr.save_model(nn.Linear(1, 1), tmp_path / "m", extras)
    assert cr.load_model(tmp_path / "m")[1] == extras


def test_a_saved_model_is_as_readable_as_other_files(tmp_path):
    (tmp_path / "other").touch()
    cr.save_model(nn.Linear(1, 1), tmp_path / "m")
    assert (tmp_path / "m").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").touch()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    cr.save_model(nn.Linear(1, 1), tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    cr.load_model(tmp_path / "real")


# ---------------------------------------------------------------------------------------- broken files
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_one_flipped_byte_anywhere(data, content, tmp_path):
    place = data.draw(st.integers(0, len(content) - 1))
    altered = bytearray(content)
    altered[place] ^= data.draw(st.integers(1, 255))
    message = refused(tmp_path / "m", altered)
    assert "could not be read" in message or "altered after it was written" in message or "not one of chain" in message


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_truncated_anywhere(data, content, tmp_path):
    message = refused(tmp_path / "m", content[: data.draw(st.integers(0, len(content) - 1))])
    assert "could not be read" in message
    assert message.endswith(
        "a whole safetensors file was expected, and this one may have been cut short or altered. "
        "Use the original file, or train again."
    )


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 100, -8, -1])
def test_truncated_at_the_places_that_matter(length, content, tmp_path):
    assert "could not be read" in refused(tmp_path / "m", content[:length])


def test_bytes_appended(content, tmp_path):
    assert "could not be read" in refused(tmp_path / "m", content + b"\0")


def test_another_safetensors_file(tmp_path):
    for metadata in (None, {"format": "pt"}):
        assert refused(tmp_path / "m", save_tensors({"w": np.ones(3)}, metadata)) == (
            f"{tmp_path / 'm'} is a safetensors file, but not one of chainrule's; its metadata must describe the model. "
            "Load its arrays with safetensors, and give them to model.load_state_dict."
        )


def test_another_format(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FORMAT", 2)
    cr.save_model(nn.Linear(1, 1), tmp_path / "m")
    monkeypatch.undo()
    assert refused(tmp_path / "m", (tmp_path / "m").read_bytes()) == (
        f"{tmp_path / 'm'} has format 2, written by chainrule {cr.__version__}; this version reads format 1. "
        "Use the version that wrote it, or train again."
    )


def test_a_missing_file_and_a_folder(tmp_path):
    for path, reason in ((tmp_path / "nothing", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(ModelFileError) as error:
            cr.load_model(path)
        assert str(error.value) == (
            f"the model file {path} could not be read ({reason}); a model is a .safetensors file, written by "
            "`chainrule train` or save_model. Check the path; `chainrule train` names the file that it writes."
        )


def test_a_pickle_is_never_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    assert "could not be read" in refused(tmp_path / "m", pickle.dumps(Bomb()))
    assert not (tmp_path / "exploded").exists()


LIES = {
    "no model": lambda d: d.pop("model"),
    "unknown layer": lambda d: d["model"]["children"]["0"].update(layer="os.system"),
    "other size": lambda d: d["model"]["children"]["0"].update(in_features=7),
    "wrong type": lambda d: d["model"]["children"]["0"].update(in_features="seven"),
    "unknown setting": lambda d: d["model"]["children"]["0"].update(command="rm"),
    "a list for a model": lambda d: d.update(model=[1]),
    "children that are numbers": lambda d: d["model"].update(children={"0": 4}),
}


@pytest.mark.parametrize("lie", LIES)
def test_descriptions_that_somebody_made_up(lie, content, tmp_path):
    """With the right digest: whoever can compute it can still not make loading fail in any other way, or run anything."""
    (tmp_path / "m").write_bytes(content)
    arrays, description = files.read(tmp_path / "m")
    LIES[lie](description)
    description.pop("format")
    files.write(tmp_path / "m", arrays, description)
    with pytest.raises(ModelFileError, match=r"the model in .* could not be read"):
        cr.load_model(tmp_path / "m")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_training_states_that_somebody_made_up(data, tmp_path):
    model = nn.Linear(1, 1)
    trainer = cr.Trainer(model, nn.MSELoss(), cr.optim.Adam(model.parameters()), metrics=["mae"])
    trainer.fit([[1.0]], [1.0], epochs=1, progress=False)
    cr.save_trainer(trainer, tmp_path / "c")
    arrays, description = files.read(tmp_path / "c")
    description.pop("format")
    key = data.draw(st.sampled_from(sorted(description["training"])))
    if key in ("base_rates", "epoch", "clip_norm", "clip_value", "callbacks"):
        del description["training"][key]
    else:
        description["training"][key] = data.draw(st.sampled_from([None, 5, "x", [1], {"a": 1}, {"loss": "MSELoss", "x": 1}]))
    files.write(tmp_path / "c", arrays, description)
    try:
        cr.load_trainer(tmp_path / "c")
    except ModelFileError as error:
        assert f"the training in {tmp_path / 'c'} could not be read" in str(error)


# ---------------------------------------------------------------------------------------- writing
SAVE_FOREVER = """
import sys
import numpy as np
import chainrule as cr
model = cr.nn.Linear(300, 300)
n = 0
while True:
    n += 1
    model.weight.assign(np.full((300, 300), n, "float32"))
    model.bias.assign(np.full(300, n, "float32"))
    cr.save_model(model, sys.argv[1], {"n": n})
    if n == 2:
        print("ready", flush=True)
"""


def test_killed_at_any_moment_the_last_whole_file_loads(tmp_path):
    path, rng = tmp_path / "m.safetensors", np.random.default_rng(0)
    for _ in range(4):
        child = subprocess.Popen([sys.executable, "-c", SAVE_FOREVER, str(path)], stdout=subprocess.PIPE)
        assert child.stdout.readline() == b"ready\n"
        time.sleep(rng.uniform(0.0, 0.05))
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        model, extras = cr.load_model(path)
        assert np.all(model.weight.numpy() == extras["n"])
        assert np.all(model.bias.numpy() == extras["n"])
        assert extras["n"] >= 2


def full_disk(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_earlier_file(call, content, tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": (type(path), "replace")}[call], full_disk)
    with pytest.raises(OutputError) as error:
        cr.save_model(small_model(), path)
    assert str(error.value) == (
        f"{path} could not be written (No space left on device); its folder must exist, be writable and have free space. "
        "Choose another place, or free some space; an earlier file of that name is unharmed."
    )
    assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


LIMITED = """
import resource, signal, sys
import chainrule as cr
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    cr.save_model(cr.nn.Linear(100, 100), sys.argv[1])
except cr.errors.OutputError as error:
    print(error)
"""


def test_a_write_that_the_system_cuts_off(content, tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    found = subprocess.run([sys.executable, "-c", LIMITED, path], capture_output=True, text=True, check=True)
    assert found.stdout.startswith(f"{path} could not be written (File too large)")
    assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_a_ctrl_c_during_writing_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupted(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cr.save_model(small_model(), tmp_path / "m")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["missing/m", "file/m", "."])
def test_folders_that_cannot_hold_the_file(place, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"could not be written .*; its folder must exist, be writable and have free space"):
        cr.save_model(small_model(), tmp_path / place)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        cr.save_model(small_model(), tmp_path / "m")
    tmp_path.chmod(0o700)


def test_extras_that_are_not_json(tmp_path):
    with pytest.raises(ArgumentError, match=r"a value to save in .* is not JSON .*int64.*; extras and the states"):
        cr.save_model(small_model(), tmp_path / "m", {"n": np.int64(3)})
    assert not list(tmp_path.iterdir())


def test_a_layer_that_is_not_known(tmp_path):
    class Mine(nn.Module):
        def forward(self, x):
            return x

    with pytest.raises(ArgumentError, match="the layer Mine is not known to chainrule"):
        cr.save_model(nn.Sequential(Mine()), tmp_path / "m")


def test_the_description_is_plain_json(content):
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert json.loads(header["__metadata__"]["chainrule"][64:])["model"]["layer"] == "Sequential"
