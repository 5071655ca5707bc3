"""What `fit` draws from is found, and replayed as `fit` draws it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.callbacks.data_replay import (
    find_epoch_iterator,
    replay_epochs,
)


class Seen(keras.layers.Layer):
    """Notes what passes."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def call(self, x):
        tf.py_function(lambda x: self.batches.append(x.numpy()), [x], [])
        return x


class Skip(keras.callbacks.Callback):
    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_train_begin(self, logs=None):
        found = find_epoch_iterator()
        assert found is not None, "Keras has renamed what `fit` draws from"
        replay_epochs(found, self.epochs)


def numbers():
    return tf.data.Dataset.range(12).map(lambda n: (tf.reshape(n, [1]), n))


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (lambda: numbers().shuffle(12, seed=1).batch(4), {}),
        (
            lambda: numbers().shuffle(12, seed=1).repeat().batch(4),
            {"steps_per_epoch": 2},
        ),
        (
            lambda: numbers().shuffle(12, seed=1).batch(4),
            {"steps_per_execution": 2},
        ),
    ],
    ids=["epochs", "endless", "several steps"],
)
def test_epochs_go_on_where_they_would_have(data, options):
    def draw(epochs, skipped=0):
        layer = Seen()
        model = keras.Sequential([keras.Input((1,), dtype="int64"), layer])
        model.add(keras.layers.Lambda(lambda x: 0.0 * tf.cast(x, "float32")))
        model.add(keras.layers.Dense(1))
        settings = dict(options)
        steps = settings.pop("steps_per_execution", 1)
        model.compile("sgd", "mse", steps_per_execution=steps)
        model.fit(
            data(),
            epochs=epochs,
            verbose=0,
            callbacks=[Skip(skipped)],
            **settings,
        )
        return np.concatenate(layer.batches).ravel().tolist()

    everything = draw(3)
    epoch = len(everything) // 3
    assert draw(1, skipped=2) == everything[2 * epoch :]
    assert everything[:epoch] != everything[epoch : 2 * epoch]


def test_outside_of_fit_there_is_nothing_to_find():
    assert find_epoch_iterator() is None
