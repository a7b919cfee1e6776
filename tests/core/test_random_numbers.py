"""Philox against its published vectors, and what is made of its words."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.generators import Generator
from chainrule.ops.random import philox, philox_blocks

# Random123's kat_vectors for philox4x32-10: the counter's four words, the key's two, the four results.
VECTORS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), VECTORS)
def test_known_answers(counter, key, expected):
    block, draw = counter[0] | counter[1] << 32, counter[2] | counter[3] << 32
    (words,) = philox_blocks(key[0] | key[1] << 32, draw, np.array([block], dtype=np.uint64))
    assert tuple(int(w) for w in words) == expected


def test_words_of_a_draw_are_its_blocks_in_order():
    words = philox(5, 2, 10)
    assert words.shape == (10,)
    blocks = philox_blocks(5, 2, np.arange(3, dtype=np.uint64))
    np.testing.assert_array_equal(words, blocks.reshape(-1)[:10])
    np.testing.assert_array_equal(philox(5, 2, 4), words[:4])


def test_uniform_numbers_use_the_words_as_documented():
    g = Generator(11)
    words = philox(11, 0, 4)
    expected = [((int(a) >> 5) * 2**26 + (int(b) >> 6)) / 2**53 for a, b in words.reshape(2, 2)]
    assert g.uniform(2).tolist() == expected
    narrow = g.uniform(3, "float32")
    assert narrow.dtype == np.float32
    assert narrow.tolist() == [(int(w) >> 8) / 2**24 for w in philox(11, 1, 3)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_moments(dtype):
    g = Generator(1)
    n = 200_000
    u, z = g.uniform(n, dtype).numpy(), g.normal(n, dtype).numpy()
    assert u.min() >= 0.0
    assert u.max() < 1.0
    # Five standard errors: √(variance of the estimate / n).
    assert abs(u.mean() - 1 / 2) < 5 * np.sqrt(1 / 12 / n)
    assert abs(u.var() - 1 / 12) < 5 * np.sqrt(1 / 180 / n)
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((z.astype(float) ** power).mean() - moment) < 5 * np.sqrt(variance / n)
    assert np.isfinite(z).all()


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.9])
def test_dropout_mask_keeps_the_mean(rate):
    n = 100_000
    mask = Generator(2).dropout_mask(n, rate).numpy()
    assert set(np.unique(mask)) <= {0.0, 1.0 / (1.0 - rate)}
    assert abs(mask.mean() - 1.0) <= 5 * np.sqrt(rate / (1 - rate) / n)


def test_same_seed_same_numbers_and_every_draw_is_new():
    a, b = Generator(4), Generator(4)
    first, second = a.normal((2, 3)).tolist(), a.normal((2, 3)).tolist()
    assert first != second
    assert b.normal((2, 3)).tolist() == first
    a.seed(4)
    assert a.normal((2, 3)).tolist() == first
    assert Generator(5).normal((2, 3)).tolist() != first
    assert a.state.tolist() == [4, 1]


def test_the_module_stream_is_seeded_by_manual_seed():
    cr.manual_seed(3)
    first = cr.random.uniform().item()
    cr.manual_seed(3)
    assert cr.random.uniform().item() == first == Generator(3).uniform().item()


def test_large_seeds():
    assert Generator(2**63 - 1).uniform(2).shape == (2,)
