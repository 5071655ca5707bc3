"""Classifiers that train in a moment."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from keras_transfer.insight.shallow_answers import (
    answer_most_frequent,
    answer_nearest,
    answer_regression,
    make_folds,
)


def clouds(count=90, seed=0):
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    centers = np.random.default_rng(9).normal(0, 2, (3, 8))
    return centers[labels] + random.normal(0, 2, (count, 8)), labels


def test_folds_hold_every_example_once_and_each_class_evenly():
    labels = np.repeat([0, 1, 2], [50, 10, 3])
    folds = make_folds(labels)
    assert sorted(np.concatenate([own for _, own in folds])) == list(range(63))
    for others, own in folds:
        assert sorted([*others, *own]) == list(range(63))
        counts = np.bincount(labels[own], minlength=3)
        assert counts[0] == 10 and counts[1] == 2 and counts[2] <= 1


def test_folds_of_two_examples():
    assert len(make_folds(np.array([0, 1]))) == 2


def test_most_frequent():
    found = answer_most_frequent(np.zeros((4, 2)), np.array([2, 0, 2]))
    assert found.tolist() == [2, 2, 2, 2]


def test_nearest_is_by_angle_and_weighs_neighbours():
    train = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [0.2, 1]])
    labels = np.array([3, 3, 5, 5, 5])
    # All five are asked. Two are nearly in its direction.
    found = answer_nearest(train, labels, np.array([[40, 1], [1, 90]]))
    assert found.tolist() == [3, 5]


def test_regression_is_that_of_scikit_learn():
    (train, labels), (x, _) = clouds(), clouds(seed=1)
    scaler = StandardScaler().fit(train)
    oracle = LogisticRegression(C=0.1, max_iter=2000).fit(
        scaler.transform(train), labels
    )
    assert np.array_equal(
        answer_regression(train, labels, x),
        oracle.predict(scaler.transform(x)),
    )


def test_regression_of_many_draws_some(monkeypatch):
    from keras_transfer.insight import shallow_answers

    monkeypatch.setattr(shallow_answers, "_MOST_EXAMPLES", 15)
    (train, labels), (x, y) = clouds(900), clouds(seed=1)
    found = answer_regression(train, labels, x)
    assert (found == y).mean() > 0.5
    assert np.array_equal(found, answer_regression(train, labels, x))
    others = answer_regression(train, labels, x, seed=1)
    assert not np.array_equal(found, others)


@pytest.mark.parametrize("gap", [1, 2])
def test_regression_does_without_some_classes(gap):
    train, labels = clouds()
    assert set(answer_regression(train, gap * labels, train)) <= {
        0,
        gap,
        2 * gap,
    }
