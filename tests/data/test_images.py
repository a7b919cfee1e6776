"""Pictures from folders, IDX files and NumPy archives."""

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chainrule.data import read_images
from chainrule.errors import DataError
from chainrule.job import Config, PreparedData

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
        with pytest.raises(DataError, match=r"1\.png could not be read .*; a whole picture was expected"):
            read_images(folder)
    Image.fromarray(np.zeros((3, 3), np.float32)).save(file.with_suffix(".tif"))
    file.unlink()
    with pytest.raises(DataError, match=r"1\.tif has numbers of 32 bits per pixel \(mode F\); brightness has 8 or 16 bits"):
        read_images(folder)


def test_folders_without_classes(tmp_path):
    with pytest.raises(
        DataError, match=r"holds no pictures; files with the endings .* were expected. One folder per class is expected"
    ):
        read_images(tmp_path)
    with pytest.raises(DataError, match="holds no pictures"):
        read_images(tmp_path, labelled=False)
    (tmp_path / "only").mkdir()
    Image.new("L", (2, 2)).save(tmp_path / "only" / "a.png")
    assert read_images(tmp_path).classes == ["only"]
    with pytest.raises(DataError, match=r"has 1 class\(es\); at least two"):
        PreparedData.of(read_images(tmp_path), Config())
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
        (idx(np.zeros((2, 2, 2), np.uint8))[:9], None, "ends within its header"),
        (b"\x00\x00\x0d\x03", None, "starts with 00 00 0d 03"),
        (idx(np.zeros(4, np.uint8)), None, "holds an array with 1 axes"),
        (idx(np.zeros((2, 2, 2), np.uint8)), idx(np.zeros(3, np.uint8)), "has 2 pictures and 3 labels"),
        (gzip.compress(idx(np.zeros((9, 9, 9), np.uint8)), mtime=0)[:-9], None, "could not be read .Compressed file ended"),
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
        ({"X": np.array([None]), "y": np.arange(1)}, "could not be read .*Object arrays"),
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
    with pytest.raises(DataError, match="could not be read"):
        read_images(path)


# ---------------------------------------------------------------------------------------- files as people have them
def one_of_each(folder, pixels):
    for ending in ("png", "jpg", "JPEG", "jfif", "webp", "bmp", "tif", "TIFF", "gif"):
        Image.fromarray(pixels).save(folder / f"a.{ending}", "JPEG" if ending == "jfif" else None)


def test_formats_endings_and_folders_below(folder):
    deep = folder / "cat" / "more" / "still more"
    deep.mkdir(parents=True)
    one_of_each(deep, np.full((6, 4, 3), 90, np.uint8))
    images = read_images(folder)
    assert images.X.shape == (13, 3, 6, 4)
    assert np.bincount(images.y).tolist() == [11, 2]
    assert np.abs(images.X[2:11].astype(int) - 90).max() <= 2
    assert len(read_images(folder, labelled=False).files) == 13


def test_what_is_not_read_is_counted_and_what_systems_leave_behind_is_passed_over(folder):
    for place in (".ipynb_checkpoints", "cat/.ipynb_checkpoints", "__MACOSX"):
        (folder / place).mkdir()
        Image.new("L", (2, 2)).save(folder / place / "x.png")
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._0.png"):
        (folder / "cat" / name).write_bytes(b"x")
    (folder / "bird").mkdir()
    for k in range(12):
        (folder / "bird" / f"{k}.xyz").write_bytes(b"x")
    Image.new("L", (2, 2)).save(folder / "loose.png")
    images = read_images(folder)
    assert (len(images.X), images.classes) == (4, ["cat", "dog"])
    assert images.notes == (
        f"12 files in {folder / 'bird'} (.xyz) are not read.",
        f"1 file in {folder / 'cat'} (.me) is not read.",
        f"1 file in {folder} (.png) is not read: they lie in no folder of a class.",
        f"{folder / 'bird'} holds no pictures and is no class.",
        f"{folder / 'notes'} holds no pictures and is no class.",
        "1 of 4 pictures have another size and are stretched to 6 × 4.",
    )


@pytest.mark.parametrize(
    ("link", "target"), [("cat/dogs", "dog"), ("cat/again", "."), ("all", "."), ("around", ".."), ("c", "cat")]
)
def test_links_to_folders_do_not_bring_pictures_of_one_class_into_another(folder, link, target):
    plain = read_images(folder)
    (folder / link).symlink_to((folder / target).resolve())
    for labelled in (True, False):
        images = read_images(folder, labelled=labelled)
        assert images.files == plain.files
        assert f"{folder / link} is a link to a folder and is not followed." in images.notes
    assert read_images(folder).classes == plain.classes


def test_the_folder_of_a_class_may_lie_elsewhere(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "dogs"
    (folder / "dog").rename(elsewhere)
    (folder / "dog").symlink_to(elsewhere)
    images = read_images(folder)
    assert (images.classes, np.bincount(images.y).tolist()) == (["cat", "dog"], [2, 2])
    assert read_images(folder, labelled=False).files == images.files


def test_parts_of_a_data_set_are_not_taken_for_classes(folder):
    for part in ("train", "test"):
        (folder / "split" / part / "cat").mkdir(parents=True)
        Image.new("L", (2, 2)).save(folder / "split" / part / "cat" / "x.png")
    with pytest.raises(DataError, match=r"has the folders test, train; .* look like parts of one data set. Name one of them"):
        read_images(folder / "split")


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"


def test_content_does_not_choose_a_parser_that_runs_programs(folder, monkeypatch):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *arguments, **settings: pytest.fail("Ghostscript was run"))
    (folder / "cat" / "0.png").write_bytes(POSTSCRIPT)
    with pytest.raises(DataError, match=r"0\.png could not be read \(cannot identify image file"):
        read_images(folder)


@pytest.mark.parametrize("ending", ["png", "tif", "webp", "jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_exif_says(tmp_path, ending, orientation):
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :16] = 255  # bright at the upper left
    seen = Image.fromarray(pixels)
    names = ("", "FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_90", "TRANSVERSE", "ROTATE_270")
    stored = seen if orientation == 1 else seen.transpose(Image.Transpose[names[orientation - 1]])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / f"a.{ending}", exif=exif)
    images = read_images(tmp_path, labelled=False)
    assert images.X.shape == (1, 3, 16, 32)
    assert np.abs(images.X[0].astype(int) - pixels.transpose(2, 0, 1)).max() < 30


def test_transparent_parts_are_white_and_16_bits_become_8(tmp_path):
    clear = Image.new("RGBA", (2, 2), (0, 0, 0, 0))
    palette = Image.new("P", (2, 2), 1)
    palette.putpalette([9, 9, 9, 0, 0, 0])
    clear.save(tmp_path / "0.png")
    palette.save(tmp_path / "1.png", transparency=1)
    Image.new("LA", (2, 2), (0, 0)).save(tmp_path / "2.png")
    clear.save(tmp_path / "3.webp", lossless=True, exact=True)
    Image.fromarray(np.full((2, 2), 65535, np.uint16)).save(tmp_path / "4.png")
    Image.new("1", (2, 2), 1).save(tmp_path / "5.png")
    Image.new("CMYK", (2, 2), (0, 0, 0, 0)).save(tmp_path / "6.jpg")
    assert read_images(tmp_path, labelled=False).X.min() == 255
    Image.fromarray(np.full((2, 2), 40_000, np.uint16)).save(tmp_path / "4.png")
    assert read_images(tmp_path, labelled=False).X[4].max() == 40_000 >> 8


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(4, 6), (4, 6), (3, 3)], (4, 6)),
        ([(10, 10), (20, 40), (30, 30)], (20, 30)),
        ([(1000, 500), (1000, 500)], (256, 128)),
    ],
    ids=str,
)
def test_one_size_is_chosen(tmp_path, sizes, expected):
    for k, (height, width) in enumerate(sizes):
        Image.new("L", (width, height)).save(tmp_path / f"{k}.png")
    assert read_images(tmp_path, labelled=False).X.shape[2:] == expected


def test_a_large_picture_in_no_bytes_is_refused_before_it_is_read(tmp_path):
    Image.new("RGB", (6000, 6000)).save(tmp_path / "flat.webp")
    with pytest.raises(DataError, match=r"flat.webp promises 108,000,000 bytes of data in [\d,]+ compressed bytes"):
        read_images(tmp_path, labelled=False)
    Image.new("RGB", (600, 600)).save(tmp_path / "flat.webp")
    assert read_images(tmp_path, labelled=False).X.shape == (1, 3, 256, 256)


def test_too_many_pixels_are_refused_before_they_are_read(tmp_path, monkeypatch):
    Image.new("L", (30_000, 3_000)).save(tmp_path / "big.png")
    with pytest.raises(DataError, match=r"big\.png has 30,000 × 3,000 pixels; a picture has at most 89,478,485"):
        read_images(tmp_path, labelled=False)
    Image.new("L", (20, 20)).save(tmp_path / "big.png")
    monkeypatch.setattr("chainrule.data.images._MOST_BYTES", 300)
    with pytest.raises(
        DataError, match=r"1 pictures of 20 × 20 pixels would take 400 bytes; at most 300 are read. Choose a sm"
    ):
        read_images(tmp_path, labelled=False)


def test_a_header_that_promises_more_than_the_file_can_hold(tmp_path):
    path = tmp_path / "a-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(bytes((0, 0, 8, 3)) + b"\x7f\xff\xff\xff" * 3))
    with pytest.raises(DataError, match=r"promises .* bytes of data in .* compressed bytes"):
        read_images(path, labelled=False)
    bomb = tmp_path / "b-images-idx3-ubyte.gz"
    bomb.write_bytes(gzip.compress(idx(np.zeros((1, 2, 2), np.uint8)) + bytes(10**7)))
    with pytest.raises(DataError, match="holds more; its header promises 1 × 2 × 2 = 4"):
        read_images(bomb, labelled=False)


@pytest.mark.skipif(not MNIST.exists(), reason="the MNIST files are not there")
def test_mnist():
    images = read_images(MNIST / "t10k-images-idx3-ubyte.gz")
    assert images.X.shape == (10_000, 1, 28, 28)
    assert images.classes == [str(digit) for digit in range(10)]
    assert images.y[:5].tolist() == [7, 2, 1, 0, 4]
