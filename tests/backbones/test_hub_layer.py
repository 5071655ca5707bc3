"""HubLayer: what trains, what stays, what goes in and comes out."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.backbones.hub_layer import HubLayer
from tests.backbones import saved_models
from tests.backbones.saved_models import CLASSES, SIZE, images

WEIGHTS = {
    "net/stem/conv/kernel",
    "net/stem/bn/gamma",
    "net/block_1/dense/kernel",
    "net/block_2/dense/kernel",
}
STATISTICS = {"net/stem/bn/moving_mean", "net/stem/bn/moving_variance"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("saved_models")
    return {
        "net": saved_models.save_conv_net(root / "net"),
        "sure": saved_models.save_conv_net(root / "sure", dropout=0.0),
        "module": saved_models.save_module(root / "module", dropout=0.0),
        "plain": saved_models.save_without_training_argument(root / "plain"),
    }


def make_classifier(layer):
    model = keras.Sequential(
        [keras.Input((SIZE, SIZE, 3)), layer, keras.layers.Dense(3)]
    )
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


def fit(model, epochs=2):
    x = images(8).numpy()
    model.fit(x, np.ones((8, 3), "float32"), epochs=epochs, verbose=0)


def values(layer):
    return {name: weight.numpy() for name, weight in layer.named_variables}


def moved(layer, before):
    """Name the variables that have changed."""
    after = values(layer)
    return {n for n in before if not np.array_equal(before[n], after[n])}


# What trains.


@pytest.mark.parametrize("kind", ["sure", "module"])
def test_a_step_equals_one_taken_by_hand(folders, kind):
    layer = HubLayer(folders[kind], trainable=True)
    inputs = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(inputs, layer(inputs))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x, y = images(8), tf.ones([8, CLASSES])
    model.fit(x, y, batch_size=8, epochs=1, verbose=0)

    by_hand = tf.saved_model.load(folders[kind])
    net = by_hand.net if kind == "sure" else by_hand
    weights = [net.kernel, net.gamma, net.first, net.second]
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((by_hand(x, training=True) - y) ** 2)
        loss += tf.add_n([f() for f in by_hand.regularization_losses])
    for weight, gradient in zip(
        weights, tape.gradient(loss, weights), strict=True
    ):
        weight.assign_sub(0.1 * gradient)
    expected = {
        v.name.removesuffix(":0"): v.numpy()
        for v in (*weights, net.mean, net.variance)
    }
    actual = values(layer)
    assert actual.keys() == expected.keys() == WEIGHTS | STATISTICS
    for name in expected:
        np.testing.assert_allclose(actual[name], expected[name], atol=1e-6)


def test_keras_2_model_trains_as_in_keras_2(tmp_path):
    tf_keras = pytest.importorskip("tf_keras")
    folder = saved_models.save_tf_keras_model(tmp_path / "keras_2")
    layer = HubLayer(folder, trainable=True)
    # Neither the optimizer's nor the metrics' variables.
    assert len(layer.weights) == 8
    inputs = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(inputs, layer(inputs))
    original = tf_keras.models.load_model(folder)
    x, y = images(8), tf.ones([8, CLASSES])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    original.compile(tf_keras.optimizers.SGD(0.1), "mse")
    original.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    expected = {v.name[:-2]: v.numpy() for v in original.weights}
    actual = values(layer)
    assert actual.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(actual[name], expected[name], atol=1e-6)


def test_frozen_layer_stays_as_it_is(folders):
    layer = HubLayer(folders["net"])
    model = make_classifier(layer)
    before = values(layer)
    fit(model)
    assert not moved(layer, before)
    expected = tf.saved_model.load(folders["net"])(images(), training=False)
    for training in (True, False):
        actual = layer(images(), training=training)
        np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_trainable_layer_trains_weights_and_statistics(folders):
    layer = HubLayer(folders["net"], trainable=True)
    model = make_classifier(layer)
    before = values(layer)
    fit(model)
    assert moved(layer, before) == WEIGHTS | STATISTICS


def test_frozen_batch_norm_means_inference_while_training(folders):
    layer = HubLayer(folders["net"], trainable=True, batch_norm="frozen")
    model = make_classifier(layer)
    before = values(layer)
    np.testing.assert_array_equal(
        layer(images(), training=True), layer(images(), training=False)
    )
    fit(model)
    assert moved(layer, before) == WEIGHTS


def test_regular_expression_chooses_variables(folders):
    layer = HubLayer(folders["net"], trainable=r"block_\d/|gamma")
    model = make_classifier(layer)
    before = values(layer)
    fit(model)
    assert moved(layer, before) - STATISTICS == {
        "net/stem/bn/gamma",
        "net/block_1/dense/kernel",
        "net/block_2/dense/kernel",
    }


@pytest.mark.parametrize("pattern", ["block_9", "moving_mean"])
def test_expression_without_a_match_lists_names(folders, pattern):
    with pytest.raises(ValueError, match="net/block_1/dense/kernel") as error:
        HubLayer(folders["net"], trainable=pattern)
    assert str(error.value).endswith(f"Received: trainable={pattern!r}")


def test_bad_arguments_are_refused(folders):
    with pytest.raises(ValueError, match="unterminated.*Received: trainable"):
        HubLayer(folders["net"], trainable="[")
    with pytest.raises(ValueError, match="Received: trainable=3"):
        HubLayer(folders["net"], trainable=3)
    with pytest.raises(ValueError, match="Received: batch_norm='thaw'"):
        HubLayer(folders["net"], batch_norm="thaw")
    with pytest.raises(ValueError, match="Received: handle=3"):
        HubLayer(3)


def test_callable_without_training_argument(folders):
    layer = HubLayer(folders["plain"], trainable="top")
    # Both are called "Variable" in the SavedModel.
    assert [n for n, _ in layer.named_variables] == ["bottom/w", "top/w"]
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layer(inputs))
    model.compile("sgd", "mse")
    before = values(layer)
    x = tf.random.stateless_normal([8, 4], [1, 2])
    model.fit(x, x, verbose=0)
    assert moved(layer, before) == {"top/w"}


def test_trainable_is_settable_and_restored(folders):
    everything = HubLayer(folders["net"])
    chosen = HubLayer(folders["net"], trainable="gamma")
    model = keras.Sequential([keras.Input((SIZE, SIZE, 3)), chosen])
    assert not everything.trainable_variables
    for layer, container, n in (
        (everything, everything, 4),
        (chosen, model, 1),
    ):
        container.trainable = False
        assert not layer.trainable_variables
        assert len(layer.non_trainable_variables) == 6
        container.trainable = True
        assert len(layer.trainable_variables) == n
        assert len(layer.non_trainable_variables) == 6 - n


def test_train_variables_trains_exactly_those(folders):
    layer = HubLayer(folders["net"], trainable="gamma")
    chosen = [w for n, w in layer.named_variables if "block_2" in n]
    statistics = [w for n, w in layer.named_variables if "moving" in n]
    layer.train_variables(chosen + statistics)
    model = make_classifier(layer)
    before = values(layer)
    fit(model)
    assert moved(layer, before) == {"net/block_2/dense/kernel"}

    layer.train_variables(chosen, batch_norm="statistics")
    model = make_classifier(layer)
    fit(model)
    assert moved(layer, before) == {"net/block_2/dense/kernel"} | STATISTICS

    layer.train_variables([])
    assert not layer.trainable
    layer.trainable = True
    assert [w.name for w in layer.trainable_variables] == ["net_stem_bn_gamma"]


def test_train_variables_refuses_foreign_ones(folders):
    layer, other = HubLayer(folders["net"]), HubLayer(folders["net"])
    with pytest.raises(ValueError, match="weights of layer"):
        layer.train_variables(other.weights[:1])
    assert layer.batch_norm == "train"


def test_regularization_counts_only_while_it_trains(folders):
    layer = HubLayer(folders["net"])
    first = dict(layer.named_variables)["net/block_1/dense/kernel"]
    layer(images())
    assert layer.losses == []
    layer.trainable = True
    layer(images())
    [loss] = layer.losses
    np.testing.assert_allclose(loss, 0.1 * np.sum(first.numpy() ** 2), 1e-6)

    model = keras.Sequential([layer])
    model.compile("sgd", "mse")
    outputs = model.predict(images(), verbose=0)
    expected = np.mean(outputs**2) + float(loss)
    actual = model.evaluate(images(), tf.zeros_like(outputs), verbose=0)
    np.testing.assert_allclose(actual, expected, 1e-5)


def test_weights_have_unique_names_without_slashes(folders):
    for folder in ("net", "plain"):
        layer = HubLayer(folders[folder], trainable=True)
        names = [weight.name for weight in layer.weights]
        assert len(set(names)) == len(names)
        assert not any("/" in n or n.startswith("_") for n in names)


def test_mixed_precision_leaves_the_inside_alone(folders):
    expected = HubLayer(folders["net"])(images())
    keras.config.set_dtype_policy("mixed_float16")
    try:
        layer = HubLayer(folders["net"], trainable=True)
        model = make_classifier(layer)
    finally:
        keras.config.set_dtype_policy("float32")
    outputs = layer(images())
    assert outputs.dtype == "float32"
    np.testing.assert_array_equal(outputs, expected)
    before = values(layer)
    fit(model)
    assert moved(layer, before) == WEIGHTS | STATISTICS
    assert model.layers[-1].compute_dtype == "float16"
