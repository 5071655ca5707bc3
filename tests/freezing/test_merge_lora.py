"""What adapters have learned becomes a part of the kernels."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_transfer as kt
from keras_transfer.freezing.adapters import factors_of, find_adapted, kernel_of
from keras_transfer.freezing.add_lora import add_lora
from keras_transfer.freezing.merge_lora import merge_lora
from tests import networks
from tests.freezing.test_add_lora import shake


@pytest.mark.parametrize("name", ["nested_twice", "transformer"])
def test_outputs_stay_and_kernels_are_the_sum(name):
    model = networks.build(name)
    x = networks.batch_for(model)
    names = [weight.path for weight in model.weights]
    add_lora(model, "all", 2, alpha=3)
    shake(model)
    outputs = model.predict(x, verbose=0)
    expected = {}
    for layer in find_adapted(model):
        arrays = (kernel_of(layer), *factors_of(layer))
        kernel, a, b = (w.numpy().astype("float64") for w in arrays)
        path = kernel_of(layer).path
        expected[path] = kernel + 3 / 2 * np.tensordot(a, b, 1)
    merge_lora(model)
    np.testing.assert_allclose(model.predict(x, verbose=0), outputs, atol=1e-6)
    assert not find_adapted(model)
    assert [weight.path for weight in model.weights] == names
    for weight in model.weights:
        if weight.path in expected:
            value = expected.pop(weight.path)
            np.testing.assert_allclose(weight, value, atol=1e-6)
    assert not expected


def test_it_trains_saves_and_exports_like_any_other(tmp_path):
    model = networks.build("mlp")
    x, y = networks.batch_for(model), np.eye(3)[[0, 1, 2, 0, 1, 2]]
    groups = [group.name for group in kt.layer_groups(model)]
    add_lora(model, "all", 2)
    model.compile("adam", "mse")
    model.fit(x, y, verbose=0)
    merge_lora(model)
    outputs = model.predict(x, verbose=0)
    assert [group.name for group in kt.layer_groups(model)] == groups

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), outputs)
    assert not any("lora" in weight.path for weight in loaded.weights)
    assert "lora" not in loaded.to_json()
    model.export(tmp_path / "export", verbose=False)
    names = tf.train.list_variables(
        str(tmp_path / "export/variables/variables")
    )
    assert not any("lora" in name for name, _ in names)
    exported = tf.saved_model.load(str(tmp_path / "export"))
    np.testing.assert_allclose(exported.serve(x), outputs, atol=1e-6)

    kt.set_trainable(model, "all")
    before = networks.values(model.weights)
    model.compile("adam", "mse")
    model.fit(x, y, verbose=0)
    assert len(networks.moved(model.weights, before)) == len(model.weights)
    assert add_lora(model, "stem", 1) == {"stem": (model.layers[0].name,)}


def test_an_optimizer_that_was_built_goes_on_with_what_is_left():
    model = networks.build("mlp")
    x, y = networks.batch_for(model), np.zeros((6, 3))
    model.compile("adam", "mse")
    add_lora(model, "all", 2)
    model.fit(x, y, verbose=0)
    merge_lora(model)
    before = networks.values(model.weights)
    model.fit(x, y, verbose=0)
    head = {weight.path for weight in model.layers[-1].weights}
    assert networks.moved(model.weights, before) == head


def test_half_precision_is_rounded_once():
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, dtype="mixed_float16")]
    )
    add_lora(model, "all", 2)
    shake(model)
    [layer] = model.layers
    arrays = (kernel_of(layer), *factors_of(layer))
    kernel, a, b = (w.numpy().astype("float64") for w in arrays)
    merge_lora(model)
    np.testing.assert_allclose(layer.kernel, kernel + a @ b, atol=1e-6)


def test_what_cannot_be_merged():
    model = networks.build("mlp")
    with pytest.raises(ValueError, match="add_lora.*Received: model=mlp"):
        merge_lora(model)
    layer = model.layers[0]
    layer.quantize("int8")
    layer.enable_lora(2)
    with pytest.raises(ValueError, match=rf"quantized: \['{layer.name}'\]$"):
        merge_lora(model)
