"""Pictures from folders, IDX files and NumPy archives."""

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chainrule.data import read_images
from chainrule.errors import DataError

MNIST = Path(__file__).resolve().parents[2] / "../shared/data/mnist-10k"


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    for label, sizes in {"cat": [(6, 4), (6, 4)], "dog": [(6, 4), (3, 3)]}.items():
        (tmp_path / label).mkdir()
        for position, (height, width) in enumerate(sizes):
            pixels = random.integers(0, 256, (height, width, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / label / f"{position}.png")
    (tmp_path / "notes").mkdir()
    (tmp_path / "cat" / "read.me").write_text("no picture")
    return tmp_path


def test_folder_takes_the_size_of_the_majority(folder):
    images = read_images(folder)
    assert (images.X.shape, images.X.dtype) == ((4, 3, 6, 4), np.uint8)
    assert (images.y.tolist(), images.y.dtype, images.classes) == ([0, 0, 1, 1], np.int64, ["cat", "dog"])
    first = np.asarray(Image.open(folder / "cat" / "0.png"))
    np.testing.assert_array_equal(images.X[0], first.transpose(2, 0, 1))


def test_folder_size_channels_and_no_labels(folder):
    assert read_images(folder, size=(5, 7), channels=1).X.shape == (4, 1, 5, 7)
    alone = read_images(folder / "cat", labelled=False)
    assert (alone.X.shape, alone.y, alone.classes) == ((2, 3, 6, 4), None, [])


def test_grey_pictures_have_one_channel(folder):
    for file in folder.glob("*/*.png"):
        Image.open(file).convert("L").save(file)
    assert read_images(folder).X.shape == (4, 1, 6, 4)


def test_broken_pictures_are_named(folder):
    file = folder / "dog" / "1.png"
    whole = file.read_bytes()
    for content in (b"not a picture", whole[:60], b""):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"1\.png is not a whole picture"):
            read_images(folder)
    Image.fromarray(np.zeros((3, 3), np.uint16)).save(file)
    with pytest.raises(DataError, match=r"1\.png has more than 8 bits per channel"):
        read_images(folder)


def test_folders_without_classes(tmp_path):
    with pytest.raises(DataError, match="has no folders with"):
        read_images(tmp_path)
    with pytest.raises(DataError, match=r"holds no \.png"):
        read_images(tmp_path, labelled=False)
    (tmp_path / "only").mkdir()
    Image.new("L", (2, 2)).save(tmp_path / "only" / "a.png")
    with pytest.raises(DataError, match=r"has 1 class\(es\); at least two"):
        read_images(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        read_images(tmp_path / "nowhere")


@pytest.mark.parametrize("compress", [False, True])
def test_idx(tmp_path, compress):
    pictures, labels = np.arange(24, dtype=np.uint8).reshape(4, 3, 2), np.array([7, 3, 3, 7], np.uint8)
    suffix, pack = (".gz", gzip.compress) if compress else ("", bytes)
    path = tmp_path / f"train-images-idx3-ubyte{suffix}"
    path.write_bytes(pack(idx(pictures)))
    with pytest.raises(DataError, match="has no labels beside it; train-labels-idx1-ubyte"):
        read_images(path)
    assert read_images(path, labelled=False).y is None
    (tmp_path / f"train-labels-idx1-ubyte{suffix}").write_bytes(pack(idx(labels)))
    images = read_images(path)
    np.testing.assert_array_equal(images.X[:, 0], pictures)
    assert (images.y.tolist(), images.classes) == ([1, 0, 0, 1], ["3", "7"])


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (idx(np.zeros((2, 2, 2), np.uint8))[:-1], None, r"holds 7 bytes of items; its header promises 2 × 2 × 2 = 8"),
        (idx(np.zeros((2, 2, 2), np.uint8))[:9], None, "holds 0 bytes of items"),
        (b"\x00\x00\x0d\x03", None, "starts with 00 00 0d 03"),
        (idx(np.zeros(4, np.uint8)), None, "holds an array with 1 axes"),
        (idx(np.zeros((2, 2, 2), np.uint8)), idx(np.zeros(3, np.uint8)), "has 2 pictures and 3 labels"),
        (gzip.compress(bytes(1000), mtime=0)[:-10], None, "is truncated"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_broken_idx(tmp_path, images, labels, message):
    path = tmp_path / "a-images-idx3-ubyte"
    path.write_bytes(images)
    (tmp_path / "a-labels-idx1-ubyte").write_bytes(labels or idx(np.array([0, 1], np.uint8)))
    with pytest.raises(DataError, match=message):
        read_images(path)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((4, 5, 6), (4, 1, 5, 6)), ((4, 3, 5, 6), (4, 3, 5, 6)), ((4, 5, 6, 3), (4, 3, 5, 6)), ((4, 5, 6, 1), (4, 1, 5, 6))],
)
@pytest.mark.parametrize("keys", [("X", "y"), ("x", "y"), ("images", "labels"), ("x_train", "y_train")])
def test_npz(tmp_path, shape, expected, keys):
    path = tmp_path / "a.npz"
    np.savez(path, **dict(zip(keys, (np.zeros(shape), np.array(["u", "v", "u", "v"])), strict=True)))
    images = read_images(path)
    assert (images.X.shape, images.X.dtype, images.X.flags.c_contiguous) == (expected, np.float32, True)
    assert (images.y.tolist(), images.classes) == ([0, 1, 0, 1], ["u", "v"])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.zeros(3)}, "has the keys a; one pair is needed of X and y, x and y"),
        ({"X": np.zeros((3, 2)), "y": np.arange(3)}, r"has shape \(3, 2\); pictures are"),
        ({"X": np.full((3, 2, 2), np.nan), "y": np.arange(3)}, "not finite"),
        ({"X": np.zeros((3, 2, 2), int), "y": np.arange(3)}, "is int64 or not finite"),
        ({"X": np.zeros((3, 2, 2)), "y": np.arange(2)}, "has 3 pictures and 2 labels"),
        ({"X": np.array([None]), "y": np.arange(1)}, "cannot be read .*Object arrays"),
    ],
)
def test_broken_npz(tmp_path, arrays, message):
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=message):
        read_images(path)


def test_npz_that_is_a_pickle_never_runs(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(pickle.dumps({"X": 1}))
    with pytest.raises(DataError, match="cannot be read"):
        read_images(path)


@pytest.mark.skipif(not MNIST.exists(), reason="the MNIST files are not there")
def test_mnist():
    images = read_images(MNIST / "t10k-images-idx3-ubyte.gz")
    assert images.X.shape == (10_000, 1, 28, 28)
    assert images.classes == [str(digit) for digit in range(10)]
    assert images.y[:5].tolist() == [7, 2, 1, 0, 4]
