import numpy as np
import pytest
from scipy.optimize import minimize

from keras_transfer.insight.scorers.log_me import log_me


def make_data(examples, features, classes=3, seed=0, noise=1.0):
    rng = np.random.default_rng(seed)
    y = np.arange(examples) % classes
    centers = rng.normal(size=(classes, features))
    return centers[y] + noise * rng.normal(size=(examples, features)), y


def log_evidence(x, target, alpha, beta):
    """The density of the target when weights and noise are normal."""
    covariance = np.eye(len(x)) / beta + x @ x.T / alpha
    sign, log_determinant = np.linalg.slogdet(covariance)
    square = target @ np.linalg.solve(covariance, target)
    return -(log_determinant + square + len(x) * np.log(2 * np.pi)) / 2


def maximize_evidence(x, target):
    found = [
        minimize(
            lambda logs: -log_evidence(x, target, *np.exp(logs)),
            start,
            method="Nelder-Mead",
            options={"xatol": 1e-6, "fatol": 1e-9, "maxiter": 2000},
        ).fun
        for start in ([0, 0], [3, 3], [6, 1])
    ]
    return -min(found)


@pytest.mark.parametrize("examples, features", [(40, 6), (30, 45), (20, 20)])
@pytest.mark.parametrize("seed", range(2))
def test_is_the_evidence_at_its_maximum(examples, features, seed):
    x, y = make_data(examples, features, noise=2.0, seed=seed)
    x = x * np.random.default_rng(seed).uniform(0.2, 3, features)
    expected = np.mean([maximize_evidence(x, y == n) for n in range(3)])
    assert log_me(x, y) == pytest.approx(expected / examples, abs=1e-5)


def test_features_that_tell_nothing():
    x, y = make_data(60, 5)
    x = np.random.default_rng(1).normal(size=x.shape)
    expected = np.mean([maximize_evidence(x, y == n) for n in range(3)])
    assert log_me(x, y) == pytest.approx(expected / 60, abs=1e-5)


def test_the_better_the_features_the_higher():
    scores = [log_me(*make_data(90, 8, noise=n)) for n in (0.1, 0.5, 1, 3, 30)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] - scores[-1] > 0.5


def test_noise_does_not_help():
    x, y = make_data(50, 5, noise=0.7)
    noise = np.random.default_rng(2).normal(size=(50, 400))
    assert log_me(np.hstack([x, noise]), y) < log_me(x, y)


@pytest.mark.parametrize("examples, features", [(40, 6), (20, 30)])
def test_classes_in_another_order_features_turned_scaled_or_twice(
    examples, features
):
    x, y = make_data(examples, features, noise=2.0)
    score = log_me(x, y)
    rng = np.random.default_rng(3)
    turn, _ = np.linalg.qr(rng.normal(size=(features, features)))
    order = rng.permutation(examples)
    for other in (
        log_me(x, np.array([2, 0, 1])[y]),
        log_me(x, 5 * y),  # classes without examples
        log_me(x[order], y[order]),
        log_me(x @ turn, y),
        log_me(1e4 * x, y),
        log_me(np.hstack([x, x]), y),
        log_me(np.hstack([x, np.zeros_like(x)]), y),
    ):
        assert other == pytest.approx(score, abs=1e-6)


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((6, 3)),
        np.ones((6, 3)),
        np.eye(3)[[0, 1, 2, 0, 1, 2]],
        1e-30 * np.eye(6),
        1e30 * np.eye(6),
        np.zeros((6, 0)),
    ],
)
def test_is_finite_where_features_say_nothing_or_all(x):
    assert np.isfinite(log_me(x, [0, 1, 2, 0, 1, 2]))
    assert np.isfinite(log_me(x, [0] * 6))


def test_refuses_features_that_are_no_numbers():
    with pytest.raises(ValueError, match="must be finite"):
        log_me([[np.nan], [0]], [0, 1])
