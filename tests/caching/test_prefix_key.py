"""Names of frozen parts: the same for the same, others for all else."""

import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.caching.cut import Cut
from keras_transfer.caching.no_cut_error import NoCutError
from tests import networks
from tests.backbones import saved_models


def build(
    activation="relu", scale=1 / 255, strides=1, layers=1, axis=-1, seed=0
):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(scale)(inputs)
    x = keras.layers.Conv2D(3, 3, strides, "same", name="block1_conv")(x)
    for _ in range(layers):
        x = keras.layers.Activation(activation)(x)
    x = keras.ops.softmax(x, axis=axis)
    x = keras.layers.Flatten()(x)
    model = keras.Model(inputs, keras.layers.Dense(2, name="head")(x))
    kt.set_trainable(model, "head")
    return model


def test_the_same_network_has_the_same_name():
    """Built anew, with other names, states and a head of other weights."""
    first, second = build(), build()
    second.layers[-1].kernel.assign(second.layers[-1].kernel + 1)
    assert Cut(first).digest() == Cut(second).digest()
    assert len(Cut(first).digest()) == 32


@pytest.mark.parametrize(
    "change",
    [
        {"activation": "tanh"},
        {"scale": 1 / 127},
        {"strides": 2},
        {"layers": 2},
        {"axis": 1},
        {"seed": 1},
    ],
    ids=str,
)
def test_another_network_has_another_name(change):
    assert Cut(build()).digest() != Cut(build(**change)).digest()


def test_the_wiring_counts():
    def wire(first, second):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((4,))
        a = keras.layers.Dense(4, name="block1_a")(inputs)
        b = keras.layers.Dense(4, name="block1_b")(inputs)
        pair = [(a, b)[first], (a, b)[second]]
        x = keras.layers.Subtract()(pair)
        model = keras.Model(inputs, keras.layers.Dense(2, name="head")(x))
        kt.set_trainable(model, "head")
        return Cut(model).digest()

    assert wire(0, 1) == wire(0, 1) != wire(1, 0)


def test_the_order_of_arguments_counts():
    def wire(*order):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((4,))
        parts = [keras.layers.Dense(4, name=n)(inputs) for n in "ab"]
        x = keras.layers.Concatenate()([parts[n] for n in order])
        x = keras.layers.Dense(4, name="c")(x)
        model = keras.Model(inputs, keras.layers.Dense(2, name="head")(x))
        kt.set_trainable(model, "head")
        return Cut(model).digest()

    assert wire(0, 1, 0) == wire(0, 1, 0) != wire(0, 1, 1)


def test_the_precision_counts():
    first = Cut(build()).digest()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert Cut(build()).digest() != first
    finally:
        keras.config.set_dtype_policy("float32")


def test_the_state_of_dropout_does_not_count():
    def with_dropout(seed):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((4,))
        x = keras.layers.Dense(4, name="block1_a")(inputs)
        x = keras.layers.Dropout(0.5, seed=seed, name="block1_b")(x)
        x = keras.layers.Dense(4, name="block1_c")(x)
        model = keras.Model(inputs, keras.layers.Dense(2, name="head")(x))
        kt.set_trainable(model, "head")
        return Cut(model).digest()

    assert with_dropout(1) == with_dropout(2)


def test_families_and_saved_models_have_names(tmp_path):
    names = set()
    for name in ("MobileNetV2", "ConvNeXtTiny", "EfficientNetV2B0"):
        model = networks.application(name)
        kt.set_trainable(model, "top:2")
        names.add(Cut(model).digest())
        kt.set_trainable(model, "all")
    handle = saved_models.save_conv_net(tmp_path / "net")
    backbone = kt.load_backbone(handle, input_shape=(8, 8, 3))
    model = kt.build_classifier(backbone, 3)
    kt.set_trainable(model, "head")
    names.add(Cut(model).digest())
    assert len(names) == 4


class Unsaid(keras.layers.Layer):
    def __init__(self, factor, **options):
        super().__init__(**options)
        self.factor = factor

    def call(self, inputs):
        return self.factor * inputs


def test_a_layer_without_a_configuration(tmp_path, capsys):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    x = keras.layers.Dense(4, name="block1")(inputs)
    x = Unsaid(np.float32(2), name="unsaid")(x)
    model = keras.Model(inputs, keras.layers.Dense(2, name="head")(x))
    kt.set_trainable(model, "head")
    with pytest.raises(NoCutError, match="`unsaid` has no configuration"):
        Cut(model).digest()
    data = np.ones((6, 4), "float32"), np.zeros(6)
    with pytest.raises(ValueError, match="has no configuration.*Received"):
        kt.cache_features(model, data, cache=tmp_path)
    [(features, _)] = kt.cache_features(model, data)
    assert features.shape == (6, 4)
