import numpy as np
import pytest

from keras_transfer.insight.expected_gain import (
    Gains,
    combine_gains,
    expect_gains,
    measure_gains,
)


def one(mean, error):
    return Gains(np.array([mean]), np.array([[error**2]]))


def test_two_estimates_of_one_gain_are_weighed_by_their_variances():
    both = combine_gains(one(0.0, 1.0), one(3.0, 0.5))
    # Closed form: weights of 1 and 4.
    assert both.mean == pytest.approx([2.4])
    assert both.error == pytest.approx([(1 / (1 + 4)) ** 0.5])


def test_combining_is_the_posterior_that_sampling_finds():
    """Of many draws of the truth, those that agree with what was measured."""
    random = np.random.default_rng(0)
    prior = Gains(np.array([0.1, 0.3]), np.array([[0.04, 0.03], [0.03, 0.09]]))
    noise = np.array([[0.02, 0.01], [0.01, 0.05]])
    truth = random.multivariate_normal(*prior, size=400_000)
    seen = truth + random.multivariate_normal([0, 0], noise, size=len(truth))
    measured = np.array([0.3, 0.2])
    close = truth[np.abs(seen - measured).max(axis=1) < 0.05]
    found = combine_gains(prior, Gains(measured, noise))
    np.testing.assert_allclose(found.mean, close.mean(axis=0), atol=0.01)
    np.testing.assert_allclose(found.covariance, np.cov(close.T), atol=0.003)


def test_measured_errors_are_those_of_paired_answers():
    random = np.random.default_rng(0)
    head = random.uniform(size=400) < 0.5
    right = np.stack([head, random.uniform(size=400) < 0.6])
    found = measure_gains(1.0 * right, 1.0 * head)
    resampled = []
    for _ in range(4000):
        rows = random.integers(0, 400, 400)
        resampled.append((right[:, rows].mean(1) - head[rows].mean()) / 0.7)
    np.testing.assert_allclose(
        found.mean, np.mean(resampled, axis=0), atol=0.005
    )
    assert found.error[1] == pytest.approx(
        np.std(resampled, axis=0)[1], rel=0.1
    )
    # Equal answers do not make a gain of 0 certain.
    assert found.mean[0] == 0 and 0 < found.error[0] < 0.01


def test_experience_follows_the_rules_of_thumb():
    def gain(depth=1.0, errors=0.4, per_class=20, distance=0.75):
        return expect_gains([depth], errors, per_class, distance).mean[0]

    assert gain(0.25) == pytest.approx(gain() / 2)
    assert gain(per_class=5) < gain(per_class=20) < gain(per_class=1000)
    assert gain(distance=0.5) < 0 < gain(distance=0.8) < gain(distance=0.95)
    assert gain(errors=0.0) < gain(errors=0.1) < gain(errors=0.4)
    assert gain(distance=None) == pytest.approx(gain(distance=0.72))


def test_what_helps_at_one_depth_is_expected_of_the_others():
    prior = expect_gains([0.25, 0.5, 1.0], 0.4, 20, None)
    measured = Gains(prior.mean + [0, 0, 0.2], np.diag([1.0, 1.0, 1e-4]))
    found = combine_gains(prior, measured)
    assert (found.mean > prior.mean + 0.02).all()
    assert (found.error < prior.error).all()
