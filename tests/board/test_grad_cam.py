"""Grad-CAM against closed forms, differences and what a network needs."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from PIL import Image
from sklearn.datasets import load_sample_image

import keras_transfer as kt
from keras_transfer.backbones.efficientnet_lite import preprocess_input
from keras_transfer.board.feature_maps import feature_map_groups
from keras_transfer.board.grad_cam import grad_cam
from keras_transfer.data.random_state import capture_random_state
from tests import networks

TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


def pooled_net(finish=None, units=3, **kwargs):
    """Build convolution, average pooling and dense layer, as CAM wants it."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(inputs)
    x = layers.Conv2D(5, 3, activation="relu", name="maps")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(units, name="dense", **kwargs)(x)
    keras.utils.set_random_seed(1)
    model = keras.Model(inputs, finish(x) if finish else x)
    random = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(random.normal(0, 0.3, weight.shape))
    return model


def feature_maps(model, x, name="maps"):
    probe = keras.Model(model.inputs, model.get_layer(name).output)
    return probe.predict(x, verbose=0)


def scaled(maps):
    maps = np.maximum(maps, 0)
    peaks = maps.max(axis=(1, 2), keepdims=True)
    return maps / np.where(peaks > 0, peaks, 1)


def class_activation_maps(model, x, classes, name="maps"):
    """Return CAM (Zhou et al. 2016): the maps, weighted as the last layer."""
    weights = model.layers[-1].kernel.numpy()[:, classes]
    features = feature_maps(model, x, name)
    return scaled(np.einsum("nhwk,kn->nhw", features, weights))


@pytest.fixture
def x():
    return networks.batch_for(pooled_net())


# What it computes.


def test_behind_average_pooling_it_is_cam(x):
    model = pooled_net()
    classes = np.array([0, 1, 2, 2, 1, 0])
    maps = grad_cam(model, x, classes=classes)
    assert maps.dtype == "float32" and maps.shape == (6, 4, 4)
    expected = class_activation_maps(model, x, classes)
    np.testing.assert_allclose(maps, expected, **TOLERANCE)
    assert set(maps.max(axis=(1, 2))) <= {0.0, 1.0}


def test_weights_are_mean_slopes_of_the_logit(x):
    inputs = keras.Input((8, 8, 3))
    maps = layers.Conv2D(4, 5, strides=2, name="maps")(inputs)
    y = layers.Dense(6, activation="tanh")(layers.Flatten()(maps))
    outputs = layers.Dense(3, activation="softmax")(y)
    model = keras.Model(inputs, outputs)
    networks.randomize(model)
    features = feature_maps(model, x).astype("float64")
    hidden, last = (
        [ops.convert_to_numpy(w).astype("float64") for w in layer.weights]
        for layer in model.layers[-2:]
    )

    def logit(features):
        y = np.tanh(features.reshape(len(features), -1) @ hidden[0] + hidden[1])
        return (y @ last[0] + last[1])[:, 1]

    slopes, step = np.zeros_like(features), 1e-5
    for place in np.ndindex(features.shape[1:]):
        change = np.zeros(features.shape[1:])
        change[place] = step
        slopes[:, *place] = logit(features + change) - logit(features - change)
    weights = slopes.mean(axis=(1, 2), keepdims=True)
    expected = scaled((weights * features).sum(axis=-1))
    maps = grad_cam(model, x, classes=1)
    np.testing.assert_allclose(maps, expected, **TOLERANCE)


@pytest.mark.parametrize(
    "model",
    [
        lambda: pooled_net(activation="softmax"),
        lambda: pooled_net(activation="sigmoid"),
        lambda: pooled_net(layers.Softmax()),
        lambda: pooled_net(ops.softmax),
        lambda: pooled_net(layers.Activation("sigmoid")),
        lambda: pooled_net(layers.Activation("linear"), activation="softmax"),
        lambda: pooled_net(layers.Dropout(0.5), activation="softmax"),
    ],
)
def test_a_saturated_output_has_the_maps_of_its_logits(x, model):
    logits, model = pooled_net(), model()
    for net in (logits, model):
        dense = net.get_layer("dense")
        dense.kernel.assign(dense.kernel * 1000)
    probabilities = model.predict(x, verbose=0)
    assert probabilities.max(axis=1).min() == 1
    for classes in (None, 0, 1, 2):
        expected = grad_cam(logits, x, classes=classes)
        np.testing.assert_array_equal(
            grad_cam(model, x, classes=classes), expected
        )
    assert np.all(grad_cam(model, x).max(axis=(1, 2)) == 1)


def test_an_unknown_softmax_has_the_maps_of_the_log_probability(x):
    model = pooled_net(layers.Lambda(tf.nn.softmax))
    kernel = model.get_layer("dense").kernel.numpy()
    probabilities = model.predict(x, verbose=0)
    weights = kernel[:, 1] - probabilities @ kernel.T
    features = feature_maps(model, x)
    expected = scaled(np.einsum("nhwk,nk->nhw", features, weights))
    maps = grad_cam(model, x, classes=1)
    np.testing.assert_allclose(maps, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("activation", ["sigmoid", "linear"])
def test_a_single_output_speaks_for_one_class_or_against(x, activation):
    model = pooled_net(units=1, activation=activation)
    weights = model.get_layer("dense").kernel.numpy()[:, 0]
    total = feature_maps(model, x) @ weights
    one, zero = (grad_cam(model, x, classes=n) for n in (1, 0))
    np.testing.assert_allclose(one, scaled(total), **TOLERANCE)
    np.testing.assert_allclose(zero, scaled(-total), **TOLERANCE)
    is_one = model.predict(x, verbose=0) > (0.5 if "s" in activation else 0)
    expected = np.where(is_one[..., None], one, zero)
    np.testing.assert_array_equal(grad_cam(model, x), expected)


def test_the_predicted_class_is_explained(x):
    model = pooled_net(activation="softmax")
    predicted = model.predict(x, verbose=0).argmax(axis=1)
    maps = grad_cam(model, x, classes=list(predicted))
    np.testing.assert_array_equal(grad_cam(model, x), maps)


def test_where_nothing_speaks_for_a_class_the_map_is_zero(x):
    model = pooled_net()
    kernel = model.get_layer("dense").kernel
    kernel.assign(-ops.abs(kernel))
    assert not grad_cam(model, x, classes=1).any()


def test_many_images_are_explained_in_batches():
    model = pooled_net()
    x = networks.batch_for(model, 67)
    expected = class_activation_maps(model, x, np.ones(67, int))
    maps = grad_cam(model, x, classes=1)
    np.testing.assert_allclose(maps, expected, **TOLERANCE)


# Which models.


def assert_same_maps(model, flat, x):
    assert feature_map_groups(model) == feature_map_groups(flat)
    for group in (None, *feature_map_groups(flat)):
        expected = grad_cam(flat, x, group, 1)
        np.testing.assert_allclose(
            grad_cam(model, x, group, 1), expected, **TOLERANCE
        )
        assert expected.any()


def flat_net(pooling=layers.GlobalAveragePooling2D, hidden=(), scale=1.0):
    inputs = keras.Input((8, 8, 3))
    x = layers.Rescaling(scale)(inputs)
    x = layers.Conv2D(4, 3, padding="same", name="first_conv")(x)
    x = layers.BatchNormalization(name="first_bn")(x)
    for letter in "abc":
        x = networks.conv_block(x, 4, f"res_{letter}")
    x = pooling()(x)
    for units in hidden:
        x = layers.Dense(units, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(3)(x))


def test_a_nested_network_has_the_maps_of_a_flat_one(x):
    flat = flat_net()
    networks.randomize(flat)
    base = networks.conv_base()
    pooled = layers.GlobalAveragePooling2D()(base(base.inputs[0]))
    dense = layers.Dense(3)
    models = [
        keras.Sequential([base, layers.GlobalAveragePooling2D(), dense]),
        keras.Model(base.inputs, dense(pooled)),
        keras.Model({base.inputs[0].name: base.inputs[0]}, dense(pooled)),
    ]
    for model in models:
        model.set_weights(flat.get_weights())
        assert_same_maps(model, flat, x)


def test_a_network_nested_twice_has_the_maps_of_a_flat_one(x):
    model = networks.build("nested_twice")
    flat = flat_net(layers.GlobalMaxPooling2D, hidden=[6], scale=2.0)
    flat.set_weights(model.get_weights())
    assert_same_maps(model, flat, x)


def test_the_usual_frozen_call_of_a_base_is_looked_into(x):
    model, flat = networks.build("nested"), flat_net()
    flat.set_weights(model.get_weights())
    assert_same_maps(model, flat, x)


def test_a_classifier_of_ours_takes_raw_images():
    backbone = networks.tiny_backbone()
    model = kt.build_classifier(
        backbone, ["cat", "dog"], augmentation=layers.RandomFlip()
    )
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), "uint8")
    maps = grad_cam(model, images, "block_1", 1)
    assert maps.shape == (3, 4, 4) and maps.any()
    features = backbone.model.predict(backbone.preprocess(images), verbose=0)
    weights = model.layers[-1].kernel.numpy()[:, 1]
    np.testing.assert_allclose(
        grad_cam(model, images, classes=1),
        scaled(features @ weights),
        **TOLERANCE,
    )


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_gives_float32(x, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = pooled_net(layers.Activation("softmax", dtype="float32"))
    finally:
        keras.config.set_dtype_policy(before)
    maps = grad_cam(model, x, classes=1)
    assert maps.dtype == "float32"
    np.testing.assert_allclose(
        maps, grad_cam(pooled_net(), x, classes=1), atol=0.05
    )


@pytest.mark.parametrize("scale", [1e-3, 500])
def test_slopes_too_small_or_large_for_float16_are_seen(scale):
    def build(dtype):
        inputs = keras.Input((128, 128, 3))
        y = layers.Conv2D(4, 3, padding="same", dtype=dtype)(inputs)
        y = layers.GlobalAveragePooling2D(dtype=dtype)(y)
        return keras.Model(inputs, layers.Dense(2, dtype=dtype)(y))

    x = np.random.default_rng(0).uniform(0, 1, (2, 128, 128, 3))
    half, single = build("mixed_float16"), build("float32")
    random = np.random.default_rng(1)
    for weight in single.weights:
        weight.assign(random.uniform(-1e-3, 1e-3, weight.shape))
    single.layers[-1].kernel.assign(random.uniform(-scale, scale, (4, 2)))
    half.set_weights(single.get_weights())
    expected = grad_cam(single, x, classes=0)
    assert expected.any()
    found = grad_cam(half, x, classes=0)
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_a_cast_hides_no_logits(x):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        cast = layers.Activation("linear", dtype="float32")
        model = pooled_net(cast, activation="softmax")
    finally:
        keras.config.set_dtype_policy(before)
    dense = model.get_layer("dense")
    dense.kernel.assign(dense.kernel * 1000)
    # The probabilities are 0 and 1, and have no slope.
    assert np.all(grad_cam(model, x).max(axis=(1, 2)) == 1)


def test_what_goes_past_the_map_does_not_count(x):
    inputs = keras.Input((8, 8, 3))
    before = layers.Conv2D(4, 3, activation="relu", name="maps")(inputs)
    # In inference it hands on the very tensor that it is given.
    parts = before, layers.Dropout(0.5)(before)
    pooled = [layers.GlobalAveragePooling2D()(part) for part in parts]
    outputs = layers.Dense(3)(layers.Concatenate()(pooled))
    model = keras.Model(inputs, outputs)
    networks.randomize(model)
    kernel = model.layers[-1].kernel.numpy()[4:, 1]
    expected = scaled(feature_maps(model, x) @ kernel)
    maps = grad_cam(model, x, classes=1)
    np.testing.assert_allclose(maps, expected, **TOLERANCE)


# What it leaves behind.


@keras.saving.register_keras_serializable("tests")
class AlwaysDraws(layers.Layer):
    """A layer that draws in inference, too, and adds to the loss."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.generator = keras.random.SeedGenerator(0)

    def call(self, x):
        return x + keras.random.normal(ops.shape(x), seed=self.generator)


def noisy_net():
    inputs = keras.Input((8, 8, 3))
    y = layers.RandomFlip(seed=1)(inputs)
    y = AlwaysDraws()(networks.conv_base()(y))
    y = layers.Dropout(0.5, seed=2)(layers.GlobalAveragePooling2D()(y))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(y))
    networks.randomize(model)
    kt.set_trainable(model, "top:1", batch_norm="train")
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def test_a_model_is_left_as_it_was(x):
    model = noisy_net()
    model.fit(x, np.arange(6) % 3, verbose=0)
    model.predict(x, verbose=0)
    functions = (model.train_function, model.predict_function)
    variables = [*model.variables, *model.optimizer.variables]
    before, random = networks.values(variables), capture_random_state()
    nodes = [len(x._inbound_nodes) for x in model._flatten_layers()]
    grad_cam(model, x)
    assert not networks.moved(variables, before)
    assert capture_random_state() == random
    assert (model.train_function, model.predict_function) == functions
    assert [len(x._inbound_nodes) for x in model._flatten_layers()] == nodes


def test_training_goes_on_as_without_it(x):
    def train(*callbacks):
        keras.utils.set_random_seed(3)
        model = noisy_net()
        y = np.arange(6) % 3
        history = model.fit(x, y, 2, 2, verbose=0, callbacks=callbacks)
        return history.history, networks.values(model.variables)

    class Explain(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            maps.append(grad_cam(self.model, x, "stem"))

    maps = []
    (history, values), (plain, expected) = train(Explain()), train()
    assert len(maps) == 6 and all(found.any() for found in maps)
    assert history == plain
    for value, other in zip(values, expected, strict=True):
        np.testing.assert_array_equal(value, other)


def test_a_frozen_model_has_the_same_maps(x):
    model = networks.build("cnn")
    expected = grad_cam(model, x)
    model.trainable = False
    np.testing.assert_array_equal(grad_cam(model, x), expected)


# What it refuses.


def test_an_unknown_group_is_answered_with_those_there_are(x):
    with pytest.raises(ValueError, match="stem, block_1.*group='block_7'"):
        grad_cam(networks.cnn(), x, "block_7")
    with pytest.raises(ValueError, match="Received: group='head'"):
        grad_cam(networks.cnn(), x, "head")


@pytest.mark.parametrize(
    "shape", [(8, 8, 3), (2, 8, 8, 1), (2, 9, 8, 3), (0, 8, 8, 3)]
)
def test_images_must_be_such_as_the_model_takes(shape):
    with pytest.raises(ValueError, match=r"'batch', 8, 8, 3\).*Received: im"):
        grad_cam(networks.cnn(), np.zeros(shape))


@pytest.mark.parametrize("classes", [3, -1, 0.0, True, [0, 1], "cat"])
def test_classes_must_be_those_of_the_model(x, classes):
    with pytest.raises(ValueError, match="0 to 2, .* Received: classes="):
        grad_cam(networks.cnn(), x, classes=classes)


# What a trained network looks at.


def test_hiding_what_it_shows_hides_the_class():
    """Delete the hotter half of a photo, and the colder half (Petsiuk 2018)."""
    photos = [load_sample_image(n) for n in ("china.jpg", "flower.jpg")]
    images = np.stack(
        [
            Image.fromarray(photo[:, 107:-107]).resize((224, 224))
            for photo in map(np.ascontiguousarray, photos)
        ]
    )
    model = kt.EfficientNetLite0()
    pixels = preprocess_input(images.astype("float32"))
    before = model.predict(pixels, verbose=0)
    classes = before.argmax(axis=1)
    maps = grad_cam(model, pixels)
    expected = class_activation_maps(model, pixels, classes, "top_activation")
    np.testing.assert_allclose(maps, expected, **TOLERANCE)
    maps = ops.image.resize(maps[..., None], (224, 224))
    maps = ops.convert_to_numpy(maps)
    middle = np.median(maps, axis=(1, 2, 3), keepdims=True)

    def chances(kept):
        outputs = model.predict(np.where(kept, pixels, 0), verbose=0)
        return outputs[range(2), classes] / before[range(2), classes]

    without_hot, without_cold = chances(maps < middle), chances(maps >= middle)
    assert np.all(without_hot < 0.2) and np.all(without_cold > 0.4)
    # The flower is in the middle of its photo, the palace left of it.
    rows, columns = np.indices((224, 224)) / 224
    y, x = (
        (maps[..., 0] * place).sum((1, 2)) / maps.sum((1, 2, 3))
        for place in (rows, columns)
    )
    assert x[0] < 0.4 and np.hypot(y[1] - 0.5, x[1] - 0.5) < 0.1
