"""The same data with other numbers for its classes."""

import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.data.array_batches import batch_arrays
from keras_transfer.data.example_order import without_epoch
from keras_transfer.data.renumber_labels import renumber_labels
from tests.networks import tiny_backbone

NUMBERS = np.array([4, 0, 2])


def arrays(count=20):
    random = np.random.default_rng(0)
    x = random.uniform(0, 255, (count, 8, 8, 3)).astype("float32")
    return x, np.arange(count) % 3


@pytest.mark.parametrize("with_weights", [False, True])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_labels_alone_change(shape, with_weights):
    x, y = arrays()
    weights = [np.linspace(0, 1, 20)] if with_weights else []
    data = batch_arrays((x, y.reshape(shape), *weights), 8)
    renumbered = renumber_labels(data, NUMBERS)
    rows = [[part.numpy() for part in batch] for batch in renumbered]
    found = [np.concatenate(part) for part in zip(*rows, strict=True)]
    expected = [x, NUMBERS[y].astype("int32"), *weights]
    for one, two in zip(found, expected, strict=True):
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(renumbered.example_order.labels, expected[1])


def test_the_order_stays_that_of_the_epochs():
    data = batch_arrays(arrays(), 8, shuffle=True, seed=0)
    renumbered = renumber_labels(data, NUMBERS)
    twin = batch_arrays(arrays(), 8, shuffle=True, seed=0)
    for _ in range(2):
        for (x, y), (its_x, its_y) in zip(renumbered, twin, strict=True):
            np.testing.assert_array_equal(x, its_x)
            np.testing.assert_array_equal(y, NUMBERS[its_y.numpy()])


def test_a_folder_of_features_tells_the_numberings_apart(tmp_path):
    backbone, data = tiny_backbone(), batch_arrays(arrays(), 8)
    numberings = NUMBERS, NUMBERS[::-1]
    for part in (data, *(renumber_labels(data, n) for n in numberings), data):
        cached = kt.cache_features(backbone, part, cache=tmp_path)
        labels = np.concatenate([y for _, y in cached])
        direct = np.concatenate([y for _, y in without_epoch(part, 8)])
        np.testing.assert_array_equal(labels, direct)
