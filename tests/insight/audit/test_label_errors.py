"""Labels are doubted by a classifier that has not seen them."""

import numpy as np
import pytest
from PIL import Image
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import rbf_kernel

from keras_transfer.insight.audit import label_errors
from keras_transfer.insight.audit.label_errors import (
    answer_for_left_out,
    calibrate,
    describe_similarity,
    find_label_errors,
    list_small_classes,
)
from tests.insight.audit.pictures import make_table


@pytest.mark.parametrize("features", [5, 80])
def test_answers_are_those_of_a_fit_without_the_group(features):
    random = np.random.default_rng(0)
    x = random.normal(size=(40, features)) * 3 + 1
    labels = random.integers(0, 3, 40)
    groups = np.repeat(np.arange(20), 2)[random.permutation(40)]
    answers = answer_for_left_out(x, labels, groups, penalties=[0.02])
    for group in range(20):
        out = groups == group
        ridge = Ridge(alpha=0.02 * 40)
        ridge.fit(x[~out], np.eye(3)[labels[~out]])
        np.testing.assert_allclose(
            answers[out], ridge.predict(x[out]), atol=1e-9
        )


def _log_likelihoods(answers, labels):
    return np.log(calibrate(answers, labels)[np.arange(len(labels)), labels])


@pytest.mark.parametrize(("noise", "seed"), [(0.5, 3), (1.0, 2)])
def test_the_penalty_is_the_greatest_that_costs_nothing(noise, seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, 90)
    x = np.eye(3)[labels] @ random.normal(size=(3, 20))
    x = x + noise * random.normal(size=x.shape)
    groups, penalties = np.arange(90), (0.01, 0.1, 1.0, 10.0, 100.0)
    each = [answer_for_left_out(x, labels, groups, [p]) for p in penalties]
    fits = np.array([_log_likelihoods(a, labels) for a in each])
    best = fits.mean(axis=1).argmax()
    lost = fits[best] - fits
    least = lost.std(axis=1) / np.sqrt(90)
    expected = np.flatnonzero(lost.mean(axis=1) <= least).max()
    assert best < expected < len(penalties) - 1
    np.testing.assert_array_equal(
        answer_for_left_out(x, labels, groups, penalties), each[expected]
    )


def test_similarity_is_that_of_a_radial_kernel():
    x = np.random.default_rng(3).normal(2, [1, 5, 0.1, 1, 1], (50, 5))
    scaled = (x - x.mean(axis=0)) / x.std(axis=0) / np.sqrt(5)
    similar = describe_similarity(x)
    expected = rbf_kernel(scaled, gamma=0.6)
    np.testing.assert_allclose(similar @ similar.T, expected, atol=1e-8)


def test_similarity_of_many_is_to_some(monkeypatch):
    monkeypatch.setattr(label_errors, "_MOST_LANDMARKS", 60)
    x, labels = _blobs([100, 100, 100])
    similar = describe_similarity(x)
    assert similar.shape == (300, 60)
    scaled = (x - x.mean(axis=0)) / x.std(axis=0) / 4
    distance = similar @ similar.T - rbf_kernel(scaled, gamma=0.6)
    assert np.abs(distance).mean() < 0.02


@pytest.mark.parametrize("counts", [[40] * 8, [200, 20], [200, 200]])
def test_many_classes_and_uneven_ones(counts):
    x, labels = _blobs(counts, seed=1)
    given = labels.copy()
    wrong = np.random.default_rng(1).choice(len(x), len(x) // 20, replace=False)
    given[wrong] = (given[wrong] + 1) % len(counts)
    table = _table(given)
    found = find_label_errors(table, x, np.arange(len(x)))
    named = {finding.paths[0] for finding in found}
    paths = {table.paths[i] for i in wrong}
    assert len(named & paths) >= 0.9 * len(paths)
    assert len(named - paths) <= 0.1 * len(paths)


def test_calibration_has_the_highest_likelihood():
    random = np.random.default_rng(1)
    labels = random.integers(0, 4, 500)
    answers = 0.3 * np.eye(4)[labels] + random.normal(0, 0.2, (500, 4))

    def loss(scale):
        return -log_softmax(scale * answers, axis=1)[
            np.arange(500), labels
        ].mean()

    best = minimize_scalar(loss, bounds=(1, 100), method="bounded").x
    expected = softmax(best * answers, axis=1)
    np.testing.assert_allclose(calibrate(answers, labels), expected, atol=0.02)


def _blobs(counts, seed=0):
    """Clouds of features around one place a class."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    places = 3 * random.normal(size=(len(counts), 16))
    return places[labels] + random.normal(size=(len(labels), 16)), labels


def _table(labels):
    images = [Image.new("RGB", (8, 8), (i % 256, i // 256, 0)) for i in labels]
    return make_table(images, [f"class {i}" for i in labels])


def test_planted_errors_come_out_and_little_else():
    x, labels = _blobs([60, 60, 60, 60])
    random = np.random.default_rng(1)
    wrong = random.choice(240, 12, replace=False)
    labels[wrong] = (labels[wrong] + random.integers(1, 4, 12)) % 4
    table = _table(labels)
    found = find_label_errors(table, x, np.arange(240))
    paths = {table.paths[i] for i in wrong}
    named = {finding.paths[0] for finding in found}
    assert len(named & paths) >= 11 and len(named - paths) <= 2
    scores = [finding.score for finding in found]
    assert scores == sorted(scores, reverse=True)
    assert {finding.kind for finding in found} == {"label_error"}


def test_copies_do_not_vouch_for_each_other():
    x, labels = _blobs([40, 40])
    # Three copies of a picture of the second class, filed under the first.
    x = np.concatenate([x, np.repeat(x[-1:], 3, axis=0)])
    labels = np.append(labels, [0, 0, 0])
    table = _table(labels)
    groups = np.append(np.arange(79), [79] * 4)
    named = {f.paths[0] for f in find_label_errors(table, x, groups)}
    assert {"picture 80", "picture 81", "picture 82"} <= named


def test_small_classes_are_not_judged():
    x, labels = _blobs([30, 30, 4, 6])
    groups = np.arange(70)
    groups[-6:-1] = groups[-6]  # of the last class, two are different
    table = _table(labels)
    assert list_small_classes(table, groups) == ["class 2", "class 3"]
    # Far from their class, and yet there is nothing to say.
    x[-10:] = x[:10]
    found = find_label_errors(table, x, groups)
    assert not {f.classes[0] for f in found} & {"class 2", "class 3"}


@pytest.mark.parametrize("counts", [[30], [30, 2], [1, 1, 1], [2]])
def test_without_two_classes_there_is_nothing_to_doubt(counts):
    x, labels = _blobs(counts)
    table = _table(labels)
    assert find_label_errors(table, x, np.arange(len(x))) == []
