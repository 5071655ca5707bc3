"""One vector for each example."""

import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.caching.pooled_features import (
    describe_examples,
    pooled_features,
)
from tests.networks import tiny_backbone


def pictures(count=40):
    random = np.random.default_rng(0)
    x = random.uniform(0, 255, (count, 8, 8, 3)).astype("float32")
    return x, np.arange(count) % 3


def dataset(batch_size):
    return tf.data.Dataset.from_tensor_slices(pictures()).batch(batch_size)


# In few batches a network is called as it is, in many it is traced.
@pytest.mark.parametrize("batch_size", [32, 4])
def test_it_is_the_mean_of_the_feature_map(batch_size):
    backbone, (x, y) = tiny_backbone(), pictures()
    features, labels = pooled_features(backbone, dataset(batch_size))
    maps = backbone.model.predict(backbone.preprocess(x), verbose=0)
    np.testing.assert_allclose(features, maps.mean(axis=(1, 2)), atol=1e-5)
    assert features.dtype == "float32"
    assert np.array_equal(labels, y)


def test_a_folder_keeps_them(tmp_path):
    backbone = tiny_backbone()
    first = pooled_features(backbone, dataset(16), cache=tmp_path / "cache")
    assert any((tmp_path / "cache").rglob("*"))
    again = pooled_features(backbone, dataset(16), cache=tmp_path / "cache")
    plain = pooled_features(backbone, dataset(16))
    for one, two, three in zip(first, again, plain, strict=True):
        assert np.array_equal(one, two)
        np.testing.assert_allclose(one, three, atol=1e-5)


def test_several_ways_in_one_pass():
    x, y = pictures()
    passes = []

    def batches():
        passes.append(1)
        yield x[:16], y[:16]
        yield x[16:], y[16:]

    ways = {
        "mean": lambda x: tf.reduce_mean(x, (1, 2)),
        "one": lambda x: x[:, 0, 0],
    }
    described, labels = describe_examples(ways, batches())
    assert len(passes) == 1
    np.testing.assert_allclose(described["mean"], x.mean((1, 2)), rtol=1e-5)
    assert np.array_equal(described["one"], x[:, 0, 0])
    assert np.array_equal(labels, y)


def test_no_examples():
    with pytest.raises(ValueError, match="no examples"):
        pooled_features(tiny_backbone(), dataset(4).take(0))
