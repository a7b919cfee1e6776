"""Files that were altered at random: every one is read, or refused with a message; nothing else, and in little memory."""

import gzip
import hashlib
import io
import json
import os
import re
import resource
import sys
import zipfile
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.data import Table, read_images
from chainrule.errors import ChainruleError
from chainrule.fitting.files import read, write
from chainrule.grading import read_homework
from chainrule.grading.homework import TEMPLATE
from chainrule.job import Config, Predictor, PreparedData, train
from chainrule.job.resuming import load_run
from chainrule.train import History

MOST_MEMORY = 2**30
VALUES = (
    None,
    True,
    -1,
    0,
    3,
    2**31,
    10**30,
    1e308,
    float("inf"),
    float("nan"),
    "",
    "x",
    "\x1b[2J",
    [],
    [[]],
    {},
    {"layer": "ReLU"},
)
WORDS = (
    "0",
    "-1",
    "1e999",
    "nan",
    "inf",
    "99999999999999999999",
    '"',
    "[",
    "]" * 9,
    "[" * 3000,
    ",",
    "\n",
    "\0",
    "x",
    "{}",
    "''",
)
TOKENS = (*(word.encode() for word in WORDS), b"\xff", b"1" * 5000, b"=", b"true", b"1979-05-27")


# -------------------------------------------------------------------------------------------- altering
def altered_bytes(rng, content):
    """One to three places of a file altered, removed, repeated or cut off."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(0, max(len(content), 1)))
        end = at + int(rng.integers(1, 65))
        match rng.integers(6):
            case 0:
                content[at:end] = rng.bytes(end - at)
            case 1:
                del content[at:end]
            case 2:
                content[at:at] = content[at:end]
            case 3:
                del content[at:]
            case 4:
                content[at : at + 4] = rng.choice([b"\xff" * 4, b"\x00" * 4, b"\x7f\xff\xff\xff", b"\x00\x00\x00\x80"])
            case _:
                content[at : at + 1] = bytes([content[at] ^ (1 << int(rng.integers(8)))]) if at < len(content) else b""
    return bytes(content)


def altered_text(rng, content):
    """A word or number of a text exchanged, or a place altered."""
    words = list(re.finditer(rb"[\w.+-]+|[^\w\s]", content))
    if not words or rng.integers(4) == 0:
        return altered_bytes(rng, content)
    word = words[rng.integers(len(words))]
    new = TOKENS[rng.integers(len(TOKENS))] if rng.integers(3) else words[rng.integers(len(words))][0]
    return content[: word.start()] + new + content[word.end() :]


def altered_json(rng, data):
    """One value of nested data exchanged or taken away."""
    data = json.loads(json.dumps(data))
    places, todo = [], [data]
    while todo:
        here = todo.pop()
        for key in list(here) if isinstance(here, dict) else range(len(here)):
            places.append((here, key))
            if isinstance(here[key], dict | list):
                todo.append(here[key])
    here, key = places[rng.integers(len(places))]
    if rng.integers(4) == 0:
        del here[key]
    else:
        here[key] = VALUES[rng.integers(len(VALUES))]
    return data


@cache
def parts_of(content, folder):
    (folder / "good").write_bytes(content)
    return read(folder / "good")


def altered_model(rng, content, folder):
    """The description of a model file altered and the digest made right again; or an array of it of another shape."""
    arrays, description = parts_of(content, folder)
    arrays = dict(arrays)
    if rng.integers(5) == 0:
        name = sorted(arrays)[rng.integers(len(arrays))]
        shapes = ((), (0,), (1,), (3, 2), (2, 2, 2))
        arrays[name] = np.full(shapes[rng.integers(len(shapes))], rng.choice([0.0, np.nan, np.inf, 1e30]), np.float32)
    else:
        description = altered_json(rng, description)
    write(folder / "bad", arrays, {name: value for name, value in description.items() if name != "format"})
    return (folder / "bad").read_bytes()


# -------------------------------------------------------------------------------------------- kinds of files
def picture(kind):
    from PIL import Image

    def make(folder):
        pixels = np.random.default_rng(0).integers(0, 256, (6, 6, 3)).astype(np.uint8)
        exif = Image.Exif()
        exif[0x0112] = 6
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, kind, **({} if kind in ("BMP", "GIF") else {"exif": exif}))
        return content.getvalue()

    return make


def read_picture(path):
    return read_images(path.parent, labelled=False)


def idx_gz(folder):
    array = np.zeros((3, 4, 4), np.uint8)
    return gzip.compress(bytes((0, 0, 8, 3)) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes(), mtime=0)


def altered_gz(rng, content, folder):
    if rng.integers(2):
        return altered_bytes(rng, content)
    return gzip.compress(altered_bytes(rng, gzip.decompress(content)), mtime=0)


def npz(folder):
    content = io.BytesIO()
    np.savez_compressed(content, X=np.zeros((4, 3, 3), np.uint8), y=np.array([0, 1, 0, 1]))
    return content.getvalue()


def altered_npy(rng, content, folder):
    """The arrays inside the archive altered."""
    found = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(found, "w") as new:
        for name in old.namelist():
            new.writestr(name, (altered_text if rng.integers(2) else altered_bytes)(rng, old.read(name)))
    return found.getvalue()


TABLE = Table.from_columns({"a": np.arange(30.0), "b": np.tile(["u", "v", "w"], 10), "y": np.tile(["n", "o", "p"], 10)}, "t")


def model_file(folder):
    config = Config(target="y", epochs=1, hidden=(4,), backend="reference")
    problem = PreparedData.of(TABLE, replace(config, target="y"), "iris")
    train(problem, config).predictor.save(folder / "m.safetensors")
    return (folder / "m.safetensors").read_bytes()


def use_model(path):
    predictor = Predictor.load(path)
    nn.summary(predictor.model, (len(predictor.features.feature_names),))
    predictor.predict(TABLE)
    predictor.evaluate(TABLE)


def checkpoint(folder):
    cr.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3))
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), cr.optim.Adam(model.parameters()), backend="reference")
    X = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    trainer.fit(X, np.arange(12) % 3, epochs=1)
    config = {"epochs": 5, "learning_rate": 0.1}
    cr.save_trainer(
        trainer,
        folder / "c.safetensors",
        {"source": "xor", "path": "xor", "config": config, "digest": hashlib.sha256().hexdigest()},
    )
    return (folder / "c.safetensors").read_bytes()


def history(folder):
    rows = [{"epoch": k, "loss": 1.0 / k, "accuracy": 0.5, "lr": 0.1, "seconds": 0.2} for k in (1, 2, 3)]
    return History(epochs=rows).to_csv().encode()


def read_history(path):
    found = History.read(path)
    cr.draw(found)
    repr(found)


def use_homework(path):
    read_homework(path)


def in_bytes(rng, content, folder):
    return altered_bytes(rng, content)


def in_text(rng, content, folder):
    return altered_text(rng, content)


def read_checkpoint(path):
    load_run(path.parent)


def settings_file(folder):
    return Config(target="y", hidden=(3,), epochs=2).to_toml().encode()


def read_idx(path):
    read_images(path, labelled=False)


PICTURES = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
# kind: file name, how a good one is made, how it is altered, how it is read
KINDS = {
    **{kind.lower(): (f"a.{kind.lower()}", picture(kind), in_bytes, read_picture) for kind in PICTURES},
    "idx.gz": ("a-images-idx3-ubyte.gz", idx_gz, altered_gz, read_idx),
    "npz": ("a.npz", npz, in_bytes, read_images),
    "npy": ("a.npz", npz, altered_npy, read_images),
    "safetensors": ("m.safetensors", model_file, in_bytes, Predictor.load),
    "model": ("m.safetensors", model_file, altered_model, use_model),
    "checkpoint": ("checkpoint.safetensors", checkpoint, altered_model, read_checkpoint),
    "history": ("history.csv", history, in_text, read_history),
    "config": ("c.toml", settings_file, in_text, Config.from_toml),
    "homework": ("h.toml", lambda folder: TEMPLATE.encode(), in_text, use_homework),
}


@contextmanager
def little_memory():
    """At most a gigabyte more than there is now."""
    if not sys.platform.startswith("linux"):
        yield
        return
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def failures(kind, count, folder, first=0):
    """Altered files that were neither read nor refused."""
    name, make, alter, use = KINDS[kind]
    made, place = folder / "made", folder / "read"
    made.mkdir()
    place.mkdir()
    good = make(made)
    path = place / name
    path.write_bytes(good)
    if kind != "checkpoint":  # its data is not there
        use(path)
    found = []
    with little_memory(), np.errstate(all="ignore"):
        for seed in range(first, first + count):
            path.write_bytes(alter(np.random.default_rng(seed), good, made))
            try:
                use(path)
            except ChainruleError as error:
                assert str(error)
            except Exception as error:  # that is what is looked for
                found.append(f"{seed}: {type(error).__name__}: {error}"[:300])
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore")
def test_altered_files_are_read_or_refused(kind, tmp_path, monkeypatch):
    pytest.importorskip("PIL")
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    assert failures(kind, 300, tmp_path) == []


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore")
def test_many_altered_files_are_read_or_refused(kind, tmp_path):
    pytest.importorskip("PIL")
    assert failures(kind, 10_000, tmp_path, first=1000) == []
