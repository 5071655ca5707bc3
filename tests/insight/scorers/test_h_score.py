import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from keras_transfer.insight.scorers.h_score import h_score


def make_data(examples, features, classes=4, seed=0, noise=1.0):
    rng = np.random.default_rng(seed)
    y = np.sort(rng.integers(0, classes, examples))
    centers = rng.normal(size=(classes, features))
    return centers[y] + noise * rng.normal(size=(examples, features)), y


def follow_the_definition(x, y):
    estimate = LedoitWolf().fit(x)
    means = np.stack([x[y == label].mean(axis=0) for label in y])
    between = np.cov(means, rowvar=False, bias=True)
    inverse = np.linalg.pinv(estimate.covariance_)
    return (1 - estimate.shrinkage_) * np.trace(inverse @ between)


@pytest.mark.parametrize(
    "examples, features", [(60, 5), (25, 70), (30, 30), (500, 9)]
)
def test_follows_the_definition(examples, features):
    x, y = make_data(examples, features)
    x = x * np.random.default_rng(1).uniform(0.1, 5, features) + 7
    expected = follow_the_definition(x, y)
    assert h_score(x, y) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_one_feature_is_not_shrunk(seed):
    x, y = make_data(50, 1, seed=seed)
    within = sum(((x[y == n] - x[y == n].mean()) ** 2).sum() for n in range(4))
    expected = 1 - within / ((x - x.mean()) ** 2).sum()
    assert h_score(x, y) == pytest.approx(expected)


def test_of_classes_far_apart_is_their_number_less_one():
    x, y = make_data(400, 20, noise=1e-3)
    assert 2.5 < h_score(x, y) <= 3


def test_the_better_the_features_the_higher():
    scores = [h_score(*make_data(90, 30, noise=n)) for n in (0.1, 0.5, 1, 3, 9)]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("examples, features", [(40, 6), (20, 30)])
def test_classes_in_another_order_features_turned_scaled_or_moved(
    examples, features
):
    x, y = make_data(examples, features)
    score = h_score(x, y)
    rng = np.random.default_rng(3)
    turn, _ = np.linalg.qr(rng.normal(size=(features, features)))
    order = rng.permutation(examples)
    for other in (
        h_score(x, np.array([2, 0, 3, 1])[y]),
        h_score(x, 5 * y),
        h_score(x[order], y[order]),
        h_score(x @ turn, y),
        h_score(1e4 * x - 50, y),
    ):
        assert other == pytest.approx(score, rel=1e-6)


def test_features_twice_are_finite_and_much_the_same():
    x, y = make_data(200, 4)
    twice = h_score(np.hstack([x, x]), y)
    assert twice == pytest.approx(follow_the_definition(np.hstack([x, x]), y))
    assert twice == pytest.approx(h_score(x, y), rel=0.1)


def test_constant_features_and_a_single_class_say_nothing():
    x, y = make_data(20, 4)
    assert h_score(np.ones((20, 4)), y) == 0
    assert h_score(np.ones((20, 0)), y) == 0
    assert h_score(x, np.zeros(20, int)) == pytest.approx(0, abs=1e-12)


def test_refuses_features_that_are_no_numbers():
    with pytest.raises(ValueError, match="must be finite"):
        h_score([[np.nan], [0]], [0, 1])


def test_features_twice_where_nothing_asks_for_shrinkage():
    y = np.arange(10) % 2
    x = np.stack([2 * y - 1, 2 * y - 1], axis=1)
    assert LedoitWolf().fit(x).shrinkage_ == 0
    assert h_score(x, y) == pytest.approx(1)
