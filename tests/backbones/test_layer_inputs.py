import keras
import numpy as np

from keras_transfer.backbones.layer_inputs import hear_inputs


def test_the_first_inputs_are_heard_and_the_layer_is_left_as_it_was():
    layer, x = keras.layers.Dense(2), np.ones((1, 3), "float32")
    with hear_inputs(layer) as heard:
        outputs = layer(x)
        layer(2 * x)
    assert "call" not in vars(layer)
    np.testing.assert_array_equal(heard[0], x)
    np.testing.assert_array_equal(layer(x), outputs)


def test_a_call_of_the_layers_own_is_made_and_put_back():
    layer, x = keras.layers.Dense(2), np.ones((1, 3), "float32")
    layer.build((1, 3))

    def call(inputs):
        return inputs + 1

    layer.call = call
    with hear_inputs(layer) as heard:
        np.testing.assert_array_equal(layer(x), x + 1)
    assert len(heard) == 1 and layer.call is call
