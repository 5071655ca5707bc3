import keras
import numpy as np
from keras import layers

from keras_transfer.forgetting.copy_model import copy_model
from keras_transfer.freezing.reinitialize import untrained_copy


def adapted():
    """Build a network with statistics of its inputs, and some inputs."""
    x = np.random.default_rng(0).normal(50, 20, (40, 3)).astype("float32")
    normalize = layers.Normalization()
    normalize.adapt(x)
    return keras.Sequential([keras.Input((3,)), normalize, layers.Dense(4)]), x


def test_statistics_of_inputs_are_copied_with_the_rest():
    model, x = adapted()
    twin = copy_model(model)
    np.testing.assert_array_equal(twin.predict(x), model.predict(x))


def test_an_untrained_copy_normalizes_as_the_model_does():
    model, x = adapted()
    fresh = untrained_copy(model)
    np.testing.assert_array_equal(
        fresh.layers[0](x).numpy(), model.layers[0](x).numpy()
    )


def test_nothing_is_shared():
    model, x = adapted()
    before = model.predict(x)
    twin = copy_model(model)
    for weight in twin.weights:
        weight.assign(weight * 2)
    np.testing.assert_array_equal(model.predict(x), before)
