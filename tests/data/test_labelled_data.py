"""What data and labels may be."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.data.labelled_data import (
    class_numbers,
    find_class_names,
    read_data,
)

X, Y = np.zeros((5, 2), "float32"), np.arange(5)


def dataset():
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(2)


class Batches(keras.utils.PyDataset):
    def __init__(self, count=3):
        super().__init__()
        self.count = count

    @property
    def num_batches(self):
        return self.count

    def __getitem__(self, index):
        return X, Y


@pytest.mark.parametrize("make", [dataset, Batches])
def test_a_pair_of_data_sets(make):
    first, second = make(), make()
    assert read_data((first, second)) == (first, second)
    assert read_data((first, None)) == (first, None)
    assert read_data(first, second) == (first, second)


def test_arrays():
    train, validation = read_data((X, Y), (X[:3], Y[:3]))
    assert [len(y) for _, y in train] == [5]
    assert [len(y) for _, y in validation] == [3]


@pytest.mark.parametrize(
    "data",
    [[X, Y], "photos", (X,), dataset().repeat(), Batches(None)],
    ids=["list", "folder", "no labels", "endless", "endless PyDataset"],
)
def test_other_data(data):
    with pytest.raises(ValueError, match="Received: data="):
        read_data(data)


def test_validation_data_twice():
    with pytest.raises(ValueError, match="once"):
        read_data((dataset(), dataset()), dataset())


@pytest.mark.parametrize(
    "labels",
    [[2, 0, 1], [[2], [0], [1]], [2.0, 0.0, 1.0], np.eye(3)[[2, 0, 1]]],
    ids=["numbers", "column", "floats", "one-hot"],
)
def test_labels(labels):
    numbers = class_numbers(np.asarray(labels))
    assert numbers.tolist() == [2, 0, 1]
    assert numbers.dtype == "int64"


@pytest.mark.parametrize(
    "labels",
    [[[1, 1, 0]], [[0, 0, 0]], [-1, 0], [0.5, 1], ["a", "b"], []],
    ids=["several", "none", "negative", "shares", "names", "empty"],
)
def test_other_labels(labels):
    with pytest.raises(ValueError, match="one class for each example"):
        class_numbers(np.asarray(labels))


def test_class_names():
    data = dataset()
    assert find_class_names(data, 2) == ["0", "1"]
    data.class_names = ["cat", "dog"]
    assert find_class_names(data, 2) == ["cat", "dog"]
    assert find_class_names(data, 3) == ["cat", "dog", "2"]
