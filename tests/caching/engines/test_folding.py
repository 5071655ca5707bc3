from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_transfer.caching.engines.flat_function import find_ends, trace_flat
from keras_transfer.caching.engines.folding import fold_scales
from keras_transfer.caching.engines.tensorflow_engine import freeze, load
from tests.caching.engines.functions import draw, function_of
from tests.networks import randomize


def fold(function, batch):
    """Return the operations of a folded graph, and how it differs."""
    expected = function(batch)
    graph_def = freeze(trace_flat(function, batch, list(expected)))
    folded = fold_scales(graph_def, find_ends(graph_def)[1])
    found = load(folded.SerializeToString())([batch])
    difference = max(
        float(tf.reduce_max(tf.abs(a - b)) / tf.reduce_max(tf.abs(b)))
        for a, b in zip(found, expected.values(), strict=True)
    )
    return Counter(node.op for node in folded.node), difference


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(5, 3, padding="same"),
        layers.Conv2D(6, 3, use_bias=False, strides=2),
        layers.DepthwiseConv2D(3, depth_multiplier=2),
        layers.Conv2D(1, 1),
    ],
    ids=["biased", "unbiased", "depthwise", "one_channel"],
)
def test_batch_norm_goes_into_a_convolution(layer):
    inputs = keras.Input((9, 9, 4))
    x = layers.BatchNormalization()(layer(inputs))
    x = layers.BatchNormalization()(x)
    model = keras.Model(inputs, layers.ReLU()(x))
    randomize(model)
    found, difference = fold(function_of(model), draw(3, 9, 9, 4))
    assert not {"Mul", "AddV2", "Sub", "Rsqrt"} & set(found)
    assert found["BiasAdd"] == 1
    assert difference < 1e-6


def test_batch_norm_goes_into_a_dense_layer():
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(5), layers.BatchNormalization()]
    )
    randomize(model)
    found, difference = fold(function_of(model), draw(3, 6))
    assert not {"Mul", "AddV2"} & set(found)
    assert difference < 1e-6


def fused(x, kernel, is_training=False, data=None):
    y = tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "SAME")
    gamma, beta, mean, variance = (draw(4, seed=n) for n in range(4))
    return tf.raw_ops.FusedBatchNormV3(
        x=y,
        scale=gamma,
        offset=beta,
        mean=mean,
        variance=variance**2 + 0.5,
        epsilon=1e-3,
        is_training=is_training,
    )


def test_the_batch_norm_of_a_saved_model_is_folded():
    kernel = tf.Variable(draw(3, 3, 4, 1))
    found, difference = fold(
        lambda x: {"y": fused(x, kernel).y}, draw(2, 5, 5, 4)
    )
    assert "FusedBatchNormV3" not in found
    assert difference < 1e-6


@pytest.mark.parametrize("is_training", [True, False])
def test_a_batch_norm_whose_statistics_are_read_stays(is_training):
    kernel = tf.Variable(draw(3, 3, 4, 1))

    def function(x):
        norm = fused(x, kernel, is_training)
        return {"y": norm.y, "mean": norm.batch_mean + tf.reduce_mean(x)}

    found, difference = fold(function, draw(2, 5, 5, 4))
    assert found["FusedBatchNormV3"] == 1
    assert difference < 1e-6


KERNEL = np.asarray(draw(3, 3, 4, 5, seed=1))


@pytest.mark.parametrize(
    "after",
    [
        lambda y: y * draw(5) + tf.reduce_mean(y),
        lambda y: y * y,
        lambda y: y * draw(7, 5),
        lambda y: y * draw(7, 1),
        lambda y: y + draw(1, 1, 1, 1, 5),
        lambda y: draw(5) - y,
        lambda y: tf.nn.relu(y) * draw(5),
        lambda y: y[..., :1] * draw(5),
    ],
)
def test_what_must_not_be_folded_is_not(after):
    def function(x):
        return {"y": after(tf.nn.conv2d(x, KERNEL, 1, "SAME"))}

    _, difference = fold(function, draw(2, 7, 7, 4))
    assert difference < 1e-6


def test_a_single_channel_that_is_spread_is_not_folded():
    def function(x):
        return {"y": tf.nn.conv2d(x, KERNEL[..., :1], 1, "SAME") * draw(5)}

    _, difference = fold(function, draw(2, 7, 7, 4))
    assert difference < 1e-6
