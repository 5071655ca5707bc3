import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.freezing.quick_statistics import quick_statistics
from tests import networks


def momenta(model):
    return [
        layer.momentum
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]


def test_momenta_are_lower_inside_and_put_back():
    model = networks.cnn()
    slow = model.get_layer("first_bn")
    slow.momentum = 0.5
    before = momenta(model)
    with pytest.raises(RuntimeError), quick_statistics(model):
        assert momenta(model) == [0.5, 0.9, 0.9, 0.9]
        raise RuntimeError
    assert momenta(model) == before == [0.5, 0.99, 0.99, 0.99]


def test_what_starts_from_nothing_shows_after_a_few_steps():
    """In thirty steps, averages have come to what the data is like."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    x = np.random.default_rng(0).normal(50, 10, (96, 4)).astype("float32")
    y = (x[:, 0] > 50).astype("int32")
    phases = kt.strategies.scratch(epochs=10)
    kt.fine_tune(model, (x, y), strategy=phases, log_dir=False, verbose=0)
    batch_norm = model.layers[0]
    assert batch_norm.momentum == 0.99
    np.testing.assert_allclose(batch_norm.moving_mean, 50, rtol=0.1)


def test_what_is_pretrained_keeps_its_momentum():
    model = networks.cnn()
    model.compile("sgd", "mse")
    seen = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(momenta(model)[0])
    )
    phases = [
        kt.Phase("all", 1, 0.0, batch_norm="train", reinitialize=True),
        kt.Phase("all", 1, 0.0, batch_norm="train"),
    ]
    x = networks.batch_for(model)
    unfreezing = kt.GradualUnfreezing(phases)
    model.fit(
        x,
        np.zeros((6, 3)),
        epochs=2,
        callbacks=[unfreezing, watch],
        verbose=0,
    )
    assert seen == [0.9, 0.99]
