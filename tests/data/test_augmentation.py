"""Augmentation is in training alone, and so is what it leaves behind."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_transfer as kt
from tests import networks


def images(dtype="float32", size=4):
    random = np.random.default_rng(0)
    return random.integers(0, 256, (size, 8, 8, 3)).astype(dtype)


def network(augmentation):
    """Build a net with dropout and BatchNorm behind an augmentation."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            augmentation,
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(momentum=0.5),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.5),
            layers.Dense(3),
        ]
    )


def drift(model):
    """Call a model twice; return the largest difference and what moved."""
    x = images()
    before = networks.values(model.weights)
    difference = np.max(np.abs(np.array(model(x)) - np.array(model(x))))
    return difference, len(networks.moved(model.weights, before))


def test_upstream_a_bare_random_layer_leaves_training_mode_behind():
    """Keras 3.15. When this fails, `TrainingOnly` has lost its reason."""
    difference, moved = drift(network(layers.RandomFlip()))
    assert difference > 0.01
    assert moved == 2


def test_inside_training_only_nothing_is_left_behind():
    model = network(kt.TrainingOnly(layers.RandomFlip()))
    assert drift(model) == (0.0, 0)
    np.testing.assert_allclose(
        model(images()), model.predict(images(), verbose=0), rtol=1e-5
    )


def test_an_export_is_inert_too(tmp_path):
    model = network(kt.TrainingOnly([layers.RandomFlip()]))
    model.export(tmp_path / "export", verbose=False)
    served = tf.saved_model.load(tmp_path / "export")
    expected = model.predict(images(), verbose=0)
    for _ in range(2):
        np.testing.assert_array_equal(served.serve(images()), expected)


@pytest.mark.parametrize("training", [None, False])
def test_images_pass_through(training):
    layer = kt.TrainingOnly([layers.RandomFlip(), layers.RandomRotation(0.5)])
    for x in (images(), images("uint8")):
        np.testing.assert_array_equal(layer(x, training=training), images())


def test_it_draws_in_training():
    layer = kt.TrainingOnly([layers.RandomRotation(0.5), layers.RandomFlip()])
    first, second = (layer(images(), training=True) for _ in range(2))
    assert not np.array_equal(first, images())
    assert not np.array_equal(first, second)


@pytest.mark.filterwarnings("ignore:The model does not have any trainable")
def test_it_draws_in_fit_and_not_in_evaluate():
    """Without weights to learn, the loss tells whether images changed."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            kt.TrainingOnly(layers.RandomBrightness(0.5)),
            layers.Flatten(),
        ]
    )
    model.compile(loss="mse")
    y = images().reshape(4, -1)
    assert model.evaluate(images(), y, verbose=0) == 0
    assert model.fit(images(), y, verbose=0).history["loss"][0] > 1
    assert model.evaluate(images(), y, verbose=0) == 0


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", ["uint8", "int32", "float16", "float32"])
def test_the_dtype_does_not_depend_on_the_mode(training, dtype):
    layer = kt.TrainingOnly(layers.RandomFlip())
    assert layer(images(dtype), training=training).dtype == "float32"
    assert layer(keras.Input((8, 8, 3), dtype=dtype)).dtype == "float32"


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("training", [True, False])
def test_float32_under_mixed_precision(policy, training):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        layer = kt.TrainingOnly([layers.RandomFlip()], dtype="float32")
        outputs = layer(images(), training=training)
    finally:
        keras.config.set_dtype_policy(before)
    assert outputs.dtype == "float32"


def test_it_is_saved(tmp_path):
    keras.utils.set_random_seed(1)
    augmentation = [
        layers.RandomFlip(seed=3),
        layers.RandomRotation(0.2, seed=4),
    ]
    model = network(kt.TrainingOnly(augmentation, name="augmentation"))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images()), model(images()))
    for each in (model, loaded):
        layer = each.get_layer("augmentation")
        assert isinstance(layer, kt.TrainingOnly)
    inner = loaded.get_layer("augmentation").layer
    assert [type(layer).__name__ for layer in inner.layers] == [
        "RandomFlip",
        "RandomRotation",
    ]
    assert not np.array_equal(
        loaded.get_layer("augmentation")(images(), training=True), images()
    )


def test_in_a_tf_data_pipeline():
    layer = kt.TrainingOnly(layers.RandomFlip())
    data = tf.data.Dataset.from_tensor_slices(images()).batch(2)
    data = data.map(lambda x: layer(x, training=False))
    np.testing.assert_array_equal(np.concatenate(list(data)), images())


@pytest.mark.parametrize("layer", [None, "flip", lambda x: x, [1]])
def test_what_is_no_layer(layer):
    with pytest.raises(ValueError, match="Received: "):
        kt.TrainingOnly(layer)
