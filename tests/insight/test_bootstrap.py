"""Intervals of a mean, against closed forms."""

import numpy as np
import pytest

from keras_transfer.board.wilson_interval import wilson_interval
from keras_transfer.insight.bootstrap import bootstrap_interval


def test_of_an_accuracy_it_is_that_of_the_normal_distribution():
    right = np.arange(1000) % 10 < 7
    half = 1.96 * np.sqrt(0.7 * 0.3 / 1000)
    assert bootstrap_interval(right) == pytest.approx(
        (0.7 - half, 0.7 + half), abs=0.003
    )


def test_of_paired_differences():
    random = np.random.default_rng(0)
    values = random.choice([-1.0, 0.0, 1.0], p=[0.1, 0.6, 0.3], size=2000)
    half = 1.96 * values.std() / np.sqrt(2000)
    mean = values.mean()
    assert bootstrap_interval(values) == pytest.approx(
        (mean - half, mean + half), abs=0.003
    )


def test_it_holds_the_true_mean_as_often_as_it_says():
    random = np.random.default_rng(1)
    found = 0
    for seed in range(400):
        low, high = bootstrap_interval(random.random(100) < 0.4, seed=seed)
        found += low <= 0.4 <= high
    assert 0.91 < found / 400 < 0.98


@pytest.mark.parametrize("answer", [True, False])
def test_equal_answers_leave_doubt(answer):
    found = bootstrap_interval(np.full(20, answer))
    assert found == wilson_interval(float(answer), 20)


def test_no_difference_leaves_doubt_on_both_sides():
    low, high = bootstrap_interval(np.zeros(40))
    assert low == -high
    # About three of how many there are: the rule of three.
    assert 0.05 < high < 0.11
