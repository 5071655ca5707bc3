"""Functions as the engines run them, and how to see that they are right."""

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.caching.engines.opening import ENGINES


def function_of(model):
    """Return a function from inputs to named outputs of a model."""

    def compute(inputs):
        outputs = keras.tree.flatten(model(inputs, training=False))
        return {f"cut_{n}": tensor for n, tensor in enumerate(outputs)}

    return compute


def draw(*shape, seed=0):
    return tf.random.stateless_normal(shape, (seed, 0))


def first(batch, size):
    return keras.tree.map_structure(lambda x: x[:size], batch)


def assert_same(run, function, batch, tolerance=1e-5):
    """Compare two functions; their names, dtypes and shapes as well."""
    found, expected = run(batch), function(batch)
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert isinstance(found[name], tf.Tensor)
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        if not tensor.dtype.is_floating:
            np.testing.assert_array_equal(found[name], tensor)
            continue
        scale = float(tf.reduce_max(tf.abs(tensor)))
        difference = float(tf.reduce_max(tf.abs(found[name] - tensor)))
        assert difference <= tolerance * scale


def count_conversions(monkeypatch, engine):
    """Return a list that grows with each conversion to an engine."""
    module, made = ENGINES[engine], []
    convert = module.convert

    def count(function):
        made.append(function)
        return convert(function)

    monkeypatch.setattr(module, "convert", count)
    return made
