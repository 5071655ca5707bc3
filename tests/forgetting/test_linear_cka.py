import numpy as np
import pytest

from keras_transfer.forgetting.linear_cka import chance_cka, linear_cka


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def by_features(x, y):
    """The other form of the same: by features, in double precision."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    norm = np.linalg.norm
    return norm(y.T @ x) ** 2 / (norm(x.T @ x) * norm(y.T @ y))


@pytest.mark.parametrize("features", [3, 50, 500])
def test_it_is_that_of_the_paper(features):
    x = normal(60, features) + 5
    y = 0.3 * x @ normal(features, 7, seed=1) + normal(60, 7, seed=2)
    assert linear_cka(x, y) == pytest.approx(by_features(x, y), rel=1e-10)
    assert linear_cka(x, y) == pytest.approx(linear_cka(y, x), rel=1e-10)


def test_rotating_moving_and_scaling_make_no_difference():
    x = normal(40, 6)
    rotation, _ = np.linalg.qr(normal(6, 6, seed=1))
    assert linear_cka(x, x) == pytest.approx(1)
    assert linear_cka(x, 7 * x @ rotation - 3) == pytest.approx(1)
    assert linear_cka(x, x * [1, 1, 1, 1, 1, 30]) < 0.9


def test_chance_is_what_unrelated_features_have():
    x, y = normal(200, 100), normal(200, 100, seed=1)
    assert chance_cka(x, y) == pytest.approx(linear_cka(x, y), abs=0.02)
    assert chance_cka(x, x) < 0.5 < linear_cka(x, x)
    # Fewer examples: chance is greater.
    assert chance_cka(x[:20], y[:20]) > 2 * chance_cka(x, y)


def test_what_does_not_vary_is_like_nothing():
    assert np.isnan(linear_cka(np.ones((5, 2)), normal(5, 2)))


@pytest.mark.parametrize(
    "shapes", [((5, 2), (4, 2)), ((5,), (5, 2)), ((1, 2), (1, 2))]
)
def test_arrays_must_belong_together(shapes):
    with pytest.raises(ValueError, match="as many examples.*Received: x of"):
        linear_cka(*(normal(*shape) for shape in shapes))
