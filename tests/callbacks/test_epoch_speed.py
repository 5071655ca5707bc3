import time

import keras
import numpy as np
import pytest

from keras_transfer.callbacks.epoch_speed import EpochSpeed


class Watch(keras.callbacks.Callback):
    """Calls it as the board does, and waits between the steps."""

    def __init__(self):
        super().__init__()
        self.found = []

    def on_train_begin(self, logs=None):
        self._speed = EpochSpeed()

    def on_epoch_begin(self, epoch, logs=None):
        time.sleep(0.05)
        self._speed.begin_epoch()

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.02)

    def on_test_begin(self, logs=None):
        self._speed.end_training(self.model)
        time.sleep(0.05)

    def on_epoch_end(self, epoch, logs=None):
        self.found.append(self._speed.measure(self.model))


@pytest.mark.parametrize("validates", [True, False])
def test_examples_of_training_are_counted(validates):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    data, watch = (np.zeros((10, 2)), np.zeros(10)), Watch()
    model.fit(
        *data,
        validation_data=data if validates else None,
        batch_size=4,
        epochs=2,
        callbacks=[watch],
        verbose=0,
    )
    for found in watch.found:
        rate = found["speed/examples_per_second"]
        # Three steps of at least 20 ms, and 10 examples.
        assert 0 < rate < 10 / 0.06
        pauses = 0.05 + (0.05 if validates else 0)
        assert found["speed/seconds"] > 10 / rate + pauses - 1e-3
        assert found["speed/cached_examples"] == 0


def test_a_model_that_counts_nothing_has_no_such_curve():
    class OwnStep(keras.Model):
        def train_step(self, data):
            return {"loss": 0.0}

        @property
        def metrics(self):
            return []

    inputs = keras.Input((2,))
    model = OwnStep(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    watch = Watch()
    model.fit(np.zeros((10, 2)), np.zeros(10), callbacks=[watch], verbose=0)
    assert list(watch.found[0]) == ["speed/seconds"]
