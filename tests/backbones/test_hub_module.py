"""SavedModels of all kinds, called through a HubLayer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.backbones.hub_layer import HubLayer
from tests.backbones import saved_models
from tests.backbones.saved_models import CLASSES, SIZE


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("saved_models")
    return {
        "net": saved_models.save_conv_net(root / "net"),
        "signature": saved_models.save_signature_only(root / "signature"),
        "constant": saved_models.save_without_trainable_variables(
            root / "constant"
        ),
        "text": saved_models.save_text_embedding(
            root / "text", root / "vocabulary.txt"
        ),
        "dict": saved_models.save_dict_module(root / "dict"),
        "tf1": saved_models.save_tf1_module(root / "tf1"),
        "rankless": saved_models.save_without_rank(root / "rankless"),
    }


def test_signature_is_for_inference(folders):
    layer = HubLayer(folders["signature"])
    x = tf.random.stateless_normal([2, 3], [1, 2])
    [kernel] = layer.weights
    np.testing.assert_allclose(layer(x), x @ kernel, atol=1e-6)
    with pytest.raises(ValueError, match="'serving_default'.*Received: handle"):
        HubLayer(folders["signature"], trainable=True)
    with pytest.raises(ValueError, match="inference only"):
        layer.train_variables(layer.weights)
    layer.trainable = True
    assert not layer.trainable_variables
    with pytest.raises(ValueError, match=r"layer.trainable = False"):
        layer(x)


def test_signature_of_a_callable_is_for_inference(folders):
    with pytest.raises(ValueError, match="choose one.*Received: signature='x'"):
        HubLayer(folders["net"], signature="x")


def test_signature_with_several_outputs(folders):
    with pytest.raises(ValueError, match=r"\['scores', 'twice'\]"):
        HubLayer(folders["signature"], signature="two")
    layer = HubLayer(folders["signature"], signature="two", output_key="twice")
    x = tf.ones([2, 3])
    np.testing.assert_allclose(layer(x), 2 * HubLayer(folders["signature"])(x))
    np.testing.assert_allclose(layer({"x": x}), layer(x))
    with pytest.raises(ValueError, match=r"keys \['x'\].*inputs=\['y'\]"):
        layer({"y": x})


def test_tf1_module_is_for_inference(folders):
    layer = HubLayer(folders["tf1"])
    x = tf.random.stateless_normal([2, 4], [1, 2])
    [kernel] = layer.weights
    np.testing.assert_allclose(layer(x), x @ kernel, atol=1e-6)
    with pytest.raises(ValueError, match="TF1 Hub format"):
        HubLayer(folders["tf1"], trainable=True)


def test_export_of_a_keras_3_model_is_for_inference(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.export(tmp_path / "export", verbose=False)
    layer = HubLayer(tmp_path / "export")
    x = tf.random.stateless_normal([2, 4], [1, 2])
    np.testing.assert_array_equal(layer(x), model(x, training=False))
    assert layer.count_params() == model.count_params()


def test_nothing_to_train_is_said(folders):
    np.testing.assert_array_equal(
        HubLayer(folders["constant"])(tf.ones([1, 4])), 3 * np.ones([1, 4])
    )
    with pytest.raises(ValueError, match="no trainable variables"):
        HubLayer(folders["constant"], trainable=True)


def test_strings(folders):
    model = keras.Sequential(
        [HubLayer(folders["text"], trainable=True), keras.layers.Dense(1)]
    )
    words = tf.constant(["red", "blue", "mauve"])
    model.compile("sgd", "mse")
    model.fit(words, tf.ones([3, 1]), verbose=0)
    assert model.predict(words, verbose=0).shape == (3, 1)
    vectors = model.layers[0].weights[0].numpy()
    np.testing.assert_array_equal(model.layers[0](words), vectors[[0, 2, 3]])


def test_dicts(folders):
    inputs = {
        name: keras.Input((7,), dtype="int32", name=name)
        for name in ("ids", "mask")
    }
    outputs = HubLayer(folders["dict"])(inputs)
    assert outputs["sequence"].shape == (None, 7, 4)
    pooled = HubLayer(folders["dict"], output_key="pooled")
    assert pooled(inputs).shape == (None, 4)
    with pytest.raises(ValueError, match=r"\['pooled', 'sequence'\]"):
        HubLayer(folders["dict"], output_key="cls")(inputs)

    model = keras.Model(inputs, outputs)
    ids = np.arange(14, dtype="int32").reshape(2, 7) % 9
    result = model.predict({"ids": ids, "mask": np.ones_like(ids)}, verbose=0)
    table = pooled.weights[0].numpy()
    np.testing.assert_allclose(result["sequence"], table[ids], atol=1e-6)
    as_floats = {"ids": tf.cast(ids, "float32"), "mask": tf.ones([2, 7])}
    np.testing.assert_allclose(pooled(as_floats), result["pooled"], atol=1e-6)


# Shapes and dtypes.


def test_output_shape_is_known_for_any_batch(folders):
    layer = HubLayer(folders["net"])
    assert layer.saved_input_shape == (SIZE, SIZE, 3)
    assert layer.compute_output_shape((None, SIZE, SIZE, 3)) == (None, CLASSES)
    spec = layer.compute_output_spec(keras.KerasTensor((7, SIZE, SIZE, 3)))
    assert spec.shape == (7, CLASSES)
    model = keras.Sequential([keras.Input((SIZE, SIZE, 3)), layer])
    assert model.output_shape == (None, CLASSES)
    lines = []
    model.summary(print_fn=lines.append)
    assert "174" in "\n".join(lines)


def test_unknown_output_shape_can_be_given(folders):
    with pytest.raises(ValueError, match="output_shape="):
        HubLayer(folders["rankless"])(keras.Input((4,)))
    layer = HubLayer(folders["rankless"], output_shape=(4,))
    assert layer(keras.Input((4,))).shape == (None, 4)
    np.testing.assert_array_equal(layer(tf.ones([2, 4])), np.ones([2, 4]))


def test_inputs_that_do_not_fit_are_described(folders):
    layer = HubLayer(folders["net"])
    with pytest.raises(ValueError) as error:
        layer(tf.ones([2, 5, 5, 3]))
    assert "float32(None, 8, 8, 3)" in str(error.value)
    assert "inputs=float32(2, 5, 5, 3)" in str(error.value)


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float64"])
def test_inputs_are_cast(folders, dtype):
    layer = HubLayer(folders["net"])
    pixels = np.arange(SIZE * SIZE * 3).reshape(1, SIZE, SIZE, 3) % 256
    expected = layer(pixels.astype("float32"))
    np.testing.assert_array_equal(layer(pixels.astype(dtype)), expected)
