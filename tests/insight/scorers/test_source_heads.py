"""LEEP and NCE, against loops over examples and classes."""

import math

import numpy as np
import pytest

from keras_transfer.insight.scorers.leep import leep
from keras_transfer.insight.scorers.nce import nce


def make_data(examples=50, sources=6, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.dirichlet([0.3] * sources, examples), rng.integers(
        0, classes, examples
    )


def loop_leep(probabilities, y):
    joint, total = {}, {}
    for row, label in zip(probabilities, y, strict=True):
        for source, share in enumerate(row):
            joint[label, source] = joint.get((label, source), 0) + share
            total[source] = total.get(source, 0) + share
    logs = [
        math.log(
            sum(
                share * joint[label, source] / total[source]
                for source, share in enumerate(row)
            )
        )
        for row, label in zip(probabilities, y, strict=True)
    ]
    return sum(logs) / len(logs)


def loop_nce(probabilities, y):
    guesses = [int(np.argmax(row)) for row in probabilities]
    entropy = 0
    for source in set(guesses):
        found = [
            label
            for label, guess in zip(y, guesses, strict=True)
            if guess == source
        ]
        for label in set(found):
            share = found.count(label) / len(found)
            entropy -= found.count(label) / len(y) * math.log(share)
    return -entropy


@pytest.mark.parametrize("seed", range(3))
def test_are_what_the_loops_say(seed):
    probabilities, y = make_data(seed=seed)
    assert leep(probabilities, y) == pytest.approx(loop_leep(probabilities, y))
    assert nce(probabilities, y) == pytest.approx(loop_nce(probabilities, y))


@pytest.mark.parametrize("score", [leep, nce])
def test_a_head_that_knows_the_classes_and_one_that_knows_nothing(score):
    y = np.array([0, 1, 2, 2, 0, 1, 0, 0])
    assert score(np.eye(5)[y], y) == 0
    shares = np.bincount(y) / len(y)
    entropy = -(shares * np.log(shares)).sum()
    same = np.tile([0.1, 0.7, 0.2], (8, 1))
    assert score(same, y) == pytest.approx(-entropy)


@pytest.mark.parametrize("score", [leep, nce])
def test_order_of_classes_and_of_sources_does_not_matter(score):
    probabilities, y = make_data()
    expected = score(probabilities, y)
    assert score(probabilities[:, ::-1], 7 - 2 * y) == pytest.approx(expected)
    unused = np.hstack([probabilities, np.zeros((50, 2))])
    assert score(unused, y) == pytest.approx(expected)


@pytest.mark.parametrize("score", [leep, nce])
@pytest.mark.parametrize(
    "probabilities, message",
    [
        ([[0.5, 0.6], [0.5, 0.5]], "sum up to 1"),
        ([[1.5, -0.5], [0.5, 0.5]], "between -0.5 and 1.5"),
        ([[np.nan, 1], [0.5, 0.5]], "sum up to 1"),
        ([[1.0]], r"shape \(1, 1\), y of shape \(2,\)"),
        (np.zeros((2, 0)), r"shape \(2, 0\)"),
    ],
)
def test_refuse_what_are_no_probabilities(score, probabilities, message):
    with pytest.raises(ValueError, match=message):
        score(probabilities, [0, 1])
