import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.caching.mixup import mix_batch

X = np.arange(12, dtype="float32").reshape(6, 2)
Y = np.arange(6)


def mix(batch, alpha=0.5, draw=(3, 4)):
    batch = tuple(map(tf.constant, batch))
    return mix_batch(batch, alpha, tf.constant(draw, "int64"))


def test_the_loss_is_that_of_the_mixes():
    """With crossentropy of one-hot labels that are mixed as the features."""
    features, labels, shares = (part.numpy() for part in mix((X, Y)))
    one, other = np.split(labels, 2)
    share, rest = np.split(shares / 2, 2)
    assert sorted(other) == one.tolist() == Y.tolist()
    np.testing.assert_allclose(share + rest, 1, rtol=1e-6)
    mixed = share[:, None] * X + rest[:, None] * X[other]
    np.testing.assert_allclose(features, np.tile(mixed, (2, 1)), rtol=1e-5)

    logits = np.random.default_rng(0).normal(size=(6, 6))
    target = share[:, None] * np.eye(6) + rest[:, None] * np.eye(6)[other]
    expected = -np.mean(np.sum(target * tf.math.log_softmax(logits), axis=1))
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels, np.tile(logits, (2, 1))
    )
    assert np.mean(shares * losses) == pytest.approx(expected, rel=1e-5)


def test_either_example_keeps_its_own_weight():
    weight = np.linspace(0, 2, 6, dtype="float32")
    _, labels, plain = mix((X, Y))
    features, same, weighted = mix((X, Y, weight))
    np.testing.assert_array_equal(labels, same)
    np.testing.assert_array_equal(features, mix((X, Y))[0])
    np.testing.assert_allclose(weighted, plain * weight[labels.numpy()])


def test_labels_and_weights_of_several_outputs():
    weight = {"a": np.linspace(0, 2, 6), "b": np.ones(6)}
    _, labels, plain = mix((X, Y))
    batch = tf.constant(X), {"a": Y, "b": -Y}, weight
    draw = tf.constant((3, 4), "int64")
    _, several, weighted = mix_batch(batch, 0.5, draw)
    np.testing.assert_array_equal(several["a"], labels)
    np.testing.assert_array_equal(several["b"], -labels)
    np.testing.assert_allclose(
        weighted["a"], plain * weight["a"][labels.numpy()], rtol=1e-6
    )
    np.testing.assert_array_equal(weighted["b"], plain)


def test_the_draw_decides():
    first, again, other = (
        mix((X, Y), draw=draw)[0].numpy() for draw in ((1, 2), (1, 2), (1, 3))
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_shares_follow_alpha():
    x, y = np.zeros((4000, 1), "float32"), np.zeros(4000)
    for alpha in (0.2, 1.0):
        share = mix((x, y), alpha)[2].numpy()[:4000] / 2
        assert share.mean() == pytest.approx(0.5, abs=0.02)
        # Of a Beta distribution.
        variance = 1 / (4 * (2 * alpha + 1))
        assert share.var() == pytest.approx(variance, rel=0.05)


def test_whole_numbers_stay():
    features, _, _ = mix((Y, Y))
    assert features.numpy().tolist() == [*Y, *Y]
