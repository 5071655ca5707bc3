import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.data.labelled_batches import iterate_batches
from keras_transfer.recipes.training_data import (
    as_dataset,
    check_fit,
    choose_batch_size,
    label_spec,
)

X, Y = np.arange(70.0)[:, None], np.arange(70)


class Pairs(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return X[:4] + index, Y[:4]


def test_arrays_become_batches_in_a_new_order_each_epoch():
    data = as_dataset((X, Y), shuffle=True, seed=1, name="train")
    first, second = ([y.numpy() for _, y in data] for _ in range(2))
    assert [len(y) for y in first] == [8] * 8 + [6]
    assert sorted(np.concatenate(first)) == Y.tolist()
    assert not np.array_equal(first[0], second[0])
    ordered = as_dataset((X, Y), shuffle=False, seed=None, name="x")
    batches = [y.numpy() for _, y in ordered]
    assert [len(y) for y in batches] == [32, 32, 6]
    assert np.concatenate(batches).tolist() == Y.tolist()


@pytest.mark.parametrize(
    ("count", "size"),
    [(1, 8), (70, 8), (143, 8), (144, 9), (400, 25), (512, 32), (9999, 32)],
)
def test_few_examples_come_in_smaller_batches(count, size):
    assert choose_batch_size(count) == size


def test_sample_weights_come_along():
    data = as_dataset((X, Y, X[:, 0]), shuffle=True, seed=1, name="train")
    for _, y, weight in data:
        assert np.array_equal(y, weight)


def test_datasets_stay_as_they_are():
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
    assert as_dataset(data, shuffle=True, seed=None, name="train") is data
    assert label_spec(data).shape.as_list() == [None]
    pairs = Pairs()
    assert as_dataset(pairs, shuffle=True, seed=None, name="train") is pairs
    assert label_spec(pairs).shape == (4,)
    assert [x[0, 0] for x, _ in iterate_batches(pairs)] == [0, 1, 2]


@pytest.mark.parametrize(
    "wrong, reason",
    [
        (X, "Received: train=.*ndarray"),
        ([X, Y], "Received: train=.*list"),
        (tf.data.Dataset.from_tensor_slices(X).batch(2), r"batches of \(x, y"),
        (
            tf.data.Dataset.from_tensor_slices((X, Y)).batch(2).repeat(),
            "never ends",
        ),
    ],
)
def test_other_data_is_refused(wrong, reason):
    with pytest.raises(ValueError, match=reason):
        as_dataset(wrong, shuffle=True, seed=None, name="train")


def test_data_must_fit_the_model():
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )

    def images(side, names):
        x = np.zeros((4, side, side, 3), "uint8")
        data = tf.data.Dataset.from_tensor_slices((x, Y[:4])).batch(2)
        data.class_names = names
        return data

    check_fit(model, images(8, ["a", "b", "c"]))
    check_fit(model, images(8, None))
    with pytest.raises(ValueError, match=r"image_size=\(8, 8\).*\b9, 9, 3"):
        check_fit(model, images(9, ["a", "b", "c"]))
    with pytest.raises(ValueError, match=r"not in batches.*data\.batch"):
        check_fit(model, images(8, None).unbatch())
    with pytest.raises(ValueError, match="3 outputs, and 2 classes"):
        check_fit(model, images(8, ["a", "b"]))


def test_models_must_have_one_input_and_one_output():
    first, second = keras.Input((2,)), keras.Input((2,))
    two = keras.Model([first, second], keras.layers.Add()([first, second]))
    unbuilt = keras.Sequential([keras.layers.Dense(2)])
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(2)
    for model in (two, unbuilt):
        with pytest.raises(ValueError, match="one input and one output"):
            check_fit(model, data)
