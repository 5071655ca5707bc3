import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.insight.sample_examples import sample_examples


def batches(x, y, size=7):
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(size)


def make_data(counts, seed=0):
    """Number examples through, in an order that mixes classes."""
    y = np.repeat(np.arange(len(counts)), counts)
    y = np.random.default_rng(seed).permutation(y)
    return np.arange(len(y), dtype="float32")[:, None], y


@pytest.mark.parametrize("most", [30, 31, 2000])
def test_few_examples_are_all_there_in_their_order(most):
    x, y = make_data([10, 20])
    found, labels = sample_examples(batches(x, y), most)
    np.testing.assert_array_equal(found, x)
    np.testing.assert_array_equal(labels, y)
    assert labels.dtype == "int64"


@pytest.mark.parametrize("is_sorted", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_classes_keep_their_shares(is_sorted, seed):
    counts = np.array([1000, 500, 250, 30])
    x, y = make_data(counts, seed)
    y = np.sort(y) if is_sorted else y
    found, labels = sample_examples(batches(x, y, 32), 178, seed)
    assert len(found) == len(labels) == len(np.unique(found)) == 178
    np.testing.assert_array_equal(labels, y[found[:, 0].astype(int)])
    shares = np.bincount(labels, minlength=4)
    assert np.abs(shares - counts / 10).max() <= 3


def test_examples_come_from_everywhere():
    x, y = make_data([600])
    found, _ = sample_examples(batches(x, y), 60)
    in_parts = np.histogram(found, bins=6, range=(0, 600))[0]
    assert in_parts.min() >= 7


def test_the_seed_decides():
    x, y = make_data([60, 60])
    first, again, other = (
        np.sort(sample_examples(batches(x, y), 30, seed)[0], axis=0)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_one_hot_labels_and_columns_are_numbers():
    x, y = make_data([9, 9])
    for labels in (np.eye(2)[y], y[:, None]):
        _, found = sample_examples(batches(x, labels), 100)
        np.testing.assert_array_equal(found, y)


def test_pictures_of_bytes_stay_bytes():
    x = np.zeros((4, 8, 8, 3), "uint8")
    found, _ = sample_examples(batches(x, [0, 1, 0, 1]), 3)
    assert found.shape == (3, 8, 8, 3)
    assert found.dtype == "uint8"


class Batches(keras.utils.PyDataset):
    @property
    def num_batches(self):
        return 2

    def __getitem__(self, index):
        return np.full((3, 2), index), np.arange(3), np.ones(3)


def test_py_datasets_with_weights():
    found, labels = sample_examples(Batches(), 9)
    np.testing.assert_array_equal(found[:, 0], [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(labels, [0, 1, 2, 0, 1, 2])


def test_refuses_what_it_cannot_sample():
    with pytest.raises(ValueError, match="no examples"):
        sample_examples(batches(np.zeros((0, 2)), np.zeros(0)), 9)
    two = batches({"a": np.zeros((3, 2)), "b": np.zeros((3, 2))}, np.zeros(3))
    with pytest.raises(ValueError, match="one tensor each.*dict"):
        sample_examples(two, 9)
    sizes = [(np.zeros((2, n, 3)), np.zeros(2)) for n in (5, 6)]
    with pytest.raises(ValueError, match=r"one shape.*\(5, 3\) and \(6, 3\)"):
        sample_examples(sizes, 9)
    with pytest.raises(ValueError, match="numbers of classes"):
        sample_examples(batches(np.zeros((3, 2)), [0.5, 1, 0]), 9)
