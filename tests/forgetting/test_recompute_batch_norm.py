import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_transfer.data.array_batches import batch_arrays
from keras_transfer.forgetting.recompute_batch_norm import (
    recompute_batch_norm,
)
from tests.networks import build, values


def dense_net():
    """Build two layers of BatchNorm, with dropout between them."""
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.BatchNormalization(),
            layers.Dense(4, activation="relu"),
            layers.Dropout(0.5),
            layers.BatchNormalization(),
            layers.Dense(2),
        ]
    )
    random = np.random.default_rng(1)
    model.set_weights([random.uniform(0.5, 2, w.shape) for w in model.weights])
    return model


def examples(count=90, size=3):
    random = np.random.default_rng(0)
    # Sorted by class, and far from zero.
    y = np.arange(count) * 3 // count
    x = random.normal(100 + 5 * y[:, None], 1 + y[:, None], (count, size))
    return x.astype("float32"), y


def expected_statistics(model, x):
    """Compute them in NumPy, layer after layer, in float64."""
    first, dense, _, second, _ = model.layers
    x = x.astype("float64")
    found = [x.mean(0), x.var(0)]
    x = (x - found[0]) / np.sqrt(found[1] + first.epsilon)
    x = x * first.gamma.numpy() + first.beta.numpy()
    x = np.maximum(x @ dense.kernel.numpy() + dense.bias.numpy(), 0)
    return [*found, x.mean(0), x.var(0)]


def statistics(model):
    return values(
        w for w in model.weights if w.name in ("moving_mean", "moving_variance")
    )


@pytest.mark.parametrize(
    ("kind", "batch_size"),
    [("dataset", 7), ("dataset", 90), ("ours", 32), ("arrays", None)],
)
def test_they_are_those_of_all_data_layer_after_layer(kind, batch_size):
    model, data = dense_net(), examples()
    expected = expected_statistics(model, data[0])
    weights = values(model.trainable_weights)
    given = data
    if kind == "ours":
        given = batch_arrays(data, batch_size, shuffle=True, seed=0)
    elif kind == "dataset":
        given = tf.data.Dataset.from_tensor_slices(data).batch(batch_size)
    recompute_batch_norm(model, given)
    for one, two in zip(statistics(model), expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=2e-4)
    for one, two in zip(model.trainable_weights, weights, strict=True):
        assert np.array_equal(one.numpy(), two)


def test_a_single_batch_is_a_step_in_training_mode():
    model = build("cnn")
    for layer in model._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
        if "Dropout" in type(layer).__name__:
            layer.rate = 0.0
    x = np.random.default_rng(0).normal(size=(20, 8, 8, 3)).astype("float32")
    start = model.get_weights()
    model(x, training=True)
    expected = statistics(model)
    model.set_weights(start)
    recompute_batch_norm(model, (x, np.zeros(20)))
    for one, two in zip(statistics(model), expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
    # Nothing is left behind: training goes on as ever.
    assert not any("call" in vars(x) for x in model._flatten_layers())


def test_deep_networks_settle_whatever_the_batches_are():
    x = np.random.default_rng(0).normal(size=(48, 8, 8, 3)).astype("float32")
    model, found = build("nested"), []
    for batch_size in (48, 9):
        batches = tf.data.Dataset.from_tensor_slices((x, np.zeros(48)))
        recompute_batch_norm(model, batches.batch(batch_size))
        found.append(statistics(model))
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-4)


def test_masked_steps_do_not_count():
    inputs = keras.Input((4, 2))
    x = layers.Masking()(inputs)
    model = keras.Model(inputs, layers.BatchNormalization()(x))
    x = np.random.default_rng(0).normal(2, 1, (10, 4, 2)).astype("float32")
    is_masked = np.random.default_rng(1).random((10, 4)) < 0.4
    x[is_masked] = 0
    recompute_batch_norm(model, (x, np.zeros(10)))
    mean, variance = statistics(model)
    np.testing.assert_allclose(mean, x[~is_masked].mean(0), rtol=1e-4)
    np.testing.assert_allclose(variance, x[~is_masked].var(0), rtol=1e-4)


def test_frozen_layers_stay_unless_they_are_named():
    model, (x, y) = dense_net(), examples()
    first, second = model.layers[0], model.layers[3]
    first.trainable = False
    before = values(first.weights)
    recompute_batch_norm(model, (x, y))
    for one, two in zip(values(first.weights), before, strict=True):
        assert np.array_equal(one, two)
    recompute_batch_norm(model, (x, y), layers=[first])
    np.testing.assert_allclose(first.moving_mean, x.mean(0), rtol=1e-4)
    second.trainable = False
    with pytest.raises(ValueError, match="no BatchNorm layer that trains"):
        recompute_batch_norm(model, (x, y))


def test_it_counts_as_no_epoch():
    data = examples()
    used, fresh = (
        batch_arrays(data, 10, shuffle=True, seed=3) for _ in range(2)
    )
    recompute_batch_norm(dense_net(), used)
    for one, two in zip(used, fresh, strict=True):
        assert np.array_equal(one[0], two[0])


def test_bad_arguments():
    model, data = dense_net(), examples()
    with pytest.raises(ValueError, match="Received: passes=0"):
        recompute_batch_norm(model, data, passes=0)
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(8)
    with pytest.raises(ValueError, match="never ends"):
        recompute_batch_norm(model, dataset.repeat())
    with pytest.raises(ValueError, match="no examples"):
        recompute_batch_norm(model, dataset.take(0))
    with pytest.raises(ValueError, match="Received: data=list"):
        recompute_batch_norm(model, list(data))
