import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.freezing.reinitialize import reinitialize
from tests import networks
from tests.backbones import saved_models


def test_weights_are_as_on_the_first_day():
    model = networks.cnn()
    held = [w for w in model.weights if w.name == "kernel"]
    before = networks.values(held)
    for weight in model.weights:
        weight.assign(weight + 100)
    keras.utils.set_random_seed(9)
    reinitialize(model)
    for weight, old in zip(held, before, strict=True):
        new = weight.numpy()
        assert np.abs(new).max() < 2 and not np.array_equal(new, old)
    variances = [w for w in model.weights if w.name == "moving_variance"]
    assert all(np.all(w.numpy() == 1) for w in variances)


def test_a_seed_repeats_them():
    model = networks.cnn()
    made = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        reinitialize(model)
        made.append(model.get_weights())
    for a, b in zip(*made, strict=True):
        np.testing.assert_array_equal(a, b)


def test_values_alone_cannot_be_started_anew(tmp_path):
    handle = saved_models.save_conv_net(tmp_path / "net")
    layer = kt.HubLayer(handle)
    model = keras.Sequential([keras.Input((8, 8, 3)), layer])
    with pytest.raises(ValueError, match="SavedModel holds nothing but values"):
        reinitialize(model)


def test_what_was_adapted_to_the_data_stays():
    normalize = keras.layers.Normalization()
    normalize.adapt(np.array([[2.0], [6.0]]))
    model = keras.Sequential([keras.Input((1,)), normalize])
    model.add(keras.layers.Dense(1))
    kernel = model.layers[-1].kernel.numpy()
    reinitialize(model)
    assert not np.array_equal(model.layers[-1].kernel, kernel)
    assert model.get_weights()[0] == 4  # what is saved
    assert normalize(np.array([[6.0]])) == 1
