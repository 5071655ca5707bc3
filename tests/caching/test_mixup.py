import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.caching.mixup import mix_batch

X = np.arange(12, dtype="float32").reshape(6, 2)
Y = np.arange(6)


def mix(batch, alpha=0.5, draw=(3, 4)):
    batch = tuple(map(tf.constant, batch))
    return mix_batch(batch, alpha, tf.constant(draw, "int64"))


@pytest.mark.parametrize(
    "weight", [None, np.linspace(0, 2, 6, dtype="float32")]
)
def test_the_loss_is_that_of_the_mixes(weight):
    """With crossentropy of one-hot labels that are mixed as the features."""
    weights = () if weight is None else (weight,)
    features, labels, shares = mix((X, Y, *weights))
    one, other = np.split(labels.numpy(), 2)
    share, rest = np.split(shares.numpy() / 2, 2)
    assert sorted(other) == sorted(one) == Y.tolist()
    unweighted = share if weight is None else share / np.maximum(weight, 1e-9)
    given = weight is None or weight > 0
    mixed = unweighted[:, None] * X + (1 - unweighted[:, None]) * X[other]
    first, again = np.split(features.numpy(), 2)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(first[given], mixed[given], rtol=1e-5)

    logits = tf.constant(np.random.default_rng(0).normal(size=(6, 6)))
    hot = np.eye(6)
    scale = np.ones(6) if weight is None else weight
    target = share[:, None] * hot[one] + rest[:, None] * hot[other]
    expected = -np.mean(np.sum(target * tf.math.log_softmax(logits), axis=1))
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels, tf.concat([logits, logits], 0)
    )
    found = np.mean(shares.numpy() * losses.numpy())
    assert found == pytest.approx(expected, rel=1e-5)
    total = share + rest
    expected = scale if weight is None else None
    if expected is not None:
        np.testing.assert_allclose(total, expected, rtol=1e-6)


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
